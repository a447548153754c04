"""Ways to damage what checksums protect: chunks of PNG, members of archives."""

import functools
import io
import os
import random
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from .damage_bytes import BYTES, bombs, mutate, put_number
from .damage_text import JSON_VALUES, change_json
from .formats import (
    member_content,
    npy,
    npy_text,
    read_png,
    read_zip,
    write_png,
    write_tar,
    write_zip,
)
from .pictures import save_picture
from .seeds import declared_h5, weights_npz

_SIZES = ((0, 0), (1, 1), (15, 16), (2**31 - 1, 1), (10_000, 10_000), (14_000, 14_000), (24, 90))
_CHUNKS = (b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"iCCP", b"sRGB", b"sBIT", b"pHYs", b"tEXt")
_CHUNKS += (b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND", b"IHDR")
_CHUNKS += (b"cICP", b"CgBI")


def change_png(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Damage one chunk of a PNG and correct its checksum."""
    chunks = read_png(data)
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
        other = rng.choice((size + head[8:], put_number(rng, head, seeds)))
        chunks[0] = (chunks[0][0], other)
    else:
        chunks[place] = (name, mutate(rng, content, [content or b"\0"], BYTES))
    return write_png(chunks)


def _change_zlib(rng: random.Random, content: bytes, seeds: list[bytes]) -> bytes:
    """Damage what is compressed at the end of a chunk, or compress a large plain block."""
    start = max(content.find(b"\x78"), 0)
    try:
        plain = zlib.decompress(content[start:])
    except zlib.error:
        plain = content
    plain = bytes(8 << 20) if rng.random() < 0.1 else mutate(rng, plain, seeds, BYTES)
    return content[:start] + zlib.compress(plain)


def disguise(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Rarely, a picture of another format or a PostScript program; otherwise as `change_png`."""
    if rng.random() > 0.05:
        return change_png(rng, data, seeds)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 20\n%%EndComments\nshowpage\n"
    kind = rng.choice(("PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "PDF", "EPS"))
    return script if rng.random() < 0.3 else save_picture(kind)


def change_zip(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Damage one member of an archive of arrays and correct the checksums."""
    members = list(read_zip(data).items())
    if not members:
        return mutate(rng, data, seeds, BYTES)
    place = rng.randrange(len(members))
    if rng.random() < 0.4:  # one of many, but read first
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
        members[place] = (name, npy_text(change_json(rng, content[128:], seeds)))
    else:
        members[place] = (name, _change_npy(rng, content, seeds))
    return write_zip(members, rng.random() < 0.5)


_SHAPES = ("()", "(0,)", "(-1,)", "(1, 2)", "(2147483647,)", "(4294967296, 4294967296)")
_SHAPES += ("(10**9,)", "(2, 3.5)", "None", "(True,)", "(1,) * 100", "'x'", "(1000000000,)")
_SHAPES += ("(300000000,)", "(2, 2", "(9" + "0" * 99 + ",)")
_TYPES = ("'|O'", "'<f8'", "'<f2'", "'<c16'", "'|S0'", "'<U1000000'", "'|V8'", "'<M8[s]'")
_TYPES += ("'|b1'", "'<i8'", "[('a', '<f4')]", "'|V0'", "'f4,O'", "None", "'<f4' * 9999")
_TYPES += ("'\\x00'", "'|u1'")


def _change_npy(rng: random.Random, content: bytes, seeds: list[bytes]) -> bytes:
    """Change shape, type or order in the header of an .npy file, or damage any of its bytes."""
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


class CallsWhenLoaded:
    """Calls a function when it is unpickled, which the audit hook records."""

    def __reduce__(self) -> tuple:
        return os.getcwd, ()


def _other_array(rng: random.Random) -> bytes:
    """A valid array of an unexpected shape, type or content."""
    arrays: tuple[Callable[[], np.ndarray], ...] = (
        lambda: np.array([CallsWhenLoaded(), 1], object),
        lambda: np.array(np.nan),
        lambda: np.full((3, 3, 3, 2), np.inf, np.float32),
        lambda: np.array(["text"]),
        lambda: np.zeros((0, 3)),
        lambda: np.arange(2, dtype=">f4"),
        lambda: np.zeros(2, [("a", "f4"), ("b", "i8")]),
        lambda: np.array([1 + 2j, 3]),
        lambda: np.frombuffer(b"[" * 100_000, np.uint8),
        lambda: np.frombuffer(rng.choice(JSON_VALUES).encode(), np.uint8),
    )
    return npy(rng.choice(arrays)())


@functools.cache
def _zeros_npz(name: str) -> bytes:
    """A small archive of weights of which one array is 640 MB of zeros."""
    shape = (160_000_000,)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    stream, entry = io.BytesIO(), zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED  # an entry of its own ignores that of the archive
    with zipfile.ZipFile(stream, "w") as archive:
        for member, content in read_zip(weights_npz()).items():
            if member != name:
                archive.writestr(zipfile.ZipInfo(member), content)
        with archive.open(entry, "w") as file:
            file.write(head.getvalue())
            for _ in range(640):
                file.write(bytes(1_000_000))
    bombs.append(stream.getvalue())
    return bombs[-1]


def bomb_npz(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Rarely, an archive that expands beyond the memory limit; otherwise as `change_zip`."""
    if rng.random() > 0.004:
        return change_zip(rng, data, seeds)
    return _zeros_npz("block1_conv1/bias.npy")


def bomb_h5(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Rarely, a file of a few kilobytes that declares an array of up to 4 TiB."""
    if rng.random() > 0.03:
        return rng.choice(BYTES)(rng, data, seeds)
    return declared_h5(rng.choice((2**10, 2**20, 150_000_000, 2**31, 2**40)))


def change_tar(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Damage a file in an archive and correct the checksums."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = {m.name: member_content(archive, m) for m in archive}
    except Exception:  # damaged archives raise nearly every type
        members = {}
    if not members:
        return mutate(rng, data, seeds, BYTES)
    name = rng.choice(list(members))
    members[name] = rng.choice(BYTES)(rng, members[name] or b"\0", seeds)
    if rng.random() < 0.1:
        del members[name]
    return write_tar(members)
