"""What the tests of runs share: small jobs on a tiny network, and faults to be injected."""

import dataclasses
import math

import pytest
import tensorflow as tf

from nst_keras import Config, stylize
from nst_keras.objective.objective import with_nan
from nst_keras.optimizers import adam
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import problem as problem_lib
from nst_keras.transfer.inputs import read_inputs
from nst_keras.transfer.planning import make_plan
from nst_keras.transfer.problem import StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import picture

CONTENT, STYLE = picture(40, 60, seed=1), picture(50, 50, seed=2)
CONFIG = Config(
    objective="relative",
    size=48,
    min_size=36,
    iterations=6,
    coarse_iterations=(4,),
    content_layers=("block2_conv1",),  # shallow: most of a test's time goes into compiling
    style_layers=("block1_conv1",),
    learning_rate=0.02,  # so few steps improve the picture only if they are small
    beta_2=0.99,
    precision="float32",
    log_every=1,
)
SINGLE = dataclasses.replace(CONFIG, scales=1)  # for what does not depend on scales
TEN_STEPS = dataclasses.replace(SINGLE, iterations=10)
TILES = {"size": 64, "tile_size": 40}  # these layers have small halos, so this makes several tiles
TILED = dataclasses.replace(CONFIG, **TILES)

# With the neighbors term, matched once at each scale and then by layer, twice.
NEIGHBORS = {
    "objective": "neighbors",
    "neighbor_layers": ("block1_conv1", "block2_conv1"),
    "detail_iterations": 4,
    "match_every": 2,
}

MATCHED_ONCE = {**NEIGHBORS, "detail_iterations": 0}  # a phase less to compile
# With a layer of which four positions share a feature, as by default.
DEEP_NEIGHBORS = {**NEIGHBORS, "neighbor_layers": ("block2_conv1", "block4_conv1")}

OUT_OF_MEMORY = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def paint(config, weights, style=STYLE, **options):
    """The last iterate of a run."""
    *_, last = stylize(CONTENT, style, config, weights=weights, **options)
    return last


@pytest.fixture(scope="session")
def single(tiny_weights):
    """The last iterate of a run of `SINGLE`."""
    return paint(SINGLE, tiny_weights)


def painted(config, weights, checkpointer=None):
    """(step, image) of all iterates of a run."""
    iterates = stylize(CONTENT, [STYLE], config, weights=weights, checkpointer=checkpointer)
    return [(iterate.step, iterate.image.copy()) for iterate in iterates]


def make_checkpointer(folder, **options):
    """A checkpointer that saves when it is told to, and keeps all checkpoints."""
    return Checkpointer(folder, "run", **{"every": 0, "minutes": 0, "keep": 9, **options})


def interrupt(config, weights, folder, stop_at):
    """Begin a run in a folder and close it after a step; returns a new checkpointer."""
    options = {"weights": weights, "checkpointer": make_checkpointer(folder)}
    iterates = stylize(CONTENT, STYLE, config, **options)
    next(iterate for iterate in iterates if iterate.step == stop_at)
    iterates.close()  # saves
    return make_checkpointer(folder)


def make_problem(
    weights, config=CONFIG, content=CONTENT, styles=(STYLE,), extractors=None, **masks
):
    """The problem of a run, as `stylize` makes it."""
    settings = resolve(config)
    inputs = read_inputs(settings, content, list(styles), weights, **masks)
    plan = make_plan(settings, inputs)
    return StyleTransferProblem(settings, inputs, plan, extractors=extractors)


def make_scale_run(weights, **settings):
    """The finest scale of a run, before its first step."""
    problem = make_problem(weights, dataclasses.replace(SINGLE, **settings))
    return ScaleRun(
        problem,
        problem.plan.scales[-1],
        problem.pictures.first_image,
        tile_size=problem.plan.tile_size,
    )


def count_tiles(monkeypatch):
    """The numbers of tiles of all tiled evaluators that are made from here on."""
    made = []

    class Counted(problem_lib.TiledEvaluator):
        def __init__(self, *others, tiles, **options):
            super().__init__(*others, tiles=tiles, **options)
            made.append(len(tiles))

    monkeypatch.setattr(problem_lib, "TiledEvaluator", Counted)
    return made


def fail_at_calls(monkeypatch, calls, error=OUT_OF_MEMORY):
    """Have `ScaleRun.run` fail at these calls, counted over all scales from 1."""
    normal, counted = ScaleRun.run, []

    def run(self, steps):
        counted.append(steps)
        if len(counted) in calls:
            raise error
        return normal(self, steps)

    monkeypatch.setattr(ScaleRun, "run", run)


def spoil_gradients(monkeypatch, bad_calls):
    """Have Adam get a gradient of NaN at these calls, counted over the run from 1."""
    normal, count = adam.Adam.step, tf.Variable(0)

    def step(self, image, value_and_grad):
        def spoilt(pixels):
            count.assign_add(1)
            losses, gradient = value_and_grad(pixels)
            is_bad = tf.reduce_any(tf.equal(count, tf.constant(bad_calls)))
            gradient = tf.where(is_bad, math.nan, gradient)
            return with_nan(losses, gradient), gradient

        return normal(self, image, spoilt)

    monkeypatch.setattr(adam.Adam, "step", step)
