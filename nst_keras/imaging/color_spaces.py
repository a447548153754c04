"""Color spaces that files describe by primaries and curves, and the conversion of them to sRGB.

The numbers are those of ITU-T H.273 (2021), tables 2 and 3, which PNG (cICP), AVIF and HEIF (nclx)
refer to. PNG's gAMA and cHRM and ICC profiles of matrices and curves describe spaces of the same
kind.
"""

import dataclasses
import struct
from collections.abc import Callable, Sequence

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]  # from values in [0, 1] to light, 1 for white
Point = tuple[float, float]  # chromaticity (x, y)

D65: Point = (0.3127, 0.3290)
_D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the white of ICC's connection space
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
# HDR counts in cd/m2. 203 of them are the white of graphics and of paper (ITU-R BT.2408).
_WHITE_NITS, _PQ_PEAK, _HLG_PEAK = 203.0, 10000.0, 1000.0
_KNEE = 0.75  # light above this share of white is compressed where light exceeds white
_STRIP_VALUES = 1 << 20
_INVERSE_STEPS = 1 << 14
_WORST_CONDITION = 1e3  # of a matrix of primaries; that of Display P3 is 3
_SAME_MATRIX, _SAME_LIGHT = 2e-3, 1e-3  # of sRGB, and of a profile of it with rounded numbers
_SAME_GAMMA = 0.05  # libpng, too, takes gammas for equal that differ by less than this share


