"""Triplets in Excel workbooks: upstream's `Prompt` and `Response`, and an `Image` column where there are sketches.

The first sheet holds the rows, under a header. `Image` names a picture's file relative to the workbook's folder; a
workbook without it is text only. Pictures laid over cells are not read. A second sheet `Columns`, which is written and
need not be there, says which columns are whole numbers, numbers, or JSON text.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import openpyxl
import xlsxwriter

from vlsm_jax.data.kinds import Kind, from_columns
from vlsm_jax.data.records import Columns, DataError, Record, to_record
from vlsm_jax.data.scratch import scratch_file
from vlsm_jax.data.source import TripletSource, file_size

LONGEST_CELL = 32_767  # characters, as Excel counts them: those beyond U+FFFF are two
MOST_ROWS = 1_048_576
# What a workbook may unpack to. Text packs to a fifth, rows alike to a hundredth, and a bomb to a thousandth.
_LARGEST = 8 * 2**30
_FREE, _STEEPEST = 64 * 2**20, 200
_COLUMNS_SHEET = "Columns"
_ESCAPED = re.compile(r"_x[0-9A-Fa-f]{4}_")


class XlsxTriplets(TripletSource):
    """Random access to the rows of a workbook. They are read once, into a scratch file that worker processes share.

    Raises:
      DataError: the file is missing, torn, no workbook or would unpack to too much; a column is missing or stands
        twice; or there are no rows. Reading a row raises it for an empty cell, or a number where text should be.
    """

    def __init__(self, path: str | os.PathLike, columns: Mapping[str, str] | None = None):
        self.path = Path(path)
        self._wanted = dict(columns or {})
        self._load()

    def _load(self) -> None:
        unpacked = check_workbook(self.path)
        try:
            book = openpyxl.load_workbook(self.path, read_only=True, data_only=True)
        except Exception as error:  # whatever a parser meets in a file that is none
            raise DataError(f"{self.path} is torn, or is not an xlsx workbook: {error}") from error
        with contextlib.closing(book):
            if not book.worksheets:
                raise DataError(f"{self.path} has no sheet")
            kinds = _read_kinds(book)
            # Words that many cells share are kept once in a workbook, and here for each.
            self._fill(self._rows(book.worksheets[0]), kinds, most=_FREE + 4 * unpacked)

    def _rows(self, sheet: Any) -> Iterator[Sequence[Any]]:
        sheet.reset_dimensions()  # programs write wrong ones
        rows = sheet.iter_rows(values_only=True)
        for number in range(1, MOST_ROWS + 2):
            try:
                row = next(rows)
            except StopIteration:
                return
            except Exception as error:
                raise DataError(f"{self.path}:{number}: the sheet cannot be read from here on: {error}") from error
            if number > MOST_ROWS:
                raise DataError(f"{self.path}: a row is numbered beyond {MOST_ROWS:,}, the last of a sheet")
            yield row

    def _fill(self, rows: Iterator[Sequence[Any]], kinds: Mapping[str, Kind], most: int) -> None:
        header = ["" if cell is None else str(_decoded(cell)).strip() for cell in next(rows, ())]
        if not any(header):
            raise DataError(f"{self.path} has no header; its first row should hold Prompt and Response")
        self.columns = Columns.find([name for name in header if name], self._wanted, str(self.path))
        self._json_columns = tuple(name for name, kind in kinds.items() if kind in (Kind.JSON, Kind.TEXTS))
        self._scratch = scratch_file(self, ".jsonl")
        starts, numbers = [0], []
        with self._scratch.open("wb") as file:
            for number, row in enumerate(rows, start=2):
                if all(cell is None or cell == "" for cell in row):
                    continue
                row = [*row, *[None] * (len(header) - len(row))]  # trailing empty cells are left out of a sheet
                cells = {name: _value(cell, kinds.get(name)) for name, cell in zip(header, row, strict=False) if name}
                file.write(json.dumps(cells, ensure_ascii=False).encode("utf-8", "surrogatepass"))
                starts.append(file.tell())
                numbers.append(number)
                if starts[-1] > most:
                    raise DataError(f"{self.path}:{number} is refused: the same long text in ever more cells")
        if not numbers:
            raise DataError(f"{self.path} holds no rows")
        self._starts, self._numbers = np.asarray(starts, np.int64), np.asarray(numbers, np.int64)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not self._scratch.exists():  # the process that made it has ended
            self._load()

    def __len__(self) -> int:
        return len(self._numbers)

    def _read(self, index: int) -> Record:
        with open(self._scratch, "rb", buffering=0) as file:
            file.seek(self._starts[index])
            row = json.loads(file.read(self._starts[index + 1] - self._starts[index]))
        number = self._numbers[index]
        where = f"{self.path}:{number}"
        row = from_columns(row, self._json_columns, where)
        return to_record(row, self.columns, where=where, name=f"{self.path.name}:{number}", folder=self.path.parent)


def _read_kinds(book: openpyxl.Workbook) -> dict[str, Kind]:
    known = {kind.value: kind for kind in Kind}
    if _COLUMNS_SHEET not in book.sheetnames[1:]:
        return {}
    rows = itertools.islice(book[_COLUMNS_SHEET].iter_rows(values_only=True), 1000)
    return {str(_decoded(row[0])): known[row[1]] for row in rows if len(row) > 1 and row[1] in known}


def _decoded(cell: Any) -> Any:
    """Returns text with Excel's codes read: _x000D_ is a carriage return, and _x005F_ the underscore of such a word."""
    if isinstance(cell, str) and "_x" in cell:
        return _ESCAPED.sub(lambda match: chr(int(match[0][2:6], 16)), cell)
    return cell


