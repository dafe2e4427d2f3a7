"""What a code body stands for: a plain number, exactly one distribution, or code that must be interpreted."""

from __future__ import annotations

import functools
import math
import re
from typing import NamedTuple

from vlsm_jax.flexscript import Program, parse, parse_expression, syntax
from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.simulator.distributions import SHAPES
from vlsm_jax.twin import Code, Distribution, ParameterValue

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_STREAM = r"getstream\(\s*(?:current|ownerobject\(\s*c\s*\))\s*\)"
_PLAIN = re.compile(
    rf"\s*(return\s+)?(?:({_NUMBER})|([a-z0-9]+)\(\s*({_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*(,\s*{_STREAM}\s*)?\))"
    r"\s*(;?)\s*",
    re.ASCII,
)
_OWNER = re.compile(r"\s*Object\s+current\s*=\s*ownerobject\(\s*c\s*\)\s*;(?=\s*return\b)", re.ASCII)
"""The usual preamble, which the usual code needs nothing of."""
_PREAMBLE_CALLS = frozenset(("ownerobject", "param", "parnode", "parval", "parstr"))


class Body(NamedTuple):
    """A code body, understood.

    Attributes:
      value: an int or float, a `Distribution`, or `Code` with the text as it was given.
      bare: whether the text is an expression without `return`.
    """

    value: ParameterValue
    bare: bool


def understand(text: str) -> Body:
    """Returns what a code body stands for; short ones, which recur from script to script, are kept.

    A distribution may be wrapped in `return`, follow declarations that only name the owner or the parameters, and end
    with a stream, which is dropped: every property draws from a stream of its own here.
    """
    return _kept(text) if len(text) <= _SHORT else _understood(text)


def _understood(text: str) -> Body:
    owner = _OWNER.match(text)
    match = _PLAIN.fullmatch(text, owner.end() if owner else 0)
    if match:
        returned, number, name, arguments, with_stream, end = match.groups()
        if bool(returned) == bool(end):
            if number is not None and owner is None and math.isfinite(float(number)):
                return Body(_number(number), not returned)
            values = [_number(a) for a in arguments.split(",")] if arguments else []
            distribution = _distribution(name, values, bool(with_stream)) if arguments else None
            if distribution is not None:
                return Body(distribution, not returned)
    expression, bare = _sole_expression(text)
    if expression is not None:
        value = _constant(expression)
        if value is None or not math.isfinite(value):
            value = _distribution_call(expression)
        if value is not None:
            return Body(value, bare)
    return Body(Code(text), bare)


_SHORT = 200
_kept = functools.lru_cache(maxsize=1 << 14)(_understood)


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _sole_expression(text: str) -> tuple[syntax.Expression | None, bool]:
    """Returns the one expression whose value the code returns, if there is nothing else in it."""
    if "return" not in text and ";" not in text:
        return parse_expression(text), True
    program = parse(text)
    if not program.ok or not program.statements:
        return None, False
    *preamble, last = program.statements
    if not all(map(_is_preamble, preamble)):
        return None, False
    if type(last) is syntax.Return and last.value is not None:
        return last.value, False
    return None, False


def _is_preamble(statement: syntax.Statement) -> bool:
    """Whether a statement only declares the owner or a parameter, such as `Object item = param(1);`."""
    if type(statement) is not syntax.Declare:
        return False
    for declarator in statement.declarators:
        value = declarator.value
        if type(value) is not syntax.Call or type(value.function) is not syntax.Name:
            return False
        if value.function.name not in _PREAMBLE_CALLS:
            return False
    return True


def _constant(node: syntax.Expression) -> int | float | None:
    """Returns the value of an expression of literal numbers, None for anything else."""
    if type(node) is syntax.Number:
        return node.value
    if type(node) is syntax.Unary and node.operator == "-":
        value = _constant(node.operand)
        return None if value is None else -value
    if type(node) is syntax.Binary and node.operator in "+-*/":
        left, right = _constant(node.left), _constant(node.right)
        if left is None or right is None:
            return None
        if node.operator == "/":
            # 7/2 is an int division in FlexScript; only what both readings agree on is folded.
            return left / right if right and not (isinstance(left, int) and isinstance(right, int)) else None
        return {"+": left + right, "-": left - right, "*": left * right}[node.operator]
    return None


def _distribution_call(node: syntax.Expression) -> Distribution | None:
    if type(node) is not syntax.Call or type(node.function) is not syntax.Name:
        return None
    name = node.function.name
    shape = SHAPES.get(name)
    if shape is None:
        return None
    arguments = list(node.arguments)
    with_stream = len(arguments) == len(shape.parameters) + 1 and _is_stream(arguments[-1])
    if with_stream:
        arguments.pop()
    values = [_constant(argument) for argument in arguments]
    if any(value is None for value in values):
        return None
    return _distribution(name, values, with_stream)


def _is_stream(node: syntax.Expression) -> bool:
    if type(node) is syntax.Call and type(node.function) is syntax.Name:
        return node.function.name == "getstream"
    return type(node) is syntax.Number


def _distribution(name: str, values: list, with_stream: bool) -> Distribution | None:
    shape = SHAPES.get(name)
    if shape is None:
        return None
    if not with_stream and len(values) == len(shape.parameters) + 1:
        values = values[:-1]  # a stream given as a number
    if len(values) != len(shape.parameters) or not all(map(math.isfinite, values)):
        return None
    return Distribution(name, tuple(values))


def parsed(text: str, label: str) -> Program:
    """Returns a code body as a program; a bare expression becomes one that returns its value.

    Args:
      text: the body.
      label: names the origin in messages, such as "ProcessTime of 'Oven'".
    """
    if "return" not in text and ";" not in text:
        expression = parse_expression(text)
        if expression is not None:
            return Program((syntax.Return(expression, expression.at),), (), SourceText(text, label))
    return parse(text, label)
