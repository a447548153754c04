#!/usr/bin/env python
"""Damage files and read them: `python scripts/fuzz.py [--inputs=20000] [--seed=0] [--keep=FOLDER]`.

Every reader of files that somebody else may have written gets small files that are broken in many
ways. It may succeed or refuse them with InputError, one line for a person. Anything else is a
finding: another exception, more than 5 s, 500 MB more memory than before, a file written elsewhere,
a process started, a pickle loaded, or a line on standard error. --kind=image,matrix takes these
kinds alone, and --keep keeps the inputs of findings. The same seed makes the same inputs, unless
readers change: an input that meets an outcome for the first time is damaged further later on.

The last line tells inputs, tracebacks, hangs, and the largest growth of memory within one input.
Exit status: 0 without findings, 1 with some, 2 for bad flags.
"""

import argparse
import collections
import contextlib
import copy
import csv
import dataclasses
import faulthandler
import functools
import io
import json
import logging
import os
import random
import re
import signal
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image, ImageCms

from nst_keras.imaging import animation, images
from nst_keras.network import vgg, weights
from nst_keras.runs import comparison, gallery, metrics, new_record
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import checkpoints, tables
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line, flags
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.resolve import resolve, unused
from nst_keras.sweeps import table, trials
from nst_keras.sweeps.folder import SweepFolder, last_line
from nst_keras.sweeps.progress import SweepProgress
from nst_keras.sweeps.results import Results, TrialRecords
from nst_keras.training import cifar100, datasets
from nst_keras.training import config as config_lib
from nst_keras.training import folder as training_folder

MAX_SECONDS = 5.0  # for one input
STUCK_SECONDS = 60.0  # in compiled code, which no signal ends: the process ends with a traceback
MAX_GROWTH = 500.0  # MB of resident memory for one input
HEADROOM = 2048.0  # MB of address space for one input, so that a bomb cannot take the machine down
MAX_PIXELS = 4_000_000  # that a picture may claim: what is larger may take more than MAX_GROWTH
MAX_BYTES = 1 << 18  # of an input, but for bombs
MAX_GROWN = 300  # inputs per kind that are damaged further
SHOWN = 3  # inputs that are kept for one finding
TINY = (2, 2, 3, 3, 3)  # channels
SIDE = (24, 20)  # width and height of the pictures, in pixels

# ---- One input under watch ----


class Hang(BaseException):
    """Raised in a reader that takes too long; no `except Exception` holds it."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one input may take."""

    seconds: float = MAX_SECONDS
    megabytes: float = MAX_GROWTH


@dataclasses.dataclass
class Outcome:
    """What became of one input."""

    name: str  # 'read', 'refused', or the gravest finding
    signature: str  # the same for what is probably the same cause
    findings: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # kind, text
    growth: float = 0.0  # MB


class _Watch:
    """Takes note of what a reader of files must never do. Audit hooks cannot be removed again."""

    _WRITES: tuple[str, ...] = (
        "os.remove",
        "os.rename",
        "os.mkdir",
        "os.rmdir",
        "os.symlink",
        "os.link",
    )
    _WRITES += ("os.truncate", "os.chmod", "shutil.rmtree")
    _STARTS: tuple[str, ...] = (
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
    )
    _STARTS += ("os.fork", "os.forkpty", "socket.connect", "pickle.find_class")
    _WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def __init__(self) -> None:
        self.scratch: str | None = None  # None: nobody is watched
        self.seen: list[str] = []

    @functools.cached_property
    def installed(self) -> bool:
        sys.addaudithook(self._hook)
        return True

    @contextlib.contextmanager
    def over(self, scratch: Path) -> Iterator[list[str]]:
        """The list of what happens in the block outside of the folder."""
        self.seen = []
        self.scratch = str(scratch.absolute()) if self.installed else None
        try:
            yield self.seen
        finally:
            self.scratch = None

    def _hook(self, event: str, args: tuple) -> None:
        if self.scratch is None:
            return
        if event in self._STARTS:
            self.seen.append(f"{event}{args!r}"[:300])
        elif event in self._WRITES:
            self._check(event, args[:2] if event == "os.rename" else args[:1])
        elif event == "open" and isinstance(args[2], int) and args[2] & self._WRITING:
            self._check("open", args[:1])

    def _check(self, event: str, paths: tuple) -> None:
        for path in paths:
            if isinstance(path, int):
                continue
            place = os.path.abspath(os.fsdecode(path))
            if place != os.devnull and not place.startswith(f"{self.scratch}{os.sep}"):
                self.seen.append(f"{event} {place}"[:300])


_watch = _Watch()


def observe(read: Callable[[], Any], scratch: Path, limits: Limits | None = None) -> Outcome:
    """Call a reader of an input in `scratch`; only signals of other origin leave this function."""
    limits = limits or Limits()
    error: BaseException | None = None
    began, before = time.monotonic(), _reset_peak()
    with _silence() as noise, _watch.over(scratch) as strayed, _limited(limits):
        try:
            result = read()
        except (Exception, Hang) as caught:
            error = caught
    outcome = _judge(error) if error else Outcome("read", f"read {_plain(str(result))}")
    outcome.growth = max(0.0, _peak() - before)
    if not isinstance(error, Hang) and (took := time.monotonic() - began) > limits.seconds:
        outcome.findings.append(("hang", f"took {took:.1f} s"))
    if outcome.growth > limits.megabytes:
        outcome.findings.append(("memory", f"{outcome.growth:.0f} MB more than before"))
    outcome.findings += [("stray", text) for text in strayed]
    outcome.findings += [("noise", text) for text in noise()]
    if outcome.findings:
        outcome.name = outcome.findings[0][0]
        outcome.signature = f"{outcome.name} {outcome.signature}"
    return outcome


def _judge(error: BaseException) -> Outcome:
    signature = " < ".join(_places(error))
    if isinstance(error, InputError):
        found = Outcome("refused", signature)
        if problem := _untidy(str(error)):
            found.findings.append(("message", f"{problem}: {str(error)[:500]!r}"))
            found.signature = next(_places(error)).split(" ")[1]
        return found
    text = "".join(traceback.format_exception(error, limit=-12))
    kind = "hang" if isinstance(error, Hang) else "traceback"
    return Outcome(kind, signature, [(kind, text[-6000:])])


