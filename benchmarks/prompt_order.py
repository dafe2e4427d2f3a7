"""How much does the order of a prompt tell of the connections that it leaves to the sketch?

    python -m benchmarks.prompt_order

Prompts of style "sketch" for factories of up to 6, 16 and 40 objects, as `configs/nano.py` draws them, with and without
`synth.unordered`. One JSON line each, appended to results/prompt_order.jsonl:

  next: the share of the flow's connections that lead to the object that the prompt introduces next. chance: the share
    that would if the objects came in any order.
  forth: the share that lead to an object that comes later at all.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.machine import record
from vlsm_jax.synth.prompts import PromptStyle
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplets

RESULTS = Path(__file__).parent / "results" / "prompt_order.jsonl"
SEED, PROMPTS = 7, 400


def main() -> None:
    """Measures, prints, and appends to the results."""
    for most in (6, 16, 40):
        for unordered in (False, True):
            options = TripletOptions(
                prompt_styles=(PromptStyle.SKETCH,),
                script_styles=(ScriptStyle.DICTATED,),
                plain_scripts=True,
                open_names=0.7,
                most_objects=most,
                unordered=unordered,
            )
            steps, chance = [], []
            for triplet in make_triplets(SEED, range(PROMPTS), options, Split.IID):
                told = triplet.prompt.told
                places = {item.name: place for place, item in enumerate(told.objects)}
                flow = [wire for wire in told.connections if wire.port == "A"]
                steps += [places[wire.target] - places[wire.source] for wire in flow]
                chance += [1 / len(places)] * len(flow)  # n - 1 of the n (n - 1) ordered pairs are neighbours
            found = {
                "next": np.mean(np.array(steps) == 1),
                "chance": np.mean(chance),
                "forth": np.mean(np.array(steps) > 0),
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
