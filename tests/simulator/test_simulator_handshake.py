"""The handshake of fixed resources, rule by rule: who asks whom, in which order, with which parameters."""

import pytest
from simulator_plants import STILL, plant, states, times, traced

from vlsm_jax.simulator import Verdict, run

SEEN = "Object current = ownerobject(c); Object item = param(1); "


def line(model, *, until=25.0, source=None, queue=None, work=None, sink=None, links=""):
    """Source every 10 s, Queue, Processor of 1 s of setup and 4 s of work, Sink; returns what was printed."""
    objects = {
        "In": ("Source", {"InterArrivalTime": 10, **(source or {})}),
        "Line": ("Queue", queue or {}),
        "Work": ("Processor", {"ProcessTime": 4, "SetupTime": 1, **(work or {})}),
        "Out": ("Sink", sink or {}),
    }
    report = run(model(objects, "In>Line Line>Work Work>Out " + links), until=until)
    return report.output, report


def two_inputs(model, properties):
    """Two Sources that always have an item before a Processor of 5 s; returns the input ports of what enters."""
    objects = {
        "A": ("Source", {"InterArrivalTime": 0}),
        "B": ("Source", {"InterArrivalTime": 0}),
        "Work": ("Processor", {"ProcessTime": 5, "Triggers.OnEntry": "print(param(2));", **properties}),
        "Out": ("Sink", {}),
    }
    return "".join(run(model(objects, "A>Work B>Work Work>Out"), until=22).output)


# --- Ready to receive -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "ports"),
    [
        pytest.param({}, "11111", id="push searches the inputs in port order"),
        pytest.param({"Pull": 1}, "11111", id="pull from any port, in port order"),
        pytest.param({"Pull": 1, "PullStrategy": 1}, "11111", id="PullStrategy 1"),
        pytest.param({"Pull": 1, "PullStrategy": 2}, "22222", id="PullStrategy 2"),
        pytest.param({"PullStrategy": 2}, "11111", id="PullStrategy without Pull"),
        pytest.param({"Pull": 1, "PullRequirement": SEEN + "return item.up.name == \"B\";"}, "22222",
                     id="PullRequirement"),
        pytest.param({"Pull": 1, "PullRequirement": 0}, "", id="PullRequirement 0"),
    ],
)  # fmt: skip
def test_which_input(model, properties, ports):
    assert two_inputs(model, properties) == ports


def test_send_to_port_and_the_pull_must_agree(model):
    objects = {
        "In": ("Source", {"InterArrivalTime": 10}),
        "Line": ("Queue", {"SendToPort": 2}),
        "Willing": ("Processor", {"ProcessTime": 1, "Pull": 1}),
        "Picky": ("Processor", {"ProcessTime": 1, "Pull": 1, "PullRequirement": "return time() > 25;"}),
        "Out": ("Sink", {"Triggers.OnEntry": "print(time(), param(2));"}),
    }
    report = run(model(objects, "In>Line Line>Willing Line>Picky Willing>Out Picky>Out"), until=45)
    # Nothing goes to the willing one; the other one looks at all three that wait as the third comes.
    assert report.output == ("31 2", "32 2", "33 2", "41 2")


# --- Release ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "where"),
    [
        pytest.param(0, "AAA", id="0 is the first that is available"),
        pytest.param(1, "AAA", id="1"),
        pytest.param(2, "BBB", id="2"),
        pytest.param(-1, "", id="-1 is not released"),
        pytest.param(SEEN + "return item.Number % 2 + 1;", "BAB", id="code of the item"),
    ],
)
def test_send_to_port(model, port, where):
    number = "Object item = param(1); Object current = ownerobject(c); current.N += 1; item.Number = current.N;"
    told = "print(ownerobject(c).name);"
    objects = {
        "In": ("Source", {"InterArrivalTime": 10, "Triggers.OnCreation": number}),
        "Line": ("Queue", {"SendToPort": port}),
        "A": ("Sink", {"Triggers.OnEntry": told}),
        "B": ("Sink", {"Triggers.OnEntry": told}),
    }
    report = run(model(objects, "In>Line Line>A Line>B") + "\nIn.N = 0;", until=35)
    assert "".join(report.output) == where


