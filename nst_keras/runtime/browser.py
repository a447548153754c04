"""Opening a page in the user's browser."""

import html
import logging
import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)


def open_page(path: Path) -> None:
    """Open the page in a file; where there is no browser, say what to open."""
    address = path.absolute().as_uri()
    _open(lambda: address, address)


def open_secret_address(address: str, redirect: Path) -> None:
    """Open an address that other users of the machine must not see.

    They see the arguments of a browser, so it is given a file that leads to the address and that
    only its owner can read. On Windows, whoever can read the folder can read the file.
    """
    target = html.escape(address)
    page = f'''<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={target}">
<title>Live page</title>
<p><a href="{target}">The live page</a></p>
'''

    def leading_there() -> str:
        redirect.unlink(missing_ok=True)
        with open(os.open(redirect, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(page)
        return redirect.absolute().as_uri()

    _open(leading_there, address)


def _open(address: Callable[[], str], shown: str) -> None:
    """Open an address in a browser; where that is not possible, say what to open."""
    try:
        is_open = _has_screen() and webbrowser.open(address())
    except (OSError, webbrowser.Error):
        is_open = False
    if not is_open:
        _log.warning("--open: no browser was found; open %s", shown)


def _has_screen() -> bool:
    """Whether a browser could show a window. Those for terminals would take over the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
