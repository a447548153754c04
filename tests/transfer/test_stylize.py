"""`stylize` from Python: what it obeys, what it refuses, and what it reads and plans."""

import dataclasses
import gc
import io
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.python.framework import func_graph, ops

from nst_keras import stylize
from nst_keras.devices import keras_settings, precision
from nst_keras.devices.replicas import Replicas
from nst_keras.imaging import geometry, images
from nst_keras.imaging.color import to_uint8
from nst_keras.network import extractor
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.transfer import planning
from nst_keras.transfer import stylize as stylize_lib
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.problem import StyleTransferProblem, TileProgress
from nst_keras.transfer.scale_run import ScaleRun
from tests.conftest import in_a_thread, picture, require_precision
from tests.transfer.conftest import (
    CONFIG,
    CONTENT,
    MATCHED_ONCE,
    NEIGHBORS,
    SINGLE,
    STYLE,
    TILED,
    TILES,
    interrupt,
    paint,
)

ABOUT_FILES = {
    "content": "photo.jpg",
    "style": ("painting.jpg",),
    "style_mask": ("mask.png",),
    "style_region": ("mask.png",),
    "regions": "regions.png",
    "profile": "input",
    "proof": "printer.icc",
    "workdir": "folder",
    "output": "picture.png",
    "open": True,
    "device": "cpu",
    "serve": True,
    "serve_port": 8000,
    "serve_hosts": ("localhost:9000",),
    "bits": 16,
    "overwrite": True,
    "checkpoint_every": 5,
    "checkpoint_minutes": 1.0,
    "keep_checkpoints": 7,
    "tensorboard": True,
    "gif": False,
    "mp4": True,
    "frame_labels": True,
    "scores": False,
    "compile_cache": "none",
}


@pytest.mark.parametrize("name", ABOUT_FILES)
def test_settings_about_files_are_refused(tiny_weights, name):
    config = dataclasses.replace(SINGLE, **{name: ABOUT_FILES[name]})
    with pytest.raises(InputError, match=rf"^{name}=.*: stylize\(\) takes no settings about files"):
        stylize(CONTENT, STYLE, config, weights=tiny_weights)
    usual = dataclasses.replace(SINGLE, **{name: getattr(Config(), name)})
    stylize(CONTENT, STYLE, usual, weights=tiny_weights)


def test_the_settings_about_files_are_these():
    assert {name for name, option in OPTIONS.items() if option.for_files} == {*ABOUT_FILES}


def test_a_resumed_run_takes_the_steps_that_fitted_its_time_limit(
    tiny_weights, tmp_path, monkeypatch
):
    seconds = iter([1.0, 2.0])  # of a step: slower the second time
    monkeypatch.setattr(planning, "measure_seconds", lambda *_: ((next(seconds),) * 2, 0.0))
    limited = dataclasses.replace(CONFIG, iterations=None, coarse_iterations=None, time_limit=60.0)
    options = {"weights": tiny_weights, "checkpoints": tmp_path}
    begun = stylize(CONTENT, STYLE, limited, **options)
    first = next(begun)
    begun.close()
    *_, last = stylize(CONTENT, STYLE, limited, **options)
    assert last.is_last and last.total_steps == first.total_steps < 100
    assert [scale.steps for scale in last.scales] == [scale.steps for scale in first.scales]


