"""Train a backbone: `python -m nst_keras.train_backbone --folder=photos`.

Exit status: 0 finished, 1 the training failed, 2 bad input, 74 a file could not be written,
75 interrupted: run the same command again to resume.
"""

import sys

from nst_keras.settings import command_line
from nst_keras.training.config import COMMAND
from nst_keras.training.session import run_training


def main(arguments: list[str] | None = None) -> int:
    """Train one backbone; returns the exit status."""
    return command_line.run(COMMAND, run_training, arguments)


if __name__ == "__main__":
    sys.exit(main())
