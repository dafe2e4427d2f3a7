"""Distributions against SciPy's, and what code bodies are recognised as."""

import numpy as np
import pytest
import scipy.stats as ss

from vlsm_jax.simulator import codebody
from vlsm_jax.simulator.distributions import SHAPES, UNSUPPORTED, DistributionError, mean, sampler, stream
from vlsm_jax.twin import Code, Distribution

CONTINUOUS = {
    "exponential": ((2, 5), ss.expon(2, 5)),
    "normal": ((10, 3), ss.norm(10, 3)),
    "triangular": ((5, 15, 12), ss.triang(0.7, 5, 10)),
    "uniform": ((4, 12), ss.uniform(4, 8)),
    "erlang": ((1, 2, 3), ss.gamma(3, 1, 2)),
    "gamma": ((1, 2, 1.5), ss.gamma(1.5, 1, 2)),
    "weibull": ((1, 4, 2), ss.weibull_min(2, 1, 4)),
    "beta": ((2, 6, 2, 3), ss.beta(2, 3, 2, 4)),
    "lognormal": ((1, 0.5, 0.4), ss.lognorm(0.4, 1, np.exp(0.5))),
    "lognormal2": ((1, 3, 0.4), ss.lognorm(0.4, 1, 3)),
    "lognormalmeanstdev": ((5, 2), ss.lognorm(np.sqrt(np.log(1.16)), 0, 5 / np.sqrt(1.16))),
    "loglogistic": ((1, 3, 4), ss.fisk(4, 1, 3)),
    "loglaplace": ((1, 3, 4), ss.loglaplace(4, 1, 3)),
    "inversegaussian": ((1, 3, 4), ss.invgauss(3 / 4, 1, 4)),
    "inverseweibull": ((1, 3, 4), ss.invweibull(4, 1, 3)),
    "invertedweibull": ((1, 3, 4), ss.invweibull(4, 1, 3)),
    "pearsont5": ((1, 3, 4), ss.invgamma(4, 1, 3)),
    "pearsont6": ((1, 3, 4, 5), ss.betaprime(4, 5, 1, 3)),
    "johnsonbounded": ((2, 6, 0.5, 1.2), ss.johnsonsb(0.5, 1.2, 2, 4)),
    "johnsonunbounded": ((2, 3, 0.5, 1.2), ss.johnsonsu(0.5, 1.2, 2, 3)),
    "laplace": ((2, 3), ss.laplace(2, 3)),
    "logistic": ((2, 3), ss.logistic(2, 3)),
    "cauchy": ((2, 3), ss.cauchy(2, 3)),
    "extremevalue1a": ((2, 3), ss.gumbel_r(2, 3)),
    "extremevalue1b": ((2, 3), ss.gumbel_l(2, 3)),
    "pareto": ((2, 3), ss.pareto(3, 0, 2)),
}
DISCRETE = {
    "duniform": ((3, 7), ss.randint(3, 8)),
    "bernoulli": ((30, 1, 0), ss.bernoulli(0.3)),
    "binomial": ((10, 30), ss.binom(10, 0.3)),
    "poisson": ((4,), ss.poisson(4)),
    "geometric": ((0.3,), ss.geom(0.3, -1)),
    "negbinomial": ((3, 0.4), ss.nbinom(3, 0.4)),
    "logarithmic": ((0.6,), ss.logser(0.6)),
    "hypergeometric": ((5, 8, 20), ss.hypergeom(20, 8, 5)),
}


def draws(name, arguments, count):
    values = sampler(Distribution(name, arguments), stream(7, 0, "test", name))
    return np.array([next(values) for _ in range(count)])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name):
    arguments, exact = CONTINUOUS[name]
    assert ss.kstest(draws(name, arguments, 5000), exact.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name):
    arguments, exact = DISCRETE[name]
    values = draws(name, arguments, 5000)
    points = np.unique(values)
    expected = exact.pmf(points) * len(values)
    assert (expected > 0).all()
    kept = expected > 5
    counts = np.array([(values == point).sum() for point in points])[kept]
    chi_square = ((counts - expected[kept]) ** 2 / expected[kept]).sum()
    assert ss.chi2.sf(chi_square, kept.sum()) > 1e-3


def test_every_distribution_is_tested():
    assert {*CONTINUOUS, *DISCRETE} == set(SHAPES)
    assert not UNSUPPORTED & set(SHAPES)


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_mean_where_it_is_known(name):
    arguments, exact = {**CONTINUOUS, **DISCRETE}[name]
    value = mean(Distribution(name, arguments))
    if value is not None:
        assert value == pytest.approx(exact.mean())


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("triangular", (5, 10, 15), "triangular"),
        ("exponential", (0, -1), "negative"),
        ("uniform", (5, 1), "min is greater than max"),
        ("bernoulli", (150, 1, 0), "percentage"),
        ("gamma", (0, 1, 0), "greater than 0"),
        ("exponential", (1,), "exponential takes location, scale"),
        ("randomwalk", (1, 2, 3), "not supported"),
    ],
)
def test_arguments_without_meaning_are_refused(name, arguments, complaint):
    if name == "triangular":
        arguments = (5, 10, 15)  # max and mode exchanged
    with pytest.raises(DistributionError, match=complaint):
        sampler(Distribution(name, arguments), stream(0, 0, "a", "b"))


def test_durations_are_never_negative():
    values = sampler(Distribution("normal", (0, 1)), stream(0, 0, "a", "b"), minimum=0.0)
    assert min(next(values) for _ in range(2000)) == 0


def test_streams_depend_on_seed_replication_owner_and_purpose_alone():
    def first(*key):
        return stream(*key).random()

    base = first(1, 0, "Oven", "ProcessTime")
    assert base == first(1, 0, "Oven", "ProcessTime")
    others = [(2, 0, "Oven", "ProcessTime"), (1, 1, "Oven", "ProcessTime"), (1, 0, "Mill", "ProcessTime")]
    assert base not in [first(*key) for key in [*others, (1, 0, "Oven", "SetupTime")]]


PREAMBLE = "Object item = param(1);\nObject current = ownerobject(c);\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return exponential(0, 10);", Distribution("exponential", (0, 10))),
        ("return exponential(0, 10, 1);", Distribution("exponential", (0, 10))),
        ("return exponential(0,10,getstream(current));", Distribution("exponential", (0, 10))),
        ("exponential(0, 10)", Distribution("exponential", (0, 10))),
        (
            PREAMBLE + "/**popup*//**/return /**/triangular(5, 15, 10, getstream(current));",
            Distribution("triangular", (5, 15, 10)),
        ),
        ("return uniform(-1.5, 2e1);", Distribution("uniform", (-1.5, 20))),
        ("return uniform(2 * 3, 10.0 - 1);", Distribution("uniform", (6, 9))),
        ("return 10;", 10),
        ("2.5", 2.5),
        ("return -3;", -3),
        (PREAMBLE + "return 7;", 7),
    ],
)
def test_recognised_bodies(text, expected):
    assert codebody.understand(text).value == expected


@pytest.mark.parametrize(
    "text",
    [
        "return exponential(0, item.Time);",
        "return 2 * exponential(0, 10);",
        "return exponential(0);",
        "return exponential(0, 10, 3, 4);",
        "return uniform(0, duniform(1, 3));",
        "if (time() > 5) return 1; return 2;",
        "int x = 3; return exponential(0, 10);",
        'return dempirical("T");',
        "return 1",
        "exponential(0, 10);",
        "",
        "return 1e999;",
        "return 7/2;",
    ],
)
def test_bodies_that_stay_code(text):
    assert codebody.understand(text).value == Code(text)
