"""A run from Python: the function `nst_keras.run`. Imports no TensorFlow at its start."""

import dataclasses
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nst_keras.devices import choice, startup
from nst_keras.imaging import images
from nst_keras.imaging.in_memory import PictureLike
from nst_keras.network.weights import Weights
from nst_keras.objective.loss_term import LossTerm, check_terms
from nst_keras.runs import session
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.given_pictures import named_files
from nst_keras.runs.python_progress import Progress
from nst_keras.runs.requested import RequestedRun, read_run
from nst_keras.runs.result import Result, losses_by_term
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, Config, format_arguments
from nst_keras.settings.in_python import errors_in_python, replaced
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.callbacks import Callback, CallbackList

if TYPE_CHECKING:  # imports TensorFlow
    from nst_keras.network.custom import CustomExtractor

_INPUTS = ("content", "style", "style_mask", "style_region", "regions")


def run(
    content: PictureLike | None = None,
    style: PictureLike | Iterable[PictureLike] | None = None,
    config: Config | None = None,
    *,
    style_mask: PictureLike | Iterable[PictureLike] | None = None,
    style_region: PictureLike | Iterable[PictureLike] | None = None,
    regions: PictureLike | None = None,
    weights: Weights | str | os.PathLike | None = None,
    callbacks: Callback | Iterable[Callback] = (),
    terms: LossTerm | Iterable[LossTerm] = (),
    extractor: Any = None,
    checkpoints: str | os.PathLike | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Result:
    """Paint the content in the style of other pictures, and return the result.

    `run("photo.jpg", "painting.jpg", size=384).save("result.png")`

    Ctrl-C, or a notebook's button that interrupts, ends the run after the present step: the result
    is what is there by then. With `workdir` or `checkpoints`, the same call resumes a run that was
    stopped in any way.

    Args:
        content, style: as for `stylize`: paths, images of Pillow, arrays, tensors, or bytes of
            picture files; several styles are a list. They may be left out if the config names
            files, or if `workdir` is the folder of a run that is to be resumed.
        config: settings; by default `Config()`.
        style_mask, style_region, regions: as for `stylize`.
        weights: of the network, as in `Config`; without `workdir` also those that have been read.
        callbacks: objects of `Callback`, which are told of steps and may stop the run.
        terms: further terms of the loss, objects of `LossTerm`.
        extractor: a `keras.Model` in place of VGG, see `stylize`.
        checkpoints: without `workdir`, a folder for the state alone.
        progress: whether to show the progress; None: in notebooks and on terminals.
        settings: any field of `Config` by its name, such as size=384, style_weight=8 or
            workdir="runs/first"; these win over `config`. With `workdir`, the run writes the same
            folder that the command writes, with its page; pictures in memory are kept in it.

    Raises:
        InputError: a picture, a file or a setting cannot be used, or the folder has another run.
        TypeError: a keyword is neither an argument nor a setting.
        KeyboardInterrupt: the run was interrupted before there was a picture.
        FloatingPointError, MemoryError, OSError: as for `stylize`; a file cannot be written.
    """
    if weights is not None and not isinstance(weights, Weights):
        settings["weights"] = weights
    config = replaced(config or Config(), settings, OPTIONS)
    pictures = {
        "content": content,
        "style": style,
        "style_mask": style_mask,
        "style_region": style_region,
        "regions": regions,
    }
    given, own = CallbackList.of(callbacks), check_terms(terms)
    shown = CallbackList.of((*given.callbacks, *Progress.wanted(progress)))
    with errors_in_python(OPTIONS):
        if not config.workdir:
            read = weights if isinstance(weights, Weights) else None
            options = {"weights": read, "checkpoints": checkpoints, "terms": own}
            options["extractor"] = extractor
            return _in_memory(config, pictures, shown, **options)
        if isinstance(weights, Weights):
            raise InputError("weights: with workdir, give the path of a weights file")
        if checkpoints is not None:
            raise InputError("checkpoints: workdir has the state; leave one of the two out")
        return _in_folder(config, pictures, shown, own, extractor, settings.keys())


class _Newest(Callback):
    """Keeps the newest iterate, and the losses of those that are logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        newest = self.iterate
        if newest is not None and newest.is_logged(newest.log_every):
            self.rows.append({"step": batch, "terms": dict(newest.terms)})


def _in_memory(
    config: Config, pictures: Mapping[str, Any], told: CallbackList, **options: Any
) -> Result:
    """A run that writes nothing but checkpoints, if there is a folder for them."""
    named = {name: getattr(config, name) for name in _INPUTS}
    found = {name: named[name] if given is None else given for name, given in pictures.items()}
    config = replaced(config, {name: OPTIONS[name].default for name in _INPUTS}, OPTIONS)
    _refuse_without_folder(config)
    if options["extractor"] is None:  # for its errors, before TensorFlow is imported
        resolve(config, has_own_terms=bool(options["terms"]))
    device, config = config.device, replaced(config, {"device": choice.AUTO}, OPTIONS)
    with choice.chosen(device):
        startup.import_tensorflow()
        choice.confirm(device)
    from nst_keras.transfer.stylize import stylize

    newest = _Newest()
    content, style, *masks = (found[name] for name in _INPUTS)
    for name, mask in zip(_INPUTS[2:], masks, strict=True):
        options[name] = None if _is_empty(mask) else mask
    try:
        for _ in stylize(content, style, config, callbacks=(newest, *told.callbacks), **options):
            pass
    except KeyboardInterrupt:
        if newest.iterate is None:
            raise
    last = newest.iterate
    assert last is not None  # a run has at least one step
    losses = losses_by_term(newest.rows)
    return Result(np.array(last.image), losses, last.step, last.total_steps, last.is_last)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, tuple, list)) and not value)


def _refuse_without_folder(config: Config) -> None:
    for name, option in OPTIONS.items():
        value = getattr(config, name)
        if option.for_files and value not in (None, option.default) and name != "device":
            raise InputError(f"--{name}={option.format(value)}: needs workdir, the run's folder")


def _in_folder(
    config: Config,
    pictures: Mapping[str, Any],
    told: CallbackList,
    terms: Sequence[LossTerm],
    extractor: Any,
    explicit: Iterable[str],
) -> Result:
    """A run that writes the folder that the command writes."""
    started = time.monotonic()
    if config.distribute == "multiworker":
        raise InputError("--distribute=multiworker: with workdir, start the command on each host")
    folder = RunFolder(str(config.workdir))
    named, in_memory_files, notes = named_files(folder, config, pictures)
    config = replaced(config, named, OPTIONS)
    newest = _Newest()
    told = CallbackList((newest, *told.callbacks))
    custom = None if extractor is None else _custom(extractor)
    # Those that are explicit also where they are the defaults: the folder may have another value.
    requested = read_run(
        format_arguments(config, explicit), config, told, in_memory_files, terms, custom
    )
    inputs = dataclasses.replace(requested.inputs, notes=(*notes, *requested.inputs.notes))
    requested = dataclasses.replace(requested, inputs=inputs)
    if requested.status is Status.FINISHED:
        session.do_run(requested, started)  # copies the result to where it is wanted
        return _result_in(requested, newest)
    told.begin()
    try:
        session.do_run(requested, started)
    finally:
        told.end()
    return _result_in(requested, newest)


def _custom(extractor: Any) -> "CustomExtractor":
    from nst_keras.network.custom import CustomExtractor

    return CustomExtractor(extractor)


def _result_in(requested: RequestedRun, newest: _Newest) -> Result:
    """The result of a run that has come to its end, or was stopped."""
    folder, iterate = requested.folder, newest.iterate
    record = folder.read_record()
    losses = losses_by_term(folder.read_metrics())
    if iterate is not None and iterate.source is not None:
        image = np.array(iterate.image)
    elif path := next(filter(Path.exists, (folder.result, folder.latest)), None):
        image = images.read_image(
            path, "--workdir", images.MAX_OWN_PIXELS, keep_profile=True
        ).pixels
    else:
        raise KeyboardInterrupt  # before there was a picture
    return Result(
        image,
        losses,
        record.step or 0,
        record.total_steps or 0,
        record.status == "finished",
        folder.path,
        record.scores,
        requested.inputs.profile,
    )
