"""Straight and curved conveyors: times worked out by hand, and a recursion over positions as an oracle."""

import functools
import itertools
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlsm_jax.simulator import Verdict, run

BOX = 0.61


def events(script, *, until, name, kind):
    """Returns the times at which items enter or leave an object, and the Report."""
    times = []
    report = run(script, until=until, trace=lambda e: times.append(e.time) if (e.object, e.kind) == (name, kind) else 0)
    assert report.verdict in (Verdict.OK, Verdict.NO_FLOW), report.diagnostics
    return times, report


def belt(model, *, interval=1, process=None, until=200.0, properties=None, cls="StraightConveyor"):
    """Source, belt of 10 m at 1 m/s, perhaps a Processor, Sink. Returns times in, times out, Report."""
    objects = {
        "In": ("Source", {"InterArrivalTime": interval}),
        "Belt": (cls, {"HorizontalLength": 10, **(properties or {})}),
        **({"Work": ("Processor", {"ProcessTime": process})} if process is not None else {}),
        "Out": ("Sink", {}),
    }
    links = "In>Belt Belt>Work Work>Out" if process is not None else "In>Belt Belt>Out"
    script = model(objects, links)
    entered, report = events(script, until=until, name="Belt", kind="entry")
    left, _ = events(script, until=until, name="Belt", kind="exit")
    return entered, left, report


def test_one_item_takes_length_over_speed(model):
    entered, left, report = belt(model, interval=30, until=100, properties={"Speed": 2})
    assert entered == [30, 60, 90]
    assert left == [35, 65, 95]
    figures = report.kpis.objects["Belt"]
    assert {name: time.mean for name, time in figures.states.items()} == {"empty": 85, "conveying": 15}
    assert figures.staytime_average.mean == 5
    assert figures.content_average.mean == pytest.approx(15 / 100)


@pytest.mark.parametrize(
    ("cls", "properties", "length"),
    [
        ("StraightConveyor", {"HorizontalLength": 4, "Rise": 3}, 5),
        ("StraightConveyor", {"HorizontalLength": 10, "UseVirtualLength": 1, "VirtualLength": 7}, 7),
        ("StraightConveyor", {"Size": [12, 1, 1], "HorizontalLength": 3}, 3),
        ("CurvedConveyor", {"Radius": 4, "SweepAngle": 180}, 4 * math.pi),
        ("CurvedConveyor", {"Radius": 4, "SweepAngle": -90}, 2 * math.pi),
        ("StraightConveyor", {"HorizontalLength": [250, "cm"], "Speed": [30, "m/min"]}, 5),
    ],
)
def test_length_of_a_conveyor(model, cls, properties, length):
    script = model(
        {"In": ("Source", {"InterArrivalTime": 40}), "Belt": (cls, properties), "Out": ("Sink", {})}, "In>Belt Belt>Out"
    )
    left, _ = events(script, until=79, name="Belt", kind="exit")
    assert left == pytest.approx([40 + length])


def test_size_is_the_length_where_no_other_is_given(model):
    script = model(
        {"In": ("Source", {"InterArrivalTime": 40}), "Belt": ("StraightConveyor", {}), "Out": ("Sink", {})},
        "In>Belt Belt>Out",
    )
    left, _ = events(script + "\nBelt.size.x = 12;", until=79, name="Belt", kind="exit")
    assert left == [52]


def test_a_full_belt_carries_speed_over_spacing(model):
    _, left, report = belt(model, interval=0, until=1000)
    assert len(left) == math.floor((1000 - 10) / BOX) + 1
    gaps = [b - a for a, b in itertools.pairwise(left)]
    assert gaps == pytest.approx([BOX] * len(gaps))
    assert report.kpis.objects["In"].states["blocked"].mean > 999


def test_the_entrance_opens_when_the_last_item_has_cleared_its_space(model):
    entered, _, _ = belt(model, interval=0, until=5, properties={"EntrySpaceSizeFactor": 2, "EntrySpacePadding": 0.1})
    assert entered == pytest.approx([0, 1.32, 2.64, 3.96])