def _places(error: BaseException | None) -> Iterator[str]:
    """For an error and its causes: type, innermost line and the start of the message."""
    while error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        yield f"{type(error).__name__} {place} {_plain(str(error))}"
        error = error.__cause__ or error.__context__


def _plain(text: str) -> str:
    """The start of a message without what differs from input to input."""
    text = re.sub(r"/\S*|'[^']*'|\"[^\"]*\"|=\S*", "", text[:400])
    return re.sub(r"[^a-zA-Z ]+", "", text)[:40].strip()


def _untidy(message: str) -> str:
    """What is wrong with a message that should be one line for a person."""
    if not message.strip():
        return "an empty message"
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in message):
        return "a message of several lines or with control characters"
    return ""


@contextlib.contextmanager
def _silence() -> Iterator[Callable[[], list[str]]]:
    """Take in what would have been shown on standard error by Python; yields how to get it."""
    log, stream = logging.getLogger("nst_keras"), io.StringIO()
    noise: list[str] = []
    propagate, handler = log.propagate, logging.NullHandler()
    log.propagate = False  # what the project itself says is no noise
    log.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as seen, contextlib.redirect_stderr(stream):
            warnings.simplefilter("always")
            yield lambda: noise
            noise += [f"{w.category.__name__}: {w.message}" for w in seen if _is_shown(w.category)]
    finally:
        log.propagate = propagate
        log.removeHandler(handler)
    if text := stream.getvalue().strip():
        noise.append(text[:2000])


def _is_shown(category: type[Warning]) -> bool:
    """Whether Python shows such warnings by default."""
    hidden = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
    return not issubclass(category, hidden)


@contextlib.contextmanager
def _limited(limits: Limits) -> Iterator[None]:
    """Raise Hang in a block that takes too long, and MemoryError in one that takes it all."""

    def ring(_number: int, _frame: object) -> None:
        raise Hang(f"more than {limits.seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(
        limits.seconds + STUCK_SECONDS, exit=True, file=sys.__stderr__ or 2
    )
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    try:
        with _address_space(max(HEADROOM, 2 * limits.megabytes)):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _address_space(megabytes: float) -> Iterator[None]:
    """Bound the address space to what is taken now and so much more, where the system can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = pages * resource.getpagesize() + int(megabytes * 2**20)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _reset_peak() -> float:
    """Forget the highest memory so far; MB resident now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return _resident("VmRSS")
    return _peak()


def _peak() -> float:
    """The highest resident memory since `_reset_peak`, in MB; elsewhere than on Linux, ever."""
    with contextlib.suppress(OSError):
        return _resident("VmHWM")
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _resident(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


# ---- Damage to any bytes ----

Mutator = Callable[[random.Random, bytes, list[bytes]], bytes]

_NUMBERS = (0, 1, -1, 2**7 - 1, 2**7, 2**8 - 1, 2**15 - 1, 2**15, 2**16 - 1, 100_000)
_NUMBERS += (60_000_000, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def _flip_bits(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _overwrite(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 32, 256))
    run = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return (data[:start] + run + data[start + length :])[: max(len(data), start + length)]


def _truncate(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data))]


def _insert(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.choice((1, 2, 4, 16, 256))) + data[start:]


def _remove(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 2, 4, 16, 256)) :]


