"""Scripts without a loop: object by object, or all objects first and what they are set to after that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from vlsm_jax.simulator.library import find_class
from vlsm_jax.synth.scripts.habits import Habits
from vlsm_jax.synth.scripts.literals import class_path, property_kind, string_literal
from vlsm_jax.synth.scripts.pen import Pen
from vlsm_jax.twin import Code, Connection, Distribution, ParameterValue, Twin, TwinObject

# --- One object -------------------------------------------------------------------------------------------------------


class Modern:
    """The commands of today: Object.create, name, location, setProperty."""

    def __init__(self, pen: Pen):
        self.pen = pen

    def created(self, obj: TwinObject) -> str:
        """Returns the expression that creates an object."""
        return f"Object.create({string_literal(class_path(obj.cls, '::'))})"

    def name(self, variable: str, obj: TwinObject) -> None:
        """Names it."""
        self.pen.assign(f"{variable}.name", string_literal(obj.name))

    def place(self, variable: str, obj: TwinObject) -> None:
        """Puts it in its place."""
        self.pen.place(variable, *self.pen.coordinates(obj))

    def set(self, variable: str, obj: TwinObject) -> None:
        """Sets its parameters."""
        for key, value in obj.parameters.items():
            self.pen.set_parameter(variable, obj.cls, key, value)


class Old(Modern):
    """The commands of old: createinstance, setname, setloc, setvarnum and setvarstr with the names of variables."""

    def __init__(self, pen: Pen, find: str):
        super().__init__(pen)
        self.find = find

    def created(self, obj: TwinObject) -> str:
        path = class_path(obj.cls, "/")
        path = string_literal(f"/{path}" if "/" in path else f"?{path}")
        found = f"library().find({path})" if self.find == "find" else self.pen.call("node", path, "library()")
        return self.pen.call("createinstance", found, "model()")

    def name(self, variable: str, obj: TwinObject) -> None:
        self.pen.line(f"{self.pen.call('setname', variable, string_literal(obj.name))};")

    def place(self, variable: str, obj: TwinObject) -> None:
        self.pen.line(f"{self.pen.call('setloc', variable, *self.pen.coordinates(obj))};")

    def set(self, variable: str, obj: TwinObject) -> None:
        for key, value in obj.parameters.items():
            command = self._command(obj.cls, key, value)
            if command is None:
                self.pen.set_parameter(variable, obj.cls, key, value)
            else:
                name, old, text = command
                self.pen.line(f"{self.pen.call(name, variable, string_literal(old), text)};")

    def _command(self, cls: str, key: str, value: ParameterValue) -> tuple[str, str, str] | None:
        """Returns command, variable and value by which a parameter is set; None where no variable stands for it."""
        info = find_class(cls)
        old = info.variable_of.get(key) if info is not None else None
        if old is None or key not in info.properties:
            return None
        literals = self.pen.literals
        if isinstance(value, (int, float)):
            return "setvarnum", old, literals.value(cls, key, value)
        if isinstance(value, Distribution):
            return "setvarstr", old, literals.value(cls, key, value)
        if isinstance(value, Code):
            return None if property_kind(cls, key) == "table" else ("setvarstr", old, string_literal(value.text))
        if isinstance(value, str) and property_kind(cls, key) == "enum":
            number = info.properties[key].options.get(value)
            return None if number is None else ("setvarnum", old, str(number))
        return None


# --- All objects ------------------------------------------------------------------------------------------------------


def declare(pen: Pen, variables: Iterable[str]) -> None:
    """Writes the declarations that stand before everything else, where the writer has the habit."""
    if not (pen.habits.declare_first and pen.habits.grouped):
        return
    group: list[str] = []
    for variable in variables:
        group.append(variable)
        if len(group) == 6:
            pen.line(f"Object {pen.comma.join(group)};")
            group = []
    if group:
        pen.line(f"Object {pen.comma.join(group)};")


def create(pen: Pen, variable: str, expression: str) -> None:
    """Writes what creates an object, with its declaration where that does not stand before."""
    if pen.habits.declare_first:
        if not pen.habits.grouped:
            pen.line(f"Object {variable};")
        pen.assign(variable, expression)
    else:
        pen.assign(f"Object {variable}", expression)


def write_blocks(pen: Pen, twin: Twin, old: Modern) -> dict[str, str]:
    """Writes a block per object, or all creations first; returns the variable of each object by its name."""
    variables = pen.variables.of_objects(twin)
    declare(pen, variables.values())
    declare_stream_end(pen)
    if pen.habits.creates_first:
        pen.section("Create objects")
        for obj in twin.objects:
            create(pen, variables[obj.name], old.created(obj))
            old.name(variables[obj.name], obj)
        pen.section("Locations and parameters")
        for obj in twin.objects:
            old.place(variables[obj.name], obj)
            old.set(variables[obj.name], obj)
        return variables
    pen.section("Objects")
    for obj in twin.objects:
        write_object(pen, variables[obj.name], obj, old)
    return variables


def write_object(pen: Pen, variable: str, obj: TwinObject, old: Modern) -> None:
    """Writes the block of one object."""
    pen.gap_line()
    create(pen, variable, old.created(obj))
    old.name(variable, obj)
    old.place(variable, obj)
    old.set(variable, obj)


def declare_stream_end(pen: Pen) -> None:
    """Declares the variable that ends all distributions, where there is one."""
    if pen.literals.stream_end:
        pen.assign(f"string {pen.literals.stream_end}", pen.literals.stream_end_literal())


def write_wires(pen: Pen, wires: Sequence[Connection], objects: Mapping[str, str]) -> None:
    """Writes one line per connection; `objects` holds an expression for each name."""
    if wires:
        pen.gap_line()
        pen.section("Connections")
    for wire in wires:
        pen.line(pen.connect(objects[wire.source], objects[wire.target], f'"{wire.port}"'))


def write_straight(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script with one block per object, then one line per connection."""
    del rng  # The habits decide.
    pen = Pen(twin, habits)
    variables = write_blocks(pen, twin, Modern(pen))
    write_wires(pen, twin.connections, variables)
    return pen.text()


