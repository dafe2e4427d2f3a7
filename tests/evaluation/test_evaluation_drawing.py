"""The drawing: what stands where, what is marked, and that nothing overlaps."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.evaluation.drawing import BOX_HEIGHT, BOX_WIDTH, Status, lay_out
from vlsm_jax.twin import Connection, Twin, TwinObject


def overlapping(drawing):
    return [
        (a.name, b.name)
        for a, b in itertools.combinations(drawing.boxes, 2)
        if abs(a.x - b.x) < BOX_WIDTH and abs(a.y - b.y) < BOX_HEIGHT
    ]


def on_border(point, box, slack=1):
    # The end of a wire lies just outside its box: on one side's line, and within the box along that side.
    dx, dy = abs(point[0] - box.x) - BOX_WIDTH / 2, abs(point[1] - box.y) - BOX_HEIGHT / 2
    return -slack < max(dx, dy) < slack


def test_statuses_of_objects_and_wires(reference, candidate):
    drawing = lay_out(reference, candidate)
    assert {box.name: box.status for box in drawing.boxes} == {
        "In": Status.CHANGED,
        "Mill": Status.SAME,
        "Out": Status.SAME,
        "Ann": Status.MISSING,
        "Shelf": Status.EXTRA,
    }
    statuses = {wire.note.split(" (")[0]: wire.status for wire in drawing.wires}
    assert statuses == {
        "In -> Mill": Status.SAME,
        "Mill -> Out": Status.MISSING,
        "Ann <-> Mill": Status.MISSING,
        "In -> Shelf": Status.EXTRA,
        "Shelf -> Out": Status.EXTRA,
    }
    assert "exponential(0, 10) became exponential(0, 15)" in next(b.note for b in drawing.boxes if b.name == "In")


def test_places_follow_the_locations(reference):
    boxes = {box.name: box for box in lay_out(reference, reference).boxes}
    assert boxes["In"].y == boxes["Mill"].y == boxes["Out"].y
    assert boxes["Mill"].x - boxes["In"].x == pytest.approx(boxes["Out"].x - boxes["Mill"].x)
    # FlexSim's y points up, SVG's down: Ann at y = -6 stands below the mill.
    assert boxes["Ann"].y > boxes["Mill"].y
    assert boxes["Ann"].x == pytest.approx(boxes["Mill"].x)


def test_a_candidate_that_built_nothing_misses_everything(reference):
    drawing = lay_out(reference, None)
    assert {box.status for box in drawing.boxes} == {wire.status for wire in drawing.wires} == {Status.MISSING}


def test_an_empty_drawing_has_a_frame():
    drawing = lay_out(Twin(), None)
    assert drawing.boxes == drawing.wires == ()
    assert drawing.width > 0 < drawing.height


def test_objects_without_locations_stand_in_the_order_of_the_flow():
    names = "dabc"
    twin = Twin(
        tuple(TwinObject("Queue", n) for n in names), tuple(Connection(*pair) for pair in ("ab", "bc", "cd", "da"))
    )
    chain = Twin(twin.objects, twin.connections[:3])
    x = {box.name: box.x for box in lay_out(chain, chain).boxes}
    assert x["a"] < x["b"] < x["c"] < x["d"]
    assert not overlapping(lay_out(twin, twin))  # a closed loop has no first object and is drawn all the same


def test_wires_between_the_same_two_objects_do_not_hide_each_other():
    objects = (TwinObject("Queue", "a"), TwinObject("Queue", "b", (10, 0, 0)))
    twin = Twin(objects, (Connection("a", "b"), Connection("b", "a"), Connection("a", "b", "S"), Connection("a", "b")))
    drawing = lay_out(twin, twin)
    assert len({wire.middle for wire in drawing.wires}) == 3
    assert sorted(wire.count for wire in drawing.wires) == [1, 1, 2]


def test_a_wire_goes_around_what_stands_between():
    objects = tuple(TwinObject("Queue", n, (10 * i, 0, 0)) for i, n in enumerate("abc"))
    (wire,) = lay_out(Twin(objects, (Connection("a", "c"),)), Twin(objects, (Connection("a", "c"),))).wires
    box = next(b for b in lay_out(Twin(objects), Twin(objects)).boxes if b.name == "b")
    assert abs(wire.middle[1] - box.y) > BOX_HEIGHT / 2 or wire.middle[1] < 0


def test_a_wire_from_an_object_to_itself_is_a_loop():
    twin = Twin((TwinObject("Queue", "a"),), (Connection("a", "a"),))
    (wire,) = lay_out(twin, twin).wires
    assert wire.start != wire.end
    assert wire.control[1] < wire.start[1]


def test_long_names_are_broken_and_cut_and_stay_whole_in_the_note():
    name = "Server Motherboard Reflow Soldering Station Number Twelve"
    (box,) = lay_out(Twin((TwinObject("Processor", name),)), None).boxes
    assert len(box.label) == 2
    assert max(map(len, box.label)) <= 14
    assert name in box.note


coordinates = st.one_of(st.integers(-3, 3), st.floats(-1e4, 1e4, allow_nan=False))


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=14), st.data())
@settings(max_examples=150, deadline=None)
def test_no_two_boxes_overlap_and_all_lies_within_the_frame(locations, data):
    names = [f"o{i}" for i in range(len(locations))]
    wire = st.builds(Connection, st.sampled_from(names), st.sampled_from(names), st.sampled_from("AS"))
    twin = Twin(
        tuple(TwinObject("Queue", name, (x, y, 0)) for name, (x, y) in zip(names, locations, strict=True)),
        tuple(data.draw(st.lists(wire, max_size=8))),
    )
    drawing = lay_out(twin, twin)
    assert not overlapping(drawing)
    for box in drawing.boxes:
        assert BOX_WIDTH / 2 <= box.x <= drawing.width - BOX_WIDTH / 2
        assert BOX_HEIGHT / 2 <= box.y <= drawing.height - BOX_HEIGHT / 2
    boxes = {box.name: box for box in drawing.boxes}
    for line in drawing.wires:
        source, target = line.note.split(" (")[0].replace("<->", "->").split(" -> ")
        assert 0 <= line.middle[0] <= drawing.width
        assert 0 <= line.middle[1] <= drawing.height
        if source != target:
            assert on_border(line.start, boxes[source])
            assert on_border(line.end, boxes[target], slack=3)
