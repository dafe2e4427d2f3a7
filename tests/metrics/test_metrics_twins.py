"""SVR, PMR and ESR against counts made by hand, and their laws."""

import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.metrics import (
    connection_overlap,
    esr,
    object_overlap,
    parameter_overlap,
    pmr,
    structure_match,
    svr,
    verdict_counts,
)
from vlsm_jax.simulator import property_default
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject

LINE = Twin(
    objects=(
        TwinObject("Source", "In", (0, 0, 0), {"InterArrivalTime": Distribution("exponential", (0, 10))}),
        TwinObject("Queue", "Buffer", (5, 0, 0), {"MaxContent": 20, "ItemPlacement": "Stack Vertically"}),
        TwinObject("Processor", "Mill", (10, 0, 0), {"ProcessTime": 8, "SetupTime": 0.3}),
        TwinObject("Sink", "Out", (15, 0, 0)),
        TwinObject("Operator", "Ann", (10, 5, 0)),
    ),
    connections=(
        Connection("In", "Buffer"),
        Connection("Buffer", "Mill"),
        Connection("Mill", "Out"),
        Connection("Mill", "Ann", "S"),
    ),
)


def with_object(twin: Twin, name: str, **changes) -> Twin:
    objects = tuple(dataclasses.replace(o, **changes) if o.name == name else o for o in twin.objects)
    return Twin(objects, twin.connections)


def with_parameter(name: str, key: str, value) -> Twin:
    parameters = dict(LINE.by_name[name].parameters)
    if value is None:
        del parameters[key]
    else:
        parameters[key] = value
    return with_object(LINE, name, parameters=parameters)


# --- Twins at random --------------------------------------------------------------------------------------------------

