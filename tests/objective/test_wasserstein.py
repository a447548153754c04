"""The distance of Gaussians against closed forms, SciPy and NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from nst_keras.objective import wasserstein

RIDGE = 1e-4


def features(positions, channels, seed, *, dead=0):
    """Mixed, half of them zero, as behind a ReLU; the first `dead` channels are zero throughout."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(0, 1, (channels, channels)) / np.sqrt(channels)
    found = np.maximum(rng.normal(0.2, 1, (positions, channels)) @ mix, 0)
    found[:, :dead] = 0
    return found.astype(np.float32)


def moments_of(rows):
    """F F^T / M above F 1 / M, of a tensor (M, N)."""
    second = tf.matmul(rows, rows, transpose_a=True) / float(rows.shape[0])
    return tf.concat([second, tf.reduce_mean(rows, axis=0)[None]], axis=0)


def moments_from(mean, covariance):
    mean = np.asarray(mean, np.float64)
    return tf.constant(np.vstack([covariance + np.outer(mean, mean), mean]))


def distance(rows, style):
    target = wasserstein.target(moments_of(tf.constant(style)))
    return wasserstein.squared_distance(moments_of(rows), *target)


def value_and_gradient(rows, style):
    rows = tf.constant(rows)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        value = distance(rows, style)
    return float(value), tape.gradient(value, rows).numpy()


def gaussian(rows):
    """Mean and ridged covariance of centered rows."""
    rows = rows.astype(np.float64)
    centered = rows - rows.mean(0)
    return rows.mean(0), centered.T @ centered / len(rows) + RIDGE * np.eye(rows.shape[1])


def numpy_distance(rows, style):
    """tr (S'^1/2 S S'^1/2)^1/2 is the sum of singular values of L'^T L for S = L L^T."""
    (mean, covariance), (mean_style, covariance_style) = gaussian(rows), gaussian(style)
    factors = np.linalg.cholesky(covariance_style).T @ np.linalg.cholesky(covariance)
    cross = np.linalg.svd(factors, compute_uv=False).sum()
    apart = ((mean - mean_style) ** 2).sum()
    return (apart + np.trace(covariance) + np.trace(covariance_style) - 2 * cross) / len(mean)


def numpy_gradient(rows, style):
    """By central differences of every value."""
    exact, gradient = rows.astype(np.float64), np.zeros(rows.shape)
    for index in np.ndindex(*rows.shape):
        moved = np.zeros(rows.shape)
        moved[index] = 1e-5
        ahead, behind = numpy_distance(exact + moved, style), numpy_distance(exact - moved, style)
        gradient[index] = (ahead - behind) / 2e-5
    return gradient


