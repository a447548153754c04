"""Which runs can be one batch. Imports no TensorFlow."""

from collections.abc import Mapping, Sequence

from nst_keras.optimizers.facts import FACTS
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer import scales


def check(settings_of_all: Sequence[Settings]) -> None:
    """Refuse runs that cannot be one batch.

    Raises:
        InputError: naming the setting.
    """
    first, *others = settings_of_all
    for settings in settings_of_all:
        if reason := obstacle(settings):
            raise InputError(f"--batch: {reason}")
    for settings in others:
        for name in _shared_names():
            if getattr(settings, name) != getattr(first, name):
                raise InputError(f"--batch: the runs differ in --{name}")


def obstacle(settings: Settings) -> str:
    """Why a run cannot be part of a batch; empty if it can."""
    if not FACTS[settings.optimizer].joins_batches:
        return f"--optimizer={settings.optimizer} evaluates pictures one at a time; use adam"
    if settings.distribute != "none":
        return f"--distribute={settings.distribute} is for one large picture"
    if settings.tile_size not in ("auto", "none"):
        return f"--tile_size={settings.tile_size} is for one large picture"
    if settings.tolerance:
        return f"--tolerance={settings.tolerance:g} ends each picture at a step of its own"
    if settings.time_limit:
        return "--time_limit applies to each picture separately"
    return ""


def group(wanted: Mapping[str, tuple[Settings, tuple[int, int]]], most: int) -> list[list[str]]:
    """Group runs that can be one batch, in their order.

    Args:
        wanted: by the name of a run, its settings and the content's height and width.
        most: runs in a group.

    Returns:
        Groups of one or more names; the same groups for the same names.
    """
    groups: list[list[str]] = []
    open_groups: dict[tuple, list[str]] = {}
    for name, (settings, size) in wanted.items():
        key = _kind(settings, size)
        if obstacle(settings):
            groups.append([name])
        elif key in open_groups and len(open_groups[key]) < most:
            open_groups[key].append(name)
        else:
            open_groups[key] = [name]
            groups.append(open_groups[key])
    return groups


def _kind(settings: Settings, size: tuple[int, int]) -> tuple:
    """What is equal in all runs of a batch."""
    shape = (min(size),) * 2 if settings.fit == "crop" else size
    shared = (getattr(settings, name) for name in _shared_names())
    return (scales.plan_run(settings, shape), *shared)


def _shared_names() -> list[str]:
    return [name for name, option in OPTIONS.items() if not option.per_picture]
