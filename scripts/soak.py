#!/usr/bin/env python
"""Jobs that are interrupted at random: `python scripts/soak.py [--jobs=200] [--seed=0] ...`.

Paints many tiny pictures with random settings. Each job is painted once in peace, by its twin, and
once while it is killed, stopped, or refused by the disk at random moments, and goes on by the same
command until it is done. Both must leave the same bytes, and at no time may a file be torn.

Of each seed all settings and moments are drawn anew, but the same ones each time. Moments in file
operations repeat exactly, or nearly so where two threads write; those in seconds as far as the
machine keeps its pace. A failed job is repeated by `--seed=SEED --only=NUMBER`.

    python scripts/soak.py --faulty=KIND:AT:BYTES -- flags

is one run with one fault, of the kinds in `FAULTS`. Exit status: 0 if no job failed, else 1.
Needs a Unix system: it sends signals and limits the size of files.
"""

import argparse
import builtins
import collections
import concurrent.futures
import contextlib
import dataclasses
import errno
import io
import itertools
import json
import multiprocessing
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_keras.imaging import geometry, images
from nst_keras.network import vgg, weights
from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder

# The processor, where results repeat to the byte, and no chatter.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Imported once, by a server from which most runs are forked. After its imports TensorFlow has no
# thread yet; those begin with the first operation, and that is the run's own.
PRELOADED = ["tensorflow", "keras", "PIL.Image", "nst_keras.run", "nst_keras.transfer.loop"]
PLAIN_SHARE = 0.1  # of all starts: `python -m nst_keras.run` itself, with all its imports
PLAIN_SECONDS = 4.0  # that these take longer
LONGEST_SECONDS = 600.0  # of one run; a longer one hangs
POLL_SECONDS = 0.02
TWICE_SECONDS = 0.1  # between two Ctrl-C
FORKED = "soak: forked"  # the first line of such a run, before which no signal is sent

CHANNELS = (4, 6, 8, 8, 8)  # of the network's blocks
SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
    "hup": signal.SIGHUP,
    "usr1": signal.SIGUSR1,
    "int2": signal.SIGINT,  # twice
}
_USUAL = {signal.SIGINT: signal.default_int_handler}
# What the file operation of a given number meets. crash: the process dies before it. torn: from
# then on the process dies in the midst of the first write beyond so many bytes of a file. full:
# this one finds no space. limit: from then on no write goes beyond so many bytes.
FAULTS = ("crash", "torn", "full", "limit")
# Done to the folder before the next start, as a disk might after a power cut.
DAMAGES = ("checkpoint", "metrics")
WEIGHTS = {"kill": 3, "term": 2, "int": 2, "hup": 1, "usr1": 1, "int2": 1} | {
    "crash": 5,
    "torn": 3,
    "full": 3,
    "limit": 2,
}
INTERRUPTED = 75
# Statuses as documented, besides 0; or the number of the signal that ended the process, negative.
STATUSES = {
    "": (),
    "kill": (-signal.SIGKILL,),
    **{name: (INTERRUPTED, -number) for name, number in SIGNALS.items() if name != "kill"},
    "crash": (-signal.SIGKILL,),
    "torn": (-signal.SIGXFSZ,),
    "full": (2, 74),
    "limit": (2, 74),
}
# Kinds of problems, as they are counted at the end.
TORN, DIFFERS, LOST, LEFT, STATUS = "torn", "differs", "lost", "left over", "status"
# Pictures, and with what they end: decoders forgive that their last bytes are missing.
PICTURES = {".jpg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82", ".gif": b";", ".webp": b"", ".bmp": b""}
# Compared otherwise than by their bytes: they hold clock readings.
CLOCKED = ("run.json", "index.html", ".lock")
# Of run.json: all that neither the clock nor the interruptions may change.
RECORDED = (
    "status",
    "step",
    "total_steps",
    "scales",
    "settings",
    "changed",
    "content",
    "styles",
) + (
    "final_terms",
    "scores",
    "fingerprint",
    "version",
)


# ---- settings ------------------------------------------------------------------------------------


