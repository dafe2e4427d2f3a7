"""Icons in isometric view, as engineers draw them on squared paper: one for every class.

Scene coordinates: x to the lower right, y to the lower left, z up.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from vlsm_jax.synth.sketches.shapes import CONVEYOR, Drawing, Icon, belt_length
from vlsm_jax.twin import TwinObject

_COS, _SIN = math.cos(math.radians(30)), math.sin(math.radians(30))


def _view(x: float, y: float, z: float) -> tuple[float, float]:
    return (x - y) * _COS, (x + y) * _SIN - z


_LIGHT, _PLAIN, _DARK = 246, 226, 204


def _drum(d: Drawing, at: tuple[float, float, float], radius: float, height: float, top: int, side: int) -> None:
    """A standing cylinder."""
    x, y, z = at
    cx, cy = _view(x, y, z)
    lower = [(cx + radius * math.cos(a), cy + 0.5 * radius * math.sin(a)) for a in _HALF]  # From right to left.
    # The side is made of page points: bring them back into the scene, at z = 0.
    d.polygon([_unview(*p) for p in [*lower, (cx - radius, cy - height), (cx + radius, cy - height)]], side)
    d.ellipse((x, y, z + height), radius, 0.5 * radius, top)


_HALF = [math.radians(a) for a in range(0, 181, 30)]


def _unview(u: float, v: float) -> tuple[float, float, float]:
    a, b = u / _COS, v / _SIN
    return (a + b) / 2, (b - a) / 2, 0.0


def _source(d: Drawing) -> None:
    """A crate with an arrow that leaves it upwards."""
    d.block((0, 0, 0), (1, 1, 0.7))
    for dx in (-0.16, 0.16):
        d.line((0.5 + dx, 0.5 - dx, 1.15), (0.5, 0.5, 1.5))
    d.line((0.5, 0.5, 0.7), (0.5, 0.5, 1.5))


def _queue(d: Drawing) -> None:
    """A stack of flat sheets."""
    for k in range(3):
        d.block((0, 0, 0.3 * k), (1.3, 1, 0.3 * k + 0.14), (_LIGHT, _PLAIN, _DARK))


def _processor(d: Drawing) -> None:
    """A machine: a long cabinet with a window, and a head on top."""
    d.block((0, 0, 0), (1.6, 1, 0.6))
    d.polygon([(0.2, 1, 0.48), (0.95, 1, 0.48), (0.95, 1, 0.2), (0.2, 1, 0.2)], 250)
    d.block((0.35, 0.2, 0.6), (1.1, 0.75, 1.0))


def _combiner(d: Drawing) -> None:
    """A cabinet with a funnel on top, into which two parts fall."""
    d.block((0, 0, 0), (1.1, 1.1, 0.5))
    cx, cy = _view(0.55, 0.55, 0.5)
    funnel = [(cx - 0.62, cy - 0.62), (cx + 0.62, cy - 0.62), (cx + 0.14, cy), (cx - 0.14, cy)]
    d.polygon([_unview(*p) for p in funnel], _PLAIN)
    for dx in (-0.34, 0.34):
        box = [(cx + dx - 0.16, cy - 1.0), (cx + dx + 0.16, cy - 1.0), (cx + dx + 0.16, cy - 0.7)]
        d.polygon([_unview(*p) for p in [*box, (cx + dx - 0.16, cy - 0.7)]], _DARK)


def _separator(d: Drawing) -> None:
    """A table with a blade that parts a block in two."""
    d.block((0, 0, 0), (1.7, 1, 0.22))
    d.block((0.05, 0.2, 0.22), (0.6, 0.8, 0.7))
    d.polygon([(0.85, 0, 0.22), (0.85, 1, 0.22), (0.85, 1, 1.15), (0.85, 0, 1.15)], 170)
    d.block((1.1, 0.2, 0.22), (1.65, 0.8, 0.7))


def _multi_processor(d: Drawing) -> None:
    """One base with three heads that grow: an operation after the other."""
    d.block((0, 0, 0), (2.1, 0.8, 0.3))
    for k, high in enumerate((0.35, 0.6, 0.85)):
        d.block((0.12 + 0.68 * k, 0.15, 0.3), (0.6 + 0.68 * k, 0.65, 0.3 + high))


def _sink(d: Drawing) -> None:
    """An open drum, dark inside, with a hoop."""
    _drum(d, (0, 0, 0), 0.6, 0.85, 118, 208)
    d.ellipse((0, 0, 0.36), 0.6, 0.3, -1, (0, 180))


def _conveyor(d: Drawing, length: float) -> None:
    """A belt on legs with rollers across."""
    long = 2.0 * length
    for x in (0.15, long - 0.25):
        d.block((x, 0.42, -0.45), (x + 0.12, 0.5, 0), (200, 200, 180))
    d.block((0, 0, 0), (long, 0.5, 0.13), (_LIGHT, 214, 190))
    count = round(2.6 * length) + 1
    for k in range(1, count):
        x = long * k / count
        d.line((x, 0, 0.13), (x, 0.5, 0.13))


def _rack(d: Drawing) -> None:
    """A tall shelf with bays, some of them full."""
    d.polygon([(1.6, 0, 1.5), (1.6, 0.4, 1.5), (1.6, 0.4, 0), (1.6, 0, 0)], 205)
    d.polygon([(0, 0, 1.5), (1.6, 0, 1.5), (1.6, 0.4, 1.5), (0, 0.4, 1.5)], _LIGHT)
    d.polygon([(0, 0.4, 1.5), (1.6, 0.4, 1.5), (1.6, 0.4, 0), (0, 0.4, 0)], 250)
    for z in (0.5, 1.0):
        d.line((0, 0.4, z), (1.6, 0.4, z))
    for x in (0.53, 1.07):
        d.line((x, 0.4, 0), (x, 0.4, 1.5))
    for x, z in ((0.1, 0.03), (1.15, 0.03), (0.62, 0.53), (0.1, 1.03)):
        d.polygon([(x, 0.4, z), (x + 0.32, 0.4, z), (x + 0.32, 0.4, z + 0.3), (x, 0.4, z + 0.3)], 150)


def _operator(d: Drawing) -> None:
    """A person with a hard hat."""
    d.polygon([_unview(*p) for p in ((-0.3, 0.1), (0.3, 0.1), (0.22, -0.55), (-0.22, -0.55))], _DARK)
    d.line(*(_unview(*p) for p in ((-0.2, -0.5), (-0.5, -0.12))))
    d.line(*(_unview(*p) for p in ((0.2, -0.5), (0.5, -0.12))))
    d.line(*(_unview(*p) for p in ((-0.15, 0.1), (-0.2, 0.7), (-0.34, 0.7))))
    d.line(*(_unview(*p) for p in ((0.15, 0.1), (0.2, 0.7), (0.34, 0.7))))
    d.ellipse(_unview(0, -0.78), 0.2, 0.22, 250)
    d.ellipse(_unview(0, -0.84), 0.25, 0.2, 150, (180, 360))


def _task_executer(d: Drawing) -> None:
    """A bowl on a block: someone who does what is asked."""
    d.block((0, 0, 0), (1.1, 0.9, 0.28))
    cx, cy = _view(0.5, 0.4, 0.28)
    bowl = [(cx + 0.5 * math.cos(a), cy - 0.5 + 0.5 * math.sin(a)) for a in _HALF]
    d.polygon([_unview(*p) for p in bowl], 206)
    d.ellipse(_unview(cx, cy - 0.5), 0.5, 0.2, 250)


def _transporter(d: Drawing) -> None:
    """A forklift: body, cab, mast and fork."""
    flat = lambda *points: [_unview(*p) for p in points]  # noqa: E731
    d.polygon(flat((-0.75, 0.3), (-0.75, -0.1), (-0.6, -0.2), (0.25, -0.2), (0.25, 0.3)), _DARK)
    d.line(*flat((-0.55, -0.2), (-0.45, -0.85), (0.1, -0.85), (0.22, -0.2)))
    d.polygon(flat((0.3, 0.32), (0.3, -1.0), (0.4, -1.0), (0.4, 0.32)), 150)
    d.line(*flat((0.4, 0.3), (1.0, 0.3)))
    d.polygon(flat((0.5, 0.24), (0.5, -0.16), (0.92, -0.16), (0.92, 0.24)), _LIGHT)
    d.ellipse(_unview(-0.5, 0.34), 0.17, 0.17, 120)
    d.ellipse(_unview(0.12, 0.34), 0.17, 0.17, 120)


def _agv(d: Drawing) -> None:
    """A flat vehicle with an arrow on its deck and its wheels showing."""
    d.ellipse((0.35, 0.95, -0.02), 0.13, 0.13, 110)
    d.ellipse((1.35, 0.95, -0.02), 0.13, 0.13, 110)
    d.block((0, 0, 0), (1.7, 0.9, 0.24), (_LIGHT, 200, 180))
    z = 0.24
    arrow = [(0.3, 0.35), (0.95, 0.35), (0.95, 0.15), (1.45, 0.45), (0.95, 0.75), (0.95, 0.55), (0.3, 0.55)]
    d.polygon([(x, y, z) for x, y in arrow], 120)


def _robot(d: Drawing) -> None:
    """An arm with two joints and a gripper."""
    _drum(d, (0, 0, 0), 0.42, 0.2, _LIGHT, _DARK)
    flat = lambda *points: [_unview(*p) for p in points]  # noqa: E731
    d.polygon(flat((-0.12, -0.2), (0.12, -0.2), (-0.12, -1.05), (-0.36, -1.0)), _PLAIN)
    d.polygon(flat((-0.3, -1.18), (-0.2, -0.92), (0.66, -0.84), (0.66, -1.0)), _PLAIN)
    d.ellipse(_unview(-0.24, -1.05), 0.17, 0.17, 150)
    d.line(*flat((0.66, -0.92), (0.78, -0.7), (0.68, -0.55)))
    d.line(*flat((0.66, -0.92), (0.95, -0.78), (0.92, -0.55)))


def _crane(d: Drawing) -> None:
    """A gantry with a trolley and a hook."""
    flat = lambda *points: [_unview(*p) for p in points]  # noqa: E731
    for x in (-0.9, 0.9):
        d.line(*flat((x - 0.2, 0.75), (x, -0.6), (x + 0.2, 0.75)))
    d.polygon(flat((-1.1, -0.6), (1.1, -0.6), (1.1, -0.82), (-1.1, -0.82)), _DARK)
    d.polygon(flat((0.05, -0.6), (0.4, -0.6), (0.4, -0.42), (0.05, -0.42)), 120)
    d.line(*flat((0.22, -0.42), (0.22, 0.1)))
    d.ellipse(_unview(0.22, 0.24), 0.14, 0.14, -1, (-90, 150))


def _dispatcher(d: Drawing) -> None:
    """A thick disc from which arrows go out."""
    _drum(d, (0, 0, 0), 0.8, 0.3, _LIGHT, 196)
    cx, cy = 0.0, -0.3
    for u, v in ((-0.52, 0.06), (0.52, 0.06), (0.0, -0.28), (0.0, 0.3)):
        d.line(_unview(cx, cy), _unview(cx + u, cy + v))
        d.ellipse(_unview(cx + u, cy + v), 0.09, 0.06, 90)
    d.ellipse(_unview(cx, cy), 0.14, 0.09, 90)


_DRAW: Mapping[str, Callable[[Drawing], None]] = MappingProxyType(
    {
        "Source": _source,
        "Queue": _queue,
        "Processor": _processor,
        "Combiner": _combiner,
        "Separator": _separator,
        "MultiProcessor": _multi_processor,
        "Sink": _sink,
        "Rack": _rack,
        "Operator": _operator,
        "TaskExecuter": _task_executer,
        "Transporter": _transporter,
        "AGV": _agv,
        "Robot": _robot,
        "Crane": _crane,
        "Dispatcher": _dispatcher,
    }
)
CLASSES = (*_DRAW, CONVEYOR)
"""Every class that has an icon."""


@functools.lru_cache(maxsize=64)
def _icon(cls: str, length: float) -> Icon:
    drawing = Drawing(_view)
    if cls == CONVEYOR:
        _conveyor(drawing, length)
        return drawing.icon(length, 1.0)
    _DRAW[cls](drawing)
    return drawing.icon(1.0, 0.88)


def isometric_icon(obj: TwinObject) -> Icon:
    """Returns the icon of an object; a conveyor is as long as its HorizontalLength says."""
    return _icon(obj.cls, belt_length(obj.parameters.get("HorizontalLength")) if obj.cls == CONVEYOR else 0.0)
