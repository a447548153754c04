"""The record that a run begins or resumes with."""

import dataclasses
import datetime
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import nst_keras
from nst_keras.devices import startup
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.fingerprint import Fingerprint
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import InputPicture, RunRecord, ScaleSteps
from nst_keras.settings import flags
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import preset_values, resolve
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.scales import Scale

# These decide the defaults of the others, so they are compared with their own plain defaults.
_SETS_DEFAULTS = [name for name, option in OPTIONS.items() if option.sets_defaults]


def make_record(
    arguments: list[str],
    config: Config,
    inputs: Inputs,
    plan: tuple[Scale, ...],
    requested: Fingerprint,
    folder: RunFolder,
    notes: Sequence[str],
) -> RunRecord:
    """The record of a run before its next step.

    A resumed run keeps its start and the time spent so far, and unless it is extended by more steps
    also its command.

    Args:
        arguments: of the command line.
        config: with every setting decided.
        requested: the fingerprint of what was asked for.
        notes: warnings so far.
    """
    old = folder.read_record()
    same = old.is_of(requested)
    blend = config.style_blend or (1.0,) * len(config.style)
    styles = zip(config.style, inputs.styles, blend, strict=True)
    return RunRecord(
        version=nst_keras.__version__,
        status="running",
        command=(same and old.command) or flags.format_command(arguments),
        resume_command=flags.format_command([f"--workdir={folder.path.absolute()}"]),
        started=old.started or datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        seconds=old.seconds or 0.0,
        step=old.step or 0,
        total_steps=plan[-1].last_step,
        device=startup.describe_device(),
        content=_describe_picture(config.content, inputs.content, inputs.hashes["content"]),
        styles=tuple(
            _describe_picture(path, pixels, inputs.hashes[f"style {n}"], weight / sum(blend))
            for n, (path, pixels, weight) in enumerate(styles, start=1)
        ),
        scales=tuple(
            ScaleSteps(scale.width, scale.height, scale.steps, scale.first_step) for scale in plan
        ),
        settings=settings_text(config),
        changed=tuple(changed_settings(config)),
        versions=_versions(),
        notes=tuple(notes),
        fingerprint=folder_lib.fingerprint(config, inputs.hashes),
        requested=old.requested if same else requested,
    )


def _describe_picture(
    path: str, pixels: np.ndarray, sha256: str, weight: float | None = None
) -> InputPicture:
    height, width = pixels.shape[:2]
    return InputPicture(Path(path).name, width, height, sha256, weight)


def _versions() -> dict[str, str]:
    import keras
    import PIL
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }


def settings_text(config: Config) -> dict[str, str]:
    """All settings that have a value, as the text of a flag, by the flag's name."""
    return {
        name: option.format(value)
        for name, option in OPTIONS.items()
        if (value := getattr(config, name)) is not None
    }


def changed_settings(config: Config) -> list[str]:
    """Names of the settings that differ from what the objective and this machine would choose."""
    chosen_by = {name: getattr(config, name) for name in _SETS_DEFAULTS}
    preset = preset_values(Config(**chosen_by))
    usual = dataclasses.replace(
        resolve(Config(**chosen_by, learning_rate=config.learning_rate)),
        content=config.content,
        style=config.style,
        learning_rate=preset["learning_rate"],  # None where the user must give it
        precision=startup.settle_precision("auto"),
        tile_size=config.tile_size,
        image_every=config.image_every,
    )
    changed = [
        name
        for name, option in OPTIONS.items()
        if not option.destination and getattr(config, name) != getattr(usual, name)
    ]
    plain = vars(Config(optimizer=PRESETS[config.objective].defaults["optimizer"]))
    chosen = [name for name in _SETS_DEFAULTS if getattr(config, name) != plain[name]]
    return chosen + changed
