"""The page of a run, with its pictures inside: it needs no network and no other file.

This module collects what the page shows; `data/gallery.html` decides how it looks.
"""

import base64
import functools
import html
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from nst_keras.imaging import images
from nst_keras.imaging.animation import evenly
from nst_keras.imaging.recolor import KINDS
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.score_table import SCORES
from nst_keras.runtime import files

MAX_FRAMES = 60  # pictures in the player
MAX_POINTS = 600  # logged steps in the curves: about as many as a chart has pixels
MAX_SIDE = 1024  # px, of an embedded picture
MAX_BYTES = 8_000_000  # of an embedded picture
MIN_SIDE = 64  # px; no picture is reduced below it to save bytes
MAX_RESULT_SIDE = 1600  # px, of the result, which is shown larger than the others


def write_page(folder: RunFolder) -> Path:
    """Write the page of a run folder, atomically, and return its path. It may be written at any
    time of a run: what is not there yet is left out."""
    page = gather(folder)
    content, *styles = page["names"]
    title = f"{content} in the style of {', '.join(styles)}" if styles else content
    files.write_text(folder.page, fill_template("gallery.html", title, page))
    return folder.page


def gather(folder: RunFolder) -> dict[str, Any]:
    """Everything that the page shows, as plain data; a missing picture is None."""
    record = folder.read_record()
    result = picture(folder.result, MAX_RESULT_SIDE, quality=92) if record.has_result else None
    styles = max(len(record.styles), len(list(folder.inputs.glob("style_*.jpg"))))
    frames = evenly(folder.existing_iterations(), MAX_FRAMES)
    results = (folder.result, folder.deep_result, folder.painted, *map(folder.recolored, KINDS))
    results += (folder.proof,)
    linked = (*results, folder.gif, folder.mp4, folder.side_by_side, folder.strip)
    return {
        "names": [picture_title(one.name) for one in (record.content, *record.styles)],
        "run": record.as_json(),
        "content": picture(folder.content),
        "styles": [picture(folder.style(number)) for number in range(1, styles + 1)],
        "prepared": [*_regions(folder, styles), *_changed_colors(folder, styles)],
        "picture": result or picture(folder.latest),
        "finished": result is not None,
        "frames": with_steps(frames),
        "curves": curves(evenly(folder.read_metrics(), MAX_POINTS)),
        "score_notes": {name: score.explanation for name, score in SCORES.items()},
        "files": [p.name for p in (*linked, folder.metrics, folder.flags) if p.exists()],
    }


def _regions(folder: RunFolder, styles: int) -> Iterator[dict[str, Any]]:
    """What shows which part of the photo follows which style."""
    shown = [(folder.regions / "content.jpg", "Regions of the content")]
    for number in range(1, styles + 1):
        which = f"style {number}" if styles > 1 else "the style"
        shown.append((folder.regions / f"style_{number}.jpg", f"The same regions of {which}"))
    for path, label in shown:
        if found := picture(path):
            yield {**found, "label": label}


def _changed_colors(folder: RunFolder, styles: int) -> Iterator[dict[str, Any]]:
    """What shows how colors were changed: pictures with what they are."""
    shown = [
        (folder.colored_style(number), "Style in the photo's colors")
        for number in range(1, styles + 1)
    ]
    shown.append((folder.painted, "As painted"))
    shown.append((folder.proof, "As it would print"))
    for kind in KINDS:
        shown.append((folder.recolored(kind), f"Result, changed to the photo's colors ({kind})"))
    for path, label in shown:
        if found := picture(path):
            yield {**found, "label": label}


def picture_title(name: str) -> str:
    """The name of a picture file as a title: "lily pond" for lily_pond.jpg."""
    return re.sub(r"[\s_-]+", " ", Path(name).stem).strip() or "Untitled"


def fill_template(name: str, title: str, data: dict[str, Any]) -> str:
    """Fill the template `data/<name>`, with the style and script that all pages share."""
    folder = resources.files("nst_keras") / "data"
    finite = json.loads(json.dumps(data), parse_constant=lambda _: None)  # JSON has no NaN
    # Only "<" can end the data inside a script element; names enter the page as text nodes only.
    text = json.dumps(finite).replace("<", "\\u003c")
    return Template((folder / name).read_text("utf-8")).substitute(
        # JSON may contain half a surrogate pair, which no UTF-8 file can hold.
        title=html.escape(title.encode("utf-8", "replace").decode()),
        css=(folder / "page.css").read_text("utf-8").rstrip(),
        script=(folder / "page.js").read_text("utf-8").rstrip(),
        data=text,
    )


def curves(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of the chart of losses; a term is None at a step that did not log it."""
    names = dict.fromkeys(name for row in metrics for name in row["terms"])
    return {
        "steps": [row["step"] for row in metrics],
        "terms": {name: [_short(row["terms"].get(name)) for row in metrics] for name in names},
    }


def _short(value: object) -> float | None:
    usable = isinstance(value, (int, float)) and abs(value) < 1e300  # not NaN, either
    return float(f"{value:.5g}") if usable else None


def with_steps(frames: Iterable[tuple[int, Path]], *limits: int) -> list[dict[str, Any]]:
    """The pictures that can be read of (step, path); `limits` as for `picture`."""
    found = [(step, picture(path, *limits)) for step, path in frames]
    return [{"step": step, **one} for step, one in found if one]


def picture(
    path: Path, longest: int = MAX_SIDE, quality: int = 85, most: int = MAX_BYTES
) -> dict[str, Any] | None:
    """A picture file as a data URI with the file's width and height; None if it cannot be read.

    It is reduced until no side is above `longest` px and the JPEG is not above `most` bytes.
    """
    try:
        status = path.stat()
        return _embed(path, status.st_mtime_ns, status.st_size, longest, quality, most)
    except Exception:  # decoders raise nearly any type on damaged bytes
        return None


@functools.lru_cache(maxsize=MAX_FRAMES + 20)
def _embed(
    path: Path, modified: int, length: int, longest: int, quality: int, most: int
) -> dict[str, Any]:
    """As `picture`; `modified` and `length` tell the versions of a file apart for the cache."""
    data = path.read_bytes()
    with images.opened(io.BytesIO(data)) as image:
        width, height = image.size
        if image.format != "JPEG" or max(width, height) > longest or len(data) > most:
            data = _jpeg(image, longest, quality, most)
    uri = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return {"uri": uri, "width": width, "height": height}


def _jpeg(image: Image.Image, longest: int, quality: int, most: int) -> bytes:
    while True:
        # The small gap lets the decoder do most of the reduction of a large JPEG, which is cheap.
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=1.0)
        buffer = io.BytesIO()
        images.in_srgb(image).save(buffer, "JPEG", quality=quality, subsampling=0)
        excess = buffer.tell() / most
        if excess <= 1 or max(image.size) <= MIN_SIDE:
            return buffer.getvalue()
        longest = max(MIN_SIDE, int(max(image.size) * min(0.95, 0.97 * excess**-0.5)))
