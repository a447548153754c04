"""Trains a VGG on labelled pictures: `python -m nst_keras.train_backbone --folder=photos`.

Exit status: 0 finished, 1 the training failed, 2 bad input, 74 the disk refused,
75 interrupted: the same command goes on.
"""

import dataclasses
import importlib.util
import json
import logging
import sys
from typing import TYPE_CHECKING

import nst_keras
from nst_keras import (
    command_flags,
    console,
    datasets,
    devices,
    files,
    train_config,
    train_folder,
    weights,
)
from nst_keras.checkpoints import Checkpointer
from nst_keras.datasets import LabelledSet
from nst_keras.errors import InputError
from nst_keras.options import absolute_paths
from nst_keras.train_config import COMMAND, OPTIONS, SOURCES, TrainConfig
from nst_keras.train_folder import TrainFolder
from nst_keras.weights import Weights
from nst_keras.workdir import Status

if TYPE_CHECKING:
    from nst_keras.classifier import Architecture

_log = logging.getLogger("nst_keras")

_KEPT_CHECKPOINTS = 2


def main(arguments: list[str] | None = None) -> int:
    """Train one backbone; returns the exit status. A user's error is one line on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    return console.exit_status(lambda: _command(given))


def _command(arguments: list[str]) -> int:
    config, actions = _parse(arguments)
    if "help" in actions:
        print(command_flags.help_text(COMMAND))
        return 0
    if "version" in actions:
        print(f"nst_keras {nst_keras.__version__}")
        return 0
    with console.messages(quiet="quiet" in actions):
        return _run(arguments, config)


def _parse(arguments: list[str]) -> tuple[TrainConfig, set[str]]:
    values, actions = command_flags.parse(COMMAND, arguments)
    return TrainConfig(**values), actions


def _run(arguments: list[str], given: TrainConfig) -> int:
    config = train_config.settle(_with_flags_of_folder(arguments, given))
    if config.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard: needs pip install 'nst_keras[tensorboard]'")
    initial = _read_initial(config)
    data = datasets.read_set(config)
    hashes = {"data": data.sha256, **({"initial": initial.sha256} if initial else {})}
    job = train_folder.describe_job(config, hashes)
    folder = TrainFolder(config.workdir or train_folder.default_path(config, job))
    if folder.status(job, overwrite=config.overwrite) is Status.FINISHED:
        _log.info("%s is finished; --overwrite would make it anew", folder.path)
        return 0
    with files.held(folder.path):
        folder.prepare(job, folder.status(job, overwrite=config.overwrite))
        for note in data.notes:
            _log.warning("%s", note)
        _write_down(config, data, folder)
        return _train(config, data, initial, folder, job)


def _with_flags_of_folder(arguments: list[str], config: TrainConfig) -> TrainConfig:
    """For `--workdir=runs/x` alone: the settings that it began with, under those given now."""
    if any(getattr(config, name) for name in SOURCES) or not config.workdir:
        return config
    saved = TrainFolder(config.workdir).flags
    if not saved.exists():
        raise InputError(
            f"--workdir={config.workdir}: holds no training to go on with; "
            "give --cifar100, --csv or --folder"
        )
    return _parse([f"--flagfile={saved}", *arguments])[0]


def _read_initial(config: TrainConfig) -> Weights | None:
    if not config.initial:
        return None
    if config.initial != "embedded":
        return weights.read_weights(config.initial, config.backbone, "--initial")
    if config.backbone != "vgg19":
        raise InputError(f"--backbone={config.backbone}: --initial=embedded is a vgg19")
    return weights.read_weights(weights.embedded_path(), "vgg19", "--initial")


def _write_down(config: TrainConfig, data: LabelledSet, folder: TrainFolder) -> None:
    """What a resume and a reader need: flags with paths that hold anywhere, and class names."""
    values = dataclasses.asdict(config) | {"workdir": str(folder.path), "overwrite": False}
    values |= absolute_paths(values, OPTIONS)
    files.write_text(folder.flags, command_flags.format_flagfile(COMMAND, values))
    text = json.dumps(list(data.names), indent=1, ensure_ascii=False)
    files.write_text(folder.labels, text + "\n")


def _train(
    config: TrainConfig,
    data: LabelledSet,
    initial: Weights | None,
    folder: TrainFolder,
    job: dict[str, str],
) -> int:
    devices.start_tensorflow(deterministic=config.deterministic, seed=config.seed)
    import tensorflow as tf

    try:
        return _train_on_device(config, data, initial, folder, job)
    except tf.errors.ResourceExhaustedError:
        _log.error("out of memory; give a smaller --batch_size, --image_size or --width")
        return 1


def _train_on_device(
    config: TrainConfig,
    data: LabelledSet,
    initial: Weights | None,
    folder: TrainFolder,
    job: dict[str, str],
) -> int:
    from nst_keras.train_loop import TrainLoop
    from nst_keras.training import Trainer

    if warning := devices.unused_gpu():
        _log.warning("%s", warning)
    plan = _plan(config, len(data.names), initial)
    _announce(config, data, plan, folder)
    trainer = Trainer(plan, config.batch_size, initial, config.distribute)
    folder.checkpoints.mkdir(exist_ok=True)
    checkpointer = Checkpointer(
        folder.checkpoints,
        files.digest(job),
        every=config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=_KEPT_CHECKPOINTS,
    )
    folder.write_record(status="running")
    with console.stop_signals() as stopping:
        loop = TrainLoop(config, data, trainer, folder, checkpointer, stopping)
        figures = loop.finish() if loop.run() else None
        if figures is None:
            folder.write_record(status="interrupted")
            _log.warning("stopped after step %d; the same command goes on", loop.step)
            return console.INTERRUPTED
        folder.write_record(status="finished", **figures)
    _report(figures, config.backbone, folder)
    return 0


def _plan(config: TrainConfig, classes: int, initial: Weights | None) -> "Architecture":
    from nst_keras import classifier

    plan = classifier.Architecture(
        backbone=config.backbone,
        channels=classifier.scaled_channels(config.width),
        classes=classes,
        image_size=config.image_size,
        batch_norm=config.batch_norm,
        head=config.head,
        dense_units=config.dense_units,
        dropout=config.dropout,
        precision=config.precision,
        seed=config.seed,
    )
    if not initial:
        return plan
    return dataclasses.replace(
        plan,
        channels=initial.channels,
        channel_order=initial.channel_order,
        mean=initial.mean,
        std=initial.std,
    )


def _announce(
    config: TrainConfig, data: LabelledSet, plan: "Architecture", folder: TrainFolder
) -> None:
    from nst_keras import classifier

    flops = 3 * classifier.forward_flops(plan)
    _log.info(
        "%s of %s channels: %d classes, %d pictures to train, %d to validate; "
        "%.3g GFLOP a picture, %.3g PFLOP in all, in %s on %s; folder %s",
        plan.backbone,
        "-".join(str(count) for count in plan.channels),
        plan.classes,
        len(data.train),
        len(data.validation),
        flops / 1e9,
        flops * len(data.train) * config.epochs / 1e15,
        plan.precision,
        devices.describe_device(),
        folder.path,
    )


def _report(figures: dict, backbone: str, folder: TrainFolder) -> None:
    for name in ("val_accuracy", "test_accuracy"):
        if name in figures:
            _log.info("%s of epoch %d: %.2f %%", name, figures["best_epoch"], 100 * figures[name])
    _log.info("weights: %s", folder.weights)
    _log.info(
        "to use them: python -m nst_keras.run --backbone=%s --weights=%s",
        backbone,
        folder.weights,
    )


if __name__ == "__main__":
    sys.exit(main())
