"""Applying a table: every tensor and every parameter is used exactly once, or an error lists the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from convert.checkpoint_reader import CheckpointError, CheckpointReader
from convert.checkpoint_writer import PendingTensor
from convert.pieces import Announced, Piece
from convert.tables import Entry, Layout
from vlsm_jax.sharding import DEFAULT_RULES, Rules, param_shardings


class Use(NamedTuple):
    """One tensor's place, or that of a part of it: which entry it belongs to, and which layer."""

    entry: Entry
    layer: int | None
    shape: tuple[int, ...]  # ours, of one layer

    @property
    def hf_shape(self) -> tuple[int, ...]:
        """The shape of the whole tensor there."""
        first, *rest = self.entry.operation.hf_shape(self.shape)
        return (first * (1 if self.entry.part is None else self.entry.part[1]), *rest)

    def to_ours(self, tensor: np.ndarray) -> np.ndarray:
        """Takes this parameter out of the tensor there."""
        if self.entry.part is not None:
            at, count = self.entry.part
            tensor = np.split(tensor, count)[at]
        return self.entry.operation.to_ours(tensor, self.shape)


def plan(layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[Use, ...]]:
    """Returns the places of every tensor, by Hugging Face's name: one, or as many as it has parts, in their order.

    Args:
      layout: the tables.
      shapes: path to shape of all our parameters, stacked.

    Raises:
      CheckpointError: a parameter that the tables do not name.
      ValueError: tables that are wrong: a tensor with two uses, or with parts missing.
    """
    found: dict[str, list[Use]] = {}
    for entry in layout.entries:
        if entry.ours not in shapes:
            continue
        shape = shapes[entry.ours]
        if not entry.stacked:
            found.setdefault(entry.hf, []).append(Use(entry, None, shape))
            continue
        for layer in range(shape[0]):
            found.setdefault(entry.hf.format(layer=layer * entry.every), []).append(Use(entry, layer, shape[1:]))
    for name, uses in found.items():
        count = 1 if uses[0].entry.part is None else uses[0].entry.part[1]
        if [use.entry.part for use in uses] != ([None] if count == 1 else [(i, count) for i in range(count)]):
            raise ValueError(f"the tables give {name} the parts {[use.entry.part for use in uses]}")
    unnamed = sorted(set(shapes) - {use.entry.ours for uses in found.values() for use in uses})
    if unnamed:
        raise CheckpointError(f"no Hugging Face name is known for the parameters {', '.join(unnamed)}")
    return {name: tuple(uses) for name, uses in found.items()}


# --- Reading ----------------------------------------------------------------------------------------------------------


class Source(NamedTuple):
    """Parameters that are still in their files.

    Attributes:
      reader: the checkpoint.
      layout: its names.
      abstract: parameter shapes and dtypes, with their logical axes.
    """

    reader: CheckpointReader
    layout: Layout
    abstract: nnx.State

    @property
    def announced(self) -> dict[str, Announced]:
        """The parameters by path."""
        shapes = {path: param.get_value() for path, param in _by_path(self.abstract).items()}
        stacked = {entry.ours for entry in self.layout.entries if entry.stacked}
        return {p: Announced(tuple(x.shape), np.dtype(x.dtype), p in stacked) for p, x in shapes.items()}

    @property
    def left_aside(self) -> tuple[str, ...]:
        """Names of the tensors that hold no parameter of ours, by the tables."""
        return tuple(name for name in self.reader.names if _is_ignored(_renamed(name, self.layout), self.layout))


