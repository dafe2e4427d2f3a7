"""How long moves take: the trapezoid in closed form, and the way in which each class reaches an item."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_plants import INSTANT, plant, states, times, traced

from vlsm_jax.simulator import Verdict, run
from vlsm_jax.simulator.library import find_class
from vlsm_jax.simulator.objects import travel
from vlsm_jax.simulator.objects.travel import Move, trapezoid
from vlsm_jax.simulator.tree import Node

amounts = st.floats(0.01, 100)


def test_a_long_way_reaches_the_full_speed():
    # 2 m/s: 2 s and 2 m to speed up at 1 m/s², 4 s and 4 m to slow down at 0.5 m/s², the rest at full speed.
    profile = trapezoid(20, 2, 1, 0.5)
    assert profile.duration == pytest.approx(2 + 4 + (20 - 6) / 2)
    assert profile.peak == 2
    assert [profile.covered(t) for t in (0, 1, 2, 9, 13, 14)] == pytest.approx([0, 0.5, 2, 16, 20, 20])


def test_a_short_way_does_not():
    profile = trapezoid(3, 2, 1, 0.5)
    peak = math.sqrt(2 * 3 * 1 * 0.5 / 1.5)
    assert profile.peak == pytest.approx(peak)
    assert profile.duration == pytest.approx(peak / 1 + peak / 0.5)
    assert profile.covered(peak) == pytest.approx(peak**2 / 2)


def test_without_acceleration_or_deceleration():
    assert trapezoid(10, 2).duration == 5
    assert trapezoid(10, 2, 1, 0).duration == pytest.approx(2 + (10 - 2) / 2)
    assert trapezoid(1, 2, 0, 1).duration == pytest.approx(math.sqrt(2))
    assert trapezoid(0, 2, 1, 1).duration == 0


@given(amounts, amounts, st.floats(0, 10), st.floats(0, 10))
def test_the_profile_is_the_integral_of_a_speed_within_its_limits(distance, speed, acceleration, deceleration):
    acceleration, deceleration = (x if x > 1e-3 else 0.0 for x in (acceleration, deceleration))
    profile = trapezoid(distance, speed, acceleration, deceleration)
    assert profile.peak <= speed * (1 + 1e-9)
    assert profile.duration >= distance / speed * (1 - 1e-9)
    steps = [profile.covered(profile.duration * n / 200) for n in range(201)]
    assert steps[0] == 0 or not acceleration
    assert steps[-1] == pytest.approx(distance)
    gains = [b - a for a, b in itertools.pairwise(steps)]
    assert min(gains) >= -1e-9
    assert max(gains) <= speed * profile.duration / 200 * (1 + 1e-6) + 1e-9


def test_a_move_of_several_legs():
    move = Move(((0, 0, 0), (3, 0, 0), (3, 4, 0)), trapezoid(7, 1), 7)
    assert move.at(2) == ((2, 0, 0), 0)
    assert move.at(5) == ((3, 2, 0), 1)
    assert move.at(9) == ((3, 4, 0), 1)


def test_the_reference_point_is_the_centre_of_the_base():
    outer, inner = Node("Hall", find_class("VisualTool")), Node("Work", find_class("Processor"))
    outer.add(inner)
    outer.location.assign([100, 50, 1])
    inner.location.assign([10, 20, 3])
    assert travel.corner(inner) == (110, 70, 4)
    assert travel.reference_point(inner) == (112, 68.5, 4)  # 4 by 3 m, towards +x and -y


def once(executer, work=(10, 0), out=(10, 0), **properties):
    """One item from Line (at the origin, called at 0) to Out by one executer; returns the report and the events."""
    objects = {
        "In": ("Source", (0, 0), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "a", 1]]}),
        "Line": ("Queue", (0, 0), {"UseTransport": 1}),
        "Out": ("Sink", out, {}),
        "Mover": executer,
    }
    return traced(plant(objects, "In>Line Line>Out Line-Mover"), 200)


def test_defaults_of_a_transporter():
    report, events = once(("Transporter", (-20, 0), {}), out=(30, 0))
    half = 2.378 / 2
    there = trapezoid(20 - half, 2, 1, 1).duration
    back = trapezoid(30 + half - half, 2, 1, 1).duration
    assert times(events, "entry", "Out") == pytest.approx([there + back])
    assert states(report, "Mover") == pytest.approx(
        {"idle": 200 - there - back, "travel empty": there, "travel loaded": back}
    )


def test_an_operator_stops_at_the_edge_of_the_item():
    # Travel ends half of the operator before the centre; the item reaches farther than that towards it.
    report, events = once(("Operator", (-20, 0), INSTANT))
    assert times(events, "entry", "Mover") == pytest.approx([19.8])
    assert "offset travel empty" not in states(report, "Mover")
    wide = plant(
        {
            "In": ("Source", (0, 0), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "a", 1]]}),
            "Out": ("Sink", (10, 0), {}),
            "Mover": ("Operator", (-20, 0), INSTANT),
        },
        "In>Out",
        'Out.setProperty("Triggers.OnReset", "return 0;"); In.setProperty("Triggers.OnExit", "TaskExecuter m ='
        ' Model.find(\\"Mover\\"); TaskSequence t = TaskSequence.create(m); t.addTask(TASKTYPE_PICKOFFSET, param(1),'
        ' Model.find(\\"In\\"), 1, 1, 1); t.dispatch();");',
    )
    report, _ = traced(wide, 100)
    assert states(report, "Mover")["offset travel empty"] == pytest.approx(20 - (0.4 + 0.61) / 2)


def test_a_robot_takes_its_move_time():
    report, events = once(("Robot", (5, 5), {"MoveTime": 4, "LoadTime": 1}))
    # From its rest to the item, and on to the destination.
    assert times(events, "entry", "Mover") == [5]
    assert times(events, "entry", "Out") == [9]
    assert states(report, "Mover") == {"idle": 191, "offset travel empty": 4, "offset travel loaded": 4, "loading": 1}
    assert not any(d.code == "assumed" for d in report.diagnostics)


def test_a_robot_without_a_move_time_says_what_is_assumed():
    report, events = once(("Robot", (5, 5), {}))
    assert times(events, "entry", "Out") == [2]
    assert any(d.code == "assumed" and "MoveTime of 'Mover'" in d.message for d in report.diagnostics)


def test_a_robot_by_its_simple_motions():
    properties = {
        "MotionMode": "Simple Motion Method", "ZRotationSpeed": 30, "YRotationSpeed": 45, "ExtensionSpeed": 2,
    }  # fmt: skip
    _, events = once(("Robot", (0, 10), properties), out=(10, 10))
    # It reaches 10 m out to Line (5 s), then turns by 90 degrees (3 s); the distance is the same.
    assert times(events, "entry", "Out") == pytest.approx([5 + 3])


def test_a_robot_of_another_mode_is_not_supported():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10, "UseTransport": 1}),
        "Out": ("Sink", (9, 0), {}),
        "Mover": ("Robot", (0, 5), {"MotionMode": "Joint Speeds"}),
    }
    report = run(plant(objects, "In>Out In-Mover"), until=100)
    assert report.verdict is Verdict.RUN_ERROR
    assert any("'Joint Speeds'" in d.message for d in report.diagnostics)


def test_a_crane_lifts_moves_and_drops():
    crane = ("Crane", (-4, 3, 0), {**INSTANT, "LiftHeight": 5})
    _, events = once(crane, out=(10, 2))
    # Up 5 m, 4 m along x while 3 m along y, down to the top of the item at 0.3 m; then 5 - 0.3 up, 10 m, and down.
    assert times(events, "entry", "Mover") == pytest.approx([5 + 4 + 4.7])
    assert times(events, "entry", "Out") == pytest.approx([13.7 + 4.7 + 10 + 4.7])
    _, events = once(("Crane", (-4, 3, 0), {**INSTANT, "LiftHeight": 5, "TravelSequence": "L>X>Y>D"}))
    assert times(events, "entry", "Mover") == pytest.approx([5 + 4 + 3 + 4.7])
    speeds = [[2, 0, 0], [1, 0, 0], [0.5, 0, 0]]
    _, events = once(("Crane", (-4, 3, 0), {"LiftHeight": 5, "CraneSpeeds": speeds}))
    assert times(events, "entry", "Mover") == pytest.approx([10 + 3 + 9.4])


def test_an_asrs_vehicle_drives_and_lifts_at_the_same_time():
    vehicle = {**INSTANT, "LiftSpeed": 0.5, "ExtensionSpeed": 2}
    _, events = once(("ASRSvehicle", (-8, 3, 0), vehicle), out=(12, 2, 7))
    # 8 m along x, then 3 m across at 2 m/s; then 12 m and 14 s of lift, and 1 m across: it stays on its own axis.
    assert times(events, "entry", "Mover") == pytest.approx([8 + 1.5])
    assert times(events, "entry", "Out") == pytest.approx([9.5 + 14 + 0.5])


def test_an_elevator_only_goes_up_and_down():
    _, events = once(("Elevator", (-8, 3, 0), {"MaxSpeed": 2, "Acceleration": 1, "Deceleration": 1}), out=(90, 9, 10))
    assert times(events, "entry", "Mover") == [0]
    assert times(events, "entry", "Out") == pytest.approx([trapezoid(10, 2, 1, 1).duration])


def test_the_fork_of_a_transporter_lifts_while_it_drives_up():
    objects = {
        "In": ("Source", (0, 0), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "a", 1]]}),
        "Out": ("Sink", (10, 0, 3), {}),
        "Mover": ("Transporter", (-20, 0), {**INSTANT, "LiftSpeed": 0.25}),
    }
    code = (
        'TaskSequence t = TaskSequence.create(Model.find("Mover")); t.addTask(TASKTYPE_PICKOFFSET, param(1),'
        ' Model.find("Out"), 1, 1, 1); t.dispatch();'
    )
    quoted = code.replace('"', '\\"')
    report, _ = traced(plant(objects, "In>Out", f'In.setProperty("Triggers.OnExit", "{quoted}");'), 100)
    drive, lift = 30 - 1.189, 3 / 0.25
    assert states(report, "Mover")["offset travel empty"] == pytest.approx(max(drive, lift))
    more = f'In.setProperty("Triggers.OnExit", "{quoted}"); Mover.setProperty("MaxSpeed", 10);'
    fast = plant(objects, "In>Out", more)
    assert states(traced(fast, 100)[0], "Mover")["offset travel empty"] == pytest.approx(lift)
    stiff = fast + 'Mover.setProperty("AllowForkMovement", 0);'
    assert states(traced(stiff, 100)[0], "Mover")["offset travel empty"] == pytest.approx(drive / 10)


def test_every_executer_of_the_tree_is_among_the_figures():
    objects = {
        "In": ("Source", (0, 0), {"InterArrivalTime": 10}),
        "Out": ("Sink", (9, 0), {}),
        "Spare": ("Operator", (0, 5), {}),
        "Team": ("Dispatcher", (0, 5), {}),
        "Cart": ("AGV::AGV", (0, 5), {}),
    }
    report, _ = traced(plant(objects, "In>Out Team>Spare"), 100)
    assert states(report, "Spare") == states(report, "Cart") == {"idle": 100}
    assert report.kpis.objects["Spare"].utilisation.mean == 0
    assert "Team" not in report.kpis.objects  # it has neither states nor statistics
    assert report.kpis.bottleneck is None


def test_a_reset_trigger_may_place_an_executer():
    reset = '"Triggers.OnReset", "Object current = ownerobject(c); current.location.x -= 10; return 0;"'
    script = plant(
        {
            "In": ("Source", (0, 0), {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "a", 1]]}),
            "Line": ("Queue", (0, 0), {"UseTransport": 1}),
            "Out": ("Sink", (10, 0), {}),
            "Mover": ("TaskExecuter", (-5, 0), INSTANT),
        },
        "In>Line Line>Out Line-Mover",
        f"Mover.setProperty({reset});",
    )
    report, events = traced(script, 200, replications=2)
    assert times(events, "entry", "Mover") == [15]
    assert report.kpis.objects["Mover"].states["idle"].half_width == 0  # each replication begins at the same place


def test_settings_that_have_no_effect_are_named():
    report, _ = once(("TaskExecuter", (0, 0), {"AvailableOnStart": 0, "BreakTo": "Same Load Station"}))
    assert {d.message.split(" ")[0] for d in report.diagnostics if d.code == "unsupported"} >= {
        "AvailableOnStart", "BreakTo",
    }  # fmt: skip
