"""Speed and memory of `vlsm convert`, on a checkpoint of random weights in the shapes of published models.

Launch: `python benchmarks/conversion.py [--model starcoder2-7b] [--format nf4] [--folder /tmp]`; models are the presets
of decoders and encoders, and a LLaVA model of two, as "tinyllama-1.1b+openclip-vit-h-14"; "none" for a format leaves
out what is quantised. The checkpoint (bfloat16, in
shards), what it becomes and what is written back need about three times its size in `--folder`, and are removed at the
end. Every conversion is a process of its own, as on the command line. A decoder goes in quantised, and out as
bitsandbytes' and dequantised; every model goes in and out as it is, and what comes back is compared bit by bit.

Figures, one JSON line each
  seconds: of the conversion, reading and writing included, the start of Python and JAX not.
  disk_seconds: what reading and writing as many bytes took on this disk just before, without converting them.
  gb_per_second: of bfloat16 weights, read or written.
  peak_above_start_mb: peak of the resident memory, over what the process had at its start; of the parameters, params_mb
    in all, no more than a few layers are in memory at a time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np
from flax import nnx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from convert.checkpoint_reader import CheckpointReader  # noqa: E402
from convert.checkpoint_writer import PendingTensor, write_checkpoint, write_json  # noqa: E402
from convert.llava import padded_vocabulary, to_llava_config  # noqa: E402
from convert.mapping import plan  # noqa: E402
from convert.native import Config  # noqa: E402
from convert.plain_kernels import make_model  # noqa: E402
from convert.processor_files import write_preprocessor  # noqa: E402
from convert.tables import clip_vision_layout, decoder_layout, llava_layout  # noqa: E402
from vlsm_jax.data.images import Fit  # noqa: E402
from vlsm_jax.models.connector import ConnectorConfig  # noqa: E402
from vlsm_jax.models.decoder_config import DecoderConfig  # noqa: E402
from vlsm_jax.models.presets import DECODER_PRESETS, VISION_PRESETS, decoder_preset, vision_preset  # noqa: E402
from vlsm_jax.models.vision import VisionConfig  # noqa: E402
from vlsm_jax.models.vlsm import VlsmConfig  # noqa: E402

BF16 = np.dtype(ml_dtypes.bfloat16)
SHARD_BYTES = 2 * 10**9
PROBE_BYTES = 2**28


def model_config(name: str) -> Config:
    """Returns the config of a preset, or of a decoder and an encoder joined by "+"."""
    if "+" in name:
        decoder, vision = name.split("+")
        text = decoder_preset(decoder)
        return VlsmConfig(vision_preset(vision), ConnectorConfig("mlp"), text, text.vocabulary)
    return vision_preset(name) if name in VISION_PRESETS else decoder_preset(name)


def write_random(folder: Path, config: Config) -> int:
    """Writes a checkpoint in bfloat16, in shards, and returns its bytes. Values repeat after 16 million."""
    abstract = nnx.state(nnx.eval_shape(lambda: make_model(config)))
    shapes = {"/".join(map(str, path)): tuple(p.get_value().shape) for path, p in nnx.to_flat_state(abstract)}
    folder.mkdir()
    if isinstance(config, DecoderConfig):
        layout, described = decoder_layout(config), config.to_hf_config("bfloat16")
    elif isinstance(config, VisionConfig):
        layout, described = clip_vision_layout(), config.to_hf_config("bfloat16")
    else:
        layout = llava_layout(config, padded_vocabulary(config))
        described = to_llava_config(config, dtype="bfloat16")
        write_preprocessor(folder, config.vision, Fit.PAD)
    pool = (np.random.default_rng(0).standard_normal(2**24, np.float32) * 0.02).astype(BF16)
    tensors, padded = [], padded_vocabulary(config) if isinstance(config, VlsmConfig) else None
    for index, (name, (use, *_)) in enumerate(plan(layout, shapes).items()):
        if use.entry.duplicate:
            continue
        shape = use.hf_shape

        def make(shape=shape, index=index, real=use.shape, rows=padded) -> np.ndarray:
            made = np.resize(np.roll(pool, index), math.prod(shape)).reshape(shape)
            # Rows past the vocabulary are the mean of the others, as every export has them.
            if rows is not None and shape[0] == rows and (count := config.decoder.vocabulary) in real and count < rows:
                made[count:] = made[:count].astype(np.float32).mean(axis=0).astype(BF16)
            return made

        tensors.append(PendingTensor(name, shape, BF16, make))
    write_json(folder / "config.json", described)
    write_checkpoint(folder, tensors, max_shard_bytes=SHARD_BYTES)
    return sum(tensor.nbytes for tensor in tensors)


def convert(*arguments: str | Path) -> dict:
    """Runs `vlsm convert` in a process of its own and returns its report."""
    command = [sys.executable, "-c", "from vlsm_jax.cli import main; main()", "convert", *map(str, arguments), "--json"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def probe_disk(folder: Path) -> tuple[float, float]:
    """Returns bytes per second read and written, of a file that is not in memory."""
    path, block = folder / "probe", os.urandom(2**24)
    began = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(PROBE_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    written = PROBE_BYTES / (time.perf_counter() - began)
    forget(path)
    began = time.perf_counter()
    with path.open("rb") as file:
        while file.read(len(block)):
            pass
    read = PROBE_BYTES / (time.perf_counter() - began)
    path.unlink()
    return read, written


def forget(folder: Path) -> None:
    """Takes the files of a folder, or a file, out of the memory that the system keeps of them."""
    for path in [folder] if folder.is_file() else folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def differing(one: Path, other: Path) -> list[str]:
    """Returns the names of tensors that two checkpoints do not share bit by bit."""
    left, right = CheckpointReader(one), CheckpointReader(other)
    wrong = sorted(set(left.names) ^ set(right.names))
    for name in sorted(set(left.names) & set(right.names)):
        if left.dtype(name) != right.dtype(name) or left.read(name).tobytes() != right.read(name).tobytes():
            wrong.append(name)
    return wrong


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tinyllama-1.1b", help=f"{', '.join((*DECODER_PRESETS, *VISION_PRESETS))}")
    parser.add_argument("--format", default="nf4", choices=("nf4", "nf4-double", "none"))
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--note", default="", help="put into every line, such as what else the machine was doing")
    options = parser.parse_args()
    config = model_config(options.model)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="conversion-") as scratch:
        root = Path(scratch)
        size = write_random(root / "hf", config)
        needed, free = 2.5 * size, shutil.disk_usage(root).free
        if free < needed:
            sys.exit(f"{options.folder} has {free / 1e9:.0f} GB left; {needed / 1e9:.0f} GB are needed")

        def row(figure: str, *arguments: str | Path) -> None:
            read, written = probe_disk(root)
            forget(arguments[1])
            report = convert(*arguments)
            facts = {
                "figure": f"convert.{figure}",
                "model": options.model,
                "seconds": round(report["seconds"], 1),
                "disk_seconds": round(report["bytes_in"] / read + report["bytes_out"] / written, 1),
                "gb_per_second": round(size / report["seconds"] / 1e9, 3),
                "gb_in": round(report["bytes_in"] / 1e9, 3),
                "gb_out": round(report["bytes_out"] / 1e9, 3),
                "params_mb": round(report["bytes_of_params"] / 1e6),
                "peak_mb": round(report["peak_bytes"] / 1e6),
                "peak_above_start_mb": round((report["peak_bytes"] - report["start_bytes"]) / 1e6),
                "tensors_in": report["tensors_in"],
                "tensors_out": report["tensors_out"],
                "unused": len(report["unused"]),
            }
            machine = {"machine": machine_name(), "cores": os.cpu_count()}
            note = {"note": options.note} if options.note else {}
            print(json.dumps(facts | machine | note | {"date": time.strftime("%Y-%m-%d")}), flush=True)

        format = options.format
        if isinstance(config, DecoderConfig) and format != "none":
            row(f"{format} in", "from-hf", root / "hf", root / "quantised", "--quantise", format)
            row(f"{format} out, bitsandbytes", "to-hf", root / "quantised", root / "four-bits")
            row(f"{format} out, dequantised", "to-hf", root / "quantised", root / "dequantised", "--as", "decoder")
            shutil.rmtree(root / "dequantised")
            shutil.rmtree(root / "quantised")
            row(f"{format} in, bitsandbytes", "from-hf", root / "four-bits", root / "again")
            shutil.rmtree(root / "again")
            shutil.rmtree(root / "four-bits")
        row("plain in", "from-hf", root / "hf", root / "plain")
        row("plain out", "to-hf", root / "plain", root / "plain-back")
        wrong = differing(root / "hf", root / "plain-back")
        same = {"figure": "convert.plain there and back", "model": options.model, "bit_equal": not wrong}
        print(json.dumps(same | {"differing": wrong[:10], "date": time.strftime("%Y-%m-%d")}), flush=True)


if __name__ == "__main__":
    main()
