"""Where the masks of a run come from, checked against its styles. Imports no TensorFlow."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import ALL, AUTO_REGIONS, KEEP, REST
from nst_keras.settings.resolve import Settings, automatic_regions


class MaskSources(NamedTuple):
    """Where masks come from: words, paths, or pictures in memory, in the order of the styles.

    Attributes:
        styles: which of the styles are pictures and not 'keep'.
    """

    styles: tuple[bool, ...]
    style_mask: tuple[Any, ...] = ()
    style_region: tuple[Any, ...] = ()
    regions: Any = None

    @property
    def automatic(self) -> int:
        """The number of regions that are to be found; 0 for none."""
        return automatic_regions(self.regions) if isinstance(self.regions, str) else 0

    @property
    def has_region_picture(self) -> bool:
        """Whether there is one picture with a color for each style."""
        return self.regions is not None and not self.automatic

    def pictures(self) -> Iterator[tuple[str, str, Any]]:
        """The pictures among them: name, flag and origin."""
        for flag, origins in (("style_mask", self.style_mask), ("style_region", self.style_region)):
            for number, origin in enumerate(origins, start=1):
                if not is_word(origin, REST, ALL):
                    yield f"{flag.replace('_', ' ')} {number}", f"--{flag}", origin
        if self.has_region_picture:
            yield "regions", "--regions", self.regions


def is_word(value: Any, *words: str) -> bool:
    """Whether something, which may be an array, is one of these words."""
    return isinstance(value, str) and value in words


def mask_sources(
    settings: Settings,
    styles: Sequence[Any],
    style_mask: Sequence[Any] | None = None,
    style_region: Sequence[Any] | None = None,
    regions: Any = None,
) -> MaskSources:
    """What the settings name, or what is given in its place, checked against the styles.

    Raises:
        InputError: masks and styles do not fit together.
    """
    found = MaskSources(
        tuple(not is_word(style, KEEP) for style in styles),
        tuple(settings.style_mask if style_mask is None else style_mask),
        tuple(settings.style_region if style_region is None else style_region),
        settings.regions if regions is None else regions,
    )
    _check_choice(found, settings)
    _check_words(found)
    for flag, own in (("style_mask", found.style_mask), ("style_region", found.style_region)):
        if own and len(own) != len(styles):
            raise InputError(
                f"--{flag}: has {len(own)} {_plural('mask', len(own))}, but --style has "
                f"{len(styles)} {_plural('entry', len(styles))}; give one for each, in the same "
                f"order",
                flag,
                "style",
            )
    for place, is_picture in enumerate(found.styles):
        if found.style_region and not is_picture and not is_word(found.style_region[place], ALL):
            reason = f"has a mask for keep, which is no picture; write {ALL} there"
            raise InputError(f"--style_region: {reason}", "style_region")
    return found


def _check_choice(sources: MaskSources, settings: Settings) -> None:
    has_masks = bool(sources.style_mask) or sources.has_region_picture
    if sources.style_mask and sources.regions is not None:
        raise InputError("--style_mask --regions: give one of them", "style_mask", "regions")
    if sources.style_region and sources.automatic:
        reason = "--regions=auto finds the parts of the styles, too; leave one of them out"
        raise InputError(f"--style_region: {reason}", "style_region", "regions")
    is_text = isinstance(sources.regions, str)
    # A flagfile or a sweep has put a folder before it.
    if is_text and os.path.basename(sources.regions).startswith("auto:") and not sources.automatic:
        choices = ", ".join(AUTO_REGIONS)
        raise InputError(f"--regions={sources.regions}: must be one of {choices}", "regions")
    if sources.styles and not any(sources.styles):
        raise InputError(f"--style={KEEP}: give at least one picture", "style")
    if sources.styles.count(False) > 1:
        raise InputError(f"--style: has {KEEP} twice; one mask can hold all that is kept", "style")
    if not all(sources.styles) and not has_masks:
        reason = "needs --style_mask, or --regions with a picture, which say where"
        raise InputError(f"--style: {KEEP} {reason}", "style")
    if has_masks and settings.style_blend:
        reason = "each style has a part of the picture for itself; --region_weights weighs these"
        raise InputError(f"--style_blend: {reason}", "style_blend")
    count = sources.automatic or (sum(sources.styles) if has_masks else 1)
    weights = settings.region_weights
    if weights and not any(weights):
        raise InputError("--region_weights: at least one must be above 0", "region_weights")
    if weights and len(weights) != count:
        raise InputError(
            f"--region_weights: has {len(weights)} {_plural('value', len(weights))}, but there "
            f"{'is' if count == 1 else 'are'} {count} {_plural('region', count)} with a style",
            "region_weights",
        )


def _check_words(sources: MaskSources) -> None:
    if sum(is_word(origin, REST) for origin in sources.style_mask) > 1:
        raise InputError(f"--style_mask: has {REST} twice", "style_mask")
    for flag, origins, wrong in (
        ("style_mask", sources.style_mask, ALL),
        ("style_region", sources.style_region, REST),
    ):
        if any(is_word(origin, wrong) for origin in origins):
            other = REST if wrong == ALL else ALL
            raise InputError(f"--{flag}: {wrong} is not a mask here; {other} is", flag)


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return "entries" if word == "entry" else f"{word}s"
