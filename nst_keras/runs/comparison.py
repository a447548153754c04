"""The page that compares several runs, in one file that can be sent to anybody."""

import collections
import os
import re
import shlex
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_keras.imaging.animation import evenly
from nst_keras.runs import embedding, gallery, output_copy, page
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.public import base_names_of, public_record
from nst_keras.runs.record import RunRecord
from nst_keras.runs.score_table import SCORES
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS

PICTURE_BYTES = 7_200_000  # of all pictures together; in base64 a third more
MAX_SIDE = 2048  # px, of a picture
MAX_INPUT_SIDE, MAX_INPUTS = 300, 12  # px of the content and style pictures, and how many
_DECIDING = {"strength", "quality"}  # settings that decide others, which then say nothing more
_INPUT_BYTES = 40_000  # of one of them
MAX_TEXT = 400  # characters of a name or a setting
MARK = '<meta name="generator" content="nst_keras.compare">'  # is in the template
# Settings that decide what a loss measures: under other values it is a different quantity.
OBJECTIVE = {name for name, option in OPTIONS.items() if option.decides_loss}


def write_page(
    path: str | os.PathLike,
    runs: Sequence[str | os.PathLike],
    title: str = "",
    layout: tuple[str, ...] = (),
    notes: Mapping[str | os.PathLike, str] | None = None,
    *,
    overwrite: bool = True,
) -> Path:
    """Write the page that compares the run folders `runs` to `path`, atomically; return its path.

    Runs may be unfinished or damaged: what cannot be read is left out. The more runs, the fewer and
    smaller are the pictures of each, so that the page stays below 12 MB. Raises InputError if
    it cannot be written to `path`, or `layout` names no settings of the runs.

    Args:
        layout: two settings, for the rows and the columns of the grid.
        notes: texts to show with some of the runs, by run folder.
        overwrite: whether a comparison at `path` is replaced; any other file never is.
    """
    path = Path(path)
    _check_output(path, overwrite)
    folders = [RunFolder(run) for run in dict.fromkeys(map(os.path.abspath, runs))]
    count = len(folders)
    records = [public_record(folder.read_record()) for folder in folders]
    settings = _settings(records)
    if layout and (len(layout) != 2 or not set(layout) <= set().union(*settings)):
        raise InputError(f"--layout={','.join(layout)}: must be two settings that these runs have")
    varied = _varied(records, settings)
    texts = {os.path.abspath(run): note for run, note in (notes or {}).items()}
    names = _names([folder.path for folder in folders])
    described = [
        {
            "name": name,
            "link": _link(folder.page, path.absolute().parent),
            "note": _shown(texts.get(str(folder.path), "")),
            "settings": {n: own[n] for n in (*varied, *layout) if n in own},
            **_described(folder, record, count),
        }
        for name, folder, record, own in zip(names, folders, records, settings, strict=True)
    ]
    title = title or (f"{count} runs side by side" if count > 1 else names[0])
    shown = {
        "title": title,
        "runs": described,
        "varied": varied,
        "shared": _shared(settings),
        "incomparable": [name for name in varied if name in OBJECTIVE],
        "layout": layout,
        "score_notes": {name: score.explanation for name, score in SCORES.items()},
        "place": _place(path),
    }
    stills = "".join(map(_still, described))
    text = page.fill_template(
        "compare",
        title,
        shown,
        description=f"Neural style transfer: {title}",
        scripts=("zoom", "compare_curves", "compare_table"),
        inputs=_inputs_html(folders, records),
        stills=stills,
    )
    files.write_text(path, text)
    return path


def _described(folder: RunFolder, record: RunRecord, runs: int) -> dict[str, Any]:
    """What the page shows of one of so many runs, whatever the others are."""
    return {
        "status": _shown(record.status) or "unreadable",
        **{name: getattr(record, name) for name in ("step", "total_steps", "seconds")},
        "final_terms": {_shown(name): value for name, value in record.final_terms.items()},
        "scores": {_shown(name): value for name, value in record.scores.items()},
        **_pictures(folder, record, runs),
        "command": _command(record),
        "curves": _curves(folder, runs),
        "scale_starts": [scale.first_step for scale in record.scales if scale.first_step],
    }


