"""Settings in Python: keywords, the words of errors, help and signature."""

import inspect
import typing

import numpy as np
import pytest

from nst_keras import Config
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.in_python import errors_in_python, in_python_words, replaced


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("time_limit", "5m", 300.0),
        ("time_limit", "90", 90.0),
        ("memory_limit", "4G", 4 << 30),
        ("seed", np.int64(3), 3),
        ("size", np.array(128), 128),
        ("style_weight", np.float32(3), 3.0),
        ("clamp", np.True_, True),
        ("iterations", 1e3, 1000),
        ("content_layers", "block4_conv2", ("block4_conv2",)),
        ("coarse_iterations", 30, (30,)),
        ("coarse_iterations", np.array([30, 20]), (30, 20)),
        ("style_layer_weights", {"block5_conv1": 0.1}, (("block5_conv1", 0.1),)),
        ("balance", {"content": 1, "style": np.float64(4)}, (("content", 1), ("style", 4.0))),
        ("schedule_at", {10: 0.5}, (("10", 0.5),)),
        ("optimizer", "Adam", "adam"),
        ("objective", "GATYS", "gatys"),
        ("scales", "Auto", "auto"),
    ],
)
def test_what_people_pass_is_taken(name, given, kept):
    found = getattr(Config(**{name: given}), name)
    assert found == kept and type(found) is type(kept)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("time_limit", "soon", "time_limit='soon': must be a time such as 90s, 5m or 2h"),
        ("memory_limit", "big", "memory_limit='big': must be a size such as 800M or 6G"),
        ("size", np.float64(1.5), "size=1.5: must be a whole number of pixels"),
        ("iterations", "many", "iterations='many': must be a whole number"),
        ("content", np.zeros((9, 9, 3)), "content=<ndarray of shape (9, 9, 3)>: must be a text"),
        ("style_layers", 3, "style_layers=3: must be a text, or a list of these"),
        ("init", "x" * 500, None),
    ],
)
def test_what_is_refused_is_told_in_python(name, given, said):
    if said is None:
        assert getattr(Config(**{name: given}), name) == given
        return
    with pytest.raises(InputError) as caught:
        Config(**{name: given})
    assert str(caught.value).startswith(said)


def test_a_word_of_an_option_with_paths_is_matched_as_it_is_written():
    assert Config(init="Noise").init == "Noise"  # perhaps a file


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("style_weigth", "style_weigth: there is no such setting; did you mean style_weight?"),
        ("zzzzzz", "zzzzzz: there is no such setting; help(Config) lists all settings"),
    ],
)
@pytest.mark.parametrize(
    "use", [lambda **it: Config(**it), lambda **it: replaced(Config(), it, OPTIONS)]
)
def test_an_unknown_keyword_is_refused_with_a_suggestion(use, name, said):
    with pytest.raises(TypeError) as caught:
        use(**{name: 3})
    assert str(caught.value) == said


def test_replaced_takes_what_a_config_takes():
    assert replaced(Config(size=64), {"time_limit": "2h", "size": 96}, OPTIONS) == Config(
        size=96, time_limit=7200.0
    )


@pytest.mark.parametrize(
    ("flags", "python"),
    [
        (
            "--size=31: use --size=64, --size=original or --fit=crop",
            "size=31: use size=64, size=original or fit=crop",
        ),
        (
            "cut short; --truncated reads what is there",
            "cut short; truncated=True reads what is there",
        ),
        ("--nogif and --gif=false", "gif=False and gif=False"),
        (
            "--batch: a flag of another command; a--size",
            "--batch: a flag of another command; asize",
        ),
    ],
)
def test_messages_name_settings_as_in_python(flags, python):
    assert in_python_words(flags, OPTIONS) == python


def test_errors_of_a_block_are_told_in_python():
    with pytest.raises(InputError, match="^size=3: no$") as caught, errors_in_python(OPTIONS):
        raise InputError("--size=3: no", "size")
    assert caught.value.flags == ("size",)
    plain = InputError("no flag is named")
    with pytest.raises(InputError) as caught, errors_in_python(OPTIONS):
        raise plain
    assert caught.value is plain


def test_help_describes_every_field_without_flags():
    entries = Config.__doc__.partition("Args:\n")[2]
    for name, option in OPTIONS.items():
        assert f"\n    {name}: " in f"\n{entries}"
        assert option.help.split()[0].replace("--", "") in entries
    assert "--" not in entries
    assert max(map(len, entries.splitlines())) <= 92


def test_the_signature_has_all_fields_with_defaults_and_types():
    parameters = inspect.signature(Config).parameters
    assert list(parameters) == list(OPTIONS)
    for name, parameter in parameters.items():
        assert parameter.default == getattr(Config(), name)
        allows_none = type(None) in typing.get_args(parameter.annotation)
        assert allows_none == (parameter.default is None)
    assert str in typing.get_args(parameters["time_limit"].annotation)


def test_a_flagfile_becomes_a_config_and_keywords_win(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_text("--size=64\n--content=photo.jpg\n--time_limit=5m\n")
    found = Config.from_flagfile(path, size=96)
    assert found == Config(size=96, content=str(tmp_path / "photo.jpg"), time_limit=300.0)
    path.write_text("--sise=64\n")
    with pytest.raises(InputError, match="line 1: '--sise=64': unknown flag; did you mean --size"):
        Config.from_flagfile(str(path))
