"""TIFFs of the corpus are read rightly."""

import pytest

from tests.scripts.corpus.conftest import problems_of

pytest.importorskip("imagecodecs")

from scripts.corpus import tiffs


def test_names_are_unique_and_a_sample_is_read_rightly(tmp_path):
    cases = list(tiffs.cases())
    assert len({case.name for case in cases}) == len(cases) > 2500
    assert any(case.pixels is None for case in cases)
    assert problems_of(cases[::29], tmp_path) == []  # all of them: scripts/read_corpus.py
