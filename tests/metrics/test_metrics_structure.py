"""Structure without names: exact answers on small graphs, brackets under a budget on hostile ones."""

import dataclasses
import itertools
import random
import time

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.metrics import is_isomorphic, structure_match
from vlsm_jax.twin import Connection, Twin, TwinObject

CLASSES = ("Source", "Queue", "Processor", "Sink")


def graph(edges, n, cls="Queue") -> Twin:
    return Twin(
        tuple(TwinObject(cls, f"o{i}") for i in range(n)), tuple(Connection(f"o{a}", f"o{b}") for a, b in edges)
    )


def renamed(twin: Twin, seed: int = 0, shuffle_wires: bool = False) -> Twin:
    """Returns the same factory under other names, its objects in another order."""
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(len(twin.objects))]
    rng.shuffle(names)
    new = dict(zip((obj.name for obj in twin.objects), names, strict=True))
    objects = [dataclasses.replace(obj, name=new[obj.name]) for obj in twin.objects]
    wires = [Connection(new[w.source], new[w.target], w.port) for w in twin.connections]
    rng.shuffle(objects)
    if shuffle_wires:
        rng.shuffle(wires)
    return Twin(tuple(objects), tuple(wires))


@st.composite
def twins(draw, most=6, least=0):
    n = draw(st.integers(least, most))
    objects = tuple(
        TwinObject(draw(st.sampled_from(CLASSES)), f"o{i}", (0, 0, 0), draw(st.sampled_from(({}, {"MaxContent": 2}))))
        for i in range(n)
    )
    places = st.integers(0, n - 1).map(lambda i: f"o{i}")
    wires = draw(st.lists(st.builds(Connection, places, places, st.sampled_from("AAS")), max_size=9)) if n else []
    return Twin(objects, tuple(wires))


def wires_under(reference: Twin, candidate: Twin, mapping: dict[str, str]) -> int:
    """Counts the wires that agree under a mapping, one by one."""
    left = [(w.source, w.target, w.port) for w in candidate.connections]
    count = 0
    for wire in reference.connections:
        ends = mapping.get(wire.source), mapping.get(wire.target)
        for found in ((*ends, wire.port), (*reversed(ends), "S") if wire.port == "S" else None):
            if found in left:
                left.remove(found)
                count += 1
                break
    return count


def best_by_force(reference: Twin, candidate: Twin) -> int:
    """Tries every assignment of objects."""
    best = 0
    places = [*[obj.name for obj in candidate.objects], *[None] * len(reference.objects)]
    for chosen in set(itertools.permutations(places, len(reference.objects))):
        mapping = {obj.name: name for obj, name in zip(reference.objects, chosen, strict=True) if name is not None}
        if all(reference.by_name[a].cls == candidate.by_name[b].cls for a, b in mapping.items()):
            best = max(best, wires_under(reference, candidate, mapping))
    return best


