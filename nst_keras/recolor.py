"""Change the colors of a finished run: `python -m nst_keras.recolor runs/monet`.

The picture is not painted anew, and the run keeps its result as it is. The changed one stands
beside it and on its page, or with --output in a file of its own.

Exit status: 0 written, 2 bad input, 74 a file could not be written.
"""

import dataclasses
import logging
import sys
from pathlib import Path

import numpy as np

from nst_keras.imaging import geometry, images, masks
from nst_keras.imaging.recolor import KINDS, recolored
from nst_keras.runs import gallery, output_copy
from nst_keras.runs.folder import RunFolder, existing
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command import Command
from nst_keras.settings.command_line import Call
from nst_keras.settings.config import COMMAND as RUN_COMMAND
from nst_keras.settings.config import Config
from nst_keras.settings.option import check_settings, options_of, section

_log = logging.getLogger("nst_keras.recolor")  # also where it runs as __main__

_colors = section("colors")


@dataclasses.dataclass(frozen=True)
class RecolorConfig:
    """All settings of one change of colors."""

    run: tuple[str, ...] = _colors(
        (),
        "A folder of a finished run. Given once for each run; --run= may be left out.",
        repeated=True,
        path=True,
    )
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
        "The file to write, of one run.",
        unset="result_in_COLOR.png in the run's folder, which its page shows",
        path=True,
    )
    overwrite: bool = _colors(False, "Replace a file at --output.")

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)


OPTIONS = options_of(RecolorConfig)

COMMAND = Command(
    usage=(
        "Gives the result of a finished run the colors of its photo, without painting it anew.",
        "",
        "  nst recolor runs/monet --color=content_exact",
    ),
    options=OPTIONS,
    positionals=("run",),
)


def main(arguments: list[str] | None = None) -> int:
    """Write one picture; returns the exit status."""
    return command_line.run(COMMAND, _write, arguments)


def _write(call: Call) -> int:
    config = RecolorConfig(**call.groups[0].values)
    if not config.run:
        raise InputError("--run: give the folder of a finished run")
    if config.output and len(config.run) > 1:
        raise InputError(
            f"--output={config.output}: takes one run, but {len(config.run)} are given"
        )
    folders = [_finished(path) for path in config.run]
    runs = [(folder, _settings_of(folder)) for folder in folders]
    for run in runs:
        _check_output(config, *run)
    for folder, settings in runs:
        path = Path(config.output) if config.output else folder.recolored(config.color)
        source = folder.painted if folder.painted.exists() else folder.result
        # BMP has no place for a profile.
        keep_profile = settings.profile == "input" and path.suffix.lower() != ".bmp"
        picture = images.read_image(
            source, "--run", images.MAX_OWN_PIXELS, keep_profile=keep_profile
        )
        photo = _photo_of(folder, settings, keep_profile)
        found = recolored(picture.pixels, photo, config.color, config.color_strength)
        found = _with_kept(folder, found, photo)
        if config.output:
            images.write_image(path, found, profile=picture.profile)
        else:
            with files.held(folder.path):
                images.write_image(path, found, profile=picture.profile)
                gallery.write_page(folder)
        _log.info("result: %s", path)
    return 0


def _finished(path: str) -> RunFolder:
    """The folder of a finished run, or an InputError."""
    folder = existing(path, f"--run={path}")
    if not folder.read_record().has_result:
        raise InputError(f"--run={path}: has no result yet; let the run finish first")
    return folder


def _settings_of(folder: RunFolder) -> Config:
    """The settings with which the run was made."""
    values, _ = command_line.parse(RUN_COMMAND, [f"--flagfile={folder.flags}"])
    return Config(**values)


def _check_output(config: RecolorConfig, folder: RunFolder, settings: Config) -> None:
    """Refuse an --output that cannot be written, or that would replace what must stay."""
    if not config.output:
        return
    own = dataclasses.replace(settings, output=config.output, overwrite=config.overwrite, bits=8)
    with images.opened(folder.result) as result:
        width, height = result.size
    output_copy.check(own, folder, (height, width))
    output_copy.check_is_free(own)


def _photo_of(folder: RunFolder, settings: Config, keep_profile: bool) -> np.ndarray:
    """The run's content, cropped as it was, or an InputError if its file is gone or another one."""
    limit, path = settings.max_megapixels * 10**6, settings.content
    picture = images.read_image(
        path, "--content", limit, truncated=settings.truncated, keep_profile=keep_profile
    )
    then = folder.read_record().fingerprint.hashes.get("content", picture.sha256)
    if picture.sha256 != then:
        raise InputError(f"--content={path}: is not the picture that the run was made with")
    for note in picture.notes:
        _log.warning("--content=%s: %s", path, note)
    return geometry.crop_to_fit(picture.pixels, settings.fit)


def _with_kept(folder: RunFolder, picture: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The picture with what the run has kept of the photo, which needs no other colors."""
    if not folder.kept.exists():
        return picture
    mask = images.read_image(folder.kept, "--run", images.MAX_OWN_PIXELS).pixels[..., 0]
    size = picture.shape[:2]
    kept = masks.filled(geometry.resize_mask(mask, *size))
    return masks.with_kept(picture, geometry.resize(photo, *size), kept)


if __name__ == "__main__":
    sys.exit(main())
