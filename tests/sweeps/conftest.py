"""What tests of sweeps share: an engine whose trials take no time, and the table of a sweep."""

import csv
import dataclasses
import itertools

import pytest

from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.settings.command_line import split_groups
from nst_keras.settings.config import parse_config
from nst_keras.settings.resolve import resolve
from nst_keras.sweeps import engines, session
from nst_keras.sweeps.engines import Outcome
from nst_keras.transfer.inputs import read_inputs
from tests.runs.conftest import write_run


@pytest.fixture(autouse=True)
def short_polls(monkeypatch):
    """Look for ended trials often: they take no time here."""
    monkeypatch.setattr(engines, "_POLL_SECONDS", 0.01)


class Here:
    """An engine whose trials take no time: folders as `run` leaves them behind."""

    def __init__(self):
        self.ran: list[str] = []
        self.batches: list[list[str]] = []
        self.stop_after = 99
        self.fails: set[str] = set()

    def run(self, tasks, stopping):
        for batch in tasks:
            if batch.parts:
                self.batches.append([one.name for one in batch.parts])
                assert split_groups(batch.arguments) == [[*one.arguments] for one in batch.parts]
        for task in itertools.chain(*(one.trials for one in tasks)):
            yield None
            if len(self.ran) == self.stop_after:
                stopping.set()
                yield Outcome(task.name, 75)
                return
            self.ran.append(task.name)
            if task.name in self.fails:
                yield Outcome(task.name, 1, "the reason")
            else:
                paint(list(task.arguments))
                yield Outcome(task.name, 0)


def paint(arguments):
    """What `run` does with a folder, but for the picture's looks."""
    config = resolve(parse_config(arguments)[0])
    asked = folder_lib.fingerprint(config, read_inputs(config).hashes)
    folder = RunFolder(config.workdir)
    assert folder.status(asked, overwrite=config.overwrite) is Status.NEW
    folder.prepare(asked)
    terms = {"total": 1.0, "content/block5_conv2": config.style_weight}
    found = dataclasses.asdict(asked)
    write_run(folder.path, asked.settings, fingerprint=found, requested=found, final_terms=terms)


@pytest.fixture
def here(monkeypatch):
    """The trials that ran, by name, while sweeps run in this process."""
    engine = Here()
    monkeypatch.setattr(session, "_make_engine", lambda *_: engine)
    return engine


def read_table(folder="sweep"):
    with open(f"{folder}/results.csv", encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}