def write_instance(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script in the commands of old; `rng` chooses how the library is searched."""
    pen = Pen(twin, habits)
    variables = write_blocks(pen, twin, Old(pen, "node" if rng.random() < 0.25 else "find"))
    write_wires(pen, twin.connections, variables)
    return pen.text()


# --- Sections ---------------------------------------------------------------------------------------------------------

SECTIONS: Sequence[tuple[str, frozenset[str]]] = (
    ("Sources", frozenset(("Source",))),
    ("Buffers", frozenset(("Queue", "Rack", "FloorStorage"))),
    ("Machines", frozenset(("Processor", "Combiner", "Separator", "MultiProcessor", "BasicFR"))),
    ("Conveyors", frozenset(("StraightConveyor", "CurvedConveyor"))),
    ("Operators", frozenset(("Operator",))),
    ("Transport", frozenset(("Dispatcher", "TaskExecuter", "Transporter", "AGV", "Robot", "Crane", "ASRSvehicle"))),
    ("Sinks", frozenset(("Sink",))),
)
"""What stands together, under which heading; all other classes come last, as `OTHERS`."""

OTHERS = "Others"

_SECTION_OF: Callable[[str], str] = {cls: title for title, members in SECTIONS for cls in members}.get


def in_sections(objects: Iterable[TwinObject]) -> dict[str, list[TwinObject]]:
    """Returns objects by the heading under which they stand; in the order of the headings, without empty ones."""
    found: dict[str, list[TwinObject]] = {title: [] for title, _ in SECTIONS}
    found[OTHERS] = []
    for obj in objects:
        found[_SECTION_OF(obj.cls) or OTHERS].append(obj)
    return {title: members for title, members in found.items() if members}


def sorted_wires(twin: Twin, order: Mapping[str, int]) -> tuple[Connection, ...]:
    """Returns the wires by the order of the objects they come from; as they are where that would change a port."""
    wires = tuple(sorted(twin.connections, key=lambda wire: (wire.port, order[wire.source])))
    return wires if Twin(twin.objects, wires).ports == twin.ports else twin.connections


def write_sections(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script in sections with headings: sources, buffers, machines, ..., flow, center ports.

    The habits on comments decide between plain headings and banners, and there are no scripts without headings here.
    """
    del rng  # The habits decide.
    pen = Pen(twin, habits)
    sections = in_sections(twin.objects)
    objects = [obj for members in sections.values() for obj in members]
    arranged = Twin(tuple(objects), twin.connections)
    variables = pen.variables.of_objects(arranged)
    modern = Modern(pen)
    declare(pen, variables.values())
    declare_stream_end(pen)
    for title, members in sections.items():
        pen.heading(title)
        for obj in members:
            write_object(pen, variables[obj.name], obj, modern)
    wires = sorted_wires(arranged, {obj.name: i for i, obj in enumerate(objects)})
    for title, port in (("Flow", "A"), ("Center ports", "S")):
        some = [wire for wire in wires if wire.port == port]
        if some:
            pen.heading(title)
        for wire in some:
            pen.line(pen.connect(variables[wire.source], variables[wire.target], f'"{wire.port}"'))
    return pen.text()
