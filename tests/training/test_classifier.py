"""The network that is trained, and its convolutions as weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.network import extractor, vgg, weights
from nst_keras.network.weights import Weights
from nst_keras.training import classifier
from nst_keras.training.config import TrainConfig
from tests.training.conftest import Trainer


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
    model = classifier.build_classifier(config, start, classes=3)
    assert model.get_layer("flatten").output.shape == (None, 4)
    assert model.get_layer("dense").kernel.shape == (4, 5) and model.output_shape == (None, 3)


def test_the_cost_of_vgg19_is_that_of_its_paper():
    start = Weights("vgg19", vgg.CHANNELS, {}, {}, "")
    assert classifier.forward_flops(start, 224) == pytest.approx(39.0e9, rel=0.01)
