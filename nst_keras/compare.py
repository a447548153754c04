"""Runs side by side on one page: `python -m nst_keras.compare runs/a runs/b`.

Like a run's own page it needs no network and no other file; only its links lead to the runs' pages.
This module gathers what the page shows; `data/compare.html` decides how it looks.
Exit status: 0 written, 2 bad input, 74 the disk refused.
"""

import os
import sys

from nst_keras.runs.comparison import write_page
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import cli, console
from nst_keras.runtime.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Write one page; returns the exit status. A user's error is one line on standard error."""
    return cli.exit_status(lambda: _command(arguments))


def _command(arguments: list[str] | None) -> int:
    given = _parser().parse_args(arguments)
    if given.help:
        _parser().print_help()
        return 0
    for run in given.runs:
        _check_run(run)
    page = write_page(given.output, given.runs, given.title, given.layout)
    console.tell(f"nst_keras: comparison: {page}")
    return 0


# The command line.


def _parser() -> cli.OneLineParser:
    parser = cli.OneLineParser(
        prog="python -m nst_keras.compare",
        description="Write one page that compares runs, finished or not: pictures with common "
        "zoom and steps, loss curves, and a table of what differs.",
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="*", help="A run folder.")
    add("--output", metavar="PATH", default="comparison.html", help="Default: comparison.html.")
    add("--title", metavar="TEXT", default="", help="The page's title.")
    layout = "Two settings that lay out the pictures, such as style_weight,style_scale."
    add("--layout", metavar="ROW,COLUMN", type=lambda text: tuple(text.split(",")), help=layout)
    add("--help", action="store_true", help="Show this help.")
    return parser


def _check_run(run: str) -> None:
    if not os.path.isdir(run):
        raise InputError(f"{run}: is not a folder; give that of a run")
    if not RunFolder(run).read_record():
        raise InputError(f"{run}: is not a run folder; it has no run.json that can be read")


if __name__ == "__main__":
    sys.exit(main())
