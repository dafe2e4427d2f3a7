"""Variant semantics: the operators and `[]` on values whose type is known only when the script runs.

The rules are those of the engine's Variant operators; the messages are its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript.conversions import (
    INT_MAX,
    MAX_ITEMS,
    MAX_TEXT,
    ValueType,
    as_float,
    bounded_entries,
    bounded_items,
    bounded_text,
    copied,
    describe,
    display,
    format_number,
    to_array,
    to_float,
    to_int,
    to_number,
    to_text,
    truth,
    type_name,
)
from vlsm_jax.flexscript.faults import Fault, OutOfBudget
from vlsm_jax.flexscript.vectors import Color, Components, Vec2, Vec3, Vec4, components

__all__ = [
    "INT_MAX", "MAX_ITEMS", "MAX_TEXT", "Color", "OutOfBudget", "ValueType", "Vec2", "Vec3", "Vec4", "add",
    "add_in_place", "as_float", "bounded_entries", "bounded_items", "bounded_text", "components", "copied",
    "describe", "display", "divide", "divide_floats", "divide_in_place", "divide_ints", "element", "equal",
    "equal_node", "format_number", "less", "less_equal", "map_key", "multiply", "multiply_in_place", "negate",
    "remainder", "set_element", "step", "subtract", "subtract_in_place", "to_array", "to_float", "to_int",
    "to_number", "to_text", "truth", "type_name", "wrapped",
]  # fmt: skip

# --- Operators --------------------------------------------------------------------------------------------------------


def add(a: Any, b: Any) -> Any:
    """`a + b` on Variants: numbers add, a string on either side concatenates, Null is 0 beside a number."""
    if isinstance(a, (int, float)):
        if isinstance(b, (int, float)):
            return a + b
        if b is None:
            return a
    elif a is None and isinstance(b, (int, float)):
        return b
    if isinstance(a, str) or isinstance(b, str):
        return bounded_text(to_text(a) + to_text(b))
    result = a.plus(b) if isinstance(a, ValueType) else NotImplemented
    if result is NotImplemented:
        raise Fault("Invalid Variant types in + operation", hint=_mix(a, b))
    return result


def subtract(a: Any, b: Any) -> Any:
    """`a - b` on Variants."""
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a - b
    result = a.minus(b) if isinstance(a, ValueType) else NotImplemented
    return _left(a, b, "-") - to_number(b) if result is NotImplemented else result


def multiply(a: Any, b: Any) -> Any:
    """`a * b` on Variants; always double."""
    result = a.times(b) if isinstance(a, ValueType) else NotImplemented
    return as_float(_left(a, b, "*")) * to_float(b) if result is NotImplemented else result


def divide(a: Any, b: Any) -> Any:
    """`a / b` on Variants; always double, so that a zero divisor gives an infinity."""
    result = a.over(b) if isinstance(a, ValueType) else NotImplemented
    return divide_floats(_left(a, b, "/"), to_number(b)) if result is NotImplemented else result


def _left(a: Any, b: Any, operator: str) -> int | float:
    """The left operand: a number, or Null as 0 beside a number."""
    if isinstance(a, (int, float)):
        return a
    if a is None and isinstance(b, (int, float)):
        return 0
    raise Fault(f"Invalid Variant type in {operator} operation", hint=_mix(a, b))


def _mix(a: Any, b: Any) -> str:
    return f"the left side is {describe(a)}, the right side is {describe(b)}"


def divide_floats(a: int | float, b: int | float) -> float:
    """Double division: x/0 is an infinity, 0/0 not a number."""
    try:
        return a / b
    except ZeroDivisionError:
        a = as_float(a)
        if a == 0 or a != a:
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, as_float(b))
    except OverflowError:
        return divide_floats(as_float(a), as_float(b))


def wrapped(value: int | float) -> int:
    """An int result in 32 bits: beyond them it wraps around."""
    return value if -INT_MAX <= value <= INT_MAX else to_int(value)


def divide_ints(a: int, b: int) -> int:
    """Int division: truncates towards zero; raises `Fault` on a zero divisor."""
    if b == 0:
        raise Fault("integer division by zero", hint="test the divisor first")
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def remainder(a: Any, b: Any) -> int:
    """`a % b` on ints, with the sign of `a`; raises `Fault` on a zero divisor."""
    a, b = to_int(a), to_int(b)
    if b == 0:
        raise Fault("integer division by zero", hint="test the divisor first")
    return a - b * divide_ints(a, b)


def negate(a: Any) -> Any:
    """`-a` on a Variant."""
    if isinstance(a, (int, float)):
        return -a
    result = a.negative() if isinstance(a, ValueType) else NotImplemented
    if result is not NotImplemented:
        return result
    raise Fault("Invalid Variant type in negation operation", hint=f"the operand is {describe(a)}")


def add_in_place(a: Any, b: Any) -> Any:
    """`a += b` on Variants: number and number, Null and number, string and string; a vector takes a vector."""
    if isinstance(b, (int, float)):
        if isinstance(a, (int, float)):
            return a + b
        if a is None:
            return b
    elif isinstance(a, str) and isinstance(b, str):
        return bounded_text(a + b)
    result = a.plus(b) if isinstance(a, ValueType) else NotImplemented
    if result is NotImplemented:
        raise Fault("Invalid Variant type in += assignment", hint=_mix(a, b))
    return result


def subtract_in_place(a: Any, b: Any) -> Any:
    """`a -= b` on Variants."""
    return _in_place(subtract, a, b, "-=")


def multiply_in_place(a: Any, b: Any) -> Any:
    """`a *= b` on Variants."""
    return _in_place(multiply, a, b, "*=")


def divide_in_place(a: Any, b: Any) -> Any:
    """`a /= b` on Variants."""
    return _in_place(divide, a, b, "/=")


def _in_place(operator: Callable[[Any, Any], Any], a: Any, b: Any, name: str) -> Any:
    if isinstance(a, (int, float, type(None))) and not isinstance(b, (int, float)) and (a is None or b is not None):
        raise Fault(f"Invalid Variant type in {name} assignment", hint=_mix(a, b))
    try:
        return operator(a, b)
    except Fault as fault:
        if fault.message.startswith("Invalid"):
            fault.message = f"Invalid Variant type in {name} assignment"
        raise


def step(a: Any, amount: int) -> Any:
    """`a++` and `a--` on a Variant; Null counts as 0."""
    if isinstance(a, (int, float)):
        return a + amount
    if a is None:
        return amount
    result = a.stepped(amount) if isinstance(a, ValueType) else NotImplemented
    if result is not NotImplemented:
        return result
    raise Fault(f"Invalid Variant type in {'++' if amount > 0 else '--'} operation", hint=f"it is {describe(a)}")


def equal(a: Any, b: Any) -> bool:
    """`a == b`: by value within one type; Number and node only when both are 0 and NULL; Null equals Null and NULL."""
    if a is b:
        return True
    if isinstance(a, (int, float)):
        return a == b if isinstance(b, (int, float)) else False
    if isinstance(a, str):
        return a == b if isinstance(b, str) else False
    return a.same(b) if isinstance(a, ValueType) else False


def equal_node(a: Any, b: Any) -> bool:
    """`==` where one side has the static type of a node: NULL also equals the number 0."""
    if a is None or b is None:
        other = b if a is None else a
        return other is None or (isinstance(other, (int, float)) and other == 0)
    return a is b or (type(a) is type(b) and a == b)


def less(a: Any, b: Any) -> bool:
    """`a < b`: numbers by value with Null as 0, strings by their bytes; mixes are false."""
    if isinstance(a, str) and isinstance(b, str):
        return a.encode("utf-8", "surrogatepass") < b.encode("utf-8", "surrogatepass")
    if isinstance(a, (int, float, type(None))) and isinstance(b, (int, float, type(None))):
        return (a or 0) < (b or 0)
    return a.below(b) if isinstance(a, ValueType) else False


def less_equal(a: Any, b: Any) -> bool:
    """`a <= b`, ordered as by `less`."""
    if isinstance(a, str) and isinstance(b, str):
        return a.encode("utf-8", "surrogatepass") <= b.encode("utf-8", "surrogatepass")
    if isinstance(a, (int, float, type(None))) and isinstance(b, (int, float, type(None))):
        return (a or 0) <= (b or 0)
    return (a.below(b) or a.same(b)) if isinstance(a, ValueType) else False


# --- Elements ---------------------------------------------------------------------------------------------------------


def element(base: Any, index: Any) -> Any:
    """`base[index]`: arrays from 1; a number or a string acts as an array of one; maps by key."""
    if type(base) is list:
        if type(index) is int and 1 <= index <= len(base):
            return base[index - 1]
        if isinstance(index, (int, float)):
            i = to_int(index)
            if 1 <= i <= len(base):
                return base[i - 1]
            if not base:
                raise Fault("Accessing element in empty array", code="array index")
        raise Fault("Array index out of bounds", code="array index", hint=_range_hint(base, index))
    if type(base) is dict:
        key = map_key(index)
        if key not in base:
            base[key] = None  # reading an element adds its key, as in FlexSim
            bounded_entries(base)
        return base[key]
    if base is None:
        raise Fault("Invalid variant type used with [] array operator", hint="the value is Null")
    if isinstance(base, Components) and isinstance(index, (int, float)) and 1 <= index < len(base.names) + 1:
        return tuple(base)[int(index) - 1]
    if isinstance(index, (int, float)) and index == 1:
        return base
    raise Fault("Array index out of bounds", code="array index", hint=f"{describe(base)} has one element")


def set_element(base: Any, index: Any, value: Any) -> None:
    """`base[index] = value` for arrays, maps and vectors."""
    if type(base) is list:
        i = to_int(index) if isinstance(index, (int, float)) else 0
        if not 1 <= i <= len(base):
            raise Fault("Array index out of bounds", code="array index", hint=_range_hint(base, index))
        base[i - 1] = value
    elif type(base) is dict:
        base[map_key(index)] = value
        bounded_entries(base)
    elif isinstance(base, Components) and isinstance(index, (int, float)) and 1 <= index < len(base.names) + 1:
        setattr(base, base.names[int(index) - 1], to_number(value))
    else:
        raise Fault("Invalid variant type used with [] array operator", hint=f"it is {describe(base)}")


def map_key(value: Any) -> Any:
    """Returns a value in the form in which a Map keeps it as a key; raises `Fault` where it cannot be one."""
    if isinstance(value, (list, dict, ValueType)):
        raise Fault(f"{type_name(value)} cannot be the key of a Map", code="map key")
    return value


def _range_hint(base: list, index: Any) -> str:
    length = len(base)
    if isinstance(index, (int, float)):
        shown = format_number(index)
        hint = f"the index is {shown}, the array has {length} element{'s' * (length != 1)}"
        return hint + (", counted from 1" if index == 0 else "")
    return f"the index is {describe(index)}"
