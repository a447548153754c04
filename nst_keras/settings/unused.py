"""Warnings about settings that are given but change nothing."""

from collections.abc import Iterator

from nst_keras.optimizers import keras_text
from nst_keras.optimizers.facts import FACTS, facts_of
from nst_keras.settings.config import AUTO_REGIONS, OPTIONS, Config
from nst_keras.settings.resolve import Settings, preset_values


def unused(given: Config, settings: Settings, *, has_extractor: bool = False) -> list[str]:
    """Warnings about settings that are given but have no effect in what they resolve to.

    Args:
        has_extractor: features are those of a network of the user's.
    """
    facts, reasons = facts_of(settings.optimizer), _reasons(settings)
    if has_extractor:  # nobody knows how far its features see
        reasons.setdefault("mask_erosion", "an extractor of your own")
    usual = {**vars(Config()), **preset_values(given)}  # a run's own flagfile holds these, too
    notes = [
        f"--{name}={OPTIONS[name].format(value)}: has no effect with {reason}"
        for name, reason in sorted(reasons.items())
        if (value := getattr(given, name)) not in (None, usual[name])
    ]
    if facts.rate_is_factor and settings.learning_rate < 0.1:
        notes.append(
            f"--learning_rate={settings.learning_rate:g}: {keras_text.brief(settings.optimizer)} "
            "multiplies each of its steps by it; 1 is usual"
        )
    return notes


def overruled(given: Config) -> Iterator[str]:
    """Warnings about settings of a new run that only set others, if all of these are given, as in
    the flags.cfg of another run, and have other values."""
    setters = {name: getattr(given, name) for name, it in OPTIONS.items() if it.sets_defaults}
    chosen = preset_values(Config(**setters))
    for name in ("strength", "quality"):
        option = OPTIONS[name]
        usual = preset_values(Config(**{**setters, name: option.default}))
        decided = [it for it, value in chosen.items() if value != usual[it]]
        values = {it: getattr(given, it) for it in decided}
        is_given = decided and None not in values.values()
        if is_given and any(values[it] != chosen[it] for it in decided):
            listed = ", ".join(f"--{it}" for it in decided)
            text = option.format(setters[name])
            yield f"--{name}={text}: has no effect, since all that it sets is given: {listed}"


def _reasons(settings: Settings) -> dict[str, str]:
    """The settings that have no effect, with the reason."""
    facts = facts_of(settings.optimizer)
    of_optimizers = {name for other in FACTS.values() for name in other.takes}
    named = f"--optimizer={keras_text.brief(settings.optimizer)}"
    reasons = dict.fromkeys(of_optimizers - {*facts.takes}, named)
    if settings.schedule in ("constant", "piecewise"):
        reason = f"--schedule={settings.schedule}"
        reasons |= dict.fromkeys(("schedule_end", "schedule_steps"), reason)
    if settings.scales != "auto":
        reasons["scale_ratio"] = f"--scales={settings.scales}"
    if not settings.tolerance:
        reasons["patience"] = "--tolerance=0"
    if not settings.serve:
        reasons |= dict.fromkeys(("serve_port", "serve_hosts"), "--serve=false")
    if settings.distribute != "mirrored":
        reasons["replicas"] = f"--distribute={settings.distribute}"
    if settings.distribute != "multiworker":
        reasons["cluster_timeout"] = f"--distribute={settings.distribute}"
    if not settings.detail_iterations:
        reasons["match_every"] = "--detail_iterations=0"
    by_color = "color_strength" if settings.color == "style" else "style_colors"
    reasons[by_color] = f"--color={settings.color}"
    reasons |= _reasons_about_regions(settings)
    if not settings.neighbors_weight:
        names = ("match_content", "neighbor_layers", "rotate_style", "detail_iterations")
        reasons |= dict.fromkeys(names, "--neighbors_weight=0")
    return reasons


def _reasons_about_regions(settings: Settings) -> dict[str, str]:
    reasons = {}
    if settings.regions in (None, *AUTO_REGIONS):
        given = f"--regions={settings.regions}" if settings.regions else "no picture in --regions"
        reasons["region_colors"] = given
    if not settings.region_count:
        for name in ("region_weights", "mask_erosion", "mask_power"):
            reasons[name] = "no masks"
    return reasons
