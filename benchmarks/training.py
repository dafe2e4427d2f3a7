"""Training on a CPU beside PyTorch: the same weights, data, batch, precision and optimizer, in turns.

    python benchmarks/training.py                      all comparisons, about a quarter of an hour on two idle cores
    python benchmarks/training.py dense nf4 --rounds 7
    python benchmarks/training.py --tiny               a look at the machinery: figures mean nothing

Every side is a process of its own, which reads the same folder, does a step to warm up, and then waits for its turn:
round after round each side does one step while the others sleep. A figure is the median of the rounds, a ratio the
median of the rounds' ratios. A step is forward, backward and AdamW's update, in float32, on both sides; two threads on
both; peaks are those of the whole process, weights and compilers included. Losses of the same step must agree.

Comparisons
  dense: a Llama of about 30 M parameters, all trained, 8 rows of 512 tokens; transformers with SDPA, eager and compiled
    by `torch.compile`; here with `remat = "dots"`, as in the quickstart.
  checkpointed: the same with `remat = "full"` here and gradient checkpointing there.
  nf4: its layers in NF4 with adapters of rank 32 on all of them; PEFT and bitsandbytes, without and with gradient
    checkpointing; here with "dots" and with "full".
  triplets: all parameters trained on triplets like the quickstart's, without sketches, packed into a row here, each
    padded to 4,096 tokens there as upstream does; the same triplets in a step on both sides. Only tokens that are no
    padding count.

Each figure is one JSON line in benchmarks/results/training.jsonl. Ours runs as `launch.py` does, with the settings of
`vlsm_jax/cpu_settings.py`; `--plain` leaves the C library's out, and `--peers-too` gives them to PyTorch as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "training.jsonl"

from benchmarks.machine import machine_name, record  # noqa: E402
from benchmarks.training_sides import (  # noqa: E402
    Machine,
    OurTraining,
    Step,
    llama_config,
    params_of,
    random_batch,
    their_model,
    their_step,
    whole_batch,
    write_model,
)
from benchmarks.turns import THREADS, serve, started, take_turns  # noqa: E402

PADDED = 4096
CPU = Machine(threads=THREADS)


class Size(NamedTuple):
    """Of the decoder and of a batch; `packed` is the length of a row of triplets."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    rows: int
    length: int
    packed: int


FULL = Size(512, 7, 8, 4, 1408, 8192, 8, 512, 2048)
TINY = Size(64, 2, 4, 2, 128, 1024, 2, 64, 1024)

COMPARISONS = {
    "dense": ("dense.ours", "dense.transformers", "dense.compiled"),
    "checkpointed": ("checkpointed.ours", "checkpointed.transformers"),
    "nf4": ("nf4.ours", "nf4.ours_remat", "nf4.peft", "nf4.peft_checkpointed"),
    "triplets": ("triplets.ours", "triplets.upstream"),
}
# (ours, theirs): what is divided by what; of several, the fastest of theirs.
RATIOS = {
    "dense": (("dense.ours", ("dense.transformers", "dense.compiled")),),
    "checkpointed": (("checkpointed.ours", ("checkpointed.transformers",)),),
    "nf4": (
        ("nf4.ours", ("nf4.peft",)),
        ("nf4.ours_remat", ("nf4.peft",)),
        ("nf4.ours_remat", ("nf4.peft_checkpointed",)),
    ),
    "triplets": (("triplets.ours", ("triplets.upstream",)),),
}


# --- What both sides read ---------------------------------------------------------------------------------------------


def prepare(folder: Path, size: Size) -> None:
    """Writes weights, adapters, a batch, and a batch of packed triplets."""
    config = llama_config(size, max_position_embeddings=PADDED)
    write_model(folder, config, layers=size.layers, adapters=True, machine=CPU)
    np.savez(folder / "batch.npz", **random_batch(size.rows, size.length, size.vocabulary))
    np.savez(folder / "triplets.npz", **_packed_triplets(folder, size))


