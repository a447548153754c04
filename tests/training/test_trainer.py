"""Steps of a classifier on devices, and its state."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nst_keras import train_backbone
from nst_keras.network.weights import Weights
from nst_keras.runtime.errors import InputError
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
    first = trainer.network(), trainer.evaluate(pictures, [])
    trainer.step(*batch(), 1e-1)
    second = trainer.network(), trainer.evaluate(pictures, [])
    for network, score in (first, second):
        trainer.set_network(network)
        assert trainer.evaluate(pictures, []) == score
    assert first[1] != second[1]


def test_a_stop_signal_ends_an_evaluation():
    assert Trainer(CONFIG, START, 2).evaluate(pictures_of(2), [1.0]) is None