def make_inputs(folder: Path) -> None:
    """Pictures and a weights file of a network that takes milliseconds."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, height, width in (
        ("photo_1.png", 40, 60),
        ("photo_2.jpg", 64, 50),
        ("photo_3.png", 96, 96),
        ("painting_1.png", 50, 50),
        ("painting_2.jpg", 40, 70),
        ("painting_3.png", 90, 44),
    ):
        smooth = geometry.resize(rng.random((4, 5, 3), dtype=np.float32), height, width)
        noisy = np.clip(smooth + rng.normal(0, 0.03, smooth.shape), 0, 1)
        images.write_image(folder / name, noisy.astype(np.float32))
    weights.write_weights(folder / "tiny.npz", _tiny_weights(rng))


def _tiny_weights(rng: np.random.Generator) -> weights.Weights:
    """A random VGG19 of a few channels, scaled so that features stay of one order."""
    kernels, biases = {}, {}
    for conv in vgg.convolutions("vgg19", channels=CHANNELS):
        deviation = np.sqrt(2.0 / (9 * conv.inputs)) / (60.0 if conv.inputs == 3 else 1.0)
        kernels[conv.name] = rng.normal(0, deviation, conv.kernel_shape).astype(np.float32)
        biases[conv.name] = rng.normal(0, 0.1, conv.outputs).astype(np.float32)
    return weights.Weights("vgg19", CHANNELS, kernels, biases, sha256="0" * 64)


def random_flags(rng: random.Random, inputs: Path) -> list[str]:
    """The flags of a job of some steps on a picture of 48 to 96 px."""
    settings = {
        **_input_settings(rng, inputs),
        **_size_settings(rng),
        **_optimizer_settings(rng),
        **_objective_settings(rng),
        **_recorder_settings(rng),
        "workdir": "run",
    }
    flags = [f"--{name}={value}" for name, value in settings.items() if value is not None]
    switches = (("noscores", 0.6), ("nogif", 0.3), ("frame_labels", 0.2), ("overwrite", 0.2))
    return flags + [f"--{name}" for name, share in switches if rng.random() < share]


def _sometimes(rng: random.Random, share: float, *values: Any) -> Any:
    """One of the values in that share of cases, else None: the flag is not given."""
    return rng.choice(values) if rng.random() < share else None


def _input_settings(rng: random.Random, inputs: Path) -> dict[str, Any]:
    paintings = sorted(inputs.glob("painting_*"))
    styles = rng.sample(paintings, rng.choice((1, 1, 2, 3)))
    blend = ",".join(str(rng.randint(1, 5)) for _ in styles)
    init = ("noise", "content", "gray", "mean", "style", "style_stats", inputs / "painting_1.png")
    return {
        "content": rng.choice(sorted(inputs.glob("photo_*"))),
        "style": ",".join(map(str, styles)),
        "style_blend": _sometimes(rng, 0.4, blend) if len(styles) > 1 else None,
        "weights": inputs / "tiny.npz",
        "init": _sometimes(rng, 0.6, *init),
        "init_noise": _sometimes(rng, 0.2, 0.05),
        "seed": _sometimes(rng, 0.5, rng.randint(1, 99)),
    }


def _size_settings(rng: random.Random) -> dict[str, Any]:
    """Sizes in pixels and steps; of the tiled ones, layers whose halo is small."""
    tiled = rng.random() < 0.3
    size = rng.randint(64, 96) if tiled else rng.randint(48, 96)
    tiles = {
        "tile_size": rng.choice((40, 44, 48)),
        "style_layers": "block1_conv1,block2_conv1",
        "content_layers": "block2_conv2",
    }
    return {
        "size": size,
        "min_size": rng.randint(32, 44),
        "scales": rng.choice((1, 1, 2, 2, 3)),
        "iterations": rng.randint(2, 5 if tiled else 9),
        "coarse_iterations": rng.randint(1, 4),
        "fit": _sometimes(rng, 0.2, "crop"),
        **(tiles if tiled else {"tile_size": _sometimes(rng, 0.7, "none")}),
    }


def _optimizer_settings(rng: random.Random) -> dict[str, Any]:
    keras = rng.choice(("rmsprop", "nadam", "adamax", "adagrad", "lion", "sgd"))
    name = rng.choice((None, None, "adam", "adam", "lbfgs", "lbfgs", "lbfgs", keras))
    schedule = _sometimes(rng, 0.3, "linear", "cosine", "exponential", "piecewise", "constant")
    return {
        "optimizer": name,
        "learning_rate": 1 if name == "sgd" else None,
        "history": rng.choice((2, 5, 20)) if name == "lbfgs" else None,
        "line_search": _sometimes(rng, 0.4, "backtrack") if name == "lbfgs" else None,
        "schedule": schedule,
        "schedule_at": "2:0.5,4:0.25" if schedule == "piecewise" else None,
        "warmup_steps": _sometimes(rng, 0.2, 1, 3),
        "average": _sometimes(rng, 0.3, 0.5, 0.9),
        "tolerance": _sometimes(rng, 0.3, 0.01, 0.1, 0.9),
        "patience": rng.randint(1, 3),
    }


def _objective_settings(rng: random.Random) -> dict[str, Any]:
    return {
        "precision": _sometimes(rng, 0.85, "float32", "bfloat16"),
        "balance": _sometimes(rng, 0.25, "content:1,style:4,tv:0.1", "style:3,content:1"),
        "style_weight": _sometimes(rng, 0.3, 2, 30),
        "tv_weight": _sometimes(rng, 0.2, 0, 20),
        "pooling": _sometimes(rng, 0.3, "avg", "max"),
        "padding": _sometimes(rng, 0.3, "zero", "replicate"),
    }


def _recorder_settings(rng: random.Random) -> dict[str, Any]:
    outputs = ("copy.png", "copy.png", "copy.jpg", "copy.webp", "copy.bmp")
    return {
        "log_every": rng.randint(1, 4),
        "image_every": _sometimes(rng, 0.7, 0, 1, 2, 3),
        "image_at": _sometimes(rng, 0.4, "2", "1,3"),
        "checkpoint_every": rng.randint(0, 4),
        "checkpoint_minutes": _sometimes(rng, 0.4, 0, 0.005),
        "keep_checkpoints": rng.randint(1, 3),
        "output": _sometimes(rng, 0.4, *outputs),
    }


# ---- what interrupts -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Blow:
    """One interruption, and how the run is started that it strikes."""

    kind: str  # of SIGNALS or FAULTS; empty: none
    share: float  # of the twin's seconds or file operations after which it comes
    size: int = 0  # bytes, of torn and limit
    plain: bool = False  # not forked: a process of its own from the start
    alone: bool = False  # by --workdir alone, where the folder knows the rest
    damage: str = ""  # of DAMAGES, before the start

    def __str__(self) -> str:
        how = [name for name in ("plain", "alone") if getattr(self, name)]
        damage = [f"damaged {self.damage}"] if self.damage else []
        return " ".join([self.kind or "peace", f"{self.share:.3f}", *damage, *how])


def random_blows(rng: random.Random) -> list[Blow]:
    """The interruptions of a job, the last of which is none."""
    kinds = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=rng.randint(1, 5))
    return [
        Blow(
            kind,
            _random_share(rng),
            _random_size(rng, kind),
            plain=rng.random() < PLAIN_SHARE,
            alone=rng.random() < 0.2,
            damage=rng.choice(DAMAGES) if rng.random() < 0.2 else "",
        )
        for kind in [*kinds, ""]
    ]


def _random_size(rng: random.Random, kind: str) -> int:
    """Bytes, all magnitudes alike.

    A limit holds for the whole process. Below about 10 kB it would strike files that TensorFlow
    writes elsewhere to transform the code of a step, and the run would not learn why it cannot.
    """
    return int(10 ** rng.uniform(4.3 if kind == "limit" else 0.0, 5.3))


def _random_share(rng: random.Random) -> float:
    """From 0 to 1; more often near an end, where most of what a run does is done once."""
    share = rng.random()
    return rng.choice((share, share**3, 1.0 - share**3))


class Faults:
    """Counts a process's operations on files below a folder, and lets that of a number go wrong.

    Args:
        kind: of FAULTS, or empty: they are counted only.
        at: the operation's number, from 1.
        size: bytes; see FAULTS.
    """

    _FUNCTIONS = (
        *((os, name) for name in ("replace", "fsync", "unlink", "mkdir")),
        *((module, "open") for module in (builtins, io)),  # pathlib takes that of io
    )

    def __init__(self, kind: str, at: int, size: int, folder: Path):
        self.kind, self.at, self.size = kind, at, size
        self.count = 0
        self._folder, self._lock = str(folder.resolve()), threading.Lock()

    @contextlib.contextmanager
    def installed(self) -> Iterator["Faults"]:
        """Faults happen in the block. Limits of the process stay."""
        normal = [(module, name, getattr(module, name)) for module, name in self._FUNCTIONS]
        if self.kind == "torn":  # else Python ignores this signal, and the write is an error
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            for module, name, function in normal:
                setattr(module, name, self._wrapped(name, function))
            yield self
        finally:
            for module, name, function in normal:
                setattr(module, name, function)

    def _wrapped(self, name: str, function: Callable) -> Callable:
        def call(*arguments, **named):
            if self._is_counted(name, arguments, named):
                self._before(name, arguments[0])
            return function(*arguments, **named)

        return call

    def _is_counted(self, name: str, arguments: tuple, named: dict[str, Any]) -> bool:
        """Whether it writes in the folder; of a descriptor nobody knows, but only files have one
        that is synchronised."""
        if name == "fsync":
            return True
        if not arguments or not isinstance(arguments[0], str | os.PathLike):
            return False
        if name == "open":
            mode = arguments[1] if len(arguments) > 1 else named.get("mode", "r")
            if not set(mode) & set("wax+"):
                return False
        return os.path.abspath(arguments[0]).startswith(self._folder + os.sep)

    def _before(self, name: str, what: Any) -> None:
        with self._lock:
            self.count += 1
            strikes = self.count == self.at
        if not strikes:
            return
        if self.kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind in ("torn", "limit"):
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, hard))
        if self.kind == "full" and name != "unlink":  # that needs no space
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(what))


def faulty_run(fault: tuple[str, int, int], flags: list[str]) -> int:
    """One run in this process and folder, with a fault; returns its exit status."""
    from nst_keras import run as run_lib

    with Faults(*fault, Path.cwd()).installed() as faults:
        status = run_lib.main(flags)
    if not faults.kind:
        print(f"soak: {faults.count} file operations", file=sys.stderr)
    return status


# ---- processes -----------------------------------------------------------------------------------


def forked_run(log: Connection, folder: str, fault: tuple[str, int, int], flags: list[str]) -> None:
    """The whole of a process that the server forked."""
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    log.close()
    # Those of the server do not expect a pipe. They stay open as long as the process.
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(folder)
    try:
        print(FORKED, file=sys.stderr)
        status = faulty_run(fault, flags)
    except KeyboardInterrupt:  # as Python itself does where nothing catches it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        raise
    sys.exit(status)


class Process:
    """A run at work: forked from the server, or plain. Its log is a pipe, since a limit on the size
    of files would hold for a log file, too."""

    _lock = threading.Lock()  # multiprocessing asks after all its children at each start

    def __init__(
        self,
        flags: list[str],
        folder: Path,
        fault: tuple[str, int, int] = ("", 0, 0),
        *,
        plain: bool = False,
    ):
        self._text, self._plain = bytearray(), plain
        self._reader, writer = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self._reader.fileno(), False)
        start = self._start_plain if plain else self._start_forked
        with self._lock:
            start(writer, folder, fault, flags)
        writer.close()

    @property
    def log(self) -> str:
        return self._text.decode("utf-8", "replace")

    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        self._drain()
        with self._lock:
            status = self._poll()
        if status is not None:
            self._drain()
        return status

    def send(self, number: int) -> None:
        """Send a signal, unless the process is over."""
        if self.status() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def wait(self, seconds: float) -> int | None:
        """The exit status, or None after so many seconds."""
        until = time.monotonic() + seconds
        while (status := self.status()) is None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return status

    def begin(self) -> None:
        """Wait until a forked run is the run, and no longer the server's affair."""
        while not self._plain and FORKED not in self.log and self.status() is None:
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """End it, if it runs."""
        self.send(signal.SIGKILL)
        self.wait(LONGEST_SECONDS)
        self._reader.close()

    def _start_plain(
        self, writer: Connection, folder: Path, fault: tuple[str, int, int], flags: list[str]
    ) -> None:
        command = [sys.executable, "-m", "nst_keras.run", *flags]
        if fault[0]:
            words = ":".join(map(str, fault))
            command = [sys.executable, __file__, f"--faulty={words}", "--", *flags]
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=writer.fileno(),
            stderr=writer.fileno(),
        )
        self._pid, self._poll = process.pid, process.poll

    def _start_forked(
        self, writer: Connection, folder: Path, fault: tuple[str, int, int], flags: list[str]
    ) -> None:
        process = multiprocessing.get_context("forkserver").Process(
            target=forked_run, args=(writer, str(folder), fault, flags), daemon=True
        )
        process.start()
        assert process.pid is not None  # it has started
        self._pid, self._poll = process.pid, lambda: process.exitcode

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while block := os.read(self._reader.fileno(), 1 << 16):
                self._text += block


