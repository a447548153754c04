"""What reading must give, and how a difference is told."""

import numpy as np
import pytest

from scripts.corpus.expected import Case, Expected
from scripts.corpus.reading import Outcome

PIXELS = np.full((2, 3, 3), 0.5, np.float32)
CASES = [
    Case("good.png", b"1", PIXELS),
    Case("said.png", b"2", PIXELS, words="rough"),
    Case("bad.png", b"3", None, words="kind"),
]


@pytest.fixture
def expected(tmp_path):
    Expected.save(tmp_path / "corpus", CASES)
    return Expected.load(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("name", "found", "problem"),
    [
        ("good.png", {"pixels": PIXELS + 0.5 / 255}, None),
        ("good.png", {"pixels": PIXELS + 0.7 / 255}, "differs by 0.0027"),
        ("good.png", {"pixels": PIXELS[:1]}, "has the shape"),
        ("good.png", {"refusal": "damaged"}, "was refused: damaged"),
        ("said.png", {"pixels": PIXELS}, "says '' without 'rough'"),
        ("said.png", {"pixels": PIXELS, "notes": ("roughly",)}, None),
        ("bad.png", {"pixels": PIXELS, "notes": ("a kind",)}, "must be refused"),
        ("bad.png", {"refusal": "a kind that is not read"}, None),
        ("other.png", {"pixels": PIXELS}, None),
    ],
)
def test_an_outcome_is_compared(expected, tmp_path, name, found, problem):
    problems = expected.problems(tmp_path / name, Outcome(tmp_path / name, **found))
    assert len(problems) == bool(problem)
    if problem:
        assert problem in problems[0]


def test_a_folder_of_other_files_expects_nothing(tmp_path):
    assert Expected.load(tmp_path).rules == {}
