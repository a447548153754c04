"""What a job will cost before it starts: memory, seconds, and the tiles that make it fit."""

import dataclasses

from nst_keras.devices.memory import GIB, MemoryBudget
from nst_keras.network import vgg
from nst_keras.objective import tiles
from nst_keras.runtime import console
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import layers_in_use
from nst_keras.transfer.scales import Scale

Channels = tuple[int, ...]
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_PIXEL = 12  # bytes of a float32 RGB pixel

# Measured by `scripts/bench.py memory` (see README), TensorFlow 2.21 on a CPU.
_BASE = 720 << 20  # TensorFlow, the network and its graphs
# On top of the features that a step keeps for its way back: gradients under way, what the allocator
# does not give back, and the float32 copy of a low precision's features for a Gram.
_OVERHEAD = {"float32": 1.5, "bfloat16": 1.75, "float16": 2.6}
_IMAGES = 3  # the image, what is written, and gaps between them all
_LBFGS_IMAGES = 30  # gradient, direction, temporaries of its recursion, and what stays unused
_ADAM_IMAGES = 4  # gradient, moments, and what is added to each
_SIDES = range(2560, 255, -64)  # of tiles, px; larger ones gain little
_STEP_SHARE = 0.8  # of the rate of matrix products that a step reaches


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of a job at one scale."""

    scale: Scale
    bytes: int  # peak resident memory
    flops: float  # of all its steps


def settle_tile_size(
    config: Config, plan: tuple[Scale, ...], room: MemoryBudget, channels: Channels = vgg.CHANNELS
) -> int | None:
    """The longest side of tiles, or None for whole pictures.

    Args:
        config: resolved, of a settled precision.
        channels: of the network, per block.

    Raises:
        InputError: not even the smallest tiles fit, or `--tile_size` is too small or too large.
    """
    largest = max(plan, key=lambda scale: scale.pixels)
    most_pixels = _most_pixels(config, room, channels)
    if config.tile_size != "auto":
        side = None if config.tile_size == "none" else int(config.tile_size)
        at_once = max(tile.pixels for tile in _tiles(config, largest, side))
        if at_once > most_pixels:
            raise InputError(
                f"--tile_size={config.tile_size}: {at_once} pixels at once; this device counts no "
                f"further than {most_pixels:.0f}; give auto"
            )
        return side
    if largest.pixels <= most_pixels and peak_bytes(config, largest, None, channels) <= room.bytes:
        return None
    reach = _reach(config)
    sides = [side for side in _SIDES if side >= 4 * reach.halo + reach.stride]
    needed = {side: peak_bytes(config, largest, side, channels) for side in sides}
    if fitting := [side for side in sides if needed[side] <= room.bytes]:
        # Not just the largest: where its last row of tiles is a small one, halos cost more.
        return min(fitting, key=lambda side: _pixels_with_halos(config, largest, side))
    raise InputError(
        f"--size={config.size}: {largest.width}x{largest.height} with --optimizer="
        f"{config.optimizer}{_history(config)} needs about {needed[sides[-1]] / GIB:.1f} GiB even "
        f"in small tiles, and {room.bytes / GIB:.1f} GiB are there; give a smaller --size, "
        + ("a smaller --history or --optimizer=adam" if _history(config) else "or more memory")
    )


def cost(config: Config, scale: Scale, side: int | None, channels: Channels = vgg.CHANNELS) -> Cost:
    """Memory and work of a scale."""
    flops = scale.steps * _step_flops(config, scale, side, channels)
    return Cost(scale, peak_bytes(config, scale, side, channels), flops)


def peak_bytes(
    config: Config, scale: Scale, side: int | None, channels: Channels = vgg.CHANNELS
) -> int:
    """Peak resident memory of a process at a scale, as measured on CPUs."""
    convs = _convolutions(config, channels)
    kept = _kept_floats(convs) * _BYTES[config.precision] * _OVERHEAD[config.precision]
    largest = max(tile.pixels for tile in _tiles(config, scale, side))
    images = _IMAGES + (_ADAM_IMAGES if config.optimizer != "lbfgs" else 0)
    if config.optimizer == "lbfgs":
        images += _LBFGS_IMAGES + 2 * config.history
    images += bool(config.average)
    targets = sum(_features(conv) for conv in convs if conv.name in config.content_layers)
    per_pixel = images * _PIXEL + targets * _BYTES[config.precision]
    return round(_BASE + kept * largest + per_pixel * scale.pixels)


def check_batch(
    config: Config,
    plan: tuple[Scale, ...],
    count: int,
    room: MemoryBudget,
    channels: Channels = vgg.CHANNELS,
) -> None:
    """Whether so many whole pictures fit at once.

    Raises:
        InputError: there is not room enough.
    """
    largest = max(plan, key=lambda scale: scale.pixels)
    if count * largest.pixels > _most_pixels(config, room, channels):
        raise InputError(
            f"--batch={count}: {count} pictures of {largest.width}x{largest.height} are more "
            "pixels at once than this device can count"
        )
    needed = _BASE + count * (peak_bytes(config, largest, None, channels) - _BASE)
    if needed > room.bytes:
        raise InputError(
            f"--batch={count}: {count} pictures of {largest.width}x{largest.height} at once need "
            f"about {needed / GIB:.1f} GiB, and {room.bytes / GIB:.1f} GiB are there"
        )


def describe(
    config: Config,
    plan: tuple[Scale, ...],
    flops_per_second: float,
    channels: Channels = vgg.CHANNELS,
) -> str:
    """What a settled job will take, for a person.

    Args:
        flops_per_second: of matrix products on the device.
    """
    side = None if config.tile_size == "none" else int(config.tile_size)
    costs = [cost(config, scale, side, channels) for scale in plan]
    seconds = [one.flops / (_STEP_SHARE * flops_per_second) for one in costs]
    scales = (
        f"{scale.width}x{scale.height} {scale.steps} steps {console.format_seconds(taken)}"
        for scale, taken in zip(plan, seconds, strict=True)
    )
    return (
        f"{', '.join(scales)}; in all about {console.format_seconds(sum(seconds))} if nothing "
        f"else runs here, and up to about {max(one.bytes for one in costs) / GIB:.1f} GiB, "
        + (f"in tiles of {side} px" if side else "in whole pictures")
    )


def _step_flops(config: Config, scale: Scale, side: int | None, channels: Channels) -> float:
    """Floating point operations of a step: forth and back, in tiles forth once more."""
    parts = _tiles(config, scale, side)
    forward, grams = 0.0, 0.0
    for conv in _convolutions(config, channels):
        positions = 1 / vgg.stride(conv.name) ** 2
        forward += 2 * 9 * conv.inputs * conv.outputs * positions
        if conv.name in config.style_layers:
            grams += 2 * conv.outputs**2 * positions
    passes = 2 if len(parts) == 1 else 3
    return sum(tile.pixels for tile in parts) * (passes * forward + 2 * grams)


def _pixels_with_halos(config: Config, scale: Scale, side: int) -> int:
    return sum(tile.pixels for tile in _tiles(config, scale, side))


def _kept_floats(convs: tuple[vgg.Conv, ...]) -> float:
    """Features of a pixel that a step keeps: of all convolutions and poolings."""
    kept, block = 0.0, 1
    for conv in convs:
        if conv.block > block:
            kept += conv.inputs / vgg.stride(conv.name) ** 2
            block = conv.block
        kept += _features(conv)
    return kept


def _most_pixels(config: Config, room: MemoryBudget, channels: Channels) -> float:
    """That can go through the network at once, as far as features are counted."""
    return room.features / max(map(_features, _convolutions(config, channels)))


def _features(conv: vgg.Conv) -> float:
    """Of a convolution, for each pixel of the image."""
    return conv.outputs / vgg.stride(conv.name) ** 2


def _tiles(config: Config, scale: Scale, side: int | None) -> tuple[tiles.Tile, ...]:
    return tiles.plan_tiles(scale.height, scale.width, side, _reach(config))


def _reach(config: Config) -> tiles.ReceptiveField:
    return tiles.receptive_field(layers_in_use(config), config.backbone)


def _convolutions(config: Config, channels: Channels) -> tuple[vgg.Conv, ...]:
    """Those that a step computes."""
    convs = vgg.convolutions(config.backbone, channels=channels)
    return vgg.up_to_deepest(convs, layers_in_use(config))


def _history(config: Config) -> str:
    return f" --history={config.history}" if config.optimizer == "lbfgs" else ""
