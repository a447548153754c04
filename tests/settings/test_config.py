"""Settings: types, presets, what `resolve` fills in and refuses; and the shipped configs."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

from nst_keras import Config
from nst_keras.imaging import geometry, images
from nst_keras.runtime.errors import InputError
from nst_keras.settings import flags
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.resolve import resolve

FOLDER = Path(__file__).parent.parent.parent / "configs"
CONFIGS = sorted(
    path for path in FOLDER.glob("*.cfg") if "nst_keras.run --flagfile" in path.read_text("utf-8")
)


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
        ("size", True, "must be a whole number of pixels from 32 to 32768, or original"),
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
        ("style_layer_weights", (1.0, -0.5), "must be a number or NAME:NUMBER of at least 0"),
        ("balance", (("style", -1.0),), "must be NAME:NUMBER of at least 0"),
        ("balance", (("style", True),), "must be NAME:NUMBER of at least 0"),
        ("balance", (1.0,), "must be NAME:NUMBER of at least 0"),
        ("content", 3, "must be a text"),
        ("scales", "original", "must be a whole number from 1 to 32, or auto"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_would_be_right(name, value, said):
    message = refusal(lambda: Config(**{name: value}))
    assert message.startswith(f"--{name}={value}: {said}")


def test_an_unknown_setting_is_an_error():
    with pytest.raises(TypeError):
        Config(sizes=3)


def test_every_option_and_default_is_declared_once():
    assert (
        list(OPTIONS)
        == [field.name for field in dataclasses.fields(Config)]
        == list(vars(Config()))
    )
    assert all(option.help.endswith(".") for option in OPTIONS.values())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_resolve_and_name_pictures_that_are_there(path):
    config, actions = flags.parse_config([f"--flagfile={path}"])
    assert actions == set()
    resolve(config)
    for picture in (config.content, *config.style):
        assert min(images.read_image(picture).pixels.shape[:2]) >= geometry.MIN_SIDE


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_open_with_command_time_and_result(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    told = " ".join(line.lstrip("# ") for line in head)
    assert f"python -m nst_keras.run --flagfile=configs/{path.name}" in told
    assert re.search(r"Time: .*\d ?(s|seconds?|min|minutes?|h|hours?)\b", told), told
    assert re.search(r"Result: \S*[a-z]", told), told


def test_british_names_of_flags_are_still_accepted(tmp_path):
    path = tmp_path / "old.cfg"
    path.write_text("--adam_colours=opponent\n")
    for argument in ("--adam_colours=opponent", f"--flagfile={path}"):
        config, _ = flags.parse_config([argument])
        assert config == Config(adam_colors="opponent")


def test_attributes_of_options():
    def having(attribute):
        return {name for name, option in OPTIONS.items() if getattr(option, attribute)}

    assert having("destination") == {"workdir", "output", "overwrite"}
    assert having("hashed") == {"content", "style", "init", "weights"}
    assert having("sets_defaults") == {"objective", "optimizer", "quality", "backbone", "weights"}
    assert having("decides_loss") >= {"content", "style_weight", "balance", "backbone", "pooling"}
    assert not having("decides_loss") & {"init", "seed", "precision", "size", "iterations"}
    assert having("per_picture") >= {"content", "seed", "style_weight", "learning_rate", "workdir"}
    assert not having("per_picture") & {"size", "iterations", "optimizer", "style_layers"}
    assert all(OPTIONS[name].path for name in having("hashed"))
    for name in having("destination"):
        assert not OPTIONS[name].changes_result
