"""The PNGs of the corpus; all of them are read rightly."""

from scripts.corpus import pngs
from tests.scripts.corpus.conftest import problems_of


def test_each_is_another_file_and_is_read_rightly(tmp_path):
    cases = list(pngs.cases())
    assert len({case.data for case in cases}) == len({case.name for case in cases}) == len(cases)
    assert len(cases) > 150
    assert problems_of(cases, tmp_path) == []
