"""What a run returns in Python: the picture, its losses, and where its files are."""

import dataclasses
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_keras.imaging import deep, images
from nst_keras.runtime import notebook
from nst_keras.runtime.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished picture, or the newest one of a run that was stopped. A notebook shows it.

    Attributes:
        image: float32 RGB in [0, 1], (height, width, 3); sRGB, or the color space of the content
            with `profile="input"`.
        losses: a list for each term by its name, such as 'style/block1_conv1', for their sum
            'total', and for the 'step' that each value belongs to; one value for every
            `log_every` steps and for the last step of each scale. `pandas.DataFrame` takes it.
        step, total_steps: the steps that were taken, and those of the whole run.
        finished: whether the run came to its end; otherwise the same call resumes it, if there is a
            folder with its state.
        folder: the run folder; None without `workdir`.
        scores: measures of the result other than its loss; empty without `workdir`.
    """

    image: np.ndarray
    losses: Mapping[str, list[float]]
    step: int
    total_steps: int
    finished: bool
    folder: Path | None = None
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    profile: bytes = dataclasses.field(repr=False, default=b"")

    @property
    def page(self) -> Path | None:
        """The page of the run, `index.html` in its folder; None without `workdir`."""
        return self.folder / "index.html" if self.folder else None

    def save(self, path: str | os.PathLike, bits: int = 8) -> None:
        """Write the picture to a .png, .jpg, .webp, .avif, .tif or .bmp file.

        Args:
            bits: of red, green and blue; 16 for a .tif or, with imagecodecs installed, a .png.

        Raises:
            InputError: the suffix is of no such format.
            OSError: the file cannot be written.
        """
        if bits not in (8, 16):
            raise InputError(f"bits={bits!r}: must be 8 or 16")
        write = deep.write_deep if bits == 16 else images.write_image
        try:
            write(path, self.image, profile=self.profile)
        except InputError as error:
            message = str(error).removeprefix("--bits=16: ").removeprefix("--output=")
            raise InputError(message) from error

    def show(self) -> None:
        """Show the picture in the notebook, or else in a window of its own."""
        if notebook.in_notebook():
            notebook.show(self)
        else:
            Image.open(io.BytesIO(self._repr_png_())).show()

    def _repr_png_(self) -> bytes:
        return images.png_bytes(self.image, self.profile)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        where = f", page={str(self.page)!r}" if self.page else ""
        return f"Result({width}x{height}, step {self.step} of {self.total_steps}{where})"


def losses_by_term(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Lists of losses by term from the rows of metrics, which have a 'step' and its 'terms'.

    A term that a row lacks is NaN there.
    """
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row["terms"])
    found: dict[str, list[float]] = {"step": [row["step"] for row in rows]}
    for name in names:
        found[name] = [row["terms"].get(name, float("nan")) for row in rows]
    return found
