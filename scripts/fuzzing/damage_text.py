"""Ways to damage text: JSON, flagfiles, tables."""

import copy
import csv
import io
import json
import random
import re
import sys
from collections.abc import Iterator
from typing import Any

from nst_keras.settings.config import OPTIONS

from .damage_bytes import Mutator, flip_bits, overwrite, splice, truncate

_DEEP = ("[" * 300 + "]" * 300, "[" * 900 + "]" * 900, "[" * 100_000)
_DEEP += ('{"a":' * 400 + "1" + "}" * 400,)
JSON_VALUES = ("null", "true", "0", "-1", "8.0", "1e308", "-1e308", "1e999", "NaN", "-Infinity")
JSON_VALUES += (
    "2147483647",
    "4294967295",
    "9223372036854775808",
    "1" + "0" * 400,
    "-1" + "0" * 4000,
)
JSON_VALUES += ("9" * 5000, '""', '"x"', '"\\ud800"', '"\\u0000"', '"a\\nb"', '"\\u0663"')
JSON_VALUES += ('"<script>alert(1)</script>"', '"</script><script>"', '"../../x"', '"/etc/passwd"')
JSON_VALUES += ('"' + "x" * 5000 + '"', "[]", "{}", "[[]]", "[1, 2, 3]", '["a", "b"]', '{"": {}}')
JSON_VALUES += ('{"a": 1}', '{"name": 5}', '{"a\\ud800": 1.5}', '{"<script>": 1}', *_DEEP)
_ODD_VALUES = ("1" + "0" * 400, '"\\ud800"', "5", '"a"', "[5]", '{"a": 5}', "null", _DEEP[0])
_DEVICES = ("/dev/zero",) if sys.platform == "linux" else ()  # other systems do not limit memory
_FIGURES = ("0", "-1", "2147483647", "4294967296", "-0.0", "1e400", "1e-400", "nan", "inf", "-inf")
_FIGURES += ("9" * 308, "9" * 308 + "T", "9" * 308 + "h", "9" * 5000, "1_000", "0x10", "\u0663")
_PATHS = ("../../x", "/etc/passwd", "/", "..", ".", "~", "~\0", "a\0b", "~nobody/x", "/dev/null")
_PATHS += ("x" * 300, "flags.cfg", *_DEVICES)
_WORDS = ("", " ", "\0", "\u202e", "\u00e9", "\udcff", "\u2028", "\x1b[31m", "\r", "\n", "\ufeff")
_WORDS += ('"', "'", '""', "\\", "|", ",", ",,", ":", "a:b", "a:1", ":1", "1:1", "\t#", " # x", "#")
_WORDS += ("x" * 140_000, "<script>alert(1)</script>", "%s", "{0}", "$x", "+1", "9,8,7", "--", "-")
_WORDS += ("true", "none", "auto", "original", "embedded", "content", "--xla", *_FIGURES, *_PATHS)


def _to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _change_word(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    words = re.split(r"([\s,:=|{}\[\]\"]+)", _to_text(data))
    place = rng.randrange(len(words))
    words[place] = rng.choice((rng.choice(_WORDS), rng.choice(_WORDS) + words[place]))
    return _to_bytes("".join(words))


def _insert_word(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    text = _to_text(data)
    place = rng.randrange(len(text) + 1)
    return _to_bytes(text[:place] + rng.choice(_WORDS) + text[place:])


def _change_lines(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    lines = _to_text(data).split("\n")
    others = _to_text(rng.choice(seeds)).split("\n")
    place = rng.randrange(len(lines))
    lines[place : place + rng.randrange(2)] = rng.choice(
        (
            [],
            [lines[place]] * rng.choice((1, 2, 300)),
            [rng.choice(others)],
            [rng.choice(_WORDS)],
            rng.sample(lines, min(3, len(lines))),
        )
    )
    return _to_bytes("\n".join(lines))


def change_json(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    """Change one value in a JSON document, or in one line of many."""
    try:
        json.loads(data)
        return _change_document(rng, data)
    except (ValueError, RecursionError):
        lines = data.split(b"\n")
        place = rng.randrange(len(lines))
        lines[place] = _change_document(rng, lines[place])
        return b"\n".join(lines)


def _change_document(rng: random.Random, data: bytes) -> bytes:
    try:
        document = {"": json.loads(data)}
        places = list(_places_in(document))
        holder, key = _descend(rng, document)
        if rng.random() < 0.15:
            del holder[key]
        elif rng.random() < 0.25:
            other, other_key = rng.choice(places)
            holder[key] = copy.deepcopy(other[other_key])
        else:
            holder[key] = "RAW"
        text = json.dumps(document.get(""), indent=rng.choice((None, 1)))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return data
    return _to_bytes(text.replace('"RAW"', rng.choice(rng.choice((JSON_VALUES, _ODD_VALUES)))))


def _descend(rng: random.Random, document: dict) -> tuple[Any, Any]:
    """A (container, key) of a document; all parts are as likely, however large they are."""
    holder, key = document, ""
    while isinstance(holder[key], (dict, list)) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    return holder, key


def _places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places_in(value[key])


TEXT: tuple[Mutator, ...] = (
    *((_change_word, _insert_word, _change_lines) * 4),
    flip_bits,
    overwrite,
    truncate,
    splice,
)
JSON: tuple[Mutator, ...] = (*((change_json,) * 30), *TEXT)
_ODD = ("flagfile", "flagfile", "undefok", "help", "noxla", "nocontent", "no", "version", "quiet")


def add_flags(options: dict[str, Any]) -> Mutator:
    """A mutator that adds a flag of one of these options (by name) to a flagfile."""

    def add(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
        paths = [name for name, option in options.items() if option.path]
        name = rng.choice(rng.choice((list(options), list(options), paths, _ODD)))
        value = rng.choice(rng.choice((_WORDS, _values(options.get(name)))))
        line = rng.choice((f"--{name}={value}", f"--{name}={value}", f"-{name} {value}"))
        return data.rstrip(b"\n") + _to_bytes(f"\n{line}\n")

    return add


def add_column(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    """Add a column to a table of flags."""
    rows = [line for line in _to_text(data).split("\n") if line] or [""]
    name = rng.choice([*OPTIONS, "name", "note"])
    values = (_WORDS, _values(OPTIONS.get(name)))
    cells = [name, *(rng.choice(rng.choice(values)) for _ in rows[1:])]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(cells[:1])
    quoted = [stream.getvalue(), *('"' + cell.replace('"', '""') + '"' for cell in cells[1:])]
    joined = [f"{row},{cell}" for row, cell in zip(rows, quoted, strict=True)]
    return _to_bytes("\n".join(joined) + "\n")


def _values(option: Any) -> tuple[str, ...]:
    """Valid values of an option, and other texts of their kind."""
    if option is None or option.path:
        return _PATHS
    if option.kind not in ("text", "bool"):
        return (*_FIGURES, "1", "2", "0.5", "1,2", "100:0.5,200:0.1", "2h", "4G")
    layers = ("block1_conv1", "relu4_2", "block1_conv1,relu4_2", "relu4_2:1,block1_conv1:2", "tv:1")
    return (*option.choices, *option.words, *layers, "true", "false")
