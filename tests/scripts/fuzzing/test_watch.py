"""Reading one input: every kind of finding is detected, and nothing else is one."""

import logging
import sys
import time
import warnings
from pathlib import Path

import pytest

from nst_keras.runtime.errors import InputError
from scripts.fuzzing.watch import Limits, observe


class Untidy(InputError):
    def __str__(self):
        return "two\nlines"


def test_an_input_error_is_a_finding_only_if_it_has_several_lines(tmp_path):
    def read(kind):
        raise kind("--flag: is wrong")

    outcome = observe(lambda: read(InputError), tmp_path)
    assert outcome.name == "refused" and not outcome.findings
    assert observe(lambda: read(Untidy), tmp_path).findings[0][0] == "message"


def test_a_hang_in_a_reader_that_catches_every_error_is_a_finding(tmp_path):
    def read():
        try:
            time.sleep(20)
        except Exception as error:
            raise InputError("damaged") from error

    assert observe(read, tmp_path, Limits(seconds=0.1)).name == "hang"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_too_much_memory_is_a_finding_and_limited(tmp_path):
    limits = Limits(megabytes=60)
    outcome = observe(lambda: len(b"x" * (100 << 20)), tmp_path, limits)
    assert outcome.name == "memory" and 90 < outcome.growth < 200
    assert not observe(lambda: len(b"x" * (20 << 20)), tmp_path, limits).findings
    bomb = observe(lambda: len(b"x" * (8 << 30)), tmp_path, limits)
    assert bomb.findings[0][0] == "traceback" and "MemoryError" in bomb.signature


def test_writing_elsewhere_is_a_finding(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outcome = observe(lambda: (inside / "../out").write_text("x"), inside)
    assert outcome.findings == [("stray", f"open {outside}")]
    assert observe(outside.unlink, inside).findings == [("stray", f"os.remove {outside}")]
    assert not observe(lambda: (inside / "file").write_text("x"), inside).findings
    assert not observe(lambda: Path(__file__).read_text("utf-8"), inside).findings


def test_starting_a_process_is_a_finding(tmp_path):
    def read():
        sys.audit("subprocess.Popen", "gs", ["gs", "--version"], None, None)

    assert observe(read, tmp_path).name == "stray"


@pytest.mark.parametrize(
    "speak",
    [
        lambda: warnings.warn("odd", UserWarning, stacklevel=1),
        lambda: print("odd", file=sys.stderr),
    ],
)
def test_output_on_standard_error_is_a_finding(speak, tmp_path, capsys):
    (found,) = observe(speak, tmp_path).findings
    assert found[0] == "noise" and "odd" in found[1]
    assert not capsys.readouterr().err


def test_log_messages_and_hidden_warnings_are_no_findings(tmp_path):
    def read():
        logging.getLogger("nst_keras").warning("ignoring checkpoint")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    assert not observe(read, tmp_path).findings
