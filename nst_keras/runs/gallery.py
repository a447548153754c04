"""The page of a run, with its pictures inside: it needs no network and no other file.

What matters is in the HTML, so that it is seen without JavaScript, too; the script adds zoom, the
comparison, the player, the curves and the details.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nst_keras.imaging.animation import evenly
from nst_keras.imaging.recolor import KINDS
from nst_keras.runs import embedding, gallery_html, page
from nst_keras.runs.embedding import picture
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.public import public_record
from nst_keras.runs.score_table import SCORES
from nst_keras.runtime import files

PAGE_BYTES = 12_000_000  # a page that can still be sent by mail
MAX_FRAMES = 40  # pictures in the player
MAX_POINTS = 600  # logged steps in the curves: about as many as a chart has pixels
MAX_RESULT_SIDE = 1600  # px, of a result that is not embedded as it is
# Bytes of embedded pictures, which take a third more on the page. Those of a frame do not depend on
# how many there are, so that a running job encodes each one only once.
_RESULT_BYTES, _CONTENT_BYTES, _STYLES_BYTES, _PREPARED_BYTES = 3_000_000, 400_000, 900_000, 600_000
_FRAME_BYTES, _THUMBNAIL_BYTES, _THUMBNAIL_SIDE = 78_000, 5_000, 128
_SPARE_BYTES = 300_000  # of the page, for all that is not a picture


def write_page(folder: RunFolder, news_within: float | None = None) -> Path:
    """Write the page of a run folder, atomically, and return its path. It may be written at any
    time of a run: what is not there yet is left out.

    Args:
        news_within: seconds until a running job writes its page again; the page says so if that
            does not happen. None: it will not be written again.
    """
    found = gather(folder)
    run = public_record(folder.read_record())
    pictures = {name: found.pop(name) for name in ("content", "styles", "prepared", "picture")}
    found["live"] = page.live(news_within) if run.status in page.AT_WORK else None
    title = gallery_html.title_of(found["names"])
    files.write_text(
        folder.page,
        page.fill_template(
            "gallery",
            title,
            found,
            description=f"A photo repainted by neural style transfer: {title}.",
            scripts=("renewal", "zoom", "viewer", "curves"),
            refresh=page.REFRESH if found["live"] else "",
            **gallery_html.parts(run, found["names"], pictures, found["files"]),
        ),
    )
    return folder.page


def gather(folder: RunFolder) -> dict[str, Any]:
    """Everything that the page shows, as plain data; a missing picture is None."""
    record = folder.read_record()
    run = public_record(record)
    result = exact = None
    if record.has_result:
        exact = embedding.original(folder.result, _RESULT_BYTES)
        result = exact or picture(folder.result, MAX_RESULT_SIDE, 90, _RESULT_BYTES // 2)
    styles = max(len(record.styles), len(list(folder.inputs.glob("style_*.jpg"))))
    each = _STYLES_BYTES // max(1, styles)
    results = (folder.result, folder.deep_result, folder.painted, *map(folder.recolored, KINDS))
    linked = (*results, folder.proof, folder.gif, folder.mp4, folder.side_by_side, folder.strip)
    found = {
        "names": [picture_title(one.name) for one in (run.content, *run.styles)],
        "run": run.as_json(),
        "content": picture(folder.content, embedding.MAX_SIDE, 85, _CONTENT_BYTES),
        "styles": [
            picture(folder.style(number), embedding.MAX_SIDE, 85, each)
            for number in range(1, styles + 1)
        ],
        "prepared": [*_regions(folder, styles), *_changed_colors(folder, styles)],
        "picture": result or picture(folder.latest, embedding.MAX_SIDE, 85, _RESULT_BYTES // 2),
        "finished": result is not None,
        "exact": exact is not None,
        "frames": _frames(folder),
        "curves": curves(evenly(folder.read_metrics(), MAX_POINTS)),
        "score_notes": {name: score.explanation for name, score in SCORES.items()},
        "files": [p.name for p in (*linked, folder.metrics, folder.flags) if p.exists()],
    }
    room = PAGE_BYTES - _SPARE_BYTES - _used(found)
    gif = embedding.original(folder.gif, room * 3 // 4) if result else None
    return {**found, "gif": gif["uri"] if gif else None}


def _used(found: dict[str, Any]) -> int:
    shown = [found["content"], found["picture"], *found["styles"], *found["prepared"]]
    frames = sum(len(one["uri"]) + len(one["thumbnail"]) for one in found["frames"])
    return frames + sum(map(embedding.length, shown))


def _frames(folder: RunFolder) -> list[dict[str, Any]]:
    """The pictures of the player by step, each with a thumbnail."""
    frames = []
    for step, path in evenly(folder.existing_iterations(), MAX_FRAMES):
        frame = picture(path, embedding.MAX_SIDE, 80, _FRAME_BYTES)
        small = picture(path, _THUMBNAIL_SIDE, 70, _THUMBNAIL_BYTES)
        if frame and small:
            frames.append({"step": step, **frame, "thumbnail": small["uri"]})
    return frames


def _regions(folder: RunFolder, styles: int) -> Iterator[dict[str, Any]]:
    """What shows which part of the photo follows which style."""
    shown = [(folder.regions / "content.jpg", "Regions of the photo")]
    for number in range(1, styles + 1):
        which = f"painting {number}" if styles > 1 else "the painting"
        shown.append((folder.regions / f"style_{number}.jpg", f"The same regions of {which}"))
    yield from _labeled(shown)


def _changed_colors(folder: RunFolder, styles: int) -> Iterator[dict[str, Any]]:
    """What shows how colors were changed: pictures with what they are."""
    shown = [
        (folder.colored_style(number), "Painting in the photo's colors")
        for number in range(1, styles + 1)
    ]
    shown.append((folder.painted, "As painted"))
    shown.append((folder.proof, "As it would print"))
    for kind in KINDS:
        shown.append((folder.recolored(kind), f"Result, changed to the photo's colors ({kind})"))
    yield from _labeled(shown)


def _labeled(shown: Sequence[tuple[Path, str]]) -> Iterator[dict[str, Any]]:
    there = [(path, label) for path, label in shown if path.exists()]
    for path, label in there:
        if found := picture(path, embedding.MAX_SIDE, 85, _PREPARED_BYTES // (2 * len(there))):
            yield {**found, "label": label}


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


def picture_title(name: str) -> str:
    """The name of a picture file as a title: "lily pond" for lily_pond.jpg."""
    return re.sub(r"[\s_-]+", " ", Path(name).stem).strip() or "Untitled"