names = st.lists(st.text("abcXYZ 12", min_size=1, max_size=4), unique=True, min_size=1, max_size=7)
values = st.one_of(
    st.integers(-5, 5),
    st.floats(0, 100, allow_nan=False),
    st.builds(Distribution, st.sampled_from(["uniform", "normal"]), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.sampled_from(["Pack", "Split"]),
    st.just(Code("return 1;")),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
)


@st.composite
def twins(draw, min_connections=0):
    found = draw(names)
    objects = tuple(
        TwinObject(
            draw(st.sampled_from(["Source", "Queue", "Processor", "Sink"])),
            name,
            parameters=draw(
                st.dictionaries(st.sampled_from(["ProcessTime", "MaxContent", "A", "B"]), values, max_size=3)
            ),
        )
        for name in found
    )
    wire = st.builds(Connection, st.sampled_from(found), st.sampled_from(found), st.sampled_from("AS"))
    return Twin(objects, tuple(draw(st.lists(wire, min_size=min_connections, max_size=10))))


@given(twins())
def test_every_twin_scores_one_against_itself(twin):
    assert svr(twin, twin) == (1, 1, 1)
    assert pmr(twin, twin) == 1
    assert connection_overlap(twin, twin).f1 == object_overlap(twin, twin).precision == 1
    assert parameter_overlap(twin, twin, relative=0, absolute=0).f1 == 1
    match = structure_match(twin, twin)
    assert (match.same, match.same_ports, match.share, match.exact) == (True, True, 1, True)


@given(twins(), twins(), st.randoms(use_true_random=False))
def test_order_of_objects_and_connections_means_nothing(reference, candidate, random):
    objects, connections = list(candidate.objects), list(candidate.connections)
    random.shuffle(objects)
    random.shuffle(connections)
    shuffled = Twin(tuple(objects), tuple(connections))
    assert svr(reference, shuffled) == svr(reference, candidate)
    assert pmr(reference, shuffled) == pmr(reference, candidate)


@given(twins(min_connections=1), st.data())
def test_a_missing_connection_costs_its_share(twin, data):
    lost = data.draw(st.integers(0, len(twin.connections) - 1))
    candidate = Twin(twin.objects, twin.connections[:lost] + twin.connections[lost + 1 :])
    n = len(twin.connections)
    score = svr(twin, candidate)
    assert score.connection_score == pytest.approx(1 - 1 / n)
    assert score.svr == pytest.approx(1 - 0.6 / n)
    assert connection_overlap(twin, candidate).precision == (1 if n > 1 else 0)


@given(twins(min_connections=1), st.integers(1, 4))
def test_extra_connections_cost_precision_alone(twin, extra):
    candidate = Twin(twin.objects, twin.connections + (twin.connections[0],) * extra)
    n = len(twin.connections)
    assert svr(twin, candidate) == (1, 1, 1)
    overlap = connection_overlap(twin, candidate)
    assert overlap.precision == pytest.approx(n / (n + extra))
    assert overlap.f1 == pytest.approx(2 * n / (2 * n + extra))


@given(twins(), twins())
def test_scores_stay_between_zero_and_one(reference, candidate):
    for score in (*svr(reference, candidate), pmr(reference, candidate)):
        assert 0 <= score <= 1
    # Exchanging the two exchanges precision and recall, where there is something on both sides.
    forth, back = connection_overlap(reference, candidate), connection_overlap(candidate, reference)
    assert forth.matched == back.matched
    if reference.connections and candidate.connections:
        assert forth.precision == back.recall


# --- SVR by hand ------------------------------------------------------------------------------------------------------


def test_svr_counts_by_hand():
    # Three of four wires, one turned round; four of five objects, one of another class.
    candidate = Twin(
        tuple(dataclasses.replace(o, cls="Combiner") if o.name == "Mill" else o for o in LINE.objects),
        (Connection("Buffer", "In"), *LINE.connections[1:]),
    )
    score = svr(LINE, candidate)
    assert score.connection_score == 0.75
    assert score.object_score == 0.8
    assert score.svr == pytest.approx(0.6 * 0.75 + 0.4 * 0.8)
    assert svr(LINE, candidate, weights=(0.25, 0.75)).svr == pytest.approx(0.25 * 0.75 + 0.75 * 0.8)


def test_names_are_case_sensitive_and_a_renamed_object_takes_its_wires_along():
    renamed = Twin(
        tuple(dataclasses.replace(o, name="mill") if o.name == "Mill" else o for o in LINE.objects),
        tuple(
            Connection(*("mill" if end == "Mill" else end for end in (w.source, w.target)), w.port)
            for w in LINE.connections
        ),
    )
    assert svr(LINE, renamed)[1:] == (0.25, 0.8)


def test_a_center_connection_has_no_direction_and_counts_unless_left_out():
    turned = Twin(LINE.objects, (*LINE.connections[:3], Connection("Ann", "Mill", "S")))
    without = Twin(LINE.objects, LINE.connections[:3])
    as_flow = Twin(LINE.objects, (*LINE.connections[:3], Connection("Mill", "Ann", "A")))
    assert svr(LINE, turned).connection_score == 1
    assert svr(LINE, without).connection_score == 0.75
    assert svr(LINE, as_flow).connection_score == 0.75
    assert svr(LINE, without, ports=("A",)).connection_score == 1


def test_a_pair_connected_twice_is_two_connections():
    double = Twin(LINE.objects, (*LINE.connections, Connection("In", "Buffer")))
    assert svr(double, LINE).connection_score == 0.8
    assert svr(LINE, double).connection_score == 1


def test_a_script_that_builds_nothing_scores_nothing():
    assert svr(LINE, None) == (0, 0, 0)
    assert pmr(LINE, None) == 0
    assert connection_overlap(LINE, None).precision == connection_overlap(LINE, None).f1 == 0
    # Not even against a reference that asks for nothing.
    assert svr(Twin(), None) == (0, 0, 0)
    assert pmr(Twin(), None) == 0


def test_an_empty_candidate_has_no_precision_where_something_was_asked():
    assert svr(LINE, Twin()) == (0, 0, 0)
    assert object_overlap(LINE, Twin()).precision == 0
    assert object_overlap(Twin(), Twin()).precision == 1


def test_a_reference_without_connections_leaves_objects_to_decide():
    reference = Twin(LINE.objects)
    assert svr(reference, Twin(LINE.objects[:4])) == (pytest.approx(0.6 + 0.4 * 0.8), 1, 0.8)


@pytest.mark.parametrize("weights", [(0.6, 0.6), (1.2, -0.2), (0, 0)])
def test_weights_that_are_no_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        svr(LINE, LINE, weights=weights)


# --- PMR by hand ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("object_", "key", "value", "matched"),
    [
        ("In", "InterArrivalTime", Distribution("exponential", (0, 15)), 4),
        ("In", "InterArrivalTime", Distribution("normal", (0, 10)), 4),
        ("In", "InterArrivalTime", 10, 4),
        ("In", "InterArrivalTime", Code("exponential(0, 10)"), 4),
        ("Buffer", "ItemPlacement", "stack vertically", 4),
        ("Mill", "ProcessTime", 8.0, 5),
        ("Mill", "ProcessTime", "8", 4),
        ("Mill", "SetupTime", 0.1 + 0.2, 5),
        ("Mill", "SetupTime", 0.3001, 4),
        ("Mill", "LoadTime", 5, 5),
    ],
)
def test_pmr_counts_by_hand(object_, key, value, matched):
    assert pmr(LINE, with_parameter(object_, key, value)) == matched / 5


