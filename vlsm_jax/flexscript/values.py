"""Values and the Variant semantics of FlexScript's operators.

Null is None, Number is int or float, String is str, Array is a list (1-based in scripts, shared by reference), Map is a
dict. Tree nodes and other objects of the world are opaque here: they are true, equal to themselves, and not numbers.
The rules are those of the engine's Variant operators; the messages are its own.
"""

from __future__ import annotations

import math
from typing import Any

from vlsm_jax.flexscript.faults import Fault, OutOfBudget

MAX_TEXT = 100_000
MAX_ITEMS = 20_000
_SHOWN_ITEMS = (100, 20, 5)
INT_MAX = 2147483647


class Vec3:
    """A mutable vector; `x`, `y` and `z` are numbers."""

    __slots__ = ("x", "y", "z")

    def __init__(self, x: float = 0, y: float = 0, z: float = 0):
        self.x = x
        self.y = y
        self.z = z

    def assign(self, value: Any) -> None:
        """Takes the components of a vector or of an array of up to three numbers."""
        self.x, self.y, self.z = components(value, 3)

    def copy(self) -> Vec3:
        """Returns a vector that shares nothing with this one."""
        return Vec3(self.x, self.y, self.z)

    def __iter__(self):
        return iter((self.x, self.y, self.z))


class Color:
    """A mutable color; components from 0 to 1."""

    __slots__ = ("a", "b", "g", "r")

    def __init__(self, r: float = 0, g: float = 0, b: float = 0, a: float = 1):
        self.r = r
        self.g = g
        self.b = b
        self.a = a

    def assign(self, value: Any) -> None:
        """Takes the components of a color or of an array of numbers."""
        if isinstance(value, Color):
            self.r, self.g, self.b, self.a = value
            return
        self.r, self.g, self.b, self.a = components(value, 4, (0, 0, 0, 1))

    def copy(self) -> Color:
        """Returns a color that shares nothing with this one."""
        return Color(self.r, self.g, self.b, self.a)

    def __iter__(self):
        return iter((self.r, self.g, self.b, self.a))


def components(value: Any, count: int, default: tuple = (0, 0, 0, 0)) -> tuple:
    """Returns `count` numbers of a vector, a color or an array; raises `Fault` for anything else."""
    if isinstance(value, (Vec3, Color, list)):
        numbers = [to_number(v) for v in value][:count]
        return (*numbers, *default[len(numbers) : count])
    raise Fault(f"expected a vector or an array of {count} numbers, got {describe(value)}", code="type")


def describe(value: Any) -> str:
    """Returns a short phrase for a value in a message."""
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return f"the number {format_number(value)}"
    if isinstance(value, str):
        return f"the string {value[:40]!r}"
    return type_name(value)


def type_name(value: Any) -> str:
    """Returns the FlexScript name of a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, (int, float)):
        return "Number"
    return _TYPE_NAMES.get(type(value), "treenode")


_TYPE_NAMES = {str: "String", list: "Array", dict: "Map", Vec3: "Vec3", Color: "Color"}

# --- Conversions ------------------------------------------------------------------------------------------------------


def truth(value: Any) -> bool:
    """Number: not 0; Null: false; nodes, strings, arrays and maps: true, even when empty."""
    if value is None:
        return False
    return value != 0 if isinstance(value, (int, float)) else True


def to_number(value: Any) -> int | float:
    """Number: itself; Array: its first element; anything else 0."""
    if isinstance(value, (int, float)):
        return value
    if type(value) is list and value:
        first = value[0]
        return first if isinstance(first, (int, float)) else 0
    return 0


def to_int(value: Any) -> int:
    """To a 32-bit int: truncated towards zero, wrapped around like the engine's."""
    number = to_number(value)
    if isinstance(number, float):
        if not math.isfinite(number):
            return -INT_MAX - 1
        number = int(number)
    if -INT_MAX <= number <= INT_MAX:
        return number
    return (number + INT_MAX + 1) % (2 * INT_MAX + 2) - INT_MAX - 1


