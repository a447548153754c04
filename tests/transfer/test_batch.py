"""Batches on a tiny network: each picture of one is that which is made alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import stylize
from nst_keras.imaging import geometry
from nst_keras.optimizers import adam, by_name, schedules
from nst_keras.optimizers.facts import FACTS
from nst_keras.runtime.errors import InputError
from nst_keras.transfer.batch import ScaleBatch, batch_name, rewind_to_common_step
from nst_keras.transfer.loop import optimize
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import picture, require_precision
from tests.network.conftest import distance_error, rounding, switching
from tests.transfer.conftest import (
    CONFIG,
    DEEP_NEIGHBORS,
    MATCHED_ONCE,
    SINGLE,
    TILED,
    make_checkpointer,
    make_problem,
    spoil_gradients,
)

CONTENTS = [picture(40, 60, seed=1), picture(40, 60, seed=2)]
STYLES = [picture(50, 50, seed=4), picture(45, 70, seed=5)]


def configs_of(config=CONFIG, **own):
    """The configs of two runs; `own` gives each its value of a setting."""
    return [
        dataclasses.replace(config, **{name: values[n] for name, values in own.items()})
        for n in range(2)
    ]


def make_problems(weights, configs):
    """The problems of two runs, which share the network."""
    problems = []
    for config, content, style in zip(configs, CONTENTS, STYLES, strict=True):
        extractors = problems[0].extractors if problems else None
        problems.append(make_problem(weights, config, content, [style], extractors))
    return problems


def begin(weights, configs, checkpointers=(None, None)):
    """The iterates of a batch, to come."""
    return optimize(make_problems(weights, configs), checkpointers)


def paint(weights, configs, checkpointers=(None, None)):
    """The last iterates of a batch."""
    *_, last = begin(weights, configs, checkpointers)
    return last


def paint_alone(weights, configs, styles=STYLES):
    """The last iterate of each, made one by one."""
    found = []
    for content, own, config in zip(CONTENTS, styles, configs, strict=True):
        *_, last = stylize(content, own, config, weights=weights)
        found.append(last)
    return found


def share_of_rounding(precision="float32"):
    """The largest relative difference of gradients that are computed in two ways."""
    if precision == "float32":
        error = distance_error(precision, convolutions=3, positions=32 * 48)
    else:
        error = rounding(precision, convolutions=3)
    return switching(error, convolutions=3)


def assert_alike(batch, singles, precision="float32"):
    """Pictures differ by a small share of their way from the contents."""
    share = share_of_rounding(precision)
    for iterate, alone, content in zip(batch, singles, CONTENTS, strict=True):
        moved = np.linalg.norm(alone.image - geometry.resize(content, 32, 48))
        assert np.linalg.norm(iterate.image - alone.image) < share * moved
        assert iterate.terms.keys() == alone.terms.keys()
        assert iterate.evaluate()["total"] == pytest.approx(alone.evaluate()["total"], rel=share)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_losses_and_gradients_are_those_of_each_objective(tiny_weights, precision):
    require_precision(precision)
    config = dataclasses.replace(SINGLE, precision=precision)
    factors = (1.0, 1e5)
    own = configs_of(config, content_weight=factors, style_weight=[20 * f for f in factors])
    problems = make_problems(tiny_weights, own)
    pictures = [picture(32, 48, seed=seed) for seed in (7, 8)]
    runs = [
        ScaleRun(problem, problem.plan.scales[-1], lambda image=image: image)
        for problem, image in zip(problems, pictures, strict=True)
    ]
    batch = ScaleBatch(runs)
    found = batch._losses_and_gradients(tf.constant(np.stack(pictures)))
    tolerance = 1e-4 if precision == "float32" else 0.02
    for run, (losses, gradient), value, image in zip(
        runs, found, batch.values(), pictures, strict=True
    ):
        expected, expected_gradient = run.objective.value_and_grad(tf.constant(image[None]))
        for name, loss in expected.items():
            assert float(losses[name]) == pytest.approx(float(loss), rel=tolerance, abs=1e-8)
            assert value[name] == pytest.approx(float(loss), rel=tolerance, abs=1e-8)
        difference = np.linalg.norm(gradient - expected_gradient)
        assert difference < share_of_rounding(precision) * np.linalg.norm(expected_gradient)


def test_a_batch_of_one_is_the_run_itself(tiny_weights):
    problem = make_problem(tiny_weights, SINGLE)
    runs = [
        ScaleRun(problem, problem.plan.scales[-1], problem.pictures.first_image) for _ in range(2)
    ]
    batch = ScaleBatch(runs[:1])
    assert batch.run(2) == [runs[1].run(2)]
    assert batch.values() == [runs[1].value()]
    np.testing.assert_array_equal(batch.source(0).picture(), runs[1].picture())


def test_runs_in_tiles_are_no_batch(tiny_weights):
    problem = make_problem(tiny_weights, dataclasses.replace(TILED, scales=1))
    scale = problem.plan.scales[-1]
    runs = [ScaleRun(problem, scale, problem.pictures.first_image, tile_size=40) for _ in range(2)]
    with pytest.raises(InputError, match="must fit in memory without tiles"):
        ScaleBatch(runs)


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "gatys", "optimizer": "adam", "learning_rate": 1.0, "scales": 1},
        {
            "optimizer": "rmsprop",
            "epsilon": 1e-4,
            "average": 0.5,
            "precision": "bfloat16",
            "scales": 1,
        },
        {"balance": (("content", 1.0), ("style", 2.0)), "scales": 1},
        {**DEEP_NEIGHBORS, "scales": 1, "content_focus": 0.6},
        {"variables": "pyramid", "learning_rate": 0.01, "scales": 1},
        {"xla": True, "scales": 1, "style_layers": ("relu1_1",), "content_layers": ("relu2_1",)},
    ],
    ids=str,
)
def test_a_batch_makes_the_pictures_that_are_made_alone(tiny_weights, settings):
    configs = configs_of(dataclasses.replace(CONFIG, **settings))
    precision = configs[0].precision
    require_precision(precision)
    assert_alike(paint(tiny_weights, configs), paint_alone(tiny_weights, configs), precision)


def test_each_picture_has_settings_and_styles_of_its_own(tiny_weights):
    configs = configs_of(
        SINGLE,
        style_weight=(1.0, 30.0),
        learning_rate=(0.01, 0.03),
        style_scale=(1.0, 0.7),
        init=("noise", "content"),  # in a flat one, maxima of poolings are chosen by rounding
        seed=(1, 2),
    )
    styles = STYLES, STYLES[:1]
    given = zip(configs, CONTENTS, styles, strict=True)
    *_, last = optimize([make_problem(tiny_weights, *one) for one in given], (None, None))
    assert_alike(last, paint_alone(tiny_weights, configs, styles))


def test_an_optimizer_that_evaluates_elsewhere_gets_no_gradient_of_its_image(
    tiny_weights, monkeypatch
):
    normal = adam.Adam.step

    def ahead(self, image, value_and_grad):
        return normal(self, image, lambda pixels: value_and_grad(pixels + 1e-6))

    monkeypatch.setattr(adam.Adam, "step", ahead)
    with pytest.raises(FloatingPointError, match="the gradient not finite at step 1"):
        paint(tiny_weights, configs_of(SINGLE))


@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if facts.joins_batches])
def test_an_optimizer_that_joins_batches_evaluates_its_image_once(name):
    image = tf.Variable(picture(8, 8, seed=1)[None])
    rate = schedules.make_schedule("constant", 0.1, steps=3, end=1.0)
    settings = {
        taken: {**FACTS[name].defaults, "momentum": 0.5}[taken] for taken in FACTS[name].takes
    }
    one = by_name.make_optimizer(name, image.shape, rate, settings)
    for _ in range(3):
        asked, before = [], image.numpy()

        def value_and_grad(pixels, asked=asked):
            asked.append(pixels.numpy())
            return {"total": tf.reduce_sum(pixels)}, tf.ones_like(pixels)

        one.step(image, value_and_grad)
        np.testing.assert_array_equal(asked, [before])


# Resuming


def make_checkpointers(folder):
    return [make_checkpointer(folder / str(n), every=2, keep=3) for n in range(2)]


def interrupt(weights, folder, step):
    """Close a batch after a step; returns new checkpointers."""
    iterates = begin(weights, configs_of(), make_checkpointers(folder))
    next(both for both in iterates if both[0].step == step)
    iterates.close()  # saves
    return make_checkpointers(folder)


@pytest.fixture(scope="module")
def whole(tiny_weights):
    """The pictures of a batch that nothing interrupted."""
    iterates = list(begin(tiny_weights, configs_of()))
    steps = [tuple(iterate.step for iterate in both) for both in iterates]
    assert steps == [(step, step) for step in range(1, 11)]
    return [iterate.image for iterate in iterates[-1]]


def images_of(iterates):
    return [iterate.image for iterate in iterates]


@pytest.mark.parametrize("step", [4, 10])  # between two scales, and at the end
def test_a_batch_resumes_where_it_was_and_reads_each_newest_checkpoint_once(
    tiny_weights, whole, tmp_path, monkeypatch, step
):
    keepers, read = interrupt(tiny_weights, tmp_path, step), []
    for keeper in keepers:

        def load(path, normal=keeper._load):
            read.append(f"{path.parent.name}/{path.stem}")
            return normal(path)

        monkeypatch.setattr(keeper, "_load", load)
    assert rewind_to_common_step(keepers) == step
    resumed = paint(tiny_weights, configs_of(), keepers)
    np.testing.assert_array_equal(images_of(resumed), whole)
    assert sorted(read) == [f"{n}/step_{step:09d}" for n in range(2)]


def test_checkpoints_that_only_one_picture_has_are_removed(tiny_weights, whole, tmp_path):
    interrupt(tiny_weights, tmp_path, 7)
    (tmp_path / "1" / "step_000000007.npz").unlink()  # killed before it was written
    keepers = make_checkpointers(tmp_path)
    with pytest.raises(InputError, match="--batch: the runs are at different steps"):
        begin(tiny_weights, configs_of(), keepers)
    assert rewind_to_common_step(keepers) == 6
    resumed = paint(tiny_weights, configs_of(), keepers)
    np.testing.assert_array_equal(images_of(resumed), whole)
    for path in (tmp_path / "0").iterdir():
        path.unlink()
    keepers = make_checkpointers(tmp_path)
    assert rewind_to_common_step(keepers) == 0
    assert [keeper.steps() for keeper in keepers] == [[], []]


def test_all_save_where_one_is_due(tiny_weights, tmp_path):
    keepers = make_checkpointers(tmp_path)
    keepers[1].every = 3
    paint(tiny_weights, configs_of(SINGLE), keepers)
    assert keepers[0].steps() == keepers[1].steps() == [6, 4, 3]


def test_a_picture_of_a_batch_can_be_resumed_alone_and_is_of_no_batch_any_more(
    tiny_weights, whole, tmp_path
):
    keepers = interrupt(tiny_weights, tmp_path, 7)
    given = {"weights": tiny_weights, "checkpointer": keepers[1]}
    *_, last = stylize(CONTENTS[1], STYLES[1], CONFIG, **given)
    moved = np.linalg.norm(whole[1] - geometry.resize(CONTENTS[1], 32, 48))
    assert np.linalg.norm(last.image - whole[1]) < share_of_rounding() * moved
    with pytest.raises(InputError, match="continued outside of the batch"):
        rewind_to_common_step(keepers)
    with pytest.raises(InputError, match="continued outside of the batch"):
        rewind_to_common_step(keepers[::-1])
    assert [keeper.steps()[0] for keeper in keepers] == [7, 10]


def test_the_name_of_a_batch_tells_its_runs_and_their_order(tmp_path):
    first, second = make_checkpointers(tmp_path)
    second.run = "another"
    names = {batch_name(some) for some in ([first, second], [second, first], [first, first])}
    assert len(names) == 3 and "" not in names
    assert batch_name([first]) == "" and batch_name([None]) == ""


def test_trouble_of_one_ends_the_batch(tiny_weights, monkeypatch):
    spoil_gradients(monkeypatch, [4])  # the second step of the second picture
    with pytest.raises(FloatingPointError, match="the gradient not finite at step 2"):
        paint(tiny_weights, configs_of())


@pytest.mark.parametrize("settings", [{}, MATCHED_ONCE])
def test_pictures_with_as_many_regions_are_a_batch(tiny_weights, settings):
    config = dataclasses.replace(SINGLE, **settings)
    left = np.zeros((40, 60), np.float32)
    left[:, :20] = 1.0
    problems, singles = [], []
    for content, masks in zip(CONTENTS, ([left, "rest"], ["rest", left]), strict=True):
        styles = [STYLES[0], "keep"]
        extractors = problems[0].extractors if problems else None
        given = {"styles": styles, "extractors": extractors, "style_mask": masks}
        problems.append(make_problem(tiny_weights, config, content, **given))
        *_, alone = stylize(content, styles, config, style_mask=masks, weights=tiny_weights)
        singles.append(alone)
    *_, together = optimize(problems, (None, None))
    assert_alike(together, singles)
