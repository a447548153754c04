"""The options of `run` as flags: parsing, flagfiles, help. Knows the command line only."""

import shlex
import shutil
import sys

from nst_keras.settings import command_line
from nst_keras.settings import config as config_lib
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.presets import PRESETS


def parse_config(arguments: list[str]) -> tuple[Config, set[str]]:
    """The settings on a command line, and which actions (help, version, quiet) were asked for.

    Later flags win; a flagfile stands for its lines at its place. Lists are replaced, not extended.

    Raises:
        InputError: naming the flag or the file's line.
    """
    given, actions = command_line.parse(_COMMAND, arguments)
    return Config(**given), actions


def format_flagfile(config: Config) -> str:
    """Lines that `parse_config` turns back into the same settings."""
    values = {name: getattr(config, name) for name in OPTIONS}
    return command_line.format_flagfile(_COMMAND, values)


def format_command(arguments: list[str]) -> str:
    """What a person types to do this again."""
    same = shutil.which("python") == sys.executable
    return shlex.join(["python" if same else sys.executable, "-m", "nst_keras.run", *arguments])


def help_text() -> str:
    """Every flag of ours, by group, with unit, range and default."""
    return command_line.help_text(_COMMAND)


def _presets() -> dict[str, str]:
    """What an option that is not given stands for, where the objective decides."""
    values = PRESETS[config_lib.defaults()["objective"]].defaults
    return {
        name: f"that of the objective ({OPTIONS[name].format(value) or 'none'})"
        for name, value in values.items()
        if name in OPTIONS
    }


_COMMAND = command_line.Command(
    usage=(
        "Neural style transfer: paints a photo in the manner of a painting.",
        "",
        "  python -m nst_keras.run --content=photo.jpg --style=painting.jpg",
        "  python -m nst_keras.run --flagfile=configs/monet.cfg",
        "  python -m nst_keras.run --workdir=runs/photo_painting-3f2a      (goes on with a run)",
    ),
    options=OPTIONS,
    defaults=config_lib.defaults(),
    unset=_presets(),
)
