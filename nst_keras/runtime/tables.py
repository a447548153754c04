"""CSV files: tables that people write, and tables of numbers that a job extends step by step."""

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst_keras.runtime import files
from nst_keras.runtime.errors import InputError

_SAVE_AS = "save the table as CSV in UTF-8"


@dataclass(frozen=True)
class Row:
    """One row below the header."""

    place: str  # such as "labels.csv, row 7", for messages
    cells: dict[str, str]  # by column, without surrounding blanks; a short row lacks the last ones

    def place_of(self, column: str) -> str:
        """The place of one cell, for messages."""
        return f"{self.place}, column {column}"


class CsvTable:
    """A CSV file in UTF-8 as a person writes it; iteration yields its rows from top to bottom.

    Rows are counted as spreadsheets count them: the header of a file that begins with it is row 1,
    blank rows count, and a row whose cells span several lines is one row.

    Raises InputError if the file, which `flag` names, cannot be read or is empty. Iterating also
    raises it for a row that is not CSV, not UTF-8 or longer than the header, and if there are none.
    """

    def __init__(self, path: str | os.PathLike, flag: str):
        self.path, self._name = Path(path), f"{flag}={path}"
        self.columns: tuple[str, ...] = ()
        self._records = self._read()
        try:
            self.place, cells = next(self._records)
        except StopIteration:
            raise InputError(f"{self._name}: is empty; row 1 must name the columns") from None
        self.columns = tuple(cells)

    def check_columns(self, needed: tuple[str, ...]) -> None:
        """Raise InputError unless each needed column has a name and is there once."""
        for name in needed:
            if name not in self.columns:
                found = ", ".join(filter(None, self.columns))
                hint = separator_hint(found)
                raise InputError(f"{self.place}: has no column {name}; it has {found}{hint}")
            if not name:
                raise InputError(f"{self.place}, column {self.columns.index('') + 1}: has no name")
            if self.columns.count(name) > 1:
                raise InputError(f"{self.place}, column {name}: appears twice")

    def __iter__(self) -> Iterator[Row]:
        place = ""
        for place, cells in self._records:
            if len(cells) > len(self.columns):
                raise InputError(
                    f"{place}, column {len(self.columns) + 1}: has no header; the row has "
                    f"{len(cells)} cells, the header {len(self.columns)}; "
                    "put quotes around a value that holds commas"
                )
            yield Row(place, dict(zip(self.columns, cells, strict=False)))
        if not place:
            raise InputError(f"{self._name}: has no row below its header")

    def _read(self) -> Iterator[tuple[str, list[str]]]:
        """Place and cells of each row that is not blank, the header first."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError as error:
            raise InputError(f"{self._name}: {files.missing(self.path)}") from error
        except OSError as error:
            raise InputError(f"{self._name}: cannot be read: {error.strerror}") from error
        if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
            raise InputError(f"{self._name}: is UTF-16, or not text; {_SAVE_AS}")
        # A byte that is not UTF-8 becomes a surrogate, so that an error can name its cell.
        text, number = data.decode("utf-8-sig", "surrogateescape"), 0
        try:
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            for number, raw in enumerate(reader, start=1):
                cells = [cell.strip() for cell in raw]
                if any(cells):
                    place = f"{self.path}, row {number}"
                    self._check_encoding(cells, place)
                    yield place, cells
        except csv.Error as error:
            place = f"{self.path}, row {number + 1}"
            raise InputError(f"{place}: cannot be read as CSV: {error}") from error

    def _check_encoding(self, cells: list[str], place: str) -> None:
        for number, cell in enumerate(cells):
            if re.search("[\ud800-\udfff]", cell):
                name = self.columns[number] if number < len(self.columns) else number + 1
                raise InputError(f"{place}, column {name}: is not UTF-8; {_SAVE_AS}")


def separator_hint(header: str) -> str:
    """What to add to an error about a header that seems to be separated by other signs."""
    return "; separate columns by commas" if ";" in header or "\t" in header else ""


class StepTable:
    """A CSV file of numbers that a job extends by rows; the first column is the step.

    Opened for a resume, it drops the rows after that step, which will be written again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], resume_step: int):
        self.columns, self._path = columns, path
        kept = [row for row in read_steps(path, columns) if int(row[0]) <= resume_step]
        files.write_text(path, "".join(map(_line, (columns, *kept))))
        self._file = open(path, "a", 1, "utf-8", newline="")  # noqa: SIM115  open for the whole job

    def write(self, **cells: float | None) -> None:
        """Add a row: floats with six digits, None as an empty cell."""
        with files.naming(self._path):
            self._file.write(_line([_text(cells[name]) for name in self.columns]))

    def sync(self) -> None:
        """Make the rows durable; a checkpoint must not be newer than they are."""
        with files.naming(self._path):
            files.sync(self._file)

    def close(self) -> None:
        """Make the rows durable and close the file."""
        self.sync()
        self._file.close()


def read_steps(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """The whole rows of a `StepTable`; none if the file is missing or has other columns."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text[: text.rfind("\n") + 1].splitlines()  # a crash may have cut the last row
    # No cell is quoted: to a CSV reader, one damaged letter could join all rows after it.
    header, *rows = [line.split(",") for line in lines] or [[]]
    if header != list(columns):
        return []
    return [row for row in rows if len(row) == len(columns) and re.fullmatch("[0-9]{1,18}", row[0])]


def _line(cells: Sequence[str]) -> str:
    return ",".join(cells) + "\n"


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
