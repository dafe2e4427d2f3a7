"""Triplets of industries that training never sees, to adapt a model to one of them: shared out by factory.

Splits of other data sets keep these industries for a test. Here, rows of that test split are drawn apart, and divided
among a training set of their own, a validation and a test: as no two rows of a split hold isomorphic factories with
equal parameters, none of what is tested was trained on. The rows come from the part of all factories that belongs to
the test split, so that they are in no training set of this package, whatever its seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from vlsm_jax.synth.dataset import DatasetError, Progress, write_dataset
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions

FOLDER = "made"
"""Of the rows as they were drawn, within the data set, with their pictures."""

SHARES = ("test", "validation", "train")
"""In the order in which rows are given out: a larger training set leaves what is tested as it is."""


def write_shares(
    directory: str | os.PathLike,
    counts: Mapping[str, int],
    *,
    seed: int = 0,
    options: TripletOptions = TripletOptions(),
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Writes `train.jsonl`, `validation.jsonl` and `test.jsonl` of held-out industries; returns how many rows each has.

    Args:
      directory: of the data set; one that holds it already stays as it is.
      counts: rows of each of `SHARES`; one that is left out gets no file.
      seed, options, workers, progress: see `write_dataset`; the industries of `options` are those to adapt to.

    Raises:
      DatasetError: there is no share of that name, or see `write_dataset`.
      ValueError: none of the industries is held out.
    """
    unknown = sorted(set(counts) - set(SHARES))
    if unknown:
        raise DatasetError(f"no share {unknown[0]!r} of the rows; there are {', '.join(SHARES)}")
    if min(counts.values(), default=0) < 0:
        raise DatasetError(f"a share of the rows is 0 or more: {dict(counts)}")
    directory = Path(directory)
    made = {Split.INDUSTRY: sum(counts.values())}
    write_dataset(directory / FOLDER, made, seed=seed, options=options, workers=workers, progress=progress)
    lines = (directory / FOLDER / f"{Split.INDUSTRY.value}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for name in SHARES:
        share, rows = rows[: counts.get(name, 0)], rows[counts.get(name, 0) :]
        if share:
            _write(directory / f"{name}.jsonl", share)
    return {name: counts[name] for name in SHARES if counts.get(name)}


def _write(path: Path, rows: list[dict]) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row | {"image": f"{FOLDER}/{row['image']}"}, ensure_ascii=False) + "\n")
    draft.replace(path)
