"""Methods of arrays, and the old commands for them. Positions count from 1; `slice` and `fill` exclude their end."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from vlsm_jax.flexscript.conversions import (
    MAX_ITEMS,
    bounded_items,
    bounded_text,
    copied,
    to_array,
    to_int,
    to_text,
)
from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.values import equal, less
from vlsm_jax.flexscript.vocabulary import ARRAY, INT, STRING, VARIANT, Command, Members, TypeSpec

MAX_COUNTED = 10_000_000


def array_push(array: list, *values: Any) -> int:
    """Appends values; returns the new length."""
    array.extend(map(copied, values))
    bounded_items(array)
    return len(array)


def array_pop(array: list) -> Any:
    """Removes and returns the last element."""
    if not array:
        raise Fault("Popping from empty array", code="array index")
    return array.pop()


def array_shift(array: list) -> Any:
    """Removes and returns the first element."""
    if not array:
        raise Fault("Shifting from empty array", code="array index")
    return array.pop(0)


def array_unshift(array: list, *values: Any) -> int:
    """Inserts values at the front; returns the new length."""
    array[:0] = map(copied, values)
    bounded_items(array)
    return len(array)


def array_append(array: list, other: Any) -> list:
    """Appends the elements of another array in place."""
    array.extend(list(to_array(other)))
    return bounded_items(array)


def array_concat(array: list, *others: Any) -> list:
    """A new array of this one's elements and those of the others."""
    result = list(array)
    for other in others:
        result.extend(to_array(other))
        bounded_items(result)
    return result


def array_clone(array: list) -> list:
    """A copy that shares nothing with the array: arrays and maps within it are copied too."""
    return deep_copy(array, {})


def deep_copy(value: Any, done: dict[int, Any]) -> Any:
    """Returns a copy of arrays and maps, each once, so that what was shared or circular stays so."""
    if type(value) is not list and type(value) is not dict:
        return copied(value)
    result = done.get(id(value))
    if result is not None:
        return result
    if len(done) >= MAX_ITEMS:
        bounded_items([None] * (MAX_ITEMS + 1))
    result = done[id(value)] = type(value)()
    try:
        if type(value) is list:
            result.extend(deep_copy(item, done) for item in value)
        else:
            result.update((key, deep_copy(item, done)) for key, item in value.items())
    except RecursionError:
        raise Fault("the array is nested too deeply to be copied", code="array index") from None
    return result


def size_within(value: Any) -> int:
    """Returns how many elements an array or a map holds, those of arrays and maps within it included, each once."""
    seen: set[int] = set()
    waiting = [value]
    total = 0
    while waiting and total < MAX_COUNTED:
        container = waiting.pop()
        if id(container) in seen:
            continue
        seen.add(id(container))
        total += len(container)
        elements = container.values() if type(container) is dict else container
        waiting.extend(element for element in elements if type(element) is list or type(element) is dict)
    return total


def array_fill(array: list, value: Any, start: Any = 1, end: Any = None) -> list:
    """Sets elements from `start` up to, not including, `end`."""
    first = max(1, to_int(start))
    last = len(array) + 1 if end is None else min(len(array) + 1, to_int(end))
    for i in range(first - 1, last - 1):
        array[i] = copied(value)
    return array


def array_find(array: list, value: Any, start: Any = 1) -> int:
    """The 1-based position of an element, or -1."""
    for i in range(max(0, to_int(start) - 1), len(array)):
        if equal(array[i], value):
            return i + 1
    return -1


def array_find_last(array: list, value: Any) -> int:
    """The 1-based position of the last such element, or -1."""
    return next((i + 1 for i in range(len(array) - 1, -1, -1) if equal(array[i], value)), -1)


def array_join(array: list, separator: Any = "") -> str:
    """The texts of the elements with a separator between them."""
    separator, parts, length = to_text(separator), [], 0
    for value in array:
        parts.append(to_text(value))
        length += len(parts[-1]) + len(separator)
        if length > MAX_ITEMS:
            bounded_text(" " * length)
    return separator.join(parts)


def array_slice(array: list, start: Any = 1, end: Any = None) -> list:
    """A new array of the elements from `start` up to, not including, `end`."""
    length = len(array)
    first = to_int(start)
    last = length + 1 if end is None else to_int(end)
    first = first if first >= 0 else length + 1 + first
    last = last if last >= 0 else length + 1 + last
    if not 1 <= first <= length + 1 or last > length + 1:
        raise Fault("Index out of bounds on array slice() method", code="array index")
    return array[first - 1 : max(first, last) - 1]


