"""FlexScript literals: names, numbers and parameter values, written so that they read back as the same values."""

from __future__ import annotations

import functools
import re

from vlsm_jax.simulator import tables
from vlsm_jax.simulator.library import find_class
from vlsm_jax.synth.scripts.habits import Habits, Streams
from vlsm_jax.synth.scripts.variables import Variables
from vlsm_jax.twin import Code, Distribution, ParameterValue, Twin, format_number

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})

_ESCAPED = re.compile(r'[\\"\n\t\r]')

_OWN_STREAM = "getstream(ownerobject(c))"
_CURRENT = "Object current = ownerobject(c);"

EXACT = 10**15
"""Whole numbers below are written with a decimal point where the habit asks for it; floats hold them exactly."""


def string_literal(text: str) -> str:
    """Returns `text` as a FlexScript string literal; what has no escape stands as it is."""
    return f'"{text.translate(_ESCAPES)}"' if _ESCAPED.search(text) else f'"{text}"'


@functools.lru_cache(maxsize=4096)
def is_table(text: str) -> bool:
    """Whether code is an array of rows in the one form in which tables are kept."""
    if not text.startswith("["):
        return False
    rows = tables.read_rows(Code(text))
    return rows is not None and tables.write_rows(rows).text == text


@functools.cache
def property_kind(cls: str, key: str) -> str:
    """Returns the kind of a property, as the library has it; "" where the class has none of that name."""
    info = find_class(cls)
    found = info.properties.get(key) if info is not None else None
    return found.kind if found is not None else ""


@functools.cache
def class_path(cls: str, separator: str) -> str:
    """Returns a class with its namespace, such as "Conveyor::StraightConveyor"; alone where it has none."""
    info = find_class(cls)
    return f"{info.namespace}{separator}{info.name}" if info is not None and info.namespace else cls


class Literals:
    """Writes the values of one Twin.

    Attributes:
      stream_end: name of the string variable that holds the end of all distributions, "" where there is none.
    """

    def __init__(self, twin: Twin, habits: Habits, variables: Variables):
        self._decimals = habits.decimals
        self._comma = "," if habits.compact else ", "
        self._streams = habits.streams
        self.stream_end = ""
        if habits.streams is Streams.SHARED and count_distributions(twin) > 1:
            self.stream_end = variables.word("stream end")
        self._end = f"{self._comma}{_OWN_STREAM});"

    def stream_end_literal(self) -> str:
        """Returns what `stream_end` holds: what ends the code body of a distribution, its stream in front."""
        return string_literal(self._end)

    def measure(self, value: float) -> str:
        """Returns a length or a time."""
        text = format_number(value)
        return f"{text}.0" if self._decimals and type(value) is int and abs(value) < EXACT else text

    def body(self, key: str, value: Distribution) -> str:
        """Returns the code body of a distribution that is the value of property `key`."""
        streams = self._streams
        head = self._head(key, value)
        if streams is Streams.OMITTED and value.arguments:
            return f"{head});"
        if streams is Streams.CURRENT:
            comma = self._comma if value.arguments else ""
            return f"{_CURRENT} {head}{comma}getstream(current));"
        return head + self._end if value.arguments else f"{head}{_OWN_STREAM});"

    def _head(self, key: str, value: Distribution) -> str:
        """Returns the code body of a distribution up to its last argument: "return triangular(5, 15, 10"."""
        arguments = map(self.measure if key.endswith("Time") else format_number, value.arguments)
        return f"return {value.name}({self._comma.join(arguments)}"

    def value(self, cls: str, key: str, value: ParameterValue) -> str:
        """Returns a parameter value as the second argument of `setProperty`."""
        if isinstance(value, Distribution):
            if self.stream_end and value.arguments:
                plus = "+" if self._comma == "," else " + "
                return f"{string_literal(self._head(key, value))}{plus}{self.stream_end}"
            return string_literal(self.body(key, value))
        if isinstance(value, Code):
            if property_kind(cls, key) == "table" and is_table(value.text):
                return value.text
            return string_literal(value.text)
        if isinstance(value, str):
            return string_literal(value)
        if isinstance(value, tuple):
            return f"[{self._comma.join(map(format_number, value))}]"
        return self.measure(value) if key.endswith("Time") else format_number(value)


def count_distributions(twin: Twin) -> int:
    """Returns how many parameters of a Twin are distributions."""
    return sum(isinstance(value, Distribution) for obj in twin.objects for value in obj.parameters.values())
