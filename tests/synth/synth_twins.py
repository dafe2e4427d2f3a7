"""Twins for the tests of this room: sampled ones, and hypothesis strategies for arbitrary ones."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

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

_PARAMETERS = {
    "Source": {"InterArrivalTime": _DURATIONS},
    "Queue": {
        "MaxContent": _PLACES,
        "ItemPlacement": st.sampled_from(("Stack Vertically", "Horizontal Line", "Stack Inside Queue", "Do Nothing")),
        "StackBaseZ": _NUMBERS,
        "LIFO": st.integers(0, 1),
    },
    "Processor": {"ProcessTime": _DURATIONS, "SetupTime": _DURATIONS, "MaxContent": _PLACES},
    "Sink": {},
}

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
    # Any wire may be drawn, one into a Source and one from an object to itself included, and any wire twice.
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    wires = [Connection(a, b) for a, b in draw(st.lists(pairs, max_size=12))]
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
