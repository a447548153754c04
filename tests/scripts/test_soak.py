"""The script that interrupts jobs at random: each of its checks can fail; and its short form."""

import errno
import importlib.util
import json
import os
import random
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
from tests.conftest import picture

resource = pytest.importorskip("resource")  # Unix
SCRIPT = Path(__file__).parent.parent.parent / "scripts/soak.py"
LINES = [json.dumps({"step": step, "scale": 0, "terms": {"total": 1.5}}) + "\n" for step in (2, 4)]


def load_script():
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


soak = load_script()


def save_state(run: Path, step: int, *, seconds: float = 1.0, value: float = 0.5) -> None:
    store = Checkpointer(run / "checkpoints", "a job", every=0, minutes=0, keep=9)
    store.save(Checkpoint(step, seconds, {"image": np.full((1, 8, 8, 3), value, np.float32)}))


def make_run(run: Path, *, seconds: float = 1.0) -> None:
    """A run folder as a run of 4 steps leaves it, but for the length of its names' list."""
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
    """Of a job, with what the twin and the interrupted one left: the same but for the clock."""
    make_run(tmp_path / "twin" / "run")
    make_run(tmp_path / "work" / "run", seconds=7.0)
    return tmp_path


@pytest.fixture
def run(folder) -> Path:
    return folder / "work" / "run"


def test_a_sound_run_has_no_problems(folder, run):
    metrics = (run / "metrics.jsonl").read_bytes()
    assert soak.torn_files(run, {}) == soak.leftovers(folder) == []
    assert soak.metrics_problems(metrics, metrics, soak.newest_step(run)) == []
    assert soak.differences(folder / "work", folder / "twin") == []
    assert soak.page_problems(run, folder / "page") == []
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
    (problem,) = soak.torn_files(run, {})
    assert problem.startswith(f"{soak.TORN}: {name}: ")
    assert soak.torn_files(run, {path: cut}) == []  # where the soak itself has cut it
    assert soak.torn_files(run, {path: cut[:-1]}) != []
    path.write_bytes(b"")
    assert len(soak.torn_files(run, {})) == 1


def test_a_checkpoint_with_changed_bytes_is_found_and_the_one_before_counts(run):
    assert soak.newest_step(run) == 4
    path = run / "checkpoints" / "step_000000004.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert len(soak.torn_files(run, {})) == 1
    assert soak.newest_step(run) == 2
    shutil.rmtree(run / "checkpoints")
    assert soak.newest_step(run) == 0


def test_metrics_may_end_torn_but_not_differ_or_fall_behind():
    whole = "".join(LINES).encode()
    first = LINES[0].encode()
    assert soak.metrics_problems(whole[:-3], whole, 2) == []
    assert soak.metrics_problems(first + b'{"st', whole, 3) == []
    assert soak.metrics_problems(b"", whole, 0) == []
    for found, step, kind in (
        (b'{"st\n' + first, 0, soak.TORN),
        (first.replace(b"1.5", b"1.6"), 2, soak.DIFFERS),
        (first + first, 2, soak.DIFFERS),
        (whole + first, 4, soak.DIFFERS),
        (first, 4, soak.LOST),
        (whole[:-3], 4, soak.LOST),
    ):
        (problem,) = soak.metrics_problems(found, whole, step)
        assert problem.startswith(kind), (found, problem)


@pytest.mark.parametrize("where", ["work/run/.run.json.0a1b.tmp", "work/.copy.png.0a1b.tmp"])
def test_a_leftover_is_found_but_not_compared(folder, where):
    (folder / where).write_bytes(b"{")
    name = where.removeprefix("work/")
    assert soak.leftovers(folder / "work") == [f"{soak.LEFT}: {name}"]
    assert soak.torn_files(folder / "work", {}) == []
    assert soak.differences(folder / "work", folder / "twin") == []


