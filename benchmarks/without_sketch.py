"""What can be known of the connections that a prompt leaves to the sketch, by one who does not see it?

    python -m benchmarks.without_sketch

Prompts of style "sketch" for factories of up to 6, 10, 16 and 40 objects, as `configs/nano.py` draws them, with and
without `synth.unordered`. One JSON line each, appended to results/without_sketch.jsonl:

  next: the share of the flow's connections that lead to the object that the prompt introduces next. chance: the share
    that would if the objects came in any order.
  forth: the share that lead to an object that comes later at all.
  classes: the share of all connections that are still right, on average, when objects of the same class exchange their
    names at random: what one draws who knows how many of which class lead to which, and of names nothing.
  worth: by how much SVR would rise from there if a sketch told the rest, all objects being right anyway.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import record
from vlsm_jax.metrics.svr import SVR_WEIGHTS
from vlsm_jax.synth.prompts import PromptStyle
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplets
from vlsm_jax.twin import Twin

RESULTS = Path(__file__).parent / "results" / "without_sketch.jsonl"
SEED, PROMPTS, EXCHANGES = 7, 400, 20


def kept_by_classes(twin: Twin, rng: np.random.Generator) -> float:
    """Returns the share of a factory's connections that exchanged names leave as they are; 1 without connections."""
    wires = {(wire.source, wire.target, wire.port) for wire in twin.connections}
    alike: dict[str, list[str]] = {}
    for item in twin.objects:
        alike.setdefault(item.cls, []).append(item.name)
    shares = []
    for _ in range(EXCHANGES):
        other: dict[str, str] = {}
        for names in alike.values():
            other |= zip(names, rng.permutation(names).tolist(), strict=True)
        shares.append(len({(other[a], other[b], port) for a, b, port in wires} & wires) / len(wires) if wires else 1.0)
    return float(np.mean(shares))


def steps_along(twin: Twin) -> Sequence[int]:
    """Returns by how many places each connection of the flow goes on in the order of the objects."""
    places = {item.name: place for place, item in enumerate(twin.objects)}
    return [places[wire.target] - places[wire.source] for wire in twin.connections if wire.port == "A"]


def main() -> None:
    """Measures, prints, and appends to the results."""
    for most in (6, 10, 16, 40):
        for unordered in (False, True):
            options = TripletOptions(
                prompt_styles=(PromptStyle.SKETCH,),
                script_styles=(ScriptStyle.DICTATED,),
                plain_scripts=True,
                open_names=0.7,
                most_objects=most,
                unordered=unordered,
            )
            rng = np.random.default_rng(SEED)
            steps, chance, kept = [], [], []
            for triplet in make_triplets(SEED, range(PROMPTS), options, Split.IID):
                told = triplet.prompt.told
                along = steps_along(told)
                steps += along
                chance += [1 / len(told.objects)] * len(along)  # n - 1 of the n (n - 1) ordered pairs are neighbours
                kept.append(kept_by_classes(told, rng))
            found = {
                "next": np.mean(np.array(steps) == 1),
                "chance": np.mean(chance),
                "forth": np.mean(np.array(steps) > 0),
                "classes": np.mean(kept),
                "worth": SVR_WEIGHTS[0] * (1 - np.mean(kept)),
            }
            record(
                {
                    "most_objects": most,
                    "unordered": unordered,
                    **{name: round(float(value), 4) for name, value in found.items()},
                    "connections": len(steps),
                    "prompts": PROMPTS,
                    "seed": SEED,
                    "date": time.strftime("%Y-%m-%d"),
                },
                RESULTS,
            )


if __name__ == "__main__":
    main()
