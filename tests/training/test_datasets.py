"""Labeled pictures: labels and classes, what is read, how it is split, and what is refused."""

import os

import numpy as np
import pytest
from PIL import Image

from nst_keras.runtime.errors import InputError
from nst_keras.training import datasets
from nst_keras.training.config import TrainConfig
from tests.training.conftest import cifar_folder, config_of, write_csv, write_pictures

CLASSES = 3


def refusal(**settings):
    """The one line with which a data set is refused."""
    with pytest.raises(InputError) as caught:
        datasets.read_set(config_of(**settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def table(tmp_path):
    """A CSV of 12 pictures in 3 classes."""
    write_pictures(tmp_path / "pictures", 12)
    names = ("cat", "dog", "bird")
    rows = [f"pictures/{number}.png,{names[number % CLASSES]}" for number in range(12)]
    return write_csv(tmp_path / "labels.csv", rows)


def test_a_csv_gives_pictures_labels_and_names(table, tmp_path):
    data = datasets.read_set(config_of(csv=str(table), validation_split=0.25))
    assert data.names == ("bird", "cat", "dog") and data.test is None and data.notes == ()
    assert (len(data.train), len(data.validation)) == (9, 3)
    found = dict(zip(data.train.sources, data.train.labels, strict=True))
    found |= dict(zip(data.validation.sources, data.validation.labels, strict=True))
    expected = {str(tmp_path / f"pictures/{n}.png"): (1, 2, 0)[n % 3] for n in range(12)}
    assert found == expected


def test_kaggles_shapes(tmp_path):
    write_pictures(tmp_path / "train", 4)
    rows = [f'{number},7,"a, {number % 2}"' for number in range(4)]
    path = write_csv(tmp_path / "train.csv", rows, "id,size,breed")
    data = datasets.read_set(
        config_of(
            csv=str(path),
            path_column="id",
            label_column="breed",
            image_root=str(tmp_path / "train"),
            validation_split=0.0,
        )
    )
    assert data.names == ("a, 0", "a, 1") and list(data.train.labels) == [0, 1, 0, 1]
    assert all(path.endswith(".png") for path in data.train.sources)


def test_class_folders(tmp_path):
    write_pictures(tmp_path / "set" / "b", 3)
    write_pictures(tmp_path / "set" / "a" / "deeper", 2)
    (tmp_path / "set" / "a" / ".hidden").write_text("x")
    write_pictures(tmp_path / "set" / "a" / ".thumbnails" / "small", 2)
    data = datasets.read_set(config_of(folder=str(tmp_path / "set"), validation_split=0.0))
    assert data.names == ("a", "b") and list(data.train.labels) == [0, 0, 1, 1, 1]


def test_class_folders_may_have_names_of_any_bytes(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    for folder in (name, "tea"):
        write_pictures(tmp_path / folder, 2)
    data = datasets.read_set(config_of(folder=str(tmp_path), validation_split=0.0))
    assert data.names == (name, "tea") and len(data.train) == 4


def test_whole_numbers_keep_their_order_and_their_meaning(tmp_path):
    write_pictures(tmp_path, 4)
    path = write_csv(tmp_path / "a.csv", ["0.png,10", "1.png,2", "2.png,10", "3.png,2"])
    data = datasets.read_set(config_of(csv=str(path), validation_split=0.0))
    assert data.names == ("2", "10") and list(data.train.labels) == [1, 0, 1, 0]
    data = datasets.read_set(config_of(csv=str(path), validation_split=0.0, classes=12))
    assert len(data.names) == 12 and list(data.train.labels) == [10, 2, 10, 2]
    path = write_csv(tmp_path / "b.csv", ["0.png,01", "1.png,1", "2.png,00", "3.png,0"])
    data = datasets.read_set(config_of(csv=str(path), validation_split=0.0))
    assert len(data.names) == 2 and list(data.train.labels) == [1, 1, 0, 0]


def test_a_missing_picture_is_named_by_row_and_column(tmp_path):
    write_pictures(tmp_path, 1)
    path = write_csv(tmp_path / "a.csv", ["0.png,a", "x.png,b"])
    said = f"{path}, row 3, column path: {tmp_path / 'x.png'}: no such file"
    assert refusal(csv=str(path)).startswith(said)
    write_csv(path, ["0.png,a", f"{'x' * 300},b"])
    assert refusal(csv=str(path)).startswith(f"{path}, row 3, column path: ")


def test_a_file_that_is_not_there_is_named_with_its_flag(tmp_path):
    assert refusal(csv=str(tmp_path / "no.csv")) == f"--csv={tmp_path / 'no.csv'}: no such file"
    assert "no such folder" in refusal(folder=str(tmp_path / "no"))
    write_csv(tmp_path / "a.csv", ["0.png,a"])
    said = refusal(csv=str(tmp_path / "a.csv"), image_root=str(tmp_path / "no"))
    assert said.startswith("--image_root=") and "no such folder" in said


def damage(table):
    """Cut one picture short, put text into another and remove a third."""
    folder = table.parent / "pictures"
    whole = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(whole[: len(whole) // 2])
    (folder / "5.png").write_text("not a picture")
    (folder / "8.png").unlink()
    return [f"{table}, row {row}, column path: " for row in (4, 7, 10)]


def test_unreadable_rows_are_refused_in_one_line_that_names_and_counts_them(table):
    places = damage(table)
    said = refusal(csv=str(table))
    assert all(place in said for place in places)
    assert "(3 of 12 cannot be read; --skip_unreadable skips them)" in said


def test_unreadable_rows_are_left_out_when_that_is_asked_for(table):
    places = damage(table)
    data = datasets.read_set(config_of(csv=str(table), skip_unreadable=True, validation_split=0.2))
    assert len(data.train) + len(data.validation) == 9
    assert data.notes[-1] == f"--csv={table}: skipped 3 of 12 pictures, which cannot be read"
    single, *skipped = data.notes[:-1]
    assert single == "classes with a single picture, 1 of 3: 'bird'"
    for note, place in zip(skipped, places, strict=True):
        assert note.startswith(place)


def test_a_picture_with_two_labels_is_reported_by_its_content(table):
    again = table.parent / "pictures" / "copy of 1.png"
    again.write_bytes((table.parent / "pictures" / "1.png").read_bytes())
    with open(table, "a") as file:
        file.write("pictures/0.png,dog\npictures/copy of 1.png,bird\npictures/2.png,bird\n")
    (note,) = datasets.read_set(config_of(csv=str(table))).notes
    assert note == (
        f"--csv={table}: 2 of 12 pictures have more than one label; the first: 'cat' for {table}, "
        f"row 2, column path, 'dog' for {table}, row 14, column path"
    )


def test_classes_of_one_picture_are_reported(tmp_path):
    for name, count in (("one", 1), ("another", 1), ("more", 3)):
        write_pictures(tmp_path / name, count, size=20 + len(name))
    (note,) = datasets.read_set(config_of(folder=str(tmp_path))).notes
    assert note == "classes with a single picture, 2 of 3: 'another', 'one'"


def test_tables_of_other_systems_are_refused_with_a_hint(table):
    write_csv(table, ["pictures\\0.png,cat", "pictures/1.png,dog"])
    assert "no such file; folders are separated by / here, not by \\" in refusal(csv=str(table))
    for separator in ";\t":
        write_csv(table, ["a.png,b"], f"path{separator}label")
        assert "; separate columns by commas" in refusal(csv=str(table))
        write_csv(table, [f"a.png{separator}b"])
        said = f"{table}, row 2, column label: is empty; separate columns by commas"
        assert refusal(csv=str(table)) == said


def test_with_no_readable_row_nothing_is_skipped(table):
    for path in (table.parent / "pictures").iterdir():
        path.write_bytes(b"")
    assert "none of 12 pictures can be read" in refusal(csv=str(table), skip_unreadable=True)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "TIFF", "BMP", "GIF", "JPEG", "PNG"])
def test_all_formats_that_run_reads_are_read(tmp_path, kind):
    path = tmp_path / "picture"
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)).save(path, kind)
    whole = path.read_bytes()
    assert datasets.read_picture(path, 16).pixels.shape == (20, 20, 3)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"^{path}: "):
        datasets.read_picture(path, 16)


