"""Where masks come from: their names, and what counts as a picture among words."""

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.mask_sources import mask_sources


def found(styles=("a.jpg", "keep"), **settings):
    return mask_sources(resolve(Config(**settings)), styles)


def test_masks_have_the_numbers_of_their_entries_in_the_styles():
    sources = found(style_mask=("rest", "face.png"), style_region=("half.png", "all"))
    assert sources.styles == (True, False)
    assert list(sources.pictures()) == [
        ("style mask 2", "--style_mask", "face.png"),
        ("style region 1", "--style_region", "half.png"),
    ]


@pytest.mark.parametrize(("regions", "automatic"), [("auto", 3), ("auto:2", 2), ("map.png", 0)])
def test_regions_are_found_or_a_picture(regions, automatic):
    sources = found(("a.jpg", "b.jpg"), regions=regions)
    assert sources.automatic == automatic
    assert sources.has_region_picture is (automatic == 0)
    assert bool(list(sources.pictures())) is (automatic == 0)


def test_a_wrong_number_of_regions_is_told_from_a_path_even_below_a_folder():
    with pytest.raises(InputError, match="must be one of auto, auto:2"):
        found(("a.jpg",), regions="configs/auto:9")
