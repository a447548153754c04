"""One job: a run without interruptions, a run with them, and the comparison."""

import collections
import dataclasses
import json
import random
import re
import shlex
import shutil
import time
from pathlib import Path

from .checks import (
    DIFFERS,
    FELL_BACK,
    RESUMED,
    differences,
    leftovers,
    metrics_problems,
    newest_step,
    page_problems,
    read_record,
    resume_problems,
    snapshot,
    status_problems,
    stop_problems,
    torn_files,
)
from .interruptions import FAULTS, SIGNALS, Interruption, random_interruptions
from .processes import LONGEST_SECONDS, Process
from .settings import random_flags

PLAIN_SECONDS = 4.0  # that plain starts take longer than forked ones
TWICE_SECONDS = 0.1  # between two Ctrl-C


class Job:
    """A command that is run without interruptions, as a reference, and with them.

    Args:
        seed, number: decide everything about the job.
        folder: for this job alone; its runs are in `work` and `reference`.
        inputs: the folder of `make_inputs`.
    """

    def __init__(self, seed: int, number: int, folder: Path, inputs: Path):
        rng = random.Random(f"{seed}/{number}")
        self.number, self.folder = number, folder
        self.flags = random_flags(rng, inputs)
        self.interruptions = random_interruptions(rng)
        self.rng = rng  # used for damages from here on
        self.problems: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.history: list[str] = []  # one line for each start
        self._damaged: dict[Path, bytes] = {}
        self._seconds = self._operations = 0.0  # that the reference took

    @property
    def command(self) -> str:
        return shlex.join(["python", "-m", "nst_keras.run", *self.flags])

    @property
    def run(self) -> Path:
        """The folder of the interrupted run."""
        return self.folder / "work" / "run"

    def execute(self) -> None:
        """Run everything and compare; stop at the first problem, so that it can be examined."""
        for name in ("work", "reference"):
            (self.folder / name).mkdir(parents=True)
        self._run_reference()
        if "--overwrite" in self.flags and not self.problems:
            self._put_other_run()
        finished = False
        for interruption in self.interruptions:
            if finished or self.problems:
                break
            finished = self._start(interruption)
        if not self.problems:
            self._compare()
        if not self.problems and "--overwrite" not in self.flags:
            self._run_again()

    def _run_reference(self) -> None:
        reference = self.folder / "reference"
        began = time.monotonic()
        status, log = self._wait_for(Process(self.flags, reference), "reference")
        self._seconds = time.monotonic() - began
        counted = re.search(r"soak: (\d+) file operations", log)
        self._operations = int(counted[1]) if counted else 0
        self._note(status_problems("", status, log), "reference")
        if not self.problems:
            found = [*torn_files(reference / "run", {}), *leftovers(reference)]
            self._note(found + page_problems(reference / "run", self.folder / "page"), "reference")

    def _put_other_run(self) -> None:
        """Put a finished run of other settings into the folder; nothing of it may remain."""
        shutil.copytree(self.folder / "reference" / "run", self.run)
        record = read_record(self.run)
        record["requested"] = record["fingerprint"] = {"settings": {"size": "another"}}
        (self.run / "run.json").write_text(json.dumps(record), encoding="utf-8")
        shutil.copy(self.run / "latest.jpg", self.run / "iterations" / "iteration_00999.jpg")
        shutil.copy(self.run / "result.png", self.run / "strip.png")

    def _start(self, interruption: Interruption) -> bool:
        """Start the command, interrupt it, and check what it left; returns whether it finished."""
        if interruption.damage and not (self._is_begun() and self._damage(interruption.damage)):
            interruption = dataclasses.replace(interruption, damage="")
        step, begun = newest_step(self.run), self._is_begun()
        before = set(leftovers(self.folder / "work"))
        process = Process(
            self._flags(interruption.alone),
            self.folder / "work",
            self._fault(interruption),
            plain=interruption.plain,
        )
        status, log = self._wait_for(process, interruption.kind, self._moment(interruption))
        self.history.append(f"{interruption} from step {step * begun} -> {status}")
        self._count(interruption, status, log)
        found = status_problems(interruption.kind, status, log)
        found += resume_problems(step, begun, status, log)
        found += stop_problems(self.run, status, log)
        self._note(
            found + self._check_folder(interruption, status, before), f"start {len(self.history)}"
        )
        return status == 0

    def _is_begun(self) -> bool:
        """Whether the folder holds an unfinished run."""
        return read_record(self.run).get("status") in ("running", "interrupted")

    def _flags(self, alone: bool) -> list[str]:
        """The flags of the command, or only --workdir if the folder holds the others."""
        begun = self._is_begun() or read_record(self.run).get("status") == "preparing"
        own = begun and (self.run / "flags.cfg").exists() and "--overwrite" not in self.flags
        return ["--workdir=run"] if alone and own else self.flags

    def _fault(self, interruption: Interruption) -> tuple[str, int, int]:
        if interruption.kind not in FAULTS:
            return ("", 0, 0)
        return (
            interruption.kind,
            1 + int(interruption.share * self._operations),
            interruption.size,
        )

    def _moment(self, interruption: Interruption) -> float:
        """The seconds after which a signal is sent."""
        return interruption.share * (self._seconds + PLAIN_SECONDS * interruption.plain)

    def _wait_for(
        self, process: Process, kind: str, seconds: float = 0.0
    ) -> tuple[int | None, str]:
        """Wait for a process, and send it the signal `kind` after `seconds`; status and log."""
        if kind in SIGNALS:
            process.begin()
            process.wait(seconds)
            process.send(SIGNALS[kind])
        if kind == "int2":
            process.wait(TWICE_SECONDS)
            process.send(SIGNALS[kind])
        status = process.wait(LONGEST_SECONDS)
        process.close()
        with open(self.folder / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"--- {kind or 'no interruption'}\n{process.log}--- status {status}\n")
        return status, process.log

    def _check_folder(
        self, interruption: Interruption, status: int | None, before: set[str]
    ) -> list[str]:
        """Problems in the folder after a run that ended at any moment.

        Args:
            before: what an earlier start left, and this one may not have removed yet.
        """
        found = torn_files(self.run, self._damaged)
        metrics = self.run / "metrics.jsonl"
        if metrics.exists():
            whole = (self.folder / "reference" / "run" / "metrics.jsonl").read_bytes()
            begun = read_record(self.run).get("status") != "preparing"
            step = newest_step(self.run) if begun else 0
            found += metrics_problems(metrics.read_bytes(), whole, step)
        # A killed run leaves temporary files to the next start; so may a second Ctrl-C.
        if status is not None and status >= 0 and (status == 0 or interruption.kind != "int2"):
            earlier = before if status else set()
            found += [one for one in leftovers(self.folder / "work") if one not in earlier]
        return found

    def _damage(self, what: str) -> bool:
        """Damage the newest checkpoint, or append half a line to the metrics; False if missing."""
        newest = sorted((self.run / "checkpoints").glob("step_*.npz"))[-1:]
        if what == "checkpoint" and newest:
            data = bytearray(newest[0].read_bytes())
            at = self.rng.randrange(len(data))
            if self.rng.random() < 0.5:
                del data[at:]
            else:
                data[at : at + 64] = bytes(64)
            newest[0].write_bytes(data)
            self._damaged[newest[0]] = bytes(data)
        elif what == "metrics" and (self.run / "metrics.jsonl").exists():
            with open(self.run / "metrics.jsonl", "ab") as file:
                file.write(b'{"step":3,"sc')
        else:
            return False
        self.counts[f"damaged {what}"] += 1
        return True

    def _count(self, interruption: Interruption, status: int | None, log: str) -> None:
        self.counts["starts"] += 1
        if status != 0:
            self.counts[f"by {interruption.kind}"] += 1
        self.counts["resumes"] += bool(re.search(RESUMED, log))
        self.counts["fallbacks"] += FELL_BACK in log

    def _compare(self) -> None:
        found = differences(self.folder / "work", self.folder / "reference")
        self._note(found + page_problems(self.run, self.folder / "page"), "at the end")

    def _run_again(self) -> None:
        """Run the command once more, which must not change the finished run."""
        before = snapshot(self.folder / "work")
        status, log = self._wait_for(Process(self.flags, self.folder / "work"), "again")
        found = status_problems("", status, log)
        if snapshot(self.folder / "work") != before:
            found.append(f"{DIFFERS}: the same command changed a finished run")
        self._note(found, "once more")

    def _note(self, problems: list[str], when: str) -> None:
        for problem in problems:
            self.counts[problem.partition(":")[0]] += 1
            self.problems.append(f"{problem} ({when})")
