"""Tables over splits and ways of writing, as Markdown and JSON: scores, groups, failures, what vision is worth."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vlsm_jax.evaluation.predictions import Prediction
from vlsm_jax.metrics import Failure, GroupTable, Interval, PairScore, bootstrap_interval, failure_counts, group_table
from vlsm_jax.metrics.tables import MEASURES, UNKNOWN, measure_interval

FORMAT = "vlsm_jax.table/1"

BLANK = "-blank"
"""What the name of a split ends in, and the ids of its rows, where sketches are empty pages."""

SHOWN = ("svr", "pmr", "esr", "bleu4", "intent_rate", "whole", "same_structure")
"""Measures of the first table."""

GROUPED = ("svr", "pmr", "esr")
"""Measures by industry and layout."""

DRAWN = "connections"
"""What a prompt leaves out where its connections are in the sketch alone."""


class Row(NamedTuple):
    """What is kept of one sample for tables.

    Attributes:
      id: of the sample.
      scores: of its candidate.
      metadata: what else is known of it: industry, layout, what its prompt leaves out.
      tokens: generated, those of all candidates; None if not counted.
      seconds: of generation; None if not measured.
    """

    id: str
    scores: PairScore
    metadata: Mapping[str, Any]
    tokens: int | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, prediction: Prediction) -> Row:
        """Returns the row of a prediction, without its texts and Reports."""
        return cls(
            prediction.id,
            prediction.scores,
            prediction.metadata,
            prediction.generation_tokens,
            prediction.generation_seconds,
        )


class Evaluated(NamedTuple):
    """A split written in one way: the words for both, and the rows, at least one."""

    split: str
    way: str
    rows: Sequence[Row]

    @property
    def scores(self) -> list[PairScore]:
        """Of its rows."""
        return [row.scores for row in self.rows]


@dataclasses.dataclass(frozen=True)
class Line:
    """Scores of one split and way.

    Attributes:
      split, way: words for both.
      n: number of samples.
      values: measure to interval; None where no sample has it.
      tokens_per_second: of one process, over the samples whose time is known; None where none is.
      failures: candidates that do not run by label, the most frequent first.
    """

    split: str
    way: str
    n: int
    values: Mapping[str, Interval | None]
    tokens_per_second: float | None
    failures: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Vision:
    """SVR of one way on prompts whose connections are in the sketch alone, with the sketch and with an empty page.

    Attributes:
      split, way: words for both.
      n: number of pairs of samples.
      sketch, blank: mean SVR with either.
      difference: mean of the first less the second, pair by pair.
    """

    split: str
    way: str
    n: int
    sketch: Interval
    blank: Interval
    difference: Interval


@dataclasses.dataclass(frozen=True)
class Groups:
    """A measure of one split and way by industry and layout."""

    split: str
    way: str
    table: GroupTable


@dataclasses.dataclass(frozen=True)
class Tables:
    """All tables of an evaluation.

    Attributes:
      subject: what wrote the scripts.
      lines: a line for each split and way, in the order in which they were asked for.
      groups: by industry and layout; of splits with sketches whose rows say where they belong.
      vision: of splits that were evaluated with sketches and without.
    """

    subject: str
    lines: Sequence[Line]
    groups: Sequence[Groups]
    vision: Sequence[Vision]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "format": FORMAT,
            "subject": self.subject,
            "lines": [
                {
                    "split": line.split,
                    "way": line.way,
                    "n": line.n,
                    **{name: value and value._asdict() for name, value in line.values.items()},
                    "tokens_per_second": line.tokens_per_second,
                    "failures": dict(line.failures),
                }
                for line in self.lines
            ],
            "groups": [{"split": one.split, "way": one.way, **one.table.to_dict()} for one in self.groups],
            "vision": [
                {field: getattr(one, field) for field in ("split", "way", "n")}
                | {field: getattr(one, field)._asdict() for field in ("sketch", "blank", "difference")}
                for one in self.vision
            ],
        }

    def to_markdown(self) -> str:
        """Returns all tables as one page."""
        parts = [
            f"# Evaluation of {self.subject}\n\nMeans with 95 % intervals over the samples. *{MEASURES['whole']}*: SVR "
            f"and PMR are 1. *{MEASURES['same_structure']}*: proved. Tokens/s are those of one process, all candidates "
            "counted, without compilation and trials.\n",
            _markdown(
                ["split", "way", "samples", *(MEASURES[name] for name in SHOWN), "tokens/s"],
                (
                    [
                        line.split,
                        line.way,
                        str(line.n),
                        *(_text(line.values[name]) for name in SHOWN),
                        "–" if line.tokens_per_second is None else f"{line.tokens_per_second:.0f}",
                    ]
                    for line in self.lines
                ),
            ),
        ]
        if self.vision:
            parts.append(
                "\n## What vision is worth\n\nSVR on prompts that leave the connections to the sketch, with it and "
                "with an empty page; the difference is taken sample by sample.\n"
            )
            parts.append(
                _markdown(
                    ["split", "way", "samples", "sketch", "empty page", "difference"],
                    (
                        [one.split, one.way, str(one.n), *map(_text, (one.sketch, one.blank, one.difference))]
                        for one in self.vision
                    ),
                )
            )
        parts.append("\n## Why scripts do not run\n")
        parts.append(self._failures())
        if self.groups:
            parts.append(
                "\n## By industry and layout\n\nEach cell has the mean and, in brackets, the number of samples."
            )
        for one in self.groups:
            if one.table.measure == "svr":
                parts.append(f"\n### {one.split}, {one.way}\n")
            parts.append(one.table.to_markdown())
        return "\n".join(parts)

    def _failures(self) -> str:
        found = {name for line in self.lines for name in line.failures}
        names = [label.value for label in Failure if label.value in found]
        if not names:
            return "All run.\n"
        return _markdown(
            ["split", "way", "run", *names],
            (
                [line.split, line.way, str(line.n - sum(line.failures.values()))]
                + [str(line.failures.get(name, 0)) for name in names]
                for line in self.lines
            ),
        )


def make_tables(subject: str, evaluated: Sequence[Evaluated], *, seed: int = 0) -> Tables:
    """Returns the tables over splits and ways; the same rows and seed give the same bounds.

    Args:
      subject: what wrote the scripts, such as a config and its step.
      evaluated: each split and way once.
      seed: of the bootstrap.
    """
    return Tables(
        subject,
        tuple(_line(one, seed) for one in evaluated),
        tuple(
            Groups(
                one.split, one.way, group_table(one.scores, [row.metadata for row in one.rows], measure=name, seed=seed)
            )
            for one in evaluated
            if _belongs(one)
            for name in GROUPED
        ),
        tuple(found for one in evaluated if (found := _vision(one, evaluated, seed))),
    )


def write_tables(folder: str | os.PathLike, tables: Tables) -> Path:
    """Writes `table.md` and `table.json`; returns the path of the first."""
    return write_twice(folder, "table", tables.to_dict(), tables.to_markdown())


def write_twice(folder: str | os.PathLike, name: str, facts: Mapping[str, Any], markdown: str) -> Path:
    """Writes `<name>.json` for programs and `<name>.md` for readers; returns the path of the latter.

    Whoever looks sees old files or new ones.
    """
    contents = {"json": json.dumps(facts, indent=2, allow_nan=False) + "\n", "md": markdown}
    for suffix, text in contents.items():
        path = Path(folder, f"{name}.{suffix}")
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    return path


def _line(one: Evaluated, seed: int) -> Line:
    timed = [(row.tokens, row.seconds) for row in one.rows if row.tokens is not None and row.seconds]
    return Line(
        one.split,
        one.way,
        len(one.rows),
        {name: measure_interval(one.scores, name, seed=seed) for name in SHOWN},
        sum(tokens for tokens, _ in timed) / sum(seconds for _, seconds in timed) if timed else None,
        {label.value: count for label, count in failure_counts(score.failure for score in one.scores).items()},
    )


def _belongs(one: Evaluated) -> bool:
    """Returns whether its rows say where they belong, and are not told apart from others by their sketches alone."""
    known = any(row.metadata.get(name, UNKNOWN) != UNKNOWN for row in one.rows for name in ("industry", "layout"))
    return known and not one.split.endswith(BLANK)


def _vision(one: Evaluated, evaluated: Iterable[Evaluated], seed: int) -> Vision | None:
    twin = next((other for other in evaluated if (other.split, other.way) == (one.split + BLANK, one.way)), None)
    if twin is None:
        return None
    blank = {row.id.removesuffix(BLANK): row.scores.svr for row in twin.rows}
    pairs = [
        (row.scores.svr, blank[row.id], row.scores.svr - blank[row.id])
        for row in one.rows
        if row.id in blank and DRAWN in (row.metadata.get("omitted") or ())
    ]
    if not pairs:
        return None
    return Vision(one.split, one.way, len(pairs), *bootstrap_interval(np.asarray(pairs), seed=seed))


def _text(value: Interval | None) -> str:
    return "–" if value is None else f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---:|" * (len(head) - 2)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
