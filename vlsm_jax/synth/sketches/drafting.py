"""The drawing program: thin lines, symbols, connectors with right angles, a frame with a title block."""

from __future__ import annotations

import functools
import math

import numpy as np

from vlsm_jax.synth.sketches.cameras import Camera, draw_camera
from vlsm_jax.synth.sketches.canvas import Canvas, corners_of, ink_table, parted
from vlsm_jax.synth.sketches.geometry import Box
from vlsm_jax.synth.sketches.lettering import Lettering, line_width
from vlsm_jax.synth.sketches.pages import Label, Page, Sheet, lay_out
from vlsm_jax.synth.sketches.painting import Sketch, develop, palette, sketch_of
from vlsm_jax.synth.sketches.strokes import dashes, heads
from vlsm_jax.synth.sketches.symbols import flat_symbol
from vlsm_jax.twin import Twin, TwinObject

_PHOTOGRAPHED = 0.35
_BLOCK_HEIGHT = 17
_SMALL = 9
_TONES = {tone: max(tone, 150) for tone in range(-1, 256)}
_SCHEMES = (
    (0.55, palette((30, 32, 36), (255, 255, 255))),  # Black on white.
    (0.85, palette((24, 44, 104), (252, 253, 255))),  # Blue on white.
    (1.0, palette((232, 240, 250), (28, 66, 128))),  # A blueprint.
)
"""Colours, and how many of all drawings have them or those before."""


def _extent(obj: TwinObject) -> tuple[float, float]:
    return flat_symbol(obj)[2:]


SHEET = Sheet(Lettering.STENCIL, _extent, Box(9, 9, 9, _BLOCK_HEIGHT + 6), stepped=True, shake=0.0)


def _rectangle(box: Box) -> np.ndarray:
    return np.array([(box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)], float)


@functools.lru_cache(maxsize=64)
def _title_block(fields: tuple[str, ...]) -> np.ndarray:
    """Returns a title block in capitals, uint8 [H, W]: its right side is the frame of the sheet, its bottom too."""
    words = [tuple(field.split()) for field in fields]
    widths = [line_width(Lettering.STENCIL, line) * _SMALL + 10 for line in words]
    canvas = Canvas((math.ceil(sum(widths)) + 2, _BLOCK_HEIGHT), 255)
    height, width = canvas.image.shape
    right = width - 1.0
    cells, labels = [], []
    for line, long in zip(reversed(words), reversed(widths), strict=True):
        cell = Box(right - long, 2, right, height - 1)
        cells.append(_rectangle(cell))
        labels.append(Label((line,), _SMALL, cell._replace(top=cell.top + 2)))
        right -= long
    canvas.lines(canvas.fixed(np.array(cells)), 90, closed=True)
    canvas.text(labels, Lettering.STENCIL, ink_table(70))
    canvas.image.flags.writeable = False
    return canvas.image


def _frame(canvas: Canvas, size: tuple[int, int], rng: np.random.Generator) -> None:
    """Draws the frame of the sheet, and in its lower right corner a title block."""
    width, height = size
    sheet = Box(4, 4, width - 4, height - 4)
    canvas.lines((canvas.fixed(_rectangle(sheet)),), 90, closed=True)
    fields = (
        "LAYOUT",
        f"REV {'ABCDE'[int(rng.integers(5))]}",
        f"1:{(50, 100, 200)[int(rng.integers(3))]}",
        "SHEET 1/1",
    )
    fields = fields[: int(rng.integers(2, 5))]
    if width < 200:
        return
    block = _title_block(fields)
    canvas.stamp(block, int(sheet.right) + 1 - block.shape[1], int(sheet.bottom) + 1 - block.shape[0])


def blank_drawing(size: tuple[int, int], rng: np.random.Generator) -> tuple[Canvas, Camera | None]:
    """Returns a sheet with its frame and the camera that will take it, None for a scan."""
    camera = draw_camera(rng, size) if rng.random() < _PHOTOGRAPHED else None
    view = camera.view if camera else None
    canvas = Canvas(size, 255 if view is None else camera.desk, view)
    width, height = size
    if view is not None:
        canvas.face(canvas.fixed(_rectangle(Box(0, 0, width, height))), 255)
    _frame(canvas, size, rng)
    return canvas, camera


def _arrows(canvas: Canvas, page: Page, tone: int) -> None:
    flows = [arrow.path for arrow in page.arrows if arrow.flow]
    centers = [arrow.path for arrow in page.arrows if not arrow.flow]
    if flows:
        points = canvas.fixed(np.concatenate(flows))
        canvas.lines(np.split(points, np.cumsum([len(path) for path in flows[:-1]])), tone)
    canvas.lines(canvas.fixed(dashes(centers, 3.5)), tone)
    heads_fixed = canvas.fixed(heads(flows, 7.0, 0.34))
    for head in heads_fixed:
        canvas.face(head, tone)
    canvas.lines(heads_fixed, tone)


def paint_drawing(twin: Twin, rng: np.random.Generator, size: tuple[int, int], written: dict[str, str]) -> Sketch:
    """Returns a technical drawing of a Twin; see `paint_sketch`."""
    lettering = SHEET.lettering
    page = lay_out(twin, rng, size, SHEET, written)
    canvas, camera = blank_drawing(page.size, rng)
    tone = int(rng.integers(20, 80))
    _arrows(canvas, page, tone)
    if twin.objects:
        icons = [flat_symbol(obj) for obj in twin.objects]
        points = canvas.fixed(corners_of(icons, list(page.icons.values())))
        canvas.icons(icons, parted(points, icons), _TONES, tone, 1)
    canvas.text(list(page.labels.values()), lettering, ink_table(15))
    chance = rng.random()
    pixels, colours = develop(canvas.image, next(c for below, c in _SCHEMES if chance < below), camera)
    return sketch_of(pixels, colours, written, page, lettering, camera)
