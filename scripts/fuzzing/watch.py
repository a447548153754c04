"""Runs a reader on one input and records everything that it must not do."""

import contextlib
import dataclasses
import faulthandler
import functools
import io
import logging
import os
import re
import signal
import sys
import time
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nst_keras.runtime.errors import InputError

MAX_SECONDS = 5.0  # for one input
STUCK_SECONDS = 60.0  # more, in compiled code that no signal ends: then the process ends
MAX_GROWTH = 500.0  # MB of resident memory for one input
HEADROOM = 2048.0  # MB of address space for one input, so that a bomb cannot exhaust the machine


class Hang(BaseException):
    """Raised in a reader that takes too long; `except Exception` does not catch it."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much time and memory one input may take."""

    seconds: float = MAX_SECONDS
    megabytes: float = MAX_GROWTH


@dataclasses.dataclass
class Outcome:
    """The result of reading one input."""

    name: str  # 'read', 'refused', or the kind of the first finding
    signature: str  # equal for inputs that probably have the same cause
    findings: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # (kind, text)
    growth: float = 0.0  # of resident memory, MB


class _Watch:
    """Records what a reader of files must never do. Audit hooks can never be removed."""

    _WRITES = (
        *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link"),
        *("os.truncate", "os.chmod", "shutil.rmtree"),
    )
    _STARTS = (
        *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
        *("os.forkpty", "socket.connect", "pickle.find_class"),
    )
    _WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def __init__(self) -> None:
        self.scratch: str | None = None  # None: nothing is recorded
        self.seen: list[str] = []

    @functools.cached_property
    def installed(self) -> bool:
        sys.addaudithook(self._hook)
        return True

    @contextlib.contextmanager
    def over(self, scratch: Path) -> Iterator[list[str]]:
        """Record during the block; yields the growing list of events outside of the folder."""
        self.seen = []
        self.scratch = str(scratch.absolute()) if self.installed else None
        try:
            yield self.seen
        finally:
            self.scratch = None

    def _hook(self, event: str, args: tuple) -> None:
        if self.scratch is None:
            return
        if event in self._STARTS:
            self.seen.append(f"{event}{args!r}"[:300])
        elif event in self._WRITES:
            self._check(event, args[:2] if event == "os.rename" else args[:1])
        elif event == "open" and isinstance(args[2], int) and args[2] & self._WRITING:
            self._check("open", args[:1])

    def _check(self, event: str, paths: tuple) -> None:
        for path in paths:
            if isinstance(path, int):
                continue
            place = os.path.abspath(os.fsdecode(path))
            if place != os.devnull and not place.startswith(f"{self.scratch}{os.sep}"):
                self.seen.append(f"{event} {place}"[:300])


_watch = _Watch()


def observe(read: Callable[[], Any], scratch: Path, limits: Limits | None = None) -> Outcome:
    """Call a reader of an input in `scratch`; of all that it raises, only signals get out."""
    limits = limits or Limits()
    error: BaseException | None = None
    began, before = time.monotonic(), _reset_peak()
    with _silence() as noise, _watch.over(scratch) as strayed, _limited(limits):
        try:
            result = read()
        except (Exception, Hang) as caught:
            error = caught
    outcome = _outcome_of(error) if error else Outcome("read", f"read {_plain(str(result))}")
    outcome.growth = max(0.0, _peak() - before)
    if not isinstance(error, Hang) and (took := time.monotonic() - began) > limits.seconds:
        outcome.findings.append(("hang", f"took {took:.1f} s"))
    if outcome.growth > limits.megabytes:
        outcome.findings.append(("memory", f"{outcome.growth:.0f} MB more than before"))
    outcome.findings += [("stray", text) for text in strayed]
    outcome.findings += [("noise", text) for text in noise()]
    if outcome.findings:
        outcome.name = outcome.findings[0][0]
        outcome.signature = f"{outcome.name} {outcome.signature}"
    return outcome


def _outcome_of(error: BaseException) -> Outcome:
    signature = " < ".join(_places(error))
    if isinstance(error, InputError):
        found = Outcome("refused", signature)
        if problem := _untidy(str(error)):
            found.findings.append(("message", f"{problem}: {str(error)[:500]!r}"))
            found.signature = next(_places(error)).split(" ")[1]
        return found
    text = "".join(traceback.format_exception(error, limit=-12))
    kind = "hang" if isinstance(error, Hang) else "traceback"
    return Outcome(kind, signature, [(kind, text[-6000:])])


def _places(error: BaseException | None) -> Iterator[str]:
    """Type, innermost line and start of the message of an error and of each of its causes."""
    while error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        yield f"{type(error).__name__} {place} {_plain(str(error))}"
        error = error.__cause__ or error.__context__


def _plain(text: str) -> str:
    """The start of a message, without the parts that differ between inputs."""
    text = re.sub(r"/\S*|'[^']*'|\"[^\"]*\"|=\S*", "", text[:400])
    return re.sub(r"[^a-zA-Z ]+", "", text)[:40].strip()


def _untidy(message: str) -> str:
    """What is wrong with a message that should be one line for a person; empty if nothing."""
    if not message.strip():
        return "an empty message"
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in message):
        return "a message of several lines or with control characters"
    return ""


@contextlib.contextmanager
def _silence() -> Iterator[Callable[[], list[str]]]:
    """Collect what Python writes to standard error; yields a function that returns it later."""
    log, stream = logging.getLogger("nst_keras"), io.StringIO()
    noise: list[str] = []
    propagate, handler = log.propagate, logging.NullHandler()
    log.propagate = False  # log messages of the project are allowed
    log.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as seen, contextlib.redirect_stderr(stream):
            warnings.simplefilter("always")
            yield lambda: noise
            noise += [f"{w.category.__name__}: {w.message}" for w in seen if _is_shown(w.category)]
    finally:
        log.propagate = propagate
        log.removeHandler(handler)
    if text := stream.getvalue().strip():
        noise.append(text[:2000])


def _is_shown(category: type[Warning]) -> bool:
    """Whether Python shows warnings of this category by default."""
    hidden = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
    return not issubclass(category, hidden)


@contextlib.contextmanager
def _limited(limits: Limits) -> Iterator[None]:
    """Raise Hang in a block that takes too long, and MemoryError if it needs too much memory."""

    def ring(_number: int, _frame: object) -> None:
        raise Hang(f"more than {limits.seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    faulthandler.dump_traceback_later(
        limits.seconds + STUCK_SECONDS, exit=True, file=sys.__stderr__ or 2
    )
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    try:
        with _address_space(max(HEADROOM, 2 * limits.megabytes)):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _address_space(megabytes: float) -> Iterator[None]:
    """Allow the block so much more address space than now, on systems that can limit it."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = pages * resource.getpagesize() + int(megabytes * 2**20)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _reset_peak() -> float:
    """Reset the peak of resident memory; returns the MB resident now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return _resident("VmRSS")
    return _peak()


def _peak() -> float:
    """The peak of resident memory in MB since `_reset_peak`; except on Linux, since the start."""
    with contextlib.suppress(OSError):
        return _resident("VmHWM")
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _resident(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    match = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0
