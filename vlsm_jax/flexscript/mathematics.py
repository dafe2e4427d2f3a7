"""Mathematical commands, under their old names and in the namespace `Math`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.values import INT_MAX, divide_floats, equal, to_float, to_int, to_number, truth
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


def factorial(value: Any) -> float:
    """n! as a double; infinite beyond its range."""
    count = to_int(value)
    return math.inf if count > 170 else float(math.factorial(max(0, count)))


def quotient(a: Any, b: Any) -> int:
    """`div(a, b)`: the whole part of a / b; raises `Fault` on a zero divisor."""
    result = divide_floats(to_float(a), to_float(b))
    if not math.isfinite(result):
        raise Fault("integer division by zero", hint="test the divisor first")
    return math.trunc(result)


def student_t(confidence: Any, degrees: Any) -> float:
    """`qstudentt(confidence, degrees)`: the quantile for a two-sided interval, such as 2.262 for (0.95, 9)."""
    from scipy.special import stdtrit  # heavy, and hardly any script asks for it

    level, freedom = to_float(confidence), to_float(degrees)
    if not 0 < level < 1 or freedom < 1:
        raise Fault("qstudentt needs a confidence between 0 and 1 and at least 1 degree of freedom", code="argument")
    return float(stdtrit(freedom, 0.5 + level / 2))


def half_width(deviation: Any, count: Any, confidence: Any) -> float:
    """`calculateconfidence(stddev, n, confidence)`: half the width of the confidence interval of a mean."""
    points = to_float(count)
    if points < 2:
        raise Fault("calculateconfidence needs at least 2 data points", code="argument")
    return student_t(confidence, points - 1) * to_float(deviation) / math.sqrt(points)


def _same(a: Any, b: Any) -> int:
    return int(equal(a, b) or (not truth(a) and not truth(b)))


def _listed(combine: Callable[[list], Any]) -> Callable[..., Any]:
    """`listsum(n, a, b, ...)` and its kin: the first n of the values."""

    def run(count: Any, *values: Any) -> Any:
        numbers = [to_number(value) for value in values[: max(0, to_int(count))]]
        if not numbers:
            raise Fault("the list holds no number", code="argument")
        return combine(numbers)

    return run


def _in_list(count: Any, value: Any, *values: Any) -> int:
    return int(any(equal(value, other) for other in values[: max(0, to_int(count))]))


def _less_than_rest(numbers: list) -> float:
    return numbers[0] - sum(numbers[1:])


def _old_operators() -> Mapping[str, Command]:
    """The commands that stood for operators before the language had them."""
    compare = {
        "eq": _same, "ne": lambda a, b: 1 - _same(a, b), "lt": lambda a, b: int(to_float(a) < to_float(b)),
        "le": lambda a, b: int(to_float(a) <= to_float(b)), "gt": lambda a, b: int(to_float(a) > to_float(b)),
        "ge": lambda a, b: int(to_float(a) >= to_float(b)),
        "bitwiseand": lambda a, b: to_int(a) & to_int(b), "bitwiseor": lambda a, b: to_int(a) | to_int(b),
        "bitwisexor": lambda a, b: to_int(a) ^ to_int(b), "div": quotient,
    }  # fmt: skip
    arithmetic = {
        "add": lambda a, b: to_float(a) + to_float(b), "sub": lambda a, b: to_float(a) - to_float(b),
        "mul": lambda a, b: to_float(a) * to_float(b), "divide": lambda a, b: divide_floats(to_float(a), to_float(b)),
        "maxof": lambda a, b: max(to_float(a), to_float(b)), "minof": lambda a, b: min(to_float(a), to_float(b)),
    }  # fmt: skip
    lists = {
        "listmax": max, "listmaximum": max, "listmin": min, "listminimum": min, "listsum": sum, "listmul": math.prod,
        "listmean": lambda numbers: sum(numbers) / len(numbers), "listsub": _less_than_rest,
    }  # fmt: skip
    return {
        **{name: Command(function, INT, 2, 2) for name, function in compare.items()},
        **{name: Command(function, DOUBLE, 2, 2) for name, function in arithmetic.items()},
        **{name: Command(_listed(function), DOUBLE, 2, 20) for name, function in lists.items()},
        "listinlist": Command(_in_list, INT, 2, 20),
        "bitwisenot": Command(lambda a: ~to_int(a), INT, 1, 1),
    }


_METERS = {"cm": 0.01, "in": 0.0254, "ft": 0.3048, "fpm": 0.3048 / 60, "fps": 0.3048, "mph": 0.44704}
"""Lengths and speeds in the units of a model, meters and seconds."""


def _scaled(factor: float) -> Callable[[Any], float]:
    return lambda value: to_float(value) * factor


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
        "sign": Command(sign, INT, 1, 1), "factorial": Command(factorial, DOUBLE, 1, 1),
        "degreestoradians": real["radians"], "radianstodegrees": real["degrees"],
        "qstudentt": Command(student_t, DOUBLE, 2, 2), "calculateconfidence": Command(half_width, DOUBLE, 3, 3),
        **_old_operators(),
        **{name: Command(_scaled(factor), DOUBLE, 1, 1) for name, factor in _METERS.items()},
    }  # fmt: skip
    methods = {
        **real, **shared, "log": log, "floor": floor, "ceil": ceil, "trunc": trunc,
        "fabs": Command(absolute, VARIANT, 1, 1), "abs": Command(absolute, VARIANT, 1, 1),
        "sign": Command(sign, INT, 1, 1), "fmod": Command(modulo, DOUBLE, 2, 2), "clamp": Command(clamp, VARIANT, 3, 3),
        "frac": old["frac"], "sqr": old["sqr"], "factorial": old["factorial"],
    }  # fmt: skip
    properties = {
        "pi": Command(lambda: math.pi, DOUBLE, 0, 0),
        "e": Command(lambda: math.e, DOUBLE, 0, 0),
        "INT_MAX": Command(lambda: INT_MAX, INT, 0, 0),
        "PI": Command(lambda: math.pi, DOUBLE, 0, 0),
        "E": Command(lambda: math.e, DOUBLE, 0, 0),
    }
    return old, methods, properties
