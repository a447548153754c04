"""The progress of a run from Python: on a terminal, or in a notebook."""

import io

from PIL import Image

from nst_keras.imaging import geometry, images
from nst_keras.runs.progress_line import ProgressWriter, describe
from nst_keras.runtime.notebook import NotebookProgress, in_notebook
from nst_keras.runtime.progress import format_seconds, on_terminal
from nst_keras.transfer.callbacks import Callback

_SIDE = 512  # px, longest side of the picture in a notebook


class Progress(Callback):
    """Shows steps, losses, the time left and, in a notebook, the picture so far."""

    @classmethod
    def wanted(cls, progress: bool | None) -> "list[Callback]":
        """What shows the progress if that is wanted; None: in notebooks and on terminals."""
        if progress is None:
            progress = in_notebook() or on_terminal()
        if not progress:
            return []
        return [_InNotebook() if in_notebook() else _OnTerminal()]


class _OnTerminal(Progress):
    """The command's bar; plain lines where standard error is no terminal."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._bar = ProgressWriter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self.iterate is not None:
            self._bar(self.iterate)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._bar.close()


class _InNotebook(Progress):
    """A display below the cell."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._display = NotebookProgress()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self.iterate is None or not self._display.is_due():
            return
        buffer, source = io.BytesIO(), self.iterate.source
        small = geometry.thumbnail(self.iterate.image, _SIDE)
        profile = source.profile if source else b""
        picture = Image.fromarray(images.to_uint8(small))
        picture.save(buffer, "JPEG", quality=85, icc_profile=profile or None)
        share = self.iterate.step / self.iterate.total_steps
        self._display.update(describe(self.iterate), share, buffer.getvalue())

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self.iterate is None:
            self._display.close("stopped before the first step")
            return
        step, total = self.iterate.step, self.iterate.total_steps
        seconds = format_seconds(self.iterate.seconds)
        self._display.close(f"step {step} of {total}, {seconds}")
