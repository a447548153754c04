"""Every option, declared once; flags, Python and run folders share it. Imports no TensorFlow."""

import dataclasses
from typing import Any

from nst_keras.network import vgg
from nst_keras.settings.option import check_settings, declare, defaults_of, options_of
from nst_keras.settings.presets import OPTIMIZERS, PRESETS

INITS = ("content", "noise", "gray", "mean", "style", "style_stats")  # or a picture's path
WEIGHTS = ("embedded", "imagenet")  # or a file's path
QUALITIES = {"draft": 0.4, "good": 1.0, "best": 2.5}  # factor on the preset's steps


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of one run.

    Types are those of a resolved config; until then None stands for what the preset of `objective`,
    or the plan of the run, will decide.

    Raises:
        InputError: a value is of the wrong type or out of range.
    """

    content: str = declare(
        None, "inputs", "text", "The picture whose scene is kept: a path.", path=True
    )
    style: tuple[str, ...] = declare(
        (),
        "inputs",
        "text",
        "The picture or pictures whose look is taken: paths, comma-separated.",
        many=True,
        path=True,
    )
    style_blend: tuple[float, ...] = declare(
        (),
        "inputs",
        "float",
        "Share of each style, such as 3,7; equal if not given.",
        many=True,
        low=0,
        high=1e6,
    )
    style_scale: float = declare(
        1.0,
        "inputs",
        "float",
        "Size of the style relative to the picture: larger gives broader strokes. Above 1 a style "
        "may be enlarged beyond its own pixels.",
        low=0.05,
        high=16,
    )
    init: str = declare(
        None,
        "inputs",
        "text",
        "The first image: content; noise; gray, of the content's lightness; mean, the network's "
        "mean color; style; style_stats, noise in the styles' colors; or a picture's path.",
        path=True,
        words=INITS,
    )
    init_noise: float = declare(
        None,
        "inputs",
        "float",
        "Deviation of normal noise added to the first image, where white is 1.",
        low=0,
        high=10,
    )
    seed: int = declare(0, "inputs", "int", "Seed of everything random.", low=0, high=2**31 - 1)

    max_megapixels: int = declare(
        200,
        "inputs",
        "int",
        "Largest picture that is read; a small file can claim to be huge. Raise it for pictures "
        "that you trust.",
        low=1,
        high=10**6,
        changes_result=False,
    )

    workdir: str | None = declare(
        None,
        "folder",
        "text",
        "The run folder. Not given: runs/CONTENT_STYLE-XXXX.",
        path=True,
        changes_result=False,
    )
    output: str | None = declare(
        None,
        "folder",
        "text",
        "Also write the result here; the suffix gives the format: .png .jpg .webp .avif .tif .bmp.",
        path=True,
        changes_result=False,
    )
    overwrite: bool = declare(
        False,
        "folder",
        "bool",
        "Replace a finished or different run, and an existing --output.",
        changes_result=False,
    )

    size: int | str = declare(
        512,
        "size",
        "size",
        "Longest side of the result in pixels; original: the content's own.",
        low=32,
        high=32768,
    )
    fit: str = declare(
        "scale",
        "size",
        "text",
        "scale: the whole content, its longest side --size; crop: its center, a square of --size.",
        choices=("scale", "crop"),
    )
    min_size: int = declare(
        128, "size", "int", "Longest side at the coarsest scale, in pixels.", low=32, high=32768
    )
    scales: int | str = declare(
        None,
        "size",
        "scales",
        "Number of sizes from coarse to fine, 1 for full size only; auto: the fewest with one "
        "equal ratio of at most --scale_ratio.",
        low=1,
        high=32,
    )
    scale_ratio: float = declare(
        None,
        "size",
        "float",
        "Largest ratio between neighboring sizes, for --scales=auto.",
        low=1.05,
        high=8,
    )

    iterations: int = declare(None, "steps", "int", "Steps at full size.", low=1, high=10**9)
    coarse_iterations: tuple[int, ...] = declare(
        None,
        "steps",
        "int",
        "Steps at each coarser scale: one number, or a list from the coarsest up.",
        many=True,
        low=1,
        high=10**9,
    )

    objective: str = declare(
        "relative",
        "objective",
        "text",
        "How losses are normalized, and the defaults that are shown as 'that of the objective'.",
        choices=tuple(PRESETS),
    )
    content_layers: tuple[str, ...] = declare(
        None,
        "objective",
        "text",
        "Layers that keep the scene, such as block4_conv2; deeper is freer.",
        many=True,
    )
    content_layer_weights: tuple[float | tuple[str, float], ...] = declare(
        (),
        "objective",
        "weight",
        "Weight of each content layer, in order or as LAYER:WEIGHT; equal if not given.",
        many=True,
        low=0,
        high=1e6,
    )
    style_layers: tuple[str, ...] = declare(
        None,
        "objective",
        "text",
        "Layers that carry the style: block1 holds color and grain, block5 large forms.",
        many=True,
    )
    style_layer_weights: tuple[float | tuple[str, float], ...] = declare(
        None,
        "objective",
        "weight",
        "Weight of each style layer, in order, or as LAYER:WEIGHT of some, such as "
        "block5_conv1:0.1; equal if --style_layers is given and this is not.",
        many=True,
        low=0,
        high=1e6,
    )
    content_weight: float = declare(
        None, "objective", "float", "Weight of the content terms.", low=0, high=1e20
    )
    style_weight: float = declare(
        None,
        "objective",
        "float",
        "Weight of the style terms: more paint, less photo.",
        low=0,
        high=1e20,
    )
    tv_weight: float = declare(
        None, "objective", "float", "Weight of total variation: more is smoother.", low=0, high=1e20
    )
    balance: tuple[tuple[str, float], ...] = declare(
        (),
        "objective",
        "named",
        "Choose weights at the start of each scale so that the gradients of these terms have these "
        "shares, such as content:1,style:4,tv:0.1 or style/block1_conv1:1. Costs an evaluation for "
        "each term named.",
        many=True,
        low=0,
        high=1e6,
    )

    backbone: str = declare(
        "vgg19", "network", "text", "The network.", choices=tuple(sorted(vgg.BLOCKS))
    )
    weights: str = declare(
        "embedded",
        "network",
        "text",
        "embedded (shipped VGG19), imagenet (full precision, downloaded once by Keras), or the "
        "path of a .weights.h5, .h5 or .npz file.",
        path=True,
        words=WEIGHTS,
    )
    pooling: str = declare(
        None, "network", "text", "Pooling of the network; avg is smoother.", choices=("max", "avg")
    )
    padding: str = declare(
        None, "network", "text", "Padding of the first layer.", choices=("zero", "replicate")
    )
    precision: str = declare(
        "auto",
        "network",
        "text",
        "Precision of the convolutions; image, Grams and losses are float32 always. auto: bfloat16 "
        "on processors with instructions for it and on GPUs from compute capability 8.0 on, else "
        "float32. float16 keeps 3 bits more than bfloat16, and is slow on most processors. NVIDIA "
        "GPUs from 8.0 on multiply float32 as TF32, of 10 bits, unless NVIDIA_TF32_OVERRIDE=0.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )

    optimizer: str = declare(
        None,
        "optimizer",
        "text",
        "What moves the image: our Adam or L-BFGS, or an optimizer of Keras.",
        choices=OPTIMIZERS,
    )
    learning_rate: float = declare(
        None,
        "optimizer",
        "float",
        "Step size in the objective's pixel unit: of [0,1] for relative, tf_tutorial and "
        "crowsonkb, of ImageNet's deviation for pytorch_tutorial, else of 0..255. For lbfgs a "
        "factor on its steps, usually 1.",
        low=1e-9,
        high=1e6,
    )
    beta_1: float = declare(
        None,
        "optimizer",
        "float",
        "Adam and its kin: decay of the mean gradient.",
        low=0,
        high=0.999999,
    )
    beta_2: float = declare(
        None,
        "optimizer",
        "float",
        "Adam and its kin: decay of the mean square.",
        low=0,
        high=0.999999,
    )
    epsilon: float = declare(
        None,
        "optimizer",
        "float",
        "Adam and its kin: added to the root of the mean square.",
        low=1e-30,
        high=1e6,
    )
    adam_colors: str = declare(
        None,
        "optimizer",
        "text",
        "adam: colors in which it takes its steps; opponent: lightness, red against blue, and "
        "green against both.",
        choices=("rgb", "opponent"),
    )
    momentum: float = declare(
        0.0, "optimizer", "float", "sgd and rmsprop: share of the last step.", low=0, high=0.9999
    )
    history: int = declare(
        20,
        "optimizer",
        "int",
        "lbfgs: steps remembered; each takes two images of memory, and of every checkpoint.",
        low=1,
        high=1000,
    )
    line_search: str = declare(
        "none",
        "optimizer",
        "text",
        "lbfgs: none, as published, or backtrack: a step that raises the total is halved.",
        choices=("none", "backtrack"),
    )
    schedule: str = declare(
        None,
        "optimizer",
        "text",
        "Course of the learning rate within each scale.",
        choices=("constant", "linear", "cosine", "exponential", "piecewise"),
    )
    schedule_end: float = declare(
        None,
        "optimizer",
        "float",
        "linear, cosine, exponential: factor on the learning rate after --schedule_steps.",
        low=1e-6,
        high=1,
    )
    schedule_steps: int = declare(
        None,
        "optimizer",
        "int",
        "Steps after which that factor is reached, and reached again if exponential; 0: the "
        "scale's.",
        low=0,
        high=10**9,
    )
    schedule_at: tuple[tuple[str, float], ...] = declare(
        (),
        "optimizer",
        "named",
        "piecewise: STEP:FACTOR of the learning rate from that step of the scale on.",
        many=True,
        low=0,
        high=1e6,
    )
    warmup_steps: int = declare(
        0,
        "optimizer",
        "int",
        "Steps at the start of each scale over which the learning rate rises from 0.",
        low=0,
        high=10**9,
    )
    clamp: bool = declare(
        None,
        "optimizer",
        "bool",
        "Keep pixels within black and white after every step, not only in what is saved.",
    )
    average: float = declare(
        None,
        "optimizer",
        "float",
        "Show and keep the running average of the iterates with this decay; 0: the iterate itself.",
        low=0,
        high=0.99999,
    )
    deterministic: bool = declare(
        False,
        "optimizer",
        "bool",
        "Repeatable to the byte on GPUs too, at some cost; CPUs always are.",
    )
    xla: bool = declare(
        False,
        "optimizer",
        "bool",
        "Compile each step with XLA, once per scale. For GPUs and TPUs: on CPUs it gains nothing.",
    )

    tile_size: int | str = declare(
        "auto",
        "device",
        "tile",
        "Longest side, in pixels, of the parts of a picture that go through the network one at a "
        "time; the result is the same but for rounding. auto: what memory allows; none: the "
        "whole picture.",
        low=16,
        high=32768,
        changes_result=False,
    )
    memory_limit: int | None = declare(
        None,
        "device",
        "bytes",
        "Memory that the job may take, such as 4G: of the GPU where there is one, else of the "
        "process. Not given: most of what is free.",
        low=1,
        changes_result=False,
    )

    distribute: str = declare(
        "none",
        "device",
        "text",
        "Devices that share the tiles of a picture. mirrored: the GPUs of this host; multiworker: "
        "those of the hosts in TF_CONFIG, each of which is given the same command; tpu: the cores "
        "of a TPU.",
        choices=("none", "mirrored", "multiworker", "tpu"),
        changes_result=False,
    )
    replicas: int = declare(
        0,
        "device",
        "int",
        "How many devices --distribute=mirrored takes; 0: all GPUs. Without a GPU, so many parts "
        "of the CPU, to try it.",
        low=0,
        high=1024,
        changes_result=False,
    )

    quality: str = declare(
        "good",
        "effort",
        "text",
        "draft: 0.4 times the preset's steps; best: 2.5 times, or settings of its own for it.",
        choices=tuple(QUALITIES),
    )
    tolerance: float = declare(
        0.0,
        "effort",
        "float",
        "End a scale once --patience steps lower the total by less than this share; 0: never.",
        low=0,
        high=1,
    )
    patience: int = declare(
        50, "effort", "int", "Steps between such comparisons.", low=1, high=10**9
    )
    time_limit: float | None = declare(
        None,
        "effort",
        "duration",
        "Plan the steps to end within this time, such as 90s, 5m or 2h.",
        low=1,
        high=10**8,
    )

    log_every: int = declare(
        10,
        "along the way",
        "int",
        "Steps between lines of metrics.jsonl.",
        low=1,
        high=10**9,
        changes_result=False,
    )
    image_every: int = declare(
        None,
        "along the way",
        "int",
        "Steps between iteration images; 0: none. Not given: about 24 in all.",
        low=0,
        high=10**9,
        changes_result=False,
    )
    image_at: tuple[int, ...] = declare(
        (),
        "along the way",
        "int",
        "Steps whose images are kept and put side by side in strip.png.",
        many=True,
        low=1,
        high=10**9,
        changes_result=False,
    )
    checkpoint_every: int = declare(
        0,
        "along the way",
        "int",
        "Steps between checkpoints; 0: by time alone.",
        low=0,
        high=10**9,
        changes_result=False,
    )
    checkpoint_minutes: float = declare(
        2.0,
        "along the way",
        "float",
        "Minutes between checkpoints; 0: by steps alone.",
        low=0,
        high=10**6,
        changes_result=False,
    )
    max_recoveries: int = declare(
        3,
        "along the way",
        "int",
        "How often a job that runs into numerical trouble goes back to its last checkpoint and on "
        "with steps half as long.",
        low=0,
        high=100,
        changes_result=False,
    )
    keep_checkpoints: int = declare(
        2,
        "along the way",
        "int",
        "How many of the newest checkpoints stay.",
        low=1,
        high=1000,
        changes_result=False,
    )
    tensorboard: bool = declare(
        False,
        "along the way",
        "bool",
        "Also write losses and iteration images as TensorBoard events.",
        changes_result=False,
    )
    gif: bool = declare(
        True, "along the way", "bool", "Write progress.gif at the end.", changes_result=False
    )
    mp4: bool = declare(
        False,
        "along the way",
        "bool",
        "Write progress.mp4 at the end; needs nst_keras[video].",
        changes_result=False,
    )
    scores: bool = declare(
        True,
        "along the way",
        "bool",
        "Judge the result by figures beyond its loss.",
        changes_result=False,
    )
    frame_labels: bool = declare(
        False,
        "along the way",
        "bool",
        "Write the step into the frames of the animations.",
        changes_result=False,
    )

    def __post_init__(self) -> None:
        check_settings(self)


OPTIONS = options_of(Config)


def defaults() -> dict[str, Any]:
    """The default of every option, by name."""
    return defaults_of(Config)