# ---- checks: each returns the problems it found, by kind -----------------------------------------


def torn_files(folder: Path, damaged: dict[Path, bytes]) -> list[str]:
    """Files of a run folder that are not whole, other than those that were damaged on purpose.

    All but metrics.jsonl are written under another name first, so they are whole at any moment.
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
    """The step of a checkpoint and its arrays; raises whatever its bytes lead to."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    return int(json.loads(bytes(arrays.pop("header")))["step"]), arrays


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint of a run folder that can be read; 0 if there is none."""
    for path in sorted((folder / "checkpoints").glob("step_*.npz"), reverse=True):
        with contextlib.suppress(Exception):
            return read_checkpoint(path)[0]
    return 0


def metrics_problems(found: bytes, whole: bytes, step: int) -> list[str]:
    """Whether lines are missing or other than those of a run in peace.

    Args:
        found: of a run at any moment; its last line may be torn.
        whole: of the finished run.
        step: of the newest checkpoint, behind which lines must not fall.
    """
    lines = found[: found.rfind(b"\n") + 1]
    problems = []
    for number, line in enumerate(lines.splitlines(), start=1):
        try:
            json.loads(line)
        except ValueError:
            problems.append(f"{TORN}: metrics.jsonl: line {number}: {line[:60]!r}")
    if not problems and not whole.startswith(lines):
        problems.append(f"{DIFFERS}: metrics.jsonl: is no beginning of that of the twin")
    needed = [line for line in whole.splitlines() if json.loads(line)["step"] <= step]
    if len(needed) > len(lines.splitlines()):
        problems.append(f"{LOST}: metrics.jsonl: lines up to the checkpoint of step {step}")
    return problems


def is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")


def leftovers(folder: Path) -> list[str]:
    """Temporary files, in a folder or below."""
    found = sorted(path for path in folder.rglob("*") if is_temporary(path))
    return [f"{LEFT}: {path.relative_to(folder)}" for path in found]


# Of a Ctrl-C that came before Python itself had started.
_PYTHONS_START = re.compile(r"init_import_site|importlib\._bootstrap(?!(.|\n)*nst_keras)")


def status_problems(kind: str, status: int | None, log: str) -> list[str]:
    """Whether a run that was struck so may end so.

    Args:
        kind: of SIGNALS or FAULTS; empty: none.
        status: None: it did not end.
    """
    if status is None:
        return [f"{STATUS}: it hangs"]
    if SIGNALS.get(kind) == signal.SIGINT and status == 1 and _PYTHONS_START.search(log):
        return []
    if status != 0 and status not in STATUSES[kind]:
        return [f"{STATUS}: {status} after {kind or 'nothing'}"]
    # Before the command hears signals, Python says where it was.
    if "Traceback" in log and status != -signal.SIGINT:
        return [f"{STATUS}: {status} after {kind or 'nothing'}, with a traceback"]
    return []


def resume_problems(step: int, begun: bool, status: int | None, log: str) -> list[str]:
    """Whether a run went on from where it could, and stopped where it says.

    Args:
        step: of the newest whole checkpoint before the start; 0 if there was none.
        begun: whether the folder held this job, unfinished.
        status: its exit status.
        log: what it said.
    """
    went_on = re.search(r"resuming after step (\d+)", log)
    if went_on and int(went_on[1]) != step:
        return [f"{LOST}: it went on after step {went_on[1]}, not {step}"]
    if begun and step and status == 0 and not went_on:
        return [f"{LOST}: it began anew, not after step {step}"]
    return []


def stop_problems(folder: Path, status: int | None, log: str) -> list[str]:
    """Whether a run that stopped in order has saved where it stopped.

    Args:
        folder: of the run, as it left it.
    """
    stopped = re.search(r"stopped after step (\d+)", log)
    if status != INTERRUPTED or not stopped:
        return []
    step, state = newest_step(folder), read_record(folder).get("status")
    problems = []
    if step != int(stopped[1]):
        problems.append(f"{LOST}: it stopped after step {stopped[1]}, its state is of {step}")
    if state != "interrupted":
        problems.append(f"{DIFFERS}: run.json: is {state} after a stop")
    return problems


def read_record(folder: Path) -> dict[str, Any]:
    """What run.json of a run folder says; empty where there is none, or a torn one."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return json.loads((folder / "run.json").read_text("utf-8"))
    return {}


