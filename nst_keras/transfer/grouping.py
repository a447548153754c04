"""Which runs can be one batch. Imports no TensorFlow."""

from collections.abc import Mapping, Sequence

from nst_keras.devices.memory import smallest_gpu_bytes
from nst_keras.optimizers.facts import facts_of
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.plan import cropped_size, plan_run

# The options that all runs of a batch share. They may have different numbers of styles, of which
# only blended statistics go into the batch.
_SHARED = [name for name, option in OPTIONS.items() if not option.per_picture]

# Measured on a GPU of 1,000 TFLOP/s: a step of so many pixels leaves little of it idle.
_FILLING_PIXELS = 3 << 20
_MOST_FILLING = 8  # more take long to trace and compile
_BYTES_PER_PIXEL = 5000  # of a step in float32


def check(settings_of_all: Sequence[Settings]) -> None:
    """Refuse runs that cannot be one batch.

    Raises:
        InputError: naming the setting.
    """
    for settings in settings_of_all:
        if reason := obstacle(settings):
            raise InputError(f"--batch: {reason}")
        if settings.region_count != settings_of_all[0].region_count:
            raise InputError("--batch: the runs differ in their number of regions")
        for name in _SHARED:
            if getattr(settings, name) != getattr(settings_of_all[0], name):
                raise InputError(f"--batch: the runs differ in --{name}")
        if differing := {*settings.terms} ^ {*settings_of_all[0].terms}:
            terms = ", ".join(sorted(differing))
            raise InputError(f"--batch: only some of the runs have the term {terms}")


def obstacle(settings: Settings) -> str:
    """Why a run cannot be part of a batch; empty if it can."""
    if not facts_of(settings.optimizer).joins_batches:
        return f"--optimizer={settings.optimizer} cannot be used in a batch; use adam"
    if settings.distribute != "none":
        return f"--distribute={settings.distribute} cannot be used in a batch"
    if settings.tile_size not in ("auto", "none"):
        return f"--tile_size={settings.tile_size} cannot be used in a batch"
    if settings.tolerance:
        return f"--tolerance={settings.tolerance:g} cannot be used in a batch"
    return "--time_limit cannot be used in a batch" if settings.time_limit else ""


def group(
    wanted: Mapping[str, tuple[Settings, tuple[int, int]]], most: int | str
) -> list[list[str]]:
    """Names of runs in groups that can be one batch; the same for the same runs.

    Args:
        wanted: by the name of a run, its settings and the content's height and width.
        most: runs in a group; 'auto' for as many as fill the GPU.
    """
    groups: list[list[str]] = []
    newest: dict[tuple, list[str]] = {}  # by kind
    for name, (settings, size) in wanted.items():
        kind = (name,) if obstacle(settings) else _kind(settings, size)
        limit = filling_count(kind[0][-1].pixels) if most == "auto" and len(kind) > 1 else most
        if len(newest.get(kind, ())) in (0, limit):
            newest[kind] = []
            groups.append(newest[kind])
        newest[kind].append(name)
    return groups


def filling_count(pixels: int) -> int:
    """How many pictures of so many pixels fill the smallest GPU of this machine; 1 without one."""
    if not (memory := smallest_gpu_bytes()):
        return 1
    together = min(_FILLING_PIXELS, memory // _BYTES_PER_PIXEL)
    return min(max(1, together // pixels), _MOST_FILLING)


def _kind(settings: Settings, size: tuple[int, int]) -> tuple:
    """What is equal in all runs of a batch."""
    scales = plan_run(settings, cropped_size(settings, size))
    shared = (getattr(settings, name) for name in _SHARED)
    return (scales, settings.region_count, settings.terms, *shared)
