import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_keras import compare
from nst_keras.runs import comparison
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.errors import InputError
from tests.runs.test_gallery import Parsed, decoded, save

SETTINGS = {
    "content": "/home/me/harbor.jpg",
    "style": "/home/me/lily_pond.jpg",
    "workdir": "/home/me/runs/a",
    "log_every": "10",
    "style_weight": "8.0",
    "style_scale": "1.0",
    "init": "content",
    "style_layer_weights": "1.0,1.0,0.3",
}


def write_run(folder, settings=None, **changes):
    """A finished run of 40 steps, as far as a page looks."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "status": "finished",
        "step": 40,
        "total_steps": 40,
        "seconds": 12.5,
        "content": {"name": "harbor.jpg", "sha256": "aaaa1111"},
        "styles": [{"name": "lily_pond.jpg", "sha256": "bbbb2222"}],
        "settings": {**SETTINGS, "workdir": str(folder), **(settings or {})},
        "changed": ["style_weight"],
        "final_terms": {"total": 0.5, "tv": 0.1},
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(record))
    save(folder / "inputs" / "content.jpg", 40, 30)
    save(folder / "inputs" / "style_1.jpg", 20, 20)
    for step in (10, 20, 30, 40):
        save(folder / "iterations" / f"iteration_{step:05d}.jpg", 40, 30)
    save(folder / "latest.jpg", 40, 30)
    save(folder / "result.png", 40, 30)
    lines = [{"step": step, "terms": {"total": 1 / step, "tv": 0.1}} for step in (10, 20)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "index.html").write_text("the run's own page")
    return folder


@pytest.fixture
def runs(tmp_path):
    return [
        write_run(tmp_path / "runs" / "a"),
        write_run(tmp_path / "runs" / "b", {"style_weight": "20.0"}, scores={"ssim": 0.7}),
    ]


def gather(tmp_path, *runs, **options):
    return comparison.gather(tmp_path, runs, **options)


def read_data(page):
    return json.loads(Parsed(page.read_text("utf-8")).text["data"])


# What the page holds.


def test_only_the_settings_that_differ(tmp_path, runs):
    data = gather(tmp_path, *runs)

    assert data["varied"] == ["style_weight"]
    assert [run["settings"] for run in data["runs"]] == [
        {"style_weight": "8"},
        {"style_weight": "20"},
    ]
    assert data["shared"]["style_layer_weights"] == "1,1,0.3"
    assert data["shared"]["content"] == "harbor.jpg"
    assert not {"workdir", "log_every"} & set(data["shared"])


def test_numbers_of_a_run(tmp_path, runs):
    first, second = gather(tmp_path, *runs)["runs"]

    assert first["final_terms"] == {"total": 0.5, "tv": 0.1}
    assert (first["seconds"], first["step"], first["finished"]) == (12.5, 40, True)
    assert (first["scores"], second["scores"]) == ({}, {"ssim": 0.7})
    assert first["curves"] == {"steps": [10, 20], "terms": {"total": [0.1, 0.05], "tv": [0.1, 0.1]}}
    assert [one["step"] for one in first["iterations"]] == [10, 20, 30, 40]


def test_the_result_is_the_last_iteration(tmp_path, runs):
    save(runs[0] / "result.png", 44, 30, "red")

    iterations = gather(tmp_path, *runs)["runs"][0]["iterations"]

    assert [one["width"] for one in iterations] == [40, 40, 40, 44]


def test_an_unfinished_run_ends_with_its_newest_picture(tmp_path, runs):
    write_run(runs[1], status="interrupted", step=25, final_terms=None)
    (runs[1] / "result.png").unlink()
    (runs[1] / "iterations" / "iteration_00030.jpg").unlink()
    (runs[1] / "iterations" / "iteration_00040.jpg").unlink()
    save(runs[1] / "latest.jpg", 24, 18)

    run = gather(tmp_path, *runs)["runs"][1]

    assert (run["status"], run["finished"], run["final_terms"]) == ("interrupted", False, {})
    assert [one["step"] for one in run["iterations"]] == [10, 20, 25]
    assert run["iterations"][-1]["width"] == 24


def test_the_result_before_a_prolongation_is_not_its_newest_picture(tmp_path, runs):
    write_run(runs[1], status="interrupted", step=35, total_steps=60, final_terms=None)
    (runs[1] / "iterations" / "iteration_00040.jpg").unlink()
    save(runs[1] / "latest.jpg", 24, 18)

    run = gather(tmp_path, *runs)["runs"][1]

    assert (run["status"], run["finished"]) == ("interrupted", False)
    assert [one["step"] for one in run["iterations"]] == [10, 20, 30, 35]
    assert run["iterations"][-1]["width"] == 24


def test_inputs_are_named_when_they_differ(tmp_path, runs):
    write_run(runs[1], styles=[{"name": "wave.jpg"}, {"name": "<b>.jpg"}])

    data = gather(tmp_path, *runs)

    assert data["varied"] == ["style"]
    assert data["runs"][1]["settings"]["style"] == "wave.jpg, <b>.jpg"
    assert [shown["kind"] for shown in data["inputs"]] == ["content"]


def test_different_pictures_of_one_name_are_told_apart(tmp_path, runs):
    write_run(runs[1], content={"name": "harbor.jpg", "sha256": "cccc3333"})

    data = gather(tmp_path, *runs)

    named = [run["settings"]["content"] for run in data["runs"]]
    assert named == ["harbor.jpg (aaaa)", "harbor.jpg (cccc)"]


def test_settings_that_somebody_chose_come_first(tmp_path, runs):
    changed = {"init": "noise", "style_scale": "2.0", "style_weight": "3.0"}
    write_run(runs[1], changed, content={"name": "hill.jpg"}, changed=["init"])

    varied = gather(tmp_path, *runs)["varied"]

    assert varied == ["content", "style_weight", "init", "style_scale"]


def test_totals_of_different_objectives_are_marked(tmp_path, runs):
    assert gather(tmp_path, *runs)["incomparable"] == ["style_weight"]

    write_run(runs[1], {"init": "noise"})
    assert gather(tmp_path, *runs)["incomparable"] == []


def test_names_are_as_long_as_it_takes(tmp_path, runs):
    other = write_run(tmp_path / "more" / "a")

    assert [run["name"] for run in gather(tmp_path, *runs)["runs"]] == ["a", "b"]
    assert [run["name"] for run in gather(tmp_path, *runs, other, other)["runs"]] == [
        "runs/a",
        "runs/b",
        "more/a",
    ]


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("a b#c?d", "a%20b%23c%3Fd/index.html"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29/index.html"),
    ],
)
def test_links_are_relative_to_the_page(tmp_path, name, link):
    run = write_run(tmp_path / "runs" / name)
    (tmp_path / "pages").mkdir()

    assert gather(tmp_path / "runs", run)["runs"][0]["link"] == link
    assert gather(tmp_path / "pages", run)["runs"][0]["link"] == f"../runs/{link}"
    (run / "index.html").unlink()
    assert gather(tmp_path, run)["runs"][0]["link"] is None


def test_a_layout_names_two_settings(tmp_path, runs):
    data = gather(tmp_path, *runs, layout=("style_weight", "init"))

    assert data["layout"] == ["style_weight", "init"]
    assert [run["settings"]["init"] for run in data["runs"]] == ["content", "content"]
    for layout in (("style_weight", "no_setting"), ("style_weight",)):
        with pytest.raises(InputError, match="--layout=style_weight"):
            gather(tmp_path, *runs, layout=layout)


# The page itself.


def test_page_asks_for_nothing_outside_itself(tmp_path, runs):
    page = comparison.write_page(tmp_path / "page.html", runs)

    text = page.read_text("utf-8")
    assert set(re.findall(r"https?://[^\"'\s]*", text)) <= {"http://www.w3.org/2000/svg"}
    for tag, attributes in Parsed(text).tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert attributes.get("src", "data:").startswith("data:")
        assert tag != "link" or attributes["href"].startswith("data:")
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", text)


def test_same_runs_same_page(tmp_path, runs):
    first = comparison.write_page(tmp_path / "page.html", runs).read_bytes()

    assert comparison.write_page(tmp_path / "page.html", runs).read_bytes() == first


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>$data"


def test_hostile_text_stays_text(tmp_path):
    run = write_run(
        tmp_path / "<script>alert(1)<",
        {EVIL: EVIL, "style_weight": EVIL * 50},
        status=EVIL,
        content={"name": "\ud800" + EVIL},
        scores={EVIL: 1.0},
        final_terms={EVIL: 1.0},
    )
    other = write_run(tmp_path / "b")

    page = Parsed(
        comparison.write_page(tmp_path / "page.html", [run, other], EVIL + "\ud800").read_text(
            "utf-8"
        )
    )

    assert sum(tag == "script" for tag, _ in page.tags) == 2  # the data and the page's own
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text["title"].strip() == EVIL + "?"
    data = json.loads(page.text["data"])
    assert data["runs"][0]["name"] == "<script>alert(1)<"
    assert data["runs"][0]["scores"] == {EVIL: 1.0}
    assert len(data["runs"][0]["settings"]["style_weight"]) == comparison.MAX_TEXT


@pytest.mark.parametrize(
    "record",
    [
        '{"status": "runn',
        "[" * 100_000,
        "[]",
        json.dumps({"content": "x", "styles": 3, "settings": [1], "changed": 5, "scores": "x"}),
        json.dumps({"styles": [1, {"name": 2}], "final_terms": [1], "step": "9", "seconds": [1]}),
        '{"step": NaN, "total_steps": 1e999, "seconds": true, "final_terms": {"total": NaN}}',
        '{"step": 1%s, "scores": {"a": {"b": 1}, "c": null}}' % ("0" * 400),
    ],
)
def test_a_damaged_record_harms_no_page(tmp_path, runs, record):
    (runs[0] / "run.json").write_text(record)

    data = read_data(comparison.write_page(tmp_path / "page.html", runs))

    first, second = data["runs"]
    assert second["final_terms"] == {"total": 0.5, "tv": 0.1}
    assert len(first["iterations"]) in (4, 5)  # the pictures are there all the same
    assert first["step"] is first["seconds"] is None


def test_damaged_and_missing_files_are_left_out(tmp_path, runs):
    (runs[0] / "result.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (runs[0] / "latest.jpg").write_bytes(b"not a picture")
    (runs[0] / "iterations" / "iteration_00020.jpg").write_bytes(b"\xff\xd8")
    (runs[0] / "metrics.jsonl").write_text('{"step": Infinity, "terms": {}}\n')
    (runs[1] / "metrics.jsonl").unlink()
    (runs[1] / "metrics.jsonl").mkdir()
    (runs[1] / "inputs" / "content.jpg").unlink()

    first, second = gather(tmp_path, *runs)["runs"]

    assert [one["step"] for one in first["iterations"]] == [10, 30, 40]
    assert first["finished"] is False
    assert first["curves"] == second["curves"] == {"steps": [], "terms": {}}


def test_an_empty_folder_is_shown_as_unreadable(tmp_path, runs):
    (tmp_path / "empty").mkdir()

    data = gather(tmp_path, *runs, tmp_path / "empty", tmp_path / "not there")

    assert data["varied"] == ["style_weight"]
    for run in data["runs"][2:]:
        assert (run["status"], run["iterations"], run["settings"]) == ("unreadable", [], {})


@pytest.mark.parametrize(("runs", "pictures", "points"), [(2, 33, 400), (30, 9, 400), (999, 7, 60)])
def test_many_runs_share_the_room(tmp_path, runs, pictures, points):
    folder = write_run(tmp_path / "a")
    noise = np.random.default_rng(0).integers(0, 256, (200, 260, 3), np.uint8)
    Image.fromarray(noise).save(folder / "result.png")
    for step in range(1, 41):
        path = folder / "iterations" / f"iteration_{step:05d}.jpg"
        Image.fromarray(noise).save(path, quality=95)
    lines = [json.dumps({"step": step, "terms": {"total": 1.0}}) for step in range(900)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))

    run = RunFolder(folder)
    shown = comparison._pictures(run, run.read_record(), runs)["iterations"]

    assert (len(shown), len(comparison._curves(run, runs)["steps"])) == (pictures, points)
    assert sum(len(decoded(one)) for one in shown) * runs < comparison.PICTURE_BYTES
    assert (shown[-1]["width"], shown[-1]["height"]) == (260, 200)  # the file's own size


# The command line.


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder; returns its exit status and what it says."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*arguments):
        status = compare.main([str(argument) for argument in arguments])
        return status, capsys.readouterr().err

    return run


def test_writes_the_page_here(command, tmp_path, runs):
    status, said = command(*runs)

    assert (status, said) == (0, "nst_keras: comparison: comparison.html\n")
    data = read_data(tmp_path / "here" / "comparison.html")
    assert data["title"] == "2 runs side by side"
    assert data["runs"][0]["link"] == "../runs/a/index.html"


def test_output_title_and_layout(command, tmp_path, runs):
    page = tmp_path / "page.html"
    layout = "--layout=style_weight,style_scale"

    assert command(*runs, f"--output={page}", "--title=Ours & theirs", layout)[0] == 0

    assert Parsed(page.read_text("utf-8")).text["title"].strip() == "Ours & theirs"
    assert read_data(page)["layout"] == ["style_weight", "style_scale"]


def test_a_comparison_can_live_in_a_flagfile(command, tmp_path, runs):
    flagfile = tmp_path / "compare.cfg"
    flagfile.write_text("--run=runs/a\n--layout=init,style_weight\n--output=page.html\n")

    status, said = command(f"--flagfile={flagfile}", runs[1], "--title=Two")

    assert (status, said) == (0, f"nst_keras: comparison: {tmp_path / 'page.html'}\n")
    data = read_data(tmp_path / "page.html")
    assert [run["name"] for run in data["runs"]] == ["a", "b"]
    assert (data["title"], data["layout"]) == ("Two", ["init", "style_weight"])


def test_help(capsys):
    assert compare.main(["--help"]) == 0
    listed = re.findall(r"^  --(\w+)", capsys.readouterr().out, re.MULTILINE)
    assert listed == [
        *("run", "output", "title", "layout"),
        *("flagfile", "help", "version", "quiet"),
    ]


def test_its_own_page_is_replaced_and_nothing_else(command, runs):
    assert command(*runs)[0] == 0
    assert command(runs[0])[0] == 0
    assert read_data(Path("comparison.html"))["title"] == "a"

    status, said = command(*runs, f"--output={runs[0] / 'index.html'}")

    assert status == 2
    assert said.endswith("index.html: exists and is no comparison; give another name\n")
    assert (runs[0] / "index.html").read_text() == "the run's own page"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN: give at least one run folder"),
        (["not there"], "not there: is not a folder"),
        (["file"], "file: is not a folder"),
        (["empty"], "empty: is not a run folder"),
        (["RUN", "torn"], "torn: is not a run folder"),
        (["RUN", "--output=no/page.html"], "--output=no/page.html: there is no folder"),
        (["RUN", "--output=empty"], "--output=empty: is a folder"),
        (["RUN", "--output=file"], "--output=file: exists and is no comparison"),
        (["RUN", "--output="], "--output=: must be a text, not empty"),
        (["RUN", "--outptu=x"], "--outptu: unknown flag; did you mean --output?"),
        (["RUN", "--layout=style_weight"], "--layout=style_weight: must be two settings"),
        (["RUN", "--layout=a,b"], "--layout=a,b: must be two settings"),
    ],
)
def test_bad_input_is_one_line(command, tmp_path, runs, arguments, message):
    here = tmp_path / "here"
    (here / "empty").mkdir()
    (here / "file").write_text("mine")
    (here / "torn").mkdir()
    (here / "torn" / "run.json").write_text("{")

    status, said = command(*(runs[0] if word == "RUN" else word for word in arguments))

    assert status == 2
    assert said.startswith("nst_keras: ") and said.count("\n") == 1
    assert message in said
    assert sorted(path.name for path in here.iterdir()) == ["empty", "file", "torn"]


def test_a_full_disk_leaves_the_old_page(command, tmp_path, runs, monkeypatch):
    command(*runs)
    page = tmp_path / "here" / "comparison.html"
    before = page.read_bytes()

    def refuse(*_):
        raise OSError(28, "No space left on device", "comparison.html")

    monkeypatch.setattr("os.replace", refuse)
    status, said = command(runs[0])

    assert (status, said) == (74, "nst_keras: comparison.html: No space left on device\n")
    assert page.read_bytes() == before
    assert [path.name for path in page.parent.iterdir()] == ["comparison.html"]


def test_does_not_import_tensorflow():
    code = "import sys, nst_keras.compare; sys.exit('tensorflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
