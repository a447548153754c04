"""Many inputs: findings are reported and kept, and new outcomes lead further."""

import time

import pytest

from nst_keras.runtime.errors import InputError
from scripts.fuzzing.campaign import SHOWN, Campaign
from scripts.fuzzing.watch import Limits
from tests.scripts.fuzzing.conftest import kind_of


def findings_of(read, scratch, limits=None):
    """The findings, and the report, of a campaign that gives all damaged files to `read`."""

    def only_damaged(folder):
        return "whole" if (folder / "file").read_bytes() == b"whole" else read(folder)

    told = []
    kinds = {"one": kind_of(only_damaged)}
    campaign = Campaign(kinds, 0, scratch, limits=limits, say=told.append)
    campaign.run(3)
    return campaign.findings, "\n".join(told)


def test_an_error_of_another_type_is_a_finding(tmp_path):
    def read(folder):
        raise ValueError("a reader's own")

    findings, told = findings_of(read, tmp_path)
    assert findings == {"traceback": 3}
    assert "ValueError: a reader's own" in told and "one: input 0 of seed 0" in told


def test_a_hang_is_a_finding_and_ends(tmp_path):
    began = time.monotonic()
    findings, told = findings_of(lambda folder: time.sleep(20), tmp_path, Limits(seconds=0.1))
    assert findings == {"hang": 3} and "time.sleep" in told
    assert time.monotonic() - began < 10


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
