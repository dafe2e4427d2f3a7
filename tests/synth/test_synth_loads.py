"""Traffic equations: rates and loads by hand, and beside what long runs show."""

import itertools

import numpy as np
import pytest
from synth_examples import examples

from vlsm_jax import simulator
from vlsm_jax.synth.loads import rates, utilisations
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.spots import Spot, spots_of
from vlsm_jax.synth.trips import seconds_for, way
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject


def twin(objects, flow, centers=""):
    """Reads objects as name: (class, {parameters}), wires as "a > b > c; d > e"."""
    wires = []
    for text, port in ((flow, "A"), (centers, "S")):
        for chain in filter(None, (part.split() for part in text.split(";"))):
            wires += [Connection(a, b, port) for a, b in itertools.pairwise([n for n in chain if n != ">"])]
    made = [TwinObject(row[0], name, (10 * i, 0, 0), *row[1:]) for i, (name, row) in enumerate(objects.items())]
    return Twin(tuple(made), tuple(wires))


def source(seconds, **parameters):
    return ("Source", {"InterArrivalTime": seconds, **parameters})


def work(seconds, **parameters):
    return ("Processor", {"ProcessTime": seconds, **parameters})


def percent(share):
    return Distribution("bernoulli", (share, 1, 2))


def test_utilisation_of_a_line():
    found = utilisations(
        twin(
            {
                "s": source(Distribution("exponential", (0, 20))),
                "a": work(10, SetupTime=5),
                "b": work(Distribution("uniform", (20, 40)), MaxContent=2),
                "m": ("MultiProcessor", {"ProcessTable": Code('[["Boot", 8, 0], ["Stress", 4, 0]]')}),
                "c": ("StraightConveyor", {"Speed": 0.61, "HorizontalLength": 6}),
                "t": ("Sink",),
            },
            "s > a > b > m > c > t",
        )
    )
    # A box takes 0.61 m of the belt, which takes one per second.
    assert found == pytest.approx({"a": 0.75, "b": 0.75, "m": 0.6, "c": 0.05})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        # Half of the items each, in queues of their own.
        (Distribution("duniform", (1, 2)), {"a": 0.75, "b": 0.75, "x": 0.5, "y": 0.5, "z": 0.4}),
        (percent(70), {"a": 1.05, "b": 0.45, "x": 0.7, "y": 0.3, "z": 0.4}),
        # The first free: a and b share the load; what follows one may get all that this one lets through.
        (None, {"a": 0.75, "b": 0.75, "x": 20 / 30, "y": 20 / 30, "z": 0.4}),
    ],
)
def test_utilisation_of_lanes(choice, expected):
    parameters = {"SendToPort": choice} if choice else {}
    objects = {"s": source(20, **parameters), "a": work(30), "b": work(30), "x": work(20), "y": work(20), "z": work(8)}
    assert utilisations(twin({**objects, "t": ("Sink",)}, "s > a > x > z > t; s > b > y > z")) == pytest.approx(
        expected
    )


def test_rework_is_a_linear_equation():
    objects = {
        "s": source(100),
        "q": ("Queue",),
        "a": work(40),
        "i": work(20, SendToPort=percent(80)),
        "t": ("Sink",),
    }
    found = twin(objects, "s > q > a > i > t; i > q")
    # x = 0.01 + 0.2 x
    assert rates(found) == pytest.approx({"s": 0.01, "q": 0.0125, "a": 0.0125, "i": 0.0125, "t": 0.01})
    assert utilisations(found) == pytest.approx({"a": 0.5, "i": 0.25})


def test_rework_over_a_station_that_throws_some_away():
    objects = {
        "s": source(100),
        "q": ("Queue",),
        "i": work(20, SendToPort=percent(90)),
        "r": work(200, SendToPort=percent(75)),
        "t": ("Sink",),
        "x": ("Sink",),
    }
    inside = 0.01 / (1 - 0.1 * 0.75)
    expected = {"s": 0.01, "q": inside, "i": inside, "r": inside * 0.1, "t": inside * 0.9, "x": inside * 0.025}
    found = twin(objects, "s > q > i > t; i > r > q; r > x")
    assert rates(found) == pytest.approx(expected)
    assert found.ports["i"].outputs == ("t", "r")
    assert sum(rates(found)[name] for name in "tx") == pytest.approx(0.01)


def test_two_loops_within_each_other():
    objects = {
        "s": source(50),
        "q": ("Queue",),
        "a": work(10, SendToPort=percent(80)),
        "b": work(10, SendToPort=percent(50)),
        "t": ("Sink",),
    }
    # a = 0.02 + 0.2 a + b / 2 and b = 0.8 a: what leaves is what comes.
    found = rates(twin(objects, "s > q > a > b > t; a > q; b > q"))
    assert found["a"] == pytest.approx(0.05)
    assert found["t"] == pytest.approx(0.02)


