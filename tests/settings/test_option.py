"""One option: text to value, value to text, and what is refused."""

import dataclasses
import math
import os

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.option import (
    Option,
    absolute_paths,
    check_settings,
    escaped,
    join_list,
    options_of,
    section,
    split_list,
)


def option(kind, **rules):
    return Option("h", name="x", kind=kind, **rules)


@pytest.mark.parametrize(
    ("kind", "rules", "text", "value"),
    [
        ("int", {}, " 7 ", 7),
        ("int", {}, "1e3", 1000),
        ("int", {}, "9007199254740993", 9007199254740993),  # that no float is
        ("float", {}, "1e3", 1000.0),
        ("text", {}, " a b ", "a b"),
        ("duration", {}, "90s", 90.0),
        ("duration", {}, "90", 90.0),
        ("duration", {}, "5m", 300.0),
        ("duration", {}, "1.5 h", 5400.0),
        ("duration", {}, "5min", 300.0),
        ("duration", {}, "2 Hours", 7200.0),
        ("pixels", {"words": ("original",)}, "original", "original"),
        ("pixels", {"words": ("original",)}, "512", 512),
        ("int", {"words": ("auto",)}, "auto", "auto"),
        ("int", {"many": True}, "1, 2 ,3", (1, 2, 3)),
        ("int", {"many": True}, "", ()),
        ("text", {"many": True}, "a.png,b c.png", ("a.png", "b c.png")),
        ("text", {"choices": ("a", "b")}, "b", "b"),
        ("text", {"choices": ("a", "b")}, "B", "b"),
        ("int", {"words": ("auto",)}, "Auto", "auto"),
        ("int", {"choices": (8, 16)}, "16", 16),
        ("int", {"limits": (3, 5)}, "3", 3),
        ("int", {"limits": (3, 5)}, "5", 5),
    ],
)
def test_parse(kind, rules, text, value):
    parsed = option(kind, **rules).parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "rules", "text"),
    [
        ("int", {}, "1.5"),
        ("int", {}, "1e-3"),
        ("int", {}, "nan"),
        ("int", {}, "inf"),
        ("int", {}, ""),
        ("int", {"limits": (3, math.inf)}, "2"),
        ("int", {"limits": (-math.inf, 3)}, "4"),
        ("float", {}, "nan"),
        ("float", {}, "inf"),
        ("float", {}, "-Infinity"),
        ("float", {}, "1e999"),
        ("float", {"limits": (0, math.inf)}, "-1e-9"),
        ("text", {}, "  "),
        ("text", {"choices": ("a", "b")}, "c"),
        ("int", {"choices": (8, 16)}, "12"),
        ("duration", {}, "5 days"),
        ("duration", {}, "5 mi"),
        ("duration", {}, "-5s"),
        ("duration", {}, "1.2.3s"),
        ("duration", {}, "."),
        ("pixels", {"words": ("original",)}, "auto"),
        ("pixels", {"limits": (32, math.inf)}, "31"),
        ("int", {"many": True}, "1,,2"),
        ("int", {"many": True}, "1,x"),
    ],
)
def test_parse_refuses_and_says_what_may_be(kind, rules, text):
    refusing = option(kind, **rules)
    with pytest.raises(InputError) as caught:
        refusing.parse(text)
    assert str(caught.value).startswith(f"--x={text}: must be {refusing.accepted()}")
    assert caught.value.flags == ("x",)


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
        ("pixels", {}, True),
        ("pixels", {}, 1.5),
        ("pixels", {"words": ("original",)}, "x"),
    ],
)
def test_check_refuses(kind, rules, value):
    with pytest.raises(InputError, match="^x=.*: must be "):
        option(kind, **rules).check(value)


@pytest.mark.parametrize(
    ("kind", "rules", "value"),
    [
        ("float", {}, 3),
        ("bool", {}, False),
        ("int", {"many": True}, [1, 2]),
        ("int", {"many": True}, ()),
        ("pixels", {"words": ("original",)}, "original"),
    ],
)
def test_check_accepts(kind, rules, value):
    option(kind, **rules).check(value)


