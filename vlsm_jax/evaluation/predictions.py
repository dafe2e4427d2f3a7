"""Predictions on disk: one JSON line per test sample, appended as soon as it is scored.

The file outlives a killed run: rows that are there count as done, and a last line that was torn off is dropped.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vlsm_jax.metrics.score import PairScore

_logger = logging.getLogger(__name__)


class PredictionError(ValueError):
    """A predictions file that cannot be used; the message names file, line and field."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What must agree for the rows of one file to belong together.

    Attributes:
      until: simulated seconds of each run.
      seed: of the random streams of each run.
      generator: what wrote the candidates, such as a checkpoint and its step; free text.
    """

    until: float
    seed: int
    generator: str = ""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One test sample, what was generated for it, and what that is worth.

    Attributes:
      id: of the sample, unique within the file.
      image: path of the sketch; empty for a sample without one.
      prompt: the engineer's text.
      reference: the reference script.
      candidate: the generated script.
      scores: of the candidate, with its verdict and diagnostics.
      reference_report: `Report.to_dict()` of the reference's run: Twin and KPIs.
      candidate_report: the same of the candidate's run.
      settings: how it was generated and run.
      generation_seconds: of decoding, compilation left out where the generator tells it apart; a batch's time is shared
        among its samples. None if not measured.
      generation_tokens: tokens generated; None if not counted.
      metadata: what else is known of the sample, such as its industry and layout.
      verification: how the candidate was chosen and mended; None where neither was done.
    """

    id: str
    image: str
    prompt: str
    reference: str
    candidate: str
    scores: PairScore
    reference_report: Mapping[str, Any]
    candidate_report: Mapping[str, Any]
    settings: Settings
    generation_seconds: float | None = None
    generation_tokens: int | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    verification: Mapping[str, Any] | None = None

    @property
    def verdict(self) -> str:
        """Value of the candidate's verdict, such as "ok"."""
        return self.scores.verdict

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, which `from_dict` reads back."""
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        row["scores"] = self.scores.to_dict()
        row["settings"] = dataclasses.asdict(self.settings)
        row["metadata"] = dict(self.metadata)
        # Only the Twin and the KPIs are of use again; the verdict and the diagnostics stand in the scores.
        for report in ("reference_report", "candidate_report"):
            row[report] = {key: row[report].get(key) for key in ("ok", "verdict", "twin", "kpis")}
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Prediction:
        """Reads what `to_dict` wrote; raises `KeyError` or `TypeError` where a field is missing or foreign."""
        fields = dict(row)
        fields["scores"] = PairScore.from_dict(row["scores"])
        fields["settings"] = Settings(**row["settings"])
        return cls(**fields)


def read_predictions(path: str | os.PathLike) -> list[Prediction]:
    """Reads a predictions file.

    A last line without its line break was torn off by a kill: it is left out, with a note in the log.

    Raises:
      PredictionError: the file is missing, or a line is no prediction, or an id occurs twice; it names the line.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise PredictionError(f"no predictions at {path}; run an evaluation first") from error
    lines = data.split(b"\n")
    if lines.pop():
        _logger.warning("%s:%d: the last line was torn off and is left out", path, len(lines) + 1)
    predictions: dict[str, Prediction] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            prediction = Prediction.from_dict(json.loads(line))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise PredictionError(f"{where}: not JSON: {error}; remove the line to have it generated again") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise PredictionError(f"{where}: not a prediction: {reason}") from error
        if prediction.id in predictions:
            raise PredictionError(f"{where}: id {prediction.id!r} occurs twice; remove one of the two lines")
        predictions[prediction.id] = prediction
    return list(predictions.values())


class PredictionLog:
    """Appends predictions to a file, which it reads first; a context manager.

    Args:
      path: of the file; it and its folder are made where missing. A torn last line is cut off, with a note in the log.

    Raises:
      PredictionError: the file holds a line that is no prediction.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, Prediction] = {}
        if self.path.exists():
            self.rows = {prediction.id: prediction for prediction in read_predictions(self.path)}
            _cut_torn_line(self.path)
        self._file = self.path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._file.close()

    def append(self, prediction: Prediction) -> None:
        """Writes one line through to the file.

        Raises:
          PredictionError: the id is there already.
        """
        if prediction.id in self.rows:
            raise PredictionError(f"{self.path}: id {prediction.id!r} is there already")
        # ASCII, so that a broken character in a generated script survives the trip.
        self._file.write(json.dumps(prediction.to_dict()).encode("ascii") + b"\n")
        self._file.flush()
        self.rows[prediction.id] = prediction


def write_predictions(path: str | os.PathLike, predictions: Iterable[Prediction]) -> None:
    """Writes a whole file at once: whoever looks sees the old one or the new one."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.write_text("".join(json.dumps(p.to_dict()) + "\n" for p in predictions), encoding="ascii")
    draft.replace(path)


def _cut_torn_line(path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
