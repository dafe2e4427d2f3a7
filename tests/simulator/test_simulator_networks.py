"""Travel along paths: shortest ways, nodes at objects, being called away between nodes, AGVs."""

import pytest
from simulator_plants import STILL, plant, states, times, traced

from vlsm_jax.simulator import Verdict, run

NODES = {
    "N1": ("NetworkNode", (0, 5), {}),
    "N2": ("NetworkNode", (0, 25), {}),
    "N3": ("NetworkNode", (40, 25), {}),
    "N4": ("NetworkNode", (40, 5), {}),
}


def circuit(links, executer="TaskExecuter", more="", nodes=NODES, properties=STILL):
    objects = {
        "In": (
            "Source",
            (0, 0),
            {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[10, "a", 1]], "UseTransport": 1},
        ),
        "Out": ("Sink", (40, 0), {}),
        "Mover": (executer, (0, 0), properties),
        **nodes,
    }
    return plant(objects, f"In>Out In-Mover {links}", more)


AT = "N1>Mover N1>In Out>N4"


def test_the_way_is_along_the_paths():
    report, events = traced(circuit(f"{AT} N1>N2 N2>N3 N3>N4"), 200)
    # It stands at N1 already. From where it stands, 5 m before N1, along three sides of the rectangle.
    assert times(events, "exit", "In") == [10]
    assert times(events, "entry", "Out") == pytest.approx([10 + 5 + 20 + 40 + 20])
    assert states(report, "Mover")["travel loaded"] == pytest.approx(85)


def test_the_shortest_way_counts_in_both_directions():
    _, events = traced(circuit(f"{AT} N1>N2 N2>N3 N3>N4 N4>N1"), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 5 + 40])


def test_one_trapezoid_for_the_whole_way():
    properties = {**STILL, "MaxSpeed": 2, "Acceleration": 1, "Deceleration": 1}
    _, events = traced(circuit(f"{AT} N1>N2 N2>N3 N3>N4", properties=properties), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 4 + (85 - 4) / 2])


def test_offset_travel_leaves_the_network():
    properties = {**STILL, "OffsetTravel": "Travel Offsets"}
    _, events = traced(circuit(f"{AT} N1>N4", properties=properties), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 5 + 40 + 5])


def test_where_no_path_leads_the_run_says_so():
    report = run(circuit(f"{AT} N1>N2 N3>N4"), until=200)
    assert report.verdict is Verdict.RUN_ERROR
    assert any("no path leads from 'Mover' to 'Out'" in d.message for d in report.diagnostics)


def test_an_object_at_no_node_is_reached_in_a_straight_line():
    report, events = traced(circuit("N1>Mover N1>In N1>N4"), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 39])
    assert any(d.code == "network" and "'Out'" in d.message for d in report.diagnostics)


def test_connections_with_nodes_are_no_ports():
    script = circuit("Out>N4 N1>Mover In>N1 N1>N4", more='In.setProperty("SendToPort", 1);')
    _, events = traced(script, 200)
    assert times(events, "entry", "Out") == pytest.approx([55])


def test_called_away_between_two_nodes():
    urgent = (
        'TaskExecuter m = Model.find("Mover"); TaskSequence t = TaskSequence.create(m, 9, 1);'
        't.addTask(TASKTYPE_TRAVEL, Model.find("In")); t.addTask(TASKTYPE_DELAY, NULL, NULL, 7, STATE_BUSY);'
        "t.dispatch();"
    ).replace('"', '\\"')
    more = (
        f'Out.setProperty("Triggers.OnMessage", "{urgent}");'
        'In.setProperty("Triggers.OnExit", "senddelayedmessage(Model.find(\\"Out\\"), 15, NULL);");'
    )
    report, events = traced(circuit(f"{AT} N1>N4", more=more), 300)
    # At 25 it is 10 m behind N1; back to it, 7 s there, then the 40 m again.
    assert times(events, "entry", "Out") == pytest.approx([10 + 15 + 10 + 7 + 40])
    assert states(report, "Mover")["busy"] == 7


def test_agvs_on_control_points():
    points = {name: ("AGV::ControlPoint", where, {}) for name, (_, where, _) in NODES.items()}
    _, events = traced(circuit(f"{AT} N1>N2 N2>N3 N3>N4", executer="AGV::AGV", nodes=points), 200)
    assert times(events, "entry", "Out") == pytest.approx([95])


def test_control_points_on_a_straight_path_are_joined_in_their_order():
    points = {
        "N1": ("AGV::ControlPoint", (0, 5), {}),
        "N4": ("AGV::ControlPoint", (40, 5), {}),
        "Half": ("AGV::ControlPoint", (20, 5), {}),
        "Lane": ("AGV::StraightPath", (0, 5), {"StartLocation": [-10, 5, 0], "EndLocation": [60, 5, 0]}),
    }
    _, events = traced(circuit(AT, executer="AGV::AGV", nodes=points), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 5 + 40])


def lanes(**back):
    """A triangle of paths; control points at In and Out, the third corner is where paths meet."""
    return {
        "N1": ("AGV::ControlPoint", (0, 0), {}),
        "N4": ("AGV::ControlPoint", (40, 0), {}),
        "Up": ("AGV::StraightPath", (0, 0), {"StartLocation": [0, 0, 0], "EndLocation": [0, 30, 0]}),
        "Down": ("AGV::StraightPath", (0, 0), {"StartLocation": [0, 30, 0], "EndLocation": [40, 0, 0]}),
        "Back": ("AGV::StraightPath", (0, 0), {"StartLocation": [40, 0, 0], "EndLocation": [0, 0, 0], **back}),
    }


def test_paths_go_on_where_they_meet_and_may_lead_one_way_only():
    _, events = traced(circuit(AT, executer="AGV::AGV", nodes=lanes()), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 40])
    _, events = traced(circuit(AT, executer="AGV::AGV", nodes=lanes(IsTwoWay=0)), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 30 + 50])


def test_on_a_one_way_path_nobody_turns_round():
    urgent = (
        'TaskExecuter m = Model.find("Mover"); TaskSequence t = TaskSequence.create(m, 9, 1);'
        't.addTask(TASKTYPE_TRAVEL, Model.find("In")); t.dispatch();'
    ).replace('"', '\\"')
    more = (
        f'Out.setProperty("Triggers.OnMessage", "{urgent}"); Up.setProperty("IsTwoWay", 0);'
        'Down.setProperty("IsTwoWay", 0);'
        'In.setProperty("Triggers.OnExit", "senddelayedmessage(Model.find(\\"Out\\"), 15, NULL);");'
    )
    _, events = traced(circuit(AT, executer="AGV::AGV", nodes=lanes(IsTwoWay=0), more=more), 400)
    # Called back after 15 of the 30 m up: on round the triangle to In, and the whole way once more.
    assert times(events, "entry", "Out") == pytest.approx([10 + 15 + 15 + 50 + 40 + 80])


def test_an_agv_without_a_network_goes_straight():
    _, events = traced(circuit("", executer="AGV::AGV", nodes={}), 200)
    assert times(events, "entry", "Out") == pytest.approx([10 + 40 - 0.5])


def test_a_limit_of_travellers_is_said_to_have_no_effect():
    nodes = {**NODES, "N4": ("NetworkNode", (40, 5), {"MaxTravelers": 1})}
    report, _ = traced(circuit(f"{AT} N1>N4", nodes=nodes), 100)
    assert any("MaxTravelers of 'N4'" in d.message for d in report.diagnostics)
