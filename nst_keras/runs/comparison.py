"""Several runs on one self-contained page."""

import collections
import itertools
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_keras.imaging.animation import evenly
from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.metrics import read_metrics
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS

PICTURE_BYTES = 22_000_000  # of all pictures together; in base64 a third more
MAX_SIDE = 2048  # px, of a picture
MAX_INPUT_SIDE = 360  # px, of the content and the styles
MAX_TEXT = 400  # characters of a name or a setting
MARK = '<meta name="generator" content="nst_keras.compare">'  # stands in the template
# What a loss measures: under other values of these it is another quantity.
OBJECTIVE = {name for name, option in OPTIONS.items() if option.decides_loss}


def write_page(
    path: str | os.PathLike,
    runs: Sequence[str | os.PathLike],
    title: str = "",
    layout: tuple[str, ...] = (),
    notes: Mapping[str | os.PathLike, str] | None = None,
) -> Path:
    """Write the page that compares the run folders `runs` to `path`, atomically; return its path.

    Runs may be unfinished or damaged: what cannot be read is left out. The more runs, the smaller
    and the fewer pictures of each, so that the page stays below some 35 MB.

    Args:
        title: the page's; not given, the page says how many runs there are.
        layout: two settings by name; the grid then has a row for each value of the first and a
            column for each value of the second.
        notes: what to say beside some of the runs, by run folder.

    Raises:
        InputError: `path` is not a place for the page, or `layout` names no settings of the runs.
    """
    path = Path(path)
    _check_output(path)
    page = gather(path.absolute().parent, runs, title, layout, notes)
    files.write_text(path, gallery.fill_template("compare.html", page["title"], page))
    return path


def gather(
    folder: str | os.PathLike,
    runs: Sequence[str | os.PathLike],
    title: str = "",
    layout: tuple[str, ...] = (),
    notes: Mapping[str | os.PathLike, str] | None = None,
) -> dict[str, Any]:
    """All that a page in `folder` shows of the runs, as plain data; see `write_page`."""
    paths = list(dict.fromkeys(Path(os.path.abspath(run)) for run in runs))
    count = len(paths)
    if not count:
        raise InputError("RUN: give at least one run folder; --help tells more")
    folders = [RunFolder(path) for path in paths]
    records = [one.read_record() for one in folders]
    settings = _settings(records)
    if layout and (len(layout) != 2 or not set(layout) <= set().union(*settings)):
        raise InputError(f"--layout={','.join(layout)}: must be two settings of these runs")
    varied = _varied(records, settings)
    said = {Path(os.path.abspath(run)): _text(note) for run, note in (notes or {}).items()}
    described = []
    for one, name, record, own in zip(folders, _names(paths), records, settings, strict=True):
        run = {"name": name, "link": _link(one.page, folder), **_describe(record)}
        run["note"] = said.get(one.path, "")
        run["settings"] = {n: own[n] for n in (*varied, *layout) if n in own}
        described.append({**run, **_pictures(one, record, count), "curves": _curves(one, count)})
    return {
        "title": title or (f"{count} runs side by side" if count > 1 else described[0]["name"]),
        "inputs": _inputs(folders[0], records[0], varied),
        "runs": described,
        "varied": varied,
        "shared": {n: text for own in settings for n, text in own.items() if n not in varied},
        "incomparable": [name for name in varied if name in OBJECTIVE],
        "layout": list(layout),
    }


def _check_output(path: Path) -> None:
    """Refuse a place that is none, and to replace a file that is no such page."""
    if path.is_dir():
        raise InputError(f"--output={path}: is a folder; give a file's name")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--output={path}: there is no folder {path.absolute().parent}")
    if path.exists():
        with open(path, "rb") as file:
            if MARK.encode() not in file.read(4096):
                raise InputError(f"--output={path}: exists and is no comparison; give another name")


# Records. Nothing in a run.json is trusted to be of the right type.


def _describe(record: dict[str, Any]) -> dict[str, Any]:
    """A run in single values; a number that is missing is None."""
    return {
        "status": _text(record.get("status")) or "unreadable",
        **{name: _number(record.get(name)) for name in ("step", "total_steps", "seconds")},
        **{name: _numbers(record.get(name)) for name in ("final_terms", "scores")},
    }


