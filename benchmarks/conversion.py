"""Speed and memory of `vlsm convert`, on a checkpoint of random weights in the shapes of a published decoder.

Launch: `python benchmarks/conversion.py [--preset tinyllama-1.1b] [--format nf4] [--folder /tmp]`. The checkpoint
(bfloat16, in shards), the converted ones and what is written back need about four times its size in `--folder`, and are
removed at the end. Every conversion is a process of its own, as on the command line.

Figures, one JSON line each
  seconds: of the conversion, reading and writing included, the start of Python and JAX not.
  gb_per_second: of bfloat16 weights, read or written.
  peak_above_result_mb: peak of the resident memory, over what the process had at its start and the parameters that it
    holds: those of the checkpoint of this package, which are the result on the way in and the source on the way out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np
from flax import nnx

from convert.checkpoint_writer import PendingTensor, write_checkpoint, write_json
from convert.mapping import plan
from convert.tables import decoder_layout
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.presets import DECODER_PRESETS, decoder_preset

BF16 = np.dtype(ml_dtypes.bfloat16)


def write_random(folder: Path, config: DecoderConfig) -> int:
    """Writes a checkpoint in bfloat16, shards of 2 GB, and returns its bytes. Values repeat after 16 million."""
    abstract = nnx.state(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0))))
    shapes = {"/".join(map(str, path)): tuple(p.get_value().shape) for path, p in nnx.to_flat_state(abstract)}
    pool = (np.random.default_rng(0).standard_normal(2**24, np.float32) * 0.02).astype(BF16)
    tensors = []
    for index, (name, (use, *_)) in enumerate(plan(decoder_layout(config), shapes).items()):
        if use.entry.duplicate:
            continue
        shape = use.hf_shape

        def make(shape=shape, index=index) -> np.ndarray:
            return np.resize(np.roll(pool, index), math.prod(shape)).reshape(shape)

        tensors.append(PendingTensor(name, shape, BF16, make))
    folder.mkdir()
    write_json(folder / "config.json", config.to_hf_config("bfloat16"))
    write_checkpoint(folder, tensors, max_shard_bytes=2 * 10**9)
    return sum(tensor.nbytes for tensor in tensors)


def convert(*arguments: str | Path) -> dict:
    """Runs `vlsm convert` in a process of its own and returns its report."""
    command = [sys.executable, "-c", "from vlsm_jax.cli import main; main()", "convert", *map(str, arguments), "--json"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="tinyllama-1.1b", choices=DECODER_PRESETS)
    parser.add_argument("--format", default="nf4", choices=("nf4", "nf4-double"))
    parser.add_argument("--folder", default=tempfile.gettempdir())
    options = parser.parse_args()
    config = decoder_preset(options.preset)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="conversion-") as scratch:
        root = Path(scratch)
        size = write_random(root / "hf", config)
        needed, free = 4 * size, shutil.disk_usage(root).free
        if free < needed:
            sys.exit(f"{options.folder} has {free / 1e9:.0f} GB left; {needed / 1e9:.0f} GB are needed")
        steps = (
            ("from-hf", root / "hf", root / "plain"),
            ("to-hf", root / "plain", root / "plain-back"),
            ("from-hf", root / "hf", root / "quantised", "--quantise", options.format),
            ("to-hf", root / "quantised", root / "four-bits"),
            ("from-hf", root / "four-bits", root / "again"),
            ("to-hf", root / "quantised", root / "dequantised", "--as", "decoder"),
        )
        names = (
            "plain in",
            "plain out",
            f"{options.format} in",
            f"{options.format} out, bitsandbytes",
            f"{options.format} in, bitsandbytes",
            f"{options.format} out, dequantised",
        )
        for name, step in zip(names, steps, strict=True):
            report = convert(*step)
            row = {
                "figure": f"convert.{name}",
                "preset": options.preset,
                "seconds": round(report["seconds"], 1),
                "gb_per_second": round(size / report["seconds"] / 1e9, 3),
                "gb_in": round(report["bytes_in"] / 1e9, 3),
                "gb_out": round(report["bytes_out"] / 1e9, 3),
                "params_mb": round(report["bytes_of_params"] / 1e6),
                "peak_mb": round(report["peak_bytes"] / 1e6),
                "peak_above_result_mb": round(
                    (report["peak_bytes"] - report["start_bytes"] - report["bytes_of_params"]) / 1e6
                ),
                "cpu": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "date": time.strftime("%Y-%m-%d"),
            }
            print(json.dumps(row), flush=True)
            if name in ("plain out", f"{options.format} in, bitsandbytes"):
                for folder in ("plain", "plain-back", "again"):
                    shutil.rmtree(root / folder, ignore_errors=True)


if __name__ == "__main__":
    main()
