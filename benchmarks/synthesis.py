"""How fast triplets are made: checked by running, with pictures, written to disk; and what each part of one costs.

Targets: 100 triplets per second and core at 512 x 341; 120,285 triplets, the size of GDT-120K, in under 12 minutes on
two cores. Prints one JSON object per figure.

    python benchmarks/synthesis.py --triplets 2000 --workers 2 >> benchmarks/results/synthesis.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from vlsm_jax.synth import Split, TripletOptions, write_dataset  # noqa: E402
from vlsm_jax.synth.prompts import write_prompt  # noqa: E402
from vlsm_jax.synth.scripts import write_script  # noqa: E402
from vlsm_jax.synth.sketches import SketchError, encode_image, paint_sketch  # noqa: E402
from vlsm_jax.synth.triplets import check_script, sample_for  # noqa: E402


def parts(count: int, seed: int) -> dict[str, float]:
    """Returns mean milliseconds of CPU time of each part of making a triplet, one triplet after the other."""
    options, spent = TripletOptions(), dict.fromkeys(("sample", "script", "check", "prompt", "sketch", "encode"), 0.0)

    def timed(part: str, function, *args, **kwargs):
        began = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] += time.process_time() - began

    for i in range(-20, count):
        if i == 0:
            spent = dict.fromkeys(spent, 0.0)  # what comes before warms caches up
        rng = np.random.default_rng((seed, i + 20))
        factory, _ = timed("sample", sample_for, Split.TRAIN, options, rng, rng)
        script_style = options.script_styles[i % len(options.script_styles)]
        script = timed("script", write_script, factory.twin, script_style, rng)
        timed("check", check_script, script, factory)
        timed("prompt", write_prompt, factory, options.prompt_styles[i % len(options.prompt_styles)], rng)
        style = options.sketch_styles[i % len(options.sketch_styles)]
        try:
            sketch = timed("sketch", paint_sketch, factory.twin, rng, options.image_size, style)
        except SketchError:
            continue
        timed("encode", encode_image, sketch)
    return {part: 1000 * seconds / count for part, seconds in spent.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triplets", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="write the data set here and leave it")
    parser.add_argument("--note", help="whatever the figures depend on, such as whose interpreter it is")
    options = parser.parse_args()
    machine = {
        "seed": options.seed,
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }
    if options.note:
        machine["note"] = options.note
    for part, milliseconds in parts(400, options.seed).items():
        figure = {"figure": f"synthesis.{part}", "value": round(milliseconds, 3), "unit": "ms of CPU", "triplets": 400}
        print(json.dumps(figure | machine), flush=True)
    with tempfile.TemporaryDirectory() as scratch, tqdm(total=options.triplets, unit="triplet", disable=None) as bar:
        directory = options.keep or Path(scratch, "triplets")
        began, spent = time.perf_counter(), sum(os.times()[:4])
        write_dataset(
            directory,
            {Split.TRAIN: options.triplets},
            seed=options.seed,
            workers=options.workers,
            progress=lambda done, total: bar.update(done - bar.n),
        )
        seconds, spent = time.perf_counter() - began, sum(os.times()[:4]) - spent
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    facts = {"triplets": options.triplets, "workers": options.workers, "bytes": size, "image": [512, 341]}
    cores = min(options.workers, os.cpu_count() or 1)
    for figure, value, unit in (
        ("synthesis.wall", round(seconds, 1), "s"),
        ("synthesis.rate", round(options.triplets / seconds, 1), "triplets/s"),
        ("synthesis.rate_per_core", round(options.triplets / seconds / cores, 1), "triplets/s"),
        # What is left of it when others are busy on the machine; start and end of all processes included.
        ("synthesis.rate_per_cpu_second", round(options.triplets / spent, 1), "triplets/s"),
    ):
        print(json.dumps({"figure": figure, "value": value, "unit": unit, **facts, **machine}), flush=True)


if __name__ == "__main__":
    main()
