"""Parameters that mean the same, against distribution theory and counts made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vlsm_jax.metrics import Overlap, meaning, means_the_same, parameter_overlap, pmr
from vlsm_jax.simulator import build
from vlsm_jax.simulator.distributions import sampler, stream
from vlsm_jax.twin import Code, Distribution, Twin, TwinObject

positive = st.floats(0.1, 50).map(lambda x: round(x, 3))
anywhere = st.floats(-20, 50).map(lambda x: round(x, 3))


def one(cls="Processor", name="Mill", **parameters) -> Twin:
    return Twin((TwinObject(cls, name, parameters=parameters),))


SAME = [
    (("gamma", (3, 10, 1)), ("exponential", (3, 10))),
    (("erlang", (3, 10, 1)), ("exponential", (3, 10))),
    (("weibull", (3, 10, 1)), ("exponential", (3, 10))),
    (("erlang", (1, 4, 3)), ("gamma", (1, 4, 3))),
    (("inverseweibull", (0, 4, 3)), ("invertedweibull", (0, 4, 3))),
    (("lognormal2", (1, math.exp(2), 0.5)), ("lognormal", (1, 2, 0.5))),
    (("lognormalmeanstdev", (10, 5)), ("lognormal", (0, math.log(10) - math.log(1.25) / 2, math.sqrt(math.log(1.25))))),
    (("beta", (2, 8, 1, 1)), ("uniform", (2, 8))),
    (("binomial", (1, 30)), ("bernoulli", (30, 1, 0))),
    (("bernoulli", (30, 2, 7)), ("bernoulli", (70, 7, 2))),
    (("geometric", (0.25,)), ("negbinomial", (1, 0.25))),
]


@pytest.mark.parametrize(("one_way", "other_way"), SAME, ids=[a[0] for a, _ in SAME])
def test_the_same_law_under_two_names(one_way, other_way):
    mine, theirs = Distribution(*one_way), Distribution(*other_way)
    assert means_the_same(mine, theirs, relative=1e-9)
    assert means_the_same(theirs, mine, relative=1e-9)
    # And it is the same law: samples of both pass for one.
    draws = [np.fromiter(sampler(d, stream(5, 0, str(d), "x")), float, count=4000) for d in (mine, theirs)]
    if len(np.unique(draws[0])) > 100:
        assert stats.ks_2samp(*draws).pvalue > 1e-3
    else:
        assert np.mean(draws[0]) == pytest.approx(np.mean(draws[1]), abs=5 * np.std(draws[0]) / math.sqrt(2000))


@pytest.mark.parametrize(
    ("distribution", "value"),
    [
        (("exponential", (5, 0)), 5),
        (("normal", (5, 0)), 5),
        (("uniform", (5, 5)), 5),
        (("duniform", (5, 5)), 5),
        (("triangular", (5, 5, 5)), 5),
        (("lognormalmeanstdev", (5, 0)), 5),
        (("lognormal2", (1, 4, 0)), 5),
        (("bernoulli", (100, 5, 9)), 5),
        (("bernoulli", (0, 9, 5)), 5),
        (("bernoulli", (40, 5, 5)), 5),
        (("binomial", (5, 100)), 5),
        (("poisson", (0,)), 0),
        (("gamma", (5, 0, 1)), 5),
    ],
)
def test_a_law_without_randomness_is_a_number(distribution, value):
    assert meaning(Distribution(*distribution)) == value


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [
        (Distribution("exponential", (0, 10)), 10),
        (Distribution("exponential", (0, 10)), Distribution("exponential", (0, 10.5))),
        (Distribution("exponential", (10, 0)), Distribution("exponential", (0, 10))),
        (Distribution("uniform", (0, 20)), Distribution("normal", (10, 5.77))),
        (Distribution("gamma", (0, 5, 2)), Distribution("exponential", (0, 10))),
        (Distribution("poisson", (1, 2)), Distribution("poisson", (1,))),
        ("Pack", "Join"),
        ("8", 8),
        (8, Code("return 8;")),
        (Code("return a + b;"), Code("return b + a;")),
        ((1, 2), (1, 2, 3)),
    ],
)
def test_what_does_not_mean_the_same(reference, candidate):
    assert not means_the_same(reference, candidate)


def test_code_agrees_token_by_token():
    mine = Code("/**Custom*/ Object item = param(1);\nreturn item.stats.x   + 2; // minutes")
    assert means_the_same(mine, Code("Object item=param(1); return item.stats.x+2;"))
    assert not means_the_same(mine, Code("Object item=param(1); return item.stats.x+3;"))
    assert not means_the_same(Code('return "a b";'), Code('return "a  b";'))


def test_tolerance_is_relative_to_the_reference_plus_absolute():
    assert means_the_same(100, 101)
    assert not means_the_same(100, 101.1)
    assert means_the_same(0, 0.4, relative=0, absolute=0.5)
    assert means_the_same(100, 111, relative=0.1, absolute=1)
    assert not means_the_same(100, 111.1, relative=0.1, absolute=1)
    assert not means_the_same(0, 1e-3)
    assert means_the_same(30, 30.0001)
    with pytest.raises(ValueError, match="negative"):
        parameter_overlap(Twin(), Twin(), relative=-1)
    with pytest.raises(ValueError, match="negative"):
        parameter_overlap(Twin(), Twin(), absolute=float("nan"))


@given(st.sampled_from(["exponential", "normal", "uniform", "gamma", "weibull", "poisson", "bernoulli", "odd"]),
       st.lists(anywhere, max_size=4))  # fmt: skip
def test_meaning_is_settled_and_every_value_means_itself(name, arguments):
    value = Distribution(name, tuple(arguments))
    assert meaning(meaning(value)) == meaning(value)
    assert means_the_same(value, value, relative=0, absolute=0)


# --- Overlap ----------------------------------------------------------------------------------------------------------


def test_overlap_by_hand():
    reference = one(ProcessTime=Distribution("exponential", (0, 10)), SetupTime=5, MaxContent=3)
    candidate = one(ProcessTime=Distribution("gamma", (0, 10.05, 1)), SetupTime=6, UseTransport=1)
    overlap = parameter_overlap(reference, candidate)
    # ProcessTime agrees; SetupTime does not; MaxContent is left at its default 1; UseTransport is one too many.
    assert overlap == Overlap(1, 3, 3)
    assert pmr(reference, candidate) == 0
    assert parameter_overlap(reference, None) == Overlap(0, 3, None)
    assert parameter_overlap(reference, Twin()) == Overlap(0, 3, 0)


def test_a_default_may_be_said_or_left_unsaid():
    said, unsaid = one("Queue", "Q", MaxContent=1000), one("Queue", "Q")
    assert parameter_overlap(said, unsaid) == Overlap(1, 1, 1)
    assert parameter_overlap(unsaid, said) == Overlap(0, 0, 0)
    assert parameter_overlap(unsaid, said).precision == 1
    assert parameter_overlap(unsaid, one("Queue", "Q", MaxContent=10)) == Overlap(0, 0, 1)


@pytest.mark.parametrize(
    ("one_way", "other_way"),
    [
        ('"exponential(0, 10)"', '"return exponential(0, 10, getstream(current));"'),
        ('"return exponential(0,10);"', '"Object current = ownerobject(c);\\n/**/return exponential(0, 10, 3);"'),
        ("90", '[1.5, "min"]'),
        ('[0.025, "hr"]', '[90, "s"]'),
        ('[90, "s"]', '"return 90;"'),
        ('[exponential, "min"]', ""),
    ],
)
def test_a_time_written_in_two_ways(one_way, other_way):
    if not other_way:
        one_way, other_way = '["exponential(0, 2)", "min"]', '"return exponential(0, 120, getstream(current));"'
    twins = []
    for text in (one_way, other_way):
        result = build(f'Object m = Object.create("Processor"); m.name = "Mill"; m.setProperty("ProcessTime", {text});')
        assert result.ok, result.diagnostics
        assert "ProcessTime" in result.twin.objects[0].parameters
        twins.append(result.twin)
    assert parameter_overlap(*twins, relative=1e-12) == Overlap(1, 1, 1)
    assert pmr(*twins) == 1
