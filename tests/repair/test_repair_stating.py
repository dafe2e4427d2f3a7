import itertools

import pytest

from vlsm_jax.repair.stating import Statement, carries_items, count
from vlsm_jax.synth.prompts.prompt import PromptStyle
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplets
from vlsm_jax.twin import Connection, Distribution, Twin, TwinObject

TELLING = tuple(style for style in PromptStyle if style is not PromptStyle.SKETCH)
TEXT = (
    "Supply is a Source with an arrival every 2 minutes. The Queue Waiting Room holds 12 items. Oven is a Processor. "
    "It has a triangular process time (min 10, mode 12.5, max 20 s). Exit is a Sink. "
    "Supply → Waiting Room → Oven → Exit."
)


def line(**changes):
    names = {"Supply": "Source", "Waiting Room": "Queue", "Oven": "Processor", "Exit": "Sink"} | changes
    values = {
        "Supply": {"InterArrivalTime": 120},
        "Waiting Room": {"MaxContent": 12},
        "Oven": {"ProcessTime": Distribution("triangular", (10, 20, 12.5))},
    }
    objects = [TwinObject(cls, name, parameters=values.get(name, {})) for name, cls in names.items()]
    order = list(names)
    return Twin(objects, [Connection(a, b) for a, b in itertools.pairwise(order)])


def test_a_factory_that_is_as_the_prompt_says_fits():
    assert Statement(TEXT).mismatches(line()) == []


def found(twin):
    return {(m.kind, m.object, m.value) for m in Statement(TEXT).mismatches(twin)}


def test_a_class_that_the_prompt_gives_otherwise():
    assert found(line(Oven="Queue")) == {("class", "Oven", "Queue")}


def test_a_name_that_the_prompt_does_not_have():
    twin = line()
    objects = [*twin.objects[:3], TwinObject("Sink", "Exitt")]
    assert ("name", "Exitt", "Exitt") in found(Twin(objects, twin.connections[:2]))


@pytest.mark.parametrize(("value", "fits"), [(120, True), (2, True), (119, False), (240, False)])
def test_numbers_are_compared_in_any_unit(value, fits):
    twin = line()
    supply = TwinObject("Source", "Supply", parameters={"InterArrivalTime": value})
    mismatches = found(Twin([supply, *twin.objects[1:]], twin.connections))
    assert (("number", "Supply", f"{value:g}") not in mismatches) == fits
    assert (("unused number", "", "2") not in mismatches) == fits


def test_a_link_that_is_not_drawn():
    twin = line()
    assert found(Twin(twin.objects, twin.connections[1:])) == {("link", "Supply", "Waiting Room")}


def test_a_prompt_that_names_other_things_says_nothing():
    assert Statement("Build a bakery with 3 ovens.").mismatches(line()) == []
    assert Statement("").mismatches(line()) == []


def test_names_and_classes_weigh_more_than_numbers():
    statement = Statement(TEXT)
    twin = line()
    other = TwinObject("Queue", "Waiting Room", parameters={"MaxContent": 13})
    number = count(statement.mismatches(Twin([twin.objects[0], other, *twin.objects[2:]], twin.connections)))
    assert 0 < number < count(statement.mismatches(line(Oven="Queue")))


def test_a_range_of_names_is_all_of_them():
    statement = Statement("Create the Processors Wash Bay-1 to 3; they each hold up to 20 items.")
    assert [bool(statement.mentions(f"Wash Bay-{n}")) for n in (1, 2, 3, 4)] == [True, True, True, False]


def test_minutes_and_seconds_are_one_number():
    twin = line()
    supply = TwinObject("Source", "Supply", parameters={"InterArrivalTime": 130})
    text = TEXT.replace("every 2 minutes", "every 2 min 10 s")
    assert Statement(text).mismatches(Twin([supply, *twin.objects[1:]], twin.connections)) == []


def test_what_is_set_in_the_same_way_has_the_same_numbers():
    twin = line()
    oven = TwinObject("Processor", "Kiln", parameters={"ProcessTime": Distribution("triangular", (10, 20, 12.5))})
    text = TEXT.replace("Exit is a Sink.", "Kiln is a Processor set in the same way. Exit is a Sink.")
    both = Twin([*twin.objects, oven], [*twin.connections, Connection("Oven", "Kiln")])
    assert [m for m in Statement(text).mismatches(both) if m.kind != "link"] == []


def test_a_goal_is_no_number_of_an_object():
    assert Statement(f"{TEXT} The line has to deliver at least 28 items per hour.").mismatches(line()) == []


