"""Attention of a few new tokens to all that a cache holds.

Letters: B rows, S query tokens, T slots, N query heads, K KV heads, G = N / K query heads per KV head, H head width.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vlsm_jax.models.attention import HIDDEN_SCORE, AttentionMask


def cached_attention(q: jax.Array, k: jax.Array, v: jax.Array, mask: AttentionMask, *, scale: float | None = None):
    """Softmax attention with grouped query heads, softmax in float32.

    Args:
      q: [B, S, N, H].
      k: [B, K, H, T]. v: [B, K, T, H]. As a `KVCache` has them: neither is turned or copied.
      mask: who sees whom.
      scale: what scores are multiplied by; None is H ** -0.5.

    Returns:
      [B, S, N, H] in the dtype of `q`. A query that sees nothing gives a finite value without meaning.
    """
    batch, length, heads, width = q.shape
    kv_heads = k.shape[1]
    scale = width**-0.5 if scale is None else scale
    groups = heads // kv_heads
    # One product per KV head: the queries of its heads, of all tokens, are the rows.
    rows = q.reshape(batch, length, kv_heads, groups, width).transpose(0, 2, 3, 1, 4)
    rows = rows.reshape(batch, kv_heads, groups * length, width)
    scores = jnp.einsum("bkrh,bkht->bkrt", rows, k.astype(q.dtype), preferred_element_type=jnp.float32) * scale
    visible = jnp.tile(mask.dense(), (1, groups, 1))[:, None]  # [B, 1, G * S, T]
    weights = jax.nn.softmax(jnp.where(visible, scores, HIDDEN_SCORE), axis=-1).astype(q.dtype)
    out = jnp.einsum("bkrt,bkth->bkrh", weights, v.astype(q.dtype))
    out = out.reshape(batch, kv_heads, groups, length, width).transpose(0, 3, 1, 2, 4)
    return out.reshape(batch, length, heads, width)
