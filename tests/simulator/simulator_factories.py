"""Hypothesis strategies for factories that run: layered ones, odd ones, and lines."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from vlsm_jax.synth.scripts import PLAIN, ScriptStyle, write_script
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject

_OWN = "Object current = ownerobject(c); "
POSITIVE_TIMES = (
    1,
    2.5,
    Distribution("exponential", (0, 3)),
    Distribution("uniform", (1, 4)),
    Code(_OWN + "return 1 + duniform(0, 2, getstream(current));"),
    Code(_OWN + "return current.stats.input.value % 2 == 0 ? 1 : 3;"),
)
TIMES = (0, *POSITIVE_TIMES)
_PORTS = (
    0,
    1,
    2,
    Distribution("duniform", (0, 2)),
    Code("Object item = param(1); return 1 + item.stats.creationTime % 2;"),
)

_PARAMETERS = {
    "Source": {
        "InterArrivalTime": st.sampled_from(POSITIVE_TIMES),
        "TimeZeroArrival": st.integers(0, 1),
        "SendToPort": st.sampled_from(_PORTS),
    },
    "Queue": {
        "MaxContent": st.integers(1, 6),
        "LIFO": st.integers(0, 1),
        "DoBatching": st.integers(0, 1),
        "BatchSize": st.integers(1, 3),
        "MaxBatchTime": st.integers(0, 5),
        "FlushContent": st.integers(0, 1),
        "SendToPort": st.sampled_from(_PORTS),
    },
    "Processor": {
        "MaxContent": st.integers(1, 3),
        "ProcessTime": st.sampled_from(TIMES),
        "SetupTime": st.sampled_from(TIMES),
        "SendToPort": st.sampled_from(_PORTS),
        "Pull": st.integers(0, 1),
    },
    "Combiner": {
        "ProcessTime": st.sampled_from(TIMES),
        "SetupTime": st.sampled_from(TIMES),
        "CombineMode": st.sampled_from(("Pack", "Join", "Batch")),
        "ComponentsList": st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    },
    "Separator": {
        "ProcessTime": st.sampled_from(TIMES),
        "SetupTime": st.sampled_from(TIMES),
        "SeparateMode": st.sampled_from(("Unpack", "Split")),
        "SeparateQty": st.integers(0, 3),
    },
    "StraightConveyor": {"Speed": st.sampled_from((0.5, 1, 2))},
    "Sink": {},
}
_OFTEN_SET = frozenset(("InterArrivalTime", "ProcessTime", "CombineMode", "SeparateMode"))


@st.composite
def _object(draw, cls: str, name: str) -> TwinObject:
    parameters = {
        key: draw(value) for key, value in _PARAMETERS[cls].items() if key in _OFTEN_SET or draw(st.integers(0, 2)) == 0
    }
    return TwinObject(cls, name, (0, 0, 0), parameters)


@st.composite
def factories(draw, odd: bool = False) -> Twin:
    """Sources, one to four layers of objects, a Sink; every object is fed by the layer before it. Some need operators.

    Args:
      odd: adds wires between any two objects, in either direction, some of them twice.
    """
    layers = [[draw(_object("Source", f"In{n}")) for n in range(draw(st.integers(1, 2)))]]
    middle = ("Queue", "Queue", "Processor", "Processor", "Combiner", "Separator", "StraightConveyor")
    for depth in range(draw(st.integers(1, 4))):
        classes = draw(st.lists(st.sampled_from(middle), min_size=1, max_size=3))
        layers.append([draw(_object(cls, f"{cls} {depth}.{n}")) for n, cls in enumerate(classes)])
    layers.append([TwinObject("Sink", "Out")])
    wires = []
    for before, after in itertools.pairwise(layers):
        for source in before:
            for target in after:
                # A Combiner takes from as many ports as there are wires into it; each object keeps a way out and in.
                if target is after[0] or source is before[0] or draw(st.booleans()):
                    wires.append(Connection(source.name, target.name))
    objects = list(itertools.chain.from_iterable(layers))
    stations = [obj.name for obj in objects if obj.cls in ("Processor", "Combiner", "Separator")]
    if stations and draw(st.integers(0, 2)) == 0:
        # Some stations share a team; the operators walk, since all objects but they stand elsewhere.
        served = draw(st.sets(st.sampled_from(stations), min_size=1))
        objects = [_served(obj) if obj.name in served else obj for obj in objects]
        team = [TwinObject("Operator", f"Operator {n}", (3 * n, 4, 0)) for n in range(draw(st.integers(1, 2)))]
        objects += [TwinObject("Dispatcher", "Team", (9, 9, 0)), *team]
        wires += [Connection("Team", operator.name) for operator in team]
        wires += [Connection(name, "Team", "S") for name in sorted(served)]
    if odd:
        names = st.sampled_from([obj.name for obj in objects])
        extra = [Connection(a, b) for a, b in draw(st.lists(st.tuples(names, names), max_size=5))]
        wires = list(draw(st.permutations([*wires, *extra])))
    return Twin(tuple(objects), tuple(wires))


def _served(obj: TwinObject) -> TwinObject:
    return TwinObject(obj.cls, obj.name, obj.location, {**obj.parameters, "UseProcessOperators": 1})


@st.composite
def lines(draw) -> Twin:
    """A Source that never starves, stations one after the other, a Queue before each but the first, a Sink."""
    stations = draw(st.integers(2, 5))
    interval = draw(st.sampled_from((0, Distribution("exponential", (0, 2)))))
    objects = [TwinObject("Source", "In", (0, 0, 0), {"InterArrivalTime": interval})]
    for n in range(stations):
        if n:
            objects.append(TwinObject("Queue", f"B{n}", (0, 0, 0), {"MaxContent": draw(st.integers(1, 4))}))
        times = st.sampled_from(POSITIVE_TIMES[:4])
        objects.append(TwinObject("Processor", f"P{n}", (0, 0, 0), {"ProcessTime": draw(times)}))
    objects.append(TwinObject("Sink", "Out"))
    wires = tuple(Connection(a.name, b.name) for a, b in itertools.pairwise(objects))
    return Twin(tuple(objects), wires)


def script_of(twin: Twin) -> str:
    """Returns the plainest script that builds a Twin."""
    return write_script(twin, ScriptStyle.STRAIGHT, np.random.default_rng(0), PLAIN)
