"""Items that are carried: two stations by hand, capacity, ports, places that are kept, preemption, laws."""

import collections
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulator_plants import INSTANT, STILL, literal, plant, states, times, traced

from vlsm_jax.simulator import Budget, Verdict, run

TIMED = {**STILL, "LoadTime": 2, "UnloadTime": 3}


def line(executer=("TaskExecuter", (0, 0), TIMED), queue=None, processor=None, more="", source=None):
    objects = {
        "In": ("Source", (-10, 0), {"InterArrivalTime": 10, **(source or {})}),
        "Line": ("Queue", (0, 0), {"UseTransport": 1, **(queue or {})}),
        "Work": ("Processor", (10, 0), {"ProcessTime": 5, **(processor or {})}),
        "Out": ("Sink", (20, 0), {}),
        "Carrier": executer,
    }
    return plant(objects, "In>Line Line>Work Work>Out Line-Carrier", more)


def test_two_stations_event_by_event():
    report, events = traced(line(), 80)
    # Item 1: called at 10, loaded by 12, the front edge drives 9 m to the centre of Work, unloaded by 24, out at 29.
    # Item 2: its place is free at 29; 8 m back, load, 8 m, unload: 37, 39, 47, 50; out at 55. Item 3 alike, 26 later.
    assert times(events, "entry", "Carrier") == [12, 39, 65]
    assert times(events, "exit", "Line") == [12, 39, 65]
    assert times(events, "entry", "Work") == times(events, "exit", "Carrier") == [24, 50, 76]
    assert times(events, "entry", "Out") == [29, 55]
    assert states(report, "Carrier") == pytest.approx(
        {"idle": 10 + 5 + 5 + 4, "travel empty": 16, "travel loaded": 9 + 8 + 8, "loading": 6, "unloading": 9}
    )
    carrier = report.kpis.objects["Carrier"]
    assert (carrier.input.mean, carrier.output.mean) == (3, 3)
    assert carrier.staytime_min.mean == 11  # 8 m and 3 s
    assert carrier.utilisation.mean == pytest.approx(1 - 24 / 80)
    # Waiting for transport from the call to the load, releasing while Work has no room.
    assert states(report, "Line")["waiting for transport"] == pytest.approx(2 + 10 + 10)


def test_offset_travel_of_each_class():
    executer = ("TaskExecuter", (0, 0), {**INSTANT, "LoadTime": 2, "UnloadTime": 3})
    report, events = traced(line(executer), 40)
    # On to the centre of Work: 10 m in all.
    assert times(events, "entry", "Work") == [25]
    assert states(report, "Carrier")["offset travel loaded"] == pytest.approx(1)
    # An operator stops where its front edge meets the item's: 0.2 + 0.305 before the centre, where travel ends already.
    report, events = traced(line(("Operator", (0, 0), {**INSTANT, "LoadTime": 2, "UnloadTime": 3})), 40)
    assert times(events, "entry", "Work") == pytest.approx([10 + 2 + 9.8 + 3])
    assert "offset travel loaded" not in states(report, "Carrier")


def test_load_and_unload_times_are_code_of_item_and_station():
    code = (
        "Object item = param(1); Object station = param(2);"
        'if (station.name == "Line") return 7; return station.name == "Work" ? item.Weight : 0;'
    )
    source = {"Triggers.OnCreation": "Object item = param(1); item.Weight = 4; return 0;"}
    executer = ("TaskExecuter", (0, 0), {**STILL, "LoadTime": code, "UnloadTime": code})
    _, events = traced(line(executer, source=source), 40)
    assert times(events, "entry", "Carrier") == [17]
    assert times(events, "entry", "Work") == [17 + 9 + 4]


