"""The command that makes pictures. `nst_keras/run.py` is what `python -m nst_keras.run` starts, and
is imported by nothing: the function `nst_keras.run` has its name."""

from nst_keras.runs import session
from nst_keras.settings import command_line
from nst_keras.settings.config import COMMAND


def main(arguments: list[str] | None = None) -> int:
    """Do one run, or several as a batch; returns the exit status."""
    return command_line.run(COMMAND, session.do_runs, arguments)
