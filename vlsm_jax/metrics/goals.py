"""Goals: one figure of a factory's run with a bound, such as "at least 40 items per hour"."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from vlsm_jax.simulator import Estimate, Kpis


class GoalError(ValueError):
    """A goal that cannot be understood; the message says what is wrong and what can be asked for."""


class Measure(enum.Enum):
    """A figure that goals are about; the value is what files say."""

    THROUGHPUT = "throughput"
    """Items per hour: those that arrive at all Sinks, or that leave one object (of a Sink: arrive there)."""
    LEAD_TIME = "lead time"
    """Mean seconds of an item from its creation to a Sink."""
    WORK_IN_PROCESS = "work in process"
    """Items in the model, or in one object, on average over time."""
    UTILISATION = "utilisation"
    """Share of the time that one station or task executer works, 0..1."""


UNITS: Mapping[Measure, tuple[str, str]] = MappingProxyType(
    {
        Measure.THROUGHPUT: ("items", "hour"),
        Measure.LEAD_TIME: ("seconds", ""),
        Measure.WORK_IN_PROCESS: ("items", ""),
        Measure.UTILISATION: ("percent", ""),
    }
)
"""Unit, and unit of time of a rate, in which goals are written."""

_SHORT = MappingProxyType(
    {
        Measure.THROUGHPUT: " items/h",
        Measure.LEAD_TIME: " s",
        Measure.WORK_IN_PROCESS: " items",
        Measure.UTILISATION: " %",
    }
)

SECONDS: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
        **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
        **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
        **dict.fromkeys(("d", "day", "days"), 86400.0),
    }
)
"""Units of time."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a factory is asked to achieve.

    Attributes:
      measure: the figure.
      at_least: whether the bound is the least, else the most.
      bound: in items per hour, seconds, items, or a share of 0..1.
      object: whose figure it is, by name; "" for that of the whole factory.

    Raises:
      GoalError: the bound is no number of 0 or more, or the measure does not go with the object.
    """

    measure: Measure
    at_least: bool
    bound: float
    object: str = ""

    def __post_init__(self):
        if not 0 <= self.bound < math.inf:
            raise GoalError(f"a goal of {self.bound:g} for {self.measure.value}; give a number of 0 or more")
        if self.measure is Measure.UTILISATION and not self.object:
            raise GoalError("utilisation is that of one object: utilisation of NAME >= 80 %")
        if self.measure is Measure.UTILISATION and self.bound > 1:
            raise GoalError(f"a utilisation of {100 * self.bound:g} %; give 100 % at most")
        if self.measure is Measure.LEAD_TIME and self.object:
            raise GoalError(f"lead time is that of the whole factory, not of {self.object!r}")

    def __str__(self) -> str:
        of = f" of {self.object}" if self.object else ""
        return f"{self.measure.value}{of} {'>=' if self.at_least else '<='} {self.write(self.bound, 10)}"

    def write(self, value: float, digits: int = 4) -> str:
        """Returns a figure of this measure with its unit, to so many digits."""
        scaled = 100 * value if self.measure is Measure.UTILISATION else value
        return f"{scaled:.{max(digits, len(str(int(abs(scaled)))))}g}{_SHORT[self.measure]}"

    def figure(self, kpis: Kpis) -> Estimate | None:
        """Returns the figure that the goal is about; None where a run has none, such as that of an unknown object."""
        stats = kpis.objects.get(self.object)
        match self.measure:
            case Measure.THROUGHPUT if not self.object:
                return kpis.total_throughput
            case Measure.THROUGHPUT if self.object in kpis.throughput:
                return kpis.throughput[self.object]
            case Measure.THROUGHPUT:
                return None if stats is None else _scaled(stats.output, 3600 / (kpis.until - kpis.warmup))
            case Measure.LEAD_TIME:
                return kpis.lead_time
            case Measure.WORK_IN_PROCESS:
                return kpis.wip if not self.object else stats and stats.content_average
            case Measure.UTILISATION:
                return stats and stats.utilisation

    def to_dict(self) -> dict[str, Any]:
        """Returns the goal as rows of data sets have it; `from_dict` reads it back."""
        unit, per = UNITS[self.measure]
        bound = round(100 * self.bound, 9) if unit == "percent" else self.bound
        bounds = {"at_least": bound, "at_most": None} if self.at_least else {"at_least": None, "at_most": bound}
        return {"measure": self.measure.value, **bounds, "per": per, "unit": unit, "object": self.object}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Goal:
        """Reads the goal of a row: `measure`, `at_least` or `at_most`, and perhaps `per`, `unit` and `object`.

        Raises:
          GoalError: a field is missing or says what is not known.
        """
        measure = measure_named(str(data.get("measure", "")))
        bounds = [(key, data[key]) for key in ("at_least", "at_most") if data.get(key) is not None]
        if len(bounds) != 1 or isinstance(bounds[0][1], bool) or not isinstance(bounds[0][1], (int, float)):
            raise GoalError(f"a goal has either at_least or at_most, a number; this one has {dict(bounds)}")
        (key, bound), unit, per = bounds[0], str(data.get("unit") or ""), str(data.get("per") or "")
        return cls(measure, key == "at_least", bound * scale(measure, unit, per), str(data.get("object") or ""))


def _scaled(value: Estimate, factor: float) -> Estimate:
    half = None if value.half_width is None else value.half_width * factor
    return Estimate(value.mean * factor, half, value.replications)


def scale(measure: Measure, unit: str, per: str = "") -> float:
    """Returns what a bound in some unit is multiplied with; without a unit it is in that of `Goal.bound`.

    Raises:
      GoalError: a unit that the measure does not have.
    """
    unit, per = unit.lower().strip(), per.lower().strip()
    if measure is Measure.THROUGHPUT:
        if per and per not in SECONDS:
            raise GoalError(f"throughput is per second, minute, hour or day, not per {per!r}")
        return 3600 / SECONDS[per or "hour"]
    if measure is Measure.LEAD_TIME:
        if unit and unit not in SECONDS:
            raise GoalError(f"lead time is in seconds, minutes, hours or days, not in {unit!r}")
        return SECONDS[unit or "s"]
    if measure is Measure.UTILISATION and unit in ("%", "percent", "per cent"):
        return 0.01
    return 1.0


_NAMES = MappingProxyType(
    {
        Measure.THROUGHPUT: r"throughput|output|through-put",
        Measure.LEAD_TIME: r"lead[ _-]?time|flow[ _-]?time|time in system",
        Measure.WORK_IN_PROCESS: r"work[ _-]in[ _-](?:process|progress)|wip",
        Measure.UTILISATION: r"utili[sz]ation",
    }
)


def measure_named(name: str) -> Measure:
    """Returns the measure of a name, such as "WIP"; raises `GoalError` for others."""
    for measure, pattern in _NAMES.items():
        if re.fullmatch(pattern, name.strip(), re.IGNORECASE):
            return measure
    raise GoalError(f"no measure {name!r}; there are {', '.join(m.value for m in Measure)}")


_AT_LEAST = r">=|=>|≥|>|at least|no less than"
_AT_MOST = r"<=|=<|≤|<|at most|no more than"
_GOAL = re.compile(
    rf"\s*(?P<measure>{'|'.join(_NAMES.values())})(?:\s+of\s+(?P<object>.+?))?\s*"
    rf"(?:(?P<least>{_AT_LEAST})|(?P<most>{_AT_MOST}))\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>[^\d]*)",
    re.IGNORECASE | re.DOTALL,
)
EXAMPLES = '"throughput >= 40/h", "lead time <= 12 min", "wip <= 30", "utilisation of Oven >= 80 %"'


def parse_goal(text: str) -> Goal:
    """Returns the goal that a short text states, such as "throughput >= 40/h" or "utilisation of Oven >= 80 %".

    Throughput without a unit is per hour, lead time in seconds, utilisation a share of 0..1.

    Raises:
      GoalError: it is none; the message shows what goals look like.
    """
    match = _GOAL.fullmatch(text)
    if match is None:
        raise GoalError(f"{text!r} is no goal; write one such as {EXAMPLES}")
    measure = measure_named(match["measure"])
    name = (match["object"] or "").strip().strip("\"'“”")
    unit, _, per = match["unit"].strip().replace(" per ", "/").partition("/")
    unit, per = unit.strip(), per.strip()
    if unit.lower().startswith("per ") and measure is Measure.THROUGHPUT:
        unit, per = "", unit[4:].strip()
    known = {
        Measure.THROUGHPUT: bool(per) or not unit,
        Measure.LEAD_TIME: not per,
        Measure.WORK_IN_PROCESS: not per,
        Measure.UTILISATION: unit.lower() in ("", "%", "percent", "per cent") and not per,
    }
    if not known[measure]:
        raise GoalError(
            f"{text!r}: {match['unit'].strip()!r} is no unit of {measure.value}; write one such as {EXAMPLES}"
        )
    return Goal(measure, match["least"] is not None, float(match["number"]) * scale(measure, unit, per), name)