@pytest.mark.parametrize(
    ("release", "printed"),
    [
        ("releaseitem(msgparam(1));", ("13 1", "23 1")),
        ("releaseitem(msgparam(1), 2);", ("13 2", "23 2")),
        ('moveobject(msgparam(1), Model.find("Other"));', ("13 Other", "23 Other")),
    ],
)
def test_an_item_that_is_not_released_leaves_later(model, release, printed):
    queue = {
        "SendToPort": -1,
        "Triggers.OnEntry": SEEN + "senddelayedmessage(current, 3, current, item);",
        "Triggers.OnMessage": release,
        "Triggers.OnExit": "print(time(), param(2));",
    }
    objects = {
        "In": ("Source", {"InterArrivalTime": 10}),
        "Line": ("Queue", queue),
        "Out": ("Sink", {}),
        "Other": ("Sink", {}),
    }
    report = run(model(objects, "In>Line Line>Out Line>Other"), until=25)
    if "moveobject" in release:
        assert report.kpis.objects["Other"].input.mean == 2
    else:
        assert report.output == printed


# --- Triggers ---------------------------------------------------------------------------------------------------------


def test_order_and_parameters_of_triggers(model):
    def told(trigger):
        code = f'print("{trigger}", time(), current.name, item.name, param(2), item.up.name);'
        return {f"Triggers.{trigger}": SEEN + code}

    work = {**told("OnEntry"), **told("OnSetupFinish"), **told("OnProcessFinish"), **told("OnExit")}
    queue = {**told("OnEntry"), **told("OnExit")}
    output, _ = line(
        model, until=16, source={**told("OnCreation"), **told("OnExit")}, queue=queue, work=work, sink=told("OnEntry")
    )
    assert output == (
        "OnCreation 10 In Product 1 In",
        "OnExit 10 In Product 1 In",
        "OnEntry 10 Line Product 1 Line",
        "OnExit 10 Line Product 1 Line",
        "OnEntry 10 Work Product 1 Work",
        "OnSetupFinish 11 Work Product 0 Work",
        "OnProcessFinish 15 Work Product 0 Work",
        "OnExit 15 Work Product 1 Work",
        "OnEntry 15 Out Product 1 Out",
    )


def test_ports_of_entry_and_exit(model):
    told = {"Triggers.OnExit": 'print("exit", param(2));'}
    output, _ = line(
        model, queue={"SendToPort": 2, **told}, sink={"Triggers.OnEntry": "print(param(2));"}, links="Line>Out"
    )
    assert output == ("exit 2", "2", "exit 2", "2")


def test_transport_ref_gets_item_port_destination_priority_and_preempt():
    code = (
        SEEN
        + "print(item.name, param(2), param(3).as(Object).name, param(4), param(5)); return current.centerObjects[1];"
    )
    tasks = (
        "TaskSequence ts = ownerobject(c).as(TaskExecuter).activeTaskSequence; string types;"
        'for (int i = 1; i <= ts.tasks.length; i++) types += ts.tasks[i].type + " ";'
        "print(types.trim(), ts.priority, ts.preempt, ts.tasks[1].involved1.as(Object).name,"
        ' ts.tasks[4].involved1.as(Object).name, getvarnum(Model.find("Line"), "nroftransportsout"),'
        ' getvarnum(Model.find("Out"), "nroftransportsin"));'
    )
    queue = {"UseTransport": 1, "TransportPriority": 3, "TransportPreempt": 1, "TransportRef": code}
    reset = "Object t = ownerobject(c); senddelayedmessage(t, 11, t); senddelayedmessage(t, 18, t);"
    mover = {**STILL, "LoadTime": 5, "Triggers.OnReset": reset, "Triggers.OnMessage": tasks}
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10}),
        "Line": ("Queue", (0, 0), queue),
        "Out": ("Sink", (20, 0), {}),
        "Mover": ("TaskExecuter", (0, 0), mover),
    }
    report, events = traced(plant(objects, "In>Line Line>Out Line-Mover"), 19)
    # TRAVEL, FRLOAD, BREAK, TRAVEL, FRUNLOAD: loading until 15, then under way; a place is taken and freed meanwhile.
    assert times(events, "exit", "Line") == [15]
    assert report.output[0] == "Product 1 Out 3 1"
    assert report.output[1] == "8 2 11 8 4 3 1 Line Out 1 1"
    assert report.output[-1] == "8 2 11 8 4 3 1 Line Out 0 1"


def test_capacity_counts_the_content_and_what_is_under_way():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 1}),
        "Line": ("Queue", (0, 0), {"UseTransport": 1}),
        "Store": ("Queue", (20, 0), {"MaxContent": 2, "SendToPort": -1}),
        "Out": ("Sink", (40, 0), {}),
        "A": ("TaskExecuter", (0, 0), STILL),
        "B": ("TaskExecuter", (0, 0), STILL),
        "C": ("TaskExecuter", (0, 0), STILL),
        "Team": ("Dispatcher", (0, 9), {}),
    }
    links = "In>Line Line>Store Store>Out Line-Team Team>A Team>B Team>C"
    report, events = traced(plant(objects, links), 100)
    assert len(times(events, "entry", "Store")) == 2
    assert states(report, "C") == {"idle": 100}  # no third place, and so nothing for the third one