@pytest.mark.parametrize(("mode", "leaving"), [("Join", 0.01), ("Pack", 0.01), ("Batch", 0.04)])
def test_assembly(mode, leaving):
    objects = {
        "s": source(100),
        "p": source(20),
        "q": ("Queue",),
        "r": source(90),
        "c": ("Combiner", {"ProcessTime": 60, "CombineMode": mode, "ComponentsList": Code("[[2], [1]]")}),
        "t": ("Sink",),
    }
    found = twin(objects, "s > c > t; p > q > c; r > c")
    # Parts are made as fast as they are used up: two of one kind, one of the other.
    expected = {"s": 0.01, "p": 0.02, "q": 0.02, "r": 0.01, "c": 0.01, "t": leaving}
    assert rates(found) == pytest.approx(expected)
    assert utilisations(found) == pytest.approx({"c": 0.6})


def test_parts_that_several_combiners_share():
    combine = ("Combiner", {"ProcessTime": 30, "CombineMode": "Join", "ComponentsList": Code("[[3]]")})
    objects = {
        "s": source(100, SendToPort=percent(75)),
        "c": combine,
        "d": combine,
        "p": source(10),
        "t": ("Sink",),
    }
    found = rates(twin(objects, "s > c > t; s > d > t; p > c; p > d"))
    assert found == pytest.approx({"s": 0.01, "c": 0.0075, "d": 0.0025, "p": 0.03, "t": 0.01})


def test_disassembly():
    split = ("Separator", {"ProcessTime": 50, "SeparateMode": "Split", "SeparateQty": 3})
    found = twin({"s": source(100), "d": split, "a": work(20), "t": ("Sink",)}, "s > d > a > t")
    assert rates(found)["a"] == pytest.approx(0.03)
    assert utilisations(found) == pytest.approx({"d": 0.5, "a": 0.6})


def test_what_was_packed_is_unpacked():
    objects = {
        "s": source(100),
        "p": source(20),
        "c": ("Combiner", {"ProcessTime": 10, "CombineMode": "Pack", "ComponentsList": Code("[[4]]")}),
        "a": work(10),
        "d": ("Separator", {"ProcessTime": 10, "SeparateMode": "Unpack"}),
        "t": ("Sink",),
    }
    found = rates(twin(objects, "s > c > a > d > t; p > c"))
    assert found["d"] == pytest.approx(0.01)
    assert found["t"] == pytest.approx(0.05)


def test_an_operator_of_one_station_is_as_busy_as_it():
    objects = {
        "s": source(100),
        "a": work(30, SetupTime=10, UseProcessOperators=1, NumProcessOperators=1),
        "t": ("Sink",),
        "o": ("Operator",),
    }
    assert utilisations(twin(objects, "s > a > t", "a > o")) == pytest.approx({"a": 0.4, "o": 0.3}, abs=0.02)


def test_ways_by_hand():
    # 2 m/s with 1 m/s²: 4 m to speed up and slow down.
    assert seconds_for(4, 2) == pytest.approx(4)
    assert seconds_for(10, 2) == pytest.approx(7)
    assert seconds_for(1, 2) == pytest.approx(2)
    spots = spots_of(twin({"a": ("Queue",), "b": ("Queue",)}, "a > b"))
    robot = Spot("Robot", "r", {"MoveTime": 6})
    assert way(robot, *spots, to_item=True) == 6
    assert way(robot, spots[0], spots[0], to_item=True) == 0
    # An AGV is 1 m long: its front arrives 0.5 m early, and the rest is a move of its own.
    agv = Spot("AGV", "v", {"MaxSpeed": 1})
    assert way(agv, *spots, to_item=True) == pytest.approx(9.5 + 1 + 2 * 0.5**0.5)


def test_choices_that_are_not_known_are_named():
    objects = {"s": source(9, SendToPort=Code("return 1;")), "a": work(1), "b": work(1)}
    with pytest.raises(ValueError, match="SendToPort of 's' is"):
        rates(twin(objects, "s > a; s > b"))
    with pytest.raises(ValueError, match="the mean of cauchy"):
        utilisations(twin({"s": source(Distribution("cauchy", (0, 1))), "t": ("Sink",)}, "s > t"))


@pytest.mark.parametrize(
    "name", ["merge and split", "rework", "agv", "robot", "crane", "task executer", "shared operators"]
)
def test_loads_are_what_a_long_run_shows(name):
    found = examples()[name].twin
    script = write_script(found, ScriptStyle.STRAIGHT, np.random.default_rng(0))
    report = simulator.run(script, until=150_000.0)
    for key, load in utilisations(found).items():
        measured = report.kpis.objects[key].utilisation
        assert measured.mean == pytest.approx(load, rel=0.12, abs=0.02), key
