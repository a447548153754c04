"""The options of a sweep itself; it accepts all options of a run as well."""

import dataclasses
import sys

from nst_keras.runtime.errors import InputError
from nst_keras.settings.command import Command
from nst_keras.settings.config import OPTIONS as RUN_OPTIONS
from nst_keras.settings.option import check_settings, options_of, section
from nst_keras.sweeps.trials import rebase_vary

_trials = section("trials")
_execution = section("execution")


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """All settings of one sweep, except those that its trials have in common.

    Raises InputError if a value is of the wrong type or out of range, or two do not go together.
    """

    matrix: str | None = _trials(
        None,
        "A CSV file with a column per flag and a row per trial; columns name and note are "
        "optional. Its paths are relative to it.",
        path=True,
    )
    vary: tuple[str, ...] = _trials(
        (),
        "NAME=VALUE,VALUE: a trial for each value of the flag NAME. If given several times: a "
        "trial for each combination. Where a value is a list itself, separate values by |. A "
        "pattern such as photos/*.jpg stands for all files that match it.",
        repeated=True,
        rebase=rebase_vary,
    )
    dry_run: bool = _trials(False, "List the trials, and run none of them.")
    objective_metric: str = _trials(
        "", "Rank the trials by a score, total, content, style, tv, a term or seconds."
    )
    layout: tuple[str, ...] = _trials(
        (),
        "ROW,COLUMN: two flags that lay out the page.",
        unset="the two that vary, if there are exactly two",
    )
    shard: str = _trials("1/1", "I/N: only the trials of the I-th of N parts.")

    engine: str = _execution(
        "local", "local: processes on this machine; ray: a Ray cluster.", choices=("local", "ray")
    )
    jobs: int | None = _execution(
        None, "local: trials at a time.", (1, 10**6), unset="one per GPU, or one"
    )
    batch: int | str = _execution(
        1,
        "local: maximum number of trials of the same size to run together in one process, which "
        "makes better use of a GPU. auto: as many as fill the GPU, or 1 without one. The same "
        "batches give the same bytes; others differ by rounding.",
        (1, 10**6),
        words=("auto",),
    )
    cpus_per_trial: float | None = _execution(
        None, "ray: CPUs that each trial takes.", (0, 10**6), unset="1"
    )
    gpus_per_trial: float | None = _execution(
        None, "ray: GPUs that each trial takes.", (0, 10**6), unset="0"
    )
    retries: int = _execution(
        2,
        "Maximum number of times that a trial is resumed after its process or worker is lost.",
        (0, 10**6),
    )

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)
        self.part()
        if self.engine == "ray" and self.jobs:
            raise InputError(
                f"--jobs={self.jobs}: needs --engine=local; with ray, use --cpus_per_trial"
            )
        if self.engine == "ray" and self.batch != 1:
            raise InputError(f"--batch={self.batch}: needs --engine=local")
        if sys.platform == "win32" and self.batch != 1:
            raise InputError(f"--batch={self.batch}: is not available on Windows; use WSL2")
        for name in ("cpus_per_trial", "gpus_per_trial"):
            value = getattr(self, name)
            if self.engine == "local" and value is not None:
                raise InputError(f"--{name}={value:g}: needs --engine=ray; use --jobs")
        shown = {name for name, option in RUN_OPTIONS.items() if option.changes_result}
        if self.layout and (len(self.layout) != 2 or not shown.issuperset(self.layout)):
            raise InputError(
                f"--layout={','.join(self.layout)}: must be two flags that change the picture, "
                "such as style_weight,style_scale"
            )

    def part(self) -> tuple[int, int]:
        """The number of this part of the trials, from 1, and the number of parts."""
        number, _, count = self.shard.partition("/")
        digits = all(text.isascii() and text.isdecimal() for text in (number, count))
        if not digits or not 1 <= int(number) <= int(count):
            raise InputError(
                f"--shard={self.shard}: must be I/N with I from 1 to N, such as 1/4", "shard"
            )
        return int(number), int(count)


OPTIONS = options_of(SweepConfig)
COMMAND = Command(
    usage=(
        "Runs trials and compares them: a table, and a page with all results.",
        "",
        "  nst sweep --matrix=configs/experiments.csv --size=256",
        "  nst sweep --flagfile=configs/monet.cfg --vary=style_weight=10,20,40",
        "  nst sweep --vary='content=photos/*.jpg' --vary='style=paintings/*.jpg'",
        "",
        "The flags of a run (nst --help) apply to all trials. The command line overrides",
        "flagfiles; the table and --vary override both. The same command resumes what is not",
        "finished. All output goes to --workdir, by default runs/MATRIX-XXXX; with --overwrite,",
        "trials in it whose settings have changed are run again.",
    ),
    options=OPTIONS,
    inherited=RUN_OPTIONS,
    positionals=("content", "style"),
    flagfiles_first=True,
)
