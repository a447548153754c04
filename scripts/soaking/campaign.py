"""Many jobs, several at a time, and the report on them."""

import argparse
import collections
import concurrent.futures
import shutil
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from .checks import DIFFERS, LEFT, LOST, STATUS, TORN
from .interruptions import DAMAGES, WEIGHTS
from .job import Job
from .settings import make_inputs


def run_jobs(options: argparse.Namespace, out: Path) -> int:
    """Run all jobs and report on them; returns how many failed."""
    make_inputs(out / "inputs")
    numbers = [options.only] if options.only is not None else range(options.jobs)
    counts: collections.Counter[str] = collections.Counter()
    failed = 0
    for done, job in enumerate(_executed(options, numbers, out), start=1):
        failed += bool(job.problems)
        counts += job.counts
        report(f"{done}: {_describe(job, options.seed)}")
        if not job.problems and not options.keep:
            shutil.rmtree(job.folder)
    report(_sum_up(len(numbers), counts))
    report(f"{len(numbers) - failed} passed, {failed} failed")
    return failed


def _executed(options: argparse.Namespace, numbers: Sequence[int], out: Path) -> Iterator[Job]:
    """The jobs as they end, several at a time."""
    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        try:
            started = [pool.submit(_execute, options.seed, number, out) for number in numbers]
            for future in concurrent.futures.as_completed(started):
                yield future.result()
        except BaseException:  # Ctrl-C: jobs that wait are not started any more
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _execute(seed: int, number: int, out: Path) -> Job:
    job = Job(seed, number, out / f"job_{number:05d}", out / "inputs")
    try:
        job.execute()
    except Exception:  # in this script: the other jobs continue
        job.problems.append(traceback.format_exc())
    return job


def report(text: str) -> None:
    """Print a line immediately."""
    print(text, flush=True)


def _describe(job: Job, seed: int) -> str:
    """One line for a job that passed; for a failed one, everything needed to examine it."""
    if not job.problems:
        return f"job {job.number} passed: {'; '.join(job.history)}"
    return "\n  ".join(
        [
            f"job {job.number} FAILED",
            *job.problems,
            f"command: {job.command}",
            *(f"start {number}: {line}" for number, line in enumerate(job.history, start=1)),
            f"again: --seed={seed} --only={job.number}",
            f"folder: {job.folder}",
        ]
    )


def _sum_up(jobs: int, counts: collections.Counter[str]) -> str:
    kinds = [f"{name} {counts[f'by {name}']}" for name in WEIGHTS]
    damages = [f"{name} {counts[f'damaged {name}']}" for name in DAMAGES]
    problems = [f"{counts[name]} {name}" for name in (LOST, DIFFERS, TORN, LEFT, STATUS)]
    return "\n".join(
        [
            f"jobs: {jobs}, starts: {counts['starts']}",
            f"interrupted by: {', '.join(kinds)}",
            f"damaged: {', '.join(damages)}",
            f"resumes: {counts['resumes']}, fallbacks: {counts['fallbacks']}",
            f"problems: {', '.join(problems)}",
        ]
    )
