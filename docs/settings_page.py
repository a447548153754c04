"""The page of all settings, from the table of options that the command and Python share."""

import itertools
import re
from collections.abc import Iterator

from nst_keras.settings.config import OPTIONS
from nst_keras.settings.option import Option

_INTRODUCTION = """# All settings

Each is a flag of the command, `--size=512`, and an argument in Python, of `nst_keras.run` or of
`Config`: `size=512`. Some need the folder of a run there, and `stylize` does not take these.
"""

# These are about files, too, but are taken without a folder in Python.
_WITHOUT = ("content", "style", "style_mask", "style_region", "regions", "workdir", "device")


def text() -> str:
    """The page in Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for group in dict.fromkeys(option.group for option in OPTIONS.values()):
        yield f"## {group[0].upper()}{group[1:]}\n"
        for option in OPTIONS.values():
            if option.group == group:
                yield from _entry(option)


def _entry(option: Option) -> Iterator[str]:
    value = option.unset or "none" if option.default in (None, (), "") else None
    default = value or f"`{option.format(option.default)}`"
    takes = option.accepted()
    needs_folder = option.for_files and option.name not in _WITHOUT
    only = " In Python, it needs `workdir`." if needs_folder else ""
    yield f"### `{option.name}`\n"
    yield f"{_plain(option.help)}\n"
    yield f"Takes {_plain(takes)}. Default: {default}.{only}\n"


def _plain(text: str) -> str:
    """The text with flags as code, and with what Markdown would take for its marks escaped."""
    parts = re.split(r"(--\w+)", text)
    plain = [re.sub(r"([\\`*_<>[\]$])", r"\\\1", part) for part in parts[::2]]
    flags = [f"`{flag}`" for flag in parts[1::2]]
    return "".join(itertools.chain(*itertools.zip_longest(plain, flags, fillvalue="")))
