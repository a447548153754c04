"""Change the colors of a finished run: `python -m nst_keras.recolor runs/monet`.

The picture is not painted anew. Its run folder keeps the result as it is; the changed one stands
beside it, and on its page.

Exit status: 0 written, 2 bad input, 74 a file could not be written.
"""

import dataclasses
import logging
import os
import sys
from pathlib import Path

import numpy as np

from nst_keras.imaging import geometry, images
from nst_keras.imaging.recolor import KINDS, recolored
from nst_keras.runs import gallery
from nst_keras.runs.extras import check_place
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command_line import Call, Command
from nst_keras.settings.config import COMMAND as RUN_COMMAND
from nst_keras.settings.config import Config
from nst_keras.settings.option import check_settings, options_of, section

_log = logging.getLogger("nst_keras.recolor")  # also where it runs as __main__

_colors = section("colors")


@dataclasses.dataclass(frozen=True)
class RecolorConfig:
    """All settings of one change of colors."""

    run: str = _colors(None, "A folder of a finished run. --run= may be left out.", path=True)
    color: str = _colors(
        "content_exact",
        "content: the photo's mean and covariance of colors; content_exact: hue and chroma of the "
        "photo at each place, and lightness as it was painted; histogram: the distributions of "
        "lightness and color in the photo.",
        choices=KINDS,
    )
    color_strength: float = _colors(1.0, "How far it goes.", (0, 1))
    output: str | None = _colors(
        None,
        "The file to write, replaced if it is there.",
        unset="result_in_COLOR.png in the run's folder",
        path=True,
    )

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)


OPTIONS = options_of(RecolorConfig)

COMMAND = Command(
    usage=(
        "Gives the result of a finished run the colors of its photo, without painting it anew.",
        "",
        "  python -m nst_keras.recolor runs/monet --color=content_exact",
    ),
    options=OPTIONS,
    positional="run",
)


def main(arguments: list[str] | None = None) -> int:
    """Write one picture; returns the exit status."""
    return command_line.run(COMMAND, _write, arguments)


def _write(call: Call) -> int:
    config = RecolorConfig(**call.groups[0].values)
    folder = _finished(config.run)
    if config.output:
        images.check_writable_suffix(config.output)
        check_place(Path(config.output))
    path = Path(config.output) if config.output else folder.recolored(config.color)
    source = folder.painted if folder.painted.exists() else folder.result
    picture = images.read_image(source, "--run", images.MAX_OWN_PIXELS).pixels
    with files.held(folder.path):
        found = recolored(picture, _photo_of(folder), config.color, config.color_strength)
        images.write_image(path, found)
        gallery.write_page(folder)
    _log.info("result: %s", path)
    return 0


def _finished(path: str | None) -> RunFolder:
    """The folder of a finished run, or an InputError."""
    if not path or not os.path.isdir(path):
        shown = path or ""
        reason = "is not a folder" if os.path.exists(shown) else files.missing(shown, "folder")
        raise InputError(f"--run={shown}: {reason}; give the folder of a run")
    folder = RunFolder(path)
    record = folder.read_record()
    if not record:
        raise InputError(f"--run={path}: is not a run folder; it has no run.json that can be read")
    if not record.has_result:
        raise InputError(f"--run={path}: has no result yet; let the run finish first")
    return folder


def _photo_of(folder: RunFolder) -> np.ndarray:
    """The run's content, cropped as it was, or an InputError if its file is gone."""
    values, _ = command_line.parse(RUN_COMMAND, [f"--flagfile={folder.flags}"])
    config = Config(**values)
    picture = images.read_image(config.content, "--content", config.max_megapixels * 10**6)
    return geometry.crop_to_fit(picture.pixels, config.fit)


if __name__ == "__main__":
    sys.exit(main())