def differences(work: Path, twin: Path) -> list[str]:
    """How two folders differ, in each of which the same command has finished its run."""
    problems = []
    ours, theirs = _files_of(work), _files_of(twin)
    for name in sorted(ours.keys() ^ theirs.keys()):
        where = "only of the twin" if name in theirs else "not of the twin"
        problems.append(f"{DIFFERS}: {name}: {where}")
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            problems.append(f"{DIFFERS}: {name}: other bytes")
    problems += _record_differences(read_record(work / "run"), read_record(twin / "run"))
    return problems + _state_differences(work / "run", twin / "run")


def _files_of(folder: Path) -> dict[str, bytes]:
    """The files that must be equal; paths inside them are made so."""
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
            problems.append(f"{DIFFERS}: run.json: {name}: {_brief(a)}, of the twin {_brief(b)}")
    for note in theirs.get("notes", []):
        if note not in ours.get("notes", []):
            problems.append(f"{DIFFERS}: run.json: notes: without {note!r}")
    return problems


def _plain_paths(value: Any) -> Any:
    """Settings without where they lie: by the folder alone, paths are absolute."""
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if k not in ("workdir", "output", "overwrite")}


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


def _state_differences(ours: Path, theirs: Path) -> list[str]:
    """How the last states of two finished runs differ."""
    last = [sorted((folder / "checkpoints").glob("step_*.npz"))[-1:] for folder in (ours, theirs)]
    if not all(last):
        return [f"{LOST}: the last checkpoint"]
    (step, arrays), (other_step, others) = (read_checkpoint(paths[0]) for paths in last)
    equal = arrays.keys() == others.keys() and all(
        arrays[name].tobytes() == others[name].tobytes() for name in others
    )
    same = step == other_step and equal
    return [] if same else [f"{DIFFERS}: the state after step {step}, of the twin {other_step}"]


