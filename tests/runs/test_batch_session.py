"""The command of a batch in process: its folders are those of runs, interrupted or not."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_keras import run
from nst_keras.runs import batch_session
from nst_keras.runs.pictures import PictureWriter
from tests.test_run import files_of, flags_of


@pytest.fixture
def pair(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """Flags of two runs of 6 steps."""
    monkeypatch.chdir(tmp_path)
    small = [*flags_of(picture_paths, tiny_weights_path), "--scales=1"]
    return [[*small, f"--style_weight={w}", f"--workdir=job_{w}"] for w in (2, 20)]


def pictures(folder="."):
    return [np.asarray(Image.open(Path(folder) / f"job_{w}" / "result.png")) for w in (2, 20)]


def test_folders_are_those_of_runs(pair, capsys, tmp_path, monkeypatch):
    assert batch_session.main(list(batch_session.join(pair))) == 0
    said = capsys.readouterr().err
    assert "result: job_2/result.png" in said and "result: job_20/result.png" in said
    assert said.count("step 6/6") == 1  # one of them stands for both
    batch = {w: files_of(tmp_path / f"job_{w}") for w in (2, 20)}
    for flags in pair:  # each knows it is done
        assert run.main(flags) == 0 and "is finished" in capsys.readouterr().err
    (tmp_path / "alone").mkdir()
    monkeypatch.chdir(tmp_path / "alone")
    for flags in pair:
        assert run.main(flags) == 0
    for w, picture, alone in zip((2, 20), pictures(tmp_path), pictures(), strict=True):
        assert batch[w].keys() == files_of(tmp_path / "alone" / f"job_{w}").keys()
        assert np.percentile(np.abs(picture.astype(int) - alone), 99.9) <= 1


def test_a_batch_that_was_interrupted_goes_on(pair, capsys, tmp_path, monkeypatch):
    assert batch_session.main(list(batch_session.join(pair))) == 0
    whole, metrics = pictures(), Path("job_2/metrics.jsonl").read_bytes()
    for name in ("job_2", "job_20"):
        Path(name).rename(f"whole_{name}")
    normal = PictureWriter.__call__

    def call(self, iterate):
        normal(self, iterate)
        if iterate.step == 4 and self.folder.path.name == "job_2":
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(PictureWriter, "__call__", call)
        assert batch_session.main(list(batch_session.join(pair))) == 75
    assert "stopped after step 4" in capsys.readouterr().err
    for name in ("job_2", "job_20"):  # after whole rounds
        record = json.loads(Path(name, "run.json").read_text())
        assert (record["status"], record["step"]) == ("interrupted", 4)
    assert batch_session.main(list(batch_session.join(pair))) == 0
    np.testing.assert_array_equal(pictures(), whole)
    assert Path("job_2/metrics.jsonl").read_bytes() == metrics


def test_a_second_ctrl_c_costs_no_rows(pair, tmp_path, monkeypatch):
    assert batch_session.main(list(batch_session.join(pair))) == 0
    whole = [Path(f"job_{w}/metrics.jsonl").read_bytes() for w in (2, 20)]
    for name in ("job_2", "job_20"):
        Path(name).rename(f"whole_{name}")
    normal = PictureWriter.__call__

    def call(self, iterate):
        normal(self, iterate)
        if iterate.step == 5:  # of the first one; the other one does not come to it
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PictureWriter, "__call__", call)
        assert batch_session.main(list(batch_session.join(pair))) == 75
    assert batch_session.main(list(batch_session.join(pair))) == 0
    assert [Path(f"job_{w}/metrics.jsonl").read_bytes() for w in (2, 20)] == whole


def test_what_is_finished_stays(pair, capsys):
    assert run.main(pair[0]) == 0
    result = Path("job_2/result.png").read_bytes()
    command = list(batch_session.join([[*flags, "--overwrite"] for flags in pair]))
    assert batch_session.main(command) == 2
    assert "--batch: some of the pictures are finished" in capsys.readouterr().err
    assert Path("job_2/result.png").read_bytes() == result
    assert not Path("job_20/result.png").exists()


def test_notes_are_those_of_their_run(pair):
    pair[1] = [*pair[1], "--image_at=99"]
    pair[0] = [*pair[0], "--image_at=99"]
    assert batch_session.main(list(batch_session.join(pair))) == 0
    for name in ("job_2", "job_20"):
        notes = json.loads(Path(name, "run.json").read_text())["notes"]
        assert notes.count("--image_at=99: the job has 6 steps") == 1


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("--iterations=5", "--batch: the pictures differ in --iterations"),
        ("--optimizer=lbfgs", "--batch: --optimizer=lbfgs"),
        ("--time_limit=1m", "--batch: --time_limit"),
        ("--sise=5", "--sise"),
        ("--workdir=job_2", "is in use by another process"),
    ],
)
def test_what_is_no_batch_is_refused(pair, capsys, own, said):
    pair[1].append(own)
    assert batch_session.main(list(batch_session.join(pair))) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not list(Path().glob("*/run.json"))


def test_arguments_are_joined_by_what_is_no_flag():
    groups = [["--size=5", "--style=--.jpg"], [], ["--seed=1"]]
    assert batch_session._split(batch_session.join(groups)) == groups


@pytest.mark.slow
def test_a_batch_that_is_killed_goes_on_as_one(pair):
    more = [[*flags, "--iterations=80", "--checkpoint_every=7"] for flags in pair]
    command = [sys.executable, "-m", "nst_keras.run_batch", *batch_session.join(more)]
    began = time.monotonic()
    assert subprocess.run(command, capture_output=True).returncode == 0
    seconds = time.monotonic() - began
    whole = pictures()
    metrics = [Path(f"job_{w}/metrics.jsonl").read_bytes() for w in (2, 20)]
    for name in ("job_2", "job_20"):
        Path(name).rename(f"whole_{name}")
    chance = random.Random(0)
    moments = [chance.uniform(0.5, 0.95) * seconds for _ in range(5)]
    for moment in (*moments, None):
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                process.communicate(timeout=moment)
                break
            except subprocess.TimeoutExpired:
                process.kill()
    assert moment != moments[0]
    if process.returncode == 2:  # killed when one was finished and the other not
        assert [run.main(flags) for flags in more] == [0, 0]
    else:
        assert process.returncode == 0
    np.testing.assert_array_equal(pictures(), whole)
    assert [Path(f"job_{w}/metrics.jsonl").read_bytes() for w in (2, 20)] == metrics
