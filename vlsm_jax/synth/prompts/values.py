"""Words for values: durations, distributions, lengths and speeds, in the Twin's units or in others that are exact."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from vlsm_jax.synth.prompts.grammar import join_words
from vlsm_jax.synth.prompts.units import (
    HOURS,
    MINUTES,
    OTHER_SPEEDS,
    SMALL_LENGTHS,
    Unit,
    converted,
    rate,
    split_minutes,
)
from vlsm_jax.synth.prompts.voice import Voice
from vlsm_jax.twin import Distribution, format_number

DIMENSIONLESS = "shape"


class Wording(NamedTuple):
    """How a family of distributions is told.

    Attributes:
      adjective: "triangular".
      adverb: goes before "distributed".
      arguments: (label, index) of each argument, in the order in which people say them.
    """

    adjective: str
    adverb: str
    arguments: tuple[tuple[str, int], ...]


_LOCATED = (("location", 0), ("scale", 1), ("shape", 2))
WORDINGS: Mapping[str, Wording] = MappingProxyType(
    {
        "exponential": Wording("exponential", "exponentially", (("location", 0), ("mean", 1))),
        "normal": Wording("normal", "normally", (("mean", 0), ("deviation", 1))),
        "triangular": Wording("triangular", "triangularly", (("min", 0), ("mode", 2), ("max", 1))),
        "uniform": Wording("uniform", "uniformly", (("min", 0), ("max", 1))),
        "lognormalmeanstdev": Wording("lognormal", "lognormally", (("mean", 0), ("deviation", 1))),
        "weibull": Wording("Weibull", "Weibull", _LOCATED),
        "gamma": Wording("gamma", "gamma", _LOCATED),
        "poisson": Wording("Poisson", "Poisson", (("mean", 0),)),
    }
)
"""The families that have words."""

_SILENT = frozenset(("exponential", "weibull", "gamma"))
"""Families whose location goes without saying where it is 0."""


def is_told(value: Distribution) -> bool:
    """Whether a distribution has words: a known family with as many arguments as that has."""
    wording = WORDINGS.get(value.name)
    return wording is not None and len(value.arguments) == len(wording.arguments)


def arguments_told(value: Distribution) -> list[tuple[str, float]]:
    """Returns (label, argument) of a distribution with words; a location of 0 goes without saying.

    The scale of an exponential distribution is its mean, so it is called that where there is no location.
    """
    out = [(label, value.arguments[index]) for label, index in WORDINGS[value.name].arguments]
    if value.name in _SILENT:
        if out[0][1] == 0:
            return out[1:]
        if value.name == "exponential":
            return [out[0], ("scale", out[1][1])]
    return out


@functools.lru_cache(maxsize=4096)
def _units_for(values: tuple[float, ...]) -> tuple[tuple[Unit, ...], ...]:
    """Returns the other units of time in which all of some values (s) are exact and none of them odd to say."""
    out = []
    if max(values) >= 30 and all(converted(v, MINUTES[0]) for v in values):
        out.append(MINUTES)
    if max(values) >= 900 and all(converted(v, HOURS[0]) for v in values):
        out.append(HOURS)
    return tuple(out)


def duration(value: float, voice: Voice) -> str:
    """Returns a constant duration with its unit; with `voice.units` in minutes or hours where they are exact."""
    if voice.units:
        found = _units_for((value,))
        mixed = split_minutes(value)
        if mixed and (not found or voice.dice.chance(0.3)):
            minute, second = voice.dice.pick((("min", "s"), ("minutes", "seconds"), ("min", "sec")))
            if minute == "minutes":
                return f"{mixed[0]} {'minute' if mixed[0] == '1' else minute} {mixed[1]} {second}"
            return f"{mixed[0]} {minute} {mixed[1]} {second}"
        if found:
            return _with_unit(value, voice.dice.pick(voice.dice.pick(found)))
    return voice.seconds(value)


def _with_unit(value: float, unit: Unit) -> str:
    text = converted(value, unit)
    return f"{text} {unit.singular if text == '1' else unit.plural}"


def details(value: Distribution, voice: Voice) -> list[str]:
    """Returns the arguments of a distribution with words, each with its label and unit."""
    told = arguments_told(value)
    times = tuple(argument for label, argument in told if label != DIMENSIONLESS)
    unit = None
    if voice.units and value.name != "poisson":  # whole seconds are no whole minutes
        found = _units_for(times)
        unit = voice.dice.pick(voice.dice.pick(found)) if found else None
    texts = []
    for place, (label, argument) in enumerate(told, start=1):
        if label == DIMENSIONLESS:
            texts.append(f"{voice.labels[label]} {format_number(argument)}")
        elif voice.one_unit and len(times) == len(told) and place < len(told):
            texts.append(f"{voice.labels[label]} {converted(argument, unit) if unit else format_number(argument)}")
        else:
            texts.append(f"{voice.labels[label]} {_with_unit(argument, unit) if unit else voice.seconds(argument)}")
    return texts


def between(value: Distribution, voice: Voice) -> str:
    """Returns the bounds of a uniform distribution: "between 5 s and 8 s"."""
    low, high = value.arguments
    found = _units_for((low, high)) if voice.units else ()
    unit = voice.dice.pick(voice.dice.pick(found)) if found else None
    first, second = (_with_unit(v, unit) if unit else voice.seconds(v) for v in (low, high))
    return f"between {first} and {second}" if voice.dice.whole(0, 1) == 0 else f"from {first} to {second}"


def arrival_rate(value: float | Distribution) -> tuple[str, str] | None:
    """Returns (number, unit of time) of how often items arrive, None where no unit says that exactly.

    Only a constant gap and an exponential one have a rate that gives the distribution back.
    """
    if isinstance(value, Distribution):
        if value.name != "exponential" or len(value.arguments) != 2 or value.arguments[0] != 0:
            return None
        value = value.arguments[1]
    for seconds, word in ((3600, "hour"), (60, "minute")):
        number = rate(value, seconds)
        if number is not None and (word == "hour" or float(number) >= 1):
            return number, word
    return None


def length(value: float, voice: Voice) -> str:
    """Returns a length with its unit."""
    return _small(value, voice, SMALL_LENGTHS) or voice.measure(value, voice.metre)


def speed(value: float, voice: Voice) -> str:
    """Returns a speed with its unit."""
    return _small(value, voice, OTHER_SPEEDS) or voice.measure(value, voice.speed)


def _small(value: float, voice: Voice, units: Sequence[Unit]) -> str | None:
    if not voice.units:
        return None
    found = [unit for unit in units if converted(value, unit)]
    return _with_unit(value, voice.dice.pick(found)) if found else None


def joined_details(value: Distribution, voice: Voice) -> str:
    """Returns the arguments of a distribution as a list that "with" can take."""
    return join_words(details(value, voice))
