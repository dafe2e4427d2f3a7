"""The key-value cache of a decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from vlsm_jax.models.decoder_config import DecoderConfig


class KVCache(NamedTuple):
    """Keys and values of the tokens seen so far; slot t of a row holds the token at position t.

    Rows are independent: each may stand at another position, so prompts of different lengths share a batch. A token at
    position -1 is padding and is not written; a token at a position of `length` or more does not fit and is not written
    either, so the caller sizes the cache for the longest row.

    Attributes:
      k: [L, B, T, K, H], rotated.
      v: [L, B, T, K, H].
      positions: int32 [B, T]; -1 marks an empty slot.
    """

    k: jax.Array
    v: jax.Array
    positions: jax.Array

    @classmethod
    def init(cls, config: DecoderConfig, batch: int, length: int, dtype: jnp.dtype = jnp.float32) -> KVCache:
        """Returns an empty cache of `length` slots for each of `batch` rows."""
        shape = (config.layers, batch, length, config.kv_heads, config.head_dim)
        return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.full((batch, length), -1, jnp.int32))

    @property
    def length(self) -> int:
        """The number of slots per row, T."""
        return self.positions.shape[1]

    def repeated(self, times: int) -> KVCache:
        """Returns the cache with each row `times` times over, side by side."""
        k, v = (jnp.repeat(x, times, axis=1) for x in (self.k, self.v))
        return KVCache(k, v, jnp.repeat(self.positions, times, axis=0))

    def slots(self, positions: jax.Array) -> jax.Array:
        """Returns where tokens at int positions [B, S] go; padding goes to slot T, which a write drops."""
        # Not the position itself: -1 would wrap around to the last slot.
        return jnp.where(positions >= 0, positions, self.length)

    def mark(self, positions: jax.Array) -> KVCache:
        """Returns the cache with the slots of tokens at int positions [B, S] marked as filled."""
        rows = jnp.arange(positions.shape[0])[:, None]
        marked = self.positions.at[rows, self.slots(positions)].set(positions, mode="drop")
        return self._replace(positions=marked)

    def write(self, layer: jax.Array | int, positions: jax.Array, k: jax.Array, v: jax.Array) -> KVCache:
        """Returns the cache with keys and values [B, S, K, H] of one layer written at int positions [B, S]."""
        at = (layer, jnp.arange(positions.shape[0])[:, None], self.slots(positions))
        return self._replace(
            k=self.k.at[at].set(k.astype(self.k.dtype), mode="drop"),
            v=self.v.at[at].set(v.astype(self.v.dtype), mode="drop"),
        )
