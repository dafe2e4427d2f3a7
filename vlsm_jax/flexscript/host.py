"""What a world offers to the language. A world defines the methods that it can serve; what it lacks faults by name.

`machine.world` is any object, also None. The language asks it for these methods:

- `find_table(reference) -> Table | None`: the global table of that name or number, or the table that stands at a node
  (an object's `variables/schedule`, a table property). Called by `Table("Name")`, by `Table t = node;`, by the old
  table commands and by `reftable`.
- `find_list(name) -> List | None`: the global list of that name. A world without it has one list per name and run,
  made when it is first used.
- `suspend(delay, resume) -> None`: calls `resume(None)` once, `delay` seconds of model time from now. Called by
  `await`; raises `Fault` when no model runs.
- `compile_text(text, label) -> CompiledCode`: compiles a text as code of its own. Called by `Table.executeCell`.
- `random_number() -> float`: the next number from 0 to 1 of the stream that scripts draw from. Called by
  `Color.random()`, so that a run depends on its seed alone.
"""

from __future__ import annotations

from typing import Any

from vlsm_jax.flexscript.conversions import describe
from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.tables import Table


def offered(world: Any, method: str) -> Any:
    """Returns a method that a world defines, None where it does not. The name is the language's, never a script's."""
    return getattr(world, method, None) if world is not None else None


def find_table(world: Any, reference: Any) -> Table:
    """Returns the table that a script refers to: itself, an array of rows, a name, a number or a node.

    Raises:
      Fault: there is no such table.
    """
    if type(reference) is Table:
        return reference
    if type(reference) is list and all(type(row) is list for row in reference):
        return Table(reference)
    if reference is None:
        raise Fault("a table is NULL", code="null reference", hint="the table was not found, or never assigned")
    find = offered(world, "find_table")
    table = find(reference) if find is not None else None
    if table is None:
        name = f"{reference[:60]!r}" if isinstance(reference, str) else describe(reference)
        raise Fault(f"there is no table {name}", code="table", hint="a global table must exist before it is used")
    return table


def to_table(world: Any, value: Any) -> Table | None:
    """`Table t = value;`: NULL stays NULL."""
    return None if value is None else find_table(world, value)


def charge(world: Any, steps: int) -> None:
    """Takes steps from the budget of the machine that serves a world."""
    machine = offered(world, "machine")
    if machine is not None and steps > 0:
        machine.charge(steps)