@pytest.mark.parametrize("config", [SINGLE, dataclasses.replace(SINGLE, **NEIGHBORS)])
def test_the_built_in_network_as_ones_own_gives_the_same_picture(tiny_weights, config):
    model = extractor.feature_extractor(tiny_weights, ("block1_conv1", "block2_conv1"))
    found = paint(config, tiny_weights, extractor=model)
    expected = paint(config, tiny_weights)
    assert found.terms == pytest.approx(expected.terms, rel=1e-4)
    np.testing.assert_allclose(found.image, expected.image, atol=2e-3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"content_layers": None}, "^content_layers: is missing; choose from the extractor's half"),
        ({"content_layers": "wide"}, "^content_layers=wide: extractor has no such layer; .*half"),
        ({"pooling": "avg"}, "^pooling=avg: your own extractor computes as it was built"),
        ({"distribute": "mirrored"}, "^distribute=mirrored: your own extractor .* on one device"),
        ({"style_layers": "last", "size": 33}, "^size: the smallest .* of 22 px, but last has one"),
        ({"style_layers": "tv"}, "^style_layers=tv: extractor has no such layer"),
        ({"neighbor_layers": "deep"}, "^neighbor_layers=deep: deep has one position for 16 pixels"),
        ({"tile_size": 40, "size": 64}, "^extractor: .* cannot be cut into tiles"),
        ({"memory_limit": "1M"}, "needs about .* GiB, since pictures are not cut into tiles"),
    ],
)
def test_what_an_own_network_cannot_do_is_refused(tiny_weights, settings, said):
    image = keras.Input((None, None, 3))
    half = keras.layers.AveragePooling2D(2)(image)
    deep = keras.layers.AveragePooling2D(8)(half)
    last = keras.layers.AveragePooling2D(2)(deep)
    model = keras.Model(image, {"half": half, "deep": deep, "last": last})
    given = {"content_layers": "half", "style_layers": "half", **settings}
    with pytest.raises(InputError, match=said):
        stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights, extractor=model, **given)


def test_a_layer_with_the_name_of_a_term_is_refused(tiny_weights):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, {"laplacian": keras.layers.AveragePooling2D(2)(image)})
    given = {"content_layers": "laplacian", "style_layers": "laplacian"}
    with pytest.raises(InputError, match="^extractor: its output laplacian has the name of a term"):
        stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights, extractor=model, **given)


def test_a_time_limit_is_obeyed(tiny_weights, monkeypatch):
    monkeypatch.setattr(planning, "measure_seconds", lambda *_: ((10.0,), 0.0))
    limited = dataclasses.replace(SINGLE, iterations=None, time_limit=60.0)
    *_, last = stylize(CONTENT, STYLE, limited, weights=tiny_weights)
    # 60 s less 12 for the end and 4.8 of slack; a moment has passed.
    assert last.is_last and last.total_steps in (3, 4)
    given = dataclasses.replace(limited, iterations=2)  # the most
    *_, last = stylize(CONTENT, STYLE, given, weights=tiny_weights)
    assert last.total_steps == 2


def test_devices_are_those_of_the_config_unless_they_are_given(tiny_weights, monkeypatch):
    made, normal = [], stylize_lib.make_replicas

    def remember(*arguments):
        made.append(arguments)
        return normal("none")

    monkeypatch.setattr(stylize_lib, "make_replicas", remember)
    mirrored = dataclasses.replace(SINGLE, distribute="mirrored", replicas=2)
    stylize(CONTENT, STYLE, mirrored, weights=tiny_weights)
    assert made == [("mirrored", 2, mirrored.cluster_timeout)]
    stylize(CONTENT, STYLE, mirrored, weights=tiny_weights, replicas=Replicas(("",)))
    assert len(made) == 1


@pytest.mark.parametrize("asked", [True, False])
def test_determinism_is_obeyed_in_steps_evaluations_and_saves(tiny_weights, monkeypatch, asked):
    is_on, seen = keras_settings.tf_config.is_op_determinism_enabled, {}

    def remember(owner, name):
        normal = getattr(owner, name)

        def remembered(*arguments):
            seen[name] = is_on()
            return normal(*arguments)

        monkeypatch.setattr(owner, name, remembered)

    for owner, name in ((ScaleRun, "run"), (ScaleRun, "value"), (Controller, "save")):
        remember(owner, name)
    config = dataclasses.replace(SINGLE, deterministic=asked)
    iterates = stylize(CONTENT, STYLE, config, weights=tiny_weights)
    next(iterates).evaluate()
    assert not is_on()  # in the user's own code
    iterates.close()
    assert seen == dict.fromkeys(("run", "value", "save"), asked) and not is_on()


