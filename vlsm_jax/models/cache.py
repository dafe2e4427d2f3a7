"""The key-value cache of a decoder: slots for all that a layer may look back on, and no more.

Every layer has arrays of its own, which are written in place, and in the order that products with single tokens read:
on a CPU a third of the time of the order in which tokens come. A layer with a sliding window keeps a ring: the slot of
a token that no query can see any longer is the next one's.

Letters: B rows, S tokens, T slots, K KV heads, H head width.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from vlsm_jax.sharding import BATCH_AXES

if TYPE_CHECKING:
    from vlsm_jax.models.decoder_config import DecoderConfig


@dataclasses.dataclass(frozen=True)
class CacheSize:
    """How much a cache has room for.

    Attributes:
      length: tokens per row; the caller sizes it for the longest row.
      ahead: tokens per row that are read at once, and of which the last may be taken back; windows keep as many slots
        more. None keeps all tokens in windows as well, whatever is read at once.
    """

    length: int
    ahead: int | None = None

    def slots(self, config: DecoderConfig, layer: int) -> int:
        """Returns the slots per row of a layer, T."""
        window = config.sliding_window
        if window is None or self.ahead is None or layer in (config.global_layers or ()):
            return self.length
        return min(self.length, window + self.ahead - 1)


@functools.partial(jax.tree_util.register_dataclass, data_fields=("k", "v", "positions"), meta_fields=("length",))
@dataclasses.dataclass(frozen=True)
class KVCache:
    """Keys and values of the tokens seen so far.

    A token at position p has slot p modulo T. Rows are independent: each may stand at another position, so prompts of
    different lengths share a batch. A token at position -1 is padding and is not written; one at a position of `length`
    or more does not fit and is not written either.

    A token may be written again at its position, and what stood at later ones counts no more: no query sees it before
    it is written anew.

    Attributes:
      k: per layer [B, K, H, T], rotated.
      v: per layer [B, K, T, H].
      positions: int32 [B, T], of the tokens in the slots; -1 marks an empty one. One for each T that layers have.
      length: tokens per row that there is room for.
    """

    k: tuple[jax.Array, ...]
    v: tuple[jax.Array, ...]
    positions: tuple[jax.Array, ...]
    length: int

    @classmethod
    def init(
        cls,
        config: DecoderConfig,
        batch: int,
        length: int,
        dtype: jnp.dtype = jnp.float32,
        *,
        ahead: int | None = None,
    ) -> KVCache:
        """Returns an empty cache for `batch` rows; `length` and `ahead` are those of `CacheSize`."""
        size = CacheSize(length, ahead)
        slots = [size.slots(config, layer) for layer in range(config.layers)]
        lead = (batch, config.kv_heads)
        return cls(
            tuple(jnp.zeros((*lead, config.head_dim, t), dtype) for t in slots),
            tuple(jnp.zeros((*lead, t, config.head_dim), dtype) for t in slots),
            tuple(jnp.full((batch, t), -1, jnp.int32) for t in sorted(set(slots))),
            length,
        )

    def positions_of(self, layer: int) -> jax.Array:
        """Returns int32 [B, T], the positions of the tokens in the slots of a layer."""
        return next(p for p in self.positions if p.shape[1] == self.v[layer].shape[2])

    def mark(self, positions: jax.Array) -> KVCache:
        """Returns the cache with the slots of tokens at int positions [B, S] marked as filled."""
        rows = jnp.arange(positions.shape[0])[:, None]
        marked = (p.at[rows, self._slots(positions, p.shape[1])].set(positions, mode="drop") for p in self.positions)
        return dataclasses.replace(self, positions=tuple(marked))

    def write(self, layer: int, positions: jax.Array, k: jax.Array, v: jax.Array) -> KVCache:
        """Returns the cache with keys and values [B, S, K, H] of one layer written at int positions [B, S]."""
        slots = self._slots(positions, self.v[layer].shape[2])
        k, v = k.astype(self.k[layer].dtype), v.astype(self.v[layer].dtype)
        if positions.size == 1:
            # XLA makes another operation of a scatter of one index, and copies all of the slots for it. The second is
            # past the end.
            k, v = (jnp.concatenate([x, x], axis=1) for x in (k, v))
            slots = jnp.pad(slots, ((0, 0), (0, 1)), constant_values=self.v[layer].shape[2])
        rows = jnp.arange(positions.shape[0])[:, None]
        k = self.k[layer].at[rows, :, :, slots].set(k, mode="drop")
        v = self.v[layer].at[rows, :, slots].set(v, mode="drop")
        return dataclasses.replace(
            self,
            k=(*self.k[:layer], placed(k), *self.k[layer + 1 :]),
            v=(*self.v[:layer], placed(v), *self.v[layer + 1 :]),
        )

    def repeated(self, times: int) -> KVCache:
        """Returns the cache with each row `times` times over, side by side."""
        return jax.tree.map(lambda x: jnp.repeat(x, times, axis=0), self)

    def _slots(self, positions: jax.Array, count: int) -> jax.Array:
        """Returns where tokens go; what is not written goes to slot T, which a write drops."""
        # Not the position itself: -1 would wrap around to the last slot.
        return jnp.where((positions >= 0) & (positions < self.length), positions % count, count)


class Filling(NamedTuple):
    """How the first tokens of rows become a cache.

    Attributes:
      config, dtype: of the decoder and of the cache.
      size: how much it has room for.
      sources: int32 [B, T], which token, by its place in the row, goes into each slot; -1 leaves it empty. One for each
        T that layers have.
      positions: int32 [B, T] for each T, as in `KVCache`.
    """

    config: DecoderConfig
    dtype: jnp.dtype
    size: CacheSize
    sources: tuple[jax.Array, ...]
    positions: tuple[jax.Array, ...]

    @classmethod
    def create(cls, config: DecoderConfig, positions: jax.Array, size: CacheSize, dtype: jnp.dtype) -> Filling:
        """Returns the way of tokens at int positions [B, S], each row's in order; a ring keeps a row's last ones."""
        rows, place = jnp.arange(positions.shape[0])[:, None], jnp.arange(positions.shape[1])
        end = jnp.max(jnp.where(positions < size.length, positions, -1), axis=1, keepdims=True)
        sources, kept = [], []
        for count in sorted({size.slots(config, layer) for layer in range(config.layers)}):
            stays = (positions >= 0) & (positions <= end) & (positions > end - count)
            slots = jnp.where(stays, positions % count, count)
            empty = jnp.full((positions.shape[0], count), -1, jnp.int32)
            sources.append(empty.at[rows, slots].set(jnp.broadcast_to(place, positions.shape), mode="drop"))
            kept.append(empty.at[rows, slots].set(positions, mode="drop"))
        return cls(config, dtype, size, tuple(sources), tuple(kept))

    def layer(self, layer: int, k: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns a layer's k [B, K, H, T] and v [B, K, T, H] from its keys and values [B, S, K, H]."""
        count = self.size.slots(self.config, layer)
        source = next(s for s in self.sources if s.shape[1] == count)[:, :, None, None]
        # Gathered, not scattered: a device of many lanes fills slots side by side.
        k, v = (
            jnp.where(source >= 0, jnp.take_along_axis(x.astype(self.dtype), jnp.maximum(source, 0), axis=1), 0)
            for x in (k, v)
        )
        return placed(k.transpose(0, 2, 3, 1)), placed(v.transpose(0, 2, 1, 3))

    def cache(self, layers: Sequence[tuple[jax.Array, jax.Array]]) -> KVCache:
        """Returns the cache of what `layer` made for each layer."""
        k, v = zip(*layers, strict=True)
        return KVCache(k, v, self.positions, self.size.length)


def placed(x: jax.Array) -> jax.Array:
    """Spreads [B, K, ...] over the mesh: rows like a batch, KV heads over `tensor`, each where sizes divide.

    Acts only under `jax.set_mesh`.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or any(kind != AxisType.Auto for kind in mesh.axis_types):
        return x
    rows = tuple(name for name in BATCH_AXES if name in mesh.shape)
    if x.shape[0] % math.prod(mesh.shape[name] for name in rows):
        rows = ()
    heads = "tensor" if "tensor" in mesh.shape and x.shape[1] % mesh.shape["tensor"] == 0 else None
    return jax.lax.with_sharding_constraint(x, PartitionSpec(rows or None, heads, *[None] * (x.ndim - 2)))
