"""The errors that are not the program's fault."""


class InputError(ValueError):
    """A setting or a file that cannot be used.

    The message is one line for a person: the flag or file, the value and what would be right.
    """


class StepDropped(Exception):
    """A step was given up half-way; the state before it is saved."""


class DeviceError(Exception):
    """The device failed; the job can be run again and goes on from its last checkpoint."""


class LostHostError(Exception):
    """Another host of the job is gone; the job can be run again and goes on."""
