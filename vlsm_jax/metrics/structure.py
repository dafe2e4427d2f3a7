"""Structure without names: whether two factories are the same graph of classes and wires, whatever objects are called.

SVR asks for names, so one renamed object takes its wires along. Here names mean nothing: objects of one class may stand
for each other. Whether two graphs are the same is decided by colour refinement, and where that leaves a choice by
networkx's VF2. How much of a graph is found in another is the maximum common edge subgraph, for which no fast algorithm
is known: a search under a budget gives what it found and the most that could be there.

Every search counts its steps, not its seconds, so that the answer is the same on every machine; one that runs out of
steps answers None or a bracket instead of hanging.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import networkx as nx
from networkx.algorithms.isomorphism import DiGraphMatcher

from vlsm_jax.metrics.assignment import Assignment
from vlsm_jax.metrics.parameters import meaning
from vlsm_jax.metrics.svr import Overlap
from vlsm_jax.twin import Twin

STEPS = 200_000
"""Steps of one search, about one comparison of two wires each: a second or two at most."""

MOST_UNDECIDED = 500
"""Objects among which VF2 may have to choose: it recurses once for each of them."""


@dataclasses.dataclass(frozen=True)
class StructureMatch:
    """How much of a reference's graph a candidate has, names left aside.

    Attributes:
      same: whether the graphs are the same by classes and wires; None where the search gave up.
      same_ports: whether they are the same with the order of the ports as well; None as above.
      objects: objects that agree by class.
      wires: wires that agree under the best assignment of objects, class to class, that was found.
      most_wires: no assignment can do better than this; equal to `wires.matched` where that is the best.
    """

    same: bool | None
    same_ports: bool | None
    objects: Overlap
    wires: Overlap
    most_wires: int

    @property
    def share(self) -> float:
        """Share of the reference's wires under the best assignment that was found; 1 for a reference without wires."""
        return self.wires.recall

    @property
    def exact(self) -> bool:
        """Whether `share` is proved to be the best there is."""
        return self.wires.matched == self.most_wires

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts and numbers, which `from_dict` reads back; `share` and `exact` for a reader."""
        return dataclasses.asdict(self) | {"share": self.share, "exact": self.exact}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StructureMatch:
        """Reads what `to_dict` wrote."""
        fields = {field.name: data[field.name] for field in dataclasses.fields(cls)}
        return cls(**fields | {name: Overlap(**fields[name]) for name in ("objects", "wires")})


def structure_match(reference: Twin, candidate: Twin | None, *, steps: int = STEPS) -> StructureMatch:
    """Compares two Twins as graphs of classes and wires.

    An assignment takes every object of the reference to another object of the candidate of the same class, or to none.
    A wire agrees when both its ends are assigned to the ends of a wire of the same port letter and direction ("S" wires
    have none); a pair connected twice has two wires to agree.

    Args:
      candidate: None where the script built nothing.
      steps: how long each search may take. Deterministic: the same Twins and steps give the same answer.
    """
    total = len(reference.connections)
    if candidate is None:
        return StructureMatch(False, False, Overlap(0, len(reference.objects), None), Overlap(0, total, None), 0)
    classes = [Counter(obj.cls for obj in twin.objects) for twin in (reference, candidate)]
    objects = Overlap((classes[0] & classes[1]).total(), classes[0].total(), classes[1].total())
    same = is_isomorphic(reference, candidate, steps=steps)
    same_ports = is_isomorphic(reference, candidate, ports=True, steps=steps) if same is not False else False
    same = same or same_ports or same  # the order of the ports may decide what the wires alone left open
    if same:
        matched = most = total
    else:
        matched, most = Assignment(reference, candidate, steps).best()
    return StructureMatch(same, same_ports, objects, Overlap(matched, total, len(candidate.connections)), most)


def is_isomorphic(
    reference: Twin, candidate: Twin, *, ports: bool = False, parameters: bool = False, steps: int = STEPS
) -> bool | None:
    """Says whether two Twins are the same graph, names left aside; None where the search gave up.

    Args:
      ports: whether the order of the ports at each object has to agree as well.
      parameters: whether the parameters of each object have to mean the same as well, numbers exactly.
      steps: how long VF2 may take.
    """
    if len(reference.objects) != len(candidate.objects) or len(reference.connections) != len(candidate.connections):
        return False
    if reference == candidate:
        return True
    graphs = tuple(_graph(twin, ports, parameters) for twin in (reference, candidate))
    if not _refine(*graphs):
        return False
    # A colour that one object has alone says whom it goes with, and what is wired to it is part of the others' colours.
    counts = Counter(colour for _, colour in graphs[0].nodes(data="colour"))
    rest = [graph.subgraph([n for n, colour in graph.nodes(data="colour") if counts[colour] > 1]) for graph in graphs]
    if not rest[0].edges and not rest[1].edges:
        return True
    if len(rest[0]) > MOST_UNDECIDED:
        return None
    try:
        return _Matcher(*(nx.DiGraph(graph) for graph in rest), steps).is_isomorphic()
    except (_OutOfSteps, RecursionError):
        return None


# --- Same or not ------------------------------------------------------------------------------------------------------


class _OutOfSteps(Exception):
    pass


class _Matcher(DiGraphMatcher):
    """VF2 over refined colours and labelled edges, with a budget."""

    def __init__(self, first: nx.DiGraph, second: nx.DiGraph, steps: int):
        super().__init__(first, second)
        self._steps = steps

    def syntactic_feasibility(self, G1_node, G2_node) -> bool:
        # VF2 looks at every object for each pair that it tries.
        self._steps -= 4 + len(self.G1.succ[G1_node]) + len(self.G1.pred[G1_node]) + len(self.G1) // 8
        if self._steps < 0:
            raise _OutOfSteps
        if self.G1.nodes[G1_node]["colour"] != self.G2.nodes[G2_node]["colour"]:
            return False
        return super().syntactic_feasibility(G1_node, G2_node)

    def semantic_feasibility(self, G1_node, G2_node) -> bool:
        for mine, theirs in ((self.G1.succ, self.G2.succ), (self.G1.pred, self.G2.pred)):
            for neighbour, edge in mine[G1_node].items():
                other = G2_node if neighbour == G1_node else self.core_1.get(neighbour)
                if other is not None and theirs[G2_node].get(other, {}).get("wires") != edge["wires"]:
                    return False
        return True


def _graph(twin: Twin, ports: bool, parameters: bool) -> nx.DiGraph:
    """Returns a graph with a colour at each node and the multiset of wires at each edge; "S" wires run both ways."""
    graph = nx.DiGraph()
    for obj in twin.objects:
        colour: tuple[Hashable, ...] = (obj.cls,)
        if parameters:
            colour += tuple((name, meaning(value)) for name, value in obj.parameters.items())
        graph.add_node(obj.name, colour=colour)
    labels: dict[tuple[str, str], list[tuple]] = {}
    numbers: Counter[tuple[str, str]] = Counter()

    def port(name: str, side: str) -> int:
        numbers[name, side] += 1
        return numbers[name, side] if ports else 0

    for wire in twin.connections:
        if wire.port == "A":
            label = ("A", port(wire.source, "out"), port(wire.target, "in"))
            labels.setdefault((wire.source, wire.target), []).append(label)
        else:
            one, other = port(wire.source, "center"), port(wire.target, "center")
            labels.setdefault((wire.source, wire.target), []).append(("S", one, other))
            labels.setdefault((wire.target, wire.source), []).append(("S", other, one))
    for (source, target), found in labels.items():
        graph.add_edge(source, target, wires=tuple(sorted(found)))
    return graph


def _refine(first: nx.DiGraph, second: nx.DiGraph) -> bool:
    """Refines the colours of both graphs together until they are stable; False as soon as they differ in number."""
    graphs = (first, second)
    colours = [dict(graph.nodes(data="colour")) for graph in graphs]
    classes = 0
    while True:
        numbers: dict[Hashable, int] = {}
        for colour in colours:
            for node, value in colour.items():
                colour[node] = numbers.setdefault(value, len(numbers))
        if Counter(colours[0].values()) != Counter(colours[1].values()):
            return False
        if len(numbers) == classes:
            break
        classes = len(numbers)
        colours = [
            {
                node: (
                    colour[node],
                    tuple(sorted((edge["wires"], colour[other]) for other, edge in graph.succ[node].items())),
                    tuple(sorted((edge["wires"], colour[other]) for other, edge in graph.pred[node].items())),
                )
                for node in graph
            }
            for graph, colour in zip(graphs, colours, strict=True)
        ]
    for graph, colour in zip(graphs, colours, strict=True):
        nx.set_node_attributes(graph, colour, "colour")
    return True
