"""What the records of trials say: a table, a page that compares them, and the progress."""

import csv
import dataclasses
import io
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nst_keras.objective.term_names import kind_of, matches
from nst_keras.runs import comparison, gallery, gallery_html, score_table
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.public import public_record
from nst_keras.runs.record import Fingerprint, RunRecord
from nst_keras.runs.score_table import SCORES
from nst_keras.runtime import files
from nst_keras.runtime.background import Submit, at_once
from nst_keras.runtime.errors import InputError, reason_of
from nst_keras.runtime.progress import fitting, format_seconds
from nst_keras.settings.config import OPTIONS
from nst_keras.sweeps.folder import SweepFolder
from nst_keras.sweeps.trials import Trial, varied_names

_log = logging.getLogger(__name__)

_PAGE_SHARE = 0.1  # of the time that may go into writing the page, which holds megabytes
_READ_SECONDS = 1.0  # between readings of the run folders for the progress


@dataclasses.dataclass(eq=False)
class Results:
    """The table and the page of a sweep, written again and again from the records of its trials."""

    folder: SweepFolder
    trials: Sequence[Trial]
    metric: str = ""  # ranks the trials: a score, total, a kind of term, a term, or seconds
    # Two settings that lay out the page; by default those that vary and change the picture.
    layout: tuple[str, ...] = ()
    # By the trial's name; of a trial that is missing, only the settings are known, not the inputs.
    fingerprints: Mapping[str, Fingerprint] = dataclasses.field(default_factory=dict)
    submit: Submit = at_once  # takes the work of writing the page, which may take a while

    def __post_init__(self) -> None:
        varied = [name for name in varied_names(self.trials) if OPTIONS[name].changes_result]
        self.layout = self.layout or (tuple(varied) if len(varied) == 2 else ())
        settings = {trial.name: folder_lib.fingerprint(trial.config, {}) for trial in self.trials}
        self.fingerprints = {**settings, **self.fingerprints}
        self._next_page = 0.0  # infinite while the page is being written

    def read(self, trial: str) -> RunRecord:
        """The record of a trial, by its name; an empty one if the trial has none yet.

        A trial that replaces another run has none until it starts.
        """
        record = self.folder.run(trial).read_record()
        asked, found = self.fingerprints[trial], [record.requested, record.fingerprint]
        if not asked.hashes:
            found = [Fingerprint(one.settings) for one in found]
        return record if asked in found else RunRecord()

    def refresh(self) -> None:
        """Write the table, and have the page written unless that was done just before."""
        shown, records = self._write_table()
        if shown and time.monotonic() >= self._next_page:
            self._next_page = math.inf
            self.submit(lambda: self._write_page(shown, records))

    def conclude(self) -> bool:
        """Write the table and the page, at once; returns whether there is a page."""
        shown, records = self._write_table()
        return bool(shown) and self._write_page(shown, records)

    def _write_table(self) -> tuple[list[Trial], dict[str, RunRecord]]:
        """Returns the trials that the page shows, in order, and the records of all trials."""
        records = {trial.name: self.read(trial.name) for trial in self.trials}
        order = list(self.trials)
        if self.metric:  # the best first, and those without a result last
            order.sort(key=lambda trial: _loss(self.metric, records[trial.name]))
        settings = dict.fromkeys(s.name for trial in self.trials for s in trial.settings)
        terms = dict.fromkeys(name for record in records.values() for name in record.final_terms)
        scores = dict.fromkeys(name for record in records.values() for name in record.scores)
        rank = ["rank"] if self.metric else []
        names = [*rank, "name", "status", *settings, *terms, *scores]
        rows: list[list[Any]] = [[*names, "seconds", "steps", "note", "error"]]
        for number, trial in enumerate(order, start=1):
            record = records[trial.name]
            failure = "" if record.status == "finished" else self.folder.read_failure(trial.name)
            status = "failed" if failure else record.status or "waiting"
            if self.metric:
                rank = ["" if math.isinf(_loss(self.metric, record)) else str(number)]
            found = {**record.final_terms, **record.scores}
            figures = (found.get(name, math.nan) for name in (*terms, *scores))
            rows.append(
                [
                    *(*rank, trial.name, status, *(trial.text(name) for name in settings)),
                    *("" if math.isnan(figure) else figure for figure in figures),
                    *(record.seconds, record.step, trial.note, failure or record.reason),
                ]
            )
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        files.write_text(self.folder.results, stream.getvalue())
        return [trial for trial in order if records[trial.name].settings], records

    def _subject(self, shown: Sequence[Trial], records: Mapping[str, RunRecord]) -> str:
        """What the trials paint, if that is the same; or else the name of the folder."""
        inputs = {
            (own.content.name, *(style.name for style in own.styles))
            for own in (public_record(records[trial.name]) for trial in shown)
        }
        if len(inputs) > 1 or not all(map(all, inputs)):
            return self.folder.path.absolute().name
        return gallery_html.title_of([gallery.picture_title(name) for name in inputs.pop()])

    def _write_page(self, shown: Sequence[Trial], records: Mapping[str, RunRecord]) -> bool:
        """Returns whether the page could be written."""
        began = time.monotonic()
        settings = [{"content", "style", *records[trial.name].settings} for trial in shown]
        # A record lacks settings such as --time_limit, which becomes a number of steps.
        has_layout = set(self.layout) <= set.intersection(*settings)
        paths = {trial.name: self.folder.run(trial.name).path for trial in shown}
        try:
            comparison.write_page(
                self.folder.page,
                list(paths.values()),
                f"{self._subject(shown, records)}: {len(shown)} of {len(self.trials)} trials",
                self.layout if has_layout else (),
                {paths[trial.name]: trial.note for trial in shown if trial.note},
            )
        except (InputError, OSError) as error:  # the trials and their table matter more
            _log.warning("%s cannot be written: %s", self.folder.page, reason_of(error))
            return False
        finally:
            now = time.monotonic()
            self._next_page = now + (now - began) / _PAGE_SHARE
        return True


