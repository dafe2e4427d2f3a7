"""What the best of N candidates is worth, and what each part of the ranking earns; one JSON line per way of choosing.

Launch: `python -m benchmarks.verification --model runs/quickstart/export --data runs/quickstart/data [--split iid]
[--samples 200] [--candidates 16] [--max-tokens 320] [--seed 1] [--state candidates.jsonl]`. Candidates are drawn once
and kept in the state file; started again with the same file, those that are there are not drawn again.

Ways of choosing
  greedy: the first candidate.
  best: what `vlsm_jax.verification.verify` takes; `mended` with rules, else as it was written.
  oracle: the candidate nearest to the reference, which nobody could know.
  verdict, ...: by parts of the ranking alone: how far a script comes and what is found wrong with it (verdict), what
    does not fit the prompt (prompt), log-probability (likely), agreement.

Figures: mean SVR, PMR and ESR, and the share of samples whose whole factory is right (SVR and PMR of 1). Of mended
scripts: how many were changed, and how many of them came nearer to the reference or went further from it (SVR + PMR).
Seconds are those of one prompt, all its candidates together.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import machine_name
from vlsm_jax.metrics import pmr, svr
from vlsm_jax.simulator import build
from vlsm_jax.twin import Twin
from vlsm_jax.verification import MENDED, Asked, Checks, Trial, Verified, verify


class Worth(NamedTuple):
    """What one script is worth against its reference."""

    svr: float
    pmr: float
    esr: float
    whole: float


Key = Callable[[Trial], Any]
PARTS: dict[str, Key] = {
    "verdict": lambda t: t.judged.judgement[:2],
    "verdict, likely": lambda t: (t.judged.judgement[:2], t.log_probability),
    "verdict, agreement": lambda t: (t.judged.judgement[:2], t.agreement),
    "verdict, prompt": lambda t: t.judged.judgement,
    "verdict, prompt, likely": lambda t: (t.judged.judgement, t.log_probability),
    "verdict, prompt, agreement": lambda t: (t.judged.judgement, t.agreement),
    "likely": lambda t: t.log_probability,
}


def worth(reference: Twin, trial: Trial) -> Worth:
    """Scores what a candidate builds."""
    twin = trial.judged.twin
    structure, parameters = svr(reference, twin).svr, pmr(reference, twin)
    return Worth(structure, parameters, float(trial.runs), float(structure == 1 and parameters == 1))


def draw(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns samples with their candidates: those of the state file, and what is missing, drawn."""
    rows: dict[str, dict[str, Any]] = {}
    if options.state and options.state.exists():
        rows = {row["id"]: row for row in map(json.loads, options.state.read_text(encoding="utf-8").splitlines())}
    from vlsm_jax.data.triplets import open_triplets

    source = open_triplets(options.data, split=options.split)
    samples = [source[n] for n in range(min(options.samples, len(source)))]
    missing = [s for s in samples if len(rows.get(s.id, {"candidates": ()})["candidates"]) < options.candidates]
    if missing:
        from vlsm_jax.generation.load import load_generator
        from vlsm_jax.generation.sampling import Sampling

        generator = load_generator(pathlib.Path(options.model))
        for start in range(0, len(missing), options.batch_size):
            batch = missing[start : start + options.batch_size]
            made = generator.generate(
                [s.image for s in batch],
                [s.prompt for s in batch],
                max_tokens=options.max_tokens,
                rows=options.batch_size,
                constrain=options.constrain,
                candidates=options.candidates,
                sampling=Sampling(temperature=options.temperature),
                seed=options.seed,
            )
            for sample, several in zip(batch, made, strict=True):
                found = [[m.text, m.log_probability] for m in several]
                rows[sample.id] = {
                    "id": sample.id, "prompt": sample.prompt, "response": sample.response, "candidates": found,
                }  # fmt: skip
                if options.state:
                    with options.state.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(rows[sample.id]) + "\n")
    return [rows[s.id] for s in samples]


def verified(row: dict[str, Any], count: int, mend: int, seed: int) -> Verified:
    """Verifies the first candidates of a sample."""
    texts, chances = zip(*(c[:2] for c in row["candidates"][:count]), strict=True)
    # Other random streams than those that anything would be scored under.
    return verify(Asked(row["prompt"], texts, chances), Checks(until=28800.0, seed=seed + 1, mend=mend))


def figures(way: str, count: int, found: Sequence[Worth], **more: Any) -> dict[str, Any]:
    """Returns the means of a way of choosing among so many candidates."""
    means = np.mean(np.asarray(found), axis=0)
    rounded = {name: round(float(mean), 4) for name, mean in zip(Worth._fields, means, strict=True)}
    return {"way": way, "candidates": count, **rounded, **more}


def measure(rows: Sequence[dict[str, Any]], count: int, seed: int) -> list[dict[str, Any]]:
    """Returns the figures of every way of choosing among the first `count` candidates."""
    references = [build(row["response"]).twin for row in rows]
    began = time.perf_counter()
    plain = [verified(row, count, 0, seed) for row in rows]
    between = time.perf_counter()
    mended = [verified(row, count, MENDED, seed) for row in rows]
    ended = time.perf_counter()

    def of(trials: Sequence[Trial]) -> list[Worth]:
        return [worth(reference, trial) for reference, trial in zip(references, trials, strict=True)]

    best, after = of([v.best for v in plain]), of([v.best for v in mended])
    changed = [v.by == "rules" for v in mended]
    moves = [round(a.svr + a.pmr - b.svr - b.pmr, 9) for a, b in zip(after, best, strict=True)]
    each = round((between - began) / len(rows), 4), round((ended - between) / len(rows), 4)
    lines = [figures("best", count, best, seconds=each[0])]
    counts = {"changed": sum(changed), "nearer": sum(m > 0 for m in moves), "further": sum(m < 0 for m in moves)}
    lines.append(figures("best, mended", count, after, seconds=each[1], **counts))
    if count == 1:
        return [{**line, "way": line["way"].replace("best", "greedy")} for line in lines]
    for way, key in PARTS.items():
        taken = [max(sorted(v.trials, key=lambda t: t.index), key=key) for v in plain]
        lines.append(figures(way, count, of(taken)))
    nearest = [max(v.trials, key=lambda t, r=r: sum(worth(r, t)[:2])) for v, r in zip(plain, references, strict=True)]
    return [*lines, figures("oracle", count, of(nearest))]


def main() -> None:
    """Draws what is missing, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="iid")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--max-tokens", type=int, default=320)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--constrain", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=pathlib.Path, help="one line per sample; what is in it is not drawn again")
    options = parser.parse_args()
    rows = draw(options)
    settings = {key: getattr(options, key) for key in ("split", "temperature", "constrain", "seed")}
    machine = {
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
    }
    counts = [n for n in (1, 4, 8, 16, 32) if n <= options.candidates]
    for count in counts:
        for line in measure(rows, count, options.seed):
            print(
                json.dumps({"figure": "verification", **line, "samples": len(rows), **settings, **machine}), flush=True
            )


if __name__ == "__main__":
    main()
