"""Rows of one evaluation written by several processes: each keeps a file of its own, the first puts them together.

What every process has written is found again by any later run, of as many processes or of others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from vlsm_jax.evaluation.predictions import Prediction, read_predictions, write_predictions

PREDICTIONS = "predictions.jsonl"


class Processes(Protocol):
    """The processes of a job, of which this is one; `vlsm_jax.training.distributed.Processes` is one of them."""

    @property
    def index(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def first(self) -> bool: ...
    def by_first(self, what: str, work: Callable[[], str]) -> str: ...
    def agree(self, topic: str, facts: Mapping[str, Any]) -> None: ...


class Alone:
    """The one process of a job that has no others."""

    index, count, first = 0, 1, True

    def by_first(self, what: str, work: Callable[[], str]) -> str:
        """Returns what `work` returns."""
        return work()

    def agree(self, topic: str, facts: Mapping[str, Any]) -> None:
        """Agrees with itself."""


def own_file(directory: Path, processes: Processes) -> Path:
    """Returns the file to which this process appends its rows: that of all rows where it is alone."""
    return directory / (PREDICTIONS if processes.count == 1 else f"predictions-of-process-{processes.index}.jsonl")


def gather_rows(directory: Path) -> dict[str, Prediction]:
    """Returns all rows by id, once those in files of single processes are in the one file; for the first process.

    Raises:
      PredictionError: a file holds a line that is no prediction.
    """
    path, parts = directory / PREDICTIONS, sorted(directory.glob("predictions-of-process-*.jsonl"))
    rows: dict[str, Prediction] = {}
    for file in [path, *parts]:
        if file.exists():
            # A kill between the two steps below leaves rows that are there already.
            rows = {prediction.id: prediction for prediction in read_predictions(file)} | rows
    if parts:
        write_predictions(path, rows.values())
        for part in parts:
            part.unlink()
    return rows
