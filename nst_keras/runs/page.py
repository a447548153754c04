"""Pages that need no network and no other file: templates, and the HTML that they are filled with.

`data/NAME.html` is a page; the styles and scripts of `data` are written into it.
"""

import html
import json
import time
import urllib.parse
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any

from nst_keras.runtime.progress import format_seconds

AT_WORK = ("preparing", "running", "paused")  # the states of a job whose page is written again
REFRESH = '<meta http-equiv="refresh" content="15">'  # without JavaScript
_WORDS = {  # for the states of a job that is not finished
    "preparing": "Preparing",
    "running": "Running",
    "paused": "Paused",
    "failed": "Failed",
    "refused": "Not started",
    "interrupted": "Interrupted",
}


def fill_template(
    name: str,
    title: str,
    data: dict[str, Any],
    *,
    description: str = "",
    refresh: str = "",
    scripts: Sequence[str] = (),
    **parts: str,
) -> str:
    """Fill the template `data/NAME.html` with `data/NAME.css`, `data/NAME.js`, and what all pages
    share, such as `data/head.html`.

    Args:
        title: as text, like the description.
        refresh: what renews the page where there is no JavaScript.
        data: what the script draws, as plain data.
        scripts: names of further files `data/SCRIPT.js` that the page's script needs.
        parts: HTML, by the placeholder that it replaces.
    """
    finite = json.loads(json.dumps(data), parse_constant=lambda _: None)  # JSON has no NaN
    # Only "<" can end the data inside a script element; names enter the page as text nodes only.
    text = json.dumps(finite).replace("<", "\\u003c")
    head = Template(_read("head.html")).substitute(
        title=escape(title),
        description=escape(description or title),
        icon="data:image/svg+xml," + urllib.parse.quote(_read("icon.svg").strip()),
        refresh=refresh,
        css="\n".join(_read(f"{one}.css").rstrip() for one in ("page", name)),
    )
    return Template(_read(f"{name}.html")).substitute(
        parts,
        head=head.rstrip(),
        title=escape(title),
        script="\n".join(_read(f"{one}.js").rstrip() for one in ("page", *scripts, name)),
        data=text,
    )


def escape(text: str) -> str:
    """A text as HTML; a name may hold half a surrogate pair, which no UTF-8 file can hold."""
    return html.escape(text.encode("utf-8", "replace").decode())


def image(picture: dict[str, Any], alt: str, **attributes: str) -> str:
    """The element of an embedded picture."""
    more = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    size = f'width="{picture["width"]}" height="{picture["height"]}"'
    return f'<img src="{picture["uri"]}" alt="{escape(alt)}" {size}{more}>'


def command(text: str) -> str:
    """A command that can be copied; lines end between its arguments."""
    words = " ".join(f"<span>{escape(word)}</span>" for word in text.split(" "))
    return f'<div class="command"><code>{words}</code></div>'


def live(news_within: float | None) -> dict[str, float] | None:
    """When a page is written, and within how many seconds it will be again; None if it will not."""
    return (
        None if news_within is None else {"written": round(time.time(), 1), "within": news_within}
    )


def state(
    status: str,
    place: str,
    share: float,
    seconds_left: float | None,
    reason: str,
    resume_command: str,
) -> str:
    """What a job that is not finished says of itself; nothing for any other job.

    Args:
        place: where it is, such as step 10 of 40.
        share: of the job that is done, 0 to 1.
    """
    if status not in _WORDS:
        return ""
    line = f"<strong>{_WORDS[status]}</strong>"
    if status == "preparing":
        line += ": TensorFlow is starting, and the run is being planned"
    elif status != "refused":
        line += f", {place}, {int(100 * share)}\u00a0%"
    if status == "running" and seconds_left is not None and seconds_left > 0:
        line += f", about {format_seconds(seconds_left)} left"
    parts = [f"<p>{line}</p>"]
    if status != "refused":
        parts.append(f'<progress max="1" value="{share:.4f}">{place}</progress>')
    if reason:
        parts.append(f'<p class="reason">{escape(reason)}</p>')
    if status == "paused":
        parts.append("<p>It goes on when Resume is pressed on the live page.</p>")
    if status in AT_WORK:
        parts.append('<p class="news" role="status"></p>')
    if resume_command:
        hidden = " hidden" if status in AT_WORK else ""
        verb = "start" if status == "refused" else "resume"
        how = f"To {verb} it, run this from the folder that contains the run folder:"
        again = command(resume_command)
        parts.append(f'<div class="resume"{hidden}><p class="news">{how}</p>{again}</div>')
    return f'<div class="state">{"".join(parts)}</div>'


def size_text(width: int | None, height: int | None) -> str:
    """512 × 384 px, or nothing if that is not known."""
    return f"{width}\u00a0\u00d7\u00a0{height}\u00a0px" if width and height else ""


def duration(seconds: float) -> str:
    """A time in words, as the pages' scripts say it."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _read(name: str) -> str:
    return (resources.files("nst_keras") / "data" / name).read_text("utf-8")
