#!/usr/bin/env python
"""Damage files and read them: `python scripts/fuzz.py [--inputs=20000] [--seed=0] [--keep=FOLDER]`.

Every reader of files that other people may have written is given small files that are damaged in
many ways. It may succeed, or refuse them with an InputError of one line. Anything else is a
finding: another exception, more than 5 s, 500 MB more memory than before, a file written elsewhere,
a process started, an object unpickled, or a line on standard error. --kind=image,matrix reads these
kinds only, and --keep keeps the inputs of findings. The same seed makes the same inputs unless a
reader changes: an input with a new outcome is damaged further later.

The last line shows the number of inputs, tracebacks and hangs, and the largest growth of memory for
one input. Exit status: 0 without findings, 1 with some, 2 for bad flags.
"""

import argparse
import faulthandler
import sys
import tempfile
from pathlib import Path

from fuzzing.campaign import Campaign
from fuzzing.readers import KINDS


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--inputs", type=int, default=20_000, help="How many inputs to read. Default: 20000."
    )
    parser.add_argument("--seed", type=int, default=0, help="Decides all damage. Default: 0.")
    parser.add_argument(
        "--kind", default=",".join(KINDS), help="Which kinds of files to damage, of: %(default)s."
    )
    parser.add_argument(
        "--keep", type=Path, help="A folder that the inputs of findings are copied to."
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.kind.split(",")) - {*KINDS}:
        parser.error(f"--kind: {', '.join(sorted(unknown))} is none of {', '.join(KINDS)}")
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    faulthandler.enable(sys.__stderr__ or 2)
    sys.dont_write_bytecode = True  # readers import modules, and must not write elsewhere
    kinds = {name: KINDS[name] for name in given.kind.split(",")}
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(kinds, given.seed, Path(scratch), given.keep)
        campaign.run(given.inputs)
    for line in campaign.summary():
        print(line)
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
