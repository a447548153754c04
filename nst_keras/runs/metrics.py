"""The losses of a run's steps in `metrics.jsonl`; `RunFolder.read_metrics` reads them."""

import json
from typing import Any

from nst_keras.runs.folder import RunFolder
from nst_keras.runtime import files
from nst_keras.runtime.background import Submit, at_once
from nst_keras.transfer.iterate import Iterate


class MetricsWriter:
    """Writes `metrics.jsonl`: one JSON line for each logged step, without clock readings.

    A step is logged if it is a multiple of `every`, or the last one of its scale. Lines of the
    steps after `resume_step`, with which the run resumes, are removed.
    """

    def __init__(self, folder: RunFolder, every: int, resume_step: int, submit: Submit = at_once):
        self._folder, self._every, self._submit = folder, every, submit
        self._newest = self._logged = resume_step
        self._cut(resume_step)

    def __call__(self, iterate: Iterate) -> None:
        if iterate.step == self._logged:
            return
        if iterate.step < self._newest:  # the run went back after numerical trouble
            last = iterate.step - 1
            self._submit(lambda: self._cut(last))
            self._logged = 0
        self._newest = iterate.step
        if iterate.is_logged(self._every):
            self._logged = iterate.step
            row = {"step": iterate.step, "scale": iterate.scale.index, "terms": iterate.terms}
            line = _json_line(row)
            self._submit(lambda: self._add(line))

    def _cut(self, last_step: int) -> None:
        """Remove the rows of later steps."""
        kept = [row for row in self._folder.read_metrics() if row["step"] <= last_step]
        files.write_text(self._folder.metrics, "".join(map(_json_line, kept)))

    def _add(self, line: str) -> None:
        path = self._folder.metrics
        with files.naming(path), open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(line)
            files.sync(file)  # no checkpoint may be ahead of it


def _json_line(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"
