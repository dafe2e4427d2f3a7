"""KPI agreement: whether the candidate's factory performs as the reference's does.

Both run the same number of replications under the same seeds. A figure of the candidate agrees when its mean lies
within the reference's 95 % interval over the replications. Objects of the same name draw the same random numbers, so a
right candidate gives the reference's very figures; one that renames its objects draws others, and then agrees in about
five figures of six, since its own mean scatters as well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from vlsm_jax.simulator import Estimate, Kpis, Report

ROUNDING = 1e-9
"""Share of a figure by which it may miss the interval: one without randomness has an interval of width 0."""


@dataclasses.dataclass(frozen=True)
class KpiRow:
    """One figure of both runs.

    Attributes:
      name: "throughput", "throughput at <Sink>", "lead time" or "utilisation of <object>".
      unit: "items/h", "s" or "share".
      reference: its mean over the replications.
      half_width: of the reference's 95 % interval.
      candidate: the candidate's mean; None where it has no such figure.
    """

    name: str
    unit: str
    reference: float
    half_width: float
    candidate: float | None

    @property
    def agrees(self) -> bool:
        """Whether the candidate's mean lies within the reference's interval."""
        if self.candidate is None:
            return False
        distance = abs(self.candidate - self.reference)
        return distance <= self.half_width or math.isclose(self.candidate, self.reference, rel_tol=ROUNDING)


@dataclasses.dataclass(frozen=True)
class KpiAgreement:
    """The figures of a reference, each with the candidate's; `score` is the share that agrees."""

    rows: tuple[KpiRow, ...]

    @property
    def score(self) -> float:
        """Share of the reference's figures with which the candidate agrees, each counting the same."""
        return sum(row.agrees for row in self.rows) / len(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, strings and numbers; each row says whether it agrees."""
        return {
            "score": self.score,
            "rows": [dataclasses.asdict(row) | {"agrees": row.agrees} for row in self.rows],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> KpiAgreement:
        """Reads what `to_dict` wrote."""
        fields = [field.name for field in dataclasses.fields(KpiRow)]
        return cls(tuple(KpiRow(**{name: row[name] for name in fields}) for row in data["rows"]))


def kpi_agreement(reference: Report, candidate: Report) -> KpiAgreement | None:
    """Compares the figures of two Reports of at least two replications each, run with the same seed and times.

    Figures: throughput in all and at each Sink, lead time, utilisation of each object that processes. A candidate that
    did not run to its end has none of them.

    Returns:
      None where there is nothing to compare: the reference did not run, or has no interval (a single replication).

    Raises:
      ValueError: the two ran for different times or numbers of replications.
    """
    mine, theirs = reference.kpis, candidate.kpis if candidate.ok else None
    if mine is None or not reference.ok or mine.replications < 2:
        return None
    if theirs is not None:
        times = (mine.until, mine.warmup, mine.replications), (theirs.until, theirs.warmup, theirs.replications)
        if times[0] != times[1]:
            raise ValueError(
                f"the reference ran with (until, warmup, replications) {times[0]}, the candidate with {times[1]}; run "
                "both alike"
            )
    found = {} if theirs is None else {name: value for name, _, value in _figures(theirs)}
    rows = []
    for name, unit, value in _figures(mine):
        other = found.get(name)
        # A figure that only one replication has, such as the lead time of a rare item, has no interval: it must be met.
        rows.append(KpiRow(name, unit, value.mean, value.half_width or 0.0, None if other is None else other.mean))
    return KpiAgreement(tuple(rows))


def _figures(kpis: Kpis) -> Iterator[tuple[str, str, Estimate]]:
    yield "throughput", "items/h", kpis.total_throughput
    if len(kpis.throughput) > 1:
        for name, value in kpis.throughput.items():
            yield f"throughput at {name}", "items/h", value
    if kpis.lead_time is not None:
        yield "lead time", "s", kpis.lead_time
    for name, statistics in kpis.objects.items():
        if statistics.utilisation is not None:
            yield f"utilisation of {name}", "share", statistics.utilisation
