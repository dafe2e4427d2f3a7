"""Task sequences: milestones, every task type, dispatchers and their queues, preemption, and the commands for them."""

import pytest
from simulator_plants import INSTANT, STILL, literal, plant, states, times, traced

from vlsm_jax.simulator import Verdict, run
from vlsm_jax.simulator.constants import constants
from vlsm_jax.simulator.objects.task import TaskSequence, TaskType


def test_task_types_have_the_numbers_of_flexsim():
    for kind in TaskType:
        assert constants()[f"TASKTYPE_{kind.name}"] == kind


def test_a_milestone_answers_for_its_range():
    sequence = TaskSequence(None)
    sequence.add(TaskType.TAG)
    sequence.add(TaskType.MILESTONE, None, None, 2)
    for _ in range(4):
        sequence.add(TaskType.DELAY, None, None, 1)
    for cursor, expected in ((0, 0), (2, 1), (3, 1), (4, 4), (5, 5)):
        sequence.cursor = cursor
        sequence.revert()
        assert sequence.cursor == expected


def scripted(body: str, more: str = "", executer=("TaskExecuter", (0, 0), STILL), extra=None, until=100.0, links=""):
    """Runs a model in which a script does something as the only item enters the queue at time 10."""
    objects = {
        "In": ("Source", (0, 0), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[10, "a", 1]]}),
        "Line": ("Queue", (0, 0), {}),
        "Out": ("Sink", (20, 0), {}),
        "Te": executer,
        **(extra or {}),
    }
    start = 'Object item = param(1); Object current = ownerobject(c); TaskExecuter te = Model.find("Te");'
    more = f'Line.setProperty("Triggers.OnEntry", {literal(start + body)});\n' + more
    return traced(plant(objects, f"In>Line Line>Out {links}", more), until)


def test_travel_delay_and_a_state_of_ones_own():
    report, _ = scripted(
        'TaskSequence ts = TaskSequence.create(te, 0, 0); ts.addTask(TASKTYPE_TRAVEL, Model.find("Out"));'
        "ts.addTask(TASKTYPE_DELAY, NULL, NULL, 7, STATE_MAINTENANCE); ts.addTask(TASKTYPE_TAG, te); ts.dispatch();"
    )
    assert states(report, "Te") == pytest.approx({"idle": 100 - 19 - 7, "travel empty": 19, "maintenance": 7})
    assert report.kpis.objects["Te"].utilisation.mean == pytest.approx(0.19)  # maintenance is no use of it


def test_travel_with_a_target_time():
    report, _ = scripted(
        'TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_TRAVEL, Model.find("Out"), NULL, 0, 0, 0, 50);'
        "ts.dispatch();"
    )
    assert states(report, "Te")["travel empty"] == 50


def test_travel_to_a_location_and_by_an_offset():
    report, _ = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_TRAVELTOLOC, NULL, NULL, 3, 4, 0);"
        "ts.addTask(TASKTYPE_TRAVELRELATIVE, NULL, NULL, 0, 0, 12); ts.addTask(TASKTYPE_MESSAGE, te, NULL, -1);"
        "ts.dispatch();",
        'Te.setProperty("Triggers.OnMessage", "Object current = ownerobject(c);'
        'print(time(), current.location.x, current.location.y, current.location.z); return 0;");',
    )
    assert states(report, "Te")["offset travel empty"] == 17
    assert report.output == ("27 2 4.5 12",)  # the corner of an object of 2 by 1 m


def test_pick_and_place_offsets_go_part_of_the_way():
    report, _ = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_TRAVELTOLOC, NULL, NULL, 6, 8, 0);"
        "ts.addTask(TASKTYPE_PICKOFFSET, item, current, 1, 0, 0); ts.addTask(TASKTYPE_DELAY, NULL, NULL, 1);"
        "ts.addTask(TASKTYPE_PLACEOFFSET, item, current, 0, 0.5, 0); ts.dispatch();"
    )
    assert states(report, "Te")["offset travel empty"] == pytest.approx(10 + 6 + 1 + 4)  # a delay keeps the state


