"""Triplets carried into every format and back: whether rows and pictures are as they were, and how long it takes.

    vlsm data make runs/triplets --train 20000 --test 1000 --workers 2
    python benchmarks/formats.py runs/triplets >> benchmarks/results/formats.jsonl

Prints one JSON object for what `vlsm data validate` finds, one for each format, and one for a chain through all of them
one after the other. A row is equal when it is the same JSON, fields and values; a picture when its file is the same
bytes; `same_lines` counts lines of text that are the same bytes, the order of the fields included.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from vlsm_jax.curation import Look, validate  # noqa: E402
from vlsm_jax.data.conversion import FORMATS, convert_dataset  # noqa: E402
from vlsm_jax.data.triplets import find_splits, open_triplets  # noqa: E402

OTHERS = tuple(form for form in FORMATS if form != "jsonl")


def compare(before: Path, after: Path) -> dict[str, int]:
    """Returns how many lines, rows and pictures of two folders of JSON lines there are, and how many are the same."""
    counts: collections.Counter[str] = collections.Counter()
    for split in find_splits(before):
        name = f"{split}.jsonl"
        with (before / name).open("rb") as old_lines, (after / name).open("rb") as new_lines:
            for old, new in zip(old_lines, new_lines, strict=True):
                old_row, new_row = json.loads(old), json.loads(new)
                pictures = (before / old_row["image"]).read_bytes(), (after / new_row["image"]).read_bytes()
                counts["rows"] += 1
                counts["equal_rows"] += old_row == new_row
                counts["equal_pictures"] += pictures[0] == pictures[1]
                counts["same_lines"] += old == new
    return {name: counts[name] for name in ("rows", "equal_rows", "equal_pictures", "same_lines")}


def size_of(folder: Path) -> int:
    """Returns the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def carried(source: Path, target: Path, form: str) -> dict[str, float]:
    """Converts; returns seconds and bytes, and raises where rows were left out."""
    began = time.perf_counter()
    reports = convert_dataset(source, target, form)
    seconds = time.perf_counter() - began
    if left_out := sum(report.left_out for report in reports.values()):
        raise RuntimeError(f"{left_out} rows of {source} are not in {target}")
    return {"seconds": round(seconds, 1), "bytes": size_of(target)}


def round_trips(directory: Path, scratch: Path) -> Iterator[dict]:
    """Yields a figure for each format, and for the chain of them all."""
    for form in OTHERS:
        there, back = carried(directory, scratch / form, form), carried(scratch / form, scratch / "back", "jsonl")
        found = compare(directory, scratch / "back")
        yield {"figure": "formats.round_trip", "format": form, **found, "there": there, "back": back}
        shutil.rmtree(scratch / form)
        shutil.rmtree(scratch / "back")
    here, began = directory, time.perf_counter()
    for form in (*OTHERS, "jsonl"):
        carried(here, scratch / form, form)
        if here != directory:
            shutil.rmtree(here)
        here = scratch / form
    seconds = round(time.perf_counter() - began, 1)
    yield {"figure": "formats.chain", "format": "-".join(OTHERS), **compare(directory, here), "seconds": seconds}


def validated(directory: Path, workers: int) -> dict:
    """Returns what validation finds: every picture opened, every script run, splits compared with training."""
    names = find_splits(directory)
    # Training comes first, as the others are compared with it.
    names = sorted(names, key=lambda name: name != "train")
    began = time.perf_counter()
    found = validate({name: open_triplets(directory, split=name) for name in names}, Look(3600.0), workers=workers)
    return {
        "figure": "formats.validated",
        "rows": found.rows,
        "ok": found.ok,
        "findings": dict(found.findings),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="what vlsm data make wrote")
    parser.add_argument("--scratch", type=Path, help="where there is room for three times as much; a temporary folder")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    made = json.loads((options.directory / "dataset.json").read_text())
    facts = {
        "data": made["format"],
        "seed": made["seed"],
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(validated(options.directory, options.workers) | facts), flush=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        for figure in round_trips(options.directory, Path(scratch)):
            print(json.dumps(figure | facts), flush=True)


if __name__ == "__main__":
    main()
