"""Every option, declared once; flags, Python and run folders share it. Imports no TensorFlow."""

import dataclasses
from typing import Any

from nst_keras import vgg
from nst_keras.errors import InputError
from nst_keras.options import Option
from nst_keras.presets import PRESETS

INITS = ("content", "noise", "gray", "style")  # or a picture's path
WEIGHTS = ("embedded", "imagenet")  # or a file's path
QUALITIES = {"draft": 0.4, "good": 1.0, "best": 3.0}  # factor on the preset's steps


def _option(default: Any, group: str, kind: str, help: str, **rules: Any) -> Any:
    option = Option(group=group, help=help, kind=kind, **rules)
    return dataclasses.field(default=default, metadata={"option": option})


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of one run.

    Types are those of a resolved config; until then None stands for what the preset of `objective`,
    or the plan of the run, will decide.

    Raises:
        InputError: a value is of the wrong type or out of range.
    """

    content: str = _option(
        None, "inputs", "text", "The picture whose scene is kept: a path.", path=True
    )
    style: tuple[str, ...] = _option(
        (),
        "inputs",
        "text",
        "The picture or pictures whose look is taken: paths, comma-separated.",
        many=True,
        path=True,
    )
    style_blend: tuple[float, ...] = _option(
        (),
        "inputs",
        "float",
        "Share of each style, such as 3,7; equal if not given.",
        many=True,
        low=0,
    )
    style_scale: float = _option(
        1.0,
        "inputs",
        "float",
        "Size of the style relative to the picture: larger gives broader strokes. Above 1 a style "
        "may be enlarged beyond its own pixels.",
        low=0.05,
        high=16,
    )
    init: str = _option(
        None,
        "inputs",
        "text",
        "The first image: content, noise, gray, style, or a picture's path.",
        path=True,
        words=INITS,
    )
    seed: int = _option(0, "inputs", "int", "Seed of everything random.", low=0, high=2**31 - 1)

    workdir: str | None = _option(
        None,
        "folder",
        "text",
        "The run folder. Not given: runs/CONTENT_STYLE-XXXX.",
        path=True,
        changes_result=False,
    )
    output: str | None = _option(
        None,
        "folder",
        "text",
        "Also write the result here; the suffix gives the format: .png .jpg .webp .avif .tif .bmp.",
        path=True,
        changes_result=False,
    )
    overwrite: bool = _option(
        False,
        "folder",
        "bool",
        "Replace a finished or different run, and an existing --output.",
        changes_result=False,
    )

    size: int | str = _option(
        512,
        "size",
        "size",
        "Longest side of the result in pixels; original: the content's own.",
        low=32,
        high=32768,
    )
    min_size: int = _option(
        128, "size", "int", "Longest side at the coarsest scale, in pixels.", low=32, high=32768
    )
    scales: int | str = _option(
        None,
        "size",
        "scales",
        "Number of sizes from coarse to fine, 1 for full size only; auto: the fewest with one "
        "equal ratio of at most 1.42.",
        low=1,
        high=32,
    )

    iterations: int = _option(None, "steps", "int", "Steps at full size.", low=1, high=10**9)
    coarse_iterations: tuple[int, ...] = _option(
        None,
        "steps",
        "int",
        "Steps at each coarser scale: one number, or a list from the coarsest up.",
        many=True,
        low=1,
        high=10**9,
    )

    objective: str = _option(
        "relative",
        "objective",
        "text",
        "How losses are normalised, and the defaults of all settings shown as 'preset'.",
        choices=tuple(PRESETS),
    )
    content_layers: tuple[str, ...] = _option(
        None,
        "objective",
        "text",
        "Layers that keep the scene, such as block4_conv2; deeper is freer.",
        many=True,
    )
    content_layer_weights: tuple[float, ...] = _option(
        (),
        "objective",
        "float",
        "Share of each content layer; equal if not given.",
        many=True,
        low=0,
    )
    style_layers: tuple[str, ...] = _option(
        None,
        "objective",
        "text",
        "Layers that carry the style: block1 holds colour and grain, block5 large forms.",
        many=True,
    )
    style_layer_weights: tuple[float, ...] = _option(
        None,
        "objective",
        "float",
        "Share of each style layer; equal if --style_layers is given and this is not.",
        many=True,
        low=0,
    )
    content_weight: float = _option(
        None, "objective", "float", "Weight of the content terms.", low=0
    )
    style_weight: float = _option(
        None, "objective", "float", "Weight of the style terms: more paint, less photo.", low=0
    )
    tv_weight: float = _option(
        None, "objective", "float", "Weight of total variation: more is smoother.", low=0
    )

    backbone: str = _option(
        "vgg19", "network", "text", "The network.", choices=tuple(sorted(vgg.BLOCKS))
    )
    weights: str = _option(
        "embedded",
        "network",
        "text",
        "embedded (shipped VGG19), imagenet (full precision, downloaded once by Keras), or the "
        "path of a .weights.h5, .h5 or .npz file.",
        path=True,
        words=WEIGHTS,
    )
    pooling: str = _option(
        None, "network", "text", "Pooling of the network; avg is smoother.", choices=("max", "avg")
    )
    padding: str = _option(
        None, "network", "text", "Padding of the first layer.", choices=("zero", "replicate")
    )
    precision: str = _option(
        "auto",
        "network",
        "text",
        "Precision of the convolutions; image, Grams and losses are float32 always. auto: bfloat16 "
        "on processors that gain from it, else float32.",
        choices=("auto", "float32", "bfloat16"),
    )

    learning_rate: float = _option(
        None,
        "optimiser",
        "float",
        "Adam's step in the objective's pixel unit: of [0,1] for relative, of 0..255 for gatys.",
        low=1e-9,
        high=1e6,
    )
    schedule: str = _option(
        None,
        "optimiser",
        "text",
        "Course of the learning rate within each scale.",
        choices=("constant", "linear", "cosine"),
    )
    schedule_end: float = _option(
        0.2,
        "optimiser",
        "float",
        "Factor on the learning rate at the end of a scale.",
        low=0,
        high=1,
    )
    average: float = _option(
        None,
        "optimiser",
        "float",
        "Show and keep the running average of the iterates with this decay; 0: the iterate itself.",
        low=0,
        high=0.99999,
    )
    deterministic: bool = _option(
        False,
        "optimiser",
        "bool",
        "Repeatable to the byte on GPUs too, at some cost; CPUs always are.",
    )

    quality: str = _option(
        "good",
        "effort",
        "text",
        "Factor on the preset's steps: draft 0.4, good 1, best 3.",
        choices=tuple(QUALITIES),
    )
    time_limit: float | None = _option(
        None,
        "effort",
        "duration",
        "Plan the steps to end within this time, such as 90s, 5m or 2h.",
        low=1,
        high=10**8,
    )

    log_every: int = _option(
        10,
        "along the way",
        "int",
        "Steps between lines of metrics.jsonl.",
        low=1,
        high=10**9,
        changes_result=False,
    )
    image_every: int = _option(
        None,
        "along the way",
        "int",
        "Steps between iteration images; 0: none. Not given: about 24 in all.",
        low=0,
        high=10**9,
        changes_result=False,
    )
    image_at: tuple[int, ...] = _option(
        (),
        "along the way",
        "int",
        "Steps whose images are kept and put side by side in strip.png.",
        many=True,
        low=1,
        high=10**9,
        changes_result=False,
    )
    checkpoint_every: int = _option(
        0,
        "along the way",
        "int",
        "Steps between checkpoints; 0: by time alone.",
        low=0,
        high=10**9,
        changes_result=False,
    )
    checkpoint_minutes: float = _option(
        2.0,
        "along the way",
        "float",
        "Minutes between checkpoints; 0: by steps alone.",
        low=0,
        high=10**6,
        changes_result=False,
    )
    keep_checkpoints: int = _option(
        2,
        "along the way",
        "int",
        "How many of the newest checkpoints stay.",
        low=1,
        high=1000,
        changes_result=False,
    )
    tensorboard: bool = _option(
        False,
        "along the way",
        "bool",
        "Also write losses and iteration images as TensorBoard events.",
        changes_result=False,
    )
    gif: bool = _option(
        True, "along the way", "bool", "Write progress.gif at the end.", changes_result=False
    )

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if value is None and defaults()[name] is None:
                continue
            try:
                option.check(value)
            except ValueError as error:
                raise InputError(f"--{name}={value}: {error}") from error

    @property
    def step_size(self) -> float:
        """The learning rate for pixels in [0, 1]; only of a resolved config."""
        return self.learning_rate / PRESETS[self.objective].pixel_range

    def resolve(self) -> "Config":
        """Fill in the preset, give layers their Keras names and check what belongs together.

        Raises:
            InputError: settings contradict each other.
        """
        preset = dict(PRESETS[self.objective].defaults)
        factor = QUALITIES[self.quality]
        preset["iterations"] = max(1, round(preset["iterations"] * factor))
        preset["coarse_iterations"] = tuple(
            max(1, round(steps * factor)) for steps in preset["coarse_iterations"]
        )
        if self.style_layers is not None:  # the preset's shares are those of its own layers
            preset["style_layer_weights"] = ()
        filled = {name: value for name, value in preset.items() if getattr(self, name) is None}
        config = dataclasses.replace(self, **filled)
        config = dataclasses.replace(
            config,
            content_layers=_canonical(config.content_layers, config.backbone, "--content_layers"),
            style_layers=_canonical(config.style_layers, config.backbone, "--style_layers"),
        )
        _check_lists(config)
        _check_weights(config)
        return config


OPTIONS: dict[str, Option] = {
    field.name: field.metadata["option"] for field in dataclasses.fields(Config)
}


def defaults() -> dict[str, Any]:
    """The default of every option, by name."""
    return {field.name: field.default for field in dataclasses.fields(Config)}


def _canonical(layers: tuple[str, ...], backbone: str, flag: str) -> tuple[str, ...]:
    names = tuple(vgg.canonical_layer(layer, backbone, flag) for layer in layers)
    if len(set(names)) < len(names):
        raise InputError(f"{flag}={','.join(layers)}: names a layer twice")
    return names


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
                f"--{other} has {len(items)}, so {len(items)} are needed"
            )
        if values and not any(values):
            raise InputError(f"--{name}={OPTIONS[name].format(values)}: one must be above 0")


def _check_weights(config: Config) -> None:
    """There must be something to optimise."""
    content = config.content_weight if config.content_layers else 0
    style = config.style_weight if config.style_layers else 0
    if not content and not style:
        raise InputError(
            f"--content_weight={config.content_weight} --style_weight={config.style_weight}: "
            "nothing to optimise; one must be above 0, with layers"
        )
    if config.weights == "embedded" and config.backbone != "vgg19":
        raise InputError(
            f"--backbone={config.backbone}: --weights=embedded holds vgg19 only; "
            "give --weights=imagenet or the path of a weights file"
        )