def test_utilize_ends_with_freeoperators():
    report, _ = scripted(
        "treenode ts = createemptytasksequence(te, 0, 0); inserttask(ts, TASKTYPE_UTILIZE, current, NULL, STATE_BUSY);"
        "dispatchtasksequence(ts); senddelayedmessage(current, 5, te);",
        'Line.setProperty("Triggers.OnMessage", "Object current = ownerobject(c);'
        'freeoperators(Model.find(\\"Te\\"), Model.find(\\"Out\\")); freeoperators(Model.find(\\"Te\\"), current);");',
    )
    assert states(report, "Te") == {"idle": 95, "busy": 5}


def test_free_operators_as_a_task_of_another():
    report, _ = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_UTILIZE, current); ts.dispatch();"
        'TaskSequence other = TaskSequence.create(Model.find("Other")); other.addTask(TASKTYPE_DELAY, NULL, NULL, 9);'
        "other.addTask(TASKTYPE_FREEOPERATORS, te, current); other.dispatch();",
        extra={"Other": ("Operator", (0, 0), {})},
    )
    assert states(report, "Te") == {"idle": 91, "utilize": 9}


def test_stop_requests_of_another_object_and_of_itself():
    report, _ = scripted(
        'TaskSequence ts = TaskSequence.create(te); Object out = Model.find("Other");'
        "ts.addTask(TASKTYPE_STOPREQUESTBEGIN, out, NULL, STATE_DOWN, 0, 4); ts.addTask(TASKTYPE_DELAY, NULL, NULL, 6);"
        "ts.addTask(TASKTYPE_STOPREQUESTFINISH, out, NULL, 0, 4);"
        "ts.addTask(TASKTYPE_STOPREQUESTBEGIN, NULL, NULL, STATE_LUNCH);"
        "ts.addTask(TASKTYPE_DELAY, NULL, NULL, 2, STATE_BUSY);"
        "ts.dispatch(); senddelayedmessage(current, 20, te);",
        'Line.setProperty("Triggers.OnMessage", "resumeobject(Model.find(\\"Te\\"));");',
        extra={"Other": ("Processor", (0, 9), {})},
        links="Line>Other",
    )
    assert states(report, "Te") == pytest.approx({"idle": 16 + 68, "lunch": 14, "busy": 2})


def test_move_and_destroy_an_item():
    _, events = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_DELAY, NULL, NULL, 3);"
        'ts.addTask(TASKTYPE_MOVEOBJECT, item, Model.find("Store")); ts.dispatch();',
        'Line.setProperty("SendToPort", -1);',
        extra={"Store": ("Queue", (0, 9), {})},
        links="Line>Store",
    )
    assert times(events, "exit", "Line") == [13]
    report, events = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_DELAY, NULL, NULL, 3);"
        "ts.addTask(TASKTYPE_DESTROYOBJECT, item); ts.dispatch();",
        'Line.setProperty("SendToPort", -1);',
    )
    assert report.kpis.objects["Line"].content_current.mean == 0
    assert not times(events, "entry", "Out")


def test_load_and_unload_an_item_that_nobody_called_for():
    _, events = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_LOAD, item, current);"
        'ts.addTask(TASKTYPE_TRAVEL, Model.find("Out")); ts.addTask(TASKTYPE_UNLOAD, item, Model.find("Out"));'
        "ts.dispatch();",
        'Line.setProperty("SendToPort", -1);',
    )
    assert times(events, "entry", "Te") == [10]
    assert times(events, "entry", "Out") == [29]


def test_set_number_and_node_function():
    report, _ = scripted(
        'current.labels.assert("Count", 5); TaskSequence ts = TaskSequence.create(te);'
        'ts.addTask(TASKTYPE_SETNODENUM, current.find(">labels/Count"), NULL, 3);'
        'ts.addTask(TASKTYPE_SETNODENUM, current.find(">labels/Count"), NULL, 4, 1);'
        "ts.addTask(TASKTYPE_MESSAGE, current, NULL, -1); ts.dispatch();",
        'Line.setProperty("Triggers.OnMessage", "Object current = ownerobject(c); print(current.Count);");',
    )
    assert report.output == ("7",)