def test_one_trip_for_as_many_as_there_is_room():
    batch = {"DoBatching": 1, "BatchSize": 4}
    executer = ("TaskExecuter", (0, 0), {**TIMED, "Capacity": 3})
    script = line(executer, batch, {"MaxContent": 10, "ProcessTime": 1000})
    report, events = traced(script, 110)
    # Four items are called for at 40. Three are loaded, 2 s each, then 9 m there; the last one loaded goes first.
    assert times(events, "entry", "Carrier")[:3] == [42, 44, 46]
    assert times(events, "entry", "Work")[:3] == [58, 61, 64]
    assert [item for _, kind, name, item in events if (kind, name) == ("entry", "Work")][:3] == [3, 2, 1]
    # The fourth is fetched afterwards: 8 m back, load, 8 m, unload.
    assert times(events, "entry", "Carrier")[3] == 74
    assert times(events, "entry", "Work")[3] == 85
    assert report.kpis.objects["Carrier"].content_max.mean == 3


UNSTARTED = (
    "TaskExecuter current = ownerobject(c); TaskSequence active = param(1); TaskSequence found = NULL;"
    "for (int i = 1; i <= current.taskSequences.length && !found; i++) { TaskSequence ts = current.taskSequences[i];"
    "if (gettotalnroftasks(ts) == getnroftasks(ts) && ts != active) found = ts; } return found;"
)


@pytest.mark.parametrize("break_to", [None, UNSTARTED])
def test_one_trip_from_the_queue_of_a_dispatcher(break_to):
    executer = {**TIMED, "Capacity": 3, **({"BreakTo": break_to} if break_to else {})}
    objects = {
        "In": ("Source", (-10, 0), {"InterArrivalTime": 10}),
        "Line": ("Queue", (0, 0), {"UseTransport": 1, "DoBatching": 1, "BatchSize": 4}),
        "Work": ("Processor", (10, 0), {"ProcessTime": 1000, "MaxContent": 10}),
        "Out": ("Sink", (20, 0), {}),
        "Team": ("Dispatcher", (0, 9), {}),
        "Carrier": ("TaskExecuter", (0, 0), executer),
    }
    _, events = traced(plant(objects, "In>Line Line>Work Work>Out Line-Team Team>Carrier"), 90)
    assert times(events, "entry", "Carrier") == [42, 44, 46, 74]
    assert times(events, "entry", "Work") == [58, 61, 64, 85]


def test_break_to_nothing_goes_one_by_one():
    executer = ("TaskExecuter", (0, 0), {**TIMED, "Capacity": 3, "BreakTo": "return NULL;"})
    script = line(executer, {"DoBatching": 1, "BatchSize": 2}, {"MaxContent": 10, "ProcessTime": 1000})
    report, _ = traced(script, 100)
    assert report.kpis.objects["Carrier"].content_max.mean == 1


def test_a_place_is_kept_and_the_counters_can_be_read():
    show = 'Object current = ownerobject(c); print(time(), getvarnum(current, "nroftransportsin"), '
    more = (
        f'Work.setProperty("Triggers.OnEntry", {literal(show + "getvarnum(current, ")} + "\\"nroftransportsout\\"));");'
    )
    report, _ = traced(line(more=more), 60)
    assert report.output == ("24 0 0", "50 0 0")


def test_transport_from_a_source_and_from_a_processor():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10, "UseTransport": 1}),
        "Work": ("Processor", (10, 0), {"ProcessTime": 5, "UseTransport": 1}),
        "Out": ("Sink", (20, 0), {}),
        "Carrier": ("TaskExecuter", (0, 0), STILL),
    }
    report, events = traced(plant(objects, "In>Work Work>Out In-Carrier Work-Carrier"), 60)
    # Created at 10 and loaded at once, 9 m; ready at 24. The next one is created 10 after the pick-up.
    assert times(events, "exit", "In")[:1] == [10]
    assert times(events, "entry", "Work")[:1] == [19]
    # Carrier stands at 9, and the centre of Work is under its front edge; from there it is 11 - 1 m to the Sink.
    assert times(events, "entry", "Out")[:1] == [34]
    assert report.kpis.objects["In"].states["blocked"].mean > 0


