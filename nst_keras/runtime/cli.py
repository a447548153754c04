"""The exit status of a command, and the one line that it prints for an error."""

import io
import os
import sys
from collections.abc import Callable

from nst_keras.runtime.console import tell
from nst_keras.runtime.errors import DeviceError, InputError, LostHostError, first_line, reason_of

# Exit statuses; 74 and 75 as in BSD's sysexits.h.
BAD_INPUT, IO_ERROR, INTERRUPTED = 2, 74, 75


def exit_status(work: Callable[[], int]) -> int:
    """Run a command and return its exit status; an error becomes one line on standard error.

    Errors in the program itself are raised, so that their traceback shows.
    """
    _accept_any_file_name()
    try:
        return work()
    except BrokenPipeError:  # the reader of standard output has left, as in --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to resume", INTERRUPTED)
    except Exception as error:
        line, status = explain(error)
        if not line:
            raise
        return _fail(line, status)


def explain(error: Exception) -> tuple[str, int]:
    """The line that tells the user of an error, and the exit status for it.

    The line is empty for an error in the program itself.
    """
    if isinstance(error, InputError):
        return str(error), BAD_INPUT
    if isinstance(error, LostHostError):
        return f"{error}; run the same command again on all hosts to resume", INTERRUPTED
    if isinstance(error, (FloatingPointError, MemoryError)):
        return str(error) or "out of memory", 1
    if isinstance(error, OSError):
        return f"{error.filename or 'the disk'}: {reason_of(error)}", IO_ERROR
    if reason := _device_failure(error):
        return f"{reason}; run the same command again to resume", 1
    return "", 1


def _accept_any_file_name() -> None:
    """Let standard output show file names that are not valid text, escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _device_failure(error: Exception) -> str:
    """The message of an error that the device caused; empty for any other error."""
    if isinstance(error, DeviceError):
        return str(error)
    if "tensorflow" not in sys.modules:  # not every command needs it
        return ""
    from tensorflow import errors

    # Invalid arguments are a fault of this program and need their traceback.
    if not isinstance(error, errors.OpError) or isinstance(error, errors.InvalidArgumentError):
        return ""
    return f"the device failed: {first_line(error)}"


def _fail(message: str, status: int) -> int:
    tell(f"nst_keras: {message}")
    return status
