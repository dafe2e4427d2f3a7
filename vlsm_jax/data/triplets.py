"""Triplets on disk in upstream's own layout: JSON lines of `image`, `prompt`, `response`, with the pictures beside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

KEYS = ("image", "prompt", "response")


class DataError(ValueError):
    """A data file that cannot be used; the message names file, line and field."""


class Record(NamedTuple):
    """One triplet as it lies on disk.

    Attributes:
      id: the row's own `id`, or "<file>:<line>".
      image: the sketch: its path, or the bytes of its file; None where the row is text only.
      prompt: the engineer's text.
      response: the reference script.
      where: "<file>:<line>", for messages.
      extra: the row's other fields, such as industry and layout.
    """

    id: str
    image: str | bytes | None
    prompt: str
    response: str
    where: str
    extra: dict[str, Any]


class JsonlTriplets:
    """Random access to the rows of a JSON-lines file; the text stays on disk.

    Paths of pictures are taken relative to the file's own folder. Blank lines are passed over.

    Raises:
      DataError: the file is missing or holds no row. Reading a row raises it for a row that is not JSON, lacks a field,
        or has an empty prompt or response.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        try:
            text = self.path.read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"no data file at {self.path}") from error
        offsets, lines, position = [], [], 0
        for number, line in enumerate(text.split(b"\n"), start=1):
            if line.strip():
                offsets.append((position, position + len(line)))
                lines.append(number)
            position += len(line) + 1
        if not offsets:
            raise DataError(f"{self.path} holds no rows")
        self._spans = np.asarray(offsets, np.int64)
        self._lines = np.asarray(lines, np.int64)

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:  # grain records it to tell whether a resumed pipeline reads the same data
        return f"JsonlTriplets({self.path.name}, {len(self)} rows)"

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Record:
        start, end = self._spans[index]
        where = f"{self.path}:{self._lines[index]}"
        with self.path.open("rb") as file:
            file.seek(start)
            line = file.read(end - start)
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{where}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object with {', '.join(KEYS)}, found {type(row).__name__}")
        for key in KEYS:
            if key not in row:
                raise DataError(f"{where}: no field {key!r}; the row has {', '.join(map(repr, row)) or 'none'}")
            if not isinstance(row[key], str) or not row[key].strip():
                raise DataError(f"{where}: field {key!r} is empty or not text")
        extra = {key: value for key, value in row.items() if key not in (*KEYS, "id")}
        identifier = str(row.get("id", f"{self.path.name}:{self._lines[index]}"))
        image = str(self.path.parent / row["image"])
        return Record(identifier, image, row["prompt"], row["response"], where, extra)

    def check(self) -> None:
        """Reads every row and looks for its picture, so that a bad row is found before a run and not hours into it.

        Raises:
          DataError: names every bad row, up to ten.
        """
        problems: list[str] = []
        for index in range(len(self)):
            try:
                record = self[index]
            except DataError as error:
                problems.append(str(error))
            else:
                if isinstance(record.image, str) and not Path(record.image).is_file():
                    problems.append(f"{record.where}: no image at {record.image}")
            if len(problems) == 10:
                problems.append("... (only the first ten are listed)")
                break
        if problems:
            raise DataError("bad rows:\n  " + "\n  ".join(problems))
