"""TensorFlow's and Keras' settings for the whole process: ours while this package computes, and
otherwise those of the user, who may have models of their own."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras

# Private: no public function tells whether a policy was chosen, or undoes determinism.
from keras.src.backend.common import global_state
from tensorflow.python.framework import config as tf_config

from nst_keras.runtime.errors import InputError

_POLICY = "dtype_policy"  # Keras keeps it for each thread
_VALUES = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


class _WhileUsed:
    """Something for the whole process that is changed while at least one thread needs it.

    `change` makes the change and returns what undoes it.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]):
        # Garbage collection may close an iterator of this thread, which comes here, at any time.
        self._change, self._lock, self._users = change, threading.RLock(), 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._users:
                self._undo = self._change()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._undo()


@contextlib.contextmanager
def ours(deterministic: bool) -> Iterator[None]:
    """Compute with Keras' own defaults and, if asked for, with deterministic operations only.

    Raises InputError if Keras has another backend than TensorFlow.
    """
    if (backend := keras.config.backend()) != "tensorflow":
        raise InputError(
            f"Keras computes with {backend} in this process, and nst_keras needs TensorFlow: "
            "set KERAS_BACKEND=tensorflow before Keras is imported"
        )
    with _keras(), _determinism() if deterministic else contextlib.nullcontext():
        policy = global_state.get_global_attribute(_POLICY)
        keras.config.set_dtype_policy("float32")
        try:
            yield
        finally:
            global_state.set_global_attribute(_POLICY, policy)


def _set(values: dict[str, Any]) -> None:
    for name, value in values.items():
        getattr(keras.config, f"set_{name}")(value)


def _with_defaults() -> Callable[[], None]:
    before = {name: getattr(keras.config, name)() for name in _VALUES}
    _set(_VALUES)
    return lambda: _set(before)


def _deterministic() -> Callable[[], None]:
    if tf_config.is_op_determinism_enabled():
        return lambda: None
    tf_config.enable_op_determinism()
    return tf_config.disable_op_determinism


_keras, _determinism = _WhileUsed(_with_defaults), _WhileUsed(_deterministic)
