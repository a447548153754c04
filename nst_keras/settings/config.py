"""Every option of a run, declared once for Python and for the flags of the command `run`.

`docs/design.md` lists what to change for a new one.
"""

import dataclasses
import math
import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from typing import Any

from nst_keras.network import vgg
from nst_keras.optimizers import keras_text
from nst_keras.optimizers.facts import FACTS
from nst_keras.settings import command_line
from nst_keras.settings.command import Command
from nst_keras.settings.in_python import document
from nst_keras.settings.option import absolute_paths, check_settings, options_of, section
from nst_keras.settings.presets import PRESETS

INITS = ("content", "noise", "gray", "mean", "style", "style_stats")  # or a picture's path
WEIGHTS = ("embedded", "imagenet")  # or a file's path
KEEP = "keep"  # in place of a style
REST, ALL = "rest", "all"  # in place of a mask
AUTO_REGIONS = ("auto", "auto:2", "auto:3", "auto:4", "auto:5")  # or a picture's path
# Factors on the preset's steps, where it has no other settings for a quality.
QUALITIES = {"preview": 0.2, "draft": 0.4, "good": 1.0, "best": 2.5}

# The groups of the help, in its order; each function declares options.
_inputs = section("inputs", decides_loss=True)
_picture = section("inputs", decides_loss=True, path=True, hashed=True, per_picture=True)
_start = section("inputs", per_picture=True)
_reading = section("inputs", changes_result=False)
_folder = section(
    "folder", changes_result=False, destination=True, per_picture=True, for_files=True
)
_size = section("size")
_steps = section("steps")
_objective = section("objective", decides_loss=True)
_weight = section("objective", decides_loss=True, per_picture=True)
_network = section("network", decides_loss=True)
_optimizer = section("optimizer")
_rate = section("optimizer", per_picture=True)
_device = section("device", changes_result=False)
_effort = section("effort")
_progress = section("output", changes_result=False)
_live = section("live", changes_result=False, destination=True, per_picture=True, for_files=True)
_written = section("output", changes_result=False, for_files=True)

