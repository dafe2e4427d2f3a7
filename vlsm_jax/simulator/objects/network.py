"""Networks of paths: network nodes or control points, joined by "A" connections or by paths, and what stands there.

A connection is as long as the straight line between its ends and leads both ways. Control points also lie on paths: a
path joins those on it, in their order, and goes on in every path that begins or ends where it does. It leads both ways
unless IsTwoWay is set to 0; a curved path counts as the straight line between its ends.

Travellers take the shortest way and pass each other everywhere: spacing, speed limits and allocations of control
points have no effect.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vlsm_jax.flexscript.values import to_float
from vlsm_jax.simulator.objects.travel import Point, corner
from vlsm_jax.simulator.tree import Node, Wire

_NODES = ("NetworkNode", "ControlPoint")
_PATHS = ("StraightPath", "CurvedPath")

TOUCHES = 0.05
"""Metres between a control point and a path, or between the ends of two paths, that count as no distance."""

Stop = Node | Point
"""Where a way leads through: a network node, or the end of a path."""


class Way(NamedTuple):
    """The shortest way through a network.

    Attributes:
      length: metres, from where it begins to its last stop.
      stops: in order of travel.
    """

    length: float
    stops: tuple[Stop, ...]


class Network:
    """The paths of a model.

    Attributes:
      graph: stops, joined in the direction of travel, with lengths in metres.
      attached: the network nodes at an object, in the order of drawing.
    """

    def __init__(self, objects: Iterable[Node], attachments: Iterable[Wire]):
        import networkx  # slow to import, and few models have paths

        self._networkx = networkx
        self.graph = networkx.DiGraph()
        self.attached: dict[Node, list[Node]] = {}
        self._from: dict[Stop, tuple[dict[Stop, float], dict[Stop, list[Stop]]]] = {}
        objects = list(objects)
        nodes = [node for node in objects if node.cls.name in _NODES]
        self.graph.add_nodes_from(nodes)
        for node in nodes:
            for wire in sorted((*node.inputs, *node.outputs), key=lambda wire: wire.number):
                if wire.other(node).cls.name in _NODES:
                    self._join(node, wire.other(node), both_ways=True)
        for wire in attachments:
            node, other = (wire.source, wire.target) if wire.source in self.graph else (wire.target, wire.source)
            if node in self.graph and node not in self.attached.setdefault(other, []):
                self.attached[other].append(node)
        self._join_along_paths(objects, [node for node in nodes if node.cls.name == "ControlPoint"])

    def _join(self, stop: Stop, other: Stop, *, both_ways: bool) -> None:
        if stop is other:
            return
        length = math.dist(point_of(stop), point_of(other))
        self.graph.add_edge(stop, other, weight=length)
        if both_ways:
            self.graph.add_edge(other, stop, weight=length)

    def _join_along_paths(self, objects: Sequence[Node], points: Sequence[Node]) -> None:
        meetings: list[Point] = []
        for path in objects:
            ends = path_ends(path) if path.cls.name in _PATHS else None
            if ends is None:
                continue
            start, end = (_meeting(point, meetings) for point in ends)
            on_path: list[tuple[float, Stop]] = [(-1.0, start), (2.0, end)]
            for point in points:
                share, distance = _projected(corner(point), start, end)
                if distance <= TOUCHES:
                    on_path.append((share, point))
            on_path.sort(key=lambda pair: pair[0])
            both_ways = path.settings.get("IsTwoWay", 1) != 0
            for (_, stop), (_, following) in itertools.pairwise(on_path):
                self._join(stop, following, both_ways=both_ways)

    def nodes_at(self, node: Node) -> Sequence[Node]:
        """Returns the nodes at which travellers reach an object; a node reaches itself."""
        return (node,) if node in self.graph else self.attached.get(node, ())

    def way(self, starts: Sequence[tuple[Stop, float]], goals: Sequence[Node]) -> Way | None:
        """Returns the shortest way from one of several stops, each with the metres to get there, to one of the goals.

        Returns None where there is none. Of ways of the same length the first one counts, in the given order.
        """
        best: Way | None = None
        for start, before in starts:
            lengths, routes = self._reached(start)
            for goal in goals:
                if goal in lengths and (best is None or before + lengths[goal] < best.length):
                    best = Way(before + lengths[goal], tuple(routes[goal]))
        return best

    def leads_on(self, stop: Stop, other: Stop) -> bool:
        """Whether a path leads from a stop to the next."""
        return self.graph.has_edge(stop, other)

    def _reached(self, start: Stop) -> tuple[dict[Stop, float], dict[Stop, list[Stop]]]:
        found = self._from.get(start)
        if found is None:
            found = self._networkx.single_source_dijkstra(self.graph, start)
            self._from[start] = found
        return found


def has_paths(objects: Iterable[Node]) -> bool:
    """Whether a model has network nodes or control points."""
    return any(node.cls.name in _NODES for node in objects)


def point_of(stop: Stop) -> Point:
    """Returns where a stop is."""
    return corner(stop) if isinstance(stop, Node) else stop


def path_ends(path: Node) -> tuple[Point, Point] | None:
    """Returns the ends of a path; None where a script has not set them."""
    ends = []
    for name in ("StartLocation", "EndLocation"):
        value = path.settings.get(name)
        if not isinstance(value, tuple) or len(value) < 2:
            return None
        x, y, z = (*map(to_float, value), 0.0)[:3]
        ends.append((x, y, z))
    return ends[0], ends[1]


def _meeting(point: Point, known: list[Point]) -> Point:
    """Returns the end of another path that lies here, else the point itself, which is then known."""
    for other in known:
        if math.dist(point, other) <= TOUCHES:
            return other
    known.append(point)
    return point


def _projected(point: Point, start: Point, end: Point) -> tuple[float, float]:
    """Returns the place of a point along a line as a share of it, and the distance from the line, in metres."""
    along = [b - a for a, b in zip(start, end, strict=True)]
    squared = sum(a * a for a in along)
    offset = [p - a for p, a in zip(point, start, strict=True)]
    share = sum(a * b for a, b in zip(along, offset, strict=True)) / squared if squared else 0.0
    share = min(1.0, max(0.0, share))
    nearest = tuple(a + share * b for a, b in zip(start, along, strict=True))
    return share, math.dist(point, nearest)
