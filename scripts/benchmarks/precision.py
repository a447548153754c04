"""Whether low precision changes the picture: against float32 with a little noise at the start.

Optimization amplifies rounding, so two runs in float32 whose starts differ by 1e-4 do not end with
the same picture either. A precision is as good if it ends as low, by the objective in float32 on
the 8-bit picture, and if its picture is as similar to that of float32 (SSIM of lightness) as the
picture of the run with noise is.
"""

import argparse

from benchmarks import machine
from benchmarks.reference import ReferenceObjective, as_saved
from nst_keras import Config, stylize
from nst_keras.runs import scores

_NOISE = 1e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--content", default=str(machine.IMAGES / "harbor.jpg"))
    parser.add_argument("--style", default=str(machine.IMAGES / "lily_pond.jpg"))
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--precisions", default="bfloat16", help="some of bfloat16,float16")


def measure(options: argparse.Namespace) -> dict:
    """The objective of each run, and the similarity of its picture to that of the float32 run."""
    machine.start()
    content, style = machine.read_pictures(options)
    reference = ReferenceObjective(content, style, options.size)
    runs = {"float32": {}, "float32_noise": {"precision": "float32", "init_noise": _NOISE}}
    runs |= {name: {"precision": name} for name in options.precisions.split(",")}
    pictures = {}
    for name, settings in runs.items():
        config = Config(
            **{"objective": "relative", "size": options.size, "precision": name, **settings}
        )
        *_, last = stylize(content, style, config)
        pictures[name] = as_saved(last.image)
    return {
        "size": f"{reference.scale.width}x{reference.scale.height}",
        "noise": _NOISE,
        **{
            name: {
                "objective": round(reference(picture), 5),
                "ssim_to_float32": round(scores.ssim(picture, pictures["float32"]), 4),
            }
            for name, picture in pictures.items()
        },
        **machine.describe(),
    }