def test_messages_at_once_and_later_with_parameters():
    report, _ = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_MESSAGE, current, NULL, -1, 1, 2, 3);"
        "ts.addTask(TASKTYPE_SENDMESSAGE, current, NULL, 4, 5, 6, 8); ts.dispatch();",
        'Line.setProperty("Triggers.OnMessage", "print(time(), param(1).as(Object).name, msgparam(1), msgparam(2),'
        ' msgparam(3));");',
    )
    assert report.output == ("10 Te 1 2 3", "18 Te 4 5 6")


def test_wait_for_task():
    report, _ = scripted(
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_WAITFORTASK, NULL, NULL, STATE_WAITING);"
        "ts.dispatch(); senddelayedmessage(current, 6, te);",
        'Line.setProperty("Triggers.OnMessage", "TaskExecuter te = Model.find(\\"Te\\");'
        'te.activeTaskSequence.addTask(TASKTYPE_DELAY, NULL, NULL, 5, STATE_BUSY);");',
    )
    assert states(report, "Te") == {"idle": 89, "waiting": 6, "busy": 5}


def test_call_subtasks_returns_to_where_it_was():
    report, _ = scripted(
        "TaskSequence sub = TaskSequence.create(te); sub.addTask(TASKTYPE_DELAY, NULL, NULL, 3, STATE_SETUP);"
        "TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_CALLSUBTASKS, NULL, sub);"
        "ts.addTask(TASKTYPE_CALLSUBTASKS, current); ts.addTask(TASKTYPE_DELAY, NULL, NULL, 4, STATE_BUSY);"
        "TaskSequence last = TaskSequence.create(te, 9); last.addTask(TASKTYPE_MESSAGE, te, NULL, -1);"
        "ts.dispatch(); last.dispatch();",
        'Line.setProperty("Triggers.OnMessage", "TaskSequence more = TaskSequence.create(param(1));'
        'more.addTask(TASKTYPE_DELAY, NULL, NULL, 2, STATE_REPAIR); return more;");'
        'Te.setProperty("Triggers.OnMessage", "print(time());");',
    )
    assert states(report, "Te") == {"idle": 91, "setup": 3, "repair": 2, "busy": 4}
    assert report.output == ("19",)


def test_what_is_not_supported_is_named():
    for kind, named in ((21, "TASKTYPE_CT_ALLOCATE"), (26, "TASKTYPE_TE_STOP"), (99, "task type 99")):
        objects = {
            "In": ("Source", (0, 0), {"InterArrivalTime": 10}),
            "Out": ("Sink", (20, 0), {}),
            "Te": ("TaskExecuter", (0, 0), {}),
        }
        code = f'TaskSequence ts = TaskSequence.create(Model.find("Te")); ts.addTask({kind}); ts.dispatch();'
        report = run(plant(objects, "In>Out", f'Out.setProperty("Triggers.OnEntry", {literal(code)});'), until=50)
        assert report.verdict is Verdict.RUN_ERROR
        assert any(named in d.message and "'Te'" in d.message for d in report.diagnostics)


def test_mistakes_are_faults_that_say_what_to_do():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10}),
        "Out": ("Sink", (20, 0), {}),
        "Te": ("TaskExecuter", (0, 0), {}),
    }
    for code, words in (
        ('TaskSequence.create(Model.find("Out")).dispatch();', "'Out' is a Sink"),
        ("TaskSequence ts; ts.addTask(1);", "NULL"),
        ('TaskSequence.create(Model.find("Te"), 0, 7);', "0 to 3"),
        ('TaskSequence s = TaskSequence.create(Model.find("Te")); s.dispatch(); s.dispatch();', "already"),
        (
            'TaskSequence s = TaskSequence.create(Model.find("Te")); '
            's.addTask(TASKTYPE_UNLOAD, param(1), Model.find("Out")); s.dispatch();',
            "unload",
        ),
        (
            'TaskSequence s = TaskSequence.create(Model.find("Te")); s.addTask(TASKTYPE_TRAVEL); s.dispatch();',
            "nowhere",
        ),
    ):
        script = plant(objects, "In>Out", f'In.setProperty("Triggers.OnExit", {literal(code)});')
        report = run(script, until=50)
        assert report.verdict is Verdict.RUN_ERROR, code
        assert any(words in d.message for d in report.diagnostics), (code, report.diagnostics)


