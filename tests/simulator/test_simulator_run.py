"""Verdicts, diagnostics of a run, and the behaviour of single objects."""

import gc
import json
import math

import pytest

from vlsm_jax.simulator import STOP_TIME, Budget, Verdict, run, watch
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.tree import Tree
from vlsm_jax.simulator.world import World


def line(model, **properties):
    """In -> Line -> Work -> Out with deterministic times; properties by object name."""
    objects = {
        "In": ("Source", {"InterArrivalTime": 10, **properties.get("In", {})}),
        "Line": ("Queue", properties.get("Line", {})),
        "Work": ("Processor", {"ProcessTime": 8, **properties.get("Work", {})}),
        "Out": ("Sink", properties.get("Out", {})),
    }
    return model(objects, "In>Line Line>Work Work>Out")


def errors(report):
    return [d for d in report.diagnostics if d.severity.value == "error"]


def test_a_deterministic_line_to_the_last_digit(model):
    report = run(line(model), until=100)
    assert report.ok
    kpis = report.kpis
    work = kpis.objects["Work"]
    # Items arrive at 10, 20, ..., 100 and leave at 18, 28, ..., 98.
    assert (kpis.objects["In"].output.mean, work.input.mean, work.output.mean) == (10, 10, 9)
    assert kpis.total_throughput.mean == pytest.approx(9 * 36)
    assert kpis.lead_time.mean == kpis.lead_time_min.mean == kpis.lead_time_max.mean == 8
    assert {name: e.mean for name, e in work.states.items()} == pytest.approx({"idle": 28, "processing": 72})
    assert work.utilisation.mean == pytest.approx(0.72)
    assert (work.content_average.mean, work.content_max.mean, work.content_current.mean) == pytest.approx((0.72, 1, 1))
    assert kpis.objects["Line"].staytime_max.mean == 0
    assert kpis.wip.mean == pytest.approx(0.72)
    assert kpis.bottleneck == "Work"


def test_setup_comes_before_processing_and_blocking_keeps_the_place(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 0}),
            "Fast": ("Processor", {"SetupTime": 2, "ProcessTime": 3}),
            "Slow": ("Processor", {"ProcessTime": 20}),
            "Out": ("Sink", {}),
        },
        "In>Fast Fast>Slow Slow>Out",
    )
    kpis = run(script, until=105).kpis
    # Fast works 0-5, then 5-10 and is blocked to 25, then 25-30 and blocked to 45, and so on in steps of 20.
    states = {name: e.mean for name, e in kpis.objects["Fast"].states.items()}
    assert states == pytest.approx({"setup": 12, "processing": 18, "blocked": 75})
    assert kpis.objects["In"].states["blocked"].mean == pytest.approx(105)
    assert kpis.objects["Fast"].utilisation.mean == pytest.approx(30 / 105)


def test_until_comes_from_the_caller_then_the_script_then_the_default(model):
    script = line(model)
    assert run(script).kpis.until == STOP_TIME
    assert run(script + "\nstoptime(500);").kpis.until == 500
    assert run(script + "\nstoptime(500);", until=70).kpis.until == 70


def test_warmup_leaves_out_what_came_before(model):
    script = line(model, In={"InterArrivalTime": 10, "TimeZeroArrival": 1})
    kpis = run(script, until=104, warmup=4).kpis
    work = kpis.objects["Work"]
    assert (work.input.mean, work.output.mean) == (10, 10)  # one was inside at 4
    assert sum(e.mean for e in work.states.values()) == pytest.approx(100)
    assert work.content_average.mean == pytest.approx(0.8)
    assert work.staytime_max.mean == 8


def test_the_next_delay_is_drawn_when_the_item_has_left(model):
    # Work takes 15, so every item of the Source waits for 15, and its next one comes 10 later.
    script = model(
        {"In": ("Source", {"InterArrivalTime": 10}), "Work": ("Processor", {"ProcessTime": 15}), "Out": ("Sink", {})},
        "In>Work Work>Out",
    )
    arrivals = []
    run(script, until=100, trace=lambda e: arrivals.append(e.time) if (e.kind, e.object) == ("entry", "Work") else None)
    assert arrivals == [10, 25, 40, 55, 70, 85, 100]


