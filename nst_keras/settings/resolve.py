"""Settings: a config with its preset filled in and its layers under their Keras names."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

from nst_keras.network import vgg
from nst_keras.network.architecture import Architecture
from nst_keras.objective.term_names import LAPLACIAN, RESERVED, TV, kind_of, matches, term_names
from nst_keras.objective.tiles import LAPLACIAN_STRIDE, NEIGHBORS_STRIDE
from nst_keras.optimizers.facts import facts_of
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import AUTO_REGIONS, OPTIONS, QUALITIES, Config
from nst_keras.settings.presets import COMMON, PRESETS, with_strength
from nst_keras.settings.suggestions import suggested_word

_USUAL_REGIONS = 3
_ALL_ZERO = "at least one value must be above 0"


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    """A config that has been resolved. None stands only where an option may have no value, or where
    the plan of the run decides it (`image_every`, `log_every`)."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose features are used."""
        return (*self.content_layers, *self.style_layers, *self.neighbor_layers)

    @property
    def least_stride(self) -> int:
        """The smallest stride that borders of tiles must be multiples of, in pixels."""
        of_neighbors = NEIGHBORS_STRIDE if self.neighbor_layers else 1
        return max(of_neighbors, LAPLACIAN_STRIDE if self.laplacian_weight else 1)

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the objective's terms."""
        has_neighbors, has_laplacian = bool(self.neighbors_weight), bool(self.laplacian_weight)
        return term_names(self.content_layers, self.style_layers, has_neighbors, has_laplacian)

    @property
    def max_pixels(self) -> int:
        """The largest number of pixels of a picture that is read."""
        return self.max_megapixels * 10**6

    @property
    def has_style_masks(self) -> bool:
        """Whether each style has a part of the picture for itself."""
        return bool(self.style_mask) or self.regions not in (None, *AUTO_REGIONS)

    @property
    def region_count(self) -> int:
        """The number of regions with styles; 0 if all styles apply everywhere."""
        if self.regions in AUTO_REGIONS:
            return automatic_regions(self.regions)
        if self.has_style_masks:
            return len(self.style_pictures)
        return 1 if self.style_region else 0

    def blend(self, styles: int) -> tuple[float, ...]:
        """The weight of each style, given their number."""
        return tuple(self.style_blend) or (1.0,) * styles


def automatic_regions(regions: str | None) -> int:
    """The number of regions that --regions asks to be found; 0 if it does not."""
    if regions not in AUTO_REGIONS:
        return 0
    return int(regions.partition(":")[2] or _USUAL_REGIONS)


def resolve(
    config: Config, *, has_own_terms: bool = False, architecture: Architecture | None = None
) -> Settings:
    """Fill in the preset, and name layers as Keras does; InputError if settings conflict.

    Args:
        has_own_terms: whether there are terms of the loss beside those that settings weigh.
        architecture: of the user's own network, if that is used in place of VGG.
    """
    if architecture:
        _check_for_extractor(config, architecture)
    network = architecture or vgg.architecture(config.backbone)
    preset = preset_values(config)
    usual = dict(zip(preset["style_layers"], preset["style_layer_weights"], strict=True))
    if config.style_layers is not None:  # the preset's weights belong to its own layers
        preset["style_layer_weights"], usual = (), {}
    if architecture:
        preset["precision"] = "float32"  # but for what the network does inside
    given = {name: value for name, value in vars(config).items() if value is not None}
    settings = Settings(**{**preset, **given})
    settings = _with_layers(settings, network, "content", {})
    settings = _with_layers(settings, network, "style", usual)
    settings = _with_neighbor_layers(settings, network)
    _check_lists(settings)
    if not has_own_terms:
        _check_optimized(settings)
    _check_backbone(settings)
    _check_schedule(settings)
    _check_words(settings)
    _check_balance(settings)
    if settings.distribute == "multiworker" and settings.time_limit:
        reason = (
            "with --distribute=multiworker each host would plan different steps; "
            "use --iterations instead"
        )
        raise _refusal(settings, "time_limit", reason, "distribute")
    if settings.distribute == "multiworker" and settings.serve:
        reason = "one host cannot pause or end the work of others, as with --distribute=multiworker"
        raise _refusal(settings, "serve", reason, "distribute")
    return settings


