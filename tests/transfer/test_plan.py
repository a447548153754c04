"""The plan of a run, as settings and as steps."""

import dataclasses

from nst_keras.settings.config import OPTIONS, Config
from nst_keras.transfer.plan import Plan
from nst_keras.transfer.scales import Scale

PLAN = Plan((Scale(0, 10, 20, 30, 1), Scale(1, 20, 40, 50, 31)), "bfloat16", None, 4, 50, (30,))


def test_total_steps_are_those_of_all_scales():
    assert PLAN.total_steps == 80


def test_what_is_decided_are_settings_with_which_the_run_can_be_repeated():
    decided = PLAN.decided()
    assert decided == {
        "precision": "bfloat16",
        "tile_size": "none",
        "image_every": 4,
        "iterations": 50,
        "coarse_iterations": (30,),
        "time_limit": None,
    }
    assert decided.keys() <= OPTIONS.keys()
    assert dataclasses.replace(Config(), **decided).iterations == 50
    assert dataclasses.replace(PLAN, tile_size=512).decided()["tile_size"] == 512