def page_problems(folder: Path, scratch: Path) -> list[str]:
    """Whether index.html of a run folder is of what the folder holds.

    Args:
        scratch: a folder that is not there; a copy comes and goes.
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
    return [f"{DIFFERS}: index.html: does not show what the folder holds"]


def snapshot(folder: Path) -> dict[str, bytes]:
    """The bytes of all files in a folder and below; some of them tell when a run was at work."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ---- a job ---------------------------------------------------------------------------------------


class Job:
    """One command, its twin, and what became of both.

    Args:
        number: from 0; with the seed it decides everything.
        folder: of this job alone; `work` and `twin` come into it.
        inputs: of `make_inputs`.
    """

    def __init__(self, seed: int, number: int, folder: Path, inputs: Path):
        rng = random.Random(f"{seed}/{number}")
        self.number, self.folder = number, folder
        self.flags = random_flags(rng, inputs)
        self.blows = random_blows(rng)
        self.rng = rng  # from here on of damages alone
        self.problems: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.story: list[str] = []  # a line for each start
        self._damaged: dict[Path, bytes] = {}
        self._seconds = self._operations = 0.0  # of the twin

    @property
    def command(self) -> str:
        return shlex.join(["python", "-m", "nst_keras.run", *self.flags])

    @property
    def run(self) -> Path:
        """The run folder of the interrupted one."""
        return self.folder / "work" / "run"

    def play(self) -> None:
        """From the twin to the comparison; ends at the first problem, so that it can be seen."""
        for name in ("work", "twin"):
            (self.folder / name).mkdir(parents=True)
        self._paint_twin()
        if "--overwrite" in self.flags and not self.problems:
            self._put_another_run()
        finished = False
        for blow in self.blows:
            if finished or self.problems:
                break
            finished = self._start(blow)
        if not self.problems:
            self._compare()
        if not self.problems and "--overwrite" not in self.flags:
            self._start_again()

    def _paint_twin(self) -> None:
        twin = self.folder / "twin"
        began = time.monotonic()
        status, log = self._finish(Process(self.flags, twin), "twin")
        self._seconds = time.monotonic() - began
        counted = re.search(r"soak: (\d+) file operations", log)
        self._operations = int(counted[1]) if counted else 0
        self._take(status_problems("", status, log), "the twin")
        if not self.problems:
            found = [*torn_files(twin / "run", {}), *leftovers(twin)]
            self._take(found + page_problems(twin / "run", self.folder / "page"), "the twin")

    def _put_another_run(self) -> None:
        """A finished run of another request, of which nothing may be left in the end."""
        shutil.copytree(self.folder / "twin" / "run", self.run)
        record = read_record(self.run)
        record["requested"] = record["fingerprint"] = {"settings": {"size": "another"}}
        (self.run / "run.json").write_text(json.dumps(record), encoding="utf-8")
        shutil.copy(self.run / "latest.jpg", self.run / "iterations" / "iteration_00999.jpg")
        shutil.copy(self.run / "result.png", self.run / "strip.png")

    def _start(self, blow: Blow) -> bool:
        """Start the command, strike, and look at what is left; whether it is finished."""
        if blow.damage and not (self._is_begun() and self._damage(blow.damage)):
            blow = dataclasses.replace(blow, damage="")
        step, begun = newest_step(self.run), self._is_begun()
        before = set(leftovers(self.folder / "work"))
        process = Process(
            self._flags(blow.alone), self.folder / "work", self._fault(blow), plain=blow.plain
        )
        status, log = self._finish(process, blow.kind, self._moment(blow))
        self.story.append(f"{blow} from step {step * begun} -> {status}")
        self._count(blow, status, log)
        found = status_problems(blow.kind, status, log)
        found += resume_problems(step, begun, status, log)
        found += stop_problems(self.run, status, log)
        self._take(found + self._look(blow, status, before), f"start {len(self.story)}")
        return status == 0

    def _is_begun(self) -> bool:
        """Whether there is a state to go on from."""
        return read_record(self.run).get("status") in ("running", "interrupted")

    def _flags(self, alone: bool) -> list[str]:
        """The command, or --workdir alone where the folder is known to be of this job."""
        begun = self._is_begun() or read_record(self.run).get("status") == "preparing"
        own = begun and (self.run / "flags.cfg").exists() and "--overwrite" not in self.flags
        return ["--workdir=run"] if alone and own else self.flags

    def _fault(self, blow: Blow) -> tuple[str, int, int]:
        if blow.kind not in FAULTS:
            return ("", 0, 0)
        return (blow.kind, 1 + int(blow.share * self._operations), blow.size)

    def _moment(self, blow: Blow) -> float:
        """Seconds after which a signal is sent."""
        return blow.share * (self._seconds + PLAIN_SECONDS * blow.plain)

    def _finish(self, process: Process, kind: str, seconds: float = 0.0) -> tuple[int | None, str]:
        """Wait for a process, with a signal after some seconds if the kind is one; status, log."""
        if kind in SIGNALS:
            process.begin()
            process.wait(seconds)
            process.send(SIGNALS[kind])
        if kind == "int2":
            process.wait(TWICE_SECONDS)
            process.send(SIGNALS[kind])
        status = process.wait(LONGEST_SECONDS)
        process.close()
        with open(self.folder / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"--- {kind or 'in peace'}\n{process.log}--- status {status}\n")
        return status, process.log

    def _look(self, blow: Blow, status: int | None, before: set[str]) -> list[str]:
        """What is wrong with the folder, at whatever moment the run ended.

        Args:
            before: what an earlier start left there, and this one perhaps did not come to.
        """
        found = torn_files(self.run, self._damaged)
        metrics = self.run / "metrics.jsonl"
        if metrics.exists():
            whole = (self.folder / "twin" / "run" / "metrics.jsonl").read_bytes()
            begun = read_record(self.run).get("status") != "preparing"
            step = newest_step(self.run) if begun else 0
            found += metrics_problems(metrics.read_bytes(), whole, step)
        # Where it had no time to, the next start tidies up; so may a second Ctrl-C cost that time.
        if status is not None and status >= 0 and (status == 0 or blow.kind != "int2"):
            earlier = before if status else set()
            found += [one for one in leftovers(self.folder / "work") if one not in earlier]
        return found

    def _damage(self, what: str) -> bool:
        """Cut or change the newest checkpoint, or begin a line of the metrics, if it is there."""
        newest = sorted((self.run / "checkpoints").glob("step_*.npz"))[-1:]
        if what == "checkpoint" and newest:
            data = bytearray(newest[0].read_bytes())
            at = self.rng.randrange(len(data))
            if self.rng.random() < 0.5:
                del data[at:]
            else:
                data[at : at + 64] = bytes(64)
            newest[0].write_bytes(data)
            self._damaged[newest[0]] = bytes(data)
        elif what == "metrics" and (self.run / "metrics.jsonl").exists():
            with open(self.run / "metrics.jsonl", "ab") as file:
                file.write(b'{"step":3,"sc')
        else:
            return False
        self.counts[f"damaged {what}"] += 1
        return True

    def _count(self, blow: Blow, status: int | None, log: str) -> None:
        self.counts["starts"] += 1
        if status != 0:
            self.counts[f"by {blow.kind}"] += 1
        self.counts["resumes"] += "resuming after step" in log
        self.counts["fallbacks"] += "ignoring checkpoint" in log

    def _compare(self) -> None:
        found = differences(self.folder / "work", self.folder / "twin")
        self._take(found + page_problems(self.run, self.folder / "page"), "in the end")

    def _start_again(self) -> None:
        """A finished run is left as it is."""
        before = snapshot(self.folder / "work")
        status, log = self._finish(Process(self.flags, self.folder / "work"), "again")
        found = status_problems("", status, log)
        if snapshot(self.folder / "work") != before:
            found.append(f"{DIFFERS}: a finished run was changed by the same command")
        self._take(found, "once more")

    def _take(self, problems: list[str], when: str) -> None:
        for problem in problems:
            self.counts[problem.partition(":")[0]] += 1
            self.problems.append(f"{problem} ({when})")


