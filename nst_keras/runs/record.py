"""What a run or a training says of itself in a JSON file, and what identifies its result.

Records may be damaged or written by other people, so each field is checked once, on reading: a
value of the wrong type becomes the field's empty value. Nothing raises.
"""

import dataclasses
import hashlib
import json
import math
import os
import typing
from collections.abc import Mapping
from typing import Any

from nst_keras.runtime import files
from nst_keras.settings.option import Option

_WITHOUT_STEPS = ("preparing", "refused")
_UNFINISHED = (*_WITHOUT_STEPS, "running", "paused", "interrupted", "failed")
_LARGEST = 1e300  # of a number that is not taken for damaged
_SHOWN = 4  # differing settings in a message


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Everything that decides a result. Work of equal fingerprints ends with the same bytes."""

    settings: dict[str, str] = dataclasses.field(default_factory=dict)  # texts of flags, by name
    # SHA-256 in hexadecimal, by input: 'content', 'style 1', 'weights'.
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls, config: Any, options: Mapping[str, Option], hashes: Mapping[str, str]
    ) -> "Fingerprint":
        """The fingerprint of a config, a dataclass whose fields are described by `options`.

        Files count by their hashes and not by their paths, which are not among the settings; of a
        list with words among the paths, the places of the words count.
        """
        settings = {}
        for name, option in options.items():
            value = getattr(config, name)
            if not option.changes_result or value is None:
                continue
            if option.hashed and option.many:
                words = tuple("" if option.is_path(item) else item for item in value)
                value = words if any(words) else ()
            elif option.hashed and option.is_path(value):
                continue
            settings[name] = option.format(value)
        return cls({name: text for name, text in settings.items() if text}, dict(hashes))

    def named_values(self) -> dict[str, str]:
        """All settings, and the hashes as 'sha256 of NAME'."""
        return {**self.settings, **{f"sha256 of {name}": h for name, h in self.hashes.items()}}

    def digest(self) -> str:
        """A hash in hexadecimal that differs between different fingerprints."""
        text = json.dumps(self.named_values(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: "Fingerprint") -> dict[str, tuple[str | None, str | None]]:
        """The settings and hashes in which the two differ: this one's value and the other's."""
        ours, theirs = self.named_values(), other.named_values()
        pairs = {name: (ours.get(name), theirs.get(name)) for name in {**ours, **theirs}}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def describe_differences(self, asked: "Fingerprint") -> str:
        """What differs between this fingerprint, of a folder, and the one that is asked for."""
        found = [
            f"{name}: {_brief(there)} there, {_brief(here)} here"
            for name, (there, here) in self.differences(asked).items()
        ]
        return "; ".join(found[:_SHOWN]) + ("; ..." if len(found) > _SHOWN else "")

    def has_more_steps_than(self, other: "Fingerprint") -> bool:
        """Whether the two differ only in --iterations, of which this one has more."""
        if [*self.differences(other)] != ["iterations"] or "time_limit" in self.settings:
            return False
        ours, theirs = (one.settings.get("iterations", "") for one in (self, other))
        return ours.isdecimal() and theirs.isdecimal() and int(ours) > int(theirs)


def _brief(text: str | None) -> str:
    if text is None:
        return "not set"
    return text if len(text) <= 40 else text[:8] + "..."


@dataclasses.dataclass(frozen=True)
class WorkRecord:
    """What every record holds. A record without any value stands for a missing file."""

    status: str = ""  # preparing, refused, running, interrupted, failed or finished
    reason: str = ""  # why it failed, or was refused before its first step
    fingerprint: Fingerprint = Fingerprint()  # with every setting decided
    requested: Fingerprint = Fingerprint()  # as asked for

    def __bool__(self) -> bool:
        return self != type(self)()

    def is_of(self, fingerprint: Fingerprint) -> bool:
        """Whether this is the record of the work that is asked for."""
        return fingerprint in (self.fingerprint, self.requested)

    @property
    def has_begun(self) -> bool:
        """Whether its work got as far as its first step."""
        return self.status not in ("", *_WITHOUT_STEPS)

    def as_json(self) -> dict[str, Any]:
        """The fields that have a value, as plain data."""
        return dataclasses.asdict(self, dict_factory=_with_values)

    def write(self, path: str | os.PathLike) -> None:
        """Replace the file at `path`, atomically."""
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False)
        files.write_text(path, text + "\n")


@dataclasses.dataclass(frozen=True)
class InputPicture:
    """A content or style picture of a run."""

    name: str = ""  # of the file, without its folder
    width: int | None = None
    height: int | None = None
    sha256: str = ""  # of the file
    weight: float | None = None  # of a style in the blend; all of them sum to 1


@dataclasses.dataclass(frozen=True)
class ScaleSteps:
    """The size of a scale, in pixels, and its steps."""

    width: int | None = None
    height: int | None = None
    steps: int | None = None
    first_step: int | None = None


@dataclasses.dataclass(frozen=True)
class RunRecord(WorkRecord):
    """What a run says of itself."""

    version: str = ""  # of nst_keras
    command: str = ""
    resume_command: str = ""
    started: str = ""  # as ISO 8601
    seconds: float | None = None  # of work so far, over all resumes
    seconds_left: float | None = None  # an estimate while it runs
    # Where they went, by part, with start and end of the process; without what was killed.
    parts: dict[str, float] = dataclasses.field(default_factory=dict)
    step: int | None = None
    total_steps: int | None = None
    # SHA-256 of the copies of the result that the run has made, by absolute path; empty for a file
    # that it may replace whatever is in it, since --overwrite was given.
    copies: dict[str, str] = dataclasses.field(default_factory=dict)
    pending_copy: str = ""  # the absolute path of --output, while a finished run has not written it
    finished_early: int | None = None  # the step after which it was asked to finish
    device: str = ""
    content: InputPicture = InputPicture()
    styles: tuple[InputPicture, ...] = ()
    scales: tuple[ScaleSteps, ...] = ()
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    changed: tuple[str, ...] = ()  # settings that are not the usual ones
    final_terms: dict[str, float] = dataclasses.field(default_factory=dict)
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)  # of Python and libraries
    notes: tuple[str, ...] = ()  # warnings

    @property
    def has_result(self) -> bool:
        """Whether the result in the folder is that of this record, and not of a run with fewer
        steps, which is being extended."""
        return self.status not in _UNFINISHED

    def describe_early_end(self) -> str:
        """Words about where the run was asked to finish before its last step; '' if it was not."""
        if not self.finished_early:
            return ""
        return f", early, after step {self.finished_early} of {self.total_steps}"

    def png_texts(self) -> dict[str, str]:
        """The text chunks of `result.png`: what decided the picture, but no path and no date."""
        decided = self.fingerprint
        settings = "\n".join(f"--{name}={text}" for name, text in decided.settings.items())
        hashes = {f"nst_keras sha256 of {name}": text for name, text in decided.hashes.items()}
        texts = {"Software": f"nst_keras {self.version}", "nst_keras settings": settings, **hashes}
        if self.finished_early:
            texts["nst_keras finished early"] = f"step {self.finished_early} of {self.total_steps}"
        return texts


def checked(kind: Any, value: Any) -> Any:
    """The value, if it is what the annotation `kind` says; else the empty value of that kind.

    A missing number in a mapping is NaN, so that no sum over the others passes for a whole one.
    """
    origin, items = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(checked(items[0], it) for it in value) if isinstance(value, list) else ()
    found = value if isinstance(value, dict) else {}
    if origin is dict:
        return {name: checked(items[1], item) for name, item in found.items()}
    if hasattr(kind, "__dataclass_fields__"):
        kinds = {field.name: field.type for field in dataclasses.fields(kind)}
        return kind(**{n: checked(kinds[n], it) for n, it in found.items() if n in kinds})
    if kind is str:
        return value if isinstance(value, str) else ""
    types = (int, float) if float in (kind, *items) else int
    if isinstance(value, types) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return value
    return math.nan if kind is float else None


def _with_values(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if value not in (None, "", (), {})}