@pytest.mark.parametrize(
    "name", ["result.png", "latest.jpg", "iterations/iteration_00004.jpg", "metrics.jsonl"]
)
def test_other_bytes_and_missing_files_are_found(folder, run, name):
    data = bytearray((run / name).read_bytes())
    data[-1] ^= 1
    (run / name).write_bytes(data)
    found = soak.differences(folder / "work", folder / "twin")
    assert found == [f"{soak.DIFFERS}: run/{name}: other bytes"]
    (run / name).unlink()
    (run / "more.png").write_bytes(b"")
    found = soak.differences(folder / "work", folder / "twin")
    assert found == [
        f"{soak.DIFFERS}: run/more.png: not of the twin",
        f"{soak.DIFFERS}: run/{name}: only of the twin",
    ] or found == [
        f"{soak.DIFFERS}: run/{name}: only of the twin",
        f"{soak.DIFFERS}: run/more.png: not of the twin",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": {"ssim": 0.6}}, "scores"),
        ({"status": "running"}, "status"),
        ({"settings": {"size": "49"}}, "settings"),
        ({"notes": []}, "notes: without 'enlarged'"),
    ],
)
def test_another_record_is_found(folder, run, changes, words):
    record = soak.read_record(run)
    (run / "run.json").write_text(json.dumps({**record, "seconds": 99, **changes}))
    (problem,) = soak.differences(folder / "work", folder / "twin")
    assert problem.startswith(f"{soak.DIFFERS}: run.json: {words}")


def test_another_last_state_is_found(folder, run):
    save_state(run, 2, value=0.1)  # an earlier one may be of another moment
    assert soak.differences(folder / "work", folder / "twin") == []
    save_state(run, 4, value=0.1)
    (problem,) = soak.differences(folder / "work", folder / "twin")
    assert problem.startswith(f"{soak.DIFFERS}: the state after step 4")
    shutil.rmtree(run / "checkpoints")
    assert soak.differences(folder / "work", folder / "twin") == [
        f"{soak.LOST}: the last checkpoint"
    ]


def test_a_page_of_an_earlier_moment_is_found(folder, run):
    record = soak.read_record(run)
    (run / "run.json").write_text(json.dumps({**record, "status": "running"}))
    assert len(soak.page_problems(run, folder / "page")) == 1
    gallery.write_page(RunFolder(run))
    assert soak.page_problems(run, folder / "page") == []
    (run / "index.html").unlink()
    assert len(soak.page_problems(run, folder / "page")) == 1


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
def test_statuses_are_those_documented(kind, status, log, words):
    found = soak.status_problems(kind, status, log)
    assert (words in found[0]) if words else found == []


def test_every_interruption_has_its_statuses():
    assert {*soak.SIGNALS, *soak.FAULTS} == {*soak.WEIGHTS} == {*soak.STATUSES} - {""}


def test_work_that_is_lost_is_found(run):
    log = "nst_keras: resuming after step 4"
    assert soak.resume_problems(4, True, 0, log) == []
    assert soak.resume_problems(0, True, 0, "") == []
    assert soak.resume_problems(4, False, 0, "") == []  # a folder of another job
    assert soak.resume_problems(4, True, 75, "") == []  # stopped before it got there
    assert "after step 4, not 6" in soak.resume_problems(6, True, 0, log)[0]
    assert "began anew" in soak.resume_problems(6, True, 0, "")[0]


def test_a_stop_that_saved_nothing_is_found(run):
    log = "nst_keras: stopped after step 4; to go on: ..."
    assert soak.stop_problems(run, 75, "interrupted") == []
    (problem,) = soak.stop_problems(run, 75, log)
    assert problem.endswith("finished after a stop")
    (run / "run.json").write_text('{"status": "interrupted"}')
    assert soak.stop_problems(run, 75, log) == []
    (run / "checkpoints" / "step_000000004.npz").unlink()
    (problem,) = soak.stop_problems(run, 75, log)
    assert problem.startswith(f"{soak.LOST}: it stopped after step 4, its state is of 2")


