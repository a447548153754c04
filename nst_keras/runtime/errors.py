"""The errors that are not the program's fault."""


class InputError(ValueError):
    """A setting or a file that cannot be used.

    The message is one line for a person: the flag or file, the value and what would be right.

    Args:
        flags: names of the options that the error is about, the main one first.
    """

    def __init__(self, message: str, *flags: str):
        super().__init__(printable(message))
        self.flags = flags


def printable(text: str) -> str:
    """One line without control characters, whatever a file or a decoder's message holds."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class StepDropped(Exception):
    """A step was given up half-way; the state before it is saved."""


class DeviceError(Exception):
    """The device failed; the job can be run again and goes on from its last checkpoint."""


class LostHostError(Exception):
    """Another host of the job is gone; the job can be run again and goes on."""


def first_line(error: Exception) -> str:
    """The beginning of what an error says, or its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