# Beside the user's own models


def choose(settings):
    for name, value in settings.items():
        getattr(keras.config, f"set_{name}")(value)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_settings_of_keras_change_nothing_and_are_left_as_they_are(tiny_weights, optimizer):
    config = dataclasses.replace(SINGLE, optimizer=optimizer, learning_rate=0.01, iterations=2)
    config = dataclasses.replace(config, beta_2=None, schedule="cosine")
    expected = paint(config, tiny_weights).image
    usual = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}
    other = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    try:
        for policy in ("float16", "mixed_bfloat16", "float64"):
            choose({**other, "dtype_policy": policy})
            for iterate in stylize(CONTENT, STYLE, config, weights=tiny_weights):
                found = {name: getattr(keras.config, name)() for name in other}
                assert found == other and keras.config.dtype_policy().name == policy
                last = iterate
            np.testing.assert_array_equal(last.image, expected)
    finally:
        choose({**usual, "dtype_policy": "float32"})


def test_random_numbers_of_the_user_are_left_alone(tiny_weights):
    def drawn():
        return random.random(), np.random.rand(), float(tf.random.uniform(()))

    def seed():
        keras.utils.set_random_seed(4)

    seed()
    expected = drawn()
    seed()
    paint(SINGLE, tiny_weights)
    assert drawn() == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros((40, 60, 5), np.uint8), "^content: has shape"),
        (np.zeros((3, 40, 60), np.uint8), "^content: .* puts channels last"),
        ([CONTENT], "^content: is of type list"),
        (7, "^content: is of type int"),
        (None, "^content is missing"),
        ("missing.jpg", "^content=missing.jpg: no such file"),
    ],
)
def test_bad_input_is_refused_by_the_call_itself(tiny_weights, content, words):
    with pytest.raises(InputError, match=words):
        stylize(content, STYLE, SINGLE, weights=tiny_weights)


@pytest.mark.parametrize(
    ("styles", "words"),
    [
        ([7], "^style 1: is of type int"),
        ([STYLE, None], "^style 2: is of type NoneType"),
        (np.stack([STYLE, STYLE]), "^style 1: .* several pictures"),
        ({"style": STYLE}, "^style 1: is of type dict"),
        ([], "^style is missing"),
    ],
)
def test_bad_styles_are_refused_with_their_number(tiny_weights, styles, words):
    with pytest.raises(InputError, match=words):
        stylize(CONTENT, styles, SINGLE, weights=tiny_weights)


def test_pictures_of_many_kinds_give_what_their_files_give(tiny_weights, tmp_path):
    photo, painting = (Image.fromarray(images.to_uint8(it)) for it in (CONTENT, STYLE))
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    painting = painting.convert("L")
    for name, image in (("photo", photo), ("painting", painting)):
        image.save(tmp_path / f"{name}.png")
    files = tmp_path / "photo.png", tmp_path / "painting.png"
    config = dataclasses.replace(SINGLE, iterations=1)
    *_, expected = stylize(*files, config, weights=tiny_weights)
    with open(files[0], "rb") as opened:
        for content, styles in (
            (photo, painting),
            (np.asarray(photo), [np.asarray(painting)]),
            (tf.constant(np.asarray(photo)), (tf.constant(np.asarray(painting)),)),
            (files[0].read_bytes(), io.BytesIO(files[1].read_bytes())),
            (opened, tmp_path.glob("painting.*")),
        ):
            *_, last = stylize(content, styles, config, weights=tiny_weights)
            np.testing.assert_array_equal(last.image, expected.image)


def test_paths_and_arrays_give_the_same_picture(tiny_weights, tiny_weights_path, tmp_path):
    for name, pixels in (("photo", CONTENT), ("painting", STYLE)):
        images.write_image(tmp_path / f"{name}.png", pixels)
    arrays = [images.to_uint8(pixels) for pixels in (CONTENT, STYLE)]
    *_, from_arrays = stylize(*arrays, SINGLE, weights=tiny_weights)
    config = dataclasses.replace(SINGLE, weights=str(tiny_weights_path))
    *_, from_files = stylize(tmp_path / "photo.png", [str(tmp_path / "painting.png")], config)
    np.testing.assert_array_equal(from_arrays.image, from_files.image)


