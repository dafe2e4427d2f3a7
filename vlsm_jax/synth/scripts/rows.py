"""The table styles: arrays per class with a loop for each, and rows with a loop over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from vlsm_jax.synth.scripts.blocks import Modern, declare, declare_stream_end, sorted_wires, write_object, write_wires
from vlsm_jax.synth.scripts.habits import Habits, Naming
from vlsm_jax.synth.scripts.literals import class_path, string_literal
from vlsm_jax.synth.scripts.pen import Pen
from vlsm_jax.synth.scripts.variables import snake
from vlsm_jax.twin import ParameterValue, Twin, TwinObject

_FINDABLE = re.compile(r"[^\W\d_][\w .,()&#-]*")
_NOT_OBJECTS = frozenset(("Tools", "DefaultNavigator", "DefaultNetworkNavigator", "AGVNetwork", "AStarNavigator"))


def findable(twin: Twin) -> bool:
    """Whether every object is found by its name.

    A path gives a meaning to `/`, `>`, `~`, `?`, `+`, `..`, quotes and numbers, and a model holds nodes of its own.
    """
    return all(_FINDABLE.fullmatch(obj.name) and obj.name not in _NOT_OBJECTS for obj in twin.objects)


def found(name: str) -> str:
    """Returns the expression that finds an object by name."""
    return f"Model.find({string_literal(name)})"


# --- Arrays -----------------------------------------------------------------------------------------------------------


class _Class:
    """The arrays and the loop of one class.

    Attributes:
      handles: an expression for each object, by name.
    """

    def __init__(self, pen: Pen, cls: str, members: Sequence[TwinObject]):
        self.pen, self.cls, self.members = pen, cls, members
        self.word = pen.variables.of_class(cls)
        several = len(members) > 1
        self.variable = pen.variables.fresh(f"{self.word}s" if several else f"{self.word}1")
        self.handles = {
            obj.name: f"{self.variable}[{i}]" if several else self.variable for i, obj in enumerate(members, 1)
        }

    def write(self, obj: str) -> None:
        """Writes arrays and loop; `obj` is the variable of the object inside the loop."""
        if len(self.members) == 1:
            write_object(self.pen, self.variable, self.members[0], Modern(self.pen))
        else:
            self._write_loop(obj)

    def _table(self, what: str, values: Sequence[str]) -> str:
        """Declares an array of values where they differ, and returns the value in `i`."""
        pen = self.pen
        if len(set(values)) == 1:
            return values[0]
        what = _NO_LETTER.sub("", what)  # A property may be called Triggers.OnEntry.
        name = f"{self.word}_{snake(what)}" if pen.habits.naming is Naming.SNAKE else self.word + what
        name = pen.variables.fresh(name)
        pen.assign(f"Array {name}", pen.array(values))
        return f"{name}[i]"

    def _write_loop(self, obj: str) -> None:
        pen, members = self.pen, self.members
        pen.gap_line()
        name = self._table("Names", [string_literal(member.name) for member in members])
        places = [pen.coordinates(member) for member in members]
        place = [self._table("XYZ"[axis], [p[axis] for p in places]) for axis in range(3)]
        shared = [key for key in members[0].parameters if all(key in member.parameters for member in members)]
        settings = [
            (key, self._table(_plural(key), [pen.literals.value(self.cls, key, m.parameters[key]) for m in members]))
            for key in shared
        ]
        pen.assign(f"Array {self.variable}", f"Array({len(members)})")
        pen.open_count("i", str(len(members)))
        pen.assign(f"Object {obj}", f"Object.create({string_literal(class_path(self.cls, '::'))})")
        pen.assign(f"{obj}.name", name)
        pen.place(obj, *place)
        for key, value in settings:
            pen.set(obj, string_literal(key), value)
        for own, indices in self._own(shared).items():
            pen.open_if(pen.among("i", indices))
            for key, value in own:
                pen.set_parameter(obj, self.cls, key, value)
            pen.close()
        pen.assign(f"{self.variable}[i]", obj)
        pen.close()

    def _own(self, shared: Sequence[str]) -> dict[tuple[tuple[str, ParameterValue], ...], list[int]]:
        """Returns which objects have which parameters besides the shared ones."""
        groups: dict[tuple[tuple[str, ParameterValue], ...], list[int]] = {}
        for i, member in enumerate(self.members, 1):
            own = tuple((key, value) for key, value in member.parameters.items() if key not in shared)
            if own:
                groups.setdefault(own, []).append(i)
        return groups


def _plural(key: str) -> str:
    return f"{key[:-1]}ies" if key.endswith("y") else f"{key}s"


def write_arrays(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script with arrays of names, places and parameters per class, a loop per class, then connections."""
    del rng  # The habits decide.
    pen = Pen(twin, habits)
    classes: dict[str, list[TwinObject]] = {}
    for obj in twin.objects:
        classes.setdefault(obj.cls, []).append(obj)
    inner = pen.variables.word("object")
    parts = [_Class(pen, cls, members) for cls, members in classes.items()]
    declare(pen, [part.variable for part in parts if len(part.members) == 1])
    declare_stream_end(pen)
    handles: dict[str, str] = {}
    for part in parts:
        pen.section(part.cls)
        part.write(inner)
        handles |= part.handles
    if habits.by_name and findable(twin):
        write_wires(pen, twin.connections, {name: found(name) for name in handles})
        return pen.text()
    order = {obj.name: i for i, obj in enumerate(obj for members in classes.values() for obj in members)}
    wires = sorted_wires(twin, order)
    if wires:
        pen.gap_line()
        pen.section("Connections")
    for ends, port, times in _runs([(handles[w.source], handles[w.target], w.port) for w in wires]):
        connect = pen.connect(*ends, f'"{port}"')
        pen.line(f"{pen.count('i', times)} {connect}" if times else connect)
    return pen.text()