_TERM = (0, 1e20)
_LAYER = (0, 1e6)
_COUNT = (1, 10**9)
_COUNT_OR_0 = (0, 10**9)
_DECAY = (0, 0.999999)
_PIXELS = (32, 32768)


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of one run, each by its keyword.

    None stands for what the preset of `objective`, or the plan of the run, decides. Numbers may be
    NumPy's; times and sizes may be texts such as "5m" and "4G"; where several values are taken, one
    alone, a list or a comma-separated text will do, and a dict where they have names. An unknown
    keyword is a TypeError; a value of the wrong type or out of range, an InputError.
    """

    # The types of fields are those of a resolved config.

    content: str = _picture(
        None,
        "Path of the picture whose scene is kept.",
        for_files=True,
        essential=True,
    )
    style: tuple[str, ...] = _picture(
        (),
        "Paths of the pictures whose look is taken, separated by commas; write \\, for a comma in "
        "a path. With masks, keep in place of a path leaves a part of the content as it is.",
        words=(KEEP,),
        for_files=True,
        essential=True,
    )
    style_mask: tuple[str, ...] = _picture(
        (),
        "Where each style applies, in the order of --style: gray pictures of the content's shape, "
        "white where it applies, perhaps with smooth borders. rest: where no other mask is.",
        words=(REST,),
        for_files=True,
        essential=True,
    )
    regions: str | None = _picture(
        None,
        "In place of --style_mask: a picture of the content's shape, painted in flat colors, one "
        "for each style; or auto, which finds parts that content and styles have in common, and "
        "paints each like the same part of the styles. auto finds 3 parts, auto:K finds K, from 2 "
        "to 5.",
        words=AUTO_REGIONS,
        for_files=True,
        essential=True,
    )
    region_colors: tuple[str, ...] = _inputs(
        (),
        "The color of each style in --regions, in the order of --style: names of CSS or #rrggbb.",
        per_picture=True,
    )
    region_weights: tuple[float, ...] = _inputs(
        (),
        "Factors on how much the style of each region counts.",
        (0, 1e6),
        unset="1 each",
        per_picture=True,
    )
    style_region: tuple[str, ...] = _picture(
        (),
        "Which part of each style counts, in the order of --style: gray pictures of its shape, "
        "white where it counts. all: all of it.",
        words=(ALL,),
        for_files=True,
    )
    mask_erosion: float = _inputs(
        0.25,
        "How far a style ends before the border of its region, so that it does not leak over it: "
        "the share of what the network sees on each side of a position. Thin regions stay whole.",
        (0, 1),
        per_picture=True,
    )
    mask_power: int = _inputs(
        1,
        "1: a place counts in a region as its mask says; 2: by the square of that, as guides do in "
        "Gatys et al. 2017.",
        choices=(1, 2),
        per_picture=True,
    )
    style_blend: tuple[float, ...] = _inputs(
        (),
        "Share of each style, such as 3,7.",
        (0, 1e6),
        unset="equal shares",
        per_picture=True,
        essential=True,
    )
    style_scale: float = _inputs(
        1.0,
        "Size of the style relative to the picture; a larger one gives broader strokes. Above 1 a "
        "style may be enlarged beyond its own pixels.",
        (0.05, 16),
        per_picture=True,
        essential=True,
    )
    init: str = _picture(
        None,
        "First image: content; noise; gray, one flat gray of the content's mean lightness; mean, "
        "the network's mean color; style; style_stats, noise in the styles' colors; or the path of "
        "a picture.",
        words=INITS,
        decides_loss=False,
    )
    init_noise: float = _start(
        None,
        "Standard deviation of normal noise added to the first image; black is 0 and white is 1.",
        (0, 10),
    )
    seed: int = _start(0, "Seed of all random numbers.", (0, 2**31 - 1))
    profile: str = _inputs(
        "srgb",
        "Color space of the picture. input: that of the content, if its file has a profile of a "
        "matrix and curves, such as Display P3 or Adobe RGB, which is then written with each "
        "picture.",
        choices=("srgb", "input"),
        per_picture=True,
        for_files=True,
    )
    max_megapixels: int = _reading(
        200, "Largest picture read, in megapixels; raise it for pictures you trust.", (1, 10**6)
    )
    truncated: bool = _reading(
        False, "Read what is there of pictures that are cut short; the rest of them is one color."
    )

    workdir: str | None = _folder(
        None,
        "The run folder.",
        unset="runs/CONTENT_STYLE-XXXX",
        path=True,
        essential=True,
    )
    output: str | None = _folder(
        None,
        "Also write the result to a .png, .jpg, .webp, .avif, .tif or .bmp file.",
        path=True,
        essential=True,
    )
    bits: int = _written(
        8,
        "Bits of red, green and blue in the result, 8 or 16. 16: it is also written as result.tif, "
        "and --output must be a .tif or, with imagecodecs installed, a .png.",
        choices=(8, 16),
    )
    proof: str | None = _written(
        None,
        "ICC profile of a printer: the result as it would print is also written, as proof.png.",
        path=True,
    )
    open: bool = _folder(
        False, "Open the page in a browser as soon as it is there.", essential=True
    )
    overwrite: bool = _folder(False, "Replace a finished or different run, and a file at --output.")

    size: int | str = _size(
        512,
        "Longest side of the result in pixels; original: the content's own.",
        _PIXELS,
        kind="pixels",
        words=("original",),
        essential=True,
    )
    fit: str = _size(
        "scale",
        "scale: the whole content, its longest side --size; crop: its center, a square of --size.",
        choices=("scale", "crop"),
    )
    min_size: int = _size(
        128,
        "Longest side at the coarsest scale, in pixels; more where the other side would be below "
        "16.",
        _PIXELS,
    )
    scales: int | str = _size(
        None,
        "Number of sizes from coarse to fine, 1 for full size only; auto: the fewest with one "
        "equal ratio of at most --scale_ratio.",
        (1, 32),
        words=("auto",),
    )
    scale_ratio: float = _size(
        None, "Largest ratio between neighboring sizes, for --scales=auto.", (1.05, 8)
    )

    iterations: int = _steps(
        None,
        "Steps at full size.",
        _COUNT,
    )
    coarse_iterations: tuple[int, ...] = _steps(
        None, "Steps at each coarser scale: one number, or a list, coarsest scale first.", _COUNT
    )
    detail_iterations: int = _steps(
        None,
        "Steps at the end, at full size, that match each layer with the styles by itself; for the "
        "neighbors term.",
        _COUNT_OR_0,
    )

    objective: str = _objective(
        "neighbors",
        "How losses are normalized; it also sets the defaults that depend on the objective.",
        choices=tuple(PRESETS),
        sets_defaults=True,
    )
    strength: float = _objective(
        0.5,
        "How freely the picture follows the style: 0 is faithful to the content, 1 is free. Sets "
        "those of --content_weight, --laplacian_weight, --style_weight and --match_content that "
        "are not given.",
        (0, 1),
        sets_defaults=True,
        per_picture=True,
        essential=True,
    )
    content_layers: tuple[str, ...] = _objective(
        None, "Layers that keep the scene, such as block4_conv2; deeper layers allow more change."
    )
    content_layer_weights: tuple[float | tuple[str, float], ...] = _weight(
        (), "Weights of content layers, in order or as LAYER:WEIGHT.", _LAYER, unset="equal weights"
    )
    content_focus: float = _weight(
        None,
        "How much more the content counts where the photo has detail, such as a face, than where "
        "it is flat, such as a sky: 0 is alike, 1 in proportion to the detail.",
        (0, 1),
    )
    content_detail: float = _objective(
        None,
        "Share of the content's fine detail that is added to the picture at the start of each "
        "larger scale.",
        (0, 1),
    )
    style_colors: float = _objective(
        None,
        "How far the photo takes on the colors of the styles before it is painted: 0 not at all, "
        "1 until their means and covariances are the same. Where the styles have less color than "
        "the photo, colors are matched more closely than lightness.",
        (0, 1),
    )
    color: str = _objective(
        "style",
        "Whose colors the picture has. style: the styles'; content: the photo's, as the styles get "
        "its mean and covariance of colors before they are used; content_exact: hue and chroma of "
        "the photo at each place, and lightness as it is painted; histogram: the distributions of "
        "lightness and color in the photo. The last two change what is shown, not what is "
        "optimized.",
        choices=("style", "content", "content_exact", "histogram"),
        essential=True,
    )
    color_strength: float = _objective(
        1.0, "How far --color=content, content_exact or histogram goes.", (0, 1)
    )
    style_layers: tuple[str, ...] = _objective(
        None, "Layers that carry the style: block1 holds color and grain, block5 large forms."
    )
    style_layer_weights: tuple[float | tuple[str, float], ...] = _weight(
        None,
        "Weight of each style layer, in order, or as LAYER:WEIGHT for some, such as "
        "block5_conv1:0.1; equal if --style_layers is given and this is not.",
        _LAYER,
    )
    content_weight: float = _weight(
        None,
        "Weight of the content terms.",
        _TERM,
    )
    style_weight: float = _weight(
        None,
        "Weight of the style terms; a higher weight keeps less of the photo.",
        _TERM,
    )
    neighbors_weight: float = _objective(
        None,
        "Weight of the neighbors term, which holds each place of the picture against the place of "
        "the styles that resembles it the most; 0: no such term.",
        _TERM,
    )
    neighbor_layers: tuple[str, ...] = _objective(
        (),
        "Layers that the neighbors term compares, of blocks 1 to 4.",
        unset="all of these",
    )
    laplacian_weight: float = _weight(
        None,
        "Weight of the Laplacian term, which keeps edges and fine forms where the photo has the "
        "most detail, such as a small face; 0: no such term.",
        _TERM,
    )
    tv_weight: float = _weight(
        None,
        "Total variation: a higher weight is smoother.",
        _TERM,
    )
    match_content: float = _weight(
        None,
        "How much the photo, and not the picture so far, decides which place of the styles each "
        "place of the picture is held against, for the neighbors term; with less of it, forms of "
        "the styles replace forms of the photo.",
        (0, 1),
    )
    match_every: int = _objective(
        10, "Steps between matches of each layer, in --detail_iterations.", _COUNT
    )
    rotate_style: bool = _objective(
        False, "Also match with the styles turned by 90, 180 and 270 degrees."
    )
    balance: tuple[tuple[str, float], ...] = _objective(
        (),
        "At the start of each scale, choose weights that give terms these shares of the gradient, "
        "such as content:1,style:4,tv:0.1 or style/block1_conv1:1; costs 1 or 2 evaluations each.",
        (0, 1e6),
    )

    backbone: str = _network(
        "vgg19", "The network.", choices=tuple(sorted(vgg.BLOCKS)), sets_defaults=True
    )
    weights: str = _network(
        "embedded",
        "embedded (VGG19, part of the package), imagenet (full precision, downloaded once by "
        "Keras), or the path of a .weights.h5, .h5 or .npz file.",
        path=True,
        words=WEIGHTS,
        hashed=True,
        sets_defaults=True,
    )
    pooling: str = _network(
        None, "Pooling of the network; avg is smoother.", choices=("max", "avg")
    )
    padding: str = _network(None, "Padding of the first layer.", choices=("zero", "replicate"))
    precision: str = _network(
        "auto",
        "Precision of the convolutions; all else is float32. auto: bfloat16 on processors with "
        "instructions for it and GPUs of compute capability 8.0 and up, otherwise float32. float16 "
        "has 3 more bits of precision than bfloat16, but is slow on most processors. GPUs of 8.0 "
        "and up multiply float32 as TF32, with 10 bits, unless NVIDIA_TF32_OVERRIDE=0.",
        choices=("auto", "float32", "bfloat16", "float16"),
        decides_loss=False,
    )

    optimizer: str = _optimizer(
        None,
        "Updates the image: nst_keras' own Adam or L-BFGS, or an optimizer of Keras. In Python, an "
        "object such as keras.optimizers.Adam(0.02) is used with its own settings; --learning_rate "
        "is then a factor on its own, and 1 unless it is given.",
        choices=tuple(FACTS),
        prefix=keras_text.PREFIX,
        from_object=keras_text.text_of,
        sets_defaults=True,
    )
    variables: str = _optimizer(
        None,
        "What the optimizer changes: pixels, or the coefficients of a Laplacian pyramid, so that "
        "large areas change together; the learning rate is that of each of its bands.",
        choices=("pixels", "pyramid"),
    )
    learning_rate: float = _rate(
        None,
        "Step size, in the objective's unit: pixels are in [0, 1] for neighbors, relative, "
        "tf_tutorial and crowsonkb, in ImageNet's standard deviation for pytorch_tutorial, "
        "otherwise in [0, 255]. lbfgs: a factor on its steps, usually 1.",
        (1e-9, 1e6),
    )
    beta_1: float = _rate(None, "Adam and its variants: decay of the mean gradient.", _DECAY)
    beta_2: float = _rate(None, "Adam and its variants: decay of the mean square.", _DECAY)
    epsilon: float = _rate(
        None, "Adam and its variants: added to the root of the mean square.", (1e-30, 1e6)
    )
    adam_colors: str = _optimizer(
        None,
        "adam: color space of steps; opponent: lightness, red against blue, green against both.",
        choices=("rgb", "opponent"),
        former=("adam_colours",),
    )
    momentum: float = _rate(0.0, "sgd and rmsprop: share of the previous step.", (0, 0.9999))
    history: int = _optimizer(
        20, "lbfgs: steps remembered, each as two images in memory and checkpoints.", (1, 1000)
    )
    line_search: str = _optimizer(
        "none",
        "lbfgs: none, as published; or backtrack, which halves a step that raises the total.",
        choices=("none", "backtrack"),
    )
    schedule: str = _optimizer(
        None,
        "Schedule of the learning rate within each scale.",
        choices=("constant", "linear", "cosine", "exponential", "piecewise"),
    )
    schedule_end: float = _optimizer(
        None, "linear, cosine, exponential: factor reached after --schedule_steps.", (1e-6, 1)
    )
    schedule_steps: int = _optimizer(
        None,
        "Steps until --schedule_end is reached; exponential falls further. 0: the whole scale.",
        _COUNT_OR_0,
    )
    schedule_at: tuple[tuple[str, float], ...] = _optimizer(
        (),
        "piecewise: factors on the learning rate, each from that step of the scale on.",
        (0, 1e6),
        kind="step_factor",
    )
    warmup_steps: int = _optimizer(
        0, "First steps of each scale, over which the learning rate rises from 0.", _COUNT_OR_0
    )
    clamp: bool = _optimizer(
        None, "Keep pixels between black and white after every step, not only in what is saved."
    )
    average: float = _optimizer(
        None, "Show and keep a running average of iterates with this decay; 0: none.", (0, 0.99999)
    )
    deterministic: bool = _optimizer(
        False, "Make results on GPUs repeatable to the byte, at some cost; on CPUs they always are."
    )

    tile_size: int | str = _device(
        "auto",
        "Longest side, in pixels, of the tiles that go through the network one by one; the result "
        "differs by rounding only. auto: what memory allows; none: the whole picture.",
        (16, 32768),
        kind="pixels",
        words=("auto", "none"),
    )
    device: str = _device(
        "auto",
        "Where to compute. auto: on a GPU if TensorFlow sees one. gpu:1: on the second GPU, as "
        "nvidia-smi numbers them.",
        kind="device",
        essential=True,
        for_files=True,
    )
    memory_limit: int | None = _device(
        None,
        "Memory that the run may take: of the GPU if there is one, otherwise of the process.",
        (1, math.inf),
        unset="most of what is free",
        kind="bytes",
    )
    distribute: str = _device(
        "none",
        "Devices that share a picture's tiles. mirrored: the GPUs of this host; multiworker: those "
        "of the hosts in TF_CONFIG, all given the same command; tpu: the cores of a TPU.",
        choices=("none", "mirrored", "multiworker", "tpu"),
    )
    replicas: int = _device(
        0, "GPUs for --distribute=mirrored, 0: all; without a GPU, parts of the CPU.", (0, 1024)
    )

    xla: bool | str = _device(
        "auto",
        "Compile the steps of each scale with XLA. auto: on GPUs, where that takes less time than "
        "it saves, by the times of the first steps and those of earlier runs; not on CPUs, where "
        "it gains nothing, nor with --deterministic.",
        words=("auto",),
    )
    compile_cache: str = _device(
        "auto",
        "Folder for programs compiled with XLA, from which later runs take them. auto: a folder in "
        "the user's cache; none: nothing is kept. In a folder that you give, NVIDIA's driver keeps "
        "what it compiles, too.",
        path=True,
        words=("auto", "none"),
        for_files=True,
    )
    cluster_timeout: float = _device(
        600.0,
        "multiworker: how long to wait for the other hosts at the start.",
        (1, 10**8),
        kind="duration",
    )

    quality: str = _effort(
        "good",
        "How many steps: draft takes 0.4 times the usual ones, best 2.5 times, preview 0.2 times. "
        "With neighbors and relative, preview instead is a rough picture at one size.",
        choices=tuple(QUALITIES),
        sets_defaults=True,
        essential=True,
    )
    tolerance: float = _effort(
        0.0,
        "End a scale if --patience steps lower the total loss by less than this share; 0: never.",
        (0, 1),
    )
    patience: int = _effort(50, "Steps over which --tolerance measures the fall.", _COUNT)
    time_limit: float | None = _effort(
        None,
        "Choose the number of steps, fewer or more than usual, so that the run takes this time.",
        (1, 10**8),
        kind="duration",
        essential=True,
    )

    log_every: int = _progress(
        None, "Steps between lines of metrics.jsonl.", _COUNT, unset="for about 60 lines"
    )
    image_every: int = _progress(
        None, "Steps between iteration images; 0: none.", _COUNT_OR_0, unset="for about 24 images"
    )
    image_at: tuple[int, ...] = _progress(
        (), "Steps whose images are kept and put side by side in strip.png.", _COUNT
    )
    checkpoint_every: int = _written(0, "Steps between checkpoints; 0: by time alone.", _COUNT_OR_0)
    checkpoint_minutes: float = _written(
        2.0, "Minutes between checkpoints; 0: by steps alone.", (0, 10**6)
    )
    max_recoveries: int = _progress(
        3,
        "Maximum number of times that a diverging run returns to its last checkpoint and goes on "
        "at half the learning rate.",
        (0, 100),
    )
    keep_checkpoints: int = _written(2, "Number of newest checkpoints that are kept.", (1, 1000))
    tensorboard: bool = _written(
        False, "Also write losses and iteration images as TensorBoard events."
    )
    gif: bool = _written(True, "Write progress.gif at the end.")
    mp4: bool = _written(False, "Write progress.mp4 at the end; needs pip install '.[video]'.")
    scores: bool = _written(True, "Score the result by measures other than its loss.")
    frame_labels: bool = _written(False, "Write the step into the frames of the animations.")

    serve: bool = _live(
        False,
        "Show the run in a browser while it paints, at the address that it prints: the picture, "
        "losses, and buttons to pause, stop or finish it. Only this machine can reach the page.",
        essential=True,
    )
    serve_port: int = _live(0, "Port of the live page; 0: one that is free.", (0, 65535))
    serve_hosts: tuple[str, ...] = _live(
        (),
        "Further names, with ports, under which browsers may reach the live page through a tunnel "
        "or a proxy, such as localhost:9000.",
    )

    def __post_init__(self) -> None:
        check_settings(self, OPTIONS)

    @classmethod
    def from_flagfile(cls, path: str | os.PathLike, **settings: Any) -> "Config":
        """The settings in a flagfile, such as a file in `configs` or the `flags.cfg` of a run.

        Args:
            path: of the flagfile; paths in it are relative to its folder.
            settings: further settings, which win.

        Raises:
            InputError: the file cannot be read, or a line of it is wrong.
        """
        given, _ = command_line.parse(COMMAND, [f"--flagfile={os.fspath(path)}"])
        return Config(**{**given, **settings})

    @property
    def style_pictures(self) -> tuple[str, ...]:
        """The paths of the styles that are pictures, without 'keep'."""
        return tuple(path for path in self.style if path != KEEP)


OPTIONS = options_of(Config)
LIVE_PAGE = tuple(name for name, option in OPTIONS.items() if option.group == "live")
_USUAL = OPTIONS["objective"].default
for _name, _value in PRESETS[_USUAL].defaults.items():
    _default = f"{OPTIONS[_name].format(_value) or 'none'} with --objective={_USUAL}"
    OPTIONS[_name] = dataclasses.replace(OPTIONS[_name], unset=_default)
document(Config, OPTIONS)
COMMAND = Command(
    usage=(
        "Paints a photo in the style of one or more paintings.",
        "",
        "  nst photo.jpg painting.jpg",
        "  nst photo.jpg painting.jpg another.jpg --style_blend=3,1 --size=1024",
        "  nst --flagfile=configs/monet.cfg",
        "  nst --workdir=runs/photo_painting-3f2a      (resumes a run)",
    ),
    options=OPTIONS,
    positionals=("content", "style"),
    grouped=True,
)


def parse_config(arguments: list[str]) -> tuple[Config, dict[str, Any]]:
    """The settings on a command line, and the actions asked for, as in `command_line.parse`."""
    given, actions = command_line.parse(COMMAND, arguments)
    return Config(**given), actions


def format_flagfile(config: Config) -> str:
    """Lines that `parse_config` turns back into the same settings."""
    return command_line.format_flagfile(COMMAND, vars(config))


def format_arguments(config: Config, explicit: Iterable[str] = ()) -> list[str]:
    """The flags of a command with these settings: those that are not the defaults, or that are
    among the `explicit` names."""
    paths = {**vars(config), **absolute_paths(vars(config), OPTIONS)}
    return [
        f"--{name}={option.format(paths[name])}"
        for name, option in OPTIONS.items()
        if getattr(config, name) is not None
        and (name in explicit or getattr(config, name) != option.default)
    ]


def format_command(arguments: list[str]) -> str:
    """The shell command that runs these arguments again."""
    # Not `python -m` if it can be helped: that looks for the package in the present folder first,
    # which fails beside a clone.
    if installed := shutil.which("nst", path=os.path.dirname(sys.executable)):
        return shlex.join(["nst" if shutil.which("nst") == installed else installed, *arguments])
    same = shutil.which("python") == sys.executable
    return shlex.join(["python" if same else sys.executable, "-m", "nst_keras.run", *arguments])
