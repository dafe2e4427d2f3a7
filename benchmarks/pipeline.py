"""How fast triplets become batches, beside a PyTorch DataLoader doing what the paper's code does, and beside training.

    python benchmarks/pipeline.py [--directory runs/quickstart/data] >> benchmarks/results/pipeline.jsonl

Both sides read the same rows and pictures and use the same tokenizer and picture size. Ours packs rows as the
quickstart does. Theirs is upstream's way: one sample a row, the picture resized and cropped by CLIPImageProcessor of
transformers, prompt and response encoded by the Hugging Face tokenizer, both padded to 4,096, labels masked. Every
measurement is a process of its own, and they take turns, round after round; a figure is the median of its rounds.

Figures, one JSON line each
  pipeline, dataloader: samples per second with 0, 1 and 2 worker processes, and of their tokens those that are no
    padding, per second.
  pipeline / dataloader: of the best of each.
  step: samples per second that the quickstart's training step takes on this machine; and pipeline / step.
  packing: share of positions that is padding in rows of 512, 1,024 and 4,096, the least that rows with room for so many
    samples could have, how many that is, and the share of that room in use; with it the padding of rows of one sample,
    padded to 4,096.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from configs import quickstart  # noqa: E402
from vlsm_jax.data.lengths import find_lengths  # noqa: E402
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset  # noqa: E402
from vlsm_jax.data.plan import Plan  # noqa: E402
from vlsm_jax.data.tokenizer import PROMPT_PREFIX, Tokenizer, load_tokenizer  # noqa: E402
from vlsm_jax.data.triplets import TripletSource, open_triplets  # noqa: E402

PADDED = 4096
DATALOADER_BATCH = 8
WORKERS = (0, 1, 2)
WIDTHS = (512, 1024, 4096)


def pipeline_config(config: Any, workers: int = 0) -> PipelineConfig:
    """Returns what the quickstart feeds its model."""
    side, patch = config.model.vision.image_size, config.model.vision.patch_size
    section = config.pipeline
    return PipelineConfig(
        section.sequence_length,
        section.batch_size,
        image_size=side,
        visual_tokens=(side // patch) ** 2 + 1,
        workers=workers,
    )


def rate(batches: Iterator[Any], count: Callable[[Any], tuple[int, int]], seconds: float) -> dict[str, float]:
    """Returns samples and useful tokens per second over about `seconds`, the first batches left out."""
    for _ in range(3):
        next(batches)
    samples = tokens = 0
    began = time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        more, useful = count(next(batches))
        samples, tokens = samples + more, tokens + useful
    return {"samples": samples / taken, "tokens": tokens / taken}


def measure_pipeline(
    rows: TripletSource, tokenizer: Tokenizer, config: Any, workers: int, seconds: float
) -> dict[str, float]:
    """Measures ours."""
    batches = iter(make_dataset(rows, tokenizer, pipeline_config(config, workers)))

    def count(batch: dict[str, np.ndarray]) -> tuple[int, int]:
        segments = batch["segment_ids"]
        return int(segments.max(axis=1).sum()), int((segments > 0).sum())

    found = rate(batches, count, seconds)
    batches.close()
    return found


class UpstreamRows:
    """A PyTorch data set that does upstream's work for one row."""

    def __init__(self, rows: TripletSource, folder: str, size: int):
        from transformers import AutoTokenizer
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        self._lines = rows.path.read_text(encoding="utf-8").splitlines()
        self._folder = rows.path.parent
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._processor = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch
        from PIL import Image

        row = json.loads(self._lines[index])
        image = Image.open(self._folder / row["image"]).convert("RGB")
        pixels = self._processor(image, return_tensors="pt")["pixel_values"][0]
        prompt = self._tokenizer(PROMPT_PREFIX + row["prompt"], add_special_tokens=False).input_ids
        response = self._tokenizer(row["response"], add_special_tokens=False).input_ids
        ids = torch.full((PADDED,), self._tokenizer.pad_token_id)
        labels = torch.full((PADDED,), -100)
        text = torch.tensor((prompt + response)[:PADDED])
        ids[: len(text)] = text
        labels[len(prompt) : len(text)] = text[len(prompt) :]
        mask = (torch.arange(PADDED) < len(text)).long()
        return {"pixel_values": pixels, "input_ids": ids, "labels": labels, "attention_mask": mask}


