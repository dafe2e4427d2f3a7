"""Operators at stations: by hand, against Erlang's formulas and the machine repair model, and called away."""

import math

import pytest
from simulator_plants import INSTANT, literal, plant, states, times, traced

from vlsm_jax.simulator import Verdict, run


def exponential(mean: float) -> str:
    return f"return exponential(0, {mean!r}, getstream(current));"


def station(properties, more="", operators=1, team=False, arrival=20):
    objects = {
        "In": ("Source", (-20, 0), {"InterArrivalTime": arrival}),
        "Work": ("Processor", (0, 0), {"ProcessTime": 5, **properties}),
        "Out": ("Sink", (20, 0), {}),
    }
    links = "In>Work Work>Out"
    for number in range(1, operators + 1):
        objects[f"Op{number}"] = ("Operator", (8 * number, 0), INSTANT)
    if team:
        objects["Team"] = ("Dispatcher", (0, 20), {})
        links += " Work-Team" + "".join(f" Team>Op{number}" for number in range(1, operators + 1))
    else:
        links += " Work-Op1"
    return plant(objects, links, more)


def test_the_station_waits_until_the_operator_has_come():
    report, events = traced(station({"UseProcessOperators": 1}), 60)
    # 8 m less half of 0.4 m to go for the first item; afterwards the operator is there.
    assert times(events, "entry", "Out") == pytest.approx([20 + 7.8 + 5, 45])
    assert states(report, "Work") == pytest.approx(
        {"idle": 20 + 7.2 + 15, "waiting for operator": 7.8, "processing": 10}
    )
    assert states(report, "Op1") == pytest.approx({"idle": 42.2, "travel empty": 7.8, "utilize": 10})
    assert report.kpis.objects["Op1"].utilisation.mean == pytest.approx(17.8 / 60)


def test_setup_and_process_operators_kept_or_called_anew():
    both = {"SetupTime": 3, "UseSetupOperators": 1, "UseProcessOperators": 1, "NumProcessOperators": 1}
    _, kept = traced(station(both), 40)
    assert times(kept, "entry", "Out") == pytest.approx([20 + 7.8 + 3 + 5])
    anew = {**both, "UseSameNumOperators": 0, "NumProcessOperators": 2}
    report, events = traced(station(anew, operators=2, team=True), 60)
    # The first does the setup alone; at its end both are called, and the second comes from 16 m away. For the next
    # item both are there.
    assert times(events, "entry", "Out") == pytest.approx([20 + 7.8 + 3 + 15.8 + 5, 51.6 + 3 + 5])
    assert states(report, "Work")["setup"] == pytest.approx(6)
    assert states(report, "Work")["waiting for operator"] == pytest.approx(7.8 + 15.8)


def test_who_is_free_again_is_the_first_to_be_called_by_the_same_station():
    anew = {"SetupTime": 3, "UseSetupOperators": 1, "UseProcessOperators": 1, "UseSameNumOperators": 0}
    report, events = traced(station(anew, operators=2, team=True), 60)
    # The operator of the setup stands beside the station, so he does the processing too, and nobody walks again.
    assert times(events, "entry", "Out") == pytest.approx([20 + 7.8 + 3 + 5, 40 + 3 + 5])
    assert states(report, "Op2") == {"idle": 60}


def test_the_operator_of_a_station_takes_the_item_away_that_he_worked_on():
    report, _ = traced(station({"UseProcessOperators": 1, "UseTransport": 1}, operators=2, team=True, arrival=50), 99)
    assert states(report, "Op2") == {"idle": 99}
    assert "waiting for transport" not in states(report, "Work")


def test_setup_operators_are_called_without_a_setup_time():
    _, events = traced(station({"UseSetupOperators": 1}), 40)
    assert times(events, "entry", "Out") == pytest.approx([20 + 7.8 + 5])


def test_several_operators_for_one_item():
    report, events = traced(station({"UseProcessOperators": 1, "NumProcessOperators": 3}, "", 3, True), 60)
    # The last one comes from 24 m away.
    assert times(events, "entry", "Out")[0] == pytest.approx(20 + 23.8 + 5)
    assert states(report, "Op1")["utilize"] == pytest.approx(16 + 5 + 5)
    assert states(report, "Work")["waiting for operator"] == pytest.approx(23.8)