CASES = {
    "many positions": (features(60, 5, 1), features(90, 5, 2)),
    "fewer positions than channels": (features(4, 7, 3), features(5, 7, 4)),
    "one position": (features(1, 4, 5), features(30, 4, 6)),
    "dead channels in both": (features(40, 6, 7, dead=2), features(30, 6, 8, dead=2)),
    "dead channels in the image": (features(40, 6, 9, dead=3), features(30, 6, 10)),
    "dead channels in the style": (features(40, 6, 11), features(30, 6, 12, dead=3)),
    "no features in the style": (features(20, 4, 13), features(20, 4, 14, dead=4)),
    "one channel": (features(20, 1, 15), features(30, 1, 16)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_distance_is_that_of_numpy(case):
    rows, style = CASES[case]
    found = float(distance(tf.constant(rows), style))
    np.testing.assert_allclose(found, numpy_distance(rows, style), rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_that_of_central_differences(case):
    rows, style = CASES[case]
    _, found = value_and_gradient(rows, style)
    expected = numpy_gradient(rows, style)
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("case", CASES)
def test_the_distance_is_that_of_scipy_s_matrix_roots(case):
    sqrtm = pytest.importorskip("scipy.linalg").sqrtm
    rows, style = CASES[case]
    (mean, covariance), (mean_style, covariance_style) = gaussian(rows), gaussian(style)
    root = sqrtm(covariance_style)
    cross = np.trace(sqrtm(root @ covariance @ root)).real
    traces = np.trace(covariance) + np.trace(covariance_style)
    expected = (((mean - mean_style) ** 2).sum() + traces - 2 * cross) / len(mean)
    np.testing.assert_allclose(distance(tf.constant(rows), style), expected, rtol=1e-5)


@pytest.mark.parametrize(("positions", "channels", "dead"), [(30, 64, 8), (500, 64, 0)])
def test_as_many_channels_as_a_network_has_stay_accurate(positions, channels, dead):
    rows, style = features(positions, channels, 20, dead=dead), features(200, channels, 21)
    value, gradient = value_and_gradient(rows, style)
    np.testing.assert_allclose(value, numpy_distance(rows, style), rtol=1e-5)
    norm = np.linalg.norm(gradient.astype(np.float64))
    direction = gradient / norm
    ahead, behind = (
        numpy_distance(rows.astype(np.float64) + step * direction, style) for step in (1e-4, -1e-4)
    )
    np.testing.assert_allclose((ahead - behind) / 2e-4, norm, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_it_vanishes_with_its_gradient_at_the_style_itself(case):
    _, style = CASES[case]
    value, gradient = value_and_gradient(style, style)
    apart, slope = value_and_gradient(1.1 * style + np.float32(0.1), style)
    assert abs(value) < 1e-3 * apart  # moments, sums in float32, need not be quite symmetric
    assert np.linalg.norm(gradient) < 1e-4 * np.linalg.norm(slope)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_same_from_either_side(case):
    rows, style = CASES[case]
    there, back = distance(tf.constant(rows), style), distance(tf.constant(style), rows)
    np.testing.assert_allclose(there, back, rtol=1e-5)


def test_order_and_repetition_of_positions_do_not_matter():
    rows, style = CASES["many positions"]
    other = np.concatenate([rows[::-1], rows])
    np.testing.assert_allclose(
        distance(tf.constant(other), style), distance(tf.constant(rows), style), rtol=1e-4
    )


def test_diagonal_covariances_have_a_closed_form():
    rng = np.random.default_rng(0)
    (mean, other), (variances, others) = rng.normal(0, 1, (2, 6)), rng.random((2, 6))
    variances[0] = others[1] = 0.0
    target = wasserstein.target(moments_from(other, np.diag(others)))
    found = wasserstein.squared_distance(moments_from(mean, np.diag(variances)), *target)
    roots = np.sqrt(variances + RIDGE) - np.sqrt(others + RIDGE)
    np.testing.assert_allclose(found, ((mean - other) ** 2 + roots**2).mean(), rtol=1e-6)


def test_one_channel_has_a_closed_form():
    target = wasserstein.target(moments_from([3.0], [[4.0]]))
    found = wasserstein.squared_distance(moments_from([1.0], [[9.0]]), *target)
    np.testing.assert_allclose(found, 4 + (np.sqrt(9.0001) - np.sqrt(4.0001)) ** 2, rtol=1e-6)


def test_equal_covariances_leave_the_distance_of_means():
    _, covariance = gaussian(CASES["many positions"][0])
    target = wasserstein.target(moments_from(np.zeros(5), covariance))
    found = wasserstein.squared_distance(moments_from(np.arange(5.0), covariance), *target)
    np.testing.assert_allclose(found, (0 + 1 + 4 + 9 + 16) / 5, rtol=1e-6)


def test_a_target_is_the_mean_and_the_trace_and_root_of_the_ridged_covariance():
    _, style = CASES["many positions"]
    mean, trace, root = wasserstein.target(moments_of(tf.constant(style)))
    expected, covariance = gaussian(style)
    np.testing.assert_allclose(mean, expected[None], rtol=1e-5)
    np.testing.assert_allclose(trace, np.trace(covariance), rtol=1e-6)
    np.testing.assert_allclose(root @ root, covariance, atol=1e-6)
    np.testing.assert_allclose(root, tf.transpose(root), atol=1e-12)
    assert np.linalg.eigvalsh(root).min() > 0


def root_and_gradient(matrix):
    matrix = tf.constant(matrix)
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        value = wasserstein.trace_of_root(matrix)
    return value.numpy(), tape.gradient(value, matrix).numpy()


def test_the_trace_of_a_root_and_its_slope_are_those_of_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    _, matrix = gaussian(CASES["many positions"][0])
    found, gradient = root_and_gradient(matrix)
    root = linalg.sqrtm(matrix)
    np.testing.assert_allclose(found, np.trace(root), rtol=1e-10)
    np.testing.assert_allclose(gradient, linalg.inv(root) / 2, rtol=1e-7)


def test_equal_eigenvalues_have_a_slope():
    found, gradient = root_and_gradient(np.diag([4.0, 4.0, 9.0]))
    assert found == 7
    np.testing.assert_allclose(gradient, np.diag([1 / 4, 1 / 4, 1 / 6]), atol=1e-15)


def test_the_root_of_a_matrix_that_is_not_finite_is_nan_and_no_error():
    matrix = np.diag([1.0, 2.0])
    matrix[0, 1] = np.nan
    found, gradient = root_and_gradient(matrix)
    assert np.isnan(found) and np.isnan(gradient).any()


def test_an_eigenvalue_that_rounding_made_negative_stays_finite():
    found, gradient = root_and_gradient(np.diag([1.0, -1e-17, 0.0]))
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(found, 1.0, rtol=1e-6)
