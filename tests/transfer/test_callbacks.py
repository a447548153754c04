"""Callbacks: what they are told, in which order, and how they end a run."""

import numpy as np
import pytest

from nst_keras import Callback, stylize
from nst_keras.runtime.errors import InputError
from nst_keras.transfer.callbacks import CallbackList
from tests.transfer.conftest import CONFIG, CONTENT, SINGLE, STYLE, paint


class Told(Callback):
    """Notes all calls, and stops after a step."""

    def __init__(self, stop_at=None):
        self.stop_at, self.calls, self.logs = stop_at, [], []

    def on_train_begin(self, logs=None):
        self.calls.append("train begins")

    def on_train_end(self, logs=None):
        self.calls.append("train ends")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"scale {epoch} begins")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"scale {epoch} ends")

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(batch)
        self.logs.append((logs, dict(self.iterate.terms)))
        self.stop = batch == self.stop_at


def test_a_callback_is_told_of_scales_and_steps(tiny_weights):
    told = Told()
    paint(CONFIG, tiny_weights, callbacks=[told])
    assert told.calls == [
        *("train begins", "scale 0 begins", 1, 2, 3, 4, "scale 0 ends"),
        *("scale 1 begins", 5, 6, 7, 8, 9, 10, "scale 1 ends", "train ends"),
    ]
    for logs, terms in told.logs:
        assert logs == {"loss": terms["total"], **terms}


def test_a_stopped_run_resumes_with_the_same_call(tiny_weights, single, tmp_path):
    told = Told(stop_at=3)
    options = {"weights": tiny_weights, "checkpoints": tmp_path, "callbacks": told}
    *_, last = stylize(CONTENT, STYLE, SINGLE, **options)
    assert last.step == 3 and told.calls[-2:] == [3, "train ends"]
    assert last.image.shape == single.image.shape  # stays readable
    told.stop_at = None
    first, *_, last = stylize(CONTENT, STYLE, SINGLE, **options)
    assert first.step == 4
    np.testing.assert_array_equal(last.image, single.image)


def test_callbacks_that_only_watch_change_nothing(tiny_weights, single):
    class Careless(Callback):
        def on_train_batch_end(self, batch, logs=None):
            logs.clear()

    found = paint(SINGLE, tiny_weights, callbacks=(Careless(), Told()))
    assert found.terms == single.terms
    np.testing.assert_array_equal(found.image, single.image)


def test_the_end_is_told_if_the_caller_breaks_off(tiny_weights):
    told = Told()
    iterates = stylize(CONTENT, STYLE, CONFIG, weights=tiny_weights, callbacks=told)
    next(iterates)
    iterates.close()
    assert told.calls == ["train begins", "scale 0 begins", 1, "train ends"]


@pytest.mark.parametrize(
    ("given", "kind"), [(3, "int"), ([print], "builtin_function_or_method"), ([Told], "Told")]
)
def test_what_is_no_callback_is_refused(given, kind):
    with pytest.raises(InputError, match=f"^callbacks: {kind} is no nst_keras.Callback"):
        CallbackList.of(given)


def test_none_one_and_several_are_taken():
    one, two = Told(), Told()
    for given, expected in ((None, ()), (one, (one,)), (iter([one, two]), (one, two))):
        assert CallbackList.of(given).callbacks == expected