def test_first_available_and_fixed_ports(model):
    objects = {
        "In": ("Source", {"InterArrivalTime": 10}),
        "A": ("Processor", {"ProcessTime": 15}),
        "B": ("Processor", {"ProcessTime": 15}),
        "Out": ("Sink", {}),
    }
    links = "In>A In>B A>Out B>Out"
    outputs = {n: o.output.mean for n, o in run(model(objects, links), until=1000).kpis.objects.items()}
    # They take turns: A from 10, 30, ..., 990, the last of which is not done at 1000; B from 20, 40, ..., 1000.
    assert (outputs["A"], outputs["B"]) == (49, 49)
    objects["In"] = ("Source", {"InterArrivalTime": 10, "SendToPort": 2})
    outputs = {n: o.output.mean for n, o in run(model(objects, links), until=1000).kpis.objects.items()}
    assert outputs["A"] == 0
    assert outputs["B"] == 66  # busy from 10 on


def test_lifo_queue(model):
    script = line(model, In={"InterArrivalTime": 1}, Line={"LIFO": 1}, Work={"ProcessTime": 2.5})
    order = []
    run(script, until=12, trace=lambda e: order.append(e.item) if (e.kind, e.object) == ("entry", "Work") else None)
    # Work is free at 3.5, 6, 8.5 and 11; its end at 6 was scheduled before the arrival at 6.
    assert order == [1, 3, 5, 8, 10]


def test_batches(model):
    script = line(model, In={"InterArrivalTime": 1}, Line={"DoBatching": 1, "BatchSize": 4}, Work={"ProcessTime": 0.1})
    times = []
    run(script, until=9, trace=lambda e: times.append(e.time) if (e.kind, e.object) == ("exit", "Line") else None)
    assert times == pytest.approx([4, 4.1, 4.2, 4.3, 8, 8.1, 8.2, 8.3])
    script = line(
        model,
        In={"InterArrivalTime": 1},
        Line={"DoBatching": 1, "BatchSize": 4, "MaxBatchTime": 1.5, "FlushContent": 1},
        Work={"ProcessTime": 2},
    )
    times = []
    run(script, until=10, trace=lambda e: times.append((e.kind, e.time)) if e.object == "Line" else None)
    # A batch of the items of 1 and 2 leaves at 2.5; the input opens again when the second one has left at 4.5.
    assert times[:5] == [("entry", 1), ("entry", 2), ("exit", 2.5), ("exit", 4.5), ("entry", 4.5)]


def test_arrival_schedule_and_sequence(model):
    rows = [[0, "A", 2], [5, "B", 1]]
    seen = []
    script = line(model, In={"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": rows, "RepeatTable": 1})
    run(script, until=12, trace=lambda e: seen.append(e.time) if (e.kind, e.object) == ("exit", "In") else None)
    assert seen == [0, 0, 5, 5, 5, 10, 10, 10]
    seen.clear()
    script = line(model, In={"ArrivalStyle": 3, "ArrivalSequence": [["A", 2], ["B", 1]]}, Line={"MaxContent": 1})
    run(script, until=100, trace=lambda e: seen.append(e.time) if (e.kind, e.object) == ("exit", "In") else None)
    assert seen == [0, 0, 8]


def test_pull_takes_only_what_it_asks_for(model):
    item = "Object item = param(1);"
    script = model(
        {
            "In": (
                "Source",
                {"InterArrivalTime": 5, "Triggers.OnCreation": f"{item} item.Kind = duniform(1, 2);"},
            ),
            "Line": ("Queue", {}),
            "Ones": (
                "Processor",
                {"ProcessTime": 1, "Pull": 1, "PullRequirement": f"{item} return item.Kind == 1;"},
            ),
            "Twos": (
                "Processor",
                {"ProcessTime": 1, "Pull": 1, "PullRequirement": f"{item} return item.Kind == 2;"},
            ),
            "Out": ("Sink", {}),
        },
        "In>Line Line>Ones Line>Twos Ones>Out Twos>Out",
    )
    report = run(script, until=10_000)
    assert report.ok, report.diagnostics
    counts = [report.kpis.objects[name].output.mean for name in ("Ones", "Twos")]
    assert sum(counts) == pytest.approx(2000, abs=2)
    assert min(counts) > 900


def test_code_bodies_and_triggers_see_object_and_item(model):
    both = "Object current = ownerobject(c); Object item = param(1);"
    script = line(
        model,
        In={"Triggers.OnCreation": "Object item = param(1); item.Size = 3;"},
        Line={"Triggers.OnEntry": f"{both} item.Size += 1; current.Count = param(2);"},
        Work={"ProcessTime": f"{both} return item.Size * current.inObjects.length;"},
        Out={"Triggers.OnEntry": "Object item = param(1); print(item.name, item.Size, time());"},
    )
    report = run(script, until=30)
    assert report.ok, report.diagnostics
    assert report.output == ("Product 4 14", "Product 4 24")


