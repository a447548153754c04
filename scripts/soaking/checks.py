"""Checks of a run folder, an exit status and a log: each returns problems, "kind: description"."""

import contextlib
import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.cli import BAD_INPUT, INTERRUPTED, IO_ERROR

from .interruptions import SIGNALS

# The documented exit statuses besides 0, and the negative numbers of signals that end a process.
STATUSES = {
    "": (),
    "kill": (-signal.SIGKILL,),
    **{name: (INTERRUPTED, -number) for name, number in SIGNALS.items() if name != "kill"},
    "crash": (-signal.SIGKILL,),
    "torn": (-signal.SIGXFSZ,),
    "full": (BAD_INPUT, IO_ERROR),
    "limit": (BAD_INPUT, IO_ERROR),
}
# Kinds of problems, which the report counts.
TORN, DIFFERS, LOST, LEFT, STATUS = "torn", "differs", "lost", "left over", "status"
# What runs log, with the step as a group.
RESUMED, STOPPED = r"resuming after step (\d+)", r"stopped after step (\d+)"
FELL_BACK = "ignoring checkpoint"
# Suffixes of pictures, and how their bytes end: decoders tolerate that the last bytes are missing.
PICTURES = {".jpg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82", ".gif": b";", ".webp": b"", ".bmp": b""}
# Not compared by their bytes, because they contain times.
CLOCKED = ("run.json", "index.html", ".lock")
# The parts of run.json that neither times nor interruptions may change.
RECORDED = (
    *("status", "step", "total_steps", "scales", "settings", "changed", "content", "styles"),
    *("final_terms", "scores", "fingerprint", "version"),
)


def torn_files(folder: Path, damaged: dict[Path, bytes]) -> list[str]:
    """Incomplete files in a run folder, except those that were damaged on purpose.

    All files but metrics.jsonl are written under another name first, so they must always be
    complete.
    """
    problems = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or is_temporary(path) or damaged.get(path) == path.read_bytes():
            continue
        try:
            _read_whole(path)
        except Exception as error:  # damaged bytes raise anything
            problems.append(f"{TORN}: {path.relative_to(folder)}: {error!r}")
    return problems


def _read_whole(path: Path) -> None:
    if path.suffix in PICTURES:
        if not path.read_bytes().endswith(PICTURES[path.suffix]):
            raise ValueError("does not end as a picture")
        with Image.open(path) as picture:
            for number in range(getattr(picture, "n_frames", 1)):
                picture.seek(number)
                picture.load()
    elif path.suffix == ".npz":
        read_checkpoint(path)
    elif path.name == "run.json":
        json.loads(path.read_text("utf-8"))["status"]
    elif path.name == "index.html" and not path.read_bytes().rstrip().endswith(b"</html>"):
        raise ValueError("does not end as a page")
    elif path.name == "flags.cfg":
        text = path.read_text("utf-8")
        if not text.endswith("\n") or "--workdir=" not in text:
            raise ValueError("does not end as a flagfile")


def read_checkpoint(path: Path) -> tuple[int, dict[str, np.ndarray]]:
    """The step of a checkpoint and its arrays; damaged files raise nearly every type of error."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    return int(json.loads(bytes(arrays.pop("header")))["step"]), arrays


def newest_step(folder: Path) -> int:
    """The step of the newest readable checkpoint in a run folder; 0 if there is none."""
    for path in sorted((folder / "checkpoints").glob("step_*.npz"), reverse=True):
        with contextlib.suppress(Exception):
            return read_checkpoint(path)[0]
    return 0


def metrics_problems(found: bytes, whole: bytes, step: int) -> list[str]:
    """Lines of metrics.jsonl that are missing or differ from those of the reference.

    Args:
        found: the metrics of a run at any moment; the last line may be incomplete.
        whole: the metrics of the finished reference.
        step: that of the newest checkpoint, up to which all lines must be there.
    """
    lines = found[: found.rfind(b"\n") + 1]
    problems = []
    for number, line in enumerate(lines.splitlines(), start=1):
        try:
            json.loads(line)
        except ValueError:
            problems.append(f"{TORN}: metrics.jsonl: line {number}: {line[:60]!r}")
    if not problems and not whole.startswith(lines):
        problems.append(f"{DIFFERS}: metrics.jsonl: differs from the start of the reference")
    needed = [line for line in whole.splitlines() if json.loads(line)["step"] <= step]
    if len(needed) > len(lines.splitlines()):
        problems.append(f"{LOST}: metrics.jsonl: lines up to the checkpoint of step {step}")
    return problems


def is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")


def leftovers(folder: Path) -> list[str]:
    """Temporary files in a folder and below."""
    found = sorted(path for path in folder.rglob("*") if is_temporary(path))
    return [f"{LEFT}: {path.relative_to(folder)}" for path in found]


# The traceback of a Ctrl-C while Python itself started.
_PYTHONS_START = re.compile(r"init_import_site|importlib\._bootstrap(?!(.|\n)*nst_keras)")


def status_problems(kind: str, status: int | None, log: str) -> list[str]:
    """An exit status or a traceback that the interruption does not explain.

    Args:
        kind: of SIGNALS or FAULTS; empty for no interruption.
        status: None if the run did not end.
    """
    if status is None:
        return [f"{STATUS}: the run hangs"]
    if SIGNALS.get(kind) == signal.SIGINT and status == 1 and _PYTHONS_START.search(log):
        return []
    if status != 0 and status not in STATUSES[kind]:
        return [f"{STATUS}: {status} after {kind or 'nothing'}"]
    # Before the command handles signals, Python prints a traceback.
    if "Traceback" in log and status != -signal.SIGINT:
        return [f"{STATUS}: {status} after {kind or 'nothing'}, with a traceback"]
    return []


def resume_problems(step: int, begun: bool, status: int | None, log: str) -> list[str]:
    """A run that did not resume from the newest checkpoint.

    Args:
        step: that of the newest readable checkpoint before the start; 0 if there was none.
        begun: whether the folder held an unfinished run of this job.
        status: the exit status of the run.
    """
    resumed = re.search(RESUMED, log)
    if resumed and int(resumed[1]) != step:
        return [f"{LOST}: the run resumed after step {resumed[1]}, not {step}"]
    if begun and step and status == 0 and not resumed:
        return [f"{LOST}: the run started again, not after step {step}"]
    return []


def stop_problems(folder: Path, status: int | None, log: str) -> list[str]:
    """A run that stopped in an orderly way without saving its state in `folder`."""
    stopped = re.search(STOPPED, log)
    if status != INTERRUPTED or not stopped:
        return []
    step, state = newest_step(folder), read_record(folder).get("status")
    problems = []
    if step != int(stopped[1]):
        problems.append(f"{LOST}: the run stopped after step {stopped[1]}, but saved step {step}")
    if state != "interrupted":
        problems.append(f"{DIFFERS}: run.json: is {state} after a stop")
    return problems


def read_record(folder: Path) -> dict[str, Any]:
    """The contents of run.json in a run folder; empty if it is missing or incomplete."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return json.loads((folder / "run.json").read_text("utf-8"))
    return {}


