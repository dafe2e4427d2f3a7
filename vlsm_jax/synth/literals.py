"""FlexScript literals: names, numbers and parameter values, written so that they read back as the same values."""

from __future__ import annotations

from collections.abc import Iterable

from vlsm_jax.twin import Code, Distribution, ParameterValue, Twin, format_number

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})

STREAM_END = ", getstream(ownerobject(c)));"
"""What ends the code body of a distribution: its stream, taken from the object that owns the code node `c`."""

STREAM_END_VARIABLE = "end"
"""Name of the string variable that holds `STREAM_END` in scripts that need it more than once."""


def string_literal(text: str) -> str:
    """Returns `text` as a FlexScript string literal; what has no escape stands as it is."""
    return f'"{text.translate(_ESCAPES)}"'


def array_literal(items: Iterable[str]) -> str:
    """Returns an array literal of items that are FlexScript already."""
    return f"[{', '.join(items)}]"


def distribution_head(value: Distribution) -> str:
    """Returns the code body of a distribution up to its last argument: "return triangular(5, 15, 10"."""
    return f"return {value.name}({', '.join(format_number(a) for a in value.arguments)}"


def value_literal(value: ParameterValue, stream_end: str | None = None) -> str:
    """Returns a parameter value as the second argument of `setProperty`.

    Args:
      value: a number, option name, vector, distribution or code.
      stream_end: name of a string variable that holds `STREAM_END`, None to write it out.
    """
    if isinstance(value, Distribution):
        if not value.arguments:
            return string_literal(f"return {value.name}(getstream(ownerobject(c)));")
        head = distribution_head(value)
        return string_literal(head + STREAM_END) if stream_end is None else f"{string_literal(head)} + {stream_end}"
    if isinstance(value, Code):
        return string_literal(value.text)
    if isinstance(value, str):
        return string_literal(value)
    if isinstance(value, tuple):
        return array_literal(format_number(v) for v in value)
    return format_number(value)


def count_distributions(twin: Twin) -> int:
    """Returns how many parameters of a Twin are distributions."""
    return sum(isinstance(value, Distribution) for obj in twin.objects for value in obj.parameters.values())


def declare_stream_end() -> str:
    """Returns the declaration of the variable that holds `STREAM_END`."""
    return f"string {STREAM_END_VARIABLE} = {string_literal(STREAM_END)};"