def test_code_may_route_by_what_it_sees(model):
    code = """
    Object current = ownerobject(c);
    int best = 1;
    for (int i = 2; i <= current.outObjects.length; i++) {
        if (current.outObjects[i].stats.content.value < current.outObjects[best].stats.content.value) best = i;
    }
    return best;
    """
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 1, "SendToPort": code}),
            "A": ("Queue", {}),
            "B": ("Queue", {}),
            "WA": ("Processor", {"ProcessTime": 3}),
            "WB": ("Processor", {"ProcessTime": 6}),
            "Out": ("Sink", {}),
        },
        "In>A In>B A>WA B>WB WA>Out WB>Out",
    )
    kpis = run(script, until=500).kpis
    assert abs(kpis.objects["A"].content_current.mean - kpis.objects["B"].content_current.mean) <= 1
    assert kpis.objects["A"].input.mean > 250


def test_same_seed_same_report_and_trace(model):
    script = line(
        model, In={"InterArrivalTime": "return exponential(0, 9);"}, Work={"ProcessTime": "return exponential(0, 8);"}
    )
    traces = []
    for seed in (1, 1, 2):
        trace = []
        report = run(script, until=5000, replications=2, seed=seed, trace=trace.append)
        traces.append((json.dumps(report.to_dict()), trace))
    assert traces[0] == traces[1]
    assert traces[0][1] != traces[2][1]


_RANDOM = {
    "In": {"InterArrivalTime": "return exponential(0, 9);"},
    "Work": {"ProcessTime": "return exponential(0, 8);"},
}


def test_what_is_watched_is_what_a_run_to_that_time_reports(model):
    script = line(model, **_RANDOM)
    reports = list(watch(script, (500, 501.5, 5000), warmup=100, seed=3))
    assert len(reports) == 3
    for report, until in zip(reports, (500, 501.5, 5000), strict=True):
        assert report.to_dict() == run(script, until=until, warmup=100, seed=3).to_dict()


def test_watching_gives_nothing_before_an_item_has_arrived_and_the_end_at_once(model):
    script = line(model, Work={"ProcessTime": 8})
    assert [report.kpis.until for report in watch(script, (12, 17.9, 18, 30))] == [18, 30]
    (late,) = watch(script, (5, 12))
    assert late.verdict == Verdict.NO_FLOW
    assert late.to_dict() == run(script, until=12).to_dict()
    (broken,) = watch(script + "}", (10, 20))
    assert broken.verdict == Verdict.PARSE_ERROR
    (unwired,) = watch('Object.create("Source");', (10, 20))
    assert unwired.verdict == Verdict.WIRING
    late_fault = line(model, Work={"ProcessTime": "return 1000 / (item.ID < 3);"})
    *_, failed = watch(late_fault, (1500, 2500, 1e5))
    assert failed.to_dict() == run(late_fault, until=1e5).to_dict()


@pytest.mark.parametrize("times", [(), (5, 5), (6, 5), (0, 5), (5, math.inf), (5, math.nan)])
def test_times_that_cannot_be_watched_raise(model, times):
    with pytest.raises(ValueError, match="time"):
        list(watch(line(model), times))


def test_the_world_is_freed_when_the_report_is_there(model):
    """Without the garbage collector, which would have to find the cycles of every run."""
    script = line(
        model, In={"InterArrivalTime": "return exponential(0, 9) + 1;"}, Work={"Triggers.OnExit": "param(1).a = 1;"}
    )
    script += 'Object hand = Object.create("Operator"); contextdragconnection(Line, hand, "S");'
    script += 'Line.setProperty("UseTransport", 1);'

    def worlds():
        return [one for one in gc.get_objects() if isinstance(one, (World, Tree, LiveObject, Calendar))]

    gc.collect()
    gc.disable()
    try:
        before = {id(one): one for one in worlds()}  # of other tests
        assert run(script, until=500).ok
        for report in watch(script, (300, 500)):
            assert report.ok
            break  # who has seen enough
        kept = [one for one in worlds() if id(one) not in before]
    finally:
        gc.enable()
    assert not kept