@pytest.mark.parametrize(("kind", "rows"), [("jpg", [400, 400, 200, 100, 50]), ("png", [])])
def test_a_large_picture_is_decoded_no_larger_than_needed(tmp_path, kind, rows):
    path = tmp_path / f"photo.{kind}"
    Image.new("RGB", (640, 400)).save(path)
    sizes = (201, 200, 99, 32, 16)
    shapes = [datasets.read_picture(path, size).pixels.shape for size in sizes]
    # Decoders of JPEG reduce by powers of two; what is left is averaged if it is twice as large.
    rows = rows or [400, 400, 198, 64, 32]
    assert shapes == [(height, round(height * 1.6), 3) for height in rows]


def test_a_picture_may_be_smaller_than_those_of_a_run(tmp_path):
    Image.new("RGB", (3, 2), "red").save(tmp_path / "a.png")
    assert datasets.read_picture(tmp_path / "a.png", 16).pixels.tolist() == [[[255, 0, 0]] * 3] * 2


def test_a_huge_picture_is_refused_for_its_size(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (20_000, 10_001)).save(path)
    said = f"^{path}: 20000x10001 px is too large: at most 200,000,000 px are read$"
    with pytest.raises(InputError, match=said):
        datasets.read_picture(path, 16)


def test_a_validation_csv_takes_the_place_of_the_split(table, tmp_path):
    other = write_csv(tmp_path / "v.csv", ["pictures/0.png,dog", "pictures/1.png,cat"])
    data = datasets.read_set(config_of(csv=str(table), validation_csv=str(other)))
    assert len(data.train) == 12 and list(data.validation.labels) == [2, 1]
    write_csv(other, ["pictures/0.png,dog", "pictures/1.png,ant"])
    said = refusal(csv=str(table), validation_csv=str(other))
    assert said == (
        f"{other}, row 3, column label: label 'ant' is not one of the labels of {table}"
    )


