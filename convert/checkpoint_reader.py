"""Reading safetensors checkpoints, in one file or in shards, one tensor at a time."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

SINGLE_FILE = "model.safetensors"
OPEN_CLIP_FILE = "open_clip_model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# Plain weights; anything else is quantised or an index, and would need to be understood first.
PLAIN_DTYPES = ("F64", "F32", "F16", "BF16")
# What safetensors calls the dtypes that numpy has; those of fewer than 8 bits are left to safetensors itself.
DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "U16": np.dtype(np.uint16),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I32": np.dtype(np.int32),
    "U32": np.dtype(np.uint32),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64),
    "U64": np.dtype(np.uint64),
}


class CheckpointError(ValueError):
    """A checkpoint that cannot be converted; the message names the file and the tensors."""


def read_json(path: Path) -> dict[str, Any]:
    """Returns the JSON object in `path`; raises `CheckpointError` naming the file when there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; expected a Hugging Face checkpoint folder") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, not {type(data).__name__}")
    return data


class CheckpointReader:
    """The tensors of a checkpoint folder, by name. Only headers are read until a tensor is asked for.

    Raises:
      CheckpointError: no safetensors files, a shard that is missing or truncated, or an index that names a tensor which
        its shard does not hold.
    """

    def __init__(self, directory: str | os.PathLike, single_file: str = SINGLE_FILE):
        self.directory = Path(directory)
        self._files: dict[str, Any] = {}
        self._offsets: dict[str, dict[str, int]] = {}
        index = self.directory / INDEX_FILE
        if (self.directory / single_file).is_file():
            self._file_of = dict.fromkeys(self._open(single_file, "its tensors").keys(), single_file)
        elif index.is_file():
            self._file_of = self._read_index(index)
        else:
            raise CheckpointError(
                f"{self.directory}: neither {single_file} nor {INDEX_FILE}; PyTorch's .bin files are not read; "
                "save the model as safetensors first"
            )

    def _read_index(self, path: Path) -> dict[str, str]:
        file_of = read_json(path).get("weight_map")
        if not isinstance(file_of, dict) or not file_of:
            raise CheckpointError(f"{path}: no 'weight_map' with tensor names and files")
        absent = []
        for name, file in file_of.items():
            if not isinstance(file, str) or Path(file).name != file:
                raise CheckpointError(f"{path}: tensor {name} is said to be in {file!r}, outside of the folder")
            if name not in self._open(file, name).keys():  # noqa: SIM118  (not a dict)
                absent.append(f"{name} in {file}")
        if absent:
            raise CheckpointError(f"{path} names tensors that are not in their shards: {', '.join(absent)}")
        return file_of

    def _open(self, file: str, tensor: str) -> Any:
        if file not in self._files:
            path = self.directory / file
            try:
                self._files[file] = safe_open(path, framework="np")
            except (OSError, SafetensorError) as error:
                raise CheckpointError(f"{path}, which should hold {tensor}: {_damage(path, error)}") from error
        return self._files[file]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return tuple(self._file_of)

    @property
    def nbytes(self) -> int:
        """Size of the files that hold the tensors."""
        return sum((self.directory / file).stat().st_size for file in set(self._file_of.values()))

    def where(self, name: str) -> str:
        """Returns file and tensor name, for messages."""
        return f"{self.directory / self._file_of[name]}: {name}"

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor, from the header.

        Raises:
          CheckpointError: the tensor is not plain floating-point weights.
        """
        entry = self._files[self._file_of[name]].get_slice(name)
        if entry.get_dtype() not in PLAIN_DTYPES:
            raise CheckpointError(
                f"{self.where(name)} has the dtype {entry.get_dtype()}; only plain weights are read "
                f"({', '.join(PLAIN_DTYPES)})"
            )
        return tuple(entry.get_shape())

    def dtype(self, name: str) -> str:
        """Returns the dtype of a tensor as safetensors calls it, from the header: "BF16"."""
        return self._files[self._file_of[name]].get_slice(name).get_dtype()

    def read(self, name: str) -> np.ndarray:
        """Returns one tensor.

        Raises:
          CheckpointError: the file has become shorter than its header says, or cannot be read.
        """
        file = self._file_of[name]
        entry = self._files[file].get_slice(name)
        if entry.get_dtype() not in DTYPES:
            return self._files[file].get_tensor(name)
        if file not in self._offsets:
            self._offsets[file] = _offsets(self.directory / file)
        shape = tuple(entry.get_shape())
        # Read, and not by safetensors, which maps the file: its pages would count as ours, up to the whole checkpoint.
        try:
            flat = np.fromfile(
                self.directory / file, DTYPES[entry.get_dtype()], math.prod(shape), offset=self._offsets[file][name]
            )
        except OSError as error:
            raise CheckpointError(f"{self.where(name)} cannot be read: {error.strerror or error}") from error
        if flat.size != math.prod(shape):
            raise CheckpointError(f"{self.where(name)} is cut off; the file is not what it was when it was opened")
        return flat.reshape(shape)


def _offsets(path: Path) -> dict[str, int]:
    """Returns where in a file each tensor begins, in bytes."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {n: 8 + length + entry["data_offsets"][0] for n, entry in header.items() if n != "__metadata__"}


def _damage(path: Path, error: Exception) -> str:
    """Says what is wrong with a file that cannot be opened, with the first tensor that is cut off."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    # The format: header length (8 bytes), JSON header with each tensor's range after the header, data.
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 10**8)))
        held = path.stat().st_size - 8 - length
        cut = [
            (entry["data_offsets"][0], name)
            for name, entry in header.items()
            if name != "__metadata__" and entry["data_offsets"][1] > held
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, MemoryError, RecursionError):
        cut = []
    if not cut:
        return f"damaged ({error})"
    return f"truncated, {len(cut)} tensors are cut off from {min(cut)[1]} on; fetch the file again"
