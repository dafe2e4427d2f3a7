"""Functional intent: whether a candidate not only runs but produces what the reference produces.

SVR and PMR count parts, and a script can have nearly all of them and still miss its output: one forgotten operator or
one wrong time at the bottleneck is enough. What a factory is for shows in its throughput.
"""

from __future__ import annotations

from vlsm_jax.simulator import Report

INTENT_TOLERANCE = 0.1
"""Relative deviation of throughput that still counts as the same.

Over a shift of 8 hours with Poisson arrivals every 10 seconds, two runs of one factory under different random streams
deviate by sqrt(2 / 2880) = 2.6 % (one standard deviation).
"""


def throughput_ratio(reference: Report, candidate: Report) -> float | None:
    """Returns the candidate's items per hour over all Sinks, relative to the reference's.

    None where there is nothing to compare: the reference did not run to its end, or nothing arrived at its Sinks. A
    candidate that does not run has 0.
    """
    if reference.kpis is None or not reference.kpis.total_throughput.mean:
        return None
    if not candidate.ok or candidate.kpis is None:
        return 0.0
    return candidate.kpis.total_throughput.mean / reference.kpis.total_throughput.mean


def keeps_intent(ratio: float | None, tolerance: float = INTENT_TOLERANCE) -> bool | None:
    """Says whether a throughput ratio is within the tolerance of 1; None where there is none."""
    return None if ratio is None else abs(ratio - 1) <= tolerance