def _packed_triplets(folder: Path, size: Size) -> dict[str, np.ndarray]:
    """Returns the first batch that training would read of triplets like the quickstart's: one row, several hundred
    tokens for each triplet.
    """
    from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
    from vlsm_jax.data.text_only import WithoutPictures
    from vlsm_jax.data.tokenizer import batch_texts, train_bpe
    from vlsm_jax.data.triplets import open_triplets
    from vlsm_jax.synth import Split, TripletOptions, write_dataset

    options = TripletOptions.from_json(
        {"script_styles": ("loop",), "prompt_styles": ("complete",), "most_objects": 6, "plain": True}
    )
    write_dataset(folder / "data", {Split.TRAIN: 64}, seed=0, options=options, workers=THREADS)
    rows = WithoutPictures(open_triplets(folder / "data", {}, split="train"))
    tokenizer = train_bpe(batch_texts(list(rows), limit=64), size.vocabulary, folder / "tokenizer")
    config = PipelineConfig(sequence_length=size.packed, batch_size=1, image_size=1, visual_tokens=0)
    return {k: v for k, v in next(iter(make_dataset(rows, tokenizer, config))).items() if k != "images"}


# --- Sides ------------------------------------------------------------------------------------------------------------


def ours(folder: Path, kind: str, *, remat: str) -> Step:
    """Returns a step of the product's own training."""
    from convert.checkpoint_reader import read_json

    arrays = dict(np.load(folder / ("triplets.npz" if kind == "triplets" else "batch.npz")))
    nf4 = kind == "nf4"
    config = read_json(folder / "model" / "config.json")
    return OurTraining(config, params_of(folder, nf4=nf4), arrays, nf4=nf4, remat=remat, machine=CPU).step


def theirs(folder: Path, kind: str, *, checkpointed: bool = False, compiled: bool = False) -> Step:
    """Returns a step of transformers, with PEFT and bitsandbytes for `kind` "nf4"."""
    model = their_model(folder, nf4=kind == "nf4", checkpointed=checkpointed, machine=CPU)
    parts = _padded_triplets(folder) if kind == "triplets" else [whole_batch(np.load(folder / "batch.npz"))]
    return their_step(model, parts, compiled=compiled, machine=CPU)


def _padded_triplets(folder: Path) -> list[dict[str, Any]]:
    """Returns the packed triplets as upstream has them: each in a row of its own, padded, two rows at a time."""
    import torch

    arrays = {name: value[0] for name, value in np.load(folder / "triplets.npz").items()}
    samples = []
    for number in range(1, int(arrays["segment_ids"].max()) + 1):
        there = arrays["segment_ids"] == number
        ids, labels = np.zeros(PADDED, np.int64), np.full(PADDED, -100)
        count = int(there.sum())
        ids[:count] = arrays["tokens"][there]
        labels[:count] = np.where(arrays["weights"][there] > 0, arrays["targets"][there], -100)
        samples.append((ids, labels, np.arange(PADDED) < count))
    parts = []
    for start in range(0, len(samples), 2):
        ids, labels, mask = (torch.from_numpy(np.stack(x)) for x in zip(*samples[start : start + 2], strict=True))
        parts.append({"input_ids": ids, "attention_mask": mask.long(), "labels": labels, "shift_labels": labels})
    return parts


SIDES: dict[str, Callable[[Path], Step]] = {
    "dense.ours": lambda folder: ours(folder, "dense", remat="dots"),
    "dense.transformers": lambda folder: theirs(folder, "dense"),
    "dense.compiled": lambda folder: theirs(folder, "dense", compiled=True),
    "checkpointed.ours": lambda folder: ours(folder, "dense", remat="full"),
    "checkpointed.transformers": lambda folder: theirs(folder, "dense", checkpointed=True),
    "nf4.ours": lambda folder: ours(folder, "nf4", remat="dots"),
    "nf4.ours_remat": lambda folder: ours(folder, "nf4", remat="full"),
    "nf4.peft": lambda folder: theirs(folder, "nf4"),
    "nf4.peft_checkpointed": lambda folder: theirs(folder, "nf4", checkpointed=True),
    "triplets.ours": lambda folder: ours(folder, "triplets", remat="dots"),
    "triplets.upstream": lambda folder: theirs(folder, "triplets"),
}


# --- Turns ------------------------------------------------------------------------------------------------------------


