"""Our readers accept undamaged files, and no damage leads to a finding."""

import csv

import pytest

from scripts.fuzzing.campaign import Campaign
from scripts.fuzzing.readers import KINDS


def test_our_readers_give_no_finding(tmp_path):
    told = []
    campaign = Campaign(KINDS, 6, tmp_path, say=told.append)
    campaign.run(200)
    assert not campaign.findings, "\n".join(told)
    assert {kind for kind, _ in campaign.counts} == {*KINDS}
    assert sum(n for (_, what), n in campaign.counts.items() if what == "refused") > 80


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A campaign whose folders are ready."""
    return Campaign(KINDS, 0, tmp_path_factory.mktemp("undamaged"))


REFUSED = {"image": 1, "record_status": 1}  # HEIC without its decoder; the record of another run


@pytest.mark.parametrize("name", KINDS)
def test_undamaged_files_are_accepted(campaign, name):
    outcomes = [campaign._observe(name, data).name for data in KINDS[name].seeds()]
    assert outcomes.count("read") >= len(outcomes) - REFUSED.get(name, 0) > 0
    assert {*outcomes} <= {"read", "refused"}


def test_undamaged_files_are_not_replaced_by_others(campaign):
    """What a reader silently leaves out would make every damage look like a success."""

    def read(name):
        data = KINDS[name].seeds()[0]
        return campaign._observe(name, data).signature.strip(), campaign.scratch / name

    assert read("checkpoint")[0] == "read"  # no message about a checkpoint that is ignored
    assert read("record_status")[0] == "read StatusFINISHED"
    assert read("training_record")[0] == "read StatusBEGUN"
    _, folder = read("record_collected")
    with open(folder / "results.csv", encoding="utf-8", newline="") as file:
        assert {row["status"] for row in csv.DictReader(file)} == {"finished"}
    _, folder = read("training_table")
    assert len((folder / "batches.csv").read_text("utf-8").splitlines()) == 1 + 4000
    _, folder = read("metrics_resumed")
    assert len((folder / "run/metrics.jsonl").read_text("utf-8").splitlines()) == 2
