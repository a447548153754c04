#!/usr/bin/env python
"""Read every file of a folder as the commands do: `python scripts/read_corpus.py FOLDER`.

Each file is read in a process of its own. It may be read, or be refused with one line. Anything
else is a problem: another exception, a crash, more than --timeout seconds, a line on standard
output or standard error, values that are not finite or outside [0, 1]. If the folder has been
written by `make_corpus.py`, values are also compared with the right ones, and files that must be
refused must not be read.

Prints how many files were read and refused and why, the slowest files, those that took the most
memory, and all problems. Exit status: 0 without problems, 1 with some, 2 for bad flags.
"""

import argparse
import collections
import sys
from pathlib import Path

from corpus.expected import Expected
from corpus.reading import Outcome, read_in_process

_SHOWN = 5  # files in each list of the slowest and the largest


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="The folder, with all folders in it.")
    parser.add_argument(
        "--timeout", type=float, default=120, help="Seconds for each file. Default: 120."
    )
    parser.add_argument("--max_megapixels", type=float, default=200, help="Default: 200.")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"{given.folder}: no such folder")
    expected = Expected.load(given.folder)
    paths = [path for path in sorted(given.folder.rglob("*")) if path.is_file()]
    outcomes = []
    for number, path in enumerate(path for path in paths if path.name not in Expected.FILES):
        outcome = read_in_process(path, int(given.max_megapixels * 1e6), given.timeout)
        outcome.problems.extend(expected.problems(path, outcome))
        if outcome.pixels is not None:  # all of thousands would take gigabytes
            outcome.pixels = outcome.pixels[:1, :1].copy()
        outcomes.append(outcome)
        if sys.stderr.isatty() and number % 20 == 0:
            print(f"\r{number} of {len(paths)}", end="", file=sys.stderr, flush=True)
    for line in summary(outcomes):
        print(line)
    return 1 if any(outcome.problems for outcome in outcomes) else 0


def summary(outcomes: list[Outcome]) -> list[str]:
    """The lines that the command prints."""
    read = [outcome for outcome in outcomes if outcome.pixels is not None]
    refused = [outcome for outcome in outcomes if outcome.refusal]
    reasons = collections.Counter(outcome.refusal.partition(":")[0] for outcome in refused)
    notes = collections.Counter(note for outcome in read for note in outcome.notes)
    slowest = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:_SHOWN]
    largest = sorted(outcomes, key=lambda outcome: -outcome.megabytes)[:_SHOWN]
    problems = [(outcome, text) for outcome in outcomes for text in outcome.problems]
    return [
        f"{len(outcomes)} files: {len(read)} read, {len(refused)} refused with one line",
        *(f"  refused: {count:5} {reason}" for reason, count in reasons.most_common()),
        *(f"  noted:   {count:5} {note}" for note, count in notes.most_common(20)),
        *(f"  slow:    {outcome.seconds:7.2f} s  {outcome.path}" for outcome in slowest),
        *(f"  large:   {outcome.megabytes:7.0f} MB {outcome.path}" for outcome in largest),
        *(f"  problem: {outcome.path}: {text}" for outcome, text in problems),
        f"{len(problems)} problems",
    ]


if __name__ == "__main__":
    sys.exit(main())
