"""The one error that means: the input is wrong, not the program."""


class InputError(ValueError):
    """A setting or a file that cannot be used.

    The message is one line for a person: the flag or file, the value and what would be right.
    """
