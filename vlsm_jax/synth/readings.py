"""Samples that teach a model to read: a sketch, and what stands in it, object by object.

A script says what a prompt said long before, and little of it has to be read in the sketch; from scripts alone a vision
encoder that starts from nothing hardly learns its letters. Here every word of the response stands in the sketch alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vlsm_jax.simulator import build
from vlsm_jax.synth.derived import Progress, derived_row, write_derived
from vlsm_jax.twin import Twin

FOLDER: Final = "reading"
KIND: Final = "reading"
PROMPT: Final = "Read the sketch."


def reading_of(twin: Twin) -> str:
    """Returns what a sketch of a Twin says: a line for each object, from left to right, and from the top within that.

    A line has the name, the class, the objects that items go to, and those that a center port connects:
    `Mask Cleaner, Processor > Mask Buffer, Repair Bench; Operator 1`.
    """
    lines = []
    # The y axis of a model points up, and a page is read from its top.
    for item in sorted(twin.objects, key=lambda item: (item.location[0], -item.location[1], item.name)):
        line = f"{item.name}, {item.cls}"
        if flow := twin.ports[item.name].outputs:
            line += f" > {', '.join(flow)}"
        # A wire between center ports is told once, where it was drawn from.
        if center := [wire.target for wire in twin.connections if wire.port == "S" and wire.source == item.name]:
            line += f"; {', '.join(center)}"
        lines.append(line)
    return "\n".join(lines)


def reading_row(triplet: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the sample of reading made of a triplet's row; None for a script that builds nothing."""
    twin = build(triplet["response"]).twin
    return derived_row(triplet, KIND, PROMPT, reading_of(twin)) if twin and twin.objects else None


def write_readings(
    directory: str | Path, share: float, *, workers: int = 1, progress: Progress | None = None
) -> dict[str, int]:
    """Writes samples of reading in `<directory>/reading`, a data set of its own; see `write_derived`."""
    return write_derived(directory, FOLDER, reading_row, share, workers=workers, progress=progress)
