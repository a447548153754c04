"""Many trials from one command: `python -m nst_keras.sweep --vary=style_weight=4,8,16 ...`.

Exit status: 0 all trials are done, 1 some failed, 2 bad input, 74 the disk refused,
75 interrupted: the same command goes on.
"""

import logging
import sys

import nst_keras
from nst_keras.runtime import cli, console
from nst_keras.settings import flags as flags_lib
from nst_keras.sweeps import flags
from nst_keras.sweeps.session import run_sweep

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run all trials; returns the exit status. A user's error is one line on standard error."""
    return cli.exit_status(lambda: _command(arguments))


def _command(arguments: list[str] | None) -> int:
    given, rest = flags.parse(arguments)
    base, actions = flags_lib.parse_config([] if given.help else rest)
    if given.help or "help" in actions:
        print(flags.help_text())
        return 0
    if "version" in actions:
        print(f"nst_keras {nst_keras.__version__}")
        return 0
    quiet = "quiet" in actions
    with console.messages(quiet=quiet):
        return run_sweep(given, base, quiet=quiet)


if __name__ == "__main__":
    sys.exit(main())
