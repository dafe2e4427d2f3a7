"""The random durations of the library: how FlexScript orders their arguments, what they mean, how they are drawn.

FlexSim's argument orders are its own: `triangular(min, max, mode)`, `gamma(location, scale, shape)`. One table per
family says what each argument is, so that prompts name them and nothing depends on remembering an order.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from vlsm_jax.twin import Distribution


class Chance(Protocol):
    """What chance comes from: a numpy Generator, or `vlsm_jax.synth.dice.Dice`."""

    def random(self) -> float:
        """Returns a number from 0 (included) to 1."""


Duration = int | float | Distribution
"""A constant number of seconds, or a distribution."""


@dataclasses.dataclass(frozen=True)
class Family:
    """One family of distributions.

    Attributes:
      name: the FlexScript command.
      arguments: what each argument is, in FlexSim's order.
      mean: the mean as a function of the arguments.
      draw: arguments with round numbers for a wanted mean; the mean of what it returns is near, not exact.
    """

    name: str
    arguments: tuple[str, ...]
    mean: Callable[..., float]
    draw: Callable[[float, Chance], tuple[float, ...]]


def round_number(value: float) -> int | float:
    """Returns `value` as an engineer would write it: two significant digits, in steps of 5 from 20 on."""
    if value >= 1000:
        return int(round(value / 100) * 100)
    if value >= 100:
        return int(round(value / 10) * 10)
    if value >= 20:
        return int(round(value / 5) * 5)
    if value >= 5:
        return round(value)
    half = round(value * 2) / 2
    if half >= 1:
        return int(half) if half.is_integer() else half
    return max(round(value, 1), 0.1)


def _draw_exponential(mean: float, rng: Chance) -> tuple[float, ...]:
    return (0, round_number(mean))


def _draw_normal(mean: float, rng: Chance) -> tuple[float, ...]:
    # At most a quarter of the mean: a negative duration is then a 4 sigma event. round_number may round up, so the
    # quotient is checked after it.
    mean = round_number(mean)
    deviation = round_number(mean * (0.08 + 0.14 * rng.random()))
    while mean < 4 * deviation:
        deviation = round(deviation * 0.5, 1)
    return (mean, deviation)


def _draw_triangular(mean: float, rng: Chance) -> tuple[float, ...]:
    mode = round_number(mean)
    low = round_number(mode * (0.5 + 0.35 * rng.random()))
    high = round_number(mode * (1.15 + 0.45 * rng.random()))
    return (min(low, mode), max(high, mode), mode) if low < high else (mode - mode / 4, mode + mode / 4, mode)


def _draw_uniform(mean: float, rng: Chance) -> tuple[float, ...]:
    half = 0.15 + 0.35 * rng.random()
    low, high = round_number(mean * (1 - half)), round_number(mean * (1 + half))
    return (low, high) if low < high else (mean * 0.75, mean * 1.25)


def _draw_lognormal(mean: float, rng: Chance) -> tuple[float, ...]:
    return (round_number(mean), round_number(mean * (0.1 + 0.3 * rng.random())))


def _draw_weibull(mean: float, rng: Chance) -> tuple[float, ...]:
    shape = (1.5, 2, 2.5, 3)[int(4 * rng.random())]
    return (0, round_number(mean / math.gamma(1 + 1 / shape)), shape)


def _draw_gamma(mean: float, rng: Chance) -> tuple[float, ...]:
    shape = 2 + int(4 * rng.random())
    return (0, round_number(mean / shape), shape)


def _draw_poisson(mean: float, rng: Chance) -> tuple[float, ...]:
    return (round_number(mean),)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("exponential", ("location", "scale"), lambda location, scale: location + scale, _draw_exponential),
            Family("normal", ("mean", "standard deviation"), lambda mean, deviation: mean, _draw_normal),
            Family(
                "triangular",
                ("minimum", "maximum", "mode"),
                lambda low, high, mode: (low + high + mode) / 3,
                _draw_triangular,
            ),
            Family("uniform", ("minimum", "maximum"), lambda low, high: (low + high) / 2, _draw_uniform),
            Family("lognormalmeanstdev", ("mean", "standard deviation"), lambda mean, _: mean, _draw_lognormal),
            Family(
                "weibull",
                ("location", "scale", "shape"),
                lambda location, scale, shape: location + scale * math.gamma(1 + 1 / shape),
                _draw_weibull,
            ),
            Family(
                "gamma",
                ("location", "scale", "shape"),
                lambda location, scale, shape: location + scale * shape,
                _draw_gamma,
            ),
            Family("poisson", ("mean",), lambda mean: mean, _draw_poisson),
        )
    }
)
"""The families that samplers draw from, by the name of the FlexScript command."""

CONSTANT = "constant"
ARRIVALS: tuple[str, ...] = (CONSTANT, "exponential", "normal", "triangular", "uniform")
SERVICES: tuple[str, ...] = (*ARRIVALS, "lognormalmeanstdev", "weibull", "gamma", "poisson")


def mean_of(duration: Duration) -> float:
    """Returns the mean of a duration in seconds; raises `ValueError` for a family that is not in `FAMILIES`."""
    if not isinstance(duration, Distribution):
        return float(duration)
    family = FAMILIES.get(duration.name)
    if family is None:
        raise ValueError(f"the mean of {duration} is not known; known families are {', '.join(FAMILIES)}")
    return float(family.mean(*duration.arguments))


def draw_duration(kind: str, mean: float, rng: Chance) -> Duration:
    """Returns a duration of a kind (`CONSTANT` or a family) whose mean is near `mean` seconds, in round numbers."""
    if kind == CONSTANT:
        return round_number(mean)
    return Distribution(kind, tuple(FAMILIES[kind].draw(mean, rng)))