def test_operators_that_are_needed_are_no_class():
    assert Statement(TEXT.replace("Exit is", "Oven: proc, 2 operator(s). Exit is")).mismatches(line(Oven="Processor"))[
        :1
    ] == [("unused number", "", "2", (), "")]


def test_a_range_with_the_name_twice_is_no_link():
    statement = Statement("Press 1 to Press 3 are Processors with a process time of 20 s.")
    presses = [TwinObject("Processor", f"Press {n}", parameters={"ProcessTime": 20}) for n in (1, 2, 3)]
    assert statement.mismatches(Twin(presses)) == []


def test_an_option_that_the_prompt_says_in_other_words():
    twin = line()
    room = TwinObject("Queue", "Waiting Room", parameters={"MaxContent": 12, "ItemPlacement": "Horizontal Line"})
    other = Twin([twin.objects[0], room, *twin.objects[2:]], twin.connections)
    text = TEXT.replace("holds 12 items", "holds 12 items and stacks them inside the queue")
    assert Statement(TEXT).mismatches(other) == []  # nothing is said of it
    (mismatch,) = Statement(text).mismatches(other)
    assert mismatch == ("option", "Waiting Room", "Horizontal Line", ("Stack Inside Queue",), "ItemPlacement")
    assert Statement(text).mismatches(twin)[0].value == ""  # said, and not set
    assert Statement(text.replace("inside the queue", "in a horizontal line")).mismatches(other) == []


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("A1 feeds B2, which feeds C3.", "A1-B2 B2-C3"),
        ("Items flow from A1 to B2, then to C3.", "A1-B2 B2-C3"),
        ("Flow: A1 → B2 -> C3 > D4", "A1-B2 B2-C3 C3-D4"),
        ("A1 and B2 feed C3.", "A1-C3 B2-C3"),
        ("A1 feeds B2, C3 and D4, in this port order.", "A1-B2 A1-C3 A1-D4"),
        ("C3 is fed by A1 and B2, in this order.", "A1-C3 B2-C3"),
        ("Items from A1 and B2 go to C3.", "A1-C3 B2-C3"),
        ("The outputs of A1 are B2 and C3, in port order.", "A1-B2 A1-C3"),
        ("A1 and B2 pass items to C3 and D4, respectively.", "A1-C3 B2-D4"),
        ("Likewise, A1 feeds B2 and C3 feeds D4.", "A1-B2 C3-D4"),
        ("A1, B2 and C3 form a line in this order.", "A1-B2 B2-C3"),
        ("«A1» merges into 'B2'.", "A1-B2"),
        ("A1 gives its tasks to B2 and C3.", "A1-B2 A1-C3"),
        # Who serves whom is no flow, and of two lists nobody knows which is meant for which.
        ("A1 <-> B2", ""),
        ("Connect A1 and B2 to C3 by center ports.", ""),
        ("A1 and B2 feed C3 and D4.", ""),
        ("A1 is a Processor. It sends 90 % to B2 and 10 % to C3.", ""),
    ],
)
def test_which_connections_a_sentence_tells(text, links):
    facts = Statement(text)._facts(("A1", "B2", "C3", "D4"))
    assert " ".join(f"{one}-{two}" for fact in facts for one, two in fact.links) == links


@pytest.mark.parametrize("split", [Split.IID, Split.INDUSTRY])
def test_the_flow_is_read_as_the_factory_has_it(split):
    """Where a prompt tells all connections, these are the factory's, and nearly every such prompt is read."""
    told = read = 0
    for triplet in make_triplets(333, range(80), TripletOptions(prompt_styles=TELLING), split):
        twin = triplet.factory.twin
        flow = Statement(triplet.prompt.text).flow(twin)
        carries = {obj.name for obj in twin.objects if carries_items(obj.cls)}
        wires = {(w.source, w.target) for w in twin.connections if w.port == "A" and carries >= {w.source, w.target}}
        told += "connections" not in triplet.prompt.omitted
        read += flow is not None
        if flow is not None:
            assert set(flow) == wires
    assert told > 40
    assert read / told > 0.95


def test_a_flow_that_is_not_told_as_a_whole_is_none():
    twin = line()
    assert Statement(TEXT).flow(twin) == (("Supply", "Waiting Room"), ("Waiting Room", "Oven"), ("Oven", "Exit"))
    assert Statement(TEXT.replace("Oven", "Stove")).flow(twin) is None
    # What is drawn besides does not fit, unless the prompt hints at it.
    more = Twin(twin.objects, [*twin.connections, Connection("Supply", "Exit")])
    assert ("link", "Supply", "Exit") in found(more)
    hinted = Statement(f"{TEXT} Of Supply, 5 % go to Exit.")
    assert not [m for m in hinted.mismatches(more) if m.kind == "link"]
