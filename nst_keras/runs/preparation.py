"""What the folder of a run gets before its first step, and the log of its plan."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from nst_keras.devices import memory, startup
from nst_keras.imaging import geometry, images
from nst_keras.imaging.recolor import KINDS
from nst_keras.runs import gallery, output_copy
from nst_keras.runs.folder import Status
from nst_keras.runs.record import RunRecord
from nst_keras.runs.recording import described_inputs, make_record
from nst_keras.runs.renewals import SETUP_SECONDS
from nst_keras.runs.requested import RequestedRun
from nst_keras.runtime import files
from nst_keras.settings.config import LIVE_PAGE, OPTIONS, Config, format_flagfile
from nst_keras.settings.option import absolute_paths
from nst_keras.settings.unused import overruled, unused
from nst_keras.transfer.plan import Plan

_log = logging.getLogger(__name__)

_THUMBNAIL = 1024  # px, longest side of the inputs' copies on the page
_LONG_SECONDS = 3600.0  # a run that takes longer is told how it would be shorter


def prepare_folder(run: RequestedRun) -> None:
    """Prepare the locked folder for the run."""
    is_new = run.status is Status.NEW
    if is_new:
        before = run.folder.read_record()
        allowed = {} if before.has_begun else before.copies
        flags = _flagfile(run, run.given)  # which may be refused: before anything is deleted
        run.folder.prepare(run.fingerprint)
        files.write_text(run.folder.flags, flags)
        for place, data in run.in_memory.items():
            with files.atomic(place) as file:
                file.write(data)
        _write_first_page(run, {**allowed, **output_copy.allowed(run.settings)})
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
    ignored = overruled(run.given) if is_new else ()  # the folder's flags give all of them
    for note in (*run.inputs.notes, *ineffective, *ignored):
        _log.warning("%s", note)


def _write_first_page(run: RequestedRun, copies: Mapping[str, str]) -> None:
    """Write the page of a run that begins, for whoever follows its address at once, and what the
    record says before there is a plan."""
    folder = run.folder
    content, styles = described_inputs(run)
    again = run.resume_command
    folder.update_record(content=content, styles=styles, resume_command=again, copies=dict(copies))
    _write_thumbnails(run)
    gallery.write_page(folder, SETUP_SECONDS)


def record_refusal(run: RequestedRun, reason: str) -> None:
    """Have the record and the page of a run that has not begun say why it does not."""
    folder = run.folder
    if folder.read_record().status == "preparing":
        folder.update_record(status="refused", reason=reason)
        gallery.write_page(folder)


def _flagfile(run: RequestedRun, config: Config) -> str:
    """The flags with which the run can be resumed from any folder."""
    # What was asked for this time only is left out.
    usual = {name: OPTIONS[name].default for name in ("overwrite", "open", *LIVE_PAGE)}
    folder = os.path.abspath(run.folder.path)

    def moving(path: str) -> str:
        """The path; of a file in the folder, relative to it, so that the two can be moved."""
        if not path.startswith(os.path.join(folder, "")):
            return path
        # With a dot, or its name could be a word such as noise.
        return os.path.join(os.curdir, os.path.relpath(path, folder))

    paths = {
        name: tuple(map(moving, found)) if isinstance(found, tuple) else moving(found)
        for name, found in absolute_paths(vars(config), OPTIONS).items()
    }
    replayable = dataclasses.replace(config, **{**usual, **paths, "workdir": folder})
    return format_flagfile(replayable)


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
    if not run.prolongs:  # to a run with more steps, other notes may apply
        run.notes[:0] = [note for note in folder.read_record().notes if note not in run.notes]
    record = make_record(run, plan)
    _log.info("%s on %s", plan.precision, record.device)
    _log_plan(run, plan)
    files.write_text(folder.flags, _flagfile(run, settings))
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
    if done := run.folder.read_record().step:
        message = "plan: this is for the whole run; %d of %d steps are done"
        _log.info(message, done, plan.total_steps)
    elif sum(steps) + around > _LONG_SECONDS and not run.given.time_limit:
        _log.info("plan: sooner with --quality=draft, smaller --size or --time_limit=30m")
