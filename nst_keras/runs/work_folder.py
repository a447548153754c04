"""The folder of a run or of a training: its work, its progress, and what may be removed."""

import dataclasses
import enum
import os
import re
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from nst_keras.runs import record as record_lib
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.record import WorkRecord
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError

_Record = TypeVar("_Record", bound=WorkRecord)


class Status(enum.Enum):
    """How much of the requested work a folder holds."""

    NEW = "new"
    BEGUN = "begun"
    FINISHED = "finished"


class WorkFolder(Generic[_Record]):
    """A folder with the record of one run or training.

    Subclasses say what the folder holds, and with which files.
    """

    kind: ClassVar[str]  # for messages
    record_name: ClassVar[str]
    result_name: ClassVar[str]  # of the file that a finished run has
    subfolders: ClassVar[tuple[str, ...]]
    owned: ClassVar[tuple[str, ...]]  # patterns of files that a new run removes; no others
    record_type: type[_Record]

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.record = self.path / self.record_name
        self.result = self.path / self.result_name

    def read_record(self) -> _Record:
        """The record; an empty one if there is none that can be read."""
        return record_lib.read_record(self.record_type, self.record)

    def update_record(self, **changes: Any) -> None:
        """Replace fields of the record."""
        dataclasses.replace(self.read_record(), **changes).write(self.record)

    def status(self, fingerprint: Fingerprint, *, overwrite: bool) -> Status:
        """Whether this folder can take the requested work, and how much of it is done.

        Unfinished work is resumed even with `overwrite`, so that a command with that flag can be
        repeated after an interruption, too.

        Raises:
            InputError: the folder holds something else.
        """
        check_is_folder(self.path)
        if not self.path.exists() or files.is_unused(self.path):
            return Status.NEW  # or killed before the record was written
        record = self.read_record()
        if not record:
            raise InputError(
                f"--workdir={self.path}: is not empty and not a {self.kind} folder; "
                "use another folder"
            )
        if record.status == "preparing":
            return Status.NEW  # stopped before the first step
        if record.is_of(fingerprint):
            if not self._is_finished(record):
                return Status.BEGUN
            return Status.NEW if overwrite else Status.FINISHED
        if overwrite:
            return Status.NEW
        if self.can_extend(record, fingerprint):
            return Status.BEGUN
        raise InputError(
            f"--workdir={self.path}: holds another {self.kind} "
            f"({self._difference(record, fingerprint)}); "
            "use another folder, or --overwrite to replace it"
        )

    def is_finished(self, fingerprint: Fingerprint) -> bool:
        """Whether the folder holds the result that is asked for."""
        record = self.read_record()
        return record.is_of(fingerprint) and self._is_finished(record)

    def can_extend(self, record: _Record, fingerprint: Fingerprint) -> bool:
        """Whether the work of the record can be continued into the work that is asked for."""
        return False

    def prepare(self, fingerprint: Fingerprint) -> None:
        """Make the folder for new work, and remove the files of earlier work.

        Raises:
            InputError: the folder cannot be written to.
        """
        with files.preparing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # The record comes first, so that a crash here leaves a folder that can be taken again.
            self.record_type(status="preparing", requested=fingerprint).write(self.record)
            for pattern in self.owned:
                for path in self.path.glob(pattern):
                    path.unlink()
            for name in self.subfolders:
                (self.path / name).mkdir(exist_ok=True)

    def _is_finished(self, record: _Record) -> bool:
        return record.status == "finished" and self.result.exists()

    def _difference(self, record: _Record, fingerprint: Fingerprint) -> str:
        if not record.requested.settings:
            return f"{self.record_name} does not say which"
        return record.requested.describe_differences(fingerprint)


def check_is_folder(path: Path) -> None:
    """Raise InputError if there is a file at the place of a folder."""
    if path.exists() and not path.is_dir():
        raise InputError(f"--workdir={path}: is a file, not a folder")


def default_path(names: str, fingerprint: Fingerprint) -> Path:
    """runs/NAMES-3f2a: readable, and the same for the same command."""
    return Path("runs") / f"{names}-{fingerprint.digest()[:4]}"


def slug(path: str, otherwise: str) -> str:
    """At most 24 letters of a file's name, safe in a folder's name; `otherwise` if none is left."""
    return re.sub(r"[^\w.-]+", "-", Path(path).stem)[:24] or otherwise
