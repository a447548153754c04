"""The settings of Keras and TensorFlow that are the user's again afterwards."""

import contextlib
import threading

import keras
import pytest
import tensorflow as tf

from nst_keras.devices import keras_settings
from nst_keras.runtime.errors import InputError

DEFAULTS = ("float32", "channels_last", 1e-7, "float32")
USERS = ("float16", "channels_first", 0.1, "mixed_bfloat16")


def present():
    config = keras.config
    return config.floatx(), config.image_data_format(), config.epsilon(), config.dtype_policy().name


def choose(floatx, layout, epsilon, policy):
    keras.config.set_floatx(floatx)
    keras.config.set_image_data_format(layout)
    keras.config.set_epsilon(epsilon)
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def users():
    """The settings of a user."""
    choose(*USERS)
    yield
    choose(*DEFAULTS)


def test_the_users_settings_are_put_aside_and_back(users):
    with keras_settings.ours(False):
        assert present() == DEFAULTS
    assert present() == USERS


def test_they_are_put_back_after_an_error(users):
    with pytest.raises(OSError), keras_settings.ours(True):
        raise OSError
    assert present() == USERS and may_draw()


def test_of_uses_that_overlap_only_the_last_one_puts_them_back(users):
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(keras_settings.ours(True))
    second.enter_context(keras_settings.ours(False))
    first.close()
    assert present()[:3] == DEFAULTS[:3] and may_draw()
    second.close()
    assert present()[:3] == USERS[:3]  # the policy is that of a thread, where uses do not overlap


def test_a_policy_that_was_never_chosen_still_follows_floatx():
    found = []

    def work():  # Keras keeps the policy for each thread
        with keras_settings.ours(False):
            pass
        keras.config.set_floatx("float16")
        found.append(keras.config.dtype_policy().name)
        keras.config.set_floatx("float32")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["float16"]


def may_draw():
    """Whether random numbers need no seed, as they do if operations are deterministic."""
    tf.random.set_seed(None)  # another test may have set one
    try:
        tf.random.uniform(())
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("asked", [True, False])
def test_operations_are_deterministic_while_that_is_asked_for(asked):
    assert may_draw()
    with keras_settings.ours(asked):
        assert may_draw() == (not asked)
    assert may_draw()


def test_operations_of_a_user_stay_deterministic():
    tf.config.experimental.enable_op_determinism()
    try:
        with keras_settings.ours(True):
            pass
        assert not may_draw()
    finally:
        keras_settings.tf_config.disable_op_determinism()


def test_another_backend_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(InputError, match="^Keras computes with jax .* KERAS_BACKEND=tensorflow"):
        keras_settings.ours(False).__enter__()
