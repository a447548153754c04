"""What a job needs before its first step: its inputs read, its settings settled, its pace."""

import dataclasses
import gc
import os
import time
from collections.abc import Callable, Sequence

import numpy as np

from nst_keras.devices import memory, startup
from nst_keras.devices.replicas import ALONE, Replicas
from nst_keras.imaging import geometry, images
from nst_keras.network import extractor
from nst_keras.network import weights as weights_lib
from nst_keras.network.weights import Weights
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer import cost, scales
from nst_keras.transfer.controller import Controller
from nst_keras.transfer.problem import FeatureExtractors, StyleTransferProblem
from nst_keras.transfer.scale_run import ScaleRun
from nst_keras.transfer.scales import Scale

PictureLike = str | os.PathLike | np.ndarray


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for: the arguments of `loop.stylize`, which tells of them."""

    content: PictureLike
    styles: PictureLike | Sequence[PictureLike]
    config: Config
    weights: Weights | None = None
    checkpointer: Checkpointer | None = None
    replicas: Replicas = ALONE
    is_dropped: Callable[[], bool] = lambda: False


@dataclasses.dataclass
class Prepared:
    """A job before its first step."""

    painter: StyleTransferProblem  # with the config resolved and settled
    checkpointer: Checkpointer | None
    saved: Checkpoint | None  # what it goes on from, until that is taken

    def course(self) -> Controller:
        """Its course, from now on."""
        painter = self.painter
        return Controller(
            painter.config, painter.plan, self.checkpointer, self.saved, painter.replicas
        )

    def take_state(self) -> dict[str, np.ndarray] | None:
        """What the scale that it goes on at was saved with, once: the arrays are large."""
        saved, self.saved = self.saved, None
        return saved.arrays if saved else None


def prepare(request: Request, networks: FeatureExtractors | None = None) -> Prepared:
    """Read and settle all of a job.

    Args:
        networks: of a job with the same settings, to be used for this one, too.
    """
    config, replicas = resolve(request.config), request.replicas
    saved = request.checkpointer.latest() if request.checkpointer else None
    config = dataclasses.replace(config, precision=_settled_precision(config.precision, saved))
    content, styles = _read_pictures(request, config)
    plan = scales.plan_job(config, content.shape[:2])
    if saved and saved.step > plan[-1].last_step:
        raise InputError(f"--workdir: its checkpoint is of step {saved.step}, beyond the last one")
    if networks is None:
        networks = FeatureExtractors(config, request.weights or load_weights(config), replicas)
    room = memory.memory_budget(config.memory_limit, len(replicas.devices))
    tile_size = cost.settle_tile_size(config, plan, room, networks.channels)
    tile_size = _agree(replicas, saved.step if saved else 0, tile_size)
    config = dataclasses.replace(config, tile_size=tile_size or "none")
    painter = StyleTransferProblem(
        config, content, styles, networks, plan, replicas, request.is_dropped
    )
    return Prepared(painter, request.checkpointer, saved)


def _read_pictures(request: Request, config: Config) -> tuple[np.ndarray, list[np.ndarray]]:
    """The content, cut as `--fit` says, and the styles: float32 RGB in [0, 1], (H, W, 3)."""
    styles = request.styles
    if isinstance(styles, (str, os.PathLike, np.ndarray)):
        styles = [styles]
    if not len(styles) or len(config.style_blend) not in (0, len(styles)):
        raise InputError(f"{len(styles)} styles with style_blend={config.style_blend}")
    most = config.max_megapixels * 10**6
    content = geometry.crop_to_fit(_pixels(request.content, "content", most), config.fit)
    return content, [_pixels(style, "style", most) for style in styles]


def _agree(replicas: Replicas, step: int, tile_size: int | None) -> int | None:
    """The chief's size of tiles. No host goes on before all are here.

    Raises:
        InputError: this host would go on from another step.
    """
    chiefs_step, chiefs_size = (
        int(number) for number in replicas.from_chief((step, tile_size or 0))
    )
    if step != chiefs_step:
        raise InputError(
            f"--workdir: its newest checkpoint is of step {step} here and of step {chiefs_step} on "
            "the first host; all hosts must see one folder"
        )
    return chiefs_size or None


def load_weights(config: Config) -> Weights:
    """The backbone's weights that `--weights` names."""
    if config.weights == "imagenet":
        return extractor.imagenet_weights(config.backbone)
    path = weights_lib.embedded_path() if config.weights == "embedded" else config.weights
    return weights_lib.read_weights(path, config.backbone)