def _value(cell: Any, kind: Kind | None) -> Any:
    """Returns a cell as JSON has it. A workbook has one type of number: of a foreign one, 14.0 is taken as 14."""
    if isinstance(cell, int) and not isinstance(cell, bool) and kind is Kind.NUMBER:
        return float(cell)
    if isinstance(cell, float) and kind is not Kind.NUMBER and cell.is_integer():
        return int(cell)
    if isinstance(cell, str) and kind in (Kind.INTEGER, Kind.NUMBER):  # written as text: no cell holds it exactly
        with contextlib.suppress(ValueError):
            return int(cell) if kind is Kind.INTEGER else float(cell)
    if isinstance(cell, datetime.date | datetime.time | datetime.timedelta):
        return str(cell)
    if cell is None and kind is Kind.TEXT:
        return ""
    return _decoded(cell)


def check_workbook(path: Path) -> int:
    """Unpacks a workbook piece by piece and throws it away; returns the bytes that it unpacks to.

    Raises:
      DataError: it is missing, torn, no zip file, encrypted, or a bomb.
    """
    size = file_size(path)
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            if "xl/workbook.xml" not in archive.namelist():
                raise DataError(f"{path} is not an xlsx workbook; save it as .xlsx")
            most = min(_LARGEST, max(_FREE, _STEEPEST * size))
            total = 0
            for entry in archive.infolist():
                for length in _inflate(file, entry):
                    total += length
                    if total > most:
                        what = f"{size / 1e6:.1f} MB unpack to over {most / 1e6:.0f} MB"
                        raise DataError(f"{path} is refused: {what}; split the workbook")
            return total
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is torn, or is not an xlsx workbook: {error}") from error


def _inflate(file: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[int]:
    """Yields the lengths of an entry's unpacked pieces, however long its header says it is: headers may lie."""
    if entry.flag_bits & 1:
        raise zipfile.BadZipFile("it is encrypted; save it without a password")
    file.seek(entry.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"no entry {entry.filename!r} where there should be one")
    file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), os.SEEK_CUR)
    left = entry.compress_size
    if entry.compress_type == zipfile.ZIP_STORED:
        yield left
        return
    if entry.compress_type != zipfile.ZIP_DEFLATED:
        raise zipfile.BadZipFile(f"entry {entry.filename!r} is packed in a way that workbooks are not")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail
        if not packed:
            packed = file.read(min(left, 2**20))
            left -= len(packed)
            if not packed:
                raise EOFError(f"entry {entry.filename!r} ends too early")
        yield len(unpacker.decompress(packed, 2**20))


class XlsxWriter:
    """Writes rows into a workbook, one after the other, in constant memory.

    Args:
      path: the file.
      names: the columns.
      kinds: of the columns; those that are not named are text.
    """

    def __init__(self, path: Path, names: Sequence[str], kinds: Mapping[str, Kind]):
        self._names, self._kinds, self._row = list(names), kinds, 0
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(
            str(path), {**options, "strings_to_numbers": False, "nan_inf_to_errors": False}
        )
        # The same rows are to give the same file.
        self._book.set_properties({"created": datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)})
        self._sheet = self._book.add_worksheet("Triplets")
        for column, name in enumerate(names):
            self._sheet.write_string(0, column, check_cell(name, name))

    def cells(self, values: Mapping[str, Any]) -> list[str | int | float | bool]:
        """Returns a row's cells, in the order of the columns.

        Raises:
          DataError: a cell cannot hold its value, or the sheet is full.
        """
        if self._row + 1 >= MOST_ROWS:
            raise DataError(
                f"an xlsx sheet holds {MOST_ROWS:,} rows and the header takes one; write parquet or JSON lines"
            )
        return [self._cell(name, values.get(name)) for name in self._names]

    def write(self, cells: Sequence[str | int | float | bool]) -> None:
        """Writes a row of what `cells` returned."""
        self._row += 1
        for column, cell in enumerate(cells):
            if isinstance(cell, bool):
                self._sheet.write_boolean(self._row, column, cell)
            elif isinstance(cell, int | float):
                self._sheet.write_number(self._row, column, cell)
            elif cell:
                self._sheet.write_string(self._row, column, cell)

    def _cell(self, name: str, value: Any) -> str | int | float | bool:
        if value is None:
            return ""
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            # The file holds 16 digits; what needs 17, or is no number, is written as text and read as a number.
            exact = f"{value:.16G}" not in ("NAN", "INF", "-INF") and float(f"{value:.16G}") == value
            return value if exact and abs(value) < 2**53 else repr(value)
        return check_cell(json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value, name)

    def close(self) -> None:
        """Writes what is left: the sheet that names the kinds of the columns."""
        sheet = self._book.add_worksheet(_COLUMNS_SHEET)
        rows = [("Column", "Kind"), *((name, self._kinds.get(name, Kind.TEXT).value) for name in self._names)]
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                sheet.write_string(row, column, cell)
        self._book.close()


def check_cell(text: str, column: str) -> str:
    """Returns `text` if a cell holds it.

    Raises:
      DataError: it is too long, or has characters that no xlsx file holds.
    """
    length = len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
    if length > LONGEST_CELL:
        raise DataError(
            f"field {column!r} is {length:,} characters long, and an xlsx cell holds {LONGEST_CELL:,}; "
            "write parquet or JSON lines"
        )
    if not text.isascii():
        for character in text:
            if "\ud800" <= character <= "\udfff":
                raise DataError(f"field {column!r} holds U+{ord(character):04X}, half of a character")
    # Two words such as _x000D_ that share an underscore come back as something else.
    for match in _ESCAPED.finditer(text):
        if _ESCAPED.match(text, match.end() - 1):
            raise DataError(f"field {column!r} holds {text[match.start() : match.end() + 6]!r}, a code of xlsx")
    return text
