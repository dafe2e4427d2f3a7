"""Distributions given as a table: column 1 holds percentages that sum to 100, column 2 the values.

  dempirical: the values themselves, which may be texts.
  empirical: between the value of a row and that of the next one; in the last row, the value itself.
  cempirical: between the value of the row before and that of a row; in the first row, from 0.

Between two values all numbers are equally likely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from vlsm_jax.simulator.distributions import DistributionError, in_blocks

NAMES = ("empirical", "dempirical", "cempirical")
MAX_ROWS = 100_000
_TOLERANCE = 0.01
"""Percentages may miss 100 by this much, as those rounded to two places do; they count in proportion then."""


class Entries(NamedTuple):
    """The rows of a table, read and hashable: a percentage and a value each."""

    percentages: tuple[float, ...]
    values: tuple[Any, ...]


def read(name: str, rows: Sequence[Any]) -> Entries:
    """Reads the rows of a table; raises `DistributionError` naming the first row that has no meaning."""
    hint = f"{name} takes a table: percentages in column 1, values in column 2"
    if not rows:
        raise DistributionError(f"the table of {name} is empty", hint)
    if len(rows) > MAX_ROWS:
        raise DistributionError(f"the table of {name} has more than {MAX_ROWS} rows")
    percentages, values = [], []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, (list, tuple)) or len(row) < 2:
            raise DistributionError(f"row {number} of the table of {name} does not have two columns", hint)
        percentage, value = row[0], row[1]
        if not _is_number(percentage) or percentage < 0:
            raise DistributionError(f"row {number} of the table of {name} has no percentage in column 1", hint)
        if not _is_number(value) and (name != "dempirical" or not isinstance(value, str)):
            raise DistributionError(f"row {number} of the table of {name} has no number in column 2", hint)
        percentages.append(float(percentage))
        values.append(value)
    total = math.fsum(percentages)
    if not abs(total - 100) <= _TOLERANCE * 1.001:
        raise DistributionError(f"the percentages in the table of {name} sum to {total:g}, not to 100", hint)
    return Entries(tuple(percentages), tuple(values))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and -1e300 < value < 1e300


def sampler(name: str, entries: Entries, generator: np.random.Generator) -> Iterator[Any]:
    """Returns an endless iterator of values: floats, or for `dempirical` whatever column 2 holds."""
    return in_blocks(_block(name, entries, generator))


def draw(name: str, entries: Entries, generator: np.random.Generator) -> Any:
    """Returns one value."""
    return _block(name, entries, generator)(1)[0]


def _block(name: str, entries: Entries, generator: np.random.Generator) -> Callable[[int], list[Any]]:
    cumulative = np.cumsum(entries.percentages)
    # Rows of 0 % at the end are never drawn, whatever rounding does to the sums.
    last = int(np.flatnonzero(entries.percentages)[-1])

    def rows(size: int) -> np.ndarray:
        drawn = np.searchsorted(cumulative, generator.random(size) * cumulative[-1], side="right")
        return np.minimum(drawn, last)

    if name == "dempirical":
        values = entries.values
        return lambda size: [values[row] for row in rows(size).tolist()]
    ends = np.array(entries.values, dtype=float)
    if name == "empirical":
        low, high = ends, np.append(ends[1:], ends[-1])
    else:
        low, high = np.append(0.0, ends[:-1]), ends

    def between(size: int) -> list[float]:
        drawn = rows(size)
        return (low[drawn] + (high[drawn] - low[drawn]) * generator.random(size)).tolist()

    return between
