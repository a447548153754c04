"""Make one picture: `python -m nst_keras.run --content=photo.jpg --style=painting.jpg`.

Exit status: 0 finished, 1 the optimization failed, 2 bad input, 74 a file could not be written,
75 interrupted: run the same command again to resume.
"""

import sys

from nst_keras.runs import session
from nst_keras.settings import command_line
from nst_keras.settings.config import COMMAND


def main(arguments: list[str] | None = None) -> int:
    """Do one run, or several as a batch; returns the exit status."""
    return command_line.run(COMMAND, session.do_runs, arguments)


if __name__ == "__main__":
    sys.exit(main())
