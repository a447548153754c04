"""The network of a run on each device, shared by the pictures of one process."""

import weakref

import tensorflow as tf

from nst_keras.devices import memory
from nst_keras.devices.replicas import Replicas
from nst_keras.network import extractor
from nst_keras.network.weights import Weights
from nst_keras.objective.evaluation import Network
from nst_keras.settings.resolve import Settings


class FeatureExtractors:
    """The network on each device."""

    def __init__(
        self,
        settings: Settings,
        layers: tuple[str, ...],
        precision: str,
        weights: Weights,
        replicas: Replicas,
    ):
        self.weights = weights
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
        self.networks = [Network(extractor.sections(model), largest) for model in models]
        # Of any size, so that one trace computes the targets of all scales and styles.
        self.capture = tf.function(
            models[0],
            input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
            autograph=False,
        )


# The networks that are in use, by what they are made of besides the values of their weights.
_in_use: weakref.WeakValueDictionary[tuple, FeatureExtractors] = weakref.WeakValueDictionary()


def feature_extractors(
    settings: Settings,
    layers: tuple[str, ...],
    precision: str,
    weights: Weights,
    replicas: Replicas,
) -> FeatureExtractors:
    """The network on each device, up to these layers.

    One of the same weights that is still in use is shared: the last iterate of a run keeps its
    network, so a loop of runs would otherwise hold two.
    """
    memory.free_garbage()  # of earlier runs of this process, which is in use no more
    kind = layers, settings.pooling, settings.padding, precision, replicas.devices
    found = _in_use.get(kind)
    if found is None or (found.weights is not weights and not found.weights.equals(weights)):
        found = _in_use[kind] = FeatureExtractors(settings, layers, precision, weights, replicas)
    return found
