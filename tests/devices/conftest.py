"""Devices that are not there."""

import tensorflow as tf

from nst_keras.devices import startup


def pretend(monkeypatch, flags="", gpus=0, **details):
    """A processor of these flags, and GPUs of these details."""
    monkeypatch.setattr(startup, "_cpuinfo", lambda: {"flags": flags})
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda _: [f"gpu{n}" for n in range(gpus)]
    )
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
