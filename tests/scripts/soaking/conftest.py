"""Run folders and inputs of soak jobs, without running anything."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nst_keras.imaging import images
from nst_keras.runs import gallery
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.checkpoints import Checkpoint, Checkpointer
from scripts.soaking import settings
from tests.conftest import picture

LINES = [json.dumps({"step": step, "scale": 0, "terms": {"total": 1.5}}) + "\n" for step in (2, 4)]


def save_state(run: Path, step: int, *, seconds: float = 1.0, value: float = 0.5) -> None:
    checkpointer = Checkpointer(run / "checkpoints", "a run", every=0, minutes=0, keep=9)
    state = {"scale": {"image": np.full((1, 8, 8, 3), value, np.float32)}}
    checkpointer.save(Checkpoint(step, seconds, state))


def make_run(run: Path, *, seconds: float = 1.0) -> None:
    """Make a run folder as a run of 4 steps leaves it, with few pictures."""
    for name in ("iterations", "inputs", "checkpoints"):
        (run / name).mkdir(parents=True)
    shown = picture(24, 32)
    names = ("result.png", "latest.jpg", "iterations/iteration_00004.jpg", "inputs/content.jpg")
    for name in names:
        images.write_image(run / name, shown)
    (run / "metrics.jsonl").write_text("".join(LINES))
    (run / "flags.cfg").write_text(f"--size=48\n--workdir={run}\n")
    record = {"status": "finished", "step": 4, "seconds": seconds, "scores": {"ssim": 0.5}}
    record |= {"notes": ["enlarged"], "settings": {"size": "48", "workdir": str(run)}}
    (run / "run.json").write_text(json.dumps(record))
    for step in (2, 4):
        save_state(run, step, seconds=seconds)
    gallery.write_page(RunFolder(run))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The folder of a job whose two runs are equal except for times."""
    make_run(tmp_path / "reference" / "run")
    make_run(tmp_path / "work" / "run", seconds=7.0)
    return tmp_path


@pytest.fixture
def run(folder) -> Path:
    return folder / "work" / "run"


@pytest.fixture
def inputs(tmp_path) -> Path:
    settings.make_inputs(tmp_path / "inputs")
    return tmp_path / "inputs"


class FakeProcess:
    """Replaces a process: it has finished at once, or died."""

    died = 0  # how many of the first runs, except the reference, die
    after = staticmethod(lambda run: None)  # changes the finished folder

    def __init__(self, flags, folder, fault=("", 0, 0), *, plain=False):
        run = folder / "run"
        self.log = "soak: 9 file operations"
        self._status = 0
        if folder.name == "work" and type(self).died:
            type(self).died -= 1
            self._status = -9
        elif not (run / "result.png").exists():
            shutil.rmtree(run, ignore_errors=True)
            make_run(run)
            if folder.name == "work":
                type(self).after(run)

    def wait(self, seconds):
        return self._status

    def begin(self):
        pass

    def send(self, number):
        pass

    def close(self):
        pass
