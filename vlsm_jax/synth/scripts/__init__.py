"""Scripts: a Twin as FlexScript, in several styles and in the habits of many writers."""

from vlsm_jax.synth.scripts.habits import PLAIN, Comments, Habits, Naming, Placing, Streams, draw_habits
from vlsm_jax.synth.scripts.styles import WRITERS, ScriptStyle, write_script
from vlsm_jax.synth.scripts.variables import variable_names

__all__ = [
    "PLAIN",
    "WRITERS",
    "Comments",
    "Habits",
    "Naming",
    "Placing",
    "ScriptStyle",
    "Streams",
    "draw_habits",
    "variable_names",
    "write_script",
]
