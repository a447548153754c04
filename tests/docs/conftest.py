"""What the tests of the documentation share: pictures, and settings of runs of a few steps."""

import pytest

from nst_keras.imaging import images
from tests.conftest import picture


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """The working folder, with the pictures that the documentation names."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("photo", "painting", "woodcut"), start=1):
        images.write_image(tmp_path / f"{name}.jpg", picture(40, 60, seed=seed))
    return tmp_path


@pytest.fixture
def quick(tiny_weights_path):
    """Settings of a run of 6 steps with a shallow network."""
    return {
        "objective": "relative",
        "content_layers": "block2_conv1",
        "style_layers": "block1_conv1",
        "neighbor_layers": (),
        "scales": 1,
        "iterations": 6,
        "precision": "float32",
        "weights": str(tiny_weights_path),
    }
