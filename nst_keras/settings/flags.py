"""The command `nst_keras.run`: its flagfiles and its help. `config.py` declares the options."""

import shlex
import shutil
import sys

from nst_keras.settings import command_line
from nst_keras.settings.config import OPTIONS, Config


def parse_config(arguments: list[str]) -> tuple[Config, set[str]]:
    """The settings on a command line, and the actions asked for, as in `command_line.parse`."""
    given, actions = command_line.parse(COMMAND, arguments)
    return Config(**given), actions


def format_flagfile(config: Config) -> str:
    """Lines that `parse_config` turns back into the same settings."""
    return command_line.format_flagfile(COMMAND, vars(config))


def format_command(arguments: list[str]) -> str:
    """The shell command that runs these arguments again."""
    same = shutil.which("python") == sys.executable
    return shlex.join(["python" if same else sys.executable, "-m", "nst_keras.run", *arguments])


COMMAND = command_line.Command(
    usage=(
        "Neural style transfer: paints a photo in the style of a painting.",
        "",
        "  python -m nst_keras.run --content=photo.jpg --style=painting.jpg",
        "  python -m nst_keras.run --flagfile=configs/monet.cfg",
        "  python -m nst_keras.run --workdir=runs/photo_painting-3f2a      (resumes a run)",
    ),
    options=OPTIONS,
    grouped=True,
)
