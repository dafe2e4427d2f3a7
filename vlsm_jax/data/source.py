"""Random access to triplets, whatever they are kept in; what is wrong with them; and parts of them."""

from __future__ import annotations

import abc
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from vlsm_jax.data.images import ImageError, check_picture, find_picture_file
from vlsm_jax.data.records import Columns, DataError, Record

# Problems that an error lists.
LISTED = 10


class Problem(NamedTuple):
    """What is wrong with one row.

    Attributes:
      index: of the row in its source.
      message: what is wrong, where, and what to do; begins with "<file>:<line>".
    """

    index: int
    message: str


class TripletSource(abc.ABC):
    """Rows by number. A source holds no open file when it is sent to another process, and its `repr` stays the same.

    Attributes:
      path: the file, or the first of several, or the folder.
      columns: which column holds what.
    """

    path: Path
    columns: Columns

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def _read(self, index: int) -> Record:
        """Returns row `index`, which exists; raises `DataError` where it is bad."""

    def __getitem__(self, index: int) -> Record:
        """Returns one row.

        Raises:
          DataError: the row is bad; the message names file, line and field. Other rows can be read all the same.
          IndexError: there is no such row.
        """
        index, count = int(index), len(self)
        if not -count <= index < count:
            raise IndexError(f"row {index} of {self!r}")
        return self._read(index % count)

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:  # grain records it to tell whether a resumed pipeline reads the same data
        return f"{type(self).__name__}({self.path.name}, {len(self)} rows)"

    def problems(self, limit: int | None = None, *, pictures: bool = True) -> Iterator[Problem]:
        """Yields what is wrong, row by row, and goes on to the next.

        Args:
          limit: of problems; None is all of them.
          pictures: look into the pictures, or else see only whether they are there.
        """
        found = 0
        for index in range(len(self)):
            if limit is not None and found >= limit:
                return
            try:
                record = self[index]
            except DataError as error:
                message = str(error)
            else:
                try:
                    if record.image is not None and (pictures or isinstance(record.image, bytes)):
                        check_picture(record.image)
                    elif record.image is not None:
                        find_picture_file(record.image)
                    continue
                except ImageError as error:
                    message = f"{record.where}: {error}"
            found += 1
            yield Problem(index, message)

    def check(self) -> None:
        """Reads every row and looks for its picture, so that a bad row is found before a run and not hours into it.

        Raises:
          DataError: names every bad row, up to ten.
        """
        found = [problem.message for problem in self.problems(LISTED, pictures=False)]
        if found:
            if len(found) == LISTED:
                found.append(f"... (only the first {LISTED} are listed)")
            raise DataError("bad rows:\n  " + "\n  ".join(found))


class Selection(TripletSource):
    """Some rows of a source, in ascending order."""

    def __init__(self, source: TripletSource, indices: np.ndarray):
        if not len(indices):
            raise DataError(f"{source!r}: no rows are left")
        self.path, self.columns = source.path, source.columns
        self._source, self._indices = source, np.asarray(indices, np.int64)

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        digest = hashlib.sha256(self._indices.tobytes()).hexdigest()[:12]
        return f"Selection({self._source!r}, {len(self)} rows, {digest})"

    def _read(self, index: int) -> Record:
        return self._source[self._indices[index]]


class Joined(TripletSource):
    """Several sources, one after the other."""

    def __init__(self, sources: Sequence[TripletSource]):
        self.path, self.columns = sources[0].path, sources[0].columns
        self._sources = list(sources)
        self._ends = np.cumsum([len(source) for source in sources])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __repr__(self) -> str:
        return f"Joined({', '.join(map(repr, self._sources))})"

    def _read(self, index: int) -> Record:
        at = int(np.searchsorted(self._ends, index, side="right"))
        return self._sources[at][index - (int(self._ends[at - 1]) if at else 0)]


def without_bad_rows(source: TripletSource, most_bad: float = 0.01) -> TripletSource:
    """Returns the source, or what is left of it where rows are bad; every row and picture is looked at.

    Args:
      source: the rows.
      most_bad: the greatest share of bad rows that is passed over.

    Raises:
      DataError: more than that are bad; the first ten are named.
    """
    if not 0 <= most_bad < 1:
        raise ValueError(f"most_bad={most_bad}: a share of the rows, at least 0 and below 1")
    bad: list[int] = []
    messages: list[str] = []
    for problem in source.problems():
        bad.append(problem.index)
        if len(messages) < LISTED:
            messages.append(problem.message)
            logging.warning("left out: %s", problem.message)
    if not bad:
        return source
    share = f"{len(bad)} of {len(source)} rows are bad ({100 * len(bad) / len(source):.2f} %)"
    if len(bad) > most_bad * len(source):
        listed = "\n  ".join(messages)
        raise DataError(f"{source!r}: {share}, over the {100 * most_bad:g} % that may be left out:\n  {listed}")
    logging.warning("%r: %s and are left out", source, share)
    return Selection(source, np.delete(np.arange(len(source)), bad))


def hold_out(source: TripletSource, share: float, seed: int) -> tuple[TripletSource, TripletSource]:
    """Returns the source without, and with only, a share of its rows (at least one) that `seed` draws.

    Raises:
      DataError: there are fewer than two rows.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}: above 0 and below 1")
    if len(source) < 2:
        raise DataError(f"{source!r}: too few rows to hold some out for validation")
    order = np.random.default_rng(seed).permutation(len(source))
    held = min(max(1, round(share * len(source))), len(source) - 1)
    return Selection(source, np.sort(order[held:])), Selection(source, np.sort(order[:held]))


def first_columns(names: Mapping[str, object] | None, wanted: Mapping[str, str] | None, where: str) -> Columns:
    """Returns the columns of a file whose rows each name their own, going by the first; None is no row to go by."""
    if names is None:
        wanted = dict(wanted or {})
        return Columns(
            wanted.get("image", "image"), wanted.get("prompt", "prompt"), wanted.get("response", "response"), "id"
        )
    return Columns.find(names, wanted, where)


def file_size(path: str | os.PathLike) -> int:
    """Returns the bytes of a data file.

    Raises:
      DataError: it is missing, is no file, or is not permitted.
    """
    path = Path(path)
    try:
        if path.is_file():
            return path.stat().st_size
        found = path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    raise DataError(f"{path} is not a file" if found else f"no data file at {path}")
