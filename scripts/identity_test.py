#!/usr/bin/env python
"""Content = style must come back: `python scripts/identity_test.py [--size=128] [other flags]`.

Paints a picture in its own style, once from itself and once from noise, and checks whether the
picture comes out again. Takes all flags of `python -m nst_keras.run`, as --name=value; --content is
the picture, and --init is set here. Exit status: 0 if it came back from both, 1 if not, 2 for bad
flags.
"""

import dataclasses
import math
import operator
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from nst_keras import Config, stylize
from nst_keras.imaging import geometry, images
from nst_keras.network import extractor
from nst_keras.runs import score_table, scores
from nst_keras.runtime.errors import InputError
from nst_keras.settings.flags import parse_config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import read_inputs

HARBOR = Path(__file__).parent.parent / "configs/images/harbor.jpg"
# Small, so that the coarsest scale can settle where things are; and time to do so. Not
# --quality=best: its momentum goes further in the objective, but from itself it shakes what the
# objective does not see (SSIM 0.58).
STEPS = ("--coarse_iterations=250,150", "--iterations=200")
DEFAULTS = (f"--content={HARBOR}", "--size=128", "--min_size=32", *STEPS)

# What the picture must reach from each start. Pictures that are not it, at 64 and 128 px (photos):
#
#                               gram_error  content_cosine  ssim         psnr   psnr_gain
#   the picture, 5 % noise      0.23-0.38   0.88-0.90       0.77-0.86    26     10 to 12
#   the picture, blurred, 1 px  0.36-0.43   0.86            0.81-0.85    26-29  12 to 14
#   the picture, mirrored       0.24-0.56   0.10-0.16       0.17-0.28    12-14  -2
#   another picture             0.84-1.58   -0.01-0.05      0.08-0.10    11-12  -2 to -4
#   its mean color             1.0         0               0.25-0.39    14-16  0
#
# Starting from itself nothing is left to do, but Adam's steps keep their length however small the
# gradient is: the last ones move the picture by a few percent.
# Starting from noise the textures and the scene must return, and colors must be closer to their
# places than a plain mean; single pixels need not, since the deep content layer does not see them.
NEEDED: dict[str, dict[str, tuple[str, float]]] = {
    "content": {
        "gram_error": ("<=", 0.1),
        "content_cosine": (">=", 0.9),
        "ssim": (">=", 0.65),
        "psnr": (">=", 24.0),
    },
    "noise": {
        "gram_error": ("<=", 0.1),
        "content_cosine": (">=", 0.7),
        "total_variation": ("<=", 1.5),
        "psnr_gain": (">=", 1.0),
    },
}


def main(arguments: list[str]) -> int:
    try:
        config, actions = parse_config([*DEFAULTS, *arguments])
        if "help" in actions:
            print(__doc__)
            return 0
        return identity_test(config)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(error, file=sys.stderr)
        return 1


def identity_test(config: Config) -> int:
    """Paint from each start and print a table; returns 0 if all figures are as needed, else 1."""
    picture = geometry.crop_to_fit(images.read_image(config.content).pixels, config.fit)
    settings = resolve(config)
    weights = read_inputs(settings, picture, picture).weights or extractor.imagenet_weights(
        settings.backbone
    )
    judge = scores.Judge(
        weights, score_table.held_out_layers(settings.style_layers, config.backbone)
    )
    print(f"{'start':9}{'figure':17}{'found':>9}  needed")
    all_missed = []
    for start, needed in NEEDED.items():
        changes = {"scales": 1} if start == "content" else {}  # a coarse scale would blur it
        job = dataclasses.replace(config, content=None, init=start, **changes)
        *_, last = stylize(picture, picture, job, weights=weights)
        found = figures(last.image, picture, judge)
        missed = misses(start, found)
        for name, value in found.items():
            verdict = ("  {} {:g}".format(*needed[name])) if name in needed else ""
            print(f"{start:9}{name:17}{value:9.3f}{verdict}{'  MISSED' * (name in missed)}")
        all_missed += [f"{name} from {start}" for name in missed]
    print(f"it did not come back: {', '.join(all_missed)}" if all_missed else "it came back")
    return 1 if all_missed else 0


def misses(start: str, found: dict[str, float]) -> list[str]:
    """The figures that are not as needed from this start."""
    better = {"<=": operator.le, ">=": operator.ge}
    return [n for n, (sign, bound) in NEEDED[start].items() if not better[sign](found[n], bound)]


def figures(found: np.ndarray, picture: np.ndarray, judge: scores.Judge) -> dict[str, float]:
    """Scores of what was found (H, W, 3) against the picture (h, w, 3) as content and style.

    `gram_error` is the largest of all held-out layers. `psnr` is in dB, for a peak of 1; and
    `psnr_gain` is by how much it is above that of the picture's mean color.
    """
    picture = geometry.resize(picture, *found.shape[:2])
    scored = judge.score(found, picture, [picture])
    grams = [value for name, value in scored.items() if name.startswith("gram_error/")]
    others = {name: value for name, value in scored.items() if "/" not in name}
    own, plain = psnr(found, picture), psnr(picture.mean((0, 1)), picture)
    return {"gram_error": max(grams, default=0.0), **others, "psnr": own, "psnr_gain": own - plain}


def psnr(found: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1; 100 at most, where pictures are equal."""
    return -10 * math.log10(max(float(np.square(found - picture).mean()), 1e-10))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
