"""Painting sketches: what an engineer would draw on squared paper to show a Twin.

A painter is a style. `SketchStyle.PENCIL` draws isometric icons with a shaky pencil, the name of each object under its
icon, and a straight arrow along each connection. Locations are scaled to the page; parameters are not drawn.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import io
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from vlsm_jax.synth.pages import HEAD_LENGTH, Arrow, Box, SketchError, lay_out
from vlsm_jax.synth.pencil import Pencil, draw_processor, draw_queue, draw_sink, draw_source
from vlsm_jax.twin import Twin


@dataclasses.dataclass(frozen=True, eq=False)
class Sketch:
    """A painted page.

    Attributes:
      image: uint8 RGB [H, W, 3].
      labels: what was written, by the name of the object, where it is not the name.
      letter_height: x-height in pixels of the smallest letters on the page; 0 without letters.
      legible_at: the smallest side in pixels of a letter-boxed square at which those letters are 5 pixels high.
    """

    image: np.ndarray
    labels: Mapping[str, str]
    letter_height: float
    legible_at: int


class SketchStyle(enum.Enum):
    """How a sketch is drawn."""

    PENCIL = "pencil"
    """Shaky grey strokes on squared paper."""


ICONS: Mapping[str, Callable[[Pencil, Box], None]] = MappingProxyType(
    {"Source": draw_source, "Queue": draw_queue, "Processor": draw_processor, "Sink": draw_sink}
)
"""The icon of every class that can be drawn."""


def _draw_arrow(pencil: Pencil, arrow: Arrow) -> None:
    if not arrow.flow:
        pencil.dashed(arrow.start, arrow.end)
        return
    pencil.line(arrow.start, arrow.end, shake=0.8)
    tip, first, second = arrow.head(HEAD_LENGTH)
    pencil.fill((tip, first, second), 60)
    pencil.line(first, tip, shake=0.3)
    pencil.line(second, tip, shake=0.3)


def paint_pencil(twin: Twin, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Returns a pencil sketch of a Twin (RGB)."""
    page = lay_out(twin, rng, size)
    pencil = Pencil(size, rng)
    pencil.grid(float(rng.uniform(9, 14)))
    for arrow in page.arrows:
        _draw_arrow(pencil, arrow)
    for obj in twin.objects:
        ICONS[obj.cls](pencil, page.icons[obj.name])
    for label in page.labels.values():
        pencil.text(label)
    return pencil.finish()


PAINTERS: Mapping[SketchStyle, Callable[[Twin, np.random.Generator, tuple[int, int]], Image.Image]] = MappingProxyType(
    {SketchStyle.PENCIL: paint_pencil}
)
"""The painter of every style."""


def paint_sketch(
    twin: Twin,
    rng: np.random.Generator,
    size: tuple[int, int] = (512, 341),
    style: SketchStyle = SketchStyle.PENCIL,
) -> Sketch:
    """Returns a sketch of a Twin that shows classes, names and connections; parameters are not drawn.

    Args:
      twin: objects of the classes in `ICONS`.
      rng: the only source of chance; it is advanced.
      size: width and height in pixels.
      style: how it is drawn.

    Raises:
      SketchError: a class without an icon, or objects and names that do not fit on the page.
    """
    unknown = sorted({obj.cls for obj in twin.objects} - set(ICONS))
    if unknown:
        raise SketchError(f"there is no icon for class {', '.join(unknown)}; those there are: {', '.join(ICONS)}")
    x_height = 0.54 * min(
        (label.font_size for label in lay_out(twin, copy.deepcopy(rng), size).labels.values()), default=0
    )
    legible_at = math.ceil(5 * max(size) / x_height) if x_height else 0
    return Sketch(np.asarray(PAINTERS[style](twin, rng, size)), {}, x_height, legible_at)


def encode_image(sketch: Sketch) -> tuple[bytes, str]:
    """Returns a sketch as the bytes of a file and the suffix of its name, "png" or "jpg"."""
    buffer = io.BytesIO()
    Image.fromarray(sketch.image).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue(), "png"
