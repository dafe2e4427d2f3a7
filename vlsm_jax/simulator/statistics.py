"""Figures over replications: means with 95 % intervals, per object and for the model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple


class Estimate(NamedTuple):
    """The mean over replications.

    Attributes:
      mean: of the replications that had a value.
      half_width: of the 95 % t-interval about the mean; None with fewer than two replications.
      replications: how many had a value.
    """

    mean: float
    half_width: float | None
    replications: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Returns the t-interval of another confidence; raises `ValueError` with fewer than two replications."""
        if self.half_width is None:
            raise ValueError("an interval needs at least two replications")
        degrees = self.replications - 1
        half = self.half_width * t_quantile(confidence, degrees) / t_quantile(0.95, degrees)
        return self.mean - half, self.mean + half


_new = tuple.__new__


def single(values: Iterable[float | None]) -> list[Estimate | None]:
    """Returns the estimate of each of some values by itself, as `estimate([value])` does, in a third of the time."""
    return [None if value is None else _new(Estimate, (value + 0.0, None, 1)) for value in values]


def estimate(values: Sequence[float | None]) -> Estimate | None:
    """Returns the estimate of the values that are not None; None when there are none."""
    if len(values) == 1:
        (value,) = values
        return None if value is None else Estimate(value + 0.0, None, 1)
    known = [v for v in values if v is not None]
    if not known:
        return None
    count = len(known)
    if count == 1:
        return Estimate(known[0] + 0.0, None, 1)
    mean = math.fsum(known) / count
    variance = math.fsum((v - mean) ** 2 for v in known) / (count - 1)
    return Estimate(mean, t_quantile(0.95, count - 1) * math.sqrt(variance / count), count)


def t_quantile(confidence: float, degrees: int) -> float:
    """Returns t such that a Student variable lies within +-t with the given probability."""
    from scipy.special import stdtrit  # slow to import, and one replication does not need it

    return float(stdtrit(degrees, (1 + confidence) / 2))


@dataclasses.dataclass(frozen=True)
class ObjectStatistics:
    """What one object did, over the time behind the warm-up.

    Attributes:
      cls: its class.
      input, output: items that entered and left.
      content_current, content_average, content_max: items inside; current at the stop time.
      staytime_min, staytime_average, staytime_max: seconds, of items that left; None when none did.
      states: seconds in each state that occurred, by name; they sum to the observed time.
      utilisation: of a station, the share of the observed time in setup or processing; of a task executer, the share
        in which it is neither idle nor down, stopped or off; None for other objects.
    """

    cls: str
    input: Estimate
    output: Estimate
    content_current: Estimate
    content_average: Estimate
    content_max: Estimate
    staytime_min: Estimate | None
    staytime_average: Estimate | None
    staytime_max: Estimate | None
    states: Mapping[str, Estimate]
    utilisation: Estimate | None

    def __reduce__(self):
        return _rebuilt, (type(self), _fields(self))


@dataclasses.dataclass(frozen=True)
class Kpis:
    """What the model did.

    Attributes:
      until: the stop time in seconds.
      warmup: seconds at the start that do not count.
      replications: how many ran.
      events: events per replication.
      throughput: items per hour at each Sink, by its name.
      total_throughput: items per hour over all Sinks.
      wip: average number of items in the model.
      lead_time: mean seconds from creation to a Sink; None when no item arrived.
      lead_time_min, lead_time_max: seconds, the mean over replications of the extremes.
      bottleneck: name of the station or task executer with the highest utilisation, None when none is used.
      objects: by name: those that items can flow through, and every task executer.
    """

    until: float
    warmup: float
    replications: int
    events: Estimate
    throughput: Mapping[str, Estimate]
    total_throughput: Estimate
    wip: Estimate
    lead_time: Estimate | None
    lead_time_min: Estimate | None
    lead_time_max: Estimate | None
    bottleneck: str | None
    objects: Mapping[str, ObjectStatistics]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, ready for JSON."""
        return _plain(self)

    def __reduce__(self):
        return _rebuilt, (type(self), _fields(self))


def _fields(figures: Kpis | ObjectStatistics) -> dict[str, Any]:
    """Returns the fields as they can be pickled, which read-only mappings cannot."""
    return {name: dict(v) if isinstance(v, Mapping) else v for name, v in vars(figures).items()}


def _rebuilt(cls: type, fields: dict[str, Any]) -> Any:
    return cls(**{name: MappingProxyType(v) if isinstance(v, dict) else v for name, v in fields.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value._asdict()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return value
