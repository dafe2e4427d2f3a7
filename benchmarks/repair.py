"""Mends scripts that have one fault each; one JSON line per figure.

Launch: `python -m benchmarks.repair [--scripts 2000] [--seed 2026] [--processes 1] [--state repair.jsonl]`. The state
file gets one line per script; started again with the same file, the benchmark goes on where it ended. A script is found
again by its number: `vlsm_jax.synth.corruptions.make_corruption(seed, index, split=Split.IID)`.

The set: factories of the split `iid`, none of which is isomorphic to one of the split that rules are tried on; kinds
of faults take turns. Kinds that the script alone does not give away come with a prompt that states what is right; all
others come without any prompt. What nobody could tell is not in the set: a number that no prompt states, or two numbers
that have become one for want of the comma between them.

What is measured
  mended: the script builds exactly the Twin that it built before the fault.
  runs: it runs, whatever it builds.
  worse: its judgement, by another run, is below what it was with the fault.
  further: its Twin is further from the original's than the one with the fault: fewer objects, connections or parameters
    are right. No judge can rule that out where it does not know the original.
  changed_wrongly: it was changed, and is not mended.
  seconds: of a script, reading, searching and running included.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import platform
import statistics
import time
from typing import Any

from benchmarks.machine import machine_name
from vlsm_jax.metrics.pmr import pmr
from vlsm_jax.metrics.svr import connection_overlap, object_overlap
from vlsm_jax.repair import Level, Statement, judge, mend
from vlsm_jax.synth.corruptions import KINDS, WITH_PROMPT, CorruptionError, make_corruption
from vlsm_jax.synth.splits import Split
from vlsm_jax.twin import Twin


def examine(task: tuple[int, int, str]) -> dict[str, Any]:
    """Corrupts one script and mends it."""
    seed, index, split = task
    try:
        broken = make_corruption(seed, index, split=Split(split))
    except CorruptionError as error:
        return {"index": index, "kind": KINDS[index % len(KINDS)], "missing": str(error)}
    began, worked = time.perf_counter(), time.process_time()
    done = mend(broken.script, broken.prompt)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    statement = Statement(broken.prompt)
    before, after = (judge(text, statement, runs=True) for text in (broken.script, done.after.script))
    mended = after.twin == broken.twin
    return {
        "index": index,
        "kind": broken.kind,
        "mended": mended,
        "runs": after.judgement.level is Level.RUNS,
        "ran": before.judgement.level is Level.RUNS,
        "worse": after.judgement < before.judgement,
        "further": _right(broken.twin, after.twin) < _right(broken.twin, before.twin),
        "changed_wrongly": done.changed and not mended,
        "rules": [step.rule for step in done.steps],
        "judged": done.judged,
        "seconds": round(seconds, 4),
        "cpu": round(cpu, 4),
    }


def _right(original: Twin, twin: Twin | None) -> float:
    wires, objects = connection_overlap(original, twin), object_overlap(original, twin)
    return wires.recall + objects.recall + pmr(original, twin)


def _interval(hits: int, total: int) -> list[float]:
    """Returns Wilson's interval of 95 % of a share."""
    z, share = 1.959964, hits / total
    middle = share + z * z / (2 * total)
    half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5
    return [round((middle - half) / (1 + z * z / total), 4), round((middle + half) / (1 + z * z / total), 4)]


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the figures of all scripts together, and by kind of fault."""
    found = [row for row in rows if "mended" in row]
    kinds = collections.defaultdict(list)
    for row in found:
        kinds[row["kind"]].append(row)
    mended = sum(row["mended"] for row in found)
    seconds = sorted(row["seconds"] for row in found)
    return {
        "scripts": len(found),
        "missing": len(rows) - len(found),
        "mended": round(mended / len(found), 4),
        "interval": _interval(mended, len(found)),
        "runs": round(sum(row["runs"] for row in found) / len(found), 4),
        "ran_before": round(sum(row["ran"] for row in found) / len(found), 4),
        "worse": sum(row["worse"] for row in found),
        "further": sum(row["further"] for row in found),
        "changed_wrongly": sum(row["changed_wrongly"] for row in found),
        "seconds": {"median": statistics.median(seconds), "p95": seconds[int(0.95 * (len(seconds) - 1))]},
        "cpu_seconds_median": statistics.median(row["cpu"] for row in found),
        "judged_median": statistics.median(row["judged"] for row in found),
        "by_kind": {
            kind: {
                "mended": sum(row["mended"] for row in kinds[kind]),
                "scripts": len(kinds[kind]),
                "prompt": kind in WITH_PROMPT,
            }
            for kind in KINDS
            if kinds[kind]
        },
    }


def main() -> None:
    """Mends what is left to mend, and prints the figures of everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scripts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--split", default=Split.IID.value, choices=[split.value for split in Split])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--state", type=pathlib.Path, help="one line per script; what is in it is not mended again")
    options = parser.parse_args()
    rows: dict[int, dict[str, Any]] = {}
    if options.state and options.state.exists():
        for line in options.state.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[row["index"]] = row
    tasks = [(options.seed, n, options.split) for n in range(options.scripts) if n not in rows]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for row in pool.imap_unordered(examine, tasks):
            rows[row["index"]] = row
            if options.state:
                with options.state.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    machine = {
        "python": platform.python_version(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
    }
    counted = [row for index, row in sorted(rows.items()) if index < options.scripts]
    print(
        json.dumps({"figure": "repair", "seed": options.seed, "split": options.split, **summarise(counted), **machine})
    )


if __name__ == "__main__":
    main()
