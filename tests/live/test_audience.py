"""Who looks at the live page, and what they know."""

import time

import pytest

from nst_keras.live import audience as audience_lib
from nst_keras.live.audience import Audience


def is_informed(audience, picture=2):
    """Whether nobody is waited for."""
    began = time.monotonic()
    audience.wait_until_informed(picture, 0.2)
    return time.monotonic() - began < 0.2


def test_nobody_need_be_told():
    assert is_informed(Audience())


@pytest.mark.parametrize("names", ["a", "ab", [""]])
def test_every_page_is_told_of_the_end_and_gets_the_last_picture(names):
    audience = Audience()
    for name in names:
        audience.note(name)
    for name in names:
        assert not is_informed(audience)
        audience.note(name, knows_end=True)
        audience.note(name, picture=1)
        assert not is_informed(audience)
        audience.note(name, picture=2)
    assert is_informed(audience)


def test_a_page_loads_without_a_name_and_asks_with_one():
    audience = Audience()
    audience.note("")
    assert not is_informed(audience)
    audience.note("a", knows_end=True, picture=2)
    assert is_informed(audience)


def test_who_has_left_is_not_waited_for(monkeypatch):
    audience = Audience()
    audience.note("a")
    monkeypatch.setattr(audience_lib, "_ATTENTION", 0.0)
    assert is_informed(audience)


def test_pages_are_not_remembered_forever():
    audience = Audience()
    for number in range(1000):
        audience.note(str(number))
    assert len(audience._pages) <= 64 and "999" in audience._pages
