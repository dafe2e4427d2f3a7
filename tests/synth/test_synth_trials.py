"""Trials: how long factories are run, and what a run that went wrong is rejected for."""

import numpy as np
import pytest
from synth_examples import examples

from vlsm_jax import simulator
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.trials import Trial, check_run, horizon
from vlsm_jax.twin import Connection, Distribution, Twin, TwinObject


def run(factory, *, until=None, seed=0):
    script = write_script(factory.twin, ScriptStyle.STRAIGHT, np.random.default_rng(0))
    return simulator.run(script, until=until or horizon(factory), seed=seed)


def factory_of(objects, wires):
    made = tuple(TwinObject(cls, name, (10 * i, 0, 0), p) for i, (name, (cls, p)) in enumerate(objects.items()))
    return Factory(Twin(made, tuple(Connection(a, b) for a, b in wires)))


def line(service, arrivals=60, **parameters):
    objects = {
        "s": ("Source", {"InterArrivalTime": arrivals}),
        "q": ("Queue", {}),
        "a": ("Processor", {"ProcessTime": service, **parameters}),
        "t": ("Sink", {}),
    }
    return factory_of(objects, ("sq", "qa", "at"))


@pytest.mark.parametrize("name", sorted(set(examples()) - {"dispatcher team", "assembly"}))
def test_examples_pass(name):
    factory = examples()[name]
    assert check_run(factory, run(factory)) == ""


def test_who_is_never_needed_is_found():
    # One station, to which one item is carried at a time: the second of the team has nothing to do.
    factory = examples()["dispatcher team"]
    assert check_run(factory, run(factory, until=40_000.0)) == "somebody without work"


def test_a_horizon_is_long_enough_for_visits():
    assert horizon(line(30)) == 840  # 12 arrivals, and the way through: 60 s to arrive, 30 s of work
    objects = {
        "s": ("Source", {"InterArrivalTime": 10, "SendToPort": Distribution("bernoulli", (80, 1, 2))}),
        "a": ("Processor", {"ProcessTime": 5}),
        "b": ("Processor", {"ProcessTime": 5}),
        "t": ("Sink", {}),
    }
    # A fifth of the items goes to b: four visits take 200 s, and the way 15 s.
    assert horizon(factory_of(objects, ("sa", "sb", "at", "bt"))) == 240


def test_a_horizon_takes_a_twin_as_well():
    factory = line(30)
    assert horizon(factory.twin) == horizon(factory)


def test_a_saturated_station_is_found():
    factory = line(70)
    assert check_run(factory, run(factory, until=20_000.0)) == "a saturated station"
    factory = line(280, MaxContent=4)
    assert check_run(factory, run(factory, until=40_000.0)) == "a saturated station"
    # One of several places is in use nearly always, which is no saturation.
    factory = line(150, MaxContent=4)
    assert check_run(factory, run(factory, until=20_000.0)) == ""


def test_faults_and_warnings_are_found():
    factory = line(30)
    report = run(factory)
    assert check_run(factory, report) == ""
    warned = simulator.run(
        write_script(factory.twin, ScriptStyle.STRAIGHT, np.random.default_rng(0))
        + 'Object x = Object.create("Queue"); x.name = "x";',
        until=horizon(factory),
    )
    assert check_run(factory, warned) == "a warning: unreachable"
    assert check_run(factory, run(factory, until=20.0)) == "no flow"


def test_an_object_without_items_is_found_where_some_were_to_come():
    rare = {
        "s": ("Source", {"InterArrivalTime": 10, "SendToPort": Distribution("bernoulli", (99, 1, 2))}),
        "a": ("Processor", {"ProcessTime": 5}),
        "b": ("Processor", {"ProcessTime": 5}),
        "t": ("Sink", {}),
    }
    factory = factory_of(rare, ("sa", "sb", "at", "bt"))
    report = run(factory, until=150.0)
    assert report.kpis.objects["b"].input.mean == 0
    assert check_run(factory, report) == ""  # 0.15 items were to come
    # As if half of them were to come.
    often = dict(rare, s=("Source", {"InterArrivalTime": 10, "SendToPort": Distribution("bernoulli", (50, 1, 2))}))
    assert check_run(factory_of(often, ("sa", "sb", "at", "bt")), report) == "an object that no item reaches"


