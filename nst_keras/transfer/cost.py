"""What a run costs before it starts: memory, operations, and the tiles that make it fit."""

from collections.abc import Sequence
from typing import NamedTuple

from nst_keras.devices.memory import GIB, MemoryBudget
from nst_keras.devices.xla import XlaFigures
from nst_keras.network.architecture import Architecture, Layer
from nst_keras.objective import tiles
from nst_keras.objective.hypercolumns import HypercolumnNeighbors
from nst_keras.optimizers.facts import facts_of
from nst_keras.runtime.errors import InputError
from nst_keras.runtime.progress import format_seconds
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.inputs import Inputs
from nst_keras.transfer.plan import Scale, serves_any_size

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_PIXEL = 12  # bytes of a float32 RGB pixel

# Measured with `scripts/bench.py memory` (see docs/benchmarks.md), TensorFlow 2.21 on a CPU.
_BASE = 720 << 20  # TensorFlow, the network and its graphs
# Factor on the features that a step keeps for the backward pass: gradients in use, memory that the
# allocator does not return, and the float32 copy of low-precision features for a Gram matrix.
_OVERHEAD = {"float32": 1.5, "bfloat16": 1.75, "float16": 2.6}
_IMAGES = 3  # the image, the copy that is being written, and fragmentation
_PYRAMID_IMAGES = 1.75  # while a pyramid is built and its gradient computed

_MASK_FLOATS = 2.5  # for each pixel and region: the mask, and weights of positions at each layer
_KEPT_IMAGES = 2.5  # the photo, its mask, and the image with the kept part in place
_SEARCH = 160 << 20  # the search for neighbors, whose blocks are of one size
_NEIGHBOR_COPIES = 2.5  # of the neighbors' features in the widest layer in float32

_SIDES = range(2560, 255, -64)  # of tiles in pixels; larger ones gain little


class _Pace(NamedTuple):
    """How long work takes on a kind of device, by measurements (see docs/benchmarks.md).

    Attributes:
        share: the part of the rate of matrix products that a step reaches.
        neighbors: factor on a step with neighbors, which are bound by memory.
        scale: seconds to set up a scale, beside what grows with its size.
        graph: seconds to prepare the graph of a step.
    """

    share: float
    neighbors: float
    scale: float
    graph: float


_CPU_PACE, _GPU_PACE = _Pace(0.9, 1.6, 0.5, 1.0), _Pace(0.25, 1.2, 3.8, 2.2)
# In steps of the scale: to set it up, without neighbors and with them; at the end, the scores and
# the files of a run.
_SETUP_STEPS, _NEIGHBORS_SETUP_STEPS, _END_STEPS = 1.5, 7.0, 8.0


