import re
import subprocess
import sys
from pathlib import Path

import pytest

from nst_keras import compare
from tests.conftest import in_a_thread
from tests.runs.conftest import Parsed, page_data, write_run


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path / "runs" / name) for name in "ab"]


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
    data = page_data(tmp_path / "here" / "comparison.html")
    assert data["title"] == "2 runs side by side"
    assert data["runs"][0]["link"] == "../runs/a/index.html"


def test_off_the_main_thread_it_does_the_same(command, runs):
    assert in_a_thread(lambda: command(*runs)) == (
        0,
        "nst_keras: comparison: comparison.html\n",
    )


def test_output_title_and_layout(command, tmp_path, runs):
    page = tmp_path / "page.html"
    layout = "--layout=style_weight,style_scale"

    assert command(*runs, f"--output={page}", "--title=Ours & theirs", layout)[0] == 0

    assert Parsed(page.read_text("utf-8")).text["title"].strip() == "Ours & theirs"
    assert page_data(page)["layout"] == ["style_weight", "style_scale"]


def test_a_comparison_can_live_in_a_flagfile(command, tmp_path, runs):
    flagfile = tmp_path / "compare.cfg"
    flagfile.write_text("--run=runs/a\n--layout=init,style_weight\n--output=page.html\n")

    status, said = command(f"--flagfile={flagfile}", runs[1], "--title=Two")

    assert (status, said) == (0, f"nst_keras: comparison: {tmp_path / 'page.html'}\n")
    data = page_data(tmp_path / "page.html")
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
    before = Path("comparison.html").read_bytes()
    status, said = command(*runs, "--title=Again")
    assert (status, Path("comparison.html").read_bytes()) == (2, before)
    assert said.endswith("exists; give another name, or --overwrite to replace it\n")
    assert command(*runs, "--title=Again", "--overwrite")[0] == 0
    assert page_data(Path("comparison.html"))["title"] == "Again"

    status, said = command(*runs, f"--output={runs[0] / 'index.html'}")

    assert status == 2
    assert said.endswith("index.html: exists and is not a comparison; give another name\n")
    assert (runs[0] / "index.html").read_text() == "the run's own page"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN is missing; give at least two run folders"),
        (["not there"], "not there: no such folder; give a run folder"),
        (["https://example.com/run"], "URLs are not read; download the file"),
        (["file"], "file: is not a folder"),
        (["empty"], "empty: is not a run folder"),
        (["RUN", "torn"], "torn: is not a run folder"),
        (["RUN"], "give at least one more run folder"),
        (["RUN", "RUN"], "give at least one more run folder"),
        (["RUN", "RUN 2", "--output=no/page.html"], "--output=no/page.html: there is no folder"),
        (["RUN", "RUN 2", "--output=empty"], "--output=empty: is a folder"),
        (["RUN", "RUN 2", "--output=file"], "--output=file: exists and is not a comparison"),
        (["RUN", "--output="], "--output=: must be a text, not empty"),
        (["RUN", "--outptu=x"], "--outptu: unknown flag; did you mean --output?"),
        (["RUN", "RUN 2", "--layout=style_weight"], "--layout=style_weight: must be two settings"),
        (["RUN", "RUN 2", "--layout=a,b"], "--layout=a,b: must be two settings"),
    ],
)
def test_bad_input_is_one_line(command, tmp_path, runs, arguments, message):
    here = tmp_path / "here"
    (here / "empty").mkdir()
    (here / "file").write_text("mine")
    (here / "torn").mkdir()
    (here / "torn" / "run.json").write_text("{")

    status, said = command(
        *({"RUN": runs[0], "RUN 2": runs[1]}.get(word, word) for word in arguments)
    )

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
    status, said = command(*runs, "--overwrite")

    assert (status, said) == (74, "nst_keras: comparison.html: No space left on device\n")
    assert page.read_bytes() == before
    assert [path.name for path in page.parent.iterdir()] == ["comparison.html"]


def test_does_not_import_tensorflow():
    code = "import sys, nst_keras.compare; sys.exit('tensorflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
