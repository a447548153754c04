"""The command that trains a backbone: its flags, its help, and what it refuses."""

from pathlib import Path

import pytest

from nst_keras import train_backbone
from nst_keras.devices import startup
from nst_keras.settings import command_line
from nst_keras.training import config as config_lib
from nst_keras.training.config import TrainConfig
from tests.training.conftest import draw_shapes, refused

ROOT = Path(__file__).parent.parent


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Flags of a small training; its 60 pictures are drawn."""
    monkeypatch.chdir(tmp_path)
    draw_shapes.draw_set(tmp_path, count=60, size=24, seed=0)
    return [
        *("--csv=labels.csv", "--backbone=vgg16", "--image_size=16", "--width=0.06"),
        *("--batch_size=10", "--epochs=2", "--validation_split=0.17", "--workdir=job"),
    ]


@pytest.fixture
def no_tensorflow(monkeypatch):
    """Fail if a job gets as far as starting TensorFlow."""

    def too_late(**_):
        raise AssertionError("bad input should have been refused before TensorFlow starts")

    monkeypatch.setattr(startup, "start_tensorflow", too_late)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--csv=no.csv"], ["--csv=no.csv", "no such file"]),
        (["--folder=x"], ["exactly one", "--csv and --folder"]),
        (["--path_column=file"], ["row 1", "no column file", "path, label"]),
        (["--image_size=8"], ["--image_size=8", "from 16 to 2048"]),
        (["--image_size=16", "--head=flatten"], ["--image_size=16", "32"]),
        (["--width=0"], ["--width=0", "from 0.01"]),
        (["--epochs=many"], ["--epochs=many", "whole number"]),
        (["--learning_rate=-1"], ["--learning_rate=-1"]),
        (["--schedule=step"], ["--schedule=step", "cosine"]),
        (["--epoch=2"], ["--epoch", "did you mean --epochs"]),
        (["photo.jpg"], ["photo.jpg", "--name=value"]),
        (["--flagfile=no.cfg"], ["--flagfile=no.cfg", "cannot be read"]),
        (["--batch_size=100"], ["--batch_size=100", "at most 50"]),
        (["--validation_split=0", "--patience=2"], ["--patience=2", "--validation_split"]),
        (["--initial=embedded"], ["--width=0.06", "--initial"]),
        (["--initial=no.npz", "--width=1"], ["--initial=no.npz", "no such file"]),
        (["--initial=embedded", "--width=1", "--batch_norm"], ["--batch_norm", "--initial"]),
        (["--initial=embedded", "--width=1", "--backbone=vgg16"], ["--backbone=vgg16"]),
        (["--workdir=/dev/null/job"], ["--workdir=/dev/null/job", "cannot be written to"]),
    ],
)
def test_bad_flags_are_refused(job, flags, words, capsys, no_tensorflow):
    message = refused([*job, *flags], capsys)
    assert all(word in message for word in words), message


def test_help_names_every_flag_with_its_default(capsys):
    assert train_backbone.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in config_lib.OPTIONS:
        assert f"--{name} " in text or f"--[no]{name} " in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_settings_survive_a_flagfile(tmp_path):
    config = config_lib.settle(
        TrainConfig(csv=str(tmp_path), width=0.3, schedule="constant", label_column="item #")
    )
    values = {name: getattr(config, name) for name in config_lib.OPTIONS}
    path = tmp_path / "a.cfg"
    path.write_text(command_line.format_flagfile(config_lib.COMMAND, values))
    given, _ = command_line.parse(config_lib.COMMAND, [f"--flagfile={path}"])
    assert TrainConfig(**given) == config


def test_the_flagfile_for_cifar_is_one_that_the_command_takes():
    given, _ = command_line.parse(
        config_lib.COMMAND, [f"--flagfile={ROOT / 'configs/cifar100.cfg'}"]
    )
    config = config_lib.settle(TrainConfig(**given))
    assert (config.epochs, config.batch_size, config.image_size) == (20, 25, 224)
    assert (config.backbone, config.width) == ("vgg19", 1.0)
    assert Path(config.cifar100).resolve() == ROOT / "cifar-100-binary.tar.gz"
