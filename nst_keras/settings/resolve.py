"""Settings: a config with nothing left open; presets filled in, layers by their Keras names."""

import dataclasses
import re
from typing import Any

from nst_keras.network import vgg
from nst_keras.objective.term_names import kind_of, matches, term_names
from nst_keras.optimizers.facts import FACTS
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, QUALITIES, Config, defaults
from nst_keras.settings.presets import PRESETS


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    """A config that has been resolved: None stands only where an option may have no value."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose features are used."""
        return (*self.content_layers, *self.style_layers)

    @property
    def max_pixels(self) -> int:
        """The largest number of pixels of a picture that is read."""
        return self.max_megapixels * 10**6

    def blend(self, styles: int) -> tuple[float, ...]:
        """The weight of each style, given their number."""
        return tuple(self.style_blend) or (1.0,) * styles


def resolve(config: Config) -> Settings:
    """Fill in the preset, give layers their Keras names and check what belongs together.

    Raises:
        InputError: settings contradict each other.
    """
    preset = preset_values(config)
    usual = dict(zip(preset["style_layers"], preset["style_layer_weights"], strict=True))
    if config.style_layers is not None:  # the preset's weights belong to its own layers
        preset["style_layer_weights"], usual = (), {}
    given = {name: value for name, value in vars(config).items() if value is not None}
    settings = Settings(**{**preset, **given})
    settings = dataclasses.replace(
        settings,
        content_layers=_canonical(settings, "content_layers"),
        style_layers=_canonical(settings, "style_layers"),
    )
    settings = _with_named_weights(settings, "content_layer", {})
    settings = _with_named_weights(settings, "style_layer", usual)
    _check_lists(settings)
    _check_weights(settings)
    _check_schedule(settings)
    _check_balance(settings)
    if settings.distribute == "multiworker" and settings.time_limit:
        raise InputError(
            f"--time_limit={settings.time_limit:g}s: with --distribute=multiworker each host would "
            "plan different steps; use --iterations instead",
            *("time_limit", "distribute"),
        )
    return settings


def preset_values(config: Config) -> dict[str, Any]:
    """The preset's settings by name, for the objective, optimizer, schedule and quality given."""
    source = PRESETS[config.objective]
    preset = dict(source.with_optimizer(config.optimizer))
    own_optimizer = preset["optimizer"] == source.defaults["optimizer"]
    if config.quality == "best" and source.best and own_optimizer:
        preset |= source.best
        factor = 1.0
    else:
        factor = QUALITIES[config.quality]
    if config.schedule not in (None, preset["schedule"]):
        preset |= source.schedule_of(config.schedule)
    preset["iterations"] = max(1, round(preset["iterations"] * factor))
    preset["coarse_iterations"] = tuple(
        max(1, round(steps * factor)) for steps in preset["coarse_iterations"]
    )
    return preset


def _canonical(settings: Settings, option: str) -> tuple[str, ...]:
    """The Keras names of the layers of an option."""
    layers, flag = getattr(settings, option), f"--{option}"
    names = tuple(vgg.canonical_layer(layer, settings.backbone, flag) for layer in layers)
    if len(set(names)) < len(names):
        raise InputError(f"{flag}={','.join(layers)}: names a layer twice", option)
    return names


def _with_named_weights(settings: Settings, prefix: str, usual: dict[str, float]) -> Settings:
    """Turn LAYER:WEIGHT items into a plain list; other layers keep their usual weight, or 1."""
    name = f"{prefix}_weights"
    values, layers = getattr(settings, name), getattr(settings, f"{prefix}s")
    if not any(isinstance(value, (tuple, list)) for value in values):
        return settings
    text = f"--{name}={OPTIONS[name].format(values)}"
    if not all(isinstance(value, (tuple, list)) for value in values):
        raise InputError(f"{text}: give either plain numbers or LAYER:WEIGHT, not both", name)
    named = {vgg.canonical_layer(layer, settings.backbone, f"--{name}"): w for layer, w in values}
    if len(named) < len(values):
        raise InputError(f"{text}: names a layer twice", name)
    if missing := [layer for layer in named if layer not in layers]:
        message = f"{text}: {missing[0]} is not among --{prefix}s={','.join(layers)}"
        raise InputError(message, name, f"{prefix}s")
    weights = tuple(named.get(layer, usual.get(layer, 1.0)) for layer in layers)
    changed: dict[str, Any] = {name: weights}
    return dataclasses.replace(settings, **changed)