def test_inputs_are_read_and_planned_once(tiny_weights, monkeypatch):
    calls = []

    def count(name):
        normal = getattr(stylize_lib, name)

        def counted(*arguments, **options):
            calls.append(name)
            return normal(*arguments, **options)

        monkeypatch.setattr(stylize_lib, name, counted)

    for name in ("resolve", "read_inputs", "make_plan"):
        count(name)
    paint(CONFIG, tiny_weights)
    assert calls == ["resolve", "read_inputs", "make_plan"]


# Other threads, interrupts, and going on afterwards


def test_off_the_main_thread_it_paints_the_same(tiny_weights, single):
    found = in_a_thread(lambda: paint(SINGLE, tiny_weights).image)
    np.testing.assert_array_equal(found, single.image)


def interrupt_at(monkeypatch, step, times=1):
    """Have Ctrl-C come while a step is computed."""
    normal = ScaleRun.run

    def run(self, steps):
        losses = normal(self, steps)
        if self.steps == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return losses

    monkeypatch.setattr(ScaleRun, "run", run)


def interrupted(tiny_weights, config=SINGLE, **options):
    """The iterates of a run until it was interrupted, and their images then."""
    before, seen = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):
        for iterate in stylize(CONTENT, STYLE, config, weights=tiny_weights, **options):
            assert signal.getsignal(signal.SIGINT) is before  # while the caller works
            seen.append((iterate, iterate.image.copy()))
    assert signal.getsignal(signal.SIGINT) is before
    return seen


@pytest.mark.parametrize("method", ["objective", "match"])
def test_an_interrupt_while_the_next_scale_is_set_up_leaves_the_result_of_the_last_one_readable(
    tiny_weights, monkeypatch, method
):
    normal, calls = getattr(StyleTransferProblem, method), []

    def interrupted_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt  # as the second Ctrl-C does
        return normal(*arguments)

    monkeypatch.setattr(StyleTransferProblem, method, interrupted_at_the_second)
    seen = interrupted(tiny_weights, dataclasses.replace(CONFIG, **MATCHED_ONCE))
    last, image = seen[-1]
    assert last.ends_scale and not last.is_last
    np.testing.assert_array_equal(last.image, image)


@pytest.mark.parametrize("step", [1, 3, 6])
def test_an_interrupt_comes_after_the_step_whose_image_stays_readable(
    tiny_weights, monkeypatch, step
):
    interrupt_at(monkeypatch, step)
    seen = interrupted(tiny_weights)
    assert [iterate.step for iterate, _ in seen] == list(range(1, step + 1))
    last, image = seen[-1]
    np.testing.assert_array_equal(last.image, image)
    assert last.evaluate()["total"] > 0


def test_a_second_interrupt_comes_at_once_and_leaves_an_image(tiny_weights, monkeypatch):
    interrupt_at(monkeypatch, 3, times=2)
    seen = interrupted(tiny_weights)
    assert [iterate.step for iterate, _ in seen] == [1, 2]
    assert seen[-1][0].image.shape == seen[-1][1].shape


def test_a_long_step_in_tiles_is_given_up(tiny_weights, monkeypatch):
    normal, tiles = TileProgress.__call__, []

    def progress(self, done, in_all):
        tiles.append(done)
        if len(tiles) == 3 * in_all + 2:  # in the third step: targets take the first round
            signal.raise_signal(signal.SIGINT)
        normal(self, done, in_all)

    monkeypatch.setattr(TileProgress, "__call__", progress)
    tiled = dataclasses.replace(TILED, scales=1)
    seen = interrupted(tiny_weights, tiled)
    last, image = seen[-1]
    assert last.step < tiled.iterations and tiles[-1] == 2
    np.testing.assert_array_equal(last.image, image)


