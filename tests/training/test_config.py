"""Settings of a training: help, flagfiles, what goes together, and what is filled in."""

import re
from pathlib import Path

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.settings.command_help import help_text
from nst_keras.training.config import COMMAND, OPTIONS, TrainConfig, settle

CONFIGS = Path(__file__).parent.parent.parent / "configs"
HELP = help_text(COMMAND, "all")


def read(*arguments):
    return TrainConfig(**command_line.parse(COMMAND, arguments)[0])


def refusal(make):
    with pytest.raises(InputError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_help_lists_every_flag_with_its_default():
    listed = re.findall(r"^  --(?:\[no\])?(\w+)", HELP, re.MULTILINE)
    assert sorted(listed) == sorted([*OPTIONS, "flagfile", "help", "version", "quiet"])
    text = " ".join(HELP.split())
    assert "from 16 to 2048; default: 224]" in text and "with --initial 1e-5" in text
    assert max(map(len, HELP.splitlines())) <= 80
    assert all(option.help.endswith(".") for option in OPTIONS.values())


def test_settings_survive_a_flagfile(tmp_path):
    config = settle(
        TrainConfig(csv=str(tmp_path), width=0.3, schedule="constant", label_column="item #")
    )
    path = tmp_path / "a.cfg"
    path.write_text(command_line.format_flagfile(COMMAND, vars(config)))
    assert read(f"--flagfile={path}") == config


def test_the_flagfile_for_cifar_100():
    config = settle(read(f"--flagfile={CONFIGS / 'cifar100.cfg'}"))
    assert (config.epochs, config.batch_size, config.image_size) == (20, 25, 224)
    assert (config.backbone, config.width) == ("vgg19", 1.0)
    assert Path(config.cifar100).resolve() == CONFIGS.parent / "cifar-100-binary.tar.gz"


def test_the_british_name_of_a_flag_is_still_accepted():
    assert read("--colour=0.3") == TrainConfig(color=0.3)


def test_files_that_are_read_count_by_content():
    hashed = {name for name, option in OPTIONS.items() if option.hashed}
    assert hashed == {"cifar100", "csv", "folder", "image_root", "validation_csv", "initial"}


@pytest.mark.parametrize(
    ("settings", "batch_norm", "learning_rate"),
    [
        ({}, True, 1e-3),
        ({"batch_norm": False}, False, 1e-4),
        ({"initial": "embedded"}, False, 1e-5),
        ({"learning_rate": 0.5}, True, 0.5),
    ],
)
def test_what_is_open_is_filled_in(settings, batch_norm, learning_rate):
    config = settle(TrainConfig(folder="photos", **settings))
    assert (config.batch_norm, config.learning_rate) == (batch_norm, learning_rate)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "--cifar100, --csv, --folder: exactly one is needed, not none"),
        ({"csv": "a", "folder": "b"}, "exactly one is needed, not --csv and --folder"),
        ({"folder": "a", "validation_csv": "b"}, "--validation_csv=b: needs --csv"),
        (
            {"folder": "a", "initial": "embedded", "batch_norm": True},
            "--batch_norm=true: must be false with --initial",
        ),
        ({"folder": "a", "initial": "b", "width": 0.5}, "--width=0.5: must be 1 with --initial"),
        (
            {"folder": "a", "validation_split": 0.0, "patience": 2},
            "--patience=2: needs --validation_split above 0",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    assert message in refusal(lambda: settle(TrainConfig(**settings)))


def test_a_flat_head_needs_larger_pictures():
    TrainConfig(head="flatten", image_size=32)
    message = refusal(lambda: TrainConfig(head="flatten", image_size=31))
    assert message == "--image_size=31: must be at least 32 with --head=flatten"
