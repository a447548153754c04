"""What a sweep found: `results.csv`, and one page that compares its trials."""

import csv
import io
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from nst_keras.objective.term_names import matches, term_names
from nst_keras.runs import comparison
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.gallery import SCORES
from nst_keras.runtime import files
from nst_keras.runtime.background import Submit, at_once
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.sweeps.folder import SweepFolder
from nst_keras.sweeps.trials import Trial, varied_names

_log = logging.getLogger(__name__)


_HIGHER = ("content_cosine", "ssim", "edge_correlation")  # is better
_NEAR_ONE = ("total_variation", "high_frequency")  # is best
# What the scores that look through the network depend on, beside the picture: see `scores`.
_YARDSTICK = {
    "gram_error": ("size", "backbone", "weights", "style_layers"),
    "content_cosine": ("size", "backbone", "weights"),
}
_PAGE_SHARE = 0.1  # of the time may go into renewals of the page, which holds megabytes


class Results:
    """The table and the page of a sweep, written anew from its run folders.

    Args:
        metric: ranks the trials: a score, `total`, a kind of term, a term, or `seconds`.
        layout: two settings that lay out the page; not given, those that vary and change the
            picture, if they are two.
        jobs: of trials by name; of the others only their settings are known, not their inputs.
        submit: takes the work of renewing the page, which for many trials takes a while.
    """

    def __init__(
        self,
        folder: SweepFolder,
        trials: Sequence[Trial],
        metric: str = "",
        layout: tuple[str, ...] = (),
        jobs: Mapping[str, dict[str, str]] | None = None,
        submit: Submit = at_once,
    ):
        self.folder, self.trials, self.metric = folder, trials, metric
        varied = [name for name in varied_names(trials) if OPTIONS[name].changes_result]
        self.layout = layout or (tuple(varied) if len(varied) == 2 else ())
        self._jobs = jobs or {}
        self._settings = {trial.name: folder_lib.describe_job(trial.config, {}) for trial in trials}
        self._next_page = 0.0  # infinite while it is being renewed
        self._submit = submit

    def record(self, trial: str) -> dict[str, Any]:
        """The `run.json` of a trial; empty where there is none, or that of an earlier trial.

        Until a trial begins that replaces another one, its folder holds the other's record.
        """
        record = self.folder.run(trial).read_record()
        there = [_part(record, "request"), _part(record, "job")]
        if trial in self._jobs:
            return record if self._jobs[trial] in there else {}
        settings = [{n: text for n, text in one.items() if n in OPTIONS} for one in there]
        return record if self._settings[trial] in settings else {}

    def refresh(self) -> None:
        """Renew the table, and have the page renewed unless that was just done."""
        shown, records = self._renew_table()

        def renew() -> None:
            self._renew_page(shown, records)

        if shown and time.monotonic() >= self._next_page:
            self._next_page = math.inf
            self._submit(renew)

    def conclude(self) -> bool:
        """Renew the table and the page, at once; returns if there is a page."""
        return self._renew_page(*self._renew_table())

    def _renew_table(self) -> tuple[list[Trial], dict[str, dict[str, Any]]]:
        """Returns the trials of which there is something to show, in order, and all records."""
        records = {trial.name: self.record(trial.name) for trial in self.trials}
        order = self._ranked(records)
        files.write_text(self.folder.results, self._table(order, records))
        return [trial for trial in order if _part(records[trial.name], "settings")], records

    def _renew_page(self, shown: Sequence[Trial], records: Mapping[str, dict[str, Any]]) -> bool:
        if not shown:
            return False
        began = time.monotonic()
        try:
            self._write_page(shown, records)
        except (InputError, OSError) as error:  # the trials and their table are worth more
            _log.warning("%s cannot be renewed: %s", self.folder.page, error)
            return False
        finally:
            now = time.monotonic()
            self._next_page = now + (now - began) / _PAGE_SHARE
        return True

    def _write_page(self, shown: Sequence[Trial], records: Mapping[str, dict[str, Any]]) -> None:
        layout = self.layout
        if not set(layout) <= set.intersection(
            *({"content", "style", *records[trial.name]["settings"]} for trial in shown)
        ):
            layout = ()  # such as --time_limit, which becomes a number of steps
        comparison.write_page(
            self.folder.page,
            [self.folder.run(trial.name).path for trial in shown],
            f"{self.folder.path.absolute().name}: {len(shown)} of {len(self.trials)} trials",
            layout,
            {self.folder.run(trial.name).path: trial.note for trial in shown if trial.note},
        )

    def _ranked(self, records: Mapping[str, dict[str, Any]]) -> list[Trial]:
        """The trials, the best first; those without a figure come last."""
        if not self.metric:
            return list(self.trials)
        return sorted(self.trials, key=lambda trial: _loss(self.metric, records[trial.name]))

    def _table(self, order: Sequence[Trial], records: Mapping[str, dict[str, Any]]) -> str:
        names = dict.fromkeys(setting.name for trial in self.trials for setting in trial.settings)
        terms = _names(records, "final_terms")
        scores = _names(records, "scores")
        rank = ["rank"] if self.metric else []
        columns = [*rank, "name", "status", *names, *terms, *scores, "seconds", "steps"]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*columns, "note", "error"])
        for number, trial in enumerate(order, start=1):
            record = records[trial.name]
            status, reason = record.get("status", "waiting"), ""
            if status != "finished" and (reason := self.folder.read_failure(trial.name)):
                status = "failed"
            rank = [""] if math.isinf(_loss(self.metric, record)) else [str(number)]
            writer.writerow(
                [
                    *(rank if self.metric else []),
                    *(trial.name, status, *(trial.text(name) for name in names)),
                    *(_part(record, "final_terms").get(name) for name in terms),
                    *(_part(record, "scores").get(name) for name in scores),
                    *(record.get("seconds"), record.get("step"), trial.note, reason),
                ]
            )
        return stream.getvalue()


