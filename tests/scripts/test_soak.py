"""Interrupting runs at random: the command, and a short soak that passes."""

import subprocess
import sys

import pytest

from tests.scripts.conftest import SCRIPTS, load_script


@pytest.fixture
def soak(monkeypatch):
    """The script, which changes nothing in this process."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = load_script("soak")
    monkeypatch.setattr(module, "ENVIRONMENT", {})
    monkeypatch.setattr(module, "SIGNALS", {})
    monkeypatch.setattr(module, "PRELOADED", [])
    return module


def test_only_the_folder_of_jobs_that_passed_is_removed(soak, monkeypatch, tmp_path):
    failures = iter((0, 2, 0))

    def run_jobs(options, out):
        out.mkdir()
        return next(failures)

    monkeypatch.setattr(soak, "run_jobs", run_jobs)
    good, bad, kept = (tmp_path / name for name in ("good", "bad", "kept"))
    assert soak.main([f"--out={good}"]) == 0 and not good.exists()
    assert soak.main([f"--out={bad}"]) == 1 and bad.exists()
    assert soak.main([f"--out={kept}", "--keep"]) == 0 and kept.exists()


def test_one_run_with_a_fault(soak, monkeypatch):
    seen = []
    monkeypatch.setattr(soak, "run_with_fault", lambda *given: seen.append(given) or 75)
    assert soak.main(["--faulty=torn:7:300", "--", "--size=64", "--workdir=run"]) == 75
    assert seen == [(("torn", 7, 300), ["--size=64", "--workdir=run"])]


@pytest.mark.slow
def test_short_soak(tmp_path):
    command = [sys.executable, SCRIPTS / "soak.py", "--jobs=6", f"--out={tmp_path / 'jobs'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.stdout.splitlines()[-1] == "6 passed, 0 failed", done.stdout + done.stderr
    assert done.returncode == 0 and not (tmp_path / "jobs").exists()
