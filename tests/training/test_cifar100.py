"""CIFAR-100's binary version: read from archive and folder, refused when damaged."""

import io
import tarfile

import numpy as np
import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.training import cifar100
from tests.training.conftest import CIFAR_NAMES, cifar_folder, cifar_records


def archive_of(folder, inside="cifar-100-binary"):
    path = folder.parent / "cifar-100-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, inside)
    return path


def refusal(path) -> str:
    """The one line with which a source is refused, without the flag that it begins with."""
    with pytest.raises(InputError) as caught:
        cifar100.read_cifar100(str(path))
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"--cifar100={path}: ")
    return message.removeprefix(f"--cifar100={path}: ")


@pytest.mark.parametrize("kind", ["archive", "flat_archive", "folder", "parent"])
def test_archives_and_folders_give_pictures_labels_and_names(tmp_path, kind):
    folder = cifar_folder(tmp_path)
    path = {"folder": folder, "parent": tmp_path}.get(kind)
    path = path or archive_of(folder, "." if kind == "flat_archive" else "cifar-100-binary")
    (pixels, labels), (test_pixels, test_labels), names = cifar100.read_cifar100(str(path))
    assert pixels.shape == (20, 32, 32, 3) and test_pixels.shape == (10, 32, 32, 3)
    assert pixels.dtype == np.uint8 and labels.dtype == np.int32
    record = cifar_records(20)[4, 2:]
    for row, column, channel in ((0, 0, 0), (3, 31, 1), (31, 7, 2)):
        assert pixels[4, row, column, channel] == record[channel * 1024 + row * 32 + column]
    assert list(labels) == [n % 5 for n in range(20)] and list(test_labels) == [0, 1, 2, 3, 4] * 2
    assert names == CIFAR_NAMES


def test_the_last_label_and_not_the_coarse_one_is_checked(tmp_path):
    records = cifar_records(4)
    records[:, 0] = 255
    folder = cifar_folder(tmp_path, test=records.tobytes())
    assert list(cifar100.read_cifar100(str(folder))[1][1]) == [0, 1, 2, 3]
    records[3, 1] = 5
    (folder / "test.bin").write_bytes(records.tobytes())
    said = "cannot be read as CIFAR-100: test.bin: label 5 of picture 3 is outside 0 to 4"
    assert refusal(folder) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": b""}, "train.bin is 0 bytes long, not a multiple of 3,074"),
        ({"test": b""}, "test.bin is 0 bytes long"),
        ({"train": bytes(3073)}, "train.bin is 3,073 bytes long"),
        ({"fine_label_names": b""}, "does not hold a name of its own for each class"),
        ({"fine_label_names": b"a\nb\na\nc\nd\n"}, "does not hold a name of its own"),
        ({"fine_label_names": b"\xff\n"}, "can't decode byte 0xff"),
        ({"fine_label_names": b"a\nb\n"}, "train.bin: label 2 of picture 2 is outside 0 to 1"),
        ({"train": None}, "has no train.bin; the binary version is needed, cifar-100-binary"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, changes, said):
    message = refusal(cifar_folder(tmp_path, **changes))
    assert message.startswith("cannot be read as CIFAR-100: ") and said in message


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_an_archive_cut_short_is_refused(tmp_path, share):
    path = archive_of(cifar_folder(tmp_path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert refusal(path).startswith("cannot be read as CIFAR-100: ")


def test_other_versions_are_refused_with_the_name_of_the_right_one(tmp_path):
    path = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("cifar-100-python/train"), io.BytesIO(b""))
    assert refusal(path).endswith("the binary version is needed, cifar-100-binary.tar.gz")
    missing = tmp_path / "keras"
    assert refusal(missing) == "no such file; give the path of cifar-100-binary.tar.gz"


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_a_file_of_absurd_size_is_refused_unread(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(cifar100, "_MAX_BYTES", 40_000)
    folder = cifar_folder(tmp_path)
    said = refusal(folder if kind == "folder" else archive_of(folder))
    assert said.endswith("train.bin is 61,480 bytes long; at most 40,000 are read")


def test_links_in_an_archive_are_not_followed(tmp_path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("train.bin", "test.bin", "fine_label_names.txt"):
            link = tarfile.TarInfo(f"cifar-100-binary/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    assert "has no train.bin" in refusal(path)
