"""Color spaces by primaries and curves: hand-computed values, standards' own points, ICC curves."""

import struct

import numpy as np
import pytest
from PIL import ImageCms

from nst_keras.imaging import color_spaces
from nst_keras.imaging.color_spaces import ColorSpace, from_cicp, from_gamma, from_icc, xyz_matrix
from tests.imaging.conftest import ADOBE, adobe_profile, icc, p3_profile

SRGB = [0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06]
P3 = [0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060]


def converted(space, *values):
    return space.to_srgb(np.array([[values]], np.float32))[0, 0]


def test_the_matrix_of_srgb_is_that_of_icc_profiles():
    matrix = xyz_matrix(((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)))
    published = [
        [0.43607, 0.38515, 0.14307],
        [0.22249, 0.71687, 0.06061],
        [0.01392, 0.09708, 0.7141],
    ]
    np.testing.assert_allclose(matrix, published, atol=2e-4)


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (1, 1), (1, 6), (2, 14)])
def test_what_is_shown_as_srgb_is_not_converted(primaries, transfer):
    assert from_cicp(primaries, transfer) is None


@pytest.mark.parametrize(("primaries", "transfer"), [(3, 13), (1, 99), (255, 255)])
def test_unknown_code_points(primaries, transfer):
    with pytest.raises(ValueError, match=f"color primaries {primaries} with transfer {transfer}"):
        from_cicp(primaries, transfer)


def test_white_and_gray_stay_neutral_in_every_space():
    for primaries in (1, 4, 5, 6, 7, 9, 11, 12):
        space = from_cicp(primaries, 8)
        np.testing.assert_allclose(converted(space, 1, 1, 1), 1, atol=1e-3)
        np.testing.assert_allclose(converted(space, 0.2140, 0.2140, 0.2140), 0.5, atol=2e-3)


def test_display_p3_red_as_css_color_computes_it():
    # color(display-p3 0.7 0.3 0.3) is rgb(76.35 % 26.55 % 28.15 %) in sRGB.
    space = from_cicp(12, 13)
    assert space.name == "Display P3"
    linear = np.array([0.4480, 0.0732, 0.0732])  # light of 0.7 and 0.3
    matrix = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
    light = matrix @ linear
    expected = 1.055 * light ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(converted(space, 0.7, 0.3, 0.3), expected, atol=1e-3)


def test_pq_of_the_white_of_graphics_and_of_a_knee_above_it():
    # ST 2084: 203 cd/m2 are 0.58069, 100 cd/m2 are 0.50808 (ITU-R BT.2408, table 1).
    space = from_cicp(1, 16)
    below = 100 / 203  # light that is not compressed
    expected = 1.055 * below ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(converted(space, *[0.50808] * 3), expected, atol=1e-3)
    brightness = [converted(space, v, v, v)[0] for v in np.linspace(0, 1, 50)]
    assert (np.diff(brightness) > 0).all() and brightness[-1] == pytest.approx(1, abs=1e-6)


def test_hlg_of_half_and_full_signal():
    # ARIB STD-B67: half the signal is a twelfth of the light of the scene.
    light = 1000 / 203 * (1 / 12) ** 1.2
    expected = 1.055 * light ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(converted(from_cicp(1, 18), 0.5, 0.5, 0.5), expected, atol=1e-3)
    np.testing.assert_allclose(converted(from_cicp(1, 18), 1, 1, 1), 1, atol=1e-3)


def test_compression_keeps_the_hue():
    light = np.array([[[8.0, 4.0, 2.0]]])
    found = color_spaces._compressed(light, 49.0)
    np.testing.assert_allclose(found / found.max(), [[[1, 0.5, 0.25]]], rtol=1e-9)
    assert 0.75 < found.max() < 1
    np.testing.assert_array_equal(color_spaces._compressed(light / 16, 49.0), light / 16)


def test_gammas():
    assert from_gamma(0.45455) is None and from_gamma(None, SRGB) is None
    assert from_gamma(0.45, SRGB) is None  # equal but for rounding
    np.testing.assert_allclose(converted(from_gamma(1.0), 0.2140, 0.2140, 0.2140), 0.5, atol=1e-3)
    assert from_gamma(None, P3).name == "its own primaries with sRGB"
    np.testing.assert_allclose(
        converted(from_gamma(None, P3), 0.7, 0.3, 0.3),
        converted(from_cicp(12, 13), 0.7, 0.3, 0.3),
        atol=1e-6,
    )
    for gamma, points in ((0.0, []), (None, [0.3, 0.0] * 4), (None, [0.3, 0.3] * 4)):
        with pytest.raises(ValueError, match="gamma|chromaticity|line"):
            from_gamma(gamma, points)