@given(twins(most=9), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_names_mean_nothing(twin, seed):
    other = renamed(twin, seed)
    match = structure_match(twin, other)
    assert (match.same, match.same_ports) == (True, True)
    assert (match.share, match.exact, match.objects.f1, match.wires.f1) == (1, True, 1, 1)
    assert is_isomorphic(twin, other, ports=True, parameters=True) is True


@given(twins(most=4), twins(most=4))
@settings(max_examples=120, deadline=None)
def test_the_share_is_the_best_of_all_assignments(reference, candidate):
    match = structure_match(reference, candidate)
    assert match.exact
    assert match.wires.matched == best_by_force(reference, candidate)
    back = structure_match(candidate, reference)
    assert back.wires.matched == match.wires.matched


@given(twins(most=7), twins(most=7))
@settings(max_examples=150, deadline=None)
def test_sameness_is_that_of_networkx_on_multigraphs(reference, candidate):
    graphs = []
    for twin in (reference, candidate):
        found = nx.MultiDiGraph()
        for obj in twin.objects:
            found.add_node(obj.name, cls=obj.cls)
        for wire in twin.connections:
            found.add_edge(wire.source, wire.target, port=wire.port)
            if wire.port == "S":
                found.add_edge(wire.target, wire.source, port="S")
        graphs.append(found)
    expected = nx.is_isomorphic(
        *graphs,
        node_match=nx.isomorphism.categorical_node_match("cls", None),
        edge_match=lambda a, b: sorted(e["port"] for e in a.values()) == sorted(e["port"] for e in b.values()),
    )
    assert is_isomorphic(reference, candidate) is expected
    match = structure_match(reference, candidate)
    # The graphs are the same exactly when every object and every wire of either finds its like.
    full = match.wires.f1 == 1 and match.objects.f1 == 1
    assert match.same is expected
    assert full or not expected


LINE = Twin(
    (
        TwinObject("Source", "In"),
        TwinObject("Processor", "A", parameters={"ProcessTime": 5}),
        TwinObject("Processor", "B", parameters={"ProcessTime": 6}),
        TwinObject("Sink", "Out"),
        TwinObject("Operator", "Ann"),
    ),
    (
        Connection("In", "A"),
        Connection("In", "B"),
        Connection("A", "Out"),
        Connection("B", "Out"),
        Connection("A", "Ann", "S"),
    ),
)


def with_wires(*connections) -> Twin:
    return Twin(LINE.objects, connections)


def test_ports_and_parameters_count_when_asked():
    crossed = with_wires(*LINE.connections[:2], LINE.connections[3], LINE.connections[2], LINE.connections[4])
    assert structure_match(LINE, crossed).same is True
    assert structure_match(LINE, crossed).same_ports is False
    times = {"A": {"ProcessTime": 6}, "B": {"ProcessTime": 5}}
    swapped = Twin(
        tuple(dataclasses.replace(o, parameters=times.get(o.name, {})) for o in LINE.objects), LINE.connections
    )
    assert is_isomorphic(LINE, swapped, ports=True) is True
    assert is_isomorphic(LINE, swapped, ports=True, parameters=True) is False
    # Without the operator the two stations may stand for each other, parameters and all.
    assert is_isomorphic(with_wires(*LINE.connections[:4]), renamed(with_wires(*LINE.connections[:4])), parameters=True)


def test_a_turned_wire_and_another_class_cost_what_they_touch():
    turned = with_wires(Connection("A", "In"), *LINE.connections[1:])
    match = structure_match(LINE, renamed(turned))
    assert (match.same, match.share, match.exact) == (False, 0.8, True)
    other = Twin(tuple(dataclasses.replace(o, cls="Combiner") if o.name == "A" else o for o in LINE.objects),
                 LINE.connections)  # fmt: skip
    match = structure_match(LINE, renamed(other))
    assert (match.share, match.objects.recall) == (0.4, 0.8)
    center = with_wires(*LINE.connections[:4], Connection("Ann", "A", "S"))
    assert structure_match(LINE, renamed(center)).same is True
    as_flow = with_wires(*LINE.connections[:4], Connection("A", "Ann", "A"))
    assert structure_match(LINE, renamed(as_flow)).share == 0.8


def test_nothing_built_and_nothing_asked():
    match = structure_match(LINE, None)
    assert (match.same, match.share, match.objects.recall) == (False, 0, 0)
    assert structure_match(Twin(), Twin()).same is True
    assert structure_match(Twin(), LINE).share == 1
    assert structure_match(LINE, Twin()).share == 0


def both_ways(g):
    return [(a, b) for a, b in g.edges] + [(b, a) for a, b in g.edges]


ROOK = nx.convert_node_labels_to_integers(nx.line_graph(nx.complete_bipartite_graph(4, 4)))
SHRIKHANDE = nx.Graph(
    (4 * i + j, 4 * ((i + a) % 4) + (j + b) % 4)
    for i in range(4) for j in range(4) for a, b in ((0, 1), (1, 0), (1, 1))
)  # fmt: skip


def test_graphs_that_colours_cannot_tell_apart():
    """Two strongly regular graphs of the same parameters: every object looks like every other."""
    assert is_isomorphic(graph(both_ways(ROOK), 16), renamed(graph(both_ways(ROOK), 16))) is True
    assert is_isomorphic(graph(both_ways(ROOK), 16), graph(both_ways(SHRIKHANDE), 16)) is False


HOSTILE = {
    "ten strongly regular parts, one of them another": (
        graph(both_ways(nx.disjoint_union_all([ROOK] * 10)), 160),
        graph(both_ways(nx.disjoint_union_all([ROOK] * 9 + [SHRIKHANDE])), 160),
    ),
    "300 objects with three neighbours each": (
        graph(both_ways(nx.random_regular_graph(3, 300, seed=1)), 300),
        graph(both_ways(nx.random_regular_graph(3, 300, seed=2)), 300),
    ),
    "one circle and two": (
        graph([(i, (i + 1) % 300) for i in range(300)], 300),
        graph([(c + i, c + (i + 1) % 150) for c in (0, 150) for i in range(150)], 300),
    ),
    "a star of 2000, and one of 1900": (
        graph([(0, i) for i in range(1, 2000)], 2000),
        renamed(graph([(0, i) for i in range(1, 1900)], 2000)),
    ),
    "everything wired to everything": (
        graph(itertools.product(range(100), repeat=2), 100),
        renamed(graph(itertools.islice(itertools.product(range(100), repeat=2), 9999), 100)),
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_graphs_end_with_a_bracket(case):
    reference, candidate = HOSTILE[case]
    began = time.perf_counter()
    match = structure_match(reference, candidate)
    assert time.perf_counter() - began < 20
    assert match.same is not True
    assert 0 <= match.wires.matched <= match.most_wires <= len(reference.connections)
    if case.startswith(("a star", "everything")):
        assert match.exact
        assert match.wires.matched == len(candidate.connections)
    assert structure_match(reference, candidate) == match  # steps are counted, not seconds


def test_a_search_without_steps_says_so():
    twin = graph([(i, (i + 1) % 6) for i in range(6)], 6)
    other = renamed(graph([(i, (i + 1) % 3) for i in range(3)] + [(3 + i, 3 + (i + 1) % 3) for i in range(3)], 6))
    assert is_isomorphic(twin, other) is False
    assert is_isomorphic(twin, other, steps=3) is None
    match = structure_match(twin, other, steps=3)
    assert match.same is None
    assert match.wires.matched <= match.most_wires == 6
    assert not match.exact