def test_operator_reference_sees_the_item_and_the_phase():
    code = (
        "Object item = param(1); int phase = param(2); print(item.Kind, phase);"
        'if (phase == 1) return Model.find("Op1"); return Model.find("Op2");'
    )
    more = 'In.setProperty("Triggers.OnCreation", "Object item = param(1); item.Kind = 7; return 0;");'
    both = {"SetupTime": 3, "UseSetupOperators": 1, "UseProcessOperators": 1, "UseSameNumOperators": 0}
    report, _ = traced(station({**both, "OperatorRef": code}, more, operators=2), 60)
    assert report.output[:2] == ("7 1", "7 2")
    assert states(report, "Op1")["utilize"] == pytest.approx(3 + 3)
    assert states(report, "Op2")["utilize"] == pytest.approx(5 + 5)


def test_too_small_a_team_waits_for_ever_and_is_named():
    report = run(station({"UseProcessOperators": 1, "NumProcessOperators": 2}), until=500)
    assert report.verdict is Verdict.NO_FLOW
    assert any(d.code == "team" and "'Work'" in d.message and "2" in d.message for d in report.diagnostics)


def test_a_preempted_operator_holds_the_station_until_he_is_back():
    objects = {
        "In": ("Source", (-20, 0), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[10, "a", 1]]}),
        "Work": ("Processor", (0, 0), {"ProcessTime": 20, "UseProcessOperators": 1}),
        "Out": ("Sink", (20, 0), {}),
        "Alarm": ("Source", (0, 20), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[15, "b", 1]]}),
        "Repair": (
            "Processor",
            (0, 30),
            {"ProcessTime": 4, "UseProcessOperators": 1, "OperatorPriority": 3, "OperatorPreempt": "Preempt Only"},
        ),
        "Fixed": ("Sink", (20, 30), {}),
        "Op": ("Operator", (0, 0), INSTANT),
    }
    report, events = traced(plant(objects, "In>Work Work>Out Alarm>Repair Repair>Fixed Work-Op Repair-Op"), 200)
    # Called away at 15, with 15 s of work left: 30 - 0.2 m there, 4 s, 29.8 - 0.2 m back to the centre of Work.
    there, back = 29.8, 29.6
    assert times(events, "entry", "Fixed") == pytest.approx([15 + there + 4])
    assert times(events, "entry", "Out") == pytest.approx([15 + there + 4 + back + 15])
    assert states(report, "Work") == pytest.approx(
        {"idle": 200 - 20 - there - 4 - back, "processing": 20, "waiting for operator": there + 4 + back}
    )
    assert states(report, "Op")["utilize"] == pytest.approx(24)


def test_a_stopped_operator_holds_the_station():
    more = 'In.setProperty("Triggers.OnExit", "senddelayedmessage(Model.find(\\"Op1\\"), 10, NULL);");'
    more += (
        'Op1.setProperty("Triggers.OnMessage", "Object op = ownerobject(c); if (msgparam(1)) resumeobject(op); else {'
        'stopobject(op, STATE_LUNCH); senddelayedmessage(op, 6, NULL, 1); }");'
    )
    report, events = traced(station({"UseProcessOperators": 1}, more), 40)
    # He begins at 27.8 and works until 30; back at 36, 2.8 s are left.
    assert times(events, "entry", "Out") == pytest.approx([36 + 2.8])
    assert states(report, "Op1")["lunch"] == 6
    assert states(report, "Work")["waiting for operator"] == pytest.approx(7.8 + 6)


def test_a_model_that_waits_for_an_operator_for_ever_says_so():
    more = 'Out.setProperty("Triggers.OnEntry", "stopobject(Model.find(\\"Op1\\"), STATE_DOWN);");'
    report = run(station({"UseProcessOperators": 1}, more), until=5_000)
    assert report.verdict is Verdict.OK  # one item came through
    found = next(d for d in report.diagnostics if d.code == "blocked")
    assert "'Work'" in found.message
    assert "nothing moves any more" in found.message


def test_requestoperators_and_freeoperators():
    enter = "Object item = param(1); Object current = ownerobject(c);"
    enter += 'requestoperators(Model.find("Op1"), current, item, 1);'
    leave = 'Object item = param(1); freeoperators(Model.find("Op1"), item);'
    more = f'Work.setProperty("Triggers.OnEntry", {literal(enter)});'
    more += f'Work.setProperty("Triggers.OnProcessFinish", {literal(leave)});'
    report, events = traced(station({}, more), 60)
    assert times(events, "entry", "Out") == pytest.approx([32.8, 45])
    assert states(report, "Op1")["utilize"] == pytest.approx(10)