_NO_LETTER = re.compile(r"\W", re.ASCII)
_ELEMENT = re.compile(r"(\w+)\[(\d+)\]")
SHORTEST_RUN = 3


def _runs(wires: Sequence[tuple[str, str, str]]) -> Iterator[tuple[tuple[str, str], str, str]]:
    """Yields ends, port, and how often: for a loop in `i` over elements 1, 2, 3, ... of an array, else ""."""
    at = 0
    while at < len(wires):
        source, target, port = wires[at]
        length = 1
        ends = tuple(_ELEMENT.fullmatch(end) for end in (source, target))
        for moving in ((0,), (1,), (0, 1)):
            if not all(ends[k] and ends[k][2] == "1" for k in moving):
                continue
            wanted = [source, target]
            count = 0
            while at + count < len(wires):
                for k in moving:
                    wanted[k] = f"{ends[k][1]}[{count + 1}]"
                if wires[at + count] != (*wanted, port):
                    break
                count += 1
            if count >= SHORTEST_RUN and count > length:
                length, steps = count, moving
        if length == 1:
            yield (source, target), port, ""
        else:
            there = [f"{ends[k][1]}[i]" if k in steps else (source, target)[k] for k in (0, 1)]
            yield (there[0], there[1]), port, str(length)
        at += length


# --- Records ----------------------------------------------------------------------------------------------------------


def write_records(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script driven by one table of objects and one of connections.

    A row is class, name, x, y (and z where it is not 0 everywhere), then names and values of parameters in turn.
    Connections give names, which are looked up; or the numbers of the rows where a name cannot be looked up.
    """
    del rng  # The habits decide.
    pen = Pen(twin, habits)
    if not twin.objects:
        return "// An empty model.\n"
    flat = all(obj.location[2] == 0 for obj in twin.objects)
    axes = 2 if flat else 3
    by_name = findable(twin)
    declare_stream_end(pen)
    rows, row, obj = (pen.variables.word(what) for what in ("rows", "row", "object"))
    pen.section("Class, name, location, parameters")
    pen.declare_rows(rows, [_row(pen, each, axes) for each in twin.objects])
    objects = ""
    if twin.connections and not by_name:
        objects = pen.variables.word("objects")
        pen.line(f"Array {objects};")
    pen.declare_outside(obj)
    pen.open_count("i", f"{rows}.length")
    pen.assign(f"Array {row}", f"{rows}[i]")
    pen.create_inside(obj, f"Object.create({row}[1])")
    pen.assign(f"{obj}.name", f"{row}[2]")
    pen.place(obj, *(f"{row}[{3 + axis}]" for axis in range(axes)), *(["0"] if flat else []))
    if any(each.parameters for each in twin.objects):
        pen.open(pen.count("k", f"{row}.length", str(3 + axes), 2))
        pen.set(obj, f"{row}[k]", f"{row}[{pen.op('k', '+', '1')}]")
        pen.close()
    if objects:
        pen.line(f"{objects}.push({obj});")
    pen.close()
    if twin.connections:
        _links(pen, twin, objects)
    return pen.text()


def _row(pen: Pen, obj: TwinObject, axes: int) -> str:
    cells = [string_literal(class_path(obj.cls, "::")), string_literal(obj.name), *pen.coordinates(obj)[:axes]]
    for key, value in obj.parameters.items():
        cells += (string_literal(key), pen.literals.value(obj.cls, key, value))
    return pen.array(cells)


def _links(pen: Pen, twin: Twin, objects: str) -> None:
    """Writes the table of connections and its loop; `objects` holds the objects by row, "" to find them by name."""
    links = pen.variables.word("links")
    index = {obj.name: str(i) for i, obj in enumerate(twin.objects, 1)}
    write = index.__getitem__ if objects else string_literal
    pen.section("From, to, port")
    rows = [pen.array((write(w.source), write(w.target), f'"{w.port}"')) for w in twin.connections]
    pen.declare_rows(links, rows)
    pen.open_count("i", f"{links}.length")
    ends = [f"{objects}[{links}[i][{k}]]" if objects else f"Model.find({links}[i][{k}])" for k in (1, 2)]
    pen.line(pen.connect(*ends, f"{links}[i][3]"))
    pen.close()
