"""The decoder forward and backward on a CPU beside transformers: the same weights, tokens and precision, in turns.

    python benchmarks/decoder.py                        30 M and 1.1 B parameters
    python benchmarks/decoder.py 30m --rounds 7
    python benchmarks/decoder.py --tiny                 a look at the machinery: figures mean nothing

A Llama with random weights; loss and gradients of all its parameters, without an optimizer, in float32, two threads on
both sides. Transformers has SDPA and stores its activations. Ours is the loss that is trained with, with `remat` as in
the configs ("dots") and without ("none", which stores what transformers stores). Of 30 M it has the settings of
`vlsm_jax/cpu_settings.py`; of 1.1 B not, since both sides would not fit into 24 GB then. How sides take turns is in
`benchmarks/turns.py`; a figure is the median of the rounds, a ratio the median of the rounds' ratios, and losses of the
two must agree. Each figure is one JSON line in benchmarks/results/decoder.jsonl.

Figures
  <size>.<side>: tokens per second; processor_seconds of a step, peak_mib of the process, weights included.
  <size>.<side> / <size>.transformers: times its speed, and of its peak.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "decoder.jsonl"

from benchmarks.machine import machine_name, record  # noqa: E402
from benchmarks.training_sides import (  # noqa: E402
    Machine,
    llama_config,
    params_of,
    random_batch,
    their_model,
    whole_batch,
    write_model,
)
from benchmarks.turns import THREADS, serve, started, take_turns  # noqa: E402

CPU = Machine(threads=THREADS)
SIDES = ("dots", "none", "transformers")


class Size(NamedTuple):
    """Of the decoder and of a batch."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    rows: int
    length: int


SIZES = {
    "30m": Size(512, 7, 8, 4, 1408, 8192, 8, 512),
    "1.1b": Size(2048, 22, 32, 4, 5632, 32000, 1, 256),
    "tiny": Size(64, 2, 4, 2, 128, 1024, 2, 64),
}


def prepare(folder: Path, size: Size) -> None:
    """Writes weights, which are bfloat16 numbers, and a batch."""
    config = llama_config(size, max_position_embeddings=2048)
    write_model(folder, config, layers=size.layers, adapters=False, machine=CPU._replace(dtype="bfloat16"))
    np.savez(folder / "batch.npz", **random_batch(size.rows, size.length, size.vocabulary))


def ours(folder: Path, remat: str):
    """Returns one forward and backward pass of the loss that is trained with."""
    import jax
    import jax.numpy as jnp

    from convert.checkpoint_reader import read_json
    from vlsm_jax.cpu_settings import compute_in_calling_thread
    from vlsm_jax.data.pipeline import Batch
    from vlsm_jax.models import DecoderConfig, VlsmConfig
    from vlsm_jax.sharding import make_mesh
    from vlsm_jax.training.network import Network
    from vlsm_jax.training.step import batch_loss

    compute_in_calling_thread()
    config = DecoderConfig.from_hf_config(read_json(folder / "model" / "config.json"))
    network = Network.create(VlsmConfig(None, None, config, image_token_id=config.vocabulary), remat=remat)
    mesh = make_mesh(devices=jax.devices()[:1])
    params = params_of(folder, nf4=False)(network, mesh)
    arrays = dict(np.load(folder / "batch.npz"))
    arrays["images"] = np.zeros((len(arrays["tokens"]), 0, 1, 1, 3), np.uint8)
    batch = Batch(**{name: jnp.asarray(value) for name, value in arrays.items()})

    @jax.jit
    def gradients(params, batch):
        def mean(params):
            total = batch_loss(network.merge(params), batch)
            return total.loss / total.weight

        return jax.value_and_grad(mean)(params)

    def step() -> dict[str, float]:
        loss, grads = jax.block_until_ready(gradients(params, batch))
        del grads
        return {"loss": float(loss)}

    return step


def theirs(folder: Path):
    """Returns one forward and backward pass of transformers."""
    model = their_model(folder, nf4=False, checkpointed=False, machine=CPU)
    batch = whole_batch(np.load(folder / "batch.npz"))

    def step() -> dict[str, float]:
        model.zero_grad(set_to_none=True)
        loss = model(**batch).loss
        loss.backward()
        return {"loss": float(loss)}

    return step


def compare(name: str, rounds: int, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Returns the figures of one size."""
    size = SIZES[name]
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, name, "--side", "prepare", "--folder", scratch]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        # A large model's gradients have to go back to the system before the other side's turn.
        settled = size.layers < SIZES["1.1b"].layers
        with started(__file__, names, Path(scratch), lambda side: settled and side != "transformers") as sides:
            first, _, turns = take_turns(sides, rounds)
    losses = {side: done[0]["loss"] for side, done in turns.items()}
    if np.ptp(list(losses.values())) > 1e-3:
        raise RuntimeError(f"{name}: the sides have other losses, so this compares nothing: {losses}")
    tokens, figures = size.rows * size.length, []
    for side, done in turns.items():
        line = {"figure": f"{name}.{side}", "value": round(tokens / statistics.median(t["seconds"] for t in done), 1)}
        line |= {"unit": "tokens/s", "seconds": [round(t["seconds"], 3) for t in done]}
        line |= {"processor_seconds": round(statistics.median(t["processor"] for t in done), 3)}
        line |= {"peak_mib": round(max(t["peak"] for t in done)), "first_seconds": round(first[side]["seconds"], 1)}
        figures.append(line | {"loss": round(losses[side], 5), "rows": size.rows, "length": size.length})
    for side in turns:
        if side == "transformers" or "transformers" not in turns:
            continue
        pairs = list(zip(turns["transformers"], turns[side], strict=True))
        line = {"figure": f"{name}.{side} / {name}.transformers", "unit": "x speed"}
        line |= {"value": round(statistics.median(a["seconds"] / b["seconds"] for a, b in pairs), 3)}
        line |= {"by_processor_seconds": round(statistics.median(a["processor"] / b["processor"] for a, b in pairs), 3)}
        peaks = [max(t["peak"] for t in turns[s]) for s in (side, "transformers")]
        figures.append(line | {"peak_memory": round(peaks[0] / peaks[1], 3)})
    return figures


def main() -> None:
    """Compares, prints, and appends to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=", ".join(SIZES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--tiny", action="store_true", help="a small model, and nothing is written to the results")
    parser.add_argument("--note", default="", help="stands in every line, such as 'loaded machine'")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=(*SIDES, "prepare"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side == "prepare":
        prepare(arguments.folder, SIZES[arguments.sizes[0]])
        return
    if arguments.side:
        make = theirs if arguments.side == "transformers" else functools.partial(ours, remat=arguments.side)
        serve(lambda: make(arguments.folder))
        return
    chosen = ["tiny"] if arguments.tiny else arguments.sizes or ["30m", "1.1b"]
    if unknown := set(chosen) - SIZES.keys():
        parser.error(f"no size {min(unknown)!r}; there are {', '.join(SIZES)}")
    facts = {"dtype": "float32", "machine": machine_name(), "cores": os.cpu_count()}
    facts |= {"date": time.strftime("%Y-%m-%d")} | ({"note": arguments.note} if arguments.note else {})
    for name in chosen:
        for figure in compare(name, arguments.rounds, tuple(arguments.sides)):
            record({**figure, **facts}, None if arguments.tiny else RESULTS)


if __name__ == "__main__":
    main()
