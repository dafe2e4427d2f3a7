"""The rule that says where objects stand: grid, U shape, those outside of the flow."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synth_twins import twins

from vlsm_jax.synth.layouts import LAYOUTS, grid_locations, layout, natural_key
from vlsm_jax.twin import Connection, Twin, TwinObject


def line(*wires, classes=(), centers=()):
    names = dict.fromkeys(name for wire in (*wires, *centers) for name in wire)
    objects = tuple(TwinObject(dict(classes).get(name, "Queue"), name) for name in names)
    return Twin(objects, tuple(Connection(a, b) for a, b in wires) + tuple(Connection(a, b, "S") for a, b in centers))


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


def test_supplies_stand_in_front_of_where_they_join():
    # p and q are a Source and its Queue, whose parts are used at d.
    found = grid_locations(line("ab", "bc", "cd", "de", "pq", "qd"))
    assert [found[name][0] for name in "abcdepq"] == [0, 10, 20, 30, 40, 10, 20]
    # An entry comes first in its column; the queue of parts comes from it, so it is above as well.
    assert [found[name][1] for name in "pbqc"] == [4, -4, 4, -4]


def test_a_line_of_its_own_stays_at_the_left():
    found = grid_locations(line("ab", "bc", "cd", "xy"))
    assert [found[name][0] for name in "abcdxy"] == [0, 10, 20, 30, 0, 10]


def test_operators_stand_below_the_flow():
    classes = {"o": "Operator", "p": "Operator", "q": "AGV"}
    # o serves b and c, p and q serve c: o stands below b, then p below c, and q beside it.
    found = grid_locations(line("ab", "bc", "cd", classes=classes, centers=("bo", "co", "cp", "cq")))
    assert [found[name] for name in "opq"] == [(10, -8, 0), (20, -8, 0), (30, -8, 0)]
    # Below lanes, the row is below the lowest of them.
    found = grid_locations(line("ab", "ac", "bd", "cd", classes=classes, centers=("do",)))
    assert found["o"] == (20, -12, 0)


def test_teams_stand_below_their_dispatcher():
    classes = {"D": "Dispatcher", "t 1": "TaskExecuter", "t 2": "TaskExecuter", "o": "Operator"}
    twin = line(
        "ab", "bc", "cd", ("D", "t 1"), ("D", "t 2"), classes=classes, centers=(("b", "D"), ("c", "D"), ("c", "o"))
    )
    found = grid_locations(twin)
    assert [found[name] for name in ("D", "o", "t 1", "t 2")] == [(10, -8, 0), (20, -8, 0), (10, -16, 0), (20, -16, 0)]
    # The wire from a Dispatcher is none of the flow.
    assert [found[name] for name in "abcd"] == [(0, 0, 0), (10, 0, 0), (20, 0, 0), (30, 0, 0)]


def test_who_serves_nobody_stands_at_the_left():
    twin = line("ab", ("x", "x"), classes={"x": "Robot"})
    assert grid_locations(twin)["x"] == (0, -8, 0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("abcd", [(0, 0), (10, 0), (10, -16), (0, -16)]),
        ("abcde", [(0, 0), (10, 0), (20, 0), (10, -16), (0, -16)]),
        ("abcdef", [(0, 0), (10, 0), (20, 0), (20, -16), (10, -16), (0, -16)]),
    ],
)
def test_a_u_shape_comes_back_below(names, expected):
    found = layout("u_shaped").locations(line(*itertools.pairwise(names)))
    assert [found[name][:2] for name in names] == expected


def test_operators_stand_inside_of_the_u():
    classes = {"o": "Operator", "D": "Dispatcher", "t": "TaskExecuter"}
    wires = ("ab", "bc", "cd", "de", "ef", "Dt")
    found = layout("u_shaped").locations(line(*wires, classes=classes, centers=("eo", "bD")))
    assert [found[name] for name in "oDt"] == [(20, -8, 0), (10, -8, 0), (10, -16, 0)]
    # Two rows inside take the way back 8 further down.
    assert [found[name] for name in "cdef"] == [(20, 0, 0), (20, -24, 0), (10, -24, 0), (0, -24, 0)]


@given(twins(), st.sampled_from(tuple(LAYOUTS)), st.randoms(use_true_random=False))
def test_the_rule_depends_on_nothing_but_what_twins_compare(twin, key, random):
    objects = list(twin.objects)
    random.shuffle(objects)
    found = grid_locations(twin, key)
    assert found == grid_locations(Twin(tuple(objects), twin.connections), key)
    assert len(set(found.values())) == len(twin.objects)


EXECUTERS = ("Operator", "Robot", "Dispatcher")


@given(twins(), st.data())
def test_every_twin_has_locations_apart_from_each_other(twin, data):
    """Whatever of the objects is outside of the flow, and however it is wired."""
    objects = tuple(TwinObject(data.draw(st.sampled_from(("Processor", *EXECUTERS))), obj.name) for obj in twin.objects)
    twin = Twin(objects, twin.connections)
    for key in ("linear", "u_shaped"):
        found = grid_locations(twin, key)
        assert set(found) == set(twin.by_name)
        places = np.array(list(found.values()))[:, :2]
        apart = np.abs(places[:, None] - places[None])
        np.fill_diagonal(apart[..., 0], 99)
        assert ((apart[..., 0] >= 10) | (apart[..., 1] >= 8)).all()


def test_natural_order():
    assert sorted(["L10", "L2", "L1", "K3", ""], key=natural_key) == ["", "K3", "L1", "L2", "L10"]


def test_layouts_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match=r"'spiral'.*linear, u_shaped, parallel, conveyor"):
        layout("spiral")
    assert sum(kind.share for kind in LAYOUTS.values()) == pytest.approx(1)
