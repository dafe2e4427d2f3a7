"""What values are, and how they turn into each other: numbers, texts, arrays, and the words messages use for them.

Null is None, Number is int or float, String is str, Array is a list (1-based in scripts, shared by reference), Map is a
dict. Every other type of the language derives from `ValueType`. Tree nodes and other objects of a world are opaque
here: they are true, equal to themselves, and not numbers.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from vlsm_jax.flexscript.faults import OutOfBudget

MAX_TEXT = 100_000
MAX_ITEMS = 20_000
_SHOWN_ITEMS = (100, 20, 5)
INT_MAX = 2147483647


class ValueType:
    """A type of the language beside numbers, strings, arrays and maps, with operators of its own.

    An operator that a type does not have returns `NotImplemented`, which ends in the exception of the Variant's one.

    Attributes:
      type_name: the name in FlexScript.
    """

    __slots__ = ()
    type_name: ClassVar[str] = ""

    def copy(self) -> Any:
        """Returns what a variable keeps of the value: itself where the type is shared by reference."""
        return self

    def truth(self) -> bool:
        """Whether a condition takes the value as true."""
        return True

    def number(self) -> int | float:
        """The value as a number."""
        return 0

    def text(self) -> str:
        """The value as a string."""
        return ""

    def weight(self) -> int:
        """How many elements work on the value goes over: what it costs in steps follows from that."""
        return 0

    def plus(self, other: Any) -> Any:
        """`self + other`."""
        return NotImplemented

    def minus(self, other: Any) -> Any:
        """`self - other`."""
        return NotImplemented

    def times(self, other: Any) -> Any:
        """`self * other`."""
        return NotImplemented

    def over(self, other: Any) -> Any:
        """`self / other`."""
        return NotImplemented

    def negative(self) -> Any:
        """`-self`."""
        return NotImplemented

    def stepped(self, amount: int) -> Any:
        """`self++` and `self--`."""
        return NotImplemented

    def same(self, other: Any) -> bool:
        """`self == other`."""
        return self is other

    def below(self, other: Any) -> bool:
        """`self < other`."""
        return False


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
    if isinstance(value, ValueType):
        return value.type_name
    return _TYPE_NAMES.get(type(value), "treenode")


_TYPE_NAMES = {str: "String", list: "Array", dict: "Map"}

# --- Conversions ------------------------------------------------------------------------------------------------------


def truth(value: Any) -> bool:
    """Number: not 0; Null: false; nodes, strings, arrays and maps: true, even when empty."""
    if value is None:
        return False
    if isinstance(value, (int, float)):
        return value != 0
    return value.truth() if isinstance(value, ValueType) else True


def to_number(value: Any) -> int | float:
    """Number: itself; Array: its first element; anything else 0."""
    if isinstance(value, (int, float)):
        return value
    if type(value) is list and value:
        first = value[0]
        return first if isinstance(first, (int, float)) else 0
    return value.number() if isinstance(value, ValueType) else 0


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
    if type(value) is float:
        return value
    if type(value) is int and -INT_MAX <= value <= INT_MAX:
        return float(value)
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
    if isinstance(value, (int, float)):
        return format_number(value)
    return value.text() if isinstance(value, ValueType) else ""


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


def bounded_entries(entries: dict) -> dict:
    """Returns the map; raises `OutOfBudget` when it holds more than a script may build."""
    if len(entries) > MAX_ITEMS:
        raise OutOfBudget(f"a map grew beyond {MAX_ITEMS} entries")
    return entries


def copied(value: Any) -> Any:
    """Returns a value as a variable keeps it: vectors and colors are values, everything else is shared."""
    return value.copy() if isinstance(value, ValueType) else value


def shown(values: tuple) -> str:
    """The line that `print(values...)` writes."""
    return " ".join(map(display, values))