@pytest.mark.parametrize(
    ("kind", "rules", "words"),
    [
        ("int", {"limits": (1, 5)}, "a whole number from 1 to 5"),
        ("int", {"limits": (0, 10**9)}, "a whole number of at least 0"),
        ("float", {}, "a number"),
        (
            "pixels",
            {"limits": (32, 64), "words": ("original",)},
            "a whole number of pixels from 32 to 64, or original",
        ),
        ("int", {"limits": (1, 5), "words": ("a", "b")}, "a whole number from 1 to 5, or a or b"),
        ("bytes", {"limits": (1, math.inf)}, "a size such as 800M or 6G of at least 1 byte"),
        ("duration", {"limits": (1, 10**8)}, "a time such as 90s, 5m or 2h of at least 1 s"),
        ("text", {"choices": ("max", "avg")}, "one of max, avg"),
        ("int", {"choices": (8, 16)}, "one of 8, 16"),
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
        ("pixels", False, 640),
        ("bool", False, True),
        ("named", True, (("tv", 0.5), ("a:b,c", 2.0))),
        ("weight", True, (1.0, ("block1_conv1", 0.1))),
    ],
)
def test_format_and_parse_round_trip(kind, many, value):
    tested = option(kind, many=many)
    assert tested.parse(tested.format(value)) == value


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
    with pytest.raises(InputError, match="a size such as 800M or 6G"):
        OPTIONS["memory_limit"].parse(text)


def test_a_tile_size_is_a_number_or_a_word():
    option = OPTIONS["tile_size"]
    assert [option.parse(text) for text in ("auto", "none", "1024")] == ["auto", "none", 1024]
    with pytest.raises(InputError, match="or auto or none"):
        option.parse("large")


