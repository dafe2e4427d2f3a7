"""Tables that objects hold as properties: arrival schedules, component lists, process tables.

A table is kept as `Code` whose text is the FlexScript array of its rows, `[[0, "Product", 1]]`: one canonical form,
which a Twin can hold and a script can write back. While a script works on single cells, it does so on a `Table` that
the world keeps open, and what was changed is written back once, at the end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from vlsm_jax.flexscript import Fault, parse_expression, syntax
from vlsm_jax.flexscript.tables import Table
from vlsm_jax.flexscript.values import describe, format_number
from vlsm_jax.simulator.library import PropertyInfo
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Code, ParameterValue

MAX_ROWS, MAX_COLUMNS = 20_000, 100

Rows = list[list[Any]]

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})
_WITH_LABELS = frozenset({"ArrivalSchedule", "ArrivalSequence"})
_NEW_CELLS = {"Quantity": 1, "Target Quantity": 1, "ItemName": "Product", "Name": "Process", "Operator Reference": ""}


def to_rows(value: Any, info: PropertyInfo) -> Rows | None:
    """Returns a script's value as the rows of a table, None when it cannot be one.

    An array of arrays is taken row by row. A flat array is one row, or one column where the table has a single one.
    """
    if isinstance(value, str):
        return read_rows(Code(value))
    value = rows_with_headers(value, info) if isinstance(value, Table) else value
    if not isinstance(value, (list, tuple)):
        return None
    rows = list(value)
    if not any(isinstance(row, list) for row in rows):
        rows = [[cell] for cell in rows] if len(info.columns) == 1 else [rows] if rows else []
    rows = [list(row) if isinstance(row, list) else [row] for row in rows]
    if len(rows) > MAX_ROWS or any(len(row) > MAX_COLUMNS for row in rows):
        raise Fault(f"{info.name} has more than {MAX_ROWS} rows or {MAX_COLUMNS} columns", code="budget")
    return rows


def read_rows(value: ParameterValue | None) -> Rows | None:
    """Returns the rows of a kept table; None for code that is no array of plain numbers and strings."""
    if isinstance(value, tuple):
        return [[cell] for cell in value]
    if not isinstance(value, Code):
        return None
    rows = _kept_literal(value.text) if len(value.text) <= _SHORT else _literal(value.text)
    return None if rows is None else list(map(list, rows))


def _literal(text: str) -> tuple[tuple[Any, ...], ...] | None:
    expression = parse_expression(text)
    if type(expression) is not syntax.ArrayLiteral:
        return None
    rows = []
    for row in expression.items:
        cells = row.items if type(row) is syntax.ArrayLiteral else (row,)
        if not all(type(cell) in (syntax.Number, syntax.String) for cell in cells):
            return None
        rows.append(tuple([cell.value for cell in cells]))
    return tuple(rows)


_SHORT = 500
_kept_literal = functools.lru_cache(maxsize=1024)(_literal)
"""A table is read by the checks before a run, by the run, and by whoever writes its script."""


def write_rows(rows: Sequence[Sequence[Any]]) -> Code:
    """Returns rows in the canonical form; raises `Fault` for a cell that no table can hold."""
    return Code("[" + ", ".join("[" + ", ".join(map(_cell_text, row)) + "]" for row in rows) + "]")


def _cell_text(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if value is None:
        return "0"
    if isinstance(value, (int, float)) and math.isfinite(value):
        return format_number(value)
    if isinstance(value, Node):
        return _cell_text(value.name)
    raise Fault(f"a cell of a table holds a number or a string, not {describe(value)}", code="type")


def rows_with_headers(table: Table, info: PropertyInfo) -> Rows:
    """Returns the rows of a table; behind a row of headers where an arrival table names further columns, for labels."""
    further = table.col_headers[len(info.columns) :]
    if info.name not in _WITH_LABELS or not any(further):
        return table.rows
    return [[*info.columns, *further], *table.rows]


def has_headers(rows: Rows, places: int) -> bool:
    """Whether the first row of an arrival table, whose own columns are so many, holds headers."""
    return bool(rows) and len(rows[0]) >= places and all(isinstance(cell, str) for cell in rows[0])


def table_of_rows(rows: Rows, info: PropertyInfo, **options: Any) -> Table:
    """Returns rows as a table with its headers; cells that are missing get what a fresh row has there."""
    headers: list[str] = []
    if info.name in _WITH_LABELS and has_headers(rows, len(info.columns)):
        headers, *rows = rows
    width = max([len(info.columns), len(headers), *map(len, rows)])
    table = Table([[*row, *(new_cell(info, n) for n in range(len(row) + 1, width + 1))] for row in rows], **options)
    further = headers[len(info.columns) :]
    table.col_headers = [*info.columns, *further, *[""] * (width - len(info.columns) - len(further))]
    return table


def new_cell(info: PropertyInfo, place: int) -> Any:
    """Returns what a fresh row has in a column, counted from 1."""
    return _NEW_CELLS.get(info.columns[place - 1], 0) if place <= len(info.columns) else 0
