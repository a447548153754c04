"""A run as asked for: its settings, resolved, and all that it reads.

Imports no TensorFlow at its start, so that bad input is refused at once.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nst_keras.imaging import animation, proof
from nst_keras.objective.loss_term import LossTerm
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.record import Fingerprint
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import Config, format_arguments, format_command, parse_config
from nst_keras.settings.resolve import Settings, resolve
from nst_keras.transfer.callbacks import CallbackList
from nst_keras.transfer.inputs import Inputs, read_inputs
from nst_keras.transfer.plan import check_time_limit, plan_run

if TYPE_CHECKING:  # imports TensorFlow
    from nst_keras.network.custom import CustomExtractor


@dataclasses.dataclass(frozen=True)
class RequestedRun:
    """A run as asked for; once it is planned, with every setting decided."""

    arguments: list[str]  # of its command line
    given: Config  # before it was resolved
    settings: Settings
    inputs: Inputs
    folder: RunFolder
    fingerprint: Fingerprint  # of what was asked for
    prolongs: bool  # it is the folder's run with more steps
    notes: list[str] = dataclasses.field(default_factory=list)  # its warnings, until its end
    told: CallbackList = dataclasses.field(default_factory=CallbackList)
    in_memory: Mapping[str, bytes] = dataclasses.field(default_factory=dict)  # by path, for files

    @property
    def status(self) -> Status:
        """How much of the run its folder holds; raises InputError if something else is there."""
        # The command that has made a result is repeated for its copy, not for another result.
        output = self.settings.output
        pending = self.folder.read_record().pending_copy
        is_for_copy = output is not None and os.path.abspath(output) == pending
        is_for_copy = is_for_copy and self.folder.is_finished(self.fingerprint)
        overwrite = self.settings.overwrite and not is_for_copy
        return self.folder.status(self.fingerprint, overwrite=overwrite)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result, in pixels."""
        finest = plan_run(self.settings, self.inputs.sizes["content"])[-1]
        return finest.height, finest.width

    @property
    def replaces_results(self) -> bool:
        """Whether the folder holds an earlier run, files of which are deleted for this one."""
        is_new = self.status is Status.NEW
        return self.prolongs or (is_new and self.folder.read_record().has_begun)

    def begun(self) -> Settings:
        """The settings, with what the run in the folder has decided, if it has."""
        if self.status is not Status.BEGUN or not self.folder.flags.exists():
            return self.settings
        saved, _ = parse_config([f"--flagfile={self.folder.flags}"])
        names = ["precision", "coarse_iterations", "detail_iterations"]
        names += [] if self.prolongs else ["iterations"]
        names += [name for name in ("tile_size", "xla") if getattr(self.settings, name) == "auto"]
        decided = {name: value for name in names if (value := getattr(saved, name)) is not None}
        return dataclasses.replace(self.settings, time_limit=None, **decided)

    @property
    def own_call(self) -> str:
        """The call in place of a command, which knows no terms that are functions and no networks
        of others; empty if the run has none."""
        own = [name for name in ("terms", "extractor") if getattr(self.inputs, name)]
        return f"nst_keras.run(...)  # with the same {' and '.join(own)}" if own else ""

    @property
    def resume_command(self) -> str:
        """The command or the call that resumes the run."""
        return self.own_call or format_command([f"--workdir={self.folder.path.absolute()}"])


def read_run(
    arguments: list[str],
    given: Config,
    told: CallbackList | None = None,
    in_memory: Mapping[str, bytes] | None = None,
    terms: Sequence[LossTerm] = (),
    extractor: "CustomExtractor | None" = None,
) -> RequestedRun:
    """Resolve the settings that the arguments give, and read all that the run reads, or raise
    InputError.

    Args:
        told: callbacks of the run.
        in_memory: the bytes of files that are not there before the folder is prepared, by path.
        terms: of the loss, that the user has written.
        extractor: the user's own network in place of VGG.
    """
    files_by_path = in_memory or {}
    own = (*(["extractor"] if extractor else []), *(["terms"] if terms else []))
    asked, given = given, _with_flags_of_folder(arguments, given, own)
    if given is not asked:  # the command is to be repeated with the pictures, in any folder
        arguments = format_arguments(given)
    architecture = extractor.architecture if extractor else None
    settings = resolve(given, has_own_terms=bool(terms), architecture=architecture)
    check_means(settings)
    inputs = _read_inputs(settings, files_by_path, extractor).with_terms(settings, terms)
    if extractor:
        inputs.hashes["extractor"] = extractor.identity
    inputs.hashes.update({f"term {term.name}": term.identity() for term in inputs.terms})
    plan_run(settings, inputs.sizes["content"])  # for the errors that it raises
    fingerprint = folder_lib.fingerprint(settings, inputs.hashes)
    sources = (settings.content, *settings.style_pictures[:2])
    folder = RunFolder(settings.workdir or folder_lib.default_path(sources, fingerprint))
    prolongs = not settings.overwrite and folder.can_extend(folder.read_record(), fingerprint)
    return RequestedRun(
        arguments,
        given,
        settings,
        inputs,
        folder,
        fingerprint,
        prolongs,
        told=told or CallbackList(),
        in_memory=files_by_path,
    )


def check_means(settings: Settings) -> None:
    """Raise InputError if this machine lacks what the settings need beside their inputs."""
    if settings.mp4:
        animation.find_ffmpeg()
    if settings.proof:
        proof.check_profile(settings.proof)
    check_time_limit(settings.time_limit)


def _read_inputs(
    settings: Settings, in_memory: Mapping[str, bytes], extractor: "CustomExtractor | None"
) -> Inputs:
    """Read what the settings name, some of it from memory."""
    if not in_memory:
        return read_inputs(settings, extractor=extractor)

    def found(path: str | None) -> Any:
        return None if path is None else in_memory.get(path, path)

    return read_inputs(
        settings,
        found(settings.content),
        [*map(found, settings.style)],
        style_mask=[*map(found, settings.style_mask)],
        style_region=[*map(found, settings.style_region)],
        regions=found(settings.regions),
        extractor=extractor,
    )


def _with_flags_of_folder(arguments: list[str], config: Config, own: Sequence[str]) -> Config:
    """For `--workdir=runs/x` alone: the settings of the run there, overridden by those given.

    Args:
        own: which of 'extractor' and 'terms' are given as objects in Python.
    """
    if config.content or config.style or not config.workdir:
        return config
    folder = RunFolder(config.workdir)
    saved = folder.flags
    hashes = folder.read_record().requested.hashes
    has_terms = any(name.startswith("term ") for name in hashes)
    needed = (
        ("extractor", "an extractor", "extractor" in hashes),
        ("terms", "terms", has_terms),
    )
    for name, kind, is_needed in needed:
        if is_needed and name not in own:
            raise InputError(
                f"--workdir={config.workdir}: its run has {kind} of its own; resume it in "
                f"Python, with nst_keras.run(workdir=..., {name}=...)"
            )
    if not saved.exists():
        raise InputError(
            f"--workdir={config.workdir}: contains no run to resume; give --content and --style"
        )
    return parse_config([f"--flagfile={saved}", *arguments])[0]
