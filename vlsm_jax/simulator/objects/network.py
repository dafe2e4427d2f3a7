"""Networks of paths: network nodes or control points, joined by "A" connections, and what is attached to them.

A path is as long as the straight line between its ends and may be travelled in both directions. Travellers take the
shortest way and pass each other everywhere: spacing, speed limits and allocations of control points have no effect.
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
_TOUCHES = 0.05
"""Metres between a control point and a path on which it counts as lying."""


class Way(NamedTuple):
    """The shortest way through a network.

    Attributes:
      length: metres, from where it begins to its last node.
      nodes: in order of travel.
    """

    length: float
    nodes: tuple[Node, ...]


class Network:
    """The paths of a model.

    Attributes:
      attached: the network nodes at an object, in the order of drawing.
    """

    def __init__(self, objects: Iterable[Node], attachments: Iterable[Wire]):
        import networkx  # slow to import, and few models have paths

        self._networkx = networkx
        self.graph = networkx.Graph()
        self.attached: dict[Node, list[Node]] = {}
        self._from: dict[Node, tuple[dict[Node, float], dict[Node, list[Node]]]] = {}
        objects = list(objects)
        nodes = [node for node in objects if node.cls.name in _NODES]
        for node in nodes:
            self.graph.add_node(node)
        for node in nodes:
            for wire in sorted((*node.inputs, *node.outputs), key=lambda wire: wire.number):
                if wire.other(node).cls.name in _NODES:
                    self._join(node, wire.other(node))
        for wire in attachments:
            node, other = (wire.source, wire.target) if wire.source in self.graph else (wire.target, wire.source)
            if node in self.graph and node not in self.attached.setdefault(other, []):
                self.attached[other].append(node)
        self._join_along_paths(objects, [node for node in nodes if node.cls.name == "ControlPoint"])

    def _join(self, node: Node, other: Node) -> None:
        if node is not other:
            self.graph.add_edge(node, other, weight=math.dist(corner(node), corner(other)))

    def _join_along_paths(self, objects: Sequence[Node], points: Sequence[Node]) -> None:
        """Joins the control points on each straight path in the order in which they lie on it."""
        for path in objects:
            if path.cls.name != "StraightPath":
                continue
            ends = path_ends(path)
            if ends is None:
                continue
            on_path = []
            for point in points:
                share, distance = _projected(corner(point), *ends)
                if distance <= _TOUCHES:
                    on_path.append((share, point))
            on_path.sort(key=lambda pair: pair[0])
            for (_, point), (_, following) in itertools.pairwise(on_path):
                self._join(point, following)

    def nodes_at(self, node: Node) -> Sequence[Node]:
        """Returns the nodes at which travellers reach an object; a node reaches itself."""
        return (node,) if node in self.graph else self.attached.get(node, ())

    def way(self, starts: Sequence[tuple[Node, float]], goals: Sequence[Node]) -> Way | None:
        """Returns the shortest way from one of several nodes, each with the metres to get there, to one of the goals.

        Returns None where there is none. Of ways of the same length the first one counts, in the given order.
        """
        best: Way | None = None
        for start, before in starts:
            lengths, routes = self._reached(start)
            for goal in goals:
                if goal in lengths and (best is None or before + lengths[goal] < best.length):
                    best = Way(before + lengths[goal], tuple(routes[goal]))
        return best

    def _reached(self, start: Node) -> tuple[dict[Node, float], dict[Node, list[Node]]]:
        found = self._from.get(start)
        if found is None:
            found = self._networkx.single_source_dijkstra(self.graph, start)
            self._from[start] = found
        return found


def has_paths(objects: Iterable[Node]) -> bool:
    """Whether a model has network nodes or control points."""
    return any(node.cls.name in _NODES for node in objects)


def path_ends(path: Node) -> tuple[Point, Point] | None:
    """Returns the ends of a straight path; None where a script has not set them."""
    ends = []
    for name in ("StartLocation", "EndLocation"):
        value = path.settings.get(name)
        if not isinstance(value, tuple) or len(value) < 2:
            return None
        x, y, z = (*map(to_float, value), 0.0)[:3]
        ends.append((x, y, z))
    return ends[0], ends[1]


def _projected(point: Point, start: Point, end: Point) -> tuple[float, float]:
    """Returns the place of a point along a line as a share of it, and the distance from the line, in metres."""
    along = [b - a for a, b in zip(start, end, strict=True)]
    squared = sum(a * a for a in along)
    offset = [p - a for p, a in zip(point, start, strict=True)]
    share = sum(a * b for a, b in zip(along, offset, strict=True)) / squared if squared else 0.0
    share = min(1.0, max(0.0, share))
    nearest = tuple(a + share * b for a, b in zip(start, along, strict=True))
    return share, math.dist(point, nearest)