def _settings(records: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Each run's settings as text: those that change the picture, inputs by name, not by path."""
    sources = [_sources(record) for record in records]
    files_named = collections.Counter(name for name, _ in {it[1:] for own in sources for it in own})
    found = []
    for record, own in zip(records, sources, strict=True):
        inputs: dict[str, list[str]] = {}
        for kind, name, sha256 in own:
            label = name if files_named[name] == 1 else f"{name} ({sha256[:4]})"
            inputs.setdefault(kind, []).append(label)
        settings = {name: _text(value) for name, value in _as(dict, record.get("settings")).items()}
        kept = {n: t for n, t in settings.items() if n not in OPTIONS or OPTIONS[n].changes_result}
        found.append({**kept, **{kind: ", ".join(labels) for kind, labels in inputs.items()}})
    return found


def _sources(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The content and the styles of a run: kind, name and hash."""
    given = [record.get("content"), *_as(list, record.get("styles"))]
    texts = [[_text(_as(dict, one).get(key)) for key in ("name", "sha256")] for one in given]
    return [("style" if n else "content", a, b) for n, (a, b) in enumerate(texts) if a]


def _varied(records: list[dict[str, Any]], settings: list[dict[str, str]]) -> list[str]:
    """Settings that differ: inputs, then what somebody chose, objective first, then the others."""
    known = [own for own in settings if own]
    names = dict.fromkeys(name for own in known for name in own)
    varied = [name for name in names if len({own.get(name) for own in known}) > 1]
    chosen = {_text(name) for record in records for name in _as(list, record.get("changed"))}
    ranks = (("content", "style"), chosen, OBJECTIVE)
    return sorted(varied, key=lambda name: [name not in names for names in ranks])


def _names(paths: list[Path]) -> list[str]:
    """The folders' names, with as many of the folders above as it takes to tell them apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _link(target: Path, folder: str | os.PathLike) -> str | None:
    """The address of a file as seen from a page in `folder`; None if there is no such file."""
    if not target.is_file():
        return None
    try:
        relative = Path(os.path.relpath(target, os.path.abspath(folder)))
    except ValueError:  # another drive
        return target.as_uri()
    return urllib.parse.quote(os.fsencode(relative.as_posix()))


def _as(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else kind()


def _text(value: Any) -> str:
    """A setting or a name to be read: 8 for 8.0."""
    text = "" if value is None else value if isinstance(value, str) else str(value)
    return re.sub(r"(?<![^,])(-?\d+)\.0(?![^,])", r"\1", text[:MAX_TEXT])


def _number(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if usable and abs(value) < 1e300 else None  # not NaN, either


def _numbers(value: Any) -> dict[str, float | None]:
    return {name[:MAX_TEXT]: _number(item) for name, item in _as(dict, value).items()}


# Pictures and curves.


def _pictures(folder: RunFolder, record: dict[str, Any], runs: int) -> dict[str, Any]:
    """The pictures of a run by step, the result last, in the share that each of `runs` has."""
    share, count = PICTURE_BYTES // runs, min(32, max(6, 240 // runs))
    large, small = share * 2 // 5, share * 3 // 5 // count  # bytes
    # Painted texture takes a byte for two or three pixels: first guesses that save encoding twice.
    side, small_side = (min(MAX_SIDE, int((5 * most) ** 0.5)) for most in (large, small))
    found = folder.iterations_there()
    done = gallery.has_result(record)
    result = gallery.picture(folder.result, side, 90, large) if done else None
    newest = result or gallery.picture(folder.latest, side, 90, large)
    step = _number(record.get("step")) or (found[-1][0] if found else 0)
    if newest:
        found = [(at, file) for at, file in found if at < step or not result and at > step]
    shown = [
        {"step": at, **picture}
        for at, file in evenly(found, count)
        if (picture := gallery.picture(file, small_side, 82, small))
    ]
    shown += [{"step": step, **newest}] if newest else []
    return {"iterations": sorted(shown, key=lambda one: one["step"]), "finished": bool(result)}


def _inputs(folder: RunFolder, record: dict[str, Any], varied: list[str]) -> list[dict[str, Any]]:
    """The pictures that all runs began with, as this one has them."""
    found, styles = [], itertools.count(1)
    for kind, name, _ in _sources(record):
        copy = folder.content if kind == "content" else folder.style(next(styles))
        picture = gallery.picture(copy, MAX_INPUT_SIDE)
        if picture and kind not in varied:
            found.append({"kind": kind, "name": name, **picture})
    return found


def _curves(folder: RunFolder, runs: int) -> dict[str, Any]:
    """Losses by term at the logged steps, fewer of them where there are many runs."""
    try:
        rows = read_metrics(folder.metrics)
        return gallery.curves(evenly(rows, min(400, max(60, 12_000 // runs))))
    except (OSError, OverflowError, RecursionError):  # a folder of that name; numbers beyond floats
        return gallery.curves([])
