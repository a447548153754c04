"""Total variations against plain loops over pixels in float64."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import total_variation

IMAGE = np.random.default_rng(1).random((5, 6, 3), dtype=np.float32)
RIGHT, DOWN, DOWN_RIGHT, DOWN_LEFT = (0, 1), (1, 0), (1, 1), (1, -1)
OFFSETS = [RIGHT, DOWN, DOWN_RIGHT, DOWN_LEFT]


def steps(image, offset, rows=None, columns=None):
    """Neighbor minus pixel for pixels of these rows and columns, by default wherever both are."""
    height, width, _ = image.shape
    found = []
    for y in rows or range(height):
        for x in columns or range(width):
            there = y + offset[0], x + offset[1]
            if 0 <= there[0] < height and 0 <= there[1] < width:
                found.append(image[there] - image[y, x])
    return np.array(found)


def square_sums(image):
    return [(steps(image, offset) ** 2).sum() for offset in (RIGHT, DOWN)]


def absolute_sums(image):
    return [np.abs(steps(image, offset)).sum() for offset in (RIGHT, DOWN)]


def power_sums(image):
    """Keras' example: both differences of every pixel but those of the last row and column."""
    height, width, _ = image.shape
    total = 0.0
    for y in range(height - 1):
        for x in range(width - 1):
            down, right = image[y + 1, x] - image[y, x], image[y, x + 1] - image[y, x]
            total += ((down**2 + right**2) ** 1.25).sum()
    return [total]


def nine_point_sums(image):
    """Straight ones of the picture's own pixels; diagonal ones of all that the frame makes."""
    height, width, _ = image.shape
    framed = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    inside = range(1, height + 1), range(1, width + 1)
    straight = [(steps(framed, offset, *inside) ** 2).sum() for offset in (RIGHT, DOWN)]
    return [*straight, *((steps(framed, offset) ** 2).sum() for offset in (DOWN_RIGHT, DOWN_LEFT))]


def mean_squares(image):
    return sum((steps(image, offset) ** 2).mean() for offset in (RIGHT, DOWN))


def nine_point(image):
    height, width, _ = image.shape
    means = np.array(nine_point_sums(image)) / 3
    means[:2] /= height * width
    means[2:] /= (height + 1) * (width + 1)
    return 2 * (means[0] / 3 + means[1] / 3 + means[2] / 12 + means[3] / 12)


SUMS = {
    "square_sums": square_sums,
    "absolute_sums": absolute_sums,
    "power_sums": power_sums,
    "nine_point_sums": nine_point_sums,
}
TERMS = {
    "MEAN_SQUARES": mean_squares,
    "MEAN_SQUARES_255": lambda image: mean_squares(255 * image),
    "SQUARES_255": lambda image: sum(square_sums(255 * image)),
    "HALF_SQUARES_255": lambda image: 0.5 * sum(square_sums(255 * image)),
    "ABSOLUTE": lambda image: sum(absolute_sums(image)),
    "POWER_255": lambda image: power_sums(255 * image)[0],
    "NINE_POINT": nine_point,
}


def numpy_gradient(function, image):
    """By central differences of every value."""
    gradient = np.zeros(image.shape)
    for index in np.ndindex(*image.shape):
        moved = np.zeros(image.shape)
        moved[index] = 1e-5
        gradient[index] = (function(image + moved) - function(image - moved)) / 2e-5
    return gradient


def term_and_gradient(name, image):
    kind = getattr(total_variation, name)
    sums, pull_back = kind.sums(tf.constant(image[None]))
    with tf.GradientTape() as tape:
        tape.watch(sums)
        term = kind.loss(sums, *image.shape[:2])
    return float(term), pull_back(tape.gradient(term, sums)).numpy()[0]


def half_flat():
    image = IMAGE.copy()
    image[:, :4] = 0.25
    return image


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("shape", [(5, 6), (2, 3), (4, 2)])
def test_sums_are_those_of_loops_over_pixels(name, shape):
    image = IMAGE[: shape[0], : shape[1]]
    expected = SUMS[name](image.astype(np.float64))
    found, _ = getattr(total_variation, name)(tf.constant(image[None]))
    assert found.shape == (len(expected),)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_squares_are_told_apart_by_direction():
    stripes = np.zeros((1, 4, 6, 3), np.float32)
    stripes[:, :, ::2] = 1  # 5 steps in each of 4 rows and 3 channels; none down
    for name in ("square_sums", "absolute_sums"):
        found, _ = getattr(total_variation, name)(tf.constant(stripes))
        np.testing.assert_allclose(found, (60, 0))


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("image", [IMAGE, half_flat()], ids=["rough", "half flat"])
def test_terms_and_gradients_are_those_of_loops_over_pixels(name, image):
    found, gradient = term_and_gradient(name, image)
    exact = image.astype(np.float64)
    np.testing.assert_allclose(found, TERMS[name](exact), rtol=1e-5)
    expected = numpy_gradient(TERMS[name], exact)
    assert np.linalg.norm(gradient - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", TERMS)
def test_a_flat_image_has_no_variation_and_no_slope(name):
    found, gradient = term_and_gradient(name, np.full((4, 5, 3), 0.4, np.float32))
    assert found == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("name", TERMS)
def test_only_means_keep_their_strength_on_a_larger_picture(name):
    """A ramp along both axes has the same differences at every size."""
    terms = []
    for side in (20, 40):
        ramp = 0.01 * np.add.outer(np.arange(side), np.arange(side))
        image = np.repeat(ramp[..., None], 3, axis=2).astype(np.float32)
        terms.append(term_and_gradient(name, image)[0])
    mean = name.startswith("MEAN") or name == "NINE_POINT"
    assert (terms[1] < 1.1 * terms[0]) == mean
    assert (terms[1] > 3.9 * terms[0]) != mean


def test_differences_are_those_of_neighbors_within_the_image():
    found, _ = total_variation.differences(tf.constant(IMAGE[None]), OFFSETS)
    for offset, one in zip(OFFSETS, found, strict=True):
        np.testing.assert_array_equal(np.reshape(one, (-1, 3)), steps(IMAGE, offset))


@pytest.mark.parametrize("offsets", [[RIGHT, DOWN], OFFSETS], ids=["two", "four"])
def test_the_pull_back_of_differences_is_their_transpose(offsets):
    rng = np.random.default_rng(2)
    image = tf.constant(rng.normal(0, 1, (1, 7, 5, 3)))
    found, pull_back = total_variation.differences(image, offsets)
    others = [tf.constant(rng.normal(0, 1, one.shape)) for one in found]
    pulled = pull_back(others)
    ahead = sum(np.vdot(one, other) for one, other in zip(found, others, strict=True))
    np.testing.assert_allclose(np.vdot(image, pulled), ahead, rtol=1e-12)
