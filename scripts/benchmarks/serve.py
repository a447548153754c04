"""What an open live page adds to a step: steps that a client watches against others, in turn."""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks import machine
from nst_keras.live import board as board_lib
from nst_keras.live.board import Board, Progress
from nst_keras.live.controls import Controls
from nst_keras.live.picture import LivePicture
from nst_keras.live.server import LiveServer
from nst_keras.objective.term_names import by_kind
from nst_keras.transfer.scale_run import ScaleRun

# Does what the page's script does, in a process of its own, as a browser is.
_CLIENT = """
import json, sys, time, urllib.request
address, query = sys.argv[1].split("?")
def get(name):
    with urllib.request.urlopen(address + name + "?" + query, timeout=10) as answer:
        return answer.read()
shown = 0
while True:
    number = json.loads(get("state.json"))["picture"]
    if number > shown:
        get("picture.jpg")
        shown = number
    print(number, flush=True)
    time.sleep(1)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=machine.size, default=(256, 192), help="WIDTHxHEIGHT")
    parser.add_argument("--objective", default="neighbors", help="of the steps")
    parser.add_argument("--precision", default="auto", choices=("auto", *machine.PRECISIONS))
    parser.add_argument("--rounds", type=int, default=15, help="each of three seconds")


def measure(options: argparse.Namespace) -> dict:
    """Quartiles of the ratios to steps that nobody watches, taken right before and after; and those
    of one half of these to the other, which is the noise. Both by the clock, and by the processors'
    time of this process, on which other work on the machine has less influence."""
    machine.start()
    run = machine.noise_run(options)
    board = Board("benchmark", {}, Controls(lambda: None), LivePicture())
    board.enter(board_lib.PAINTING)
    steps = _steps_of_a_second(run)
    ratios, noise, plain = [], [], []  # of pairs: by the clock, and of the processors
    with contextlib.closing(LiveServer(board)) as server, _client(server.url) as client:
        for _ in range(options.rounds):
            before = _seconds(lambda: run.run(steps))
            os.kill(client.pid, signal.SIGCONT)
            watched = _seconds(lambda: _watched(run, steps, board))
            os.kill(client.pid, signal.SIGSTOP)
            after = _seconds(lambda: run.run(steps))
            ratios.append(2.0 * watched / (before + after))
            noise.append(after / before)
            plain += [before[0] / steps, after[0] / steps]
        pictures = board.picture.number
    return {
        "size": f"{options.size[0]}x{options.size[1]}",
        "objective": options.objective,
        "seconds_of_a_step": round(statistics.median(plain), 4),
        "rounds": options.rounds,
        "pictures_shown": pictures,
        "times_a_step_without": _quartiles([ratio[0] for ratio in ratios]),
        "noise": _quartiles([ratio[0] for ratio in noise]),
        "times_its_processor_time": _quartiles([ratio[1] for ratio in ratios]),
        "noise_of_processor_time": _quartiles([ratio[1] for ratio in noise]),
        **machine.describe(),
    }


def _steps_of_a_second(run: ScaleRun) -> int:
    """About as many steps as a call of a run takes."""
    run.run(1)  # compiles
    return max(1, round(5.0 / _seconds(lambda: run.run(5))[0]))


def _watched(run: ScaleRun, steps: int, board: Board) -> None:
    """Steps, and what a run with a live page does after them."""
    losses = run.run(steps)
    scale = run.scale
    progress = Progress(run.steps, 10**6, 1, 1, scale.width, scale.height, 1.0, 1.0)
    board.advance(progress, by_kind(losses))
    if board.picture.is_due():
        board.picture.take(run.picture)


@contextlib.contextmanager
def _client(url: str) -> Iterator[subprocess.Popen]:
    """A client that has looked at the page once, and is stopped."""
    command = [sys.executable, "-c", _CLIENT, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout
            client.stdout.readline()
            os.kill(client.pid, signal.SIGSTOP)
            yield client
        finally:
            client.kill()


def _quartiles(values: list[float]) -> list[float]:
    return [round(value, 4) for value in statistics.quantiles(values, method="inclusive")]


def _seconds(work: Callable[[], object]) -> np.ndarray:
    """The seconds that some work takes: by the clock, and of the processors in this process."""
    began = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - began
