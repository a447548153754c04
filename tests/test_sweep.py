"""The command `nst_keras.sweep`: bad input, help, and trials in processes of their own."""

import io
import os
import re
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nst_keras import sweep
from nst_keras.sweeps import engines
from nst_keras.sweeps.folder import SweepFolder
from tests.conftest import in_a_thread
from tests.sweeps.conftest import read_table


def refused(arguments, capsys) -> str:
    """The one line with which a command line is refused; nothing is left behind."""
    before = sorted(os.listdir())
    assert sweep.main(arguments) == 2
    assert sorted(os.listdir()) == before
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1, captured
    return captured.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["--matrix, --vary", "nothing varies"]),
        (["--vary=init=noise", "--sise=3"], ["--sise", "did you mean --size"]),
        (["--vary=init=noise", "--size=x"], ["--size=x"]),
        (["--vary"], ["--vary: must be a text; give --vary=VALUE"]),
        (["--vary=init=noise", "--jobs=0"], ["--jobs=0: must be a whole number of at least 1"]),
        (["--vary=init=noise", "--jobs=two"], ["--jobs=two: must be a whole number of at least 1"]),
        (
            ["--vary=init=noise", "--retries=-1"],
            ["--retries=-1: must be a whole number of at least 0"],
        ),
        (["--vary=init=noise", "--engine=slurm"], ["--engine=slurm: must be one of local, ray"]),
        (["--vary=init=noise", "--engine=ray", "--jobs=2"], ["--jobs=2", "--cpus_per_trial"]),
        (["--vary=init=noise", "--engine=ray", "--batch=2"], ["--batch=2", "--engine=local"]),
        (["--vary=init=noise", "--batch=0"], ["--batch=0: must be a whole number of at least 1"]),
        (["--vary=init=noise", "--cpus_per_trial=2"], ["--cpus_per_trial=2", "--engine=ray"]),
        (
            ["--vary=init=noise", "--gpus_per_trial=nan"],
            ["--gpus_per_trial=nan: must be a number of at least 0"],
        ),
        (["--vary=init=noise", "--shard=0/2"], ["--shard=0/2: must be I/N", "1/4"]),
        (["--vary=init=noise", "--shard=3/2"], ["--shard=3/2: must be I/N"]),
        (["--vary=init=noise", "--shard=1"], ["--shard=1: must be I/N"]),
        (["--vary=init=noise", "--layout=init"], ["--layout=init: must be two flags"]),
        (
            ["--vary=init=noise", "--layout=gif,init"],
            ["--layout=gif,init: must be", "change the picture"],
        ),
        (["--vary=init=noise", "--output=x.png"], ["--output=x.png", "all trials"]),
        (["--vary=init=noise", "--objective_metric=beauty"], ["=beauty", "ssim", "total"]),
        (["--vary=init=noise,missing.jpg"], ["--vary=init=noise,missing.jpg", "no such file"]),
        (["--vary=init=noise", "--content=missing.jpg"], ["--content=", "no such file"]),
        (["--vary=init=noise", "--content="], ["--content"]),
        (["--vary=init=noise", "--weights=missing.npz"], ["--weights=", "missing.npz"]),
        (["--vary=init=noise", "--proof=missing.icc"], ["--proof=", "missing.icc"]),
        (["--vary=init=noise", "--workdir=foreign"], ["--workdir=foreign", "not a sweep folder"]),
        (["--vary=init=noise", "--workdir=/dev/null/x"], ["--workdir=/dev/null/x"]),
    ],
)
def test_bad_flags_are_refused(sweep_flags, flags, words, capsys, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("years of work")
    message = refused([*sweep_flags, *flags], capsys)
    assert all(word in message for word in words), message


def test_batches_are_refused_where_processes_cannot_hand_on_files(sweep_flags, capsys, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    message = refused([*sweep_flags, "--vary=init=noise", "--batch=2"], capsys)
    assert "--batch=2" in message and "Windows" in message


def test_pictures_of_a_table_are_refused_with_their_place(sweep_flags, capsys, tmp_path):
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    for name, words in [("torn.jpg", "--content="), ("gone.jpg", "no such file")]:
        table = tmp_path / "t.csv"
        table.write_text(f"init,content\nnoise,{name}\n")
        message = refused([*sweep_flags, f"--matrix={table}"], capsys)
        assert f"{table}, row 2, column content: " in message and words in message
    table.write_text("note\nthe base\n")
    assert f"{table}, row 2: --style is missing" in refused(
        [sweep_flags[0], f"--matrix={table}"], capsys
    )


def test_dry_run_lists_the_trials_and_writes_nothing(sweep_flags, capsys, tmp_path):
    (tmp_path / "t.csv").write_text("name,style_weight,note\nlow,4,too pale?\nhigh,16,\n")

    assert sweep.main([*sweep_flags, "--matrix=t.csv", "--dry_run", "--shard=2/2"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "2 trials in sweep",
        "low (of another shard): --style_weight=4  # too pale?",
        "high (new): --style_weight=16",
    ]
    assert os.listdir() == ["t.csv"]


def test_cells_of_a_table_are_listed_without_control_characters(sweep_flags, capsys, tmp_path):
    (tmp_path / "t.csv").write_text('style_weight,note\n4,"two\nlines \x1b[31m"\n')
    assert sweep.main([*sweep_flags, "--matrix=t.csv", "--dry_run"]) == 0
    assert r"# two\nlines \x1b[31m" in capsys.readouterr().out.splitlines()[1]


def test_off_the_main_thread_and_without_streams_it_does_the_same(sweep_flags, monkeypatch, capsys):
    monkeypatch.setattr(engines, "RUN", (sys.executable, "-c", ""))  # each trial ends at once
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    assert in_a_thread(lambda: sweep.main([*sweep_flags, "--vary=style_weight=4,8"])) == 0
    assert len(read_table()) == 2


def test_names_of_any_bytes_are_listed(sweep_flags, picture_paths, tmp_path, monkeypatch):
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(picture_paths[0], tmp_path / name)
    stdout = io.TextIOWrapper(io.BytesIO(), "utf-8")  # strict, as in most terminals
    monkeypatch.setattr(sys, "stdout", stdout)

    assert sweep.main([*sweep_flags, f"--vary=content={name}", "--dry_run"]) == 0

    stdout.flush()
    assert b"--content=caf\\udce9.png\n" in stdout.buffer.getvalue()


def test_help_and_version(capsys):
    for flag in ("--help", "-help"):
        assert sweep.main([flag]) == 0
        said = capsys.readouterr().out
        assert all(word in said for word in ("--vary", "--shard", "--overwrite"))
    assert sweep.main(["--version"]) == 0
    assert "nst_keras" in capsys.readouterr().out


def test_shards_may_start_together(tmp_path):
    folder = SweepFolder(tmp_path / "sweep")
    folder.prepare()
    theirs = folder.path / ".results.csv.12ab.tmp"
    theirs.write_text("half a table")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(folder.prepare) for _ in range(60)]:
            done.result()

    assert theirs.exists()  # another shard is at work on it
    assert {path.name for path in folder.path.iterdir()} == {"trials", "logs", theirs.name}


def test_a_signal_reaches_the_trials_which_save_their_state(sweep_flags, capsys):
    """The one test with a true run, in its process."""
    command = [*sweep_flags, "--iterations=200000", "--vary=style_weight=4,8"]
    log = Path("sweep/trials/style_weight=4/metrics.jsonl")
    main = threading.main_thread().ident

    def stop():
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and not (log.exists() and log.stat().st_size):
            time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    status = sweep.main(command)
    thread.join()

    said = capsys.readouterr().err
    assert status == 75, said
    assert [row["status"] for row in read_table().values()] == ["interrupted", "waiting"]
    assert list(log.parent.glob("checkpoints/step_*.npz"))
    assert sweep.main([*command, "--dry_run"]) == 0
    assert re.findall(r"\((\w+)\)", capsys.readouterr().out) == ["begun", "new"]


@pytest.mark.filterwarnings("ignore")
def test_ray_goes_on_after_a_killed_worker(sweep_flags, monkeypatch, capsys):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    steps = ("--iterations=400", "--log_every=50")
    command = [
        *sweep_flags,
        *steps,
        "--checkpoint_every=20",
        "--vary=style_weight=4,8",
        "--engine=ray",
    ]
    killed = []

    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            for log in Path("sweep/logs").glob("*.log"):
                folder = Path("sweep/trials", log.stem)
                if len(list(folder.glob("checkpoints/step_*.npz"))) > 1:
                    killed.append(log.stem)
                    pids = re.findall(r"process (\d+)", log.read_text())
                    os.kill(int(pids[-1]), signal.SIGKILL)
                    break
            time.sleep(0.05)

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        thread = threading.Thread(target=kill)
        thread.start()
        status = sweep.main(command)
        thread.join()
    finally:
        ray.shutdown()

    assert status == 0, capsys.readouterr().err
    table = read_table()
    assert [(row["status"], row["steps"]) for row in table.values()] == [("finished", "400")] * 2
    log = Path(f"sweep/logs/{killed[0]}.log").read_text()
    assert log.count("process ") == 2 and "resuming after step" in log
