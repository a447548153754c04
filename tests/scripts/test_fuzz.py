"""Fuzzing: it is repeatable, detects every kind of finding, and finds nothing in our readers."""

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
from scripts.fuzzing.campaign import SHOWN, Campaign
from scripts.fuzzing.damage_bytes import BYTES, mutate
from scripts.fuzzing.damage_formats import CallsWhenLoaded
from scripts.fuzzing.formats import npy
from scripts.fuzzing.readers import KINDS, Kind
from scripts.fuzzing.watch import Limits, observe

SCRIPT = Path(__file__).parent.parent.parent / "scripts/fuzz.py"


@pytest.fixture(autouse=True)
def files_left_open():
    """Readers leave damaged files to the garbage collector, where Python ignores them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def kind_of(read, **rules):
    """A kind with one short seed, whose reader is given the folder."""
    return Kind("file", lambda: [b"whole"], BYTES, read, **rules)


def findings_of(read, scratch, limits=None):
    """The findings, and the report, of a campaign that gives all damaged files to `read`."""

    def only_damaged(folder):
        return "whole" if (folder / "file").read_bytes() == b"whole" else read(folder)

    told = []
    kinds = {"one": kind_of(only_damaged)}
    campaign = Campaign(kinds, 0, scratch, limits=limits, say=told.append)
    campaign.run(3)
    return campaign.findings, "\n".join(told)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_makes_the_same_inputs(name):
    kind = KINDS[name]

    def made():
        rng, seeds = random.Random("7 1"), kind.seeds()
        return [mutate(rng, rng.choice(seeds), seeds, kind.ways) for _ in range(8)]

    assert made() == made()
    assert len({*made(), *kind.seeds()}) > len({*kind.seeds()}) + 4  # nearly all differ


def test_other_seeds_make_other_inputs():
    seeds = [bytes(range(100))]
    one, other = (mutate(random.Random(n), *[seeds[0], seeds], BYTES) for n in (1, 2))
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


def test_an_input_error_is_a_finding_only_if_it_has_several_lines(tmp_path):
    def read(kind):
        raise kind("--flag: is wrong")

    outcome = observe(lambda: read(InputError), tmp_path)
    assert outcome.name == "refused" and not outcome.findings
    assert observe(lambda: read(Untidy), tmp_path).findings[0][0] == "message"


def test_a_hang_is_a_finding_and_ends(tmp_path):
    began = time.monotonic()
    findings, told = findings_of(lambda folder: time.sleep(20), tmp_path, Limits(seconds=0.1))
    assert findings == {"hang": 3} and "time.sleep" in told
    assert time.monotonic() - began < 10


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
    assert not observe(lambda: SCRIPT.read_text("utf-8"), inside).findings


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


def test_undamaged_files_must_be_read(tmp_path):
    def read(folder):
        raise ValueError("nothing is right")

    with pytest.raises(RuntimeError, match="one: an undamaged file"):
        Campaign({"one": kind_of(read)}, 0, tmp_path)


def test_inputs_of_findings_are_kept_a_few_of_each(tmp_path):
    def read(folder):
        if (folder / "file").read_bytes() != b"whole":
            raise KeyError("name")

    (tmp_path / "keep").mkdir()
    campaign = Campaign({"one": kind_of(read)}, 5, tmp_path, tmp_path / "keep", say=str)
    campaign.run(12)
    kept = sorted((tmp_path / "keep").iterdir())
    assert len(kept) == SHOWN and campaign.findings["traceback"] >= 8
    assert kept[0].read_bytes() != b"whole" and kept[0].name.startswith("one-5-")


def test_inputs_with_a_new_outcome_are_damaged_further(tmp_path):
    def read(folder):
        if first := (folder / "file").read_bytes()[:1]:
            raise InputError("starts with a letter" if first.isalpha() else "starts otherwise")

    campaign = Campaign({"one": kind_of(read)}, 0, tmp_path)
    campaign.run(60)
    assert campaign._seeds["one"][0] == b"whole" and len(campaign._seeds["one"]) == 2


def test_arrays_that_run_code_are_a_finding(tmp_path):
    import numpy as np

    array = npy(np.array([CallsWhenLoaded()], object))
    (tmp_path / "a.npy").write_bytes(array)
    outcome = observe(lambda: np.load(tmp_path / "a.npy", allow_pickle=True), tmp_path)
    assert outcome.name == "stray" and "getcwd" in str(outcome.findings)


def test_our_readers_give_no_finding(tmp_path):
    told = []
    campaign = Campaign(KINDS, 6, tmp_path, say=told.append)
    campaign.run(200)
    assert not campaign.findings, "\n".join(told)
    assert {kind for kind, _ in campaign.counts} == {*KINDS}
    assert sum(n for (_, what), n in campaign.counts.items() if what == "refused") > 80


def load_script():
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    fuzz = load_script()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # restored afterwards
    kinds = {"fine": kind_of(lambda folder: None), "bad": kind_of(lambda folder: os.fork, share=1)}
    monkeypatch.setattr(fuzz, "KINDS", kinds)
    assert fuzz.main(["--inputs=20", "--kind=fine", f"--keep={tmp_path / 'keep'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fine", "read", "20"]
    assert lines[-1].startswith("20 inputs, 0 tracebacks, 0 hangs, peak ")
    with pytest.raises(SystemExit):
        fuzz.main(["--kind=other"])
