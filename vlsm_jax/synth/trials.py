"""Trials: how long to run a factory, and what its run has to show for the factory to be a good example.

What a run shows is compared with the traffic equations, as far as chance allows in a run of some dozens of items: all
that must see items has seen some, about as many have left as should have, nothing stands still, and everybody works.

A trial ends as soon as all of that has been seen with a margin; what is doubtful is run longer, up to twice the
horizon. Compared with runs that all last one horizon, on 4,000 sampled factories and 1,334 of them with up to 80 % more
arrivals than they were made for: it takes 58 % of the events on the former, finds 6 instead of 7 of their 26, and 86
instead of 62 of the 768 of the latter, that twenty horizons show to be bad, and rejects 13 instead of 45 good ones.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from vlsm_jax.simulator.report import Report
from vlsm_jax.simulator.statistics import Kpis, ObjectStatistics
from vlsm_jax.synth.distributions import mean_of
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.loads import arrivals_of, solve_rates
from vlsm_jax.synth.spots import CONVEYORS, WORKERS, Spot, in_flow_order, places_of, seconds_per_item, spots_of, unlink
from vlsm_jax.synth.trips import Duty, duties_of
from vlsm_jax.twin import Twin

ITEMS: Final = 12
"""Arrivals that a run is long enough for."""

VISITS: Final = 4
"""Visits that a run is long enough for at objects that are not rarely visited."""

RARE: Final = 0.15
"""Share of all arrivals below which a run is not made longer for an object to be visited."""

LEAST_EXPECTED: Final = 3.0
"""Visits that must be expected for none to be a fault."""

DEVIATIONS: Final = 3.5
"""Standard deviations, of a number of items by Poisson, by which more or less may leave than expected."""

HELD_UP: Final = 0.75
"""Share of the expected items that leave at least, in the mean: a Source that waits for a station makes no other."""

BUSY: Final = 0.985
"""Share of the time from which a station is taken for saturated."""

BLOCKED: Final = 0.6
"""Share of the time from which a station blocked, or waiting for somebody, is taken for stuck."""

LOOKS: Final = (0.5, 0.75, 1.0, 2.0)
"""After which parts of the `horizon` a trial may end."""


class Limits(NamedTuple):
    """What is still in order: shares of the time that a station is busy, and blocked; standard deviations of items."""

    busy: float
    blocked: float
    deviations: float


AT_LAST: Final = Limits(BUSY, BLOCKED, DEVIATIONS)
SURELY: Final = Limits(0.85, 0.35, 2.5)
"""The limits while a trial may still go on."""

_STUCK = ("blocked", "waiting for operator", "waiting for transport")


class _Course:
    """The flow of a factory as the traffic equations have it: rates, and when items first reach each object."""

    def __init__(self, twin: Twin):
        self.spots = spots_of(twin)
        self.order = in_flow_order(self.spots)
        arrivals = arrivals_of(self.order)
        solve_rates(self.order, arrivals)
        self.supplies = _supplies(self.order)
        self.arrivals = sum(rate for spot, rate in arrivals.items() if spot not in self.supplies)
        self.starts = _starts(self.order)
        self.lead = max(self.starts.values(), default=0.0)
        # Items that leave together count as one, as far as chance is concerned.
        batches = [float(spot.parameters.get("BatchSize", 1)) for spot in self.order if "DoBatching" in spot.parameters]
        more = [spot.sent / spot.rate for spot in self.order if spot.rate > 0]
        self.clump = max([1.0, *batches, *more])

    @functools.cached_property
    def duties(self) -> list[Duty]:
        """What operators and carriers have to do."""
        return duties_of(self.order)


def _supplies(order: Sequence[Spot]) -> set[Spot]:
    """Returns the objects from which items get nowhere but to a Combiner, as its parts."""
    out: set[Spot] = set()
    for spot in reversed(order):
        if spot.outs and all(o in out or (o.cls == "Combiner" and o.ins[0] is not spot) for o in spot.outs):
            out.add(spot)
    return out


def _starts(order: Sequence[Spot]) -> dict[Spot, float]:
    """Returns after how many seconds an object is reached in the mean, by the longest way to it."""
    out: dict[Spot, float] = {}
    for spot in order:
        before = [out[other] + _stay(other) for other in spot.ins if other in out]
        out[spot] = max(before, default=0.0)
    return out


def _stay(spot: Spot) -> float:
    """Returns the mean seconds that an item is in an object, but for waiting until it is free."""
    parameters = spot.parameters
    if spot.cls == "Source":
        return mean_of(parameters.get("InterArrivalTime", 10))
    if spot.cls in WORKERS:
        seconds = seconds_per_item(spot.cls, parameters)
        if spot.centers:
            seconds += 30.0  # the way of whoever is called
        return seconds
    if spot.cls in CONVEYORS:
        return float(parameters.get("HorizontalLength", 10)) / max(0.01, float(parameters.get("Speed", 1)))
    stay = 30.0 if spot.centers else 0.0
    if "DoBatching" in parameters and spot.rate > 0:
        stay += float(parameters.get("BatchSize", 2)) / spot.rate
    return stay


class Trial:
    """What is expected of a factory's run.

    Attributes:
      horizon: for how many seconds to run it: about `ITEMS` arrivals, and `VISITS` at all but rare places. The time of
        the way through is added; whole minutes.
    """

    def __init__(self, factory: Factory | Twin):
        self._course = course = _Course(factory.twin if isinstance(factory, Factory) else factory)
        total = course.arrivals or 0.1
        seconds = ITEMS / total
        for spot in course.order:
            if spot.rate >= RARE * total and spot.cls != "Source":
                seconds = max(seconds, VISITS / spot.rate)
        self.horizon = float(math.ceil((seconds + course.lead) / 60) * 60)

    def close(self) -> None:
        """Frees what is expected; the trial cannot be used any more."""
        unlink(self._course.spots)

    @property
    def looks(self) -> tuple[float, ...]:
        """Times in seconds at which the trial may end; the last one is its longest."""
        return tuple(self.horizon * part for part in LOOKS)

    def judge(self, report: Report, *, whole: bool = False) -> str:
        """Returns why a run shows that the factory is no good example, or cannot tell yet; "" when it is one.

        The run has to be free of faults and warnings. All that must see items has seen some: what is reached by fewer
        than `LEAST_EXPECTED` within the horizon, by the traffic equations, need not. As many items have left as should
        have, within `DEVIATIONS`. No station is saturated, none is stuck, and all carriers and operators have worked.

        Args:
          report: of a run from time 0.
          whole: whether this run is all that there will be. Else it is as long as one of `looks`, and before the last
            of them it leaves no doubt.
        """
        kpis = report.kpis
        if not report.ok or kpis is None:
            return report.verdict.value
        if report.diagnostics:
            return f"a warning: {report.diagnostics[0].code}"
        seconds = kpis.until - kpis.warmup
        if whole or seconds >= LOOKS[-1] * self.horizon:
            return self._judged(kpis, seconds, seconds, AT_LAST)
        return self._judged(kpis, seconds, max(seconds, self.horizon), SURELY)

    def _judged(self, kpis: Kpis, seconds: float, in_all: float, limits: Limits) -> str:
        course = self._course
        expected_left = left = 0.0
        for spot in course.order:
            seen = kpis.objects.get(spot.name)
            entered = seen.input.mean if seen is not None else 0.0
            if spot.cls == "Source":
                silent = seen is not None and seen.output.mean == 0 and spot.rate * in_all >= LEAST_EXPECTED
                if silent and spot not in course.supplies:
                    return "a Source that makes nothing"
                continue
            start = course.starts[spot]
            if entered == 0 and spot.rate * (in_all - start) >= LEAST_EXPECTED:
                return "an object that no item reaches"
            if spot.cls == "Sink":
                expected_left += spot.rate * max(0.0, seconds - start)
                left += entered
            elif seen is not None and spot.cls in WORKERS:
                reason = _strain(spot, seen, seconds, spot in course.supplies, limits)
                if reason:
                    return reason
        slack = limits.deviations * math.sqrt(expected_left * course.clump)
        if not HELD_UP * expected_left - slack <= left <= expected_left + slack:
            return "too few items leave" if left < expected_left else "too many items leave"
        for spot, calls in _expected_calls(course.duties, in_all):
            seen = kpis.objects.get(spot.name)
            if calls >= LEAST_EXPECTED and not (seen is not None and seen.utilisation and seen.utilisation.mean):
                return "somebody without work"
        return ""


def horizon(factory: Factory | Twin) -> float:
    """Returns for how many seconds to run a factory at one go; see `Trial`."""
    return Trial(factory).horizon


def check_run(factory: Factory, report: Report) -> str:
    """Returns why the run of a factory shows that it is no good example; "" when it is one; see `Trial.judge`.

    However long the run was, it is taken for the whole trial.
    """
    return Trial(factory).judge(report, whole=True)


def _expected_calls(duties: Sequence[Duty], seconds: float) -> list[tuple[Spot, float]]:
    """Returns how often each operator and carrier is called for at least.

    The second of a team is called while the first is busy, the third while both are. By Poisson's formula for the jobs
    that go on at one time, of which half are taken off: what is carried to one place comes one by one.
    """
    out = []
    for duty in duties:
        calls, busy = seconds * duty.calls, duty.busy
        term = below = math.exp(-busy)
        for number, member in enumerate(duty.members):
            out.append((member, calls if number == 0 else calls * (1 - below) / 2))
            if number:
                term *= busy / number
                below += term
    return out


def _strain(spot: Spot, seen: ObjectStatistics, seconds: float, supplies: bool, limits: Limits) -> str:
    busy = seen.utilisation.mean if seen.utilisation is not None else 0.0
    places = places_of(spot.cls, spot.parameters)
    if places > 1:  # it is busy while one of its places is; what counts is how many are taken
        busy = seen.content_average.mean / places
    if busy > limits.busy:
        return "a saturated station"
    if supplies:
        return ""  # a line of parts waits until its parts are used up
    stuck = sum(estimate.mean for state, estimate in seen.states.items() if state in _STUCK)
    return "a station that is stuck" if stuck > limits.blocked * seconds else ""
