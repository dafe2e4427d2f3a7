"""One model against another on the same samples: before and after an adaptation."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlsm_jax.evaluation.table import Evaluated, write_twice
from vlsm_jax.metrics import Interval, bootstrap_interval
from vlsm_jax.metrics.tables import MEASURES, measure_interval, measure_of

FORMAT = "vlsm_jax.comparison/1"

COMPARED = ("svr", "pmr", "esr", "whole")
"""Measures that are compared."""


@dataclasses.dataclass(frozen=True)
class Change:
    """A measure of one split and way.

    Attributes:
      split, way: words for both.
      measure: a key of `MEASURES`.
      n: number of samples that both have.
      before, after: of either.
      difference: mean of the second less the first, sample by sample.
    """

    split: str
    way: str
    measure: str
    n: int
    before: Interval
    after: Interval
    difference: Interval


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What changed: the words for both models, and a line for each split, way and measure."""

    before: str
    after: str
    changes: Sequence[Change]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, ready for JSON."""
        intervals = ("before", "after", "difference")
        return {
            "format": FORMAT,
            "before": self.before,
            "after": self.after,
            "changes": [
                {field: getattr(change, field) for field in ("split", "way", "measure", "n")}
                | {field: getattr(change, field)._asdict() for field in intervals}
                for change in self.changes
            ],
        }

    def to_markdown(self) -> str:
        """Returns the table, with a line on what it says."""
        pairs = dict.fromkeys((change.split, change.way, change.n) for change in self.changes)
        lines = [f"Before: {self.before}. After: {self.after}. Means with 95 % intervals.\n"]
        for split, way, n in pairs:
            lines.append(f"| {split}, {way}, {n} samples | before | after | difference, sample by sample |")
            lines.append("|---|---:|---:|---:|")
            for one in self.changes:
                if (one.split, one.way) == (split, way):
                    texts = (_text(one.before), _text(one.after), _text(one.difference, sign="+"))
                    lines.append(f"| {MEASURES[one.measure]} | {' | '.join(texts)} |")
            lines.append("")
        return "\n".join(lines)


def compare(
    before: tuple[str, Sequence[Evaluated]], after: tuple[str, Sequence[Evaluated]], *, seed: int = 0
) -> Comparison:
    """Returns what changed from one model to another.

    Args:
      before, after: the words for a model, and what it was evaluated on. Splits and ways that only one has, and samples
        that only one has or that lack a measure in one, are left out.
      seed: of the bootstrap.
    """
    later = {(one.split, one.way): one for one in after[1]}
    changes = []
    for old in before[1]:
        new = later.get((old.split, old.way))
        if new is None:
            continue
        scores = {row.id: row.scores for row in new.rows}
        pairs = [(row.scores, scores[row.id]) for row in old.rows if row.id in scores]
        for name in COMPARED:
            both = [p for p in pairs if None not in (measure_of(p[0], name), measure_of(p[1], name))]
            if both:
                values = np.array([[float(measure_of(b, name)) - float(measure_of(a, name))] for a, b in both])
                sides = [measure_interval(side, name, seed=seed) for side in zip(*both, strict=True)]
                (difference,) = bootstrap_interval(values, seed=seed)
                changes.append(Change(old.split, old.way, name, len(both), *sides, difference))
    return Comparison(before[0], after[0], tuple(changes))


def write_comparison(folder: str | os.PathLike, comparison: Comparison) -> Path:
    """Writes `comparison.md` and `comparison.json`; returns the path of the first."""
    return write_twice(folder, "comparison", comparison.to_dict(), comparison.to_markdown())


def tell_change(
    before: tuple[str, Sequence[Evaluated]],
    after: tuple[str, Sequence[Evaluated]],
    folder: str | os.PathLike,
    *,
    seed: int = 0,
) -> None:
    """Prints and writes what changed; arguments are those of `compare`, and where to write."""
    comparison = compare(before, after, seed=seed)
    path = write_comparison(folder, comparison)
    print(f"\n{comparison.to_markdown()}\nchange   {path}")


def _text(value: Interval, sign: str = "") -> str:
    return f"{value.mean:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f})"