# ---- all jobs ------------------------------------------------------------------------------------


def soak(options: argparse.Namespace, out: Path) -> int:
    """Play all jobs and say how they went; returns how many failed."""
    make_inputs(out / "inputs")
    numbers = [options.only] if options.only is not None else range(options.jobs)
    counts: collections.Counter[str] = collections.Counter()
    failed = 0
    for done, job in enumerate(_played(options, numbers, out), start=1):
        failed += bool(job.problems)
        counts += job.counts
        say(f"{done}: {_describe(job, options.seed)}")
        if not job.problems and not options.keep:
            shutil.rmtree(job.folder)
    say(_sum_up(len(numbers), counts))
    say(f"{len(numbers) - failed} passed, {failed} failed")
    return failed


def _played(options: argparse.Namespace, numbers: Sequence[int], out: Path) -> Iterator[Job]:
    """The jobs as they come to their ends, several at a time."""
    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        try:
            started = [pool.submit(_play, options.seed, number, out) for number in numbers]
            for future in concurrent.futures.as_completed(started):
                yield future.result()
        except BaseException:  # Ctrl-C: those that wait are not begun any more
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _play(seed: int, number: int, out: Path) -> Job:
    job = Job(seed, number, out / f"job_{number:05d}", out / "inputs")
    try:
        job.play()
    except Exception:  # of the soak itself, which must not cost the other jobs
        job.problems.append(traceback.format_exc())
    return job


