"""Sampled factories: what they are made of, limits, locations, families, and that they run as they should."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from synth_twins import sampled

from vlsm_jax import simulator
from vlsm_jax.synth.automation import SHARES
from vlsm_jax.synth.distributions import ARRIVALS, SERVICES, mean_of
from vlsm_jax.synth.factory import AUTOMATION, FEATURES
from vlsm_jax.synth.industries import INDUSTRIES
from vlsm_jax.synth.isomorphism import topology_key
from vlsm_jax.synth.layouts import LAYOUTS, OUTSIDE, grid_locations
from vlsm_jax.synth.loads import utilisations
from vlsm_jax.synth.sampler import HIGHEST_LOAD, check_run, horizon, sample_factory, timing_pairs
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.spots import CONVEYORS, WORKERS, size_of
from vlsm_jax.synth.timing import draw_families
from vlsm_jax.twin import Distribution

COUNT = 1200


@pytest.fixture(scope="module")
def factories():
    return sampled(COUNT, seed=3)


def test_the_same_rng_gives_the_same_factory():
    assert sampled(5, seed=1) == sampled(5, seed=1)
    assert sampled(5, seed=1) != sampled(5, seed=2)


def test_every_process_samples_the_same():
    """Nothing depends on the order of sets, which differs from process to process."""
    program = (
        "import numpy as np\nfrom vlsm_jax.synth.sampler import sample_factory\n"
        "print([sample_factory(np.random.default_rng((4, i))).twin.to_json() for i in range(12)])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


def test_what_factories_are_made_of(factories):
    assert {f.industry for f in factories} == set(INDUSTRIES)
    layouts, levels = Counter(f.layout for f in factories), Counter(f.automation for f in factories)
    for key, layout in LAYOUTS.items():
        assert layouts[key] / COUNT == pytest.approx(layout.share, abs=0.05)
    for key in AUTOMATION:
        assert levels[key] / COUNT == pytest.approx(SHARES[key], abs=0.05)
    features = Counter(feature for f in factories for feature in f.features)
    assert min(features[feature] for feature in FEATURES) > 0.05 * COUNT
    sizes = [len(f.twin.objects) for f in factories]
    assert 12 <= np.median(sizes) <= 15
    assert min(sizes) <= 4
    assert max(sizes) >= 35
    assert {obj.cls for f in factories for obj in f.twin.objects} == {
        *("Source", "Sink", "Queue", "Rack", "Dispatcher", *WORKERS, "StraightConveyor", "Operator"),
        *("Robot", "AGV", "TaskExecuter", "Transporter", "Crane"),
    }


def test_features_are_those_that_a_twin_has(factories):
    classes = {"assembly": "Combiner", "disassembly": "Separator", "multiprocess": "MultiProcessor"} | {
        "conveyor": "StraightConveyor", "storage": "Rack", "dispatcher_team": "Dispatcher",
    }  # fmt: skip
    for factory in factories:
        twin, features = factory.twin, factory.features
        for feature, cls in classes.items():
            assert (feature in features) == any(obj.cls == cls for obj in twin.objects), factory
        assert ("batching" in features) == any("DoBatching" in obj.parameters for obj in twin.objects)
        assert ("transport" in features) == any("UseTransport" in obj.parameters for obj in twin.objects)
        carriers = {obj.cls for obj in twin.objects} & (OUTSIDE - {"Operator", "Dispatcher"})
        assert ("transport" in features) == bool(carriers) == (factory.automation not in ("manual", "operator"))
        shared = any(
            len(ports.centers) > 1
            and "Operator" in {twin.by_name[name].cls, *(twin.by_name[n].cls for n in ports.outputs)}
            for name, ports in twin.ports.items()
            if twin.by_name[name].cls in ("Operator", "Dispatcher")
        )
        assert ("shared_operator" in features) == shared
        assert ("rework" in features) == _goes_back(factory)
        assert list(features) == [feature for feature in FEATURES if feature in features]


def _goes_back(factory):
    places = {name: at for at, name in enumerate(_reading(factory.twin))}
    return any(
        places[wire.source] >= places[wire.target]
        for wire in factory.twin.connections
        if wire.port == "A" and wire.source in places and wire.target in places
    )


def _reading(twin):
    """Names of the flow column by column."""
    found = grid_locations(twin)
    flow = [obj.name for obj in twin.objects if obj.cls not in OUTSIDE]
    return sorted(flow, key=lambda name: (found[name][0], -found[name][1]))


def test_locations_follow_the_rule_and_nothing_stands_on_anything(factories):
    for factory in factories:
        twin = factory.twin
        assert {obj.name: obj.location for obj in twin.objects} == LAYOUTS[factory.layout].locations(twin)
        boxes = np.array([_box(obj) for obj in twin.objects])
        left, right, bottom, top = boxes.T
        across = (left[:, None] < right[None]) & (left[None] < right[:, None])
        along = (bottom[:, None] < top[None]) & (bottom[None] < top[:, None])
        assert (across & along).sum() == len(twin.objects), factory
        if factory.layout == "u_shaped":
            flow = [obj for obj in twin.objects if obj.cls not in OUTSIDE and obj.location[0] == 0]
            entries = [obj.location[1] for obj in flow if not twin.ports[obj.name].inputs]
            ends = [obj.location[1] for obj in flow if twin.ports[obj.name].inputs]
            assert max(ends) <= min(entries) - 16


def _box(obj):
    x, y, _ = obj.location
    length = obj.parameters["HorizontalLength"] if obj.cls in CONVEYORS else size_of(obj.cls)[0]
    return x, x + length, y - size_of(obj.cls)[1], y


def test_layouts_have_what_they_are_named_for(factories):
    for factory in factories:
        twin = factory.twin
        if factory.layout == "conveyor":
            assert any(obj.cls in CONVEYORS for obj in twin.objects)
        elif factory.layout == "parallel":
            steps = Counter(obj.name.rstrip("0123456789_- ") for obj in twin.objects if obj.cls in WORKERS)
            assert 2 <= max(steps.values()) <= 6
        elif factory.layout == "u_shaped":
            assert len({obj.location[1] for obj in twin.objects if obj.cls not in OUTSIDE}) > 1


def test_conveyors_run_with_the_flow(factories):
    for factory in factories:
        for obj in factory.twin.objects:
            if obj.cls in CONVEYORS:
                (following,) = factory.twin.ports[obj.name].outputs
                assert factory.twin.by_name[following].location[0] > obj.location[0]


def test_nobody_gets_more_work_than_can_be_done(factories):
    for factory in factories:
        loads = utilisations(factory.twin)
        assert max(loads.values()) <= HIGHEST_LOAD, factory
        assert min(loads.values()) > 0
        for obj in factory.twin.objects:
            for value in obj.parameters.values():
                if isinstance(value, Distribution) and value.name == "normal":
                    assert value.arguments[0] >= 4 * value.arguments[1]


def test_all_families_occur_and_numbers_are_round(factories):
    arrivals, services = Counter(), Counter()
    for factory in factories:
        for obj in factory.twin.objects:
            for key, counts in (("InterArrivalTime", arrivals), ("ProcessTime", services)):
                value = obj.parameters.get(key)
                if value is not None:
                    counts[value.name if isinstance(value, Distribution) else "constant"] += 1
                    assert mean_of(value) > 0
                    for number in value.arguments if isinstance(value, Distribution) else (value,):
                        assert len(f"{float(number):g}".replace(".", "").strip("0")) <= 3
    assert set(arrivals) == set(ARRIVALS)
    assert set(services) == set(SERVICES)


def test_flow_graphs_hardly_repeat(factories):
    keys = [topology_key(f.twin) for f in factories]
    large = [key for key, f in zip(keys, factories, strict=True) if len(f.twin.objects) > 12]
    assert len(set(keys)) > 0.7 * len(keys)
    assert len(set(large)) > 0.9 * len(large)


def test_a_combiner_takes_the_line_first_and_has_parts_enough(factories):
    for factory in factories:
        twin = factory.twin
        for obj in twin.objects:
            if obj.cls != "Combiner":
                continue
            _, *supplies = twin.ports[obj.name].inputs
            rows = obj.parameters["ComponentsList"].text.strip("[]").replace("[", "").replace("]", "").split(", ")
            assert len(rows) == len(supplies) >= 1
            for supply in supplies:
                while twin.by_name[supply].cls != "Source":
                    (supply,) = twin.ports[supply].inputs
                assert len(twin.ports[supply].inputs) == 0


def test_a_loop_has_room_for_what_comes_back(factories):
    """A full Queue at the head of a loop could block it for ever."""
    for factory in factories:
        twin = factory.twin
        places = {name: at for at, name in enumerate(_reading(twin))}
        for wire in twin.connections:
            if wire.port == "A" and wire.source in places and places[wire.source] >= places.get(wire.target, 1e9):
                head = twin.by_name[wire.target]
                assert head.cls == "Queue"
                assert head.parameters["MaxContent"] >= 100


def test_limits_are_met_exactly():
    for count in range(3, 41):
        for factory in sampled(4, seed=count, fewest=count, most=count):
            assert len(factory.twin.objects) == count
    for factory in sampled(60, seed=1, fewest=25, most=31):
        assert 25 <= len(factory.twin.objects) <= 31


def test_choices_are_kept():
    for automation in AUTOMATION:
        for layout in LAYOUTS:
            for factory in sampled(3, industry="pcb", layout=layout, automation=automation, most=9):
                assert (factory.industry, factory.layout, factory.automation) == ("pcb", layout, automation)
                assert len(factory.twin.objects) <= 9


def test_features_that_are_not_allowed_do_not_occur():
    plain = sampled(60, most=6, automation="manual", features=())
    assert {f.layout for f in plain} == {"linear", "u_shaped", "parallel"}
    for factory in plain:
        assert factory.features == ()
        assert {obj.cls for obj in factory.twin.objects} <= {"Source", "Queue", "Processor", "Sink"}
    for feature in FEATURES:
        for factory in sampled(6, seed=2, features=(feature,)):
            assert set(factory.features) <= {feature} | ({"conveyor"} if factory.layout == "conveyor" else set())


PAIRS = frozenset(
    {("exponential", "lognormalmeanstdev"), ("constant", "constant"), ("gamma", "weibull"), ("normal", "poisson")}
    | {("uniform", service) for service in SERVICES}
)


def test_pairs_that_are_avoided_do_not_occur():
    for factory in sampled(150, seed=6, avoid_pairs=PAIRS):
        assert timing_pairs(factory.twin).isdisjoint(PAIRS)
    found = {pair for factory in sampled(150, seed=6) for pair in timing_pairs(factory.twin)}
    assert found >= PAIRS - {("uniform", "uniform")}


def test_no_family_may_follow_any():
    everything = frozenset((a, b) for a in SERVICES for b in SERVICES)
    with pytest.raises(RuntimeError, match="no factory was found"):
        sample_factory(np.random.default_rng(0), most=5, avoid_pairs=everything)
    assert draw_families([], [], everything, None)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"layout": "spiral"}, "layout 'spiral'.*linear, u_shaped"),
        ({"industry": "wood"}, "'wood'"),
        ({"automation": "magic"}, "automation 'magic'.*manual, operator"),
        ({"features": ("fog",)}, "feature 'fog'.*merge, split"),
        ({"most": 2}, "fewest is 3 and most is 2"),
        ({"fewest": 9, "most": 8}, "fewest is 9 and most is 8"),
        ({"most": 41}, "expected 3 <= fewest <= most <= 40"),
        ({"layout": "parallel", "most": 3}, "takes 4 objects"),
        ({"layout": "u_shaped", "automation": "agv", "most": 4}, "takes 5 objects"),
        ({"automation": "agv", "features": ("rework",)}, "'transport' is not allowed"),
    ],
)
def test_choices_that_do_not_fit_are_named(choice, message):
    with pytest.raises(ValueError, match=message):
        sample_factory(np.random.default_rng(0), **choice)


def test_factories_run(factories):
    """Trials reject few, and the reasons are those of chance: nothing faults, warns or locks."""
    reasons = Counter()
    for number, factory in enumerate(factories[:150]):
        script = write_script(factory.twin, ScriptStyle.STRAIGHT, np.random.default_rng(number))
        report = simulator.run(script, until=horizon(factory), seed=number)
        assert report.twin == factory.twin
        assert not report.diagnostics, report.diagnostics[0]
        reasons[check_run(factory, report)] += 1
    assert reasons[""] >= 143, reasons


def test_factories_keep_running(factories):
    """Ten times as long: no loop locks, no queue fills up, and as many leave as the traffic equations say."""
    for number, factory in enumerate(factories[150:174]):
        script = write_script(factory.twin, ScriptStyle.STRAIGHT, np.random.default_rng(number))
        report = simulator.run(script, until=10 * horizon(factory), seed=number)
        assert check_run(factory, report) == "", factory
