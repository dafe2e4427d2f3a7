"""Closures for operators, chosen by the static types of the operands so that numbers need no tests at run time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript import values
from vlsm_jax.flexscript.vocabulary import DOUBLE, INT, NODES, NUMERIC, STRING, VARIANT

Run = Callable[[list], Any]
"""A compiled expression: takes the frame, returns the value."""

VARIES = object()
"""Stands for "not a constant" in `Operand.constant`."""


@dataclasses.dataclass(slots=True)
class Operand:
    """A compiled expression with what is known of it before it runs. Nobody changes one.

    Attributes:
      run: the closure.
      kind: the static type.
      constant: its value when that is known, else `VARIES`.
      slot: the frame slot when it is a plain local variable, else -1.
      exact: whether an int is known to fit into 32 bits, so that storing it needs no conversion.
    """

    run: Run
    kind: str
    constant: Any = VARIES
    slot: int = -1
    exact: bool = False


def constant(value: Any, kind: str) -> Operand:
    """An operand whose value is known."""
    return Operand(lambda frame: value, kind, value)


@functools.lru_cache(maxsize=2048)
def common_constant(value: int | str, kind: str) -> Operand:
    """The same, kept from script to script, for values of which most scripts have the same ones."""
    return constant(value, kind)


@functools.lru_cache(maxsize=2048)
def local(slot: int, kind: str) -> Operand:
    """An operand that reads a local variable, kept from script to script."""
    return Operand(lambda frame: frame[slot], kind, VARIES, slot)


def condition(operand: Operand) -> Run:
    """A closure whose result Python takes as true exactly when FlexScript does."""
    run = operand.run
    if operand.kind in NUMERIC or operand.kind in NODES:
        return run
    truth = values.truth
    return lambda frame: truth(run(frame))


def binary(operator: str, left: Operand, right: Operand, kept: Callable[[str], str], wraps: bool = True) -> Operand:
    """Compiles an arithmetic or comparison operator; both sides are evaluated, the left one first.

    Args:
      operator: as in the script, but not `&&` and `||`.
      left, right: the operands.
      kept: called with every string that the operator makes.
      wraps: whether an int beyond 32 bits wraps around.
    """
    if left.kind in NUMERIC and right.kind in NUMERIC:
        return _numeric(operator, left, right, wraps)
    a, b = left.run, right.run
    if operator == "+":
        if left.kind == STRING or right.kind == STRING:
            return Operand(_concatenation(left, right, kept), STRING)
        return Operand(_variant_sum(left, right, kept), VARIANT)
    if operator in _COMPARISONS:
        return Operand(_comparison(operator, left, right), INT)
    if operator in _INT_OPERATORS:
        function = _INT_OPERATORS[operator]
        return Operand(lambda frame: function(a(frame), b(frame)), INT)
    function = _GENERIC[operator]
    return Operand(lambda frame: function(a(frame), b(frame)), VARIANT)


_GENERIC = {"-": values.subtract, "*": values.multiply, "/": values.divide}
_WRAPPED = frozenset(("+", "-", "*", "%"))
_COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))


def _shift(a: Any, b: Any, left: bool) -> int:
    amount = values.to_int(b) & 31
    number = values.to_int(a)
    return values.to_int(number << amount if left else number >> amount)


_INT_OPERATORS = {
    "%": values.remainder,
    "&": lambda a, b: values.to_int(a) & values.to_int(b),
    "|": lambda a, b: values.to_int(a) | values.to_int(b),
    "^": lambda a, b: values.to_int(a) ^ values.to_int(b),
    "<<": lambda a, b: _shift(a, b, True),
    ">>": lambda a, b: _shift(a, b, False),
}


def _variant_sum(left: Operand, right: Operand, kept: Callable[[str], str]) -> Run:
    a, b, add = left.run, right.run, values.add

    def run(frame: list) -> Any:
        value = add(a(frame), b(frame))
        return kept(value) if type(value) is str else value

    return run


def _concatenation(left: Operand, right: Operand, kept: Callable[[str], str]) -> Run:
    a, b, text = left.run, right.run, values.to_text
    if left.kind == STRING and right.kind == STRING:
        return lambda frame: kept(a(frame) + b(frame))
    if left.kind == STRING:
        return lambda frame: kept(a(frame) + text(b(frame)))
    return lambda frame: kept(text(a(frame)) + b(frame))


def _numeric(operator: str, left: Operand, right: Operand, wraps: bool) -> Operand:
    a, b = left.run, right.run
    both_int = left.kind == INT and right.kind == INT
    kind = INT if both_int else DOUBLE
    run: Run
    if both_int and wraps and operator in ("+", "-", "*"):
        run = _wrapping(operator, left, right)
    elif operator == "+":
        run = _sum(left, right)
    elif operator == "-":
        run = lambda frame: a(frame) - b(frame)  # noqa: E731
    elif operator == "*":
        run = lambda frame: a(frame) * b(frame)  # noqa: E731
    elif operator == "/":
        divide = values.divide_ints if both_int else values.divide_floats
        run = lambda frame: divide(a(frame), b(frame))  # noqa: E731
    elif operator in _INT_OPERATORS:
        run, kind = _remainder(left, right) if operator == "%" and both_int else _int_operator(operator, a, b), INT
    else:
        run, kind = _numeric_comparison(operator, left, right), INT
    if left.constant is not VARIES and right.constant is not VARIES and operator not in ("/", "%"):
        value = run([])
        return constant(value if abs(value) <= values.INT_MAX or (kind == INT and wraps) else float(value), kind)
    return Operand(run, kind, exact=both_int and wraps and operator in _WRAPPED)


def _int_operator(operator: str, a: Run, b: Run) -> Run:
    function = _INT_OPERATORS[operator]
    return lambda frame: function(a(frame), b(frame))


def _remainder(left: Operand, right: Operand) -> Run:
    a, b, k = left.run, right.run, right.constant
    if k is not VARIES and k > 0:

        def run(frame: list) -> int:
            value = a(frame)
            # Python's remainder has the sign of the divisor, FlexScript's that of the dividend.
            return value % k if value >= 0 else -(-value % k)

        return run
    function = values.remainder
    return lambda frame: function(a(frame), b(frame))


def _wrapping(operator: str, left: Operand, right: Operand) -> Run:
    """Int arithmetic in 32 bits."""
    a, b, k = left.run, right.run, right.constant
    least, most, wrapped = -values.INT_MAX, values.INT_MAX, values.to_int
    if operator == "+" and k is not VARIES:

        def run(frame: list) -> int:
            value = a(frame) + k
            return value if least <= value <= most else wrapped(value)

    elif operator == "+":

        def run(frame: list) -> int:
            value = a(frame) + b(frame)
            return value if least <= value <= most else wrapped(value)

    elif operator == "-":

        def run(frame: list) -> int:
            value = a(frame) - b(frame)
            return value if least <= value <= most else wrapped(value)

    else:

        def run(frame: list) -> int:
            value = a(frame) * b(frame)
            return value if least <= value <= most else wrapped(value)

    return run


def _sum(left: Operand, right: Operand) -> Run:
    a, b, k = left.run, right.run, right.constant
    if k is not VARIES:
        return lambda frame: a(frame) + k
    return lambda frame: a(frame) + b(frame)


def _numeric_comparison(operator: str, left: Operand, right: Operand) -> Run:
    a, b, k, slot = left.run, right.run, right.constant, left.slot
    # The result is a Python bool, which is the int 0 or 1; `number_of` makes it a plain one where it is kept.
    if k is not VARIES:
        if operator == "==":
            return lambda frame: a(frame) == k
        if operator == "<":
            return lambda frame: a(frame) < k
        if operator == "<=":
            if slot >= 0:
                return lambda frame: frame[slot] <= k
            return lambda frame: a(frame) <= k
    if operator == "==":
        return lambda frame: a(frame) == b(frame)
    if operator == "!=":
        return lambda frame: a(frame) != b(frame)
    if operator == "<":
        return lambda frame: a(frame) < b(frame)
    if operator == "<=":
        return lambda frame: a(frame) <= b(frame)
    if operator == ">":
        return lambda frame: a(frame) > b(frame)
    return lambda frame: a(frame) >= b(frame)


def _comparison(operator: str, left: Operand, right: Operand) -> Run:
    a, b = left.run, right.run
    if operator in ("==", "!="):
        if left.kind == STRING and right.kind == STRING:
            if operator == "==":
                return lambda frame: a(frame) == b(frame)
            return lambda frame: a(frame) != b(frame)
        test = values.equal_node if left.kind in NODES or right.kind in NODES else values.equal
        if operator == "==":
            return lambda frame: test(a(frame), b(frame))
        return lambda frame: not test(a(frame), b(frame))
    less, less_equal = values.less, values.less_equal
    if operator == "<":
        return lambda frame: less(a(frame), b(frame))
    if operator == "<=":
        return lambda frame: less_equal(a(frame), b(frame))
    if operator == ">":
        return lambda frame: _swapped(less, a, b, frame)
    return lambda frame: _swapped(less_equal, a, b, frame)


def _swapped(test: Callable[[Any, Any], bool], a: Run, b: Run, frame: list) -> bool:
    left = a(frame)
    return test(b(frame), left)


def logical(operator: str, left: Operand, right: Operand) -> Operand:
    """`&&` and `||`: the right side only where it decides."""
    a, b = condition(left), condition(right)
    if operator == "&&":
        return Operand(lambda frame: bool(a(frame) and b(frame)), INT)
    return Operand(lambda frame: bool(a(frame) or b(frame)), INT)
