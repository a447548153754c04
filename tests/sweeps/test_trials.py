"""Trials: what wins over what, names that stay in their folder, and contradictions."""

from pathlib import Path

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings import flags
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.sweeps.table import Setting, TrialRow, read_vary
from nst_keras.sweeps.trials import format_flags, make_trials, slug, varied_names

BASE = Config(content="photo.jpg", style=("painting.jpg",), style_weight=3.0)


def row(name="", place="t.csv, row 2", **values):
    """A row that sets some options, as read from a table."""
    settings = tuple(
        Setting(key, str(value), value, f"{place}, column {key}") for key, value in values.items()
    )
    return TrialRow(place, name, "", settings)


def names(*arguments):
    return [trial.name for trial in make_trials(*arguments)]


def refused(base, rows, variations) -> str:
    with pytest.raises(InputError) as error:
        make_trials(base, rows, variations)
    return str(error.value)


def test_rows_times_all_combinations():
    variations = [read_vary("content_weight=1,2"), read_vary("init=noise,gray")]
    rows = [row("a", style_weight=5.0), row("b", place="t.csv, row 3")]

    trials = make_trials(BASE, rows, variations)

    assert [trial.name for trial in trials[:4]] == [
        "a_content_weight=1_init=noise",
        "a_content_weight=1_init=gray",
        "a_content_weight=2_init=noise",
        "a_content_weight=2_init=gray",
    ]
    assert len(trials) == 8
    assert {trial.config.style_weight for trial in trials} == {5.0, 3.0}  # the base, where not set
    assert varied_names(trials) == ["style_weight", "content_weight", "init"]


def test_a_trial_is_a_command_that_gives_its_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = Config(**{**vars(BASE), "gif": False, "time_limit": 90.0, "init": "noise"})
    (trial,) = make_trials(base, [row("a", style_blend=(1.0,), coarse_iterations=(3, 4))], [])

    given, _ = flags.parse_config(list(trial.arguments))

    assert resolve(given) == trial.config
    assert f"--content={tmp_path / 'photo.jpg'}" in trial.arguments  # wherever it is run
    assert "--init=noise" in trial.arguments and "--gif=false" in trial.arguments
    assert not any(flag.startswith("--weights") for flag in trial.arguments)  # as usual


def test_flags_say_nothing_of_the_folder():
    config = Config(workdir="runs/x", output="y.png", overwrite=True, size=64)
    assert format_flags(config) == ("--size=64",)


def test_text_is_as_written_or_as_decided():
    (trial,) = make_trials(BASE, [], [read_vary("style_weight=5e5")])
    assert trial.text("style_weight") == "5e5"
    assert trial.text("style_layer_weights") == "1.0,1.0,1.0,1.0,0.3"
    assert trial.text("gif") == "true"
    assert trial.text("time_limit") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("baseline", "baseline"),
        ("../../etc/passwd", "etc-passwd"),
        ("/etc", "etc"),
        ("..", "trial"),
        ("a\\b:c", "a-b-c"),
        (".hidden", "hidden"),
        ("größer 2", "größer-2"),
        ("x\udcff\n", "x"),
        ("style_weight=0.5", "style_weight=0.5"),
    ],
)
def test_names_lead_nowhere_else(text, expected):
    assert slug(text) == expected
    assert len(Path(slug(text)).parts) == 1


def test_long_names_are_cut_and_told_apart():
    first, second = slug("ä" * 300 + "1"), slug("ä" * 300 + "2")
    assert len(first.encode()) <= 120 and first != second


def test_names_of_unnamed_trials_are_their_settings():
    assert names(BASE, [row(style_weight=5, init="noise")], []) == ["style_weight=5_init=noise"]
    assert names(BASE, [row()], []) == ["base"]
    contents = read_vary("content=photos/one.jpg,two.png")
    styles = read_vary("style=a.jpg|a.jpg,b.jpg")
    assert names(BASE, [], [contents, styles]) == [
        "content=one_style=a",
        "content=one_style=a+b",
        "content=two_style=a",
        "content=two_style=a+b",
    ]


def test_pictures_of_one_name_in_two_folders():
    first, second, third = names(BASE, [], [read_vary("content=a/x.jpg,b/x.jpg,b/y.jpg")])
    assert first != second and first.startswith("content=x-") and third == "content=y"


@pytest.mark.parametrize(
    ("rows", "variations", "words"),
    [
        (
            [row("a"), row("A", "t.csv, row 3", init="gray")],
            [],
            ["t.csv, row 3, column name", "A is also the name of t.csv, row 2"],
        ),
        (
            [row("a/b"), row("a b", "t.csv, row 3", init="gray")],
            [],
            ["row 3, column name", "a-b is also the name"],
        ),
        (
            [row("a", init="gray"), row("b", "t.csv, row 3", init="gray")],
            [],
            ["t.csv, row 3: has the same settings as t.csv, row 2"],
        ),
        (
            [row(init="gray")],
            ["init=noise,gray"],
            ["--vary=init=noise,gray", "init is also set by", "column init"],
        ),
        ([], ["init=noise", "init=gray"], ["--vary=init=gray", "also set by --vary=init=noise"]),
        (
            [row("a"), row("b", "t.csv, row 3", style_layers=("block9_conv1",))],
            [],
            ["t.csv, row 3, column style_layers: --style_layers=block9_conv1"],
        ),
        (
            [row("a", style_blend=(1.0, 2.0))],
            [],
            ["t.csv, row 2, column style_blend: ", "--style has 1"],
        ),
        ([], ["content_weight=0,1", "style_weight=0,1"], ["nothing to optimize"]),
    ],
)
def test_contradictions_are_refused_with_the_place(rows, variations, words):
    message = refused(BASE, rows, [read_vary(text) for text in variations])
    assert "\n" not in message and all(word in message for word in words), message
