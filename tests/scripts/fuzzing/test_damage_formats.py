"""Damage below checksums: archives, arrays and chunks stay readable as such."""

import io
import random
import tarfile
import zipfile

import numpy as np

from scripts.fuzzing import damage_formats, formats, seeds
from scripts.fuzzing.damage_formats import CallsWhenLoaded
from scripts.fuzzing.pictures import save_picture
from scripts.fuzzing.watch import observe


def test_arrays_that_run_code_are_a_finding(tmp_path):
    array = formats.npy(np.array([CallsWhenLoaded()], object))
    (tmp_path / "a.npy").write_bytes(array)
    outcome = observe(lambda: np.load(tmp_path / "a.npy", allow_pickle=True), tmp_path)
    assert outcome.name == "stray" and "getcwd" in str(outcome.findings)


def damaged(way, data, count=40):
    return [way(random.Random(number), data, [data]) for number in range(count)]


def test_a_damaged_picture_has_correct_checksums():
    pictures = damaged(damage_formats.change_png, save_picture("PNG"))
    whole = [data for data in pictures if formats.write_png(formats.read_png(data)) == data]
    assert len(whole) == len(pictures) and len({*pictures}) > 30


def test_a_damaged_archive_of_arrays_can_be_opened():
    archives = damaged(damage_formats.change_zip, seeds.checkpoint_file(1))
    opened = [formats.read_zip(data) for data in archives]
    assert all(opened) and len({*archives}) > 30


def test_a_damaged_archive_of_files_can_be_opened():
    archives = damaged(damage_formats.change_tar, seeds.cifar_archives()[0])
    for data in archives:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert 2 <= len(archive.getmembers()) <= 3
    assert len({*archives}) > 30


def test_a_bomb_is_a_small_file_of_a_large_array():
    bomb = damage_formats._zeros_npz("block1_conv1/bias.npy")
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        assert archive.getinfo("block1_conv1/bias.npy").file_size > 600_000_000
    assert len(bomb) < 5_000_000
