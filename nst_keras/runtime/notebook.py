"""A display in a notebook that is updated in its place. IPython is used where it is, and is no
dependency."""

import base64
import html
import sys
import time
from typing import Any

_SECONDS = 1.0  # between two updates
_STYLE = "display:block;max-width:100%;margin-top:.5em"


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel, which shows HTML and pictures."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def show(value: Any) -> None:
    """Show an object below the notebook's cell, as it shows itself."""
    from IPython.display import display

    display(value)


class NotebookProgress:
    """A bar with a line of text and perhaps a picture, until it is closed with a last line."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html, self._next = HTML, 0.0
        self._handle = display(HTML(_page("starting", 0.0)), display_id=True)

    def is_due(self) -> bool:
        """Whether it is time for another update."""
        return time.monotonic() >= self._next

    def update(self, text: str, share: float, jpeg: bytes = b"") -> None:
        """Show a line, the share of the job that is done, 0 to 1, and perhaps a picture."""
        self._next = time.monotonic() + _SECONDS
        self._handle.update(self._html(_page(text, share, jpeg)))

    def close(self, text: str) -> None:
        """Leave one line, without the bar and the picture."""
        self._handle.update(self._html(html.escape(text)))


def _page(text: str, share: float, jpeg: bytes = b"") -> str:
    bar = f'<progress value="{share:.4f}" max="1"></progress> {html.escape(text)}'
    if not jpeg:
        return bar
    source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return f'{bar}<img alt="the picture so far" style="{_STYLE}" src="{source}">'