def _check_output(path: Path, overwrite: bool) -> None:
    """Raise InputError unless a page can be written at `path` and replaces no other file."""
    output_copy.check_place(path)
    if path.exists():
        with open(path, "rb") as file:
            if MARK.encode() not in file.read(4096):
                message = "exists and is not a comparison; give another name"
                raise InputError(f"--output={path}: {message}")
        if not overwrite:
            message = "already exists; give another name, or --overwrite to replace it"
            raise InputError(f"--output={path}: {message}")


def _settings(records: list[RunRecord]) -> list[dict[str, str]]:
    """The settings of each run that change the picture, as text; inputs by name, not by path."""
    inputs = _named_alike([_inputs(record) for record in records])
    # Different files of one name are told apart by their hashes.
    files_named = collections.Counter(name for name, _ in {it[1:] for own in inputs for it in own})
    found = []
    for record, own in zip(records, inputs, strict=True):
        settings = {
            name: _shown(base_names_of(name, text))
            for name, text in record.settings.items()
            if name not in OPTIONS or OPTIONS[name].changes_result
        }
        named: dict[str, list[str]] = {}
        for kind, name, sha256 in own:
            label = name if files_named[name] == 1 else f"{name} ({sha256[:4]})"
            named.setdefault(kind, []).append(label)
        found.append({**settings, **{kind: ", ".join(labels) for kind, labels in named.items()}})
    return found


def _named_alike(
    inputs: Sequence[Sequence[tuple[str, str, str]]],
) -> list[list[tuple[str, str, str]]]:
    """The inputs of each run, with one name for each file that has several."""
    names: dict[str, str] = {}
    return [
        [(kind, names.setdefault(sha256 or name, name), sha256) for kind, name, sha256 in own]
        for own in inputs
    ]


def _inputs(record: RunRecord) -> list[tuple[str, str, str]]:
    """The kind, name and hash of the content and the styles, as far as the record has them."""
    named = [("content", record.content), *(("style", style) for style in record.styles)]
    return [(kind, _shown(one.name), one.sha256) for kind, one in named if one.name]


def _varied(records: list[RunRecord], settings: list[dict[str, str]]) -> list[str]:
    """Settings that differ: inputs, then what somebody chose, objective first, then the others."""
    known = [own for own in settings if own]
    names = dict.fromkeys(name for own in known for name in own)
    varied = [name for name in names if len({own.get(name) for own in known}) > 1]
    chosen = {name for record in records for name in record.changed}
    if not chosen.isdisjoint(_DECIDING) and not _DECIDING.isdisjoint(varied):
        varied = [name for name in varied if name in {"content", "style", *chosen}]
    ranks = (("content", "style"), chosen, OBJECTIVE)
    return sorted(varied, key=lambda name: [name not in names for names in ranks])


def _shared(settings: list[dict[str, str]]) -> dict[str, str]:
    """The settings that all runs have in common, of those runs whose settings are known."""
    first, *others = [own for own in settings if own] or [{}]
    return {
        name: text for name, text in first.items() if all(own.get(name) == text for own in others)
    }


