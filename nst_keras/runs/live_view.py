"""What the live page gets from runs, and what runs do as it asks: see `nst_keras/live`."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nst_keras.live import board as board_lib
from nst_keras.live.board import Board, Progress
from nst_keras.live.controls import Controls
from nst_keras.live.picture import LivePicture
from nst_keras.live.server import open_server
from nst_keras.objective.term_names import by_kind
from nst_keras.runs.gallery import picture_title
from nst_keras.runs.renewals import PAUSED_SECONDS
from nst_keras.runs.requested import RequestedRun
from nst_keras.runtime import browser, cli
from nst_keras.runtime.cli import StopSignal
from nst_keras.runtime.timeline import FIRST_STEPS, PAUSED, SAVING, SETUP, Timeline
from nst_keras.transfer.iterate import Iterate

_log = logging.getLogger(__name__)

# What a part of the time is called where it does not show as a step.
_ACTIVITIES = {
    SETUP: "Preparing the next size",
    FIRST_STEPS: "Compiling the steps",
    SAVING: "Saving a checkpoint",
}


NotePause = Callable[[bool], None]


class NoView:
    """In place of a `LiveView` where none is asked for."""

    def mark(self, iterates: Sequence[Iterate]) -> None:
        """Have iterates say that they are the last ones, if that is asked for."""

    def open_browser(self) -> None:
        """Open the live page in a browser, if that is asked for; the run folder is ready."""

    def show(self, iterates: Sequence[Iterate], note_pause: NotePause) -> None:
        """Show a step, and wait while a pause is asked for.

        Args:
            note_pause: is called with True when a pause begins and while it goes on, and with
                False at its end.
        """

    def begin(self, device: str) -> None:
        """Show that the runs begin to take steps."""

    def write(self) -> None:
        """Show that results are being written."""

    def end(self, iterates: Sequence[Iterate]) -> None:
        """Show how the runs ended; `iterates` are the last ones, none if a step was given up."""


class LiveView(NoView):
    """Shows runs on a board: of a batch, the picture and the losses of the first one.

    Args:
        stopping: ends a pause.
        address: of the live page, to be opened in a browser; None: it is not.
        redirect: a file that may then be written.
    """

    def __init__(
        self,
        board: Board,
        stopping: StopSignal,
        timeline: Timeline,
        address: str | None,
        redirect: Path,
    ):
        self._board, self._stopping, self._timeline = board, stopping, timeline
        self._address, self._redirect = address, redirect

    def open_browser(self) -> None:
        """Open the live page in a browser, if that is asked for; the run folder is ready."""
        if self._address:
            browser.open_secret_address(self._address, self._redirect)

    def mark(self, iterates: Sequence[Iterate]) -> None:
        """Have iterates say that they are the last ones, if that is asked for."""
        for iterate in iterates:
            iterate.ends_run = self._board.controls.is_finishing

    def show(self, iterates: Sequence[Iterate], note_pause: NotePause) -> None:
        """Show a step, and wait while a pause is asked for."""
        board, iterate = self._board, iterates[0]
        board.advance(_progress(iterate), by_kind(iterate.terms))
        if iterate.is_last:
            board.controls.close()
        if board.controls.is_paused:
            self._wait(iterates, note_pause)
        elif board.picture.is_due():
            self._take(iterate)

    def _take(self, iterate: Iterate) -> None:
        with contextlib.suppress(Exception):  # a picture for the page is not worth a run
            self._board.picture.take(lambda: iterate.image)
            self._board.caption("")

    def _wait(self, iterates: Sequence[Iterate], note_pause: NotePause) -> None:
        board, began = self._board, time.perf_counter()
        _log.info("paused on the live page, after step %d", iterates[0].step)
        with self._timeline.part(PAUSED):
            self._take(iterates[0])
            board.enter(board_lib.PAUSED)
            board.controls.wait_while_paused(_PauseWatch(self._stopping, note_pause))
            note_pause(False)
            board.enter(board_lib.PAINTING)
        _log.info("going on")
        for iterate in iterates:
            iterate.pause = time.perf_counter() - began

    def begin(self, device: str) -> None:
        """Show that the runs begin to take steps."""
        self._board.name_device(device)
        self._board.enter(board_lib.PAINTING)

    def write(self) -> None:
        """Show that results are being written."""
        self._board.controls.close()
        self._board.enter(board_lib.WRITING)

    def end(self, iterates: Sequence[Iterate]) -> None:
        """Show how the runs ended; `iterates` are the last ones, none if a step was given up."""
        board = self._board
        board.controls.close()
        if iterates:
            self._take(iterates[0])
        if iterates and iterates[0].is_last:
            note = "The result and its page are in the files below."
            if iterates[0].step < iterates[0].total_steps:
                note = f"It was finished early, after step {iterates[0].step}. {note}"
            board.enter(board_lib.FINISHED, note)
        else:
            board.enter(board_lib.STOPPED, "The same command resumes the run.")


class _PauseWatch:
    """Tells whether a signal ends a pause; now and then, notes that the pause goes on."""

    def __init__(self, stopping: StopSignal, note_pause: NotePause):
        self._stopping, self._note_pause, self._noted = stopping, note_pause, -math.inf

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._noted >= PAUSED_SECONDS:
            self._noted = now
            self._note_pause(True)
        return bool(self._stopping)


def _progress(iterate: Iterate) -> Progress:
    scale = iterate.scale
    return Progress(
        iterate.step,
        iterate.total_steps,
        scale.index + 1,
        len(iterate.scales),
        scale.width,
        scale.height,
        iterate.steps_per_second,
        iterate.seconds_left,
    )


@contextlib.contextmanager
def live_view(
    runs: Sequence[RequestedRun], stopping: StopSignal, timeline: Timeline
) -> Iterator[NoView]:
    """What shows the runs during the block: on a live page, if one of them asks for it.

    Raises:
        InputError: the port cannot be used.
    """
    asking = next((run.settings for run in runs if run.settings.serve), None)
    if asking is None:
        yield NoView()
        return
    board = _board(runs, stopping, timeline)
    with contextlib.closing(open_server(board, asking.serve_port, asking.serve_hosts)) as server:
        cli.tell(f"live page: {server.url}")  # even with --quiet: nobody can guess it
        address, redirect = (server.url if asking.open else None), runs[0].folder.live
        try:
            yield LiveView(board, stopping, timeline, address, redirect)
        except BaseException as error:
            board.controls.close()
            reason, status = cli.failure(error)
            is_stopped = status == cli.INTERRUPTED
            board.enter(board_lib.STOPPED if is_stopped else board_lib.FAILED, reason)
            raise
        finally:
            with contextlib.suppress(OSError):
                redirect.unlink()


def _board(runs: Sequence[RequestedRun], stopping: StopSignal, timeline: Timeline) -> Board:
    run = runs[0]
    paths = (run.settings.content, *run.settings.style_pictures)
    content, *styles = map(picture_title, paths)
    title = f"{content} in the style of {', '.join(styles)}"
    if len(runs) > 1:
        title += f" (the first of {len(runs)} in a batch)"
    files = {"result": run.folder.result, "page": run.folder.page}
    picture = LivePicture(run.inputs.profile)
    board = Board(
        title,
        {name: str(path.absolute()) for name, path in files.items()},
        Controls(stopping.set),
        picture,
        lambda: _ACTIVITIES.get(timeline.current(), ""),
    )
    picture.take(lambda: run.inputs.content)
    board.caption("The photo, until the first step is taken")
    return board
