"""Labels from tables and folders: the order of classes, and what is refused."""

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.training import labels
from nst_keras.training.config import TrainConfig
from tests.training.conftest import write_csv, write_pictures


def read(path, classes=0):
    """Rows and class names of a CSV."""
    rows = labels.read_csv(str(path), "--csv", TrainConfig(classes=classes))
    return rows, labels.class_names(rows, f"--csv={path}", classes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "--csv={path}: is empty; row 1 must name the columns"),
        (b"\n\n", "--csv={path}: is empty; row 1 must name the columns"),
        (b"path,label\n", "--csv={path}: has no row below its header"),
        (b"file,label\n0.png,a\n", "{path}, row 1: has no column path; it has file, label"),
        (b"path,class\n0.png,a\n", "{path}, row 1: has no column label; it has path, class"),
        (b"path,label\n0.png,a\n1.png,\n", "{path}, row 3, column label: is empty"),
        (b"path,label\n0.png,a\n1.png\n", "{path}, row 3, column label: is empty"),
        (b"path,label\n,a\n1.png,b\n", "{path}, row 2, column path: is empty"),
        (b"path,label\n0.png,a,b\n", "{path}, row 2, column 3: has no header; the row has 3 "),
        (
            b"path,label\n0.png,a\n\n1.png,b\xe9\n",
            "{path}, row 4, column label: is not UTF-8; save the table",
        ),
        (b"\xff\xfep\x00a\x00", "--csv={path}: is UTF-16, or not text; save the table as CSV"),
        (b'path,label\n0.png,"a\n', "{path}, row 2: cannot be read as CSV: unexpected end of data"),
        (b"path,label\n0.png,0\n1.png,-1\n", "{path}, row 3, column label: label -1 is outside"),
        (b"path,label\n0.png,a\n1.png,a\n", "--csv={path}: must have two different labels or more"),
        (b"path,label,label\n0.png,a,b\n", "{path}, row 1, column label: appears twice"),
    ],
)
def test_a_bad_csv_is_refused_by_row_and_column(tmp_path, content, said):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(said.format(path=path))


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,label\n0.png,b\n1.png,a\n")
    assert read(path)[1] == ("a", "b")


@pytest.mark.parametrize(
    ("label", "classes", "said"),
    [
        ("3", 3, "column label: label 3 is outside the range 0 to 2"),
        ("ant", 2, "column label: label 'ant' exceeds --classes=2, the number of classes"),
    ],
)
def test_labels_beyond_the_classes_are_refused(tmp_path, label, classes, said):
    others = ("0", "1") if label.isdecimal() else ("a", "b")
    rows = [f"0.png,{others[0]}", f"1.png,{others[1]}", f"2.png,{label}"]
    path = write_csv(tmp_path / "a.csv", rows)
    with pytest.raises(InputError) as caught:
        read(path, classes)
    assert str(caught.value) == f"{path}, row 4, {said}"


def test_labels_of_many_digits_are_names(tmp_path):
    path = write_csv(tmp_path / "a.csv", [f"0.png,{'9' * 5000}", "1.png,b"])
    assert len(read(path)[1]) == 2


def test_a_suffix_may_be_left_out(tmp_path):
    write_pictures(tmp_path, 1)
    (tmp_path / "0.png").rename(tmp_path / "0.webp")
    rows, _ = read(write_csv(tmp_path / "a.csv", ["0,a", "1,b"]))
    assert [row.path for row in rows] == [tmp_path / "0.webp", tmp_path / "1"]


def test_labels_get_the_numbers_of_their_names(tmp_path):
    rows, _ = read(write_csv(tmp_path / "a.csv", ["0,02", "1,1"]))
    assert labels.numbers_of(rows, ("1", "2"), "the classes") == [1, 0]
    with pytest.raises(InputError, match="row 2, column label: label '02' is not one of the cla"):
        labels.numbers_of(rows, ("1", "3"), "the classes")


def test_class_folders_are_read_without_hidden_files(tmp_path):
    for name in ("b/1.png", "b/deep/0.png", "a/0.png", "a/.x", ".c/0.png", "0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = labels.read_folders(str(tmp_path))
    found = [(str(row.path.relative_to(tmp_path)), row.label) for row in rows]
    assert found == [("a/0.png", "a"), ("b/1.png", "b"), ("b/deep/0.png", "b")]
    with pytest.raises(InputError, match="must hold a folder of pictures per class"):
        labels.read_folders(str(tmp_path / "a"))