def test_a_loop_that_locks_is_found():
    """A tenth of the items comes back to a Queue of one place, in front of a station of one place."""
    objects = {
        "s": ("Source", {"InterArrivalTime": 20}),
        "q": ("Queue", {"MaxContent": 1}),
        "a": ("Processor", {"ProcessTime": 9, "SendToPort": Distribution("bernoulli", (90, 1, 2))}),
        "t": ("Sink", {}),
    }
    factory = factory_of(objects, ("sq", "qa", "at", "aq"))
    assert check_run(factory, run(factory, until=20_000.0)) == "a warning: deadlock"


def test_missing_and_surplus_items_are_found():
    factory = line(30)
    report = run(factory, until=20_000.0)
    assert check_run(factory, report) == ""
    assert check_run(line(30, arrivals=30), report) == "too few items leave"
    assert check_run(line(30, arrivals=90), report) == "too many items leave"


def test_a_station_that_is_blocked_is_found():
    """Without a Queue in between, the first station waits for the second one most of the time."""
    objects = {
        "s": ("Source", {"InterArrivalTime": 20}),
        "a": ("Processor", {"ProcessTime": 5}),
        "b": ("Processor", {"ProcessTime": Distribution("exponential", (0, 35))}),
        "t": ("Sink", {}),
    }
    factory = factory_of(objects, ("sa", "ab", "bt"))
    report = run(factory, until=30_000.0)
    assert report.kpis.objects["b"].utilisation.mean < 0.985
    assert report.kpis.objects["a"].states["blocked"].mean > 0.6 * 30_000
    assert check_run(factory, report) == "a station that is stuck"


def judged(factory, seed=0):
    """Returns what a trial says at each of the times at which its run may end, by their parts of the horizon."""
    trial, out = Trial(factory), {}
    script = write_script(factory.twin, ScriptStyle.STRAIGHT, np.random.default_rng(0))
    for report in simulator.watch(script, trial.looks, seed=seed):
        part = report.kpis.until / trial.horizon
        out[part] = trial.judge(report)
        if not out[part]:
            break
    return out


def test_a_trial_ends_as_soon_as_everything_has_been_seen():
    assert judged(line(30)) == {0.5: ""}


def test_what_is_doubtful_is_run_longer():
    """A station that is blocked for up to half of the time, and for more than that."""

    def trials(service):
        objects = {
            "s": ("Source", {"InterArrivalTime": Distribution("exponential", (0, 20))}),
            "a": ("Processor", {"ProcessTime": 5}),
            "b": ("Processor", {"ProcessTime": Distribution("uniform", (service - 4, service + 4))}),
            "t": ("Sink", {}),
        }
        return [judged(factory_of(objects, ("sa", "ab", "bt")), seed) for seed in range(8)]

    hardly, often, mostly = trials(12), trials(20), trials(40)
    assert all(each == {0.5: ""} for each in hardly)
    assert {tuple(each) for each in often} >= {(0.5,), (0.5, 0.75), (0.5, 0.75, 1.0, 2.0)}
    strained = ("a saturated station", "a station that is stuck")
    assert all(reason in ("", *strained) for each in often for reason in each.values())
    assert sum(each.get(2.0) in strained for each in mostly) >= 6


def test_a_trial_waits_for_what_is_to_be_seen_within_the_horizon():
    """An item for b comes every 100 s in the mean; four of them take 400 s, of which half are not always enough."""
    objects = {
        "s": ("Source", {"InterArrivalTime": 20, "SendToPort": Distribution("bernoulli", (80, 1, 2))}),
        "a": ("Processor", {"ProcessTime": 5}),
        "b": ("Processor", {"ProcessTime": 5}),
        "t": ("Sink", {}),
    }
    factory = factory_of(objects, ("sa", "sb", "at", "bt"))
    found = [judged(factory, seed) for seed in range(20)]
    assert any(each.get(0.5) == "an object that no item reaches" for each in found)
    assert any(each == {0.5: ""} for each in found)
    assert all(list(each.values())[-1] == "" for each in found)
    # The same run at one go, of half the length, is in no doubt: fewer than three items were to come.
    late = next(seed for seed, each in enumerate(found) if each.get(0.5) == "an object that no item reaches")
    assert check_run(factory, run(factory, until=0.5 * horizon(factory), seed=late)) == ""
