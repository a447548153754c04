"""Which pictures may be made at once, in a batch."""

from collections.abc import Mapping, Sequence

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.transfer import scales


def check(configs: Sequence[Config]) -> None:
    """Refuse what cannot be one batch.

    Raises:
        InputError: naming the setting.
    """
    for config in configs:
        if reason := obstacle(config):
            raise InputError(f"--batch: {reason}")
    for config in configs[1:]:
        for name in _shared_names():
            if getattr(config, name) != getattr(configs[0], name):
                raise InputError(f"--batch: the pictures differ in --{name}")


def obstacle(config: Config) -> str:
    """Why a resolved config is for no batch; empty if it may be of one."""
    if config.optimizer == "lbfgs":
        return "--optimizer=lbfgs looks at each picture by itself; give adam"
    if config.distribute != "none":
        return f"--distribute={config.distribute} is for one large picture"
    if config.tile_size not in ("auto", "none"):
        return f"--tile_size={config.tile_size} is for one large picture"
    if config.tolerance:
        return f"--tolerance={config.tolerance:g} ends each picture at its own step"
    if config.time_limit:
        return "--time_limit is of each picture by itself"
    return ""


def group(wanted: Mapping[str, tuple[Config, tuple[int, int]]], most: int) -> list[list[str]]:
    """Put names together whose pictures can be made at once, in their order.

    Args:
        wanted: by name, the resolved config and the content's height and width.
        most: names in a group.

    Returns:
        Groups of one and more; the same ones for the same names.
    """
    groups: list[list[str]] = []
    open_groups: dict[tuple, list[str]] = {}
    for name, (config, size) in wanted.items():
        key = _kind(config, size)
        if obstacle(config):
            groups.append([name])
        elif key in open_groups and len(open_groups[key]) < most:
            open_groups[key].append(name)
        else:
            open_groups[key] = [name]
            groups.append(open_groups[key])
    return groups


def _kind(config: Config, size: tuple[int, int]) -> tuple:
    """What all of a batch have in common."""
    shape = (min(size),) * 2 if config.fit == "crop" else size
    own = (getattr(config, name) for name in _shared_names())
    return (scales.plan_job(config, shape), *own)


def _shared_names() -> list[str]:
    return [name for name, option in OPTIONS.items() if not option.per_picture]
