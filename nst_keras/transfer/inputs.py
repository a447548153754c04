"""Everything that a run reads, read and checked once, before TensorFlow is imported."""

import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nst_keras.devices import memory
from nst_keras.imaging import color_spaces, geometry, images, in_memory
from nst_keras.imaging.in_memory import PictureLike
from nst_keras.network import vgg
from nst_keras.network import weights as weights_lib
from nst_keras.network.architecture import Architecture
from nst_keras.network.weights import Weights
from nst_keras.objective.loss_term import LossTerm
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import INITS, KEEP, OPTIONS
from nst_keras.settings.resolve import Settings
from nst_keras.transfer.mask_inputs import ENOUGH, MaskReader, Masks
from nst_keras.transfer.mask_sources import MaskSources, is_word, mask_sources
from nst_keras.transfer.plan import cropped_size

if TYPE_CHECKING:  # imports TensorFlow
    from nst_keras.network.custom import CustomExtractor

_MASK_FLAGS = ("--style_mask", "--style_region", "--regions")


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Everything that a run has read. Pictures are float32 RGB in [0, 1], (H, W, 3).

    Attributes:
        content: cropped as `--fit` says. Pictures that are much larger than the run needs are
            reduced.
        init: the picture that `--init` names, if it names one.
        weights: None where only `keras.applications` can fetch them.
        hashes: SHA-256 of each file by the name of its source (see `sources`).
        sizes: height and width of each picture by the name of its source, before it was reduced;
            of the content, of the part that is used.
        notes: warnings about how files were read.
        masks: of content and styles; those of the content cropped with it.
        profile: the ICC profile of all pictures, where the content's is kept; empty for sRGB.
        extractor: the user's own network in place of VGG.
        terms: of the loss, that the user has written.
    """

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    init: np.ndarray | None
    weights: Weights | None
    hashes: dict[str, str]
    sizes: dict[str, tuple[int, int]]
    notes: tuple[str, ...]
    masks: Masks = Masks()
    profile: bytes = b""
    extractor: "CustomExtractor | None" = None
    terms: tuple[LossTerm, ...] = ()

    def with_terms(self, settings: Settings, terms: Sequence[LossTerm]) -> "Inputs":
        """The same with terms that the user has written, their layers named as Keras does."""
        canonical = self.architecture(settings).canonical
        named = []
        for term in terms:
            layers = [canonical(layer, f"terms: {term.name}: layers") for layer in term.layers]
            named.append(dataclasses.replace(term, layers=tuple(layers)))
        found = dataclasses.replace(self, terms=tuple(named))
        if not found.layers(settings):
            raise InputError(
                "--content_layers, --style_layers: at least one layer must be named; its weight "
                "may be 0"
            )
        return found

    def layers(self, settings: Settings) -> tuple[str, ...]:
        """All layers whose features the run uses."""
        return (*settings.layers, *(layer for term in self.terms for layer in term.layers))

    @property
    def held_bytes(self) -> int:
        """Bytes of the pictures in memory."""
        pictures = [self.content, *self.styles, *self.masks.all]
        pictures += [] if self.init is None else [self.init]
        return sum(picture.nbytes for picture in pictures)

    def architecture(self, settings: Settings) -> Architecture:
        """The architecture of the network whose features are used."""
        return _architecture(settings, self.weights, self.extractor)


class Source(NamedTuple):
    """A file, or a picture in memory in its place."""

    name: str  # 'content', 'style 1', ..., 'style mask 1', ..., 'regions', 'init' or 'weights'
    flag: str
    origin: PictureLike


def sources(
    settings: Settings,
    content: PictureLike | None = None,
    styles: Sequence[PictureLike] | None = None,
    masks: MaskSources | None = None,
) -> list[Source]:
    """The files that the settings name, and the paths or pictures that are given in their place.

    Raises:
        InputError: the content or the style is missing, one of several styles is not there, or
            masks and styles do not fit together.
    """
    content = settings.content if content is None else content
    styles = settings.style if styles is None else styles
    if content is None or (isinstance(content, str) and not content):
        raise InputError(
            "--content is missing; give a photo and a painting: nst photo.jpg painting.jpg",
            "content",
        )
    if styles is None or not len(styles):
        raise InputError(
            "--style is missing; give a photo and a painting: nst photo.jpg painting.jpg", "style"
        )
    pictures = [style for style in styles if not is_word(style, KEEP)]
    for style in pictures:
        if len(styles) > 1 and isinstance(style, str) and not os.path.exists(style):
            reason = files.missing(style)
            if not files.is_url(style):
                reason += "; write \\, for a comma in a path, and put one with spaces in quotes"
            raise InputError(f"--style={style}: {reason}", "style")
    found = [Source("content", "--content", content)]
    found += [Source(f"style {n}", "--style", style) for n, style in enumerate(pictures, start=1)]
    found += [Source(*own) for own in (masks or mask_sources(settings, styles)).pictures()]
    if settings.init not in INITS:
        found.append(Source("init", "--init", settings.init))
    if settings.weights == "embedded":
        found.append(Source("weights", "--weights", str(weights_lib.embedded_path())))
    elif settings.weights != "imagenet":
        found.append(Source("weights", "--weights", settings.weights))
    return found


def read_inputs(
    settings: Settings,
    content: PictureLike | None = None,
    styles: PictureLike | Iterable[PictureLike] | None = None,
    weights: Weights | None = None,
    *,
    style_mask: PictureLike | Iterable[PictureLike] | None = None,
    style_region: PictureLike | Iterable[PictureLike] | None = None,
    regions: PictureLike | None = None,
    extractor: "CustomExtractor | None" = None,
) -> Inputs:
    """Read and check everything that a run needs.

    Args:
        content, styles, style_mask, style_region, regions: paths, or pictures in memory (see
            `in_memory.read_object`), in place of the files that the settings name.
        weights: if they have been read already.
        extractor: the user's own network in place of VGG.

    Raises:
        InputError: a picture or the weights are missing or cannot be used.
    """
    listed = _listed(styles)
    _check_blend(settings, listed)
    hashes: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    notes: list[str] = []
    pictures: dict[str, list[np.ndarray]] = {"--init": []}  # by flag
    mask_origins = mask_sources(
        settings,
        settings.style if listed is None else listed,
        _listed(style_mask),
        _listed(style_region),
        regions,
    )
    profile, space = b"", None  # of the content, which comes first
    for name, flag, origin in sources(settings, content, listed, mask_origins):
        if flag in _MASK_FLAGS:
            continue
        if name == "weights":
            weights = weights or weights_lib.read_weights(str(origin), settings.backbone)
            hashes[name] = weights.sha256
            continue
        picture = _read(settings, sizes, name, flag, origin)
        if picture.sha256:
            hashes[name] = picture.sha256
        sizes[name] = picture.size
        label = f"{flag}={origin}" if isinstance(origin, str | os.PathLike) else name
        notes += [f"{label}: {note}" for note in picture.notes]
        pixels = picture.pixels
        if name == "content":
            profile = picture.profile
            space = color_spaces.from_icc(profile) if profile else None
        elif space:
            pixels = space.from_srgb(pixels)
        pictures.setdefault(flag, []).append(pixels)
    architecture = _architecture(settings, weights, extractor)
    read = functools.partial(_read, settings, sizes)
    reader = MaskReader(mask_origins, settings, architecture, dict(sizes), read)
    masks = reader.masks()
    hashes |= reader.hashes
    notes += reader.notes
    photo = geometry.crop_to_fit(pictures["--content"][0], settings.fit)
    height, width = sizes["content"] = cropped_size(settings, sizes["content"])
    notes += _notes_of_content(settings, height, width, has_profile=bool(profile))
    init = next(iter(pictures["--init"]), None)
    styled = tuple(pictures["--style"])
    return Inputs(
        photo, styled, init, weights, hashes, sizes, tuple(notes), masks, profile, extractor
    )


def _architecture(
    settings: Settings, weights: Weights | None, extractor: "CustomExtractor | None"
) -> Architecture:
    if extractor:
        return extractor.architecture
    return vgg.architecture(settings.backbone, weights.channels if weights else vgg.CHANNELS)


def _check_blend(settings: Settings, styles: Sequence[Any] | None) -> None:
    """Check that styles in memory are as many as their shares."""
    if styles is not None and len(settings.style_blend) not in (0, len(styles)):
        text = OPTIONS["style_blend"].format(settings.style_blend)
        raise InputError(
            f"--style_blend={text}: has {len(settings.style_blend)} values, but the number of "
            f"styles is {len(styles)}"
        )


def _notes_of_content(
    settings: Settings, height: int, width: int, *, has_profile: bool
) -> Iterator[str]:
    """Warnings about a content of this size."""
    if settings.size != "original" and int(settings.size) > max(height, width):
        name, size = settings.content or "content", settings.size
        yield f"--content={name}: is {width}x{height}, enlarged to --size={size}"
    if settings.profile == "input" and not has_profile:
        yield (
            "--profile=input: the content has no profile of another color space that can be kept; "
            "the picture is in sRGB"
        )


def _read(
    settings: Settings,
    sizes: Mapping[str, tuple[int, int]],
    name: str,
    flag: str,
    origin: Any,
    **more: Any,
) -> images.Picture:
    """Read a picture, reduced if its file is much larger than the run needs.

    Args:
        sizes: height and width of what has been read, of which the content is the first.
        more: options of the decoder.
    """
    limit = math.inf if memory.visible_gpus() else settings.memory_limit or math.inf
    options: dict[str, Any] = {
        "truncated": settings.truncated,
        "max_bytes": min(limit, memory.available_bytes()),
    }
    if name == "content":
        options["keep_profile"] = settings.profile == "input"
    options |= more
    longest = settings.size if settings.size != "original" else max(sizes.get("content", (0,)))
    if longest and flag != "--regions":  # whose colors would be mixed
        scale = settings.style_scale if flag in ("--style", "--style_region") else 1.0
        is_content = flag in ("--content", "--style_mask")
        cropped = flag == "--init" or is_content and settings.fit == "crop"
        options["enough"] = math.ceil(ENOUGH * scale * int(longest))
        options["side"] = min if cropped else max
    if isinstance(origin, str | os.PathLike):
        return images.read_image(origin, flag, settings.max_pixels, **options)
    return in_memory.read_object(origin, name, settings.max_pixels, **options)


def _listed(pictures: PictureLike | Iterable[PictureLike] | None) -> list[Any] | None:
    """Pictures as a list; one alone need not be in one. An open file is an iterator, too."""
    if isinstance(pictures, (list, tuple, Iterator)) and not hasattr(pictures, "read"):
        return list(pictures)
    return None if pictures is None else [pictures]
