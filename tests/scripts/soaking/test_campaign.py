"""Many jobs and the report on them."""

import argparse

from scripts.soaking import campaign
from scripts.soaking import job as job_lib
from scripts.soaking.job import Job
from tests.scripts.soaking.conftest import FakeProcess


def options(**changes):
    """The flags of the script."""
    given = {"jobs": 3, "parallel": 2, "seed": 0, "only": None, "keep": False}
    return argparse.Namespace(**{**given, **changes})


def test_all_jobs_are_reported(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(job_lib, "Process", FakeProcess)
    monkeypatch.setattr(job_lib, "random_flags", lambda rng, inputs: ["--workdir=run"])
    assert campaign.run_jobs(options(), tmp_path / "good") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 passed, 0 failed" and "0 differs" in lines[-2]
    assert [path.name for path in (tmp_path / "good").iterdir()] == ["inputs"]
    broken = type("Broken", (FakeProcess,), {"after": staticmethod(lambda run: run.rename("gone"))})
    monkeypatch.setattr(job_lib, "Process", broken)
    monkeypatch.chdir(tmp_path)
    assert campaign.run_jobs(options(only=7, seed=2), tmp_path / "bad") == 1
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "0 passed, 1 failed" and "--seed=2 --only=7" in told
    assert (tmp_path / "bad" / "job_00007").exists()


def test_an_error_in_the_script_fails_that_job(monkeypatch, tmp_path, inputs):
    monkeypatch.setattr(Job, "execute", lambda job: 1 / 0)
    assert "ZeroDivisionError" in campaign._execute(0, 0, tmp_path).problems[0]