def test_a_report_is_json(model):
    data = json.loads(json.dumps(run(line(model), until=100, replications=3).to_dict(), allow_nan=False))
    assert data["verdict"] == "ok"
    assert data["kpis"]["throughput"]["Out"]["replications"] == 3
    assert data["twin"]["objects"][0]["name"] == "In"


def test_throughput_does_not_fall_when_a_buffer_grows(model):
    def throughput(places):
        script = model(
            {
                "In": ("Source", {"InterArrivalTime": 0}),
                "P1": ("Processor", {"ProcessTime": "return exponential(0, 1);"}),
                "Line": ("Queue", {"MaxContent": places}),
                "P2": ("Processor", {"ProcessTime": "return exponential(0, 1);"}),
                "Out": ("Sink", {}),
            },
            "In>P1 P1>Line Line>P2 P2>Out",
        )
        return run(script, until=2000, seed=9).kpis.total_throughput.mean

    figures = [throughput(places) for places in (1, 2, 4, 8, 16)]
    assert figures == sorted(figures)
    assert figures[0] < figures[-1]


# --- Verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "verdict", "code", "message"),
    [
        ("Object x = ;", Verdict.PARSE_ERROR, "syntax", "expected an expression"),
        ("Object x = NULL; x.name = 1;", Verdict.BUILD_ERROR, "null reference", "name of NULL"),
        ("while (1) {}", Verdict.BUDGET, "budget", "steps"),
        ("", Verdict.WIRING, "wiring", "no Source"),
        ('Object.create("Source");', Verdict.WIRING, "wiring", "no Sink"),
        ('Object.create("Source"); Object.create("Sink");', Verdict.WIRING, "wiring", "no Sink can be reached"),
    ],
)
def test_verdicts_before_the_run(script, verdict, code, message):
    report = run(script)
    assert report.verdict is verdict
    assert not report.ok
    assert (errors(report)[0].code, report.kpis) == (code, None)
    assert message in errors(report)[0].message + errors(report)[0].hint


def test_no_flow_says_where_the_items_are(model):
    report = run(line(model, Work={"ProcessTime": 1e9}), until=1000)
    assert report.verdict is Verdict.NO_FLOW
    assert "99 in 'Line', 1 in 'Work'" in errors(report)[0].message
    report = run(line(model, Line={"MaxContent": 0}), until=1000)
    assert "1 in 'In'" in errors(report)[0].message


@pytest.mark.parametrize(
    ("properties", "code", "message"),
    [
        ({"Work": {"ProcessTime": "return nothing;"}}, "unknown name", "ProcessTime of 'Work'"),
        ({"Work": {"ProcessTime": "return current.x;"}}, "unknown name", "current is not declared"),
        ({"Work": {"ProcessTime": "return 1 / 0;"}}, "exception", "division by zero"),
        (
            {"Work": {"ProcessTime": "return triangular(5, 10, 15);"}},
            "distribution",
            "triangular takes (min, max, mode)",
        ),
        ({"Work": {"ProcessTime": "return uniform(9, param(1).none);"}}, "missing label", "none"),
        ({"Line": {"SendToPort": "Object o = NULL; return o.rank;"}}, "null reference", "rank of NULL"),
        ({"Out": {"Triggers.OnEntry": 'Object.create("Queue");'}}, "unsupported", "while the model runs"),
        ({"Out": {"Triggers.OnEntry": "Object item = param(1); while (1) item.a = 1;"}}, "budget", "steps"),
        ({"Work": {"UseProcessOperators": 1}}, "no executer", "OperatorRef of 'Work'"),
        ({"Line": {"UseTransport": 1}}, "no executer", "TransportRef of 'Line'"),
    ],
)
def test_run_errors(model, properties, code, message):
    report = run(line(model, **properties), until=100, budget=Budget(steps=100_000))
    assert report.verdict is (Verdict.BUDGET if code == "budget" else Verdict.RUN_ERROR)
    assert errors(report)[0].code == code
    assert message in errors(report)[0].message + errors(report)[0].hint
    assert report.kpis is None
    assert report.twin is not None


def test_errors_in_code_bodies_have_their_place(model):
    report = run(line(model, Work={"ProcessTime": "int x = 1;\nreturn x / 0;"}), until=100)
    (error,) = errors(report)
    assert (error.line, error.source_line) == (2, "return x / 0;")
    report = run(line(model, Work={"ProcessTime": "int x = 1;\nreturn  y;"}), until=100)
    (error,) = errors(report)
    assert (error.line, error.column, error.source_line) == (2, 9, "return  y;")