def _names(records: Mapping[str, dict[str, Any]], part: str) -> list[str]:
    return list(dict.fromkeys(name for one in records.values() for name in _part(one, part)))


def _part(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of a record, which may be missing or damaged."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def check_metric(metric: str, trials: Sequence[Trial]) -> None:
    """Refuse a metric that these trials will not have.

    Raises:
        InputError: naming those that they will have.
    """
    configs = [trial.config for trial in trials]
    terms = {n for c in configs for n in term_names(c.content_layers, c.style_layers)}
    kinds = sorted({name.split("/")[0] for name in terms})
    if metric in SCORES or metric in _gram_errors(metric, trials):
        if without := [trial for trial in trials if not trial.config.scores]:
            raise InputError(f"--objective_metric={metric}: {without[0].name} has --noscores")
    elif metric not in {"total", "seconds", *kinds, *terms}:
        known = ", ".join([*SCORES, "total", *kinds, "seconds"])
        raise InputError(f"--objective_metric={metric}: must be one of {known}, or a term's name")


def _gram_errors(metric: str, trials: Sequence[Trial]) -> set[str]:
    """The Gram errors by layer that trials will have, where it is one that is asked for."""
    if _kind(metric) != "gram_error":
        return set()
    from nst_keras.runs import scores as scores_lib  # imports TensorFlow

    layers = {
        layer
        for trial in trials
        for layer in scores_lib.held_out_layers(trial.config.style_layers, trial.config.backbone)
    }
    return {f"gram_error/{layer}" for layer in layers}


def incomparable(metric: str, trials: Sequence[Trial]) -> list[str]:
    """Settings under whose values a metric is another quantity in each trial."""
    kind = _kind(metric)
    decisive = _YARDSTICK.get(kind, ("size",)) if kind in SCORES else comparison.OBJECTIVE
    return [name for name in varied_names(trials) if name in decisive and metric != "seconds"]


def _loss(metric: str, record: Mapping[str, Any]) -> float:
    """A figure that is lower in a better trial; infinite while there is none.

    What is better is said in `gallery.SCORES`: more likeness to the photo, a roughness near 1, and
    less of all that is a distance, a loss or a time.
    """
    terms = _part(record, "final_terms")
    figures = {**terms, **_part(record, "scores")}
    if terms:  # as soon as there is a result
        figures["seconds"] = record.get("seconds")
    values = [value for name, value in figures.items() if matches(name, metric)]
    numbers = [value for value in values if isinstance(value, (int, float))]
    if not numbers or not all(abs(number) < 1e300 for number in numbers):  # NaN neither
        return math.inf
    total = sum(numbers)
    if _kind(metric) == "gram_error":  # of as many layers as the objective leaves out
        total /= len(numbers)
    if _kind(metric) in _NEAR_ONE:
        return abs(total - 1.0)
    return -total if _kind(metric) in _HIGHER else total


def _kind(metric: str) -> str:
    return metric.split("/")[0]
