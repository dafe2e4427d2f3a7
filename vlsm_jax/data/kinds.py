"""Metadata columns where a format is typed: what each column holds, and how values go in and come out.

A format with columns of one type each (parquet, Arrow, TFDS, xlsx) cannot hold whatever JSON can. A column whose values
are alike is written as what it is; one that mixes them, holds objects, or is null or absent in some rows, is written as
JSON text. Which columns these are is written beside the data, so that reading gives back equal values.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from typing import Any

from vlsm_jax.data.records import DataError, Record


class Kind(enum.Enum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"  # of 64 bits
    NUMBER = "number"  # float64
    FLAG = "flag"
    TEXTS = "texts"  # a list of text
    JSON = "json"  # anything, as JSON text


def kind_of(value: Any) -> Kind:
    """Returns the narrowest kind that holds `value`."""
    if isinstance(value, str):
        return Kind.TEXT
    if isinstance(value, bool):
        return Kind.FLAG
    if isinstance(value, int):
        return Kind.INTEGER if -(2**63) <= value < 2**63 else Kind.JSON
    if isinstance(value, float):
        return Kind.NUMBER
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return Kind.TEXTS
    return Kind.JSON


class KindFinder:
    """Finds the kind of every metadata column from the rows, in the order in which columns are first seen."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}
        self._counts: dict[str, int] = {}
        self._rows = 0
        self.own_ids = False
        self.pictures = False

    def add(self, record: Record) -> None:
        """Takes one row into account."""
        self._rows += 1
        self.own_ids |= record.has_own_id
        self.pictures |= record.image is not None
        for name, value in record.extra.items():
            kind = kind_of(value)
            self._counts[name] = self._counts.get(name, 0) + 1
            if self._kinds.setdefault(name, kind) is not kind:
                self._kinds[name] = Kind.JSON

    def kinds(self) -> dict[str, Kind]:
        """Returns column to kind; a column that some rows lack is JSON."""
        return {name: kind if self._counts[name] == self._rows else Kind.JSON for name, kind in self._kinds.items()}


def to_json(value: Any) -> str:
    """Returns `value` as JSON text.

    Raises:
      DataError: it has no JSON, as bytes do.
    """
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"a value of type {type(value).__name__} cannot be written as JSON: {error}") from error


def to_columns(extra: Mapping[str, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Returns a value for every column; a JSON column that the row lacks is None."""
    return {
        name: to_json(extra[name]) if kind is Kind.JSON and name in extra else extra.get(name)
        for name, kind in kinds.items()
    }


def from_columns(row: Mapping[str, Any], json_columns: Iterable[str], where: str) -> dict[str, Any]:
    """Returns the row with its JSON columns read; one that is None or empty is left out.

    Raises:
      DataError: a JSON column does not hold JSON.
    """
    row = dict(row)
    for name in json_columns:
        text = row.get(name)
        if text is None or text == "":
            row.pop(name, None)
            continue
        try:
            row[name] = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"{where}: field {name!r} is not the JSON it should be: {error}") from error
    return row
