"""A session of a training: from its settings to its weights file."""

import dataclasses
import importlib.util
import json
import logging
from typing import TYPE_CHECKING

from nst_keras.devices import memory, startup
from nst_keras.network import weights
from nst_keras.network.weights import Weights
from nst_keras.runs.folder import Status
from nst_keras.runs.record import Fingerprint
from nst_keras.runtime import cli, files, signals
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command_line import Call
from nst_keras.settings.option import absolute_paths
from nst_keras.training import config as config_lib
from nst_keras.training import datasets
from nst_keras.training import folder as folder_lib
from nst_keras.training.config import COMMAND, OPTIONS, SOURCES, TrainConfig
from nst_keras.training.datasets import LabeledSet
from nst_keras.training.folder import TrainFolder

if TYPE_CHECKING:
    from nst_keras.training.classifier import Architecture

_log = logging.getLogger(__name__)

_KEPT_CHECKPOINTS = 2


def run_training(call: Call) -> int:
    """Do the training that a command line asks for; returns the exit status."""
    given = TrainConfig(**call.values)
    config = config_lib.settle(_with_flags_of_folder(call.arguments, given))
    if config.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise InputError("--tensorboard: needs pip install '.[tensorboard]'")
    initial = _read_initial(config)
    data = datasets.read_set(config)
    hashes = {"data": data.sha256, **({"initial": initial.sha256} if initial else {})}
    job = folder_lib.fingerprint(config, hashes)
    folder = TrainFolder(config.workdir or folder_lib.default_path(config, job))
    if folder.status(job, overwrite=config.overwrite) is Status.FINISHED:
        _log.info("%s is already finished; use --overwrite to train it again", folder.path)
        return 0
    with files.held(folder.path):
        if folder.status(job, overwrite=config.overwrite) is Status.NEW:
            folder.prepare(job)
        for note in data.notes:
            _log.warning("%s", note)
        _write_down(config, data, folder)
        return _train(config, data, initial, folder, job, quiet=call.quiet)


def _with_flags_of_folder(arguments: list[str], config: TrainConfig) -> TrainConfig:
    """With `--workdir` and no data, add the settings that the folder began with to those given."""
    if any(getattr(config, name) for name in SOURCES) or not config.workdir:
        return config
    saved = TrainFolder(config.workdir).flags
    if not saved.exists():
        raise InputError(
            f"--workdir={config.workdir}: holds no training to resume; "
            "use --cifar100, --csv or --folder to start one"
        )
    values, _ = command_line.parse(COMMAND, [f"--flagfile={saved}", *arguments])
    return TrainConfig(**values)


def _read_initial(config: TrainConfig) -> Weights | None:
    if not config.initial:
        return None
    if config.initial != "embedded":
        return weights.read_weights(config.initial, config.backbone, "--initial")
    if config.backbone != "vgg19":
        raise InputError(f"--backbone={config.backbone}: must be vgg19 with --initial=embedded")
    return weights.read_weights(weights.embedded_path(), "vgg19", "--initial")


def _write_down(config: TrainConfig, data: LabeledSet, folder: TrainFolder) -> None:
    """Write the flags with absolute paths, for a resume, and the class names."""
    values = dataclasses.asdict(config) | {"workdir": str(folder.path), "overwrite": False}
    values |= absolute_paths(values, OPTIONS)
    files.write_text(folder.flags, command_line.format_flagfile(COMMAND, values))
    text = json.dumps(list(data.names), indent=1, ensure_ascii=False)
    files.write_text(folder.labels, text + "\n")


def _train(
    config: TrainConfig,
    data: LabeledSet,
    initial: Weights | None,
    folder: TrainFolder,
    job: Fingerprint,
    *,
    quiet: bool,
) -> int:
    """Train in a folder that is ready; returns the exit status."""
    startup.start_tensorflow(deterministic=config.deterministic, seed=config.seed)
    import tensorflow as tf

    from nst_keras.training.loop import TrainLoop
    from nst_keras.training.trainer import Trainer

    if warning := memory.unused_gpu():
        _log.warning("%s", warning)
    plan = _plan(config, len(data.names), initial)
    _announce(config, data, plan, folder)
    checkpointer = Checkpointer(
        folder.checkpoints,
        job.digest(),
        every=config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=_KEPT_CHECKPOINTS,
    )
    try:
        trainer = Trainer(plan, config.batch_size, initial, config.distribute)
        folder.update_record(status="running")
        with signals.stop_signals() as stopping:
            loop = TrainLoop(config, data, trainer, folder, checkpointer, stopping)
            figures = loop.finish() if loop.run(quiet=quiet) else None
            if figures is None:
                folder.update_record(status="interrupted")
                _log.warning(
                    "stopped after step %d; run the same command again to resume", loop.step
                )
                return cli.INTERRUPTED
            folder.update_record(status="finished", **figures)
    except tf.errors.ResourceExhaustedError:
        _log.error("out of memory; use a smaller --batch_size, --image_size or --width")
        return 1
    _report(figures, config.backbone, folder)
    return 0


def _plan(config: TrainConfig, classes: int, initial: Weights | None) -> "Architecture":
    from nst_keras.training import classifier

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
    config: TrainConfig, data: LabeledSet, plan: "Architecture", folder: TrainFolder
) -> None:
    from nst_keras.training import classifier

    flops = 3 * classifier.forward_flops(plan)
    _log.info(
        "%s of %s channels: %d classes, %d pictures to train, %d to validate; "
        "%.3g GFLOP per picture, %.3g PFLOP in total, %s on %s; folder %s",
        plan.backbone,
        "-".join(str(count) for count in plan.channels),
        plan.classes,
        len(data.train),
        len(data.validation),
        flops / 1e9,
        flops * len(data.train) * config.epochs / 1e15,
        plan.precision,
        startup.describe_device(),
        folder.path,
    )


def _report(figures: dict, backbone: str, folder: TrainFolder) -> None:
    for name in ("val_accuracy", "test_accuracy"):
        if name in figures:
            _log.info("%s of epoch %d: %.2f%%", name, figures["best_epoch"], 100 * figures[name])
    _log.info("weights: %s", folder.weights)
    _log.info(
        "use them with: python -m nst_keras.run --backbone=%s --weights=%s",
        backbone,
        folder.weights,
    )