# --- Dispatchers ------------------------------------------------------------------------------------------------------

DELAYS = (
    "for (int i = 1; i <= 4; i++) {{ TaskSequence ts = TaskSequence.create({to}, {priority}, 0); ts.Number = i;"
    "ts.addTask(TASKTYPE_DELAY, NULL, NULL, 10, STATE_BUSY); ts.addTask(TASKTYPE_MESSAGE, current, NULL, -1, i);"
    "ts.dispatch(); }}"
)
TELL = (
    'Line.setProperty("Triggers.OnMessage", "print(time(), param(1).as(Object).name, msgparam(1));");'
    'contextdragconnection(Team, Te, "A"); contextdragconnection(Team, Two, "A");'
)
TEAM = {"Two": ("TaskExecuter", (0, 0), STILL), "Team": ("Dispatcher", (0, 0), {})}


def test_a_team_takes_turns_in_port_order_and_queues_first_in_first_out():
    report, _ = scripted(DELAYS.format(to='Model.find("Team")', priority=0), TELL, extra=TEAM)
    assert report.output == ("20 Te 1", "20 Two 2", "30 Te 3", "30 Two 4")
    assert states(report, "Two") == {"idle": 80, "busy": 20}


def test_the_queue_is_ordered_by_priority_or_by_a_strategy_of_its_own():
    report, _ = scripted(DELAYS.format(to='Model.find("Team")', priority="i"), TELL, extra=TEAM)
    assert report.output == ("20 Te 1", "20 Two 2", "30 Te 4", "30 Two 3")
    team = {
        **TEAM,
        "Team": ("Dispatcher", (0, 0), {"QueueStrategy": "TaskSequence ts = param(1); return -ts.priority;"}),
    }
    report, _ = scripted(DELAYS.format(to='Model.find("Team")', priority="i"), TELL, extra=team)
    assert report.output == ("20 Te 1", "20 Two 2", "30 Te 3", "30 Two 4")


def test_pass_to_a_port_and_to_nobody():
    team = {
        **TEAM,
        "Team": ("Dispatcher", (0, 0), {"PassTo": "TaskSequence ts = param(1); return ts.Number == 3 ? -1 : 2;"}),
    }
    report, _ = scripted(DELAYS.format(to='Model.find("Team")', priority=0), TELL, extra=team)
    assert report.output == ("20 Two 1", "30 Two 2", "40 Two 4")


def test_pass_to_in_a_circle_is_a_fault():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10, "UseTransport": 1}),
        "Out": ("Sink", (20, 0), {}),
        "One": ("Dispatcher", (0, 0), {"PassTo": 1}),
        "Two": ("Dispatcher", (0, 0), {"PassTo": 1}),
    }
    report = run(plant(objects, "In>Out In-One One>Two Two>One"), until=50)
    assert report.verdict is Verdict.RUN_ERROR
    assert any("circle" in d.message for d in report.diagnostics)


def test_dispatchers_in_a_row():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10, "UseTransport": 1}),
        "Out": ("Sink", (20, 0), {}),
        "One": ("Dispatcher", (0, 0), {}),
        "Two": ("Dispatcher", (0, 0), {}),
        "Te": ("TaskExecuter", (0, 0), {**STILL, "LoadTime": 1}),
    }
    _, events = traced(plant(objects, "In>Out In-One One>Two Two>Te"), 120)
    # 1 s of load, 19 m there; the next one is created 10 later than the pick-up, and fetched from 18 m away.
    assert (
        times(events, "entry", "Out")
        == [
            30,
            30 + 18 + 1 + 18,
            67 + 37,
        ][:3]
    )


def test_a_task_executer_leads_a_team():
    report, _ = scripted(
        DELAYS.format(to="te", priority=0),
        'Line.setProperty("Triggers.OnMessage", "print(time(), param(1).as(Object).name, msgparam(1));");'
        'contextdragconnection(Te, Two, "A");',
        extra={"Two": ("TaskExecuter", (0, 0), STILL)},
    )
    assert report.output == ("20 Te 1", "20 Two 2", "30 Te 3", "30 Two 4")


