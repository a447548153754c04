"""What tests of trainings share: small data sets, and small trainings of them."""

import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_keras import train_backbone
from nst_keras.network import vgg
from nst_keras.training import input_pipeline
from nst_keras.training import trainer as trainer_lib
from nst_keras.training.config import TrainConfig, settle
from nst_keras.training.datasets import Pictures

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
import draw_shapes

Trainer = trainer_lib.Trainer
STILL = TrainConfig(image_size=16, batch_size=4, flip=False, shift=0.0, color=0.0)
MOVED = TrainConfig(image_size=16, batch_size=4, flip=True, shift=0.2, color=0.3)
CIFAR_NAMES = ("apple", "bear", "clock", "dinosaur", "elephant")


def cifar_records(count, seed=0):
    """Records of CIFAR's binary version, uint8 (count, 3074); labels count from 0 to 4 again."""
    records = np.random.default_rng(seed).integers(0, 256, (count, 3074), np.uint8)
    records[:, 1] = np.arange(count) % len(CIFAR_NAMES)
    return records


def cifar_folder(folder, **changes):
    """A CIFAR-100 of five classes, 20 and 10 pictures; `changes` are other bytes by file stem."""
    content = {
        "train": cifar_records(20, 0).tobytes(),
        "test": cifar_records(10, 1).tobytes(),
        "fine_label_names": "".join(f"{name}\n" for name in CIFAR_NAMES).encode(),
    }
    path = folder / "cifar-100-binary"
    path.mkdir(parents=True)
    for stem, data in (content | changes).items():
        if data is not None:
            suffix = "txt" if stem == "fine_label_names" else "bin"
            (path / f"{stem}.{suffix}").write_bytes(data)
    return path


def write_pictures(folder, count, size=20):
    """`count` PNG files of one color each, named 0.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", (size, size), (number * 9, 100, 50)).save(folder / f"{number}.png")


def write_csv(path, rows, header="path,label"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def config_of(**settings):
    return settle(TrainConfig(**{"batch_size": 2, "image_size": 16, **settings}))


@pytest.fixture(scope="package")
def reused_trainers():
    """Networks are built and traced once: a training gets one with the variables of a new one.

    A VGG16 has few convolutions here, since most of a test's time goes into compiling.
    """
    made = {}

    def make(config, start, classes):
        elsewhere = {"csv": None, "workdir": None, "schedule": "cosine", "warmup_steps": 0}
        elsewhere |= {"epochs": 1, "patience": 0, "learning_rate": 1.0, "tensorboard": False}
        key = dataclasses.replace(config, **elsewhere), start.sha256, classes
        if key not in made:
            trainer = Trainer(config, start, classes)
            made[key] = trainer, trainer.state()
        trainer, new = made[key]
        trainer.config = config
        trainer.restore(new)
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_lib, "Trainer", make)
        patch.setitem(vgg.BLOCKS, "vgg16", (1, 1, 1, 1, 2))
        vgg.architecture.cache_clear()
        yield
    vgg.architecture.cache_clear()


@pytest.fixture(scope="package")
def shapes(tmp_path_factory) -> Path:
    """Sixty drawn pictures of ten classes; their CSV."""
    folder = tmp_path_factory.mktemp("shapes")
    draw_shapes.draw_set(folder, count=60, size=24, seed=0)
    return folder / "labels.csv"


@pytest.fixture
def job(shapes, reused_trainers, tmp_path, monkeypatch):
    """Flags of a training of 10 steps in two epochs that takes seconds."""
    monkeypatch.chdir(tmp_path)
    return [
        f"--csv={shapes}",
        "--backbone=vgg16",
        "--image_size=16",
        "--width=0.06",
        "--batch_size=10",
        "--epochs=2",
        "--validation_split=0.17",
        "--checkpoint_minutes=0",
        "--checkpoint_every=2",
        "--quiet",
        "--workdir=job",
    ]


@pytest.fixture(scope="package")
def whole(shapes, reused_trainers, tmp_path_factory):
    """That training without an interruption; its folder."""
    folder = tmp_path_factory.mktemp("whole") / "job"
    arguments = [
        *(f"--csv={shapes}", "--backbone=vgg16", "--image_size=16", "--width=0.06"),
        *("--batch_size=10", "--epochs=2", "--validation_split=0.17", "--quiet"),
        f"--workdir={folder}",
    ]
    assert train_backbone.main(arguments) == 0
    return folder


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def outcome(folder):
    """What must not depend on interruptions: tables and weights to the byte."""
    with np.load(folder / "weights.npz") as data:
        arrays = {name: data[name].tobytes() for name in data.files}
    return arrays, (folder / "batches.csv").read_bytes(), (folder / "epochs.csv").read_bytes()


def refused(arguments, capsys) -> str:
    """The one line with which a command line is refused."""
    assert train_backbone.main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in lines[0], lines
    return lines[0]


class Killed(BaseException):
    """Ends a training as abruptly as `kill -9` does: nothing gets a chance to save."""


def kill():
    raise Killed


def interrupt(monkeypatch, at, act):
    """Call `act` when training reaches its `at`-th batch."""
    seen, step = [], Trainer.step

    def counting(self, *arguments):
        score = step(self, *arguments)
        seen.append(score)
        if len(seen) == at:
            act()
        return score

    monkeypatch.setattr(Trainer, "step", counting)


def pictures_of(count, size=16):
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    return Pictures(pixels, np.arange(count, dtype=np.int32))


def pictures_in(*paths):
    """Picture files, all of one class."""
    return Pictures(np.array([str(path) for path in paths], object), np.zeros(len(paths), np.int32))


def epoch_of(pictures, config, epoch=0, first=0):
    dataset = input_pipeline.training_batches(pictures, config, epoch=epoch, first=first)
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]