def with_loss(step: Step) -> Callable[[], dict[str, float]]:
    """Returns a step that gives what the process of a side reports."""
    return lambda: {"loss": step()}


def compare(name: str, folder: Path, size: Size, rounds: int, plain: bool, peers_too: bool) -> list[dict[str, Any]]:
    """Returns the figures of one comparison."""

    def settled(side: str) -> bool:
        return not plain and (".ours" in side or peers_too)

    with started(__file__, COMPARISONS[name], folder, settled) as sides:
        first, second, turns = take_turns(sides, rounds)
    losses = {side: [first[side]["loss"], second[side]["loss"], turns[side][0]["loss"]] for side in turns}
    apart = float(np.ptp([*losses.values()], axis=0).max())
    if apart > 5e-3:
        raise RuntimeError(f"{name}: the same steps have other losses, so this compares nothing: {losses}")
    if name == "triplets":
        batch = np.load(folder / "triplets.npz")
        tokens = int((batch["segment_ids"] > 0).sum())
        more = {"samples": int(batch["segment_ids"].max()), "padded_to": PADDED, "packed_to": size.packed}
    else:
        tokens, more = size.rows * size.length, {"rows": size.rows, "length": size.length}
    figures = []
    for side, done in turns.items():
        seconds = [turn["seconds"] for turn in done]
        figures.append(
            {
                "figure": side,
                "value": round(tokens / statistics.median(seconds), 1),
                "unit": "tokens/s",
                "seconds": [round(s, 3) for s in seconds],
                "processor_seconds": round(statistics.median(turn["processor"] for turn in done), 3),
                "peak_mib": round(max(turn["peak"] for turn in done)),
                "first_step_seconds": round(first[side]["seconds"], 1),
                "losses": [round(loss, 5) for loss in losses[side]],
                "tokens": tokens,
                **more,
            }
        )
    peak = {side: max(turn["peak"] for turn in done) for side, done in turns.items()}
    median = {side: statistics.median(turn["seconds"] for turn in done) for side, done in turns.items()}
    for mine, peers in RATIOS[name]:
        best = min(peers, key=median.__getitem__)
        pairs = zip(turns[best], turns[mine], strict=True)
        ratios = [(a["seconds"] / b["seconds"], a["processor"] / b["processor"]) for a, b in pairs]
        figures.append(
            {
                "figure": f"{mine} / {best}",
                "value": round(statistics.median(r[0] for r in ratios), 3),
                "unit": "x speed",
                "by_processor_seconds": round(statistics.median(r[1] for r in ratios), 3),
                "peak_memory": round(peak[mine] / peak[best], 3),
                "losses_apart": round(apart, 6),
            }
        )
    return figures


def main() -> None:
    """Compares, prints, and appends to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", nargs="*", metavar="COMPARISON", help=", ".join(COMPARISONS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="a small model, and nothing is written to the results")
    parser.add_argument("--plain", action="store_true", help="without the settings of the allocator")
    parser.add_argument("--peers-too", action="store_true", help="PyTorch gets the settings of the allocator as well")
    parser.add_argument("--note", default="", help="stands in every line, such as 'loaded machine'")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=(*SIDES, "prepare"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = TINY if arguments.tiny else FULL
    if arguments.side == "prepare":
        prepare(arguments.folder, size)
        return
    if arguments.side:
        serve(lambda: with_loss(SIDES[arguments.side](arguments.folder)))
        return
    unknown = set(arguments.comparisons) - set(COMPARISONS)
    if unknown:
        parser.error(f"no comparison {min(unknown)!r}; there are {', '.join(COMPARISONS)}")
    facts = {"machine": machine_name(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    facts |= {name: value for name in ("plain", "peers_too", "note") if (value := getattr(arguments, name))}
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--side", "prepare", "--folder", scratch]
        subprocess.run([*command, *(["--tiny"] if arguments.tiny else [])], check=True)
        for name in arguments.comparisons or COMPARISONS:
            for figure in compare(name, Path(scratch), size, arguments.rounds, arguments.plain, arguments.peers_too):
                record({**figure, **facts}, None if arguments.tiny else RESULTS)


if __name__ == "__main__":
    main()
