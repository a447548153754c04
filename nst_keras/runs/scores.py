"""Scores of a finished picture: how much of the scene is left, how close it is to the look of the
styles, and how much noise it has.

They compare runs of any objectives if size, network and held-out layers are the same. Pictures are
float32 sRGB in [0, 1], (H, W, 3). Luma follows Rec. 601, from the encoded values.
"""

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nst_keras.imaging import geometry
from nst_keras.network import extractor, vgg
from nst_keras.network.pooling import mean_of_squares
from nst_keras.network.weights import Weights
from nst_keras.objective.moments import gram_sums
from nst_keras.objective.regions import Region, StyleShare
from nst_keras.runs.score_table import HELD_OUT, held_out_layers
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.picture_regions import PictureRegions

_log = logging.getLogger(__name__)

MAX_SIDE = 1024  # px; larger pictures are reduced, to limit the memory of a forward pass
CONTENT_LAYER = "block4_conv2"  # where Gatys et al. 2016 compare contents

# Pixels mirrored at each border for the network and cut off from its features: its zero padding
# looks the same in all pictures, which would count as likeness. A multiple of all strides; the
# receptive field of CONTENT_LAYER has a radius of 42 px.
_MARGIN = 48
_FLOOR = 1e-6  # below this the mean square of a Gram matrix counts as zero, as in objectives
_ROUNDING = (1 / 255) ** 2 / 12  # variance of rounding to 8 bits
_CALM = 1e-3  # added to roughness, so that ratios of flat pictures are finite

_GAUSSIAN = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_GAUSSIAN /= _GAUSSIAN.sum()
_TO_XYZ = np.array(  # IEC 61966-2-1, by rows R, G, B; then relative to white, D65
    [
        [0.4124564, 0.2126729, 0.0193339],
        [0.3575761, 0.7151522, 0.1191920],
        [0.1804375, 0.0721750, 0.9503041],
    ]
)
_TO_XYZ /= _TO_XYZ.sum(axis=0)
# The axes and diagonals of a cube, one of each opposite pair: spread evenly over the sphere.
_DIRECTIONS = np.array([d for d in itertools.product((-1, 0, 1), repeat=3) if d > (0, 0, 0)], float)
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)
_BIN, _REACH = 0.5, 150.0  # CIELAB units; the color of sRGB farthest from 0, blue, is at 138