def measure_dataloader(
    rows: TripletSource, tokenizer: Tokenizer, config: Any, workers: int, seconds: float
) -> dict[str, float]:
    """Measures theirs; visual tokens count as ours do."""
    import torch

    upstream = UpstreamRows(rows, tokenizer.directory, config.model.vision.image_size)
    visual = pipeline_config(config).visual_tokens

    def endless() -> Iterator[Any]:
        loader = torch.utils.data.DataLoader(
            upstream, batch_size=DATALOADER_BATCH, shuffle=True, num_workers=workers, drop_last=True
        )
        while True:
            yield from loader

    def count(batch: dict[str, Any]) -> tuple[int, int]:
        samples = len(batch["input_ids"])
        return samples, int(batch["attention_mask"].sum()) + samples * visual

    return rate(endless(), count, seconds)


def measure_step(
    rows: TripletSource, tokenizer: Tokenizer, config: Any, workers: int, seconds: float
) -> dict[str, float]:
    """Measures training alone: batches that are made already, the quickstart's model and optimizer, all cores."""
    import jax
    import jax.numpy as jnp

    from vlsm_jax.data.pipeline import Batch
    from vlsm_jax.training.config import build
    from vlsm_jax.training.experiment import vlsm_config
    from vlsm_jax.training.network import Network
    from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
    from vlsm_jax.training.step import TrainState, make_train_step

    network = Network.create(vlsm_config(config, tokenizer), dtype=config.model.compute_dtype)
    optimizer = make_optimizer(build(OptimizerConfig, config.optimizer, "optimizer"), config.train.steps)
    params = network.init(0)
    state = TrainState(jnp.zeros((), jnp.int32), params, {}, optimizer.init(params))
    step = jax.jit(make_train_step(network.merge, optimizer), donate_argnums=0)
    batches = iter(make_dataset(rows, tokenizer, pipeline_config(config)))
    ready = [next(batches) for _ in range(8)]
    batches.close()

    def run() -> Iterator[dict[str, np.ndarray]]:
        nonlocal state
        while True:
            for batch in ready:
                state, metrics = step(state, Batch(**batch))
                jax.block_until_ready(metrics)
                yield batch

    def count(batch: dict[str, np.ndarray]) -> tuple[int, int]:
        segments = batch["segment_ids"]
        return int(segments.max(axis=1).sum()), int((segments > 0).sum())

    return rate(run(), count, seconds)


MEASURES = {"pipeline": measure_pipeline, "dataloader": measure_dataloader, "step": measure_step}


