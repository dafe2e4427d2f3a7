"""The Variant semantics, operator by operator."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.flexscript import Fault, OutOfBudget, values

NUMBERS = st.integers(-1000, 1000) | st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, False), (0.0, False), (-1, True), (None, False), ("", True), ([], True), ({}, True), ("0", True)],
)
def test_truth_counts_empty_strings_and_arrays_as_true(value, expected):
    assert values.truth(value) is expected


@pytest.mark.parametrize(("value", "expected"), [(3, 3), ([7, 8], 7), ([], 0), ("12", 0), (None, 0), (["a"], 0)])
def test_to_number(value, expected):
    assert values.to_number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "a"), (5, "5"), (5.0, "5"), (2.5, "2.5"), (None, ""), ([1], ""), (True, "1")]
)
def test_to_text(value, expected):
    assert values.to_text(value) == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 2, 3),
        ("a", "b", "ab"),
        ("a", 1, "a1"),
        (1.5, "b", "1.5b"),
        (4, None, 4),
        (None, 4, 4),
        ("a", None, "a"),
        ("a", [1], "a"),
    ],
)
def test_add(a, b, expected):
    assert values.add(a, b) == expected


@pytest.mark.parametrize(("a", "b"), [(None, None), ([1], 2), ({}, {}), (None, [1])])
def test_add_refuses_other_mixes_in_the_engines_words(a, b):
    with pytest.raises(Fault, match=r"Invalid Variant types in \+ operation"):
        values.add(a, b)


def test_subtraction_counts_null_as_zero_beside_a_number_only():
    assert values.subtract(None, 3) == -3
    with pytest.raises(Fault, match="Invalid Variant type in - operation"):
        values.subtract("a", 1)
    with pytest.raises(Fault, match="Invalid Variant type in - operation"):
        values.subtract(None, None)


def test_variant_arithmetic_is_double():
    assert values.divide(7, 2) == 3.5
    assert values.divide(1, 0) == math.inf
    assert math.isnan(values.divide(0, 0))
    assert isinstance(values.multiply(2, 3), float)


def test_compound_addition_does_not_mix_string_and_number():
    assert values.add_in_place(None, 2) == 2
    assert values.add_in_place("a", "b") == "ab"
    with pytest.raises(Fault, match=r"Invalid Variant type in \+= assignment"):
        values.add_in_place("a", 1)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1.0, True),
        ("a", "a", True),
        ("1", 1, False),
        (None, 0, False),
        (None, None, True),
        ([1], [1], False),
    ],
)
def test_equality(a, b, expected):
    assert values.equal(a, b) is expected


def test_null_is_below_one_but_not_equal_to_zero():
    assert values.less(None, 1)
    assert not values.equal(None, 0)


def test_node_equality_treats_null_and_zero_alike():
    node = object()
    assert values.equal_node(None, 0)
    assert not values.equal_node(node, 0)
    assert values.equal_node(node, node)


def test_elements_count_from_one():
    assert values.element([10, 20], 1) == 10
    assert values.element([10, 20], 2.9) == 20  # an index is truncated
    assert values.element(7, 1) == 7  # a scalar is an array of one
    for index in (0, 3, -1):
        with pytest.raises(Fault, match="Array index out of bounds"):
            values.element([10, 20], index)
    with pytest.raises(Fault, match="Accessing element in empty array"):
        values.element([], 1)
    with pytest.raises(Fault, match=r"Invalid variant type used with \[\] array operator"):
        values.element(None, 1)


@given(st.integers(), st.integers())
def test_int_division_truncates_towards_zero_and_fits_its_remainder(a, b):
    if b == 0:
        with pytest.raises(Fault):
            values.divide_ints(a, b)
        return
    quotient = values.divide_ints(a, b)
    assert abs(quotient) == abs(a) // abs(b)
    assert quotient == 0 or (quotient > 0) == ((a > 0) == (b > 0))
    if abs(a) < 2**31 and abs(b) < 2**31:
        assert quotient * b + values.remainder(a, b) == a


@given(st.integers(-(2**40), 2**40))
def test_to_int_wraps_like_32_bits(value):
    wrapped = values.to_int(value)
    assert -(2**31) <= wrapped < 2**31
    assert (wrapped - value) % 2**32 == 0


@given(NUMBERS)
def test_number_text_reads_back(value):
    assert float(values.format_number(value)) == value


def test_strings_and_arrays_cannot_grow_without_limit():
    with pytest.raises(OutOfBudget):
        values.add("x" * 60_000, "x" * 60_000)
    with pytest.raises(OutOfBudget):
        values.bounded_items([0] * (values.MAX_ITEMS + 1))


def test_display_of_shared_nested_arrays_is_short():
    array: list = [1]
    for _ in range(60):
        array = [array] * 100
    assert len(values.display(array)) < 10_000
