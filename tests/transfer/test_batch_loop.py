"""Batches on a tiny network: each picture of one is that which is made alone."""

import dataclasses

import numpy as np
import pytest
from nst_keras.transfer.batch_loop import stylize_batch
from nst_keras.transfer.setup import Request

from nst_keras import stylize
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import batch_loop, cost, scales
from tests.conftest import picture
from tests.transfer.test_loop import CONFIG, SINGLE, spoiling

CONTENTS = [picture(40, 60, seed=1), picture(40, 60, seed=2)]
STYLES = [picture(50, 50, seed=4), picture(45, 70, seed=5)]


def requests(config=CONFIG, checkpointers=(None, None), **own):
    """Two of a batch; `own` gives each its value of a setting."""
    configs = [
        dataclasses.replace(config, **{name: values[n] for name, values in own.items()})
        for n in range(2)
    ]
    return [
        Request(content, style, own_config, checkpointer=checkpointer)
        for content, style, own_config, checkpointer in zip(
            CONTENTS, STYLES, configs, checkpointers, strict=True
        )
    ]


def begin(asked, weights):
    """The iterates of a batch, to come."""
    return stylize_batch([dataclasses.replace(one, weights=weights) for one in asked])


def paint(asked, weights):
    """The last iterates of a batch."""
    *_, last = begin(asked, weights)
    return last


def alone(asked, weights):
    """The last iterate of each, made one by one."""
    found = []
    for one in asked:
        *_, last = stylize(one.content, one.styles, one.config, weights=weights)
        found.append(last)
    return found


def assert_alike(batch, singles, levels=0.5):
    """Pictures differ by less than so many levels of 255, but for a few pixels."""
    for one, other in zip(batch, singles, strict=True):
        assert np.percentile(np.abs(one.image - other.image), 99.9) < levels / 255
        assert one.terms.keys() == other.terms.keys()
        assert one.evaluate()["total"] == pytest.approx(other.evaluate()["total"], rel=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"objective": "gatys", "optimizer": "adam", "learning_rate": 1.0, "scales": 1},
        {"optimizer": "rmsprop", "average": 0.5, "precision": "bfloat16", "scales": 1},
        {"balance": (("content", 1.0), ("style", 2.0)), "scales": 1},
        {"xla": True, "scales": 1, "style_layers": ("relu1_1",), "content_layers": ("relu2_1",)},
    ],
    ids=str,
)
def test_a_batch_makes_the_pictures_that_are_made_alone(tiny_weights, settings):
    asked = requests(dataclasses.replace(CONFIG, **settings))
    assert_alike(paint(asked, tiny_weights), alone(asked, tiny_weights))


def test_each_picture_has_settings_of_its_own(tiny_weights):
    asked = requests(
        SINGLE,
        style_weight=(1.0, 30.0),
        learning_rate=(0.01, 0.03),
        init=("noise", "gray"),
        seed=(1, 2),
    )
    assert_alike(paint(asked, tiny_weights), alone(asked, tiny_weights))


def checkpointers(folder, keep=3):
    return [
        Checkpointer(folder / str(n), f"job {n}", every=2, minutes=0.0, keep=keep) for n in range(2)
    ]


def interrupted(tiny_weights, folder, step):
    """A batch that was closed after a step."""
    iterates = begin(requests(checkpointers=checkpointers(folder)), tiny_weights)
    for one in iterates:
        if one[0].step == step:
            iterates.close()


@pytest.fixture(scope="module")
def whole(tiny_weights):
    """The pictures of a batch that nothing interrupted."""
    iterates = list(begin(requests(), tiny_weights))
    steps = [tuple(one.step for one in both) for both in iterates]
    assert steps == [(step, step) for step in range(1, 11)]
    return [one.image for one in iterates[-1]]


