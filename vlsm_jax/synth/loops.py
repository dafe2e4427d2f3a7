"""The loop style: tables of names and classes, one loop that creates, sets and connects.

Connections are drawn inside the loop where the wires follow from the order of the objects: a chain, or lanes that
stand side by side between shared stages. Everything else is drawn from a table of index pairs in a second loop. Which
of these a Twin allows is decided by comparing the ports it would get, so the form never changes the Twin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from vlsm_jax.synth.literals import (
    STREAM_END_VARIABLE,
    array_literal,
    count_distributions,
    declare_stream_end,
    string_literal,
    value_literal,
)
from vlsm_jax.twin import Connection, ParameterValue, Twin, format_number

MOST_LANES = 6
MOST_SHARED = 4


@dataclasses.dataclass(frozen=True)
class Lanes:
    """Wires that follow from the order of creation.

    `before` objects in a chain, then `depth` stages of `lanes` objects each, stage by stage, then `after` in a chain.
    A chain alone has `lanes` 0.
    """

    before: int
    lanes: int = 0
    depth: int = 0
    after: int = 0

    @property
    def merge(self) -> int:
        """Index of the object into which all lanes flow, from 1; past the end where there is none."""
        return self.before + self.lanes * self.depth + 1

    def wires(self) -> Iterator[tuple[int, int]]:
        """Yields (from, to) by index from 1, in the order in which the loop draws them."""
        for i in range(1, self.merge + self.after):
            if i <= self.before or i > self.merge:
                if i > 1:
                    yield i - 1, i
            elif i < self.merge:
                place = i - self.before
                if place > self.lanes:
                    yield i - self.lanes, i
                elif self.before:
                    yield self.before, i
            else:
                yield from ((self.merge - self.lanes + lane, i) for lane in range(self.lanes))


def _candidates(count: int) -> Iterator[Lanes]:
    yield Lanes(before=count)
    for lanes in range(2, MOST_LANES + 1):
        for before in range(MOST_SHARED + 1):
            for after in range(MOST_SHARED + 1):
                depth, rest = divmod(count - before - after, lanes)
                if depth > 0 and rest == 0:
                    yield Lanes(before, lanes, depth, after)


def find_lanes(twin: Twin) -> Lanes | None:
    """Returns the pattern by which drawing wires in the order of the objects gives the ports of `twin`, else None."""
    names = [obj.name for obj in twin.objects]
    wanted = sorted((w.source, w.target) for w in twin.connections)
    if not wanted or any(w.port != "A" for w in twin.connections):
        return None
    for pattern in _candidates(len(names)):
        wires = [(names[a - 1], names[b - 1]) for a, b in pattern.wires()]
        if sorted(wires) == wanted and Twin(twin.objects, tuple(Connection(a, b) for a, b in wires)) == twin:
            return pattern
    return None


# --- Parts of the text ------------------------------------------------------------------------------------------------


def _connect(source: str, target: str = "obj") -> str:
    return f'contextdragconnection({source}, {target}, "A");'


def _block(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _coordinate(values: list[float], table: str) -> tuple[str, str]:
    """Returns the table line ("" where none is needed) and the expression in `i` for one coordinate of all objects."""
    if len(set(values)) == 1:
        return "", format_number(values[0])
    step = values[1] - values[0]
    if isinstance(step, int) and all(value == step * k for k, value in enumerate(values)):
        return "", f"{format_number(step)} * (i - 1)"
    return f"Array {table} = {array_literal(map(format_number, values))};", f"{table}[i]"


def _condition(indices: list[int]) -> str:
    """Returns the condition in `i` that holds for exactly these indices, which are sorted."""
    if len(indices) > 2 and indices[-1] - indices[0] == len(indices) - 1:
        return f"i >= {indices[0]} && i <= {indices[-1]}"
    return " || ".join(f"i == {i}" for i in indices)


Settings = tuple[tuple[str, ParameterValue], ...]


def _settings(twin: Twin, stream_end: str | None) -> list[str]:
    """Returns the chain of conditions that sets parameters: by class where all of a class agree, else by index."""
    groups: dict[tuple[str, Settings], list[int]] = {}
    for i, obj in enumerate(twin.objects, 1):
        groups.setdefault((obj.cls, tuple(obj.parameters.items())), []).append(i)
    kinds: dict[str, int] = {}
    for cls, _ in groups:
        kinds[cls] = kinds.get(cls, 0) + 1
    lines: list[str] = []
    for (cls, settings), indices in groups.items():
        if not settings:
            continue
        condition = f"classes[i] == {string_literal(cls)}" if kinds[cls] == 1 else _condition(indices)
        head = f"}} else if ({condition}) {{" if lines else f"if ({condition}) {{"
        body = [
            f"obj.setProperty({string_literal(key)}, {value_literal(value, stream_end)});" for key, value in settings
        ]
        lines += [head, *_block(body)]
    return [*lines, "}"] if lines else []


def _branches(branches: list[tuple[str, list[str]]]) -> list[str]:
    """Returns an if / else-if chain of (condition, body); an empty condition is the final else."""
    lines = []
    for condition, body in branches:
        test = f"if ({condition}) {{" if condition else "{"
        lines += [f"}} else {test}" if lines else test, *_block(body)]
    return [*lines, "}"]


def _connect_two(pattern: Lanes) -> list[str]:
    """Returns what connects two lanes, with one variable for each, as engineers write it."""
    p, merge = pattern.before, pattern.merge
    branches: list[tuple[str, list[str]]] = []
    if p == 0:
        branches += [("i == 1", ["prev1 = obj;"]), ("i == 2", ["prev2 = obj;"])]
    elif p == 1:
        branches.append(("i == 1", ["prev1 = prev2 = obj;"]))
    else:
        chain = [f"if (i > 1) {_connect('prev1')}", "prev1 = prev2 = obj;"]
        branches.append((f"i <= {p}", chain))
    if p or pattern.depth > 1:
        in_lane = [[_connect(f"prev{lane}"), f"prev{lane} = obj;"] for lane in (1, 2)]
        inner = [f"if (i % 2 == {(p + 1) % 2}) {{", *_block(in_lane[0]), "} else {", *_block(in_lane[1]), "}"]
        branches.append((f"i < {merge}" if pattern.after else "", inner))
    if pattern.after:
        both = [_connect("prev1"), _connect("prev2")]
        if pattern.after == 1:
            branches.append(("", both))
        else:
            branches.append((f"i == {merge}", [*both, "prev1 = obj;"]))
            branches.append(("", [_connect("prev1"), "prev1 = obj;"]))
    return _branches(branches)


def _connect_many(pattern: Lanes) -> list[str]:
    """Returns what connects three and more lanes, with an array of the last object of each."""
    p, merge, lanes = pattern.before, pattern.merge, pattern.lanes
    each = f"for (int k = 1; k <= {lanes}; k++) "
    branches: list[tuple[str, list[str]]] = []
    if p == 0:
        branches.append((f"i <= {lanes}", ["prevs[i] = obj;"]))
    else:
        chain = [f"if (i > 1) {_connect('prevs[1]')}"] if p > 1 else []
        branches.append((f"i <= {p}" if p > 1 else "i == 1", [*chain, f"{each}prevs[k] = obj;"]))
    if p or pattern.depth > 1:
        lane = f"int k = (i - {p + 1}) % {lanes} + 1;"
        body = [lane, _connect("prevs[k]"), "prevs[k] = obj;"]
        branches.append((f"i < {merge}" if pattern.after else "", body))
    if pattern.after:
        join = f"{each}{_connect('prevs[k]')}"
        if pattern.after == 1:
            branches.append(("", [join]))
        else:
            branches.append((f"i == {merge}", [join, "prevs[1] = obj;"]))
            branches.append(("", [_connect("prevs[1]"), "prevs[1] = obj;"]))
    return _branches(branches)


def _connect_in_loop(pattern: Lanes) -> tuple[list[str], list[str]]:
    """Returns the declarations before the loop and the lines inside it."""
    if pattern.lanes == 0:
        return ["Object prev;"], [f"if (i > 1) {_connect('prev')}", "prev = obj;"]
    if pattern.lanes == 2:
        return ["Object prev1;", "Object prev2;"], _connect_two(pattern)
    return [f"Array prevs = Array({pattern.lanes});"], _connect_many(pattern)


def _connect_by_table(twin: Twin) -> list[str]:
    """Returns a table of wires by index and the loop that draws them."""
    index = {obj.name: i for i, obj in enumerate(twin.objects, 1)}
    letters = sorted({w.port for w in twin.connections})
    one = len(letters) == 1
    rows = [
        array_literal([str(index[w.source]), str(index[w.target]), *([] if one else [string_literal(w.port)])])
        for w in twin.connections
    ]
    port = f'"{letters[0]}"' if one else "links[k][3]"
    return [
        f"Array links = {array_literal(rows)};",
        "for (int k = 1; k <= links.length; k++) {",
        f"  contextdragconnection(objs[links[k][1]], objs[links[k][2]], {port});",
        "}",
    ]


def write_loop(twin: Twin, rng: np.random.Generator) -> str:
    """Returns a script with one loop over tables; `rng` chooses the command that creates objects."""
    instance = 'createinstance(library().find("?" + classes[i]), model())'
    create = instance if rng.random() < 0.15 else "Object.create(classes[i])"
    if not twin.objects:
        return "// An empty model.\n"
    pattern = find_lanes(twin)
    stream_end = STREAM_END_VARIABLE if count_distributions(twin) > 1 else None

    tables = [
        f"Array names = {array_literal(string_literal(obj.name) for obj in twin.objects)};",
        f"Array classes = {array_literal(string_literal(obj.cls) for obj in twin.objects)};",
    ]
    place = []
    for axis, table in enumerate(("xs", "ys", "zs")):
        line, expression = _coordinate([obj.location[axis] for obj in twin.objects], table)
        tables += [line] if line else []
        place.append(expression)
    if stream_end:
        tables.append(declare_stream_end())
    body = [
        f"Object obj = {create};",
        "obj.name = names[i];",
        f"obj.setLocation({', '.join(place)});",
        *_settings(twin, stream_end),
    ]
    after: list[str] = []
    if pattern is not None:
        declarations, connect = _connect_in_loop(pattern)
        tables += declarations
        body += connect
    elif twin.connections:
        tables.append("Array objs;")
        body.append("objs.push(obj);")
        after = _connect_by_table(twin)
    lines = [*tables, "for (int i = 1; i <= names.length; i++) {", *_block(body), "}", *after]
    return "\n".join(lines) + "\n"