def test_triggers_of_dispatchers_and_executers():
    more = TELL + (
        'Team.setProperty("Triggers.OnReceiveTaskSequence", "TaskSequence ts = param(1);'
        'print(\\"got\\", ts.Number);");'
        'Team.setProperty("Triggers.OnResourceAvailable", "TaskSequence next = param(3); Object who = param(2);'
        'print(\\"free\\", param(1), who.name, next ? next.Number : 0); return 0;");'
    )
    report, _ = scripted(DELAYS.format(to='Model.find("Team")', priority=0), more, extra=TEAM)
    assert report.output[:4] == ("got 1", "got 2", "got 3", "got 4")
    assert report.output[4:7] == ("20 Te 1", "free 1 Te 3", "20 Two 2")
    assert report.output[-1] == "free 2 Two 0"


def test_what_scripts_read_of_a_sequence():
    report, _ = scripted(
        "TaskSequence a = TaskSequence.create(te, 3, PREEMPT_ONLY); a.addTask(TASKTYPE_DELAY, NULL, NULL, 9);"
        "a.addTask(TASKTYPE_TAG, current, te, 1, 2); a.dispatch();"
        "TaskSequence b = TaskSequence.create(te); b.addTask(TASKTYPE_TAG); b.dispatch();"
        "print(te.activeTaskSequence == a, te.activeTask.type, te.taskSequences.length, te.taskSequences[1] == b,"
        "b.rank);"
        "print(a.priority, a.preempt, a.tasks.length, a.tasks[2].involved1.as(Object).name, a.tasks[2].var2);"
        "print(gettasktype(a, 2), gettaskvariable(a, 2, 1), getnroftasks(a), gettotalnroftasks(a), gettaskstate(a, 1));"
        "b.priority = 5; print(b.priority, gettasksequence(te, 0) == a, gettasksequence(te, 2) == NULL);"
    )
    assert report.output == ("1 12 1 1 1", "3 1 2 Line 2", "20 1 2 2 1", "5 1 1")


def test_old_commands_that_make_a_sequence_at_once():
    report, _ = scripted('createtraveltask(te, Model.find("Out"), 0, 0); createdelaytask(te, 5, STATE_BUSY, 0, 0);')
    assert states(report, "Te") == {"idle": 76, "travel empty": 19, "busy": 5}


def test_move_and_finish():
    report, _ = scripted(
        DELAYS.format(to="te", priority=0)
        + 'te.taskSequences[3].move(Model.find("Two")); te.taskSequences[1].finish(); te.activeTaskSequence.finish();',
        'Line.setProperty("Triggers.OnMessage", "print(time(), param(1).as(Object).name, msgparam(1));");',
        extra={"Two": ("TaskExecuter", (0, 0), STILL)},
    )
    assert report.output == ("20 Two 4", "30 Te 3")


# --- Preemption -------------------------------------------------------------------------------------------------------


def preempted(kind: int, priority: int) -> tuple[str, ...]:
    body = (
        "TaskSequence a = TaskSequence.create(te, 1); a.addTask(TASKTYPE_DELAY, NULL, NULL, 10);"
        "a.addTask(TASKTYPE_MESSAGE, current, NULL, -1, 1); a.dispatch();"
        "TaskSequence b = TaskSequence.create(te, 1); b.addTask(TASKTYPE_DELAY, NULL, NULL, 10);"
        "b.addTask(TASKTYPE_MESSAGE, current, NULL, -1, 2); b.dispatch(); senddelayedmessage(te, 4, current);"
    )
    urgent = (
        f"TaskExecuter te = ownerobject(c); TaskSequence u = TaskSequence.create(te, {priority}, {kind});"
        'u.addTask(TASKTYPE_DELAY, NULL, NULL, 5); u.addTask(TASKTYPE_MESSAGE, Model.find("Line"), NULL, -1, 3);'
        "u.dispatch();"
    )
    more = (
        'Line.setProperty("Triggers.OnMessage", "print(time(), msgparam(1));");'
        f'Te.setProperty("Triggers.OnMessage", {literal(urgent)});'
    )
    return scripted(body, more)[0].output


