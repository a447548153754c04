"""A run before its first step: as asked for by flags, its folder, its record; the log of its plan.

Imports no TensorFlow at its start, so that bad input is refused at once.
"""

import dataclasses
import datetime
import logging
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nst_keras
from nst_keras.devices import memory, startup
from nst_keras.devices.precision import settle_precision
from nst_keras.devices.xla import settle_xla
from nst_keras.imaging import animation, geometry, images, proof
from nst_keras.imaging.recolor import KINDS
from nst_keras.objective.loss_term import LossTerm
from nst_keras.runs import extras, gallery
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.record import Fingerprint, InputPicture, RunRecord, ScaleSteps
from nst_keras.runs.renewals import SETUP_SECONDS
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import (
    LIVE_PAGE,
    OPTIONS,
    Config,
    format_command,
    format_flagfile,
    parse_config,
)
from nst_keras.settings.option import absolute_paths
from nst_keras.settings.presets import PRESETS
from nst_keras.settings.resolve import Settings, preset_values, resolve, unused
from nst_keras.transfer.callbacks import CallbackList
from nst_keras.transfer.inputs import Inputs, read_inputs
from nst_keras.transfer.plan import Plan, check_time_limit, plan_run

if TYPE_CHECKING:  # imports TensorFlow
    from nst_keras.network.custom import CustomExtractor

_log = logging.getLogger(__name__)

_THUMBNAIL = 1024  # px, longest side of the inputs' copies on the page
_LONG_SECONDS = 3600.0  # a run that takes longer is told how it would be shorter
# These decide the defaults of the others, so they are compared with their own plain defaults.
_SETS_DEFAULTS = [name for name, option in OPTIONS.items() if option.sets_defaults]


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
        return self.folder.status(self.fingerprint, overwrite=self.settings.overwrite)

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
    given = _with_flags_of_folder(arguments, given, own)
    architecture = extractor.architecture if extractor else None
    settings = resolve(given, has_own_terms=bool(terms), architecture=architecture)
    if settings.mp4:
        animation.find_ffmpeg()
    if settings.proof:
        proof.check_profile(settings.proof)
    check_time_limit(settings.time_limit)
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


def prepare_folder(run: RequestedRun) -> None:
    """Prepare the locked folder for the run."""
    if run.status is Status.NEW:
        before = run.folder.read_record()
        allowed = {} if before.has_begun else before.copies
        run.folder.prepare(run.fingerprint)
        _write_flags(run, run.given)
        for place, data in run.in_memory.items():
            with files.atomic(place) as file:
                file.write(data)
        _write_first_page(run, {**allowed, **extras.allowed_copies(run.settings)})
    elif run.prolongs:
        folder = run.folder
        of_result = (
            folder.deep_result,
            folder.painted,
            folder.proof,
            *map(folder.recolored, KINDS),
        )
        for path in (folder.gif, folder.mp4, *of_result):
            path.unlink(missing_ok=True)
    ineffective = unused(run.given, run.settings, has_extractor=run.inputs.extractor is not None)
    for note in (*run.inputs.notes, *ineffective):
        _log.warning("%s", note)


def _write_first_page(run: RequestedRun, copies: Mapping[str, str]) -> None:
    """Write the page of a run that begins, for whoever follows its address at once, and what the
    record says before there is a plan."""
    folder = run.folder
    content, styles = _described_inputs(run)
    again = _own_call(run) or _resume_command(folder)
    folder.update_record(content=content, styles=styles, resume_command=again, copies=dict(copies))
    _write_thumbnails(run)
    gallery.write_page(folder, SETUP_SECONDS)


def record_refusal(run: RequestedRun, reason: str) -> None:
    """Have the record and the page of a run that has not begun say why it does not."""
    folder = run.folder
    if folder.read_record().status == "preparing":
        folder.update_record(status="refused", reason=reason)
        gallery.write_page(folder)


def _resume_command(folder: RunFolder) -> str:
    return format_command([f"--workdir={folder.path.absolute()}"])


def _own_call(run: RequestedRun) -> str:
    """The call in place of a command, which knows no terms that are functions and no networks of
    others; empty if the run has none."""
    own = [name for name in ("terms", "extractor") if getattr(run.inputs, name)]
    return f"nst_keras.run(...)  # with the same {' and '.join(own)}" if own else ""


def _write_flags(run: RequestedRun, config: Config) -> None:
    """Write the flags with which the run can be resumed from any folder."""
    # What was asked for this time only is left out.
    usual = {name: OPTIONS[name].default for name in ("overwrite", "open", *LIVE_PAGE)}
    where = dataclasses.replace(config, workdir=str(run.folder.path), **usual)
    replayable = dataclasses.replace(where, **absolute_paths(vars(where), OPTIONS))
    files.write_text(run.folder.flags, format_flagfile(replayable))


def _write_thumbnails(run: RequestedRun) -> None:
    """Write small copies of the inputs, for the page."""
    folder, inputs = run.folder, run.inputs
    copies = [folder.content, *(folder.style(n) for n, _ in enumerate(inputs.styles, start=1))]
    small = [geometry.thumbnail(it, _THUMBNAIL) for it in (inputs.content, *inputs.styles)]
    for path, pixels in zip(copies, small, strict=True):
        images.write_image(path, pixels, profile=inputs.profile)


