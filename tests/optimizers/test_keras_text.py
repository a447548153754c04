"""Optimizers of Keras as texts: the same text each time, and the same optimizer from it."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from nst_keras.optimizers import keras_text
from nst_keras.optimizers.by_name import make_optimizer
from nst_keras.optimizers.facts import FACTS, facts_of
from nst_keras.runtime.errors import InputError


def constant(step):
    return tf.constant(1.0)


def test_equal_optimizers_have_equal_texts():
    first, second = (keras_text.text_of(keras.optimizers.Adam(0.02)) for _ in range(2))
    assert first == second and keras_text.is_text(first)
    assert first != keras_text.text_of(keras.optimizers.Adam(0.03))
    assert json.loads(first.removeprefix("keras:"))["class_name"] == "Adam"


def test_messages_name_the_class_alone():
    assert keras_text.brief(keras_text.text_of(keras.optimizers.Adam(0.02))) == "keras:Adam"
    assert keras_text.brief("lbfgs") == "lbfgs"


def test_gradients_are_not_accumulated_over_steps():
    with pytest.raises(InputError, match="^optimizer: Adam has gradient_accumulation_steps; "):
        keras_text.text_of(keras.optimizers.Adam(gradient_accumulation_steps=2))


def test_other_values_stay():
    for value in ("adam", None, 3, ("a",)):
        assert keras_text.text_of(value) is value
    assert not keras_text.is_text("adam")


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(0.02, beta_1=0.5),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.AdamW(0.02, weight_decay=0.1),
        lambda: keras.optimizers.RMSprop(
            keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), clipnorm=1.0
        ),
    ],
)
def test_steps_are_those_of_the_optimizer(make):
    start = np.linspace(0.2, 0.8, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    image, same = tf.Variable(start), keras.Variable(start)
    text = keras_text.text_of(make())
    tested = make_optimizer(text, start.shape, constant, {})
    plain = make()
    for _ in range(4):
        tested.step(image, lambda it: ({"total": tf.reduce_sum(it**2)}, 2.0 * it))
        plain.apply([2.0 * same.value], [same])
    np.testing.assert_allclose(image.numpy(), same.numpy(), rtol=1e-6)
    assert np.abs(image.numpy() - start).max() > 1e-3


def test_the_rate_is_a_factor():
    start = np.full((1, 2, 2, 3), 0.5, np.float32)
    text = keras_text.text_of(keras.optimizers.SGD(0.1))
    moved = []
    for factor in (1.0, 0.5):
        image = tf.Variable(start)
        made = make_optimizer(text, start.shape, lambda step, f=factor: tf.constant(f), {})
        made.step(image, lambda it: ({"total": tf.reduce_sum(it)}, tf.ones_like(it)))
        moved.append(0.5 - image.numpy())
    np.testing.assert_allclose(moved[1], moved[0] / 2, rtol=1e-5)
    assert facts_of(text).rate_is_factor and facts_of("adam") is FACTS["adam"]


class Unregistered(keras.optimizers.SGD):
    pass


@keras.saving.register_keras_serializable(package="tests")
class Registered(keras.optimizers.SGD):
    pass


def test_classes_of_the_user_must_be_registered():
    with pytest.raises(InputError, match="^optimizer: Keras cannot save Unregistered"):
        keras_text.text_of(Unregistered())
    made = make_optimizer(keras_text.text_of(Registered(0.1)), (1, 2, 2, 3), constant, {})
    assert isinstance(made._optimizer, Registered)
    with pytest.raises(InputError, match="is the class SGD; give SGD()"):
        keras_text.text_of(keras.optimizers.SGD)


@pytest.mark.parametrize(
    "text",
    ["keras:", "keras:{", "keras:[1]", 'keras:{"class_name": "Adam"}', 'keras:{"config": 3}'],
)
def test_a_damaged_text_is_refused(text):
    with pytest.raises(InputError, match="is not what Keras writes of an optimizer"):
        make_optimizer(text, (1, 2, 2, 3), constant, {})


def test_a_text_cannot_have_any_module_imported():
    found = json.loads(keras_text.text_of(keras.optimizers.SGD(0.1)).removeprefix("keras:"))
    found |= {"module": "antigravity", "registered_name": "Any"}
    with pytest.raises(InputError, match="the class SGD of antigravity is not registered"):
        make_optimizer("keras:" + json.dumps(found), (1, 2, 2, 3), constant, {})
