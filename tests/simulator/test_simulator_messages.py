"""What triggers may do with a running model: messages, stops, items moved, destroyed and copied, statistics."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlsm_jax.simulator import Verdict, run

CURRENT = "Object current = ownerobject(c); "
ITEM = "Object item = param(1); "


def line(model, *, source=None, queue=None, work=None, sink=None, extra=None, links="", until=100.0, script="", **more):
    """Source every 10 s, Queue, Processor of 4 s, Sink."""
    objects = {
        "In": ("Source", {"InterArrivalTime": 10, **(source or {})}),
        "Line": ("Queue", queue or {}),
        "Work": ("Processor", {"ProcessTime": 4, **(work or {})}),
        "Out": ("Sink", sink or {}),
        **(extra or {}),
    }
    return run(model(objects, "In>Line Line>Work Work>Out " + links) + script, until=until, **more)


def reset(*messages):
    """An OnReset trigger that sends delayed messages (seconds, parameter) to its own object."""
    sends = "".join(f"senddelayedmessage(current, {delay}, current, {what});" for delay, what in messages)
    return {"Triggers.OnReset": CURRENT + sends}


def on_message(code):
    return {"Triggers.OnMessage": CURRENT + code}


def gone(report, name="Work"):
    return report.kpis.objects[name].output.mean


# --- Messages ---------------------------------------------------------------------------------------------------------


def test_sendmessage_runs_the_target_at_once_and_returns_its_value(model):
    report = line(
        model,
        work={"Triggers.OnEntry": CURRENT + 'print("got", sendmessage(Model.find("Line"), current, 3, "x", [7]));'},
        queue=on_message(
            "print(param(1).name, msgsendingobject().name, msgparam(1), msgparam(2), msgparam(3)[1],"
            " current.name); return 42;"
        ),
        until=15,
    )
    assert report.output == ("Work Work 3 x 7 Line", "got 42")


def test_senddelayedmessage_comes_after_its_delay(model):
    report = line(model, work={**reset((7, 1), (3, 2), (0, 3)), **on_message("print(time(), msgparam(1));")}, until=15)
    assert report.output == ("0 3", "3 2", "7 1")


def test_object_message_method(model):
    report = line(
        model,
        work={"Triggers.OnEntry": CURRENT + "current.message(current, 5); current.message(2, current, 6);"}
        | on_message("print(time(), msgparam(1));"),
        until=15,
    )
    assert report.output == ("10 5", "12 6")


def test_a_message_to_an_object_outside_of_the_flow_is_run(model):
    report = line(
        model,
        work={"Triggers.OnProcessFinish": 'sendmessage(Model.find("Board"), param(1), time());'},
        extra={"Board": ("Dispatcher", on_message("current.Total = msgparam(1); print(current.Total);"))},
        script="\nBoard.Total = 0;",
        until=25,
    )
    assert report.output == ("14", "24")


def test_messages_without_end_run_out_of_budget(model):
    report = line(model, work={**reset((1, 1)), **on_message("sendmessage(current, current);")})
    assert report.verdict is Verdict.BUDGET


def test_run_commands_have_no_effect_while_the_script_builds(model):
    report = line(model, script="\nstopobject(Work, STATE_DOWN); closeinput(Line); sendmessage(Work, Work);")
    assert [d.code for d in report.diagnostics] == ["no run"] * 3
    assert gone(report) == 9


# --- Stopping ---------------------------------------------------------------------------------------------------------


def test_stopobject_and_resumeobject(model):
    work = {
        **reset((12, 1), (17, 0)),
        **on_message("if (msgparam(1)) stopobject(current, STATE_MAINTENANCE); else resumeobject(current);"),
    }
    times = []
    report = line(
        model,
        work=work,
        until=30,
        trace=lambda e: times.append(e.time) if (e.object, e.kind) == ("Work", "exit") else 0,
    )
    assert times == [19, 24]  # 2 of 4 s were left at 12
    assert report.kpis.objects["Work"].states["maintenance"].mean == 5


def test_stops_with_ids_add_up(model):
    code = (
        "int n = msgparam(1);"
        "if (n == 1) current.stop(STATE_DOWN, 1); if (n == 2) current.stop(STATE_LUNCH, 2);"
        "if (n == 3) current.resume(1); if (n == 4) current.resume(2); print(time(), current.stopCount);"
    )
    report = line(model, work={**reset((11, 1), (12, 2), (15, 3), (20, 4)), **on_message(code)}, until=40)
    assert report.output == ("11 1", "12 2", "15 1", "20 0")
    states = {name: time.mean for name, time in report.kpis.objects["Work"].states.items()}
    assert states == pytest.approx(
        {"idle": 10 + 40 - 24 - 4 - 4 - 4 + 2, "processing": 12, "down": 1, "lunch": 8}, abs=4
    )
    assert states["down"] + states["lunch"] == 9


def test_a_second_stop_of_the_same_id_changes_nothing(model):
    code = "if (msgparam(1)) stopobject(current, STATE_DOWN); else resumeobject(current);"
    report = line(model, work={**reset((11, 1), (12, 1), (15, 0)), **on_message(code)}, until=40)
    assert report.kpis.objects["Work"].states["down"].mean == 4


def test_on_stop_and_on_resume_get_their_parameters(model):
    work = {
        **reset((11, 1), (15, 0)),
        **on_message("if (msgparam(1)) stopobject(current, STATE_DOWN, 7); else resumeobject(current, 7);"),
        "Triggers.OnStop": 'print("stop", param(1), param(2), param(3));',
        "Triggers.OnResume": 'print("resume", param(1), param(2));',
    }
    assert line(model, work=work, until=40).output == ("stop 1 20 7", "resume 0 7")


# --- Items ------------------------------------------------------------------------------------------------------------


def test_moveobject_from_a_trigger(model):
    queue = {"Triggers.OnEntry": ITEM + 'if (time() > 15) moveobject(item, Model.find("Aside"));'}
    report = line(
        model, queue=queue, extra={"Aside": ("Queue", {}), "Waste": ("Sink", {})}, links="Line>Aside Aside>Waste"
    )
    assert report.kpis.objects["Line"].input.mean == report.kpis.objects["Line"].output.mean == 10
    assert report.kpis.throughput["Waste"].mean == 9 * 36
    assert report.kpis.throughput["Out"].mean == 36


def test_moveobject_out_of_processing_frees_the_machine(model):
    work = {
        "ProcessTime": 1000,
        **reset((25, 1)),
        **on_message('moveobject(current.first, Model.find("Waste"));'),
    }
    times = []
    report = line(
        model,
        work=work,
        extra={"Waste": ("Sink", {})},
        links="Work>Waste",
        trace=lambda e: times.append((e.time, e.kind)) if e.object == "Work" else None,
    )
    assert times == [(10, "entry"), (25, "exit"), (25, "entry")]
    states = {name: time.mean for name, time in report.kpis.objects["Work"].states.items()}
    assert states == {"idle": 10, "processing": 90}


def test_moveobject_into_a_full_object(model):
    queue = {"MaxContent": 1}
    work = {**reset((11, 1)), **on_message('moveobject(current.first, Model.find("Line"));')}
    report = line(model, queue=queue, work=work, until=12)
    assert report.verdict is not Verdict.RUN_ERROR
    assert report.kpis.objects["Line"].input.mean == 2


@pytest.mark.parametrize("destroy", ["item.destroy();", "destroyobject(item);"])
def test_a_destroyed_item_leaves_the_model(model, destroy):
    queue = {"Triggers.OnEntry": f"{ITEM} if (time() % 20 == 0) {destroy}"}
    report = line(model, queue=queue)
    assert report.kpis.objects["Line"].output.mean == 10
    assert report.kpis.objects["Work"].input.mean == 5
    assert report.kpis.objects["Line"].content_current.mean == 0


def test_destroying_in_on_creation_lets_the_source_go_on(model):
    report = line(model, source={"Triggers.OnCreation": ITEM + "if (time() == 20) item.destroy();"})
    assert report.kpis.objects["In"].output.mean == 10
    assert report.kpis.objects["Line"].input.mean == 9


def test_subnodes_clear_empties_an_object(model):
    queue = {**reset((55, 1)), **on_message("current.subnodes.clear(); print(current.subnodes.length);")}
    report = line(model, queue=queue, work={"ProcessTime": 1000}, until=60)
    assert report.output == ("0",)
    assert report.kpis.objects["Line"].content_current.mean == 1  # the one of 60


def test_a_copy_enters_its_container(model):
    queue = {"Triggers.OnEntry": ITEM + "item.Kind = 5;"}
    work = {
        "Triggers.OnProcessFinish": ITEM + 'Object twin = item.copy(Model.find("Aside")); print(twin.Kind, twin.rank);'
    }
    report = line(
        model, queue=queue, work=work, extra={"Aside": ("Queue", {}), "Waste": ("Sink", {})},
        links="Work>Aside Aside>Waste", until=25,
    )  # fmt: skip
    assert report.output == ("5 0", "5 0")  # they have passed on by then
    assert report.kpis.objects["Aside"].input.mean == 2
    assert report.kpis.objects["Work"].output.mean == 2


def test_createcopy_of_an_item(model):
    work = {"Triggers.OnProcessFinish": ITEM + 'createcopy(item, Model.find("Aside"));'}
    report = line(
        model,
        work=work,
        extra={"Aside": ("Queue", {}), "Waste": ("Sink", {})},
        links="Work>Aside Aside>Waste",
        until=25,
    )
    assert report.kpis.throughput["Waste"].mean > 0


def test_objects_cannot_be_created_during_a_run(model):
    report = line(model, work={"Triggers.OnEntry": 'Object.create("Queue");'})
    assert report.verdict is Verdict.RUN_ERROR


def test_moving_what_has_left_the_model_is_a_fault(model):
    work = {
        "Triggers.OnEntry": CURRENT + ITEM + "current.Kept = item;",
        **reset((50, 1)),
        **on_message('moveobject(current.Kept, Model.find("Line"));'),
    }
    report = line(model, work=work, until=60)
    assert "left the model" in report.diagnostics[-1].message or report.verdict is Verdict.OK


def test_an_item_that_leaves_cannot_be_taken_away_by_its_exit_trigger(model):
    report = line(model, queue={"Triggers.OnExit": ITEM + 'moveobject(item, Model.find("Work"));'})
    assert report.verdict in (Verdict.RUN_ERROR, Verdict.BUDGET)
    assert all(d.code != "internal error" for d in report.diagnostics)


def test_items_inside_each_other(model):
    script = model(
        {
            "Boxes": ("Source", {"InterArrivalTime": 10, "Triggers.OnCreation": ITEM + 'item.name = "Box";'}),
            "Parts": ("Source", {"InterArrivalTime": 1, "Triggers.OnCreation": ITEM + 'item.name = "Part";'}),
            "Pack": ("Combiner", {"ProcessTime": 1, "ComponentsList": [[3]]}),
            "Open": (
                "Queue",
                {
                    "Triggers.OnEntry": ITEM
                    + "print(item.name, content(item), item.subnodes.length, item.first.name, item.last.rank,"
                    ' item.first.up.name, item.first.next.rank, item.find("Part").rank, item.find("9") == NULL);'
                    'moveobject(item.first, Model.find("Loose")); print(content(item));'
                },
            ),
            "Loose": ("Queue", {}),
            "Out": ("Sink", {}),
        },
        "Boxes>Pack Parts>Pack Pack>Open Open>Out Open>Loose Loose>Out",
    )
    report = run(script, until=15)
    assert report.output == ("Box 3 3 Part 3 Box 2 1 1", "2")
    assert report.kpis.objects["Out"].input.mean == 2


# --- Statistics -------------------------------------------------------------------------------------------------------


def test_statistics_as_scripts_read_them(model):
    code = (
        'Object q = Model.find("Line"); Object w = Model.find("Work");'
        "print(q.stats.input.value, getinput(q), q.stats.output.value, getoutput(q), q.stats.content.value,"
        ' q.stats.content.maximum, getstat(q, "Content", STAT_MAX), getstat(q, "Content", STAT_MIN));'
        'print(q.stats.content.average, getstat(q, "Content", STAT_AVERAGE), w.stats.staytime.average,'
        ' getstat(w, "Staytime", STAT_AVERAGE), w.stats.staytime.minimum);'
        "print(w.stats.state().value, w.stats.state().valueString,"
        ' getstat(w, "State", STAT_CURRENT, 0), getstatenum(w),'
        ' getstatestr(w), getstat(w, "State", STAT_TIME_AT_VALUE, STATE_PROCESSING),'
        " w.stats.state().getTotalTimeAt(STATE_IDLE), w.stats.state().profile[STATE_PROCESSING + 1][1]);"
    )
    report = line(model, work={"ProcessTime": 30, **reset((45, 1)), **on_message(code)}, until=50)
    # Items of 10, 20, 30, 40; the first is done at 40, when the second goes in.
    assert report.output[0] == "4 4 2 2 2 2 2 0"
    # In the Queue: 20 s of the second, 15 of the third, 5 of the fourth, in 45 s.
    average = f"{40 / 45:.2f}"
    assert report.output[1].split()[0].startswith(average[:3])
    assert report.output[1].split()[2:] == ["30", "30", "30"]
    assert report.output[2] == "2 processing 2 2 processing 35 10 processing"


def test_getstat_of_what_is_not_kept_is_refused_by_name(model):
    report = line(model, work={"Triggers.OnEntry": CURRENT + 'getstat(current, "PercentFull", STAT_CURRENT);'})
    assert report.verdict is Verdict.RUN_ERROR
    assert "PercentFull" in report.diagnostics[-1].message


def test_resetstats_begins_anew(model):
    report = line(model, work={**reset((55, 1)), **on_message("resetstats();")}, until=100)
    assert report.kpis.objects["Work"].input.mean == 5
    assert sum(time.mean for time in report.kpis.objects["Work"].states.values()) == 45


def test_items_know_their_times_and_place(model):
    code = ITEM + "print(item.rank, item.up.name, getcreationtime(item), getentrytime(item), item.stats.creationTime);"
    report = line(model, work={"Triggers.OnProcessFinish": code}, until=15)
    assert report.output == ("1 Work 10 10 10",)


def test_first_last_and_rank_see_the_items_inside(model):
    code = "print(content(current), first(current).rank, last(current).rank, rank(current, 2).rank, current.last.rank);"
    report = line(model, queue={**reset((45, 1)), **on_message(code)}, work={"ProcessTime": 1000}, until=46)
    assert report.output == ("3 1 3 2 3",)


# --- Flow again -------------------------------------------------------------------------------------------------------


def test_send_to_port_is_asked_once_or_continuously(model):
    objects = {
        "In": ("Source", {"InterArrivalTime": 1}),
        "Line": ("Queue", {"SendToPort": "return time() < 5 ? 1 : 2;"}),
        "Slow": ("Processor", {"ProcessTime": 100}),
        "Fast": ("Processor", {"ProcessTime": 0.1}),
        "Out": ("Sink", {}),
    }
    script = model(objects, "In>Line Line>Slow Line>Fast Slow>Out Fast>Out")
    once = run(script, until=20.5)
    # Items of 1 to 4 are bound for the slow machine; of these three wait.
    assert once.kpis.objects["Line"].content_current.mean == 3
    again = run(script + '\nsetvarnum(Line, "sendtocontinuous", 1);', until=20.5)
    assert again.kpis.objects["Line"].content_current.mean == 0


def test_pull_strategy_is_asked_once_per_item_or_continuously(model):
    strategy = CURRENT + "current.Asked += 1; return current.Asked % 2 + 1;"
    objects = {
        "A": ("Source", {"InterArrivalTime": 10}),
        "B": ("Source", {"InterArrivalTime": 7}),
        "Work": ("Processor", {"ProcessTime": 1, "Pull": 1, "PullStrategy": strategy}),
        "Out": ("Sink", {}),
    }
    show = '\nWork.Asked = 0; Work.setProperty("Triggers.OnExit", "print(ownerobject(c).Asked);");'
    script = model(objects, "A>Work B>Work Work>Out") + show
    once = run(script, until=300)
    # Its two inputs take turns, whichever has an item first: the strategy is asked for the next item only.
    taken = [once.kpis.objects[name].output.mean for name in "AB"]
    assert abs(taken[0] - taken[1]) <= 1
    assert [int(text) for text in once.output] == list(range(1, len(once.output) + 1))
    again = run(script + '\nsetvarnum(Work, "pullcontinuous", 1);', until=300)
    # Asked at 7 for B's item, at 8 as the machine is free again, at 10 for A's, at 15 for B's: always the wrong one.
    assert again.kpis.objects["Work"].input.mean == 1


# --- Anything at any time ---------------------------------------------------------------------------------------------

_STATIONS = {
    "Queue": {"MaxContent": 3},
    "Batches": {"MaxContent": 5, "DoBatching": 1, "BatchSize": 2, "FlushContent": 1},
    "Processor": {"ProcessTime": 12, "SetupTime": 3, "MaxContent": 2},
    "StraightConveyor": {"HorizontalLength": 3, "Speed": 0.3},
    "CurvedConveyor": {"Radius": 1, "SweepAngle": 90, "IsAccumulating": 0},
    "Rack": {"MinimumDwellTime": "return uniform(0, 30);", "MaxContent": 6},
    "MultiProcessor": {"ProcessTable": [["A", 3], ["B", 4]]},
}
_ACTIONS = (
    "if (content({at}) > 0) moveobject({at}.first, {to});", "if (content({at}) > 0) moveobject({at}.last, {to});",
    "if (content({at}) > 1) {at}.subnodes[2].destroy();", "if (content({at}) > 0) {at}.last.copy({to});",
    "if (content({at}) > 0) releaseitem({at}.last);", "{at}.subnodes.clear();", "stopobject({at}, STATE_DOWN);",
    "resumeobject({at});", "closeinput({at});", "openinput({at});", "stopoutput({at});", "resumeoutput({at});",
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(sorted(_STATIONS)), min_size=2, max_size=4),
    st.lists(st.tuples(st.sampled_from(_ACTIONS), st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=12),
    st.integers(0, 1000),
)
def test_whatever_a_script_does_to_a_run_the_books_balance(model, stations, actions, seed):
    objects = {"In": ("Source", {"InterArrivalTime": 4})}
    for number, name in enumerate(stations):
        objects[f"S{number}"] = ("Queue" if name == "Batches" else name, _STATIONS[name])
    names = list(objects)[1:]

    def find(number):
        return f'Model.find("{names[number % len(names)]}")'

    cases = "".join(
        f"case {number}: {{ {action.format(at=find(at), to=find(to))} break; }}"
        for number, (action, at, to) in enumerate(actions)
    )
    again = "senddelayedmessage(current, exponential(0, 12), current);"
    chooser = f"{CURRENT} switch (duniform(0, {len(actions) - 1})) {{ {cases} }} {again}"
    objects["In"][1].update({"Triggers.OnReset": CURRENT + again, "Triggers.OnMessage": chooser})
    line = ["In", *names, "Out"]
    links = " ".join(f"{a}>{b}" for a, b in itertools.pairwise(line))
    report = run(model({**objects, "Out": ("Sink", {})}, links), until=400, seed=seed)
    assert report.verdict in (Verdict.OK, Verdict.NO_FLOW), report.diagnostics
    for name in names:
        figures = report.kpis.objects[name]
        assert figures.input.mean == figures.output.mean + figures.content_current.mean
        assert sum(time.mean for time in figures.states.values()) == pytest.approx(400)
        assert figures.content_average.mean >= 0
