"""Settings: types, presets, what `resolve` fills in and refuses; and the shipped configs."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

from nst_keras import Config, flags, images
from nst_keras.config import OPTIONS, defaults
from nst_keras.errors import InputError
from nst_keras.presets import PRESETS

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.cfg"))


def refusal(make):
    with pytest.raises(InputError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().size = 3


def test_python_values_are_taken():
    config = Config(size=256, style_weight=3, style_layers=("relu1_1",), gif=False)
    assert (config.size, config.style_weight, config.gif) == (256, 3, False)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("size", True, "must be a whole number of pixels from 32 to 32768 or original"),
        ("size", 1.5, "must be a whole number of pixels"),
        ("size", "x", "must be a whole number of pixels"),
        ("size", "512", "must be a whole number of pixels"),
        ("size", 31, "must be a whole number of pixels from 32"),
        ("size", None, "must be a whole number of pixels"),
        ("objective", None, "must be one of relative, gatys"),
        ("objective", "Gatys", "must be one of relative, gatys"),
        ("gif", 1, "must be true or false"),
        ("style_weight", math.nan, "must be a finite number of at least 0"),
        ("style_weight", math.inf, "must be a finite number of at least 0"),
        ("style_weight", -1, "must be a finite number of at least 0"),
        ("average", 1.0, "must be a finite number from 0 to 0.99999"),
        ("iterations", 0, "must be a whole number of at least 1"),
        ("style", "a.png", "must be a tuple of a text"),
        ("style_layer_weights", (1.0, -0.5), "must be a finite number of at least 0"),
        ("content", 3, "must be a text"),
        ("scales", "original", "must be a whole number from 1 to 32 or auto"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_would_be_right(name, value, said):
    message = refusal(lambda: Config(**{name: value}))
    assert message.startswith(f"--{name}={value}: {said}")


def test_an_unknown_setting_is_an_error():
    with pytest.raises(TypeError):
        Config(sizes=3)


def test_every_option_and_default_is_declared_once():
    assert list(OPTIONS) == [field.name for field in dataclasses.fields(Config)] == list(defaults())
    assert all(option.help.endswith(".") for option in OPTIONS.values())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fills_in_all_that_is_left_open(name):
    open_after = {"content", "workdir", "output", "time_limit", "image_every"}
    resolved = Config(objective=name).resolve()
    left = {option for option in OPTIONS if getattr(resolved, option) is None}
    assert left == open_after
    assert (
        set(PRESETS[name].defaults)
        == {option for option, default in defaults().items() if default is None} - open_after
    )


@pytest.mark.parametrize("name", PRESETS)
def test_resolving_twice_changes_nothing(name):
    once = Config(objective=name, quality="best", style_layers=("relu1_1", "relu2_1")).resolve()
    assert once.resolve() == once


def test_the_default_preset_holds_its_tuned_values():
    config = Config().resolve()
    assert config.content_layers == ("block5_conv2",)
    assert config.style_layers == tuple(f"block{b}_conv1" for b in range(1, 6))
    assert (config.content_weight, config.style_weight, config.tv_weight) == (1.0, 8.0, 2.0)
    assert (config.iterations, config.coarse_iterations) == (80, (150, 80, 60, 50))


def test_gatys_is_that_of_the_paper():
    config = Config(objective="gatys").resolve()
    assert (config.content_layers, config.pooling, config.init, config.scales) == (
        ("block4_conv2",),
        "avg",
        "noise",
        1,
    )
    assert config.style_weight / config.content_weight == 1000
    assert set(config.style_layer_weights) == {1.0}


@pytest.mark.parametrize(("objective", "step"), [("relative", 0.02), ("gatys", 2 / 255)])
def test_step_size_is_for_pixels_in_0_to_1(objective, step):
    assert Config(objective=objective).resolve().step_size == pytest.approx(step)


@pytest.mark.parametrize(
    ("quality", "iterations", "coarse"),
    [("draft", 32, (60, 32, 24, 20)), ("good", 80, (150, 80, 60, 50)), ("best", 240, None)],
)
def test_quality_is_a_factor_on_the_presets_steps(quality, iterations, coarse):
    config = Config(quality=quality).resolve()
    assert config.iterations == iterations
    assert config.coarse_iterations == (coarse or (450, 240, 180, 150))


def test_quality_leaves_steps_of_the_users_own_alone():
    config = Config(quality="best", iterations=7, coarse_iterations=(5,)).resolve()
    assert (config.iterations, config.coarse_iterations) == (7, (5,))


@pytest.mark.parametrize(
    ("name", "value"),
    [("style_weight", 3.0), ("tv_weight", 0.0), ("init", "noise"), ("coarse_iterations", ())],
)
def test_a_value_of_the_users_own_wins_over_the_preset(name, value):
    assert getattr(Config(**{name: value}).resolve(), name) == value


def test_style_layers_of_the_users_own_share_equally():
    layers = ("block1_conv1", "block2_conv1")
    assert Config().resolve().style_layer_weights == (1.0, 1.0, 1.0, 1.0, 0.3)
    assert Config(style_layers=layers).resolve().style_layer_weights == ()
    both = Config(style_layers=layers, style_layer_weights=(1.0, 3.0)).resolve()
    assert both.style_layer_weights == (1.0, 3.0)


def test_layers_get_their_keras_names():
    config = Config(content_layers=("relu4_2",), style_layers=("conv1_1", "block5_conv4")).resolve()
    assert config.content_layers == ("block4_conv2",)
    assert config.style_layers == ("block1_conv1", "block5_conv4")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"style_layers": ("block6_conv1",)}, "--style_layers=block6_conv1: vgg19 has no such"),
        ({"content_layers": ("relu3_9",)}, "--content_layers=relu3_9: vgg19 has no such layer"),
        (
            {"content_layers": ("relu3_4",), "backbone": "vgg16", "weights": "imagenet"},
            "--content_layers=relu3_4: vgg16 has no such layer",
        ),
        (
            {"style_layers": ("relu4_2", "block4_conv2")},
            "--style_layers=relu4_2,block4_conv2: names a layer twice",
        ),
        (
            {"style": ("a", "b"), "style_blend": (1.0,)},
            "--style_blend=1.0: has 1 values; --style has 2, so 2 are needed",
        ),
        (
            {"style_layer_weights": (1.0, 2.0)},
            "--style_layer_weights=1.0,2.0: has 2 values; --style_layers has 5",
        ),
        (
            {"content_layer_weights": (1.0, 2.0)},
            "--content_layer_weights=1.0,2.0: has 2 values; --content_layers has 1",
        ),
        (
            {"style": ("a", "b"), "style_blend": (0.0, 0.0)},
            "--style_blend=0.0,0.0: one must be above 0",
        ),
        ({"style_layer_weights": (0.0,) * 5}, "--style_layer_weights=0.0,0.0,0.0,0.0,0.0: one"),
        (
            {"content_layers": (), "style_layers": ()},
            "--content_weight=1.0 --style_weight=8.0: nothing to optimise",
        ),
        (
            {"content_weight": 0.0, "style_weight": 0.0},
            "--content_weight=0.0 --style_weight=0.0: n",
        ),
        ({"backbone": "vgg16"}, "--backbone=vgg16: --weights=embedded holds vgg19 only; give"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    assert refusal(Config(**settings).resolve).startswith(said)


@pytest.mark.parametrize("settings", [{"style_layers": ()}, {"content_layers": ()}])
def test_one_side_alone_may_be_optimised(settings):
    resolved = Config(**settings).resolve()
    assert [getattr(resolved, name) for name in settings] == [()]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_resolve_and_name_pictures_that_are_there(path):
    config, actions = flags.parse_config([f"--flagfile={path}"])
    assert actions == set()
    config.resolve()
    for picture in (config.content, *config.style):
        assert min(images.read_image(picture).pixels.shape[:2]) >= images.MIN_SIDE


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_open_with_command_time_and_result(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    told = " ".join(line.lstrip("# ") for line in head)
    assert f"python -m nst_keras.run --flagfile=configs/{path.name}" in told
    assert re.search(r"Time: .*\d ?(s|seconds?|min|minutes?|h|hours?)\b", told), told
    assert re.search(r"Result: \S*[a-z]", told), told
