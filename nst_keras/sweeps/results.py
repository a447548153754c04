"""The results of a sweep: `results.csv`, and one page that compares its trials."""

import csv
import io
import logging
import math
import time
from collections.abc import Mapping, Sequence

from nst_keras.objective.term_names import kind_of, matches, term_names
from nst_keras.runs import comparison, score_table
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.record import Fingerprint, RunRecord
from nst_keras.runs.score_table import SCORES
from nst_keras.runtime import files
from nst_keras.runtime.background import Submit, at_once
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS
from nst_keras.sweeps.folder import SweepFolder
from nst_keras.sweeps.trials import Trial, varied_names

_log = logging.getLogger(__name__)

_PAGE_SHARE = 0.1  # of the time that may go into writing the page, which holds megabytes


class TrialRecords:
    """The records of the trials of a sweep.

    Args:
        fingerprints: by the trial's name; for a trial that is missing, only its settings are
            known and not its inputs.
    """

    def __init__(
        self,
        folder: SweepFolder,
        trials: Sequence[Trial],
        fingerprints: Mapping[str, Fingerprint] | None = None,
    ):
        self.folder, self.trials = folder, trials
        self._fingerprints = fingerprints or {}
        self._settings = {
            trial.name: folder_lib.fingerprint(trial.config, {}).settings for trial in trials
        }

    def read(self, trial: str) -> RunRecord:
        """The record of a trial, by its name; an empty one if the trial has none yet.

        A trial that replaces another run has none until it starts.
        """
        record = self.folder.run(trial).read_record()
        if trial in self._fingerprints:
            return record if record.is_of(self._fingerprints[trial]) else RunRecord()
        found = (record.requested.settings, record.fingerprint.settings)
        return record if self._settings[trial] in found else RunRecord()


class Results:
    """The table and the page of a sweep, written again and again from the records of its trials.

    Args:
        metric: ranks the trials: a score, 'total', a kind of term, a term, or 'seconds'.
        layout: two settings that lay out the page; by default those that vary and change the
            picture, if they are two.
        submit: takes the work of writing the page, which takes a while if there are many trials.
    """

    def __init__(
        self,
        records: TrialRecords,
        metric: str = "",
        layout: tuple[str, ...] = (),
        submit: Submit = at_once,
    ):
        self._records, self.metric = records, metric
        self.folder, self.trials = records.folder, records.trials
        varied = [name for name in varied_names(self.trials) if OPTIONS[name].changes_result]
        self.layout = layout or (tuple(varied) if len(varied) == 2 else ())
        self._next_page = 0.0  # infinite while the page is being written
        self._submit = submit

    def refresh(self) -> None:
        """Write the table, and have the page written unless that was done just before."""
        shown, records = self._write_table()

        def write() -> None:
            self._try_to_write_page(shown, records)

        if shown and time.monotonic() >= self._next_page:
            self._next_page = math.inf
            self._submit(write)

    def conclude(self) -> bool:
        """Write the table and the page, at once; returns whether there is a page."""
        return self._try_to_write_page(*self._write_table())

    def _write_table(self) -> tuple[list[Trial], dict[str, RunRecord]]:
        """Returns the trials that the page shows, in order, and the records of all trials."""
        records = {trial.name: self._records.read(trial.name) for trial in self.trials}
        order = self._ranked(records)
        files.write_text(self.folder.results, self._table(order, records))
        return [trial for trial in order if records[trial.name].settings], records

    def _try_to_write_page(self, shown: Sequence[Trial], records: Mapping[str, RunRecord]) -> bool:
        if not shown:
            return False
        began = time.monotonic()
        try:
            self._write_page(shown, records)
        except (InputError, OSError) as error:  # the trials and their table matter more
            _log.warning("%s cannot be written: %s", self.folder.page, error)
            return False
        finally:
            now = time.monotonic()
            self._next_page = now + (now - began) / _PAGE_SHARE
        return True

    def _write_page(self, shown: Sequence[Trial], records: Mapping[str, RunRecord]) -> None:
        layout = self.layout
        settings = [{"content", "style", *records[trial.name].settings} for trial in shown]
        if not set(layout) <= set.intersection(*settings):
            layout = ()  # such as --time_limit, which becomes a number of steps
        comparison.write_page(
            self.folder.page,
            [self.folder.run(trial.name).path for trial in shown],
            f"{self.folder.path.absolute().name}: {len(shown)} of {len(self.trials)} trials",
            layout,
            {self.folder.run(trial.name).path: trial.note for trial in shown if trial.note},
        )

    def _ranked(self, records: Mapping[str, RunRecord]) -> list[Trial]:
        """The trials, the best first and those without a result last."""
        if not self.metric:
            return list(self.trials)
        return sorted(self.trials, key=lambda trial: _loss(self.metric, records[trial.name]))

    def _table(self, order: Sequence[Trial], records: Mapping[str, RunRecord]) -> str:
        settings = dict.fromkeys(s.name for trial in self.trials for s in trial.settings)
        terms = dict.fromkeys(name for record in records.values() for name in record.final_terms)
        scores = dict.fromkeys(name for record in records.values() for name in record.scores)
        rank = ["rank"] if self.metric else []
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [*rank, "name", "status", *settings, *terms, *scores, "seconds", "steps"]
            + ["note", "error"]
        )
        for number, trial in enumerate(order, start=1):
            record = records[trial.name]
            status, reason = self._status(trial, record)
            if self.metric:
                rank = [""] if math.isinf(_loss(self.metric, record)) else [str(number)]
            writer.writerow(
                [
                    *(*rank, trial.name, status, *(trial.text(name) for name in settings)),
                    *(_cell(record.final_terms.get(name)) for name in terms),
                    *(_cell(record.scores.get(name)) for name in scores),
                    *(record.seconds, record.step, trial.note, reason),
                ]
            )
        return stream.getvalue()

    def _status(self, trial: Trial, record: RunRecord) -> tuple[str, str]:
        """The status of a trial, and why it failed if it did."""
        if record.status != "finished" and (reason := self.folder.read_failure(trial.name)):
            return "failed", reason
        return record.status or "waiting", record.reason


