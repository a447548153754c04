"""Training a backbone: the command, resume to the byte, folded features, and fine-tuning."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nst_keras import run, train_backbone
from nst_keras.devices import startup
from nst_keras.imaging.geometry import crop_to_aspect
from nst_keras.imaging.images import read_image
from nst_keras.network import extractor, vgg, weights
from nst_keras.runs.folder import Status
from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError
from nst_keras.settings import command_line
from nst_keras.training import classifier, datasets, input_pipeline, session
from nst_keras.training import config as config_lib
from nst_keras.training import trainer as trainer_lib
from nst_keras.training.classifier import Architecture
from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import Pictures
from nst_keras.training.folder import TrainFolder
from nst_keras.training.input_pipeline import Augmentation

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import draw_shapes  # noqa: E402  a script, not a package

Trainer = trainer_lib.Trainer
STILL = Augmentation(flip=False, shift=0.0, color=0.0)
MOVED = Augmentation(flip=True, shift=0.2, color=0.3)


@pytest.fixture(scope="module", autouse=True)
def reused_trainers():
    """Networks are built and traced once: a training gets one with the variables of a new one."""
    made = {}

    def make(plan, batch_size, initial, distribute):
        key = plan, batch_size, initial and initial.sha256, distribute
        if key not in made:
            trainer = Trainer(plan, batch_size, initial, distribute)
            made[key] = trainer, trainer.arrays()
        trainer, new = made[key]
        trainer.restore(new)
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_lib, "Trainer", make)
        yield


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    """Sixty drawn pictures of ten classes; their CSV."""
    folder = tmp_path_factory.mktemp("shapes")
    draw_shapes.draw_set(folder, count=60, size=24, seed=0)
    return folder / "labels.csv"


@pytest.fixture
def job(shapes, tmp_path, monkeypatch):
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


@pytest.fixture(scope="module")
def whole(shapes, tmp_path_factory):
    """That training without an interruption; its folder."""
    folder = tmp_path_factory.mktemp("whole") / "job"
    arguments = [
        *(f"--csv={shapes}", "--backbone=vgg16", "--image_size=16", "--width=0.06"),
        *("--batch_size=10", "--epochs=2", "--validation_split=0.17", "--quiet"),
        f"--workdir={folder}",
    ]
    assert train_backbone.main(arguments) == 0
    return folder


@pytest.fixture
def no_tensorflow(monkeypatch):
    """Fail if a job gets as far as starting TensorFlow."""

    def too_late(**_):
        raise AssertionError("bad input should have been refused before TensorFlow starts")

    monkeypatch.setattr(startup, "start_tensorflow", too_late)


def refused(arguments, capsys) -> str:
    """The one line with which a command line is refused."""
    assert train_backbone.main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in lines[0], lines
    return lines[0]


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def outcome(folder):
    """What must not depend on interruptions: tables and weights to the byte."""
    with np.load(folder / "weights.npz") as data:
        arrays = {name: data[name].tobytes() for name in data.files}
    return arrays, (folder / "batches.csv").read_bytes(), (folder / "epochs.csv").read_bytes()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--csv=no.csv"], ["--csv=no.csv", "no such file"]),
        (["--folder=x"], ["exactly one", "--csv and --folder"]),
        (["--path_column=file"], ["row 1", "'file'", "path, label"]),
        (["--image_size=8"], ["--image_size=8", "from 16 to 2048"]),
        (["--image_size=16", "--head=flatten"], ["--image_size=16", "32"]),
        (["--width=0"], ["--width=0", "from 0.01"]),
        (["--epochs=many"], ["--epochs=many", "whole number"]),
        (["--learning_rate=-1"], ["--learning_rate=-1"]),
        (["--schedule=step"], ["--schedule=step", "cosine"]),
        (["--epoch=2"], ["--epoch", "did you mean --epochs"]),
        (["photo.jpg"], ["photo.jpg", "--name=value"]),
        (["--flagfile=no.cfg"], ["--flagfile=no.cfg", "cannot be read"]),
        (["--batch_size=100"], ["--batch_size=100", "50 pictures"]),
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
    assert "Default: 224." in text and "with --initial 1e-5" in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_settings_survive_a_flagfile(tmp_path):
    config = config_lib.settle(
        TrainConfig(csv=str(tmp_path), width=0.3, schedule="constant", label_column="item #")
    )
    values = {name: getattr(config, name) for name in config_lib.OPTIONS}
    path = tmp_path / "a.cfg"
    path.write_text(command_line.format_flagfile(config_lib.COMMAND, values))
    given, _ = command_line.parse(config_lib.COMMAND, [f"--flagfile={path}"])
    assert TrainConfig(**given) == config


def test_a_training_leaves_tables_labels_and_a_record(whole):
    batches, epochs = rows_of(whole / "batches.csv"), rows_of(whole / "epochs.csv")
    assert [int(row["step"]) for row in batches] == list(range(1, 11))
    assert [(row["epoch"], row["batch"]) for row in batches[4:6]] == [("1", "5"), ("2", "1")]
    assert [int(row["step"]) for row in epochs] == [5, 10]
    mean = np.mean([float(row["loss"]) for row in batches[:5]])
    assert float(epochs[0]["loss"]) == pytest.approx(mean, rel=1e-4)
    rates = [float(row["learning_rate"]) for row in batches]
    assert rates[0] == 1e-3 and rates == sorted(rates, reverse=True) and 0 < rates[-1] < 3e-5
    assert json.loads((whole / "labels.json").read_text()) == sorted(draw_shapes.CLASSES)
    record = json.loads((whole / "training.json").read_text())
    best = max(float(row["val_accuracy"]) for row in epochs)
    assert record["status"] == "finished" and record["val_accuracy"] == pytest.approx(best)


def test_the_weights_say_what_they_need(whole):
    read = weights.read_weights(whole / "weights.npz", "vgg16")
    assert read.channels == (4, 8, 15, 31, 31) == classifier.scaled_channels(0.06)
    assert (read.channel_order, read.mean) == ("bgr", weights.CAFFE_MEAN)
    assert read.std == classifier.IMAGENET_STD


def test_run_paints_with_the_weights(whole, picture_paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, style = picture_paths
    arguments = [
        *(f"--content={content}", f"--style={style}", f"--weights={whole / 'weights.npz'}"),
        "--backbone=vgg16",
        *("--size=32", "--scales=1", "--iterations=2", "--noscores", "--quiet", "--workdir=x"),
        *("--content_layers=block2_conv1", "--style_layers=block1_conv1", "--nogif"),
    ]
    assert run.main(arguments) == 0 and (tmp_path / "x" / "result.png").exists()


class Killed(BaseException):
    """Ends a training as abruptly as `kill -9` does: nothing gets a chance to save."""


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


def kill():
    raise Killed


@pytest.mark.parametrize(("at", "saved"), [(5, 4), pytest.param(6, 5, marks=pytest.mark.slow)])
def test_a_killed_training_goes_on_at_its_batch_and_ends_with_the_same_bytes(
    job, whole, at, saved, monkeypatch, tmp_path
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        interrupt(patch, at, kill)
        train_backbone.main(job)
    seen, step = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, *given: seen.append(1) or step(self, *given))
    assert train_backbone.main(job) == 0
    assert len(seen) == 10 - saved
    assert outcome(tmp_path / "job") == outcome(whole)


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGTERM, 3), pytest.param(signal.SIGINT, 5, marks=pytest.mark.slow)],
)
def test_a_stop_signal_saves_and_the_same_command_goes_on(
    job, whole, number, at, monkeypatch, tmp_path
):
    with monkeypatch.context() as patch:
        interrupt(patch, at, lambda: os.kill(os.getpid(), number))
        assert train_backbone.main(job) == 75
    record = json.loads((tmp_path / "job" / "training.json").read_text())
    assert record["status"] == "interrupted"
    assert train_backbone.main(["--workdir=job", "--quiet"]) == 0  # the folder knows the rest
    assert outcome(tmp_path / "job") == outcome(whole)


def test_a_finished_training_is_left_alone_and_another_refused(whole, shapes, capsys):
    before = outcome(whole)
    arguments = [f"--flagfile={whole / 'flags.cfg'}"]
    assert train_backbone.main(arguments) == 0
    assert "is finished" in capsys.readouterr().err and outcome(whole) == before
    message = refused([*arguments, "--epochs=4"], capsys)
    assert "epochs: 2 there, 4 here" in message and "--overwrite" in message


def test_a_loss_that_is_not_finite_ends_the_training(job, capsys):
    flags = ["--learning_rate=10", "--batch_norm=false", "--workdir=bad", "--epochs=9"]
    assert train_backbone.main([*job, *flags]) == 1
    assert "smaller --learning_rate" in capsys.readouterr().err


def test_early_stopping_counts_epochs_without_a_better_accuracy(job, tmp_path, monkeypatch):
    scores = iter([0.5, 0.6, 0.6, 0.4, 0.7])

    def score(*_):
        return trainer_lib.Score(1.0, next(scores), 10)

    monkeypatch.setattr(Trainer, "evaluate", score)
    assert train_backbone.main([*job, "--epochs=5", "--patience=2", "--tensorboard"]) == 0
    assert len(rows_of(tmp_path / "job" / "epochs.csv")) == 4
    record = json.loads((tmp_path / "job" / "training.json").read_text())
    assert (record["best_epoch"], record["epochs"]) == (2, 4)
    assert len(list((tmp_path / "job" / "events").glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("kind", ["CMYK.jpg", "L.jpg", "P.png", "RGBA.png", "I;16.png", "P.gif"])
def test_all_kinds_of_pictures_that_pass_the_check_are_decoded(tmp_path, kind):
    path = tmp_path / kind
    Image.new(kind.split(".")[0], (20, 18)).save(path)
    assert datasets._look_at(path).problem == ""
    pictures = Pictures(np.zeros(4, np.int32), paths=(str(path),) * 4)
    images, _ = epoch_of(pictures, STILL)[0]
    assert images.shape == (4, 16, 16, 3) and np.isfinite(images).all()


def seen(path):
    """A file as a training sees it, whole and in [0, 1]."""
    look = datasets._look_at(path)
    assert look.problem == ""
    pixels = input_pipeline._read(
        os.fsencode(path), tf.constant(look.orientation), look.transparent
    )
    return pixels.numpy() / np.float32(255)


@pytest.mark.parametrize("number", range(1, 9))
def test_pictures_that_lie_on_their_side_are_turned_upright(tmp_path, number):
    noise = np.random.default_rng(number).integers(0, 256, (18, 23, 3), np.uint8)
    path, exif = tmp_path / "lying.png", Image.Exif()
    exif[0x0112] = number
    Image.fromarray(noise).save(path, exif=exif)
    np.testing.assert_array_equal(seen(path), read_image(path).pixels)
    assert (seen(path).shape == (23, 18, 3)) == (number > 4)
    pictures = Pictures(np.zeros(4, np.int32), (str(path),) * 4, orientations=np.full(4, number))
    square = crop_to_aspect(read_image(path).pixels, 1, 1)
    dataset = input_pipeline.training_batches(pictures, 18, 4, STILL, seed=0, epoch=0, first=0)
    np.testing.assert_allclose(next(iter(dataset))[0][0], square, atol=1e-6)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_is_seen_over_white(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (18, 20, 4), np.uint8)
    picture, more = Image.fromarray(noise, "RGBA"), {}
    if kind == "P":  # one color is see-through
        picture, more = picture.convert("RGB").quantize(8), {"transparency": 3}
    elif kind == "RGB":
        picture, more = picture.convert("RGB"), {"transparency": tuple(map(int, noise[5, 5, :3]))}
    else:
        picture = picture.convert(kind)
    path = tmp_path / "clear.png"
    picture.save(path, **more)
    expected = read_image(path).pixels
    np.testing.assert_allclose(seen(path), expected, atol=0.51 / 255)
    opaque = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    assert np.abs(expected - opaque).max() > 0.3  # the test can fail


def test_a_set_of_files_keeps_what_was_seen_of_each(tmp_path):
    rows, exif = ["path,label"], Image.Exif()
    exif[0x0112] = 6
    for number in range(12):
        odd = number % 2
        picture = Image.new("RGBA" if odd else "RGB", (20, 18), (number * 20, 0, 0))
        picture.save(tmp_path / f"{number}.png", exif=Image.Exif() if odd else exif)
        rows.append(f"{number}.png,{number % 3}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows))
    data = datasets.read_set(config_lib.settle(TrainConfig(csv=str(table), batch_size=4)))
    for pictures in (data.train, data.validation):
        odd = [int(Path(path).stem) % 2 for path in pictures.paths]
        assert pictures.transparent.tolist() == [bool(one) for one in odd]
        assert pictures.orientations.tolist() == [1 if one else 6 for one in odd]


def test_a_picture_that_vanishes_during_training_is_told_in_one_line(
    job, tmp_path, capsys, monkeypatch
):
    draw_shapes.draw_set(tmp_path / "own", count=60, size=24, seed=0)

    def remove():
        for path in (tmp_path / "own" / "images").iterdir():
            path.unlink()

    interrupt(monkeypatch, 1, remove)
    message = refused([*job, f"--csv={tmp_path / 'own' / 'labels.csv'}"], capsys)
    assert message.startswith(f"nst_keras: {tmp_path / 'own' / 'images'}{os.sep}")
    assert message.endswith(".png: cannot be read: No such file or directory")


def test_the_first_picture_that_is_refused_is_named(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.new("RGB", (20, 18)).save(path)
    pictures = Pictures(np.zeros(3, np.int32), tuple(map(str, paths)))
    assert input_pipeline.refusal(pictures) == ""
    paths[1].write_bytes(data := paths[1].read_bytes()[:-5])
    paths[2].write_bytes(b"")
    said = f"{paths[1]}: cannot be read: Invalid PNG data, size {len(data)}"
    assert input_pipeline.refusal(pictures) == said


def test_an_error_that_is_no_pictures_is_not_called_one(job, monkeypatch):
    def fail(*_):
        raise tf.errors.InvalidArgumentError(None, None, "shapes")

    monkeypatch.setattr(Trainer, "step", fail)
    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes"):
        train_backbone.main(job)


def test_pictures_may_have_names_of_any_bytes(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (20, 18)).save(path)
    pictures = Pictures(np.zeros(4, np.int32), paths=(str(path),) * 4)
    assert epoch_of(pictures, STILL)[0][0].shape == (4, 16, 16, 3)
    assert input_pipeline.refusal(pictures) == ""


def test_out_of_memory_is_told_in_one_line(job, capsys, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nand more")

    monkeypatch.setattr(Trainer, "step", fail)
    assert train_backbone.main(job) == 1
    said = "nst_keras: out of memory; give a smaller --batch_size, --image_size or --width\n"
    assert capsys.readouterr().err == said


def test_a_stop_signal_during_the_last_test_is_heard(job, tmp_path, monkeypatch):
    read, evaluate = datasets.read_set, Trainer.evaluate

    def with_test(config):
        data = read(config)
        return dataclasses.replace(data, test=data.validation.take(np.arange(5)))

    def stop(self, pictures, stopping):
        if len(pictures) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, pictures, stopping)

    monkeypatch.setattr(datasets, "read_set", with_test)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", stop)
        assert train_backbone.main([*job, "--epochs=1"]) == 75
    record = TrainFolder(tmp_path / "job").read_record()
    assert record["status"] == "interrupted" and "best_epoch" not in record
    assert train_backbone.main([*job, "--epochs=1"]) == 0
    record = TrainFolder(tmp_path / "job").read_record()
    assert record["status"] == "finished" and 0 <= record["test_accuracy"] <= 1


def test_a_folder_is_trained_in_by_one_process_at_a_time(job, tmp_path, capsys):
    with files.held(tmp_path / "job"):
        left = tmp_path / "job" / ".batches.csv.12ab34cd.tmp"
        left.write_bytes(b"")  # being written
        assert train_backbone.main(job) == 2
        assert "job: another process is at work in it" in capsys.readouterr().err
        assert left.exists()
    assert train_backbone.main(job) == 0
    assert not left.exists()


def test_a_folder_says_at_every_moment_whose_it_is(tmp_path, monkeypatch):
    folder = TrainFolder(tmp_path)
    folder.prepare({"epochs": "1"}, Status.NEW)
    folder.write_record(status="finished", best_epoch=1)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", lambda *_: kill())
        folder.prepare({"epochs": "2"}, Status.NEW)
    assert folder.read_record()["status"] == "finished"
    folder.prepare({"epochs": "2"}, Status.NEW)
    assert folder.read_record() == {"status": "preparing", "job": {"epochs": "2"}}


def trained(plan, steps=4):
    """A small network after a few steps, so that batch norm has seen something."""
    keras.utils.set_random_seed(0)
    trainer = Trainer(plan, 6, None, "none")
    rng = np.random.default_rng(0)
    for _ in range(steps):
        images = rng.random((6, plan.image_size, plan.image_size, 3), np.float32)
        trainer.step(tf.constant(images), tf.constant(rng.integers(0, 3, 6, np.int32)), 1e-2)
    return trainer


@pytest.mark.parametrize(("backbone", "batch_norm"), [("vgg19", True), ("vgg16", False)])
def test_folded_features_are_those_of_the_trained_net(backbone, batch_norm, tmp_path):
    plan = Architecture(
        backbone, (4, 6, 8, 8, 8), classes=3, image_size=32, batch_norm=batch_norm, std=(60.0,) * 3
    )
    trainer = trained(plan)
    weights.write_weights(tmp_path / "a.npz", trainer.weights())
    read = weights.read_weights(tmp_path / "a.npz", backbone)
    names = vgg.layer_names(backbone)
    image = np.random.default_rng(1).random((2, 32, 32, 3), np.float32)
    ours = extractor.feature_extractor(read, names)(image)
    outputs = {name: trainer.model.get_layer(f"{name}_relu").output for name in names}
    theirs = keras.Model(trainer.model.input, outputs)(image, training=False)
    for name in names:
        scale = float(tf.reduce_max(tf.abs(theirs[name])))
        assert scale > 0
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4 * max(1.0, scale))


def test_fine_tuning_starts_from_the_given_features(tiny_weights, tiny_weights_path, job, tmp_path):
    flags = [f"--initial={tiny_weights_path}", "--width=1", "--backbone=vgg19"]
    flags += ["--epochs=1", "--learning_rate=1e-9"]
    assert train_backbone.main([*job, *flags]) == 0
    read = weights.read_weights(tmp_path / "job" / "weights.npz", "vgg19")
    assert (read.channels, read.std) == (tiny_weights.channels, tiny_weights.std)
    for name, kernel in tiny_weights.kernels.items():
        np.testing.assert_allclose(read.kernels[name], kernel, atol=1e-6)


def test_embedded_weights_can_be_the_start(shapes):
    config = config_lib.settle(TrainConfig(csv=str(shapes), initial="embedded"))
    initial = session._read_initial(config)
    assert initial and initial.channels == vgg.CHANNELS and initial.std == (1.0, 1.0, 1.0)
    assert not config.batch_norm and config.learning_rate == 1e-5


def test_low_precision_gives_nearly_the_same(job, whole, tmp_path):
    assert train_backbone.main([*job, "--precision=bfloat16", "--epochs=1"]) == 0
    ours, theirs = (rows_of(f / "batches.csv")[0]["loss"] for f in (tmp_path / "job", whole))
    assert float(ours) == pytest.approx(float(theirs), rel=0.02)
    read = weights.read_weights(tmp_path / "job" / "weights.npz", "vgg16")
    assert all(kernel.dtype == np.float32 for kernel in read.kernels.values())


@pytest.mark.slow
def test_devices_share_a_batch(job, tmp_path, monkeypatch):
    mirrored = tf.distribute.MirroredStrategy  # of two of the three devices here: batches are of 10
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: mirrored(["/cpu:0", "/cpu:1"]))
    losses = []
    for distribute in ("none", "mirrored"):
        # Batch norm would see five pictures a device.
        flags = ["--nobatch_norm", "--dropout=0", "--epochs=1", f"--distribute={distribute}"]
        assert train_backbone.main([*job, *flags, f"--workdir={distribute}"]) == 0
        losses.append(
            [float(row["loss"]) for row in rows_of(tmp_path / distribute / "batches.csv")]
        )
    assert len(losses[0]) > 1
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_a_flat_head_with_a_dense_layer():
    plan = Architecture(
        "vgg16", (4, 4, 4, 4, 4), classes=3, image_size=32, head="flatten", dense_units=5
    )
    model = classifier.build_classifier(plan)
    assert model.get_layer("flatten").output.shape == (None, 4)
    assert model.get_layer("dense").kernel.shape == (4, 5) and model.output_shape == (None, 3)


def test_the_cost_of_vgg19_is_that_of_its_paper():
    plan = Architecture("vgg19", vgg.CHANNELS, classes=100, image_size=224)
    assert classifier.forward_flops(plan) == pytest.approx(39.0e9, rel=0.01)


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "share"),
    [
        ("constant", 0, 7, 1.0),
        ("cosine", 0, 1, 1.0),
        ("cosine", 0, 5, 0.5868),
        ("cosine", 4, 1, 0.25),
        ("cosine", 4, 5, 1.0),
        ("cosine", 12, 9, 0.75),
        ("constant", 4, 4, 1.0),
    ],
)
def test_the_learning_rate(schedule, warmup, step, share):
    rate = trainer_lib.learning_rate(0.1, schedule, warmup, step, 9)
    assert rate == pytest.approx(0.1 * share, abs=1e-4)


def pictures_of(count, size=16):
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    return Pictures(np.arange(count, dtype=np.int32), pixels=pixels)


def epoch_of(pictures, augmentation, **place):
    place = {"seed": 0, "epoch": 0, "first": 0} | place
    dataset = input_pipeline.training_batches(pictures, 16, 4, augmentation, **place)
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def test_an_epoch_can_be_entered_at_any_batch():
    pictures = pictures_of(18)
    all_of_it, rest = epoch_of(pictures, MOVED), epoch_of(pictures, MOVED, first=2)
    assert len(all_of_it) == 4 and len(rest) == 2
    for (images, labels), (again, labels_again) in zip(all_of_it[2:], rest, strict=True):
        assert np.array_equal(images, again) and np.array_equal(labels, labels_again)


def test_epochs_differ_in_order_and_augmentation_and_seeds_do():
    pictures = pictures_of(16)
    orders = [
        tuple(np.concatenate([labels for _, labels in epoch_of(pictures, STILL, **place)]))
        for place in ({}, {"epoch": 1}, {"seed": 1})
    ]
    assert len(set(orders)) == 3 and all(sorted(order) == list(range(16)) for order in orders)
    first, second = (epoch_of(pictures_of(4), MOVED, epoch=epoch)[0] for epoch in (0, 1))
    order = np.argsort(first[1]), np.argsort(second[1])
    assert not np.array_equal(first[0][order[0]], second[0][order[1]])


def test_unaugmented_pictures_come_as_they_are():
    pictures = pictures_of(4)
    images, labels = epoch_of(pictures, STILL)[0]
    np.testing.assert_allclose(images, pictures.pixels[labels] / 255.0, atol=1e-6)


def test_validation_fills_up_its_last_batch_with_what_counts_as_nothing():
    pictures = pictures_of(6)
    batches = list(input_pipeline.validation_batches(pictures, 16, 4))
    labels = np.concatenate([labels for _, labels in batches])
    assert list(labels) == [0, 1, 2, 3, 4, 5, input_pipeline.PADDING, input_pipeline.PADDING]
    plan = Architecture("vgg16", (4, 4, 4, 4, 4), classes=6, image_size=16)
    by_four, by_six = (Trainer(plan, size, None, "none").evaluate(pictures, []) for size in (4, 6))
    assert by_four.count == 6 and by_four.loss == pytest.approx(by_six.loss, rel=1e-5)


def test_augmentation_keeps_range_and_shape():
    image = tf.constant(pictures_of(1).pixels[0] / 255.0, tf.float32)
    for value in (0.0, 0.3, 0.999):
        moved = input_pipeline.augment(image, tf.fill((6,), value), MOVED).numpy()
        assert moved.shape == (16, 16, 3) and moved.min() >= 0 and moved.max() <= 1
    flipped = input_pipeline.augment(image, tf.zeros(6), Augmentation(True, 0.0, 0.0))
    assert np.array_equal(flipped, image[:, ::-1])


def test_pictures_are_cut_to_a_square_and_not_stretched():
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    assert input_pipeline.fit(tf.constant(wide), 16).numpy().min() == 1.0


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused(monkeypatch):
    plan = Architecture("vgg16", (4, 4, 4, 4, 4), classes=2, image_size=16)
    strategy = type("Two", (), {"num_replicas_in_sync": 2})()
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    with pytest.raises(InputError, match="--batch_size=25: must be a multiple of the 2 devices"):
        Trainer(plan, 25, None, "none")


def test_drawn_pictures_are_repeatable(shapes, tmp_path):
    draw_shapes.draw_set(tmp_path, count=20, size=24, seed=0)
    rows = rows_of(tmp_path / "labels.csv")
    assert sorted({row["label"] for row in rows}) == sorted(draw_shapes.CLASSES)
    for row in rows:
        drawn = (tmp_path / row["path"]).read_bytes()
        assert drawn == (shapes.parent / row["path"]).read_bytes()


def test_the_flagfile_for_cifar_is_one_that_the_command_takes():
    given, _ = command_line.parse(
        config_lib.COMMAND, [f"--flagfile={ROOT / 'configs/cifar100.cfg'}"]
    )
    config = config_lib.settle(TrainConfig(**given))
    assert (config.epochs, config.batch_size, config.image_size) == (20, 25, 224)
    assert (config.cifar100, config.backbone, config.width) == ("keras", "vgg19", 1.0)


@pytest.mark.slow
def test_kill_9_and_the_same_command(job, whole, tmp_path):
    """The same with real processes: killed twice, then finished."""
    command = [sys.executable, "-m", "nst_keras.train_backbone", *job]
    for step in (3, 9):
        process = subprocess.Popen(command)
        table = tmp_path / "job" / "batches.csv"
        while process.poll() is None:
            if table.exists() and len(table.read_text().splitlines()) > step:
                process.send_signal(signal.SIGKILL)
                process.wait()
    assert subprocess.run(command).returncode == 0
    assert outcome(tmp_path / "job") == outcome(whole)


def test_the_data_of_a_resume_must_be_the_same(whole, capsys, monkeypatch):
    real = datasets.read_set
    monkeypatch.setattr(
        datasets, "read_set", lambda config: dataclasses.replace(real(config), sha256="0" * 64)
    )
    assert "sha256 of data" in refused([f"--flagfile={whole / 'flags.cfg'}"], capsys)
