"""The network that is trained: its steps on devices, its state, and its convolutions as weights."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras import train_backbone
from nst_keras.network import extractor, vgg, weights
from nst_keras.network.weights import Weights
from nst_keras.runtime.errors import InputError
from nst_keras.training import trainer as trainer_lib
from nst_keras.training.config import TrainConfig
from tests.training.conftest import Trainer, pictures_of, rows_of

START = Weights("vgg16", (4, 4, 4, 4, 4), {}, {}, "")
CONFIG = TrainConfig(image_size=16, batch_size=4, batch_norm=True, dropout=0.0)


def batch(seed=0):
    rng = np.random.default_rng(seed)
    images = tf.constant(rng.random((4, 16, 16, 3), np.float32))
    return images, tf.constant(rng.integers(0, 2, 4, np.int32))


def test_a_batch_must_be_divisible_among_the_devices(monkeypatch):
    strategy = type("Two", (), {"num_replicas_in_sync": 2})()
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    with pytest.raises(InputError, match="--batch_size=25: must be a multiple of 2, one part"):
        Trainer(dataclasses.replace(CONFIG, batch_size=25), START, 2)


@pytest.mark.slow
def test_devices_share_a_batch(job, tmp_path, monkeypatch):
    mirrored = tf.distribute.MirroredStrategy  # of two of the three devices here: batches are of 10
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: mirrored(["/cpu:0", "/cpu:1"]))
    losses = []
    for distribute in ("none", "mirrored"):
        # Batch norm would see five pictures a device.
        flags = ["--nobatch_norm", "--dropout=0", "--epochs=1", f"--distribute={distribute}"]
        assert train_backbone.main([*job, *flags, f"--workdir={distribute}"]) == 0
        losses.append(
            [float(row["loss"]) for row in rows_of(tmp_path / distribute / "batches.csv")]
        )
    assert len(losses[0]) > 1
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_a_restored_state_continues_with_the_same_bytes():
    trainer = Trainer(CONFIG, START, 2)
    trainer.step(*batch(), 1e-2)
    state = trainer.state()
    scores = [trainer.step(*batch(seed), 1e-2) for seed in (1, 2)]
    assert sorted(state) == ["model", "optimizer"]
    trainer.restore(state)
    assert [trainer.step(*batch(seed), 1e-2) for seed in (1, 2)] == scores


def test_another_network_can_take_its_place():
    trainer = Trainer(CONFIG, START, 2)
    pictures = pictures_of(2)
    first = trainer.state()["model"], trainer.evaluate(pictures, [])
    trainer.step(*batch(), 1e-1)
    second = trainer.state()["model"], trainer.evaluate(pictures, [])
    for network, score in (first, second):
        trainer.restore({"model": network})
        assert trainer.evaluate(pictures, []) == score
    assert first[1] != second[1]


def test_a_stop_signal_ends_an_evaluation():
    assert Trainer(CONFIG, START, 2).evaluate(pictures_of(2), [1.0]) is None


def trained(config, start, steps=4):
    """A small network after a few steps, so that batch norm has seen something."""
    keras.utils.set_random_seed(0)
    trainer = Trainer(config, start, 3)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        images = rng.random((6, 32, 32, 3), np.float32)
        trainer.step(tf.constant(images), tf.constant(rng.integers(0, 3, 6, np.int32)), 1e-2)
    return trainer


@pytest.mark.parametrize(("backbone", "batch_norm"), [("vgg19", True), ("vgg16", False)])
def test_folded_features_are_those_of_the_trained_net(backbone, batch_norm, tmp_path):
    start = Weights(backbone, (4, 6, 8, 8, 8), {}, {}, "", std=(60.0,) * 3)
    config = TrainConfig(
        backbone=backbone, image_size=32, batch_size=6, batch_norm=batch_norm, dropout=0.0
    )
    trainer = trained(config, start)
    weights.write_weights(tmp_path / "a.npz", trainer.weights())
    read = weights.read_weights(tmp_path / "a.npz", backbone)
    names = vgg.layer_names(backbone)
    image = np.random.default_rng(1).random((2, 32, 32, 3), np.float32)
    ours = extractor.feature_extractor(read, names)(image)
    outputs = {name: trainer.model.get_layer(f"{name}_relu").output for name in names}
    theirs = keras.Model(trainer.model.input, outputs)(image, training=False)
    for name in names:
        scale = float(tf.reduce_max(tf.abs(theirs[name])))
        assert scale > 0
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4 * max(1.0, scale))


def test_a_flat_head_with_a_dense_layer():
    config = TrainConfig(image_size=32, head="flatten", dense_units=5)
    start = Weights("vgg16", (4, 4, 4, 4, 4), {}, {}, "")
    model = trainer_lib.build_classifier(config, start, classes=3)
    assert model.get_layer("flatten").output.shape == (None, 4)
    assert model.get_layer("dense").kernel.shape == (4, 5) and model.output_shape == (None, 3)
    assert model.get_layer("logits").kernel.shape == (5, 3)  # not another layer named "dense"


def test_the_cost_of_vgg19_is_that_of_its_paper():
    start = Weights("vgg19", vgg.CHANNELS, {}, {}, "")
    assert trainer_lib.forward_flops(start, 224) == pytest.approx(39.0e9, rel=0.01)
