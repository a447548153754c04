"""Interrupting runs at random: every check detects what it is for; and a short soak passes."""

import errno
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer
from nst_keras.settings import flags as flags_lib
from nst_keras.settings import resolve
from scripts.soaking import campaign, checks, faults, interruptions, settings
from scripts.soaking import job as job_lib
from scripts.soaking.faults import Faults
from scripts.soaking.interruptions import Interruption
from scripts.soaking.job import Job
from tests.conftest import picture

SCRIPT = Path(__file__).parent.parent.parent / "scripts/soak.py"
LINES = [json.dumps({"step": step, "scale": 0, "terms": {"total": 1.5}}) + "\n" for step in (2, 4)]


def save_state(run: Path, step: int, *, seconds: float = 1.0, value: float = 0.5) -> None:
    checkpointer = Checkpointer(run / "checkpoints", "a run", every=0, minutes=0, keep=9)
    state = {"scale": {"image": np.full((1, 8, 8, 3), value, np.float32)}}
    checkpointer.save(Checkpoint(step, seconds, state))


def make_run(run: Path, *, seconds: float = 1.0) -> None:
    """Make a run folder as a run of 4 steps leaves it, with few pictures."""
    for name in ("iterations", "inputs", "checkpoints"):
        (run / name).mkdir(parents=True)
    shown = picture(24, 32)
    names = ("result.png", "latest.jpg", "iterations/iteration_00004.jpg", "inputs/content.jpg")
    for name in names:
        images.write_image(run / name, shown)
    (run / "metrics.jsonl").write_text("".join(LINES))
    (run / "flags.cfg").write_text(f"--size=48\n--workdir={run}\n")
    record = {"status": "finished", "step": 4, "seconds": seconds, "scores": {"ssim": 0.5}}
    record |= {"notes": ["enlarged"], "settings": {"size": "48", "workdir": str(run)}}
    (run / "run.json").write_text(json.dumps(record))
    for step in (2, 4):
        save_state(run, step, seconds=seconds)
    gallery.write_page(RunFolder(run))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The folder of a job whose two runs are equal except for times."""
    make_run(tmp_path / "reference" / "run")
    make_run(tmp_path / "work" / "run", seconds=7.0)
    return tmp_path


@pytest.fixture
def run(folder) -> Path:
    return folder / "work" / "run"


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


@pytest.fixture
def inputs(tmp_path) -> Path:
    settings.make_inputs(tmp_path / "inputs")
    return tmp_path / "inputs"


def test_settings_are_valid_and_repeat(tmp_path, inputs):
    all_flags = []
    for number in range(300):
        job, again = (Job(3, number, tmp_path / "job", inputs) for _ in range(2))
        assert (job.flags, job.interruptions) == (again.flags, again.interruptions)
        resolve.resolve(flags_lib.parse_config(job.flags)[0])
        all_flags += job.flags
        assert not job.interruptions[-1].kind and len(job.interruptions) > 1
    for flag in ("--tile_size=40", "--optimizer=lbfgs", "--precision=bfloat16", "--overwrite"):
        assert flag in all_flags


def write_all(folder: Path) -> None:
    """Do five operations that count: mkdir, open, fsync, replace, unlink; and two that do not."""
    (folder / "new").mkdir(exist_ok=True)
    with open(folder / "new" / "file", "w") as file:
        file.write("text")
        os.fsync(file.fileno())
    os.replace(folder / "new" / "file", folder / "new" / "name")
    (folder / "new" / "name").read_text()  # nothing is written
    (folder.parent / "elsewhere").write_text("not in the folder")
    (folder / "new" / "name").unlink()


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_file_operations_are_counted(place):
    normal = (open, os.replace)
    with Faults("", 1, 0, place).installed() as counted:
        write_all(place)
    assert counted.count == 5
    assert (open, os.replace) == normal


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_full_disk_refuses_one_operation(place, at):
    with (
        pytest.raises(OSError) as caught,
        Faults("full", at, 0, place).installed() as counted,
    ):
        write_all(place)
    assert caught.value.errno == errno.ENOSPC and counted.count == at


def test_files_can_be_removed_from_a_full_disk(place):
    with Faults("full", 5, 0, place).installed():
        write_all(place)


def test_a_crash_and_limits_happen_at_their_operation(place, monkeypatch):
    seen = []
    monkeypatch.setattr(faults.os, "kill", lambda pid, number: seen.append((pid, number)))
    monkeypatch.setattr(faults.resource, "setrlimit", lambda *limit: seen.append(limit))
    monkeypatch.setattr(faults.signal, "signal", lambda *handler: seen.append(handler))
    with Faults("crash", 3, 0, place).installed():
        write_all(place)
    assert seen == [(os.getpid(), signal.SIGKILL)]
    seen.clear()
    with Faults("limit", 3, 100, place).installed():
        write_all(place)
    ((which, (soft, _)),) = seen
    assert (which, soft) == (resource.RLIMIT_FSIZE, 100)
    seen.clear()
    with Faults("torn", 3, 100, place).installed():
        write_all(place)
    assert (signal.SIGXFSZ, signal.SIG_DFL) in seen and seen[-1][0] == resource.RLIMIT_FSIZE


class FakeProcess:
    """Replaces a process: it has finished at once, or died."""

    died = 0  # how many of the first runs, except the reference, die
    after = staticmethod(lambda run: None)  # changes the finished folder

    def __init__(self, flags, folder, fault=("", 0, 0), *, plain=False):
        run = folder / "run"
        self.log = "soak: 9 file operations"
        self._status = 0
        if folder.name == "work" and type(self).died:
            type(self).died -= 1
            self._status = -9
        elif not (run / "result.png").exists():
            shutil.rmtree(run, ignore_errors=True)
            make_run(run)
            if folder.name == "work":
                type(self).after(run)

    def wait(self, seconds):
        return self._status

    def begin(self):
        pass

    def send(self, number):
        pass

    def close(self):
        pass


def execute(monkeypatch, tmp_path, inputs, **changes):
    kind = type("Kind", (FakeProcess,), {"died": 1, **changes})
    monkeypatch.setattr(job_lib, "Process", kind)
    job = Job(0, 0, tmp_path / "job", inputs)
    job.flags = ["--workdir=run"]
    job.interruptions = [Interruption("crash", 0.5), Interruption("", 0.5)]
    job.execute()
    return job


def test_a_job_whose_runs_are_equal_passes(monkeypatch, tmp_path, inputs):
    job = execute(monkeypatch, tmp_path, inputs)
    assert job.problems == []
    assert job.history == ["crash 0.500 from step 0 -> -9", "none 0.500 from step 0 -> 0"]
    assert job.counts["by crash"] == 1 and job.counts["starts"] == 2
    assert "job 0 passed" in campaign._describe(job, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"died": 9}, "status: -9 after nothing"),
        ({"after": lambda run: images.write_image(run / "result.png", picture(9, 9))}, "differs"),
        ({"after": lambda run: (run / ".latest.jpg.0a.tmp").touch()}, "left over"),
        ({"after": lambda run: (run / "run.json").write_text('{"status": ')}, "torn: run.json"),
        ({"after": lambda run: (run / "result.png").unlink()}, "only in the reference"),
    ],
)
def test_a_job_that_fails_says_how_to_repeat_it(monkeypatch, tmp_path, inputs, changes, words):
    job = execute(monkeypatch, tmp_path, inputs, **{n: _static(v) for n, v in changes.items()})
    assert any(words in problem for problem in job.problems), job.problems
    report = campaign._describe(job, 5)
    assert "--seed=5 --only=0" in report and str(job.folder) in report and job.command in report
    assert (
        sum(job.counts[kind] for kind in (checks.TORN, checks.DIFFERS, checks.LEFT, checks.STATUS))
        > 0
    )


def _static(value):
    return staticmethod(value) if callable(value) else value


def test_another_run_in_the_folder_must_be_removed(monkeypatch, tmp_path, inputs):
    monkeypatch.setattr(job_lib, "Process", FakeProcess)
    job = Job(0, 0, tmp_path / "job", inputs)
    job.flags, job.interruptions = ["--overwrite"], [Interruption("", 0.5)]
    job.execute()  # the fake process leaves it there
    assert any("iteration_00999.jpg: not in the reference" in problem for problem in job.problems)


@pytest.mark.parametrize("what", interruptions.DAMAGES)
def test_damage_is_done_and_remembered(run, tmp_path, inputs, what):
    job = Job(0, 0, tmp_path, inputs)
    assert job._damage(what)
    assert job.counts[f"damaged {what}"] == 1
    assert checks.torn_files(run, job._damaged) == []
    if what == "checkpoint":
        assert checks.newest_step(run) == 2 and len(checks.torn_files(run, {})) == 1
    else:
        metrics = (run / "metrics.jsonl").read_bytes()
        assert checks.metrics_problems(metrics, "".join(LINES).encode(), 4) == []
        assert metrics != "".join(LINES).encode()


def test_damage_needs_something_to_damage(tmp_path, inputs):
    job = Job(0, 0, tmp_path, inputs)
    for what in interruptions.DAMAGES:
        assert not job._damage(what)
    assert not job.counts


def test_interruptions_are_of_all_kinds_and_describe_themselves():
    told = str(Interruption("torn", 0.25, 10, plain=True, alone=True, damage="metrics"))
    assert told == "torn 0.250 damaged metrics plain alone"
    kinds = {
        one.kind for n in range(60) for one in interruptions.random_interruptions(random.Random(n))
    }
    assert kinds == {"", *interruptions.WEIGHTS}


@pytest.fixture
def parse(monkeypatch):
    """The function that parses the flags of the script."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._parse