@pytest.fixture
def inputs(tmp_path) -> Path:
    soak.make_inputs(tmp_path / "inputs")
    return tmp_path / "inputs"


def test_settings_are_valid_and_repeat(tmp_path, inputs):
    all_flags = []
    for number in range(300):
        job, again = (soak.Job(3, number, tmp_path / "job", inputs) for _ in range(2))
        assert (job.flags, job.blows) == (again.flags, again.blows)
        resolve.resolve(flags_lib.parse_config(job.flags)[0])
        all_flags += job.flags
        assert not job.blows[-1].kind and len(job.blows) > 1
    for flag in ("--tile_size=40", "--optimizer=lbfgs", "--precision=bfloat16", "--overwrite"):
        assert flag in all_flags


def write_all(folder: Path) -> None:
    """Five operations on files in a folder: mkdir, open, fsync, replace, unlink; and two more."""
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


def test_operations_on_files_are_counted(place):
    normal = (open, os.replace)
    with soak.Faults("", 1, 0, place).installed() as faults:
        write_all(place)
    assert faults.count == 5
    assert (open, os.replace) == normal


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_full_disk_refuses_one_operation(place, at):
    with (
        pytest.raises(OSError) as caught,
        soak.Faults("full", at, 0, place).installed() as faults,
    ):
        write_all(place)
    assert caught.value.errno == errno.ENOSPC and faults.count == at


def test_a_full_disk_lets_files_be_removed(place):
    with soak.Faults("full", 5, 0, place).installed():
        write_all(place)


def test_a_crash_and_limits_come_at_their_operation(place, monkeypatch):
    seen = []
    monkeypatch.setattr(soak.os, "kill", lambda pid, number: seen.append((pid, number)))
    monkeypatch.setattr(soak.resource, "setrlimit", lambda *limit: seen.append(limit))
    monkeypatch.setattr(soak.signal, "signal", lambda *handler: seen.append(handler))
    with soak.Faults("crash", 3, 0, place).installed():
        write_all(place)
    assert seen == [(os.getpid(), signal.SIGKILL)]
    seen.clear()
    with soak.Faults("limit", 3, 100, place).installed():
        write_all(place)
    ((which, (soft, _)),) = seen
    assert (which, soft) == (resource.RLIMIT_FSIZE, 100)
    seen.clear()
    with soak.Faults("torn", 3, 100, place).installed():
        write_all(place)
    assert (signal.SIGXFSZ, signal.SIG_DFL) in seen and seen[-1][0] == resource.RLIMIT_FSIZE


class Painted:
    """In place of a process: it has painted at once, or left a part and died."""

    died = 0  # how many of the first runs that are not the twin's
    after = staticmethod(lambda run: None)  # what it does to the finished folder

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


def play(monkeypatch, tmp_path, inputs, **changes):
    kind = type("Kind", (Painted,), {"died": 1, **changes})
    monkeypatch.setattr(soak, "Process", kind)
    job = soak.Job(0, 0, tmp_path / "job", inputs)
    job.flags = ["--workdir=run"]
    job.blows = [soak.Blow("crash", 0.5), soak.Blow("", 0.5)]
    job.play()
    return job


def test_a_job_whose_twin_is_equal_passes(monkeypatch, tmp_path, inputs):
    job = play(monkeypatch, tmp_path, inputs)
    assert job.problems == []
    assert job.story == ["crash 0.500 from step 0 -> -9", "peace 0.500 from step 0 -> 0"]
    assert job.counts["by crash"] == 1 and job.counts["starts"] == 2
    assert "job 0 passed" in soak._describe(job, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"died": 9}, "status: -9 after nothing"),
        ({"after": lambda run: images.write_image(run / "result.png", picture(9, 9))}, "differs"),
        ({"after": lambda run: (run / ".latest.jpg.0a.tmp").touch()}, "left over"),
        ({"after": lambda run: (run / "run.json").write_text('{"status": ')}, "torn: run.json"),
        ({"after": lambda run: (run / "result.png").unlink()}, "only of the twin"),
    ],
)
def test_a_job_that_fails_says_how_to_repeat_it(monkeypatch, tmp_path, inputs, changes, words):
    job = play(monkeypatch, tmp_path, inputs, **{n: _static(v) for n, v in changes.items()})
    assert any(words in problem for problem in job.problems), job.problems
    told = soak._describe(job, 5)
    assert "--seed=5 --only=0" in told and str(job.folder) in told and job.command in told
    assert sum(job.counts[kind] for kind in (soak.TORN, soak.DIFFERS, soak.LEFT, soak.STATUS)) > 0


