"""Ports that scripts open, close, stop and resume; properties that change during a run; lines of everything."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlsm_jax.simulator import Verdict, run

CURRENT = "Object current = ownerobject(c); "


def line(model, work, *, until=60.0, script="", queue=None, source=None):
    """Source every 10 s, Queue, Processor of 1 s, Sink; returns the times at which Work is entered and the Report."""
    objects = {
        "In": ("Source", {"InterArrivalTime": 10, **(source or {})}),
        "Line": ("Queue", queue or {}),
        "Work": ("Processor", {"ProcessTime": 1, **work}),
        "Out": ("Sink", {}),
    }
    times = []
    report = run(
        model(objects, "In>Line Line>Work Work>Out") + script,
        until=until,
        trace=lambda e: times.append(e.time) if (e.object, e.kind) == ("Work", "entry") else None,
    )
    return times, report


def switch(on, off, first=15, second=35):
    """Triggers that run one piece of code at 15 and another at 35."""
    return {
        "Triggers.OnReset": CURRENT
        + f"senddelayedmessage(current, {first}, current, 1); senddelayedmessage(current, {second}, current, 2);",
        "Triggers.OnMessage": CURRENT + f"if (msgparam(1) == 1) {{ {on} }} else {{ {off} }}",
    }


@pytest.mark.parametrize(
    ("on", "off"),
    [
        ("closeinput(current);", "openinput(current);"),
        ("current.input.close();", "current.input.open();"),
        ("stopinput(current);", "resumeinput(current);"),
        ("current.input.stop();", "current.input.resume();"),
        ("stopinput(current); stopinput(current); resumeinput(current);", "resumeinput(current);"),
        ('closeoutput(Model.find("Line"));', 'openoutput(Model.find("Line"));'),
        ('Model.find("Line").output.close();', 'Model.find("Line").output.open();'),
        ('stopoutput(Model.find("Line"));', 'resumeoutput(Model.find("Line"));'),
        ('Model.find("Line").output.stop();', 'Model.find("Line").output.resume();'),
    ],
)
def test_a_closed_port_lets_nothing_through_until_it_opens(model, on, off):
    times, report = line(model, switch(on, off))
    assert times == [10, 35, 36, 40, 50, 60]
    assert report.kpis.objects["Line"].content_max.mean == 2


def test_closing_a_port_does_not_stop_the_work(model):
    _, report = line(model, {"ProcessTime": 8, **switch("closeinput(current);", "openinput(current);", 12, 15)})
    assert report.kpis.objects["Work"].states["processing"].mean == 5 * 8


def test_openinput_does_not_undo_stopinput(model):
    times, _ = line(model, switch("stopinput(current); openinput(current);", "resumeinput(current);"))
    assert times == [10, 35, 36, 40, 50, 60]


def test_a_port_of_what_has_none_is_refused_by_name(model):
    script = '\nObject Man = Object.create("Operator"); Man.name = "Man"; contextdragconnection(Work, Man, "S");'
    _, report = line(model, {"UseProcessOperators": 1, **switch('closeinput(Model.find("Man"));', "")}, script=script)
    assert report.verdict in (Verdict.RUN_ERROR, Verdict.OK)
    assert all(d.code != "internal error" for d in report.diagnostics)


# --- Schedules and sequences of a Source ------------------------------------------------------------------------------


def arrivals(model, properties, *, until=100.0, code="print(time(), item.name);"):
    creation = {"Triggers.OnCreation": f"Object item = param(1); {code}"}
    script = model({"In": ("Source", {**properties, **creation}), "Out": ("Sink", {})}, "In>Out")
    return run(script, until=until)


def test_a_repeated_schedule_waits_for_its_first_row_once(model):
    rows = [[3, "A", 1], [5, "B", 1], [9, "", 0]]
    report = arrivals(model, {"ArrivalStyle": 2, "ArrivalSchedule": rows, "RepeatTable": 1}, until=22)
    assert report.output == ("3 A", "5 B", "9 A", "11 B", "15 A", "17 B", "21 A")


def test_a_schedule_that_repeats_at_one_time_is_found(model):
    report = arrivals(model, {"ArrivalStyle": 2, "ArrivalSchedule": [[5, "A", 1]], "RepeatTable": 1})
    assert report.verdict is Verdict.BUDGET
    assert any("repeats without time passing" in d.message for d in report.diagnostics)


def test_labels_of_arrivals_stand_in_further_columns(model):
    rows = [["ArrivalTime", "ItemName", "Quantity", "Type", "Color"], [1, "A", 2, 7, "red"], [4, "B", 1, 8, "blue"]]
    report = arrivals(
        model, {"ArrivalStyle": 2, "ArrivalSchedule": rows}, code="print(time(), item.Type, item.Color, param(2));"
    )
    assert report.output == ("1 7 red 1", "1 7 red 1", "4 8 blue 2")
    rows = [["ItemName", "Quantity", "Type"], ["A", 1, 5], ["B", 2, 6]]
    report = arrivals(model, {"ArrivalStyle": 3, "ArrivalSequence": rows}, code="print(item.name, item.Type);")
    assert report.output == ("A 5", "B 6", "B 6")


# --- Properties during a run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "times"),
    [
        ('current.setProperty("ProcessTime", 12);', 'current.setProperty("ProcessTime", 1);', [10, 20, 32, 44, 56, 60]),
        ('setvarnum(current, "cycletime", 12);', "", [10, 20, 32, 44, 56]),
        ('current.setProperty("ProcessTime", "return 12;");', "", [10, 20, 32, 44, 56]),
        ('Model.find("In").setProperty("InterArrivalTime", 15);', "", [10, 20, 35, 50]),
    ],
)
def test_times_may_change_during_a_run(model, first, second, times):
    seen, report = line(model, switch(first, second, 15, 45))
    assert seen == times
    assert report.verdict is Verdict.OK


def test_max_content_may_grow_during_a_run(model):
    work = {"ProcessTime": 25, **switch('current.setProperty("MaxContent", 3);', "", 25)}
    times, report = line(model, work)
    assert times == [10, 25, 30, 40, 50, 60]
    assert report.kpis.objects["Work"].content_max.mean == 3


def test_max_content_may_shrink_during_a_run(model):
    work = {"ProcessTime": 25, "MaxContent": 3, **switch('current.setProperty("MaxContent", 1);', "", 31)}
    times, _ = line(model, work, until=90)
    assert times == [10, 20, 30, 55, 80]


def test_send_to_port_may_change_during_a_run(model):
    objects = {
        "In": ("Source", {"InterArrivalTime": 10, **switch('current.setProperty("SendToPort", 2);', "", 25)}),
        "A": ("Sink", {}),
        "B": ("Sink", {}),
    }
    report = run(model(objects, "In>A In>B"), until=60)
    assert [report.kpis.objects[name].input.mean for name in "AB"] == [2, 4]


def test_a_property_is_as_before_in_the_next_replication(model):
    work = switch('current.setProperty("ProcessTime", 12);', "", 15)
    objects = {"In": ("Source", {"InterArrivalTime": 10}), "Work": ("Processor", {"ProcessTime": 1, **work})}
    script = model({**objects, "Out": ("Sink", {})}, "In>Work Work>Out")
    once, twice = run(script, until=60), run(script, until=60, replications=2)
    work = twice.kpis.objects["Work"].states["processing"]
    assert work.mean == once.kpis.objects["Work"].states["processing"].mean
    assert work.half_width == 0
    assert twice.twin == once.twin
    assert dict(twice.twin.objects[1].parameters)["ProcessTime"] == 1


def test_a_belt_may_change_its_speed_during_a_run(model):
    objects = {
        "In": ("Source", {"InterArrivalTime": 100, "TimeZeroArrival": 1}),
        "Belt": (
            "StraightConveyor",
            {
                "HorizontalLength": 10,
                **switch('current.setProperty("Speed", 0.5);', 'current.setProperty("Speed", 4);', 4, 8),
            },
        ),
        "Out": ("Sink", {}),
    }
    report = run(model(objects, "In>Belt Belt>Out"), until=50)
    assert report.kpis.lead_time.mean == 4 + 4 + 1  # 4 m, 2 m, and 4 m at 4 m/s


def test_the_components_of_a_batch_may_change_during_a_run(model):
    # The list is updated as each container enters, as FlexSim's pick list for it does: 1, 2, 3, ... parts.
    update = CURRENT + 'if (param(2) == 1) { current.N += 1; current.setProperty("ComponentsList", [[current.N]]); }'
    objects = {
        "Boxes": ("Source", {"InterArrivalTime": 10}),
        "Parts": ("Source", {"InterArrivalTime": 1}),
        "BoxLine": ("Queue", {}),
        "PartLine": ("Queue", {}),
        "Pack": ("Combiner", {"ProcessTime": 1, "CombineMode": "Batch", "Triggers.OnEntry": update}),
        "Out": ("Sink", {}),
    }
    links = "Boxes>BoxLine Parts>PartLine BoxLine>Pack PartLine>Pack Pack>Out"
    report = run(model(objects, links) + "\nPack.N = 0;", until=59)
    assert report.kpis.objects["Pack"].input.mean == 5 + 1 + 2 + 3 + 4 + 5
    assert report.kpis.objects["Out"].input.mean == 5 + 1 + 2 + 3 + 4 + 5


def test_what_cannot_change_during_a_run_is_refused_by_name(model):
    _, report = line(model, {}, queue=switch('current.setProperty("DoBatching", 1);', ""))
    assert report.verdict is Verdict.RUN_ERROR
    assert "DoBatching" in report.diagnostics[-1].message


# --- Everything in a row ----------------------------------------------------------------------------------------------

STATIONS = st.sampled_from([
    ("Queue", {"MaxContent": 3}),
    ("Queue", {"MaxContent": 5, "DoBatching": 1, "BatchSize": 2}),
    ("Queue", {"LIFO": 1}),
    ("Processor", {"ProcessTime": "return exponential(0, 8);"}),
    ("Processor", {"ProcessTime": 12, "SetupTime": 3, "MaxContent": 2}),
    ("StraightConveyor", {"HorizontalLength": 6}),
    ("StraightConveyor", {"HorizontalLength": 3, "Speed": 0.3, "IsAccumulating": 0}),
    ("CurvedConveyor", {"Radius": 2, "SweepAngle": 90}),
    ("Rack", {"MinimumDwellTime": "return uniform(0, 30);", "MaxContent": 6}),
    ("FloorStorage", {}),
    ("MultiProcessor", {"ProcessTable": [["A", 3], ["B", "return exponential(0, 5);"]]}),
    ("Separator", {"SeparateMode": "Split", "SeparateQty": 2, "ProcessTime": 1}),
])  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STATIONS, min_size=1, max_size=5), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_any_line_conserves_items_time_and_little_s_law(model, stations, breaks, shifts, seed):
    objects = {"In": ("Source", {"InterArrivalTime": "return exponential(0, 9);"})}
    objects |= {f"S{n}": station for n, station in enumerate(stations)}
    names = [*objects, "Out"]
    links = " ".join(f"{a}>{b}" for a, b in itertools.pairwise(names))
    script = model({**objects, "Out": ("Sink", {})}, links)
    members = ", ".join(names[:-1])
    if breaks:
        script += f'\ntreenode m = Tools.create("MTBFMTTR"); m.setProperty("Members", [{members}]);'
        script += 'm.setProperty("UpTime", "return exponential(0, 60);"); m.setProperty("DownTime", 7);'
    if shifts:
        script += f'\ntreenode t = Tools.create("TimeTable"); t.setProperty("Members", [{members}]);'
        script += 't.setProperty("Table", [[50, 12, 20]]); t.setProperty("RepeatInterval", 100);'
    inside: dict[str, dict[int, float]] = {}
    stayed: dict[str, float] = {}

    def follow(event):
        held = inside.setdefault(event.object, {})
        if event.kind == "entry":
            held[event.item] = event.time
        elif event.item in held:
            stayed[event.object] = stayed.get(event.object, 0.0) + event.time - held.pop(event.item)

    report = run(script, until=500, seed=seed, trace=follow)
    assert report.verdict in (Verdict.OK, Verdict.NO_FLOW), report.diagnostics
    for name, figures in report.kpis.objects.items():
        assert sum(time.mean for time in figures.states.values()) == pytest.approx(500), name
        if figures.cls in ("Source", "Sink", "Separator"):
            continue
        assert figures.input.mean == figures.output.mean + figures.content_current.mean, name
        waited = stayed.get(name, 0.0) + sum(500 - since for since in inside.get(name, {}).values())
        assert figures.content_average.mean * 500 == pytest.approx(waited, abs=1e-6), name
    for before, after in itertools.pairwise(names):
        assert report.kpis.objects[before].output.mean == report.kpis.objects[after].input.mean


LABELLED = """
Object s = Object.create("Source"); s.name = "S"; s.setProperty("ArrivalStyle", 2);
Object k = Object.create("Sink"); k.name = "K"; contextdragconnection(s, k, "A");
k.setProperty("Triggers.OnEntry", "Object item = param(1); print(Model.time, item.name, item.Type);");
"""
SCHEDULE = (
    't.setSize(2, 4); t.setColHeader(4, "Type"); t[1][1] = 10; t[1][2] = "A"; t[1][3] = 2; t[1][4] = 7;'
    't[2][1] = 20; t[2][2] = "B"; t[2][3] = 1; t[2]["Type"] = 9;'
)


@pytest.mark.parametrize(
    "write",
    [
        'Table t = s.find(">variables/schedule"); ' + SCHEDULE,
        'Table t = s.find(">variables/schedule"); ' + SCHEDULE + 'print(s.getProperty("ArrivalSchedule")[1][4]);',
        'treenode g = Tools.create("GlobalTable"); g.name = "G"; Table t = Table("G"); '
        + SCHEDULE
        + 's.setProperty("ArrivalSchedule", t);',
        's.setProperty("ArrivalSchedule", [["ArrivalTime", "ItemName", "Quantity", "Type"], [10, "A", 2, 7],'
        '[20, "B", 1, 9]]);'
        'Table t = s.find(">variables/schedule"); if (t.numRows != 2) t[9][9] = 0;',
    ],
)
def test_further_columns_of_a_schedule_are_labels_by_their_headers(write):
    report = run(LABELLED + write, until=30)
    assert report.output[-3:] == ("10 A 7", "10 A 7", "20 B 9")
