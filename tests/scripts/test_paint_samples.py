"""The script that paints the sample pictures: they come out as they are in the repository."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent


def painted_and_committed(folder, name, suffix):
    """A sample that is painted anew, and the one in the repository, as integers."""
    script = ROOT / "scripts/paint_samples.py"
    command = [sys.executable, script, f"--only={name}", f"--out={folder}"]
    subprocess.run(command, check=True, capture_output=True)
    places = folder, ROOT / "configs/images"
    return [np.asarray(Image.open(place / f"{name}{suffix}"), int) for place in places]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["harbor", "lily_pond", "woodcut_wave"])
def test_a_sample_is_painted_again(tmp_path, name):
    painted, committed = painted_and_committed(tmp_path, name, ".jpg")
    assert np.abs(painted - committed).mean() < 1  # other versions of Pillow may round otherwise


@pytest.mark.parametrize("name", ["harbor_sky", "harbor_boat"])
def test_a_sample_mask_is_drawn_again(tmp_path, name):
    drawn, committed = painted_and_committed(tmp_path, name, ".png")
    assert np.abs(drawn - committed).mean() < 1
    assert 0.01 < (drawn / 255).mean() < 0.6
