"""The readers of files that other people may have written, and what each is given."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from nst_keras.imaging import animation, images
from nst_keras.network import vgg, weights
from nst_keras.runs import comparison, embedding, gallery, metrics
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder
from nst_keras.settings import command_line
from nst_keras.settings.config import OPTIONS, Config, format_flagfile, parse_config
from nst_keras.settings.resolve import resolve
from nst_keras.settings.unused import unused
from nst_keras.sweeps import trials
from nst_keras.sweeps.folder import SweepFolder, last_line
from nst_keras.sweeps.results import Results, SweepProgress
from nst_keras.training import cifar100, datasets
from nst_keras.training import config as config_lib
from nst_keras.training import folder as training_folder

from .damage_bytes import BYTES, Mutator
from .damage_formats import bomb_h5, bomb_npz, change_png, change_tar, change_zip, disguise
from .damage_text import JSON, TEXT, add_column, add_flags
from .pictures import all_pictures, save_picture, training_pictures
from .seeds import (
    TINY,
    batch_table,
    checkpoint_file,
    cifar_archives,
    flagfiles,
    label_tables,
    make_checkpointer,
    matrices,
    metrics_file,
    metrics_files,
    record_of_trial,
    run_fingerprint,
    run_records,
    sweep_trials,
    training_fingerprint,
    training_flagfiles,
    training_record,
    trial_record,
    weights_h5_files,
    weights_npz_files,
)

MAX_PIXELS = 4_000_000  # allowed per picture: larger ones need more memory than MAX_GROWTH


@dataclasses.dataclass(frozen=True)
class Kind:
    """A reader, the file that it is given, and the ways to damage it."""

    file: str  # the damaged file, relative to the folder
    seeds: Callable[[], list[bytes]]
    ways: tuple[Mutator, ...]
    read: Callable[[Path], Any]  # folder -> a description of the success, if any
    prepare: Callable[[Path], Any] = lambda folder: None  # adds other files that are needed
    share: int = 2  # how often this kind is chosen, relative to others


def _need(condition: object, text: str) -> None:
    if not condition:
        raise AssertionError(text)


def _read_picture(folder: Path) -> str:
    picture = images.read_image(folder / "picture", max_pixels=MAX_PIXELS)
    _need(picture.pixels.dtype == np.float32 and picture.pixels.shape[-1] == 3, "not float32 RGB")
    _need(np.isfinite(picture.pixels).all(), "pixels that are not finite")
    _need(picture.pixels.min() >= 0 and picture.pixels.max() <= 1, "pixels beyond [0, 1]")
    return " ".join(picture.notes)


def _read_weights(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        with mock.patch.object(vgg, "CHANNELS", TINY):  # real files have 80 MB each
            weights.read_weights(folder / name, "vgg19")

    return read


def _read_checkpoint(folder: Path) -> str:
    found = make_checkpointer(folder)
    _need(found.latest(), "the older, undamaged checkpoint was not found")
    return " ".join(found.ignored)


def _read_flags(folder: Path) -> None:
    config, _ = parse_config([f"--flagfile={folder / 'flags.cfg'}"])
    unused(config, resolve(config))
    format_flagfile(config)


def _read_training_flags(folder: Path) -> None:
    given = [f"--flagfile={folder / 'flags.cfg'}"]
    values, _ = command_line.parse(config_lib.COMMAND, given)
    config = config_lib.settle(config_lib.TrainConfig(**values))
    command_line.format_flagfile(config_lib.COMMAND, dataclasses.asdict(config))


def _put_pictures(folder: Path) -> None:
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(save_picture("PNG"))


def _read_labels(folder: Path) -> str:
    config = config_lib.TrainConfig(csv=str(folder / "labels.csv"), batch_size=1)
    return " ".join(datasets.read_set(config).notes)


def _read_folders(folder: Path) -> None:
    with mock.patch.object(images, "MAX_PIXELS", MAX_PIXELS):
        datasets.read_set(config_lib.TrainConfig(folder=str(folder), batch_size=1))


def _read_matrix(folder: Path) -> None:
    base = Config(content="photo.png", style=("painting.png",))
    trials.make_trials(base, trials.read_matrix(folder / "matrix.csv"), [])


def _put_run(folder: Path) -> None:
    """Make two undamaged run folders, which can be compared."""
    for run in (folder / "run", folder / "other"):
        for name in ("inputs", "iterations"):
            (run / name).mkdir(parents=True)
        jpeg = save_picture("JPEG")
        for name in ("inputs/content.jpg", "inputs/style_1.jpg", "iterations/iteration_00002.jpg"):
            (run / name).write_bytes(jpeg)
        (run / "result.png").write_bytes(save_picture("PNG"))
        (run / "run.json").write_bytes(run_records()[0])
        (run / "metrics.jsonl").write_bytes(metrics_file())


def _read_compared(folder: Path) -> None:
    page = comparison.write_page(folder / "page.html", [folder / "run", folder / "other"])
    _check_page(page)


def _read_gallery(folder: Path) -> None:
    _check_page(gallery.write_page(RunFolder(folder / "run")))


def _check_page(page: Path) -> None:
    """Check that nothing from a record became a script on the page."""
    _need(page.read_text("utf-8").count("<script") == 2, "a record added a script to the page")


def _read_status(folder: Path) -> str:
    run = folder_lib.RunFolder(folder / "run")
    run.is_finished(run_fingerprint())
    return str(run.status(run_fingerprint(), overwrite=False))


def _resume_metrics(folder: Path) -> None:
    run = RunFolder(folder / "run")
    metrics.MetricsWriter(run, 1, 2)
    _need(all(row["step"] <= 2 for row in run.read_metrics()), "rows after the step")


def _read_collection(folder: Path) -> None:
    found = SweepFolder(folder)
    for metric in ("total", "ssim", "seconds"):
        results = Results(found, sweep_trials(), metric, ("style_weight", "size"))
        results.conclude()
    progress = SweepProgress(results.read, [trial.name for trial in results.trials])
    progress.describe(80)
    progress.share()


def _put_sweep(folder: Path) -> None:
    (folder / "logs").mkdir()
    for trial in sweep_trials():
        _put_trial(folder / "trials" / trial.name, trial)


def _put_trial(run: Path, trial: trials.Trial) -> None:
    run.mkdir(parents=True)
    (run / "run.json").write_bytes(record_of_trial(trial))
    (run / "metrics.jsonl").write_bytes(metrics_file())


def _read_sweep_log(folder: Path) -> None:
    found, name = SweepFolder(folder), sweep_trials()[0].name
    found.read_failure(name)
    last_line(found.failure(name))


def _embed(folder: Path) -> str:
    return "embedded" if embedding.picture(folder / "picture", 64, most=4000) else "left out"


def _animate(folder: Path) -> None:
    (folder / "whole.png").write_bytes(save_picture("PNG"))
    frames = [(folder / "whole.png", "1"), (folder / "picture", "")]
    with contextlib.suppress(OSError):  # which commands report in one line
        animation.write_gif(folder / "progress.gif", frames)
        animation.write_strip(folder / "strip.png", frames)


def _read_cifar(folder: Path) -> None:
    cifar100.read_cifar100(str(folder / "cifar.tar"))


def _read_training_status(folder: Path) -> str:
    return str(training_folder.TrainFolder(folder).status(training_fingerprint(), overwrite=False))


def _resume_table(folder: Path) -> None:
    training = training_folder.TrainFolder(folder)
    training_folder.TrainingWriter(training, 4000, 4000, tensorboard=False).close()
    _need(all(b"," in row for row in training.batches.read_bytes().splitlines()), "damaged rows")


def _run_kind(
    file: str, seeds: Callable[[], list[bytes]], read: Callable[[Path], Any], share: int = 3
) -> Kind:
    """The kind of a file in a run folder."""
    return Kind(f"run/{file}", seeds, JSON, read, _put_run, share)


_TRIAL = "style_weight=1"  # the name of the first trial
KINDS: dict[str, Kind] = {
    "image": Kind("picture", all_pictures, (*BYTES, *((disguise,) * 4)), _read_picture, share=12),
    "weights_npz": Kind(
        "w.npz", weights_npz_files, (bomb_npz, bomb_npz, *BYTES), _read_weights("w.npz"), share=5
    ),
    "weights_h5": Kind("w.h5", weights_h5_files, (bomb_h5,), _read_weights("w.h5"), share=4),
    "checkpoint": Kind(
        "step_000000002.npz",
        lambda: [checkpoint_file(2)],
        (change_zip, change_zip, *BYTES),
        _read_checkpoint,
        lambda folder: (folder / "step_000000001.npz").write_bytes(checkpoint_file(1)),
        share=5,
    ),
    "flagfile": Kind(
        "flags.cfg", flagfiles, (*TEXT, *((add_flags(OPTIONS),) * 8)), _read_flags, share=6
    ),
    "training_flagfile": Kind(
        "flags.cfg",
        training_flagfiles,
        (*TEXT, *((add_flags(config_lib.OPTIONS),) * 8)),
        _read_training_flags,
    ),
    "labels": Kind("labels.csv", label_tables, TEXT, _read_labels, _put_pictures, share=5),
    "training_picture": Kind(
        "a/2.png",
        training_pictures,
        (*BYTES, *((change_png,) * 4)),
        _read_folders,
        _put_pictures,
        share=4,
    ),
    "cifar": Kind(
        "cifar.tar", cifar_archives, (change_tar, change_tar, *BYTES), _read_cifar, share=4
    ),
    "matrix": Kind("matrix.csv", matrices, (*TEXT, *((add_column,) * 8)), _read_matrix, share=6),
    "record_compared": _run_kind("run.json", run_records, _read_compared),
    "record_gallery": _run_kind("run.json", run_records, _read_gallery),
    "record_status": _run_kind("run.json", run_records, _read_status),
    "record_collected": Kind(
        f"trials/{_TRIAL}/run.json",
        lambda: [trial_record()],
        JSON,
        _read_collection,
        _put_sweep,
        4,
    ),
    "metrics_compared": _run_kind("metrics.jsonl", metrics_files, _read_compared),
    "metrics_gallery": _run_kind("metrics.jsonl", metrics_files, _read_gallery),
    "metrics_resumed": _run_kind("metrics.jsonl", metrics_files, _resume_metrics),
    "sweep_log": Kind(
        f"logs/{_TRIAL}.failed",
        lambda: [b"nst_keras: --size=1: must be\nsecond line\n"],
        TEXT,
        _read_sweep_log,
        share=1,
    ),
    "embedded_picture": Kind(
        "picture", all_pictures, (*BYTES, disguise, disguise), _embed, share=4
    ),
    "frames": Kind("picture", training_pictures, (*BYTES, disguise), _animate),
    "training_record": Kind(
        "training.json", lambda: [training_record()], JSON, _read_training_status
    ),
    "training_table": Kind("batches.csv", lambda: [batch_table()], TEXT, _resume_table, share=1),
}
