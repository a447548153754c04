"""The flags of a sweep: how they go together with those of a run, and what is refused."""

import sys

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command_help import help_text
from nst_keras.sweeps import flags
from nst_keras.sweeps.flags import SweepConfig


def test_flags_of_a_sweep_and_of_a_run_have_different_names():
    assert not flags.OPTIONS.keys() & flags.COMMAND.inherited.keys()


def test_all_are_accepted_and_the_help_lists_the_sweep_s_own():
    arguments = ["--vary=init=noise,gray", "--vary=seed=1,2", "--size=64", "--jobs=2", "--dry_run"]
    values, _ = command_line.parse(flags.COMMAND, arguments)
    assert values == {
        "vary": ("init=noise,gray", "seed=1,2"),
        "size": 64,
        "jobs": 2,
        "dry_run": True,
    }
    text = help_text(flags.COMMAND, "all")
    assert "--vary" in text and "--style_weight " not in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_sweep_can_live_in_a_flagfile(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "sweep.cfg").write_text(
        "--matrix=t.csv\n--vary=content=photos/*.jpg\n--vary=style=a.jpg|b.jpg,/c.jpg\n"
        "--vary=init=noise,first.png\n--jobs=2\n--batch=3\n--size=64\n--workdir=../out\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["--size=32", "--flagfile=configs/sweep.cfg", "--jobs=4"]
    values, _ = command_line.parse(flags.COMMAND, arguments)
    assert values == {
        "matrix": "configs/t.csv",
        "vary": (
            "content=configs/photos/*.jpg",
            "style=configs/a.jpg|configs/b.jpg,/c.jpg",
            "init=noise,configs/first.png",
        ),
        "jobs": 4,  # the command line wins
        "batch": 3,
        "size": 32,
        "workdir": "configs/../out",
    }


@pytest.mark.parametrize("text", ["1/1", "1/4", "4/4"])
def test_a_shard_is_one_of_several_parts(text):
    assert SweepConfig(shard=text).part() == tuple(map(int, text.split("/")))


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/2/3", "²/3"])
def test_other_shards_are_refused(text):
    with pytest.raises(InputError, match="--shard=.*: must be I/N with I from 1 to N") as caught:
        SweepConfig(shard=text)
    assert caught.value.flags == ("shard",)


@pytest.mark.parametrize(
    "names", [("init",), ("init", "seed", "size"), ("gif", "init"), ("init", "workdir")]
)
def test_a_layout_needs_two_flags_that_change_the_picture(names):
    SweepConfig(layout=("init", "style_scale"))
    with pytest.raises(InputError, match=f"--layout={','.join(names)}: must be two flags"):
        SweepConfig(layout=names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"engine": "ray", "jobs": 2},
            "--jobs=2: needs --engine=local; with ray, use --cpus_per_trial",
        ),
        ({"engine": "ray", "batch": 2}, "--batch=2: needs --engine=local"),
        ({"cpus_per_trial": 2.0}, "--cpus_per_trial=2: needs --engine=ray; use --jobs"),
        ({"gpus_per_trial": 0.0}, "--gpus_per_trial=0: needs --engine=ray; use --jobs"),
        ({"jobs": 0}, "jobs=0: must be a whole number of at least 1"),
        ({"engine": "slurm"}, "engine='slurm': must be one of local, ray"),
    ],
)
def test_flags_that_the_engine_does_not_have_are_refused(settings, message):
    with pytest.raises(InputError) as caught:
        SweepConfig(**settings)
    assert str(caught.value) == message


def test_batches_are_refused_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    SweepConfig(batch=1)
    with pytest.raises(InputError, match="--batch=2: is not available on Windows"):
        SweepConfig(batch=2)
