"""The step of the usual tutorials, as a peer: VGG19 of Keras, GradientTape, Adam of Keras."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from nst_keras.network import weights as weights_lib
from nst_keras.network.vgg import layer_names


def steps(content: np.ndarray, style: np.ndarray) -> Callable[[int], None]:
    """Steps that begin at the content; pictures are (H, W, 3) in [0, 1]."""
    content_layer = "block5_conv2"
    style_layers = [f"block{block}_conv1" for block in range(1, 6)]
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    weights = weights_lib.read_weights(weights_lib.embedded_path(), "vgg19")
    for name in layer_names("vgg19"):
        vgg.get_layer(name).set_weights([weights.kernels[name], weights.biases[name]])
    vgg.trainable = False
    outputs = {name: vgg.get_layer(name).output for name in [content_layer, *style_layers]}
    extractor = keras.Model(vgg.inputs, outputs)

    def features(image):
        return extractor(keras.applications.vgg19.preprocess_input(image * 255.0))

    def gram(feature):
        _, rows, columns, _ = feature.shape
        return tf.einsum("bijc,bijd->bcd", feature, feature) / float(rows * columns)

    targets = features(tf.constant(content[None]))[content_layer]
    style_features = features(tf.constant(style[None]))
    grams = {name: gram(style_features[name]) for name in style_layers}
    image = tf.Variable(content[None])
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build([image])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            found = features(image)
            loss = tf.reduce_mean((found[content_layer] - targets) ** 2)
            for name in style_layers:
                loss += tf.reduce_mean((gram(found[name]) - grams[name]) ** 2)
            loss += tf.reduce_mean((image[:, 1:] - image[:, :-1]) ** 2)
            loss += tf.reduce_mean((image[:, :, 1:] - image[:, :, :-1]) ** 2)
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))
        return loss

    def run(count: int) -> None:
        for _ in range(count):
            loss = step()
        loss.numpy()

    return run
