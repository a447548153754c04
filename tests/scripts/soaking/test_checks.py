"""The checks of a run folder, a status and a log: each detects what it is for."""

import json
import shutil
import signal

import pytest

from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from scripts.soaking import checks, interruptions
from tests.scripts.soaking.conftest import LINES, save_state


def test_an_undamaged_run_has_no_problems(folder, run):
    metrics = (run / "metrics.jsonl").read_bytes()
    assert checks.torn_files(run, {}) == checks.leftovers(folder) == []
    assert checks.metrics_problems(metrics, metrics, checks.newest_step(run)) == []
    assert checks.differences(folder / "work", folder / "reference") == []
    assert checks.page_problems(run, folder / "page") == []
    assert not (folder / "page").exists()


@pytest.mark.parametrize(
    "name",
    [
        "result.png",
        "latest.jpg",
        "iterations/iteration_00004.jpg",
        "checkpoints/step_000000004.npz",
        "run.json",
        "index.html",
        "flags.cfg",
    ],
)
def test_a_torn_file_is_found(run, name):
    path = run / name
    cut = path.read_bytes()[:-20]
    path.write_bytes(cut)
    (problem,) = checks.torn_files(run, {})
    assert problem.startswith(f"{checks.TORN}: {name}: ")
    assert checks.torn_files(run, {path: cut}) == []  # damaged on purpose
    assert checks.torn_files(run, {path: cut[:-1]}) != []
    path.write_bytes(b"")
    assert len(checks.torn_files(run, {})) == 1


def test_a_changed_checkpoint_is_found_and_the_previous_one_counts(run):
    assert checks.newest_step(run) == 4
    path = run / "checkpoints" / "step_000000004.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert len(checks.torn_files(run, {})) == 1
    assert checks.newest_step(run) == 2
    shutil.rmtree(run / "checkpoints")
    assert checks.newest_step(run) == 0


def test_metrics_may_end_incomplete_but_not_differ_or_lack_lines():
    whole = "".join(LINES).encode()
    first = LINES[0].encode()
    assert checks.metrics_problems(whole[:-3], whole, 2) == []
    assert checks.metrics_problems(first + b'{"st', whole, 3) == []
    assert checks.metrics_problems(b"", whole, 0) == []
    for found, step, kind in (
        (b'{"st\n' + first, 0, checks.TORN),
        (first.replace(b"1.5", b"1.6"), 2, checks.DIFFERS),
        (first + first, 2, checks.DIFFERS),
        (whole + first, 4, checks.DIFFERS),
        (first, 4, checks.LOST),
        (whole[:-3], 4, checks.LOST),
    ):
        (problem,) = checks.metrics_problems(found, whole, step)
        assert problem.startswith(kind), (found, problem)


@pytest.mark.parametrize("where", ["work/run/.run.json.0a1b.tmp", "work/.copy.png.0a1b.tmp"])
def test_a_leftover_is_found_but_not_compared(folder, where):
    (folder / where).write_bytes(b"{")
    name = where.removeprefix("work/")
    assert checks.leftovers(folder / "work") == [f"{checks.LEFT}: {name}"]
    assert checks.torn_files(folder / "work", {}) == []
    assert checks.differences(folder / "work", folder / "reference") == []


@pytest.mark.parametrize(
    "name", ["result.png", "latest.jpg", "iterations/iteration_00004.jpg", "metrics.jsonl"]
)
def test_other_bytes_and_missing_files_are_found(folder, run, name):
    data = bytearray((run / name).read_bytes())
    data[-1] ^= 1
    (run / name).write_bytes(data)
    found = checks.differences(folder / "work", folder / "reference")
    assert found == [f"{checks.DIFFERS}: run/{name}: other bytes"]
    (run / name).unlink()
    (run / "more.png").write_bytes(b"")
    found = checks.differences(folder / "work", folder / "reference")
    assert found == [
        f"{checks.DIFFERS}: run/more.png: not in the reference",
        f"{checks.DIFFERS}: run/{name}: only in the reference",
    ] or found == [
        f"{checks.DIFFERS}: run/{name}: only in the reference",
        f"{checks.DIFFERS}: run/more.png: not in the reference",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": {"ssim": 0.6}}, "scores"),
        ({"status": "running"}, "status"),
        ({"settings": {"size": "49"}}, "settings"),
        ({"notes": []}, "notes: 'enlarged' is missing"),
    ],
)
def test_another_record_is_found(folder, run, changes, words):
    record = checks.read_record(run)
    (run / "run.json").write_text(json.dumps({**record, "seconds": 99, **changes}))
    (problem,) = checks.differences(folder / "work", folder / "reference")
    assert problem.startswith(f"{checks.DIFFERS}: run.json: {words}")


