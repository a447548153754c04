"""What a command returns to the system: exit statuses, and one line for each error."""

import io
import os
import sys
from collections.abc import Callable

from nst_keras.runtime.console import tell
from nst_keras.runtime.errors import DeviceError, InputError, LostHostError, first_line

# Exit statuses; the latter two as in BSD's sysexits.h.
BAD_INPUT, IO_ERROR, INTERRUPTED = 2, 74, 75


def exit_status(work: Callable[[], int]) -> int:
    """Do a command's work; what goes wrong becomes one line on standard error and a status."""
    _take_names_of_any_bytes()
    try:
        return work()
    except BrokenPipeError:  # of standard output, as in --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on", INTERRUPTED)
    except Exception as error:
        line, status = explain(error)
        if not line:
            raise
        return _fail(line, status)


def explain(error: Exception) -> tuple[str, int]:
    """The line that tells a person of an error, and the exit status for it.

    The line is empty for an error in the program itself.
    """
    if isinstance(error, InputError):
        return str(error), BAD_INPUT
    if isinstance(error, LostHostError):
        return f"{error}; run it again on all hosts, and it goes on", INTERRUPTED
    if isinstance(error, FloatingPointError):
        return str(error), 1
    if isinstance(error, MemoryError):
        return str(error) or "out of memory", 1
    if isinstance(error, OSError):
        return f"{error.filename or 'the disk'}: {error.strerror or error}", IO_ERROR
    if told := _told_of_device(error):
        return f"{told}; run again, it goes on from the last checkpoint", 1
    return "", 1


def _take_names_of_any_bytes() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _told_of_device(error: Exception) -> str:
    """What went wrong there; empty: it is of something else."""
    if isinstance(error, DeviceError):
        return str(error)
    if "tensorflow" not in sys.modules:  # which not every command needs
        return ""
    from tensorflow import errors

    # Arguments that do not fit are a fault of ours, and want their traceback.
    ours = isinstance(error, errors.InvalidArgumentError)
    told = isinstance(error, errors.OpError) and not ours
    return f"the device failed: {first_line(error)}" if told else ""


def _fail(message: str, status: int) -> int:
    tell(f"nst_keras: {message}")
    return status