def test_a_zero_time_loop_names_its_objects(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 10}),
            "Spin": ("Processor", {"ProcessTime": 0, "SendToPort": 1}),
            "Back": ("Processor", {"ProcessTime": 0}),
            "Out": ("Sink", {}),
        },
        "In>Spin Spin>Back Spin>Out Back>Spin",
    )
    report = run(script, until=100)
    assert report.verdict is Verdict.BUDGET
    (error,) = errors(report)
    assert "events at time 10" in error.message
    assert "Spin" in error.hint or "Back" in error.hint


def test_queues_in_a_circle_are_a_zero_time_loop_too(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 10}),
            "Round": ("Queue", {"SendToPort": 1}),
            "Again": ("Queue", {}),
            "Out": ("Sink", {}),
        },
        "In>Round Round>Again Round>Out Again>Round",
    )
    report = run(script, until=100)
    assert report.verdict is Verdict.BUDGET
    assert "events at time 10" in errors(report)[0].message
    assert "Round" in errors(report)[0].hint or "Again" in errors(report)[0].hint


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(events=5000), "more than 5000 events"),
        (Budget(items=100), "more than 100 items are in the model"),
        (Budget(wall_seconds=0.0), "wall-clock"),
    ],
)
def test_budgets_of_the_run(model, budget, message):
    script = line(model, In={"InterArrivalTime": 1}, Line={"MaxContent": 1e9}, Work={"ProcessTime": 100})
    report = run(script, until=1e6, budget=budget)
    assert report.verdict is Verdict.BUDGET
    assert message in errors(report)[0].message + errors(report)[0].hint


def test_an_enormous_arrival_quantity_runs_out_of_budget(model):
    rows = [[1, "A", 2_000_000_000]]
    script = model({"In": ("Source", {"ArrivalStyle": 2, "ArrivalSchedule": rows}), "Out": ("Sink", {})}, "In>Out")
    report = run(script, until=100, budget=Budget(events=100_000))
    assert report.verdict is Verdict.BUDGET


def test_unsupported_classes_in_the_flow_stop_the_run_and_others_do_not(model):
    objects = {
        "In": ("Source", {}),
        "Work": ("Processor", {}),
        "Out": ("Sink", {}),
        "Team": ("Dispatcher", {}),
        "Man": ("Operator", {}),
        "Spare": ("MergeSort", {}),
    }
    report = run(model(objects, "In>Work Work>Out Team>Man"), until=1000)
    assert report.verdict is Verdict.OK
    assert [d.message for d in report.diagnostics] == ["no item can reach 'Spare' (MergeSort)"]
    report = run(model(objects, "In>Work Work>Spare Spare>Out"), until=1000)
    assert report.verdict is Verdict.RUN_ERROR
    assert "'Spare' is a MergeSort" in errors(report)[0].message


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"Line": {"SendToPort": 5}}, "port"),
        ({"Line": {"DoBatching": 1, "BatchSize": 20, "MaxContent": 10}}, "batch"),
        ({"Work": {"Triggers.OnDraw": "return 0;"}}, "unsupported"),
    ],
)
def test_warnings_of_the_run(model, properties, code):
    report = run(line(model, **properties), until=1000)
    assert code in [d.code for d in report.diagnostics]


def test_dead_ends_are_named(model):
    script = model(
        {"In": ("Source", {}), "Side": ("Queue", {}), "Out": ("Sink", {}), "Alone": ("Queue", {})}, "In>Out In>Side"
    )
    codes = {(d.code, d.message) for d in run(script, until=100).diagnostics}
    assert ("dead end", "items cannot leave 'Side' (Queue)") in codes
    assert ("unreachable", "no item can reach 'Alone' (Queue)") in codes


def test_a_very_long_line_does_not_overflow_the_stack():
    script = """
    Object source = Object.create("Source"); source.name = "S"; source.setProperty("InterArrivalTime", 1);
    Object last = source;
    for (int i = 1; i <= 600; i++) {
        Object next = Object.create("Queue");
        next.name = "Q" + i; next.setProperty("MaxContent", 1);
        contextdragconnection(last, next, "A");
        last = next;
    }
    Object work = Object.create("Processor"); work.name = "W"; contextdragconnection(last, work, "A");
    Object sink = Object.create("Sink"); sink.name = "E"; contextdragconnection(work, sink, "A");
    """
    report = run(script, until=1000)
    assert report.ok, report.diagnostics
    assert report.kpis.objects["E"].input.mean == 99
    assert report.kpis.objects["Q300"].content_max.mean == 1


