"""`Table`: rows and columns of values with headers, shared by reference and bounded in size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript.arrays import ORDER
from vlsm_jax.flexscript.conversions import ValueType, copied, describe, to_array, to_int, to_text, truth
from vlsm_jax.flexscript.faults import Fault, OutOfBudget
from vlsm_jax.flexscript.values import equal

MAX_CELLS = 100_000
_EMPTY = {1: 0, 2: ""}


class Table(ValueType):
    """A table; rows and columns count from 1, or are named by their headers.

    Attributes:
      rows: one list per row, all of the same length.
      row_headers: one text per row; an empty one shows as "Row 1".
      col_headers: one text per column; an empty one shows as "Col 1".
      read_only: whether writing raises.
      name: for messages.
      changed: called after every change, None when nobody listens.
    """

    __slots__ = ("changed", "col_headers", "name", "read_only", "row_headers", "rows")
    type_name = "Table"

    def __init__(self, rows: list[list] | None = None, *, name: str = "", read_only: bool = False,
                 changed: Callable[[], None] | None = None):  # fmt: skip
        self.rows: list[list] = rows if rows is not None else []
        width = max(map(len, self.rows), default=0)
        self._bounded(len(self.rows), width)
        for row in self.rows:
            row.extend([None] * (width - len(row)))
        self.row_headers = [""] * len(self.rows)
        self.col_headers = [""] * width
        self.name = name
        self.read_only = read_only
        self.changed = changed

    def __str__(self) -> str:
        return f"Table[{len(self.rows)}][{len(self.col_headers)}]{f' {self.name}' if self.name else ''}"

    def weight(self) -> int:
        """The number of cells."""
        return len(self.rows) * len(self.col_headers)

    # --- Places -------------------------------------------------------------------------------------------------------

    def row(self, reference: Any) -> int:
        """Returns the index of a row, from 0; raises `Fault` where there is none."""
        return self._index(reference, self.row_headers, "row")

    def col(self, reference: Any) -> int:
        """Returns the index of a column, from 0; raises `Fault` where there is none."""
        return self._index(reference, self.col_headers, "column")

    def _index(self, reference: Any, headers: list[str], what: str) -> int:
        table = f"the table {self.name!r}" if self.name else "the table"
        if isinstance(reference, str):
            at = header_index(headers, reference, what)
            if at < 0:
                names = ", ".join(repr(header) for header in headers[:5] if header)
                hint = f"its {what}s are {names}" if names else f"its {what}s have no headers"
                raise Fault(f"{table} has no {what} {reference[:60]!r}", code="table", hint=hint)
            return at
        if not isinstance(reference, (int, float)):
            raise Fault(f"a {what} is a number or a header, not {describe(reference)}", code="table")
        at = to_int(reference)
        if not 1 <= at <= len(headers):
            hint = f"{table} has {len(headers)} {what}s" + (", counted from 1" if at == 0 else "")
            raise Fault(f"Invalid {what} number: {at}", code="table", hint=hint)
        return at - 1

    # --- Cells --------------------------------------------------------------------------------------------------------

    def get(self, row: Any, col: Any) -> Any:
        """The value of a cell."""
        return self.rows[self.row(row)][self.col(col)]

    def set(self, row: Any, col: Any, value: Any) -> None:
        """Writes a cell; raises `Fault` for a read-only table."""
        self._writable("set a value")
        self.rows[self.row(row)][self.col(col)] = copied(value)
        self._notify()

    def clear(self) -> Table:
        """Empties every cell: numbers become 0, texts empty, all else Null."""
        self._writable("clear cells")
        for row in self.rows:
            row[:] = [0 if isinstance(v, (int, float)) else "" if isinstance(v, str) else None for v in row]
        self._notify()
        return self

    def _writable(self, what: str) -> None:
        if self.read_only:
            raise Fault(f"Cannot {what} in a read-only table", code="table")

    def _notify(self) -> None:
        if self.changed is not None:
            self.changed()

    # --- Size ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _bounded(rows: int, cols: int) -> None:
        if rows * max(1, cols) > MAX_CELLS or cols > MAX_CELLS:
            raise OutOfBudget(f"a table grew beyond {MAX_CELLS} cells")

    def set_size(self, rows: Any, cols: Any, datatype: Any = 1, overwrite: Any = 0) -> Table:
        """Cuts or extends the table; with `overwrite`, the cells that stay are emptied as well."""
        self._writable("change the size")
        height, width = max(0, to_int(rows)), max(0, to_int(cols))
        self._bounded(height, width)
        empty = _EMPTY.get(to_int(datatype))
        if truth(overwrite):
            self.rows.clear()
        del self.rows[height:]
        for row in self.rows:
            del row[width:]
            row.extend([empty] * (width - len(row)))
        self.rows.extend([empty] * width for _ in range(height - len(self.rows)))
        self.row_headers = (self.row_headers + [""] * height)[:height]
        self.col_headers = (self.col_headers + [""] * width)[:width]
        self._notify()
        return self

    def add_row(self, at: Any = 0, datatype: Any = 1) -> Table:
        """Inserts a row at a number; 0 puts it at the end."""
        self._writable("add a row")
        self._bounded(len(self.rows) + 1, len(self.col_headers))
        place = self._place(at, len(self.rows), "row")
        self.rows.insert(place, [_EMPTY.get(to_int(datatype))] * len(self.col_headers))
        self.row_headers.insert(place, "")
        self._notify()
        return self

    def add_col(self, at: Any = 0, datatype: Any = 1) -> Table:
        """Inserts a column at a number; 0 puts it at the end."""
        self._writable("add a column")
        self._bounded(len(self.rows), len(self.col_headers) + 1)
        place = self._place(at, len(self.col_headers), "column")
        for row in self.rows:
            row.insert(place, _EMPTY.get(to_int(datatype)))
        self.col_headers.insert(place, "")
        self._notify()
        return self

    def _place(self, at: Any, count: int, what: str) -> int:
        number = to_int(at)
        if not 0 <= number <= count + 1:
            raise Fault(f"Invalid {what} number: {number}", code="table", hint=f"the table has {count} {what}s")
        return number - 1 if number else count

    def delete_row(self, row: Any) -> Table:
        """Removes a row."""
        self._writable("delete a row")
        at = self.row(row)
        del self.rows[at], self.row_headers[at]
        self._notify()
        return self

    def delete_col(self, col: Any) -> Table:
        """Removes a column."""
        self._writable("delete a column")
        at = self.col(col)
        for row in self.rows:
            del row[at]
        del self.col_headers[at]
        self._notify()
        return self

    # --- Order --------------------------------------------------------------------------------------------------------

    def move_row(self, row: Any, to: Any) -> Table:
        """Moves a row to another number."""
        self._writable("move a row")
        source, target = self.row(row), self.row(to)
        self.rows.insert(target, self.rows.pop(source))
        self.row_headers.insert(target, self.row_headers.pop(source))
        self._notify()
        return self

    def move_col(self, col: Any, to: Any) -> Table:
        """Moves a column to another number."""
        self._writable("move a column")
        source, target = self.col(col), self.col(to)
        for row in (*self.rows, self.col_headers):
            row.insert(target, row.pop(source))
        self._notify()
        return self

    def swap_rows(self, row: Any, other: Any) -> Table:
        """Exchanges two rows with their headers."""
        self._writable("swap rows")
        a, b = self.row(row), self.row(other)
        for rows in (self.rows, self.row_headers):
            rows[a], rows[b] = rows[b], rows[a]
        self._notify()
        return self

    def swap_cols(self, col: Any, other: Any) -> Table:
        """Exchanges two columns with their headers."""
        self._writable("swap columns")
        a, b = self.col(col), self.col(other)
        for row in (*self.rows, self.col_headers):
            row[a], row[b] = row[b], row[a]
        self._notify()
        return self

    def sort(self, cols: Any, ascending: Any = 1) -> Table:
        """Sorts the rows by one column or by an array of them, upwards unless `ascending` is 0, for each or for all."""
        self._writable("sort rows")
        columns = [self.col(col) for col in to_array(cols)]
        upwards = to_array(ascending)
        order = list(range(len(self.rows)))
        for n in range(len(columns) - 1, -1, -1):  # the last column first: the sort keeps the order of equals
            up = truth(upwards[min(n, len(upwards) - 1)]) if upwards else True
            order.sort(key=lambda i, at=columns[n]: ORDER(self.rows[i][at]), reverse=not up)
        self.rows[:] = [self.rows[i] for i in order]
        self.row_headers = [self.row_headers[i] for i in order]
        self._notify()
        return self

    # --- Headers and keys ---------------------------------------------------------------------------------------------

    def row_header(self, row: Any) -> str:
        """The header of a row."""
        at = self.row(row)
        return self.row_headers[at] or f"Row {at + 1}"

    def col_header(self, col: Any) -> str:
        """The header of a column."""
        at = self.col(col)
        return self.col_headers[at] or f"Col {at + 1}"

    def set_row_header(self, row: Any, header: Any) -> Table:
        """Renames a row."""
        self._writable("set a header")
        self.row_headers[self.row(row)] = to_text(header)[:200]
        self._notify()
        return self

    def set_col_header(self, col: Any, header: Any) -> Table:
        """Renames a column."""
        self._writable("set a header")
        self.col_headers[self.col(col)] = to_text(header)[:200]
        self._notify()
        return self

    def row_by_key(self, key: Any, key_col: Any = 1) -> int:
        """The number of the first row with that value in the key column; 0 where there is none."""
        at = self.col(key_col)
        return next((n for n, row in enumerate(self.rows, 1) if equal(row[at], key)), 0)

    def value_by_key(self, key: Any, col: Any = 2, key_col: Any = 1) -> Any:
        """The value in the row of a key; an array of values for an array of columns; Null where the key is missing."""
        number = self.row_by_key(key, key_col)
        if number == 0:
            return None
        row = self.rows[number - 1]
        return [row[self.col(c)] for c in col] if type(col) is list else row[self.col(col)]

    # --- Copies -------------------------------------------------------------------------------------------------------

    def to_rows(self) -> list:
        """`clone()`: an array of arrays with the values of the cells."""
        return [list(map(copied, row)) for row in self.rows]

    def copy_to(self, target: Table) -> Table:
        """Copies size, values and headers to another table, and returns that."""
        target._writable("set a value")
        rows = self.to_rows()  # first, since the target may be this table
        row_headers, col_headers = list(self.row_headers), list(self.col_headers)
        target.rows[:] = rows
        target.row_headers, target.col_headers = row_headers, col_headers
        target._notify()
        return target


class TableRow(ValueType):
    """`table[row]`, on the way to a cell."""

    __slots__ = ("row", "table")
    type_name = "Table.Row"

    def __init__(self, table: Table, row: Any):
        table.row(row)
        self.table = table
        self.row = row

    def get(self, col: Any) -> Any:
        """The value of a cell."""
        return self.table.get(self.row, col)

    def set(self, col: Any, value: Any) -> None:
        """Writes a cell."""
        self.table.set(self.row, col, value)


class TableCell(ValueType):
    """`table.cell(row, col)`, with its `value`."""

    __slots__ = ("col", "row", "table")
    type_name = "Table.Cell"

    def __init__(self, table: Table, row: Any, col: Any):
        table.get(row, col)
        self.table = table
        self.row = row
        self.col = col

    def get(self) -> Any:
        """The value."""
        return self.table.get(self.row, self.col)

    def set(self, value: Any) -> None:
        """Writes the value."""
        self.table.set(self.row, self.col, value)


def header_index(headers: list[str], name: str, what: str) -> int:
    """Returns the index of a header, -1 where there is none; "Row 2" and "Col 2" are the headers of what has none."""
    if name and name in headers:
        return headers.index(name)
    prefix = {"row": "Row ", "column": "Col "}[what]
    rest = name.removeprefix(prefix)
    if rest != name and rest.isascii() and rest.isdigit() and len(rest) < 7:
        at = int(rest) - 1
        if 0 <= at < len(headers) and not headers[at]:
            return at
    return -1
