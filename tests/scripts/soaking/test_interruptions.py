"""Random interruptions."""

import random

from scripts.soaking import interruptions
from scripts.soaking.interruptions import Interruption


def test_interruptions_are_of_all_kinds_and_describe_themselves():
    told = str(Interruption("torn", 0.25, 10, plain=True, alone=True, damage="metrics"))
    assert told == "torn 0.250 damaged metrics plain alone"
    kinds = {
        one.kind for n in range(60) for one in interruptions.random_interruptions(random.Random(n))
    }
    assert kinds == {"", *interruptions.WEIGHTS}
