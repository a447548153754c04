"""What a run needs before its first step."""

import dataclasses

from nst_keras.runs.folder import RunFolder
from nst_keras.runs.setup import make_checkpointer
from nst_keras.runtime.checkpoints import Checkpoint
from nst_keras.settings.config import Config
from tests.runs.conftest import run_in

CONSTANT = Config(schedule="constant", iterations=80, checkpoint_every=1, checkpoint_minutes=0)


def test_checkpoints_at_a_constant_rate_are_those_of_more_steps_too(tmp_path):
    folder = RunFolder(tmp_path / "run")
    make_checkpointer(run_in(folder, CONSTANT)).save(Checkpoint(5, 1.0, {}))
    for same in ({}, {"iterations": 200}):
        config = dataclasses.replace(CONSTANT, **same)
        found = make_checkpointer(run_in(folder, config)).latest()
        assert found and found.step == 5
    for other in ({"size": 64}, {"schedule": "cosine"}):
        config = dataclasses.replace(CONSTANT, **other)
        assert make_checkpointer(run_in(folder, config)).latest() is None
