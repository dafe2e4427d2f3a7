"""Words for parameter values: what a prompt says for "triangular(5, 15, 10)" or "Stack Vertically".

Every phrase is a noun phrase that fits after "with", and says each number of the value, so that a script can be
written from it. Arguments are named, in the order in which people say them (min, mode, max), not FlexSim's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from vlsm_jax.synth.grammar import Rules, expand, with_article
from vlsm_jax.twin import Code, Distribution, ParameterValue, format_number, format_value

SECONDS = ("seconds", "s", "sec")


@dataclasses.dataclass(frozen=True)
class Wording:
    """What one prompt keeps to throughout.

    Attributes:
      rng: chooses between frames.
      second: how seconds are written.
      quotes: what stands before and after a name.
    """

    rng: np.random.Generator
    second: str = "seconds"
    quotes: tuple[str, str] = ("", "")

    def name(self, name: str) -> str:
        """Returns a name, in quotes where without them it could be read as something else."""
        plain = all(c.isalnum() or c in " -&#/" for c in name) and name == name.strip()
        before, after = self.quotes if plain else (self.quotes if self.quotes[0] else ('"', '"'))
        return f"{before}{name}{after}"

    def seconds(self, value: float) -> str:
        """Returns a number of seconds with its unit."""
        unit = "second" if value == 1 and self.second == "seconds" else self.second
        return f"{format_number(value)} {unit}"


# --- Distributions ----------------------------------------------------------------------------------------------------

Details = Callable[[tuple[float, ...], Wording], str]


def _pick(wording: Wording, *alternatives: str) -> str:
    return alternatives[int(wording.rng.integers(len(alternatives)))]


def _exponential(a: tuple[float, ...], w: Wording) -> str:
    location, scale = a
    if location == 0:
        return f"mean {w.seconds(scale)}"
    return f"location {w.seconds(location)}, scale {w.seconds(scale)}"


def _mean_deviation(a: tuple[float, ...], w: Wording) -> str:
    mean, deviation = a
    word = _pick(w, "standard deviation", "std dev")
    return f"mean {w.seconds(mean)}, {word} {w.seconds(deviation)}"


def _triangular(a: tuple[float, ...], w: Wording) -> str:
    low, high, mode = a
    return f"min {w.seconds(low)}, mode {w.seconds(mode)}, max {w.seconds(high)}"


def _uniform(a: tuple[float, ...], w: Wording) -> str:
    low, high = a
    return _pick(w, f"min {w.seconds(low)}, max {w.seconds(high)}", f"between {w.seconds(low)} and {w.seconds(high)}")


def _scale_shape(a: tuple[float, ...], w: Wording) -> str:
    location, scale, shape = a
    start = f"location {w.seconds(location)}, " if location != 0 else ""
    return f"{start}scale {w.seconds(scale)}, shape {format_number(shape)}"


def _poisson(a: tuple[float, ...], w: Wording) -> str:
    return f"mean {w.seconds(a[0])}"


@dataclasses.dataclass(frozen=True)
class _Family:
    arguments: int
    adjective: str
    details: Details


_FAMILIES: Mapping[str, _Family] = MappingProxyType(
    {
        "exponential": _Family(2, "exponential", _exponential),
        "normal": _Family(2, "normal", _mean_deviation),
        "triangular": _Family(3, "triangular", _triangular),
        "uniform": _Family(2, "uniform", _uniform),
        "lognormalmeanstdev": _Family(2, "lognormal", _mean_deviation),
        "weibull": _Family(3, "Weibull", _scale_shape),
        "gamma": _Family(3, "gamma", _scale_shape),
        "poisson": _Family(1, "Poisson", _poisson),
    }
)

_DURATION_RULES: Rules = {
    "constant": (
        "a fixed {noun} of {value}",
        "a constant {noun} of {value}",
        "{article_noun} of {value}",
    ),
    "random": (
        "{article_adjective} {noun} ({details})",
        "{article_adjective} distribution ({details}) for the {noun}",
        "{article_noun} that follows {article_adjective} distribution ({details})",
        "{article_noun} drawn from {article_adjective} distribution ({details})",
    ),
}


def duration_phrase(noun: str, value: ParameterValue, wording: Wording) -> str:
    """Returns a noun phrase for a duration: "a triangular process time (min 5 s, mode 10 s, max 15 s)"."""
    if isinstance(value, Distribution):
        family = _FAMILIES.get(value.name)
        if family is None or len(value.arguments) != family.arguments:
            return f"{with_article(noun)} of {value} in FlexScript"
        return expand(
            _DURATION_RULES,
            "random",
            wording.rng,
            noun=noun,
            article_noun=with_article(noun),
            article_adjective=with_article(family.adjective),
            details=family.details(value.arguments, wording),
        )
    if isinstance(value, (int, float)):
        return expand(
            _DURATION_RULES,
            "constant",
            wording.rng,
            noun=noun,
            article_noun=with_article(noun),
            value=wording.seconds(value),
        )
    return _other(noun, value)


# --- Other parameters -------------------------------------------------------------------------------------------------


def _other(name: str, value: ParameterValue) -> str:
    if isinstance(value, Code):
        return f"{name} set to the code {format_value(value.text)}"
    return f"{name} set to {format_value(value)}"


PLACEMENT_PHRASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Stack Vertically": ("items stacked vertically", "vertical stacking"),
        "Horizontal Line": ("items placed in a horizontal line", "items lined up horizontally"),
        "Stack Inside Queue": ("items stacked inside the queue", "stacking inside the queue"),
    }
)

_DURATIONS: Mapping[str, str] = MappingProxyType(
    {"InterArrivalTime": "interarrival time", "ProcessTime": "process time", "SetupTime": "setup time"}
)


def setting_phrase(cls: str, name: str, value: ParameterValue, wording: Wording) -> str:
    """Returns a noun phrase that says one parameter of an object of a class, for use after "with"."""
    if name in _DURATIONS:
        return duration_phrase(_DURATIONS[name], value, wording)
    plain = isinstance(value, (int, float))
    if name == "MaxContent" and plain:
        n = format_number(value)
        items = "item" if value == 1 else "items"
        if cls == "Queue":
            return _pick(wording, f"room for up to {n} {items}", f"a capacity of {n}", f"a maximum content of {n}")
        return _pick(wording, f"a capacity of {n}", f"a maximum content of {n}", f"up to {n} {items} at a time")
    if name == "ItemPlacement" and value in PLACEMENT_PHRASES:
        return _pick(wording, *PLACEMENT_PHRASES[value])
    if name == "StackBaseZ" and plain:
        n = format_number(value)
        return _pick(wording, f"a base height of {n}", f"a stack base height of {n}", f"a stacking base at z = {n}")
    if name == "LIFO" and value in (0, 1):
        return _pick(wording, "last in, first out order", "LIFO order") if value else "first in, first out order"
    if name == "SendToPort" and isinstance(value, Distribution) and value.name == "duniform":
        low, high = (format_number(a) for a in value.arguments)
        return _pick(
            wording,
            f"items sent to a random output port ({low} to {high}, equally likely)",
            f"an output port chosen uniformly at random from {low} to {high}",
        )
    return _other(name, value)
