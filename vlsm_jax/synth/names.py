"""Names that no industry has: for models that are to copy what a prompt says, and to read what stands in a sketch.

An industry has some sixty names. Whoever learns from industries alone learns these names, and not to copy: what it has
never read it replaces by what it knows. A factory whose objects are called anything can only be written by copying.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.industries import industry
from vlsm_jax.synth.splits import Split, industries_of
from vlsm_jax.twin import Twin

_NUMBERED = re.compile(r"(.*?)([ _#-]*\d+)")
"""A name and its number, as the lanes of a line have it."""

LONGEST = 22
"""Letters of a name: a sketch has to show it."""

_TRIES = 50
# How words that there are not begin, go on and end.
_STARTS = (*"bcdfghklmnprstvwz", "br", "cl", "dr", "fl", "gr", "kr", "pl", "pr", "sk", "sl", "st", "tr")
_VOWELS = (*"aeiou", "ai", "ea", "ei", "io", "ou")
_ENDS = ("", "", "", *"lmnrstx", "ck", "nd", "rt", "st")
_LETTERS = "ABCDEFGHKLMNPRSTUVWX"
_CODES = (
    "M{n}",
    "OP{n}0",
    "ST-{n}",
    "WS_{n}",
    "{a}{n}",
    "{a}{b}{n}",
    "{a}{b}-{n}{n}",
    "Cell {a}{n}",
    "Unit {n}",
    "{n}{a}",
)
_TAILS = ("{n}", "_{n}", " {n}", " {a}")


@functools.cache
def _words() -> tuple[str, ...]:
    """Words of the names of all stations that training may have; those of held-out industries stay unread."""
    found: dict[str, None] = {}
    for key in industries_of(Split.TRAIN):
        for station in industry(key).stations:
            found |= dict.fromkeys(word for word in station.name.split() if word.isalpha() and word.istitle())
    return tuple(found)


def made_up_word(dice: Dice) -> str:
    """Returns a word that there is not, such as "Kelvor"."""
    return "".join(
        dice.pick(_STARTS) + dice.pick(_VOWELS) + dice.pick(_ENDS) for _ in range(dice.whole(1, 3))
    ).capitalize()


def _mixed(dice: Dice, cls: str) -> str:
    return " ".join(dice.pick(_words()) for _ in range(dice.whole(1, 3)))


def _made_up(dice: Dice, cls: str) -> str:
    words = [made_up_word(dice) if dice.chance(0.6) else dice.pick(_words()) for _ in range(dice.whole(1, 2))]
    return " ".join(words)


def _code(dice: Dice, cls: str) -> str:
    return _filled(dice, dice.pick(_CODES))


def _by_class(dice: Dice, cls: str) -> str:
    return cls + _filled(dice, dice.pick(_TAILS))


def _filled(dice: Dice, pattern: str) -> str:
    return pattern.format(n=dice.whole(1, 99), a=dice.pick(_LETTERS), b=dice.pick(_LETTERS))


HABITS: Mapping[str, Callable[[Dice, str], str]] = MappingProxyType(
    {"mixed": _mixed, "made up": _made_up, "code": _code, "by class": _by_class}
)
"""How somebody names objects: words of any industry in any order, words that there are not, codes, classes numbered."""

_SHARES = ("mixed", "mixed", "mixed", "made up", "made up", "made up", "code", "code", "by class")


def with_open_names(twin: Twin, rng: np.random.Generator) -> Twin:
    """Returns a Twin whose objects have other names, in one habit and now and then in another.

    The lanes of a line, which share a name and differ in its number, share the new one.
    """
    dice = Dice(rng)
    habit, lanes = dice.pick(_SHARES), {}
    for item in twin.objects:
        found = _NUMBERED.fullmatch(item.name)
        base = found[1] if found else item.name
        lanes.setdefault((item.cls, base), []).append((item.name, found[2] if found else ""))
    new: dict[str, str] = {}
    taken: set[str] = set()
    for (cls, _), members in lanes.items():
        for _ in range(_TRIES):
            name = HABITS[habit if dice.chance(0.85) else dice.pick(_SHARES)](dice, cls)
            # A number behind a number would be another one.
            if len(members) > 1 and name[-1].isdigit():
                name += dice.pick((" Lane", " Line", "-"))
            named = {old: name + (number if len(members) > 1 else "") for old, number in members}
            if max(map(len, named.values())) <= LONGEST and not taken & set(named.values()):
                break
        else:
            return twin
        taken |= set(named.values())
        new |= named
    return Twin(
        objects=tuple(dataclasses.replace(item, name=new[item.name]) for item in twin.objects),
        connections=tuple(
            dataclasses.replace(wire, source=new[wire.source], target=new[wire.target]) for wire in twin.connections
        ),
    )