@pytest.mark.parametrize("step", [1, 4, 10])
def test_a_batch_goes_on_where_it_was(tiny_weights, whole, tmp_path, step):
    interrupted(tiny_weights, tmp_path, step)
    ways = checkpointers(tmp_path)
    assert batch_loop.level(ways) == step
    again = paint(requests(checkpointers=ways), tiny_weights)
    np.testing.assert_array_equal([one.image for one in again], whole)


@pytest.mark.parametrize(("kept", "step"), [((2, 4, 6), 6), ((), 0)])
def test_what_is_ahead_goes_back(tiny_weights, whole, tmp_path, kept, step):
    interrupted(tiny_weights, tmp_path, 7)
    ways = checkpointers(tmp_path)
    for path in (tmp_path / "1").iterdir():  # killed before they were written
        if path.stem not in [f"step_{one:09d}" for one in kept]:
            path.unlink()
    with pytest.raises(InputError, match="not equally far"):
        paint(requests(checkpointers=ways), tiny_weights)
    assert batch_loop.level(ways) == step
    again = paint(requests(checkpointers=ways), tiny_weights)
    np.testing.assert_array_equal([one.image for one in again], whole)


def test_all_save_where_one_is_due(tiny_weights, tmp_path):
    ways = checkpointers(tmp_path)
    ways[1].every = 3
    paint(requests(SINGLE, checkpointers=ways), tiny_weights)
    assert ways[0].steps() == ways[1].steps() == [6, 4, 3]


def test_those_that_went_on_alone_are_no_batch_any_more(tiny_weights, tmp_path):
    interrupted(tiny_weights, tmp_path, 4)
    ways = checkpointers(tmp_path)
    given = {"weights": tiny_weights, "checkpointer": ways[1]}
    alone = stylize(CONTENTS[1], STYLES[1], CONFIG, **given)
    next(alone)
    alone.close()  # saves step 5
    with pytest.raises(InputError, match="gone on alone"):
        batch_loop.level(ways)
    with pytest.raises(InputError, match="gone on alone"):  # so are the same in another order
        batch_loop.level(ways[::-1])
    assert [one.steps()[0] for one in ways] == [4, 5]


def test_a_picture_can_go_on_alone(tiny_weights, whole, tmp_path):
    interrupted(tiny_weights, tmp_path, 7)
    one, _ = requests(checkpointers=checkpointers(tmp_path))
    given = {"weights": tiny_weights, "checkpointer": one.checkpointer}
    *_, last = stylize(one.content, one.styles, one.config, **given)
    assert np.percentile(np.abs(last.image - whole[0]), 99.9) < 0.5 / 255


def test_trouble_of_one_ends_the_batch(tiny_weights, monkeypatch):
    spoiling(monkeypatch, [4])  # the second step of the second picture
    with pytest.raises(FloatingPointError, match="the gradient not finite at step 2"):
        paint(requests(), tiny_weights)


def test_pictures_of_different_sizes_are_refused(tiny_weights):
    asked = requests()
    asked[1] = dataclasses.replace(asked[1], content=picture(50, 60))
    with pytest.raises(InputError, match="--batch: the pictures are of different sizes"):
        paint(asked, tiny_weights)


def test_pictures_that_need_tiles_are_refused(tiny_weights):
    asked = requests(dataclasses.replace(SINGLE, tile_size=256, size=400))
    with pytest.raises(InputError, match="--batch: --tile_size=256 is for one large picture"):
        paint(asked, tiny_weights)


def test_too_little_memory_is_told_before_the_first_step(tiny_weights):
    config = resolve(dataclasses.replace(SINGLE, size=480))
    plan = scales.plan_job(config, (40, 60))
    of_one = cost.peak_bytes(config, plan[-1], None, tiny_weights.channels)
    asked = requests(dataclasses.replace(config, memory_limit=of_one))
    with pytest.raises(InputError, match=r"--batch=2: 2 pictures of 480x320 at once need about"):
        paint(asked, tiny_weights)
