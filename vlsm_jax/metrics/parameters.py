"""Parameters that mean the same: PMR with numeric tolerance and an eye for equal distributions.

PMR asks for the same name, type and value. An engineer asks whether the station behaves the same: `gamma(0, 10, 1)` is
`exponential(0, 10)`, `uniform(5, 5)` is 5, a default may be left unsaid, and 30.0001 s is 30 s. Only laws that hold
exactly are used; 8 and `exponential(0, 8)` share a mean and nothing else.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.lexer import tokenize
from vlsm_jax.metrics.svr import Overlap
from vlsm_jax.simulator import property_default
from vlsm_jax.twin import Code, Distribution, ParameterValue, Twin, TwinObject

RELATIVE_TOLERANCE = 0.01
ABSOLUTE_TOLERANCE = 1e-9


def parameter_overlap(
    reference: Twin,
    candidate: Twin | None,
    *,
    relative: float = RELATIVE_TOLERANCE,
    absolute: float = ABSOLUTE_TOLERANCE,
) -> Overlap:
    """Counts the parameters that mean the same in both Twins, object by object of the same name.

    A property that one side leaves alone has the default of that side's class there. What the candidate sets to the
    very default that the reference leaves alone is no extra parameter.

    Args:
      candidate: None where the script built nothing.
      relative: how far a number may be from the reference's, as a share of the reference's.
      absolute: the same in the number's own unit; the two add up.

    Raises:
      ValueError: a tolerance is negative or no number.
    """
    if not (relative >= 0 and absolute >= 0):
        raise ValueError(f"tolerances are {relative} (relative) and {absolute} (absolute); neither may be negative")
    asked = sum(len(obj.parameters) for obj in reference.objects)
    if candidate is None:
        return Overlap(0, asked, None)
    matched = given = 0
    for obj in reference.objects:
        other = candidate.by_name.get(obj.name)
        if other is None:
            continue
        for name, value in obj.parameters.items():
            found = _value(other, name)
            same = found is not None and means_the_same(value, found, relative=relative, absolute=absolute)
            matched += same
            # A default that matches is given, though nobody wrote it.
            given += same and name not in other.parameters
    for obj in candidate.objects:
        wanted = reference.by_name.get(obj.name)
        for name, value in obj.parameters.items():
            unsaid = _value(wanted, name) if wanted is not None and name not in wanted.parameters else None
            given += unsaid is None or not means_the_same(unsaid, value, relative=relative, absolute=absolute)
    return Overlap(matched, asked, given)


def means_the_same(
    reference: ParameterValue,
    candidate: ParameterValue,
    *,
    relative: float = RELATIVE_TOLERANCE,
    absolute: float = ABSOLUTE_TOLERANCE,
) -> bool:
    """Says whether two parameter values mean the same.

    Numbers agree within the tolerance; distributions agree when they are the same law with arguments that do; code
    agrees token by token, whatever its blanks and comments; texts agree letter by letter.
    """
    mine, theirs = meaning(reference), meaning(candidate)
    if isinstance(mine, Distribution) and isinstance(theirs, Distribution):
        return mine.name == theirs.name and _close(mine.arguments, theirs.arguments, relative, absolute)
    if isinstance(mine, tuple) and isinstance(theirs, tuple):
        return _close(mine, theirs, relative, absolute)
    if isinstance(mine, (int, float)) and isinstance(theirs, (int, float)):
        return _close((mine,), (theirs,), relative, absolute)
    if isinstance(mine, Code) and isinstance(theirs, Code):
        return mine == theirs or _tokens(mine.text) == _tokens(theirs.text)
    return type(mine) is type(theirs) and mine == theirs


def meaning(value: ParameterValue) -> ParameterValue:
    """Returns the plainest value that means the same: a number where nothing is random, else one name for each law.

    `gamma(0, 10, 1)` becomes `exponential(0, 10)`, and `normal(5, 0)` becomes 5.
    """
    for _ in range(4):  # one rule may make room for another: erlang, gamma, exponential, number
        rule = _RULES.get(value.name) if isinstance(value, Distribution) else None
        if rule is None:
            return value
        try:
            plainer = rule(*value.arguments)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            return value  # arguments without meaning mean nothing else
        if plainer is None:
            return value
        value = plainer
    return value


def _value(obj: TwinObject, name: str) -> ParameterValue | None:
    value = obj.parameters.get(name)
    return value if value is not None else property_default(obj.cls, name)


def _close(reference: tuple[float, ...], candidate: tuple[float, ...], relative: float, absolute: float) -> bool:
    return len(reference) == len(candidate) and all(
        abs(a - b) <= absolute + relative * abs(a) for a, b in zip(reference, candidate, strict=True)
    )


@functools.lru_cache(maxsize=1024)
def _tokens(text: str) -> tuple[tuple[str, str], ...]:
    tokens = tokenize(SourceText(text))
    return tuple(zip(tokens.kinds, tokens.texts, strict=True))


# --- The same law under several names, and laws without randomness ----------------------------------------------------

Rule = Callable[..., ParameterValue | None]


def _point(low: float, high: float, *rest: float) -> ParameterValue | None:
    return low if low == high else None


def _triangular(low: float, high: float, mode: float) -> ParameterValue | None:
    return low if low == high == mode else None


def _no_spread(location: float, spread: float) -> ParameterValue | None:
    return location if spread == 0 else None


def _gamma(location: float, scale: float, shape: float) -> ParameterValue | None:
    return Distribution("exponential", (location, scale)) if shape == 1 else None


def _weibull(location: float, scale: float, shape: float) -> ParameterValue | None:
    return Distribution("exponential", (location, scale)) if shape == 1 else None


def _beta(low: float, high: float, a: float, b: float) -> ParameterValue | None:
    if low == high:
        return low
    return Distribution("uniform", (low, high)) if a == b == 1 else None


def _bernoulli(percent: float, success: float, failure: float) -> ParameterValue | None:
    if percent in (0, 100) or success == failure:
        return success if percent == 100 else failure
    # Either outcome may be called the success.
    return Distribution("bernoulli", (100 - percent, failure, success)) if success < failure else None


def _binomial(trials: float, percent: float) -> ParameterValue | None:
    if percent in (0, 100) or trials == 0:
        return trials if percent == 100 else 0
    return Distribution("bernoulli", (percent, 1, 0)) if trials == 1 else None


def _lognormal2(location: float, scale: float, shape: float) -> ParameterValue | None:
    if shape == 0:
        return location + scale
    return Distribution("lognormal", (location, math.log(scale), shape))


def _lognormal_mean(mean: float, stdev: float) -> ParameterValue | None:
    if stdev == 0:
        return mean
    variance = math.log(1 + (stdev / mean) ** 2)
    return Distribution("lognormal", (0, math.log(mean) - variance / 2, math.sqrt(variance)))


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "exponential": _no_spread,
        "normal": _no_spread,
        "laplace": _no_spread,
        "logistic": _no_spread,
        "uniform": _point,
        "duniform": _point,
        "triangular": _triangular,
        "beta": _beta,
        "bernoulli": _bernoulli,
        "binomial": _binomial,
        "poisson": lambda mean: 0 if mean == 0 else None,
        "geometric": lambda probability: Distribution("negbinomial", (1, probability)),
        "negbinomial": lambda successes, probability: 0 if probability == 1 else None,
        "erlang": lambda location, scale, shape: Distribution("gamma", (location, scale, shape)),
        "gamma": _gamma,
        "weibull": _weibull,
        "inverseweibull": lambda *arguments: Distribution("invertedweibull", arguments),
        "lognormal2": _lognormal2,
        "lognormalmeanstdev": _lognormal_mean,
    }
)
