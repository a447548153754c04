"""Opening a page, without a browser."""

import logging
import stat
import webbrowser

import pytest

from nst_keras.runtime import browser


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was asked to open."""
    addresses = []
    monkeypatch.setattr(webbrowser, "open", lambda it: addresses.append(it) or True)
    monkeypatch.setenv("DISPLAY", ":0")
    return addresses


def test_a_page_is_opened_by_the_address_of_its_file(opened, tmp_path, caplog):
    browser.open_page(tmp_path / "a b.html")
    assert opened == [(tmp_path / "a b.html").as_uri()]
    assert opened[0].startswith("file:///") and opened[0].endswith("a%20b.html")
    assert not caplog.records


def test_without_a_screen_the_address_is_told(opened, tmp_path, monkeypatch, caplog):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with caplog.at_level(logging.WARNING, "nst_keras"):
        browser.open_page(tmp_path / "a.html")
    assert opened == [] and f"open {(tmp_path / 'a.html').as_uri()}" in caplog.text


def test_a_secret_address_is_in_a_file_that_only_its_owner_reads(opened, tmp_path):
    redirect = tmp_path / "live.html"
    redirect.write_text("of an earlier run")
    browser.open_secret_address("http://127.0.0.1:8/?token=a&b", redirect)
    assert opened == [redirect.as_uri()]
    assert 'content="0; url=http://127.0.0.1:8/?token=a&amp;b"' in redirect.read_text()
    assert stat.S_IMODE(redirect.stat().st_mode) == 0o600


@pytest.mark.parametrize("has_screen", [False, True])
def test_where_a_secret_address_cannot_be_opened_it_is_told(
    opened, tmp_path, monkeypatch, caplog, has_screen
):
    monkeypatch.setattr(browser, "_has_screen", lambda: has_screen)
    redirect = tmp_path / "missing" / "live.html"  # cannot be written
    with caplog.at_level(logging.WARNING, "nst_keras"):
        browser.open_secret_address("http://127.0.0.1:8/?token=a", redirect)
    assert "open http://127.0.0.1:8/?token=a" in caplog.text and opened == []


@pytest.mark.parametrize("error", [OSError, webbrowser.Error])
def test_a_browser_that_fails_is_no_failure(opened, tmp_path, monkeypatch, caplog, error):
    def fail(_):
        raise error("broken")

    monkeypatch.setattr(webbrowser, "open", fail)
    with caplog.at_level(logging.WARNING, "nst_keras"):
        browser.open_page(tmp_path / "a.html")
    assert "no browser was found" in caplog.text