def test_too_few_pictures_for_a_batch_are_refused(table):
    assert refusal(csv=str(table), batch_size=25).startswith("--batch_size=25: must be at most 9")


def test_the_hash_sees_pictures_and_labels(table):
    before = datasets.read_set(config_of(csv=str(table))).sha256
    assert datasets.read_set(config_of(csv=str(table), seed=1)).sha256 == before
    Image.new("RGB", (20, 20)).save(table.parent / "pictures" / "3.png")
    changed = datasets.read_set(config_of(csv=str(table))).sha256
    table.write_text(table.read_text().replace("0.png,cat", "0.png,dog"))
    assert len({before, changed, datasets.read_set(config_of(csv=str(table))).sha256}) == 3


def test_the_split_takes_its_share_of_each_class():
    numbers = np.repeat([0, 1, 2, 3], [100, 10, 2, 1])
    train, validation = datasets.split(numbers, 0.2, seed=0)
    assert sorted([*train, *validation]) == list(range(113))
    assert list(np.bincount(numbers[validation], minlength=4)) == [20, 2, 1, 0]
    again, other = (datasets.split(numbers, 0.2, seed=seed)[1] for seed in (0, 1))
    assert np.array_equal(validation, again) and not np.array_equal(validation, other)
    assert len(datasets.split(numbers, 0.0, seed=0)[1]) == 0


def test_cifars_own_test_pictures_are_kept_apart(tmp_path):
    config = config_of(cifar100=str(cifar_folder(tmp_path)), validation_split=0.25)
    data = datasets.read_set(config)
    assert (len(data.train), len(data.validation), len(data.test or ())) == (15, 5, 10)
    assert refusal(cifar100=str(tmp_path), classes=9) == "--classes=9: must be 5, as in the archive"


def read(path, classes=0):
    """Rows and class names of a CSV."""
    rows = datasets._read_csv(str(path), "--csv", TrainConfig(classes=classes))
    return rows, datasets._class_names(rows, f"--csv={path}", classes)


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
    assert datasets._numbers_of(rows, ("1", "2"), "the classes").tolist() == [1, 0]
    with pytest.raises(InputError, match="row 2, column label: label '02' is not one of the cla"):
        datasets._numbers_of(rows, ("1", "3"), "the classes")


def test_class_folders_are_read_without_hidden_files(tmp_path):
    for name in ("b/1.png", "b/deep/0.png", "a/0.png", "a/.x", ".c/0.png", "0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = datasets._read_folders(str(tmp_path))
    found = [(str(row.path.relative_to(tmp_path)), row.label) for row in rows]
    assert found == [("a/0.png", "a"), ("b/1.png", "b"), ("b/deep/0.png", "b")]
    with pytest.raises(InputError, match="must hold a folder of pictures per class"):
        datasets._read_folders(str(tmp_path / "a"))
