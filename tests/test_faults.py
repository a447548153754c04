"""Faults around a run: it ends with a message and a status, and can be resumed afterwards."""

import contextlib
import errno
import resource
import shutil
import time

import pytest
import tensorflow as tf

from nst_keras.devices import startup
from nst_keras.runs import command as run
from nst_keras.runs import scores
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.writers import RunWriter
from nst_keras.transfer import scale_run
from tests.conftest import files_of, flags_of, logged_steps

COMPARED = ("result.png", "metrics.jsonl", "progress.gif")


@pytest.fixture
def job(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """The flags of a run of 6 steps."""
    monkeypatch.chdir(tmp_path)
    return [*flags_of(picture_paths, tiny_weights_path), "--scales=1"]


@pytest.fixture(scope="module")
def whole(picture_paths, tiny_weights_path, tmp_path_factory):
    """Its files where nothing fails."""
    folder = tmp_path_factory.mktemp("nothing_fails") / "job"
    flags = [*flags_of(picture_paths, tiny_weights_path), "--scales=1", f"--workdir={folder}"]
    assert run.main(flags) == 0
    return files_of(folder)


def at_step(monkeypatch, step, act):
    """Have something happen once a step is recorded."""
    normal = RunWriter.write_pictures

    def call(self, iterate):
        normal(self, iterate)
        if iterate.step == step:
            act()

    monkeypatch.setattr(RunWriter, "write_pictures", call)


def one_line(capsys) -> str:
    """The last line on standard error, of which none is of a traceback."""
    log = capsys.readouterr().err
    assert "Traceback" not in log
    return log.strip().splitlines()[-1]


def assert_resumes(job, whole, tmp_path):
    """The same command ends with what it would have without the fault."""
    assert run.main(job) == 0
    found = files_of(tmp_path / "job")
    for name in COMPARED:
        assert found[name] == whole[name], name


@contextlib.contextmanager
def files_of_at_most(size):
    """What a quota and a full disk do: a file cannot grow beyond a number of bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 3000, 30_000])
def test_a_disk_quota_is_reached(job, whole, capsys, tmp_path, monkeypatch, size):
    with monkeypatch.context() as patch, files_of_at_most(size) as limit:
        at_step(patch, 1, limit)
        status = run.main(job)
    assert status == 74
    assert errno.errorcode[errno.EFBIG] == "EFBIG" and "File too large" in one_line(capsys)
    left = [*(tmp_path / "job").rglob("*.tmp"), *(tmp_path / "job").rglob(".*.tmp")]
    assert not left
    assert_resumes(job, whole, tmp_path)


def test_the_folder_is_deleted_during_the_run(job, whole, capsys, tmp_path, monkeypatch):
    def delete():  # all at once: the writer's thread would put new files into a half-empty one
        (tmp_path / "job").rename(tmp_path / "gone")
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)

    with monkeypatch.context() as patch:
        at_step(patch, 4, delete)
        status = run.main(job)
    assert status == 74
    assert "job" in one_line(capsys)
    shutil.rmtree(tmp_path / "job", ignore_errors=True)
    assert_resumes(job, whole, tmp_path)


def test_the_device_fails(job, whole, capsys, tmp_path, monkeypatch):
    normal, calls = scale_run.ScaleRun.run, []

    def gone(stage, steps):
        calls.append(steps)
        if len(calls) == 5:
            raise tf.errors.InternalError(None, None, "GPU is lost\nand more")
        return normal(stage, steps)

    with monkeypatch.context() as patch:
        patch.setattr(scale_run.ScaleRun, "run", gone)
        assert run.main(job) == 1
    assert "the device failed after step 4: GPU is lost; run" in one_line(capsys)
    assert_resumes(job, whole, tmp_path)


def test_the_device_fails_before_the_first_step(job, whole, capsys, tmp_path, monkeypatch):
    def gone(precision):
        raise tf.errors.InternalError(None, None, "Failed to create cuBLAS handle\nand more")

    with monkeypatch.context() as patch:
        patch.setattr(startup, "matrix_rate", gone)
        assert run.main(job) == 1
    assert "the device failed: Failed to create cuBLAS handle; run" in one_line(capsys)
    assert_resumes(job, whole, tmp_path)


def test_scores_that_do_not_fit_in_memory_are_left_out(job, whole, tmp_path, monkeypatch):
    def too_large(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(scores.Scorer, "score", too_large)
    scored = [flag for flag in job if flag != "--noscores"]
    assert run.main(scored) == 0
    record = RunFolder(tmp_path / "job").read_record()
    assert record.status == "finished" and not record.scores
    assert "scores: there is not enough memory" in record.notes


def test_the_host_runs_out_of_memory(job, whole, capsys, tmp_path, monkeypatch):
    def no_memory():
        raise MemoryError

    with monkeypatch.context() as patch:
        at_step(patch, 4, no_memory)
        assert run.main(job) == 1
    assert one_line(capsys) == "nst_keras: out of memory"
    assert logged_steps(tmp_path / "job") == [1, 2, 3, 4]
    assert_resumes(job, whole, tmp_path)


@pytest.mark.parametrize("jump", [-(10**6), 10**6])
def test_the_clock_jumps(job, whole, tmp_path, monkeypatch, jump):
    normal = time.time
    at_step(monkeypatch, 2, lambda: monkeypatch.setattr(time, "time", lambda: normal() + jump))
    assert_resumes(job, whole, tmp_path)
    assert 0 <= RunFolder(tmp_path / "job").read_record().seconds < 3600