def array_sort(array: list, *comparison: Any) -> list:
    """Sorts in place, numbers and strings upwards."""
    if comparison:
        raise Unsupported("sort() with a comparison function is not supported", hint="call sort() alone")
    array.sort(key=ORDER)
    return array


def _compare(a: Any, b: Any) -> int:
    return -1 if less(a, b) else int(less(b, a))


ORDER = functools.cmp_to_key(_compare)
"""Sorts values as `<` compares them; what cannot be compared keeps its order."""


def array_splice(array: list, start: Any, count: Any = None, replacement: Any = None) -> list:
    """Removes `count` elements from `start` on and puts those of another array in their place; returns the removed."""
    first = max(0, min(len(array), to_int(start) - 1))
    last = len(array) if count is None else min(len(array), first + max(0, to_int(count)))
    removed = array[first:last]
    array[first:last] = to_array(replacement)
    bounded_items(array)
    return removed


def array_set_length(array: list, length: Any) -> None:
    """Cuts an array, or extends it with Null."""
    wanted = to_int(length)
    if wanted > MAX_ITEMS:
        bounded_items([None] * (MAX_ITEMS + 1))
    del array[max(0, wanted) :]
    array.extend([None] * (wanted - len(array)))


def new_array(length: Any = 0, *more: Any) -> list:
    """`Array(n)`: an array of n Nulls."""
    if more:
        raise Fault("Array() takes a length", code="argument", hint="write [a, b] for an array of values")
    array: list = []
    array_set_length(array, length)
    return array


def _fill_old(array: Any, *values: Any) -> list:
    """`fillarray(array, a, b, ...)`: the first elements take the values."""
    array = to_array(array)
    if len(values) > len(array):
        array_set_length(array, len(values))
    array[: len(values)] = map(copied, values)
    return array


def _typed(default: Any) -> TypeSpec:
    """An old array type such as `intarray`: elements that were never set are 0 or an empty string."""

    def coerce(value: Any) -> list:
        array = to_array(value)
        for i, element in enumerate(array):
            if element is None:
                array[i] = default
        return array

    return TypeSpec(ARRAY, list, to_array if default is None else coerce)


DEFAULTS = {"int": 0, "double": 0.0, "string": ""}
"""What the elements of `int a[3];` are."""

_METHODS = {
    "push": Command(array_push, INT, 1, 20),
    "pop": Command(array_pop, VARIANT, 0, 0),
    "shift": Command(array_shift, VARIANT, 0, 0),
    "unshift": Command(array_unshift, INT, 1, 20),
    "append": Command(array_append, ARRAY, 1, 1),
    "concat": Command(array_concat, ARRAY, 1, 20),
    "clone": Command(array_clone, ARRAY, 0, 0),
    "fill": Command(array_fill, ARRAY, 1, 3),
    "indexOf": Command(array_find, INT, 1, 2),
    "lastIndexOf": Command(array_find_last, INT, 1, 1),
    "includes": Command(lambda a, value: int(array_find(a, value) > 0), INT, 1, 1),
    "join": Command(array_join, STRING, 0, 1),
    "reverse": Command(lambda a: a.reverse() or a, ARRAY, 0, 0),
    "slice": Command(array_slice, ARRAY, 0, 2),
    "sort": Command(array_sort, ARRAY, 0, 1),
    "splice": Command(array_splice, ARRAY, 1, 3),
}


def members() -> Members:
    """Returns what stands behind the dot of an array."""
    return Members({"length": len, "type": lambda array: 4}, {"length": array_set_length}, _METHODS)


def types() -> Mapping[str, TypeSpec]:
    """Returns the array types."""
    return {
        "Array": TypeSpec(ARRAY, list, to_array),
        "intarray": _typed(0),
        "doublearray": _typed(0.0),
        "stringarray": _typed(""),
        "treenodearray": _typed(None),
    }


def commands() -> Mapping[str, Command]:
    """Returns `Array()` and the old commands on arrays."""
    return {
        "Array": Command(new_array, ARRAY, 0, 1),
        "makearray": Command(new_array, ARRAY, 1, 1),
        "arraysize": Command(lambda a: len(to_array(a)), INT, 1, 1),
        "fillarray": Command(_fill_old, ARRAY, 2, 20),
    }
