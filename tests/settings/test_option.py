"""One option: text to value, value to text, and what is refused."""

import math

import pytest

from nst_keras.settings.config import OPTIONS
from nst_keras.settings.option import Option


def option(kind, **rules):
    return Option(group="g", help="h", kind=kind, **rules)


@pytest.mark.parametrize(
    ("kind", "rules", "text", "value"),
    [
        ("int", {}, " 7 ", 7),
        ("float", {}, "1e3", 1000.0),
        ("text", {}, " a b ", "a b"),
        ("duration", {}, "90s", 90.0),
        ("duration", {}, "90", 90.0),
        ("duration", {}, "5m", 300.0),
        ("duration", {}, "1.5 h", 5400.0),
        ("size", {}, "original", "original"),
        ("size", {}, "512", 512),
        ("scales", {}, "auto", "auto"),
        ("scales", {}, "3", 3),
        ("int", {"many": True}, "1, 2 ,3", (1, 2, 3)),
        ("int", {"many": True}, "", ()),
        ("text", {"many": True}, "a.png,b c.png", ("a.png", "b c.png")),
        ("text", {"choices": ("a", "b")}, "b", "b"),
        ("int", {"low": 3, "high": 5}, "3", 3),
        ("int", {"low": 3, "high": 5}, "5", 5),
    ],
)
def test_parse(kind, rules, text, value):
    parsed = option(kind, **rules).parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "rules", "text"),
    [
        ("int", {}, "1.5"),
        ("int", {}, ""),
        ("int", {"low": 3}, "2"),
        ("int", {"high": 3}, "4"),
        ("float", {}, "nan"),
        ("float", {}, "inf"),
        ("float", {}, "-Infinity"),
        ("float", {}, "1e999"),
        ("float", {"low": 0}, "-1e-9"),
        ("text", {}, "  "),
        ("text", {"choices": ("a", "b")}, "A"),
        ("duration", {}, "5 days"),
        ("duration", {}, "-5s"),
        ("duration", {}, "1.2.3s"),
        ("duration", {}, "."),
        ("size", {}, "auto"),
        ("size", {"low": 32}, "31"),
        ("scales", {}, "original"),
        ("int", {"many": True}, "1,,2"),
        ("int", {"many": True}, "1,x"),
    ],
)
def test_parse_refuses_and_says_what_may_be(kind, rules, text):
    refusing = option(kind, **rules)
    with pytest.raises(ValueError) as caught:
        refusing.parse(text)
    assert str(caught.value).startswith(f"must be {refusing.accepted()}")


@pytest.mark.parametrize(
    ("kind", "rules", "value"),
    [
        ("int", {}, True),
        ("int", {}, 1.0),
        ("int", {}, "1"),
        ("int", {}, None),
        ("float", {}, math.inf),
        ("float", {}, math.nan),
        ("float", {}, True),
        ("bool", {}, 1),
        ("bool", {}, "true"),
        ("text", {}, 5),
        ("text", {"many": True}, "a.png"),
        ("text", {"many": True}, ("a", 1)),
        ("text", {"choices": ("a", "b")}, "c"),
        ("size", {}, True),
        ("size", {}, 1.5),
        ("size", {}, "x"),
    ],
)
def test_check_refuses(kind, rules, value):
    with pytest.raises(ValueError, match="must be "):
        option(kind, **rules).check(value)


@pytest.mark.parametrize(
    ("kind", "rules", "value"),
    [
        ("float", {}, 3),
        ("bool", {}, False),
        ("int", {"many": True}, [1, 2]),
        ("int", {"many": True}, ()),
        ("size", {}, "original"),
    ],
)
def test_check_accepts(kind, rules, value):
    option(kind, **rules).check(value)


@pytest.mark.parametrize(
    ("kind", "rules", "words"),
    [
        ("int", {"low": 1, "high": 5}, "a whole number from 1 to 5"),
        ("int", {"low": 0, "high": 10**9}, "a whole number of at least 0"),
        ("float", {}, "a finite number"),
        ("size", {"low": 32, "high": 64}, "a whole number of pixels from 32 to 64 or original"),
        ("text", {"choices": ("max", "avg")}, "one of max, avg"),
    ],
)
def test_accepted_in_words(kind, rules, words):
    assert option(kind, **rules).accepted() == words


@pytest.mark.parametrize(
    ("kind", "many", "value"),
    [
        ("float", False, 0.1),
        ("float", False, 1 / 3),
        ("float", False, 5e-324),
        ("float", True, (1e22, 2.5)),
        ("int", True, (1, 20)),
        ("int", True, ()),
        ("text", True, ("a.png", "b.png")),
        ("duration", False, 90.0),
        ("duration", False, 1 / 3),
        ("duration", False, 1234567.0),
        ("duration", False, 1e8),
        ("size", False, "original"),
        ("size", False, 640),
    ],
)
def test_format_and_parse_round_trip(kind, many, value):
    one = option(kind, many=many)
    assert one.parse(one.format(value)) == value


def test_words_are_not_paths():
    init = option("text", path=True, words=("content", "noise"))
    assert init.is_path("noise.png") and not init.is_path("noise")
    assert not option("text").is_path("a.png")


@pytest.mark.parametrize(
    ("text", "value"),
    [("4G", 4 << 30), ("1.5g", 3 << 29), ("800M", 800 << 20), ("2KiB", 2048), ("1TB", 1 << 40)],
)
def test_sizes_of_memory_have_units(text, value):
    option = OPTIONS["memory_limit"]
    assert option.parse(text) == value
    assert option.parse(option.format(value)) == value


@pytest.mark.parametrize("text", ["", "G", "4X", "-1G", "4 4", "0"])
def test_other_sizes_of_memory_are_refused(text):
    with pytest.raises(ValueError, match="a size such as 800M or 6G"):
        OPTIONS["memory_limit"].parse(text)


def test_a_tile_size_is_a_number_or_a_word():
    option = OPTIONS["tile_size"]
    assert [option.parse(text) for text in ("auto", "none", "1024")] == ["auto", "none", 1024]
    with pytest.raises(ValueError, match="or auto or none"):
        option.parse("large")
