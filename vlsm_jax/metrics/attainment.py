"""Whether a script reaches its goals: replications of its run, few at first, more only while that is undecided.

After 5, 10, 20 and 40 replications the figure's t-interval is looked at. A bound on one side of it decides; else the
number of replications is doubled, until the last look or until the events of all runs are used up. Four looks at 95 %
would be wrong more often than one in twenty, so each is made at 98.75 %: the chance that any of them decides wrongly is
at most 5 % (Bonferroni), as far as the means of replications are about normal.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vlsm_jax.metrics.goals import Goal
from vlsm_jax.simulator import Budget, Estimate, Kpis, Report, TraceEvent, run
from vlsm_jax.simulator.statistics import t_quantile


class Outcome(enum.Enum):
    """What the replications say of a goal; the value is what files say."""

    MET = "met"
    """The whole interval is on the right side of the bound."""
    MISSED = "missed"
    """The whole interval is on the wrong side, or there is no such figure: the script does not run, say."""
    UNDECIDED = "undecided"
    """The bound lies within the interval still when the replications are at an end."""


@dataclasses.dataclass(frozen=True)
class Looks:
    """When replications are looked at.

    Attributes:
      at: numbers of replications, growing.
      confidence: that none of the looks decides wrongly.
      events: of all replications of a script together; what would exceed them is not run.
    """

    at: tuple[int, ...] = (5, 10, 20, 40)
    confidence: float = 0.95
    events: float = 10_000_000

    def __post_init__(self):
        if not self.at or self.at[0] < 2 or any(b <= a for a, b in zip(self.at, self.at[1:], strict=False)):
            raise ValueError(f"looks at {self.at} replications; give growing numbers from 2 on")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}; give a share between 0.5 and 1")

    @property
    def each(self) -> float:
        """The confidence of one look."""
        return 1 - (1 - self.confidence) / len(self.at)


@dataclasses.dataclass(frozen=True)
class Attainment:
    """What came of one goal.

    Attributes:
      goal: what was asked for.
      outcome: met, missed or undecided.
      mean: of the figure over the replications, in the unit of `Goal.bound`; None where there is none.
      low, high: bounds of the interval that decided, or did not.
      replications: how many it rests on.
      reason: why it is so where the interval does not say it, for a reader.
    """

    goal: Goal
    outcome: Outcome
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    replications: int = 0
    reason: str = ""

    def __str__(self) -> str:
        found = "" if self.mean is None else f"{self.goal.write(self.mean)} on average"
        if self.low is not None and self.low != self.high:
            found += f", between {self.goal.write(self.low)} and {self.goal.write(self.high)}"
        found += f", {self.replications} runs" if found else ""
        said = "; ".join(filter(None, (found, self.reason)))
        return f"{self.goal}: {self.outcome.value}" + (f" ({said})" if said else "")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, strings and numbers, which `from_dict` reads back."""
        return {
            "goal": self.goal.to_dict(),
            "text": str(self.goal),
            "outcome": self.outcome.value,
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "replications": self.replications,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Attainment:
        """Reads what `to_dict` wrote."""
        fields = {key: value for key, value in data.items() if key != "text"}
        return cls(**fields | {"goal": Goal.from_dict(data["goal"]), "outcome": Outcome(data["outcome"])})


def intent_of(attainments: Sequence[Attainment]) -> Outcome | None:
    """Returns what came of several goals together: missed where one is, met where all are; None of none."""
    found = {attainment.outcome for attainment in attainments}
    return next((outcome for outcome in (Outcome.MISSED, Outcome.UNDECIDED, Outcome.MET) if outcome in found), None)


class Judged(NamedTuple):
    """Goals judged, with the Report of the first replications."""

    attainments: tuple[Attainment, ...]
    report: Report

    @property
    def met(self) -> bool:
        """Whether every goal is."""
        return all(found.outcome is Outcome.MET for found in self.attainments)


def judge_goals(
    script: str,
    goals: Sequence[Goal],
    *,
    report: Report | None = None,
    until: float | None = None,
    warmup: float = 0.0,
    replications: int = 1,
    seed: int = 0,
    budget: Budget = Budget(),
    trace: Callable[[TraceEvent], None] | None = None,
    looks: Looks = Looks(),
) -> Judged:
    """Runs a script until its goals are decided or the looks are at an end; the same arguments give the same outcome.

    All goals are judged by the same replications, those that `run` would make of this seed.

    Args:
      script: FlexScript.
      goals: at least one.
      report: of the script's first replications under the same settings, where it is at hand; else they are run.
      until, warmup, seed, budget, trace: see `vlsm_jax.simulator.run`. The budget is of each look.
      replications: at least so many are run before the first look.
      looks: when to look.

    Raises:
      ValueError: no goals, or times that make no sense.
    """
    if not goals:
        raise ValueError("no goals to judge; give at least one")
    settings = {"until": until, "warmup": warmup, "seed": seed, "budget": budget}
    if report is None:
        report = run(script, replications=max(replications, looks.at[0]), trace=trace, **settings)
    if not report.ok or report.kpis is None:
        reason = f"the script does not run: {report.verdict.value}"
        return Judged(tuple(Attainment(goal, Outcome.MISSED, reason=reason) for goal in goals), report)
    runs = [report.kpis]
    done, ended = report.kpis.replications, ""
    found = [Attainment(goal, Outcome.UNDECIDED, replications=done) for goal in goals]
    for look in looks.at:
        if look > done:
            if done >= looks.at[0] and _events(runs) * look / done > looks.events:
                ended = f"{look} runs would take more than {looks.events:.3g} events"
                break
            more = run(script, first_replication=done, replications=look - done, **settings)
            if more.kpis is None:
                ended = f"a run after the first {done} ends early: {more.verdict.value}"
                break
            runs.append(more.kpis)
            done = look
        elif look < looks.at[-1] and done >= next(n for n in looks.at if n > look):
            continue  # what is at hand already is looked at once
        # What one look decides, later ones leave.
        found = [_look(a.goal, runs, done, looks.each) if a.outcome is Outcome.UNDECIDED else a for a in found]
        if all(a.outcome is not Outcome.UNDECIDED for a in found):
            break
    return Judged(tuple(_explained(a, ended) for a in found), report)


def _explained(found: Attainment, ended: str) -> Attainment:
    return dataclasses.replace(found, reason=found.reason or ended) if found.outcome is Outcome.UNDECIDED else found


def _events(runs: Sequence[Kpis]) -> float:
    return sum(kpis.events.mean * kpis.replications for kpis in runs)


def _look(goal: Goal, runs: Sequence[Kpis], count: int, confidence: float) -> Attainment:
    """Judges one goal by the figures of `count` replications."""
    found = pooled([figure for kpis in runs if (figure := goal.figure(kpis)) is not None])
    if found is None:
        what = f"{goal.object!r} has no such figure" if goal.object else f"no {goal.measure.value} was observed"
        return Attainment(goal, Outcome.MISSED, replications=count, reason=what)
    low, high = found.interval(confidence) if found.replications > 1 else (-math.inf, math.inf)
    slack = 1e-9 * max(goal.bound, 1e-3)  # of rounding, which would leave equal replications undecided at the bound
    if goal.at_least:
        met, missed = low >= goal.bound - slack, high < goal.bound - slack
    else:
        met, missed = high <= goal.bound + slack, low > goal.bound + slack
    outcome = Outcome.MET if met else Outcome.MISSED if missed else Outcome.UNDECIDED
    reason = ""
    if found.replications < count and outcome is not Outcome.MISSED:
        outcome, reason = Outcome.UNDECIDED, f"{count - found.replications} runs have no {goal.measure.value}"
    bounds = (None, None) if math.isinf(low) else (low, high)
    return Attainment(goal, outcome, found.mean, *bounds, replications=count, reason=reason)


def pooled(estimates: Sequence[Estimate]) -> Estimate | None:
    """Returns the estimate of all replications that several estimates rest on; None where there are none.

    Means and sums of squares of parts give those of the whole exactly (Chan, Golub and LeVeque, 1979).
    """
    if len(estimates) < 2:
        return estimates[0] if estimates else None
    count = sum(e.replications for e in estimates)
    mean = math.fsum(e.mean * e.replications for e in estimates) / count
    squares = math.fsum(_squares(e) + e.replications * (e.mean - mean) ** 2 for e in estimates)
    half = t_quantile(0.95, count - 1) * math.sqrt(squares / (count - 1) / count)
    return Estimate(mean, half, count)


def _squares(found: Estimate) -> float:
    """Returns the sum of squared deviations from the mean of the replications behind an estimate."""
    if found.half_width is None:
        return 0.0
    n = found.replications
    return (found.half_width / t_quantile(0.95, n - 1)) ** 2 * n * (n - 1)
