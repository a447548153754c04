"""The command that tells whether pictures can be painted, also in broken environments."""

import json
import os
import subprocess
import sys

import pytest

from nst_keras import doctor
from nst_keras.diagnosis import machine, packages
from nst_keras.diagnosis.finding import OK, PROBLEM, WARNING, Finding
from tests.conftest import ROOT

PAINTED = Finding(OK, "painting", "works")


@pytest.fixture
def trials(monkeypatch):
    """Replaces the process that paints; the list of what it is to find can be changed."""
    found = [PAINTED]
    monkeypatch.setattr(doctor, "findings_of_trial", lambda: iter(found))
    return found


@pytest.fixture
def command(tmp_path, trials, capsys):
    def call(*arguments):
        status = doctor.main([f"--folder={tmp_path / 'runs'}", *arguments])
        return status, capsys.readouterr().out

    return call


def test_a_sound_environment_is_told_line_by_line(command):
    status, out = command()
    *lines, last = out.splitlines()
    assert status == 0 and last == "nst_keras can paint pictures here"
    assert lines[0].startswith("ok       Python: ") and lines[-1] == PAINTED.line()
    assert all(line.split()[0] in (OK, WARNING) for line in lines)


def test_quiet_shows_only_what_needs_attention(command, trials):
    trials.append(Finding(WARNING, "GPU", "is not used", "install the extra"))
    status, out = command("--quiet")
    assert status == 0 and out.endswith("warning  GPU: is not used; install the extra\n")
    assert {line.split()[0] for line in out.splitlines()} == {WARNING}  # of this machine, too


def test_a_problem_of_the_painting_process_gives_status_1(command, trials):
    trials[:] = [Finding(PROBLEM, "TensorFlow", "its process was ended by SIGILL")]
    status, out = command()
    assert status == 1 and "problem  TensorFlow: its process was ended by SIGILL" in out
    assert out.endswith("nst_keras cannot paint a picture here: 1 problem, see above\n")


@pytest.mark.parametrize(
    ("module", "name"),
    [(packages, "check_required"), (machine, "check_weights"), (packages, "check_python")],
)
def test_nothing_is_painted_where_an_earlier_check_has_a_problem(
    module, name, command, monkeypatch
):
    monkeypatch.setattr(module, name, lambda: iter([Finding(PROBLEM, "x", "is broken", "do")]))
    status, out = command()
    assert status == 1 and "problem  x: is broken; do" in out and "painting" not in out


def test_an_error_in_a_check_is_a_line_too(command, monkeypatch):
    def fails():
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        yield

    monkeypatch.setattr(packages, "check_extras", fails)
    status, out = command()
    assert status == 1 and "problem  extras: UnicodeDecodeError" in out


def test_where_results_cannot_be_written_is_told_and_a_picture_is_painted_all_the_same(
    tmp_path, trials, capsys
):
    (tmp_path / "file").touch()
    assert doctor.main([f"--folder={tmp_path}/file/runs"]) == 1
    out = capsys.readouterr().out
    assert "problem  disk: " in out and PAINTED.line() in out


def test_json_is_for_bug_reports(command, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    status, out = command("--json")
    report = json.loads(out)
    assert status == 0 and report["findings"][-1]["topic"] == "painting"
    assert {entry["level"] for entry in report["findings"]} <= {OK, WARNING}
    assert str(tmp_path) not in out and "~/runs" in out


def test_help_and_wrong_flags(command, capsys):
    assert command("--help")[0] == 0
    assert doctor.main(["--jsn"]) == 2
    assert "did you mean --json?" in capsys.readouterr().err


# Packages that stand for broken ones, by the code that their import runs.
BROKEN = {
    "raises": ("tensorflow", 'raise ImportError("libcudart.so.12: cannot open")', "libcudart"),
    "crashes": (
        "tensorflow",
        "import os, signal\nos.kill(os.getpid(), signal.SIGILL)",
        "SIGILL",
    ),
    "no numpy": ("numpy", 'raise ModuleNotFoundError("No module named numpy")', "numpy"),
    "keras": ("keras", 'raise AttributeError("module has no attribute")', "no attribute"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_is_a_line_without_a_traceback(case, tmp_path):
    package, code, told = BROKEN[case]
    place = tmp_path / package
    place.mkdir()
    (place / "__init__.py").write_text(code)
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "nst_keras.doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert len(problems) == 1 and told in problems[0] and "; " in problems[0]


def test_a_picture_is_painted_in_a_process_of_its_own(tmp_path):
    """The real thing, with everything as a user has it."""
    done = subprocess.run(
        [sys.executable, "-m", "nst_keras.doctor", "--json", f"--folder={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    topics = [entry["topic"] for entry in json.loads(done.stdout)["findings"]]
    assert topics[-2:] == ["painting", "a default picture"]