size = section("size of the picture")
files = section("files", changes_result=False)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options of all types of fields."""

    side: int = size(64, "The side.", (8, 512), kind="pixels")
    ratio: float | None = size(None, "The ratio.")
    crop: bool = size(False, "Whether to crop.")
    steps: int | str = size("auto", "The steps.", words=("auto",))
    sizes: tuple[int, ...] = size((), "The sizes.")
    shares: tuple[tuple[str, float], ...] = size((), "The shares.")
    weights: tuple[float | tuple[str, float], ...] = size((), "The weights.")
    source: str | None = files(None, "The source.", path=True)
    others: tuple[str, ...] = files((), "Other sources.", path=True, repeated=True)
    kept: bool = files(True, "Whether to keep the files.", changes_result=True)


SETTINGS = options_of(Settings)


def test_kinds_follow_from_the_types_of_the_fields():
    kinds = {name: (option.kind, option.many) for name, option in SETTINGS.items()}
    assert kinds == {
        "side": ("pixels", False),
        "ratio": ("float", False),
        "crop": ("bool", False),
        "steps": ("int", False),
        "sizes": ("int", True),
        "shares": ("named", True),
        "weights": ("weight", True),
        "source": ("text", False),
        "others": ("text", True),
        "kept": ("bool", False),
    }


def test_a_section_gives_its_options_a_group_and_attributes():
    assert {SETTINGS[name].group for name in ("side", "weights")} == {"size of the picture"}
    assert SETTINGS["side"].changes_result and not SETTINGS["source"].changes_result
    assert SETTINGS["kept"].changes_result  # the option's own attribute wins
    assert (SETTINGS["side"].default, SETTINGS["side"].limits) == (64, (8, 512))


def test_each_occurrence_of_a_repeated_option_is_one_value():
    assert SETTINGS["others"].parse(" a,b ") == "a,b"
    assert SETTINGS["others"].format("a,b") == "a,b"


def test_settings_are_checked_and_an_error_tells_the_option():
    check_settings(Settings(), SETTINGS)  # None where it is the default
    for name, value in (("side", 7), ("crop", None), ("shares", (("a", True),)), ("ratio", "1")):
        with pytest.raises(InputError, match="must be ") as caught:
            check_settings(Settings(**{name: value}), SETTINGS)
        assert str(caught.value).startswith(f"{name}={value!r}: ")
        assert caught.value.flags == (name,)


def test_absolute_paths_of_settings():
    values = vars(Settings(source="a.png", others=("b.png", "/c.png")))
    paths = absolute_paths(values, SETTINGS)
    assert paths == {
        "source": os.path.abspath("a.png"),
        "others": (os.path.abspath("b.png"), "/c.png"),
    }
    assert absolute_paths(vars(Settings()), SETTINGS) == {"others": ()}


# Lists of paths.


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A working folder with pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.jpg", "my style, v2.jpg", "c[1].jpg"):
        (tmp_path / name).touch()
    return tmp_path


STYLES = Option("h", name="style", kind="text", many=True, path=True, words=("keep",))


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("a.jpg,b.jpg", ("a.jpg", "b.jpg")),
        ("my style, v2.jpg", ("my style, v2.jpg",)),
        ("my style\\, v2.jpg,a.jpg", ("my style, v2.jpg", "a.jpg")),
        ("[ab].jpg", ("a.jpg", "b.jpg")),
        ("keep,?.jpg", ("keep", "a.jpg", "b.jpg")),
        ("c[1].jpg,a.jpg", ("c[1].jpg", "a.jpg")),  # its name, not a pattern
        ("none.jpg", ("none.jpg",)),
    ],
)
def test_paths_may_have_commas_and_be_patterns(pictures, text, paths):
    assert STYLES.parse(text) == paths


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["a", "b,c"], r"a,b\,c"),
        (["a\\", "b"], r"a\\,b"),
        (["a\\,b", "c\\\\"], r"a\\\,b,c\\\\"),
        (["C:\\a b\\c.jpg", "\\\\host\\d.jpg"], r"C:\a b\c.jpg,\\host\d.jpg"),
    ],
)
def test_the_text_of_a_list_stands_for_its_items(items, text):
    assert join_list(items) == text
    assert split_list(text) == items


def test_a_backslash_alone_at_an_end_is_taken_as_it_is():
    assert split_list("a\\") == ["a\\"]


def test_patterns_are_relative_to_a_folder_that_is_given(pictures, monkeypatch):
    monkeypatch.chdir("/")
    assert STYLES.split("[ab].jpg", pictures) == ["a.jpg", "b.jpg"]
    assert STYLES.split("my style, v2.jpg", pictures) == ["my style, v2.jpg"]


def test_a_pattern_that_nothing_matches_is_refused(pictures):
    with pytest.raises(InputError, match=r"^--style=x\*\.jpg: no file matches$"):
        STYLES.parse("x*.jpg")


@pytest.mark.parametrize("text", ["1:75", "1:90:00", "1:2:3", ":30"])
def test_times_that_no_clock_shows_are_refused(text):
    with pytest.raises(InputError, match="must be a time"):
        Option("h", name="limit", kind="duration").parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("1:30", 90), ("2:00:05", 7205), ("90:00", 5400)])
def test_times_may_be_written_as_they_are_shown(text, seconds):
    assert Option("h", name="limit", kind="duration").parse(text) == seconds


def test_a_path_as_a_pattern_matches_nothing_else(pictures):
    assert STYLES.parse(escaped("c[1].jpg")) == ("c[1].jpg",)
    (pictures / "c1.jpg").touch()
    (pictures / "c[1].jpg").unlink()
    assert STYLES.parse(escaped("c[1].jpg")) == ("c[1].jpg",)  # which is missing where it is read


def test_a_name_with_a_blank_at_its_end_is_refused_and_not_taken_for_another(pictures):
    (pictures / "d.jpg ").touch()
    for option in (STYLES, dataclasses.replace(STYLES, name="content", many=False)):
        with pytest.raises(InputError, match=r"'d.jpg ': has a blank at an end of its name"):
            option.parse("d.jpg ")
        assert option.parse(" a.jpg ") in (("a.jpg",), "a.jpg")
