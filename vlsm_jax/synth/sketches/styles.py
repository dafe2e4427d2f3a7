"""The styles of sketches, and the one function that paints."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from vlsm_jax.synth.sketches.drafting import paint_drawing
from vlsm_jax.synth.sketches.geometry import SketchError
from vlsm_jax.synth.sketches.isometric import CLASSES
from vlsm_jax.synth.sketches.painting import Sketch
from vlsm_jax.synth.sketches.pencil import paint_pencil
from vlsm_jax.synth.sketches.spelling import spell
from vlsm_jax.synth.sketches.whiteboard import paint_whiteboard
from vlsm_jax.twin import Twin

MISSPELT = 0.01
"""How often a name is misspelt where it may be."""


class SketchStyle(enum.Enum):
    """How a sketch is drawn."""

    PENCIL = "pencil"
    """Isometric icons on squared paper, lines by a hand that trembles."""
    WHITEBOARD = "whiteboard"
    """Boxes and symbols by marker, in colours."""
    CAD = "cad"
    """Symbols and thin lines with right angles, on a sheet with a frame."""


Painter = Callable[[Twin, np.random.Generator, tuple[int, int], dict[str, str]], Sketch]

PAINTERS: Mapping[SketchStyle, Painter] = MappingProxyType(
    {
        SketchStyle.PENCIL: paint_pencil,
        SketchStyle.WHITEBOARD: paint_whiteboard,
        SketchStyle.CAD: paint_drawing,
    }
)
"""The painter of every style."""


def paint_sketch(
    twin: Twin,
    rng: np.random.Generator,
    size: tuple[int, int] = (512, 341),
    style: SketchStyle = SketchStyle.PENCIL,
) -> Sketch:
    """Returns a sketch of a Twin that shows classes, names and connections; of parameters only the length of conveyors.

    Args:
      twin: objects of the classes in `CLASSES`; their locations give the order on the page, y upwards.
      rng: the only source of chance; it is advanced. The same state gives the same bytes in every process.
      size: width and greatest height in pixels; flat factories get a flatter page, three to one at most.
      style: how it is drawn.

    Raises:
      SketchError: a class without an icon, or objects and names that do not fit on the page.
    """
    unknown = sorted({obj.cls for obj in twin.objects} - set(CLASSES))
    if unknown:
        raise SketchError(f"there is no icon for class {', '.join(unknown)}; those there are: {', '.join(CLASSES)}")
    written = spell([obj.name for obj in twin.objects], rng, MISSPELT)
    return PAINTERS[style](twin, rng, size, written)


def blank_sketch(
    size: tuple[int, int] = (512, 341),
    style: SketchStyle = SketchStyle.PENCIL,
    rng: np.random.Generator | None = None,
) -> Sketch:
    """Returns an empty page of a style and exactly of a size, as it is before anything is drawn on it.

    Without an `rng` it is always the same page.
    """
    return PAINTERS[style](Twin(), np.random.default_rng(0) if rng is None else rng, size, {})