def measure_step_seconds(
    content: np.ndarray,
    styles: Sequence[np.ndarray],
    config: Config,
    weights: Weights,
    replicas: Replicas = ALONE,
    tile_size: int | None = None,
) -> tuple[tuple[Scale, ...], tuple[float, ...], float]:
    """The plan, seconds per step at each of its scales, and seconds to set a scale up.

    Times a few steps at the coarsest and the finest scale; between them, time is linear in pixels.

    Args:
        content, styles: RGB in [0, 1], float32 (H, W, 3).
        config: resolved, of a settled precision.
        tile_size: px, the longest side of a tile; None: whole pictures.
    """
    plan = scales.plan_job(config, content.shape[:2])
    painter = StyleTransferProblem(
        config, content, styles, FeatureExtractors(config, weights, replicas), plan, replicas
    )
    first, last = plan[0], plan[-1]
    image = painter.first_image()
    coarse, coarse_setup = _time_scale(painter, first, image, tile_size)
    fine, fine_setup = coarse, coarse_setup
    if last is not first:
        image = geometry.resize(image, last.height, last.width)
        gc.collect()  # as between the scales of a job
        fine, fine_setup = _time_scale(painter, last, image, tile_size)
    slope = (fine - coarse) / max(last.pixels - first.pixels, 1)
    seconds = tuple(coarse + slope * (scale.pixels - first.pixels) for scale in plan)
    return plan, seconds, max(coarse_setup, fine_setup)


def _settled_precision(precision: str, saved: Checkpoint | None) -> str:
    """That of the saved state, so that a job ends as it began on whatever device it goes on."""
    if saved is None or "precision" not in saved.arrays:  # older versions did not keep it
        return startup.settle_precision(precision, announce=True)
    there = str(saved.arrays["precision"])
    if precision not in ("auto", there):
        raise InputError(
            f"--precision={precision}: the state after step {saved.step} was computed in {there}; "
            f"go on with --precision={there} or auto, or give another folder"
        )
    return there


def _pixels(picture: PictureLike, name: str, max_pixels: int) -> np.ndarray:
    """Float32 RGB in [0, 1], (H, W, 3), of a path or an array."""
    if not isinstance(picture, np.ndarray):
        return images.read_image(picture, f"--{name}", max_pixels).pixels
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise InputError(f"{name}: has shape {picture.shape}; (height, width, 3) is needed")
    if min(picture.shape[:2]) < geometry.MIN_SIDE:
        raise InputError(
            f"{name}: {picture.shape} is too small; a side needs {geometry.MIN_SIDE} px"
        )
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) / 255.0
    pixels = np.asarray(picture, np.float32)
    if not (np.isfinite(pixels).all() and pixels.min() >= 0.0 and pixels.max() <= 1.0):
        raise InputError(f"{name}: floats must be in [0, 1]; uint8 may be 0..255")
    return pixels


def _time_scale(
    painter: StyleTransferProblem, scale: Scale, image: np.ndarray, tile_size: int | None
) -> tuple[float, float]:
    """Seconds of one step, and of setting the scale up."""
    began = time.perf_counter()
    stage = ScaleRun(painter, scale, lambda: image, tile_size=tile_size)
    stage.run(1)
    setup = time.perf_counter() - began
    began = time.perf_counter()
    stage.run(2)
    step = (time.perf_counter() - began) / 2
    return step, max(setup - step, 0.0)
