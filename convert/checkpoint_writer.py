"""Writing safetensors checkpoints: shards of bounded size, never a half-written file under its final name."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from convert.checkpoint_reader import DTYPES, INDEX_FILE, SINGLE_FILE

MAX_SHARD_BYTES = 5 * 10**9
_CODES = {dtype: code for code, dtype in DTYPES.items()}
# Where safetensors has each dtype, smallest first: the order of `DTYPES`.
_RANKS = {dtype: rank for rank, dtype in enumerate(DTYPES.values())}


class PendingTensor(NamedTuple):
    """A tensor to be written, made only when its shard's turn comes."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    make: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


def is_writer() -> bool:
    """Whether this process writes files; with several, all take part in gathering and the first one writes."""
    return jax.process_index() == 0


def write_text(path: Path, text: str) -> None:
    """Writes a text file as a whole: under a temporary name, then renamed."""
    if not is_writer():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_json(path: Path, data: Any) -> None:
    """Writes a JSON file as a whole."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def check_no_weights(directory: Path) -> None:
    """Raises FileExistsError when the folder holds weights already: loaders would mix the old ones with the new."""
    if directory.is_dir() and (old := sorted(p.name for p in directory.glob("*.safetensors*"))):
        raise FileExistsError(f"{directory} already holds weights ({', '.join(old)}); choose an empty folder")


def write_checkpoint(
    directory: Path,
    tensors: Sequence[PendingTensor],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    single_file: str = SINGLE_FILE,
) -> None:
    """Writes the tensors as `single_file`, or as shards with an index that is written last.

    At most one tensor is in memory.
    """
    shards: list[list[PendingTensor]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + tensor.nbytes > max_shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.nbytes
    if len(shards) == 1:
        files = [single_file]
    else:
        files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for file, shard in zip(files, shards, strict=True):
        _write_shard(directory / file, shard)
    if len(shards) > 1:
        total = sum(tensor.nbytes for tensor in tensors)
        weight_map = {t.name: file for file, shard in zip(files, shards, strict=True) for t in shard}
        write_json(directory / INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _write_shard(path: Path, shard: Sequence[PendingTensor]) -> None:
    # In the order, and with the header, that safetensors itself writes: larger dtypes first, so that all are aligned.
    ordered = sorted(shard, key=lambda tensor: (-_RANKS[tensor.dtype], tensor.name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in ordered:
        begin, end = end, end + tensor.nbytes
        header[tensor.name] = {"dtype": _CODES[tensor.dtype], "shape": tensor.shape, "data_offsets": (begin, end)}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") if is_writer() else contextlib.nullcontext() as file:
            if file is not None:
                file.write(len(text).to_bytes(8, "little") + text)
            for tensor in ordered:
                # Contiguous: a transposed view would be written as it lies in memory.
                array = np.asarray(tensor.make(), tensor.dtype, order="C")
                if array.shape != tensor.shape:
                    raise ValueError(f"{path}: {tensor.name} was announced as {tensor.shape} and is {array.shape}")
                if file is not None:
                    file.write(array.reshape(-1).view(np.uint8).data)
        if is_writer():
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