def _check_lists(settings: Settings) -> None:
    """Check that lists that belong together have the same length."""
    pairs = (
        ("style_blend", "style"),
        ("content_layer_weights", "content_layers"),
        ("style_layer_weights", "style_layers"),
    )
    for name, other in pairs:
        values, items = getattr(settings, name), getattr(settings, other)
        if values and items and len(values) != len(items):
            raise InputError(
                f"--{name}={OPTIONS[name].format(values)}: has {len(values)} values, but --{other} "
                f"has {len(items)}",
                *(name, other),
            )
        if values and not any(values):
            raise InputError(f"--{name}={OPTIONS[name].format(values)}: one must be above 0", name)


def _check_weights(settings: Settings) -> None:
    """Check that there is something to optimize, and weights for the backbone."""
    content = settings.content_weight if settings.content_layers else 0
    style = settings.style_weight if settings.style_layers else 0
    if not content and not style:
        raise InputError(
            f"--content_weight={settings.content_weight} --style_weight={settings.style_weight}: "
            "nothing to optimize; one must be above 0, with layers",
            *("content_weight", "style_weight", "content_layers", "style_layers"),
        )
    if settings.weights == "embedded" and settings.backbone != "vgg19":
        raise InputError(
            f"--backbone={settings.backbone}: --weights=embedded holds vgg19 only; "
            "give --weights=imagenet or the path of a weights file",
            *("backbone", "weights"),
        )


def _check_schedule(settings: Settings) -> None:
    """Check that the learning rate and its schedule are complete."""
    if settings.learning_rate is None:
        raise InputError(
            f"--optimizer={settings.optimizer}: needs --learning_rate; a good value for "
            f"--objective={settings.objective} depends on the size of its gradient",
            *("optimizer", "learning_rate", "objective"),
        )
    at = settings.schedule_at
    text = f"--schedule_at={OPTIONS['schedule_at'].format(at)}"
    if (settings.schedule == "piecewise") != bool(at):
        raise InputError(
            f"--schedule={settings.schedule} {text}: "
            "piecewise needs --schedule_at=STEP:FACTOR,..., and only piecewise takes it",
            *("schedule", "schedule_at"),
        )
    steps = [step for step, _ in at]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", step) for step in steps):
        raise InputError(f"{text}: steps must be whole numbers from 1", "schedule_at")
    numbers = [int(step) for step in steps]
    if numbers != sorted(set(numbers)):
        raise InputError(f"{text}: steps must increase", "schedule_at")


def _check_balance(settings: Settings) -> None:
    """Check that shares are of terms that exist, each named once, and one is above 0."""
    if not settings.balance:
        return
    text = f"--balance={OPTIONS['balance'].format(settings.balance)}"
    terms = term_names(settings.content_layers, settings.style_layers)
    taken: set[str] = set()
    for name, _ in settings.balance:
        members = {term for term in terms if matches(term, name)}
        choices = dict.fromkeys([*map(kind_of, terms), *terms])
        if not members:
            raise InputError(
                f"{text}: there is no term {name}; choose from {', '.join(choices)}",
                *("balance", "content_layers", "style_layers"),
            )
        if members & taken:
            raise InputError(f"{text}: names {sorted(members & taken)[0]} twice", "balance")
        taken |= members
    if not any(share for _, share in settings.balance):
        raise InputError(f"{text}: one must be above 0", "balance")


def unused(given: Config, settings: Settings) -> list[str]:
    """Warnings about settings that are given but have no effect.

    Args:
        given: the config from which the settings were resolved.
    """
    facts = FACTS[settings.optimizer]
    of_optimizers = {name for other in FACTS.values() for name in other.takes}
    reasons = {name: f"--optimizer={settings.optimizer}" for name in of_optimizers - {*facts.takes}}
    if settings.schedule in ("constant", "piecewise"):
        reason = f"--schedule={settings.schedule}"
        reasons |= dict.fromkeys(("schedule_end", "schedule_steps"), reason)
    if settings.scales != "auto":
        reasons["scale_ratio"] = f"--scales={settings.scales}"
    if not settings.tolerance:
        reasons["patience"] = "--tolerance=0"
    if settings.distribute != "mirrored":
        reasons["replicas"] = f"--distribute={settings.distribute}"
    usual = {**defaults(), **preset_values(given)}  # a run's own flagfile holds these, too
    notes = [
        f"--{name}={OPTIONS[name].format(value)}: has no effect with {reason}"
        for name, reason in sorted(reasons.items())
        if (value := getattr(given, name)) not in (None, usual[name])
    ]
    if facts.rate_is_factor and settings.learning_rate < 0.1:
        notes.append(
            f"--learning_rate={settings.learning_rate:g}: {settings.optimizer} multiplies each of "
            "its steps by it; 1 is usual"
        )
    return notes