def _check_for_extractor(config: Config, architecture: Architecture) -> None:
    """Check the settings that are about the network, given the user's own, and its layers."""
    for name in ("backbone", "pooling", "padding", "precision", "distribute"):
        value = getattr(config, name)
        if value not in (None, OPTIONS[name].default, "float32"):
            reason = "your own extractor computes as it was built, on one device; leave this out"
            raise InputError(f"--{name}={OPTIONS[name].format(value)}: {reason}", name)
    for name in ("content_layers", "style_layers"):
        if getattr(config, name) is None:
            choices = ", ".join(architecture.layers)
            raise InputError(f"--{name}: is missing; choose from the extractor's {choices}", name)
    if taken := [name for name in architecture.layers if name in RESERVED]:
        raise InputError(f"extractor: its output {taken[0]} has the name of a term; rename it")


def preset_values(config: Config) -> dict[str, Any]:
    """The preset's settings by name, for the objective, strength, optimizer, schedule and quality.

    The learning rate is None for an optimizer for which none can be guessed.
    """
    source, factor = PRESETS[config.objective], QUALITIES[config.quality]
    preset = with_strength(source.defaults, config.strength)
    if config.optimizer not in (None, preset["optimizer"]):
        facts = facts_of(config.optimizer)
        rate = facts.learning_rate(source.pixel_range)
        preset |= {**facts.defaults, "optimizer": config.optimizer, "learning_rate": rate}
        preset |= source.adam if config.optimizer == "adam" else {}
    elif config.quality in source.qualities:
        preset |= source.qualities[config.quality]
        if config.variables not in (None, preset["variables"]):  # whose rate it is
            preset["learning_rate"] = source.defaults["learning_rate"]
        factor = 1.0
    if config.schedule not in (None, preset["schedule"]):
        is_own = config.schedule == source.defaults["schedule"]
        usual = source.defaults if is_own else COMMON
        preset |= {name: usual[name] for name in ("schedule_end", "schedule_steps")}
    preset["iterations"] = max(1, round(preset["iterations"] * factor))
    preset["coarse_iterations"] = tuple(
        max(1, round(steps * factor)) for steps in preset["coarse_iterations"]
    )
    return preset


def _refusal(settings: Settings, names: str, reason: str, *others: str) -> InputError:
    """The InputError that shows the settings in `names`, which are separated by spaces.

    It is also about `others`.
    """
    shown = names.split()
    flags = " ".join(f"--{name}={OPTIONS[name].format(getattr(settings, name))}" for name in shown)
    return InputError(f"{flags}: {reason}", *shown, *others)


def _with_layers(
    settings: Settings, network: Architecture, kind: str, usual: dict[str, float]
) -> Settings:
    """Name the layers of a kind as Keras does, and list their weights in the same order.

    Layers that LAYER:WEIGHT items do not name keep their usual weight, or 1.
    """
    of_layers, of_weights = f"{kind}_layers", f"{kind}_layer_weights"
    layers = _canonical(settings, network, of_layers, getattr(settings, of_layers))
    changed: dict[str, Any] = {of_layers: layers}
    items = getattr(settings, of_weights)
    named = [isinstance(item, (tuple, list)) for item in items]
    if any(named):
        if not all(named):
            reason = "give either plain numbers or LAYER:WEIGHT, not both"
            raise _refusal(settings, of_weights, reason)
        names = _canonical(settings, network, of_weights, [layer for layer, _ in items])
        if missing := [layer for layer in names if layer not in layers]:
            reason = f"{missing[0]} is not among --{of_layers}={','.join(layers)}"
            raise _refusal(settings, of_weights, reason, of_layers)
        weights = dict(zip(names, (weight for _, weight in items), strict=True))
        changed[of_weights] = tuple(weights.get(name, usual.get(name, 1.0)) for name in layers)
    return dataclasses.replace(settings, **changed)


def _with_neighbor_layers(settings: Settings, network: Architecture) -> Settings:
    """Name these layers as Keras does; without the term there are none."""
    choices = tuple(
        name for name, stride in network.strides.items() if NEIGHBORS_STRIDE % stride == 0
    )
    layers = _canonical(settings, network, "neighbor_layers", settings.neighbor_layers) or choices
    if wrong := [layer for layer in layers if layer not in choices]:
        stride = network[wrong[0]].stride
        reason = (
            f"{wrong[0]} has one position for {stride} pixels; choose from those for 1, 2, 4 or 8"
        )
        shown = dataclasses.replace(settings, neighbor_layers=layers)
        raise _refusal(shown, "neighbor_layers", reason)
    if not settings.neighbors_weight:
        return dataclasses.replace(settings, neighbor_layers=(), detail_iterations=0)
    if not layers:
        reason = "no layer has one position for 1, 2, 4 or 8 pixels; use another objective"
        raise _refusal(settings, "objective", reason)
    return dataclasses.replace(settings, neighbor_layers=layers)


