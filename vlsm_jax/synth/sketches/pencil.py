"""The pencil: isometric icons on squared paper, names by hand, straight lines with or without heads."""

from __future__ import annotations

import numpy as np

from vlsm_jax.synth.sketches.cameras import Camera, draw_camera
from vlsm_jax.synth.sketches.canvas import Canvas, corners_of, ink_table, parted
from vlsm_jax.synth.sketches.isometric import isometric_icon
from vlsm_jax.synth.sketches.lettering import Lettering
from vlsm_jax.synth.sketches.pages import Page, Sheet, lay_out
from vlsm_jax.synth.sketches.painting import Sketch, develop, palette, sketch_of
from vlsm_jax.synth.sketches.strokes import dashes, heads, trembling
from vlsm_jax.twin import Twin, TwinObject

_PHOTOGRAPHED = 0.5
_TONES = {-1: 255, **{tone: tone for tone in range(256)}}


def extent(obj: TwinObject) -> tuple[float, float]:
    """Returns width and height of the icon of an object, in icon sizes."""
    return isometric_icon(obj)[2:]


def _squares(canvas: Canvas, size: tuple[int, int], rng: np.random.Generator, seen: bool) -> None:
    """Rules the paper: faint lines, a little darker every fifth."""
    pitch = float(rng.uniform(8, 15))
    fine, bold = (238, 226) if rng.random() < 0.5 else (244, 236)
    start = rng.uniform(0, pitch, 2)
    width, height = size
    for axis, (length, other) in enumerate(((width, height), (height, width))):
        at = np.arange(start[axis], length, pitch)
        if not seen:
            index = at.astype(int)
            for tone, chosen in ((fine, index), (bold, index[::5])):
                if axis == 0:
                    canvas.image[:, chosen] = tone
                else:
                    canvas.image[chosen] = tone
            continue
        ends = np.zeros((len(at), 2, 2))
        ends[:, :, axis] = at[:, None]
        ends[:, 1, 1 - axis] = other
        lines = canvas.fixed(ends)
        canvas.lines(lines[np.arange(len(at)) % 5 > 0], fine)
        canvas.lines(lines[::5], bold)


def _arrows(canvas: Canvas, page: Page, rng: np.random.Generator, tone: int) -> None:
    double = rng.random() < 0.4
    shake = float(rng.uniform(0.25, 0.7))
    filled, length = bool(rng.random() < 0.5), float(rng.uniform(6.5, 9))
    headless = 0.3 if rng.random() < 0.2 else 0.0
    flows = [arrow.path for arrow in page.arrows if arrow.flow]
    centers = [arrow.path for arrow in page.arrows if not arrow.flow]
    canvas.lines(canvas.fixed(trembling(flows, rng, shake)), tone)
    if double:
        canvas.lines(canvas.fixed(trembling(flows, rng, shake)), (tone + 200) // 2)
    canvas.lines(canvas.fixed(dashes(centers)), tone)
    if not flows:
        return
    # Only a line that runs from left to right is understood without a head.
    bare = rng.random(len(flows)) < headless
    tips = heads(flows, length)
    fixed = canvas.fixed(tips + rng.normal(0, 0.3, tips.shape))
    shown = [
        head
        for path, head, none in zip(flows, fixed, bare.tolist(), strict=True)
        if not (none and len(path) == 2 and path[-1, 0] > path[0, 0] + 15)
    ]
    if filled:
        for head in shown:
            canvas.face(head, tone)
    canvas.lines(shown, tone)


def _icons(canvas: Canvas, twin: Twin, page: Page, rng: np.random.Generator, tone: int) -> None:
    icons = [isometric_icon(obj) for obj in twin.objects]
    points = corners_of(icons, list(page.icons.values()))
    points += rng.normal(0, rng.uniform(0.15, 0.4), points.shape)
    canvas.icons(icons, parted(canvas.fixed(points), icons), _TONES, tone, 1)


def _colours(rng: np.random.Generator) -> np.ndarray:
    warm = float(rng.uniform(0, 8))
    ink = (38, 36, 34) if rng.random() < 0.75 else (34, 40, 82)
    return palette(ink, (253, 252 - warm / 3, 250 - warm))


def blank_pencil(size: tuple[int, int], rng: np.random.Generator) -> tuple[Canvas, Camera | None]:
    """Returns squared paper and the camera that will take it, None for a scan."""
    camera = draw_camera(rng, size) if rng.random() < _PHOTOGRAPHED else None
    view = camera.view if camera else None
    canvas = Canvas(size, 252 if view is None else camera.desk, view)
    if view is not None:
        width, height = size
        canvas.face(canvas.fixed(np.array([(0, 0), (width, 0), (width, height), (0, height)], float)), 252)
    _squares(canvas, size, rng, view is not None)
    return canvas, camera


def paint_pencil(twin: Twin, rng: np.random.Generator, size: tuple[int, int], written: dict[str, str]) -> Sketch:
    """Returns a pencil sketch of a Twin; see `paint_sketch`."""
    lettering = Lettering.PEN if rng.random() < 0.7 else Lettering.MARKER
    page = lay_out(twin, rng, size, Sheet(lettering, extent), written)
    canvas, camera = blank_pencil(page.size, rng)
    tone = int(rng.integers(45, 95))
    _arrows(canvas, page, rng, tone)
    if twin.objects:
        _icons(canvas, twin, page, rng, tone)
    table = ink_table(int(rng.integers(20, 55)))
    drift = rng.integers(-1, 2, 48).tolist()
    canvas.text(list(page.labels.values()), lettering, table, drift)
    pixels, colours = develop(canvas.image, _colours(rng), camera)
    return sketch_of(pixels, colours, written, page, lettering, camera)