def test_preemption_of_each_kind():
    # The first delay has 6 s left when it is interrupted at 14; these are what is left to do.
    assert preempted(1, 5) == ("19 3", "25 1", "35 2")
    assert preempted(2, 5) == ("19 3", "29 2")
    assert preempted(3, 5) == ("19 3",)


def test_preemption_needs_a_higher_priority():
    assert preempted(1, 1) == ("20 1", "30 2", "35 3")
    assert preempted(0, 5) == ("20 1", "25 3", "35 2")  # it still ranks first in the queue


def test_a_preempted_sequence_is_handed_back_to_the_dispatcher():
    body = (
        'TaskSequence a = TaskSequence.create(Model.find("Team")); a.addTask(TASKTYPE_DELAY, NULL, NULL, 10);'
        "a.addTask(TASKTYPE_MESSAGE, current, NULL, -1, 1); a.dispatch(); senddelayedmessage(te, 4, current);"
    )
    urgent = (
        "TaskExecuter te = ownerobject(c); TaskSequence u = TaskSequence.create(te, 5, PREEMPT_ONLY);"
        'u.addTask(TASKTYPE_DELAY, NULL, NULL, 50); u.addTask(TASKTYPE_MESSAGE, Model.find("Line"), NULL, -1, 2);'
        "u.dispatch();"
    )
    more = (
        'Line.setProperty("Triggers.OnMessage", "print(time(), param(1).as(Object).name, msgparam(1));");'
        f'Te.setProperty("Triggers.OnMessage", {literal(urgent)});'
        'contextdragconnection(Team, Te, "A"); contextdragconnection(Team, Two, "A");'
    )
    back = 'contextdragconnection(Te, Team, "A");'
    # The other member takes it over at 14 with 6 s left, where there is a way back; else it waits for its executer.
    assert scripted(body, more + back, extra=TEAM)[0].output == ("20 Two 1", "64 Te 2")
    assert scripted(body, more, extra=TEAM)[0].output == ("64 Te 2", "70 Te 1")


def test_a_stopped_executer_begins_its_task_anew():
    report, _ = scripted(
        'TaskSequence ts = TaskSequence.create(te); ts.addTask(TASKTYPE_TRAVEL, Model.find("Out"));'
        "ts.addTask(TASKTYPE_MESSAGE, current, NULL, -1); ts.dispatch(); senddelayedmessage(te, 5, current);",
        'Line.setProperty("Triggers.OnMessage", "print(time());");'
        'Te.setProperty("Triggers.OnMessage", "Object current = ownerobject(c);'
        "if (param(2)) resumeobject(current); else { stopobject(current, STATE_BREAKDOWN);"
        'senddelayedmessage(current, 8, current, 1); }");',
        executer=("TaskExecuter", (0, 0), {**STILL, "MaxSpeed": 2, "Acceleration": 1, "Deceleration": 1}),
    )
    # 19 m at up to 2 m/s. After 5 s: 2 m while speeding up, then 3 s at 2 m/s, so 8 m; 11 m are left, from rest.
    assert report.output == (f"{10 + 5 + 8 + 2 + 2 + (11 - 4) / 2:g}",)
    assert states(report, "Te")["breakdown"] == 8


def test_an_instant_loop_of_tasks_is_found():
    objects = {
        "In": ("Source", (0, 0), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[10, "a", 1]]}),
        "Out": ("Sink", (0, 0), {}),
        "Te": ("TaskExecuter", (0, 0), INSTANT),
    }
    again = (
        "TaskExecuter te = ownerobject(c); TaskSequence ts = TaskSequence.create(te);"
        "ts.addTask(TASKTYPE_MESSAGE, te, NULL, -1); ts.dispatch();"
    )
    more = f'Te.setProperty("Triggers.OnMessage", {literal(again)});'
    more += 'Out.setProperty("Triggers.OnEntry", "sendmessage(Model.find(\\"Te\\"), NULL);");'
    report = run(plant(objects, "In>Out", more), until=50)
    assert report.verdict is Verdict.BUDGET