def test_a_blocked_row_closes_up_and_its_gap_comes_back_at_once(model):
    # The first item reaches the end at 10 and is served until 15; then another every 5 s. In a row that touches, all
    # start as one, so the entrance opens as the last one has moved from where it stands to its space of 0.61 m.
    entered, left, report = belt(model, interval=0, process=5, until=199)
    assert left[:4] == [10, 15, 20, 25]
    assert entered[:18] == pytest.approx([BOX * n for n in range(18)])
    stands_at = 10 - 16 * BOX
    assert entered[18] == pytest.approx(15 + BOX - stands_at)
    assert entered[19] == pytest.approx(20 + BOX - stands_at)
    # Served items stand ready again at once: the belt never starves the machine.
    assert report.kpis.objects["Work"].states["idle"].mean == 10
    assert report.kpis.objects["Belt"].content_current.mean == math.floor(10 / BOX) + 1
    assert "blocked" not in report.kpis.objects["Belt"].states


def test_stop_space_spreads_the_row(model):
    properties = {"StopSpaceSizeFactor": 1.5, "StopSpacePadding": 0.085}
    entered, _, report = belt(model, interval=0, process=50, until=49, properties=properties)
    assert entered == pytest.approx(list(range(12)))  # 1.5 * 0.61 + 0.085 = 1 m each; one is on the machine
    assert report.kpis.objects["Belt"].content_current.mean == 11


def test_a_belt_that_does_not_accumulate_stops_as_a_whole(model):
    # Items of 2, 4, 6, ... reach the end 2 s apart and wait for a machine of 5 s: the belt moves 2 s of every 5.
    entered, left, report = belt(model, interval=2, process=5, until=27, properties={"IsAccumulating": 0})
    assert left == [12, 17, 22, 27]
    # The item of 16 finds the belt stopped from 14 to 17, with one that entered at 14 still at its start.
    assert entered[:7] == [2, 4, 6, 8, 10, 12, 14]
    # The one of 19.61 finds 1.39 m free, though the belt stands until 22; the next one has to wait for 0.61 m.
    assert entered[7:10] == pytest.approx([17.61, 19.61, 22.61])
    states = {name: time.mean for name, time in report.kpis.objects["Belt"].states.items()}
    assert states == pytest.approx({"empty": 2, "conveying": 12 + 2 * 2, "blocked": 3 * 3})


def test_conveyor_to_conveyor_keeps_the_pace_of_the_slower_one(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 0}),
            "Fast": ("StraightConveyor", {"HorizontalLength": 6, "Speed": 2}),
            "Slow": ("StraightConveyor", {"HorizontalLength": 5, "Speed": 0.5}),
            "Out": ("Sink", {}),
        },
        "In>Fast Fast>Slow Slow>Out",
    )
    left, report = events(script, until=100, name="Slow", kind="exit")
    assert left[0] == 3 + 10
    assert left[1] - left[0] == pytest.approx(BOX / 0.5)
    assert len(left) == math.floor((100 - 13) / (BOX / 0.5)) + 1
    assert report.kpis.objects["Fast"].content_current.mean == 10


def test_equal_conveyors_in_a_row_do_not_delay_each_other(model):
    objects = {"In": ("Source", {"InterArrivalTime": 0})}
    objects |= {f"B{n}": ("StraightConveyor", {"HorizontalLength": 5}) for n in range(4)}
    script = model({**objects, "Out": ("Sink", {})}, "In>B0 B0>B1 B1>B2 B2>B3 B3>Out")
    left, _ = events(script, until=100, name="B3", kind="exit")
    assert left == pytest.approx([20 + BOX * n for n in range(len(left))])
    assert len(left) == math.floor(80 / BOX) + 1


def test_two_feeders_share_the_entrance(model):
    script = model(
        {
            "In1": ("Source", {"InterArrivalTime": 0}),
            "In2": ("Source", {"InterArrivalTime": 0}),
            "Belt": ("StraightConveyor", {"HorizontalLength": 10}),
            "Out": ("Sink", {}),
        },
        "In1>Belt In2>Belt Belt>Out",
    )
    entered, _ = events(script, until=100, name="Belt", kind="entry")
    gaps = [b - a for a, b in itertools.pairwise(entered)]
    assert gaps == pytest.approx([BOX] * len(gaps))


