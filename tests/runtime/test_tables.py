"""CSV files as people and spreadsheets write them: counted one way, refused with row and column."""

import pytest

from nst_keras.runtime.errors import InputError
from nst_keras.runtime.tables import CsvTable, StepTable, read_steps
from nst_keras.sweeps.trials import read_matrix
from nst_keras.training.config import TrainConfig
from nst_keras.training.datasets import read_set


@pytest.fixture
def write(tmp_path):
    """Writes a table; returns its path."""

    def write(content):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refusal(path, needed=None) -> str:
    """The one line with which a table is refused, `{path}` in place of its path."""
    with pytest.raises(InputError) as caught:
        table = CsvTable(path, "--table")
        table.check_columns(table.columns if needed is None else needed)
        list(table)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(path), "{path}")


def test_rows_hold_their_cells_by_column_and_their_place(write):
    path = write('\ufeffname, note \r\n a ,"x, y"\r\nb\r\n')
    table = CsvTable(path, "--table")
    first, second = table
    assert table.columns == ("name", "note") and table.place == f"{path}, row 1"
    assert first.cells == {"name": "a", "note": "x, y"} and second.cells == {"name": "b"}
    assert first.place_of("note") == f"{path}, row 2, column note"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a,b\n1,2\n3,4\n", (1, 2, 3)),
        ("a,b\n\n1,2\n , \n3,4\n", (1, 3, 5)),
        ('a,b\n"1\n\n",2\n3,4\n', (1, 2, 3)),  # a cell of three lines
        ("\na,b\n1,2\n", (2, 3)),
    ],
)
def test_rows_are_counted_as_spreadsheets_count_them(write, text, numbers):
    table = CsvTable(write(text), "--table")
    places = [table.place, *(row.place for row in table)]
    assert [int(place.rpartition(" ")[2]) for place in places] == list(numbers)


def test_tables_of_trials_and_of_labels_count_their_rows_alike(write):
    path = write('path,label,note\na.png,"1\n2",x\n\nb.png,,y\n')
    with pytest.raises(InputError, match="row 4, column label: is empty"):
        read_set(TrainConfig(csv=str(path)))
    path = write('name,size,note\na,64,"1\n2"\n\nb,x,y\n')
    with pytest.raises(InputError, match="row 4, column size: --size=x"):
        read_matrix(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "--table={path}: is empty; row 1 must name the columns"),
        (b" \n,\n", "--table={path}: is empty; row 1 must name the columns"),
        (b"a,b\n\n", "--table={path}: has no row below its header"),
        (b"a,,b\n1,2,3\n", "{path}, row 1, column 2: has no name"),
        (b"a,b,a\n1,2,3\n", "{path}, row 1, column a: appears twice"),
        (
            b"a,b\n1,2,3\n",
            "{path}, row 2, column 3: has no header; the row has 3 cells, the header 2; "
            "put quotes around a value that holds commas",
        ),
        (
            b"a,b\n1,\xe9\n",
            "{path}, row 2, column b: is not UTF-8; save the table as CSV in UTF-8",
        ),
        (
            b"a,\xe9\n1,2\n",
            "{path}, row 1, column 2: is not UTF-8; save the table as CSV in UTF-8",
        ),
        (
            "a\n1\n".encode("utf-16"),
            "--table={path}: is UTF-16, or not text; save the table as CSV in UTF-8",
        ),
        (
            "a\n1\n".encode("utf-16-le"),
            "--table={path}: is UTF-16, or not text; save the table as CSV in UTF-8",
        ),
        (b'a\n1\n"2', "{path}, row 3: cannot be read as CSV: unexpected end of data"),
        (b'"a"b\n', "{path}, row 1: cannot be read as CSV: ',' expected after '\"'"),
    ],
)
def test_a_bad_table_is_refused_with_its_row_and_column(write, content, said):
    assert refusal(write(content)) == said


def test_only_needed_columns_must_be_named_and_there_once(write):
    path = write(",path,label,x,x\n0,a.png,1,2,3\n")  # pandas leaves its index unnamed
    table = CsvTable(path, "--table")
    table.check_columns(("path", "label"))
    assert [row.cells["label"] for row in table] == ["1"]
    said = "{path}, row 1: has no column class; it has path, label, x, x"
    assert refusal(path, ("class",)) == said
    assert refusal(path, ("x",)) == "{path}, row 1, column x: appears twice"


def test_other_separators_are_named_as_the_cause(write):
    for separator in ";\t":
        said = refusal(write(f"path{separator}label\n1{separator}2\n"), ("path",))
        assert said.endswith("; separate columns by commas")


def test_a_table_that_cannot_be_opened_is_refused(tmp_path):
    assert refusal(tmp_path / "no.csv") == "--table={path}: no such file"
    assert refusal(tmp_path) == "--table={path}: cannot be read: Is a directory"


COLUMNS = ("step", "loss")


def test_a_table_of_steps_grows_by_rows(tmp_path):
    path = tmp_path / "steps.csv"
    table = StepTable(path, COLUMNS, 0)
    table.write(step=1, loss=0.123456789)
    table.sync()
    assert path.read_text() == "step,loss\n1,0.123457\n"
    table.write(step=2, loss=None)
    table.close()
    assert read_steps(path, COLUMNS) == [["1", "0.123457"], ["2", ""]]


def test_a_resume_drops_later_rows_and_what_is_not_whole(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_bytes(b'step,loss\n1,a\n"x,2\n2\n3,b\n2,c\n4,d')
    StepTable(path, COLUMNS, 2).close()
    assert path.read_text() == "step,loss\n1,a\n2,c\n"
    StepTable(path, ("step", "accuracy"), 2).close()  # other columns: a table of another version
    assert path.read_text() == "step,accuracy\n"
    assert read_steps(tmp_path / "none.csv", COLUMNS) == []
