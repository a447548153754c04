"""A config with nothing left open: presets filled in, names canonical, contradictions refused."""

import dataclasses
import re
from typing import Any

from nst_keras.network import vgg
from nst_keras.objective.terms import matches, term_names
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import OPTIONS, QUALITIES, Config, defaults
from nst_keras.settings.presets import PRESETS, TAKES


def resolve(config: Config) -> Config:
    """Fill in the preset, give layers their Keras names and check what belongs together.

    Raises:
        InputError: settings contradict each other.
    """
    preset = preset_values(config)
    usual = dict(zip(preset["style_layers"], preset["style_layer_weights"], strict=True))
    if config.style_layers is not None:  # the preset's weights are those of its own layers
        preset["style_layer_weights"], usual = (), {}
    filled = {name: value for name, value in preset.items() if getattr(config, name) is None}
    config = dataclasses.replace(config, **filled)
    config = dataclasses.replace(
        config,
        content_layers=_canonical(config.content_layers, config.backbone, "--content_layers"),
        style_layers=_canonical(config.style_layers, config.backbone, "--style_layers"),
    )
    config = _with_named_weights(config, "content_layer", {})
    config = _with_named_weights(config, "style_layer", usual)
    _check_lists(config)
    _check_weights(config)
    _check_optimizer(config)
    _check_balance(config)
    if config.distribute == "multiworker" and config.time_limit:
        raise InputError(
            f"--time_limit={config.time_limit:g}s: with --distribute=multiworker hosts would plan "
            "different steps; give --iterations",
            "time_limit",
        )
    return config


def layers_in_use(config: Config) -> tuple[str, ...]:
    """Those of which a resolved config uses features."""
    return (*config.content_layers, *config.style_layers)


def preset_values(config: Config) -> dict[str, Any]:
    """What the objective brings along for the optimizer, schedule and quality of a config."""
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


def _canonical(layers: tuple[str, ...], backbone: str, flag: str) -> tuple[str, ...]:
    names = tuple(vgg.canonical_layer(layer, backbone, flag) for layer in layers)
    if len(set(names)) < len(names):
        raise InputError(f"{flag}={','.join(layers)}: names a layer twice", flag[2:])
    return names


def _with_named_weights(config: Config, prefix: str, usual: dict[str, float]) -> Config:
    """LAYER:WEIGHT items as a plain list; layers not named keep their usual weight, or 1."""
    name = f"{prefix}_weights"
    values, layers = getattr(config, name), getattr(config, f"{prefix}s")
    if not any(isinstance(value, (tuple, list)) for value in values):
        return config
    text = f"--{name}={OPTIONS[name].format(values)}"
    if not all(isinstance(value, (tuple, list)) for value in values):
        raise InputError(f"{text}: give either plain numbers or LAYER:WEIGHT, not both", name)
    named = {vgg.canonical_layer(layer, config.backbone, f"--{name}"): w for layer, w in values}
    if len(named) < len(values):
        raise InputError(f"{text}: names a layer twice", name)
    if missing := [layer for layer in named if layer not in layers]:
        message = f"{text}: {missing[0]} is not among --{prefix}s={','.join(layers)}"
        raise InputError(message, name, f"{prefix}s")
    weights = tuple(named.get(layer, usual.get(layer, 1.0)) for layer in layers)
    changed: dict[str, Any] = {name: weights}
    return dataclasses.replace(config, **changed)


def _check_lists(config: Config) -> None:
    """Lists that go together must be of one length."""
    pairs = (
        ("style_blend", "style"),
        ("content_layer_weights", "content_layers"),
        ("style_layer_weights", "style_layers"),
    )
    for name, other in pairs:
        values, items = getattr(config, name), getattr(config, other)
        if values and items and len(values) != len(items):
            raise InputError(
                f"--{name}={OPTIONS[name].format(values)}: has {len(values)} values; "
                f"--{other} has {len(items)}, so {len(items)} are needed",
                name,
                other,
            )
        if values and not any(values):
            raise InputError(f"--{name}={OPTIONS[name].format(values)}: one must be above 0", name)


