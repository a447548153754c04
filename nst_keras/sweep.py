"""Many trials from one command: `python -m nst_keras.sweep --vary=style_weight=4,8,16 ...`.

Exit status: 0 all trials are done, 1 some failed, 2 bad input, 74 a file could not be written,
75 interrupted: run the same command again to resume.
"""

import sys

from nst_keras.settings import command_line
from nst_keras.sweeps import flags
from nst_keras.sweeps.session import run_sweep


def main(arguments: list[str] | None = None) -> int:
    """Run all trials; returns the exit status."""
    return command_line.run(flags.COMMAND, run_sweep, arguments)


if __name__ == "__main__":
    sys.exit(main())
