"""The grid rule, stages, and how busy stations get."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synth_twins import twins

from vlsm_jax.synth.layouts import grid_locations, natural_key
from vlsm_jax.synth.loads import utilisations
from vlsm_jax.twin import Connection, Distribution, Twin, TwinObject


def line(*wires, classes=()):
    names = dict.fromkeys(name for wire in wires for name in wire)
    objects = tuple(TwinObject(dict(classes).get(name, "Queue"), name) for name in names)
    return Twin(objects, tuple(Connection(a, b) for a, b in wires))


def test_a_chain_stands_in_a_row():
    assert grid_locations(line("ab", "bc", "cd")) == {"a": (0, 0, 0), "b": (10, 0, 0), "c": (20, 0, 0), "d": (30, 0, 0)}


def test_lanes_stand_below_each_other_in_port_order():
    found = grid_locations(line("sy", "sx", "sz", "yY", "xX", "zZ", "Yt", "Xt", "Zt"))
    assert [found[name] for name in "syYxXzZt"] == [
        (0, 0, 0),
        (10, 8, 0),
        (20, 8, 0),
        (10, 0, 0),
        (20, 0, 0),
        (10, -8, 0),
        (20, -8, 0),
        (30, 0, 0),
    ]


def test_entries_are_ordered_by_number():
    twin = line(("In 10", "t"), ("In 2", "t"))
    assert grid_locations(twin) == {"In 2": (0, 4, 0), "In 10": (0, -4, 0), "t": (10, 0, 0)}


def test_the_longest_path_counts_and_loops_are_cut():
    found = grid_locations(line("ab", "bc", "ac", "cd", "db"))
    assert [found[name][0] for name in "abcd"] == [0, 10, 20, 30]


def test_a_loop_without_entry_has_a_first():
    assert [grid_locations(line("ba", "ab"))[name][0] for name in "ab"] == [0, 10]


@given(twins(), st.randoms(use_true_random=False))
def test_the_rule_depends_on_nothing_but_what_twins_compare(twin, random):
    objects = list(twin.objects)
    random.shuffle(objects)
    found = grid_locations(twin)
    assert found == grid_locations(Twin(tuple(objects), twin.connections))
    assert len(set(found.values())) == len(twin.objects)


def test_natural_order():
    assert sorted(["L10", "L2", "L1", "K3", ""], key=natural_key) == ["", "K3", "L1", "L2", "L10"]


def processor(name, seconds, **parameters):
    return TwinObject("Processor", name, parameters={"ProcessTime": seconds, **parameters})


def test_utilisation_of_a_line():
    source = TwinObject("Source", "s", parameters={"InterArrivalTime": Distribution("exponential", (0, 20))})
    a, b = processor("a", 10, SetupTime=5), processor("b", Distribution("uniform", (20, 40)), MaxContent=2)
    twin = Twin((source, a, b, TwinObject("Sink", "t")), tuple(Connection(*w) for w in ("sa", "ab", "bt")))
    assert utilisations(twin) == pytest.approx({"a": 0.75, "b": 0.75})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        # Half of the items each, in queues of their own.
        (Distribution("duniform", (1, 2)), {"a": 0.75, "b": 0.75, "x": 0.5, "y": 0.5, "z": 0.4}),
        # The first free: a and b share the load; what follows one may get all that this one lets through.
        (None, {"a": 0.75, "b": 0.75, "x": 20 / 30, "y": 20 / 30, "z": 0.4}),
    ],
)
def test_utilisation_of_lanes(choice, expected):
    parameters = {"InterArrivalTime": 20} | ({"SendToPort": choice} if choice else {})
    source = TwinObject("Source", "s", parameters=parameters)
    stations = (processor("a", 30), processor("b", 30), processor("x", 20), processor("y", 20), processor("z", 8))
    wires = ("sa", "sb", "ax", "by", "xz", "yz", "zt")
    twin = Twin((source, *stations, TwinObject("Sink", "t")), tuple(Connection(*w) for w in wires))
    assert utilisations(twin) == pytest.approx(expected)
