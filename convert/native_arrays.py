"""Arrays of a checkpoint on disk, written and read layer by layer.

They are what Orbax writes and restores: the same files, by its own handlers' interface. A stacked array is cut into
chunks of one layer each, so that no more than a few layers are in memory on the way in or out, and a host that restores
a part reads the layers that it needs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from flax import traverse_util
from orbax.checkpoint import type_handlers

from convert.checkpoint_reader import CheckpointError
from convert.pieces import Announced, Piece

# What may wait to be written. The more goes to disk at a time, the fewer files there are.
_BATCH_BYTES = 256 * 2**20


class StoredArray:
    """An array on disk, of which one layer at a time is read: `array[layer]`; `np.asarray(array)` reads all of it.

    Raises:
      CheckpointError: on reading, when the files are damaged; the message names folder and array.
    """

    def __init__(self, where: str, store: tensorstore.TensorStore):
        self.where, self._store = where, store
        self.shape, self.dtype = tuple(store.shape), np.dtype(store.dtype.numpy_dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, layer: int) -> np.ndarray:
        chunk = self._store.chunk_layout.read_chunk.shape
        # Where another program wrote several layers in one piece, that is read once and not for each of them.
        return self._read(self._store[layer]) if chunk is None or chunk[0] == 1 else self._whole[layer]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        array = self._read(self._store)
        return array if dtype is None else array.astype(dtype)

    @functools.cached_property
    def _whole(self) -> np.ndarray:
        return np.asarray(self)

    def _read(self, store: tensorstore.TensorStore) -> np.ndarray:
        try:
            return store.read().result()
        except Exception as error:
            raise damaged(self.where, error) from error


def damaged(where: str | Path, error: Exception) -> CheckpointError:
    """Returns what to tell of an error of Orbax or TensorStore, which are of many classes and several lines long."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return CheckpointError(f"{where}: damaged ({type(error).__name__}: {reason[:300]})")


def write_arrays(directory: Path, announced: Mapping[str, Announced], pieces: Iterable[Piece]) -> None:
    """Writes arrays as Orbax does; the folder has its name when all of them are on disk.

    Args:
      directory: absolute, does not exist.
      announced: the arrays by path, with slashes.
      pieces: all of every array, in any order; each is asked for when those before it are written, or nearly.

    Raises:
      ValueError: pieces that are not those of the arrays.
    """
    handler = _Writer(dict(announced), pieces)
    registry = _registry(Announced, handler)
    # Random mantissas hardly shrink, and packing them takes three times as long as writing them.
    tree_handler = ocp.PyTreeCheckpointHandler(use_compression=False, type_handler_registry=registry)
    with ocp.Checkpointer(tree_handler) as checkpointer:
        tree = traverse_util.unflatten_dict(dict(announced), sep="/")
        checkpointer.save(directory, args=ocp.args.PyTreeSave(tree))


def open_arrays(directory: Path, below: Sequence[str] = ()) -> dict[str, StoredArray]:
    """Returns the arrays of a checkpoint of Orbax by path, none of them read yet.

    Args:
      directory: absolute.
      below: names at the top of its tree; others, and those that are not there, are left out.
        Without names, everything is opened.

    Raises:
      CheckpointError: there are none, or they are damaged.
    """
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such folder; the checkpoint's arrays should be there")
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            metadata = checkpointer.metadata(directory).item_metadata
        tree = getattr(metadata, "tree", metadata)
        tree = {name: branch for name, branch in tree.items() if not below or (name in below and branch)}
        registry = _registry(np.ndarray, _Opener())
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(type_handler_registry=registry)) as checkpointer:
            how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            what = jax.tree.map(lambda _: 0, tree)
            args = ocp.args.PyTreeRestore(item=what, restore_args=how, partial_restore=True)
            opened = checkpointer.restore(directory, args=args)
    except Exception as error:
        raise damaged(directory, error) from error
    return traverse_util.flatten_dict(opened, sep="/")


class _Writer(type_handlers.NumpyHandler):
    """Writes announced arrays from pieces; for Orbax they are arrays of NumPy."""

    def __init__(self, announced: Mapping[str, Announced], pieces: Iterable[Piece]):
        super().__init__()
        self._announced, self._pieces = announced, pieces

    async def serialize(
        self,
        values: Sequence[Announced],
        infos: Sequence[type_handlers.ParamInfo],
        args: Sequence[type_handlers.SaveArgs] | None = None,
    ) -> Sequence[Any]:
        stores = {}
        for value, info in zip(values, infos, strict=True):
            await info.await_path_creation()
            spec = type_handlers.get_json_tspec_write(
                info,
                use_ocdbt=info.is_ocdbt_checkpoint,
                global_shape=value.shape,
                local_shape=(1, *value.shape[1:]) if value.stacked else value.shape,
                dtype=value.dtype,
                process_index=0,
            )
            store = tensorstore.open(tensorstore.Spec(spec), create=True, open=True, context=info.ts_context)
            stores["/".join(_keys(info))] = store.result()
        missing = {(p, i) for p, a in self._announced.items() for i in (range(a.shape[0]) if a.stacked else (None,))}
        waiting: list[tensorstore.WriteFutures] = []
        waiting_bytes = 0
        try:
            for path, layer, value in self._pieces:
                place = stores[path] if layer is None else stores[path][layer]
                if (path, layer) not in missing or place.shape != value.shape:
                    raise ValueError(f"{path}: layer {layer} of shape {value.shape} has no place, or comes twice")
                missing.remove((path, layer))
                waiting.append(place.write(value, can_reference_source_data_indefinitely=True))
                waiting_bytes += value.nbytes
                if waiting_bytes >= _BATCH_BYTES:
                    for written in waiting:
                        written.result()
                    waiting, waiting_bytes = [], 0
        finally:
            # After an error as well: what is still being written would come back when the folder is removed.
            for written in waiting:
                written.result()
        if missing:
            raise ValueError(f"nothing came for {len(missing)} pieces, such as layer {min(missing, key=str)}")
        return []


class _Opener(type_handlers.NumpyHandler):
    """Opens arrays instead of reading them."""

    async def deserialize(
        self, infos: Sequence[type_handlers.ParamInfo], args: Sequence[type_handlers.RestoreArgs] | None = None
    ) -> Sequence[StoredArray]:
        opened = []
        for info in infos:
            await info.await_path_creation()
            spec = type_handlers.get_json_tspec_read(info, use_ocdbt=info.is_ocdbt_checkpoint)
            store = tensorstore.open(tensorstore.Spec(spec), open=True, context=info.ts_context).result()
            opened.append(StoredArray(f"{info.parent_dir}: {info.name}", store))
        return opened


def _registry(kind: type, handler: type_handlers.TypeHandler) -> type_handlers.TypeHandlerRegistry:
    # Orbax looks for the one of jax.Array as well, and warns where there is none.
    usual = type_handlers.get_type_handler(jax.Array)
    return type_handlers.create_type_handler_registry((kind, handler), (jax.Array, usual))


def _keys(info: type_handlers.ParamInfo) -> list[str]:
    return [str(getattr(key, "key", key)) for key in info.keypath]