@dataclasses.dataclass(frozen=True)
class ColorSpace:
    """RGB or gray whose values are light encoded by curves.

    Attributes:
        name: for people, such as 'BT.2020 with PQ'.
        to_xyz: the matrix (3, 3) from linear RGB to XYZ, adapted to the white D50.
        curves: one for each channel, or one for all.
        peak: the light of the value 1; above 1 it is compressed so that all is at most 1.
    """

    name: str
    to_xyz: np.ndarray
    curves: tuple[Curve, ...]
    peak: float = 1.0

    @property
    def is_gray(self) -> bool:
        """Whether it is of gray alone."""
        return self.name == "gray"

    @property
    def is_srgb(self) -> bool:
        """Whether it is sRGB but for the rounding of a profile's numbers."""
        values = np.linspace(0.0, 1.0, 17)
        same = np.abs(self.to_xyz - _SRGB_TO_XYZ).max() < _SAME_MATRIX and self.peak == 1.0
        apart = (np.abs(curve(values) - srgb_light(values)).max() for curve in self.curves)
        return not self.is_gray and same and max(apart) < _SAME_LIGHT

    def to_srgb(self, values: np.ndarray) -> np.ndarray:
        """RGB (height, width, 3) or gray (height, width) in [0, 1] as sRGB in [0, 1], float32.

        Colors that sRGB does not have are clipped.
        """
        found = np.empty(values.shape, np.float32)
        rows = max(1, _STRIP_VALUES // max(values[0].size, 1))
        for start in range(0, len(values), rows):  # temporaries of a strip instead of the whole
            strip = slice(start, start + rows)
            found[strip] = self._strip_to_srgb(values[strip])
        return found

    def from_srgb(self, values: np.ndarray) -> np.ndarray:
        """sRGB in [0, 1], (height, width, 3), as RGB of this space in [0, 1], float32.

        Colors that this space does not have are clipped.
        """
        found = np.empty(values.shape, np.float32)
        rows = max(1, _STRIP_VALUES // max(values[0].size, 1))
        inverses = [_inverse(curve) for curve in self.curves] * (3 // len(self.curves))
        to_own = np.linalg.solve(self.to_xyz, _SRGB_TO_XYZ).T
        for start in range(0, len(values), rows):
            strip = slice(start, start + rows)
            light = srgb_light(values[strip].astype(np.float64)) @ to_own
            for channel, inverse in enumerate(inverses):
                found[strip][..., channel] = inverse(np.clip(light[..., channel], 0.0, 1.0))
        return found

    def _strip_to_srgb(self, values: np.ndarray) -> np.ndarray:
        if len(self.curves) == 1:
            light = self.curves[0](values)
        else:
            channels = zip(self.curves, np.moveaxis(values, -1, 0), strict=True)
            light = np.stack([curve(channel) for curve, channel in channels], -1)
        if values.ndim == 3:
            light = light @ np.linalg.solve(_SRGB_TO_XYZ, self.to_xyz).T
        light = np.maximum(light, 0)
        return srgb_values(_compressed(light, self.peak) if self.peak > 1 else light)


def from_cicp(primaries: int, transfer: int) -> ColorSpace | None:
    """The color space of two code points; None for sRGB and for what is shown as sRGB.

    The curves of television (1, 6, 14, 15) are shown as that of sRGB, as libavif and libheif do.

    Raises:
        ValueError: a code point is not known.
    """
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        raise ValueError(f"color primaries {primaries} with transfer {transfer}")
    place, points, white = _PRIMARIES[primaries]
    curve_name, curve, peak = _TRANSFERS[transfer]
    if place == "sRGB" and curve is srgb_light:
        return None
    name = place if curve is srgb_light else f"{place} with {curve_name}"
    return ColorSpace(name, xyz_matrix(points, white), (curve,), peak)


def from_gamma(gamma: float | None, chromaticities: Sequence[float] = ()) -> ColorSpace | None:
    """The color space of PNG's gAMA and cHRM; None for what is sRGB but for rounding.

    Args:
        gamma: values are light to this power; None or about 1/2.2 for the curve of sRGB.
        chromaticities: x and y of white, red, green and blue; empty for those of sRGB.

    Raises:
        ValueError: there is no such color space.
    """
    curve: Curve = srgb_light
    shown = "sRGB"
    if gamma is not None:
        if gamma <= 0:
            raise ValueError("a gamma of 0")
        if abs(gamma * 2.2 - 1) > _SAME_GAMMA:
            curve, shown = (
                power(1 / gamma),
                "linear light" if gamma == 1 else f"gamma {1 / gamma:.3g}",
            )
    matrix = _SRGB_TO_XYZ
    if chromaticities:
        white, *points = zip(chromaticities[::2], chromaticities[1::2], strict=True)
        matrix = xyz_matrix(points, white)
    if np.abs(matrix - _SRGB_TO_XYZ).max() < _SAME_MATRIX:
        return None if curve is srgb_light else ColorSpace(shown, _SRGB_TO_XYZ, (curve,))
    return ColorSpace(f"its own primaries with {shown}", matrix, (curve,))


def from_icc(profile: bytes) -> ColorSpace | None:
    """The color space of an ICC profile of gray, or of a matrix and curves; None for others.

    Raises:
        ValueError: the profile is damaged.
    """
    try:
        tags = _icc_tags(profile)
        if profile[16:24] == b"GRAYXYZ " and b"kTRC" in tags:
            return ColorSpace("gray", _SRGB_TO_XYZ, (_icc_curve(tags[b"kTRC"]),))
        if profile[16:24] != b"RGB XYZ " or b"A2B0" in tags or b"rXYZ" not in tags:
            return None
        columns = [struct.unpack(">3i", tags[b"%cXYZ" % name][8:20]) for name in b"rgb"]
        curves = tuple(_icc_curve(tags[b"%cTRC" % name]) for name in b"rgb")
        return ColorSpace("RGB", np.array(columns).T / 65536, curves)
    except (struct.error, KeyError, IndexError) as error:
        raise ValueError("the color profile is damaged") from error


def is_wide(profile: bytes | None) -> bool:
    """Whether an ICC profile is one of RGB, of a matrix that has an inverse and curves, and not of
    sRGB."""
    try:
        space = from_icc(profile) if profile else None
    except ValueError:
        return False
    if space is None or space.is_gray or space.is_srgb:
        return False
    return float(np.linalg.cond(space.to_xyz)) < _WORST_CONDITION


def xyz_matrix(points: Sequence[Point], white: Point = D65) -> np.ndarray:
    """The matrix (3, 3) from linear RGB to XYZ of white D50, from the primaries and the white.

    Raises:
        ValueError: the primaries lie on a line, or a y is 0.
    """
    if any(y <= 0 for _, y in (*points, white)):
        raise ValueError("a chromaticity without light")
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in points]).T
    light = np.array([white[0] / white[1], 1, (1 - sum(white)) / white[1]])
    try:
        matrix = columns * np.linalg.solve(columns, light)
    except np.linalg.LinAlgError as error:
        raise ValueError("primaries on a line") from error
    adapted = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ light))
    return np.linalg.solve(_BRADFORD, adapted @ _BRADFORD @ matrix)


