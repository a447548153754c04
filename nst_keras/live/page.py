"""The document of the live page; `data/live.html` decides how it looks, `data/live.js` keeps it up
to date. Without scripts, the browser loads it again every few seconds."""

import html
import urllib.parse
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Any

_REFRESH = '<noscript><meta http-equiv="refresh" content="2"></noscript>'
_BUTTONS = {
    "pause": "Pause",
    "resume": "Resume",
    "stop": "Stop and save",
    "finish": "Finish now",
}


def style() -> bytes:
    """The style sheet: what all pages of nst_keras share, and what is its own."""
    return b"".join(_read(name) for name in ("page.css", "live.css"))


def script() -> bytes:
    """The script, with what the scripts of all pages share."""
    return b"(() => {\n'use strict';\n" + _read("page.js") + _read("live.js") + b"})();\n"


def icon() -> bytes:
    """The icon of all pages, as SVG: a frame with a wave."""
    return _read("icon.svg")


def document(state: Mapping[str, Any], token: str) -> bytes:
    """The page as HTML, in a state of a `Board`; `token` opens what it loads."""
    query = "?" + urllib.parse.urlencode({"t": token})
    picture = ""
    if state["picture"]:
        source = f"picture.jpg{query}&n={state['picture']}"
        picture = f'<img id="picture" src="{html.escape(source)}" alt="">'
    latest = {name: points[-1][1] for name, points in state["curves"].items() if points}
    texts = {name: html.escape(state[name]) for name in ("title", "headline", "note", "caption")}
    return (
        Template(_read("live.html").decode())
        .substitute(
            **texts,
            refresh="" if state["ended"] else _REFRESH,
            query=html.escape(query),
            token=html.escape(token),
            phase=html.escape(state["phase"]),
            percent=f"{100.0 * state['share']:.1f}",
            facts="".join(f"<span>{html.escape(fact)}</span>" for fact in state["facts"]),
            picture=picture,
            losses="".join(
                f"<li><b>{html.escape(name)}</b><output>{value:.4g}</output></li>"
                for name, value in latest.items()
            ),
            buttons="".join(
                f'<button type="button" data-action="{action}" hidden>{text}</button>'
                for action, text in _BUTTONS.items()
            ),
            files="".join(
                f"<dt>{html.escape(name)}</dt><dd><code>{html.escape(path)}</code></dd>"
                for name, path in state["files"].items()
            ),
        )
        .encode("utf-8", "replace")
    )


def _read(name: str) -> bytes:
    return (resources.files("nst_keras") / "data" / name).read_bytes()
