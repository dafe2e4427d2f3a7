"""How long moves take, and from where to where they go.

Reference points. FlexSim's location is the upper-left corner of an object; its size extends along +x, -y and +z. What
the public sources leave open is chosen here, in one place:

- An executer is where the x/y centre of its base is, and it goes to the x/y centre of the base of an object.
- Locations within a container add up; rotations are not taken into account, but for the axis of an ASRSvehicle.
- An item lies at the x/y centre of the base of the object that holds it, unless the object says otherwise (`place_of`).
- A network node or control point is a point: its location.
- Every move begins and ends at rest: end speeds of tasks are not taken into account.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import to_float
from vlsm_jax.simulator.objects.item import BOX_SIZE, Item
from vlsm_jax.simulator.tree import Node

Point = tuple[float, float, float]


NEAR = 1e-9
"""Metres; who is as close as this is there."""

_NUMBERS = (float, int)


@dataclasses.dataclass(slots=True)
class Profile:
    """Speed over time along a path: up to a peak, steady, down to rest. Nobody changes one.

    Attributes:
      distance: metres.
      peak: the highest speed on the way, in m/s.
      acceleration, deceleration: m/s²; 0 for at once.
      duration: seconds.
    """

    distance: float
    peak: float
    acceleration: float
    deceleration: float
    duration: float

    def covered(self, elapsed: float) -> float:
        """Returns the metres behind after a time."""
        if elapsed >= self.duration:
            return self.distance
        speeding = self.peak / self.acceleration if self.acceleration else 0.0
        slowing = self.peak / self.deceleration if self.deceleration else 0.0
        if elapsed < speeding:
            return self.acceleration * elapsed * elapsed / 2
        left = self.duration - elapsed
        if left < slowing:
            return self.distance - self.deceleration * left * left / 2
        return self.peak * (elapsed - speeding / 2)


def trapezoid(distance: float, speed: float, acceleration: float = 0.0, deceleration: float = 0.0) -> Profile:
    """Returns the profile of a move from rest to rest: at most `speed`, which a short way does not reach.

    With D at least v²/2a + v²/2d the time is v/a + v/d + (D - v²/2a - v²/2d)/v. Otherwise the peak is √(2Dad/(a+d))
    and the time peak/a + peak/d. An acceleration or deceleration of 0 means that the speed changes at once.

    Args:
      distance: metres, at least 0.
      speed: m/s, above 0.
      acceleration, deceleration: m/s², at least 0.
    """
    if distance <= 0:
        return Profile(0.0, 0.0, acceleration, deceleration, 0.0)
    faster = 1 / acceleration if acceleration > 0 else 0.0
    slower = 1 / deceleration if deceleration > 0 else 0.0
    rates = acceleration if acceleration > 0 else 0.0, deceleration if deceleration > 0 else 0.0
    ramps = speed * speed * (faster + slower) / 2
    if distance >= ramps:
        duration = speed * (faster + slower) + (distance - ramps) / speed
        return Profile(distance, speed, *rates, duration)
    peak = math.sqrt(2 * distance / (faster + slower))
    return Profile(distance, peak, *rates, peak * (faster + slower))


@dataclasses.dataclass(slots=True)
class Move:
    """A way with its timing. Nobody changes one.

    Attributes:
      points: the start, the corners and the end.
      profile: speed along the way.
      duration: seconds; more than the profile's where something else takes longer, such as a lift.
      stops: what of a network is at each point, None for a point that is none of it; empty for a move off networks.
    """

    points: tuple[Point, ...]
    profile: Profile
    duration: float
    stops: tuple[Any, ...] = ()

    def at(self, elapsed: float) -> tuple[Point, int]:
        """Returns the place after a time, and the number of the leg it lies on, from 0."""
        left = self.profile.covered(elapsed)
        for leg, (start, end) in enumerate(itertools.pairwise(self.points)):
            length = math.dist(start, end)
            if left <= length and length > 0:
                return between(start, end, left / length), leg
            left -= length
        return self.points[-1], max(0, len(self.points) - 2)


def straight(start: Point, end: Point, profile: Profile, duration: float | None = None) -> Move:
    """Returns a move along a line."""
    return Move((start, end), profile, profile.duration if duration is None else duration)


def timed(start: Point, end: Point, duration: float) -> Move:
    """Returns a move of a given duration at a steady speed."""
    distance = math.dist(start, end)
    peak = distance / duration if duration > 0 else 0.0
    return Move((start, end), Profile(distance, peak, 0.0, 0.0, duration), duration)


def along(points: Sequence[Point]) -> float:
    """Returns the length of a way in metres."""
    return sum(math.dist(a, b) for a, b in itertools.pairwise(points))


def between(start: Point, end: Point, share: float) -> Point:
    """Returns the point at a share of the way from start to end."""
    (ax, ay, az), (bx, by, bz) = start, end
    return ax + (bx - ax) * share, ay + (by - ay) * share, az + (bz - az) * share


def corner(node: Node) -> Point:
    """Returns the location of an object in the model: its upper-left corner."""
    x = y = z = 0.0
    at: Node | None = node
    while at is not None and at.cls is not None:
        place = at.location
        ax, ay, az = place.x, place.y, place.z
        x += ax if type(ax) in _NUMBERS else to_float(ax)
        y += ay if type(ay) in _NUMBERS else to_float(ay)
        z += az if type(az) in _NUMBERS else to_float(az)
        at = at.parent
    return x, y, z


def reference_point(node: Node) -> Point:
    """Returns where executers go to reach an object: the x/y centre of its base, the location of a network node."""
    x, y, z = corner(node)
    cls = node.cls
    if cls is not None and cls.role == "network":
        return x, y, z
    size = node.size
    width, depth = size.x, size.y
    if type(width) not in _NUMBERS or type(depth) not in _NUMBERS:
        width, depth = to_float(width), to_float(depth)
    return x + width / 2, y - depth / 2, z


def place_in(station: Any, item: Any) -> Point:
    """Returns where an item lies, or will lie, in a running object."""
    place_of = getattr(station, "place_of", None)
    if place_of is not None:
        return place_of(item)
    return getattr(station, "position", None) or reference_point(station.node)


def item_size(item: Item) -> Point:
    """Returns the size of an item in metres."""
    return BOX_SIZE if item.size is None else tuple(map(to_float, item.size))


def positive_speed(speed: float, what: str) -> float:
    """Returns a speed; raises `Fault` where nothing could ever arrive at it."""
    if speed > 0:
        return speed
    raise Fault(f"{what} is {speed:g}; it never arrives", code="speed", hint="set a speed above 0")
