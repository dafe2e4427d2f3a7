"""A pencil: shaky lines drawn twice, faces shaded with a few strokes, on a canvas of grey.

Everything is drawn at `SCALE` times its size and reduced at the end, which smooths the lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from vlsm_jax.synth.pages import LINE_HEIGHT, SCALE, Box, Label, Point

WHITE = 255
GRAPHITE = 62


class Pencil:
    """Draws on one page; coordinates are pixels of the finished page."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator):
        self.size = size
        self.rng = rng
        self.canvas = Image.new("L", (size[0] * SCALE, size[1] * SCALE), WHITE)
        self._draw = ImageDraw.Draw(self.canvas)

    def grid(self, pitch: float) -> None:
        """Rules the paper: faint lines, a little darker every fifth."""
        start = self.rng.uniform(0, pitch, 2)
        for axis in (0, 1):
            length = self.size[1 - axis] * SCALE
            for k, at in enumerate(np.arange(start[axis], self.size[axis], pitch)):
                tone = 232 if k % 5 == 0 else 243
                at = float(at) * SCALE
                self._draw.line((at, 0, at, length) if axis == 0 else (0, at, length, at), fill=tone, width=1)

    def line(self, start: Point, end: Point, *, tone: int = GRAPHITE, width: int = 2, shake: float = 0.7) -> None:
        """Draws a straight stroke twice, each with its own tremor, the second fainter."""
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        steps = max(2, min(int(length / 14) + 1, 12))
        offsets = self.rng.normal(0, shake * 0.5, (2, steps + 1, 2))
        ends = self.rng.normal(0, shake * 0.8, (2, 2, 2))
        for stroke in (1, 0):
            x0, y0 = start[0] + ends[stroke, 0, 0], start[1] + ends[stroke, 0, 1]
            x1, y1 = end[0] + ends[stroke, 1, 0], end[1] + ends[stroke, 1, 1]
            points = []
            for k in range(steps + 1):
                t = k / steps
                bend = math.sin(math.pi * t)
                dx, dy = offsets[stroke, k]
                points.append(((x0 + (x1 - x0) * t + dx * bend) * SCALE, (y0 + (y1 - y0) * t + dy * bend) * SCALE))
            self._draw.line(points, fill=tone if stroke == 0 else (tone + WHITE) // 2, width=width, joint="curve")

    def dashed(self, start: Point, end: Point) -> None:
        """Draws a dashed stroke."""
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        count = max(1, int(length / 9))
        for k in range(count):
            a, b = k / count, (k + 0.55) / count
            self.line(
                (start[0] + (end[0] - start[0]) * a, start[1] + (end[1] - start[1]) * a),
                (start[0] + (end[0] - start[0]) * b, start[1] + (end[1] - start[1]) * b),
                shake=0.3,
            )

    def face(self, points: Sequence[Point], tone: int) -> None:
        """Draws a filled polygon with shaky edges."""
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=tone)
        for a, b in zip(points, [*points[1:], points[0]], strict=True):
            self.line(a, b, shake=0.45)

    def hatch(self, points: Sequence[Point], count: int, tone: int = 150) -> None:
        """Shades a four-sided face with strokes from its first to its second pair of corners."""
        a, b, c, d = points
        for k in range(1, count + 1):
            t = k / (count + 1)
            self.line(
                (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t),
                (d[0] + (c[0] - d[0]) * t, d[1] + (c[1] - d[1]) * t),
                tone=tone,
                width=1,
                shake=0.3,
            )

    def ellipse(self, center: Point, rx: float, ry: float, *, fill: int | None = None, half: bool = False) -> None:
        """Draws an ellipse, or its lower half, as a shaky closed stroke."""
        turn = math.pi if half else 2 * math.pi
        count = 14 if half else 26
        wobble = self.rng.normal(1, 0.015, (2, count + 1))
        for stroke in (0, 1):
            points = [
                (
                    (center[0] + rx * math.cos(turn * k / count) * wobble[stroke, k]) * SCALE,
                    (center[1] + ry * math.sin(turn * k / count) * wobble[stroke, k]) * SCALE,
                )
                for k in range(count + 1)
            ]
            if stroke == 0 and fill is not None:
                self._draw.polygon(points, fill=fill)
            self._draw.line(points, fill=GRAPHITE if stroke else (GRAPHITE + WHITE) // 2, width=2, joint="curve")

    def fill(self, points: Sequence[Point], tone: int) -> None:
        """Fills a polygon without drawing its edges."""
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=tone)

    def text(self, label: Label) -> None:
        """Writes a name inside its box, slightly tilted, on a patch of bare paper."""
        font = ImageFont.load_default(label.font_size * SCALE)
        box = label.box
        width, height = int((box.right - box.left) * SCALE), int((box.bottom - box.top) * SCALE)
        ink = Image.new("L", (width, height), 0)
        draw = ImageDraw.Draw(ink)
        step = label.font_size * LINE_HEIGHT * SCALE
        for k, line in enumerate(label.lines):
            x = (width - font.getlength(line)) / 2
            draw.text((x, k * step), line, fill=WHITE, font=font)
        # The tilt is as large as the box allows: half a letter over the width of the name.
        most = min(1.2, math.degrees(label.font_size * 0.5 / max(box.right - box.left, 1)))
        ink = ink.rotate(float(self.rng.uniform(-most, most)), resample=Image.Resampling.BILINEAR)
        at = (round(box.left * SCALE), round(box.top * SCALE))
        self.canvas.paste(WHITE - 3, (at[0], at[1], at[0] + width, at[1] + height))
        self.canvas.paste(int(self.rng.integers(30, 60)), at, ink)

    def finish(self) -> Image.Image:
        """Returns the finished page (RGB) on warm white paper."""
        page = self.canvas.reduce(SCALE)
        return ImageOps.colorize(page, black=(38, 36, 34), white=(253, 252, 247))


