"""JPEGs, WebPs, AVIFs, HEICs and GIFs of the corpus; all of them are read rightly."""

import pytest

from tests.scripts.corpus.conftest import problems_of

pytest.importorskip("imagecodecs")
pytest.importorskip("pillow_heif")

from scripts.corpus import photos


def test_each_is_another_file_and_is_read_rightly(tmp_path):
    cases = list(photos.cases())
    assert len({case.name for case in cases}) == len(cases) > 90
    assert problems_of(cases, tmp_path) == []
