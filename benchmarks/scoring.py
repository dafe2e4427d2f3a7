"""How long scoring takes: pairs of a sampled reference and a perturbed candidate, each run for eight hours, in a pool.

Prints one JSON object per figure: what, value, unit, and the machine. The target is 1,000 pairs in under 120 seconds on
two cores.

    python benchmarks/scoring.py --pairs 1000 --workers 2 >> benchmarks/results/scoring.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from vlsm_jax.metrics import score_pairs, summarise  # noqa: E402
from vlsm_jax.synth import ScriptStyle, sample_factory, write_script  # noqa: E402

UNTIL = 28800.0
CANDIDATES = 2
"""Candidates per reference: a test set has one or a few."""


def lose_a_line(script: str, rng: random.Random) -> str:
    """Drops one line."""
    lines = script.splitlines()
    del lines[rng.randrange(len(lines))]
    return "\n".join(lines)


def swap_two_lines(script: str, rng: random.Random) -> str:
    """Exchanges a line with the next."""
    lines = script.splitlines()
    at = rng.randrange(len(lines) - 1)
    lines[at : at + 2] = reversed(lines[at : at + 2])
    return "\n".join(lines)


def change_a_number(script: str, rng: random.Random) -> str:
    """Adds one to one number."""
    found = rng.choice(list(re.finditer(r"\b\d+\b", script)))
    return script[: found.start()] + str(int(found[0]) + 1) + script[found.end() :]


def cut_off(script: str, rng: random.Random) -> str:
    """Ends the script somewhere in its second half, as a generator out of tokens does."""
    return script[: rng.randrange(len(script) // 2, len(script))]


def leave_alone(script: str, rng: random.Random) -> str:
    """Returns the script with a remark, so that nothing is found again by its whole text."""
    return f"{script}// {rng.random()}\n"


PERTURB = (leave_alone, leave_alone, change_a_number, change_a_number, lose_a_line, swap_two_lines, cut_off)


def sampled_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Returns pairs of scripts, each reference with `CANDIDATES` candidates."""
    pairs = []
    for i in range(count):
        rng = np.random.default_rng((seed, i // CANDIDATES))
        reference = write_script(sample_factory(rng).twin, list(ScriptStyle)[i // CANDIDATES % 2], rng)
        choice = random.Random(f"{seed}-{i}")
        pairs.append((reference, choice.choice(PERTURB)(reference, choice)))
    return pairs


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    pairs = sampled_pairs(options.pairs, options.seed)
    with tqdm(total=len(pairs), unit="pair", disable=None) as bar:
        began = time.perf_counter()
        scores = score_pairs(
            pairs,
            workers=options.workers,
            until=UNTIL,
            seed=options.seed,
            progress=lambda done, _: bar.update(done - bar.n),
        )
        taken = time.perf_counter() - began
    summary = summarise(scores)
    machine = {
        "workers": options.workers,
        "pairs": len(pairs),
        "references": len({reference for reference, _ in pairs}),
        "simulated_hours": UNTIL / 3600,
        "svr": round(summary.svr.mean, 4),
        "esr": round(summary.esr.mean, 4),
        "load_before": round(load, 2),
        "python": platform.python_version(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }
    for figure, value, unit in (
        ("scoring.wall", round(taken, 1), "s"),
        ("scoring.rate", round(len(pairs) / taken, 1), "pairs/s"),
    ):
        print(json.dumps({"figure": figure, "value": value, "unit": unit, **machine}), flush=True)


if __name__ == "__main__":
    main()