# --- Icons ------------------------------------------------------------------------------------------------------------

_COS, _SIN = math.cos(math.radians(30)), math.sin(math.radians(30))


class Isometric:
    """Places points of a unit scene, x to the lower right, y to the lower left, z up, into a box on the page."""

    def __init__(self, box: Box, extent: tuple[float, float, float]):
        x, y, z = extent
        width, height = (x + y) * _COS, (x + y) * _SIN + z
        self.scale = min((box.right - box.left) / width, (box.bottom - box.top) / height)
        cx, cy = box.center
        self.origin = (cx - (x - y) * _COS / 2 * self.scale, cy + (z - (x + y) * _SIN) / 2 * self.scale)

    def __call__(self, x: float, y: float, z: float) -> Point:
        return (
            self.origin[0] + (x - y) * _COS * self.scale,
            self.origin[1] + ((x + y) * _SIN - z) * self.scale,
        )


Corner = tuple[float, float, float]


def draw_block(pencil: Pencil, at: Isometric, low: Corner, high: Corner, shades: tuple[int, int, int]) -> None:
    """Draws a block by its three visible faces: top, left front and right front."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    top = [at(x0, y0, z1), at(x1, y0, z1), at(x1, y1, z1), at(x0, y1, z1)]
    left = [at(x0, y1, z1), at(x1, y1, z1), at(x1, y1, z0), at(x0, y1, z0)]
    right = [at(x1, y0, z1), at(x1, y1, z1), at(x1, y1, z0), at(x1, y0, z0)]
    for points, shade in ((left, shades[1]), (right, shades[2]), (top, shades[0])):
        pencil.face(points, shade)


def draw_source(pencil: Pencil, box: Box) -> None:
    """A crate with an arrow that leaves it upwards."""
    at = Isometric(box, (1, 1, 1.25))
    draw_block(pencil, at, (0, 0, 0), (1, 1, 0.75), (240, 222, 200))
    foot, tip = at(0.5, 0.5, 0.75), at(0.5, 0.5, 1.5)
    wing = (tip[1] - foot[1]) * 0.4
    pencil.line(foot, tip, width=3)
    for side in (-1, 1):
        pencil.line(tip, (tip[0] + side * wing * 0.7, tip[1] - wing), width=3)


def draw_queue(pencil: Pencil, box: Box) -> None:
    """A stack of flat sheets."""
    at = Isometric(box, (1.3, 1, 0.85))
    for k in range(4):
        z = k * 0.23
        draw_block(pencil, at, (0, 0, z), (1.3, 1, z + 0.1), (246, 226, 206))


def draw_processor(pencil: Pencil, box: Box) -> None:
    """A machine: a long cabinet with a window, and a head on top."""
    at = Isometric(box, (1.6, 1, 1.05))
    draw_block(pencil, at, (0, 0, 0), (1.6, 1, 0.6), (226, 204, 182))
    window = [at(0.2, 1, 0.48), at(0.95, 1, 0.48), at(0.95, 1, 0.2), at(0.2, 1, 0.2)]
    pencil.face(window, 246)
    pencil.hatch(window, 2)
    draw_block(pencil, at, (0.35, 0.2, 0.6), (1.1, 0.75, 1.05), (238, 216, 192))


def draw_sink(pencil: Pencil, box: Box) -> None:
    """An open drum, dark inside."""
    cx, _ = box.center
    rx = (box.right - box.left) * 0.36
    ry = rx * 0.42
    top, bottom = box.top + ry + 1, box.bottom - ry
    pencil.ellipse((cx, bottom), rx, ry, fill=208)
    pencil.fill([(cx - rx, top), (cx + rx, top), (cx + rx, bottom), (cx - rx, bottom)], 208)
    pencil.line((cx - rx, top), (cx - rx, bottom), shake=0.4)
    pencil.line((cx + rx, top), (cx + rx, bottom), shake=0.4)
    pencil.ellipse((cx, top), rx, ry, fill=120)
    middle = (top + bottom) / 2 + ry * 0.6
    pencil.ellipse((cx, middle), rx, ry, half=True)
