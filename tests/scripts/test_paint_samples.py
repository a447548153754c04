"""The script that paints the sample pictures: they come out as they are in the repository."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("name", ["harbor", "lily_pond", "woodcut_wave"])
def test_a_sample_is_painted_again(tmp_path, name):
    script = ROOT / "scripts/paint_samples.py"
    command = [sys.executable, script, f"--only={name}", f"--out={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True)
    painted, committed = (
        np.asarray(Image.open(folder / f"{name}.jpg"), int)
        for folder in (tmp_path, ROOT / "configs/images")
    )
    assert np.abs(painted - committed).mean() < 1  # other versions of Pillow may round otherwise


@pytest.mark.parametrize("name", ["harbor_sky", "harbor_boat"])
def test_a_sample_mask_is_drawn_again(tmp_path, name):
    script = ROOT / "scripts/paint_samples.py"
    command = [sys.executable, script, f"--only={name}", f"--out={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True)
    drawn, committed = (
        np.asarray(Image.open(folder / f"{name}.png"), int)
        for folder in (tmp_path, ROOT / "configs/images")
    )
    assert np.abs(drawn - committed).mean() < 1
    assert 0.01 < (drawn / 255).mean() < 0.6
