"""A quadratic to optimize, and optimizers by name with every setting that they take."""

import keras
import numpy as np
import tensorflow as tf

from nst_keras.optimizers import by_name, schedules
from nst_keras.optimizers.facts import FACTS

SHAPE = (1, 4, 5, 3)
EVERYTHING = {
    "beta_1": 0.8,
    "beta_2": 0.95,
    "epsilon": 1e-6,
    "momentum": 0.5,
    "adam_colors": "rgb",
    "history": 5,
    "line_search": "backtrack",
}

# Sensible rates for pixels in [0, 1] on the quadratic below, and what Keras calls the optimizer.
KERAS = {
    "adadelta": (30.0, keras.optimizers.Adadelta),
    "adafactor": (0.02, keras.optimizers.Adafactor),
    "adagrad": (0.1, keras.optimizers.Adagrad),
    "adamax": (0.02, keras.optimizers.Adamax),
    "adamw": (0.02, keras.optimizers.AdamW),
    "lamb": (0.02, keras.optimizers.Lamb),
    "lion": (0.01, keras.optimizers.Lion),
    "nadam": (0.02, keras.optimizers.Nadam),
    "rmsprop": (0.02, keras.optimizers.RMSprop),
    "sgd": (0.1, keras.optimizers.SGD),
}
RATES = {"adam": 0.02, "lbfgs": 1.0, **{name: rate for name, (rate, _) in KERAS.items()}}


def quadratic(seed=0, shape=SHAPE):
    """A random convex function of an image, as a value_and_grad."""
    rng = np.random.default_rng(seed)
    curvature = tf.constant(rng.uniform(1e-3, 10, shape).astype(np.float32))
    center = tf.constant(rng.random(shape, dtype=np.float32))

    def value_and_grad(image):
        gap = image - center
        return {"total": 0.5 * tf.reduce_sum(curvature * gap**2)}, curvature * gap

    return value_and_grad


def rate_of(learning_rate=0.02, name="constant", steps=100, end=0.2):
    return schedules.make_schedule(name, learning_rate, steps=steps, end=end)


def made(name, rate, pixel_range=1.0, **changes):
    """An optimizer by its name, with all the settings that it takes."""
    settings = {option: {**EVERYTHING, **changes}[option] for option in FACTS[name].takes}
    return by_name.make_optimizer(name, SHAPE, rate, settings, pixel_range=pixel_range)


def advance(optimizer, image, steps):
    """Take some steps on the quadratic; the totals that they saw."""
    value_and_grad = quadratic()
    return [float(optimizer.step(image, value_and_grad)["total"]) for _ in range(steps)]