@pytest.mark.parametrize("arguments", [{"replications": 0}, {"until": 10, "warmup": 10}, {"until": math.inf}])
def test_times_without_meaning_raise(model, arguments):
    with pytest.raises(ValueError, match=r"replications|warmup"):
        run(line(model), **arguments)


_CHANGES_ITSELF = r"""
Object s = Object.create("Source"); s.name = "S"; s.setProperty("InterArrivalTime", 10);
Object k = Object.create("Sink"); k.name = "K"; k.setLocation(1, 0, 0);
contextdragconnection(s, k, "A");
Object box = Object.create("VisualTool"); box.name = "Box"; box.seen = 0;
Array log = []; k.log = log; box.log = log;
Map counts; counts["all"] = 0; k.counts = counts;
treenode tool = Tools.create("GlobalTable"); tool.name = "T";
Table("T").setSize(1, 1); Table("T")[1][1] = 0; k.table = Table("T");
Model.parameters.Pace = 3;
k.setProperty("Triggers.OnReset", "Object current = ownerobject(c); Object box = Model.find(\"Box\"); \
  print(current.name, current.rank, current.location.x, current.log.length, box.log.length, current.counts[\"all\"], \
    box.seen, box.location.x, Table(\"T\")[1][1], Table(\"T\").numRows, Model.parameters.Pace);");
k.setProperty("Triggers.OnEntry", "Object current = ownerobject(c); Object box = Model.find(\"Box\"); \
  current.name = \"Other\"; current.rank = 2; current.location.x += 5; current.log.push(1); \
  current.counts[\"all\"] += 1; box.seen += 1; box.location.x = 7; Model.parameters.Pace = 4; \
  Table table = current.table; table.addRow(); table[1][1] += 1;");
"""


def test_labels_tables_parameters_names_and_places_are_in_every_replication_as_the_script_left_them():
    report = run(_CHANGES_ITSELF, until=35, replications=3)
    assert report.ok, report.diagnostics
    assert report.output == ("K 3 1 0 0 0 0 0 0 1 3",) * 3


def test_steps_are_budgeted_for_each_replication():
    script = """
Object s = Object.create("Source"); s.setProperty("InterArrivalTime", 1); Object k = Object.create("Sink");
contextdragconnection(s, k, "A");
k.setProperty("Triggers.OnEntry", "int n = 0; for (int i = 1; i <= 10; i++) n += i;");
"""
    budget = Budget(steps=2_000)
    assert run(script, until=100, replications=1, budget=budget).ok
    assert run(script, until=100, replications=5, budget=budget).ok
    assert run(script, until=300, replications=1, budget=budget).verdict.value == "budget"


def test_statistical_time_begins_at_the_warmup():
    script = """
Object s = Object.create("Source"); s.setProperty("InterArrivalTime", 30); Object k = Object.create("Sink");
contextdragconnection(s, k, "A");
k.setProperty("Triggers.OnEntry", "print(Model.time, Model.statisticalTime, statisticaltime(), Model.warmupTime);");
"""
    assert run(script, until=100, warmup=40, replications=2).output == ("30 30 30 40", "60 20 20 40", "90 50 50 40") * 2
    assert run(script, until=40).output == ("30 30 30 0",)


@pytest.mark.parametrize(
    "arrivals",
    [
        {"InterArrivalTime": 0.001},
        {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "Bolt", 30], [1, "Nut", 20]], "RepeatTable": 1},
        {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "Bolt", 1_000_000]]},
    ],
    ids=["one by one", "by rows", "all at once"],
)
def test_the_budget_of_items_is_not_overrun_by_more_than_a_tenth(model, arrivals):
    script = model(
        {
            "In": ("Source", arrivals),
            "Line": ("Queue", {"MaxContent": 1e9}),
            "Work": ("Processor", {"ProcessTime": 1e6}),
            "Out": ("Sink", {}),
        },
        "In>Line Line>Work Work>Out",
    )
    report = run(script, until=1e6, budget=Budget(items=5000))
    assert report.verdict is Verdict.BUDGET
    counts = [int(word) for word in errors(report)[0].message.replace(",", "").split() if word.isdigit()]
    assert counts[0] == 5000 < counts[1] <= 5500
