"""Files of triplets, written row by row in constant memory: one class for each format, all with the same methods.

`columns` says what the columns are called; `image` or `id` is None where no row has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from vlsm_jax.data.kinds import Kind, to_columns, to_json
from vlsm_jax.data.pictures import PictureFolder
from vlsm_jax.data.records import Columns, Record

# Rows of a parquet row group, which is unpacked for one of them: few, for random access. Arrow's batches cost nothing
# to look into.
GROUP_ROWS, BATCH_ROWS = 32, 1000
_GROUP_BYTES = 16 * 2**20


class Writer(Protocol):
    """One file."""

    def write(self, record: Record, picture: bytes | None, suffix: str) -> None:
        """Writes a row, or raises `DataError` and writes nothing of it where the format cannot hold it."""

    def close(self) -> None:
        """Writes what is left."""


class JsonlWriter:
    """JSON lines, and pictures beside."""

    def __init__(self, path: Path, columns: Columns, pictures: PictureFolder):
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._columns, self._pictures = columns, pictures

    def write(self, record: Record, picture: bytes | None, suffix: str) -> None:
        columns, extra = self._columns, to_json(record.extra)
        row: dict[str, Any] = {}
        if columns.image is not None:
            row[columns.image] = None if picture is None else self._pictures.save(picture, record.image_name, suffix)
        row |= {columns.prompt: record.prompt, columns.response: record.response}
        if record.has_own_id:
            row[columns.id or "id"] = record.id
        text = to_json(row)
        self._file.write(f"{text[:-1]}, {extra[1:]}\n" if record.extra else f"{text}\n")

    def close(self) -> None:
        self._file.close()


class XlsxTripletWriter:
    """A workbook, and pictures beside."""

    def __init__(self, path: Path, columns: Columns, pictures: PictureFolder, kinds: Mapping[str, Kind]):
        from vlsm_jax.data.xlsx import XlsxWriter

        self._columns, self._pictures, self._kinds = columns, pictures, kinds
        own = [columns.prompt, columns.response, columns.image, columns.id]
        self._book = XlsxWriter(path, [*(name for name in own if name is not None), *kinds], kinds)

    def write(self, record: Record, picture: bytes | None, suffix: str) -> None:
        columns = self._columns
        row = to_columns(record.extra, self._kinds)
        row |= {columns.prompt: record.prompt, columns.response: record.response}
        if columns.id is not None and record.has_own_id:
            row[columns.id] = record.id
        cells = self._book.cells(row)
        if picture is not None:
            cells[2] = self._pictures.save(picture, record.image_name, suffix)
        self._book.write(cells)

    def close(self) -> None:
        self._book.close()


class ArrayRecordWriter:
    """An ArrayRecord file of tf.train.Examples."""

    def __init__(self, path: Path, columns: Columns):
        from array_record.python import array_record_module

        from vlsm_jax.data.array_records import WRITE_OPTIONS

        self._file = array_record_module.ArrayRecordWriter(str(path), WRITE_OPTIONS)
        self._columns = columns

    def write(self, record: Record, picture: bytes | None, suffix: str) -> None:
        from vlsm_jax.data.array_records import to_example

        self._file.write(to_example(record, picture, self._columns))

    def close(self) -> None:
        self._file.close()


class ArrowWriter:
    """A parquet file, or with `stream` an Arrow stream as `Dataset.save_to_disk` writes it."""

    def __init__(self, path: Path, columns: Columns, kinds: Mapping[str, Kind], *, stream: bool = False):
        from vlsm_jax.data.parquet import arrow_schema, need_pyarrow

        self._arrow = need_pyarrow()
        self._columns, self._kinds = columns, kinds
        self._schema = arrow_schema(kinds, columns)
        self._group, self._rows, self._bytes = BATCH_ROWS if stream else GROUP_ROWS, [], 0
        if stream:
            self._file = self._arrow.ipc.new_stream(str(path), self._schema)
        else:
            from pyarrow import parquet

            # Pictures are packed already. Without statistics the index of many small groups stays small.
            packed = [f for f in self._schema.names if f != columns.image]
            packed += [] if columns.image is None else [f"{columns.image}.path"]
            self._file = parquet.ParquetWriter(
                str(path),
                self._schema,
                compression=dict.fromkeys(packed, "zstd"),
                use_dictionary=False,
                write_statistics=False,
            )

    def write(self, record: Record, picture: bytes | None, suffix: str) -> None:
        columns = self._columns
        row = to_columns(record.extra, self._kinds)
        if columns.image is not None:
            row[columns.image] = None if picture is None else {"bytes": picture, "path": record.image_name or None}
        row |= {columns.prompt: record.prompt, columns.response: record.response}
        if columns.id is not None:
            row[columns.id] = record.id if record.has_own_id else None
        self._rows.append(row)
        self._bytes += len(picture or b"") + len(record.prompt) + len(record.response)
        if len(self._rows) == self._group or self._bytes > _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows, self._bytes = [], 0

    def close(self) -> None:
        self._flush()
        self._file.close()
