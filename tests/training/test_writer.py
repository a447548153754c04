"""The tables of a training, and its events."""

import pytest

from nst_keras.training.folder import TrainFolder
from nst_keras.training.writer import TrainingWriter

BATCH = {"epoch": 1, "batch": 1, "loss": 2.5, "accuracy": 0.25, "learning_rate": 1e-3}
EPOCH = {
    **{"epoch": 1, "loss": 2.5, "accuracy": 0.25, "learning_rate": 1e-3},
    **{"val_loss": None, "val_accuracy": None},
}


@pytest.mark.parametrize("tensorboard", [False, True])
def test_figures_go_to_tables_and_events(tmp_path, tensorboard):
    folder = TrainFolder(tmp_path)
    writer = TrainingWriter(folder, 0, 0, tensorboard=tensorboard)
    writer.write_batch(1, **BATCH)
    writer.write_epoch(1, **EPOCH)
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
        writer.write_batch(step, **BATCH)
    writer.write_epoch(2, **EPOCH)
    writer.close()
    TrainingWriter(folder, 2, 0, tensorboard=False).close()
    assert [row[0] for row in folder.batches.read_text().splitlines()] == ["s", "1", "2"]
    assert folder.epochs.read_text().count("\n") == 1
