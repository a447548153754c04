"""What a run says of itself: `run.json`, and the text inside `result.png`."""

import dataclasses
import datetime
import platform
from pathlib import Path
from typing import Any

import numpy as np

import nst_keras
from nst_keras.devices import startup
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder
from nst_keras.settings import flags
from nst_keras.settings.config import OPTIONS, Config, defaults
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
    request: dict[str, str],
    folder: RunFolder,
    notes: list[str],
) -> dict[str, Any]:
    """The first content of `run.json`; a run that goes on keeps its start and its time."""
    old = folder.read_record()
    same = request in (old.get("job"), old.get("request"))  # and not one with more steps
    blend = config.style_blend or (1.0,) * len(config.style)
    return {
        "version": nst_keras.__version__,
        "status": "running",
        "command": (same and old.get("command")) or flags.format_command(arguments),
        "resume_command": flags.format_command([f"--workdir={folder.path.absolute()}"]),
        "started": old.get("started")
        or datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": old.get("seconds", 0.0),
        "step": old.get("step", 0),
        "total_steps": plan[-1].last_step,
        "device": startup.describe_device(),
        "content": _describe_picture(config.content, inputs.content, inputs.hashes["content"]),
        "styles": [
            {
                **_describe_picture(path, pixels, inputs.hashes[f"style {number}"]),
                "weight": weight / sum(blend),
            }
            for number, (path, pixels, weight) in enumerate(
                zip(config.style, inputs.styles, blend, strict=True), start=1
            )
        ],
        "scales": [
            {key: getattr(scale, key) for key in ("width", "height", "steps", "first_step")}
            for scale in plan
        ],
        "settings": settings_text(config),
        "changed": changed_settings(config),
        "final_terms": None,
        "versions": _versions(),
        "notes": notes,
        "job": folder_lib.describe_job(config, inputs.hashes),
        "request": old.get("request", request) if same else request,
    }


def old_notes(folder: RunFolder) -> list[str]:
    """The warnings of the processes that worked on the run before."""
    notes = folder.read_record().get("notes")
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []


def _describe_picture(path: str, pixels: np.ndarray, sha256: str) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    return {"name": Path(path).name, "width": width, "height": height, "sha256": sha256}


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


def metadata(record: dict[str, Any]) -> dict[str, str]:
    """What `result.png` tells of itself: what decided the picture, but no path and no date."""
    settings = [f"--{name}={text}" for name, text in record["job"].items() if name in OPTIONS]
    hashes = {name: text for name, text in record["job"].items() if name not in OPTIONS}
    return {
        "Software": f"nst_keras {record['version']}",
        "nst_keras settings": "\n".join(settings),
        **{f"nst_keras {name}": text for name, text in hashes.items()},
    }


def settings_text(config: Config) -> dict[str, str]:
    """All settings by flag name, as text, for `run.json` and the page."""
    return {
        name: option.format(value)
        for name, option in OPTIONS.items()
        if (value := getattr(config, name)) is not None
    }


def changed_settings(config: Config) -> list[str]:
    """Names of the settings that are not what the objective and this machine would have chosen."""
    chosen_by = {name: getattr(config, name) for name in _SETS_DEFAULTS}
    preset = preset_values(Config(**chosen_by))
    usual = dataclasses.replace(
        resolve(Config(**chosen_by, learning_rate=config.learning_rate)),
        content=config.content,
        style=config.style,
        learning_rate=preset["learning_rate"],  # None where it must be given
        precision=startup.settle_precision("auto"),
        tile_size=config.tile_size,
        image_every=config.image_every,
    )
    changed = [
        name
        for name, option in OPTIONS.items()
        if not option.destination and getattr(config, name) != getattr(usual, name)
    ]
    plain = {**defaults(), "optimizer": PRESETS[config.objective].defaults["optimizer"]}
    chosen = [name for name in _SETS_DEFAULTS if getattr(config, name) != plain[name]]
    return chosen + changed
