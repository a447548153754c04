"""Trials: tables and --vary, good and bad; what wins over what, names, and contradictions."""

from pathlib import Path

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config, parse_config
from nst_keras.settings.resolve import resolve
from nst_keras.sweeps.trials import (
    Setting,
    TrialRow,
    format_flags,
    make_trials,
    read_matrix,
    read_vary,
    rebase_vary,
    slug,
    varied_names,
)

BASE = Config(content="photo.jpg", style=("painting.jpg",), style_weight=3.0)


@pytest.fixture
def table(tmp_path):
    """Writes a table; returns its path."""

    def write(text, name="trials.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refused(read, *arguments) -> str:
    with pytest.raises(InputError) as error:
        read(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def values(settings):
    return [setting.value for setting in settings]


def test_rows_are_named_noted_and_parsed(table):
    path = table(
        "name,style_weight,style_layer_weights,gif,note\r\n"
        'a,1e6,"1,0.8,0.5,0.3,0.1",false,"look, here"\r\n'
        "\r\n"
        ",,block5_conv1:0.1,,\r\n"
        ",,,,\r\n"
    )

    first, second = read_matrix(path)

    assert (first.name, first.note) == ("a", "look, here")
    assert {s.name: s.value for s in first.settings} == {
        "style_weight": 1e6,
        "style_layer_weights": (1.0, 0.8, 0.5, 0.3, 0.1),
        "gif": False,
    }
    assert values(second.settings) == [(("block5_conv1", 0.1),)]  # empty cells set nothing
    assert first.settings[0].place == f"{path}, row 2, column style_weight"
    assert second.place == f"{path}, row 4"  # as a spreadsheet counts


def test_spreadsheets_leave_a_byte_order_mark(table):
    (row,) = read_matrix(table("\ufeffstyle_weight,note\n3,größer\n"))

    assert values(row.settings) == [3.0]
    assert row.note == "größer"


def test_paths_are_relative_to_the_table(table, tmp_path):
    path = table('content,style,init,weights\na.jpg,"b.jpg,/c.jpg",noise,embedded\n')

    (row,) = read_matrix(path)

    folder = str(tmp_path)
    expected = [f"{folder}/a.jpg", (f"{folder}/b.jpg", "/c.jpg"), "noise", "embedded"]
    assert values(row.settings) == expected


def test_patterns_and_commas_of_a_table_are_those_of_its_folder(table, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = table('style\np*.jpg\n"x, y.jpg"\n')
    for name in ("p1.jpg", "p2.jpg", "x, y.jpg"):
        (path.parent / name).touch()
    Path("p9.jpg").touch()  # in the folder of the command
    first, second = read_matrix(path)
    assert values(first.settings) == [tuple(str(path.parent / p) for p in ("p1.jpg", "p2.jpg"))]
    assert values(second.settings) == [(str(path.parent / "x, y.jpg"),)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("style_weight\n", ["no row below its header"]),
        ("style_weight\n\n \n", ["no row below its header"]),
        ("style_wieght\n1\n", ["row 1, column style_wieght", "did you mean style_weight"]),
        ("style_weight;init\n1;noise\n", ["row 1, column style_weight;init", "by commas"]),
        ("style_weight,,init\n1,2,noise\n", ["row 1, column 2", "has no name"]),
        ("init,style_weight,init\na,1,b\n", ["row 1, column init", "twice"]),
        ("workdir\nruns/x\n", ["row 1, column workdir", "own folder in the sweep's --workdir"]),
        ("overwrite\ntrue\n", ["row 1, column overwrite", "cannot be set for a trial"]),
        ("output\nx.png\n", ["row 1, column output", "cannot be set for a trial"]),
        ("flagfile\nx.cfg\n", ["row 1, column flagfile", "unknown flag"]),
        ("init,style_weight\nnoise,1\n\nnoise,abc\n", ["row 4, column style_weight", "abc"]),
        ("style_weight\n-1\n", ["row 2, column style_weight", "at least 0"]),
        ("style_weight\nnan\n", ["row 2, column style_weight", "must be a number"]),
        ("gif\nmaybe\n", ["row 2, column gif", "true or false"]),
        ("objective\ngaty\n", ["row 2, column objective", "gatys"]),
        ("init,style_weight\nnoise\n", ["row 2, column style_weight", "is missing", "1 cells"]),
        ("name,style_layer_weights\na,1,0.8\n", ["row 2, column 3", "has no header", "quotes"]),
        (b"name,style_weight\nB\xe4r,1\n", ["row 2, column name", "UTF-8"]),
        (b"style_weight,gr\xf6\xdfe\n1,2\n", ["row 1, column 2", "UTF-8"]),
        ("style_weight\n1\n".encode("utf-16"), ["UTF-16"]),
        ('style_weight\n1\n"2"3\n', ["row 3", "cannot be read as CSV"]),
        ('style_weight\n1\n"2\n', ["row 3", "cannot be read as CSV"]),
    ],
)
def test_bad_tables_are_refused_with_the_place(table, text, words):
    path = table(text)
    message = refused(read_matrix, path)
    assert message.startswith((str(path), f"--matrix={path}")) and all(
        word in message for word in words
    ), message


def test_a_table_that_is_not_there(tmp_path):
    assert "no.csv: no such file" in refused(read_matrix, tmp_path / "no.csv")
    assert "cannot be read" in refused(read_matrix, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("style_weight=5e5,1e6", [5e5, 1e6]),
        ("init=noise, content", ["noise", "content"]),
        ("gif=true,false", [True, False]),
        ("style_layer_weights=1,1,1,1,1|1,.5,.2,.2,.1", [(1.0,) * 5, (1.0, 0.5, 0.2, 0.2, 0.1)]),
        ("style=a.jpg|b.jpg,c.jpg", [("a.jpg",), ("b.jpg", "c.jpg")]),
        ("content=a\\,b.jpg,c.jpg", ["a,b.jpg", "c.jpg"]),
        ("style_scale=2", [2.0]),
    ],
)
def test_alternatives(text, expected):
    assert values(read_vary(text)) == expected


def test_patterns_stand_for_files_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a,1.jpg", "c.png", "[x].jpg", ".hidden.jpg"):
        Path(name).touch()
    Path("folder.jpg").mkdir()

    assert values(read_vary("content=*.jpg")) == ["[x].jpg", "a,1.jpg", "b.jpg"]
    assert values(read_vary("content=c.png,b*.jpg")) == ["c.png", "b.jpg"]
    assert values(read_vary("style=a*.jpg|c.png")) == [("a,1.jpg",), ("c.png",)]
    assert values(read_vary("content=[x].jpg")) == ["[x].jpg"]  # a name, since it is there
    lists = [("[x].jpg", "b.jpg"), ("a,1.jpg", "b.jpg")]
    assert values(read_vary("style=[x].jpg,b.jpg|a*.jpg,b.jpg")) == lists


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("style_weight", ["--vary=style_weight", "NAME=VALUE"]),
        ("style_weight=", ["NAME=VALUE"]),
        ("style_weight=1,,2", ["--style_weight=", "not empty"]),
        ("style_wieght=1,2", ["did you mean style_weight"]),
        ("style_weight=1,x", ["--style_weight=x"]),
        ("style_weight=1,2,1.0", ["--vary=style_weight=1,2,1.0", "1.0 is there twice"]),
        ("style=a.jpg,b.jpg", ["--vary=style=a.jpg,b.jpg", "by |, as in"]),
        ("content=photos/*.jpg", ["no file matches photos/*.jpg"]),
        ("workdir=a,b", ["cannot be set for a trial"]),
        ("name=a,b", ["unknown flag"]),
    ],
)
def test_bad_variations_are_refused(text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(read_vary, text)
    assert all(word in message for word in words), message


def test_former_names_of_options_are_accepted(table):
    (row,) = read_matrix(table("adam_colours\nopponent\n"))
    for setting in (*row.settings, *read_vary("adam_colours=opponent")):
        assert (setting.name, setting.value) == ("adam_colors", "opponent")
    message = refused(read_matrix, table("adam_colors,adam_colours\nrgb,rgb\n"))
    assert "row 1, column adam_colours: appears twice" in message


@pytest.mark.parametrize(
    ("text", "rebased"),
    [
        ("style_weight=1,2", "style_weight=1,2"),
        ("content=a.jpg, b/c.jpg", "content=in [x]/a.jpg,in [x]/b/c.jpg"),
        ("content=/a.jpg", "content=/a.jpg"),
        ("content=a\\,b.jpg,c.jpg", "content=in [x]/a\\,b.jpg,in [x]/c.jpg"),
        ("content=*.jpg", "content=in [[]x]/*.jpg"),
        ("content=[there].jpg", "content=in [x]/[there].jpg"),
        ("init=noise,i.png", "init=noise,in [x]/i.png"),
        ("style=a.jpg,b.jpg|c.jpg", "style=in [x]/a.jpg,in [x]/b.jpg|in [x]/c.jpg"),
        ("style=d, e.jpg|c.jpg", "style=in [x]/d\\, e.jpg|in [x]/c.jpg"),
        ("content=", "content="),
        ("content=a.jpg,,b.jpg", "content=in [x]/a.jpg,,in [x]/b.jpg"),
        ("content", "content"),
        ("contnet=a.jpg", "contnet=a.jpg"),
    ],
)
def test_paths_of_a_vary_in_a_flagfile_are_relative_to_its_folder(
    text, rebased, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = Path("in [x]")
    folder.mkdir()
    (folder / "[there].jpg").touch()
    (folder / "d, e.jpg").touch()
    assert rebase_vary(text, folder) == rebased


def test_patterns_of_a_flagfile_find_files_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (Path("in [x]"), Path("in x")):
        folder.mkdir()
        for name in ("a.jpg", "[there].jpg"):
            (folder / name).touch()
    found = read_vary(rebase_vary("content=*.jpg", Path("in [x]")))
    assert values(found) == ["in [x]/[there].jpg", "in [x]/a.jpg"]
    assert values(read_vary(rebase_vary("content=[there].jpg", Path("in x")))) == [
        "in x/[there].jpg"
    ]


def row(name="", place="t.csv, row 2", **values):
    """A row that sets some options, as read from a table."""
    settings = tuple(
        Setting(key, str(value), value, f"{place}, column {key}") for key, value in values.items()
    )
    return TrialRow(place, name, "", settings)


def names(*arguments):
    return [trial.name for trial in make_trials(*arguments)]


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

    given, _ = parse_config(list(trial.arguments))

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
        (
            [],
            ["content_weight=0,1", "style_weight=0,1", "neighbors_weight=0"],
            ["nothing to optimize"],
        ),
    ],
)
def test_contradictions_are_refused_with_the_place(rows, variations, words):
    message = refused(make_trials, BASE, rows, [read_vary(text) for text in variations])
    assert all(word in message for word in words), message