class CostModel:
    """Memory and operations of a run's steps.

    Args:
        architecture: of the network.
        held_bytes: of the pictures that the run has read.
        regions: with styles of their own.
        keeps: whether a part of the photo stays as it is.
        layers: whose features are used; by default those of the settings.
    """

    def __init__(
        self,
        settings: Settings,
        precision: str,
        architecture: Architecture,
        held_bytes: int = 0,
        regions: int = 0,
        *,
        keeps: bool = False,
        layers: tuple[str, ...] | None = None,
    ):
        self._settings, self._precision, self._held_bytes = settings, precision, held_bytes
        self._regions, self._keeps = regions, keeps
        self._optimizer = facts_of(settings.optimizer)
        layers = settings.layers if layers is None else layers
        self._architecture, self._network = architecture, architecture.cost(layers)
        used = [architecture[layer] for layer in layers]
        self._field = tiles.receptive_field(used, settings.least_stride)

    @classmethod
    def of_run(cls, settings: Settings, precision: str, inputs: Inputs) -> "CostModel":
        """The costs of a run of these inputs."""
        masks = inputs.masks
        return cls(
            settings,
            precision,
            inputs.architecture(settings),
            inputs.held_bytes,
            masks.count,
            keeps=masks.keep is not None,
            layers=inputs.layers(settings),
        )

    def choose_tile_size(
        self, scales: Sequence[Scale], budget: MemoryBudget, *, state_on_host: bool = False
    ) -> int | None:
        """The longest side of tiles in pixels, or None for whole pictures.

        Args:
            state_on_host: whether the image and the optimizer's state are elsewhere.

        Raises:
            InputError: even the smallest tiles do not fit, or a given size is too small, or too
                large for the device or for `--memory_limit`. What is free is only estimated, so it
                does not rule out a given size.
        """
        if self._settings.tile_size == "auto":
            return self._fitting_tile_size(scales[-1], budget, state_on_host)
        given = self._settings.tile_size
        side = None if given == "none" else int(given)
        self._check_tile_size(scales[-1], side, budget, state_on_host)
        return side

    def _check_tile_size(
        self, largest: Scale, side: int | None, budget: MemoryBudget, state_on_host: bool
    ) -> None:
        """Raise an InputError unless tiles of the given size fit the largest scale."""
        given, most_pixels = self._settings.tile_size, self._most_pixels(budget)
        pixels = max(tile.pixels for tile in self._tiles(largest, side))
        if pixels > most_pixels:
            raise InputError(
                f"--tile_size={given}: tiles of {pixels} pixels exceed this device's limit "
                f"of {most_pixels:.0f}; use --tile_size=auto"
            )
        needed = self.peak_bytes(largest, side, state_on_host)
        if self._settings.memory_limit and needed > budget.bytes:
            is_cut = self._architecture.is_local
            raise InputError(
                f"--tile_size={given}: {largest.width}x{largest.height} then needs about "
                f"{needed / GIB:.1f} GiB, but {self._allowed(budget)}; use "
                + ("--tile_size=auto" if is_cut else "a smaller --size")
            )

    def _fitting_tile_size(
        self, largest: Scale, budget: MemoryBudget, state_on_host: bool
    ) -> int | None:
        """The size of tiles that takes the least work of those that fit; None: the whole fits."""
        too_many = largest.pixels > self._most_pixels(budget)
        if not too_many and self.peak_bytes(largest, None) <= budget.bytes:
            return None
        if not self._architecture.is_local:
            if too_many:
                raise InputError(
                    f"--size={self._settings.size}: {largest.width}x{largest.height} has more "
                    "pixels than this device can index at once; use a smaller --size"
                )
            raise self._too_large(largest, self.peak_bytes(largest, None), budget)
        sides = [side for side in _SIDES if side >= 4 * self._field.halo + self._field.stride]
        needed = {side: self.peak_bytes(largest, side, state_on_host) for side in sides}
        if fitting := [side for side in sides if needed[side] <= budget.bytes]:
            # Not just the largest: if its last row of tiles is small, overlaps cost more.
            return min(fitting, key=lambda side: sum(t.pixels for t in self._tiles(largest, side)))
        raise self._too_large(largest, needed[sides[-1]], budget)

    def check_batch(self, scales: Sequence[Scale], count: int, budget: MemoryBudget) -> None:
        """Raise an InputError unless `count` whole pictures fit at once."""
        largest = scales[-1]
        pictures = f"--batch={count}: {count} pictures of {largest.width}x{largest.height}"
        if count * largest.pixels > self._most_pixels(budget):
            raise InputError(f"{pictures} have more pixels than this device can index at once")
        needed = _BASE + count * (self.peak_bytes(largest, None) - _BASE)
        if needed > budget.bytes:
            raise InputError(
                f"{pictures} need about {needed / GIB:.1f} GiB at once; "
                f"{self._allowed(budget)}; use a smaller --batch"
            )

    def describe(
        self,
        scales: Sequence[Scale],
        tile_size: int | None,
        flops_per_second: float,
        so_far: int = 0,
        *,
        on_gpu: bool = False,
        xla: bool | str = False,
    ) -> tuple[str, str]:
        """Two lines for the user: the steps of each scale, and what they take.

        Args:
            so_far: bytes that the process has taken at most, as for reading pictures.
            flops_per_second, on_gpu, xla: as in `seconds`.
        """
        seconds, around = self.seconds(scales, tile_size, flops_per_second, on_gpu=on_gpu, xla=xla)
        first, *others = (f"{it.steps} {{}}at {it.width}x{it.height}" for it in scales)
        unit = "step " if scales[0].steps == 1 else "steps "
        most = max(so_far, *(self.peak_bytes(scale, tile_size) for scale in scales))
        return (
            ", ".join([first.format(unit), *(other.format("") for other in others)]),
            f"about {format_seconds(sum(seconds) + around)}, up to about {most / GIB:.1f} GiB, "
            + (f"in tiles of {tile_size} px" if tile_size else "in whole pictures"),
        )

    def seconds(
        self,
        scales: Sequence[Scale],
        tile_size: int | None,
        flops_per_second: float,
        *,
        on_gpu: bool = False,
        xla: bool | str = False,
    ) -> tuple[list[float], float]:
        """Seconds of the steps of each scale, and of all that a run does beside steps.

        Args:
            flops_per_second: of matrix products on the device.
            on_gpu: whether that is a GPU.
            xla: as in the plan.
        """
        pace, has_neighbors = (
            _GPU_PACE if on_gpu else _CPU_PACE,
            bool(self._settings.neighbor_layers),
        )
        rate = pace.share * flops_per_second / (pace.neighbors if has_neighbors else 1.0)
        waiting = waiting_pixels(self._settings, self._precision, on_gpu=on_gpu)
        steps = [
            self.step_flops(scale, tile_size) * (1.0 + waiting / scale.pixels) / rate
            for scale in scales
        ]
        compiling = XlaFigures()
        seconds = [
            compiling.seconds(step, scale.steps, xla)
            for step, scale in zip(steps, scales, strict=True)
        ]
        graphs = len(scales)
        if serves_any_size(self._settings, tile_size, xla):
            graphs = len({scale.by_layer for scale in scales})
        around = len(scales) * pace.scale + graphs * pace.graph
        around += (_NEIGHBORS_SETUP_STEPS if has_neighbors else _SETUP_STEPS) * sum(steps)
        return seconds, around + _END_STEPS * steps[-1]

    def peak_bytes(self, scale: Scale, side: int | None, state_on_host: bool = False) -> int:
        """Peak resident memory of the process, as measured on CPUs, with tiles of this side; what a
        device takes of it where the image and the optimizer's state are on the host."""
        settings, size = self._settings, _BYTES[self._precision]
        kept = self._network.kept * size * _OVERHEAD[self._precision]
        largest = max(tile.pixels for tile in self._tiles(scale, side))
        held = self._optimizer.images + bool(settings.average)
        held += self._optimizer.images_per_history * settings.history
        images = float(_IMAGES + held + bool(settings.style_colors))  # the photo in both colors
        if settings.variables == "pyramid":
            images += (1 + held) / 3 + _PYRAMID_IMAGES  # 4/3 coefficients for each pixel
        if self._keeps:
            images += _KEPT_IMAGES
        if state_on_host:
            images = 1.0  # the content
        # Features of the content; of styles only matrices are kept, whatever their number.
        targets = sum(layer.features for layer in self._named(settings.content_layers))
        own = kept * largest + (images * _PIXEL + targets * size) * scale.pixels
        if self._regions:
            widest = max((layer.features for layer in self._styled()), default=0.0)
            own += self._regions * 4 * (widest * largest + _MASK_FLOATS * scale.pixels)
        if settings.neighbor_layers:
            own = self._with_neighbors(own, largest, scale)
        return round(_BASE + self._held_bytes + own)

    def _with_neighbors(self, own: float, largest: int, scale: Scale) -> float:
        """Bytes of a step with neighbors, and of the search for them.

        Args:
            own: bytes of a step without them.
            largest: pixels of the largest tile.
        """
        neighbors = HypercolumnNeighbors
        compared = self._named(self._settings.neighbor_layers)
        vectors = min(scale.pixels / neighbors.spacing**2, neighbors.most_vectors)
        held = vectors * sum(layer.channels for layer in compared) * _BYTES[self._precision]
        widest = max(layer.channels for layer in compared)
        return own + held + _SEARCH + _NEIGHBOR_COPIES * 4 * widest * largest / neighbors.spacing**2

    def step_flops(self, scale: Scale, side: int | None) -> float:
        """Floating-point operations of a step: forward and backward, in tiles forward twice."""
        grams = sum(2 * layer.channels * layer.features for layer in self._styled())
        grams *= max(1, self._regions)
        parts = self._tiles(scale, side)
        passes = 2 if len(parts) == 1 else 3
        return sum(tile.pixels for tile in parts) * (passes * self._network.flops + 2 * grams)

    def _styled(self) -> list[Layer]:
        """The layers whose moments are compared with those of the styles."""
        return self._named(self._settings.style_layers)

    def _named(self, names: Sequence[str]) -> list[Layer]:
        return [self._architecture[name] for name in names]

    def _tiles(self, scale: Scale, side: int | None) -> tuple[tiles.Tile, ...]:
        return tiles.plan_tiles(scale.height, scale.width, side, self._field)

    def _most_pixels(self, budget: MemoryBudget) -> float:
        """The most pixels that can go through the network at once, by the number of features."""
        return budget.features / self._network.largest

    def _too_large(self, scale: Scale, needed: int, budget: MemoryBudget) -> InputError:
        settings, history, advice = self._settings, "", "or more memory"
        if self._optimizer.images_per_history:
            history = f" --history={settings.history}"
            advice = "a smaller --history or --optimizer=adam"
        amount = f"{needed / GIB:.1f} GiB"
        how = f"{amount} even in small tiles"
        if not self._architecture.is_local:
            how = f"{amount}, since pictures are not cut into tiles with your own extractor"
        return InputError(
            f"--size={settings.size}: {scale.width}x{scale.height} with --optimizer="
            f"{settings.optimizer}{history} needs about {how}, "
            f"but {self._allowed(budget)}; use a smaller --size, {advice}"
        )

    def _allowed(self, budget: MemoryBudget) -> str:
        """What of memory there is, for messages."""
        if limit := self._settings.memory_limit:
            return f"--memory_limit allows {limit / GIB:.2g} GiB"
        return f"{budget.bytes / GIB:.1f} GiB are available"


def waiting_pixels(settings: Settings, precision: str, *, on_gpu: bool) -> int:
    """What of a step does not depend on the picture's size, as work on so many pixels more.

    On a GPU, that is waiting for the host; on a CPU, work on matrices of channels, in float32.
    """
    if on_gpu:
        return 700_000 if settings.neighbor_layers else 200_000
    return 7_000 if precision == "float32" else 20_000