class Scorer:
    """Scores pictures by one network, which is built once: as it was trained, with max pooling and
    zero padding, in float32, whatever the objective used.

    `held_out` are the layers of the Gram errors, see `held_out_layers`. Raises InputError if the
    backbone lacks one.
    """

    def __init__(self, weights: Weights, held_out: Sequence[str] = HELD_OUT):
        self._network = vgg.architecture(weights.backbone)
        self.held_out = tuple(self._network.canonical(name, "held_out") for name in held_out)
        self._extractor = extractor.feature_extractor(weights, (*self.held_out, CONTENT_LAYER))
        self._looks: dict[int, Callable] = {}  # by the number of regions

    def score(
        self,
        picture: np.ndarray,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        style_blend: Sequence[float] = (),
        regions: PictureRegions | None = None,
    ) -> dict[str, float]:
        """The scores of a picture by name, all finite; `gram_error/LAYER` for each held-out layer.

        If a side is above `MAX_SIDE`, picture and styles are reduced by one factor first. Raises
        ValueError if a shape is not (H, W, 3), a side is under 16 px, values are not finite, or the
        number of shares differs from that of the styles.

        Args:
            content: of any size; it is resized to that of the picture.
            styles: at the size that the objective used: the size of strokes counts.
            style_blend: a share for each style, scaled to a sum of 1; equal by default.
            regions: with styles of their own, of any size: how close the picture is to the look of
                its styles is then the mean over regions, by their area.
        """
        shares = _shares(len(styles), style_blend)
        for pixels in (picture, content, *styles):
            _check(pixels)
        picture, *styles = _reduced([picture, *styles])
        content = geometry.resize(content, *picture.shape[:2])
        parts = _parts(picture, styles, shares, regions)
        areas = np.array([part.area for part in parts]) / sum(part.area for part in parts)
        grams, scene = self._measure(picture, [part.mask for part in parts])
        target_scene = self._measure(content, [np.ones(content.shape[:2])])[1]
        targets = self._style_grams(styles, parts)
        figures = {}
        for layer in self.held_out:
            errors = [
                gram_error(own[layer], target[layer])
                for own, target in zip(grams, targets, strict=True)
            ]
            figures[f"gram_error/{layer}"] = float(areas @ errors)
        figures["content_cosine"] = content_cosine(scene, target_scene)
        figures["ssim"] = ssim(picture, content)
        figures["edge_correlation"] = edge_correlation(picture, content)
        distances = [
            color_distance(
                picture,
                styles,
                [own.share for own in part.styles],
                [part.mask, *(own.mask for own in part.styles)],
            )
            for part in parts
        ]
        figures["color_distance"] = float(areas @ distances)
        shares = list(areas @ [[own.share for own in part.styles] for part in parts])
        for figure in (total_variation, high_frequency):
            own, source, *looks = (figure(it) + _CALM for it in (picture, content, *styles))
            # Strokes may be rougher than the photo, but only noise is rougher than both inputs.
            figures[figure.__name__] = own / max(source, float(np.dot(shares, looks)))
        return figures

    def _style_grams(
        self, styles: Sequence[np.ndarray], parts: Sequence[Region]
    ) -> list[dict[str, np.ndarray]]:
        """The Gram matrices of each part's styles, blended."""
        blended: list[dict[str, Any]] = [dict.fromkeys(self.held_out, 0.0) for _ in parts]
        for number, style in enumerate(styles):
            shares = [part.styles[number] for part in parts]
            everywhere = np.ones(style.shape[:2], np.float32)
            masks = [everywhere if own.mask is None else own.mask for own in shares]
            grams, _ = self._measure(style, masks)
            for target, own, gram in zip(blended, shares, grams, strict=True):
                for layer in self.held_out:
                    target[layer] = target[layer] + own.share * gram[layer]
        return blended

    def _measure(
        self, picture: np.ndarray, masks: Sequence[np.ndarray]
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
        """Gram matrices per position of the held-out layers, of the part that each mask shows, and
        the features of CONTENT_LAYER."""
        margins = ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
        image = tf.constant(np.pad(picture, margins, "symmetric")[None])
        weights = tf.constant(np.stack(masks, axis=-1)[None], tf.float32)
        grams, scene = self._look(len(masks))(image, weights)
        parts = [
            {layer: gram.numpy()[number] for layer, gram in grams.items()}
            for number in range(len(masks))
        ]
        return parts, scene.numpy()[0]

    def _look(self, regions: int) -> Callable:
        """The statistics of pictures of any size, which share one trace for a number of regions."""
        if regions not in self._looks:
            any_size = [tf.TensorSpec((1, None, None, count), tf.float32) for count in (3, regions)]
            look = tf.function(self._statistics, input_signature=any_size, autograph=False)
            # Otherwise TensorFlow would warn after some runs that one function is traced often.
            self._looks[regions] = look.get_concrete_function()
        return self._looks[regions]

    def _statistics(
        self, image: tf.Tensor, weights: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        grams, features = {}, {}
        for layer, found in self._extractor(image).items():
            cut = _MARGIN // self._network[layer].stride
            features[layer] = found[:, cut:-cut, cut:-cut]
        for layer in self.held_out:
            own = mean_of_squares(weights, self._network[layer].stride)
            sums, _ = gram_sums(features[layer], own)
            count = tf.reduce_sum(own, axis=(0, 1, 2))[:, None, None]
            grams[layer] = tf.math.divide_no_nan(sums, count)
        return grams, features[CONTENT_LAYER]


class _SameScorer:
    """Makes scorers, and gives the last one again for the same network: runs of a process, and
    pictures of a batch, share what is traced for it."""

    def __init__(self) -> None:
        self._last: tuple[Weights, tuple[str, ...], Scorer] | None = None

    def __call__(self, weights: Weights, held_out: tuple[str, ...]) -> Scorer:
        if last := self._last:
            same, names, scorer = last
            if names == held_out and same.equals(weights):
                return scorer
        scorer = Scorer(weights, held_out)
        self._last = weights, held_out, scorer
        return scorer


_scorer_of = _SameScorer()


def score_result(last: Iterate) -> dict[str, float]:
    """The scores of a run's result by name; none, with a warning, if there is too little memory."""
    try:
        sources = last.references()
        held_out = held_out_layers(sources.style_layers, sources.weights.backbone)
        scorer = _scorer_of(sources.weights, held_out)
        return scorer.score(
            last.image, sources.content, sources.styles, sources.style_blend, sources.regions
        )
    except (tf.errors.ResourceExhaustedError, MemoryError):
        _log.warning("scores: there is not enough memory")
        return {}


def gram_error(gram: np.ndarray, target: np.ndarray) -> float:
    """|G - A|^2 / |A|^2 (Frobenius) of Gram matrices per position (N, N).

    0 for equal matrices, 1 without any features, no upper bound. It is the relative style term of
    Gatys et al. 2016 (equation 4, without its constants), at a layer that was not optimized.
    """
    floor = _FLOOR * target.size
    return float(np.square(gram - target).sum() / max(np.square(target).sum(), floor))


def content_cosine(features: np.ndarray, target: np.ndarray) -> float:
    """Cosine of the features (h, w, N) of two pictures, after subtracting each channel's mean.

    In [-1, 1]; 0 if features are the same at all positions. After a ReLU all features are positive,
    so plain cosines of unrelated pictures are high. Without the means, which a style changes, what
    is left is which things are where.
    """
    least = 1e-4 * float(np.sqrt(np.square(target).mean()))  # flat pictures have rounding errors
    return _cosine(features - features.mean((0, 1)), target - target.mean((0, 1)), least)


def ssim(picture: np.ndarray, content: np.ndarray) -> float:
    """Mean structural similarity of two pictures of one size (Wang et al. 2004).

    From luma, with their 11x11 Gaussian window of sigma 1.5, K = 0.01 and 0.03, and no padding. In
    [-1, 1], 1 for equal pictures. Even a gray picture may reach 0.4 if the content is smooth.
    """
    planes = (tf.constant(luma(it)[..., None], tf.float32) for it in (picture, content))
    return float(tf.image.ssim(*planes, max_val=1.0))


def edge_correlation(picture: np.ndarray, content: np.ndarray) -> float:
    """Pearson correlation of the edge strengths of two pictures of one size.

    Edge strength is the gradient magnitude of luma after smoothing by a Gaussian of sigma 1.5 px
    (Canny 1986), which ignores grain, brightness and color. In [-1, 1]; 0 if a picture is flat.
    """
    edges, target = _edges(picture), _edges(content)
    return _cosine(edges - edges.mean(), target - target.mean(), least=1e-6)


def color_distance(
    picture: np.ndarray,
    styles: Sequence[np.ndarray],
    shares: Sequence[float],
    masks: Sequence[np.ndarray | None] | None = None,
) -> float:
    """Sliced Wasserstein-1 distance to the mixture of the styles' colors, in CIELAB units (D65).

    It says how far the color of a pixel must move along a direction of CIELAB, as a mean over
    pixels and 13 directions (Rabin et al. 2011). 0 for the same colors in the same shares, wherever
    they are; about d / 2 if all colors are shifted by d.

    Args:
        masks: of the picture and of each style, how much each pixel counts; None: all alike.
    """
    own, *of_styles = masks or [None] * (1 + len(styles))
    mixture = sum(
        share * _projections(style, mask)
        for share, style, mask in zip(shares, styles, of_styles, strict=True)
    )
    gaps = np.cumsum(_projections(picture, own) - mixture, axis=1)
    return float(np.abs(gaps).sum(axis=1).mean() * _BIN)


def total_variation(picture: np.ndarray) -> float:
    """Mean |dx| + mean |dy| between neighbors, per pixel and channel (Rudin et al. 1992)."""
    return float(sum(np.abs(np.diff(picture, axis=axis)).mean(dtype=float) for axis in (0, 1)))


def high_frequency(picture: np.ndarray) -> float:
    """Share, 0 to 1, of the power of luma above half the Nyquist frequency, 1/4 per px.

    The mean is subtracted, and a Hann window hides the jump between opposite borders. White noise
    has 1 - pi / 16 = 0.80, photographs about 0.01 to 0.1, flat pictures 0.
    """
    plane = luma(picture)
    height, width = plane.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    plane = (plane - np.average(plane, weights=window)) * window
    power = np.square(np.abs(np.fft.fft2(plane)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    rounding = plane.size * np.square(window).sum() * _ROUNDING  # its power, by Parseval
    return float(power[frequency > 0.25].sum() / (power.sum() + rounding))


def luma(picture: np.ndarray) -> np.ndarray:
    """Convert sRGB (H, W, 3) to luma (H, W) in float64."""
    return picture.astype(np.float64) @ (0.299, 0.587, 0.114)


def lab(picture: np.ndarray) -> np.ndarray:
    """Convert sRGB (..., 3) to CIELAB (D65) in float64: L 0 to 100, a and b about -108 to 99."""
    encoded = picture.astype(np.float64)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ
    dark = xyz * (29 / 6) ** 2 / 3 + 4 / 29
    x, y, z = np.moveaxis(np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), dark), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _projections(picture: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Histograms of the colors of a picture along each direction, (13, bins); each sums to 1."""
    colors, bins = lab(picture.reshape(-1, 3)), round(2 * _REACH / _BIN)
    weights = None if mask is None or not mask.any() else mask.reshape(-1)
    along = (colors @ direction for direction in _DIRECTIONS)
    counts = [np.histogram(values, bins, (-_REACH, _REACH), weights=weights)[0] for values in along]
    return np.array(counts) / (len(colors) if weights is None else weights.sum(dtype=np.float64))


def _edges(picture: np.ndarray) -> np.ndarray:
    """Gradient magnitude of smoothed luma, per px, (H, W)."""
    smooth = np.pad(luma(picture), 5, "symmetric")
    for axis in (0, 1):
        smooth = np.lib.stride_tricks.sliding_window_view(smooth, 11, axis) @ _GAUSSIAN
    return np.hypot(*np.gradient(smooth))


def _cosine(a: np.ndarray, b: np.ndarray, least: float) -> float:
    """Cosine of two arrays; 0 if the root mean square of one is not above `least`."""
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if min(norms) <= least * np.sqrt(a.size):
        return 0.0
    return float(np.clip(np.vdot(a, b) / np.prod(norms), -1, 1))


def _shares(count: int, style_blend: Sequence[float]) -> list[float]:
    blend = list(style_blend) or [1.0] * count
    if not count or len(blend) != count or min(blend) < 0 or not 0 < sum(blend) < np.inf:
        raise ValueError(f"{count} styles, but style_blend={tuple(style_blend)}")
    return [share / sum(blend) for share in blend]


def _parts(
    picture: np.ndarray,
    styles: Sequence[np.ndarray],
    shares: Sequence[float],
    regions: PictureRegions | None,
) -> tuple[Region, ...]:
    """The regions at the size of the picture, with shares that sum to 1; all of it as one region if
    there are none."""
    if regions is None or not regions.regions:
        everywhere = np.ones(picture.shape[:2], np.float32)
        return (Region(everywhere, tuple(map(StyleShare, shares))),)
    found = regions.at(picture.shape[:2], [style.shape[:2] for style in styles])
    return tuple(part.with_shares_of_1() for part in found)


def _check(picture: np.ndarray) -> None:
    if picture.ndim != 3 or picture.shape[-1] != 3 or min(picture.shape[:2]) < geometry.MIN_SIDE:
        raise ValueError(f"shape {picture.shape}: must be (H, W, 3), from {geometry.MIN_SIDE} px")
    if not np.isfinite(picture).all():
        raise ValueError("a picture has values that are not finite")


def _reduced(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Reduce all pictures by one factor, so that no side is above MAX_SIDE, and clip them.

    Pictures of which a side would get too short for the network are reduced by less.
    """
    factor = min(1.0, MAX_SIDE / max(max(pixels.shape) for pixels in pictures))
    reduced = []
    for pixels in pictures:
        size = pixels.shape[:2]
        longest = max(geometry.least_longest(size), round(max(size) * factor))
        reduced.append(geometry.resize(pixels, *geometry.fit_size(size, longest)))
    return reduced
