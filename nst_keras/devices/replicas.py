"""The devices and hosts that share the tiles of one picture, through `tf.distribute`.

Every host runs the same program on the same image. In each evaluation, each one computes its share
of the tiles; statistics are added up over all hosts once, and gradients once, so that everything
computed from them is the same on every host.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from nst_keras.devices import hosts as hosts_lib
from nst_keras.runtime.errors import InputError, first_line


@dataclasses.dataclass(frozen=True)
class Replicas:
    """The devices of this host, and its place among all hosts."""

    devices: tuple[str, ...]  # names such as '/device:GPU:0'; every host has as many
    hosts: int = 1
    host: int = 0  # from 0; only host 0, the chief, writes files
    # Adds up tensors, in a nest, over all hosts; the result is the same on each.
    total: Callable[[Any], Any] = lambda nest: nest

    @property
    def count(self) -> int:
        """The number of devices on all hosts."""
        return self.hosts * len(self.devices)

    @property
    def is_chief(self) -> bool:
        """Whether this host is the one that writes files."""
        return self.host == 0

    def own(self, index: int) -> int | None:
        """The number on this host of device `index` of all hosts; None if it is on another host."""
        own = index - self.host * len(self.devices)
        return own if 0 <= own < len(self.devices) else None

    def from_chief(self, nest: Any) -> Any:
        """The chief's values of tensors, in a nest of the same structure on all hosts."""
        if self.hosts == 1:
            return nest
        own = tf.convert_to_tensor if self.is_chief else tf.zeros_like
        return self.total(tf.nest.map_structure(own, nest))


ALONE = Replicas(("",))  # one device, which TensorFlow chooses


def _split_processor(count: int) -> None:
    """Split the CPU into several logical devices, so that replicas can be tried without GPUs."""
    (processor,) = tf.config.list_physical_devices("CPU")
    if len(tf.config.get_logical_device_configuration(processor) or ()) >= count:
        return
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    try:
        tf.config.set_logical_device_configuration(processor, parts)
    except RuntimeError as error:
        raise InputError(f"--replicas={count}: {error}") from error


def make_replicas(distribute: str, count: int = 0, cluster_timeout: float = 600.0) -> Replicas:
    """The replicas for `--distribute` and `--replicas`, before TensorFlow computes anything.

    Raises InputError if there are fewer devices, TF_CONFIG does not name the hosts, or TensorFlow
    has computed something before the CPU is split; and LostHostError if other hosts do not come
    within `cluster_timeout` seconds.
    """
    if distribute == "none":
        return ALONE
    if distribute == "multiworker":
        return _multiworker(cluster_timeout)
    if distribute == "tpu":
        strategy = _tpu_strategy()
    else:
        strategy = tf.distribute.MirroredStrategy(_local_devices(count))
    return Replicas(tuple(strategy.extended.worker_devices))


def _local_devices(count: int) -> list[str]:
    """The names of this host's GPUs or, without GPUs, of this number of parts of its CPU."""
    if gpus := len(tf.config.list_physical_devices("GPU")):
        if count > gpus:
            raise InputError(
                f"--replicas={count}: must be at most {gpus}, the number of GPUs of this host"
            )
        return [f"/gpu:{index}" for index in range(count or gpus)]
    if not count:
        raise InputError(
            "--distribute=mirrored: this host has no GPU that TensorFlow can use; "
            "to try it on two halves of the CPU, add --replicas=2"
        )
    _split_processor(count)
    return [f"/cpu:{index}" for index in range(count)]


def _multiworker(cluster_timeout: float) -> Replicas:
    cluster = hosts_lib.read_cluster()
    hosts_lib.wait_for_hosts(cluster, cluster_timeout)
    with hosts_lib.ending_at_once():
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    devices = tuple(strategy.extended.worker_devices)
    hosts = strategy.num_replicas_in_sync // len(devices)

    def total(nest: Any) -> Any:
        def add_up(tensor: tf.Tensor) -> tf.Tensor:
            values = [tensor] + [tf.zeros_like(tensor) for _ in devices[1:]]
            spread = strategy.experimental_distribute_values_from_function(
                lambda context: values[context.replica_id_in_sync_group % len(devices)]
            )
            return strategy.reduce(tf.distribute.ReduceOp.SUM, spread, axis=None)

        return tf.nest.map_structure(add_up, nest)

    return Replicas(devices, hosts, cluster.number, total)


def _tpu_strategy() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise InputError(f"--distribute=tpu: {first_line(error)}") from error