def test_all_jobs_are_reported(monkeypatch, parse, tmp_path, capsys):
    monkeypatch.setattr(job_lib, "Process", FakeProcess)
    monkeypatch.setattr(job_lib, "random_flags", lambda rng, inputs: ["--workdir=run"])
    assert campaign.run_jobs(parse(["--jobs=3"]), tmp_path / "good") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 passed, 0 failed" and "0 differs" in lines[-2]
    assert [path.name for path in (tmp_path / "good").iterdir()] == ["inputs"]
    broken = type("Broken", (FakeProcess,), {"after": staticmethod(lambda run: run.rename("gone"))})
    monkeypatch.setattr(job_lib, "Process", broken)
    monkeypatch.chdir(tmp_path)
    assert campaign.run_jobs(parse(["--only=7", "--seed=2"]), tmp_path / "bad") == 1
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "0 passed, 1 failed" and "--seed=2 --only=7" in told
    assert (tmp_path / "bad" / "job_00007").exists()


def test_an_error_in_the_script_fails_that_job(monkeypatch, tmp_path, inputs):
    monkeypatch.setattr(Job, "execute", lambda job: 1 / 0)
    assert "ZeroDivisionError" in campaign._execute(0, 0, tmp_path).problems[0]


@pytest.mark.slow
def test_short_soak(tmp_path):
    command = [sys.executable, SCRIPT, "--jobs=6", f"--out={tmp_path / 'jobs'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.stdout.splitlines()[-1] == "6 passed, 0 failed", done.stdout + done.stderr
    assert done.returncode == 0 and not (tmp_path / "jobs").exists()
