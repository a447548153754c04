"""VGG16 and VGG19 as functional Keras models that output the features of chosen layers."""

import hashlib

import keras
import numpy as np
from keras import layers, ops

from nst_keras.network import vgg
from nst_keras.network.weights import Weights
from nst_keras.runtime.errors import InputError, first_line

# Float16 ends at 65504, and VGG's activations come to half of that and more. A network of ReLUs and
# pooling is homogeneous in its input and biases together: for float16 both are shrunk by a
# power of two, and the features are enlarged by it once they are float32.
_HALF_SHRINK = 2.0**-8
# What the largest gradient of a feature is brought to before it is pulled back in float16: inside
# the network it is 1/4 then. On its way to the image it grows, in VGG19 about 150 times; a thousand
# times more would overflow, and what is below 1e-7 of it vanishes.
LARGEST_GRADIENT = {"float16": _HALF_SHRINK / 4.0}


class Preprocess(layers.Layer):
    """RGB in [0, 1] to what the weights expect: 0..255, their channel order, mean and deviation.

    Args:
        shrink: factor on all that, see `_HALF_SHRINK`.
    """

    def __init__(self, channel_order: str, mean: tuple, std: tuple, shrink: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.channel_order, self.mean, self.std = channel_order, tuple(mean), tuple(std)
        self.shrink = shrink

    def call(self, image):
        """(N, H, W, 3) to (N, H, W, 3)."""
        if self.channel_order == "bgr":
            image = ops.flip(image, axis=-1)
        centered = image * 255.0 - np.array(self.mean, np.float32)
        if self.std != (1.0, 1.0, 1.0):
            centered = centered / np.array(self.std, np.float32)
        return centered if self.shrink == 1.0 else centered * self.shrink

    def compute_output_shape(self, input_shape):
        return input_shape


class ReplicatePadding(layers.Layer):
    """One pixel of edge values on each side, in place of zeros, which darken a picture's border."""

    def call(self, image):
        """(N, H, W, C) to (N, H + 2, W + 2, C)."""
        return ops.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, height and height + 2, width and width + 2, channels


def feature_extractor(
    weights: Weights,
    layer_names: tuple[str, ...],
    *,
    pooling: str = "max",
    padding: str = "zero",
    precision: str = "float32",
) -> keras.Model:
    """A frozen model: image (N, H, W, 3), float32 RGB in [0, 1] -> {layer: post-ReLU features}.

    Args:
        layer_names: the outputs. The network ends at the deepest of them.
        pooling: 'max' as trained, or 'avg', smoother (Gatys et al. 2016, section 2).
        padding: of the first convolution: 'zero' as trained, or 'replicate'.
        precision: 'float32', 'bfloat16' or 'float16': the dtype of the convolutions and of the
            features; those of float16 are float32, as they may be too large for it.
    """
    shrink = _HALF_SHRINK if precision == "float16" else 1.0
    convs = vgg.up_to_deepest(
        vgg.convolutions(weights.backbone, channels=weights.channels), layer_names
    )
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    features = Preprocess(
        weights.channel_order, weights.mean, weights.std, shrink, name="preprocess"
    )(image)
    if padding == "replicate":
        features = ReplicatePadding(name="replicate_padding")(features)
    outputs, block = {}, 1
    for index, conv in enumerate(convs):
        if conv.block > block:
            features = _pool(pooling, block, precision)(features)
            block = conv.block
        valid = index == 0 and padding == "replicate"
        features = _convolution(conv, "valid" if valid else "same", precision)(features)
        if conv.name in layer_names:
            outputs[conv.name] = features
            if precision == "float16":  # exact, as powers of two are, both ways
                outputs[conv.name] = ops.cast(features, "float32") / shrink
                features = ops.cast(outputs[conv.name] * shrink, "float16")
    model = keras.Model(image, outputs, name=weights.backbone)
    for conv in convs:
        kernel_and_bias = weights.kernels[conv.name], weights.biases[conv.name] * shrink
        model.get_layer(conv.name).set_weights(kernel_and_bias)
    model.trainable = False
    return model


def sections(extractor: keras.Model) -> tuple[keras.Model, ...]:
    """The extractor cut behind each of its outputs: models of one output each, like its own.

    The first takes the image, each other one the output of the one before; together they are the
    extractor, with the same weights.
    """
    parts, entry = [], extractor.inputs[0]
    for name, output in extractor.output.items():
        parts.append(keras.Model(entry, {name: output}, name=f"to_{name}"))
        entry = output
    return tuple(parts)


def imagenet_weights(backbone: str) -> Weights:
    """Full-precision ImageNet weights through `keras.applications`: cached, checked by Keras' MD5.

    Raises:
        InputError: not in the cache and not to be downloaded.
    """
    builders = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}
    try:
        model = builders[backbone](weights="imagenet", include_top=False)
    except Exception as error:  # keras.utils.get_file raises plain Exception when offline
        raise InputError(
            f"--weights=imagenet: cannot be fetched ({first_line(error)}); use "
            "--weights=embedded, which needs no network, or the path of a downloaded notop .h5"
        ) from error
    kernels, biases, digest = {}, {}, hashlib.sha256()
    for name in vgg.layer_names(backbone):
        kernels[name], biases[name] = model.get_layer(name).get_weights()
        digest.update(kernels[name].tobytes() + biases[name].tobytes())
    return Weights(backbone, vgg.CHANNELS, kernels, biases, digest.hexdigest())


def _convolution(conv: vgg.Conv, padding: str, precision: str) -> layers.Conv2D:
    return layers.Conv2D(
        conv.outputs,
        3,
        padding=padding,
        activation="relu",
        kernel_initializer="zeros",  # the real ones come next; random ones would take time
        name=conv.name,
        dtype=precision,
    )


def _pool(pooling: str, block: int, precision: str) -> layers.Layer:
    layer = {"max": layers.MaxPooling2D, "avg": layers.AveragePooling2D}[pooling]
    return layer(2, strides=2, name=f"block{block}_pool", dtype=precision)
