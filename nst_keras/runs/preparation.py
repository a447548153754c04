"""What a run's folder needs before the first step, and what the log says of the plan."""

import dataclasses
import logging
from pathlib import Path

from nst_keras.devices import startup
from nst_keras.runs import new_record, pictures
from nst_keras.runs.folder import RunFolder
from nst_keras.runs.record import RunRecord
from nst_keras.runs.request import RequestedRun
from nst_keras.runs.work_folder import Status
from nst_keras.runtime import files
from nst_keras.settings import flags
from nst_keras.settings.config import OPTIONS
from nst_keras.settings.option import absolute_paths
from nst_keras.settings.resolve import Settings, unused
from nst_keras.transfer.plan import Plan

_log = logging.getLogger(__name__)


def prepare_folder(run: RequestedRun) -> Status:
    """Prepare the locked folder for the run; returns what it held of the run."""
    status = run.folder.status(run.fingerprint, overwrite=run.settings.overwrite)
    if status is Status.NEW:
        run.folder.prepare(run.fingerprint)
    elif run.prolongs:
        run.folder.remove_animations()
    for note in (*run.inputs.notes, *unused(run.given, run.settings)):
        _log.warning("%s", note)
    return status


def begin_record(run: RequestedRun, settled: Settings, plan: Plan, notes: list[str]) -> RunRecord:
    """Log what is going to happen, and write what a resume and the page need."""
    inputs, folder = run.inputs, run.folder
    for at in settled.image_at:
        if at > plan.total_steps:
            _log.warning(
                "--image_at=%d: the run has only %d steps; no image will be kept for it",
                at,
                plan.total_steps,
            )
    notes[:0] = [note for note in folder.read_record().notes if note not in notes]
    record = new_record.make_record(
        run.arguments, settled, inputs, plan.scales, run.fingerprint, folder, notes
    )
    _announce(settled, plan, inputs.channels, record.device, folder)
    files.write_text(folder.flags, flags.format_flagfile(_replayable(settled, folder)))
    pictures.write_thumbnail(folder.content, inputs.content)
    for number, style in enumerate(inputs.styles, start=1):
        pictures.write_thumbnail(folder.style(number), style)
    return record


def _replayable(settings: Settings, folder: RunFolder) -> Settings:
    """The settings with paths that hold wherever the flagfile lies."""
    settings = dataclasses.replace(settings, workdir=str(folder.path), overwrite=False)
    return dataclasses.replace(settings, **absolute_paths(vars(settings), OPTIONS))


def _announce(
    settings: Settings, plan: Plan, channels: tuple[int, ...], device: str, folder: RunFolder
) -> None:
    from nst_keras.transfer.cost import CostModel

    _log.info(
        "%s with %s: %d steps in %s on %s; folder %s",
        Path(settings.content).name,
        ", ".join(Path(style).name for style in settings.style),
        plan.total_steps,
        plan.precision,
        device,
        folder.path,
    )
    costs = CostModel(settings, plan.precision, channels)
    rate = startup.matrix_rate(plan.precision)
    _log.info("plan: %s", costs.describe(plan.scales, plan.tile_size, rate))