def read_params(
    reader: CheckpointReader,
    layout: Layout,
    abstract: nnx.State,
    *,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> nnx.State:
    """Reads parameters in the structure and dtypes of `abstract`, one tensor at a time into its final place.

    Args:
      reader, layout, abstract: see `Source`.
      mesh: where to place them, by `rules`; None is the default device.

    Raises:
      CheckpointError: as `read_pieces`.
    """
    flat = _by_path(abstract)
    places: Mapping[str, NamedSharding | None] = dict.fromkeys(flat)
    if mesh is not None:
        places = {p: param.get_value() for p, param in _by_path(param_shardings(abstract, mesh, rules)).items()}
    arrays: dict[str, jax.Array] = {}
    for path, layer, value in read_pieces(reader, layout, abstract):
        if layer is None:
            arrays[path] = _place(value, places[path])
        else:
            shape = tuple(flat[path].get_value().shape)
            arrays[path] = _place_layer(arrays.get(path), value, layer, shape, places[path])
    filled = [(path, param.replace(arrays["/".join(map(str, path))])) for path, param in nnx.to_flat_state(abstract)]
    return nnx.from_flat_state(filled)


def read_pieces(reader: CheckpointReader, layout: Layout, abstract: nnx.State) -> Iterator[Piece]:
    """Yields parameters in the shapes and dtypes of `abstract`, layer by layer, each read when its turn comes.

    Args:
      reader, layout, abstract: see `Source`.

    Raises:
      CheckpointError: listing all tensors that are missing, left over or of another shape, before any is read; or a
        fixed or duplicate tensor that holds something else.
    """
    values = {path: param.get_value() for path, param in _by_path(abstract).items()}
    uses = plan(layout, {path: tuple(value.shape) for path, value in values.items()})
    source = _canonical_names(reader, layout)
    _check_complete(reader, layout, uses, source)
    for constant in layout.constants:
        found = reader.read(source[constant.hf])
        if not np.array_equal(found.astype(np.float32), constant.value):
            raise CheckpointError(f"{reader.where(source[constant.hf])} must be fixed for this connector, and is not")

    duplicates = {use.entry.ours: name for name, (use, *_) in uses.items() if use.entry.duplicate and name in source}
    for name, parts in uses.items():
        if parts[0].entry.duplicate:
            continue
        tensor = reader.read(source[name])
        for use in parts:
            path = use.entry.ours
            value = use.to_ours(tensor).astype(values[path].dtype)
            if path in duplicates:
                again = duplicates[path]
                if not np.array_equal(uses[again][0].to_ours(reader.read(source[again])).astype(value.dtype), value):
                    raise CheckpointError(
                        f"{reader.where(source[again])} differs from the parameter {path} that the config ties it to; "
                        "set tie_word_embeddings to false if the two are really apart"
                    )
            yield Piece(path, use.layer, value)


def _by_path(state: nnx.State) -> dict[str, nnx.Variable]:
    return {"/".join(map(str, path)): param for path, param in nnx.to_flat_state(state)}


def _canonical_names(reader: CheckpointReader, layout: Layout) -> dict[str, str]:
    """Maps names as in the tables to names in the files, those that are ignored left out."""
    source: dict[str, str] = {}
    for original in reader.names:
        name = _renamed(original, layout)
        if _is_ignored(name, layout):
            continue
        if name in source:
            raise CheckpointError(f"{reader.where(original)} and {source[name]} are the same tensor in two layouts")
        source[name] = original
    return source


def _renamed(name: str, layout: Layout) -> str:
    for rename in layout.renames:
        name = re.sub(rename.pattern, rename.replacement, name)
    return name


def _is_ignored(name: str, layout: Layout) -> bool:
    return any(re.search(pattern, name) for pattern in layout.ignored)


def _check_complete(
    reader: CheckpointReader, layout: Layout, uses: Mapping[str, tuple[Use, ...]], source: Mapping[str, str]
) -> None:
    constants = {constant.hf: constant.value.shape for constant in layout.constants}
    needed = {name for name, (use, *_) in uses.items() if not use.entry.duplicate} | set(constants)
    problems = [f"missing: {name}" for name in sorted(needed - set(source))]
    problems += [f"not used: {source[name]}" for name in sorted(set(source) - set(uses) - set(constants))]
    for name, original in source.items():
        if name in uses:
            expected = uses[name][0].hf_shape
        elif name in constants:
            expected = constants[name]
        else:
            continue
        found = reader.shape(original)
        if found != expected:
            problems.append(f"shape: {reader.where(original)} is {list(found)}, the config says {list(expected)}")
    if problems:
        raise CheckpointError(f"{reader.directory} does not fit its config:\n  " + "\n  ".join(problems))


def _place(value: np.ndarray, sharding: NamedSharding | None) -> jax.Array:
    if sharding is None:
        return jnp.asarray(value)
    if not sharding.is_fully_addressable:
        # All hosts have read the same; `device_put` would send it around to compare.
        return jax.make_array_from_callback(value.shape, sharding, value.__getitem__)
    return jax.device_put(value, sharding)


def _place_layer(
    stack: jax.Array | None, value: np.ndarray, layer: int, shape: tuple[int, ...], sharding: NamedSharding | None
) -> jax.Array:
    """Writes one layer into the stack, in place, so that the host never holds more than one layer."""
    one = None
    if sharding is not None:
        spec = tuple(sharding.spec) + (None,) * (len(shape) - len(sharding.spec))
        one = NamedSharding(sharding.mesh, PartitionSpec(*spec[1:]))
    if stack is None:
        stack = jnp.zeros(shape, value.dtype, device=sharding)
    # Waited for: layers that are still to be written would gather in memory.
    return jax.block_until_ready(_write_layer(stack, _place(value, one), layer))


@jax.jit(donate_argnums=0)
def _write_layer(stack: jax.Array, value: jax.Array, layer: int) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(stack, value, layer, 0)


def join_parts(parts: Mapping[str, nnx.State]) -> nnx.State:
    """Returns parameters of a whole from those of its parts, by name, in the structure that the whole has."""
    return nnx.from_flat_state(
        [((name, *path), param) for name, part in sorted(parts.items()) for path, param in nnx.to_flat_state(part)]
    )


# --- Writing ----------------------------------------------------------------------------------------------------------


def flatten_params(params: nnx.State | Mapping[str, Any]) -> dict[str, jax.Array]:
    """Returns parameters, nested or flat, by path with slashes."""
    pure = nnx.to_pure_dict(params) if isinstance(params, nnx.State) else params
    return traverse_util.flatten_dict(dict(pure), sep="/")


def pending_tensors(
    layout: Layout,
    params: nnx.State | Mapping[str, Any],
    *,
    dtype: np.dtype | None = None,
) -> Iterator[PendingTensor]:
    """Yields all tensors of a checkpoint, each made when asked for; what it holds twice, such as a tied head, once.

    Args:
      layout: the names.
      params: all our parameters.
      dtype: the dtype in the file; None keeps each parameter's own.

    Raises:
      CheckpointError: a parameter that the tables do not name.
    """
    flat = flatten_params(params)
    for name, uses in plan(layout, {path: tuple(array.shape) for path, array in flat.items()}).items():
        first = uses[0]
        if first.entry.duplicate:
            continue
        target = np.dtype(flat[first.entry.ours].dtype if dtype is None else dtype)

        def make(uses=uses) -> np.ndarray:
            arrays = [(use, flat[use.entry.ours]) for use in uses]
            parts = [
                use.entry.operation.to_hf(_to_host(array if use.layer is None else array[use.layer]))
                for use, array in arrays
            ]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

        yield PendingTensor(name, first.hf_shape, target, make)
    common = np.dtype(dtype or next(iter(flat.values())).dtype)
    for constant in layout.constants:
        yield PendingTensor(constant.hf, constant.value.shape, common, lambda constant=constant: constant.value)


def _to_host(array: jax.Array | np.ndarray) -> np.ndarray:
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return multihost_utils.process_allgather(array, tiled=True)
    return np.asarray(array)
