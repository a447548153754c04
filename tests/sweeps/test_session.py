"""Whole sweeps whose trials take no time: their plan, and what is left by failures and stops."""

import os
import re
import sys
from pathlib import Path

import pytest

from nst_keras import sweep
from nst_keras.runs.folder import RunFolder
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.sweeps import flags, session
from tests.conftest import ROOT
from tests.sweeps.conftest import read_table


def plan(arguments):
    """The trials that a command line asks for."""
    values, _ = command_line.parse(flags.COMMAND, arguments)
    return session.plan(values)[-1]


def test_a_sweep_varies_something_and_its_trials_write_to_different_places(sweep_flags, tmp_path):
    (tmp_path / "t.csv").write_text("init\nnoise\n")
    assert len(plan([*sweep_flags, "--matrix=t.csv"])) == 1
    assert len(plan([*sweep_flags, "--vary=init=noise"])) == 1
    with pytest.raises(InputError, match="nothing varies"):
        plan(sweep_flags)
    with pytest.raises(InputError, match="--output=x.png: must be left out") as caught:
        plan([*sweep_flags, "--matrix=t.csv", "--output=x.png"])
    assert caught.value.flags == ("output",)


def test_the_table_overrides_the_command_line_which_overrides_flagfiles(sweep_flags, tmp_path):
    (tmp_path / "base.cfg").write_text("--style_weight=1\n--content_weight=2\n--tv_weight=3\n")
    (tmp_path / "t.csv").write_text("tv_weight\n9\n")
    # The flagfile is the base, wherever it stands.
    command = [*sweep_flags, "--content_weight=5", "--flagfile", "base.cfg", "--matrix=t.csv"]
    (trial,) = plan([*command, "--vary=init=noise"])

    weights = [getattr(trial.config, f"{name}_weight") for name in ("style", "content", "tv")]
    assert weights == [1.0, 5.0, 9.0]
    assert trial.config.init == "noise"


def test_the_shipped_matrix(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    command = ["--matrix=configs/experiments.csv", "--size=128", "--iterations=60"]
    trials = plan(command)

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


def test_shards_are_all_trials_and_none_twice(sweep_flags, capsys):
    found = []
    for number in (1, 2, 3):
        vary = "--vary=style_weight=1,2,3,4,5,6,7"
        assert sweep.main([*sweep_flags, vary, "--dry_run", f"--shard={number}/3"]) == 0
        found += re.findall(r"(\S+) \(new\)", capsys.readouterr().out)
    assert sorted(found) == [f"style_weight={n}" for n in range(1, 8)]


def test_the_default_folder_depends_on_the_command_alone(sweep_flags, capsys, tmp_path):
    def folder(*flags):
        (tmp_path / "t.csv").write_text(f"init\n{flags[0]}\n")
        assert sweep.main([*sweep_flags[:-1], "--matrix=./t.csv", *flags[1:], "--dry_run"]) == 0
        return capsys.readouterr().out.splitlines()[0].removeprefix("1 trial in ")

    assert re.fullmatch(r"runs/t-[0-9a-f]{4}", folder("noise"))
    assert folder("noise") == folder("gray")  # rows may change, and the finished ones stay
    assert folder("noise") != folder("noise", "--size=64")


def test_a_sweep_can_live_in_a_flagfile(sweep_flags, here, capsys, tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "t.csv").write_text("name,style_weight\nlow,4\nhigh,16\n")
    lines = ["--matrix=t.csv", "--vary=seed=1,2", "--batch=2", "--workdir=../out", "--size=40"]
    (folder / "sweep.cfg").write_text("\n".join(lines))

    assert sweep.main([*sweep_flags[:-1], "--flagfile=configs/sweep.cfg", "--batch=4"]) == 0

    names = ["low_seed=1", "low_seed=2", "high_seed=1", "high_seed=2"]
    assert here.batches == [names] and here.ran == names
    assert {row["style_weight"] for row in read_table("out").values()} == {"4", "16"}
    record = RunFolder("out/trials/low_seed=1").read_record()
    assert record.settings["size"] == "48"  # of the command line


# Whole sweeps.


def test_a_sweep_goes_past_a_failure_and_goes_on_where_it_was(sweep_flags, here, capsys):
    command = [*sweep_flags, "--vary=style_weight=64,16,4", "--objective_metric=content"]
    here.stop_after, here.fails = 2, {"style_weight=16"}

    assert sweep.main(command) == 75

    said = capsys.readouterr().err
    assert "trials cannot be compared by content because these settings vary: style_weight" in said
    assert "1 of 3 trials done  1 failed" in said
    assert "style_weight=16 failed: the reason (sweep/logs/style_weight=16.log)" in said
    assert said.splitlines()[-1] == "nst_keras: interrupted; run the same command again to resume"
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


def test_the_status_does_not_depend_on_a_reader_of_standard_output(
    sweep_flags, here, capfd, monkeypatch
):
    command = [*sweep_flags, "--vary=style_weight=64,16"]
    here.stop_after = 1
    for status, last in ((75, "interrupted; run the same command again"), (1, "table: ")):
        here.fails = {"style_weight=16"}
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as unread, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", unread)
            assert sweep.main(command) == status
            unread.write("more, which nobody reads\n")
        assert last in capfd.readouterr().err.splitlines()[-1]
        here.stop_after = 99


def test_a_batch_of_pictures(sweep_flags, here, picture_paths):
    folder = picture_paths[0].parent
    vary = [f"--vary=content={folder}/*.png", f"--vary=style={folder}/pain*.png|{picture_paths[0]}"]

    assert sweep.main([*sweep_flags[2:], *vary]) == 0

    both = ("painting", "photo")
    assert sorted(here.ran) == [f"content={a}_style={b}" for a in both for b in both]
    assert len(read_table()) == 4


def test_trials_of_one_size_are_put_together(sweep_flags, here):
    names = [f"size={size}_style_weight={weight}" for size in (48, 56) for weight in (1, 2, 3)]
    vary = ["--vary=size=48,56", "--vary=style_weight=1,2,3", "--batch=2"]
    here.stop_after = 3
    assert sweep.main([*sweep_flags, *vary]) == 75
    assert here.batches == [names[:2], names[3:5]] and here.ran == names[:3]
    here.stop_after, here.batches = 99, []
    assert sweep.main([*sweep_flags, *vary]) == 0
    assert here.batches == [names[3:5]] and here.ran == names


def test_all_shards_know_what_failed(sweep_flags, here):
    command = [*sweep_flags, "--vary=style_weight=1,2,3,4"]
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


def test_changed_settings_need_overwrite(sweep_flags, here, capsys, tmp_path):
    def write(weight):
        (tmp_path / "t.csv").write_text(f"name,style_weight\na,4\nb,{weight}\n")

    command = [*sweep_flags, "--matrix=t.csv"]
    write(8)
    assert sweep.main(command) == 0
    write(9)
    here.ran = []
    capsys.readouterr()

    assert sweep.main(command) == 2

    said = capsys.readouterr().err
    assert "t.csv, row 3: --workdir=sweep/trials/b: contains another run (style_weight: 8.0" in said
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


@pytest.mark.parametrize(
    ("base", "varied", "device"),
    [("auto", "auto,cpu", "auto"), ("gpu", "auto,cpu", "gpu"), ("auto", "cpu,gpu:1", "gpu:1")],
)
def test_trials_that_name_a_gpu_by_its_number_see_all_of_them(sweep_flags, base, varied, device):
    trials = plan([*sweep_flags, f"--device={base}", f"--vary=device={varied}"])
    assert session._device_of(trials, base) == device
