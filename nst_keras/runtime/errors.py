"""Errors that are not the program's fault, and how they are reported."""


class InputError(ValueError):
    """A setting or a file that cannot be used.

    The message is one line for a person: the flag or file, its value, and what is allowed. `flags`
    are names of the options that the error is about, the main one first.
    """

    def __init__(self, message: str, *flags: str):
        super().__init__(printable(message))
        self.flags = flags


class StepDropped(Exception):
    """A step was abandoned before its end; the state before it is saved."""


class DeviceError(Exception):
    """The device failed; the same command resumes from the last checkpoint."""


class LostHostError(Exception):
    """Another host of the job is gone; the same command on all hosts resumes it."""


def printable(text: str) -> str:
    """The text on one line, with control characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type if the message is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def reason_of(error: BaseException) -> str:
    """What the operating system reports, without number and path; else the first line."""
    return getattr(error, "strerror", None) or first_line(error)
