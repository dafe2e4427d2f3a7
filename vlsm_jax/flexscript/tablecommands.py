"""What scripts may name of tables: the methods of `Table`, and the old table commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import host
from vlsm_jax.flexscript.conversions import describe, to_float, to_int, to_number, to_text
from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.tables import Table, TableCell, TableRow, header_index
from vlsm_jax.flexscript.vocabulary import ARRAY, DOUBLE, INT, STRING, TABLE, VARIANT, Command, Members, Namespace


def new_table(world: Any, reference: Any = None, *more: Any) -> Table:
    """`Table("Name")`, `Table(node)`, `Table(array)`."""
    if more or reference is None:
        raise Fault(
            "Table() takes the name of a global table, a node or an array of rows",
            code="argument",
            hint="for a table in memory: Table t = Table([[1, 2], [3, 4]]);",
        )
    return host.find_table(world, reference)


def _query(*arguments: Any) -> Any:
    raise Unsupported("Table.query is not supported: this emulator has no SQL", code="unsupported command",
                      hint="loop over the rows: for (int r = 1; r <= t.numRows; r++)")  # fmt: skip


def _clone_to(table: Table, target: Any) -> Table:
    if type(target) is not Table:
        raise Fault(f"cloneTo() needs a Table, not {describe(target)}", code="argument")
    return table.copy_to(target)


def _execute_cell(world: Any, table: Table, row: Any, col: Any) -> Any:
    compile_text = host.offered(world, "compile_text")
    text = table.get(row, col)
    if compile_text is None or not isinstance(text, str):
        return text if not isinstance(text, str) else None
    host.charge(world, 1 + len(text) // 4)
    code = compile_text(text, f"cell ({to_text(row)}, {to_text(col)}) of a table")
    if not code.ok:
        first = next(d for d in code.diagnostics if d.severity.value == "error")
        raise Fault(first.message, code=first.code, hint=first.hint)
    return code.run()


_METHODS = {
    "addRow": Command(Table.add_row, TABLE, 0, 2),
    "addCol": Command(Table.add_col, TABLE, 0, 2),
    "deleteRow": Command(Table.delete_row, TABLE, 1, 1),
    "deleteCol": Command(Table.delete_col, TABLE, 1, 1),
    "moveRow": Command(Table.move_row, TABLE, 2, 2),
    "moveCol": Command(Table.move_col, TABLE, 2, 2),
    "swapRows": Command(Table.swap_rows, TABLE, 2, 2),
    "swapCols": Command(Table.swap_cols, TABLE, 2, 2),
    "sort": Command(Table.sort, TABLE, 1, 2),
    "setSize": Command(Table.set_size, TABLE, 2, 4),
    "clear": Command(Table.clear, TABLE, 0, 0),
    "clone": Command(Table.to_rows, ARRAY, 0, 0),
    "cloneTo": Command(_clone_to, TABLE, 1, 1),
    "cell": Command(TableCell, VARIANT, 2, 2),
    "executeCell": Command(_execute_cell, VARIANT, 2, 2, True),
    "getRowHeader": Command(Table.row_header, STRING, 1, 1),
    "getColHeader": Command(Table.col_header, STRING, 1, 1),
    "setRowHeader": Command(Table.set_row_header, TABLE, 2, 2),
    "setColHeader": Command(Table.set_col_header, TABLE, 2, 2),
    "getRowNum": Command(lambda t, name: header_index(t.row_headers, to_text(name), "row") + 1, INT, 1, 1),
    "getColNum": Command(lambda t, name: header_index(t.col_headers, to_text(name), "column") + 1, INT, 1, 1),
    "getRowByKey": Command(Table.row_by_key, INT, 1, 2),
    "getValueByKey": Command(Table.value_by_key, VARIANT, 1, 3),
}


def members() -> Mapping[type, Members]:
    """Returns what stands behind the dot and in the brackets of a table, of its rows and of its cells."""
    return {
        Table: Members(
            {"numRows": lambda t: len(t.rows), "numCols": lambda t: len(t.col_headers)},
            {},
            _METHODS,
            index=TableRow,
        ),
        TableRow: Members(
            {"length": lambda row: len(row.table.col_headers)}, index=TableRow.get, set_index=TableRow.set
        ),
        TableCell: Members({"value": TableCell.get}, {"value": TableCell.set}),
    }


def namespace() -> Namespace:
    """Returns what stands behind `Table.`."""
    return Namespace({"query": Command(_query, TABLE, 1, 20)})


# --- Old commands -----------------------------------------------------------------------------------------------------


def _on_table(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function of a table: the first argument is a name, a number, a node or a table."""

    def run(world: Any, reference: Any, *arguments: Any) -> Any:
        table = host.find_table(world, reference)
        before = table.weight()
        result = function(table, *arguments)
        host.charge(world, (table.weight() - before) >> 2)
        return result

    return run