def test_the_same_call_with_the_same_folder_goes_on(tiny_weights, single, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert len(interrupted(tiny_weights, SINGLE, checkpoints=folder)) == 3
    rest = [
        (iterate.step, iterate.image)
        for iterate in stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights, checkpoints=folder)
    ]
    assert rest[0][0] == 4
    np.testing.assert_array_equal(rest[-1][1], single.image)
    again = paint(SINGLE, tiny_weights, checkpoints=str(folder))  # of what is finished
    np.testing.assert_array_equal(again.image, single.image)


def test_checkpoints_of_another_picture_are_reported_and_not_used(tiny_weights, tmp_path, caplog):
    first = stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights, checkpoints=tmp_path)
    next(first)
    first.close()  # saves
    others = (
        (CONTENT, STYLE, dataclasses.replace(SINGLE, seed=1)),
        (CONTENT[::-1].copy(), STYLE, SINGLE),
        (CONTENT, STYLE[::-1].copy(), SINGLE),
    )
    for number, other in enumerate(others, start=1):
        iterates = stylize(*other, weights=tiny_weights, checkpoints=tmp_path)
        told = "ignoring checkpoint step_000000001.npz: it belongs to another run"
        assert caplog.text.count(told) == number
        iterates.close()


# TensorFlow's own lines


