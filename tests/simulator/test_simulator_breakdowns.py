"""Breakdowns (MTBFMTTR) and time tables, against schedules by hand and the theory of availability."""

import itertools

import pytest

from vlsm_jax.simulator import Verdict, run
from vlsm_jax.simulator.objects.processor import Processor

_NUMBERS = itertools.count()


def machine(model, *, process=1, interval=0):
    objects = {
        "In": ("Source", {"InterArrivalTime": interval}),
        "Work": ("Processor", {"ProcessTime": process}),
        "Out": ("Sink", {}),
    }
    return model(objects, "In>Work Work>Out")


def tool(kind, members, **settings):
    name = f"tool{next(_NUMBERS)}"
    lines = [f'\ntreenode {name} = Tools.create("{kind}");', f'{name}.setProperty("Members", [{members}]);']
    return "\n".join(lines + [f'{name}.setProperty("{key}", {value});' for key, value in settings.items()])


def exponential(mean):
    return f'"return exponential(0, {mean}, getstream(current));"'


def states(report, name="Work"):
    return {state: time.mean for state, time in report.kpis.objects[name].states.items()}


def test_breakdown_by_a_fixed_schedule(model):
    # Down from 30.5 to 40.5, then 90 s after each repair: from 130.5 to 140.5 and so on.
    times = []
    script = machine(model) + tool("MTBFMTTR", "Work", FirstFailureTime=30.5, UpTime=90, DownTime=10)
    report = run(
        script, until=200, trace=lambda e: times.append(e.time) if (e.object, e.kind) == ("Work", "exit") else None
    )
    assert states(report) == {"processing": 180, "breakdown": 20}
    assert [t for t in times if 29 < t < 42] == [30, 41]
    assert [t for t in times if 129 < t < 142] == [130, 141]


def test_a_breakdown_keeps_the_time_left_of_a_process(model):
    times = []
    script = machine(model, process=7) + tool("MTBFMTTR", "Work", FirstFailureTime=10, UpTime=1000, DownTime=100)
    run(script, until=130, trace=lambda e: times.append(e.time) if (e.object, e.kind) == ("Work", "exit") else None)
    assert times == [7, 114, 121, 128]


def test_down_state_is_a_choice(model):
    script = machine(model) + tool("MTBFMTTR", "Work", UpTime=15, DownTime=5, DownState="STATE_REPAIR")
    assert states(run(script, until=40)) == {"processing": 30, "repair": 10}


def test_a_tool_that_is_not_enabled_stops_nothing(model):
    script = machine(model) + tool("MTBFMTTR", "Work", UpTime=15, DownTime=5, Enabled=0)
    assert states(run(script, until=40)) == {"processing": 40}


def test_availability_is_mtbf_over_mtbf_and_mttr(model):
    script = machine(model) + tool("MTBFMTTR", "Work", UpTime=exponential(90), DownTime=exponential(10))
    report = run(script, until=10_000, replications=16, seed=3)
    low, high = report.kpis.objects["Work"].states["breakdown"].interval(0.999)
    assert low <= 0.1 * 10_000 <= high
    assert high - low < 0.06 * 10_000
    low, high = report.kpis.total_throughput.interval(0.999)
    assert low <= 0.9 * 3600 <= high


def test_failures_that_depend_on_operation_are_rarer_by_the_utilisation(model):
    # One item per 4 s, 1 s of work: the machine works a quarter of its up time, so it fails a quarter as often.
    script = machine(model, interval=4)
    dependent = script + tool(
        "MTBFMTTR", "Work", UpTime=25, DownTime=10, CountedStates="[STATE_PROCESSING]", FirstFailureTime=25
    )
    report = run(dependent, until=2200)
    # Work of 25 items takes 25 s: the 25th ends as the machine fails at 4 * 25 + 1, for 10 s; meanwhile the Source is
    # blocked by no more than it can catch up with, since it draws the next item when one has left.
    failures = states(report)["breakdown"] / 10
    assert states(report)["processing"] == pytest.approx(25 * failures, abs=25)
    by_time = run(script + tool("MTBFMTTR", "Work", UpTime=25, DownTime=10, FirstFailureTime=25), until=2200)
    assert states(by_time)["breakdown"] / 2200 == pytest.approx(10 / 35, abs=0.01)
    assert failures == pytest.approx(2200 / (25 * 4 + 10), abs=2)


def test_up_time_stands_still_while_the_machine_is_idle(model):
    # 3 s of work per item; 10 s of work are done in the fourth item, 1 s after it began at 80.
    script = machine(model, process=3, interval=20)
    script += tool("MTBFMTTR", "Work", UpTime=10, DownTime=5, CountedStates="[STATE_PROCESSING]")
    seen = []
    report = run(script, until=90, trace=lambda e: seen.append(e.time) if (e.object, e.kind) == ("Work", "exit") else 0)
    assert seen == [23, 43, 63, 88]
    assert states(report)["breakdown"] == 5


