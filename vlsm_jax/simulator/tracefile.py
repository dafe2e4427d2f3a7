"""A trace on disk: one line of CSV per event, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from vlsm_jax.simulator.simulation import TraceEvent


class TraceFile:
    """Writes events as CSV with a header; a context manager, to be called with each event.

    Columns: `time` in seconds, `kind`, `object` by its name in the Twin, `item` by its number. The file appears under
    its name when it is complete: whoever looks sees the old one or the new one. Broken off by an exception, it leaves
    nothing behind.

    Raises:
      OSError: the file cannot be written; found out on entry and not after the run.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> Self:
        if self.path.is_dir():
            raise IsADirectoryError(21, "is a folder, not a file", str(self.path))
        self._file = self._draft.open("w", newline="", encoding="utf-8")
        writer = csv.writer(self._file, lineterminator="\n")
        writer.writerow(TraceEvent._fields)
        self._write = writer.writerow
        return self

    def __call__(self, event: TraceEvent) -> None:
        """Writes one event."""
        self._write(event)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        try:
            self._file.close()
            if kind is None:
                self._draft.replace(self.path)
        finally:
            self._draft.unlink(missing_ok=True)
