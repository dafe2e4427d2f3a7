"""The loop style: tables of names and classes, one loop that creates, sets and connects.

Connections are drawn inside the loop where the wires follow from the order of the objects (`patterns`); what does not
is drawn from a table of index pairs in a second loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlsm_jax.synth.scripts.blocks import declare_stream_end
from vlsm_jax.synth.scripts.habits import Habits
from vlsm_jax.synth.scripts.literals import class_path, string_literal
from vlsm_jax.synth.scripts.patterns import Lanes, Stages, find_plan
from vlsm_jax.synth.scripts.pen import Pen
from vlsm_jax.synth.scripts.wiring import Wiring
from vlsm_jax.twin import Connection, ParameterValue, Twin, TwinObject, format_number

INSTANCES = 0.15
"""How often objects are created by the old command."""


def _coordinate(pen: Pen, objects: Sequence[TwinObject], axis: int) -> str:
    """Declares a table of one coordinate where it is needed, and returns the coordinate in `i`."""
    values = [obj.location[axis] for obj in objects]
    if len(set(values)) == 1:
        return pen.literals.measure(values[0])
    step = values[1] - values[0]
    if isinstance(step, int) and all(value == step * k for k, value in enumerate(values)):
        return pen.op(format_number(step), "*", f"({pen.op('i', '-', '1')})")
    table = pen.variables.word("xyz"[axis])
    pen.assign(f"Array {table}", pen.array(map(pen.literals.measure, values)))
    return f"{table}[i]"


def _settings(pen: Pen, objects: Sequence[TwinObject], obj: str, classes: str) -> None:
    """Writes the conditions under which parameters are set: by class where all of a class agree, else by index."""
    groups: dict[tuple[str, tuple[tuple[str, ParameterValue], ...]], list[int]] = {}
    for i, each in enumerate(objects, 1):
        groups.setdefault((each.cls, tuple(each.parameters.items())), []).append(i)
    kinds: dict[str, int] = {}
    for cls, _ in groups:
        kinds[cls] = kinds.get(cls, 0) + 1
    is_open = False
    for (cls, settings), indices in groups.items():
        if not settings:
            continue
        if kinds[cls] == 1:
            test = pen.op(f"{classes}[i]", "==", string_literal(class_path(cls, "::")))
        else:
            test = pen.among("i", indices)
        (pen.otherwise if is_open else pen.open_if)(test)
        is_open = True
        for key, value in settings:
            pen.set_parameter(obj, cls, key, value)
    if is_open:
        pen.close()


def _links(pen: Pen, objects: Sequence[TwinObject], handles: str, rest: Sequence[Connection]) -> None:
    """Writes a table of wires by index and the loop that draws them; the array `handles` holds the objects."""
    index = {obj.name: i for i, obj in enumerate(objects, 1)}
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
    pen.line(pen.connect(f"{handles}[{links}[k][1]]", f"{handles}[{links}[k][2]]", port))
    pen.close()


def write_loop(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script with one loop over tables; `rng` chooses the command that creates objects."""
    old = rng.random() < INSTANCES
    if not twin.objects:
        return "// An empty model.\n"
    pen = Pen(twin, habits)
    word = pen.variables.word
    plan = find_plan(twin)
    pattern = plan.pattern
    names_of_classes = [class_path(obj.cls, "::") for obj in plan.objects]
    obj, names, classes = word("object"), word("names"), word("classes")
    wiring = Wiring(pen, obj, pattern.count if pattern is not None else 0, len(plan.objects))

    pen.section("Objects")
    pen.assign(f"Array {names}", pen.array(string_literal(each.name) for each in plan.objects))
    pen.assign(f"Array {classes}", pen.array(map(string_literal, names_of_classes)))
    place = [_coordinate(pen, plan.objects, axis) for axis in range(3)]
    declare_stream_end(pen)
    previous = wiring.declare_previous(pattern) if isinstance(pattern, Lanes) else ""
    handles = word("objects") if plan.rest else ""
    if handles:
        pen.line(f"Array {handles};")

    pen.declare_outside(obj)
    widths = before = stage = ""
    if isinstance(pattern, Stages):
        widths, before, stage = word("widths"), word("before"), word("stage")
        others = len(plan.objects) - pattern.count
        pen.assign(f"Array {widths}", pen.array(map(str, [*pattern.widths, *([others] if others else [])])))
        pen.line(f"Array {before};")
        pen.assign("int i", "0")
        pen.open_count("s", f"{widths}.length")
        pen.assign(f"Array {stage}", "[]")
        pen.open_count("k", f"{widths}[s]")
        pen.line("i++;")
    else:
        pen.open_count("i", f"{names}.length")

    created = f"Object.create({classes}[i])"
    if old and not any("::" in name for name in names_of_classes):  # The library finds such a class by its path alone.
        found = pen.op('"?"', "+", f"{classes}[i]")
        created = pen.call("createinstance", f"library().find({found})", "model()")
    pen.create_inside(obj, created)
    pen.assign(f"{obj}.name", f"{names}[i]")
    pen.place(obj, *place)
    _settings(pen, plan.objects, obj, classes)
    if isinstance(pattern, Lanes):
        wiring.connect_lanes(pattern, previous)
    elif isinstance(pattern, Stages):
        wiring.connect_stage(pattern, widths, before)
        pen.line(f"{stage}.push({obj});")
    if handles:
        pen.line(f"{handles}.push({obj});")
    if isinstance(pattern, Stages):
        pen.close()
        pen.assign(before, stage)
    pen.close()
    if plan.rest:
        _links(pen, plan.objects, handles, plan.rest)
    return pen.text()
