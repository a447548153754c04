"""The network of a run on each device, shared by the pictures of one process."""

import weakref
from collections.abc import Callable, Sequence

import tensorflow as tf

from nst_keras.devices import memory
from nst_keras.devices.replicas import Replicas
from nst_keras.network import extractor
from nst_keras.network.custom import CustomExtractor
from nst_keras.network.weights import Weights
from nst_keras.objective.evaluation import Features, Network
from nst_keras.runtime.errors import InputError
from nst_keras.settings.resolve import Settings


class FeatureExtractors:
    """The network on each device.

    Attributes:
        capture: the features of a picture on the first device.
        weights: of VGG, which also finds regions and scores results.
    """

    def __init__(
        self,
        capture: Callable[[tf.Tensor], Features],
        networks: Sequence[Network],
        weights: Weights,
    ):
        self.networks, self.weights = tuple(networks), weights
        # Of any size, so that one trace computes the targets of all scales and styles.
        self.capture = tf.function(
            capture,
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
            autograph=False,
        )


def custom_extractors(
    custom: CustomExtractor, layers: tuple[str, ...], weights: Weights, replicas: Replicas
) -> FeatureExtractors:
    """The network of the user; InputError if there are several devices."""
    if replicas.count > 1:
        raise InputError("extractor: computes on one device only; use --distribute=none")
    used = tuple(dict.fromkeys(layers))
    network = Network(custom.sections(used))
    return FeatureExtractors(custom.features(used), [network], weights)


# The networks that are in use, by what they are made of besides the values of their weights.
_in_use: weakref.WeakValueDictionary[tuple, FeatureExtractors] = weakref.WeakValueDictionary()


def vgg_extractors(
    settings: Settings,
    layers: tuple[str, ...],
    precision: str,
    weights: Weights,
    replicas: Replicas,
) -> FeatureExtractors:
    """VGG on each device, up to these layers.

    One of the same weights that is still in use is shared: the last iterate of a run keeps its
    network, so a loop of runs would otherwise hold two.
    """
    memory.free_garbage()  # of earlier runs of this process, which is in use no more
    kind = layers, settings.pooling, settings.padding, precision, replicas.devices
    found = _in_use.get(kind)
    if found is not None and found.weights.equals(weights):
        return found
    models = []
    for device in replicas.devices:
        with tf.device(device or None):
            model = extractor.feature_extractor(
                weights,
                layers,
                pooling=settings.pooling,
                padding=settings.padding,
                precision=precision,
            )
        models.append(model)
    largest = extractor.LARGEST_GRADIENT.get(precision)
    networks = [Network(extractor.sections(model), largest) for model in models]
    made = _in_use[kind] = FeatureExtractors(models[0], networks, weights)
    return made
