"""The MultiProcessor."""

import pytest

from vlsm_jax.simulator import Verdict, run


def line(model, rows, *, until=100.0, interval=0, properties=None, **more):
    table = {} if rows is None else {"ProcessTable": rows}
    objects = {
        "In": ("Source", {"InterArrivalTime": interval}),
        "Cell": ("MultiProcessor", {**table, **(properties or {})}),
        "Out": ("Sink", {}),
    }
    left = []
    report = run(
        model(objects, "In>Cell Cell>Out"),
        until=until,
        trace=lambda e: left.append(e.time) if (e.object, e.kind) == ("Cell", "exit") else None,
        **more,
    )
    return left, report


def test_one_item_at_a_time_goes_through_every_process(model):
    left, report = line(model, [["Wash", 5], ["Setup", 2], ["Inspecting", "return 3;"]])
    assert left == list(range(10, 101, 10))
    figures = report.kpis.objects["Cell"]
    assert figures.content_max.mean == 1
    # A process that is named like a state takes it; the others count as processing.
    assert {n: t.mean for n, t in figures.states.items()} == {"processing": 50, "setup": 20, "inspecting": 30}


def test_process_times_may_be_distributions(model):
    left, report = line(model, [["A", "return uniform(4, 6);"], ["B", "return uniform(1, 3);"]], until=7000)
    assert report.kpis.objects["Cell"].staytime_average.mean == pytest.approx(7, abs=0.15)
    assert len(left) == pytest.approx(1000, abs=20)


def test_process_time_sees_the_item(model):
    code = "Object item = param(1); return item.Type == 1 ? 0 : 8;"
    objects = {
        "In": ("Source", {"InterArrivalTime": 20, "Triggers.OnCreation": "Object i = param(1); i.Type = time() > 25;"}),
        "Cell": ("MultiProcessor", {"ProcessTable": [["A", code], ["B", 4]]}),
        "Out": ("Sink", {}),
    }
    report = run(model(objects, "In>Cell Cell>Out"), until=70)
    assert report.kpis.objects["Cell"].states["processing"].mean == 8 + 4 + 4 + 4


def test_on_process_finish_gets_the_number_of_the_process(model):
    trigger = "print(time(), param(1).rank, param(2));"
    _, report = line(model, [["A", 5], ["B", 2]], until=13, properties={"Triggers.OnProcessFinish": trigger})
    assert report.output == ("5 1 1", "7 1 2", "12 1 1")


def test_a_blocked_multiprocessor_takes_nothing(model):
    objects = {
        "In": ("Source", {"InterArrivalTime": 0}),
        "Cell": ("MultiProcessor", {"ProcessTable": [["A", 1], ["B", 2]]}),
        "Work": ("Processor", {"ProcessTime": 10}),
        "Out": ("Sink", {}),
    }
    report = run(model(objects, "In>Cell Cell>Work Work>Out"), until=103)
    states = {n: t.mean for n, t in report.kpis.objects["Cell"].states.items()}
    # At 3 the first item goes on; the second one is done at 6 and leaves at 13, and so on.
    assert states == {"processing": 3 * 11, "blocked": 70}


def test_a_stopped_multiprocessor_keeps_the_time_left(model):
    properties = {
        "Triggers.OnReset": "Object current = ownerobject(c); senddelayedmessage(current, 4, current, 1);"
        "senddelayedmessage(current, 9, current, 0);",
        "Triggers.OnMessage": "Object current = ownerobject(c);"
        "if (msgparam(1)) current.stop(STATE_MAINTENANCE); else current.resume();",
    }
    left, report = line(model, [["A", 5], ["B", 2]], until=20, properties=properties)
    assert left == [12, 19]
    assert report.kpis.objects["Cell"].states["maintenance"].mean == 5


def test_without_a_table_the_assumption_is_named(model):
    _, report = line(model, None)
    assert [d.code for d in report.diagnostics] == ["assumed"]


@pytest.mark.parametrize(
    "reference",
    [[], [0, 0, "Man"], [0, 0, "return current.centerObjects[1];"], [0, 0, "current.centerObjects[1]"]],
)
def test_a_process_waits_for_its_operators(model, reference):
    code = [f"Object current = ownerobject(c); {text}" if "return" in str(text) else text for text in reference]
    objects = {
        "In": ("Source", {"InterArrivalTime": 0}),
        "Cell": ("MultiProcessor", {"ProcessTable": [["Wash", 5], ["Inspecting", 3, 1, *code]]}),
        "Man": ("Operator", {}),
        "Out": ("Sink", {}),
    }
    script = model(objects, "In>Cell Cell>Out") + '\ncontextdragconnection(Cell, Man, "S");'
    report = run(script, until=1000)
    assert report.verdict is Verdict.OK
    assert not report.diagnostics
    cell, man = report.kpis.objects["Cell"], report.kpis.objects["Man"]
    # He walks to the machine for the first item only, and stays beside it.
    way = cell.states["waiting for operator"].mean
    assert 0 < way < 10
    assert man.states["utilize"].mean == pytest.approx(cell.states["inspecting"].mean)
    assert cell.output.mean == (1000 - way) // 8
    assert cell.utilisation.mean == pytest.approx((1000 - way) / 1000)


def test_a_process_without_an_operator_at_a_center_port_is_a_fault(model):
    _, report = line(model, [["Wash", 5, 1]])
    assert report.verdict is Verdict.RUN_ERROR
    assert "has no center port" in report.diagnostics[-1].hint
