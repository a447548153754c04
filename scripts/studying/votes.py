"""Votes: shares of wins with intervals, and a ranking of all candidates (Rank Centrality).

Negahban, Oh and Shah, "Rank Centrality: Ranking from Pairwise Comparisons" (2017): candidates are
the states of a random walk that moves to another candidate in proportion to how often that one won;
the time that it spends at each, in the long run, is the candidate's score.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .sheets import Sheet

QUESTIONS = ("overall", "style", "content")
_Z = 1.959964  # of a 95 % interval
_RESAMPLES = 2000


class Vote(NamedTuple):
    """One answer to one question."""

    judge: str
    pair: str
    winner: str
    loser: str


def read_votes(key: Sequence[Sheet], folders: Iterable[Path]) -> dict[str, list[Vote]]:
    """The votes on each question, from `votes.csv` in each judge's folder.

    Raises ValueError for an answer other than L or R, and for sheets that are missing or unknown.
    """
    votes: dict[str, list[Vote]] = {question: [] for question in QUESTIONS}
    for folder in folders:
        sheets = {one.sheet: one for one in key if one.judge == folder.name}
        with open(folder / "votes.csv", encoding="utf-8", newline="") as file:
            rows = {row["sheet"].strip(): row for row in csv.DictReader(file)}
        if rows.keys() != sheets.keys():
            raise ValueError(f"{folder}: votes and sheets differ: {sorted(rows.keys() ^ sheets)}")
        for name, row in rows.items():
            for question in QUESTIONS:
                votes[question].append(_vote(sheets[name], row[question].strip().upper()))
    return votes


def _vote(sheet: Sheet, answer: str) -> Vote:
    if answer not in ("L", "R"):
        raise ValueError(f"{sheet.judge}, {sheet.sheet}: {answer!r} is neither L nor R")
    winner, loser = (sheet.left, sheet.right)[:: 1 if answer == "L" else -1]
    return Vote(sheet.judge, sheet.pair, winner, loser)


def share(votes: Sequence[Vote], candidate: str, other: str) -> tuple[int, int]:
    """How often a candidate won against another, and how often the two were compared."""
    both = [vote for vote in votes if {vote.winner, vote.loser} == {candidate, other}]
    return sum(vote.winner == candidate for vote in both), len(both)


def wilson_interval(wins: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of wins (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    middle = (wins / count + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    variance = wins * (count - wins) / count**3 + _Z**2 / (4 * count**2)
    half = _Z * math.sqrt(variance) / (1 + _Z**2 / count)
    return middle - half, middle + half


def wins_matrix(votes: Sequence[Vote], candidates: Sequence[str]) -> np.ndarray:
    """How often the candidate of a row won against that of a column."""
    number = {name: index for index, name in enumerate(candidates)}
    wins = np.zeros((len(candidates),) * 2)
    for vote in votes:
        wins[number[vote.winner], number[vote.loser]] += 1
    return wins


def rank_centrality(wins: np.ndarray) -> np.ndarray:
    """The candidates' scores, which add up to 1, from a matrix of wins."""
    compared = wins + wins.T
    degree = max(1, int((compared > 0).sum(axis=1).max()))
    moves = np.divide(wins.T, compared, out=np.zeros_like(wins), where=compared > 0) / degree
    np.fill_diagonal(moves, 0.0)
    np.fill_diagonal(moves, 1.0 - moves.sum(axis=1))
    values, vectors = np.linalg.eig(moves.T)
    stationary = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    return stationary / stationary.sum()


def ranking(
    votes: Sequence[Vote], candidates: Sequence[str], seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Each candidate's score with its 95 % interval, which comes from resampling the votes."""
    scores = rank_centrality(wins_matrix(votes, candidates))
    draw = np.random.default_rng(seed)
    resampled = [
        rank_centrality(
            wins_matrix([votes[n] for n in draw.integers(len(votes), size=len(votes))], candidates)
        )
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    columns = zip(scores.tolist(), low.tolist(), high.tolist(), strict=True)
    return dict(zip(candidates, columns, strict=True))
