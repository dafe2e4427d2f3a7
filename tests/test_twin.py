import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinError, TwinObject, diff, format_number

NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = (
    NUMBERS
    | st.text()
    | st.lists(NUMBERS, max_size=4).map(tuple)
    | st.builds(Distribution, st.sampled_from(["exponential", "normal"]), st.lists(NUMBERS, max_size=3).map(tuple))
    | st.builds(Code, st.text())
)
NAMES = st.text(min_size=1, max_size=8)


@st.composite
def twins(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    objects = tuple(
        TwinObject(
            draw(st.sampled_from(["Source", "Queue", "Sink"])),
            name,
            (draw(NUMBERS), draw(NUMBERS), 0),
            draw(st.dictionaries(st.sampled_from(["MaxContent", "ProcessTime", "SetupTime"]), VALUES, max_size=3)),
        )
        for name in names
    )
    ends = st.sampled_from(names)
    wires = draw(st.lists(st.builds(Connection, ends, ends, st.sampled_from(["A", "S"])), max_size=8))
    return Twin(objects, tuple(wires))


def simple(*wires, **parameters):
    objects = (
        TwinObject("Source", "In", (0, 0, 0), parameters),
        TwinObject("Queue", "Q1"),
        TwinObject("Queue", "Q2"),
        TwinObject("Sink", "Out"),
    )
    return Twin(objects, tuple(Connection(*wire) for wire in wires))


@given(twins())
def test_json_and_pickle_round_trip(twin):
    again = Twin.from_json(twin.to_json())
    assert again == twin
    assert hash(again) == hash(twin)
    assert pickle.loads(pickle.dumps(twin)) == twin
    assert again.to_json() == twin.to_json()


@given(twins(), st.randoms(use_true_random=False))
def test_order_of_objects_and_parameters_means_nothing(twin, random):
    objects = [
        TwinObject(o.cls, o.name, o.location, dict(random.sample(list(o.parameters.items()), len(o.parameters))))
        for o in twin.objects
    ]
    random.shuffle(objects)
    other = Twin(tuple(objects), twin.connections)
    assert other == twin
    assert hash(other) == hash(twin)
    assert diff(twin, other) == ()


@given(twins(), twins())
def test_diff_is_empty_exactly_when_equal(first, second):
    assert (diff(first, second) == ()) == (first == second)


def test_port_order_counts():
    one, two = simple(("In", "Q1"), ("In", "Q2")), simple(("In", "Q2"), ("In", "Q1"))
    assert one.ports["In"].outputs == ("Q1", "Q2")
    assert one != two
    (difference,) = diff(one, two)
    assert (difference.kind, difference.where) == ("port order", "In outputs")


def test_order_of_wires_at_different_objects_means_nothing():
    assert simple(("In", "Q1"), ("Q2", "Out")) == simple(("Q2", "Out"), ("In", "Q1"))


def test_center_ports_have_no_direction_but_an_order():
    assert simple(("In", "Q1", "S")) == simple(("Q1", "In", "S"))
    assert simple(("In", "Q1", "S"), ("In", "Q2", "S")) != simple(("In", "Q2", "S"), ("In", "Q1", "S"))
    assert simple(("In", "Q1", "A")) != simple(("Q1", "In", "A"))


def test_a_wire_drawn_twice_is_two_wires():
    once, twice = simple(("In", "Q1")), simple(("In", "Q1"), ("In", "Q1"))
    assert once != twice
    assert [d.kind for d in diff(once, twice)] == ["extra connection"]


def test_diff_names_what_and_where():
    reference = simple(("In", "Q1"), InterArrivalTime=Distribution("exponential", (0, 10)))
    objects = (
        TwinObject("Source", "In", (1, 0, 0), {"InterArrivalTime": Distribution("exponential", (0, 15))}),
        TwinObject("Processor", "Q1"),
        TwinObject("Sink", "Out"),
        TwinObject("Sink", "Out2"),
    )
    candidate = Twin(objects, (Connection("In", "Out"),))
    lines = [str(d) for d in diff(reference, candidate)]
    assert lines == [
        "location: In: (0, 0, 0) became (1, 0, 0)",
        "parameter: In.InterArrivalTime: exponential(0, 10) became exponential(0, 15)",
        "class: Q1: Queue became Processor",
        "missing object: Q2: Queue",
        "extra object: Out2: Sink",
        "missing connection: In -> Q1 (A)",
        "extra connection: In -> Out (A)",
    ]


def test_whole_floats_and_ints_are_one_number():
    assert simple(MaxContent=10.0) == simple(MaxContent=10) == simple(MaxContent=10.0)
    assert simple(MaxContent=True) == simple(MaxContent=1)


@given(NUMBERS)
def test_formatted_numbers_read_back(number):
    assert float(format_number(number)) == float(number)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: simple(("In", "Nowhere")), "names 'Nowhere', which is not an object"),
        (lambda: Twin((TwinObject("Sink", "A"), TwinObject("Sink", "A"))), "two objects are named 'A'"),
        (lambda: TwinObject("Sink", ""), "non-empty string"),
        (lambda: TwinObject("Sink", "A", (0, float("nan"), 0)), "location of object 'A' is nan"),
        (
            lambda: TwinObject("Sink", "A", parameters={"MaxContent": None}),
            "parameter 'MaxContent' of object 'A' is None",
        ),
        (lambda: Connection("A", "B", "Z"), "has port 'Z'; use 'A' or 'S'"),
        (lambda: Twin.from_json('{"objects": [{"class": "Sink"}]}'), r"objects\[0\] has no 'name'"),
        (lambda: Twin.from_json('{"objects": 5}'), "objects is 5; expected a list"),
        (lambda: Twin.from_json("{"), "not JSON: .* line 1, column 2"),
        (lambda: Twin.from_json('{"format": "other/2"}'), "format is 'other/2'"),
        (
            lambda: Twin.from_json('{"objects": [{"class": "Sink", "name": "A", "parameters": {"P": {"x": 1}}}]}'),
            r"objects\[0\].parameters.P is",
        ),
    ],
)
def test_what_no_twin_can_hold_is_named(make, message):
    with pytest.raises(TwinError, match=message):
        make()
