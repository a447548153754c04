"""The command line: `python -m nst_keras.run --content=photo.jpg --style=painting.jpg`.

Exit status: 0 finished, 1 the optimization failed, 2 bad input, 74 the disk refused,
75 interrupted: the same command goes on.
"""

import sys
import time

from nst_keras.runs import session
from nst_keras.runtime import cli


def main(arguments: list[str] | None = None) -> int:
    """Run one job; returns the exit status. A user's error is one line on standard error."""
    began = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments
    return cli.exit_status(lambda: session.command(given, began))


if __name__ == "__main__":
    sys.exit(main())
