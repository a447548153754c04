"""The sweep's own flags; all others are those of a run."""

import argparse
import sys

from nst_keras.runtime.cli import OneLineParser
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config
from nst_keras.sweeps.table import SHOWN

_INTRODUCTION = """\
Run trials and compare them: a table, and a page with all results.

  python -m nst_keras.sweep --matrix=configs/experiments.csv --size=256
  python -m nst_keras.sweep --flagfile=configs/monet.cfg --vary=style_weight=10,20,40
  python -m nst_keras.sweep --vary='content=photos/*.jpg' --vary='style=paintings/*.jpg'

All flags of python -m nst_keras.run are taken, too, for all trials: those on the command line win
over a flagfile's, those of the table and of --vary over both. The same command goes on with what
is not finished. All goes to --workdir, by default runs/MATRIX-XXXX; with --overwrite, trials there
whose settings have changed are made anew."""


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The sweep's flags, and what is left for the runs: flagfiles first, since they are the base.

    Raises:
        InputError: naming the flag.
    """
    given, rest = _parser().parse_known_args(arguments)
    return given, _flagfiles_first(rest)


def help_text() -> str:
    """Every flag of the sweep's own."""
    return _parser().format_help()


def check(given: argparse.Namespace, base: Config) -> None:
    """Refuse flags that do not go together.

    Raises:
        InputError: naming one of them.
    """
    if not given.matrix and not given.vary:
        raise InputError("--matrix, --vary: nothing varies; give one of them, or both")
    if base.output:
        raise InputError(f"--output={base.output}: is one place for all trials; leave it out")
    for_ray = {"--cpus_per_trial": given.cpus_per_trial, "--gpus_per_trial": given.gpus_per_trial}
    if given.engine == "ray" and given.jobs:
        raise InputError(f"--jobs={given.jobs}: is for --engine=local; give --cpus_per_trial")
    if given.engine == "ray" and given.batch > 1:
        raise InputError(f"--batch={given.batch}: is for --engine=local")
    if sys.platform == "win32" and given.batch > 1:
        raise InputError(f"--batch={given.batch}: is not for Windows; WSL2 has it")
    if given.engine == "local":
        for name, value in for_ray.items():
            if value is not None:
                raise InputError(f"{name}={value:g}: is for --engine=ray; give --jobs")


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m nst_keras.sweep",
        usage=argparse.SUPPRESS,
        description=_INTRODUCTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    matrix = "A CSV with a column per flag and a row per trial; columns name and note as you like. "
    add("--matrix", metavar="PATH", help=matrix + "Its paths are relative to it.")
    vary = "Trials with each of these values; of several --vary, with each combination. "
    lists = "Lists are separated by |. Patterns stand for the files that match."
    add("--vary", metavar="NAME=V1,V2", action="append", default=[], help=vary + lists)
    add("--dry_run", action="store_true", help="List the trials and do nothing.")
    metric = "Rank the trials by a score, total, content, style, tv, a term or seconds."
    add("--objective_metric", metavar="NAME", default="", help=metric)
    layout = "Two settings that lay out the page. Not given: those that vary if they are two."
    add("--layout", metavar="ROW,COLUMN", type=_pair, default=None, help=layout)
    add("--shard", metavar="I/N", type=_shard, default=(1, 1), help="Only the I-th of N parts.")
    engine = "local: processes of this machine; ray: a Ray cluster. Default: local."
    add("--engine", choices=("local", "ray"), default="local", help=engine)
    jobs = "local: trials at a time. Not given: one per GPU, or one."
    add("--jobs", metavar="N", type=_count, default=None, help=jobs)
    batch = "Up to so many trials of one size at once in one process, which fills a GPU better. "
    same = "The same batches give the same bytes; other ones differ by rounding. Default: 1."
    add("--batch", metavar="N", type=_count, default=1, help=batch + same)
    add("--cpus_per_trial", metavar="N", type=_amount, default=None, help="ray. Default: 1.")
    add("--gpus_per_trial", metavar="N", type=_amount, default=None, help="ray. Default: 0.")
    retries = "How often a trial goes on whose process or worker was lost. Default: 2."
    add("--retries", metavar="N", type=lambda text: _count(text, 0), default=2, help=retries)
    add("--help", action="store_true", help="Show this help.")
    return parser


def _count(text: str, least: int = 1) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text}")
    return int(text)


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, not {text}")
    return value


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not all(part.isascii() and part.isdecimal() for part in (number, count)) or not (
        1 <= int(number) <= int(count)
    ):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, such as 1/4, not {text}")
    return int(number), int(count)


def _pair(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if len(names) != 2 or not set(names) <= set(SHOWN):
        raise argparse.ArgumentTypeError(
            f"must be two flags that change the picture, without --, not {text}"
        )
    return names


def _flagfiles_first(arguments: list[str]) -> list[str]:
    """Flagfiles are the base, wherever they stand."""
    first, others, waiting = [], [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name = argument.partition("=")[0]
        if name not in ("--flagfile", "-flagfile"):
            others.append(argument)
            continue
        first.append(argument)
        if "=" not in argument and waiting:
            first.append(waiting.pop(0))
    return [*first, *others]
