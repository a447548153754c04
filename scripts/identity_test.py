#!/usr/bin/env python
"""Check that content = style returns the picture: `python scripts/identity_test.py [flags]`.

Paints a picture in its own style, once starting from itself and once from noise, and measures
whether the picture comes back. --content is the picture; other flags are those of
`python -m nst_keras.run` that concern no files, as --name=value, such as --size=128. --init is set.
Exit status: 0 if the picture came back from both starts, 1 if not, 2 for bad flags.
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
from nst_keras.imaging import geometry
from nst_keras.network.extractor import imagenet_weights
from nst_keras.runs import score_table, scores
from nst_keras.runtime.errors import InputError
from nst_keras.settings.config import parse_config
from nst_keras.settings.resolve import resolve
from nst_keras.transfer.inputs import read_inputs

HARBOR = Path(__file__).parent.parent / "configs/images/harbor.jpg"
# A small coarsest scale, which decides the layout, and enough steps for that. Not --quality=best:
# its momentum reaches a lower loss but, starting from the picture, alters what the loss does not
# measure (SSIM 0.58).
STEPS = ("--coarse_iterations=250,150", "--iterations=200")
DEFAULTS = (f"--content={HARBOR}", "--size=128", "--min_size=32", *STEPS)

# The scores that the result must reach from each start. Those of other pictures, for photos at 64
# and 128 px:
#
#                               gram_error  content_cosine  ssim         psnr   psnr_gain
#   the picture, 5 % noise      0.23-0.38   0.88-0.90       0.77-0.86    26     10 to 12
#   the picture, blurred, 1 px  0.36-0.43   0.86            0.81-0.85    26-29  12 to 14
#   the picture, mirrored       0.24-0.56   0.10-0.16       0.17-0.28    12-14  -2
#   another picture             0.84-1.58   -0.01-0.05      0.08-0.10    11-12  -2 to -4
#   its mean color              1.0         0               0.25-0.39    14-16  0
#
# Starting from the picture nothing is left to do, but the length of Adam's steps does not depend on
# that of the gradient: the last ones alter the picture by a few percent.
# Starting from noise, textures and layout must return, and colors must be closer to the picture
# than its mean color; single pixels need not, since the deep content layer does not see them.
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
    """Paint from each start and print a table of scores; 0 if all are sufficient, else 1."""
    settings = resolve(config)
    inputs = read_inputs(settings, styles=settings.content)
    picture, weights = inputs.content, inputs.weights or imagenet_weights(settings.backbone)
    held_out = score_table.held_out_layers(settings.style_layers, settings.backbone)
    scorer = scores.Scorer(weights, held_out)
    print(f"{'start':9}{'score':17}{'found':>9}  needed")
    all_missed = []
    for start, needed in NEEDED.items():
        scales = 1 if start == "content" else config.scales  # a coarse scale would blur it
        job = dataclasses.replace(config, content=None, init=start, scales=scales)
        *_, last = stylize(picture, picture, job, weights=weights)
        found = figures(last.image, picture, scorer)
        missed = misses(start, found)
        for name, value in found.items():
            verdict = ("  {} {:g}".format(*needed[name])) if name in needed else ""
            print(f"{start:9}{name:17}{value:9.3f}{verdict}{'  MISSED' * (name in missed)}")
        all_missed += [f"{name} from {start}" for name in missed]
    print(f"insufficient: {', '.join(all_missed)}" if all_missed else "the picture came back")
    return 1 if all_missed else 0


def misses(start: str, found: dict[str, float]) -> list[str]:
    """The names of scores that are not sufficient from this start."""
    better = {"<=": operator.le, ">=": operator.ge}
    return [n for n, (sign, bound) in NEEDED[start].items() if not better[sign](found[n], bound)]


def figures(found: np.ndarray, picture: np.ndarray, scorer: scores.Scorer) -> dict[str, float]:
    """Scores of a result (H, W, 3) with the picture (h, w, 3) as content and style.

    `gram_error` is the largest of all held-out layers, `psnr` is in dB for a peak of 1, and
    `psnr_gain` is the difference to the psnr of the picture's mean color.
    """
    picture = geometry.resize(picture, *found.shape[:2])
    scored = scorer.score(found, picture, [picture])
    grams = [value for name, value in scored.items() if name.startswith("gram_error/")]
    others = {name: value for name, value in scored.items() if "/" not in name}
    own, plain = psnr(found, picture), psnr(picture.mean((0, 1)), picture)
    return {"gram_error": max(grams, default=0.0), **others, "psnr": own, "psnr_gain": own - plain}


def psnr(found: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1; 100 for equal pictures."""
    return -10 * math.log10(max(float(np.square(found - picture).mean()), 1e-10))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