def _header(table: Table, axis: Any, number: Any) -> str:
    """`gettableheader(table, 1 for rows or 2 for columns, number)`."""
    return table.row_header(number) if to_int(axis) == 1 else table.col_header(number)


def _set_header(table: Table, axis: Any, number: Any, header: Any) -> Table:
    return table.set_row_header(number, header) if to_int(axis) == 1 else table.set_col_header(number, header)


def _multi_sort(table: Table, *cols: Any) -> Table:
    return table.sort(list(cols))


def commands() -> Mapping[str, Command]:
    """Returns the constructor and the old commands."""

    def command(function: Callable[..., Any], result: str, minimum: int, maximum: int) -> Command:
        return Command(_on_table(function), result, minimum, maximum, True)

    return {
        "Table": Command(new_table, TABLE, 1, 2, True),
        "reftable": command(lambda t: t, TABLE, 1, 1),
        "gettablenum": command(lambda t, r, c: to_float(t.get(r, c)), DOUBLE, 3, 3),
        "gettablestr": command(lambda t, r, c: to_text(t.get(r, c)), STRING, 3, 3),
        "gettablecell": command(TableCell, VARIANT, 3, 3),
        "cellrc": command(TableCell, VARIANT, 3, 3),
        "cellrowcolumn": command(TableCell, VARIANT, 3, 3),
        "nrows": command(lambda t: len(t.rows), INT, 1, 1),
        "ncols": command(lambda t: len(t.col_headers), INT, 1, 1),
        "cell": command(lambda t, c, r: TableCell(t, r, c), VARIANT, 3, 3),
        "settablenum": command(lambda t, r, c, v: t.set(r, c, to_number(v)), VARIANT, 4, 4),
        "settablestr": command(lambda t, r, c, v: t.set(r, c, to_text(v)), VARIANT, 4, 4),
        "gettablerows": command(lambda t: len(t.rows), INT, 1, 1),
        "gettablecols": command(lambda t: len(t.col_headers), INT, 1, 1),
        "settablesize": command(Table.set_size, TABLE, 3, 5),
        "addtablerow": command(Table.add_row, TABLE, 1, 3),
        "addtablecol": command(Table.add_col, TABLE, 1, 3),
        "deletetablerow": command(Table.delete_row, TABLE, 2, 2),
        "deletetablecol": command(Table.delete_col, TABLE, 2, 2),
        "movetablerow": command(Table.move_row, TABLE, 3, 3),
        "movetablecol": command(Table.move_col, TABLE, 3, 3),
        "swaptablerows": command(Table.swap_rows, TABLE, 3, 3),
        "swaptablecols": command(Table.swap_cols, TABLE, 3, 3),
        "sorttable": command(Table.sort, TABLE, 2, 2),
        "multisorttable": command(_multi_sort, TABLE, 2, 20),
        "clearglobaltable": command(Table.clear, TABLE, 1, 1),
        "gettableheader": command(_header, STRING, 3, 3),
        "settableheader": command(_set_header, TABLE, 4, 4),
        "executetablecell": Command(
            lambda world, t, r, c: _execute_cell(world, host.find_table(world, t), r, c), VARIANT, 3, 3, True
        ),
    }
