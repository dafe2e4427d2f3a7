"""Sampled factories: what they are made of, and that every station has work it can keep up with."""

from collections import Counter

import numpy as np
import pytest
from synth_twins import sampled

from vlsm_jax import simulator
from vlsm_jax.synth.industries import INDUSTRIES
from vlsm_jax.synth.layouts import grid_locations
from vlsm_jax.synth.loads import utilisations
from vlsm_jax.synth.sampler import HIGHEST_LOAD, horizon, sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.spots import capacity
from vlsm_jax.synth.topologies import PLANS
from vlsm_jax.twin import Distribution


def test_the_same_rng_gives_the_same_factory():
    assert sampled(5, seed=1) == sampled(5, seed=1)
    assert sampled(5, seed=1) != sampled(5, seed=2)


def test_what_factories_are_made_of():
    factories = sampled(400)
    kinds = Counter((f.industry, f.layout) for f in factories)
    assert set(kinds) == {(i, k) for i in INDUSTRIES for k in PLANS}
    assert min(kinds.values()) > 2
    families = Counter()
    for factory in factories:
        twin = factory.twin
        assert 4 <= len(twin.objects) <= 12
        assert {obj.cls for obj in twin.objects} <= {"Source", "Queue", "Processor", "Sink"}
        assert {obj.name: obj.location for obj in twin.objects} == grid_locations(twin)
        for obj in twin.objects:
            for value in obj.parameters.values():
                if isinstance(value, Distribution):
                    families[value.name] += 1
                    if value.name == "normal":
                        assert value.arguments[0] >= 4 * value.arguments[1]
        assert max(utilisations(twin).values()) <= HIGHEST_LOAD
        assert max(utilisations(twin).values()) > 0.3
        assert 3600 <= horizon(twin) <= 28800
    assert set(families) == {
        *("exponential", "normal", "triangular", "uniform", "lognormalmeanstdev", "weibull", "gamma", "poisson"),
        "duniform",
    }


def test_industry_and_layout_can_be_chosen():
    for factory in sampled(20, industry="pcb", layout="parallel", most=8):
        assert (factory.industry, factory.layout) == ("pcb", "parallel")
        assert len(factory.twin.objects) <= 8


def test_choices_that_do_not_exist_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"layout 'spiral'.*linear, u_shaped, parallel"):
        sample_factory(rng, layout="spiral")
    with pytest.raises(ValueError, match="most is 5"):
        sample_factory(rng, most=5)


@pytest.mark.parametrize("layout", PLANS)
def test_stations_keep_up_when_run(layout):
    """No station works all the time, and the bound on its load holds but for chance."""
    for i, factory in enumerate(sampled(6, seed=9, layout=layout)):
        script = write_script(factory.twin, ScriptStyle.LOOP, np.random.default_rng(i))
        report = simulator.run(script, until=150_000, warmup=30_000, seed=i)
        assert report.ok
        bounds = utilisations(factory.twin)
        # Items that entered, times the seconds each takes, over the seconds that all places had.
        busy = {
            name: report.kpis.objects[name].input.mean / (capacity(factory.twin.by_name[name]) * 120_000)
            for name in bounds
        }
        assert 0 < min(busy.values()) <= max(busy.values()) < 0.985
        for name, bound in bounds.items():
            ports = factory.twin.ports
            # Those among which the first free one takes the item share a bound.
            together = [peer for peer in ports[ports[name].inputs[0]].outputs if peer in busy]
            assert np.mean([busy[peer] for peer in together]) < bound + 0.08
