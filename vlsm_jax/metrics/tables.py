"""A measure over groups of samples, such as industry by layout, as numbers and as Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from vlsm_jax.metrics.attainment import Outcome
from vlsm_jax.metrics.interval import Interval, bootstrap_interval, share_interval
from vlsm_jax.metrics.score import PairScore
from vlsm_jax.metrics.summary import bleu_interval

ALL = "all"
UNKNOWN = "unknown"

MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "svr": "SVR",
        "connection_score": "connections",
        "object_score": "objects",
        "pmr": "PMR",
        "esr": "ESR",
        "bleu4": "BLEU-4",
        "parameters": "parameters within tolerance",
        "structure": "structure without names",
        "same_structure": "same graph without names",
        "whole": "whole factory right",
        "agreement": "KPI agreement",
        "intent_rate": "IntentRate",
    }
)
"""What a table can show, with its title."""

ROUNDING = 1e-9
"""By which a sum of shares may miss 1."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One group of samples; `value` is None where no sample of it has the measure."""

    n: int
    value: Interval | None


@dataclasses.dataclass(frozen=True)
class GroupTable:
    """A measure by two properties of the samples, with the margins.

    Attributes:
      measure: a key of `MEASURES`.
      rows: the property down the side; `columns` the one across the top.
      cells: (row, column) to cell; "all" stands for the margins. Groups without samples are missing.
    """

    measure: str
    rows: str
    columns: str
    cells: Mapping[tuple[str, str], Cell]

    def names(self, axis: int) -> list[str]:
        """Returns the groups of the rows (axis 0) or columns (axis 1) in alphabetical order, "all" last."""
        return [*sorted({key[axis] for key in self.cells} - {ALL}), ALL]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts: row to column to `{"n", "mean", "low", "high"}`."""
        table: dict[str, dict[str, Any]] = {}
        for row in self.names(0):
            for column in self.names(1):
                cell = self.cells.get((row, column))
                if cell is not None:
                    value = cell.value._asdict() if cell.value else dict.fromkeys(Interval._fields)
                    table.setdefault(row, {})[column] = {"n": cell.n, **value}
        return {"measure": self.measure, "rows": self.rows, "columns": self.columns, "cells": table}

    def to_markdown(self) -> str:
        """Returns a Markdown table; each cell has the mean and the number of samples."""
        columns = self.names(1)
        lines = [
            f"| {MEASURES[self.measure]}: {_escaped(self.rows)} \\ {_escaped(self.columns)} | "
            + " | ".join(map(_escaped, columns))
            + " |",
            "|---|" + "---:|" * len(columns),
        ]
        for row in self.names(0):
            cells = [_text(self.cells.get((row, column))) for column in columns]
            lines.append(f"| {_escaped(row)} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def group_table(
    scores: Sequence[PairScore],
    metadata: Sequence[Mapping[str, Any]],
    *,
    measure: str = "svr",
    rows: str = "industry",
    columns: str = "layout",
    seed: int = 0,
) -> GroupTable:
    """Groups samples by two of their properties.

    Args:
      scores: of the samples.
      metadata: the properties of each sample; one that a sample lacks counts as "unknown".
      measure: a key of `MEASURES`. see `measure_interval`.
      rows, columns: names of the two properties.
      seed: of the bootstrap.

    Raises:
      ValueError: the two sequences differ in length or are empty, or there is no such measure.
    """
    if measure not in MEASURES:
        raise ValueError(f"no measure {measure!r}; there are {', '.join(MEASURES)}")
    if len(scores) != len(metadata) or not scores:
        raise ValueError(
            f"{len(scores)} scores and {len(metadata)} rows of metadata; give one for each, and at least one"
        )
    groups: dict[tuple[str, str], list[PairScore]] = {}
    for score, properties in zip(scores, metadata, strict=True):
        row, column = (str(properties.get(name, UNKNOWN)) for name in (rows, columns))
        for key in ((row, column), (row, ALL), (ALL, column), (ALL, ALL)):
            groups.setdefault(key, []).append(score)
    cells = {key: Cell(len(found), measure_interval(found, measure, seed=seed)) for key, found in groups.items()}
    return GroupTable(measure, rows, columns, MappingProxyType(cells))


def measure_interval(scores: Sequence[PairScore], measure: str, *, seed: int = 0) -> Interval | None:
    """Returns a measure over samples; None where no sample has it.

    Shares of samples ("esr", "intent_rate", "whole", "same_structure") have Wilson intervals, "bleu4" is that of the
    corpus, the others are means; these have bootstrap intervals. "whole" counts a candidate whose SVR and PMR are 1.

    Raises:
      ValueError: there is no such measure.
    """
    if measure not in MEASURES:
        raise ValueError(f"no measure {measure!r}; there are {', '.join(MEASURES)}")
    if measure == "bleu4":
        return bleu_interval([score.bleu for score in scores], seed)
    values = [value for score in scores if (value := measure_of(score, measure)) is not None]
    if not values:
        return None
    if isinstance(values[0], bool):
        return share_interval(sum(values), len(values))
    return bootstrap_interval(np.asarray(values)[:, None], seed=seed)[0]


def measure_of(score: PairScore, measure: str) -> float | bool | None:
    """Returns a measure of one sample, a key of `MEASURES` but "bleu4"; None where the sample has none."""
    match measure:
        case "esr":
            return score.runs
        case "intent_rate":
            return None if score.intent is None else score.intent is Outcome.MET
        case "whole":
            return min(score.svr, score.pmr) >= 1 - ROUNDING
        case "same_structure":
            return score.structure and score.structure.same is True
        case "parameters":
            return score.parameters and score.parameters.recall
        case "structure":
            return score.structure and score.structure.share
        case "agreement":
            return score.agreement and score.agreement.score
        case _:
            return getattr(score, measure)


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{'–' if cell.value is None else f'{cell.value.mean:.3f}'} ({cell.n})"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
