"""Damage to files: the seed decides it."""

import random

import pytest

from scripts.fuzzing.damage_bytes import BYTES, mutate
from scripts.fuzzing.readers import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_makes_the_same_inputs(name):
    kind = KINDS[name]

    def made():
        rng, seeds = random.Random("7 1"), kind.seeds()
        return [mutate(rng, rng.choice(seeds), seeds, kind.ways) for _ in range(8)]

    assert made() == made()
    assert len({*made(), *kind.seeds()}) > len({*kind.seeds()}) + 4  # nearly all differ


def test_other_seeds_make_other_inputs():
    seeds = [bytes(range(100))]
    one, other = (mutate(random.Random(n), *[seeds[0], seeds], BYTES) for n in (1, 2))
    assert one != other
