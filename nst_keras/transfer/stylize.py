"""The Python interface: from pictures and a config to a stream of iterates."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nst_keras.devices import keras_settings
from nst_keras.devices.memory import take_gpu_memory_as_needed
from nst_keras.devices.replicas import Replicas, make_replicas
from nst_keras.imaging.in_memory import PictureLike
from nst_keras.network.custom import CustomExtractor
from nst_keras.network.weights import Weights
from nst_keras.objective.loss_term import LossTerm, check_terms
from nst_keras.runtime.checkpoints import Checkpointer
from nst_keras.runtime.cli import StopSignal, stop_signals
from nst_keras.runtime.errors import InputError, StepDropped
from nst_keras.settings.config import OPTIONS, Config
from nst_keras.settings.in_python import errors_in_python, replaced
from nst_keras.settings.resolve import Settings, resolve
from nst_keras.transfer.callbacks import Callback, CallbackList
from nst_keras.transfer.inputs import Inputs, read_inputs
from nst_keras.transfer.iterate import Iterate
from nst_keras.transfer.loop import optimize
from nst_keras.transfer.plan import steps_by_setting
from nst_keras.transfer.planning import make_plan
from nst_keras.transfer.problem import StyleTransferProblem

_log = logging.getLogger(__name__)


def stylize(
    content: PictureLike,
    styles: PictureLike | Iterable[PictureLike],
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
    checkpointer: Checkpointer | None = None,
    replicas: Replicas | None = None,
    is_dropped: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Generator[Iterate, None, None]:
    """Paint the content in the style of other pictures (Gatys et al. 2016), from coarse to fine.

    Args:
        content, styles: paths; images of Pillow; arrays or tensors (H, W) or (H, W, channels) of
            gray, gray with alpha, RGB or RGBA, as floats in [0, 1], uint8 or uint16; or picture
            files as bytes or open files. Alpha is composited over white.
        config: settings; those that are None come from its objective's preset. Settings about
            files are refused: nothing is written but the checkpointer's files. `run` takes them.
        style_mask: for each of the styles, where it applies: pictures of the content's shape, white
            where it does, or 'rest'; of them, arrays (H, W) in [0, 1] are the simplest. A style may
            then be 'keep', for what stays as it is.
        style_region: for each of the styles, which part of it counts, or 'all'.
        regions: in place of masks, 'auto' or 'auto:2' to 'auto:5' for parts that are found; or a
            picture of flat colors, with the config's `region_colors`.
        weights: of the backbone: those that have been read already, or as in `Config`.
        callbacks: what is told of the iterates, see `Callback`. If one of them stops the run, its
            present iterate is the last one.
        terms: further terms of the loss, see `LossTerm`.
        extractor: in place of VGG, a `keras.Model` of pictures (N, H, W, 3) of any size, RGB in
            [0, 1], whose outputs are features (N, h, w, channels) by name; `content_layers` and
            `style_layers` name some of these. It computes on one device, and not in tiles.
        checkpoints: a folder where the state is saved every two minutes, and when the generator is
            closed or interrupted. The same call with the same folder resumes from there.
        checkpointer: in place of a folder, for other times. With several hosts, only the chief
            saves.
        replicas: the devices and hosts that share the tiles; by default, those that the config's
            `distribute` names.
        is_dropped: called after each tile; the current step, which may take minutes, is given up
            if it returns True.
        settings: any field of `Config` by its name, such as size=256; these win over `config`.

    Yields:
        An `Iterate` about every second of work, or after each step if a step takes longer; at every
        multiple of `log_every` (by default about 60 in all), `image_every` (about 24) and the
        checkpointer's `every`, at every step in `image_at`, and at the start and end of each scale.

    Ctrl-C, or a notebook's button that interrupts, is raised as KeyboardInterrupt after the current
    iterate, whose image stays readable; a second one, at once.

    Raises:
        InputError: a picture, a weights file or a setting cannot be used.
        TypeError: a keyword is neither an argument nor a setting.
        FloatingPointError: the losses are not finite or explode, and smaller steps did not help.
        MemoryError: even small tiles do not fit the device.
        LostHostError: another host is gone; the state is saved, if this host is the chief.
        DeviceError: a device is gone.
        StepDropped: `is_dropped` returned True; the state before that step is saved.
    """
    started = time.monotonic()
    told, own = CallbackList.of(callbacks), check_terms(terms)
    read = weights if isinstance(weights, Weights) else None
    if weights is not None and read is None:
        settings["weights"] = weights
    config = replaced(config or Config(), settings, OPTIONS)
    _refuse_file_settings(config)
    interrupts: list[StopSignal] = []  # while an iterate is computed: one, set by Ctrl-C

    def is_given_up() -> bool:
        return any(interrupts) or is_dropped()

    with errors_in_python(OPTIONS):
        custom = CustomExtractor(extractor) if extractor is not None else None
        architecture = custom.architecture if custom else None
        resolved = resolve(config, has_own_terms=bool(own), architecture=architecture)
        inputs = read_inputs(
            resolved,
            content,
            styles,
            read,
            style_mask=style_mask,
            style_region=style_region,
            regions=regions,
            extractor=custom,
        ).with_terms(resolved, own)
    ours = functools.partial(_ours, resolved.deterministic)
    with ours():
        take_gpu_memory_as_needed()
        if replicas is None:
            count, timeout = resolved.replicas, resolved.cluster_timeout
            replicas = make_replicas(resolved.distribute, count, timeout)
        if checkpoints is not None:
            checkpointer = _checkpointer(Path(checkpoints), resolved, inputs)
        resolved = _as_begun(resolved, checkpointer)
        given = config.iterations is not None
        plan = make_plan(resolved, inputs, replicas, started=started, iterations_given=given)
        problem = StyleTransferProblem(resolved, inputs, plan, replicas, is_given_up)
        rounds = optimize([problem], [checkpointer])
    return _with_callbacks(_only(rounds, ours, interrupts), told)


@contextlib.contextmanager
def _ours(deterministic: bool) -> Iterator[None]:
    """While this package computes: its settings of Keras, and errors in the words of Python."""
    with keras_settings.ours(deterministic), errors_in_python(OPTIONS):
        yield


def _with_callbacks(
    iterates: Generator[Iterate, None, None], told: CallbackList
) -> Generator[Iterate, None, None]:
    """The iterates, of which callbacks are told before the caller."""
    if not told.callbacks:
        return iterates
    return _told(iterates, told)


def _told(
    iterates: Generator[Iterate, None, None], told: CallbackList
) -> Generator[Iterate, None, None]:
    with contextlib.closing(iterates):  # saves the state, unless the run is finished
        told.begin()
        try:
            for iterate in iterates:
                stops = told.take(iterate)
                yield iterate
                if stops:
                    return
        finally:
            told.end()


def _only(
    rounds: Generator[list[Iterate], None, None],
    ours: Callable[[], contextlib.AbstractContextManager],
    interrupts: list[StopSignal],
) -> Generator[Iterate, None, None]:
    """The iterates of the only picture, each computed within `ours()`; the user's code is not.

    Between two of them an interrupt loses nothing.
    """
    newest: Iterate | None = None
    try:
        while True:
            before, source = newest, newest.source if newest else None
            with stop_signals(("SIGINT",)) as interrupt:
                interrupts.append(interrupt)
                try:
                    (newest,) = _within(ours, next)(rounds, (None,))
                except (StepDropped, KeyboardInterrupt) as error:
                    if before:
                        before.source = source
                    if interrupt:
                        raise KeyboardInterrupt from error
                    raise
                finally:
                    interrupts.clear()
            if newest:
                if newest.source is not None:
                    value = _within(ours, newest.source.value)
                    newest.source = newest.source._replace(value=value)
                yield newest
            if interrupt:
                raise KeyboardInterrupt
            if not newest:
                return
    finally:
        _within(ours, rounds.close)()


def _within(
    ours: Callable[[], contextlib.AbstractContextManager], compute: Callable[..., Any]
) -> Callable[..., Any]:
    def computed(*arguments: Any) -> Any:
        with ours():
            return compute(*arguments)

    return computed


def _checkpointer(folder: Path, settings: Settings, inputs: Inputs) -> Checkpointer:
    """The checkpoints of these settings and pictures in a folder."""
    digest = hashlib.sha256()
    for name, option in OPTIONS.items():
        value = getattr(settings, name)
        if option.changes_result and value is not None and not option.hashed:
            digest.update(f"{name}={option.format(value)}\n".encode())
    init = settings.init if inputs.init is None else inputs.init
    digest.update(inputs.masks.form.encode())
    for part in (init, inputs.content, *inputs.styles, *inputs.masks.all):
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(f"{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
    for term in inputs.terms:
        digest.update(term.identity().encode())
    if inputs.extractor:
        digest.update(inputs.extractor.identity.encode())
    digest.update((inputs.weights.sha256 if inputs.weights else settings.weights).encode())
    checkpointer = Checkpointer(
        folder,
        digest.hexdigest(),
        every=settings.checkpoint_every,
        minutes=settings.checkpoint_minutes,
        keep=settings.keep_checkpoints,
    )
    checkpointer.peek()
    for message in checkpointer.ignored:
        _log.warning("%s", message)
    return checkpointer


def _refuse_file_settings(config: Config) -> None:
    for name, option in OPTIONS.items():
        value = getattr(config, name)
        if option.for_files and value not in (None, option.default):
            raise InputError(
                f"{name}={option.format(value)}: stylize() takes no settings about files, the "
                "live page and the device; use nst_keras.run(), or leave it out"
            )


def _as_begun(settings: Settings, checkpointer: Checkpointer | None) -> Settings:
    """With the precision of the checkpoint, and the steps that fitted its time limit: a run ends as
    it began, on whatever device."""
    saved = checkpointer.peek() if checkpointer else None
    if saved is None:
        return settings
    precision = str(saved.state["run"]["precision"])
    if settings.precision not in ("auto", precision):
        raise InputError(
            f"--precision={settings.precision}: the checkpoint of step {saved.step} was computed "
            f"in {precision}; resume with --precision={precision} or auto, or use another folder"
        )
    settings = dataclasses.replace(settings, precision=precision)
    if not settings.time_limit:
        return settings
    steps, has_detail = saved.state["run"].get("steps"), bool(settings.detail_iterations)
    if steps is None:  # a checkpoint of an earlier version
        return dataclasses.replace(settings, time_limit=None)
    decided = steps_by_setting(steps.tolist(), has_detail=has_detail)
    return dataclasses.replace(settings, time_limit=None, **decided)