def announce(run: RequestedRun) -> None:
    """Log what is painted, and where it can be watched."""
    paths = (run.settings.content, *run.settings.style_pictures)
    content, *styles = (Path(path).name for path in paths)
    _log.info("%s with %s, in %s", content, ", ".join(styles), run.folder.path)
    _log.info("watch: %s", run.folder.page.absolute().as_uri())


def begin_record(run: RequestedRun, plan: Plan) -> RunRecord:
    """Log what a planned run is going to do, and write what a resume and the page need."""
    folder, settings = run.folder, run.settings
    for at in settings.image_at:
        if at > plan.total_steps:
            message = "--image_at=%d: the run has only %d steps; no image will be kept for it"
            _log.warning(message, at, plan.total_steps)
    run.notes[:0] = [note for note in folder.read_record().notes if note not in run.notes]
    record = make_record(run, plan)
    _log.info("%s on %s", plan.precision, record.device)
    _log_plan(run, plan)
    _write_flags(run, settings)
    _write_thumbnails(run)
    return record


def _log_plan(run: RequestedRun, plan: Plan) -> None:
    """Log the steps of each scale, what they take, and how a long run would be shorter."""
    from nst_keras.transfer.cost import CostModel

    costs = CostModel.of_run(run.settings, plan.precision, run.inputs)
    on_gpu = memory.on_gpu()
    xla = plan.xla if on_gpu and not plan.tile_size else False
    planned = plan.scales, plan.tile_size, startup.matrix_rate(plan.precision)
    for line in costs.describe(*planned, memory.peak_bytes(), on_gpu=on_gpu, xla=xla):
        _log.info("plan: %s", line)
    steps, around = costs.seconds(*planned, on_gpu=on_gpu, xla=xla)
    if run.folder.read_record().step:
        _log.info("plan: that is the whole run, of which a part is done")
    elif sum(steps) + around > _LONG_SECONDS and not run.given.time_limit:
        _log.info("plan: sooner with --quality=draft, smaller --size or --time_limit=30m")


def make_record(run: RequestedRun, plan: Plan) -> RunRecord:
    """The record of a run before its next step.

    A resumed run keeps its start and the time spent so far, and unless it is extended by more steps
    also its command.
    """
    import keras
    import PIL
    import tensorflow as tf

    libraries = {"tensorflow": tf, "keras": keras, "numpy": np, "pillow": PIL}
    versions = {name: library.__version__ for name, library in libraries.items()}
    settings, hashes = run.settings, run.inputs.hashes
    old = run.folder.read_record()
    same = old.is_of(run.fingerprint)
    own_call = _own_call(run)
    content, styles = _described_inputs(run)
    return RunRecord(
        version=nst_keras.__version__,
        status="running",
        command=own_call or (same and old.command) or format_command(run.arguments),
        resume_command=own_call or _resume_command(run.folder),
        started=old.started or datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        seconds=old.seconds or 0.0,
        parts=old.parts,
        step=old.step or 0,
        total_steps=plan.total_steps,
        copies={**old.copies, **extras.allowed_copies(settings)},
        device=startup.describe_device(),
        content=content,
        styles=styles,
        scales=tuple(
            ScaleSteps(it.width, it.height, it.steps, it.first_step) for it in plan.scales
        ),
        settings=settings_text(settings),
        changed=tuple(changed_settings(settings)),
        versions={"python": platform.python_version(), **versions},
        notes=tuple(run.notes),
        fingerprint=folder_lib.fingerprint(settings, hashes),
        requested=old.requested if same else run.fingerprint,
    )


def _described_inputs(run: RequestedRun) -> tuple[InputPicture, tuple[InputPicture, ...]]:
    """What the record says of the content and of the styles."""
    settings, inputs = run.settings, run.inputs
    paths = settings.style_pictures
    blend = settings.blend(len(paths))
    styles = enumerate(zip(paths, blend, strict=True), start=1)
    return _describe_picture(inputs, "content", settings.content), tuple(
        _describe_picture(
            inputs, f"style {n}", path, None if settings.has_style_masks else weight / sum(blend)
        )
        for n, (path, weight) in styles
    )


def _describe_picture(
    inputs: Inputs, name: str, path: str, weight: float | None = None
) -> InputPicture:
    height, width = inputs.sizes[name]
    return InputPicture(Path(path).name, width, height, inputs.hashes[name], weight)


def settings_text(config: Config) -> dict[str, str]:
    """All settings that have a value, as the text of a flag, by the flag's name."""
    return {
        name: option.format(value)
        for name, option in OPTIONS.items()
        if (value := getattr(config, name)) is not None
    }


def changed_settings(config: Config) -> list[str]:
    """Names of the settings that differ from what the objective and this machine would choose."""
    chosen_by = {name: getattr(config, name) for name in _SETS_DEFAULTS}
    preset = preset_values(Config(**chosen_by))
    usual = vars(resolve(Config(**chosen_by, learning_rate=config.learning_rate))) | {
        "learning_rate": preset["learning_rate"],  # None where the user must give it
        "precision": settle_precision("auto"),
        "xla": settle_xla("auto", config.deterministic),
    }
    own = {"content", "style", "tile_size", "image_every", "log_every"}  # have no usual value
    own |= {name for name, option in OPTIONS.items() if option.destination}
    changed = [
        name
        for name, option in OPTIONS.items()
        if name not in own and getattr(config, name) not in (usual[name], option.default)
    ]
    plain = vars(Config(optimizer=PRESETS[config.objective].defaults["optimizer"]))
    chosen = [name for name in _SETS_DEFAULTS if getattr(config, name) != plain[name]]
    return chosen + changed