def _names(paths: list[Path]) -> list[str]:
    """The names of the folders, with as many parent folders as it takes to tell them apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _link(target: Path, folder: Path) -> str | None:
    """The address of a file as seen from a page in `folder`; None if there is no such file, or if
    it is neither below the folder nor below the one around it: its address would tell where."""
    around = folder if folder.parent == Path(folder.anchor) else folder.parent
    if not target.is_file() or not target.absolute().is_relative_to(around):
        return None
    relative = Path(os.path.relpath(target, folder))
    return urllib.parse.quote(os.fsencode(relative.as_posix()))


def _shown(text: str) -> str:
    """A setting or a name as the page shows it: cut off where it is long, and 8 for 8.0."""
    return re.sub(r"(?<![^,])(-?\d+)\.0(?![^,])", r"\1", text[:MAX_TEXT])


def _pictures(folder: RunFolder, record: RunRecord, runs: int) -> dict[str, Any]:
    """The pictures of a run by step, the result last, in the bytes that each of `runs` may use."""
    share, count = PICTURE_BYTES // runs, min(32, max(2, 240 // runs))
    large, small = share * 2 // 5, share * 3 // 5 // count  # bytes
    # Painted texture takes a byte for two or three pixels; guesses that often save an encoding.
    side, small_side = (min(MAX_SIDE, int((5 * most) ** 0.5)) for most in (large, small))
    found = folder.existing_iterations()
    result = embedding.picture(folder.result, side, 90, large) if record.has_result else None
    newest = result or embedding.picture(folder.latest, side, 90, large)
    step = record.step or (found[-1][0] if found else 0)
    if newest:
        found = [(at, file) for at, file in found if at < step or not result and at > step]
    shown = embedding.with_steps(evenly(found, count), small_side, 82, small)
    shown += [{"step": step, **newest}] if newest else []
    return {"iterations": sorted(shown, key=lambda one: one["step"]), "finished": bool(result)}


def _still(run: dict[str, Any]) -> str:
    """The newest picture of a run, as it is seen without JavaScript; the script takes it from
    there, so its data have it no more."""
    newest = run["iterations"][-1] if run["iterations"] else None
    shown = page.image(newest, run["name"]) if newest else ""
    if newest:
        newest["uri"] = ""
    return (
        f'<figure class="still">{shown}<figcaption>{page.escape(run["name"])}</figcaption></figure>'
    )


def _inputs_html(folders: list[RunFolder], records: list[RunRecord]) -> str:
    """The different photos and paintings of all runs."""
    found: dict[tuple[str, str, str], dict[str, Any] | None] = {}
    for folder, record in zip(folders, records, strict=True):
        number = 0
        for one in _inputs(record):
            number += one[0] == "style"
            copy = folder.content if one[0] == "content" else folder.style(number)
            if one not in found and len(found) < MAX_INPUTS:
                found[one] = embedding.picture(copy, MAX_INPUT_SIDE, 80, _INPUT_BYTES)
    words = {"content": "Photo", "style": "Painting"}
    return "".join(
        f"<figure>{page.image(shown, f'{words[kind]}: {name}')}"
        f"<figcaption><b>{words[kind]}</b> {page.escape(name)}</figcaption></figure>"
        for (kind, name, _), shown in sorted(found.items(), key=lambda item: item[0][0])
        if shown
    )


def _command(record: RunRecord) -> str:
    """The command that makes the picture of a run at full size: at the usual size, unless that of
    the run is larger, and without what was chosen to be quick. Empty if not known."""
    settings = {name: text for name, text in record.settings.items() if name in record.changed}
    if settings.get("quality") in ("draft", "preview"):
        del settings["quality"]
    for name in ("scores", "gif"):  # which `nst try` leaves out
        settings.pop(name, None)
    size, usual = settings.get("size", ""), OPTIONS["size"].default
    if size.isdecimal() and int(size) < usual:
        del settings["size"]
    inputs = {name: record.settings.get(name, "") for name in ("content", "style")}
    is_call = record.command.startswith("nst_keras.")  # no command has the same terms or network
    if is_call or not all(inputs.values()):
        return ""
    flags = [f"--{name}={text}" for name, text in {**inputs, **settings}.items()]
    return shlex.join(["nst", *flags])


def _place(path: Path) -> int:
    """A number that tells the script whether the page is still where it was written, so that its
    links lead somewhere: FNV-1a of the path, which cannot be read from it."""
    found = 0x811C9DC5
    address = urllib.parse.urlparse(path.absolute().as_uri()).path
    for byte in urllib.parse.unquote_to_bytes(address):
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found


def _curves(folder: RunFolder, runs: int) -> dict[str, Any]:
    """Losses by term at the logged steps, fewer of them if there are many runs."""
    try:
        rows = folder.read_metrics()
        return gallery.curves(evenly(rows, min(400, max(10, 12_000 // runs))))
    except (OSError, OverflowError, RecursionError):  # a folder of that name; numbers beyond floats
        return gallery.curves([])