def _cell(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else number


def check_metric(metric: str, trials: Sequence[Trial]) -> None:
    """Refuse a metric that the trials will not have.

    Raises:
        InputError: naming those that they will have.
    """
    configs = [trial.config for trial in trials]
    terms = {n for c in configs for n in term_names(c.content_layers, c.style_layers)}
    kinds = sorted({kind_of(name) for name in terms})
    if metric in SCORES or metric in _scores_by_layer(trials):
        if without := [trial for trial in trials if not trial.config.scores]:
            raise InputError(f"--objective_metric={metric}: {without[0].name} has --noscores")
    elif metric not in {"total", "seconds", *kinds, *terms}:
        known = ", ".join([*SCORES, "total", *kinds, "seconds"])
        raise InputError(
            f"--objective_metric={metric}: must be one of {known}, or the name of a term"
        )


def _scores_by_layer(trials: Sequence[Trial]) -> set[str]:
    """The names of the scores by layer that trials will have."""
    configs = [trial.config for trial in trials]
    layers = {
        layer for c in configs for layer in score_table.held_out_layers(c.style_layers, c.backbone)
    }
    by_layer = [name for name, score in SCORES.items() if score.by_layer]
    return {f"{name}/{layer}" for name in by_layer for layer in layers}


def incomparable(metric: str, trials: Sequence[Trial]) -> list[str]:
    """Settings that vary among the trials and make the metric a different quantity in each."""
    if metric == "seconds":
        return []
    kind = kind_of(metric)
    decisive = SCORES[kind].depends_on if kind in SCORES else comparison.OBJECTIVE
    return [name for name in varied_names(trials) if name in decisive]


def _loss(metric: str, record: RunRecord) -> float:
    """A number that is lower for a better trial; infinite while there is no result."""
    if metric == "seconds":
        seconds = record.seconds if record.final_terms else None  # once there is a result
        return math.inf if seconds is None else seconds
    figures = {**record.final_terms, **record.scores}
    values = [value for name, value in figures.items() if matches(name, metric)]
    if kind_of(metric) in SCORES:
        return score_table.loss(metric, values)
    return sum(values) if values and all(map(math.isfinite, values)) else math.inf
