"""VGG16 and VGG19 as functional Keras models that output the features of chosen layers."""

import hashlib

import keras
import numpy as np
from keras import layers, ops

from nst_keras.network import vgg
from nst_keras.network.pooling import AveragePooling, MaxPooling
from nst_keras.network.weights import Weights
from nst_keras.runtime.errors import InputError, first_line

# Float16 ends at 65504, and VGG's activations reach half of that and more. A network of ReLUs and
# pooling is homogeneous in its input and biases together: for float16 both are multiplied by this
# power of two, and the features are divided by it once they are float32.
_HALF_SHRINK = 2.0**-8
# Gradients of features are scaled until the largest is this, before they go back through a network
# in float16; inside the network, that is 1/4. It grows on its way to the image, in VGG19 about 150
# times. A thousand times more would overflow, and what is below 1e-7 of the largest vanishes.
LARGEST_GRADIENT = {"float16": _HALF_SHRINK / 4.0}


def preprocess(image, channel_order: str, mean: tuple[float, ...], std: tuple[float, ...]):
    """RGB images in [0, 1], (N, H, W, 3), as the weights of these attributes expect them."""
    if channel_order == "bgr":
        image = ops.flip(image, axis=-1)
    centered = image * 255.0 - np.array(mean, np.float32)
    return centered if std == (1.0, 1.0, 1.0) else centered / np.array(std, np.float32)


def feature_extractor(
    weights: Weights,
    layer_names: tuple[str, ...],
    *,
    pooling: str = "max",
    padding: str = "zero",
    precision: str = "float32",
) -> keras.Model:
    """A frozen model of images (N, H, W, 3), float32 RGB in [0, 1], up to the deepest layer.

    Args:
        pooling: 'max' as trained, or 'avg', smoother (Gatys et al. 2016, section 2).
        padding: of the first convolution: 'zero' as trained, or 'replicate' of the edge values,
            since zeros darken a picture's border.
        precision: the dtype of the convolutions: 'float32', 'bfloat16' or 'float16'.

    Returns:
        A model whose output is a dict of post-ReLU features (N, h, w, C) by layer name. They have
        the dtype of the convolutions, but float32 for float16, for which they may be too large.
    """
    shrink = _HALF_SHRINK if precision == "float16" else 1.0
    convs = vgg.up_to_deepest(weights.backbone, layer_names, weights.channels)
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    features = preprocess(image, weights.channel_order, weights.mean, weights.std) * shrink
    if padding == "replicate":
        features = ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    pool = MaxPooling if pooling == "max" else AveragePooling
    outputs, block = {}, 1
    for index, conv in enumerate(convs):
        if conv.block > block:
            features = pool(
                2,
                strides=2,
                data_format="channels_last",
                name=f"block{block}_pool",
                dtype=precision,
            )(features)
            block = conv.block
        features = layers.Conv2D(
            conv.outputs,
            3,
            padding="valid" if index == 0 and padding == "replicate" else "same",
            data_format="channels_last",
            activation="relu",
            kernel_initializer="zeros",  # set below; random ones would take time
            name=conv.name,
            dtype=precision,
        )(features)
        if conv.name in layer_names:
            outputs[conv.name] = features
            if precision == "float16":  # powers of two: exact both ways
                outputs[conv.name] = ops.cast(features, "float32") / shrink
                features = ops.cast(outputs[conv.name] * shrink, "float16")
    model = keras.Model(image, outputs, name=weights.backbone)
    for conv in convs:
        kernel_and_bias = weights.kernels[conv.name], weights.biases[conv.name] * shrink
        model.get_layer(conv.name).set_weights(kernel_and_bias)
    model.trainable = False
    return model


def sections(extractor: keras.Model) -> tuple[keras.Model, ...]:
    """The extractor, cut after each output into models of one output each, which share its weights.

    The first takes the image, each later one the output of the one before.
    """
    parts, entry = [], extractor.inputs[0]
    for name, output in extractor.output.items():
        parts.append(keras.Model(entry, {name: output}, name=f"to_{name}"))
        entry = output
    return tuple(parts)


def imagenet_weights(backbone: str) -> Weights:
    """ImageNet weights in full precision from `keras.applications`, which caches and checks them.

    Raises:
        InputError: they are not in the cache and cannot be downloaded.
    """
    builders = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}
    try:
        model = builders[backbone](weights="imagenet", include_top=False)
    except Exception as error:  # keras.utils.get_file raises plain Exception when offline
        raise InputError(
            f"--weights=imagenet: cannot be downloaded ({first_line(error)}); use the path of a "
            "downloaded notop .h5 file or, for vgg19, --weights=embedded, which is included"
        ) from error
    kernels, biases, digest = {}, {}, hashlib.sha256()
    for name in vgg.layer_names(backbone):
        kernels[name], biases[name] = model.get_layer(name).get_weights()
        digest.update(kernels[name].tobytes() + biases[name].tobytes())
    return Weights(backbone, vgg.CHANNELS, kernels, biases, digest.hexdigest())
