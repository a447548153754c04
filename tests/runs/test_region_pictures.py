"""The pictures of regions and of recolored styles in a run folder."""

import numpy as np

from nst_keras.imaging import images
from nst_keras.objective.regions import Region, StyleShare
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.region_pictures import overlay, write_prepared
from nst_keras.settings.config import Config
from nst_keras.transfer.iterate import References
from nst_keras.transfer.picture_regions import PictureRegions
from tests.conftest import picture

PHOTO, STYLE = picture(40, 60, 1), picture(50, 50, 2)
LEFT = np.zeros((40, 60), np.float32)
LEFT[:, :30] = 1.0


def write(tmp_path, settings=None, regions=()):
    folder = RunFolder(tmp_path / "run")
    folder.inputs.mkdir(parents=True)
    references = References(PHOTO, [STYLE], [1.0], [], None, PictureRegions(*regions))
    write_prepared(folder, settings or Config(), references)
    return folder, sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*.*"))


def test_without_regions_nothing_is_written(tmp_path):
    assert write(tmp_path)[1] == []


def test_styles_in_the_photos_colors(tmp_path):
    folder, names = write(tmp_path, Config(color="content"))
    assert names == ["inputs/colored_style_1.jpg"]
    assert images.read_image(folder.colored_style(1)).pixels.shape == STYLE.shape


def test_masks_can_be_given_to_another_run(tmp_path):
    part = np.zeros((50, 50), np.float32)
    part[:10] = 1.0
    regions = (Region(LEFT, (StyleShare(1.0, part),)),)
    folder, names = write(tmp_path, regions=(regions, 1.0 - LEFT))
    assert names == [
        "regions/content.jpg",
        "regions/content_1.png",
        "regions/content_keep.png",
        "regions/style_1.jpg",
        "regions/style_1_1.png",
    ]
    found = images.read_image(folder.regions / "content_1.png").pixels
    np.testing.assert_array_equal(found[..., 0], LEFT)


def test_an_overlay_tints_each_region_and_leaves_what_is_kept():
    masks = [np.zeros_like(LEFT), LEFT * 0]
    masks[0][:, :20], masks[1][:, 20:40] = 1.0, 1.0
    keep = np.zeros_like(LEFT)
    keep[:, 40:50] = 1.0
    found = overlay(PHOTO, masks, keep)
    np.testing.assert_allclose(found[:, 40:50], PHOTO[:, 40:50], atol=1e-6)
    assert np.ptp(found[:, 50:], axis=-1).max() < 1e-6  # gray
    blue, orange = found[:, :20].mean((0, 1)), found[:, 20:40].mean((0, 1))
    assert blue[2] > blue[0] + 0.2 and orange[0] > orange[2] + 0.2