def to_float(value: Any) -> float:
    """To a double."""
    return as_float(to_number(value))


def as_float(number: int | float) -> float:
    """A number as a double; infinite beyond its range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def to_text(value: Any) -> str:
    """String: itself; Number: its text; anything else an empty string."""
    if isinstance(value, str):
        return value
    return format_number(value) if isinstance(value, (int, float)) else ""


def to_array(value: Any) -> list:
    """Array: itself; Null: empty; anything else an array of one element."""
    if type(value) is list:
        return value
    return [] if value is None else [value]


def format_number(value: int | float) -> str:
    """Returns a number's text: no point when whole, else the shortest that reads back as the same number."""
    if isinstance(value, int) and -INT_MAX <= value <= INT_MAX:
        return f"{value:d}"  # also the 0 and 1 that comparisons give
    number = as_float(value)
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return repr(number)


def display(value: Any, depth: int = 0) -> str:
    """Returns a value as `print` shows it, such as `Array[2]: {1,2}`; at most a few thousand characters."""
    if value is None:
        return "NULL"
    if isinstance(value, (str, int, float)):
        return to_text(value)
    if depth >= len(_SHOWN_ITEMS):
        return "..."
    most = _SHOWN_ITEMS[depth]  # nested arrays may share elements, so that showing all of them could take for ever
    if type(value) is list:
        shown = ",".join(display(v, depth + 1) for v in value[:most])
        return f"Array[{len(value)}]: {{{shown[:2000]}{',...' if len(value) > most else ''}}}"
    if type(value) is dict:
        shown = ",".join(f"{display(k, depth + 1)}: {display(v, depth + 1)}" for k, v in list(value.items())[:most])
        return f"Map[{len(value)}]: {{{shown[:2000]}}}"
    if isinstance(value, (Vec3, Color)):
        return f"{type_name(value)}({', '.join(format_number(to_number(v)) for v in value)})"
    return str(value)


def bounded_text(text: str) -> str:
    """Returns the text; raises `OutOfBudget` when it is longer than a script may build."""
    if len(text) > MAX_TEXT:
        raise OutOfBudget(f"a string grew beyond {MAX_TEXT} characters")
    return text


def bounded_items(items: list) -> list:
    """Returns the list; raises `OutOfBudget` when it holds more than a script may build."""
    if len(items) > MAX_ITEMS:
        raise OutOfBudget(f"an array grew beyond {MAX_ITEMS} elements")
    return items


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
    if isinstance(a, Vec3) and isinstance(b, (Vec3, list)):
        return Vec3(*(p + q for p, q in zip(a, components(b, 3), strict=True)))
    raise Fault("Invalid Variant types in + operation", hint=_mix(a, b))


def subtract(a: Any, b: Any) -> Any:
    """`a - b` on Variants."""
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a - b
    if isinstance(a, Vec3) and isinstance(b, (Vec3, list)):
        return Vec3(*(p - q for p, q in zip(a, components(b, 3), strict=True)))
    return _left(a, b, "-") - to_number(b)


def multiply(a: Any, b: Any) -> Any:
    """`a * b` on Variants; always double."""
    if isinstance(a, Vec3) and isinstance(b, (int, float)):
        return Vec3(a.x * b, a.y * b, a.z * b)
    return as_float(_left(a, b, "*")) * to_float(b)


def divide(a: Any, b: Any) -> Any:
    """`a / b` on Variants; always double, so that a zero divisor gives an infinity."""
    if isinstance(a, Vec3) and isinstance(b, (int, float)):
        if b == 0:
            raise Fault("Divide by zero error: denominator is 0")
        return Vec3(a.x / b, a.y / b, a.z / b)
    return divide_floats(_left(a, b, "/"), to_number(b))


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
    if isinstance(a, Vec3):
        return Vec3(-a.x, -a.y, -a.z)
    raise Fault("Invalid Variant type in negation operation", hint=f"the operand is {describe(a)}")


