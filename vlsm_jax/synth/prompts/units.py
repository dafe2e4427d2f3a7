"""Numbers and units of prompts: a value is told in another unit only where converting it back gives the very number.

A Twin holds seconds, metres and metres per second. Numbers are taken for the decimal text that they are written as:
0.1 is one tenth. All arithmetic here is on whole numbers, so no rounding can slip in.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

_MICRO = 1_000_000
_MILLI = 1000


class Unit(NamedTuple):
    """A unit: one of it is `numerator / denominator` of the Twin's own unit (s, m or m/s)."""

    singular: str
    plural: str
    numerator: int
    denominator: int = 1


MINUTES = (Unit("minute", "minutes", 60), Unit("min", "min", 60))
HOURS = (Unit("hour", "hours", 3600), Unit("h", "h", 3600))
SECONDS = (Unit("second", "seconds", 1), Unit("s", "s", 1), Unit("sec", "sec", 1))
METRES = (Unit("m", "m", 1), Unit("metre", "metres", 1), Unit("meter", "meters", 1))
SMALL_LENGTHS = (Unit("cm", "cm", 1, 100), Unit("mm", "mm", 1, 1000))
SPEEDS = (Unit("m/s", "m/s", 1), Unit("meter per second", "meters per second", 1))
OTHER_SPEEDS = (Unit("m/min", "m/min", 1, 60), Unit("km/h", "km/h", 5, 18), Unit("cm/s", "cm/s", 1, 100))


@functools.lru_cache(maxsize=4096)
def micros(value: float) -> int | None:
    """Returns a number in millionths; None where its decimal text has more than six decimals or it is huge."""
    if not -1e9 < value < 1e9:
        return None
    whole = round(value * _MICRO)
    return whole if whole / _MICRO == value else None


def thousandths_text(thousandths: int) -> str:
    """Returns thousandths as a decimal number: 1500 is "1.5"."""
    whole, rest = divmod(thousandths, _MILLI)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


@functools.lru_cache(maxsize=4096)
def converted(value: float, unit: Unit) -> str | None:
    """Returns a value of the Twin as a number of another unit; None where that takes more than three decimals."""
    scaled = micros(value)
    if scaled is None or scaled < 0:
        return None
    told, rest = divmod(scaled * unit.denominator * _MILLI, unit.numerator * _MICRO)
    return None if rest else thousandths_text(told)


@functools.lru_cache(maxsize=4096)
def rate(gap: float, seconds: int) -> str | None:
    """Returns how often a gap (s) fits into so many seconds; None unless one decimal says it exactly."""
    scaled = micros(gap)
    if scaled is None or scaled <= 0:
        return None
    told, rest = divmod(seconds * _MILLI * _MICRO, scaled)
    return None if rest or told % 100 else thousandths_text(told)


@functools.lru_cache(maxsize=4096)
def complement(percent: float) -> str | None:
    """Returns what is left of 100 percent; None where that takes more than three decimals."""
    scaled = micros(percent)
    if scaled is None or not 0 <= scaled <= 100 * _MICRO:
        return None
    told, rest = divmod(100 * _MICRO - scaled, _MILLI)
    return None if rest else thousandths_text(told)


@functools.lru_cache(maxsize=4096)
def split_minutes(seconds: float) -> tuple[str, str] | None:
    """Returns (minutes, seconds) of a whole number of seconds beyond a minute, None for others."""
    if seconds != int(seconds) or not 60 < seconds < 3600 or not seconds % 60:
        return None
    minutes, rest = divmod(int(seconds), 60)
    return str(minutes), str(rest)