def _check_weights(config: Config) -> None:
    """There must be something to optimize."""
    content = config.content_weight if config.content_layers else 0
    style = config.style_weight if config.style_layers else 0
    if not content and not style:
        raise InputError(
            f"--content_weight={config.content_weight} --style_weight={config.style_weight}: "
            "nothing to optimize; one must be above 0, with layers",
            *("content_weight", "style_weight", "content_layers", "style_layers"),
        )
    if config.weights == "embedded" and config.backbone != "vgg19":
        raise InputError(
            f"--backbone={config.backbone}: --weights=embedded holds vgg19 only; "
            "give --weights=imagenet or the path of a weights file",
            *("backbone", "weights"),
        )


def _check_optimizer(config: Config) -> None:
    """The learning rate and its schedule must be complete."""
    if config.learning_rate is None:
        raise InputError(
            f"--optimizer={config.optimizer}: give --learning_rate, too; what suits "
            f"--objective={config.objective} depends on the size of its gradient",
            *("optimizer", "learning_rate", "objective"),
        )
    at = config.schedule_at
    if (config.schedule == "piecewise") != bool(at):
        raise InputError(
            f"--schedule={config.schedule} --schedule_at={OPTIONS['schedule_at'].format(at)}: "
            "piecewise needs --schedule_at=STEP:FACTOR,..., and only piecewise takes it",
            *("schedule", "schedule_at"),
        )
    steps = [step for step, _ in at]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", step) for step in steps):
        raise InputError(
            f"--schedule_at={OPTIONS['schedule_at'].format(at)}: steps must be whole numbers from "
            "1 on",
            "schedule_at",
        )
    numbers = [int(step) for step in steps]
    if numbers != sorted(set(numbers)):
        raise InputError(
            f"--schedule_at={OPTIONS['schedule_at'].format(at)}: steps must be in rising order",
            "schedule_at",
        )


def _check_balance(config: Config) -> None:
    """Shares are of terms that there are, each named once, at least one above 0."""
    if not config.balance:
        return
    text = f"--balance={OPTIONS['balance'].format(config.balance)}"
    terms = term_names(config.content_layers, config.style_layers)
    taken: set[str] = set()
    for name, _ in config.balance:
        members = {term for term in terms if matches(term, name)}
        if not members:
            raise InputError(
                f"{text}: there is no term {name}; choose from content, style, tv, "
                + ", ".join(terms[:-1]),
                *("balance", "content_layers", "style_layers"),
            )
        if members & taken:
            raise InputError(f"{text}: names {sorted(members & taken)[0]} twice", "balance")
        taken |= members
    if not any(share for _, share in config.balance):
        raise InputError(f"{text}: one must be above 0", "balance")


def unused(given: Config, config: Config) -> list[str]:
    """What a person should know of settings that are given, but change nothing.

    Args:
        given: before it was resolved.
        config: after.
    """
    takes = TAKES[config.optimizer]
    of_optimizers = {name for names in TAKES.values() for name in names}
    ways = {name: f"--optimizer={config.optimizer}" for name in of_optimizers - {*takes}}
    if config.schedule in ("constant", "piecewise"):
        ways |= dict.fromkeys(("schedule_end", "schedule_steps"), f"--schedule={config.schedule}")
    if config.scales != "auto":
        ways["scale_ratio"] = f"--scales={config.scales}"
    if not config.tolerance:
        ways["patience"] = "--tolerance=0"
    if config.distribute != "mirrored":
        ways["replicas"] = f"--distribute={config.distribute}"
    usual = {**defaults(), **preset_values(given)}  # a run's own flagfile holds these, too
    notes = [
        f"--{name}={OPTIONS[name].format(value)}: changes nothing with {way}"
        for name, way in sorted(ways.items())
        if (value := getattr(given, name)) not in (None, usual[name])
    ]
    if config.optimizer == "lbfgs" and config.learning_rate < 0.1:
        notes.append(
            f"--learning_rate={config.learning_rate:g}: lbfgs takes this share of each of its "
            "steps; 1 is usual"
        )
    return notes
