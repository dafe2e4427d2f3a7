"""Writing a Twin as FlexScript, in one of several code styles, so that the script builds exactly that Twin."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from vlsm_jax.synth.scripts.blocks import write_instance, write_sections, write_straight
from vlsm_jax.synth.scripts.dictated import write_dictated
from vlsm_jax.synth.scripts.habits import Habits, draw_habits
from vlsm_jax.synth.scripts.loop import write_loop
from vlsm_jax.synth.scripts.rows import write_arrays, write_records
from vlsm_jax.twin import Twin


class ScriptStyle(enum.Enum):
    """How a script is laid out."""

    LOOP = "loop"
    """One loop over tables of names and classes, parameters and connections chosen inside it."""
    STRAIGHT = "straight"
    """One block per object without any loop, then the connections."""
    INSTANCE = "instance"
    """The commands of old: createinstance, setname, setloc, setvarnum and setvarstr."""
    ARRAYS = "arrays"
    """Arrays of names, places and parameters for each class, a loop for each, then the connections."""
    RECORDS = "records"
    """One table with a row per object and one with a row per connection, each read by a loop."""
    SECTIONS = "sections"
    """Sources, buffers, machines and so on, each under a heading, then the connections by kind."""
    DICTATED = "dictated"
    """One variable for all objects, one after the other as told, then the connections between objects found by name."""


Writer = Callable[[Twin, np.random.Generator, Habits], str]

WRITERS: Mapping[ScriptStyle, Writer] = MappingProxyType(
    {
        ScriptStyle.LOOP: write_loop,
        ScriptStyle.STRAIGHT: write_straight,
        ScriptStyle.INSTANCE: write_instance,
        ScriptStyle.ARRAYS: write_arrays,
        ScriptStyle.RECORDS: write_records,
        ScriptStyle.SECTIONS: write_sections,
        ScriptStyle.DICTATED: write_dictated,
    }
)
"""The writer of every style."""


def write_script(twin: Twin, style: ScriptStyle, rng: np.random.Generator, habits: Habits | None = None) -> str:
    """Returns FlexScript that builds `twin`: `vlsm_jax.simulator.build(write_script(twin, style, rng)).twin == twin`.

    Holds for every Twin: names and options are escaped, locations may be anywhere, connections are drawn in an order
    that gives every object the same ports in the same order. Object variables are kept, so that no name is looked up,
    except where every name can be.

    Args:
      twin: what to build.
      style: how the script is laid out.
      rng: chooses habits, and between idioms within a style; it is advanced.
      habits: how it is written; None to draw them. `PLAIN` gives the shortest and most regular text.
    """
    return WRITERS[style](twin, rng, draw_habits(rng) if habits is None else habits)
