"""The masks of a run, read and checked: which part of the content follows which style.

Imports no TensorFlow.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import ImageColor

from nst_keras.imaging import geometry, masks
from nst_keras.imaging.color import BLACK, WHITE
from nst_keras.imaging.images import Picture
from nst_keras.network.architecture import Architecture
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import REST
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.mask_sources import MaskSources, is_word
from nst_keras.transfer.plan import cropped_size

# A picture is reduced to this many times the size that the run needs, and from there with a better
# filter; the difference is too small to be seen.
ENOUGH = 3
_FEW_POSITIONS = 10  # for each channel of the deepest layer of the style
_SMALL = 0.05  # share of the picture; a larger region is not small, whatever the size
_LISTED_COLORS = 6
_LEAST_WHITE = 0.5  # of the brightest place of a mask; less is a mistake in its range


@dataclasses.dataclass(frozen=True)
class Masks:
    """Masks of pictures, float32 (h, w) in [0, 1], of the shapes of their pictures.

    Attributes:
        regions: of the content, for each style that is a picture; empty if all styles apply
            everywhere. Together with `keep` they add up to at most 1.
        keep: of the content, where it stays as it is; None: nowhere.
        of_styles: for each style that is a picture, which part of it counts, None for all of it;
            empty if all of each style counts.
        automatic: the number of regions that are to be found; 0 for none.
    """

    regions: tuple[np.ndarray, ...] = ()
    keep: np.ndarray | None = None
    of_styles: tuple[np.ndarray | None, ...] = ()
    automatic: int = 0

    @property
    def count(self) -> int:
        """The number of regions with styles; 0 if all styles apply everywhere."""
        return len(self.regions) or self.automatic or bool(self.of_styles)

    @property
    def form(self) -> str:
        """Which masks there are, in a text that differs for different ones."""
        parts = "".join("-" if own is None else "+" for own in self.of_styles)
        return f"{len(self.regions)} {self.keep is not None} {parts} {self.automatic}"

    @property
    def all(self) -> list[np.ndarray]:
        """All masks that there are."""
        keep = [] if self.keep is None else [self.keep]
        return [*self.regions, *keep, *(own for own in self.of_styles if own is not None)]


# Reads a picture: name, flag, origin, and options of the decoder.
Read = Callable[..., Picture]


class MaskReader:
    """Reads the masks of a run.

    Args:
        architecture: of the network.
        sizes: height and width of each picture by its name, as they are in their files.
        read: reads one picture.
    """

    def __init__(
        self,
        sources: MaskSources,
        settings: Settings,
        architecture: Architecture,
        sizes: dict[str, tuple[int, int]],
        read: Read,
    ):
        self._sources, self._settings, self._sizes, self._read = sources, settings, sizes, read
        self._architecture = architecture
        self.hashes: dict[str, str] = {}
        self.notes: list[str] = []

    def masks(self) -> Masks:
        """Read and check all masks; raises InputError if one cannot be used."""
        planes = self._region_planes()
        reduced = [self._reduced(plane) for plane in planes]
        regions, keep = self._shared_out(reduced) if reduced else ((), None)
        return Masks(regions, keep, self._of_styles(), self._sources.automatic)

    def _region_planes(self) -> list[np.ndarray]:
        """The masks of all entries of --style, of one size; none if they apply everywhere."""
        pictures = list(self._sources.pictures())
        if self._sources.has_region_picture:
            return self._by_colors(*next(own for own in pictures if own[0] == "regions"))
        origins = dict(enumerate(self._sources.style_mask))
        planes: dict[int, np.ndarray] = {}
        for name, flag, origin in pictures:
            if flag == "--style_mask":
                planes[int(name.split()[-1]) - 1] = self._mask(name, flag, origin, "content")
        if not origins:
            return []
        height, width = self._size_of(planes.values())
        found = {n: geometry.resize_mask(own, height, width) for n, own in planes.items()}
        for place, origin in origins.items():
            if is_word(origin, REST):
                others = sum(found.values()) if found else 0.0
                found[place] = np.clip(np.ones((height, width), np.float32) - others, 0.0, 1.0)
        return [found[place] for place in sorted(found)]

    def _size_of(self, planes: Any) -> tuple[int, int]:
        """The size of the largest mask, but not larger than the content."""
        limit = cropped_size(self._settings, self._sizes["content"])
        largest = max((plane.shape for plane in planes), default=limit)
        return min(largest, limit)

    def _by_colors(self, name: str, flag: str, origin: Any) -> list[np.ndarray]:
        picture = self._checked(self._read(name, flag, origin), name, flag, origin, "content")
        label, given = _label(name, flag, origin), self._settings.region_colors
        if len(given) != len(self._sources.styles):
            listed = ", ".join(
                f"{color} ({share:.0%})"
                for color, share in masks.common_colors(picture.pixels, _LISTED_COLORS)
            )
            raise InputError(
                f"--region_colors={','.join(given)}: give one color for each entry of --style, "
                f"of which there are {len(self._sources.styles)}; {label} has {listed}",
                "region_colors",
            )
        colors = [_color(text) for text in given]
        if len(set(colors)) < len(colors):
            raise InputError(f"--region_colors={','.join(given)}: names a color twice")
        try:
            found = masks.color_masks(picture.pixels, colors)
        except ValueError as error:
            raise InputError(f"{label}: {error}", "regions") from error
        for text, plane in zip(given, found, strict=True):
            if not plane.any():
                raise InputError(f"--region_colors: {text} is nowhere in {label}", "region_colors")
        return [self._cropped(plane, label) for plane in found]

    def _reduced(self, plane: np.ndarray) -> np.ndarray:
        """A mask of the content, reduced if it is much larger than the run needs."""
        if self._settings.size == "original":
            return plane
        longest = min(max(plane.shape), ENOUGH * int(self._settings.size))
        return geometry.resize_mask(plane, *geometry.fit_size(plane.shape, longest))

    def _cropped(self, plane: np.ndarray, label: str) -> np.ndarray:
        """A mask of the content, cropped with it, unless that has been done already."""
        cropped = cropped_size(self._settings, self._sizes["content"])
        if masks.has_shape_of(plane.shape, cropped):
            return plane
        found = geometry.crop_to_fit(plane, self._settings.fit)
        if not found.any():
            raise InputError(f"{label}: has no white in the part that --fit=crop selects", "fit")
        return found

    def _shared_out(
        self, planes: Sequence[np.ndarray]
    ) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
        """The masks of the styles that are pictures, and of what is kept."""
        pairs = list(zip(planes, self._sources.styles, strict=True))
        keep = next((plane for plane, is_picture in pairs if not is_picture), None)
        found = masks.shared_out([plane for plane, is_picture in pairs if is_picture], keep)
        places = [n for n, is_picture in enumerate(self._sources.styles, start=1) if is_picture]
        for number, plane in zip(places, found, strict=True):
            if not plane.any():
                flag = "regions" if self._sources.has_region_picture else "style_mask"
                raise InputError(
                    f"--{flag}: nothing is left for entry {number} of --style, since other masks "
                    "cover all of its own",
                    flag,
                )
            self._warn_if_small(number, plane)
        return tuple(found), keep

    def _warn_if_small(self, number: int, plane: np.ndarray) -> None:
        """Note a region that has too few positions for statistics of its style."""
        if not (layers := self._settings.style_layers):
            return
        deepest = max(layers, key=lambda name: self._architecture[name].stride)
        layer = self._architecture[deepest]
        height, width = cropped_size(self._settings, self._sizes["content"])
        size = self._settings.size
        longest = max(height, width) if size == "original" else int(size)
        pixels = longest**2 * min(height, width) / max(height, width)
        share = float(plane.mean())
        positions = share * pixels / layer.stride**2
        if positions < _FEW_POSITIONS * layer.channels and share < _SMALL:
            self.notes.append(
                f"the region of style {number} is small: {share:.1%} of the picture, with "
                f"{positions:.0f} positions for {layer.channels} channels at {deepest}; "
                "its style may come out poorly"
            )

    def _of_styles(self) -> tuple[np.ndarray | None, ...]:
        found: list[np.ndarray | None] = []
        pictures = {name: (flag, origin) for name, flag, origin in self._sources.pictures()}
        number = 0
        for place, is_picture in enumerate(self._sources.styles, start=1):
            if not is_picture or not self._sources.style_region:
                continue
            number += 1
            name = f"style region {place}"
            own = self._mask(name, *pictures[name], f"style {number}") if name in pictures else None
            found.append(own)
        return tuple(found)

    def _mask(self, name: str, flag: str, origin: Any, of: str) -> np.ndarray:
        """One mask, of the shape of the picture that it is for."""
        read = functools.partial(self._read, name, flag, origin)
        picture = self._checked(read(background=BLACK), name, flag, origin, of)
        mask = masks.mask_of(picture.pixels, lambda: read(background=WHITE).pixels)
        label, brightest = _label(name, flag, origin), float(mask.max())
        if brightest < _LEAST_WHITE:
            what = (
                f"has {brightest:.2g} as its largest value" if brightest else "is black everywhere"
            )
            raise InputError(
                f"{label}: {what}; it must be white where its style "
                f"{'applies' if of == 'content' else 'counts'}, which is 1.0 in floats and 255 in "
                "integers",
                flag.removeprefix("--"),
            )
        return self._cropped(mask, label) if of == "content" else mask

    def _checked(self, picture: Picture, name: str, flag: str, origin: Any, of: str) -> Picture:
        label = _label(name, flag, origin)
        if picture.sha256:
            self.hashes[name] = picture.sha256
        self.notes += [f"{label}: {note}" for note in picture.notes]
        (rows, columns), (height, width) = picture.size, self._sizes[of]
        fitting = [self._sizes[of]]
        if of == "content":
            fitting.append(cropped_size(self._settings, self._sizes[of]))
        if not any(masks.has_shape_of(picture.size, size) for size in fitting):
            raise InputError(
                f"{label}: is {columns}x{rows}, but the {of} is {width}x{height}; both must have "
                "the same aspect ratio",
                flag.removeprefix("--"),
            )
        return picture


def _color(text: str) -> tuple[int, int, int]:
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise InputError(
            f"--region_colors={text}: is no color; give #rrggbb or a name such as red",
            "region_colors",
        ) from error


def _label(name: str, flag: str, origin: Any) -> str:
    return f"{flag}={origin}" if isinstance(origin, str | os.PathLike) else name
