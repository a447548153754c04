"""Findings: lines for people, errors that become findings, and nothing that names the user."""

import os

import pytest

from nst_keras.diagnosis import finding
from nst_keras.diagnosis.finding import OK, PROBLEM, Finding, anonymous, guarded
from nst_keras.runtime.errors import InputError


def test_a_finding_is_one_line_with_its_remedy():
    assert Finding(OK, "disk", "1 GiB free").line() == "ok       disk: 1 GiB free"
    line = Finding(PROBLEM, "keras", "is too old\nreally", "pip install keras").line()
    assert line == r"problem  keras: is too old\nreally; pip install keras"


@pytest.mark.parametrize(
    ("error", "text", "remedy"),
    [
        (InputError("--x=1: must be 2"), "--x=1: must be 2", ""),
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Permission denied", "do"),
        (OSError("disk is gone"), "disk is gone", "do"),
        (ImportError("no libcudart\nand more"), "ImportError: no libcudart", "do"),
        (RuntimeError(), "RuntimeError: RuntimeError", "do"),
    ],
)
def test_an_error_of_a_check_is_a_problem_after_what_was_found(error, text, remedy):
    first = Finding(OK, "one", "fine")

    def check():
        yield first
        raise error

    assert list(guarded(check, "two", "do")) == [first, Finding(PROBLEM, "two", text, remedy)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/maria/runs is full", "~/runs is full"),
        ("in /home/maria", "in ~"),
        ("/home/maria-old/x", "/home/maria-old/x"),
        ("/scratch/maria/x and /data/maria: gone", "/scratch/USER/x and /data/USER: gone"),
        ("/data/mariana/x", "/data/mariana/x"),
        ("python of maria", "python of maria"),
    ],
)
def test_reports_name_neither_the_user_nor_the_home_folder(text, told, monkeypatch):
    monkeypatch.setenv("HOME", "/home/maria")
    monkeypatch.setenv("USERPROFILE", "/home/maria")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "maria")
    finding._names.cache_clear()
    try:
        assert anonymous(Finding(OK, "disk", text, text)) == Finding(OK, "disk", told, told)
    finally:
        finding._names.cache_clear()


def test_a_home_that_is_a_link_is_hidden_under_both_names(tmp_path, monkeypatch):
    real, link = tmp_path / "disk7", tmp_path / "me"
    real.mkdir()
    link.symlink_to(real)
    monkeypatch.setenv("HOME", str(link))
    for path in (real, link):
        assert anonymous(Finding(OK, "disk", f"{path}{os.sep}runs")).text == f"~{os.sep}runs"
