"""Validation: every row read, every picture opened, every script run, and splits compared with each other."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from vlsm_jax.curation.facts import Finding, Look, RowFacts, look_at_all
from vlsm_jax.data.source import TripletSource
from vlsm_jax.synth.dataset import BLANK

TRAIN = "train"

Told = Callable[[Finding], None]
"""Called with every finding as soon as it is there."""


@dataclasses.dataclass
class Validation:
    """What a data set is like.

    Attributes:
      rows: of each split.
      findings: how often there was something of each kind (the codes of `Finding`).
      tokens: fewest, mean and most of prompt and script together, per split; empty without a tokenizer.
    """

    rows: dict[str, int] = dataclasses.field(default_factory=dict)
    findings: Counter[str] = dataclasses.field(default_factory=Counter)
    tokens: dict[str, tuple[int, float, int]] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing but warnings was found."""
        return not any(count for code, count in self.findings.items() if Finding(code, "").is_error)


@dataclasses.dataclass
class _Seen:
    """What one split holds, for comparing others with it."""

    texts: dict[bytes, str] = dataclasses.field(default_factory=dict)
    factories: dict[str, str] = dataclasses.field(default_factory=dict)
    topologies: dict[str, str] = dataclasses.field(default_factory=dict)
    industries: dict[str, str] = dataclasses.field(default_factory=dict)
    pairs: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    most_objects: int = 0

    def add(self, row: RowFacts) -> None:
        self.texts.setdefault(row.text, row.where)
        if row.twin is None:
            return
        self.factories.setdefault(row.factory, row.where)
        self.topologies.setdefault(row.topology, row.where)
        industry = _industry(row)
        if industry:
            self.industries.setdefault(industry, row.where)
        self.pairs |= row.pairs
        self.most_objects = max(self.most_objects, len(row.twin.objects))


def _industry(row: RowFacts) -> str:
    """Returns the industry that a row names, "" where it names none."""
    return str((row.fields or {}).get("industry") or "")


def _leaks(split: str, row: RowFacts, trained: _Seen) -> Iterator[Finding]:
    """Yields what a row of another split shares with training though its split promises otherwise."""
    if row.twin is None:
        return
    where = row.where
    if row.factory in trained.factories:
        yield Finding("leak", f"{where}: the factory, names aside, is that of {trained.factories[row.factory]}")
    industry = _industry(row)
    if split == "industry" and industry in trained.industries:
        yield Finding("leak", f"{where}: industry {industry!r} is trained on, {trained.industries[industry]}")
    if split == "layout" and row.topology in trained.topologies:
        yield Finding("leak", f"{where}: the shape of the flow is that of {trained.topologies[row.topology]}")
    if split == "size" and len(row.twin.objects) <= trained.most_objects:
        count = len(row.twin.objects)
        yield Finding("leak", f"{where}: {count} objects, no more than the {trained.most_objects} in training")
    if split == "timing" and row.pairs <= trained.pairs:
        yield Finding("leak", f"{where}: every order of distributions occurs in training")


def validate(
    splits: Mapping[str, TripletSource],
    look: Look = Look(),
    *,
    workers: int = 1,
    tell: Told = lambda finding: None,
    progress: Callable[[int, int], None] | None = None,
) -> Validation:
    """Looks at every row of every split.

    Rows: all fields there, the picture opens, the script parses and runs, no more tokens than allowed, fields that say
    what the script does not build. Splits: the same prompt and script twice; and, where one is called "train", what the
    others share with it: isomorphic factories with equal parameters anywhere, and what `industry`, `layout`, `size` and
    `timing` promise to hold out. A split `<name>-blank` repeats `<name>` and is compared with nothing.

    Args:
      splits: sources by the name of their split.
      look: how closely.
      workers: processes.
      tell: called with every finding at once; the result counts them.
      progress: called with (rows seen, rows in all).
    """
    found = Validation()
    total, done = sum(map(len, splits.values())), 0
    trained = _Seen()
    # Training first: the others are compared with it.
    for split in sorted(splits, key=lambda name: name != TRAIN):
        found.rows[split] = len(splits[split])
        seen = trained if split == TRAIN else _Seen()
        counts: list[int] = []
        for row in look_at_all(splits[split], look, workers=workers):
            findings = list(row.findings)
            if row.text and row.text in seen.texts:
                message = f"{row.where}: prompt and script are those of {seen.texts[row.text]}; leave one out"
                findings.append(Finding("duplicate", message))
            if split != TRAIN and not split.endswith(BLANK):
                findings += _leaks(split, row, trained)
            seen.add(row)
            for finding in findings:
                found.findings[finding.code] += 1
                tell(finding)
            if row.tokens is not None:
                counts.append(row.tokens)
            done += 1
            if progress is not None:
                progress(done, total)
        if counts:
            found.tokens[split] = (min(counts), sum(counts) / len(counts), max(counts))
    return found
