"""Counting votes."""

import numpy as np
import pytest

from scripts.studying import votes
from scripts.studying.sheets import Sheet
from scripts.studying.votes import Vote


def test_a_share_counts_one_comparison_only():
    cast = [Vote("a", "p", "x", "y"), Vote("b", "p", "y", "x"), Vote("a", "p", "x", "z")]
    assert votes.share(cast, "x", "y") == (1, 2)
    assert votes.share(cast, "z", "x") == (0, 1)
    assert votes.share(cast, "y", "z") == (0, 0)


def test_the_interval_of_a_share():
    assert votes.wilson_interval(60, 100) == pytest.approx((0.5020, 0.6906), abs=1e-4)
    assert votes.wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert votes.wilson_interval(0, 0) == (0.0, 1.0)


def test_rank_centrality_of_a_small_example():
    wins = np.array([[0.0, 30, 24], [10, 0, 22], [16, 18, 0]])
    found = votes.rank_centrality(wins)
    np.testing.assert_allclose(found, [0.507279, 0.227324, 0.265398], atol=1e-6)


def test_candidates_that_win_more_rank_higher_within_their_intervals():
    cast = [Vote("a", "p", "x", "y")] * 8 + [Vote("a", "p", "y", "x")] * 4
    found = votes.ranking(cast, ["x", "y"])
    for score, low, high in found.values():
        assert low < score < high
    assert found["x"][0] == pytest.approx(2 / 3)


KEY = [Sheet("judge_1", "sheet_001", "p", "x", "y"), Sheet("judge_1", "sheet_002", "q", "y", "x")]


def cast(tmp_path, text):
    folder = tmp_path / "judge_1"
    folder.mkdir()
    (folder / "votes.csv").write_text("sheet,overall,style,content\n" + text, encoding="utf-8")
    return votes.read_votes(KEY, [folder])


def test_answers_become_votes_by_the_key(tmp_path):
    found = cast(tmp_path, "sheet_001,L,R,L\nsheet_002, r ,R,L\n")
    assert found["overall"] == [Vote("judge_1", "p", "x", "y"), Vote("judge_1", "q", "x", "y")]
    assert [vote.winner for vote in found["style"]] == ["y", "x"]
    assert [vote.winner for vote in found["content"]] == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sheet_001,L,R,L\n", "sheet_002"),
        ("sheet_001,L,R,L\nsheet_002,L,R,both\n", "BOTH"),
    ],
)
def test_missing_sheets_and_other_answers_are_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        cast(tmp_path, text)
