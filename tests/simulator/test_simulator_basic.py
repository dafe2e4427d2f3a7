"""The BasicFR: receiveitem and releaseitem do everything."""

from vlsm_jax.simulator import Verdict, run

CURRENT = "Object current = ownerobject(c); "


def basic(model, properties, *, until=100.0, script="", **more):
    objects = {
        "In": ("Source", {"InterArrivalTime": 10}),
        "Line": ("Queue", {}),
        "Custom": ("BasicFR", properties),
        "Out": ("Sink", {}),
        "Other": ("Sink", {}),
    }
    times = {"entry": [], "exit": []}
    report = run(
        model(objects, "In>Line Line>Custom Custom>Out Custom>Other") + script,
        until=until,
        trace=lambda e: times[e.kind].append(e.time) if e.object == "Custom" else None,
        **more,
    )
    return times["entry"], times["exit"], report


def test_without_receiveitem_nothing_enters(model):
    entered, _, report = basic(model, {})
    assert entered == []
    assert report.verdict is Verdict.NO_FLOW


def test_receiveitem_takes_one_item_each(model):
    entered, left, report = basic(model, {"Triggers.OnReset": CURRENT + "receiveitem(current); receiveitem(current);"})
    assert entered == [10, 20]
    assert left == []
    assert report.kpis.objects["Custom"].content_current.mean == 2


def test_receiveitem_from_a_port(model):
    objects = {
        "A": ("Source", {"InterArrivalTime": 10}),
        "B": ("Source", {"InterArrivalTime": 25}),
        "Custom": ("BasicFR", {"Triggers.OnReset": CURRENT + "receiveitem(current, 2);"}),
        "Out": ("Sink", {}),
    }
    seen = []
    run(
        model(objects, "A>Custom B>Custom Custom>Out"),
        until=60,
        trace=lambda e: seen.append((e.time, e.object, e.kind)),
    )
    assert [event for event in seen if event[1] == "Custom"] == [(25, "Custom", "entry")]


def test_releaseitem_gives_an_item_to_a_port(model):
    properties = {
        "Triggers.OnReset": CURRENT + "receiveitem(current);",
        "Triggers.OnEntry": CURRENT + "Object item = param(1); receiveitem(current); releaseitem(item, item.rank + 1);",
    }
    entered, left, report = basic(model, properties)
    assert entered == left == list(range(10, 101, 10))
    assert report.kpis.throughput["Other"].mean == 10 * 36
    assert report.kpis.throughput["Out"].mean == 0


def test_a_delay_made_of_messages(model):
    properties = {
        "Triggers.OnReset": CURRENT + "receiveitem(current);",
        "Triggers.OnEntry": CURRENT + "Object item = param(1); senddelayedmessage(current, 3, current, item);",
        "Triggers.OnMessage": "releaseitem(msgparam(1));",
        "Triggers.OnExit": CURRENT + "receiveitem(current);",
    }
    entered, left, report = basic(model, properties)
    assert entered == list(range(10, 101, 10))
    assert left == list(range(13, 101, 10))
    assert report.kpis.objects["Custom"].staytime_average.mean == 3


def test_setstate_names_what_a_basic_resource_does(model):
    properties = {
        "Triggers.OnReset": CURRENT + "receiveitem(current);",
        "Triggers.OnEntry": CURRENT
        + "setstate(current, STATE_OPERATING); senddelayedmessage(current, 4, current, param(1));",
        "Triggers.OnMessage": CURRENT + "current.setState(STATE_STANDBY); releaseitem(msgparam(1));",
    }
    _, _, report = basic(model, properties, until=50)
    states = {name: time.mean for name, time in report.kpis.objects["Custom"].states.items()}
    assert states == {"idle": 10, "operating": 4, "standby": 36}


def test_receiveitem_of_another_class_is_refused_by_name(model):
    _, _, report = basic(model, {"Triggers.OnReset": 'receiveitem(Model.find("Line"));'})
    assert report.verdict is Verdict.RUN_ERROR
    assert "only a BasicFR" in report.diagnostics[-1].message
