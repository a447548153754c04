"""The loop of a training: resuming to the byte, early stopping, rates, and errors."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import train_backbone
from nst_keras.training import datasets, loop
from nst_keras.training import trainer as trainer_lib
from nst_keras.training.folder import TrainFolder
from tests.training.conftest import (
    Killed,
    Trainer,
    draw_shapes,
    interrupt,
    kill,
    outcome,
    refused,
    rows_of,
)


@pytest.mark.parametrize(("at", "saved"), [(5, 4), pytest.param(6, 5, marks=pytest.mark.slow)])
def test_a_killed_training_resumes_at_its_batch_and_ends_with_the_same_bytes(
    job, whole, at, saved, monkeypatch, tmp_path
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        interrupt(patch, at, kill)
        train_backbone.main(job)
    seen, step = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, *given: seen.append(1) or step(self, *given))
    assert train_backbone.main(job) == 0
    assert len(seen) == 10 - saved
    assert outcome(tmp_path / "job") == outcome(whole)


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGTERM, 3), pytest.param(signal.SIGINT, 5, marks=pytest.mark.slow)],
)
def test_a_stop_signal_saves_and_the_same_command_resumes(
    job, whole, number, at, monkeypatch, tmp_path
):
    with monkeypatch.context() as patch:
        interrupt(patch, at, lambda: os.kill(os.getpid(), number))
        assert train_backbone.main(job) == 75
    record = json.loads((tmp_path / "job" / "training.json").read_text())
    assert record["status"] == "interrupted"
    assert train_backbone.main(["--workdir=job", "--quiet"]) == 0  # the folder knows the rest
    assert outcome(tmp_path / "job") == outcome(whole)


def test_a_stop_signal_interrupts_the_last_test(job, tmp_path, monkeypatch):
    read, evaluate = datasets.read_set, Trainer.evaluate

    def with_test(config):
        data = read(config)
        return dataclasses.replace(data, test=data.validation.take(np.arange(5)))

    def stop(self, pictures, stopping):
        if len(pictures) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, pictures, stopping)

    monkeypatch.setattr(datasets, "read_set", with_test)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", stop)
        assert train_backbone.main([*job, "--epochs=1"]) == 75
    record = TrainFolder(tmp_path / "job").read_record()
    assert record.status == "interrupted" and not record.best_epoch
    assert train_backbone.main([*job, "--epochs=1"]) == 0
    record = TrainFolder(tmp_path / "job").read_record()
    assert record.status == "finished" and 0 <= record.test_accuracy <= 1


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ("constant", lambda step: 1.0),
        ("cosine", lambda step: 0.5 * (1.0 + np.cos(np.pi * step / 10))),
    ],
)
def test_the_rate_rises_over_the_first_steps_of_the_schedule(job, tmp_path, schedule, share):
    flags = [f"--schedule={schedule}", "--warmup_steps=4", "--learning_rate=1e-3"]
    assert train_backbone.main([*job, *flags]) == 0
    rows = rows_of(tmp_path / "job" / "batches.csv")
    expected = [1e-3 * min(1.0, (step + 1) / 4) * share(step) for step in range(10)]
    found = [float(row["learning_rate"]) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_early_stopping_counts_epochs_without_a_better_accuracy(job, tmp_path, monkeypatch):
    scores = iter([0.5, 0.6, 0.6, 0.4, 0.7])

    def score(*_):
        return trainer_lib.Score(1.0, next(scores))

    monkeypatch.setattr(Trainer, "evaluate", score)
    assert train_backbone.main([*job, "--epochs=5", "--patience=2", "--tensorboard"]) == 0
    assert len(rows_of(tmp_path / "job" / "epochs.csv")) == 4
    record = json.loads((tmp_path / "job" / "training.json").read_text())
    assert (record["best_epoch"], record["epochs"]) == (2, 4)
    assert len(list((tmp_path / "job" / "events").glob("events.out.tfevents.*"))) == 1


def test_a_loss_that_is_not_finite_ends_the_training(job, capsys, monkeypatch):
    make = trainer_lib.Trainer

    def overflowing(*arguments):
        trainer = make(*arguments)
        large = {name: value * 1e38 for name, value in trainer.state()["model"].items()}
        trainer.restore({"model": {n: v for n, v in large.items() if v.ndim == 2}})  # of the head
        return trainer

    monkeypatch.setattr(trainer_lib, "Trainer", overflowing)
    flags = ["--batch_norm=false", "--workdir=bad", "--epochs=1"]
    assert train_backbone.main([*job, *flags]) == 1
    assert "smaller --learning_rate" in capsys.readouterr().err


def test_a_picture_that_vanishes_during_training_is_named_in_one_line(
    job, tmp_path, capsys, monkeypatch
):
    draw_shapes.draw_set(tmp_path / "own", count=60, size=24, seed=0)

    def remove():
        for path in (tmp_path / "own" / "images").iterdir():
            path.unlink()

    interrupt(monkeypatch, 1, remove)
    message = refused([*job, f"--csv={tmp_path / 'own' / 'labels.csv'}"], capsys)
    assert message.startswith(f"nst_keras: {tmp_path / 'own' / 'images'}{os.sep}")
    assert message.endswith(".png: no such file")
    page = (tmp_path / "job" / "index.html").read_text("utf-8")
    assert "<strong>Failed</strong>" in page and ".png: no such file" in page
    assert str(tmp_path) not in page


def test_errors_of_other_origin_are_not_blamed_on_pictures(job, monkeypatch):
    def fail(*_):
        raise tf.errors.InvalidArgumentError(None, None, "shapes")

    monkeypatch.setattr(Trainer, "step", fail)
    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes"):
        train_backbone.main(job)


@pytest.mark.parametrize(
    ("accuracy", "loss", "better"),
    [(0.6, 9.0, True), (0.4, 0.1, False), (0.5, 0.9, True), (0.5, 1.0, False), (0.5, 1.1, False)],
)
def test_of_equal_accuracies_the_lower_loss_is_better(accuracy, loss, better):
    training = loop.TrainLoop.__new__(loop.TrainLoop)
    training.progress = loop.TrainingProgress(best_accuracy=0.5, best_loss=1.0)
    assert training._is_better(trainer_lib.Score(loss, accuracy)) is better


@pytest.mark.slow
def test_kill_9_and_the_same_command(job, tmp_path):
    """The same with real processes: killed twice, then finished."""
    command = [sys.executable, "-m", "nst_keras.train_backbone", *job]
    assert subprocess.run([*command, "--workdir=whole"]).returncode == 0
    for step in (3, 9):
        process = subprocess.Popen(command)
        table = tmp_path / "job" / "batches.csv"
        while process.poll() is None:
            if table.exists() and len(table.read_text().splitlines()) > step:
                process.send_signal(signal.SIGKILL)
                process.wait()
    assert subprocess.run(command).returncode == 0
    assert outcome(tmp_path / "job") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_reported_unless_it_is_quiet(job, capsys, quiet):
    loud = [flag for flag in job if flag != "--quiet"]
    assert train_backbone.main([*loud, "--epochs=1", *(["--quiet"] if quiet else [])]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "batch 1/5" in line]
    assert len(lines) == (0 if quiet else 1)
    for line in lines:
        assert re.fullmatch(
            # Without a pace: the first step compiles, and says nothing about those after it.
            r"nst_keras: epoch 1/1 batch 1/5  loss [\d.]+  accuracy [\d.]+%",
            line,
        )
