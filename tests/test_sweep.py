"""The sweep's command line: bad input, whole small sweeps, interruption and resume."""

import csv
import io
import itertools
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
from nst_keras.runs import batch_session
from nst_keras.runs import folder as folder_lib
from nst_keras.runs.folder import RunFolder, Status
from nst_keras.runs.inputs import read_inputs
from nst_keras.settings import flags as flags_lib
from nst_keras.settings.resolve import resolve
from nst_keras.sweeps import flags as sweep_flags
from nst_keras.sweeps import session
from nst_keras.sweeps.folder import SweepFolder
from nst_keras.sweeps.local_engine import Outcome
from nst_keras.sweeps.progress import Lines, SweepProgress
from tests.test_compare import write_run

ROOT = Path(__file__).parent.parent


@pytest.fixture
def base(picture_paths, tiny_weights_path, tmp_path, monkeypatch):
    """Flags for all trials, of 6 steps each."""
    monkeypatch.chdir(tmp_path)
    content, style = picture_paths
    return [
        f"--content={content}",
        f"--style={style}",
        f"--weights={tiny_weights_path}",
        *("--size=48", "--scales=1", "--iterations=6", "--log_every=1", "--checkpoint_every=2"),
        *("--image_every=6", "--precision=float32", "--noscores", "--workdir=sweep"),
    ]


class Here:
    """An engine whose trials take no time: folders as `run` leaves them behind."""

    def __init__(self):
        self.ran: list[str] = []
        self.batches: list[list[str]] = []
        self.stop_after = 99
        self.fails: set[str] = set()

    def run(self, tasks, stopping):
        for batch in tasks:
            if batch.parts:
                self.batches.append([one.name for one in batch.parts])
                assert batch_session._split(batch.arguments) == [
                    [*one.arguments] for one in batch.parts
                ]
        for task in itertools.chain(*(one.trials for one in tasks)):
            yield None
            if len(self.ran) == self.stop_after:
                stopping.set()
                yield Outcome(task.name, 75)
                return
            self.ran.append(task.name)
            if task.name in self.fails:
                yield Outcome(task.name, 1, "the reason")
            else:
                paint(list(task.arguments))
                yield Outcome(task.name, 0)


def paint(arguments):
    """What `run` does with a folder, but for the picture's looks."""
    config = resolve(flags_lib.parse_config(arguments)[0])
    job = folder_lib.describe_job(config, read_inputs(config).hashes)
    folder = RunFolder(config.workdir)
    assert folder.status(job, overwrite=config.overwrite) is Status.NEW
    folder.prepare(job)
    terms = {"total": 1.0, "content/block5_conv2": config.style_weight}
    settings = {name: text for name, text in job.items() if not name.startswith("sha256")}
    write_run(folder.path, settings, job=job, request=job, final_terms=terms)


@pytest.fixture
def here(monkeypatch):
    """The trials that ran, by name, while sweeps run in this process."""
    engine = Here()
    monkeypatch.setattr(session, "_make_engine", lambda _: engine)
    return engine


