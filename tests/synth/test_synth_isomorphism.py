"""Keys of factories up to isomorphism, beside networkx's own test for isomorphism."""

import itertools

import networkx as nx
import numpy as np
import pytest
from synth_examples import examples
from synth_twins import sampled

from vlsm_jax.synth.isomorphism import FLOW, factory_key, is_chain, topology_key
from vlsm_jax.twin import Connection, Twin, TwinObject

EXAMPLES = examples()


def renamed(twin: Twin, rng: np.random.Generator) -> Twin:
    """Returns the Twin with other names and places, its objects listed in another order, wires kept per object."""
    old = [obj.name for obj in twin.objects]
    names = {name: f"thing {i}" for name, i in zip(old, rng.permutation(len(old)), strict=True)}
    objects = [
        TwinObject(o.cls, names[o.name], tuple(rng.integers(0, 99, 3).tolist()), o.parameters) for o in twin.objects
    ]
    wires = [Connection(names[w.source], names[w.target], w.port) for w in twin.connections]
    return Twin(tuple(objects[i] for i in rng.permutation(len(objects))), tuple(wires))


def flow_graph(twin: Twin) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(obj.name for obj in twin.objects if obj.cls in FLOW)
    graph.add_edges_from(
        (w.source, w.target) for w in twin.connections if w.port == "A" and w.source in graph and w.target in graph
    )
    return graph


@pytest.mark.parametrize("name", EXAMPLES)
def test_names_and_places_do_not_matter(name):
    twin = EXAMPLES[name].twin
    other = renamed(twin, np.random.default_rng(1))
    assert other != twin
    assert topology_key(other) == topology_key(twin)
    assert factory_key(other) == factory_key(twin)


def test_parameters_and_port_order_count_for_the_factory_alone():
    twin = EXAMPLES["merge and split"].twin
    swapped = Twin(twin.objects, tuple(reversed(twin.connections)))
    first = twin.by_name["Cell Tester 1"]
    changed = TwinObject(first.cls, first.name, first.location, {**first.parameters, "ProcessTime": 1})
    slower = Twin(tuple(changed if obj is first else obj for obj in twin.objects), twin.connections)
    assert topology_key(slower) == topology_key(twin)
    assert factory_key(slower) != factory_key(twin)
    assert topology_key(swapped) == topology_key(twin)
    # Both lanes are alike, so the order in which they are wired makes no other factory; with unlike lanes it does.
    assert factory_key(swapped) == factory_key(twin)
    assert factory_key(Twin(slower.objects, tuple(reversed(slower.connections)))) != factory_key(slower)


def test_the_shape_is_that_of_the_flow():
    shapes = {name: topology_key(EXAMPLES[name].twin) for name in EXAMPLES}
    # Four in a row, whoever carries or operates.
    rows = ["linear", "shared operators", "transporter", "agv", "robot", "crane", "dispatcher team"]
    assert len({shapes[name] for name in rows}) == 1
    assert all(is_chain(EXAMPLES[name].twin) for name in rows)
    others = ["rework", "merge and split", "assembly"]
    assert len({shapes[name] for name in [*others, "linear"]}) == 4
    assert not any(is_chain(EXAMPLES[name].twin) for name in others)


def test_shapes_agree_with_isomorphism_by_search():
    """Equal keys exactly where networkx finds an isomorphism, over sampled factories."""
    twins = [factory.twin for factory in sampled(60, most=14)]
    keys = [topology_key(twin) for twin in twins]
    graphs = [flow_graph(twin) for twin in twins]
    equal = 0
    for (a, first), (b, second) in itertools.combinations(zip(keys, graphs, strict=True), 2):
        same = nx.is_isomorphic(first, second)
        assert (a == b) == same
        equal += same
    assert equal > 0


def test_keys_are_the_same_in_every_process():
    assert topology_key(EXAMPLES["linear"].twin) == "a02ee892f9264597"
    assert factory_key(EXAMPLES["linear"].twin) == "7b621a8e5771f396"
