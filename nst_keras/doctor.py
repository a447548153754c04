"""Tell whether pictures can be painted here: `python -m nst_keras.doctor`.

It lists what is installed and what the machine offers, then starts TensorFlow and paints a small
picture. Each line is `ok`, a `warning` or a `problem`, with what to do about it.

Exit status: 0 a picture can be painted, 1 it cannot, 2 bad input.
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Iterator

import nst_keras
from nst_keras.diagnosis import machine, packages
from nst_keras.diagnosis.finding import PROBLEM, WARNING, Check, Finding, anonymous, guarded
from nst_keras.diagnosis.trial_process import findings_of_trial
from nst_keras.runtime import cli
from nst_keras.settings import command_line
from nst_keras.settings.command import Command
from nst_keras.settings.command_line import Call
from nst_keras.settings.option import check_settings, options_of, section

_diagnosis = section("diagnosis")


@dataclasses.dataclass(frozen=True)
class DoctorConfig:
    """All settings of one diagnosis."""

    folder: str = _diagnosis("runs", "The folder where results are to go.", path=True)
    json: bool = _diagnosis(
        False,
        "Print a report in JSON for a bug report, without the user's name and home folder.",
    )

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)


OPTIONS = options_of(DoctorConfig)

COMMAND = Command(
    usage=(
        "Tells what is installed, what this machine offers, and whether a picture can be painted,",
        "by painting a small one.",
        "",
        "  nst doctor",
    ),
    options=OPTIONS,
)


def main(arguments: list[str] | None = None) -> int:
    """Print what is found; returns the exit status."""
    return command_line.run(COMMAND, _diagnose, arguments)


def _diagnose(call: Call) -> int:
    config = DoctorConfig(**call.groups[0].values)
    found = []
    for finding in findings(config.folder):
        found.append(finding)
        if not config.json and (finding.level in (WARNING, PROBLEM) or not call.quiet):
            cli.show(finding.line())
    problems = sum(finding.level == PROBLEM for finding in found)
    if config.json:
        cli.show(*_report(found).split("\n"))
    elif problems:
        what = "1 problem" if problems == 1 else f"{problems} problems"
        cli.show(f"nst_keras cannot paint a picture here: {what}, see above")
    elif not call.quiet:
        cli.show("nst_keras can paint pictures here")
    return 1 if problems else 0


def findings(folder: str) -> Iterator[Finding]:
    """All findings, those that need no TensorFlow first; without a problem among these, TensorFlow
    is started, too.

    Args:
        folder: where results are to go.
    """
    again = "install nst_keras again: pip install --force-reinstall . in its folder"
    checks: tuple[tuple[str, Check, str], ...] = (
        ("Python", packages.check_python, ""),
        ("packages", packages.check_required, again),
        ("extras", packages.check_extras, again),
        ("memory", machine.check_memory, ""),
        ("load", machine.check_load, ""),
        ("disk", functools.partial(machine.check_disk, folder), "give --workdir another place"),
        ("compile cache", machine.check_compile_cache, "give --compile_cache another place"),
        ("weights", machine.check_weights, again),
        ("Keras backend", machine.check_keras_backend, "remove Keras' file of settings"),
    )
    can_start = True
    for topic, check, remedy in checks:
        for finding in guarded(check, topic, remedy):
            yield finding
            can_start &= finding.level != PROBLEM or topic == "disk"
    if can_start:
        yield from guarded(findings_of_trial, "painting", "see the problems above")


def _report(found: list[Finding]) -> str:
    entries = [dataclasses.asdict(anonymous(finding)) for finding in found]
    return json.dumps({"nst_keras": nst_keras.__version__, "findings": entries}, indent=1)


if __name__ == "__main__":
    sys.exit(main())