def packing(rows: TripletSource, tokenizer: Tokenizer, visual_tokens: int) -> Iterator[dict[str, Any]]:
    """Yields the figures of one tokenizer."""
    positions = find_lengths(rows, tokenizer).positions(visual_tokens)
    for width in WIDTHS:
        fits = positions[(positions > 0) & (positions <= width)]
        if not len(fits):
            continue
        began = time.perf_counter()
        plan = Plan([positions], (1.0,), width=width, packed=True, buckets=1, batch=1, seed=0, shuffle=True)
        found = plan.statistics(0)
        # No packing has fewer rows than positions ask for, and samples where a row has places for so many.
        fewest = max(-(-int(fits.sum()) // width), -(-len(fits) // plan.samples))
        yield {
            "figure": "packing.waste",
            "value": round(100 * found["padding"], 2),
            "unit": "% of positions",
            "at_least": round(100 * (1 - float(fits.sum()) / (width * fewest)), 2),
            "row": width,
            "rows": found["rows"],
            "room_for": plan.samples,
            "room_used": round(found["places_used"], 3),
            "planned_in": round(time.perf_counter() - began, 3),
            "too_long": len(positions) - len(fits),
            "padded_to_4096": round(100 * (1 - float(np.minimum(positions, PADDED).mean()) / PADDED), 2),
            "mean_positions": round(float(positions.mean()), 1),
            "visual_tokens": visual_tokens,
            "token_ids": tokenizer.size,
            "samples": len(positions),
        }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", default="", help="triplets (JSON lines); made as the quickstart does without it")
    parser.add_argument("--tokenizer", action="append", default=[], help="another one to pack with; may be repeated")
    parser.add_argument("--visual-tokens", type=int, default=257, help="of a picture, for these tokenizers")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--own-tokenizer", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    config = quickstart.get_config()
    if options.measure:
        rows = open_triplets(options.directory, split="train")
        tokenizer = load_tokenizer(options.own_tokenizer)
        print(json.dumps(MEASURES[options.measure](rows, tokenizer, config, options.workers, options.seconds)))
        return
    with tempfile.TemporaryDirectory(prefix="pipeline-") as scratch:
        run(options, config, Path(scratch))


def run(options: argparse.Namespace, config: Any, scratch: Path) -> None:
    """Makes what is missing, lets the measurements take turns, and prints every figure."""
    from launch import data_folder
    from vlsm_jax.training.experiment import find_tokenizer

    config.data.directory = options.directory
    folder = data_folder(config, scratch)
    rows = open_triplets(folder, split="train")
    tokenizer = find_tokenizer(config, scratch, rows)
    machine = {
        "note": "medians of rounds that take turns",
        "python": platform.python_version(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }

    def print_figure(figure: str, value: float, unit: str, **more: Any) -> None:
        print(json.dumps({"figure": figure, "value": value, "unit": unit, **more, **machine}), flush=True)

    visual = pipeline_config(config).visual_tokens
    width = config.pipeline.sequence_length
    long = int((find_lengths(rows, tokenizer).positions(visual) > width).sum())
    if long > 0.01 * len(rows):
        message = f"throughput is not compared: {long} of {len(rows)} triplets do not fit {width} positions, so the two"
        print(f"{message} would read different samples", file=sys.stderr)
    else:
        throughput(options, folder, tokenizer, print_figure)
    for each, tokens in ((tokenizer, visual), *((load_tokenizer(t), options.visual_tokens) for t in options.tokenizer)):
        for figure in packing(rows, each, tokens):
            name = "trained on the data" if each is tokenizer else Path(each.directory).name
            print(json.dumps({**figure, "tokenizer": name, **machine}), flush=True)


def throughput(
    options: argparse.Namespace, folder: Path, tokenizer: Tokenizer, print_figure: Callable[..., None]
) -> None:
    """Lets pipeline, DataLoader and training step take turns, and prints their medians."""
    tasks = [("step", 0), *((name, workers) for workers in WORKERS for name in ("pipeline", "dataloader"))]
    found: dict[tuple[str, int], list[dict[str, float]]] = {task: [] for task in tasks}
    load = os.getloadavg()[0]
    for _ in range(options.rounds):
        for name, workers in tasks:
            command = [sys.executable, __file__, "--measure", name, "--workers", str(workers)]
            command += ["--directory", str(folder), "--own-tokenizer", tokenizer.directory]
            command += ["--seconds", str(options.seconds)]
            environment = os.environ | {"JAX_PLATFORMS": "cpu", "TRANSFORMERS_VERBOSITY": "error"}
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
            found[name, workers].append(json.loads(done.stdout.splitlines()[-1]))

    def median(task: tuple[str, int], what: str) -> float:
        return statistics.median(round_[what] for round_ in found[task])

    shared = {"rounds": options.rounds, "seconds": options.seconds, "load_before": round(load, 2)}
    for task in tasks:
        name, workers = task
        more = {} if name == "step" else {"workers": workers}
        samples = [round(round_["samples"], 1) for round_ in found[task]]
        print_figure(name, round(median(task, "samples"), 1), "samples/s", **more, all=samples, **shared)
        print_figure(f"{name}.useful", round(median(task, "tokens")), "tokens/s", **more, **shared)
    best = {
        name: max((median((name, workers), "samples"), workers) for workers in WORKERS)
        for name in ("pipeline", "dataloader")
    }
    print_figure(
        "pipeline / dataloader",
        round(best["pipeline"][0] / best["dataloader"][0], 2),
        "times",
        workers=[best["pipeline"][1], best["dataloader"][1]],
    )
    print_figure("pipeline / step", round(best["pipeline"][0] / median(("step", 0), "samples"), 2), "times")
    print_figure(
        "pipeline / step, no workers",
        round(median(("pipeline", 0), "samples") / median(("step", 0), "samples"), 2),
        "times",
    )


if __name__ == "__main__":
    main()