def say(text: str) -> None:
    """A line of progress, at once."""
    print(text, flush=True)


def _describe(job: Job, seed: int) -> str:
    """A line if it passed, else all that is needed to see why not."""
    if not job.problems:
        return f"job {job.number} passed: {'; '.join(job.story)}"
    return "\n  ".join(
        [
            f"job {job.number} FAILED",
            *job.problems,
            f"command: {job.command}",
            *(f"start {number}: {line}" for number, line in enumerate(job.story, start=1)),
            f"again: --seed={seed} --only={job.number}",
            f"folder: {job.folder}",
        ]
    )


def _sum_up(jobs: int, counts: collections.Counter[str]) -> str:
    kinds = [f"{name} {counts[f'by {name}']}" for name in WEIGHTS]
    damages = [f"{name} {counts[f'damaged {name}']}" for name in DAMAGES]
    problems = [f"{counts[name]} {name}" for name in (LOST, DIFFERS, TORN, LEFT, STATUS)]
    return "\n".join(
        [
            f"jobs: {jobs}, starts: {counts['starts']}",
            f"interrupted by: {', '.join(kinds)}",
            f"damaged: {', '.join(damages)}",
            f"resumes: {counts['resumes']}, fallbacks: {counts['fallbacks']}",
            f"problems: {', '.join(problems)}",
        ]
    )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=200, help="how many")
    parser.add_argument("--parallel", type=int, default=2, help="how many at a time")
    parser.add_argument("--seed", type=int, default=0, help="of all settings and moments")
    parser.add_argument("--only", type=int, help="the number of the one job to play")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all jobs")
    parser.add_argument("--out", help="a new folder for the jobs; not given: a temporary one")
    return parser.parse_args(arguments)


def _faulty(arguments: list[str]) -> int:
    """`--faulty=KIND:AT:BYTES -- flags`."""
    kind, at, size = arguments[0].partition("=")[2].split(":")
    return faulty_run((kind, int(at), int(size)), list(itertools.islice(arguments, 2, None)))


def main(arguments: list[str]) -> int:
    if arguments and arguments[0].startswith("--faulty="):
        return _faulty(arguments)
    options = _parse(arguments)
    os.environ.update(ENVIRONMENT)
    for number in SIGNALS.values():  # jobs inherit what a shell's background and nohup ignore
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _USUAL.get(number, signal.SIG_DFL))
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    out = Path(options.out or tempfile.mkdtemp(prefix="soak_")).absolute()
    failed = soak(options, out)
    if not failed and not options.keep:
        shutil.rmtree(out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
