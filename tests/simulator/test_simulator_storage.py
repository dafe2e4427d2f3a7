"""Racks and floor storage as fixed resources."""

import pytest

from vlsm_jax.simulator import Verdict, run


def store(model, properties, *, cls="Rack", until=100.0, interval=10, service=0):
    objects = {
        "In": ("Source", {"InterArrivalTime": interval}),
        "Store": (cls, properties),
        "Work": ("Processor", {"ProcessTime": service}),
        "Out": ("Sink", {}),
    }
    times = {"entry": [], "exit": []}
    report = run(
        model(objects, "In>Store Store>Work Work>Out"),
        until=until,
        trace=lambda e: times[e.kind].append(e.time) if e.object == "Store" else None,
    )
    return times["entry"], times["exit"], report


@pytest.mark.parametrize("cls", ["Rack", "FloorStorage", "GravityFlowRack", "PushBackRack", "DriveInRack"])
def test_storage_keeps_an_item_for_its_minimum_dwell_time(model, cls):
    entered, left, report = store(model, {"MinimumDwellTime": 25}, cls=cls)
    assert entered == list(range(10, 101, 10))
    assert left == [35, 45, 55, 65, 75, 85, 95]
    figures = report.kpis.objects["Store"]
    assert {n: t.mean for n, t in figures.states.items()} == {"empty": 10, "not empty": 90}
    assert figures.staytime_average.mean == 25


def test_without_a_dwell_time_items_pass_at_once(model):
    entered, left, _ = store(model, {})
    assert entered == left == list(range(10, 101, 10))


def test_max_content_closes_a_rack(model):
    entered, _, report = store(model, {"MaxContent": 2, "MinimumDwellTime": 25}, interval=0, until=60)
    assert entered == [0, 0, 25, 25, 50, 50]
    assert report.kpis.objects["Store"].content_max.mean == 2


def test_dwell_time_is_code_of_item_and_port(model):
    code = "Object item = param(1); return param(2) * 7;"
    _, left, _ = store(model, {"MinimumDwellTime": code}, until=30)
    assert left == [17, 27]


def test_a_dwell_time_below_zero_waits_for_releaseitem(model):
    properties = {
        "MinimumDwellTime": "return -1;",
        "Triggers.OnMessage": "Object current = ownerobject(c); releaseitem(current.last); ",
        "Triggers.OnReset": "Object current = ownerobject(c); senddelayedmessage(current, 35, current);",
    }
    _, left, report = store(model, properties, until=45)
    assert left == [35]
    assert report.kpis.objects["Store"].content_current.mean == 3


def test_on_end_dwell_time(model):
    trigger = "print(time(), param(1).rank, ownerobject(c).name);"
    _, _, report = store(model, {"MinimumDwellTime": 25, "Triggers.OnEndDwellTime": trigger}, until=50)
    assert report.output == ("35 1 Store", "45 1 Store")
    assert not report.diagnostics


def test_a_rack_waits_for_a_slow_machine(model):
    _, left, report = store(model, {"MinimumDwellTime": 5}, service=20)
    assert left == [15, 35, 55, 75, 95]
    assert report.kpis.objects["Store"].output.mean == 5


def test_a_rack_pulls_by_default(model):
    kind = (
        "Object item = param(1); Object current = ownerobject(c); current.N = current.N + 1; item.Type = current.N % 2;"
    )
    objects = {
        "In": ("Source", {"InterArrivalTime": 10, "Triggers.OnCreation": kind}),
        "Line": ("Queue", {}),
        "Store": ("Rack", {"PullRequirement": "Object item = param(1); return item.Type == 1;"}),
        "Out": ("Sink", {}),
    }
    report = run(model(objects, "In>Line Line>Store Store>Out") + "\nIn.N = 0;", until=100)
    # Every other one of the ten is asked for; the rest stays in the Queue.
    assert report.kpis.objects["Store"].input.mean == 5
    assert report.kpis.objects["Line"].content_current.mean == 5


def test_use_as_fixed_resource_off_takes_nothing(model):
    _, _, report = store(model, {"UseAsFixedResource": 0})
    assert report.verdict is Verdict.NO_FLOW
    assert any("UseAsFixedResource is 0" in d.message for d in report.diagnostics)
    assert report.kpis.objects["Store"].input.mean == 0
