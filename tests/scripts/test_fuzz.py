"""The fuzz of all readers of files: it can be repeated, finds what it looks for, and finds none."""

import gc
import importlib.util
import logging
import os
import random
import sys
import time
import warnings
from pathlib import Path

import pytest

from nst_keras.runtime.errors import InputError

SCRIPT = Path(__file__).parent.parent.parent / "scripts/fuzz.py"


def load_script():
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = load_script()


@pytest.fixture(autouse=True)
def files_left_open():
    """Readers leave damaged files to the garbage collector, which Python says nothing of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def kind_of(read, **rules):
    """A kind whose reader is given the folder; its one seed is short."""
    return fuzz.Kind("file", lambda: [b"whole"], fuzz.BYTES, read, **rules)


def findings_of(read, scratch, limits=None):
    """What is found when all that is damaged is given to `read`."""

    def only_damaged(folder):
        return "whole" if (folder / "file").read_bytes() == b"whole" else read(folder)

    told = []
    kinds = {"one": kind_of(only_damaged)}
    campaign = fuzz.Campaign(kinds, 0, scratch, limits=limits, say=told.append)
    campaign.run(3)
    return campaign.findings, "\n".join(told)


@pytest.mark.parametrize("name", fuzz.KINDS)
def test_the_same_seed_makes_the_same_inputs(name):
    kind = fuzz.KINDS[name]

    def made():
        rng, seeds = random.Random("7 1"), kind.seeds()
        return [fuzz.mutate(rng, rng.choice(seeds), seeds, kind.ways) for _ in range(8)]

    assert made() == made()
    assert len({*made(), *kind.seeds()}) > len({*kind.seeds()}) + 4  # nearly all differ


def test_other_seeds_make_other_inputs():
    seeds = [bytes(range(100))]
    one, other = (fuzz.mutate(random.Random(n), *[seeds[0], seeds], fuzz.BYTES) for n in (1, 2))
    assert one != other


def test_an_error_of_another_type_is_a_finding(tmp_path):
    def read(folder):
        raise ValueError("a reader's own")

    findings, told = findings_of(read, tmp_path)
    assert findings == {"traceback": 3}
    assert "ValueError: a reader's own" in told and "one: input 0 of seed 0" in told


class Untidy(InputError):
    def __str__(self):
        return "two\nlines"


def test_input_errors_are_none_unless_they_are_of_several_lines(tmp_path):
    def read(kind):
        raise kind("--flag: is wrong")

    outcome = fuzz.observe(lambda: read(InputError), tmp_path)
    assert outcome.name == "refused" and not outcome.findings
    assert fuzz.observe(lambda: read(Untidy), tmp_path).findings[0][0] == "message"


def test_a_hang_is_a_finding_and_ends(tmp_path):
    began = time.monotonic()
    findings, told = findings_of(lambda folder: time.sleep(20), tmp_path, fuzz.Limits(seconds=0.1))
    assert findings == {"hang": 3} and "time.sleep" in told
    assert time.monotonic() - began < 10


def test_a_hang_within_a_reader_that_holds_every_error_is_a_finding(tmp_path):
    def read():
        try:
            time.sleep(20)
        except Exception as error:
            raise InputError("damaged") from error

    assert fuzz.observe(read, tmp_path, fuzz.Limits(seconds=0.1)).name == "hang"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_is_a_finding_and_bounded(tmp_path):
    limits = fuzz.Limits(megabytes=60)
    outcome = fuzz.observe(lambda: len(b"x" * (100 << 20)), tmp_path, limits)
    assert outcome.name == "memory" and 90 < outcome.growth < 200
    assert not fuzz.observe(lambda: len(b"x" * (20 << 20)), tmp_path, limits).findings
    bomb = fuzz.observe(lambda: len(b"x" * (8 << 30)), tmp_path, limits)
    assert bomb.findings[0][0] == "traceback" and "MemoryError" in bomb.signature


def test_what_is_written_elsewhere_is_a_finding(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outcome = fuzz.observe(lambda: (inside / "../out").write_text("x"), inside)
    assert outcome.findings == [("stray", f"open {outside}")]
    assert fuzz.observe(outside.unlink, inside).findings == [("stray", f"os.remove {outside}")]
    assert not fuzz.observe(lambda: (inside / "file").write_text("x"), inside).findings
    assert not fuzz.observe(lambda: SCRIPT.read_text("utf-8"), inside).findings


def test_a_process_is_a_finding(tmp_path):
    def read():
        sys.audit("subprocess.Popen", "gs", ["gs", "--version"], None, None)

    assert fuzz.observe(read, tmp_path).name == "stray"


@pytest.mark.parametrize(
    "speak",
    [
        lambda: warnings.warn("odd", UserWarning, stacklevel=1),
        lambda: print("odd", file=sys.stderr),
    ],
)
def test_what_is_said_on_standard_error_is_a_finding(speak, tmp_path, capsys):
    (found,) = fuzz.observe(speak, tmp_path).findings
    assert found[0] == "noise" and "odd" in found[1]
    assert not capsys.readouterr().err


def test_what_the_project_itself_says_and_hidden_warnings_are_none(tmp_path):
    def read():
        logging.getLogger("nst_keras").warning("a checkpoint is left out")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    assert not fuzz.observe(read, tmp_path).findings


def test_whole_files_must_be_read(tmp_path):
    def read(folder):
        raise ValueError("nothing is right")

    with pytest.raises(RuntimeError, match="one: a whole file"):
        fuzz.Campaign({"one": kind_of(read)}, 0, tmp_path)


def test_inputs_of_findings_are_kept_a_few_of_each(tmp_path):
    def read(folder):
        if (folder / "file").read_bytes() != b"whole":
            raise KeyError("name")

    (tmp_path / "keep").mkdir()
    campaign = fuzz.Campaign({"one": kind_of(read)}, 5, tmp_path, tmp_path / "keep", say=str)
    campaign.run(12)
    kept = sorted((tmp_path / "keep").iterdir())
    assert len(kept) == fuzz.SHOWN and campaign.findings["traceback"] >= 8
    assert kept[0].read_bytes() != b"whole" and kept[0].name.startswith("one-5-")


def test_inputs_that_reach_something_new_are_damaged_further(tmp_path):
    def read(folder):
        if first := (folder / "file").read_bytes()[:1]:
            raise InputError("starts with a letter" if first.isalpha() else "starts otherwise")

    campaign = fuzz.Campaign({"one": kind_of(read)}, 0, tmp_path)
    campaign.run(60)
    assert campaign._seeds["one"][0] == b"whole" and len(campaign._seeds["one"]) == 2


def test_arrays_that_would_run_code_are_heard_of(tmp_path):
    import numpy as np

    array = fuzz._npy(np.array([fuzz._Caller()], object))
    (tmp_path / "a.npy").write_bytes(array)
    outcome = fuzz.observe(lambda: np.load(tmp_path / "a.npy", allow_pickle=True), tmp_path)
    assert outcome.name == "stray" and "getcwd" in str(outcome.findings)


def test_inputs_of_all_kinds_give_no_finding(tmp_path):
    told = []
    campaign = fuzz.Campaign(fuzz.KINDS, 6, tmp_path, say=told.append)
    campaign.run(200)
    assert not campaign.findings, "\n".join(told)
    assert {kind for kind, _ in campaign.counts} == {*fuzz.KINDS}
    assert sum(n for (_, what), n in campaign.counts.items() if what == "refused") > 80


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # and back again
    kinds = {"fine": kind_of(lambda folder: None), "bad": kind_of(lambda folder: os.fork, share=1)}
    monkeypatch.setattr(fuzz, "KINDS", kinds)
    assert fuzz.main(["--inputs=20", "--kind=fine", f"--keep={tmp_path / 'keep'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fine", "read", "20"]
    assert lines[-1].startswith("20 inputs, 0 tracebacks, 0 hangs, peak ")
    with pytest.raises(SystemExit):
        fuzz.main(["--kind=other"])
