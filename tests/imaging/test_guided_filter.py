"""The guided filter against its definition, window by window."""

import numpy as np

from nst_keras.imaging.guided_filter import guided
from tests.conftest import picture


def slow_guided(mask, image, radius, smoothness):
    height, width = mask.shape

    def around(row, column):
        rows = slice(max(0, row - radius), row + radius + 1)
        return rows, slice(max(0, column - radius), column + radius + 1)

    slopes, offsets = np.zeros((height, width, 3)), np.zeros((height, width))
    for row, column in np.ndindex(height, width):
        colors = image[around(row, column)].reshape(-1, 3)
        wanted = mask[around(row, column)].reshape(-1)
        apart = colors - colors.mean(0)
        matrix = apart.T @ apart / len(colors) + smoothness * np.eye(3)
        slopes[row, column] = np.linalg.solve(matrix, apart.T @ wanted / len(colors))
        offsets[row, column] = wanted.mean() - slopes[row, column] @ colors.mean(0)
    found = np.zeros((height, width))
    for row, column in np.ndindex(height, width):
        slope = slopes[around(row, column)].reshape(-1, 3).mean(0)
        found[row, column] = slope @ image[row, column] + offsets[around(row, column)].mean()
    return found.clip(0, 1)


def test_it_is_what_its_definition_says():
    image = picture(17, 21, seed=1).astype(np.float64)
    mask = (image[..., 0] > 0.5).astype(np.float64)
    found = guided(mask[..., None], image, 3, 1e-2)[..., 0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_guided(mask, image, 3, 1e-2), atol=1e-6)


def test_a_rough_mask_takes_the_borders_of_its_picture():
    image = np.zeros((40, 40, 3), np.float32)
    image[:, 23:] = 0.8
    rough = np.zeros((40, 40), np.float32)
    rough[:, 20:] = 1.0
    found = guided(rough[..., None], image, 8, 1e-4)[..., 0]
    steps = np.diff(found[20])
    assert steps.argmax() == 22 and steps[22] > 5 * np.delete(steps, 22).max()


def test_masks_are_filtered_independently():
    image = picture(20, 24, seed=2)
    masks = np.random.default_rng(0).random((20, 24, 3), np.float32)
    found = guided(masks, image, 4, 1e-3)
    for number in range(3):
        alone = guided(masks[..., number : number + 1], image, 4, 1e-3)
        np.testing.assert_allclose(found[..., number], alone[..., 0], atol=1e-6)
