#!/usr/bin/env python
"""Compare settings by blind votes: `python scripts/study.py paint|sheets|tally FOLDER ...`.

`paint` makes a picture of each pair in `pairs.csv` (name, content, style) by each candidate in
`candidates.csv` (name, flags), both in the study's folder. `sheets` draws shuffled sheets for
judges and hides which candidate is where: each judge sees only the folder `sheets/judge_N`, and
writes `votes.csv` there. `tally` counts the votes.
"""

import argparse
from pathlib import Path

from studying import pictures, sheets, votes


def _paint(options: argparse.Namespace) -> None:
    candidates = pictures.read_candidates(options.folder / "candidates.csv")
    if options.only:
        candidates = {name: candidates[name] for name in options.only.split(",")}
    pictures.paint(options.folder, pictures.read_pairs(options.folder / "pairs.csv"), candidates)


def _sheets(options: argparse.Namespace) -> None:
    comparisons = [tuple(text.split(",")) for text in options.compare]
    pairs = pictures.read_pairs(options.folder / "pairs.csv")
    made = sheets.make_sheets(options.folder, pairs, comparisons, options.judges, options.seed)
    print(f"{len(made)} sheets for {options.judges} judges in {options.folder / 'sheets'}")


def _tally(options: argparse.Namespace) -> None:
    key = sheets.read_key(options.folder / "key.csv")
    folders = sorted((options.folder / "sheets").glob("judge_*"))
    found = votes.read_votes(key, [folder for folder in folders if (folder / "votes.csv").exists()])
    compared = sorted({tuple(sorted((sheet.left, sheet.right))) for sheet in key})
    for question, own in found.items():
        print(f"\n{question}: {len(own)} votes")
        for one, other in compared:
            _print_comparison(own, one, other)
        names = sorted({name for both in compared for name in both})
        for name, (score, low, high) in votes.ranking(own, names).items():
            print(f"  {name}: rank centrality {score:.3f} [{low:.3f}, {high:.3f}]")


def _print_comparison(own: list[votes.Vote], one: str, other: str) -> None:
    wins, count = votes.share(own, one, other)
    low, high = votes.wilson_interval(wins, count)
    print(f"  {one} against {other}: {wins} of {count}, {wins / max(count, 1):.0%}", end="")
    print(f" [{low:.0%}, {high:.0%}]")
    for pair in sorted({vote.pair for vote in own}):
        wins, count = votes.share([vote for vote in own if vote.pair == pair], one, other)
        print(f"    {pair}: {wins} of {count}")


def main() -> None:
    """Run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in (("paint", _paint), ("sheets", _sheets), ("tally", _tally)):
        command = commands.add_parser(name)
        command.set_defaults(function=function)
        command.add_argument("folder", type=Path, help="the study's folder")
        if name == "paint":
            command.add_argument("--only", help="candidates to paint, separated by commas")
        if name == "sheets":
            command.add_argument(
                "--compare", action="append", required=True, help="two candidates: ONE,OTHER"
            )
            command.add_argument("--judges", type=int, default=4, help="number of judges")
            command.add_argument("--seed", type=int, default=0, help="decides orders and sides")
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