def differences(work: Path, reference: Path) -> list[str]:
    """How two folders differ in which the same command has finished."""
    problems = []
    ours, theirs = _files_of(work), _files_of(reference)
    for name in sorted(ours.keys() ^ theirs.keys()):
        where = "only in the reference" if name in theirs else "not in the reference"
        problems.append(f"{DIFFERS}: {name}: {where}")
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            problems.append(f"{DIFFERS}: {name}: other bytes")
    problems += _record_differences(read_record(work / "run"), read_record(reference / "run"))
    return problems + _state_differences(work / "run", reference / "run")


def _files_of(folder: Path) -> dict[str, bytes]:
    """Bytes by name of the files that must be equal; the folder's own path is replaced."""
    found = {}
    for path in sorted(folder.rglob("*")):
        skipped = is_temporary(path) or path.suffix == ".npz" or path.name in CLOCKED
        if path.is_file() and not skipped:
            data = path.read_bytes()
            if path.name == "flags.cfg":
                data = data.replace(str(folder).encode(), b"FOLDER")
            found[str(path.relative_to(folder))] = data
    return found


def _record_differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    problems = []
    for name in RECORDED:
        a, b = (_plain_paths(record.get(name)) for record in (ours, theirs))
        if a != b:
            problems.append(f"{DIFFERS}: run.json: {name}: {_brief(a)}, reference: {_brief(b)}")
    for note in theirs.get("notes", []):
        if note not in ours.get("notes", []):
            problems.append(f"{DIFFERS}: run.json: notes: {note!r} is missing")
    return problems


def _plain_paths(value: Any) -> Any:
    """Settings without paths, which are absolute in a run that was started by its folder alone."""
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if k not in ("workdir", "output", "overwrite")}


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


def _state_differences(ours: Path, theirs: Path) -> list[str]:
    """How the last checkpoints of two finished runs differ."""
    last = [sorted((folder / "checkpoints").glob("step_*.npz"))[-1:] for folder in (ours, theirs)]
    if not all(last):
        return [f"{LOST}: the last checkpoint"]
    (step, arrays), (other_step, others) = (read_checkpoint(paths[0]) for paths in last)
    equal = arrays.keys() == others.keys() and all(
        arrays[name].tobytes() == others[name].tobytes() for name in others
    )
    same = step == other_step and equal
    return [] if same else [f"{DIFFERS}: the state after step {step}, reference: {other_step}"]


def page_problems(folder: Path, scratch: Path) -> list[str]:
    """A page that does not show the present contents of its run folder.

    Args:
        scratch: the path of a folder that is made for a while.
    """
    shutil.copytree(folder, scratch)
    try:
        (scratch / "index.html").unlink(missing_ok=True)
        page = gallery.write_page(RunFolder(scratch)).read_bytes()
    finally:
        shutil.rmtree(scratch)
    with contextlib.suppress(FileNotFoundError):
        if (folder / "index.html").read_bytes() == page:
            return []
    return [f"{DIFFERS}: index.html: does not show the contents of the folder"]


def snapshot(folder: Path) -> dict[str, bytes]:
    """The bytes of all files in a folder and below, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
