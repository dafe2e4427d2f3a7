"""Samples that teach a model to rewrite scripts: a triplet's script, damaged, with what is found wrong with it.

Rules mend nearly all single faults (`vlsm_jax.repair`), so most of these have what rules do not mend: several faults at
once, lines that are lost or doubled, an end that is cut off. The prompt of a sample is the text that a model is asked
with later, `vlsm_jax.repair.repair_prompt`; its sketch is the triplet's; its response is the script as it was.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from vlsm_jax.repair import Judged, Statement, judge, repair_prompt
from vlsm_jax.simulator import Budget, build
from vlsm_jax.synth.corruption_kinds import SCRIPT_ALONE, WITH_PROMPT, Written
from vlsm_jax.synth.derived import Progress, derived_row, write_derived
from vlsm_jax.twin import Twin

FOLDER: Final = "repair"
KIND: Final = "repair"
BUDGET: Final = Budget(steps=200_000, nodes=5_000, events=100_000, wall_seconds=5.0)
TRIES: Final = 12
MOST_FAULTS: Final = 4

Rng = np.random.Generator


class Damage(NamedTuple):
    """A script that something was done to.

    Attributes:
      script: as it is now.
      faults: what was done, each one of the kinds of `vlsm_jax.synth.corruptions`, or "lines lost", "lines doubled",
        "end cut off".
    """

    script: str
    faults: tuple[str, ...]


# --- Damage -----------------------------------------------------------------------------------------------------------


def single_faults(script: str, twin: Twin, prompt: str, rng: Rng) -> Damage:
    """Returns a script with one to four faults of single words, marks or statements."""
    kinds, faults = {**SCRIPT_ALONE, **WITH_PROMPT}, []
    names = list(kinds)
    for _ in range(1 + int(rng.integers(MOST_FAULTS))):
        name = names[int(rng.integers(len(names)))]
        change = kinds[name](Written(script, twin, prompt), rng)
        if change is not None:
            script = script[: change.start] + change.text + script[change.end :]
            faults.append(name)
    return Damage(script, tuple(faults))


def lines_lost(script: str, twin: Twin, prompt: str, rng: Rng) -> Damage:
    """Returns a script without one to six lines in a row."""
    lines = script.splitlines(keepends=True)
    start, count = int(rng.integers(len(lines))), 1 + int(rng.integers(6))
    return Damage("".join(lines[:start] + lines[start + count :]), ("lines lost",))


def lines_doubled(script: str, twin: Twin, prompt: str, rng: Rng) -> Damage:
    """Returns a script with one to six lines in a row twice."""
    lines = script.splitlines(keepends=True)
    start, count = int(rng.integers(len(lines))), 1 + int(rng.integers(6))
    return Damage("".join(lines[: start + count] + lines[start:]), ("lines doubled",))


def end_cut_off(script: str, twin: Twin, prompt: str, rng: Rng) -> Damage:
    """Returns the first half of a script, or more of it."""
    return Damage(script[: int(len(script) * rng.uniform(0.5, 0.98))], ("end cut off",))


DAMAGES: Final = ((single_faults, 0.6), (lines_lost, 0.2), (lines_doubled, 0.08), (end_cut_off, 0.12))
"""What is done, with the share of samples it is done to."""


def damage(script: str, prompt: str, rng: Rng) -> tuple[Damage, Judged] | None:
    """Returns a script with something wrong with it that shows, judged by running it; None where no try gave that."""
    statement, twin = Statement(prompt), build(script, budget=BUDGET).twin or Twin()
    ways, shares = zip(*DAMAGES, strict=True)
    for _ in range(TRIES):
        way = ways[int(rng.choice(len(ways), p=shares))]
        made = way(script, twin, prompt, rng)
        if not made.faults or made.script.strip() in ("", script.strip()):
            continue
        found = judge(made.script, statement, runs=True, budget=BUDGET)
        if found.complaints:
            return made, found
    return None


# --- Samples ----------------------------------------------------------------------------------------------------------


def repair_row(triplet: Mapping[str, Any], seed: int = 0) -> dict[str, Any] | None:
    """Returns a sample of repair made of a triplet's row; the same for a seed on every call. None where none came out.

    Its picture is `image` as the triplet's row has it.
    """
    number = (seed, zlib.crc32(str(triplet["id"]).encode()))
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(number, spawn_key=(8,))))
    made = damage(triplet["response"], triplet["prompt"], rng)
    if made is None:
        return None
    (script, faults), found = made
    facts = {"faults": list(faults), "verdict": found.verdict.value, "damaged": script}
    return derived_row(triplet, KIND, repair_prompt(triplet["prompt"], found), triplet["response"], facts)


def write_repairs(
    directory: str | Path, share: float, *, seed: int = 0, workers: int = 1, progress: Progress | None = None
) -> dict[str, int]:
    """Writes samples of repair in `<directory>/repair`, a data set of its own; see `write_derived`."""
    return write_derived(
        directory, FOLDER, functools.partial(repair_row, seed=seed), share, workers=workers, progress=progress
    )
