"""Show runs side by side on one page: `python -m nst_keras.compare runs/a runs/b`.

Like a run's own page, it needs no network and no other file.

Exit status: 0 written, 2 bad input, 74 a file could not be written.
"""

import dataclasses
import logging
import os
import sys

from nst_keras.runs import folder
from nst_keras.runs.comparison import write_page
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command import Command
from nst_keras.settings.command_line import Call
from nst_keras.settings.option import check_settings, options_of, section

_log = logging.getLogger("nst_keras.compare")  # also where it runs as __main__

_page = section("page")


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """All settings of one comparison."""

    run: tuple[str, ...] = _page(
        (),
        "A run folder. Given once for each run; --run= may be left out.",
        repeated=True,
        path=True,
    )
    output: str = _page("comparison.html", "The file to write.", path=True)
    overwrite: bool = _page(False, "Replace a comparison that is there already.")
    title: str = _page("", "The page's title.", unset="the number of runs")
    layout: tuple[str, ...] = _page(
        (),
        "ROW,COLUMN: two settings that lay out the pictures, such as style_weight,style_scale.",
    )

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)


OPTIONS = options_of(CompareConfig)

COMMAND = Command(
    usage=(
        "Writes one page that compares runs, finished or not: pictures with common zoom and steps,",
        "loss curves, and a table of what differs.",
        "",
        "  nst compare runs/a runs/b --output=comparison.html",
    ),
    options=OPTIONS,
    positionals=("run",),
)


def main(arguments: list[str] | None = None) -> int:
    """Write one page; returns the exit status."""
    return command_line.run(COMMAND, _write, arguments)


def _write(call: Call) -> int:
    config = CompareConfig(**call.groups[0].values)
    if not config.run:
        raise InputError(
            "RUN is missing; give at least two run folders, such as: nst compare runs/a runs/b"
        )
    for run in config.run:
        folder.existing(run, run)
    if len({os.path.abspath(run) for run in config.run}) == 1:
        raise InputError(f"RUN={config.run[0]}: give at least one more run folder")
    page = write_page(
        config.output, config.run, config.title, config.layout, overwrite=config.overwrite
    )
    _log.info("comparison: %s", page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