def _duplicate(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    start, target = rng.randrange(len(data)), rng.randrange(len(data) + 1)
    block = data[start : start + rng.choice((1, 4, 16, 64, 1024))]
    return data[:target] + block * rng.choice((1, 1, 2, 50)) + data[target:]


def _splice(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _put_number(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    number = (rng.choice(_NUMBERS) % 2 ** (8 * size)).to_bytes(size, order)
    # Headers are short, and stand at one of the ends.
    spans = (len(data), min(len(data), 64), min(len(data), 512))
    start = rng.randrange(rng.choice(spans))
    if rng.random() < 0.15:
        start = len(data) - 1 - start
    return data[:start] + number + data[start + size :]


BYTES: tuple[Mutator, ...] = (
    _flip_bits,
    _overwrite,
    _truncate,
    _insert,
    _remove,
    _duplicate,
    _splice,
    _put_number,
    _put_number,
    _put_number,
)


def mutate(rng: random.Random, data: bytes, seeds: list[bytes], ways: tuple[Mutator, ...]) -> bytes:
    """Damage a file in one to four ways."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(ways)(rng, data or b"\0", seeds)
        if len(data) > MAX_BYTES and not _is_bomb(data):
            data = data[:MAX_BYTES]
    return data


def _is_bomb(data: bytes) -> bool:
    return any(data is bomb for bomb in _bombs)


_bombs: list[bytes] = []

# ---- Damage to text ----

_DEEP = ("[" * 300 + "]" * 300, "[" * 900 + "]" * 900, "[" * 100_000)
_DEEP += ('{"a":' * 400 + "1" + "}" * 400,)
_JSON = ("null", "true", "0", "-1", "8.0", "1e308", "-1e308", "1e999", "NaN", "-Infinity")
_JSON += ("2147483647", "4294967295", "9223372036854775808", "1" + "0" * 400, "-1" + "0" * 4000)
_JSON += ("9" * 5000, '""', '"x"', '"\\ud800"', '"\\u0000"', '"a\\nb"', '"\\u0663"')
_JSON += ('"<script>alert(1)</script>"', '"</script><script>"', '"../../x"', '"/etc/passwd"')
_JSON += ('"' + "x" * 5000 + '"', "[]", "{}", "[[]]", "[1, 2, 3]", '["a", "b"]', '{"": {}}')
_JSON += ('{"a": 1}', '{"name": 5}', '{"a\\ud800": 1.5}', '{"<script>": 1}', *_DEEP)
_ODD_JSON = ("1" + "0" * 400, '"\\ud800"', "5", '"a"', "[5]", '{"a": 5}', "null", _DEEP[0])
_DEVICES = ("/dev/zero",) if sys.platform == "linux" else ()  # elsewhere memory is not bounded
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


def _change_json(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
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
    return _to_bytes(text.replace('"RAW"', rng.choice(rng.choice((_JSON, _ODD_JSON)))))


def _descend(rng: random.Random, document: dict) -> tuple[Any, Any]:
    """A (container, key) of a document, so that parts count alike, however large they are."""
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
    _flip_bits,
    _overwrite,
    _truncate,
    _splice,
)
JSON: tuple[Mutator, ...] = (*((_change_json,) * 30), *TEXT)


_ODD = ("flagfile", "flagfile", "undefok", "help", "noxla", "nocontent", "no", "version", "quiet")


def _add_flags(options: dict[str, Any]) -> Mutator:
    """Lines of a flagfile for options by name."""

    def add(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
        paths = [name for name, option in options.items() if option.path]
        name = rng.choice(rng.choice((list(options), list(options), paths, _ODD)))
        value = rng.choice(rng.choice((_WORDS, _values(options.get(name)))))
        line = rng.choice((f"--{name}={value}", f"--{name}={value}", f"-{name} {value}"))
        return data.rstrip(b"\n") + _to_bytes(f"\n{line}\n")

    return add


def _add_column(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    """A column of a table of flags."""
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
    """Texts that an option may take, and others of their kind."""
    if option is None or option.path:
        return _PATHS
    if option.kind not in ("text", "bool"):
        return (*_FIGURES, "1", "2", "0.5", "1,2", "100:0.5,200:0.1", "2h", "4G")
    layers = ("block1_conv1", "relu4_2", "block1_conv1,relu4_2", "relu4_2:1,block1_conv1:2", "tv:1")
    return (*option.choices, *option.words, *layers, "true", "false")


# ---- Damage to what lies behind checksums ----


def _read_png(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG as (name, content), as far as they are whole."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if place + 12 + length > len(data):
            break
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def _write_png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        parts.append(struct.pack(">I", len(content)) + name + content + checksum)
    return b"".join(parts)


_SIZES = ((0, 0), (1, 1), (15, 16), (2**31 - 1, 1), (10_000, 10_000), (14_000, 14_000), (24, 90))
_CHUNKS = (b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"iCCP", b"sRGB", b"sBIT", b"pHYs", b"tEXt")
_CHUNKS += (b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND", b"IHDR")
_CHUNKS += (b"cICP", b"CgBI")


def _change_png(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Damage one chunk of a PNG and put its checksum right."""
    chunks = _read_png(data)
    if not chunks:
        return mutate(rng, data, seeds, BYTES)
    place = rng.randrange(len(chunks))
    name, content = chunks[place]
    choice = rng.randrange(8)
    if choice == 0:
        payload = rng.choice((rng.randbytes(rng.choice((0, 1, 4, 13, 26, 100))), content))
        chunks.insert(place, (rng.choice(_CHUNKS), payload))
    elif choice == 1:
        del chunks[place]
    elif choice == 2:
        chunks.insert(rng.randrange(len(chunks) + 1), (name, content))
    elif choice == 3:
        chunks[place] = (name, _change_zlib(rng, content, seeds))
    elif choice == 4:
        size = struct.pack(">II", *rng.choice(_SIZES))
        head = chunks[0][1] or b"\0"
        other = rng.choice((size + head[8:], _put_number(rng, head, seeds)))
        chunks[0] = (chunks[0][0], other)
    else:
        chunks[place] = (name, mutate(rng, content, [content or b"\0"], BYTES))
    return _write_png(chunks)


def _change_zlib(rng: random.Random, content: bytes, seeds: list[bytes]) -> bytes:
    """Damage what is compressed at the end of a chunk, or compress a large plain block."""
    start = max(content.find(b"\x78"), 0)
    try:
        plain = zlib.decompress(content[start:])
    except zlib.error:
        plain = content
    plain = bytes(8 << 20) if rng.random() < 0.1 else mutate(rng, plain, seeds, BYTES)
    return content[:start] + zlib.compress(plain)


def _disguise(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Now and then a picture of another kind, one of which is a program; else as `_change_png`."""
    if rng.random() > 0.05:
        return _change_png(rng, data, seeds)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 20\n%%EndComments\nshowpage\n"
    kind = rng.choice(("PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "PDF", "EPS"))
    return script if rng.random() < 0.3 else _save(kind)


def _read_zip(data: bytes) -> dict[str, bytes]:
    """The members of an archive; empty if it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > 16 * MAX_BYTES:
                return {}
            return {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except Exception:  # damaged ones raise nearly every type there is
        return {}


def _write_zip(members: list[tuple[str, bytes]], compress: bool = False) -> bytes:
    stream, kind = io.BytesIO(), zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", kind) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name are meant
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return stream.getvalue()


def _change_zip(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Damage one member of an archive of arrays, with checksums as they should be."""
    members = list(_read_zip(data).items())
    if not members:
        return mutate(rng, data, seeds, BYTES)
    place = rng.randrange(len(members))
    if rng.random() < 0.4:  # few of many, but the first to be looked at
        place = next((n for n, (name, _) in enumerate(members) if "header" in name), place)
    name, content = members[place]
    choice = rng.randrange(7)
    if choice == 0:
        del members[place]
    elif choice == 1:
        members.append((name, members[rng.randrange(len(members))][1]))
    elif choice == 2:
        members[place] = (rng.choice(("../../x", "/x", "", "x\n", f"{name}.npy", "a/b")), content)
    elif choice == 3:
        members[place] = (name, _other_array(rng))
    elif choice == 4 and "header" in name:
        members[place] = (name, _npy_text(_change_json(rng, content[128:], seeds)))
    else:
        members[place] = (name, _change_npy(rng, content, seeds))
    return _write_zip(members, rng.random() < 0.5)


_SHAPES = ("()", "(0,)", "(-1,)", "(1, 2)", "(2147483647,)", "(4294967296, 4294967296)")
_SHAPES += ("(10**9,)", "(2, 3.5)", "None", "(True,)", "(1,) * 100", "'x'", "(1000000000,)")
_SHAPES += ("(300000000,)", "(2, 2", "(9" + "0" * 99 + ",)")
_TYPES = ("'|O'", "'<f8'", "'<f2'", "'<c16'", "'|S0'", "'<U1000000'", "'|V8'", "'<M8[s]'")
_TYPES += ("'|b1'", "'<i8'", "[('a', '<f4')]", "'|V0'", "'f4,O'", "None", "'<f4' * 9999")
_TYPES += ("'\\x00'", "'|u1'")


def _change_npy(rng: random.Random, content: bytes, seeds: list[bytes]) -> bytes:
    """Declare another shape or type in the header of an .npy, or damage any byte of it."""
    choice = rng.randrange(4)
    head = content[:128].decode("latin1")
    if choice == 0:
        head = re.sub(r"'shape': \([^)]*\)", f"'shape': {rng.choice(_SHAPES)}", head)
    elif choice == 1:
        text = rng.choice(_TYPES).replace("\\", "\\\\")
        head = re.sub(r"'descr': '[^']*'", f"'descr': {text}", head)
    elif choice == 2:
        head = head.replace("False", rng.choice(("True", "0", "None", "[" * 200, "x()")))
    else:
        return mutate(rng, content, seeds, BYTES)
    body = head[10:].rstrip().encode("latin1")
    size = max(118, len(body) + 1)
    return (
        head[:8].encode("latin1")
        + struct.pack("<H", size)
        + body.ljust(size - 1)
        + b"\n"
        + content[128:]
    )


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def _npy_text(text: bytes) -> bytes:
    return _npy(np.frombuffer(text, np.uint8))


class _Caller:
    """Calls a function when it is unpickled: the audit hook hears of that."""

    def __reduce__(self) -> tuple:
        return os.getcwd, ()


def _other_array(rng: random.Random) -> bytes:
    """An array that nobody expects."""
    arrays: tuple[Callable[[], np.ndarray], ...] = (
        lambda: np.array([_Caller(), 1], object),
        lambda: np.array(np.nan),
        lambda: np.full((3, 3, 3, 2), np.inf, np.float32),
        lambda: np.array(["text"]),
        lambda: np.zeros((0, 3)),
        lambda: np.arange(2, dtype=">f4"),
        lambda: np.zeros(2, [("a", "f4"), ("b", "i8")]),
        lambda: np.array([1 + 2j, 3]),
        lambda: np.frombuffer(b"[" * 100_000, np.uint8),
        lambda: np.frombuffer(rng.choice(_JSON).encode(), np.uint8),
    )
    return _npy(rng.choice(arrays)())


@functools.cache
def _zeros_npz(name: str) -> bytes:
    """A small archive with one array of 640 MB of zeros beside what is usual."""
    shape = (160_000_000,)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member, content in _read_zip(_weights_npz()).items():
            if member != name:
                archive.writestr(zipfile.ZipInfo(member), content)
        with archive.open(zipfile.ZipInfo(name), "w") as file:
            file.write(head.getvalue())
            for _ in range(640):
                file.write(bytes(1_000_000))
    _bombs.append(stream.getvalue())
    return _bombs[-1]


def _bomb_npz(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Now and then an archive that inflates to more than it may take; else as `_change_zip`."""
    if rng.random() > 0.004:
        return _change_zip(rng, data, seeds)
    return _zeros_npz("block1_conv1/bias.npy")


def _bomb_h5(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Now and then a file of a few kilobytes that declares an array of up to 4 TiB."""
    if rng.random() > 0.03:
        return rng.choice(BYTES)(rng, data, seeds)
    return _declared_h5(rng.choice((2**10, 2**20, 150_000_000, 2**31, 2**40)))


def _change_tar(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Damage a file in an archive and correct the checksums."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = {m.name: _content(archive, m) for m in archive}
    except Exception:  # damaged ones raise nearly every type there is
        members = {}
    if not members:
        return mutate(rng, data, seeds, BYTES)
    name = rng.choice(list(members))
    members[name] = rng.choice(BYTES)(rng, members[name] or b"\0", seeds)
    if rng.random() < 0.1:
        del members[name]
    return _write_tar(members)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read(MAX_BYTES) if stream else b""


def _write_tar(members: dict[str, bytes], kind: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=kind) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


# ---- Whole files to begin with ----


def _pixels(mode: str = "RGB") -> Image.Image:
    width, height = SIDE
    ramp = np.add.outer(np.arange(height) * 7, np.arange(width) * 5)
    color = np.stack([ramp, ramp * 2, 255 - ramp], -1).astype(np.uint8)
    image = Image.fromarray(color)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray((ramp % 256).astype(np.uint8)))
    return image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)


def _save(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    _pixels(mode).save(stream, kind, **options)
    return stream.getvalue()


def _deep_png(color_type: int, depth: int, interlaced: bool) -> bytes:
    """A PNG of 8 or 16 bits as Pillow does not write them: color of 16, or in seven passes."""
    width, height = SIDE
    each = {0: 1, 2: 3, 4: 2, 6: 4}[color_type] * depth // 8
    grid = np.arange(width * height * each, dtype=np.uint32).astype(np.uint8)
    grid = grid.reshape(height, width, each)
    starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    passes = (*starts, (0, 1, 1, 2)) if interlaced else ((0, 0, 1, 1),)
    lines = (b"\0" + row.tobytes() for x, y, dx, dy in passes for row in grid[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    body = (b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")
    return _write_png(list(body))


def _profile() -> bytes:
    """A color profile; the time of its making is left out."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + bytes(12) + data[36:84] + bytes(16) + data[100:]


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    exif.get_ifd(0x8769)[0x9286] = b"comment"
    return exif.tobytes()


def _pngs() -> list[bytes]:
    later = _pixels().transpose(Image.Transpose.ROTATE_180)
    return [
        _save("PNG", icc_profile=_profile(), exif=_exif()),
        _save("PNG", "RGBA"),
        _save("PNG", "P", transparency=3),
        _save("PNG", "1"),
        _save("PNG", "I;16"),
        _save("PNG", "LA"),
        _save("PNG", save_all=True, append_images=[later], duration=80, disposal=1),
        *(_deep_png(kind, 16, False) for kind in (0, 2, 6)),
        *(_deep_png(kind, depth, True) for kind, depth in ((0, 8), (2, 16), (6, 8))),
    ]


def _jpegs() -> list[bytes]:
    return [
        _save("JPEG", exif=_exif(), icc_profile=_profile()),
        _save("JPEG", progressive=True, subsampling=0),
        _save("JPEG", "CMYK"),
        _save("JPEG", "CMYK", icc_profile=_profile()),
        _save("JPEG", "L", restart_marker_blocks=1),
    ]


def _tiffs() -> list[bytes]:
    kinds = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    return [
        *(_save("TIFF", compression=kind) for kind in kinds),
        *(_save("TIFF", mode) for mode in ("RGBA", "P", "CMYK", "LAB", "I;16", "F", "I", "L")),
        _save("TIFF", "1", compression="group4"),
        _save("TIFF", exif=_exif(), icc_profile=_profile(), big_tiff=True),
        _save("TIFF", save_all=True, append_images=[_pixels(), _pixels()]),
        _save("TIFF", "RGB", tiffinfo={305: "x" * 40, 700: b"<xmp/>"}),
    ]


@functools.cache
def _pictures() -> list[bytes]:
    """Small pictures of all formats that are read."""
    later = _pixels().transpose(Image.Transpose.ROTATE_180)
    more = {"save_all": True, "append_images": [later], "duration": 80}
    return [
        *_pngs(),
        *_jpegs(),
        *_tiffs(),
        _save("MPO", save_all=True, append_images=[later]),
        _save("WEBP", exif=_exif(), icc_profile=_profile()),
        _save("WEBP", "RGBA", lossless=True),
        _save("WEBP", **more),
        _save("AVIF", exif=_exif(), max_threads=1),
        _save("AVIF", "RGBA", max_threads=1),
        _save("GIF", "P"),
        _save("GIF", "P", transparency=2, comment=b"x"),
        _save("GIF", **more),
        *(_save("BMP", mode) for mode in ("RGB", "RGBA", "P", "1")),
        b"\0\0\0\x18ftypheic" + bytes(200),
    ]


@functools.cache
def _training_pictures() -> list[bytes]:
    """Those of the formats that a training reads."""
    gifs = [_save("GIF", "P"), _save("GIF", "P", transparency=2)]
    return [*_pngs(), *_jpegs(), *gifs]


def _tiny_weights() -> weights.Weights:
    rng = np.random.default_rng(0)
    kernels, biases = {}, {}
    for conv in vgg.convolutions("vgg19", channels=TINY):
        kernels[conv.name] = rng.random(conv.kernel_shape, np.float32)
        biases[conv.name] = rng.random(conv.outputs, np.float32)
    return weights.Weights("vgg19", TINY, kernels, biases, sha256="")


@functools.cache
def _weights_npz() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.npz")
        weights.write_weights(path, _tiny_weights())
        return path.read_bytes()


def _coded_npz() -> bytes:
    """Weights of 256 values each, as in the package."""
    members = _read_zip(_weights_npz())
    coded = {}
    for name, content in members.items():
        if not name.endswith("kernel.npy"):
            coded[name] = content
            continue
        shape = np.load(io.BytesIO(content)).shape
        coded[name.replace(".npy", "_table.npy")] = _npy(np.linspace(-1, 1, 256, dtype=np.float16))
        coded[name.replace(".npy", "_codes.npy")] = _npy(np.full(shape, 7, np.uint8))
    return _write_zip(list(coded.items()), compress=True)


def _weights_npzs() -> list[bytes]:
    bare = [item for item in _read_zip(_weights_npz()).items() if item[0] != "header.npy"]
    return [_weights_npz(), _coded_npz(), _write_zip(bare, compress=True)]


def _weights_h5s() -> list[bytes]:
    """Both layouts of Keras."""
    import h5py

    tiny, found = _tiny_weights(), []
    for old in (True, False):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            for number, name in enumerate(tiny.kernels):
                place = f"layers/conv2d_{number}/vars/" if number else "layers/conv2d/vars/"
                kernel, bias = (place + "0", place + "1")
                if old:
                    kernel, bias = f"{name}/{name}_W_1:0", f"{name}/{name}_b_1:0"
                file[kernel], file[bias] = tiny.kernels[name], tiny.biases[name]
        found.append(stream.getvalue())
    return found


def _declared_h5(length: int) -> bytes:
    """A file whose first bias has so many values, of which none is stored."""
    import h5py

    stream = io.BytesIO(_weights_h5s()[0])
    with h5py.File(stream, "r+") as file:
        del file["block1_conv1/block1_conv1_b_1:0"]
        chunk = (min(length, 2**20),)
        file.create_dataset("block1_conv1/block1_conv1_b_1:0", (length,), "f4", chunks=chunk)
    return stream.getvalue()


def _checkpointer(folder: Path) -> checkpoints.Checkpointer:
    return checkpoints.Checkpointer(folder, "job", every=1, minutes=0, keep=9)


def _checkpoint(step: int) -> bytes:
    arrays = {
        "image": np.linspace(0, 1, 48, dtype=np.float32).reshape(4, 4, 3),
        "plateau": np.array([1.5, 0.0]),
        "precision": np.array("float32"),
        "state": np.frombuffer(b'{"epoch": 1}', np.uint8),
    }
    with tempfile.TemporaryDirectory() as folder:
        saved = checkpoints.Checkpoint(step, 1.5, arrays)
        return _checkpointer(Path(folder)).save(saved).read_bytes()


def _run_config() -> Config:
    return resolve(Config(content="photo.png", style=("painting.png",), size=64, tolerance=0.1))


def _record(config: Config, fingerprint: Fingerprint) -> bytes:
    source = {"name": "photo.png", "width": 60, "height": 40, "sha256": "0" * 64}
    record = {
        "version": "1.0",
        "status": "finished",
        "command": "python -m nst_keras.run --content=photo.png",
        "resume_command": "python -m nst_keras.run --workdir=x",
        "started": "2020-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "step": 3,
        "total_steps": 3,
        "device": "CPU",
        "content": source,
        "styles": [{**source, "name": "painting.png", "weight": 1.0}],
        "scales": [{"width": 60, "height": 40, "steps": 3, "first_step": 1}],
        "settings": new_record.settings_text(config),
        "changed": ["size"],
        "final_terms": {"content/block4_conv2": 0.5, "tv": 0.1, "total": 0.6},
        "scores": {"ssim": 0.5, "total_variation": 1.1, "gram_error/block1_conv1": 0.2},
        "versions": {"python": "3"},
        "notes": ["a note"],
        "fingerprint": dataclasses.asdict(fingerprint),
        "requested": dataclasses.asdict(fingerprint),
    }
    return json.dumps(record, indent=1).encode()


def _run_fingerprint() -> Fingerprint:
    return folder_lib.fingerprint(_run_config(), {"content": "0" * 64})


def _records() -> list[bytes]:
    """Those of the job that is asked for, and of another one."""
    asked = _run_fingerprint()
    other = Fingerprint({**asked.settings, "size": "128", "quality": "draft"}, asked.hashes)
    return [_record(_run_config(), fingerprint) for fingerprint in (asked, other)]


def _metric_rows() -> list[bytes]:
    return [_metrics()]


def _metrics() -> bytes:
    terms = {"total": 0.6, "content/block4_conv2": 0.5}
    rows = [{"step": step, "scale": 0, "terms": terms} for step in (1, 2, 3)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _sweep_trials() -> list[trials.Trial]:
    base = Config(content="photo.png", style=("painting.png",), size=64)
    return trials.make_trials(base, [], [table.read_vary("style_weight=1,2")])


def _trial_record() -> bytes:
    trial = _sweep_trials()[0]
    return _record(trial.config, folder_lib.fingerprint(trial.config, {"content": "0" * 64}))


def _training_fingerprint() -> Fingerprint:
    config = config_lib.settle(config_lib.TrainConfig(csv="labels.csv"))
    return training_folder.fingerprint(config, {"data": "0" * 64})


def _training_record() -> bytes:
    asked = dataclasses.asdict(_training_fingerprint())
    return json.dumps({"status": "running", "requested": asked, "epochs": 3}).encode()


def _batch_rows() -> bytes:
    rows = [f"{step},1,{step},2.5,0.25,0.001" for step in range(1, 5001)]  # some 100 KB
    return "\n".join([",".join(training_folder.BATCH_COLUMNS), *rows, ""]).encode()


def _flagfiles() -> list[bytes]:
    given = Config(
        content="photo.png",
        style=("a.png", "b,c.png"),
        style_blend=(3.0, 7.0),
        style_layer_weights=(("block5_conv1", 0.1),),
        balance=(("content", 1.0), ("tv", 0.1)),
        memory_limit=2**32,
        time_limit=90.0,
        image_at=(100, 240),
    )
    few = b"# Comments\n--content=photo.png\n--style painting.png\n--xla\n--noscores\n"
    piecewise = b"--schedule=piecewise\n--schedule_at=10:0.5,20:0.1\n--style=a.png\n--optimizer=sgd"
    full = flags.format_flagfile(_run_config()).encode()
    return [flags.format_flagfile(given).encode(), few, piecewise, full]


def _training_flagfiles() -> list[bytes]:
    values = dataclasses.asdict(config_lib.TrainConfig(csv="labels.csv"))
    full = command_line.format_flagfile(config_lib.COMMAND, values)
    return [full.encode(), b"--folder=a\n--classes=3\n--initial=embedded\n--learning_rate=1e-3\n"]


def _label_tables() -> list[bytes]:
    return [
        b"path,label\na/0.png,cat\na/1.png,cat\nb/0.png,dog\nb/1,dog\n",
        b"\xef\xbb\xbfid,path,label\r\n1,a/0.png,0\r\n2,a/1.png,0\r\n3,b/0.png,1\r\n4,b/1,1\r\n",
    ]


def _matrices() -> list[bytes]:
    return [
        b"name,note,style_weight,size\none,first,4,64\ntwo,,8,128\n",
        b'style,style_blend,content\n"a.png,b.png","1,2",photo.png\nc.png,,photo.jpg\n',
        b"schedule,schedule_at,init,optimizer\nconstant,,noise,adam\npiecewise,10:0.5,,\n",
        b"memory_limit,time_limit,balance,image_at\n4G,90s,content:1,3\n,2h,,\n",
    ]


def _archives() -> list[bytes]:
    def records(labels: tuple[int, ...]) -> bytes:
        return b"".join(bytes([0, label]) + bytes(3072) for label in labels)

    members = {
        "train.bin": records((0, 1)),
        "test.bin": records((1,)),
        "fine_label_names.txt": b"apple\nbear\n",
    }
    named = {f"cifar-100-binary/{name}": content for name, content in members.items()}
    return [_write_tar(named), _write_tar(named, "w:bz2")]


# ---- Readers ----


@dataclasses.dataclass(frozen=True)
class Kind:
    """One reader, the file that it is given, and how that is damaged."""

    file: str  # that is damaged, within the folder
    seeds: Callable[[], list[bytes]]
    ways: tuple[Mutator, ...]
    read: Callable[[Path], Any]  # the folder -> what tells successes apart, if anything
    prepare: Callable[[Path], Any] = lambda folder: None  # puts what lies beside the file
    share: int = 2  # of the inputs, as against other kinds


def _need(condition: object, text: str) -> None:
    if not condition:
        raise AssertionError(text)


def _read_picture(folder: Path) -> str:
    picture = images.read_image(folder / "picture", max_pixels=MAX_PIXELS)
    _need(picture.pixels.dtype == np.float32 and picture.pixels.shape[-1] == 3, "not float32 RGB")
    _need(np.isfinite(picture.pixels).all(), "pixels that are not finite")
    _need(picture.pixels.min() >= 0 and picture.pixels.max() <= 1, "pixels beyond [0, 1]")
    return " ".join(picture.notes)


def _read_weights(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        with mock.patch.object(vgg, "CHANNELS", TINY):  # those of real files would take 80 MB each
            weights.read_weights(folder / name, "vgg19")

    return read


def _read_checkpoint(folder: Path) -> str:
    found = _checkpointer(folder)
    _need(found.latest(), "the whole checkpoint of before was not found")
    return " ".join(found.skipped)


def _read_flags(folder: Path) -> None:
    config, _ = flags.parse_config([f"--flagfile={folder / 'flags.cfg'}"])
    unused(config, resolve(config))
    flags.format_flagfile(config)


def _read_training_flags(folder: Path) -> None:
    given = [f"--flagfile={folder / 'flags.cfg'}"]
    values, _ = command_line.parse(config_lib.COMMAND, given)
    config = config_lib.settle(config_lib.TrainConfig(**values))
    command_line.format_flagfile(config_lib.COMMAND, dataclasses.asdict(config))


def _put_pictures(folder: Path) -> None:
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(_save("PNG"))


def _read_labels(folder: Path) -> str:
    config = config_lib.TrainConfig(csv=str(folder / "labels.csv"), batch_size=1)
    return " ".join(datasets.read_set(config).notes)


def _read_folders(folder: Path) -> None:
    datasets.read_set(config_lib.TrainConfig(folder=str(folder), batch_size=1))


def _read_matrix(folder: Path) -> None:
    base = Config(content="photo.png", style=("painting.png",))
    trials.make_trials(base, table.read_matrix(folder / "matrix.csv"), [])


def _put_run(folder: Path) -> None:
    """A whole run folder, and a second one to compare it with."""
    for run in (folder / "run", folder / "other"):
        for name in ("inputs", "iterations"):
            (run / name).mkdir(parents=True)
        jpeg = _save("JPEG")
        for name in ("inputs/content.jpg", "inputs/style_1.jpg", "iterations/iteration_00002.jpg"):
            (run / name).write_bytes(jpeg)
        (run / "result.png").write_bytes(_save("PNG"))
        (run / "run.json").write_bytes(_records()[0])
        (run / "metrics.jsonl").write_bytes(_metrics())


def _read_compared(folder: Path) -> None:
    page = comparison.write_page(folder / "page.html", [folder / "run", folder / "other"])
    _check_page(page)


def _read_gallery(folder: Path) -> None:
    _check_page(gallery.write_page(RunFolder(folder / "run")))


def _check_page(page: Path) -> None:
    """Nothing of a record may become a part of the page's script."""
    _need(page.read_text("utf-8").count("<script") == 2, "a record added a script to the page")


def _read_status(folder: Path) -> str:
    run = folder_lib.RunFolder(folder / "run")
    run.is_finished(_run_fingerprint())
    return str(run.status(_run_fingerprint(), overwrite=False))


def _resume_metrics(folder: Path) -> None:
    path = folder / "run/metrics.jsonl"
    metrics.MetricsWriter(path, 1, 2).close()
    _need(all(row["step"] <= 2 for row in metrics.read_metrics(path)), "rows behind the step")


def _read_collection(folder: Path) -> None:
    found = SweepFolder(folder)
    for metric in ("total", "ssim", "seconds"):
        records = TrialRecords(found, _sweep_trials())
        Results(records, metric, ("style_weight", "size")).conclude()
    board = SweepProgress(records.read, [trial.name for trial in records.trials])
    board.describe()
    board.share()


def _put_sweep(folder: Path) -> None:
    (folder / "logs").mkdir()
    for trial in _sweep_trials():
        _put_trial(folder / "trials" / trial.name, trial)


def _put_trial(run: Path, trial: trials.Trial) -> None:
    run.mkdir(parents=True)
    job = folder_lib.fingerprint(trial.config, {"content": "0" * 64})
    (run / "run.json").write_bytes(_record(trial.config, job))
    (run / "metrics.jsonl").write_bytes(_metrics())


def _read_sweep_log(folder: Path) -> None:
    found, name = SweepFolder(folder), _sweep_trials()[0].name
    found.read_failure(name)
    last_line(found.failure(name))


def _embed(folder: Path) -> str:
    return "embedded" if gallery.picture(folder / "picture", 64, most=4000) else "left out"


def _animate(folder: Path) -> None:
    (folder / "whole.png").write_bytes(_save("PNG"))
    frames = [folder / "whole.png", folder / "picture"]
    with contextlib.suppress(OSError):  # of which commands make one line
        animation.write_gif(folder / "progress.gif", frames)
        animation.write_strip(folder / "strip.png", frames)


def _read_cifar(folder: Path) -> None:
    cifar100.read_cifar100(str(folder / "cifar.tar"))


def _read_training_status(folder: Path) -> str:
    return str(training_folder.TrainFolder(folder).status(_training_fingerprint(), overwrite=False))


def _resume_table(folder: Path) -> None:
    tables.StepTable(folder / "batches.csv", training_folder.BATCH_COLUMNS, 4000).close()


def _run_kind(
    file: str, seeds: Callable[[], list[bytes]], read: Callable[[Path], Any], share: int = 3
) -> Kind:
    """A file of a run folder."""
    return Kind(f"run/{file}", seeds, JSON, read, _put_run, share)


_TRIAL = "style_weight=1"  # the name of the first trial
KINDS: dict[str, Kind] = {
    "image": Kind("picture", _pictures, (*BYTES, *((_disguise,) * 4)), _read_picture, share=12),
    "weights_npz": Kind(
        "w.npz", _weights_npzs, (_bomb_npz, _bomb_npz, *BYTES), _read_weights("w.npz"), share=5
    ),
    "weights_h5": Kind("w.h5", _weights_h5s, (_bomb_h5,), _read_weights("w.h5"), share=4),
    "checkpoint": Kind(
        "step_000000002.npz",
        lambda: [_checkpoint(2)],
        (_change_zip, _change_zip, *BYTES),
        _read_checkpoint,
        lambda folder: (folder / "step_000000001.npz").write_bytes(_checkpoint(1)),
        share=5,
    ),
    "flagfile": Kind(
        "flags.cfg", _flagfiles, (*TEXT, *((_add_flags(OPTIONS),) * 8)), _read_flags, share=6
    ),
    "training_flagfile": Kind(
        "flags.cfg",
        _training_flagfiles,
        (*TEXT, *((_add_flags(config_lib.OPTIONS),) * 8)),
        _read_training_flags,
    ),
    "labels": Kind("labels.csv", _label_tables, TEXT, _read_labels, _put_pictures, share=5),
    "training_picture": Kind(
        "a/2.png",
        _training_pictures,
        (*BYTES, *((_change_png,) * 4)),
        _read_folders,
        _put_pictures,
        share=4,
    ),
    "cifar": Kind("cifar.tar", _archives, (_change_tar, _change_tar, *BYTES), _read_cifar, share=4),
    "matrix": Kind("matrix.csv", _matrices, (*TEXT, *((_add_column,) * 8)), _read_matrix, share=6),
    "record_compared": _run_kind("run.json", _records, _read_compared),
    "record_gallery": _run_kind("run.json", _records, _read_gallery),
    "record_status": _run_kind("run.json", _records, _read_status),
    "record_collected": Kind(
        f"trials/{_TRIAL}/run.json",
        lambda: [_trial_record()],
        JSON,
        _read_collection,
        _put_sweep,
        4,
    ),
    "metrics_compared": _run_kind("metrics.jsonl", _metric_rows, _read_compared),
    "metrics_gallery": _run_kind("metrics.jsonl", _metric_rows, _read_gallery),
    "metrics_resumed": _run_kind("metrics.jsonl", _metric_rows, _resume_metrics),
    "sweep_log": Kind(
        f"logs/{_TRIAL}.failed",
        lambda: [b"nst_keras: --size=1: must be\nsecond line\n"],
        TEXT,
        _read_sweep_log,
        share=1,
    ),
    "embedded_picture": Kind("picture", _pictures, (*BYTES, _disguise, _disguise), _embed, share=4),
    "frames": Kind("picture", _training_pictures, (*BYTES, _disguise), _animate),
    "training_record": Kind(
        "training.json", lambda: [_training_record()], JSON, _read_training_status
    ),
    "training_table": Kind("batches.csv", lambda: [_batch_rows()], TEXT, _resume_table, share=1),
}

# ---- The campaign ----


class Campaign:
    """Many inputs, one after the other, in folders below `scratch`.

    Args:
        keep: where inputs of findings go, or None.
        say: takes the text of findings.
    """

    def __init__(
        self,
        kinds: dict[str, Kind],
        seed: int,
        scratch: Path,
        keep: Path | None = None,
        limits: Limits | None = None,
        say: Callable[[str], None] = print,
    ):
        self.kinds, self.seed, self.scratch = kinds, seed, scratch
        self.keep, self.limits, self.say = keep, limits or Limits(), say
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.findings: collections.Counter[str] = collections.Counter()
        self.peak = 0.0  # MB, the largest growth
        self._causes: collections.Counter[str] = collections.Counter()
        self._seen: set[tuple[str, str]] = set()
        self._seeds: dict[str, list[bytes]] = {}
        self._whole: dict[str, int] = {}  # how many of them are whole files
        for name, kind in kinds.items():
            self._begin(name, kind)

    def run(self, inputs: int) -> None:
        """Read so many inputs; their kinds take turns at random."""
        names = [name for name, kind in self.kinds.items() for _ in range(kind.share)]
        for number in range(inputs):
            rng = random.Random(f"{self.seed} {number}")
            name = rng.choice(names)
            self._read(number, name, self._make(rng, name))

    def summary(self) -> Iterator[str]:
        """Counts by kind and outcome, other findings, and the last line."""
        for name in self.kinds:
            counts = {what: n for (kind, what), n in sorted(self.counts.items()) if kind == name}
            yield f"{name:18}" + "  ".join(f"{what} {n}" for what, n in counts.items())
        others = {k: n for k, n in self.findings.items() if k not in ("traceback", "hang")}
        if others:
            yield "also " + ", ".join(f"{n} {kind}" for kind, n in sorted(others.items()))
        yield (
            f"{sum(self.counts.values())} inputs, {self.findings['traceback']} tracebacks, "
            f"{self.findings['hang']} hangs, peak {self.peak:.0f} MB"
        )

    def _begin(self, name: str, kind: Kind) -> None:
        """Put up the folder, and see that whole files can be read."""
        (self.scratch / name).mkdir()
        kind.prepare(self.scratch / name)
        self._seeds[name] = list(kind.seeds())
        self._whole[name] = len(self._seeds[name])
        for data in self._seeds[name]:
            outcome = self._observe(name, data)
            self._seen.add((name, outcome.signature))
            if outcome.findings:
                raise RuntimeError(f"{name}: a whole file is no success: {outcome.findings[0][1]}")

    def _make(self, rng: random.Random, name: str) -> bytes:
        seeds = self._seeds[name]
        whole = seeds[: self._whole[name]]  # more of these: what is broken twice is refused early
        data = rng.choice(rng.choice((whole, whole, seeds)))
        return mutate(rng, data, seeds, self.kinds[name].ways)

    def _observe(self, name: str, data: bytes) -> Outcome:
        kind, folder = self.kinds[name], self.scratch / name
        path = folder / kind.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return observe(lambda: kind.read(folder), self.scratch, self.limits)

    def _read(self, number: int, name: str, data: bytes) -> None:
        outcome = self._observe(name, data)
        self.counts[name, outcome.name] += 1
        self.peak = max(self.peak, outcome.growth)
        if (name, outcome.signature) not in self._seen:
            self._seen.add((name, outcome.signature))
            seeds = self._seeds[name]
            if outcome.name in ("read", "refused") and len(seeds) < MAX_GROWN and data:
                seeds.append(data)
        for what, text in dict(reversed(outcome.findings)).items():  # the first of each
            self._tell(number, name, data, what, text, outcome.signature)

    def _tell(
        self, number: int, name: str, data: bytes, what: str, text: str, signature: str
    ) -> None:
        self.findings[what] += 1
        cause = f"{name} {what} {signature}"
        self._causes[cause] += 1
        if self._causes[cause] > SHOWN:
            return
        place = ""
        if self.keep:
            path = (
                self.keep
                / f"{name}-{self.seed}-{number}-{what}{Path(self.kinds[name].file).suffix}"
            )
            path.write_bytes(data)
            place = f", kept as {path}"
        first = self._causes[cause] == 1
        self.say(f"{name}: input {number} of seed {self.seed}: {what}{place}")
        self.say(text if first else f"  as before: {signature[:200]}")


def main(arguments: list[str] | None = None) -> int:
    """Fuzz; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="How many. Default: 20000.")
    parser.add_argument("--seed", type=int, default=0, help="Default: 0.")
    parser.add_argument("--kind", default=",".join(KINDS), help="Of: %(default)s.")
    parser.add_argument("--keep", type=Path, help="A folder for the inputs of findings.")
    given = parser.parse_args(arguments)
    if unknown := set(given.kind.split(",")) - {*KINDS}:
        parser.error(f"--kind: {', '.join(sorted(unknown))} is none of {', '.join(KINDS)}")
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    faulthandler.enable(sys.__stderr__ or 2)
    sys.dont_write_bytecode = True  # of modules that readers import, outside of the scratch folder
    kinds = {name: KINDS[name] for name in given.kind.split(",")}
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(kinds, given.seed, Path(scratch), given.keep)
        campaign.run(given.inputs)
    for line in campaign.summary():
        print(line)
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