def test_transport_of_its_own_by_a_script():
    code = (
        'Object item = param(1); Object current = ownerobject(c); Object carrier = Model.find("Carrier");'
        "Object destination = param(3);"
        "TaskSequence ts = TaskSequence.create(carrier, 0, 0);"
        "ts.addTask(TASKTYPE_TRAVEL, current); ts.addTask(TASKTYPE_FRLOAD, item, current);"
        "ts.addTask(TASKTYPE_DELAY, NULL, NULL, 4, STATE_BUSY);"
        "ts.addTask(TASKTYPE_TRAVEL, destination); ts.addTask(TASKTYPE_FRUNLOAD, item, destination);"
        "ts.dispatch(); return 0;"
    )
    report, events = traced(line(queue={"TransportRef": code}), 40)
    assert times(events, "entry", "Work") == [10 + 2 + 4 + 9 + 3]
    assert states(report, "Carrier")["busy"] == 4


def test_transport_to_the_ports_of_a_combiner_and_with_a_pull():
    objects = {
        "A": ("Source", (0, 0), {"InterArrivalTime": 10, "UseTransport": 1}),
        "B": ("Source", (0, 10), {"InterArrivalTime": 3, "UseTransport": 1}),
        "Pack": ("Combiner", (20, 0), {"ComponentsList": [[2]], "ProcessTime": 1}),
        "Out": ("Sink", (40, 0), {"Pull": 1}),
        "Carrier": ("TaskExecuter", (0, 0), {**STILL, "Capacity": 2}),
    }
    report, events = traced(plant(objects, "A>Pack B>Pack Pack>Out A-Carrier B-Carrier"), 600)
    packed = report.kpis.objects["Pack"]
    assert packed.output.mean == report.kpis.objects["Out"].input.mean > 3
    entries = [item for _, kind, name, item in events if (kind, name) == ("entry", "Pack")]
    assert len(entries) == len(set(entries))
    assert 3 * packed.output.mean <= len(entries) <= 3 * packed.output.mean + 3


def test_send_to_port_decides_the_destination():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 100, "UseTransport": 1, "SendToPort": "return 2;"}),
        "Left": ("Sink", (10, 0), {}),
        "Right": ("Sink", (30, 0), {}),
        "Carrier": ("TaskExecuter", (0, 0), STILL),
    }
    _, events = traced(plant(objects, "In>Left In>Right In-Carrier"), 200)
    assert times(events, "entry", "Right") == [129]
    assert not times(events, "entry", "Left")


def test_without_a_center_port_the_exception_says_what_to_connect():
    script = line().replace('contextdragconnection(Line, Carrier, "S");', "")
    report = run(script, until=100)
    assert report.verdict is Verdict.RUN_ERROR
    fault = next(d for d in report.diagnostics if d.severity.value == "error")
    assert "Array index out of bounds" in fault.message
    assert "'Line'" in fault.message
    assert '"S"' in fault.hint


def test_a_center_port_that_leads_to_no_executer():
    script = line().replace("(Line, Carrier,", "(Line, Out,")
    report = run(script, until=100)
    assert report.verdict is Verdict.RUN_ERROR
    assert any("'Out'" in d.message and "Line" in d.message for d in report.diagnostics)


def test_an_empty_team_is_a_diagnostic_and_no_hang():
    report = run(line(("Dispatcher", (0, 0), {})), until=200)
    assert report.verdict is Verdict.NO_FLOW
    assert any(d.code == "team" and "'Carrier'" in d.message for d in report.diagnostics)


def test_an_executer_without_speed_is_a_fault():
    report = run(line(("TaskExecuter", (5, 0), {**STILL, "MaxSpeed": 0})), until=100)
    assert report.verdict is Verdict.RUN_ERROR
    assert any("MaxSpeed of 'Carrier'" in d.message for d in report.diagnostics)


