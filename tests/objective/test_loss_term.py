"""Terms that the user writes: what is refused, and by what two of them are told apart."""

import functools

import numpy as np
import pytest

from nst_keras.objective.loss_term import LossTerm, check_additive, check_terms
from nst_keras.runtime.errors import InputError


def red(pixels):
    return pixels[..., 0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("style", 1.0, red), "name='style': is the name of another term"),
        (("loss", 1.0, red), "is the name of another term"),
        (("a/b", 1.0, red), "name='a/b': must be of letters"),
        ((3, 1.0, red), "name=3: must be"),
        (("a", -1.0, red), "weight=-1.0: must be a number of at least 0"),
        (("a", float("nan"), red), "weight=nan: must be"),
        (("a", True, red), "weight=True: must be a number"),
        (("a", "1", red), "weight='1': must be a number"),
        (("a", 1.0, "red"), "function: of term a cannot be called"),
    ],
)
def test_wrong_terms_are_refused(given, said):
    with pytest.raises(InputError) as caught:
        LossTerm(*given)
    assert said in str(caught.value)


def test_one_layer_need_not_be_in_a_tuple():
    assert LossTerm("a", 1, red, layers="block1_conv1").layers == ("block1_conv1",)
    assert LossTerm("a", np.float32(1), red, layers=["x", "y"]).layers == ("x", "y")


def test_none_one_and_several_are_taken():
    one, two = LossTerm("a", 1, red), LossTerm("b", 1, red)
    for given, expected in ((None, ()), ((), ()), (one, (one,)), ([one, two], (one, two))):
        assert check_terms(given) == expected
    with pytest.raises(InputError, match="terms: function is no nst_keras.LossTerm"):
        check_terms([red])
    with pytest.raises(InputError, match="terms: a is the name of two terms"):
        check_terms([one, LossTerm("a", 2, red)])


def test_only_sums_are_for_tiles():
    check_additive([LossTerm("a", 1, red, additive=True)])
    with pytest.raises(InputError, match="^terms: a is not additive"):
        check_additive([LossTerm("a", 1, red)])


def made(value, inner=0):
    """A function with values of its own."""

    def function(pixels, scale=2.0):
        def nested(x):
            return x * scale + inner

        return nested(pixels) * value

    return function


def identity(function, **others):
    return LossTerm("a", **{"weight": 1.0, "function": function, **others}).identity()


def test_the_same_term_has_the_same_identity():
    array = np.arange(3)
    for value in (1, 2.5, "x", (1, [2, None]), array, array[0], frozenset({"b", "a"})):
        assert identity(made(value)) == identity(made(value))
    assert identity(made(array)) == identity(made(array.copy()))
    assert identity(functools.partial(red, 1)) == identity(functools.partial(red, 1))
    assert identity(lambda pixels: pixels) == identity(lambda pixels: pixels)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"function": made(1)}, {"function": made(2)}),
        ({"function": made(1)}, {"function": made(1, inner=3)}),
        ({"function": made(np.arange(3))}, {"function": made(np.arange(3.0))}),
        ({"function": lambda it: it + 1}, {"function": lambda it: it + 2}),
        ({"function": lambda it: it.mean()}, {"function": lambda it: it.sum()}),
        ({"function": red, "weight": 1}, {"function": red, "weight": 2}),
        ({"function": red}, {"function": red, "layers": "block1_conv1"}),
        ({"function": red}, {"function": red, "additive": True}),
        ({"function": red, "version": "1"}, {"function": red, "version": "2"}),
    ],
)
def test_different_terms_have_different_identities(one, other):
    assert identity(**one) != identity(**other)


def test_a_version_stands_for_the_function():
    assert identity(made(object()), version="1") == identity(red, version="1")


def test_values_that_cannot_be_compared_need_a_version():
    with pytest.raises(InputError, match="^terms: a uses a object, .* version='1'"):
        identity(made(object()))


FACTOR = 1.0


def scaled(pixels):
    return FACTOR * pixels


def recursive(pixels, depth=3):
    return recursive(pixels, depth - 1) if depth else pixels


def test_a_global_value_is_part_of_the_identity(monkeypatch):
    before = LossTerm("scaled", 1.0, scaled).identity()
    assert LossTerm("scaled", 1.0, lambda pixels: scaled(pixels)).identity() != before
    monkeypatch.setitem(globals(), "FACTOR", 9.0)
    assert LossTerm("scaled", 1.0, scaled).identity() != before
    monkeypatch.setitem(globals(), "FACTOR", np.ones(3))
    found = LossTerm("scaled", 1.0, scaled).identity()
    monkeypatch.setitem(globals(), "FACTOR", np.ones(3))
    assert LossTerm("scaled", 1.0, scaled).identity() == found
    monkeypatch.setitem(globals(), "FACTOR", object())
    with pytest.raises(InputError, match="give the term a version"):
        LossTerm("scaled", 1.0, scaled).identity()


def test_functions_may_call_themselves():
    def inner(pixels, depth=3):
        return inner(pixels, depth - 1) if depth else pixels

    for function in (recursive, inner):
        assert len(LossTerm("again", 1.0, function).identity()) == 64
