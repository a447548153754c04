"""What identifies a result, and how two of them differ."""

import dataclasses

import pytest

from nst_keras.runs import folder as folder_lib
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.resolve import resolve

CONFIG = resolve(Config(content="a/photo.jpg", style=("b/painting.jpg",)))
HASHES = {"content": "1" * 64, "style 1": "2" * 64, "weights": "3" * 64}
SMALL = Fingerprint({"size": "64", "iterations": "10"}, {"content": "1" * 64})


def of(hashes=HASHES, **changes):
    return folder_lib.fingerprint(dataclasses.replace(CONFIG, **changes), hashes)


def test_it_consists_of_settings_and_contents_not_of_places():
    assert of(content="elsewhere/photo.jpg", workdir="x", log_every=7) == of()
    assert "a/photo.jpg" not in str(of())
    assert of({**HASHES, "content": "4" * 64}) != of()
    assert of(style_weight=9.0) != of()


def test_every_setting_that_changes_the_result_is_part_of_it():
    expected = {
        name
        for name, option in OPTIONS.items()
        if option.changes_result and getattr(CONFIG, name) not in (None, ())
    }
    assert expected - set(of().settings) == {"content", "style"}
    assert of().hashes == HASHES


def test_an_input_that_is_named_by_a_word_is_a_setting():
    assert of(init="noise").settings["init"] == "noise"
    assert "init" not in of(init="first.png").settings


def test_the_digest_tells_fingerprints_apart():
    same = Fingerprint(dict(reversed(SMALL.settings.items())), dict(SMALL.hashes))
    assert same.digest() == SMALL.digest()
    for other in (SMALL.without("size"), Fingerprint(SMALL.settings, {"content": "2" * 64})):
        assert other.digest() != SMALL.digest()


def test_differences_are_described_by_setting():
    there = Fingerprint({"size": "64", "init": "noise"}, {"content": "1" * 64})
    here = Fingerprint({"size": "128"}, {"content": "2" * 64})
    assert there.describe_differences(here) == (
        "size: 64 there, 128 here; init: noise there, not set here; "
        "sha256 of content: 11111111... there, 22222222... here"
    )
    many = Fingerprint({str(n): "x" for n in range(6)}, {})
    assert many.describe_differences(Fingerprint({}, {})).endswith("3: x there, not set here; ...")


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"size": "64", "iterations": "20"}, True),
        ({"size": "64", "iterations": "5"}, False),
        ({"size": "64", "iterations": "many"}, False),
        ({"size": "32", "iterations": "20"}, False),
        ({"size": "64"}, False),
        ({"size": "64", "iterations": "20", "time_limit": "60"}, False),
    ],
)
def test_more_steps_of_the_same_run(settings, more):
    assert Fingerprint(settings, SMALL.hashes).has_more_steps_than(SMALL) is more


def test_more_steps_under_one_time_limit_are_another_run():
    there, here = (
        Fingerprint({"iterations": steps, "time_limit": "60"}, {}) for steps in ("10", "20")
    )
    assert not here.has_more_steps_than(there)
