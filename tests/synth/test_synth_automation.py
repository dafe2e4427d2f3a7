"""Who works and carries: crews, whom they serve, and how long one waits for them."""

from collections import Counter

import numpy as np
import pytest
from synth_twins import sampled

from vlsm_jax.synth.automation import CLASSES, SHARES, draw_crews
from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.factory import AUTOMATION, FEATURES
from vlsm_jax.synth.layouts import OUTSIDE
from vlsm_jax.synth.loads import arrivals_of, solve_rates
from vlsm_jax.synth.spots import WORKERS, in_flow_order, places_of, spots_of
from vlsm_jax.synth.trips import duties_of, waits
from vlsm_jax.twin import Connection, Twin, TwinObject

ALL = frozenset(FEATURES)


def dice(seed=0):
    return Dice(np.random.default_rng(seed))


def test_levels_are_those_of_the_paper():
    assert tuple(SHARES) == AUTOMATION
    assert sum(SHARES.values()) == pytest.approx(1.001)  # the paper's own shares are rounded
    assert SHARES["manual"] == 0.273
    assert SHARES["operator"] == 0.182
    assert sum(SHARES[key] for key in AUTOMATION[2:]) == pytest.approx(3 * 0.182)


def test_crews_fit_the_floor():
    for seed in range(300):
        for count in (4, 9, 20, 40):
            for level in AUTOMATION:
                crews = draw_crews(dice(seed), level, count, ALL)
                assert bool(crews) == (level != "manual")
                assert sum(crew.objects for crew in crews) <= max(1, count // 3)
                assert all(crew.cls in (CLASSES[level], "Operator") for crew in crews)
                assert not crews or crews[0].cls == CLASSES[level]


def test_crews_keep_to_what_is_allowed():
    for seed in range(100):
        crews = draw_crews(dice(seed), "agv", 30, frozenset({"transport"}))
        assert all(crew.members == 1 and crew.cls == "AGV" for crew in crews)
        crews = draw_crews(dice(seed), "operator", 30, frozenset({"dispatcher_team"}))
        assert all(crew.members == 1 for crew in crews)


@pytest.fixture(scope="module")
def staffed():
    return [f for f in sampled(500, seed=8) if f.automation != "manual"]


def test_every_executer_serves_somebody_and_nobody_has_two(staffed):
    for factory in staffed:
        twin = factory.twin
        for obj in twin.objects:
            ports = twin.ports[obj.name]
            if obj.cls == "Dispatcher":
                team = [twin.by_name[name] for name in ports.outputs]
                assert len(team) >= 2
                assert len({member.cls for member in team}) == 1
                assert len(ports.centers) > len(team)
            elif obj.cls in OUTSIDE:
                assert bool(ports.centers) != bool(ports.inputs)
            else:
                assert len(ports.centers) <= 1
                asks = any(key.startswith("Use") for key in obj.parameters)
                assert asks == bool(ports.centers)


def test_operators_work_and_the_others_carry(staffed):
    for factory in staffed:
        twin = factory.twin
        for obj in twin.objects:
            if not any(key.startswith("Use") for key in obj.parameters):
                continue
            (head,) = twin.ports[obj.name].centers
            classes = {twin.by_name[name].cls for name in (head, *twin.ports[head].outputs)} - {"Dispatcher"}
            if "UseTransport" in obj.parameters:
                assert classes.isdisjoint({"Operator"})
                for name in twin.ports[obj.name].outputs:
                    target = twin.by_name[name]
                    assert target.cls != "StraightConveyor"
                    assert target.cls != "Combiner" or twin.ports[name].inputs[0] == obj.name
            else:
                assert classes == {"Operator"}
                assert obj.cls in WORKERS
                assert places_of(obj.cls, obj.parameters) == 1
                # Who asks for setup operators has a setup.
                assert "UseSetupOperators" not in obj.parameters or "SetupTime" in obj.parameters


def test_each_level_has_its_class(staffed):
    seen = Counter()
    for factory in staffed:
        classes = {obj.cls for obj in factory.twin.objects} & (OUTSIDE - {"Dispatcher"})
        assert CLASSES[factory.automation] in classes <= {CLASSES[factory.automation], "Operator"}
        seen[factory.automation] += 1
    assert set(seen) == set(AUTOMATION) - {"manual"}


def carried(load_time):
    objects = (
        TwinObject("Source", "s", (0, 0, 0), {"InterArrivalTime": 100}),
        TwinObject("Queue", "q", (10, 0, 0), {"UseTransport": 1}),
        TwinObject("Processor", "a", (20, 0, 0), {"ProcessTime": 30}),
        TwinObject("Sink", "t", (30, 0, 0)),
        TwinObject("Robot", "r", (10, -8, 0), {"MoveTime": 6, "LoadTime": load_time, "UnloadTime": 2}),
    )
    twin = Twin(objects, (*(Connection(*w) for w in ("sq", "qa", "at")), Connection("q", "r", "S")))
    order = in_flow_order(spots_of(twin))
    solve_rates(order, arrivals_of(order))
    return order


def test_waits_by_hand():
    found = {spot.name: seconds for spot, seconds in waits(duties_of(carried(4)), 1.0).items()}
    # A trip: 6 s back to the Queue, 4 s to load, 6 s to the station, 2 s to unload: 18 s, a load of 0.18.
    wait = 0.625 * 0.18 / 0.82 * 18
    assert found == pytest.approx({"q": wait + 6, "a": wait + 18})


def test_the_faster_it_goes_the_longer_one_waits():
    slow, fast = (sum(waits(duties_of(carried(4)), pace).values()) for pace in (0.5, 3.0))
    assert slow < fast


def test_dice():
    one = dice(1)
    assert [one.whole(2, 4) for _ in range(8)] == [dice_.whole(2, 4) for dice_ in [dice(1)] for _ in range(8)]
    values = Counter(one.whole(1, 3) for _ in range(3000))
    assert set(values) == {1, 2, 3}
    assert min(values.values()) > 900
    assert one.whole(5, 4) == 5
    assert Counter(one.weighted("ab", (1, 3)) for _ in range(4000))["b"] == pytest.approx(3000, abs=120)
    assert sorted(one.some(range(5), 9)) == [0, 1, 2, 3, 4]
    assert len(set(one.some(range(100), 10))) == 10
