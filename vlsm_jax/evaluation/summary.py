"""The summary of an evaluation as JSON for programs and as a table for the terminal."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsm_jax.evaluation.predictions import Settings
from vlsm_jax.metrics.interval import Interval
from vlsm_jax.metrics.summary import Summary

FORMAT = "vlsm_jax.scores/1"

MEASURES: Mapping[str, str] = {
    "svr": "SVR",
    "connection_score": "  connections, recall",
    "connection_precision": "  connections, precision",
    "connection_f1": "  connections, F1",
    "object_score": "  objects, recall",
    "object_precision": "  objects, precision",
    "object_f1": "  objects, F1",
    "structure_share": "  wires, names aside",
    "same_structure": "  same graph, names aside",
    "pmr": "PMR",
    "pmr_stated": "  stated in the prompt",
    "parameter_recall": "  within tolerance, recall",
    "parameter_f1": "  within tolerance, F1",
    "esr": "ESR",
    "bleu4": "BLEU-4",
    "exact": "same Twin",
    "intent": "same throughput",
    "intent_rate": "IntentRate",
    "reference_intent_rate": "  of the references",
    "agreement": "KPI agreement",
}


def write_scores(path: str | os.PathLike, summary: Summary, settings: Settings) -> None:
    """Writes the summary as JSON; whoever looks sees the old file or the new one."""
    path = Path(path)
    content = {"format": FORMAT, "settings": dataclasses.asdict(settings), "scores": summary.to_dict()}
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    draft.replace(path)


def read_scores(path: str | os.PathLike) -> Summary:
    """Reads what `write_scores` wrote.

    Raises:
      ValueError: the file is missing, is not JSON, or has another format.
    """
    try:
        content: Any = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise ValueError(f"no scores at {path}; run an evaluation first") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not a file of scores; this version reads {FORMAT!r}")
    return Summary.from_dict(content["scores"])


def format_table(summary: Summary) -> str:
    """Returns the summary as lines of plain text: every measure with its interval, then verdicts and failures."""
    width = max(map(len, MEASURES.values()))
    lines = [f"{'':{width}}    mean   95 % interval      n = {summary.n}"]
    for field, label in MEASURES.items():
        value: Interval | None = getattr(summary, field)
        if value is None:  # not measured, or no reference of this test set has it
            continue
        lines.append(f"{label:{width}}  {value.mean:.4f}   {value.low:.4f} to {value.high:.4f}")
    if summary.goals:
        lines += _counts("goal", summary.goals, sum(summary.goals.values()))
    lines += _counts("verdict", summary.verdicts, summary.n)
    if summary.failures:
        lines += _counts("failure", summary.failures, summary.n)
    return "\n".join(lines)


def _counts(title: str, counts: Mapping[str, int], n: int) -> list[str]:
    width = max(map(len, MEASURES.values()))
    rows = [f"{name:{width}}  {count:6d}  {count / n:6.1%}" for name, count in counts.items()]
    return ["", f"{title:{width}}   count   share", *rows]
