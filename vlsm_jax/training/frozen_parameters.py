"""The frozen parameters of a run on disk: written once, for all of its checkpoints.

A checkpoint holds what training changes, and a checksum of every frozen array. Of a 7 B model in 4 bits that leaves the
adapters and their moments, under 1 GB, where the frozen layers alone are 4. The checksum does not depend on how an
array lies on devices, so it holds on any mesh.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding, PartitionSpec

from vlsm_jax.training.network import Params

FOLDER = "frozen"


class FrozenParameters:
    """Frozen parameters in `<directory>/frozen`, which is there as a whole or not at all.

    Args:
      directory: where the checkpoints lie.

    Attributes:
      path: the folder.
      checksums: of the arrays that were written or read, by name; empty before that, and where nothing is frozen.
    """

    def __init__(self, directory: Path):
        self.path = Path(directory).absolute() / FOLDER
        self.checksums: dict[str, int] = {}
        self._checkpointer = ocp.StandardCheckpointer()

    def write(self, params: Params) -> None:
        """Starts writing, in place of what is there; returns before the disk has it. Nothing frozen writes nothing."""
        self.checksums = checksums_of(params)
        if params:
            self._checkpointer.save(self.path, params, force=True)

    def wait(self) -> None:
        """Returns when what was written is on disk; raises what went wrong."""
        self._checkpointer.wait_until_finished()

    def shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Returns shape and dtype of what is on disk, by name.

        Raises:
          FileNotFoundError: nothing is.
        """
        if not self.path.is_dir():
            raise FileNotFoundError(self.path)
        tree = self._checkpointer.metadata(self.path).item_metadata.tree
        return {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in tree.items()}

    def read(self, abstract: Mapping[str, jax.ShapeDtypeStruct], checksums: Mapping[str, int]) -> tuple[Params, list]:
        """Returns the parameters, and the names of those whose checksums are others.

        Args:
          abstract: names and shapes as on disk, and shardings; dtypes may be others.
          checksums: what they were when they were written.
        """
        stored = self.shapes()
        as_stored = {
            name: jax.ShapeDtypeStruct(x.shape, stored[name].dtype, sharding=x.sharding) for name, x in abstract.items()
        }
        params = self._checkpointer.restore(self.path, as_stored)
        self.checksums = checksums_of(params)
        changed = sorted(name for name, value in self.checksums.items() if checksums.get(name) != value)
        return {name: value.astype(abstract[name].dtype) for name, value in params.items()}, changed

    def close(self) -> None:
        """Waits, and ends Orbax's threads."""
        self._checkpointer.close()


def checksums_of(params: Mapping[str, jax.Array]) -> dict[str, int]:
    """Returns 32 bits for every array, made of all its bits and their places; computed where the array lies."""
    if not params:
        return {}
    names = sorted(params)
    place = params[names[0]].sharding
    whole = NamedSharding(place.mesh, PartitionSpec()) if isinstance(place, NamedSharding) else None
    values = _checksums_at(whole)([params[name] for name in names])
    return dict(zip(names, np.asarray(values).tolist(), strict=True))


@functools.cache  # so that arrays of the same shapes are compiled for once in a process
def _checksums_at(place: NamedSharding | None) -> Callable[[list[jax.Array]], jax.Array]:
    return jax.jit(lambda arrays: jnp.stack([_checksum(x) for x in arrays]), out_shardings=place)


def _checksum(x: jax.Array) -> jax.Array:
    if x.ndim < 3:
        return _sum(x, jnp.zeros((), jnp.uint32))
    # Stacked layers, one after the other: some compilers write the mixed bits down, which take 32 for each of 8.
    places = jnp.arange(x.shape[0], dtype=jnp.uint32)
    return jnp.sum(jax.lax.map(lambda layer: _sum(*layer), (x, places)), dtype=jnp.uint32)


def _sum(x: jax.Array, place: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{8 * x.dtype.itemsize}")).astype(jnp.uint32)
    for axis, size in enumerate(x.shape):
        place = place * np.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
    # Mixed bit by bit (Murmur's finaliser), then added: the order in which devices add changes nothing.
    mixed = (bits + 1) * np.uint32(0x9E3779B1) ^ place * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ mixed >> 15) * np.uint32(0xC2B2AE35)
    return jnp.sum(mixed ^ mixed >> 13, dtype=jnp.uint32)