class SweepProgress:
    """Counts the trials of a sweep, by the records that `read` returns for the names of those that
    are to be done, and estimates how long the rest takes."""

    def __init__(self, read: Callable[[str], RunRecord], names: Sequence[str]):
        self._read = read
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}  # the reasons, by the trial's name
        self._shares = {name: self._share(name) for name in names}
        self._before = sum(self._shares.values())  # done when the sweep began
        self._began = self._read_at = time.monotonic()

    def describe(self, columns: int) -> str:
        """One line that fits so many columns: how many trials are done and have failed, and the
        time left once known."""
        parts = [(0, f"{len(self.done)} of {len(self._shares)} trials done")]
        if self.failed:
            parts.append((1, f"{len(self.failed)} failed"))
        left = sum(1.0 - share for share in self._current())
        done = sum(self._shares.values()) - self._before
        if done > 0 and left > 0:
            seconds = (time.monotonic() - self._began) / done * left
            parts.append((2, f"{format_seconds(seconds)} left"))
        return fitting(parts, columns)

    def share(self) -> float:
        """The share of the work that is done, 0 to 1, leaving out failed trials."""
        shares = self._current()
        return sum(shares) / max(1, len(shares))

    def _current(self) -> list[float]:
        """The present shares of trials that have not failed; records are not read all the time."""
        self._shares |= dict.fromkeys(self.done, 1.0)
        left = [name for name in self._shares if name not in self.failed]
        if time.monotonic() - self._read_at >= _READ_SECONDS:
            self._read_at = time.monotonic()
            self._shares |= {name: self._share(name) for name in left if name not in self.done}
        return [self._shares[name] for name in left]

    def _share(self, name: str) -> float:
        """The share of its steps that an unfinished trial has done, below 1."""
        record = self._read(name)
        total = record.total_steps or 0
        return min(max(record.step or 0, 0) / total, 0.99) if total > 0 else 0.0


def check_metric(metric: str, trials: Sequence[Trial]) -> None:
    """Raise InputError, naming the possible metrics, if the trials will not have this one."""
    configs = [trial.config for trial in trials]
    terms = {name for config in configs for name in config.terms}
    kinds = sorted({kind_of(name) for name in terms})
    kind, _, layer = metric.partition("/")
    is_by_layer = kind in SCORES and SCORES[kind].by_layer
    held_out = [score_table.held_out_layers(c.style_layers, c.backbone) for c in configs]
    if metric in SCORES or is_by_layer and any(layer in layers for layers in held_out):
        if without := [trial for trial in trials if not trial.config.scores]:
            raise InputError(f"--objective_metric={metric}: {without[0].name} has --noscores")
    elif metric not in {"total", "seconds", *kinds, *terms}:
        known = ", ".join([*SCORES, "total", *kinds, "seconds"])
        raise InputError(
            f"--objective_metric={metric}: must be one of {known}, or the name of a term"
        )


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
        return score_table.distance_from_best(metric, values)
    return sum(values) if values and all(map(math.isfinite, values)) else math.inf
