"""A session of a training: its folder, its weights, fine-tuning, and what it refuses."""

import dataclasses
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras import train_backbone
from nst_keras.devices import precision
from nst_keras.network import vgg, weights
from nst_keras.runs import command as run
from nst_keras.runs.record import Fingerprint
from nst_keras.runtime import files
from nst_keras.training import config as config_lib
from nst_keras.training import datasets, session
from nst_keras.training import trainer as trainer_lib
from nst_keras.training.config import TrainConfig
from tests.conftest import in_a_thread, require_precision
from tests.training.conftest import Trainer, draw_shapes, outcome, refused, rows_of


def test_a_training_leaves_tables_labels_and_a_record(whole):
    batches, epochs = rows_of(whole / "batches.csv"), rows_of(whole / "epochs.csv")
    assert [int(row["step"]) for row in batches] == list(range(1, 11))
    assert [(row["epoch"], row["batch"]) for row in batches[4:6]] == [("1", "5"), ("2", "1")]
    assert [int(row["step"]) for row in epochs] == [5, 10]
    mean = np.mean([float(row["loss"]) for row in batches[:5]])
    assert float(epochs[0]["loss"]) == pytest.approx(mean, rel=1e-4)
    rates = [float(row["learning_rate"]) for row in batches]
    assert rates[0] == 1e-3 and rates == sorted(rates, reverse=True) and 0 < rates[-1] < 3e-5
    assert json.loads((whole / "labels.json").read_text()) == sorted(draw_shapes.CLASSES)
    record = json.loads((whole / "training.json").read_text())
    best = max(float(row["val_accuracy"]) for row in epochs)
    assert record["status"] == "finished" and record["val_accuracy"] == pytest.approx(best)


def test_off_the_main_thread_and_without_streams_it_ends_as_well(job, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    talking = [flag for flag in job if flag != "--quiet"]
    assert in_a_thread(lambda: train_backbone.main([*talking, "--epochs=1"])) == 0
    assert (tmp_path / "job" / "weights.npz").exists()


def test_the_weights_hold_their_shape_and_preprocessing(whole):
    read = weights.read_weights(whole / "weights.npz", "vgg16")
    assert read.channels == (4, 8, 15, 31, 31)
    assert (read.channel_order, read.mean) == ("bgr", weights.CAFFE_MEAN)
    assert read.std == session._IMAGENET_STD


def test_run_paints_with_the_weights(whole, picture_paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, style = picture_paths
    arguments = [
        *(f"--content={content}", f"--style={style}", f"--weights={whole / 'weights.npz'}"),
        "--backbone=vgg16",
        *("--size=32", "--scales=1", "--iterations=2", "--noscores", "--quiet", "--workdir=x"),
        *("--content_layers=block2_conv1", "--style_layers=block1_conv1", "--nogif"),
        "--objective=relative",
    ]
    assert run.main(arguments) == 0 and (tmp_path / "x" / "result.png").exists()


def test_settings_of_keras_change_nothing_and_are_left_as_they_are(job, whole, monkeypatch):
    monkeypatch.setattr(trainer_lib, "Trainer", Trainer)  # a new one
    usual = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}
    other = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    policies = {"dtype_policy": "float32"}, {"dtype_policy": "mixed_float16"}

    def choose(settings):
        for name, value in settings.items():
            getattr(keras.config, f"set_{name}")(value)

    try:
        choose(other | policies[1])
        assert train_backbone.main(job) == 0
        assert {name: getattr(keras.config, name)() for name in other} == other
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        choose(usual | policies[0])
    assert outcome(Path("job")) == outcome(whole)


def test_a_finished_training_is_left_alone_and_another_refused(whole, shapes, capsys):
    before = outcome(whole)
    arguments = [f"--flagfile={whole / 'flags.cfg'}"]
    assert train_backbone.main(arguments) == 0
    assert "is already finished" in capsys.readouterr().err and outcome(whole) == before
    message = refused([*arguments, "--epochs=4"], capsys)
    assert "epochs: 2 there, 4 here" in message and "--overwrite" in message


def test_the_data_of_a_resume_must_be_the_same(whole, capsys, monkeypatch):
    real = datasets.read_set
    monkeypatch.setattr(
        datasets, "read_set", lambda config: dataclasses.replace(real(config), sha256="0" * 64)
    )
    assert "sha256 of data" in refused([f"--flagfile={whole / 'flags.cfg'}"], capsys)


def test_one_process_at_a_time_uses_a_folder(job, tmp_path, capsys):
    with files.held(tmp_path / "job"):
        left = tmp_path / "job" / ".batches.csv.12ab34cd.tmp"
        left.write_bytes(b"")  # being written
        assert train_backbone.main(job) == 2
        assert "job: another process is at work there" in capsys.readouterr().err
        assert left.exists()
    assert train_backbone.main(job) == 0
    assert not left.exists()


def test_out_of_memory_is_reported_in_one_line(job, capsys, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nand more")

    monkeypatch.setattr(Trainer, "step", fail)
    assert train_backbone.main(job) == 1
    said = "nst_keras: out of memory; use a smaller --batch_size, --image_size or --width\n"
    assert capsys.readouterr().err == said


def test_fine_tuning_starts_from_the_given_features(tiny_weights, tiny_weights_path, job, tmp_path):
    flags = [f"--initial={tiny_weights_path}", "--width=1", "--backbone=vgg19"]
    flags += ["--epochs=1", "--learning_rate=1e-9"]
    assert train_backbone.main([*job, *flags]) == 0
    read = weights.read_weights(tmp_path / "job" / "weights.npz", "vgg19")
    assert (read.channels, read.std) == (tiny_weights.channels, tiny_weights.std)
    for name, kernel in tiny_weights.kernels.items():
        np.testing.assert_allclose(read.kernels[name], kernel, atol=1e-6)


def test_embedded_weights_can_be_the_start(shapes):
    config = config_lib.settle(TrainConfig(csv=str(shapes), initial="embedded"))
    initial = session._starting_weights(config)
    assert initial.kernels and initial.channels == vgg.CHANNELS and initial.std == (1.0, 1.0, 1.0)
    assert not config.batch_norm and config.learning_rate == 1e-5


def test_low_precision_gives_nearly_the_same(job, whole, tmp_path):
    require_precision("bfloat16")
    assert train_backbone.main([*job, "--precision=bfloat16", "--epochs=1"]) == 0
    ours, theirs = (rows_of(f / "batches.csv")[0]["loss"] for f in (tmp_path / "job", whole))
    # Two roundings of 2**-9 in each of seven layers, which batch norm over ten pictures may triple.
    assert float(ours) == pytest.approx(float(theirs), rel=3 * 7 * 2 * 2**-9)
    read = weights.read_weights(tmp_path / "job" / "weights.npz", "vgg16")
    assert all(kernel.dtype == np.float32 for kernel in read.kernels.values())


def test_a_precision_that_tensorflow_cannot_compute_in_is_refused(job, capsys, monkeypatch):
    monkeypatch.setattr(precision, "obstacle", lambda _: "no kernels")
    message = refused([*job, "--precision=bfloat16"], capsys)
    assert "--precision=bfloat16: TensorFlow cannot compute in it on this device (no k" in message


def test_the_default_folder_is_named_after_network_and_data():
    config = config_lib.settle(TrainConfig(csv="a/labels.csv"))
    path, other = (session._default_path(config, Fingerprint({"epochs": n}, {})) for n in "12")
    assert path.parts[0] == "runs" and path.name.startswith("vgg19_labels-") and path != other
