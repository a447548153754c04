#!/usr/bin/env python
"""Run a benchmark: `python scripts/bench.py SUBJECT [--size=...]`; --help lists the subjects.

Each subject prints one JSON object with medians and the machine. Machines differ and are shared, so
compare the ratios: both sides of each were measured in turn within the same process.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks import job, lbfgs, masks, memory, precision, quality, serve, startup, step, tiling

COMMANDS = {
    "step": step,
    "quality": quality,
    "precision": precision,
    "startup": startup,
    "job": job,
    "memory": memory,
    "lbfgs": lbfgs,
    "tiling": tiling,
    "masks": masks,
    "serve": serve,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        summary = module.__doc__.splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    options = parser.parse_args()
    json.dump(COMMANDS[options.command].measure(options), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