def add_in_place(a: Any, b: Any) -> Any:
    """`a += b` on Variants: number and number, Null and number, string and string; a Vec3 takes a Vec3."""
    if isinstance(b, (int, float)):
        if isinstance(a, (int, float)):
            return a + b
        if a is None:
            return b
    elif isinstance(a, str) and isinstance(b, str):
        return bounded_text(a + b)
    elif isinstance(a, Vec3):
        return add(a, b)
    raise Fault("Invalid Variant type in += assignment", hint=_mix(a, b))


def step(a: Any, amount: int) -> Any:
    """`a++` and `a--` on a Variant; Null counts as 0."""
    if isinstance(a, (int, float)):
        return a + amount
    if a is None:
        return amount
    raise Fault(f"Invalid Variant type in {'++' if amount > 0 else '--'} operation", hint=f"it is {describe(a)}")


def equal(a: Any, b: Any) -> bool:
    """`a == b`: by value within one type; Number and node only when both are 0 and NULL; Null equals Null and NULL."""
    if a is b:
        return True
    if isinstance(a, (int, float)):
        return a == b if isinstance(b, (int, float)) else False
    if isinstance(a, str):
        return a == b if isinstance(b, str) else False
    if isinstance(a, (Vec3, Color)):
        return type(a) is type(b) and tuple(a) == tuple(b)
    return False


def equal_node(a: Any, b: Any) -> bool:
    """`==` where one side has the static type of a node: NULL also equals the number 0."""
    if a is None or b is None:
        other = b if a is None else a
        return other is None or (isinstance(other, (int, float)) and other == 0)
    return a is b


def less(a: Any, b: Any) -> bool:
    """`a < b`: numbers by value with Null as 0, strings by their bytes; mixes are false."""
    if isinstance(a, str) and isinstance(b, str):
        return a.encode() < b.encode()
    if isinstance(a, (int, float, type(None))) and isinstance(b, (int, float, type(None))):
        return (a or 0) < (b or 0)
    return False


def less_equal(a: Any, b: Any) -> bool:
    """`a <= b`, ordered as by `less`."""
    if isinstance(a, str) and isinstance(b, str):
        return a.encode() <= b.encode()
    if isinstance(a, (int, float, type(None))) and isinstance(b, (int, float, type(None))):
        return (a or 0) <= (b or 0)
    return False


# --- Elements ---------------------------------------------------------------------------------------------------------


def element(base: Any, index: Any) -> Any:
    """`base[index]`: arrays from 1; a number or a string acts as an array of one; maps by key."""
    if type(base) is list:
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
            raise Fault(f"the Map has no key {display(index)}", code="map key")
        return base[key]
    if base is None:
        raise Fault("Invalid variant type used with [] array operator", hint="the value is Null")
    if isinstance(base, Vec3) and index in (1, 2, 3):
        return (base.x, base.y, base.z)[int(index) - 1]
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
        if len(base) > MAX_ITEMS:
            raise OutOfBudget(f"a map grew beyond {MAX_ITEMS} entries")
    elif isinstance(base, Vec3) and index in (1, 2, 3):
        setattr(base, "xyz"[int(index) - 1], to_number(value))
    else:
        raise Fault("Invalid variant type used with [] array operator", hint=f"it is {describe(base)}")


def map_key(value: Any) -> Any:
    """Returns a value in the form in which a Map keeps it as a key; raises `Fault` where it cannot be one."""
    if isinstance(value, (list, dict, Vec3, Color)):
        raise Fault(f"{type_name(value)} cannot be the key of a Map", code="map key")
    return value


def _range_hint(base: list, index: Any) -> str:
    length = len(base)
    if isinstance(index, (int, float)):
        shown = format_number(index)
        hint = f"the index is {shown}, the array has {length} element{'s' * (length != 1)}"
        return hint + (", counted from 1" if index == 0 else "")
    return f"the index is {describe(index)}"


def copied(value: Any) -> Any:
    """Returns a value as a variable keeps it: vectors and colors are values, everything else is shared."""
    if isinstance(value, (Vec3, Color)):
        return value.copy()
    return value