def test_operators_at_combiner_and_separator():
    objects = {
        "A": ("Source", (0, 0), {"InterArrivalTime": 10}),
        "B": ("Source", (0, 5), {"InterArrivalTime": 10}),
        "Pack": ("Combiner", (10, 0), {"ProcessTime": 2, "UseProcessOperators": 1}),
        "Part": ("Separator", (20, 0), {"ProcessTime": 1, "UseProcessOperators": 1}),
        "Out": ("Sink", (30, 0), {}),
        "Op": ("Operator", (10, 0), {**INSTANT, "MaxSpeed": 1e9}),
    }
    report, events = traced(plant(objects, "A>Pack B>Pack Pack>Part Part>Out Pack-Op Part-Op"), 100)
    assert times(events, "entry", "Part")[:2] == pytest.approx([12, 22])
    assert times(events, "entry", "Out")[:2] == pytest.approx([13, 13])
    assert states(report, "Op")["utilize"] == pytest.approx(9 * 3)


# --- Theory -----------------------------------------------------------------------------------------------------------


def erlang_c(servers: int, load: float) -> float:
    """The probability that a customer waits in M/M/c."""
    terms = [load**n / math.factorial(n) for n in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def assert_covers(estimate, exact: float, relative: float) -> None:
    low, high = estimate.interval(0.999)
    assert low <= exact <= high, f"{exact} is outside of {low} to {high}"
    assert high - low <= 2 * relative * exact, f"the interval {low} to {high} is too wide to say anything"


AT_ONCE = {"MaxSpeed": 1e12, "Acceleration": 0, "Deceleration": 0}


def test_shared_operators_are_the_servers_of_mmc():
    servers, arrivals = 2, 1.6
    objects = {"In": ("Source", (0, 0), {"InterArrivalTime": exponential(1 / arrivals)})}
    objects["Line"] = ("Queue", (0, 0), {"MaxContent": 1000000})
    links = "In>Line"
    stations = 5  # more than operators: one that is free always finds work
    for number in range(stations):
        objects[f"P{number}"] = ("Processor", (0, 0), {"ProcessTime": exponential(1), "UseProcessOperators": 1})
        links += f" Line>P{number} P{number}>Out P{number}-Team"
    objects |= {"Out": ("Sink", (0, 0), {}), "Team": ("Dispatcher", (0, 0), {})}
    for number in range(servers):
        objects[f"Op{number}"] = ("Operator", (0, 0), AT_ONCE)
        links += f" Team>Op{number}"
    report = run(plant(objects, links), until=2_200, warmup=150, replications=16, seed=1)
    assert report.verdict is Verdict.OK, report.diagnostics
    wait = erlang_c(servers, arrivals) / (servers - arrivals)
    assert wait == pytest.approx(1.777778, abs=1e-6)
    assert_covers(report.kpis.lead_time, wait + 1, 0.25)
    assert_covers(report.kpis.wip, arrivals * (wait + 1), 0.25)
    for number in range(servers):
        assert report.kpis.objects[f"Op{number}"].utilisation.mean == pytest.approx(arrivals / servers, abs=0.06)


def test_operators_repair_machines():
    machines, repairers, throughput, availability = 5, 1, 0.4360478, 0.8720956
    objects = {
        "In": (
            "Source",
            (0, 0),
            {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "machine", machines]]},
        ),
        "Running": ("Processor", (0, 0), {"ProcessTime": exponential(10), "MaxContent": machines}),
        "Out": ("Sink", (0, 0), {}),
        "Team": ("Dispatcher", (0, 0), {}),
    }
    links = "In>Running"
    for number in range(machines):
        properties = {"ProcessTime": exponential(1), "UseProcessOperators": 1, "SendToPort": 1}
        objects[f"Bench{number}"] = ("Processor", (0, 0), properties)
        links += f" Running>Bench{number} Bench{number}>Running Bench{number}>Out Bench{number}-Team"
    for number in range(repairers):
        objects[f"Op{number}"] = ("Operator", (0, 0), AT_ONCE)
        links += f" Team>Op{number}"
    report = run(plant(objects, links), until=3_000, warmup=100, replications=12, seed=5)
    assert report.verdict is Verdict.NO_FLOW  # a closed network: the Sink gets nothing
    kpis = report.kpis
    assert_covers(kpis.objects["Running"].content_average, machines * availability, 0.02)
    assert_covers(kpis.objects["Op0"].utilisation, throughput, 0.08)
