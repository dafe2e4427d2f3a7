"""Mathematical commands, under their old names and in the namespace `Math`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.values import INT_MAX, divide_floats, to_float, to_int, to_number
from vlsm_jax.flexscript.vocabulary import DOUBLE, INT, VARIANT, Command


def _real(function: Callable[[float], float]) -> Callable[[Any], float]:
    """Wraps a function of one double: outside its domain the result is not a number, beyond its range infinite."""

    def run(value: Any) -> float:
        try:
            return function(to_float(value))
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return run


def _whole(function: Callable[[float], int]) -> Callable[[Any], int | float]:
    def run(value: Any) -> int | float:
        number = to_number(value)
        if isinstance(number, int) or not math.isfinite(number):
            return number
        return function(number)

    return run


def power(base: Any, exponent: Any) -> float:
    """`pow(base, exponent)` as a double."""
    try:
        result = math.pow(to_float(base), to_float(exponent))
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan if to_float(base) else math.inf
    return result


def rounded(value: Any, precision: Any = 0) -> float:
    """Rounds half away from zero to a number of decimals."""
    number, places = to_float(value), max(-300, min(300, to_int(precision)))
    if not math.isfinite(number):
        return number
    scale = 10.0**places
    scaled = number * scale
    if not math.isfinite(scaled):
        return number
    return divide_floats(math.copysign(math.floor(abs(scaled) + 0.5), scaled), scale)


def smallest(*values: Any) -> int | float:
    """The smallest of the numbers; an array counts with its elements."""
    return min(_numbers(values))


def largest(*values: Any) -> int | float:
    """The largest of the numbers; an array counts with its elements."""
    return max(_numbers(values))


def _numbers(values: tuple) -> list:
    numbers = []
    for value in values:
        numbers.extend(map(to_number, value) if type(value) is list else [to_number(value)])
    if not numbers:
        raise Fault("max and min need at least one number", code="argument")
    return numbers


def absolute(value: Any) -> int | float:
    """The value without its sign."""
    return abs(to_number(value))


def sign(value: Any) -> int:
    """-1, 0 or 1."""
    number = to_number(value)
    return (number > 0) - (number < 0)


def modulo(a: Any, b: Any) -> float:
    """The floating-point remainder of a / b, with the sign of a."""
    try:
        return math.fmod(to_float(a), to_float(b))
    except ValueError:
        return math.nan


def arctangent2(y: Any, x: Any) -> float:
    """The angle of the point (x, y), in radians."""
    return math.atan2(to_float(y), to_float(x))


def clamp(value: Any, low: Any, high: Any) -> int | float:
    """The value, no smaller than `low` and no larger than `high`."""
    return max(to_number(low), min(to_number(value), to_number(high)))


def tables() -> tuple[Mapping[str, Command], Mapping[str, Command], Mapping[str, Command]]:
    """Returns the old commands, the methods of `Math` and its properties."""
    real = {
        name: Command(_real(function), DOUBLE, 1, 1)
        for name, function in {
            "sqrt": math.sqrt, "exp": math.exp, "sin": math.sin, "cos": math.cos, "tan": math.tan,
            "asin": math.asin, "acos": math.acos, "atan": math.atan, "sinh": math.sinh, "cosh": math.cosh,
            "tanh": math.tanh, "log2": math.log2, "log10": math.log10, "cbrt": math.cbrt,
            "radians": math.radians, "degrees": math.degrees,
        }.items()
    }  # fmt: skip
    shared = {
        "pow": Command(power, DOUBLE, 2, 2),
        "atan2": Command(arctangent2, DOUBLE, 2, 2),
        "max": Command(largest, VARIANT, 1, 20),
        "min": Command(smallest, VARIANT, 1, 20),
        "round": Command(rounded, DOUBLE, 1, 2),
    }
    log = Command(_real(math.log), DOUBLE, 1, 1)
    floor, ceil = Command(_whole(math.floor), INT, 1, 1), Command(_whole(math.ceil), INT, 1, 1)
    trunc = Command(_whole(math.trunc), INT, 1, 1)
    old = {
        **{n: c for n, c in real.items() if n in ("sqrt", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "log10")},
        **shared,
        "log": log,
        "sqr": Command(lambda v: to_float(v) * to_float(v), DOUBLE, 1, 1),
        "fabs": Command(lambda v: to_float(abs(to_number(v))), DOUBLE, 1, 1),
        "floor": floor, "ceil": ceil, "trunc": trunc, "frac": Command(lambda v: modulo(v, 1), DOUBLE, 1, 1),
        "fmod": Command(modulo, DOUBLE, 2, 2),
        "pi": Command(lambda: math.pi, DOUBLE, 0, 0),
    }  # fmt: skip
    methods = {
        **real, **shared, "log": log, "floor": floor, "ceil": ceil, "trunc": trunc,
        "fabs": Command(absolute, VARIANT, 1, 1), "abs": Command(absolute, VARIANT, 1, 1),
        "sign": Command(sign, INT, 1, 1), "fmod": Command(modulo, DOUBLE, 2, 2), "clamp": Command(clamp, VARIANT, 3, 3),
        "frac": old["frac"], "sqr": old["sqr"],
    }  # fmt: skip
    properties = {
        "pi": Command(lambda: math.pi, DOUBLE, 0, 0),
        "e": Command(lambda: math.e, DOUBLE, 0, 0),
        "INT_MAX": Command(lambda: INT_MAX, INT, 0, 0),
    }
    return old, methods, properties
