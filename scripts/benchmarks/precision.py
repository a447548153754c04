"""How much low precision changes the picture, compared with a little noise at the start.

Optimization amplifies rounding errors, so two runs in float32 whose starts differ by 1e-4 end with
different pictures, too. A precision is good enough if its picture has as low a loss (in float32, of
the 8-bit picture) and is as similar to that of the float32 run (SSIM of lightness).
"""

import argparse

from benchmarks import machine
from benchmarks.judge import Judge, as_saved
from nst_keras import Config
from nst_keras.imaging import images
from nst_keras.runs import scores
from nst_keras.transfer import loop

_NOISE = 1e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--content", default=str(machine.IMAGES / "harbor.jpg"))
    parser.add_argument("--style", default=str(machine.IMAGES / "lily_pond.jpg"))
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels")
    parser.add_argument("--precisions", default="bfloat16", help="some of bfloat16,float16")


def measure(options: argparse.Namespace) -> dict:
    """The loss of each run, and the similarity of its picture to that of the float32 run."""
    machine.start()
    content = images.read_image(options.content, "--content").pixels
    style = images.read_image(options.style, "--style").pixels
    judge = Judge(content, style, options.size)
    runs = {"float32": {}, "float32_noise": {"precision": "float32", "init_noise": _NOISE}}
    runs |= {name: {"precision": name} for name in options.precisions.split(",")}
    pictures = {}
    for name, settings in runs.items():
        config = Config(**{"size": options.size, "precision": name, **settings})
        *_, last = loop.stylize(content, style, config)
        pictures[name] = as_saved(last.image)
    return {
        "size": f"{judge.scale.width}x{judge.scale.height}",
        "noise": _NOISE,
        **{
            name: {
                "objective": round(judge(picture), 5),
                "ssim_to_float32": round(scores.ssim(picture, pictures["float32"]), 4),
            }
            for name, picture in pictures.items()
        },
        **machine.describe(),
    }
