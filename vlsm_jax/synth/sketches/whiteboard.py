"""The whiteboard: boxes and arrows by marker in a few colours, names in or below the boxes, glare and smears."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from vlsm_jax.synth.sketches.cameras import Camera, draw_camera, expose
from vlsm_jax.synth.sketches.canvas import Canvas, corners_of, ink_table, parted
from vlsm_jax.synth.sketches.geometry import Box
from vlsm_jax.synth.sketches.lettering import Lettering
from vlsm_jax.synth.sketches.pages import Page, Sheet, lay_out
from vlsm_jax.synth.sketches.painting import Sketch, sketch_of
from vlsm_jax.synth.sketches.strokes import dashes, heads, trembling
from vlsm_jax.synth.sketches.symbols import flat_symbol
from vlsm_jax.twin import Twin, TwinObject

Colour = tuple[int, int, int]
"""Blue, green, red: in this order pictures are kept."""

BLACK, BLUE, RED, GREEN = (46, 40, 40), (170, 68, 32), (44, 40, 186), (66, 118, 22)
_PHOTOGRAPHED = 0.65
_WHITE = (250, 250, 250)


def _extent(obj: TwinObject) -> tuple[float, float]:
    return flat_symbol(obj)[2:]


def _smears(canvas: Canvas, size: tuple[int, int], rng: np.random.Generator) -> None:
    """Wipes the board badly: bundles of faint streaks of what stood there before."""
    low, high = np.array(size) * 0.06, np.array(size) * 0.94
    for _ in range(int(rng.integers(1, 4))):
        start, angle, length = rng.uniform(low, high), rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.45) * size[0]
        along = np.array((math.cos(angle), math.sin(angle)))
        across = np.array((-along[1], along[0]))
        shade, count = int(rng.integers(236, 245)), int(rng.integers(5, 10))
        chance = rng.random((2, count, 1))
        begin = start + across * (3.5 * np.arange(count))[:, None] + along * (length * (0.24 * chance[0] - 0.12))
        end = begin + along * (length * (0.7 + 0.3 * chance[1]))
        streaks = np.minimum(np.maximum(np.stack([begin, end], 1), low), high)
        canvas.streaks(list(canvas.fixed(streaks)), (shade + 3, shade, shade), 3)


_ARC = np.array([(1 - math.sin(a), 1 - math.cos(a)) for a in np.linspace(math.pi / 2, 0, 4)])


def _rounded(boxes: Sequence[Box], radius: float) -> np.ndarray:
    """Returns rounded rectangles [N, 17, 2], closed a little further than they began, as a hand does."""
    sides = np.array(boxes)
    low, high = sides[:, None, :2], sides[:, None, 2:]
    bend = np.minimum(radius, (high - low).min(2, keepdims=True) / 3)
    out = np.empty((len(sides), 17, 2))
    for corner, (x, y) in enumerate(((low, low), (high, low), (high, high), (low, high))):
        arc = _ARC if corner in (0, 2) else _ARC[::-1]
        place = out[:, 4 * corner : 4 * corner + 4]
        place[..., 0] = x[..., 0] + bend[..., 0] * arc[:, 0] * (1 if x is low else -1)
        place[..., 1] = y[..., 1] + bend[..., 0] * arc[:, 1] * (1 if y is low else -1)
    out[:, 16] = out[:, 0]
    return out


@functools.lru_cache(maxsize=4)
def _inks(boxes: Colour) -> dict[int, Colour]:
    """Returns what stands for each tone of a symbol that is drawn with one marker."""
    tint = tuple(255 - (255 - c) // 4 for c in boxes)
    return {tone: _WHITE if tone == 255 else tint if tone > 180 else boxes for tone in range(256)}


def blank_whiteboard(size: tuple[int, int], rng: np.random.Generator) -> tuple[Canvas, Camera | None]:
    """Returns a board and the camera that will take it, None for a scan."""
    camera = draw_camera(rng, size, glare=bool(rng.random() < 0.6)) if rng.random() < _PHOTOGRAPHED else None
    view = camera.view if camera else None
    canvas = Canvas(size, _WHITE if view is None else (camera.desk,) * 3, view)
    width, height = size
    if view is not None:
        sheet = canvas.fixed(np.array([(0, 0), (width, 0), (width, height), (0, height)], float))
        canvas.face(sheet, _WHITE)
        canvas.lines((sheet,), (176, 170, 168), 3, closed=True)
    if camera is not None and rng.random() < 0.7:
        _smears(canvas, size, rng)
    return canvas, camera


def _arrows(canvas: Canvas, page: Page, rng: np.random.Generator, flow: Colour, center: Colour, width: int) -> None:
    flows = [arrow.path for arrow in page.arrows if arrow.flow]
    centers = [arrow.path for arrow in page.arrows if not arrow.flow]
    canvas.lines(canvas.fixed(trembling(flows, rng, 0.5, 22.0)), flow, width)
    canvas.lines(canvas.fixed(dashes(centers, 5.0)), center, width)
    if not flows:
        return
    tips = heads(flows, float(rng.uniform(7, 9.5)), 0.5)
    fixed = canvas.fixed(tips + rng.normal(0, 0.4, tips.shape))
    canvas.lines(fixed, flow, 2)


def finish(canvas: Canvas, camera: Camera | None) -> np.ndarray:
    """Returns the picture of the board, `Sketch.pixels`."""
    if camera is None:
        return canvas.image | 0x0F  # Sixteen shades of each colour make small files.
    return expose(camera, canvas.image)


def paint_whiteboard(twin: Twin, rng: np.random.Generator, size: tuple[int, int], written: dict[str, str]) -> Sketch:
    """Returns a whiteboard sketch of a Twin; see `paint_sketch`."""
    lettering = Lettering.MARKER if rng.random() < 0.7 else Lettering.PEN
    framed = bool(rng.random() < 0.5)
    page = lay_out(twin, rng, size, Sheet(lettering, _extent, framed=framed), written)
    canvas, camera = blank_whiteboard(page.size, rng)
    order = rng.permutation(4)
    palette = [(BLACK, BLUE, RED, GREEN)[i] for i in order]
    # The lines of flow and of center ports must differ, and so do boxes from either where there are markers enough.
    boxes, flow, center, text = palette[0], palette[1], palette[2], palette[int(rng.integers(0, 2)) * 3]
    crowded = any(label.font_size < 10 for label in page.labels.values())
    width = 2 if rng.random() < 0.7 and not crowded else 1
    _arrows(canvas, page, rng, flow, center, width)
    if twin.objects:
        icons = [flat_symbol(obj) for obj in twin.objects]
        if page.framed:
            outlines = _rounded(list(page.frames.values()), 7)
            canvas.lines(canvas.fixed(outlines + rng.normal(0, 0.5, outlines.shape)), boxes, width)
        points = corners_of(icons, list(page.icons.values()))
        points += rng.normal(0, 0.35, points.shape)
        canvas.icons(icons, parted(canvas.fixed(points), icons), _inks(boxes), boxes, 1)
    table = ink_table(text)
    drift = rng.integers(-1, 2, 48).tolist()
    canvas.text(list(page.labels.values()), lettering, table, drift)
    return sketch_of(finish(canvas, camera), None, written, page, lettering, camera)
