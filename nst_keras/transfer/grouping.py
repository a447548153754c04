"""Which runs can be one batch. Imports no TensorFlow."""

from collections.abc import Mapping, Sequence

from nst_keras.optimizers.facts import FACTS
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.plan import cropped_size, plan_run

# The options that all runs of a batch share. They may have different numbers of styles, of which
# only blended statistics go into the batch.
_SHARED = [name for name, option in OPTIONS.items() if not option.per_picture]


def check(settings_of_all: Sequence[Settings]) -> None:
    """Refuse runs that cannot be one batch.

    Raises:
        InputError: naming the setting.
    """
    for settings in settings_of_all:
        if reason := obstacle(settings):
            raise InputError(f"--batch: {reason}")
        for name in _SHARED:
            if getattr(settings, name) != getattr(settings_of_all[0], name):
                raise InputError(f"--batch: the runs differ in --{name}")


def obstacle(settings: Settings) -> str:
    """Why a run cannot be part of a batch; empty if it can."""
    if not FACTS[settings.optimizer].joins_batches:
        return f"--optimizer={settings.optimizer} cannot be used in a batch; use adam"
    if settings.distribute != "none":
        return f"--distribute={settings.distribute} cannot be used in a batch"
    if settings.tile_size not in ("auto", "none"):
        return f"--tile_size={settings.tile_size} cannot be used in a batch"
    if settings.tolerance:
        return f"--tolerance={settings.tolerance:g} cannot be used in a batch"
    return "--time_limit cannot be used in a batch" if settings.time_limit else ""


def group(wanted: Mapping[str, tuple[Settings, tuple[int, int]]], most: int) -> list[list[str]]:
    """Names of runs in groups of at most `most` that can be one batch; the same for the same runs.

    Args:
        wanted: by the name of a run, its settings and the content's height and width.
    """
    groups: list[list[str]] = []
    newest: dict[tuple, list[str]] = {}  # by kind
    for name, (settings, size) in wanted.items():
        kind = (name,) if obstacle(settings) else _kind(settings, size)
        if len(newest.get(kind, ())) in (0, most):
            newest[kind] = []
            groups.append(newest[kind])
        newest[kind].append(name)
    return groups


def _kind(settings: Settings, size: tuple[int, int]) -> tuple:
    """What is equal in all runs of a batch."""
    scales = plan_run(settings, cropped_size(settings, size))
    return (scales, *(getattr(settings, name) for name in _SHARED))
