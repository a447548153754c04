"""Trains a VGG on labeled pictures: `python -m nst_keras.train_backbone --folder=photos`.

Exit status: 0 finished, 1 the training failed, 2 bad input, 74 the disk refused,
75 interrupted: the same command goes on.
"""

import logging
import sys

import nst_keras
from nst_keras.runtime import cli, console
from nst_keras.settings import command_line
from nst_keras.training.config import COMMAND
from nst_keras.training.session import parse_config, run_training

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Train one backbone; returns the exit status. A user's error is one line on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    return cli.exit_status(lambda: _command(given))


def _command(arguments: list[str]) -> int:
    config, actions = parse_config(arguments)
    if "help" in actions:
        print(command_line.help_text(COMMAND))
        return 0
    if "version" in actions:
        print(f"nst_keras {nst_keras.__version__}")
        return 0
    with console.messages(quiet="quiet" in actions):
        return run_training(arguments, config)


if __name__ == "__main__":
    sys.exit(main())
