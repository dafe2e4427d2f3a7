"""Writing safetensors checkpoints: shards of bounded size, never a half-written file under its final name."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors.numpy import save_file

from convert.checkpoint_reader import INDEX_FILE, SINGLE_FILE

MAX_SHARD_BYTES = 5 * 10**9


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

    At most one shard is in memory.
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
    # Contiguous first: the file takes the buffer as it lies in memory, so a transposed view would be written wrongly.
    arrays = {t.name: np.ascontiguousarray(t.make(), dtype=t.dtype) for t in shard}
    if not is_writer():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as new files are here; safetensors makes its own readable by nobody else
        save_file(arrays, temporary, metadata={"format": "pt"})
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