def test_another_last_state_is_found(folder, run):
    save_state(run, 2, value=0.1)  # earlier ones may be of other steps
    assert checks.differences(folder / "work", folder / "reference") == []
    save_state(run, 4, value=0.1)
    (problem,) = checks.differences(folder / "work", folder / "reference")
    assert problem.startswith(f"{checks.DIFFERS}: the state after step 4")
    shutil.rmtree(run / "checkpoints")
    assert checks.differences(folder / "work", folder / "reference") == [
        f"{checks.LOST}: the last checkpoint"
    ]


def test_an_outdated_page_is_found(folder, run):
    record = checks.read_record(run)
    (run / "run.json").write_text(json.dumps({**record, "status": "running"}))
    assert len(checks.page_problems(run, folder / "page")) == 1
    gallery.write_page(RunFolder(run))
    assert checks.page_problems(run, folder / "page") == []
    (run / "index.html").unlink()
    assert len(checks.page_problems(run, folder / "page")) == 1


@pytest.mark.parametrize(
    ("kind", "status", "log", "words"),
    [
        ("", 0, "", None),
        ("", 75, "", "75 after nothing"),
        ("", None, "", "hangs"),
        ("kill", -9, "", None),
        ("kill", 0, "", None),
        ("kill", 75, "", "75 after kill"),
        ("term", 75, "", None),
        ("term", -15, "", None),
        ("term", 1, "", "1 after term"),
        ("int", -2, "Traceback (most recent call last):", None),
        ("int", 75, "Traceback (most recent call last):", "with a traceback"),
        ("int", 1, 'File "<frozen importlib._bootstrap>"\nKeyboardInterrupt', None),
        ("int", 1, 'File "<frozen importlib._bootstrap>"\nFile "nst_keras/job.py"', "1 after int"),
        ("full", 74, "", None),
        ("full", 1, "Traceback (most recent call last):", "1 after full"),
        ("torn", -int(signal.SIGXFSZ), "", None),
    ],
)
def test_only_documented_exit_statuses_are_accepted(kind, status, log, words):
    found = checks.status_problems(kind, status, log)
    assert (words in found[0]) if words else found == []


def test_every_interruption_has_its_statuses():
    assert (
        {*interruptions.SIGNALS, *interruptions.FAULTS}
        == {*interruptions.WEIGHTS}
        == {*checks.STATUSES} - {""}
    )


def test_lost_work_is_found(run):
    log = "nst_keras: resuming after step 4"
    assert checks.resume_problems(4, True, 0, log) == []
    assert checks.resume_problems(0, True, 0, "") == []
    assert checks.resume_problems(4, False, 0, "") == []  # a folder of another job
    assert checks.resume_problems(4, True, 75, "") == []  # stopped before it resumed
    assert "after step 4, not 6" in checks.resume_problems(6, True, 0, log)[0]
    assert "started again" in checks.resume_problems(6, True, 0, "")[0]


def test_a_stop_that_saved_nothing_is_found(run):
    log = "nst_keras: stopped after step 4; resume with: ..."
    assert checks.stop_problems(run, 75, "interrupted") == []
    (problem,) = checks.stop_problems(run, 75, log)
    assert problem.endswith("finished after a stop")
    (run / "run.json").write_text('{"status": "interrupted"}')
    assert checks.stop_problems(run, 75, log) == []
    (run / "checkpoints" / "step_000000004.npz").unlink()
    (problem,) = checks.stop_problems(run, 75, log)
    assert problem.startswith(f"{checks.LOST}: the run stopped after step 4, but saved step 2")
