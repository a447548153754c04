"""One job: it compares two runs, and a failed one says how to repeat it."""

import pytest

from nst_keras.imaging import images
from scripts.soaking import campaign, checks, interruptions
from scripts.soaking import job as job_lib
from scripts.soaking.interruptions import Interruption
from scripts.soaking.job import Job
from tests.conftest import picture
from tests.scripts.soaking.conftest import LINES, FakeProcess


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