def test_items_have_sizes_of_their_own(model):
    trigger = "Object item = param(1); item.size.x = item.rank == 1 ? 2 : 1; item.size = Vec3(item.size.x, 1, 1);"
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 0, "Triggers.OnCreation": trigger}),
            "Belt": ("StraightConveyor", {"HorizontalLength": 10}),
            "Out": ("Sink", {}),
        },
        "In>Belt Belt>Out",
    )
    entered, _ = events(script, until=9, name="Belt", kind="entry")
    assert entered == [0, 2, 4, 6, 8]


def test_a_stopped_conveyor_stands_still_and_goes_on(model):
    message = "Object current = ownerobject(c); "
    stop = message + "if (msgparam(1) == 1) stopobject(current, STATE_BREAKDOWN); else resumeobject(current);"
    reset = message + "senddelayedmessage(current, 5, current, 1); senddelayedmessage(current, 9, current, 2);"
    entered, left, report = belt(
        model, interval=3, until=30, properties={"Triggers.OnMessage": stop, "Triggers.OnReset": reset}
    )
    # The item of 3 had 8 m to go at 5; the item of 6 waits until 9.
    assert left[:2] == [17, 19]
    assert entered[:4] == [3, 9, 12, 15]
    assert report.kpis.objects["Belt"].states["breakdown"].mean == 4


def test_an_item_taken_from_the_middle_leaves_a_gap_that_closes(model):
    # At 12 the row of ten boxes waits for the machine; the second one is destroyed, and the others close up.
    take = "Object current = ownerobject(c); if (content(current) > 1) rank(current, 2).destroy();"
    reset = "Object current = ownerobject(c); senddelayedmessage(current, 12, current);"
    properties = {"Triggers.OnMessage": take, "Triggers.OnReset": reset}
    entered, left, report = belt(model, interval=1, process=20, until=60, properties=properties)
    # Taken: the third one, which stood at 9 m behind the second; the second reached the end at 12.
    assert [time for time in left if time != 12][:3] == [11, 31, 51]
    assert entered[:5] == [1, 2, 3, 4, 5]
    figures = report.kpis.objects["Belt"]
    assert figures.input.mean == figures.output.mean + figures.content_current.mean


def test_what_is_not_simulated_is_named(model):
    _, _, report = belt(model, properties={"Acceleration": 1, "IsSlugBuilder": 1, "MoveSpaceSizeFactor": 2})
    assert [d.message.split(" of ")[0] for d in report.diagnostics if d.code == "unsupported"] == [
        "Acceleration", "IsSlugBuilder", "MoveSpace",
    ]  # fmt: skip


def test_stations_and_settings_of_transfers_are_named(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 10}),
            "Belt": ("StraightConveyor", {}),
            "Out": ("Sink", {}),
            "Check": ("Station", {}),
        },
        "In>Belt Belt>Out",
    )
    script += '\nModel.find("Belt/ExitTransfer1").setProperty("UseTransport", 1);'
    report = run(script, until=100)
    assert [(d.code, d.message.split(",")[0]) for d in report.diagnostics] == [
        ("unsupported", "'Check' is a Station"),
        ("unsupported", "UseTransport of 'ExitTransfer1' of 'Belt' has no effect: it is not simulated"),
    ]


def test_items_of_an_unknown_size_are_named(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 10, "FlowItemClass": "Pallet"}),
            "Belt": ("StraightConveyor", {}),
            "Out": ("Sink", {}),
        },
        "In>Belt Belt>Out",
    )
    report = run(script, until=100)
    assert [d.code for d in report.diagnostics] == ["assumed"]
    assert "'In' makes a Pallet" in report.diagnostics[0].message


def test_transport_onto_a_belt(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 20}),
            "Line": ("Queue", {"UseTransport": 1}),
            "Belt": ("StraightConveyor", {"HorizontalLength": 10}),
            "Out": ("Sink", {}),
            "Man": ("Operator", {}),
        },
        "In>Line Line>Belt Belt>Out",
    )
    script += '\ncontextdragconnection(Line, Man, "S");'
    entered, report = events(script, until=1000, name="Belt", kind="entry")
    left, _ = events(script, until=1000, name="Belt", kind="exit")
    assert len(entered) > 40
    assert left == pytest.approx([time + 10 for time in entered[: len(left)]])
    assert not report.diagnostics