def _canonical(
    settings: Settings, network: Architecture, option: str, layers: Sequence[str]
) -> tuple[str, ...]:
    """The Keras names of the layers in an option."""
    names = tuple(network.canonical(name, f"--{option}") for name in layers)
    if len(set(names)) < len(names):
        raise _refusal(settings, option, "names a layer twice")
    return names


def _check_lists(settings: Settings) -> None:
    """Check that lists that belong together have the same length."""
    for name, other in (
        ("style_blend", "style"),
        ("content_layer_weights", "content_layers"),
        ("style_layer_weights", "style_layers"),
    ):
        values, items = getattr(settings, name), getattr(settings, other)
        if values and items and len(values) != len(items):
            reason = f"has {len(values)} values, but --{other} has {len(items)}"
            raise _refusal(settings, name, reason, other)
        if values and not any(values):
            raise _refusal(settings, name, _ALL_ZERO)


def _check_words(settings: Settings) -> None:
    """Refuse what is neither a file nor a word that can take its place, if it resembles one."""
    for name, option in OPTIONS.items():
        value = getattr(settings, name)
        for text in value if option.is_list else (value,):
            if not option.words or not isinstance(text, str) or not option.is_path(text):
                continue
            meant = suggested_word(name, text, option.words)
            if meant and not os.path.exists(text):
                words = ", ".join(option.words)
                raise InputError(
                    f"--{name}={text}: no such file; did you mean {meant}? Words are {words}", name
                )


def _check_optimized(settings: Settings) -> None:
    """Check that there is something to optimize."""
    terms = settings.terms
    kinds = {kind_of(term) for term in terms} - {LAPLACIAN, TV}
    if not any(getattr(settings, f"{kind}_weight") for kind in kinds):
        reason = f"nothing to optimize; {_ALL_ZERO}, with layers for it"
        names = "content_weight style_weight neighbors_weight"
        raise _refusal(settings, names, reason, "content_layers", "style_layers")


def _check_backbone(settings: Settings) -> None:
    """Check that there are weights for the backbone."""
    if settings.weights == "embedded" and settings.backbone != "vgg19":
        reason = (
            "--weights=embedded holds vgg19 only; "
            "give --weights=imagenet or the path of a weights file"
        )
        raise _refusal(settings, "backbone", reason, "weights")


def _check_schedule(settings: Settings) -> None:
    """Check that the learning rate and its schedule are complete."""
    if settings.learning_rate is None:
        reason = (
            f"needs --learning_rate; a good value for --objective={settings.objective} "
            "depends on the size of its gradient"
        )
        raise _refusal(settings, "optimizer", reason, "learning_rate", "objective")
    if (settings.schedule == "piecewise") != bool(settings.schedule_at):
        reason = "piecewise needs --schedule_at=STEP:FACTOR,..., and only piecewise takes it"
        raise _refusal(settings, "schedule schedule_at", reason)
    steps = [step for step, _ in settings.schedule_at]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", step) for step in steps):
        raise _refusal(settings, "schedule_at", "steps must be whole numbers from 1")
    numbers = [int(step) for step in steps]
    if numbers != sorted(set(numbers)):
        raise _refusal(settings, "schedule_at", "steps must increase")


def _check_balance(settings: Settings) -> None:
    """Check that shares are of terms that exist, each named once, and one is above 0."""
    terms = settings.terms
    taken: set[str] = set()
    for name, _ in settings.balance:
        members = {term for term in terms if matches(term, name)}
        if not members:
            choices = dict.fromkeys([*map(kind_of, terms), *terms])
            reason = f"there is no term {name}; choose from {', '.join(choices)}"
            raise _refusal(settings, "balance", reason, "content_layers", "style_layers")
        if members & taken:
            raise _refusal(settings, "balance", f"names {sorted(members & taken)[0]} twice")
        taken |= members
    if settings.balance and not any(share for _, share in settings.balance):
        raise _refusal(settings, "balance", _ALL_ZERO)
