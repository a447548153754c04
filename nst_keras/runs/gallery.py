"""A run folder becomes one self-contained web page.

The page needs no network and no other file: pictures are data URIs, style and script are inline.
This module gathers what the page shows; `data/gallery.html` decides how it looks.
"""

import base64
import functools
import html
import io
import json
import math
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from nst_keras.imaging import images
from nst_keras.imaging.animation import evenly
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.metrics import read_metrics
from nst_keras.runtime import files

MAX_FRAMES = 60  # pictures in the player
MAX_POINTS = 600  # logged steps in the curves: about as many as a chart has pixels for
MAX_SIDE = 1024  # px, of an embedded picture
MAX_BYTES = 8_000_000  # of an embedded picture
MIN_SIDE = 64  # px, below which no picture shrinks to save bytes
MAX_RESULT_SIDE = 1600  # px, of the result, the one picture that is shown large
# What a person needs to know of each figure of `scores`.
SCORES = {
    "gram_error": "Distance from the styles' textures at a layer that was not optimized; lower is "
    "better: 0 is the styles' own, a bare photo has 0.3 to 1.5.",
    "content_cosine": "Likeness of the scene to the network's eye, -1 to 1; higher is more "
    "faithful: 1 is the photo, 0 is unrelated.",
    "ssim": "Structural similarity with the photo, -1 to 1; higher is more faithful, but strokes "
    "lower it and blur raises it.",
    "edge_correlation": "Whether outlines lie where the photo has them, -1 to 1; higher is more "
    "faithful: 1 is the photo, 0 is unrelated.",
    "color_distance": "Distance from the styles' colors in CIELAB units; lower is better: 0 is "
    "the styles' palette, 10 is another one.",
    "total_variation": "Roughness over that of photo or styles, whichever is rougher; near 1 is "
    "best, far above is noise, far below is blur.",
    "high_frequency": "Share of finest detail over that of photo or styles, whichever has more; "
    "near 1 is best, far above is shimmer, far below is blur.",
}


def write_page(folder: RunFolder) -> Path:
    """Write the page of a run folder, atomically, and return its path.

    May be called at any time of a run: what is not there yet is left out of the page.
    """
    files.write_text(folder.page, _render(gather(folder)))
    return folder.page


def gather(folder: RunFolder) -> dict[str, Any]:
    """All that the page shows, as plain data. Missing pictures are None, missing records empty."""
    run = folder.read_record()
    result = picture(folder.result, MAX_RESULT_SIDE, quality=92) if has_result(run) else None
    return {
        "names": _names(run),
        "run": run,
        "content": picture(folder.content),
        "styles": _style_pictures(run, folder),
        "picture": result or picture(folder.latest),
        "finished": result is not None,
        "frames": _frames(folder),
        "curves": curves(evenly(read_metrics(folder.metrics), MAX_POINTS)),
        "score_notes": SCORES,
        "files": _files(folder),
    }


def _files(folder: RunFolder) -> list[str]:
    """Names of the files that the page leads to."""
    pictures = (folder.result, folder.gif, folder.mp4, folder.side_by_side, folder.strip)
    return [path.name for path in (*pictures, folder.metrics, folder.flags) if path.exists()]


def _render(page: dict[str, Any]) -> str:
    content, *styles = page["names"]
    title = f"{content} after {', '.join(styles)}" if styles else content
    return fill_template("gallery.html", title, page)


def fill_template(name: str, title: str, data: dict[str, Any]) -> str:
    """The page of the template `data/<name>`, with the style and script that all pages share."""
    folder = resources.files("nst_keras") / "data"
    # Inside a script element only "<" can end the data; names reach the page as text nodes alone.
    text = json.dumps(_finite(data), allow_nan=False).replace("<", "\\u003c")
    return Template((folder / name).read_text("utf-8")).substitute(
        # Half a surrogate pair, as JSON may spell it, is no text that a file could hold.
        title=html.escape(title.encode("utf-8", "replace").decode()),
        css=(folder / "page.css").read_text("utf-8").rstrip(),
        script=(folder / "page.js").read_text("utf-8").rstrip(),
        data=text,
    )


def _finite(value: Any) -> Any:
    """`value` with null for the numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _names(run: dict[str, Any]) -> list[str]:
    """The pictures' names as titles, the content first: "lily_pond.jpg" is "lily pond"."""
    stems = [Path(str(source.get("name", ""))).stem for source in _sources(run)]
    return [re.sub(r"[\s_-]+", " ", stem).strip() or "Untitled" for stem in stems]


# Records. Nothing in a run.json is trusted to be of the right type.


def has_result(run: dict[str, Any]) -> bool:
    """Whether the result in the folder may be that of the record: while a finished run goes on with
    more steps, it still has the one before."""
    return run.get("status") not in ("running", "interrupted")


def _sources(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The content and the styles, as far as the record has them."""
    styles = run.get("styles")
    given = [run.get("content"), *(styles if isinstance(styles, list) else [])]
    return [one if isinstance(one, dict) else {} for one in given]


def curves(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of the chart; a term is None at a step that did not log it."""
    names = dict.fromkeys(name for row in metrics for name in row["terms"])
    return {
        "steps": [row["step"] for row in metrics],
        "terms": {name: [_short(row["terms"].get(name)) for row in metrics] for name in names},
    }


def _short(value: object) -> float | None:
    usable = isinstance(value, (int, float)) and abs(value) < 1e300  # not NaN, either
    return float(f"{value:.5g}") if usable else None


# Pictures: {"uri", "width", "height"}, the size being that of the file.


def _frames(folder: RunFolder) -> list[dict[str, Any]]:
    shown = evenly(folder.iterations_there(), MAX_FRAMES)
    pictures = [(step, picture(path)) for step, path in shown]
    return [{"step": step, **found} for step, found in pictures if found]


def _style_pictures(run: dict[str, Any], folder: RunFolder) -> list[dict[str, Any] | None]:
    count = max(len(_sources(run)) - 1, len(list(folder.inputs.glob("style_*.jpg"))))
    return [picture(folder.style(number)) for number in range(1, count + 1)]


def picture(
    path: Path, longest: int = MAX_SIDE, quality: int = 85, most: int = MAX_BYTES
) -> dict[str, Any] | None:
    """The picture for embedding, or None where there is none yet or none that can be read.

    It is shrunk until no side is above `longest` px and the JPEG not above `most` bytes.
    """
    try:
        status = path.stat()
        return _embed(path, status.st_mtime_ns, status.st_size, longest, quality, most)
    except Exception:  # on damaged bytes decoders raise nearly every type there is
        return None


@functools.lru_cache(maxsize=MAX_FRAMES + 20)
def _embed(
    path: Path, modified: int, length: int, longest: int, quality: int, most: int
) -> dict[str, Any]:
    """`modified` and `length` tell versions of a file apart, so that each is encoded only once."""
    data = path.read_bytes()
    with images.opened(io.BytesIO(data)) as image:
        width, height = image.size
        if image.format != "JPEG" or max(width, height) > longest or len(data) > most:
            data = _jpeg(image, longest, quality, most)
    uri = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return {"uri": uri, "width": width, "height": height}


def _jpeg(image: Image.Image, longest: int, quality: int, most: int) -> bytes:
    while True:
        # The small gap lets the decoder do most of the shrinking of a large JPEG, which is cheap.
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=1.0)
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0)
        excess = buffer.tell() / most
        if excess <= 1 or max(image.size) <= MIN_SIDE:
            return buffer.getvalue()
        longest = max(MIN_SIDE, int(max(image.size) * min(0.95, 0.97 * excess**-0.5)))