def test_preempting_transport_goes_first_and_nothing_is_lost():
    objects = {
        "Slow": ("Source", (0, 0), {"InterArrivalTime": 10, "UseTransport": 1}),
        "Urgent": (
            "Source",
            (0, 0),
            {
                "ArrivalStyle": "Arrival Schedule",
                "ArrivalSchedule": [[14, "urgent", 1]],
                "UseTransport": 1,
                "TransportPriority": 5,
                "TransportPreempt": "Preempt Only",
            },
        ),
        "Far": ("Sink", (31, 0), {}),
        "Near": ("Sink", (-31, 0), {}),
        "Carrier": ("TaskExecuter", (0, 0), {**STILL, "Capacity": 2}),
    }
    report, events = traced(plant(objects, "Slow>Far Urgent>Near Slow-Carrier Urgent-Carrier"), 110)
    # On its way to Far at 14 it has come to x = 4: 3 m back, then 31 - 1 - 1 to Near; then across to Far.
    assert times(events, "entry", "Near")[0] == pytest.approx(14 + 3 + 31)
    assert times(events, "entry", "Far")[0] == pytest.approx(48 + 30 + 30)
    assert any(d.code == "capacity" for d in report.diagnostics) is False


def test_aborted_transport_is_reported():
    objects = {
        "Slow": ("Source", (0, 0), {"InterArrivalTime": 10, "UseTransport": 1}),
        "Urgent": (
            "Source",
            (0, 0),
            {
                "ArrivalStyle": "Arrival Schedule",
                "ArrivalSchedule": [[14, "urgent", 1]],
                "UseTransport": 1,
                "TransportPriority": 5,
                "TransportPreempt": 2,
            },
        ),
        "Far": ("Sink", (31, 0), {}),
        "Near": ("Sink", (-31, 0), {}),
        "Carrier": ("TaskExecuter", (0, 0), {**STILL, "Capacity": 2}),
    }
    report, events = traced(plant(objects, "Slow>Far Urgent>Near Slow-Carrier Urgent-Carrier"), 200)
    assert any(d.code == "aborted" for d in report.diagnostics)
    assert not any(item == 1 for _, kind, name, item in events if (kind, name) == ("entry", "Far"))


def test_what_is_carried_is_work_in_process():
    report, _ = traced(line(), 80)
    # Items 1 to 3 are aboard for 12, 11 and 11 s; nothing else is in the model but what waits and what is worked on.
    contents = {name: e.content_average.mean for name, e in report.kpis.objects.items()}
    assert contents["Carrier"] == pytest.approx((12 + 11 + 11) / 80)
    assert report.kpis.wip.mean == pytest.approx(sum(contents.values()))


def test_items_that_are_carried_round_in_no_time_are_found():
    fast = {**INSTANT, "MaxSpeed": 1e300}
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10}),
        "A": ("Queue", (0, 0), {"UseTransport": 1}),
        "B": ("Queue", (0, 0), {"UseTransport": 1}),
        "Out": ("Sink", (0, 0), {}),
        "Carrier": ("TaskExecuter", (0, 0), fast),
    }
    report = run(plant(objects, "In>A A>B B>A B>Out A-Carrier B-Carrier"), until=100)
    assert report.verdict is Verdict.BUDGET
    assert any("at time 10" in d.message for d in report.diagnostics)


def test_the_same_seed_gives_the_same_run():
    script = line(
        ("Transporter", (3, 4), {"LoadTime": "return exponential(0, 2, getstream(current));"}),
        source={"InterArrivalTime": "return exponential(0, 30, getstream(current));"},
    )
    first, second = traced(script, 2000, seed=3), traced(script, 2000, seed=3)
    assert first[1] == second[1]
    assert first[0].kpis.to_dict() == second[0].kpis.to_dict()
    assert traced(script, 2000, seed=4)[1] != first[1]


def test_warmup_and_a_second_replication_begin_where_the_script_put_the_executer():
    report, _ = traced(line(), 80, replications=2)
    assert report.kpis.objects["Carrier"].states["travel empty"].half_width == 0


# --- Laws -------------------------------------------------------------------------------------------------------------


