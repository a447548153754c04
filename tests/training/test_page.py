"""The page of a training."""

import numpy as np
import pytest

from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import Pictures
from nst_keras.training.folder import TrainFolder, TrainingWriter
from nst_keras.training.page import SAMPLES, Predictions, TrainingPage
from tests.runs.conftest import Parsed, page_data

NAMES = ("apple", "bear", "<clock>")


@pytest.fixture
def folder(tmp_path):
    folder = TrainFolder(tmp_path)
    writer = TrainingWriter(folder, 0, 0, tensorboard=False)
    figures = {"accuracy": 0.5, "learning_rate": 0.1}
    for step in (1, 2):
        writer.write(step, ends_epoch=False, epoch=1, batch=step, loss=3.0 - step, **figures)
    scores = {"val_loss": None, "val_accuracy": 0.25}
    writer.write(2, ends_epoch=True, epoch=1, loss=1.5, **scores, **figures)
    writer.close()
    return folder


@pytest.fixture
def page(folder):
    return TrainingPage(folder, TrainConfig(csv="/home/me/labels.csv"), NAMES)


def predictions(found, labels):
    pixels = np.zeros((len(labels), 20, 30, 3), np.uint8)
    pictures = Pictures(pixels, np.array(labels, np.int32))
    return Predictions(pictures, np.array(found), "validation")


def test_curves_confusion_and_pictures_of_a_finished_training(folder, page):
    page.finish(predictions([0, 0, 2, 1], [0, 1, 2, 1]))

    data = page_data(folder.page)
    assert data["batches"]["loss"] == [2.0, 1.0]
    assert (data["epochs"]["loss"], data["epochs"]["val_loss"]) == ([1.5], [None])
    assert data["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert data["live"] is None
    shown = Parsed(folder.page.read_text("utf-8"))
    alts = [own["alt"] for tag, own in shown.tags if tag == "img"]
    assert alts == [
        "bear, taken for apple",
        "apple, taken for apple",
        "<clock>, taken for <clock>",
        "bear, taken for bear",
    ]
    assert "25.0% of validation pictures right" in " ".join(shown.text.values())


def test_mistakes_come_first_and_take_at_most_half():
    labels = [0] * 100

    def wrong(count):
        chosen = predictions([1] * count + [0] * (100 - count), labels).samples()
        return sum(index < count for index in chosen), len(chosen)

    assert wrong(60) == (SAMPLES // 2, SAMPLES)
    assert wrong(3) == (3, SAMPLES)


def test_a_training_at_work_says_where_it_is_and_when_news_will_come(folder, page):
    page.refresh("epoch 1 of 2, batch 1 of 2", 0.25, 10.0, 65.0)

    text = folder.page.read_text("utf-8")
    assert "epoch 1 of 2, batch 1 of 2, 25\u00a0%, about 1:05 left" in text
    assert page_data(folder.page)["live"]["within"] > 0
    assert "/home/me" not in text

    before = folder.page.read_bytes()
    page.refresh("epoch 1 of 2, batch 2 of 2", 0.5, 10.1, 65.0)
    assert folder.page.read_bytes() == before  # it was written just before

    page.stop("failed", "epoch 1 of 2, batch 2 of 2", 0.5, "the loss is nan")
    text = folder.page.read_text("utf-8")
    assert "the loss is nan" in text
    assert f"--workdir={folder.path.name}" in text.replace("</span> <span>", " ")


def test_of_many_classes_there_is_no_table(folder):
    count = 60_000  # of whose square int32 has no room
    names = tuple(map(str, range(count)))
    page = TrainingPage(folder, TrainConfig(csv="labels.csv"), names)
    page.finish(predictions([0, count - 1], [0, count - 1]))
    assert page_data(folder.page)["confusion"] is None
    assert folder.page.stat().st_size < 2e6