# --- States by their numbers ------------------------------------------------------------------------------------------


def test_states_of_a_blocked_line(model):
    told = "Array all; for (int i = 2; i <= 5; i++) all.push(getstatenum(model().subnodes[i]));"
    told += 'print(time(), all.join(" "));'
    reset = "Object t = ownerobject(c); for (int i = 0; i < 5; i++) senddelayedmessage(t, i + 0.5, t);"
    objects = {
        "In": ("Source", {"InterArrivalTime": 1}),
        "Line": ("Queue", {"MaxContent": 1}),
        "Work": ("Processor", {"SetupTime": 2, "ProcessTime": 3}),
        "Out": ("Sink", {"Triggers.OnReset": reset, "Triggers.OnMessage": told}),
    }
    report = run(model(objects, "In>Line Line>Work Work>Out"), until=5)
    # Generating 5, blocked 4; empty 6, releasing 8; idle 1, setup 21, processing 2; collecting 7.
    assert report.output == ("0.5 5 6 1 7", "1.5 5 6 21 7", "2.5 5 8 21 7", "3.5 4 8 2 7", "4.5 4 8 2 7")


@pytest.mark.parametrize(
    ("cls", "properties", "state"),
    [
        pytest.param("Queue", {"DoBatching": 1, "BatchSize": 5}, "collecting", id="Queue 7"),
        pytest.param("Queue", {"UseTransport": 1}, "waiting for transport", id="Queue 10"),
        pytest.param("Processor", {"ProcessTime": 0, "UseTransport": 1}, "waiting for transport", id="Processor 10"),
        pytest.param("Processor", {"ProcessTime": 1, "UseProcessOperators": 1}, "waiting for operator",
                     id="Processor 9"),
        pytest.param("Processor", {"ProcessTime": 0, "SendToPort": -1}, "blocked", id="Processor 4"),
    ],
)  # fmt: skip
def test_state_of_who_waits(cls, properties, state):
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10}),
        "Work": (cls, (0, 0), properties),
        "Out": ("Sink", (9, 0), {}),
        "Late": ("TaskExecuter", (0, 0), {**STILL, "MaxSpeed": 1e-9}),
    }
    script = plant(objects, "In>Work Work>Out Work-Late", "Late.location.x = -50;")
    report, _ = traced(script, 15)
    assert report.kpis.objects["Work"].states[state].mean == pytest.approx(5)


# --- Classes ----------------------------------------------------------------------------------------------------------


def test_a_combiner_ignores_its_pull_strategy(model):
    objects = {
        "A": ("Source", {"InterArrivalTime": 10}),
        "B": ("Source", {"InterArrivalTime": 10}),
        "Pack": ("Combiner", {"ProcessTime": 1, "Pull": 1, "PullStrategy": 2, "Triggers.OnEntry": "print(param(2));"}),
        "Out": ("Sink", {}),
    }
    assert run(model(objects, "A>Pack B>Pack Pack>Out"), until=25).output == ("1", "2", "1", "2")


def test_a_batch_larger_than_the_queue_never_completes(model):
    _, report = line(model, until=500, queue={"DoBatching": 1, "BatchSize": 5, "MaxContent": 3})
    assert report.verdict is Verdict.NO_FLOW
    assert report.kpis.objects["Line"].content_current.mean == 3


def test_a_queue_without_a_batch_time_waits_for_ever(model):
    _, report = line(model, until=35, queue={"DoBatching": 1, "BatchSize": 4, "MaxBatchTime": 0})
    assert report.kpis.objects["Line"].content_current.mean == 3


def test_a_sink_destroys_on_entry(model):
    output, report = line(model, sink={"Triggers.OnEntry": SEEN + "print(item.name, content(current));"})
    assert output == ("Product 0", "Product 0")
    assert report.kpis.objects["Out"].content_current.mean == 0


def test_getstat_and_stats_agree(model):
    code = SEEN + (
        'print(getstat(current, "Content", STAT_CURRENT) == current.stats.content.value,'
        ' getstat(current, "Content", STAT_AVERAGE) == current.stats.content.average,'
        " getinput(current) == current.stats.input.value, getoutput(current) == current.stats.output.value,"
        " current.stats.content.average, current.stats.state().value);"
    )
    # Busy from 10 to 15 and from 20: 5 of 15 s, then 10 of 25 s.
    output, _ = line(model, work={"Triggers.OnProcessFinish": code})
    assert [text.split()[:4] for text in output] == [["1"] * 4] * 2
    assert [float(text.split()[4]) for text in output] == pytest.approx([1 / 3, 0.4])