def test_an_icc_profile_of_a_matrix():
    space = from_icc(adobe_profile())
    np.testing.assert_allclose(space.to_xyz, ADOBE.T, atol=1e-4)
    values = np.array([[[0.3, 0.5, 0.7]]])
    np.testing.assert_allclose(space.curves[0](values), values**2.19921875, rtol=1e-6)
    assert from_icc(icc(b"prtr", b"CMYK", b"Lab ", "x", {})) is None
    for damaged in (b"", adobe_profile()[:140], adobe_profile().replace(b"gTRC", b"xTRC")):
        with pytest.raises(ValueError, match="damaged"):
            from_icc(damaged)


def parametric(kind, *numbers):
    fixed = (round(number * 65536) for number in numbers)
    return b"para\0\0\0\0" + struct.pack(f">HH{len(numbers)}i", kind, 0, *fixed)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (b"curv\0\0\0\0" + struct.pack(">I", 0), lambda x: x),
        (b"curv\0\0\0\0" + struct.pack(">IH", 1, 512), lambda x: x**2),
        (b"curv\0\0\0\0" + struct.pack(">I3H", 3, 0, 13107, 65535), "table"),
        (parametric(0, 2), lambda x: x**2),
        (parametric(1, 2, 2, -0.5), lambda x: np.where(x >= 0.25, (2 * x - 0.5) ** 2, 0)),
        (
            parametric(2, 2, 2, -0.5, 0.1),
            lambda x: np.where(x >= 0.25, (2 * x - 0.5) ** 2, 0) + 0.1,
        ),
        (parametric(3, 2, 1, 0, 0.5, 0.5), lambda x: np.where(x >= 0.5, x**2, x / 2)),
        (
            parametric(4, 2, 1, 0, 0.5, 0.5, 0.1, 0.2),
            lambda x: np.where(x >= 0.5, x**2 + 0.1, x / 2 + 0.2),
        ),
    ],
)
def test_curves_of_icc_profiles(tag, expected):
    x = np.linspace(0, 1, 21)
    right = np.interp(x, [0, 0.5, 1], [0, 0.2, 1]) if expected == "table" else expected(x)
    np.testing.assert_allclose(color_spaces._icc_curve(tag)(x), right, atol=2e-5)


def test_gray_has_one_curve_and_stays_gray():
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    space = from_icc(icc(b"mntr", b"GRAY", b"XYZ ", "gray", {b"kTRC": curve}))
    assert space.is_gray
    found = space.to_srgb(np.full((2, 2), 0.2140, np.float32))
    assert found.shape == (2, 2)
    np.testing.assert_allclose(found, 0.5, atol=1e-3)


def test_lab_of_known_colors():
    lab = np.array([[[100, 0, 0], [0, 0, 0], [53.585, 0, 0]]])
    np.testing.assert_allclose(color_spaces.lab_to_srgb(lab)[0, :, 1], [1, 0, 0.5], atol=2e-3)


def test_a_profile_of_srgb_is_srgb_and_others_are_not():
    def space(points, curve):
        return ColorSpace("RGB", color_spaces.xyz_matrix(points), (curve,) * 3)

    srgb, p3 = color_spaces._SRGB, color_spaces._P3
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert color_spaces.from_icc(made).is_srgb
    assert space(srgb, color_spaces.srgb_light).is_srgb
    assert not space(p3, color_spaces.srgb_light).is_srgb
    assert not space(srgb, color_spaces.power(2.2)).is_srgb
    gray = ColorSpace("gray", color_spaces._SRGB_TO_XYZ, (color_spaces.srgb_light,))
    assert not gray.is_srgb


@pytest.mark.parametrize("profile", [adobe_profile, p3_profile])
def test_colors_come_back_from_the_space_of_a_profile(profile):
    space = color_spaces.from_icc(profile())
    values = np.random.default_rng(0).random((20, 30, 3), np.float32)
    found = space.to_srgb(space.from_srgb(values))
    np.testing.assert_allclose(found, values, atol=1 / 65535)


def test_wide_profiles_are_told_from_others():
    assert color_spaces.is_wide(p3_profile()) and color_spaces.is_wide(adobe_profile())
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert not color_spaces.is_wide(srgb)
    assert not color_spaces.is_wide(None) and not color_spaces.is_wide(b"damaged")
