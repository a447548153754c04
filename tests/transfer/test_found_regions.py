"""Parts that pictures have in common: the factorization, its balance, and whole pictures."""

import numpy as np
import pytest

from nst_keras.network import weights
from nst_keras.transfer.found_regions import balanced_shares, factorize, find_regions


def test_factors_that_make_up_the_rows_are_found():
    rng = np.random.default_rng(0)
    activity, basis = rng.random((200, 3)) ** 4, rng.random((3, 12)) ** 4
    found = factorize(activity @ basis, 3)
    assert (found >= 0).all()
    rows = activity @ basis
    basis_found, *_ = np.linalg.lstsq(found, rows, rcond=None)
    assert np.linalg.norm(found @ basis_found - rows) < 0.02 * np.linalg.norm(rows)


def test_the_factorization_lowers_the_error_of_its_start(monkeypatch):
    rows = np.random.default_rng(1).random((100, 20))

    def error(rounds):
        monkeypatch.setattr("nst_keras.transfer.found_regions._ROUNDS", rounds)
        activity = factorize(rows, 3)
        basis, *_ = np.linalg.lstsq(activity, rows, rcond=None)
        return np.linalg.norm(activity @ basis - rows)

    assert error(100) < error(3)


def test_shares_add_up_to_1_and_may_be_given_areas():
    activity = np.random.default_rng(2).random((9, 7, 3))
    plain = balanced_shares(activity)
    np.testing.assert_allclose(plain.sum(-1), 1.0)
    areas = np.array([0.6, 0.3, 0.1])
    balanced = balanced_shares(activity, areas)
    np.testing.assert_allclose(balanced.sum(-1), 1.0)
    np.testing.assert_allclose(balanced.mean((0, 1)), areas, rtol=1e-3)


def scene(height, width, seed):
    """A bright flat sky over a dark ground with stripes."""
    rng = np.random.default_rng(seed)
    found = np.full((height, width, 3), (0.6, 0.75, 0.9), np.float32)
    ground = height // 2
    stripes = 0.2 + 0.2 * (np.arange(width) // 4 % 2)
    found[ground:] = stripes[None, :, None] * np.array([1.0, 0.8, 0.5])
    return np.clip(found + rng.normal(0, 0.01, found.shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize("count", [2, 3])
def test_the_sky_of_a_photo_is_the_sky_of_its_style(count):
    photo, style = scene(192, 256, 0), scene(240, 224, 1)
    network = weights.read_weights(str(weights.embedded_path()), "vgg19")
    of_photo, (of_style,) = find_regions(photo, [style], count, network)
    assert len(of_photo) == len(of_style) == count
    for masks, picture in ((of_photo, photo), (of_style, style)):
        assert all(mask.shape == picture.shape[:2] for mask in masks)
        np.testing.assert_allclose(np.sum(masks, axis=0), 1.0, atol=1e-5)
        middle = picture.shape[0] // 2
        sky, ground = masks[0][: middle - 24], masks[0][middle + 24 :]  # the first is the highest
        assert sky.mean() > 0.8 and ground.mean() < 0.2


def test_the_same_pictures_have_the_same_parts(tiny_weights):
    found = [find_regions(scene(64, 64, 0), [scene(64, 80, 1)], 2, tiny_weights) for _ in range(2)]
    for first, second in zip(found[0][0], found[1][0], strict=True):
        assert first.tobytes() == second.tobytes()


def test_parts_of_a_long_strip_are_found(tiny_weights):
    of_photo, _ = find_regions(scene(20, 800, 0), [scene(64, 64, 1)], 2, tiny_weights)
    assert [mask.shape for mask in of_photo] == [(20, 800)] * 2
