"""The record with which a run begins."""

import datetime
import platform
from pathlib import Path

import numpy as np

import nst_keras
from nst_keras.devices import startup
from nst_keras.devices.precision import settle_precision
from nst_keras.devices.xla import settle_xla
from nst_keras.runs import folder as folder_lib
from nst_keras.runs import output_copy
from nst_keras.runs.record import InputPicture, RunRecord, ScaleSteps
from nst_keras.runs.requested import RequestedRun
from nst_keras.settings.config import OPTIONS, Config, format_command
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import preset_values, resolve
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.plan import Plan

# These decide the defaults of the others, so they are compared with their own plain defaults.
_SETS_DEFAULTS = [name for name, option in OPTIONS.items() if option.sets_defaults]


def make_record(run: RequestedRun, plan: Plan) -> RunRecord:
    """The record of a run before its next step.

    A resumed run keeps its start and the time spent so far, and unless it is extended by more steps
    also its command.
    """
    import keras
    import PIL
    import tensorflow as tf

    libraries = {"tensorflow": tf, "keras": keras, "numpy": np, "pillow": PIL}
    versions = {name: library.__version__ for name, library in libraries.items()}
    settings, hashes = run.settings, run.inputs.hashes
    old = run.folder.read_record()
    same = old.is_of(run.fingerprint)
    own_call = run.own_call
    content, styles = described_inputs(run)
    return RunRecord(
        version=nst_keras.__version__,
        status="running",
        command=own_call or (same and old.command) or format_command(run.arguments),
        resume_command=run.resume_command,
        started=old.started or datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        seconds=old.seconds or 0.0,
        parts=old.parts,
        step=old.step or 0,
        total_steps=plan.total_steps,
        copies={**old.copies, **output_copy.allowed(settings)},
        device=startup.describe_device(),
        content=content,
        styles=styles,
        scales=tuple(
            ScaleSteps(it.width, it.height, it.steps, it.first_step) for it in plan.scales
        ),
        settings=settings_text(settings),
        changed=tuple(changed_settings(settings)),
        versions={"python": platform.python_version(), **versions},
        notes=tuple(run.notes),
        fingerprint=folder_lib.fingerprint(settings, hashes),
        requested=old.requested if same else run.fingerprint,
    )


def described_inputs(run: RequestedRun) -> tuple[InputPicture, tuple[InputPicture, ...]]:
    """What the record says of the content and of the styles."""
    settings, inputs = run.settings, run.inputs
    paths = settings.style_pictures
    blend = settings.blend(len(paths))
    styles = enumerate(zip(paths, blend, strict=True), start=1)
    return _describe_picture(inputs, "content", settings.content), tuple(
        _describe_picture(
            inputs, f"style {n}", path, None if settings.has_style_masks else weight / sum(blend)
        )
        for n, (path, weight) in styles
    )


def _describe_picture(
    inputs: Inputs, name: str, path: str, weight: float | None = None
) -> InputPicture:
    height, width = inputs.sizes[name]
    return InputPicture(Path(path).name, width, height, inputs.hashes[name], weight)


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
    usual = vars(resolve(Config(**chosen_by, learning_rate=config.learning_rate))) | {
        "learning_rate": preset["learning_rate"],  # None where the user must give it
        "precision": settle_precision("auto"),
        "xla": settle_xla("auto", config.deterministic),
    }
    own = {"content", "style", "tile_size", "image_every", "log_every"}  # have no usual value
    own |= {name for name, option in OPTIONS.items() if option.destination}
    changed = [
        name
        for name, option in OPTIONS.items()
        if name not in own and getattr(config, name) not in (usual[name], option.default)
    ]
    plain = vars(Config(optimizer=PRESETS[config.objective].defaults["optimizer"]))
    chosen = [name for name in _SETS_DEFAULTS if getattr(config, name) != plain[name]]
    return chosen + changed
