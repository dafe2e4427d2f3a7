"""The tables of industries and the families of distributions."""

import numpy as np
import pytest

from vlsm_jax.synth.distributions import ARRIVALS, FAMILIES, SERVICES, draw_duration, mean_of, round_number
from vlsm_jax.synth.industries import INDUSTRIES, industry
from vlsm_jax.twin import Distribution


@pytest.mark.parametrize("key", INDUSTRIES)
def test_tables_are_sound(key):
    table = industry(key)
    names = [station.name for station in table.stations]
    assert len({*names, *table.sources, *table.sinks}) == len(names) + len(table.sources) + len(table.sinks)
    for station in table.stations:
        low, high = station.seconds
        if station.cls == "Queue":
            assert (low, high) == (0, 0)
            assert station.setup is None
        else:
            assert 0 < low < high
            assert not station.lifo
        assert all(places >= 1 for places in station.places)
        assert station.name == station.name.strip()
        assert not station.name[-1].isdigit()  # The number of a lane is appended.
    assert sum(station.cls == "Processor" for station in table.stations) >= 8


def test_unknown_industry_lists_the_known():
    with pytest.raises(ValueError, match=r"'cheese'.*photomask, pcb, ev_battery"):
        industry("cheese")


SAMPLERS = {
    "exponential": lambda r, a, n: a[0] + r.exponential(a[1], n),
    "normal": lambda r, a, n: r.normal(a[0], a[1], n),
    "triangular": lambda r, a, n: r.triangular(a[0], a[2], a[1], n),  # FlexSim: min, max, mode
    "uniform": lambda r, a, n: r.uniform(a[0], a[1], n),
    "lognormalmeanstdev": lambda r, a, n: r.lognormal(
        np.log(a[0] ** 2 / np.hypot(*a)), np.sqrt(np.log1p((a[1] / a[0]) ** 2)), n
    ),
    "weibull": lambda r, a, n: a[0] + a[1] * r.weibull(a[2], n),
    "gamma": lambda r, a, n: a[0] + r.gamma(a[2], a[1], n),
    "poisson": lambda r, a, n: r.poisson(a[0], n),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_means_are_those_of_the_distributions(name):
    rng = np.random.default_rng(3)
    for mean in (7, 42, 260):
        value = draw_duration(name, mean, rng)
        drawn = SAMPLERS[name](rng, value.arguments, 200_000)
        assert mean_of(value) == pytest.approx(drawn.mean(), rel=0.02)
        assert len(value.arguments) == len(FAMILIES[name].arguments)


@pytest.mark.parametrize("kind", SERVICES)
def test_drawn_durations_are_near_the_wanted_mean_and_not_negative(kind):
    rng = np.random.default_rng(4)
    for mean in np.geomspace(5, 400, 120):
        value = draw_duration(kind, float(mean), rng)
        assert mean_of(value) == pytest.approx(mean, rel=0.25)
        if not isinstance(value, Distribution):
            continue
        numbers = value.arguments
        if kind == "normal":
            assert numbers[0] >= 4 * numbers[1] > 0
        elif kind == "triangular":
            assert 0 <= numbers[0] <= numbers[2] <= numbers[1]
            assert numbers[0] < numbers[1]
        elif kind == "uniform":
            assert 0 <= numbers[0] < numbers[1]
        else:
            assert all(n >= 0 for n in numbers)
        assert all(len(f"{n:g}") <= 5 for n in numbers)


def test_arrivals_and_services_are_those_of_the_paper():
    assert set(ARRIVALS) == {"constant", "exponential", "normal", "triangular", "uniform"}
    assert set(SERVICES) - set(ARRIVALS) == {"lognormalmeanstdev", "weibull", "gamma", "poisson"}


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.13, 0.1), (0.01, 0.1), (1.3, 1.5), (7.4, 7), (22.4, 20), (143, 140), (1234, 1200)]
)
def test_round_numbers(value, rounded):
    assert round_number(value) == rounded


def test_unknown_family_has_no_mean():
    with pytest.raises(ValueError, match="cauchy"):
        mean_of(Distribution("cauchy", (0, 1)))
