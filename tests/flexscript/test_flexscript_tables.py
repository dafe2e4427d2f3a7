"""`Table`: cells, headers, size, order, keys, and the old table commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.flexscript.tables import MAX_CELLS, Table

MADE = 'Table t = Table([[1, "a"], [2, "b"], [3, "c"]]); '


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return t.numRows * 10 + t.numCols;", 32),
        ("return t[2][2] + t[3][1];", "b3"),
        ("t[2][1] = 9; t[2][1] += 1; t[1][1]++; return t[2][1] * 100 + t[1][1];", 1002),
        ('t.setColHeader(2, "Name"); t.setRowHeader(1, "First"); return t["First"]["Name"];', "a"),
        ('t.setColHeader(2, "Name"); t[1]["Name"] = "z"; return t[1][2] + t.getColHeader(2);', "zName"),
        ("return t.getRowHeader(2) + t.getColHeader(1);", "Row 2Col 1"),
        ('t.setColHeader(2, "N"); return t.getColNum("N") * 10 + t.getColNum("Z") + t.getRowNum("Row 3");', 23),
        ("t.addRow(); return t.numRows * 10 + t[4][1];", 40),
        ("t.addRow(1); return t[1][1] * 10 + t[2][1];", 1),
        ('t.addCol(0, 2); return t.numCols + ("[" + t[1][3] + "]").length;', 5),
        ("t.deleteRow(1); return t[1][2] + t.numRows;", "b2"),
        ("t.deleteCol(1); return t[1][1] + t.numCols;", "a1"),
        ("t.moveRow(1, 3); return t[1][2] + t[2][2] + t[3][2];", "bca"),
        ("t.moveCol(1, 2); return t[1][1] + t[1][2];", "a1"),
        ("t.swapRows(1, 3); return t[1][2] + t[3][2];", "ca"),
        ("t.swapCols(1, 2); return t[1][1] + t[1][2];", "a1"),
        ("t.sort(1, 0); return t[1][2] + t[3][2];", "ca"),
        ("t[1][1] = 2; t.sort([1, 2], [1, 0]); return t[1][2] + t[2][2] + t[3][2];", "bac"),
        ("t.setSize(2, 3); return [t.numRows, t.numCols, t[1][3]];", [2, 3, 0]),
        ('t.setSize(1, 1, 2, 1); return t[1][1] == "";', 1),
        ('t.clear(); return t[1][1] == 0 && t[1][2] == "";', 1),
        ("return t.clone();", [[1, "a"], [2, "b"], [3, "c"]]),
        ("Table u = Table([[0]]); t.cloneTo(u); u[1][1] = 7; return [u.numRows, t[1][1]];", [3, 1]),
        ("Table u = t; u[1][1] = 7; return t[1][1];", 7),
        ("return t.cell(2, 2).value;", "b"),
        ("t.cell(2, 1).value = 5; return t[2][1];", 5),
        ("return t.getValueByKey(2);", "b"),
        ('return t.getValueByKey("c", 1, 2);', 3),
        ("return t.getValueByKey(2, [1, 2]);", [2, "b"]),
        ("return t.getValueByKey(9) == nullvar;", 1),
        ('return t.getRowByKey("b", 2) * 10 + t.getRowByKey(7);', 20),
        ('t[1][2] = "return 6 * 7;"; return t.executeCell(1, 2);', 42),
        ("Array rows = [[1]]; Table u = Table(rows); u[1][1] = 4; return rows[1][1];", 4),
        ("return t.is(Table) * 10 + t.is(Array);", 10),
        ("t[1][1] = t[2][1] = 8; return t[1][1] + t[2][1];", 16),
    ],
)
def test_table(returned, clock, text, expected):
    assert returned(MADE + text, world=clock) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("t[4][1];", "Invalid row number: 4", "3 rows"),
        ("t[1][0];", "Invalid column number: 0", "counted from 1"),
        ('t["None"][1];', "the table has no row 'None'", ""),
        ("t.setSize(1000, 1000);", "a table grew beyond", ""),
        ("t.addRow(9);", "Invalid row number: 9", ""),
        ('Table("Missing");', "there is no table 'Missing'", "must exist"),
        ("Table(3, 4);", "Table() takes the name", "Table t = Table([["),
        ('Table.query("SELECT 1");', "Table.query is not supported", "loop over the rows"),
        ("Table u; u[1][1];", "Invalid variant type used with [] array operator", ""),
    ],
)
def test_table_exceptions(failed, clock, text, message, hint):
    fault = failed(MADE + text, world=clock)
    assert message in fault.message
    assert hint in fault.hint


def test_a_read_only_table_is_not_written(failed, clock):
    clock.tables["T"] = Table([[1]], name="T", read_only=True)
    assert failed('Table("T")[1][1] = 2;', world=clock).message == "Cannot set a value in a read-only table"
    assert failed('Table("T").addRow();', world=clock).message == "Cannot add a row in a read-only table"
    assert clock.tables["T"].rows == [[1]]


def test_a_change_is_told_to_the_world(returned, clock):
    seen = []
    clock.tables["T"] = Table([[1]], changed=lambda: seen.append(1))
    returned('Table t = "T"; t[1][1] = 2; t.addRow(); settablenum("T", 1, 1, 3);', world=clock)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('return gettablestr("T", 1, 2) + gettablenum("T", 1, 1);', "x5"),
        (
            'settablenum("T", 1, 1, 8); settablestr("T", 1, 2, "y"); return gettablestr("T", 1, 2) + Table("T")[1][1];',
            "y8",
        ),
        ('return gettablerows("T") * 10 + gettablecols("T");', 12),
        ('settablesize("T", 3, 4); return gettablerows("T") * 10 + gettablecols(reftable("T"));', 34),
        ('addtablerow("T"); addtablecol("T"); return gettablerows("T") * 10 + gettablecols("T");', 23),
        (
            'deletetablerow("T", 1); deletetablecol("T", 1); return gettablerows("T") + gettablecols("T");',
            1,
        ),
        ('settableheader("T", 2, 1, "Qty"); return gettableheader("T", 2, 1) + gettableheader("T", 1, 1);', "QtyRow 1"),
        ('clearglobaltable("T"); return gettablenum("T", 1, 1);', 0),
        ('return gettablecell("T", 1, 2).value + cellrc("T", 1, 1).value;', "x5"),
        ('addtablerow("T"); swaptablerows("T", 1, 2); movetablerow("T", 2, 1); return gettablenum("T", 1, 1);', 5),
        ('addtablerow("T"); sorttable("T", 1); return gettablenum("T", 2, 1);', 5),
        ('settablestr("T", 1, 2, "return 1 + 1;"); return executetablecell("T", 1, 2);', 2),
    ],
)
def test_old_table_commands(returned, clock, text, expected):
    clock.tables["T"] = Table([[5, "x"]], name="T")
    assert returned(text, world=clock) == expected


def test_tables_cannot_fill_the_memory(failed, clock):
    fault = failed("Array a; while (1) { Table t = Table([[0]]); t.setSize(300, 300); a.push(t); }", world=clock)
    assert fault.code == "budget"
    assert MAX_CELLS == 100_000


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=8))
def test_sorting_by_two_columns_is_sorting_by_pairs(pairs):
    table = Table([list(pair) for pair in pairs])
    if pairs:
        table.sort([1, 2])
    assert [tuple(row) for row in table.rows] == sorted(pairs)


@given(st.lists(st.sampled_from(["add_row", "add_col", "delete_row", "delete_col"]), max_size=12))
def test_a_table_stays_rectangular(steps):
    table = Table([[1, 2], [3, 4]])
    for step in steps:
        if step.startswith("delete"):
            if table.rows if step == "delete_row" else table.col_headers:
                getattr(table, step)(1)
        else:
            getattr(table, step)()
    assert {len(row) for row in table.rows} <= {len(table.col_headers)}
    assert len(table.row_headers) == len(table.rows)