def srgb_light(values: np.ndarray) -> np.ndarray:
    """Light of sRGB values (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def power(exponent: float) -> Curve:
    """The curve of light that is a power of values."""
    return lambda values: values**exponent


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """CIELab of white D50, (height, width, 3), L in [0, 100], as sRGB in [0, 1], float32."""
    y = (lab[..., 0] + 16) / 116
    root = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    linear = (116 * root - 16) * (27 / 24389)
    xyz = np.where(root > 6 / 29, root**3, linear) * _D50
    return srgb_values(np.maximum(xyz @ np.linalg.inv(_SRGB_TO_XYZ).T, 0)).astype(np.float32)


def srgb_values(light: np.ndarray) -> np.ndarray:
    """Light of at least 0 as sRGB values in [0, 1]."""
    light = np.minimum(light, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _inverse(curve: Curve) -> Curve:
    """From light in [0, 1] back to values, by a table that is dense where light is dark."""
    values = np.linspace(0.0, 1.0, _INVERSE_STEPS) ** 2
    light = np.maximum.accumulate(curve(values))
    return lambda wanted: np.interp(wanted, light, values)


def _compressed(light: np.ndarray, peak: float) -> np.ndarray:
    """Light up to `peak` of gray or RGB, above the knee brought below 1, of the same hue."""
    top = light.max(-1, keepdims=True) if light.ndim == 3 else light
    over, most = (np.maximum(x - _KNEE, 0) / (1 - _KNEE) for x in (top, peak))
    brought = _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + over)
    return np.where(top > _KNEE, light * (brought / np.maximum(top, _KNEE)), light)


def _pq(values: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: values of absolute light up to 10,000 cd/m2."""
    root = values ** (32 / 2523)
    over, under = np.maximum(root - 107 / 128, 0), 2413 / 128 - 2392 / 128 * root
    return _PQ_PEAK / _WHITE_NITS * (over / under) ** (8192 / 1305)


def _hlg(values: np.ndarray) -> np.ndarray:
    """ARIB STD-B67 on a display of 1,000 cd/m2, its system gamma of 1.2 on each channel."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    return _HLG_PEAK / _WHITE_NITS * scene**1.2


def _icc_tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack(">I", profile[128:132])
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * n) for n in range(min(count, 100)))
    return {name: profile[start : start + size] for name, start, size in entries}


def _icc_curve(tag: bytes) -> Curve:
    """A curve of an ICC profile: 'curv', ICC.1:2022 section 10.6, or 'para', section 10.18."""
    if tag[:4] == b"para":
        return _parametric(tag)
    if tag[:4] != b"curv":
        raise ValueError("the color profile has an unknown kind of curve")
    (count,) = struct.unpack_from(">I", tag, 8)
    table = np.array(struct.unpack_from(f">{min(count, 1 << 16)}H", tag, 12))
    if not count:
        return power(1.0)
    if count == 1:
        return power(table[0] / 256)
    places = np.linspace(0, 1, count)
    return lambda values: np.interp(values, places, table / 65535)


def _parametric(tag: bytes) -> Curve:
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = (1, 3, 4, 5, 7)[kind]
    numbers = [number / 65536 for number in struct.unpack_from(f">{count}i", tag, 12)]
    # Every kind is (a x + b)^g + e from d on, and c x + f below it.
    g, a, b, c, d, e, f = (numbers + [0.0] * 7)[:7]
    if kind == 0:
        a = 1.0
    elif kind in (1, 2):
        c, d, e, f = 0.0, -b / a, c, c
    return lambda x: np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)


_SRGB: tuple[Point, ...] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_SRGB_TO_XYZ = xyz_matrix(_SRGB)
_P3: tuple[Point, ...] = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_SMPTE: tuple[Point, ...] = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_UNKNOWN = ("sRGB", _SRGB, D65)
# By code point; 2 is 'unspecified'.
_PRIMARIES: dict[int, tuple[str, tuple[Point, ...], Point]] = {
    1: _UNKNOWN,
    2: _UNKNOWN,
    4: ("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.310, 0.316)),
    5: ("BT.470 BG", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),
    6: ("SMPTE 170M", _SMPTE, D65),
    7: ("SMPTE 240M", _SMPTE, D65),
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    11: ("DCI P3", _P3, (0.314, 0.351)),
    12: ("Display P3", _P3, D65),
}
_TRANSFERS: dict[int, tuple[str, Curve, float]] = {
    **{code: ("sRGB", srgb_light, 1.0) for code in (1, 2, 6, 7, 13, 14, 15)},
    4: ("gamma 2.2", power(2.2), 1.0),
    5: ("gamma 2.8", power(2.8), 1.0),
    8: ("linear light", power(1.0), 1.0),
    16: ("PQ", _pq, _PQ_PEAK / _WHITE_NITS),
    18: ("HLG", _hlg, _HLG_PEAK / _WHITE_NITS),
}