def test_pmr_looks_neither_at_locations_nor_at_connections():
    moved = Twin(tuple(dataclasses.replace(o, location=(1, 2, 3)) for o in LINE.objects))
    assert pmr(LINE, moved) == 1


def test_pmr_of_a_missing_object_misses_all_its_parameters():
    assert pmr(LINE, Twin(tuple(o for o in LINE.objects if o.name != "Mill"))) == 3 / 5


def test_a_reference_without_parameters_is_matched():
    assert pmr(Twin((TwinObject("Sink", "Out"),)), Twin()) == 1


def test_a_parameter_left_alone_has_its_default():
    assert property_default("Queue", "MaxContent") == 1000
    asks_for_default = with_parameter("Buffer", "MaxContent", 1000)
    leaves_it = with_parameter("Buffer", "MaxContent", None)
    assert pmr(asks_for_default, leaves_it) == 1
    assert pmr(LINE, leaves_it) == 4 / 5  # 20 is not the default
    # The default is that of the candidate's own class: a Processor takes one item.
    other_class = with_object(leaves_it, "Buffer", cls="Processor", parameters={"ItemPlacement": "Stack Vertically"})
    assert pmr(asks_for_default, other_class) == 4 / 5


def test_pmr_of_what_a_prompt_states():
    candidate = with_parameter("Buffer", "ItemPlacement", None)
    assert pmr(LINE, candidate) == 4 / 5
    assert pmr(LINE, candidate, ["connections", "Buffer.ItemPlacement"]) == 1
    assert pmr(LINE, candidate, ["Mill.ProcessTime"]) == 3 / 4
    assert pmr(LINE, candidate, ["Buffer.Nothing", "ItemPlacement", "script style"]) == 4 / 5
    everything = [f"{o.name}.{name}" for o in LINE.objects for name in o.parameters]
    assert pmr(LINE, Twin(), everything) == 1
    assert pmr(LINE, None, everything) == 0


# --- ESR --------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Outcome:
    ok: bool


def test_esr_is_the_share_that_runs():
    assert esr([Outcome(True), Outcome(False), Outcome(True), Outcome(True)]) == 0.75
    with pytest.raises(ValueError, match="at least one"):
        esr([])


def test_verdicts_are_counted_with_the_most_frequent_first():
    counts = verdict_counts(["ok", "wiring", "no flow", "ok", "wiring", "ok"])
    assert list(counts.items()) == [("ok", 3), ("wiring", 2), ("no flow", 1)]


def test_metrics_never_import_jax():
    code = (
        "import sys, vlsm_jax.metrics; sys.exit(any(m.split('.')[0] in ('jax', 'flax', 'torch') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
