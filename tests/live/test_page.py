from nst_keras.live import board as board_lib
from nst_keras.live import page
from tests.live.conftest import PROGRESS
from tests.runs.conftest import Parsed


def test_the_page_shows_the_state_without_scripts(board):
    board.enter(board_lib.PAINTING)
    board.advance(PROGRESS, {"total": 2.0, "tv": 0.123456})
    text = page.document(board.state(), "secret").decode()
    parsed = Parsed(text)
    assert "harbor in the style of <b>" not in text
    assert ("meta", {"http-equiv": "refresh", "content": "2"}) in parsed.tags
    (picture,) = [found for tag, found in parsed.tags if tag == "img"]
    assert picture["src"] == "picture.jpg?t=secret&n=1"
    assert parsed.text["headline"].strip() == "Painting, scale 1 of 2"
    for shown in ("step 12 of 80", "0.1235", "/runs/a/result.png", "harbor in the style of"):
        assert shown in text
    links = [found for tag, found in parsed.tags if tag in ("link", "script")]
    assert {found.get("href") or found["src"] for found in links} == {
        *("live.css?t=secret", "live.js?t=secret", "icon.svg?t=secret"),
    }


def test_the_last_state_stays(board):
    board.enter(board_lib.FINISHED)
    assert "refresh" not in page.document(board.state(), "secret").decode()


def test_nothing_comes_from_elsewhere():
    for text in (page.style(), page.script(), page.document(_no_state(), "t")):
        found = text.replace(b"http://www.w3.org/", b"")
        assert b"http:" not in found and b"https:" not in found and b"//cdn" not in found


def _no_state():
    return {
        **dict.fromkeys(("title", "headline", "note", "caption", "phase"), ""),
        **{"picture": 0, "curves": {}, "facts": [], "files": {}, "share": 0.0, "ended": False},
    }