@st.composite
def plants(draw):
    """A line of stations with transporters, a team and operators here and there, and a run length."""
    count = draw(st.integers(1, 3))
    objects = {"In": ("Source", (0, 0), {"InterArrivalTime": draw(st.sampled_from([3, 7.5, 20]))})}
    links, path = [], ["In"]
    for number in range(1, count + 1):
        name = f"X{number}"
        where = (6 * number, draw(st.integers(-5, 5)), draw(st.sampled_from([0, 1])))
        kind = draw(st.sampled_from(["Queue", "Processor", "Processor"]))
        if kind == "Queue":
            properties = {"MaxContent": draw(st.integers(1, 4))}
            if draw(st.booleans()):
                properties |= {"DoBatching": 1, "BatchSize": 1, "FlushContent": draw(st.integers(0, 1))}
        else:
            properties = {
                "MaxContent": draw(st.integers(1, 2)),
                "ProcessTime": draw(st.sampled_from([0, 2, 9])),
                "SetupTime": draw(st.sampled_from([0, 1])),
                "UseProcessOperators": draw(st.integers(0, 1)),
                "UseSetupOperators": draw(st.integers(0, 1)),
                "UseSameNumOperators": draw(st.integers(0, 1)),
                "NumProcessOperators": draw(st.integers(1, 2)),
                "OperatorPriority": draw(st.integers(0, 2)),
                "OperatorPreempt": draw(st.sampled_from([0, 1])),
            }
        objects[name] = (kind, where, properties)
        path.append(name)
    objects["Out"] = ("Sink", (30, 0), {})
    path.append("Out")
    links += [f"{a}>{b}" for a, b in itertools.pairwise(path)]
    cls = draw(st.sampled_from(["TaskExecuter", "Operator", "Transporter", "ASRSvehicle", "Elevator", "Crane"]))
    members = draw(st.integers(2, 3))
    for number in range(members):
        properties = {
            "Capacity": draw(st.integers(1, 3)),
            "LoadTime": draw(st.sampled_from([0, 1.5])),
            "UnloadTime": draw(st.sampled_from([0, 0.5])),
            "OffsetTravel": draw(st.integers(0, 1)),
        }
        objects[f"T{number}"] = (cls, (draw(st.integers(0, 30)), 3), properties)
    objects["Team"] = ("Dispatcher", (0, 9), {})
    links += [f"Team>T{number}" for number in range(members)]
    for name in path[:-1]:
        links.append(f"{name}-{draw(st.sampled_from(['Team', 'Team', 'T0']))}")
        if draw(st.booleans()):
            objects[name][2].update(
                UseTransport=1,
                TransportPriority=draw(st.integers(0, 2)),
                TransportPreempt=draw(st.sampled_from([0, 1])),
            )
    return plant(objects, " ".join(links))


@given(plants(), st.integers(0, 3), st.sampled_from([0.0, 25.0]))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_lost_or_doubled_and_states_sum_to_the_run(script, seed, warmup):
    until, trace = 150.0, []
    report = run(script, until=until, warmup=warmup, seed=seed, trace=trace.append, budget=Budget(events=100_000))
    assert report.verdict in (Verdict.OK, Verdict.NO_FLOW), report.diagnostics
    where: dict[int, str | None] = {}
    area = collections.Counter()
    since: dict[int, float] = {}
    for event in trace:
        if event.kind == "entry":
            assert where.get(event.item) is None, (event, where)
            where[event.item] = event.object
            since[event.item] = event.time
        else:
            assert where.get(event.item, "In") == event.object
            if event.object != "In":
                area[event.object] += max(0.0, event.time - max(warmup, since[event.item]))
            where[event.item] = None
    for item, name in where.items():
        assert name is not None  # nothing is nowhere: what left one object entered another at the same time
        if name != "Out":
            area[name] += until - max(warmup, since[item])
    held = collections.Counter(where.values())
    for name, statistics in report.kpis.objects.items():
        assert sum(e.mean for e in statistics.states.values()) == pytest.approx(until - warmup, abs=1e-9)
        if name not in ("In", "Out"):
            assert statistics.content_current.mean == held[name]
            assert statistics.content_average.mean * (until - warmup) == pytest.approx(area[name], abs=1e-7)
