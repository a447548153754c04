"""All commands under one name: `nst photo.jpg painting.jpg`, `nst sweep ...`, `nst doctor`.

`nst` is the same as `python -m nst_keras`. Without the name of a command, it makes a picture.

Exit status: that of the command; 2 without arguments.
"""

import difflib
import importlib
import os
import sys

from nst_keras.runtime import cli

# The module of each command, which has a `main`, and what it does.
_COMMANDS = {
    "run": ("runs.command", "paint a picture; the word run may be left out"),
    "try": ("preview", "paint six small pictures to choose settings by eye"),
    "sweep": ("sweep", "try many settings or pictures, and compare the results"),
    "compare": ("compare", "show finished runs side by side on one page"),
    "recolor": ("recolor", "give a finished picture the colors of its photo"),
    "train": ("train_backbone", "train a network of your own on labeled pictures"),
    "doctor": ("doctor", "check what is installed, and paint a tiny picture"),
}
_ALIASES = {"train_backbone": "train"}
_USAGE = (
    "Paints a photo in the style of a painting.",
    "",
    "  nst photo.jpg painting.jpg",
    "",
    *(f"  nst {name:<9} {purpose}" for name, (_, purpose) in _COMMANDS.items()),
    "",
    "nst --help lists the flags that matter most, and nst COMMAND --help those of a command.",
)


def main(arguments: list[str] | None = None) -> int:
    """Do what the first argument names, or paint a picture; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    return cli.exit_status(lambda: _dispatch(given))


def _dispatch(given: list[str]) -> int:
    if not given:
        cli.show(*_USAGE)
        return cli.BAD_INPUT
    name = _ALIASES.get(given[0], given[0])
    if name in _COMMANDS:
        return _command(name, given[1:])
    if name == "help":
        if given[1:] in ([it] for it in _COMMANDS):
            return _command(given[1], ["--help"])
        return _command("run", ["--help", *given[1:2]])
    if _is_misspelt(name):
        close = difflib.get_close_matches(name, _COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"commands: {', '.join(_COMMANDS)}"
        cli.tell(f"{name} is neither a command nor a picture; {hint}")
        return cli.BAD_INPUT
    return _command("run", given)


def _command(name: str, arguments: list[str]) -> int:
    module, _ = _COMMANDS[name]
    return importlib.import_module(f"nst_keras.{module}").main(arguments)


def _is_misspelt(word: str) -> bool:
    """Whether a first argument looks like a command, not like a picture or a flag."""
    return word.isidentifier() and not os.path.exists(word)


if __name__ == "__main__":
    sys.exit(main())
