"""Devices that are not there."""

import tensorflow as tf

from nst_keras.devices import precision, startup


def pretend(monkeypatch, flags="", gpus=0, **details):
    """A processor of these flags, and GPUs of these details; they compute in all precisions."""
    monkeypatch.setattr(startup, "cpuinfo", lambda: {"flags": flags})
    monkeypatch.setattr(precision, "obstacle", lambda _: None)
    for name in precision._WITHOUT_BFLOAT16:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda _: [f"gpu{n}" for n in range(gpus)]
    )
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
