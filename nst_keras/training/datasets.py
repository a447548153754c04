"""Labeled pictures to train with and to validate with, checked before TensorFlow is imported."""

import concurrent.futures
import dataclasses
import hashlib
import os

import numpy as np

from nst_keras.imaging import images
from nst_keras.imaging.images import Picture
from nst_keras.runtime.errors import InputError
from nst_keras.training import cifar100
from nst_keras.training import labels as labels_lib
from nst_keras.training.config import TrainConfig
from nst_keras.training.labels import LabeledRow

_AT_ONCE = 4096  # rows whose pictures are queued to be checked
_SHOWN = 5  # unreadable rows that an error names


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures, and the number of each one's class."""

    sources: np.ndarray  # the paths of files (N,), or pixels, uint8 RGB (N, H, W, 3)
    labels: np.ndarray  # int32 (N,)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Pictures":
        """The pictures at these indices, in this order."""
        return Pictures(self.sources[indices], self.labels[indices])

    def read(self, index: int | np.ndarray, size: int) -> np.ndarray:
        """One picture, uint8 RGB (H, W, 3), see `read_picture`."""
        source = self.sources[index]
        return read_picture(source, size).pixels if isinstance(source, str) else source


@dataclasses.dataclass(frozen=True)
class LabeledSet:
    """The pictures of a training; `test` is used only once, at the end."""

    train: Pictures
    validation: Pictures
    test: Pictures | None
    names: tuple[str, ...]  # of the classes, by number
    sha256: str  # of all pictures and labels
    notes: tuple[str, ...] = ()  # what a person should know, a sentence each


def read_set(config: TrainConfig) -> LabeledSet:
    """Read the labels, decode every picture file once as a check, and split.

    Raises:
        InputError: one line that names the flag, or the file, row and column.
    """
    data = _read_cifar(config.cifar100, config) if config.cifar100 else _read_files(config)
    if not config.validation_csv:
        parts = split(data.train.labels, config.validation_split, config.seed)
        train, validation = map(data.train.take, parts)
        data = dataclasses.replace(data, train=train, validation=validation)
    if len(data.train) < config.batch_size:
        raise InputError(
            f"--batch_size={config.batch_size}: must be at most {len(data.train)}, "
            "the number of training pictures"
        )
    return data


def split(numbers: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training and of the validation pictures, ascending; the seed decides.

    Of each class, `share` goes to validation, rounded, but at least one picture of two or more, and
    never all.
    """
    rng = np.random.default_rng([seed, 1])
    kept: list[np.ndarray] = []
    for number in np.unique(numbers):
        members = rng.permutation(np.flatnonzero(numbers == number))
        wanted = max(1, round(share * len(members))) if share else 0
        kept.append(members[: min(wanted, len(members) - 1)])
    validation = np.sort(np.concatenate(kept))
    return np.setdiff1d(np.arange(len(numbers)), validation), validation


def read_picture(path: str | os.PathLike, size: int) -> Picture:
    """A picture file as uint8 RGB, large enough for a square of `size` pixels a side.

    Raises:
        InputError: see `images.read_rgb`.
    """
    # A large JPEG takes a tenth of the time; twice the size leaves the filter something to do.
    return images.read_rgb(path, 2 * size)


def _read_cifar(source: str, config: TrainConfig) -> LabeledSet:
    train, test, names = cifar100.read_cifar100(source)
    if config.classes not in (0, len(names)):
        raise InputError(f"--classes={config.classes}: must be {len(names)}, as in the archive")
    digest = hashlib.sha256()
    for array in (*train, *test):
        digest.update(array.tobytes())
    pictures = Pictures(*train)
    return LabeledSet(pictures, pictures, Pictures(*test), names, digest.hexdigest())


def _read_files(config: TrainConfig) -> LabeledSet:
    """The pictures of a CSV file or folder; they are those of the validation, too, for now."""
    if config.folder:
        rows, flag = labels_lib.read_folders(config.folder), f"--folder={config.folder}"
    else:
        flag = f"--csv={config.csv}"
        rows = labels_lib.read_csv(str(config.csv), "--csv", config)
    names = labels_lib.class_names(rows, flag, config.classes)
    pictures, sha256, notes = _read_rows(rows, flag, names, "the classes", config)
    if not config.validation_csv:
        return LabeledSet(pictures, pictures, None, names, sha256, notes)
    flag = f"--validation_csv={config.validation_csv}"
    rows = labels_lib.read_csv(config.validation_csv, "--validation_csv", config)
    owner = f"the labels of {config.csv}"
    others, other_sha256, more_notes = _read_rows(rows, flag, names, owner, config)
    both = hashlib.sha256((sha256 + other_sha256).encode()).hexdigest()
    return LabeledSet(pictures, others, None, names, both, notes + more_notes)


def _read_rows(
    rows: list[LabeledRow], flag: str, names: tuple[str, ...], owner: str, config: TrainConfig
) -> tuple[Pictures, str, tuple[str, ...]]:
    """The pictures that can be read, the hash of them and their labels, and notes on the others."""
    good, bad, digest = [], [], hashlib.sha256()
    for row, result in zip(rows, _hashes_or_errors(rows, config.image_size), strict=True):
        if isinstance(result, InputError):
            # A row of a folder has no other place than its path, with which the error begins.
            bad.append(str(result) if row.place == str(row.path) else f"{row.place}: {result}")
            continue
        good.append(row)
        digest.update(f"{result} {row.label}\n".encode("utf-8", "surrogateescape"))
    if bad and (not config.skip_unreadable or not good):
        raise InputError(_refusal(bad, len(rows), flag))
    if bad:
        bad.append(f"{flag}: skipped {len(bad)} of {len(rows)} pictures, which cannot be read")
    paths = np.array([str(row.path) for row in good], object)
    numbers = np.array(labels_lib.numbers_of(good, names, owner), np.int32)
    return Pictures(paths, numbers), digest.hexdigest(), tuple(bad)


def _hashes_or_errors(rows: list[LabeledRow], size: int) -> list[str | InputError]:
    """Decode the picture of each row.

    It costs a small part of an epoch, and no damaged file can end a training after hours.
    """

    def check(row: LabeledRow) -> str | InputError:
        try:
            return read_picture(row.path, size).sha256
        except InputError as error:
            return error

    checked: list[str | InputError] = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:  # each may hold a large one
        for start in range(0, len(rows), _AT_ONCE):
            checked += pool.map(check, rows[start : start + _AT_ONCE])
    return checked


def _refusal(bad: list[str], total: int, flag: str) -> str:
    """One line for all unreadable rows."""
    if len(bad) == total:
        return f"{flag}: none of {total} pictures can be read; the first: {bad[0]}"
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return (
        f"{'; '.join(bad[:_SHOWN])}{more} "
        f"({len(bad)} of {total} cannot be read; --skip_unreadable skips them)"
    )