def read_table(folder="sweep"):
    with open(f"{folder}/results.csv", encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


# Bad input.


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
        (["--vary"], ["--vary", "expected one argument"]),
        (["--vary=init=noise", "--jobs=0"], ["--jobs", "at least 1, not 0"]),
        (["--vary=init=noise", "--jobs=two"], ["--jobs", "at least 1, not two"]),
        (["--vary=init=noise", "--retries=-1"], ["--retries", "at least 0"]),
        (["--vary=init=noise", "--engine=slurm"], ["--engine", "slurm"]),
        (["--vary=init=noise", "--engine=ray", "--jobs=2"], ["--jobs=2", "--cpus_per_trial"]),
        (["--vary=init=noise", "--engine=ray", "--batch=2"], ["--batch=2", "--engine=local"]),
        (["--vary=init=noise", "--batch=0"], ["--batch", "at least 1, not 0"]),
        (["--vary=init=noise", "--cpus_per_trial=2"], ["--cpus_per_trial=2", "--engine=ray"]),
        (["--vary=init=noise", "--gpus_per_trial=nan"], ["--gpus_per_trial", "at least 0"]),
        (["--vary=init=noise", "--shard=0/2"], ["--shard", "1/4, not 0/2"]),
        (["--vary=init=noise", "--shard=3/2"], ["--shard", "not 3/2"]),
        (["--vary=init=noise", "--shard=1"], ["--shard", "not 1"]),
        (["--vary=init=noise", "--layout=init"], ["--layout", "two flags"]),
        (["--vary=init=noise", "--layout=gif,init"], ["--layout", "change the picture"]),
        (["--vary=init=noise", "--output=x.png"], ["--output=x.png", "all trials"]),
        (["--vary=init=noise", "--objective_metric=beauty"], ["=beauty", "ssim", "total"]),
        (["--vary=init=noise,missing.jpg"], ["--vary=init=noise,missing.jpg", "no such file"]),
        (["--vary=init=noise", "--content=missing.jpg"], ["--content=", "no such file"]),
        (["--vary=init=noise", "--content="], ["--content"]),
        (["--vary=init=noise", "--weights=missing.npz"], ["--weights=", "missing.npz"]),
        (["--vary=init=noise", "--workdir=foreign"], ["--workdir=foreign", "holds no sweep"]),
        (["--vary=init=noise", "--workdir=/dev/null/x"], ["--workdir=/dev/null/x"]),
    ],
)
def test_bad_flags_are_refused(base, flags, words, capsys, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("years of work")
    message = refused([*base, *flags], capsys)
    assert all(word in message for word in words), message


def test_batches_are_refused_where_processes_cannot_hand_on_files(base, capsys, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    message = refused([*base, "--vary=init=noise", "--batch=2"], capsys)
    assert "--batch=2" in message and "Windows" in message


def test_pictures_of_a_table_are_refused_with_their_place(base, capsys, tmp_path):
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    for name, words in [("torn.jpg", "--content="), ("gone.jpg", "no such file")]:
        table = tmp_path / "t.csv"
        table.write_text(f"init,content\nnoise,{name}\n")
        message = refused([*base, f"--matrix={table}"], capsys)
        assert f"{table}, row 2, column content: " in message and words in message
    table.write_text("note\nthe base\n")
    assert f"{table}, row 2: --style: is missing" in refused([base[0], f"--matrix={table}"], capsys)


# The plan.


def test_what_overrides_what(base, tmp_path):
    (tmp_path / "base.cfg").write_text("--style_weight=1\n--content_weight=2\n--tv_weight=3\n")
    (tmp_path / "t.csv").write_text("tv_weight\n9\n")
    # The flagfile is the base, wherever it stands.
    command = [*base, "--content_weight=5", "--flagfile", "base.cfg", "--matrix=t.csv"]
    rest = sweep_flags.parse(command)[1]
    assert rest[:2] == ["--flagfile", "base.cfg"]

    given, rest = sweep_flags.parse([*command, "--vary=init=noise"])
    (trial,) = session._plan(given, flags_lib.parse_config(rest)[0])

    weights = [getattr(trial.config, f"{name}_weight") for name in ("style", "content", "tv")]
    assert weights == [1.0, 5.0, 9.0]
    assert trial.config.init == "noise"


def test_dry_run_lists_the_trials_and_writes_nothing(base, capsys, tmp_path):
    (tmp_path / "t.csv").write_text("name,style_weight,note\nlow,4,too pale?\nhigh,16,\n")

    assert sweep.main([*base, "--matrix=t.csv", "--dry_run", "--shard=2/2"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "2 trials in sweep",
        "low (of another shard): --style_weight=4  # too pale?",
        "high (new): --style_weight=16",
    ]
    assert os.listdir() == ["t.csv"]


def test_shards_are_all_trials_and_none_twice(base, capsys):
    found = []
    for number in (1, 2, 3):
        vary = "--vary=style_weight=1,2,3,4,5,6,7"
        assert sweep.main([*base, vary, "--dry_run", f"--shard={number}/3"]) == 0
        found += re.findall(r"(\S+) \(new\)", capsys.readouterr().out)
    assert sorted(found) == [f"style_weight={n}" for n in range(1, 8)]


def test_the_folder_is_the_same_for_the_same_command(base, capsys, tmp_path):
    def folder(*flags):
        (tmp_path / "t.csv").write_text(f"init\n{flags[0]}\n")
        assert sweep.main([*base[:-1], "--matrix=./t.csv", *flags[1:], "--dry_run"]) == 0
        return capsys.readouterr().out.splitlines()[0].removeprefix("1 trials in ")

    assert re.fullmatch(r"runs/t-[0-9a-f]{4}", folder("noise"))
    assert folder("noise") == folder("gray")  # rows may change, and the finished ones stay
    assert folder("noise") != folder("noise", "--size=64")


def test_the_shipped_matrix(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    command = ["--matrix=configs/experiments.csv", "--size=128", "--iterations=60"]
    given, rest = sweep_flags.parse(command)
    trials = session._plan(given, flags_lib.parse_config(rest)[0])

    weights = {t.name: (t.config.content_weight, t.config.style_weight) for t in trials}
    assert weights == {
        "baseline": (1, 1e6),
        "early_raised": (1, 5e5),
        "balanced": (0.5, 2e6),
        "late_reduced": (2, 5e5),
    }
    layers = {trial.name: trial.config.style_layer_weights for trial in trials}
    usual = layers["baseline"]
    assert usual == layers["balanced"] == (1.0, 0.8, 0.5, 0.3, 0.1)
    assert layers["early_raised"][:2] > usual[:2] and layers["early_raised"][2:] == usual[2:]
    assert layers["late_reduced"][:3] == usual[:3] and layers["late_reduced"][3:] < usual[3:]
    assert {t.config.objective for t in trials} == {"pytorch_tutorial"}
    assert all(trial.note.endswith("?") for trial in trials)
    assert sweep.main([*command, "--dry_run"]) == 0  # its pictures can be read


def test_names_of_any_bytes_are_listed(base, picture_paths, tmp_path, monkeypatch):
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(picture_paths[0], tmp_path / name)
    stdout = io.TextIOWrapper(io.BytesIO(), "utf-8")  # strict, as in most terminals
    monkeypatch.setattr(sys, "stdout", stdout)

    assert sweep.main([*base, f"--vary=content={name}", "--dry_run"]) == 0

    stdout.flush()
    assert b"--content=caf\\udce9.png\n" in stdout.buffer.getvalue()


def test_help_and_version(capsys):
    for flag in ("--help", "-help"):
        assert sweep.main([flag]) == 0
        said = capsys.readouterr().out
        assert all(word in said for word in ("--vary", "--shard", "--overwrite"))
    assert sweep.main(["--version"]) == 0
    assert "nst_keras" in capsys.readouterr().out


# Whole sweeps.


def test_a_sweep_goes_past_a_failure_and_goes_on_where_it_was(base, here, capsys):
    command = [*base, "--vary=style_weight=64,16,4", "--objective_metric=content"]
    here.stop_after, here.fails = 2, {"style_weight=16"}

    assert sweep.main(command) == 75

    said = capsys.readouterr().err
    assert "content is another quantity in each trial: style_weight varies" in said
    assert "1 of 3 trials done  1 failed" in said
    assert "style_weight=16 failed: the reason (sweep/logs/style_weight=16.log)" in said
    assert said.splitlines()[-1] == "nst_keras: interrupted; the same command goes on"
    table = read_table()
    assert [row["status"] for row in table.values()] == ["finished", "failed", "waiting"]
    assert table["style_weight=16"]["error"] == "the reason"

    here.stop_after, here.ran = 99, []
    assert sweep.main(command) == 1
    assert here.ran == ["style_weight=16", "style_weight=4"]
    said = capsys.readouterr().err
    assert "3 trials in sweep, 1 finished before" in said and "style_weight=64 is finished" in said

    here.fails, here.ran = set(), []
    assert sweep.main(command) == 0
    assert here.ran == ["style_weight=16"]
    table = read_table()
    assert {row["status"] for row in table.values()} == {"finished"}
    assert [row["rank"] for row in table.values()] == ["1", "2", "3"]
    assert list(table) == ["style_weight=4", "style_weight=16", "style_weight=64"]
    assert "trials/style_weight%3D4/index.html" in Path("sweep/index.html").read_text()

    here.ran = []
    capsys.readouterr()
    assert sweep.main([*command, "--quiet"]) == 0
    assert here.ran == []


def test_a_batch_of_pictures(base, here, picture_paths):
    folder = picture_paths[0].parent
    vary = [f"--vary=content={folder}/*.png", f"--vary=style={folder}/pain*.png|{picture_paths[0]}"]

    assert sweep.main([*base[2:], *vary]) == 0

    both = ("painting", "photo")
    assert sorted(here.ran) == [f"content={a}_style={b}" for a in both for b in both]
    assert len(read_table()) == 4


def test_trials_of_one_size_are_put_together(base, here):
    names = [f"size={size}_style_weight={weight}" for size in (48, 56) for weight in (1, 2, 3)]
    vary = ["--vary=size=48,56", "--vary=style_weight=1,2,3", "--batch=2"]
    here.stop_after = 3
    assert sweep.main([*base, *vary]) == 75
    assert here.batches == [names[:2], names[3:5]] and here.ran == names[:3]
    here.stop_after, here.batches = 99, []
    assert sweep.main([*base, *vary]) == 0
    assert here.batches == [names[3:5]] and here.ran == names


def test_all_shards_know_what_failed(base, here):
    command = [*base, "--vary=style_weight=1,2,3,4"]
    here.fails = {"style_weight=3"}
    assert sweep.main([*command, "--shard=1/2"]) == 1
    assert sweep.main([*command, "--shard=2/2"]) == 0

    table = read_table()
    states = [row["status"] for row in table.values()]
    assert states == ["finished", "finished", "failed", "finished"]
    assert table["style_weight=3"]["error"] == "the reason"

    here.stop_after, here.ran = 0, []
    assert sweep.main([*command, "--shard=1/2"]) == 75
    assert read_table()["style_weight=3"]["status"] == "waiting"  # for another attempt


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


def test_changed_settings_need_overwrite(base, here, capsys, tmp_path):
    def write(weight):
        (tmp_path / "t.csv").write_text(f"name,style_weight\na,4\nb,{weight}\n")

    command = [*base, "--matrix=t.csv"]
    write(8)
    assert sweep.main(command) == 0
    write(9)
    here.ran = []
    capsys.readouterr()

    assert sweep.main(command) == 2

    said = capsys.readouterr().err
    assert "t.csv, row 3: --workdir=sweep/trials/b: holds another run (style_weight: 8.0" in said
    assert here.ran == []
    here.stop_after = 0
    assert sweep.main([*command, "--overwrite"]) == 75
    assert read_table()["b"]["status"] == "waiting"  # what is there is no longer its own
    assert read_table()["b"]["seconds"] == ""
    here.stop_after = 99
    assert sweep.main([*command, "--overwrite"]) == 0
    assert here.ran == ["b"]  # what has not changed stays
    assert read_table()["b"]["style_weight"] == "9"
    Path("sweep/trials/c").mkdir()
    Path("sweep/trials/c/thesis.txt").write_text("years of work")
    (tmp_path / "t.csv").write_text("name,style_weight\nc,9\n")
    assert sweep.main([*command, "--overwrite"]) == 2
    assert "not a run folder" in capsys.readouterr().err


def test_a_signal_reaches_the_trials_which_save_their_state(base, capsys):
    """The one test with a true run, in its process."""
    command = [*base, "--iterations=200000", "--vary=style_weight=4,8"]
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
def test_ray_goes_on_after_a_killed_worker(base, monkeypatch, capsys):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    steps = ("--iterations=400", "--log_every=50")
    command = [*base, *steps, "--checkpoint_every=20", "--vary=style_weight=4,8", "--engine=ray"]
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
    assert log.count("process ") == 2 and "going on after step" in log


# Progress.


def test_progress_tells_what_is_left(tmp_path, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    folder = SweepFolder(tmp_path)
    for name, step in (("a", 50), ("b", 0)):
        folder.run(name).path.mkdir(parents=True)
        folder.run(name).write_record({"step": step, "total_steps": 100})
    board = SweepProgress(lambda name: folder.run(name).read_record(), ["a", "b", "c", "d"])
    lines = Lines(board)

    lines(ended=False)
    assert capsys.readouterr().err == ""  # too early to say anything
    now[0] = 20.0
    board.note("a", failed=False)  # its second half took 20 s
    lines(ended=True)
    assert capsys.readouterr().err == "nst_keras: 1 of 4 trials done  2:00 left\n"
    now[0] = 55.0
    board.note("d", failed=True)
    folder.run("b").write_record({"step": 60, "total_steps": 100})
    lines(ended=False)  # half a minute later
    assert capsys.readouterr().err == "nst_keras: 1 of 4 trials done  1 failed  1:10 left\n"
    assert board.share() == pytest.approx((1 + 0.6 + 0) / 3)
    board.note("b", failed=False)
    board.note("c", failed=False)
    assert board.describe() == "3 of 4 trials done  1 failed"
