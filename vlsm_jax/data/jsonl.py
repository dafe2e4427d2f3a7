"""Triplets in upstream's own layout: JSON lines of `image`, `prompt`, `response`, with the pictures beside."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vlsm_jax.data.records import Columns, DataError, Record, to_record
from vlsm_jax.data.source import TripletSource, file_size, first_columns

# Bytes of one line. The longest scripts take some hundred kilobytes; a longer line is a file without line ends.
LONGEST_LINE = 16 * 2**20
# A file without a usable row among its first ones is not searched to its end for names of columns.
_ROWS_SEARCHED = 20


class JsonlTriplets(TripletSource):
    """Random access to the rows of a JSON-lines file; the text stays on disk.

    Paths of pictures are taken relative to the file's own folder. Blank lines are passed over. Where the first row has
    no image, no row does; an image of null is a row of text only.

    Raises:
      DataError: the file is missing or holds no row. Reading a row raises it for a row that is not JSON, lacks a field,
        has an empty prompt or response, or names a picture outside of the folder.
    """

    def __init__(self, path: str | os.PathLike, columns: Mapping[str, str] | None = None):
        self.path = Path(path)
        self._name = str(self.path)
        file_size(self.path)
        spans: list[tuple[int, int, int]] = []  # start, end, line
        position = number = 0
        with self.path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                start, blank, number = position, not line.strip(), number + 1
                position += len(line)
                while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
                    position += len(line)
                    blank = blank and not line.strip()
                if not blank:
                    spans.append((start, position, number))
        if not spans:
            raise DataError(f"{self.path} holds no rows")
        self._spans = np.asarray(spans, np.int64)
        self.columns = self._find_columns(columns)

    def _find_columns(self, wanted: Mapping[str, str] | None) -> Columns:
        wanted = dict(wanted or {})
        error: DataError | None = None
        for index in range(min(len(self), _ROWS_SEARCHED)):
            try:
                found = first_columns(self.row(index)[0], wanted, f"{self._name}:{self._spans[index, 2]}")
                return found._replace(id=found.id or "id")  # some rows may have one, some not
            except DataError as raised:
                error = error or raised
        if wanted and error is not None:
            raise error
        # No row is usable: each is told by name when it is read.
        return first_columns(None, wanted, self._name)

    def __len__(self) -> int:
        return len(self._spans)

    def row(self, index: int) -> tuple[dict[str, Any], str]:
        """Returns the JSON object of a row, and "<file>:<line>"."""
        start, end, number = self._spans[index].tolist()
        where = f"{self._name}:{number}"
        if end - start > LONGEST_LINE:
            raise DataError(
                f"{where}: a line of {(end - start) / 1e6:.0f} MB, over the limit of {LONGEST_LINE / 1e6:.0f} MB; "
                "every row is a line of its own, and pictures lie in files"
            )
        with open(self._name, "rb", buffering=0) as file:
            file.seek(start)
            line = file.read(end - start).rstrip(b"\r\n")
        try:
            row = json.loads(line, object_pairs_hook=_unique)
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: not JSON: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with image, prompt, response; found {type(row).__name__}")
        return row, where

    def _read(self, index: int) -> Record:
        row, where = self.row(index)
        name = f"{self.path.name}:{self._spans[index, 2]}"
        return to_record(row, self.columns, where=where, name=name, folder=self.path.parent)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return row
