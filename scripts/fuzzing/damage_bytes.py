"""Ways to damage any file."""

import random
from collections.abc import Callable

MAX_BYTES = 1 << 18  # per input, except bombs
Mutator = Callable[[random.Random, bytes, list[bytes]], bytes]
NUMBERS = (0, 1, -1, 2**7 - 1, 2**7, 2**8 - 1, 2**15 - 1, 2**15, 2**16 - 1, 100_000)
NUMBERS += (60_000_000, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def flip_bits(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def overwrite(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 32, 256))
    run = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return (data[:start] + run + data[start + length :])[: max(len(data), start + length)]


def truncate(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
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


def splice(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def put_number(rng: random.Random, data: bytes, _seeds: list[bytes]) -> bytes:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    number = (rng.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, order)
    # Headers are short and at the start or the end.
    spans = (len(data), min(len(data), 64), min(len(data), 512))
    start = rng.randrange(rng.choice(spans))
    if rng.random() < 0.15:
        start = len(data) - 1 - start
    return data[:start] + number + data[start + size :]


BYTES: tuple[Mutator, ...] = (
    flip_bits,
    overwrite,
    truncate,
    _insert,
    _remove,
    _duplicate,
    splice,
    put_number,
    put_number,
    put_number,
)


def mutate(rng: random.Random, data: bytes, seeds: list[bytes], ways: tuple[Mutator, ...]) -> bytes:
    """Damage a file in one to four ways."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(ways)(rng, data or b"\0", seeds)
        if len(data) > MAX_BYTES and not _is_bomb(data):
            data = data[:MAX_BYTES]
    return data


def _is_bomb(data: bytes) -> bool:
    return any(data is bomb for bomb in bombs)


bombs: list[bytes] = []
