"""Six small pictures of the settings that matter most: `nst try photo.jpg painting.jpg`.

They are the trials of a sweep, and its page has the command for each of them at full size.

Exit status: that of a sweep.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from nst_keras.runs import folder
from nst_keras.runs.record import Fingerprint
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command import Command
from nst_keras.settings.command_line import Call, Group
from nst_keras.settings.config import OPTIONS as RUN_OPTIONS
from nst_keras.settings.config import Config
from nst_keras.settings.option import check_settings, options_of, section
from nst_keras.sweeps.session import run_sweep
from nst_keras.sweeps.trials import format_flags

_pictures = section("pictures")
_MOST_AT_ONCE = 6  # more would take long to trace
# Of small pictures that are painted quickly; a flag overrides each of them.
_QUICK: dict[str, Any] = {"size": 144, "quality": "preview", "scores": False, "gif": False}


@dataclasses.dataclass(frozen=True)
class PreviewConfig:
    """The settings that are tried, each value of one with each of the other."""

    strengths: tuple[float, ...] = _pictures(
        (0.2, 0.5, 0.8), "Values of --strength, from faithful to the photo to free.", (0, 1)
    )
    style_scales: tuple[float, ...] = _pictures(
        (0.6, 1.2), "Values of --style_scale, from fine to broad strokes.", (0.05, 16)
    )

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)
        for name in ("strengths", "style_scales"):
            values = getattr(self, name)
            if not values:
                raise InputError(f"--{name}: give at least one number", name)
            if len({*values}) < len(values):
                text = OPTIONS[name].format(values)
                raise InputError(f"--{name}={text}: has a value twice", name)

    def vary(self) -> tuple[str, ...]:
        """The same for a sweep."""
        pairs = (("strength", self.strengths), ("style_scale", self.style_scales))
        return tuple(
            f"{name}={','.join(map(RUN_OPTIONS[name].format, values))}" for name, values in pairs
        )


OPTIONS = options_of(PreviewConfig)
COMMAND = Command(
    usage=(
        "Paints small pictures with different settings, for you to choose by eye. Their page has",
        "the command that paints each one at full size.",
        "",
        "  nst try photo.jpg painting.jpg",
        "  nst try photo.jpg painting.jpg --strengths=0.3,0.6 --style_scales=0.5,1,2 --open",
        "",
        "The flags of a run (nst --help) apply to all of them.",
    ),
    options=OPTIONS,
    inherited=RUN_OPTIONS,
    positionals=("content", "style"),
    flagfiles_first=True,
)


def main(arguments: list[str] | None = None) -> int:
    """Paint the small pictures; returns the exit status."""
    return command_line.run(COMMAND, _try, arguments)


def _try(call: Call) -> int:
    ((arguments, values),) = call.groups
    if not values.get("content") or not values.get("style"):
        raise InputError("a picture is missing; give both: nst try photo.jpg painting.jpg")
    for name, own in (("strength", "strengths"), ("style_scale", "style_scales")):
        if name in values:
            text = RUN_OPTIONS[name].format(values[name])
            raise InputError(f"--{name}={text}: is what varies; give --{own}={text},...", name)
    preview = PreviewConfig(**{name: values[name] for name in OPTIONS if name in values})
    shared = _QUICK | {name: value for name, value in values.items() if name not in OPTIONS}
    shared.setdefault("workdir", str(_default_path(Config(**shared), preview)))
    at_once = 1 if sys.platform == "win32" else _MOST_AT_ONCE
    sweep: dict[str, Any] = {"vary": preview.vary(), "batch": at_once}
    if len(preview.strengths) > 1 and len(preview.style_scales) > 1:
        sweep["layout"] = ("style_scale", "strength")
    return run_sweep(call._replace(groups=[Group(arguments, {**shared, **sweep})]))


def _default_path(config: Config, preview: PreviewConfig) -> Path:
    """A folder such as runs/try_photo_painting-3f2a; the same for the same command."""
    pictures = (config.content, *config.style_pictures[:2])
    asked = Fingerprint({"flags": repr((*format_flags(config), *preview.vary()))})
    return folder.default_path(("try", *pictures), asked)


if __name__ == "__main__":
    sys.exit(main())