def test_members_break_down_one_by_one_or_together(model):
    objects = {
        "In": ("Source", {"InterArrivalTime": 0}),
        "A": ("Processor", {"ProcessTime": 1}),
        "B": ("Processor", {"ProcessTime": 1}),
        "Out": ("Sink", {}),
    }
    script = model(objects, "In>A In>B A>Out B>Out")
    up, down = '"return uniform(10, 30);"', '"return uniform(1, 5);"'
    alone = run(script + tool("MTBFMTTR", "A, B", UpTime=up, DownTime=down, BreakIndividually=1), until=500)
    together = run(script + tool("MTBFMTTR", "A, B", UpTime=up, DownTime=down, BreakIndividually=0), until=500)
    assert states(together, "A")["breakdown"] == states(together, "B")["breakdown"]
    assert states(alone, "A")["breakdown"] != states(alone, "B")["breakdown"]


def test_the_time_codes_see_the_member(model):
    script = machine(model)
    code = '"return param(1).name == \\"Work\\" ? 20 : 1;"'
    assert states(run(script + tool("MTBFMTTR", "Work", UpTime=code, DownTime=5), until=50))["breakdown"] == 10


@pytest.mark.parametrize(("buffer", "rate"), [(4, 0.840936), (20, 0.870541)])
def test_two_machines_that_fail_and_a_buffer(model, buffer, rate):
    """A line of two machines with cycle 1 that fail with probability 0.01 a cycle worked and are repaired with 0.1.

    Exact production rates of the discrete line (Gershwin and Buzacott). The times are geometric there; whole seconds
    of work between failures, counted in the state of processing, are what makes the simulated line the same one.
    """
    objects = {
        "In": ("Source", {"InterArrivalTime": 0}),
        "M1": ("Processor", {"ProcessTime": 1}),
        "Buffer": ("Queue", {"MaxContent": max(1, buffer - 2)}),
        "M2": ("Processor", {"ProcessTime": 1}),
        "Out": ("Sink", {}),
    }
    script = model(objects, "In>M1 M1>Buffer Buffer>M2 M2>Out")
    up, down = '"return geometric(0.01);"', '"return geometric(0.1);"'
    for name in ("M1", "M2"):
        script += tool("MTBFMTTR", name, UpTime=up, DownTime=down, CountedStates="[STATE_PROCESSING]")
    report = run(script, until=20_000, warmup=500, replications=6, seed=5)
    assert report.kpis.total_throughput.mean / 3600 == pytest.approx(rate, rel=0.02)


def test_time_table_rows_and_repeats(model):
    rows = '[[10, 0, 5], [50, "STATE_LUNCH", 10]]'
    script = machine(model) + tool("TimeTable", "Work", Table=rows, RepeatInterval=100)
    assert states(run(script, until=1000)) == {"processing": 850, "scheduled down": 50, "lunch": 100}
    once = machine(model) + tool("TimeTable", "Work", Table=rows)
    assert states(run(once, until=1000)) == {"processing": 985, "scheduled down": 5, "lunch": 10}


def test_down_periods_that_touch_are_one(model):
    times = []
    script = machine(model, process=3) + tool("TimeTable", "Work", Table="[[10, 12, 5], [15, 12, 5]]")
    run(script, until=30, trace=lambda e: times.append(e.time) if (e.object, e.kind) == ("Work", "exit") else None)
    assert times == [3, 6, 9, 22, 25, 28]


def test_stops_of_several_tools_overlap(model):
    script = machine(model)
    script += tool("TimeTable", "Work", Table="[[10, 12, 10]]")
    script += tool("MTBFMTTR", "Work", FirstFailureTime=15, UpTime=1000, DownTime=20)
    # Off from 10 to 20, broken from 15 to 35; the stop that came last gives the state.
    assert states(run(script, until=50)) == {"processing": 25, "scheduled down": 5, "breakdown": 20}


def test_on_stop_and_on_resume(model):
    script = machine(model) + tool("TimeTable", "Work", Table="[[10, 12, 10]]")
    script += '\nWork.setProperty("Triggers.OnStop", "print(time(), param(1), param(2));");'
    script += '\nWork.setProperty("Triggers.OnResume", "print(time(), param(1));");'
    assert run(script, until=50).output == ("10 1 12", "20 0")


def test_a_member_outside_of_the_run_is_reported(model):
    script = machine(model) + '\nObject Idle = Object.create("Queue"); Idle.name = "Idle";'
    report = run(script + tool("MTBFMTTR", "Idle", UpTime=1, DownTime=1), until=10)
    assert report.verdict is Verdict.OK
    assert any("'Idle', a member of" in d.message for d in report.diagnostics)


def test_watching_states_costs_nothing_where_nobody_watches(model):
    script = machine(model, interval=4)
    run(script + tool("MTBFMTTR", "Work", UpTime=25, DownTime=10, CountedStates="[STATE_PROCESSING]"), until=100)
    assert Processor.set_state.__qualname__ == "LiveObject.set_state"
