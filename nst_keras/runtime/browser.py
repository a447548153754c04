"""Opening a page in the user's browser."""

import logging
import os
import sys
import webbrowser
from pathlib import Path

_log = logging.getLogger(__name__)


def open_page(path: Path) -> None:
    """Open the page in a file; see `open_address`."""
    open_address(path.absolute().as_uri())


def open_address(address: str) -> None:
    """Open a page in a browser; where there is none, say what to open."""
    try:
        is_open = _has_screen() and webbrowser.open(address)
    except (OSError, webbrowser.Error):
        is_open = False
    if not is_open:
        _log.warning("--open: no browser was found; open %s", address)


def _has_screen() -> bool:
    """Whether a browser could show a window. Those for terminals would take over the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
