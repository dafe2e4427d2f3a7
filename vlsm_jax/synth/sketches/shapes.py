"""Icons as data: polygons and lines in a unit of their own, ready to be scaled, shaken and drawn.

The points of an icon lie in one array, so that a page moves and shakes all of its icons at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Corner = tuple[float, ...]

CONVEYOR = "StraightConveyor"
"""The class whose icon is as long as the object (`belt_length`)."""


class Shape(NamedTuple):
    """A polygon or line of an icon.

    Attributes:
      start, stop: its points in the array of the icon.
      tone: grey of its face, 0 to 255; -1 where it has none.
      outlined: whether its edge is drawn.
      closed: whether the edge runs back to the first point.
    """

    start: int
    stop: int
    tone: int
    outlined: bool = True
    closed: bool = True


class Icon(NamedTuple):
    """A picture of one object, centred on the origin, `width` by `height` icon sizes large.

    Attributes:
      points: [P, 2], y downwards.
      shapes: in the order in which they are drawn.
    """

    points: np.ndarray
    shapes: tuple[Shape, ...]
    width: float
    height: float


class Drawing:
    """Collects shapes through a projection of scene coordinates to the page."""

    def __init__(self, project: Callable[..., tuple[float, float]]):
        self._project = project
        self._paths: list[list[tuple[float, float]]] = []
        self._shapes: list[tuple[int, bool, bool]] = []

    def _add(self, points: Sequence[tuple[float, float]], tone: int, outlined: bool, closed: bool) -> None:
        self._paths.append(list(points))
        self._shapes.append((tone, outlined, closed))

    def polygon(self, points: Sequence[Corner], tone: int = -1, *, outlined: bool = True) -> None:
        """Adds a closed shape."""
        self._add([self._project(*p) for p in points], tone, outlined, True)

    def line(self, *points: Corner) -> None:
        """Adds an open line."""
        self._add([self._project(*p) for p in points], -1, True, False)

    def ellipse(
        self,
        center: Corner,
        rx: float,
        ry: float | None = None,
        tone: int = -1,
        arc: tuple[float, float] = (0, 360),
        *,
        outlined: bool = True,
    ) -> None:
        """Adds an ellipse around a projected centre, radii on the page, or the arc of it between two angles."""
        cx, cy = self._project(*center)
        ry = rx if ry is None else ry
        full = arc == (0, 360)
        count = 14 if full else max(4, round((arc[1] - arc[0]) / 26))
        angles = [math.radians(arc[0] + (arc[1] - arc[0]) * k / count) for k in range(count + (not full))]
        self._add([(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles], tone, outlined, full)

    def block(self, low: Corner, high: Corner, tones: tuple[int, int, int] = (243, 222, 200)) -> None:
        """Adds the three visible faces of a block: top, left front and right front."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        self.polygon([(x0, y1, z1), (x1, y1, z1), (x1, y1, z0), (x0, y1, z0)], tones[1])
        self.polygon([(x1, y0, z1), (x1, y1, z1), (x1, y1, z0), (x1, y0, z0)], tones[2])
        self.polygon([(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)], tones[0])

    def icon(self, width: float, height: float) -> Icon:
        """Returns the icon, scaled to fit into `width` by `height` icon sizes."""
        every = np.array([p for path in self._paths for p in path])
        low, high = every.min(0), every.max(0)
        scale = min(width / (high[0] - low[0]), height / (high[1] - low[1]))
        every = (every - (low + high) / 2) * scale
        shapes, start = [], 0
        for path, (tone, outlined, closed) in zip(self._paths, self._shapes, strict=True):
            shapes.append(Shape(start, start + len(path), tone, outlined, closed))
            start += len(path)
        extent = (high - low) * scale
        every.flags.writeable = False
        return Icon(every, tuple(shapes), float(extent[0]), float(extent[1]))


def belt_length(metres: object) -> float:
    """Returns how long a conveyor is drawn, in icon sizes, in steps of a fifth: 1.2 for a short one, 2.4 from 16 m."""
    if not isinstance(metres, (int, float)) or isinstance(metres, bool) or not metres > 0:
        return 1.4
    return min(max(round((0.8 + 0.1 * float(metres)) * 5) / 5, 1.2), 2.4)
