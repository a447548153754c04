"""The folder of a training, what identifies its weights, and its tables and events."""

import dataclasses
import os

import pytest

from nst_keras.runs.record import Fingerprint
from nst_keras.training import config as config_lib
from nst_keras.training.config import TrainConfig
from nst_keras.training.folder import TrainFolder, TrainingWriter, TrainRecord

CONFIG = config_lib.settle(TrainConfig(csv="a/labels.csv"))
ONE_EPOCH, TWO_EPOCHS = (Fingerprint({"epochs": epochs}, {}) for epochs in "12")
BATCH = {"epoch": 1, "batch": 1, "loss": 2.5, "accuracy": 0.25, "learning_rate": 1e-3}
EPOCH = {
    **{"epoch": 1, "loss": 2.5, "accuracy": 0.25, "learning_rate": 1e-3},
    **{"val_loss": None, "val_accuracy": None},
}


def test_a_folder_says_at_every_moment_what_it_holds(tmp_path, monkeypatch):
    folder = TrainFolder(tmp_path)
    folder.prepare(ONE_EPOCH)
    folder.update_record(status="finished", best_epoch=1)

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", fail)
        folder.prepare(TWO_EPOCHS)
    assert folder.read_record().status == "finished"
    folder.prepare(TWO_EPOCHS)
    assert folder.read_record() == TrainRecord(status="preparing", requested=TWO_EPOCHS)


def test_prepare_removes_an_earlier_training_and_nothing_else(tmp_path):
    folder = TrainFolder(tmp_path)
    folder.prepare(ONE_EPOCH)
    folder.events.mkdir()
    ours = [
        *(folder.flags, folder.batches, folder.epochs, folder.result, folder.labels),
        *(folder.checkpoints / "step_5.npz", folder.events / "events.out.tfevents.1"),
    ]
    theirs = [tmp_path / "photo.jpg", folder.checkpoints / "mine.npz"]
    for path in (*ours, *theirs):
        path.write_text("x")
    folder.prepare(TWO_EPOCHS)
    assert not any(path.exists() for path in ours) and all(path.exists() for path in theirs)


def test_the_record_is_checked_when_it_is_read(tmp_path):
    folder = TrainFolder(tmp_path)
    whole = TrainRecord(
        status="finished", requested=ONE_EPOCH, best_epoch=1, val_accuracy=0.5, epochs=1
    )
    whole.write(folder.record)
    assert folder.read_record() == whole
    folder.record.write_text('{"status": 3, "best_epoch": "x", "epochs": 2, "unknown": []}')
    assert folder.read_record() == TrainRecord(epochs=2)


def fingerprint(config, hashes):
    return Fingerprint.of(config, config_lib.OPTIONS, hashes)


def test_data_count_by_their_content():
    moved = dataclasses.replace(CONFIG, csv="b/labels.csv", workdir="x", checkpoint_every=7)
    assert fingerprint(moved, {"data": "1"}) == fingerprint(CONFIG, {"data": "1"})
    assert fingerprint(CONFIG, {"data": "2"}) != fingerprint(CONFIG, {"data": "1"})
    longer = dataclasses.replace(CONFIG, epochs=CONFIG.epochs + 1)
    assert fingerprint(longer, {"data": "1"}) != fingerprint(CONFIG, {"data": "1"})


@pytest.mark.parametrize("tensorboard", [False, True])
def test_figures_go_to_tables_and_events(tmp_path, tensorboard):
    folder = TrainFolder(tmp_path)
    writer = TrainingWriter(folder, 0, 0, tensorboard=tensorboard)
    writer.write(1, ends_epoch=False, **BATCH)
    writer.write(1, ends_epoch=True, **EPOCH)
    writer.close()
    assert folder.batches.read_text().splitlines()[1:] == ["1,1,1,2.5,0.25,0.001"]
    assert folder.epochs.read_text().splitlines()[1:] == ["1,1,2.5,0.25,,,0.001"]
    events = [*folder.events.glob("events.out.tfevents.*")] if tensorboard else []
    assert folder.events.exists() == tensorboard and len(events) == tensorboard
    assert not tensorboard or b"epoch/accuracy" in events[0].read_bytes()


def test_a_resume_drops_rows_of_later_steps(tmp_path):
    folder = TrainFolder(tmp_path)
    writer = TrainingWriter(folder, 0, 0, tensorboard=False)
    for step in (1, 2, 3):
        writer.write(step, ends_epoch=False, **BATCH)
    writer.write(2, ends_epoch=True, **EPOCH)
    writer.close()
    TrainingWriter(folder, 2, 0, tensorboard=False).close()
    assert [row[0] for row in folder.batches.read_text().splitlines()] == ["s", "1", "2"]
    assert folder.epochs.read_text().count("\n") == 1
