#!/usr/bin/env python
"""Interrupt runs at random moments: `python scripts/soak.py [--jobs=200] [--seed=0] ...`.

Each job is a tiny picture with random settings. It is run once without interruptions, as a
reference, and once while it is killed, stopped, or denied by the disk at random moments; the same
command resumes it until it is finished. Both must leave the same bytes, and no file may be
incomplete at any time.

The seed decides all settings and moments. Moments counted in file operations repeat exactly, or
nearly so where two threads write; moments in seconds depend on the machine. To repeat a failed job:
`--seed=SEED --only=NUMBER`.

    python scripts/soak.py --faulty=KIND:AT:BYTES -- flags

is one run with one fault, of the kinds in `soaking.interruptions.FAULTS`. Exit status: 0 if no job
failed, else 1. Needs a Unix system, because it sends signals and limits the size of files.
"""

import argparse
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from soaking.campaign import run_jobs
from soaking.faults import run_with_fault
from soaking.interruptions import SIGNALS
from soaking.processes import PRELOADED

# Results repeat to the byte on the processor.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
_USUAL = {signal.SIGINT: signal.default_int_handler}


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=200, help="how many jobs")
    parser.add_argument("--parallel", type=int, default=2, help="how many jobs at the same time")
    parser.add_argument("--seed", type=int, default=0, help="decides all settings and moments")
    parser.add_argument("--only", type=int, help="run only the job of this number")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all jobs")
    parser.add_argument("--out", help="a new folder for the jobs; default: a temporary one")
    return parser.parse_args(arguments)


def _faulty(arguments: list[str]) -> int:
    """Run `--faulty=KIND:AT:BYTES -- flags`; returns the exit status of the run."""
    kind, at, size = arguments[0].partition("=")[2].split(":")
    return run_with_fault((kind, int(at), int(size)), list(itertools.islice(arguments, 2, None)))


def main(arguments: list[str]) -> int:
    if arguments and arguments[0].startswith("--faulty="):
        return _faulty(arguments)
    options = _parse(arguments)
    os.environ.update(ENVIRONMENT)
    for number in SIGNALS.values():  # jobs would inherit what a shell's background and nohup ignore
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _USUAL.get(number, signal.SIG_DFL))
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    out = Path(options.out or tempfile.mkdtemp(prefix="soak_")).absolute()
    failed = run_jobs(options, out)
    if not failed and not options.keep:
        shutil.rmtree(out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
