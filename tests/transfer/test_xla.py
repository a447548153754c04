"""What can be held on a CPU of the programs that XLA compiles for GPUs: every kind of step."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.devices.variables import Variables
from nst_keras.optimizers.facts import FACTS
from nst_keras.settings.presets import PRESETS
from nst_keras.transfer.batch import ScaleBatch
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import picture, require_precision
from tests.network.conftest import distance_error
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    DEEP_NEIGHBORS,
    NEIGHBORS,
    SINGLE,
    STYLE,
    make_problem,
)

pytestmark = pytest.mark.slow  # each compiles a program

NEIGHBOR_TERM = {**NEIGHBORS, "detail_iterations": 0}
KINDS = [
    *({"objective": name} for name in PRESETS if name != "neighbors"),
    *({"optimizer": name, "learning_rate": 0.01} for name in FACTS if name != "adam"),
    *({"precision": name} for name in ("bfloat16", "float16")),
    {"variables": "pyramid", "size": 64},
    {"average": 0.5, "adam_colors": "opponent", "schedule": "cosine", "warmup_steps": 2},
    {"content_focus": 0.5, "laplacian_weight": 3.0},
    {"pooling": "avg", "padding": "replicate"},
    NEIGHBOR_TERM,
    {**DEEP_NEIGHBORS, "detail_iterations": 0, "precision": "bfloat16"},
    {**NEIGHBOR_TERM, "optimizer": "lbfgs", "history": 2, "line_search": "backtrack"},
]
# What a program that talks to the host has in it.
OF_HOST = ("infeed", "outfeed", "send(", "recv(", "callback", "py_func")


def begin(weights, count=1, masks=None, **settings):
    """The only scale of some pictures, whose steps XLA compiles.

    Args:
        masks: of the style, and of what is kept of the photo.
    """
    require_precision(settings.get("precision", "float32"))
    config = dataclasses.replace(SINGLE, xla=True, **settings)
    given = {"styles": (STYLE, "keep"), "style_mask": masks} if masks else {}
    problem = make_problem(weights, config, **given)
    scale = problem.plan.scales[-1]
    return ScaleBatch(
        [ScaleRun(problem, scale, problem.pictures.first_image) for _ in range(count)]
    )


def check(batch):
    """Check that steps run, from one program that leaves the host alone."""
    before = [run.picture().copy() for run in batch.runs]
    for steps in (1, 3):
        for losses in batch.run(steps):
            assert np.isfinite(list(losses.values())).all()
    for run, own in zip(batch.runs, before, strict=True):
        assert np.abs(run.picture() - own).max() > 0
    function = batch.compiled._by_xla.function
    assert function.experimental_get_tracing_count() == 1
    for run in batch.runs:  # TensorFlow keeps those of int32 in the host's memory, unlike XLA
        variables = {"neighbors": {}, **run._by_owner}
        if run.objective.neighbors is not None:
            variables["neighbors"] = run.objective.neighbors.known[0]
        kinds = {one.dtype for own in variables.values() for one in own.values()}
        assert tf.int32 not in kinds
    program = function.experimental_get_compiler_ir(tf.constant(1))(stage="hlo").lower()
    assert "while(" in program and not [word for word in OF_HOST if word in program]


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_every_kind_of_step_is_one_program(tiny_weights, settings):
    check(begin(tiny_weights, **settings))


@pytest.mark.parametrize("settings", [{}, NEIGHBOR_TERM], ids=str)
def test_the_steps_of_a_batch_are_one_program(tiny_weights, settings):
    check(begin(tiny_weights, count=3, **settings))


@pytest.mark.parametrize("settings", [{}, NEIGHBOR_TERM, {"objective": "crowsonkb"}], ids=str)
def test_pictures_of_other_weights_and_rates_share_a_program(tiny_weights, settings):
    more = {"style_weight": 3.0, "content_weight": 0.5, "tv_weight": 0.1, "learning_rate": 0.3}
    programs = set()
    for own in (settings, {**settings, **more}):
        batch = begin(tiny_weights, **own)
        batch.run(1)
        (trace,) = batch.compiled._by_xla._traces.values()
        programs.add(trace._name)
    assert len(programs) == 1


@pytest.mark.parametrize("settings", [{}, NEIGHBOR_TERM, {"objective": "crowsonkb"}], ids=str)
def test_pictures_of_other_masks_share_a_program(tiny_weights, settings):
    programs = set()
    for share in (0.25, 0.75):
        kept = np.zeros(CONTENT.shape[:2], np.float32)
        kept[: round(share * kept.shape[0])] = 1.0
        batch = begin(tiny_weights, masks=("rest", kept), **settings)
        check(batch)
        (trace,) = batch.compiled._by_xla._traces.values()
        programs.add(trace._name)
    assert len(programs) == 1


@pytest.mark.parametrize(
    "settings",
    [{}, {**DEEP_NEIGHBORS, "detail_iterations": 0}, {"content_focus": 0.5, "average": 0.5}],
    ids=str,
)
@pytest.mark.parametrize("count", [1, 2])
def test_where_scales_share_a_graph_each_compiles_a_program_of_its_size(
    tiny_weights, settings, count
):
    """As `--xla=auto` does once it has taken steps without it."""
    problem = make_problem(tiny_weights, dataclasses.replace(CONFIG, scales=2, **settings))
    shared = [Variables(are_shared=True) for _ in range(count)]
    for scale in problem.plan.scales:
        image = picture(scale.height, scale.width, seed=7)
        for variables in shared:
            variables.release()
        batch = ScaleBatch(
            [
                ScaleRun(problem, scale, lambda own=image: own, variables=variables)
                for variables in shared
            ]
        )
        by_graph = batch.run(1)
        batch.compiled.xla = True
        for run in batch.runs:
            run.variable.assign(image[None])
        error = distance_error("float32", convolutions=8, positions=scale.pixels)
        for losses, expected in zip(batch.run(1), by_graph, strict=True):
            assert losses == pytest.approx(expected, rel=error)
        check(batch)