def _static(value):
    return staticmethod(value) if callable(value) else value


def test_another_run_in_the_folder_must_vanish(monkeypatch, tmp_path, inputs):
    monkeypatch.setattr(soak, "Process", Painted)
    job = soak.Job(0, 0, tmp_path / "job", inputs)
    job.flags, job.blows = ["--overwrite"], [soak.Blow("", 0.5)]
    job.play()  # the stand-in leaves alone what is there
    assert any("iteration_00999.jpg: not of the twin" in problem for problem in job.problems)


@pytest.mark.parametrize("what", soak.DAMAGES)
def test_damage_is_done_and_known(run, tmp_path, inputs, what):
    job = soak.Job(0, 0, tmp_path, inputs)
    assert job._damage(what)
    assert job.counts[f"damaged {what}"] == 1
    assert soak.torn_files(run, job._damaged) == []
    if what == "checkpoint":
        assert soak.newest_step(run) == 2 and len(soak.torn_files(run, {})) == 1
    else:
        metrics = (run / "metrics.jsonl").read_bytes()
        assert soak.metrics_problems(metrics, "".join(LINES).encode(), 4) == []
        assert metrics != "".join(LINES).encode()


def test_damage_needs_something_to_damage(tmp_path, inputs):
    job = soak.Job(0, 0, tmp_path, inputs)
    for what in soak.DAMAGES:
        assert not job._damage(what)
    assert not job.counts


def test_blows_say_what_they_are_and_are_of_all_kinds():
    told = str(soak.Blow("torn", 0.25, 10, plain=True, alone=True, damage="metrics"))
    assert told == "torn 0.250 damaged metrics plain alone"
    kinds = {blow.kind for n in range(60) for blow in soak.random_blows(random.Random(n))}
    assert kinds == {"", *soak.WEIGHTS}


def test_all_jobs_are_summed_up(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(soak, "Process", Painted)
    monkeypatch.setattr(soak, "random_flags", lambda rng, inputs: ["--workdir=run"])
    assert soak.soak(soak._parse(["--jobs=3"]), tmp_path / "good") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 passed, 0 failed" and "0 differs" in lines[-2]
    assert [path.name for path in (tmp_path / "good").iterdir()] == ["inputs"]
    broken = type("Broken", (Painted,), {"after": staticmethod(lambda run: run.rename("gone"))})
    monkeypatch.setattr(soak, "Process", broken)
    monkeypatch.chdir(tmp_path)
    assert soak.soak(soak._parse(["--only=7", "--seed=2"]), tmp_path / "bad") == 1
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "0 passed, 1 failed" and "--seed=2 --only=7" in told
    assert (tmp_path / "bad" / "job_00007").exists()


def test_an_error_of_the_soak_itself_fails_that_job(monkeypatch, tmp_path, inputs):
    monkeypatch.setattr(soak.Job, "play", lambda job: 1 / 0)
    assert "ZeroDivisionError" in soak._play(0, 0, tmp_path).problems[0]


@pytest.mark.slow
def test_short_soak(tmp_path):
    command = [sys.executable, SCRIPT, "--jobs=6", f"--out={tmp_path / 'jobs'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.stdout.splitlines()[-1] == "6 passed, 0 failed", done.stdout + done.stderr
    assert done.returncode == 0 and not (tmp_path / "jobs").exists()
