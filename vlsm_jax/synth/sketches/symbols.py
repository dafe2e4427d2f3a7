"""Flat symbols, as on a plan or a whiteboard: one for every class. Coordinates: x to the right, y downwards."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from vlsm_jax.synth.sketches.shapes import CONVEYOR, Drawing, Icon, belt_length
from vlsm_jax.twin import TwinObject

_PAPER, _TINT, _SOLID = 255, 214, 110


def _flat(x: float, y: float) -> tuple[float, float]:
    return x, y


def _box(d: Drawing, left: float, top: float, right: float, bottom: float, tone: int = _PAPER) -> None:
    d.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], tone)


def _source(d: Drawing) -> None:
    """A triangle in a circle: from here."""
    d.ellipse((0, 0), 0.45, None, _PAPER)
    d.polygon([(-0.18, -0.24), (0.28, 0), (-0.18, 0.24)], _SOLID)


def _queue(d: Drawing) -> None:
    """A bin open to the left, with items standing in a row."""
    d.line((-0.5, -0.3), (0.5, -0.3), (0.5, 0.3), (-0.5, 0.3))
    for x in (-0.1, 0.14, 0.38):
        d.line((x, -0.22), (x, 0.22))


def _processor(d: Drawing) -> None:
    """A machine: a square with a wheel."""
    _box(d, -0.45, -0.4, 0.45, 0.4)
    d.ellipse((0, 0), 0.24, None, _TINT)
    d.ellipse((0, 0), 0.07, None, _SOLID)


def _combiner(d: Drawing) -> None:
    """Two lines that become one."""
    _box(d, -0.5, -0.36, 0.5, 0.36)
    d.line((-0.38, -0.24), (-0.05, 0), (0.4, 0))
    d.line((-0.38, 0.24), (-0.05, 0))
    d.ellipse((-0.02, 0), 0.09, None, _SOLID)


def _separator(d: Drawing) -> None:
    """A diamond from which two lines go."""
    d.polygon([(-0.55, 0), (0, -0.45), (0.55, 0), (0, 0.45)], _PAPER)
    d.line((-0.3, 0), (0, 0), (0.22, -0.18))
    d.line((0, 0), (0.22, 0.18))


def _multi_processor(d: Drawing) -> None:
    """Three machines in one."""
    _box(d, -0.6, -0.32, 0.6, 0.32)
    for x in (-0.2, 0.2):
        d.line((x, -0.32), (x, 0.32))
    for x, tone in ((-0.4, _PAPER), (0, _TINT), (0.4, _SOLID)):
        d.ellipse((x, 0), 0.12, None, tone)


def _sink(d: Drawing) -> None:
    """A circle crossed out: no further."""
    d.ellipse((0, 0), 0.45, None, _TINT)
    r = 0.45 * math.sqrt(0.5)
    d.line((-r, -r), (r, r))
    d.line((-r, r), (r, -r))


def _conveyor(d: Drawing, length: float) -> None:
    """A belt around rollers."""
    half, high = length / 2, 0.17
    ends = [math.radians(a) for a in (-90, -45, 0, 45, 90)]
    right = [(half - high + high * math.cos(a), high * math.sin(a)) for a in ends]
    left = [(-x, -y) for x, y in right]
    d.polygon([*right, *left], _PAPER)
    count = round(2.4 * length)
    for k in range(count):
        x = (half - high) * (2 * k / (count - 1) - 1)
        d.ellipse((x, 0), 0.09, None, _TINT)


def _rack(d: Drawing) -> None:
    """A shelf with bays, some of them full."""
    _box(d, -0.5, -0.42, 0.5, 0.42)
    for x, y in ((-0.5, -0.42), (0.17, -0.14), (-0.17, 0.14)):
        d.polygon([(x, y), (x + 0.33, y), (x + 0.33, y + 0.28), (x, y + 0.28)], _SOLID, outlined=False)
    for y in (-0.14, 0.14):
        d.line((-0.5, y), (0.5, y))
    for x in (-0.17, 0.17):
        d.line((x, -0.42), (x, 0.42))


def _operator(d: Drawing) -> None:
    """A stick figure."""
    d.ellipse((0, -0.34), 0.14, None, _PAPER)
    d.line((0, -0.2), (0, 0.15))
    d.line((-0.24, -0.06), (0.24, -0.06))
    d.line((-0.18, 0.48), (0, 0.15), (0.18, 0.48))


def _task_executer(d: Drawing) -> None:
    """A cap on a disc: a worker of no trade."""
    d.polygon([(0.5 * math.cos(a), 0.44 * math.sin(a)) for a in (math.radians(60 * k) for k in range(6))], _PAPER)
    d.line((-0.16, 0.2), (-0.16, -0.2), (0.16, -0.2))
    d.line((-0.16, 0), (0.1, 0))


def _transporter(d: Drawing) -> None:
    """A forklift from above: cab and two tines."""
    _box(d, -0.6, -0.28, 0.1, 0.28, _TINT)
    d.ellipse((-0.25, 0), 0.15, None, _PAPER)
    for y in (-0.17, 0.17):
        d.line((0.1, y), (0.65, y))
    d.line((0.14, -0.3), (0.14, 0.3))


def _agv(d: Drawing) -> None:
    """A flat vehicle from above: four wheels and an arrow."""
    for x in (-0.38, 0.2):
        for y in (-0.36, 0.26):
            _box(d, x, y, x + 0.2, y + 0.1, _SOLID)
    _box(d, -0.55, -0.26, 0.55, 0.26)
    d.polygon([(-0.36, -0.07), (0.08, -0.07), (0.08, -0.18), (0.42, 0), (0.08, 0.18), (0.08, 0.07), (-0.36, 0.07)], 150)


def _robot(d: Drawing) -> None:
    """An arm with joints and a gripper."""
    _box(d, -0.34, 0.3, 0.1, 0.45, _TINT)
    d.line((-0.12, 0.3), (-0.22, -0.2), (0.28, -0.32))
    for x, y in ((-0.12, 0.28), (-0.22, -0.2)):
        d.ellipse((x, y), 0.08, None, _SOLID)
    d.line((0.46, -0.44), (0.28, -0.32), (0.4, -0.12))


def _crane(d: Drawing) -> None:
    """A bridge on two rails with a hook."""
    for y in (-0.42, -0.3):
        d.line((-0.6, y), (0.6, y))
    d.line((-0.5, -0.3), (-0.5, 0.42))
    d.line((0.5, -0.3), (0.5, 0.42))
    _box(d, -0.02, -0.3, 0.24, -0.14, _SOLID)
    d.line((0.11, -0.14), (0.11, 0.12))
    d.ellipse((0.11, 0.22), 0.1, None, -1, (-90, 150))


def _dispatcher(d: Drawing) -> None:
    """A hub with spokes."""
    d.ellipse((0, 0), 0.48, None, _PAPER)
    for k in range(5):
        a = math.radians(72 * k - 90)
        d.line((0, 0), (0.3 * math.cos(a), 0.3 * math.sin(a)))
        d.ellipse((0.32 * math.cos(a), 0.32 * math.sin(a)), 0.07, None, _SOLID)
    d.ellipse((0, 0), 0.1, None, _PAPER)


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


@functools.lru_cache(maxsize=64)
def _icon(cls: str, length: float) -> Icon:
    drawing = Drawing(_flat)
    if cls == CONVEYOR:
        _conveyor(drawing, length)
        return drawing.icon(length, 0.6)
    _DRAW[cls](drawing)
    return drawing.icon(0.95, 0.8)


def flat_symbol(obj: TwinObject) -> Icon:
    """Returns the symbol of an object; a conveyor is as long as its HorizontalLength says."""
    return _icon(obj.cls, belt_length(obj.parameters.get("HorizontalLength")) if obj.cls == CONVEYOR else 0.0)
