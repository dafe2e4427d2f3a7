"""ESR, the share of scripts that run, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol


class Outcome(Protocol):
    """What `esr` needs of a simulator Report: whether the script ran, with no manual fix."""

    @property
    def ok(self) -> bool: ...


def esr(reports: Iterable[Outcome]) -> float:
    """Returns the execution success rate of arXiv 2512.20387: the share of Reports that are ok, in 0..1.

    Raises:
      ValueError: there are no Reports.
    """
    outcomes = [report.ok for report in reports]
    if not outcomes:
        raise ValueError("ESR of no Reports is undefined; give at least one")
    return sum(outcomes) / len(outcomes)


def verdict_counts(verdicts: Iterable[str]) -> Mapping[str, int]:
    """Counts the verdicts of Reports by their value ("ok", "parse error", ...), the most frequent first."""
    counts = Counter(str(verdict) for verdict in verdicts)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
