"""The style of dictation: what is said last needs nothing but what was said before, so a script can follow a prompt."""

from __future__ import annotations

import numpy as np

from vlsm_jax.synth.scripts.blocks import Modern, declare_stream_end, write_straight, write_wires
from vlsm_jax.synth.scripts.habits import Habits
from vlsm_jax.synth.scripts.pen import Pen
from vlsm_jax.synth.scripts.rows import findable, found
from vlsm_jax.twin import Twin


def write_dictated(twin: Twin, rng: np.random.Generator, habits: Habits) -> str:
    """Returns a script with one variable for the object at hand, which is forgotten when the next one comes.

    Objects are connected by their names; where a name cannot be found in a model, each has a variable of its own.
    """
    if not findable(twin):
        return write_straight(twin, rng, habits)
    pen = Pen(twin, habits)
    variable = pen.variables.word("object")
    modern = Modern(pen)
    if habits.declare_first:
        pen.line(f"Object {variable};")
    declare_stream_end(pen)
    pen.section("Objects")
    for number, obj in enumerate(twin.objects):
        pen.gap_line()
        first = number == 0 and not habits.declare_first
        pen.assign(f"Object {variable}" if first else variable, modern.created(obj))
        modern.name(variable, obj)
        modern.place(variable, obj)
        modern.set(variable, obj)
    write_wires(pen, twin.connections, {obj.name: found(obj.name) for obj in twin.objects})
    return pen.text()