def test_a_belt_without_speed_or_length_is_reported(model):
    script = model(
        {"In": ("Source", {}), "Belt": ("StraightConveyor", {"Speed": 0}), "Out": ("Sink", {})}, "In>Belt Belt>Out"
    )
    report = run(script, until=100)
    assert report.verdict is Verdict.NO_FLOW
    assert any("Speed of 'Belt' is 0" in d.message for d in report.diagnostics)
    _, left, report = belt(model, until=10, properties={"HorizontalLength": 0})
    assert left[0] == 1
    assert any("has no length" in d.message for d in report.diagnostics)


def expected_times(arrivals, sizes, services, length, speed):
    """Returns the times at which items enter and leave a belt in front of a machine, by recursion over positions.

    Item k leaves position x when it has moved there freely, and not before the item ahead has left the position one
    space further on; beyond the end, that item counts as moving on from when it was taken.
    """
    entered: list[float] = []
    left: list[float] = []

    @functools.cache
    def leaves(k: int, x: float) -> float:
        if x >= length - 1e-12:
            return left[k] + (x - length) / speed
        free = entered[k] + x / speed
        return max(free, leaves(k - 1, x + sizes[k - 1])) if k else free

    # A Source draws its next interval when an item has left it.
    ready = machine = 0.0
    for k, interval in enumerate(arrivals):
        ready = (entered[-1] if entered else 0.0) + interval
        # The place at the start is free when the item ahead has cleared its own space; it may have left by then.
        entered.append(max(ready, leaves(k - 1, sizes[k - 1])) if k else ready)
        ahead = left[-1] + sizes[k - 1] / speed if k else 0.0
        left.append(max(entered[k] + length / speed, ahead, machine))
        machine = left[k] + services[k]
    return entered, left


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0.3, 1, 4]), st.sampled_from([0.2, 0.61, 1.5]), st.sampled_from([0, 0.4, 2, 9])),
        min_size=5, max_size=25,
    ),
    st.sampled_from([1.0, 3.7, 10.0]),
    st.sampled_from([0.5, 1.0, 2.0]),
)  # fmt: skip
def test_every_time_on_a_belt_is_that_of_the_recursion(model, rows, length, speed):
    arrivals, sizes, services = zip(*rows, strict=True)

    def nth(values):
        return "[" + ", ".join(map(repr, values)) + "]"

    creation = (
        f"Object item = param(1); Object current = ownerobject(c); current.N = current.N + 1;"
        f"Array sizes = {nth(sizes)};"
        f"item.N = current.N; item.size.x = sizes[item.N > {len(rows)} ? 1 : item.N];"
    )
    interval = (
        f"Object current = ownerobject(c); Array waits = {nth(arrivals)};"
        f"return current.N >= {len(rows)} ? 1000000 : waits[current.N + 1];"
    )
    service = f"Object item = param(1); Array times = {nth(services)}; return times[item.N];"
    script = (
        model(
            {
                "In": ("Source", {"InterArrivalTime": interval, "Triggers.OnCreation": creation}),
                "Belt": ("StraightConveyor", {"HorizontalLength": length, "Speed": speed}),
                "Work": ("Processor", {"ProcessTime": service}),
                "Out": ("Sink", {}),
            },
            "In>Belt Belt>Work Work>Out",
        )
        + "\nIn.N = 0;"
    )
    entered, left = expected_times(arrivals, sizes, services, length, speed)
    seen, report = events(script, until=10_000, name="Belt", kind="entry")
    assert seen == pytest.approx(entered)
    gone, _ = events(script, until=10_000, name="Belt", kind="exit")
    assert gone == pytest.approx(left)
    figures = report.kpis.objects["Belt"]
    assert sum(time.mean for time in figures.states.values()) == pytest.approx(10_000)
    assert figures.content_average.mean * 10_000 == pytest.approx(sum(left) - sum(entered))
