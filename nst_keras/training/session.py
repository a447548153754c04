"""A session of a training: from its settings to its weights file."""

import dataclasses
import json
import logging
from pathlib import Path

from nst_keras.devices import choice, memory, startup
from nst_keras.devices.precision import settle_precision
from nst_keras.network import vgg, weights
from nst_keras.network.weights import Weights
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import Status
from nst_keras.runs.record import Fingerprint
from nst_keras.runtime import cli, files
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.progress import check_tensorboard
from nst_keras.settings import command_line
from nst_keras.settings.command_line import Call
from nst_keras.settings.option import absolute_paths
from nst_keras.training import datasets
from nst_keras.training.config import COMMAND, OPTIONS, SOURCES, TrainConfig, settle
from nst_keras.training.datasets import LabeledSet
from nst_keras.training.folder import TrainFolder

_log = logging.getLogger(__name__)
# The standard deviation of ImageNet: blue, green, red, on the scale of 0 to 255.
_IMAGENET_STD = (57.375, 57.12, 58.395)


def run_training(call: Call) -> int:
    """Do the training that a command line asks for; returns the exit status."""
    ((arguments, values),) = call.groups
    config = settle(_with_flags_of_folder(arguments, TrainConfig(**values)))
    if config.tensorboard:
        check_tensorboard()
    start = _starting_weights(config)
    data = datasets.read_set(config)
    hashes = {"data": data.sha256} | ({"initial": start.sha256} if config.initial else {})
    job = Fingerprint.of(config, OPTIONS, hashes)
    folder = TrainFolder(config.workdir or _default_path(config, job))
    if folder.status(job, overwrite=config.overwrite) is Status.FINISHED:
        _log.info("%s is already finished; use --overwrite to train it again", folder.path)
        cli.show_path(folder.result)
        return 0
    with files.held(folder.path), choice.chosen(config.device):
        status = folder.status(job, overwrite=config.overwrite)
        if status is Status.NEW and config.initial:
            folder.check_keeps({"initial": [Path(config.initial)]})
        _start_tensorflow(config)  # first: if that fails, an earlier training is kept
        if status is Status.NEW:
            folder.prepare(job)
        for note in data.notes:
            _log.warning("%s", note)
        _write_down(config, data, folder)
        return _train(config, data, start, folder, job, quiet=call.quiet)


def _with_flags_of_folder(arguments: list[str], config: TrainConfig) -> TrainConfig:
    """With `--workdir` and no data, add the settings that the folder began with to those given."""
    if any(getattr(config, name) for name in SOURCES) or not config.workdir:
        return config
    saved = TrainFolder(config.workdir).flags
    if not saved.exists():
        raise InputError(
            f"--workdir={config.workdir}: contains no training to resume; "
            "use --cifar100, --csv or --folder to start one"
        )
    values, _ = command_line.parse(COMMAND, [f"--flagfile={saved}", *arguments])
    return TrainConfig(**values)


def _starting_weights(config: TrainConfig) -> Weights:
    """What the network starts with; without arrays if that is random."""
    if not config.initial:
        channels = tuple(max(4, round(count * config.width)) for count in vgg.CHANNELS)
        return Weights(config.backbone, channels, {}, {}, sha256="", std=_IMAGENET_STD)
    path = weights.embedded_path() if config.initial == "embedded" else config.initial
    return weights.read_weights(path, config.backbone, "--initial")


def _default_path(config: TrainConfig, job: Fingerprint) -> Path:
    """runs/vgg19_photos-3f2a: readable, and the same for the same command."""
    source = "cifar100" if config.cifar100 else str(config.csv or config.folder)
    return folder_lib.default_path((config.backbone, source), job)


def _write_down(config: TrainConfig, data: LabeledSet, folder: TrainFolder) -> None:
    """Write the flags with absolute paths, for a resume, and the class names."""
    values = dataclasses.asdict(config) | {"workdir": str(folder.path), "overwrite": False}
    values |= absolute_paths(values, OPTIONS)
    files.write_text(folder.flags, command_line.format_flagfile(COMMAND, values))
    text = json.dumps(list(data.names), indent=1, ensure_ascii=False)
    files.write_text(folder.labels, text + "\n")


def _start_tensorflow(config: TrainConfig) -> None:
    """Start TensorFlow; refuses a device or a precision that it does not have."""
    _log.info("starting TensorFlow ...")
    startup.start_tensorflow()
    choice.confirm(config.device)
    settle_precision(config.precision)
    if config.device == choice.AUTO and (warning := memory.unused_gpu()):
        _log.warning("%s", warning)


def _train(
    config: TrainConfig,
    data: LabeledSet,
    start: Weights,
    folder: TrainFolder,
    job: Fingerprint,
    *,
    quiet: bool,
) -> int:
    """Train in a folder that is ready; returns the exit status."""
    import tensorflow as tf

    from nst_keras.devices import keras_settings
    from nst_keras.training.loop import TrainLoop
    from nst_keras.training.trainer import Trainer, forward_flops

    flops = 3 * forward_flops(start, config.image_size)
    _log.info(
        f"{config.backbone} of {'-'.join(map(str, start.channels))} channels: "
        f"{len(data.names)} classes, {len(data.train)} pictures to train, "
        f"{len(data.validation)} to validate; {flops / 1e9:.3g} GFLOP per picture, "
        f"{flops * len(data.train) * config.epochs / 1e15:.3g} PFLOP in total, "
        f"{config.precision} on {startup.describe_device()}; folder {folder.path}"
    )
    try:
        with (
            keras_settings.ours(config.deterministic),
            memory.only_new_garbage(),
            cli.stop_signals() as stopping,
        ):
            trainer = Trainer(config, start, len(data.names))
            folder.update_record(status="running")
            loop = TrainLoop(data, trainer, folder, job.digest(), stopping)
            if (figures := loop.run(quiet=quiet)) is None:
                folder.update_record(status="interrupted")
                _log.warning(
                    "stopped after step %d; run the same command again to resume", loop.step
                )
                return cli.INTERRUPTED
            folder.update_record(status="finished", **figures)
    except tf.errors.ResourceExhaustedError:
        _log.error("out of memory; use a smaller --batch_size, --image_size or --width")
        return 1
    for name in ("val_accuracy", "test_accuracy"):
        if name in figures:
            _log.info("%s of epoch %d: %.2f%%", name, figures["best_epoch"], 100 * figures[name])
    _log.info("page: %s", folder.page.absolute().as_uri())
    given = f"--backbone={config.backbone} --weights={folder.result}"
    _log.info("use the weights with: nst photo.jpg painting.jpg %s", given)
    cli.show_path(folder.result)
    return 0