def test_tensorflow_says_nothing_in_six_calls(tiny_weights_path):
    """In a process of its own, which TensorFlow starts in."""
    program = """
import sys
import numpy as np
from nst_keras import Config, stylize
names = "content_layers", "style_layers", "neighbor_layers"
layers = dict.fromkeys(names, ("block1_conv1",))
steps = {"iterations": 1, "detail_iterations": 0}
config = Config(weights=sys.argv[1], size=32, scales=1, **steps, **layers)
for _ in range(6):
    for iterate in stylize(np.zeros((32, 32, 3)), np.ones((32, 32, 3)), config):
        iterate.evaluate()
"""
    shown = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")
    environment = {name: text for name, text in os.environ.items() if name not in shown}
    command = [sys.executable, "-c", program, str(tiny_weights_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# The precision of a run that is resumed


AUTO = dataclasses.replace(SINGLE, precision="auto")


@pytest.mark.parametrize(
    ("first", "later", "chosen"), [(True, False, "bfloat16"), (False, True, "float32")]
)
def test_the_precision_that_auto_chose_holds_on_another_device(
    tiny_weights, tmp_path, monkeypatch, caplog, first, later, chosen
):
    def on_a_processor(has_bfloat16):
        found = has_bfloat16, "for this reason"
        monkeypatch.setattr(precision, "_bfloat16_instructions", lambda: found)

    require_precision(chosen)
    caplog.set_level("INFO")
    whole = paint(dataclasses.replace(SINGLE, precision=chosen), tiny_weights).image
    assert "precision: " not in caplog.text
    on_a_processor(first)
    checkpointer = interrupt(AUTO, tiny_weights, tmp_path, 3)
    assert caplog.text.count(f"precision: {chosen}, ") == 1
    on_a_processor(later)
    caplog.clear()
    result = paint(AUTO, tiny_weights, checkpointer=checkpointer).image
    np.testing.assert_array_equal(result, whole)
    assert "precision: " not in caplog.text


def test_a_state_of_another_precision_is_refused_with_both_names(tiny_weights, tmp_path):
    checkpointer = interrupt(SINGLE, tiny_weights, tmp_path, 3)
    other = dataclasses.replace(SINGLE, precision="bfloat16")
    with pytest.raises(InputError) as caught:
        paint(other, tiny_weights, checkpointer=checkpointer)
    message = str(caught.value)
    assert message.startswith(
        "precision=bfloat16: the checkpoint of step 3 was computed in float32"
    )
    same = paint(SINGLE, tiny_weights, checkpointer=checkpointer)
    assert same.step == 6


# What a call leaves in the process


def kept():
    """How many graphs, operations and variables are alive, and how many gradients are registered.

    TensorFlow never removes the latter, and has no public way to count them.
    """
    gc.collect()
    alive = [type(one) for one in gc.get_objects()]
    counts = {
        kind: alive.count(kind) for kind in (func_graph.FuncGraph, tf.Variable, ops.Operation)
    }
    return {**counts, "gradients": len(ops.gradient_registry.list())}


def test_calls_leave_no_graph_no_variable_and_no_gradient(tiny_weights):
    low = "float32" if precision.obstacle("bfloat16") else "bfloat16"
    configs = [
        CONFIG,
        dataclasses.replace(TILED, scales=1, optimizer="nadam"),
        dataclasses.replace(SINGLE, objective="crowsonkb", optimizer="lbfgs", precision=low),
    ]

    def counted():
        for config in configs:
            paint(config, tiny_weights)
        iterates = stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights)
        next(iterates)
        iterates.close()
        del iterates
        return kept()

    first = counted()  # it may import and set up what is then kept
    assert counted() == first


def test_a_call_frees_what_the_one_before_has_left(tiny_weights):
    """Compiled steps and what they act on refer to each other: only a collection frees them."""

    def graphs():
        return sum(isinstance(one, func_graph.FuncGraph) for one in gc.get_objects())

    gc.collect()
    before = graphs()
    gc.disable()
    try:
        paint(SINGLE, tiny_weights)
        left = graphs() - before
        iterates = stylize(CONTENT, STYLE, SINGLE, weights=tiny_weights)
        assert left > 0 and graphs() == before
    finally:
        gc.enable()
    iterates.close()


MANY_CALLS = """
import sys
from pathlib import Path
from nst_keras import Config, stylize

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

content, style, calls, *flags = sys.argv[1:]
settings = {name: value for name, value in (flag.split("=") for flag in flags)}
config = Config(size=64, scales=1, iterations=2, **settings)
for call in range(1, int(calls) + 1):
    *_, last = stylize(content, style, config)
    print(call, resident_bytes())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    "flags",
    [
        ("precision=float32",),
        ("precision=bfloat16",),
        ("precision=float32", "optimizer=lbfgs"),
        ("precision=float32", "objective=crowsonkb"),
    ],
    ids=" ".join,
)
def test_fifty_calls_end_within_50_mb_of_the_fifth(picture_paths, flags):
    """The embedded VGG19 has 50 MB of weights in float32: one copy kept per call would be 2 GB."""
    command = [sys.executable, "-c", MANY_CALLS, *map(str, picture_paths), "50", *flags]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
    resident = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(resident) == 50
    assert resident[-1] - resident[4] < 50e6


# Masks.

LEFT = np.zeros(CONTENT.shape[:2], np.float32)
LEFT[:, :30] = 1.0
SECOND = picture(45, 70, seed=8)
MASKED = {"style_mask": [LEFT, "rest"]}


def masked(config, weights, styles=(STYLE, SECOND), **options):
    """All iterates of a run with masks: (step, image)."""
    iterates = stylize(CONTENT, list(styles), config, weights=weights, **(MASKED | options))
    return [(iterate.step, iterate.image.copy()) for iterate in iterates]


def test_two_regions_come_as_close_to_their_styles_as_runs_of_one_style(tiny_weights):
    config = dataclasses.replace(
        SINGLE,
        iterations=60,
        content_weight=0.0,
        tv_weight=0.0,
        mask_erosion=0.0,
        style_layer_weights=(1.0,),
    )
    extract = extractor.feature_extractor(tiny_weights, config.style_layers)

    def gram(image, part=None):
        features = extract(image[None])[config.style_layers[0]].numpy()[0]
        rows = (features if part is None else features[part]).reshape(-1, features.shape[-1])
        return rows.T @ rows / len(rows)

    def error(image, style, part):
        target = gram(style)
        return np.square(gram(image, part) - target).sum() / np.square(target).sum()

    (*_, (_, both)) = masked(config, tiny_weights)
    width = both.shape[1] // 2
    sides = np.s_[:, : width - 2], np.s_[:, width + 2 :]  # without what sees both
    for style, side in zip((STYLE, SECOND), sides, strict=True):
        alone = paint(config, tiny_weights, style=style).image
        assert error(both, style, side) <= 1.1 * error(alone, style, side) + 1e-4
        assert error(CONTENT, style, side) > 10 * error(both, style, side)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {**MATCHED_ONCE, "scales": 1},
        {"color": "content_exact", "scales": 1},
        {"color": "histogram", "scales": 1},
        {"variables": "pyramid"},
        {"optimizer": "lbfgs", "learning_rate": 1.0, "scales": 1},
        {"average": 0.9},
        TILES,
        {"init": "noise", "clamp": False, "scales": 1},
    ],
)
def test_what_is_kept_is_the_photo_to_the_byte(tiny_weights, settings):
    config = dataclasses.replace(CONFIG, **{"size": 60, **settings})
    expected = CONTENT
    if config.size != 60:
        expected = geometry.resize(CONTENT, *geometry.fit_size(CONTENT.shape[:2], config.size))
    found = masked(config, tiny_weights, (STYLE, "keep"), style_mask=["rest", LEFT])
    image = found[-1][1]
    kept = np.s_[:, : image.shape[1] // 2 - 1]
    np.testing.assert_array_equal(to_uint8(image[kept]), to_uint8(expected[kept]))
    rest = np.s_[:, image.shape[1] // 2 + 2 :]
    assert np.abs(image[rest] - expected[rest]).mean() > 0.005


@pytest.mark.parametrize(
    ("config", "stop_at", "part"),
    [
        (CONFIG, 7, {}),
        (dataclasses.replace(SINGLE, **NEIGHBORS), 3, {}),
        (dataclasses.replace(SINGLE, **TILES), 3, {}),
        (SINGLE, 3, {"style_region": [STYLE[..., 0] > 0.5, "all"]}),
    ],
    ids=["two scales", "neighbors", "tiles", "a part of the style"],
)
def test_a_resumed_run_with_masks_equals_an_uninterrupted_one(
    tiny_weights, tmp_path, config, stop_at, part
):
    whole = masked(config, tiny_weights, **part)
    given = {**MASKED, **part, "weights": tiny_weights, "checkpoints": tmp_path}
    iterates = stylize(CONTENT, [STYLE, SECOND], config, **given)
    next(iterate for iterate in iterates if iterate.step == stop_at)
    iterates.close()
    *_, last = stylize(CONTENT, [STYLE, SECOND], config, **given)
    assert last.step == whole[-1][0]
    assert last.image.tobytes() == whole[-1][1].tobytes()


def test_a_full_mask_changes_nothing(tiny_weights, single):
    full = np.ones_like(LEFT)
    *_, (_, found) = masked(SINGLE, tiny_weights, [STYLE], style_mask=[full])
    np.testing.assert_allclose(found, single.image, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"color": "content"}, MATCHED_ONCE])
def test_parts_are_found_without_masks(tiny_weights, settings):
    config = dataclasses.replace(SINGLE, **settings)
    first, second = (
        masked(config, tiny_weights, [STYLE], style_mask=None, regions="auto:2")[-1][1]
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()
    assert np.abs(first - paint(config, tiny_weights).image).max() > 1e-3


def test_masks_in_another_run_are_another_run(tiny_weights, tmp_path):
    given = {"weights": tiny_weights, "checkpoints": tmp_path}
    iterates = stylize(CONTENT, [STYLE, SECOND], SINGLE, **MASKED, **given)
    next(iterates)
    iterates.close()
    other = {"style_mask": ["rest", LEFT]}
    first = next(stylize(CONTENT, [STYLE, SECOND], SINGLE, **other, **given))
    assert first.step == 1
