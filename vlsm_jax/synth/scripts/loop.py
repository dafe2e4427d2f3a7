"""The loop style: tables of names and classes, one loop that creates, sets and connects.

Connections are drawn inside the loop where the wires follow from the order of the objects (`patterns`); what does not
is drawn from a table of index pairs in a second loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlsm_jax.synth.scripts.habits import Habits
from vlsm_jax.synth.scripts.literals import class_path, string_literal
from vlsm_jax.synth.scripts.patterns import Lanes, Stages, find_plan
from vlsm_jax.synth.scripts.pen import Pen
from vlsm_jax.twin import Connection, ParameterValue, Twin, TwinObject, format_number

INSTANCES = 0.15
"""How often objects are created by the old command."""


class _Loop:
    """One script: its pen, and the variables that its parts share."""

    def __init__(self, pen: Pen, objects: Sequence[TwinObject], connected: int):
        self.pen = pen
        self.objects = objects
        self.connected = connected
        self.obj = pen.variables.word("object")
        self.names = pen.variables.word("names")
        self.classes = pen.variables.word("classes")
        self.widths = ""

    @property
    def more(self) -> bool:
        """Whether there are objects behind those of the pattern."""
        return len(self.objects) > self.connected

    def connect(self, source: str) -> str:
        return self.pen.connect(source, self.obj)

    def equals(self, index: int) -> str:
        return self.pen.op("i", "==", str(index))

    # --- Tables ---------------------------------------------------------------------------------------------------

    def coordinate(self, axis: int) -> str:
        """Declares a table of one coordinate where it is needed, and returns the coordinate in `i`."""
        pen = self.pen
        values = [obj.location[axis] for obj in self.objects]
        if len(set(values)) == 1:
            return pen.literals.measure(values[0])
        step = values[1] - values[0]
        if isinstance(step, int) and all(value == step * k for k, value in enumerate(values)):
            return pen.op(format_number(step), "*", f"({pen.op('i', '-', '1')})")
        table = pen.variables.word("xyz"[axis])
        pen.assign(f"Array {table}", pen.array(map(pen.literals.measure, values)))
        return f"{table}[i]"

    def settings(self) -> None:
        """Writes the conditions under which parameters are set: by class where all of a class agree, else by index."""
        pen = self.pen
        groups: dict[tuple[str, tuple[tuple[str, ParameterValue], ...]], list[int]] = {}
        for i, obj in enumerate(self.objects, 1):
            groups.setdefault((obj.cls, tuple(obj.parameters.items())), []).append(i)
        kinds: dict[str, int] = {}
        for cls, _ in groups:
            kinds[cls] = kinds.get(cls, 0) + 1
        is_open = False
        for (cls, settings), indices in groups.items():
            if not settings:
                continue
            alone = kinds[cls] == 1
            test = pen.op(f"{self.classes}[i]", "==", string_literal(class_path(cls, "::"))) if alone else ""
            test = test or pen.among("i", indices)
            (pen.otherwise if is_open else pen.open_if)(test)
            is_open = True
            for key, value in settings:
                pen.set_parameter(self.obj, cls, key, value)
        if is_open:
            pen.close()

    # --- Lanes ----------------------------------------------------------------------------------------------------

    def branches(self, branches: list[tuple[str, list[str]]]) -> None:
        """Writes a chain of conditions; the last one has none where it holds for all other objects."""
        for k, (condition, lines) in enumerate(branches):
            (self.pen.otherwise if k else self.pen.open_if)(condition)
            for line in lines:
                self.pen.line(line)
        self.pen.close()

    def declare_previous(self, pattern: Lanes) -> str:
        """Declares what remembers the objects before, and returns how its variables begin."""
        pen = self.pen
        word = pen.variables.word("previous")
        if pattern.lanes == 0:
            pen.line(f"Object {word};")
        elif pattern.lanes == 2:
            if pen.habits.grouped:
                pen.line(f"Object {word}1{pen.comma}{word}2;")
            else:
                pen.line(f"Object {word}1;")
                pen.line(f"Object {word}2;")
        else:
            word += "s"
            pen.assign(f"Array {word}", f"Array({pattern.lanes})")
        return word

    def connect_lanes(self, pattern: Lanes, previous: str) -> None:
        if pattern.lanes == 0:
            self.connect_chain(pattern, previous)
        elif pattern.lanes == 2:
            self.connect_two(pattern, previous)
        else:
            self.connect_many(pattern, previous)

    def if_line(self, condition: str, statement: str) -> str:
        gap = "" if self.pen.habits.compact else " "
        return f"if{gap}({condition}) {statement}"

    def move(self, *variables: str) -> str:
        """Returns the statement that makes the object the previous one."""
        return f"{self.pen.gap}={self.pen.gap}".join((*variables, self.obj)) + ";"

    def connect_chain(self, pattern: Lanes, previous: str) -> None:
        conditions = [self.pen.op("i", ">", "1"), *self.inside("i", pattern.breaks, self.connected)]
        self.pen.line(self.if_line(self.all_of(conditions), self.connect(previous)))
        self.pen.line(self.move(previous))

    def inside(self, index: str, breaks: Sequence[int], last: int) -> list[str]:
        """Returns the conditions for what is connected to the one before: up to `last`, without the breaks."""
        conditions = [self.pen.op(index, "!=", str(at)) for at in breaks]
        return [*conditions, *([self.pen.op(index, "<=", str(last))] if self.more else [])]

    def all_of(self, conditions: Sequence[str]) -> str:
        return f"{self.pen.gap}&&{self.pen.gap}".join(conditions)

    def after_lanes(self, pattern: Lanes, join: list[str], first: str) -> list[tuple[str, list[str]]]:
        """Returns the branches of what all lanes flow into, and of the chain behind it."""
        if pattern.after == 0:
            return []
        if pattern.after == 1:
            return [(self.equals(pattern.merge) if self.more else "", join)]
        last = self.pen.op("i", "<=", str(self.connected)) if self.more else ""
        move = self.move(first)
        return [(self.equals(pattern.merge), [*join, move]), (last, [self.connect(first), move])]

    def connect_two(self, pattern: Lanes, previous: str) -> None:
        """Writes what connects two lanes, with one variable for each, as engineers write it."""
        pen, p = self.pen, pattern.before
        one, two = f"{previous}1", f"{previous}2"
        start = self.move(one, two)
        branches: list[tuple[str, list[str]]] = []
        if p == 0:
            branches += [(self.equals(1), [self.move(one)]), (self.equals(2), [self.move(two)])]
        elif p == 1:
            branches.append((self.equals(1), [start]))
        else:
            chain = [self.if_line(pen.op("i", ">", "1"), self.connect(one)), start]
            branches.append((pen.op("i", "<=", str(p)), chain))
        self.branches_until(branches)
        if p or pattern.depth > 1:
            in_lanes = pattern.after or self.more
            pen.otherwise(pen.op("i", "<", str(pattern.merge)) if in_lanes else "")
            pen.open_if(pen.op(pen.op("i", "%", "2"), "==", str((p + 1) % 2)))
            for variable in (one, two):
                pen.line(self.connect(variable))
                pen.line(self.move(variable))
                if variable == one:
                    pen.otherwise()
            pen.close()
        for condition, lines in self.after_lanes(pattern, [self.connect(one), self.connect(two)], one):
            pen.otherwise(condition)
            for line in lines:
                pen.line(line)
        pen.close()

    def branches_until(self, branches: list[tuple[str, list[str]]]) -> None:
        """Writes branches and leaves the last one open."""
        for k, (condition, lines) in enumerate(branches):
            (self.pen.otherwise if k else self.pen.open_if)(condition)
            for line in lines:
                self.pen.line(line)

    def connect_many(self, pattern: Lanes, previous: str) -> None:
        """Writes what connects three and more lanes, with an array of the last object of each."""
        pen, p, lanes = self.pen, pattern.before, pattern.lanes
        each = pen.count("k", str(lanes)) + " "
        first, here = f"{previous}[1]", f"{previous}[k]"
        branches: list[tuple[str, list[str]]] = []
        if p == 0:
            branches.append((pen.op("i", "<=", str(lanes)), [self.move(f"{previous}[i]")]))
        else:
            chain = [self.if_line(pen.op("i", ">", "1"), self.connect(first))] if p > 1 else []
            condition = pen.op("i", "<=", str(p)) if p > 1 else self.equals(1)
            branches.append((condition, [*chain, each + self.move(here)]))
        if p or pattern.depth > 1:
            lane = pen.op(pen.op(f"({pen.op('i', '-', str(p + 1))})", "%", str(lanes)), "+", "1")
            body = [f"int k{pen.gap}={pen.gap}{lane};", self.connect(here), self.move(here)]
            in_lanes = pattern.after or self.more
            branches.append((pen.op("i", "<", str(pattern.merge)) if in_lanes else "", body))
        branches += self.after_lanes(pattern, [each + self.connect(here)], first)
        self.branches(branches)

    # --- Stages ---------------------------------------------------------------------------------------------------

    def connect_stage(self, pattern: Stages, before: str) -> None:
        """Writes what connects an object to the stage before: to its own neighbour, or to all of them."""
        pen = self.pen
        conditions = self.inside("s", pattern.breaks, len(pattern.widths))
        if conditions:
            pen.open_if(self.all_of(conditions))
        here = f"{before}.length"
        pen.open_if(pen.op(f"{self.widths}[s]", "==", here))
        pen.line(self.connect(f"{before}[k]"))
        pen.otherwise()
        pen.line(f"{pen.count('n', here)} {self.connect(f'{before}[n]')}")
        pen.close()
        if conditions:
            pen.close()


def _links(loop: _Loop, objects: str, rest: Sequence[Connection]) -> None:
    """Writes a table of wires by index and the loop that draws them."""
    pen = loop.pen
    index = {obj.name: i for i, obj in enumerate(loop.objects, 1)}
    letters = sorted({w.port for w in rest})
    one = len(letters) == 1
    rows = [
        pen.array([str(index[w.source]), str(index[w.target]), *([] if one else [string_literal(w.port)])])
        for w in rest
    ]
    links = pen.variables.word("links")
    pen.section("Connections")
    pen.assign(f"Array {links}", pen.array(rows))
    pen.open_count("k", f"{links}.length")
    port = f'"{letters[0]}"' if one else f"{links}[k][3]"
    pen.line(pen.connect(f"{objects}[{links}[k][1]]", f"{objects}[{links}[k][2]]", port))
    pen.close()


def write_loop(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script with one loop over tables; `rng` chooses the command that creates objects."""
    old = rng.random() < INSTANCES
    pen = Pen(twin, habits)
    if not twin.objects:
        return "// An empty model.\n"
    plan = find_plan(twin)
    pattern = plan.pattern
    loop = _Loop(pen, plan.objects, pattern.count if pattern is not None else 0)
    classes = [class_path(obj.cls, "::") for obj in plan.objects]
    old = old and not any("::" in cls for cls in classes)  # The library's path of such a class is no name.

    pen.section("Objects")
    pen.assign(f"Array {loop.names}", pen.array(string_literal(obj.name) for obj in plan.objects))
    pen.assign(f"Array {loop.classes}", pen.array(map(string_literal, classes)))
    place = [loop.coordinate(axis) for axis in range(3)]
    if pen.literals.stream_end:
        pen.assign(f"string {pen.literals.stream_end}", pen.literals.stream_end_literal())
    objects = previous = before = ""
    if isinstance(pattern, Lanes):
        previous = loop.declare_previous(pattern)
    if plan.rest:
        objects = pen.variables.word("objects")
        pen.line(f"Array {objects};")

    if isinstance(pattern, Stages):
        loop.widths, before, stage = (pen.variables.word(what) for what in ("widths", "before", "stage"))
        others = len(plan.objects) - pattern.count
        widths = [*pattern.widths, *([others] if others else [])]
        pen.assign(f"Array {loop.widths}", pen.array(map(str, widths)))
        pen.line(f"Array {before};")
        pen.assign("int i", "0")
        pen.open_count("s", f"{loop.widths}.length")
        pen.assign(f"Array {stage}", "[]")
        pen.open_count("k", f"{loop.widths}[s]")
        pen.line("i++;")
    else:
        pen.open_count("i", f"{loop.names}.length")

    created = f"{loop.classes}[i]"
    plus = "+" if habits.compact else " + "
    instance = pen.call("createinstance", f'library().find("?"{plus}{created})', "model()")
    pen.assign(f"Object {loop.obj}", instance if old else f"Object.create({created})")
    pen.assign(f"{loop.obj}.name", f"{loop.names}[i]")
    pen.place(loop.obj, *place)
    loop.settings()
    if isinstance(pattern, Lanes):
        loop.connect_lanes(pattern, previous)
    elif isinstance(pattern, Stages):
        loop.connect_stage(pattern, before)
        pen.line(f"{stage}.push({loop.obj});")
    if objects:
        pen.line(f"{objects}.push({loop.obj});")
    if isinstance(pattern, Stages):
        pen.close()
        pen.assign(before, stage)
    pen.close()
    if plan.rest:
        _links(loop, objects, plan.rest)
    return pen.text()
