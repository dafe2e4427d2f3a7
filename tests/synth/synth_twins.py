"""Twins for the tests of this room: sampled ones, and hypothesis strategies for arbitrary ones."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from vlsm_jax.simulator.tables import write_rows
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.sampler import sample_factory
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject


def sampled(count: int, seed: int = 0, **kwargs) -> list[Factory]:
    """Returns `count` sampled factories."""
    return [sample_factory(np.random.default_rng((seed, i)), **kwargs) for i in range(count)]


_NUMBERS = st.one_of(
    st.integers(0, 10**6),
    st.floats(0, 1e6, allow_nan=False).map(lambda x: round(x, 3)),
    st.floats(1e-12, 1e12, allow_nan=False, allow_subnormal=False),
)
_COORDINATES = st.one_of(st.integers(-1000, 1000), st.floats(-1e4, 1e4, allow_nan=False, allow_subnormal=False))
_TWO_ARGUMENTS = st.sampled_from(("exponential", "normal", "uniform", "lognormalmeanstdev", "duniform"))
_THREE_ARGUMENTS = st.sampled_from(("triangular", "weibull", "gamma", "erlang"))
_DISTRIBUTIONS = st.one_of(
    st.builds(lambda a: Distribution("poisson", (a,)), _NUMBERS),
    st.builds(lambda n, a, b: Distribution(n, (a, b)), _TWO_ARGUMENTS, _NUMBERS, _NUMBERS),
    st.builds(lambda n, a, b, c: Distribution(n, (a, b, c)), _THREE_ARGUMENTS, _NUMBERS, _NUMBERS, _NUMBERS),
)
_CODE = st.sampled_from(
    (
        Code("Object current = ownerobject(c); return current.stats.input.value % 2 == 0 ? 5 : 8;"),
        Code('string s = "a\\"b\\\\";\nreturn s.length;'),
        Code("return 2 * exponential(0, 10, getstream(ownerobject(c)));"),
    )
)
_DURATIONS = st.one_of(_NUMBERS, _DISTRIBUTIONS, _CODE)
_PLACES = st.integers(1, 1000)
_FLAGS = st.integers(0, 1)
_PORTS = st.one_of(
    st.integers(0, 9),
    st.builds(lambda p, a, b: Distribution("bernoulli", (p, a, b)), *[st.integers(0, 100)] * 3),
    st.builds(lambda n: Distribution("duniform", (1, n)), st.integers(1, 9)),
    _CODE,
)
_CELLS = st.one_of(st.integers(0, 500), st.floats(0, 1e6, allow_nan=False), st.text(max_size=6))


def _tables(*columns: st.SearchStrategy) -> st.SearchStrategy[Code]:
    """Tables in the one form in which the simulator keeps them; no script gives a Twin any other."""
    return st.lists(st.tuples(*columns).map(list), min_size=1, max_size=3).map(write_rows)


_ON_THE_FLOOR = {"SendToPort": _PORTS, "UseTransport": _FLAGS}
_WORK = {"ProcessTime": _DURATIONS, "SetupTime": _DURATIONS, **_ON_THE_FLOOR}
_STAFFED = {
    **_WORK,
    "UseProcessOperators": _FLAGS,
    "NumProcessOperators": _PLACES,
    "UseSetupOperators": _FLAGS,
    "NumSetupOperators": _PLACES,
}
_EXECUTER = {"MaxSpeed": _NUMBERS, "Capacity": _PLACES, "LoadTime": _DURATIONS, "UnloadTime": _DURATIONS}

_FLOW_CLASSES = {
    "Source": {"InterArrivalTime": _DURATIONS, **_ON_THE_FLOOR},
    "Queue": {
        "MaxContent": _PLACES,
        "ItemPlacement": st.sampled_from(("Stack Vertically", "Horizontal Line", "Stack Inside Queue", "Do Nothing")),
        "StackBaseZ": _NUMBERS,
        "LIFO": _FLAGS,
        "DoBatching": _FLAGS,
        "BatchSize": _PLACES,
        "MaxBatchTime": _NUMBERS,
        **_ON_THE_FLOOR,
    },
    "Processor": {"MaxContent": _PLACES, **_STAFFED},
    "Combiner": {
        "CombineMode": st.sampled_from(("Pack", "Join", "Batch")),
        "ComponentsList": _tables(_PLACES),
        **_STAFFED,
    },
    "Separator": {"SeparateMode": st.sampled_from(("Split", "Unpack")), "SeparateQty": _PORTS, **_STAFFED},
    "MultiProcessor": {"ProcessTable": _tables(st.text(max_size=8), _CELLS, _FLAGS), **_ON_THE_FLOOR},
    "StraightConveyor": {"Speed": _NUMBERS, "HorizontalLength": _NUMBERS},
    "Rack": {"MaxContent": _PLACES, **_ON_THE_FLOOR},
    "Sink": {},
}
_EXECUTER_CLASSES = {
    "Operator": _EXECUTER,
    "TaskExecuter": _EXECUTER,
    "Transporter": _EXECUTER,
    "AGV": _EXECUTER,
    "Robot": {"MoveTime": _DURATIONS, **_EXECUTER},
    "Crane": _EXECUTER,
    "Dispatcher": {},
}
_PARAMETERS = {**_FLOW_CLASSES, **_EXECUTER_CLASSES}

NAMES = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        (
            "Source",
            "Queue",
            "Queue1",
            "Processor~2",
            "Sink",
            'say "hi"',
            "back\\slash",
            "tab\tnew\nline",
            "Müller 貨",
            "/a>b",
            "a/b",
            "x~2",
            "?Source",
            "..",
            "12",
            "Tools",
            "DefaultNavigator",
            "for",
            "obj",
            "Names",
            "queue1",
            "QUEUE1",
            "Object",
            "Dispatcher",
        )
    ),
)


@st.composite
def twins(draw, most: int = 7) -> Twin:
    """Arbitrary Twins over the supported classes: any names, locations, parameters, port orders and center wires."""
    names = draw(st.lists(NAMES, min_size=1, max_size=most, unique=True))
    objects = []
    for name in names:
        cls = draw(st.sampled_from(tuple(_PARAMETERS)))
        keys = draw(st.sets(st.sampled_from(tuple(_PARAMETERS[cls])))) if _PARAMETERS[cls] else set()
        parameters = {key: draw(_PARAMETERS[cls][key]) for key in sorted(keys)}
        objects.append(TwinObject(cls, name, draw(st.tuples(_COORDINATES, _COORDINATES, _COORDINATES)), parameters))
    # Any wire of flow may be drawn, one into a Source and one from an object to itself included, any wire twice. The
    # key A joins executers among themselves, never an executer and an object of the flow: nothing is drawn there.
    wires = []
    for classes in (_FLOW_CLASSES, _EXECUTER_CLASSES):
        members = [obj.name for obj in objects if obj.cls in classes]
        if members:
            ends = st.tuples(st.sampled_from(members), st.sampled_from(members))
            wires += [Connection(a, b) for a, b in draw(st.lists(ends, max_size=12))]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    wires += [Connection(a, b, "S") for a, b in draw(st.lists(pairs, max_size=3))]
    return Twin(tuple(objects), tuple(draw(st.permutations(wires))))


@st.composite
def lane_twins(draw) -> Twin:
    """Chains and side-by-side lanes of any size, objects in any of the orders in which a loop may draw them."""
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    lanes, depth = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    stages = [1] * before + [lanes] * depth + [1] * after
    names = [[f"Station {i}.{k}" for k in range(width)] for i, width in enumerate(stages)]
    wires = []
    for a, b in itertools.pairwise(names):
        pairs = zip(a, b, strict=True) if len(a) == len(b) else ((x, y) for x in a for y in b)
        wires += [Connection(x, y) for x, y in pairs]
    flat = [name for stage in names for name in stage]
    if draw(st.booleans()):
        flat = draw(st.permutations(flat))
    return Twin(tuple(TwinObject("Queue", name, (10 * i, 0, 0)) for i, name in enumerate(flat)), tuple(wires))


@st.composite
def stage_twins(draw) -> Twin:
    """Rows of stages with what disturbs them: side sources, scrap, rework, operators, and any order of objects."""
    widths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    stages = [[f"Station {i}.{k}" for k in range(width)] for i, width in enumerate(widths)]
    wires = []
    for a, b in itertools.pairwise(stages):
        pairs = zip(a, b, strict=True) if len(a) == len(b) else ((x, y) for x in a for y in b)
        wires += [Connection(x, y) for x, y in pairs]
    stations = [name for stage in stages for name in stage]
    extras = ["Side", "Scrap"][: draw(st.integers(0, 2))]
    operators = ["Anna", "Ben"][: draw(st.integers(0, 2))]
    ends = st.tuples(st.sampled_from(stations + extras), st.sampled_from(stations + extras))
    for pair in draw(st.lists(ends, max_size=3)):
        wires.insert(draw(st.integers(0, len(wires))), Connection(*pair))
    wires += [Connection(draw(st.sampled_from(stations)), name, "S") for name in operators]
    objects = [TwinObject("Processor", name, (i, 0, 0)) for i, name in enumerate(stations + extras)]
    objects += [TwinObject("Operator", name) for name in operators]
    if draw(st.booleans()):
        objects = draw(st.permutations(objects))
    return Twin(tuple(objects), tuple(wires))
