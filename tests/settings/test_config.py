"""Settings in Python, on the command line and in flagfiles; the help; the shipped configs."""

import dataclasses
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from nst_keras import Config
from nst_keras.imaging import geometry, images
from nst_keras.runtime.errors import InputError
from nst_keras.settings import config as config_lib
from nst_keras.settings.command_help import help_text
from nst_keras.settings.config import OPTIONS, format_flagfile, parse_config
from nst_keras.settings.resolve import resolve

FOLDER = Path(__file__).parent.parent.parent / "configs"
CONFIGS = sorted(
    path for path in FOLDER.glob("*.cfg") if "nst_keras.run --flagfile" in path.read_text("utf-8")
)
HELP = help_text(config_lib.COMMAND, "all")


def parse(*arguments):
    return config_lib.parse_config(list(arguments))[0]


def refusal(*arguments):
    """The message with which a command line is refused; it is one line."""
    with pytest.raises(InputError) as caught:
        config_lib.parse_config(list(arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def flagfile(tmp_path):
    """Write a flagfile and return the flag that reads it."""

    def write(text, name="a.cfg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return f"--flagfile={path}"

    return write


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
        ("objective", None, "must be one of neighbors, relative, gatys"),
        ("objective", "gaty", "must be one of neighbors, relative, gatys"),
        ("gif", 1, "must be True or False"),
        ("style_weight", math.nan, "must be a number of at least 0"),
        ("style_weight", math.inf, "must be a number of at least 0"),
        ("style_weight", -1, "must be a number of at least 0"),
        ("average", 1.0, "must be a number from 0 to 0.99999"),
        ("iterations", 0, "must be a whole number of at least 1"),
        ("style", 5, "must be a text, or a list of these"),
        ("style_layer_weights", (1.0, -0.5), "must be a number or NAME:NUMBER of at least 0"),
        ("balance", (("style", -1.0),), "must be NAME:NUMBER of at least 0"),
        ("balance", (("style", True),), "must be NAME:NUMBER of at least 0"),
        ("balance", (1.0,), "must be NAME:NUMBER of at least 0"),
        ("content", 3, "must be a text"),
        ("scales", "original", "must be a whole number from 1 to 32, or auto"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_would_be_right(name, value, said):
    with pytest.raises(InputError) as caught:
        Config(**{name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: {said}")
    assert "\n" not in str(caught.value)


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
    config, actions = config_lib.parse_config([f"--flagfile={path}"])
    assert actions == {}
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
        config, _ = config_lib.parse_config([argument])
        assert config == Config(adam_colors="opponent")


def test_attributes_of_options():
    def having(attribute):
        return {name for name, option in OPTIONS.items() if getattr(option, attribute)}

    assert having("destination") == {
        *("workdir", "output", "open", "overwrite", "serve", "serve_port", "serve_hosts"),
    }
    assert having("hashed") == {
        *("content", "style", "style_mask", "style_region", "regions", "init", "weights")
    }
    assert having("sets_defaults") == {
        *("objective", "strength", "optimizer", "quality", "backbone", "weights")
    }
    assert having("decides_loss") >= {"content", "style_weight", "balance", "backbone", "pooling"}
    assert not having("decides_loss") & {"init", "seed", "precision", "size", "iterations"}
    assert having("per_picture") >= {"content", "seed", "style_weight", "learning_rate", "workdir"}
    assert not having("per_picture") & {"size", "iterations", "optimizer", "style_layers"}
    assert all(OPTIONS[name].path for name in having("hashed"))
    for name in having("destination"):
        assert not OPTIONS[name].changes_result


# The command line and flagfiles


def test_nothing_given_is_the_default_config():
    assert config_lib.parse_config([]) == (Config(), {})


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--size=256", "size", 256),
        ("-size=256", "size", 256),
        ("--size=original", "size", "original"),
        ("--scales=auto", "scales", "auto"),
        ("--style=a.png,b.png", "style", ("a.png", "b.png")),
        ("--style_blend=3,7", "style_blend", (3.0, 7.0)),
        ("--coarse_iterations=", "coarse_iterations", ()),
        ("--nogif", "gif", False),
        ("--xla", "xla", True),
        ("--precision=float16", "precision", "float16"),
        ("--gif=false", "gif", False),
        ("--overwrite", "overwrite", True),
        ("--overwrite=True", "overwrite", True),
        ("--time_limit=90s", "time_limit", 90.0),
        ("--time_limit=5m", "time_limit", 300.0),
        ("--time_limit=2h", "time_limit", 7200.0),
        ("--content_layers=relu4_2", "content_layers", ("relu4_2",)),
        ("--content=a=b #1.jpg", "content", "a=b #1.jpg"),
    ],
)
def test_a_flag_becomes_a_value(argument, name, value):
    config = parse(argument)
    assert getattr(config, name) == value
    assert config == Config(**{name: value})


def test_a_value_may_follow_its_flag():
    assert parse("--size", "256", "--seed", "3") == Config(size=256, seed=3)


def test_relu4_2_resolves_to_the_keras_name():
    assert resolve(parse("--content_layers=relu4_2")).content_layers == ("block4_conv2",)


def test_later_flags_win_and_lists_are_replaced():
    config = parse("--size=64", "--style=a,b", "--size=96", "--style=c")
    assert (config.size, config.style) == (96, ("c",))


@pytest.mark.parametrize(
    ("action", "value"), [("help", "brief"), ("version", True), ("quiet", True)]
)
def test_actions(action, value):
    found = config_lib.parse_config([f"--{action}", "--size=64"])
    assert found == (Config(size=64), {action: value})


def test_flags_after_a_flagfile_win_and_those_before_it_lose(flagfile):
    argument = flagfile("--size=64\n--seed=1\n")
    assert parse("--size=96", argument) == Config(size=64, seed=1)
    assert parse(argument, "--size=96") == Config(size=96, seed=1)
    assert parse(*argument.split("="), "--size=96") == Config(size=96, seed=1)


def test_comments_blank_lines_and_spaces_are_skipped_in_a_flagfile(flagfile):
    text = "# --seed=1\n\n  --size=64  \n// --seed=2\n   # more\n--nogif\r\n"
    assert parse(flagfile(text)) == Config(size=64, gif=False)


def test_paths_of_a_flagfile_are_relative_to_its_folder(flagfile, tmp_path):
    text = (
        "--content=../p.jpg\n--style=s/a.png, b.png\n--init=i.png\n--weights=w.npz\n--workdir=r\n"
    )
    folder = tmp_path / "configs"
    config = parse(flagfile(text, "configs/a.cfg"))
    assert config.content == str(folder / "../p.jpg")
    assert config.style == (str(folder / "s/a.png"), str(folder / "b.png"))
    assert config.init == str(folder / "i.png")
    assert config.weights == str(folder / "w.npz")
    assert config.workdir == str(folder / "r")


def test_absolute_paths_and_words_of_a_flagfile_stay(flagfile):
    config = parse(flagfile("--content=/p.jpg\n--init=noise\n--weights=embedded\n"))
    assert (config.content, config.init, config.weights) == ("/p.jpg", "noise", "embedded")


def test_a_flagfile_may_start_a_path_at_home(flagfile, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert parse(flagfile("--content=~/p.jpg\n")).content == str(tmp_path / "home/p.jpg")
    unknown = "~no_such_user_here/p.jpg"
    assert parse(flagfile(f"--content={unknown}\n")).content == str(tmp_path / unknown)


def test_flagfiles_nest_with_paths_relative_to_each_folder(flagfile, tmp_path):
    flagfile("--content=p.jpg\n--size=64\n--seed=1\n", "base/base.cfg")
    config = parse(flagfile("--flagfile=../base/base.cfg\n--size=96\n", "mine/mine.cfg"))
    assert config.content == str(tmp_path / "mine/../base/p.jpg")
    assert (config.size, config.seed) == (96, 1)


def test_one_flagfile_may_be_read_twice(flagfile):
    flagfile("--seed=1\n", "base.cfg")
    argument = flagfile("--flagfile=base.cfg\n--seed=2\n--flagfile=base.cfg\n")
    assert parse(argument).seed == 1


@pytest.mark.parametrize("there", ["a.cfg", "b.cfg"])
def test_a_flagfile_that_includes_itself_is_refused(flagfile, there):
    flagfile("--flagfile=a.cfg\n", "b.cfg")
    assert refusal(flagfile(f"--flagfile={there}\n")).endswith("includes itself")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--stile=a.jpg", "--stile: unknown flag; did you mean --style?"),
        ("--zzzzzzzz=1", "--zzzzzzzz: unknown flag; --help=all lists all flags"),
        ("--nosize", "--nosize: unknown flag"),
        ("--helpfull", "--helpfull: unknown flag"),
        ("--undefok=a", "--undefok: unknown flag"),
        ("-undefok=a", "--undefok: unknown flag"),
        ("--size=x", "--size=x: must be a whole number of pixels from 32 to 32768, or original"),
        ("--size=1e-3", "--size=1e-3: must be a whole number of pixels"),
        ("--size=31", "--size=31: must be a whole number of pixels from 32 to 32768"),
        ("--size=", "--size=: must be a whole number of pixels from 32 to 32768, or original"),
        ("--content=", "--content=: must be a text, not empty"),
        ("--style=a,,b", "--style=a,,b: must be a text, not empty"),
        ("--style_weight=nan", "--style_weight=nan: must be a number of at least 0"),
        ("--style_weight=inf", "--style_weight=inf: must be a number of at least 0"),
        ("--style_weight=-1", "--style_weight=-1: must be a number of at least 0"),
        (
            "--style_layer_weights=1,-2",
            "--style_layer_weights=1,-2: must be a number or NAME:NUMBER",
        ),
        ("--style_layer_weights=a:", "--style_layer_weights=a:: must be a number or NAME:NUMBER"),
        ("--balance=style", "--balance=style: must be NAME:NUMBER of at least 0"),
        ("--balance=:1", "--balance=:1: must be NAME:NUMBER of at least 0"),
        (
            "--objective=gaty",
            "--objective=gaty: must be one of neighbors, relative, gatys, jcjohnson",
        ),
        ("--optimizer=adma", "--optimizer=adma: must be one of adam, lbfgs, "),
        ("--schedule=cos", "--schedule=cos: must be one of constant, linear, cosine"),
        ("--history=0", "--history=0: must be a whole number from 1 to 1000"),
        ("--average=1", "--average=1: must be a number from 0 to 0.99999"),
        ("--objective=foo", "--objective=foo: must be one of neighbors, relative, gatys"),
        ("--pooling=mean", "--pooling=mean: must be one of max, avg"),
        (
            "--precision=half",
            "--precision=half: must be one of auto, float32, bfloat16, float16",
        ),
        ("--gif=maybe", "--gif=maybe: must be true or false"),
        ("--gif=", "--gif=: must be true or false"),
        ("--device=tpu", "--device=tpu: must be auto, cpu, gpu, or gpu:N such as gpu:1"),
        ("--device=gpu:", "--device=gpu:: must be auto, cpu, gpu, or gpu:N such as gpu:1"),
        ("--time_limit=5x", "--time_limit=5x: must be a time such as 90s, 5m or 2h"),
        ("--time_limit=0", "--time_limit=0: must be a time such as 90s, 5m or 2h of at least 1 s"),
        ("--size", "--size: must be a whole number of pixels from 32 to 32768, or original; give "),
        ("--style", "--style: must be a text; give --style=VALUE"),
        ("--noxla=1", "--noxla=1: must be without a value; give --noxla or --xla=false"),
        ("--xla=on", "--xla=on: must be true or false"),
        ("--", "--: unknown flag"),
        ("--flagfile", "--flagfile: must be the path of a file; give --flagfile=VALUE"),
        ("--flagfile=none.cfg", "--flagfile=none.cfg: cannot be read: no such file"),
        ("--flagfile=", "--flagfile=.: cannot be read: Is a directory"),
    ],
)
def test_a_wrong_command_line_is_refused(argument, said):
    assert refusal(argument).startswith(said)


def test_a_boolean_flag_takes_no_value_after_a_space():
    assert parse("--overwrite", "false") == Config(content="false", overwrite=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("photo.jpg", "'photo.jpg' is not a flag; lines are --name=value or # comments"),
        ("--size=64 # small", "'--size=64 # small' has a comment after the value"),
        ("--size=64\t# small", "has a comment after the value; put it on a line of its own"),
        ('--size="64"', "has quotes around the value; leave them out"),
        ("--content='my photo.jpg'", "has quotes around the value; leave them out"),
        ('--style = "a.jpg","b.jpg"', "has quotes around the value; leave them out"),
        ("--flagfile=b.cfg # more", "'--flagfile=b.cfg # more' has a comment after the value"),
        ("--sise=64", "'--sise=64': unknown flag; did you mean --size?"),
        ("--size 64", "'--size 64': unknown flag; did you mean --size?"),
        ("--undefok=a", "'--undefok=a': unknown flag"),
    ],
)
def test_a_wrong_line_of_a_flagfile_is_refused_by_number(flagfile, line, said):
    argument = flagfile(f"# one\n--seed=1\n{line}\n")
    path = argument.removeprefix("--flagfile=")
    message = refusal(argument)
    assert message.startswith(f"{path}, line 3: ") and said in message


@pytest.mark.parametrize("line", ["--size=x", "--gif=maybe", "--style_weight=nan"])
def test_a_wrong_value_in_a_flagfile_is_refused_by_its_flag(flagfile, line):
    assert f"a.cfg, line 2: {line}: must be " in refusal(flagfile(f"\n{line}\n"))


def test_a_flagfile_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "a.cfg").write_bytes(b"\xff\xfe--size=64\n")
    argument = f"--flagfile={tmp_path / 'a.cfg'}"
    assert "is not a flag" in refusal(argument)


def random_value(option, rng):
    """Some value that an option may have."""
    if option.kind == "bool":
        return bool(rng.integers(2))
    if option.many:
        single = dataclasses.replace(option, many=False)
        return tuple(random_value(single, rng) for _ in range(rng.integers(4)))
    if option.choices:
        return option.choices[rng.integers(len(option.choices))]
    if option.words and rng.random() < 0.3:
        return str(rng.choice(option.words))
    if option.kind == "device":
        return str(rng.choice(["auto", "cpu", "gpu", "gpu:3"]))
    if option.kind == "text":
        return str(rng.choice(["noise", "relu4_2", "a b/ü=1.jpg", "/x/y.png", "#5.png"]))
    low, high = max(option.limits[0], -1e9), min(option.limits[1], 1e9)
    value = float(rng.choice([low, high, rng.uniform(low, high), min(low + rng.random(), high)]))
    if option.kind in ("named", "step_factor") or option.kind == "weight" and rng.random() < 0.5:
        return str(rng.choice(["tv", "style/block1_conv1", "a:b,c"])), value
    return value if option.kind in ("float", "duration", "weight") else int(value)


@pytest.mark.parametrize("seed", range(20))
def test_a_formatted_flagfile_gives_the_same_config(seed, flagfile):
    rng = np.random.default_rng(seed)
    values = {name: random_value(option, rng) for name, option in OPTIONS.items()}
    config = Config(**{name: value for name, value in values.items() if rng.random() < 0.8})
    text = config_lib.format_flagfile(config)
    assert config_lib.parse_config(text.splitlines()) == (config, {})


@pytest.mark.parametrize("objective", ["relative", "gatys"])
def test_a_resolved_config_survives_a_flagfile(objective, flagfile):
    config = resolve(Config("/p.jpg", ("/s.png", "/t.png"), objective=objective, time_limit=1e7))
    assert resolve(parse(flagfile(config_lib.format_flagfile(config)))) == config


def test_a_numpy_number_survives_a_flagfile(flagfile):
    config = Config(style_weight=np.float64(3.5))
    assert parse(flagfile(config_lib.format_flagfile(config))) == config


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes the programs of a folder, which is that of Python and of the search path if asked."""
    monkeypatch.setenv("PATH", str(tmp_path / "other"))

    def make(folder, *names, python=False, path=False):
        for name in names:
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).touch(0o755)
        if python:
            monkeypatch.setattr(sys, "executable", str(tmp_path / folder / "python"))
        if path:
            monkeypatch.setenv("PATH", str(tmp_path / folder))
        return tmp_path / folder

    return make


def test_a_command_is_quoted_for_the_shell(programs):
    programs("here", "nst", "python", python=True, path=True)
    command = config_lib.format_command(["--content=my photo.jpg", "--size=64"])
    assert command == "nst '--content=my photo.jpg' --size=64"


def test_a_command_names_a_program_of_the_same_installation(programs):
    here = programs("here", "python", python=True)
    assert config_lib.format_command([]) == f"{here / 'python'} -m nst_keras.run"
    programs("here", path=True)
    assert config_lib.format_command([]) == "python -m nst_keras.run"
    programs("here", "nst")
    assert config_lib.format_command([]) == "nst"
    programs("other", "nst", "python", path=True)
    assert config_lib.format_command([]) == str(here / "nst")


def test_commas_and_hashes_in_names_survive_a_flagfile(tmp_path):
    folder = tmp_path / "a, b #1"
    folder.mkdir()
    (folder / "photo.jpg").touch()
    config = Config(content=str(folder / "photo.jpg"), style=(str(folder / "photo.jpg"),) * 2)
    (folder / "flags.cfg").write_text(config_lib.format_flagfile(config))
    (folder / "own.cfg").write_text("--style=photo.jpg,photo.jpg")
    read, _ = config_lib.parse_config([f"--flagfile={folder / 'flags.cfg'}"])
    assert (read.content, read.style[0]) == (config.content, config.style[0])
    own, _ = config_lib.parse_config([f"--flagfile={folder / 'own.cfg'}"])
    assert own.style == (str(folder / "photo.jpg"),) * 2


def test_a_hash_in_the_name_of_a_file_that_is_gone_survives_a_flagfile(flagfile):
    config = Config(content="/gone/a #1.jpg", style=("/gone/b\t#2.jpg", "/gone/c.jpg"))
    text = config_lib.format_flagfile(config)
    assert parse(flagfile(text)) == config
    assert "# The # in the next line is part of its value.\n--content=/gone/a #1.jpg\n" in text
    other = text.replace("--seed=0", "--seed=0 # a comment")
    assert "'--seed=0 # a comment' has a comment" in refusal(flagfile(other))


def test_help_lists_every_option_and_action_once_and_nothing_else():
    listed = re.findall(r"^  --(?:\[no\])?(\w+)", HELP, re.MULTILINE)
    assert sorted(listed) == sorted([*OPTIONS, "flagfile", "help", "version", "quiet"])


def test_help_says_nothing_of_absls_own_flags():
    for word in ("absl", "undefok", "helpfull", "helpxml", "pdb", "verbosity"):
        assert word not in HELP


def test_help_fits_80_columns():
    assert max(len(line) for line in HELP.splitlines()) <= 80


@pytest.mark.parametrize(
    "said",
    [
        "Longest side of the result in pixels; original: the content's own.",
        "or original; default: 512]",
        "default: 16.0 with --objective=neighbors]",
        "max, avg",
        "--[no]gif",
    ],
)
def test_help_gives_units_choices_and_defaults(said):
    assert said in re.sub(r"\s+", " ", HELP)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("coarse_iterations", 2, (2,)),
        ("coarse_iterations", [3, 2], (3, 2)),
        ("coarse_iterations", "3,2", (3, 2)),
        ("style_blend", "3,7", (3.0, 7.0)),
        ("image_at", 10, (10,)),
        ("style", "a.png", ("a.png",)),
        ("style", Path("a, b.png"), ("a, b.png",)),
        ("init", Path("a.png"), "a.png"),
        ("content_layers", "block4_conv2,block5_conv2", ("block4_conv2", "block5_conv2")),
        ("style_layer_weights", ("block5_conv1", 0.1), (("block5_conv1", 0.1),)),
        ("style_layer_weights", 0.5, (0.5,)),
        ("balance", "content:1,style:4", (("content", 1.0), ("style", 4.0))),
        ("schedule_at", ("10", 0.5), (("10", 0.5),)),
    ],
)
def test_what_the_flag_accepts_is_accepted_in_python(name, given, kept):
    config = Config(**{name: given})
    assert getattr(config, name) == kept
    assert hash(config) == hash(Config(**{name: kept}))


@pytest.mark.parametrize("given", ["3,x", "", 0, (2, "x"), 2.5])
def test_other_values_of_a_tuple_are_refused_by_name(given):
    if given == "":
        assert Config(coarse_iterations="").coarse_iterations == ()
        return
    with pytest.raises(InputError, match="^coarse_iterations="):
        Config(coarse_iterations=given)


@pytest.mark.parametrize("name", ['"a".png"', "'", '"a b"', "'a # b'"])
def test_quotes_in_the_name_of_a_file_survive_a_flagfile(flagfile, name, tmp_path):
    saved = flagfile(config_lib.format_flagfile(Config(init=name)))
    assert parse(saved).init == str(tmp_path / name)
    (tmp_path / name).write_bytes(b"")  # a file of that name needs no mark
    assert parse(flagfile(f"--init={name}")).init == str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("style_weight", 8, "8.0"),
        ("style_weight", np.int64(8), "8.0"),
        ("style_blend", (3, 7), "3.0,7.0"),
        ("time_limit", 90, "90s"),
        ("balance", {"content": 1, "style": np.int32(4)}, "content:1.0,style:4.0"),
        ("schedule_at", [(50, 1)], "50:1.0"),
        ("style_layer_weights", [1, ("block2_conv1", 2)], "1.0,block2_conv1:2.0"),
    ],
)
def test_whole_numbers_are_kept_as_the_text_of_the_flag_is_read(name, given, text):
    option, value = OPTIONS[name], getattr(Config(**{name: given}), name)
    assert option.format(value) == text
    assert option.parse(text) == value
    assert option.format(option.parse(text)) == text


def test_flagfiles_name_files_with_brackets_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("pics [2024]/a.jpg", "pics [2024]/b*.jpg")
    config = Config(content="c[1].jpg", style=names)
    (tmp_path / "flags.cfg").write_text(format_flagfile(config))
    found, _ = parse_config(["--flagfile=flags.cfg"])
    assert (found.content, found.style) == (config.content, config.style)
    with pytest.raises(InputError, match="ends with a blank|has a blank at its end"):
        format_flagfile(Config(content="c.jpg ", style=names))


def test_a_color_is_no_comment(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_text("--region_colors=#ff0000, #00ff00 ,#ABC")
    found, _ = parse_config([f"--flagfile={path}"])
    assert found.region_colors == ("#ff0000", "#00ff00", "#ABC")
    path.write_text("--size=64 # as usual")
    with pytest.raises(InputError, match="has a comment after the value"):
        parse_config([f"--flagfile={path}"])


def test_a_pattern_in_a_flagfile_that_nothing_matches_is_told_with_its_line(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_text("--style=nothing/*.jpg")
    with pytest.raises(InputError, match=r", line 1: --style=nothing/\*\.jpg: no file matches"):
        parse_config([f"--flagfile={path}"])


def test_a_switch_of_two_words_is_suggested_as_it_is_written():
    with pytest.raises(InputError, match="did you mean --noframe_labels?"):
        parse_config(["--no-frame-labels"])
