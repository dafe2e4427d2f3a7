"""How far copying gets: the training script whose prompt is nearest, its names substituted, scored on every split.

The nearest prompt is the one of greatest cosine between TF-IDF vectors of words and word pairs (scikit-learn). Names
are then substituted in the copied script: the k-th object of a class that the training prompt names becomes the k-th of
that class that the test prompt names. Which words are names is taken from the reference itself, so the baseline is
better than anyone could make it without a look at the answer. A split on which it does well measures memory.

Prints one JSON object per split.

    vlsm data make runs/triplets --train 20000 --test 1000 --workers 2
    python benchmarks/nearest.py runs/triplets >> benchmarks/results/nearest.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from vlsm_jax.metrics import summarise, try_pairs  # noqa: E402
from vlsm_jax.simulator import build  # noqa: E402
from vlsm_jax.twin import Twin  # noqa: E402

SPLITS = ("iid", "industry", "layout", "size", "timing")
UNTIL = 28800.0
_WORDS = r"[A-Za-z][\w.-]*|\d+(?:\.\d+)?"


def read_rows(path: Path, limit: int | None = None) -> list[dict]:
    """Returns the rows of a split's file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(limit) if limit else iter(int, 1), strict=False)]


def nearest_prompts(trained: list[str], asked: list[str], at_once: int = 200) -> list[int]:
    """Returns for every prompt that is asked the number of the nearest that was trained."""
    vectorizer = TfidfVectorizer(
        token_pattern=_WORDS, ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32
    )
    there = vectorizer.fit_transform(trained).T.tocsc()
    vectors = vectorizer.transform(asked)
    out: list[int] = []
    for start in range(0, len(asked), at_once):
        similar = (vectors[start : start + at_once] @ there).toarray()
        out.extend(similar.argmax(axis=1).tolist())
    return out


def named_in_order(twin: Twin, prompt: str) -> dict[str, list[str]]:
    """Returns the names of every class in the order in which a prompt has them; those it has not come last."""
    places = {obj.name: prompt.find(obj.name) % (len(prompt) + 1) for obj in twin.objects}
    out: dict[str, list[str]] = {}
    for obj in sorted(twin.objects, key=lambda obj: places[obj.name]):
        out.setdefault(obj.cls, []).append(obj.name)
    return out


def substitute_names(script: str, old: dict[str, list[str]], new: dict[str, list[str]]) -> str:
    """Returns the script with every quoted name exchanged for its counterpart, as far as there are counterparts."""
    pairs = {a: b for cls, names in old.items() for a, b in zip(names, new.get(cls, ()), strict=False)}
    if not pairs:
        return script
    quoted = re.compile('"(' + "|".join(map(re.escape, sorted(pairs, key=len, reverse=True))) + ')"')
    return quoted.sub(lambda match: f'"{pairs[match[1]]}"', script)


def copied(row: dict, neighbour: dict) -> str:
    """Returns the neighbour's script with the names of the row's factory."""
    mine, theirs = build(row["response"]).twin, build(neighbour["response"]).twin
    return substitute_names(
        neighbour["response"],
        named_in_order(theirs, neighbour["prompt"]),
        named_in_order(mine, row["prompt"]),
    )


def main() -> None:
    """Scores and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="what vlsm data make wrote")
    parser.add_argument("--samples", type=int, default=1000, help="of each split at most")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    trained = read_rows(options.directory / "train.jsonl")
    for split in SPLITS:
        rows = read_rows(options.directory / f"{split}.jsonl", options.samples)
        began = time.perf_counter()
        found = nearest_prompts([row["prompt"] for row in trained], [row["prompt"] for row in rows])
        pairs = [(row["response"], copied(row, trained[i])) for row, i in zip(rows, found, strict=True)]
        scores = try_pairs(pairs, workers=options.workers, until=UNTIL)
        summary = summarise(scores)
        figures = {
            name: {"mean": round(value.mean, 4), "low": round(value.low, 4), "high": round(value.high, 4)}
            for name, value in (
                ("svr", summary.svr),
                ("pmr", summary.pmr),
                ("esr", summary.esr),
                ("bleu4", summary.bleu4),
            )
        }
        exact = sum(not score.differences for score in scores) / len(scores)
        print(
            json.dumps(
                {
                    "figure": "nearest",
                    "split": split,
                    **figures,
                    "same_twin": round(exact, 4),
                    "samples": len(rows),
                    "trained_on": len(trained),
                    "seconds": round(time.perf_counter() - began, 1),
                    "data": json.loads((options.directory / "dataset.json").read_text())["seed"],
                    "python": platform.python_version(),
                    "machine": machine_name(),
                    "cores": os.cpu_count(),
                    "date": time.strftime("%Y-%m-%d"),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
