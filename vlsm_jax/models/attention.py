"""Attention behind one function, whatever computes it.

Letters: B batch, S query tokens, T key tokens, N query heads, K KV heads, G = N / K query heads per KV
head, H head width.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from vlsm_jax.models.attention_kernels import check_platform, cudnn_attention, splash_attention
from vlsm_jax.models.layers import KEPT

IMPLEMENTATIONS = ("xla", "cudnn", "splash")

# Finite, so that a row which sees nothing gives an ordinary number and not NaN.
HIDDEN_SCORE = -0.7 * float(jnp.finfo(jnp.float32).max)

# Queries handled at a time, and how many such blocks there are at most: each is compiled on its own.
MIN_BLOCK = 128
MAX_BLOCKS = 16


class AttentionMask(NamedTuple):
    """Who sees whom, from positions alone; kept apart so that a kernel may use it without a dense mask.

    A query at position q sees a key at position k when 0 <= k <= q, when q - k < window (Hugging Face's
    `sliding_window`, which counts the token itself), and when both are in the same segment.

    Attributes:
      q_positions: int32 [B, S]; -1 is padding.
      kv_positions: int32 [B, T]; -1 is padding or an empty cache slot.
      window: tokens a query sees back, itself included; None is unlimited.
      q_segments, kv_segments: int32 [B, S] and [B, T], or None when each row holds one sequence.
      aligned: queries and keys are the same tokens in the same order, each segment in one piece with positions counting
        up by one, so that a query sees no key behind it in the row, and none further back than the window.
      leading: aligned, and each row begins with its only sequence, so that a query that is no padding sees all keys
        before it within the window. What padding sees has no meaning, and is left to the implementation.
    """

    q_positions: jax.Array
    kv_positions: jax.Array
    window: int | None = None
    q_segments: jax.Array | None = None
    kv_segments: jax.Array | None = None
    aligned: bool = False
    leading: bool = False

    def block(self, start: int, stop: int, first: int) -> AttentionMask:
        """Returns the mask of queries `start` to `stop` and keys `first` to `stop`."""
        segments = (
            (None, None)
            if self.q_segments is None
            else (self.q_segments[:, start:stop], self.kv_segments[:, first:stop])
        )
        return AttentionMask(self.q_positions[:, start:stop], self.kv_positions[:, first:stop], self.window, *segments)

    def dense(self) -> jax.Array:
        """Returns the mask as bool [B, S, T], True where the query sees the key."""
        q, k = self.q_positions[:, :, None], self.kv_positions[:, None, :]
        visible = (k >= 0) & (k <= q)
        if self.window is not None:
            visible &= q - k < self.window
        if self.q_segments is not None:
            visible &= self.q_segments[:, :, None] == self.kv_segments[:, None, :]
        return visible


def check_implementation(implementation: str) -> str:
    """Returns `implementation`; raises ValueError listing those there are."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"attention implementation {implementation!r} is not one of {', '.join(IMPLEMENTATIONS)}")
    return implementation


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: AttentionMask | None,
    *,
    implementation: str = "xla",
    scale: float | None = None,
    real: int | None = None,
) -> jax.Array:
    """Softmax attention with grouped query heads.

    Args:
      q: [B, S, N, H].
      k, v: [B, T, K, H]; K divides N.
      mask: who sees whom; None lets every query see every key.
      implementation: "xla", plain products with a float32 softmax, anywhere; "splash", a kernel for TPU; "cudnn", one
        for NVIDIA GPUs. With a cache, where queries are few, all three are "xla".
      scale: what scores are multiplied by; None is H ** -0.5.
      real: without a mask, how many tokens of each row count; those behind them are padding, which no other token sees.

    Returns:
      [B, S, N, H] in the dtype of `q`. A query that sees nothing gives a finite value without meaning.

    Raises:
      ValueError: an unknown implementation.
      AttentionPlatformError: an implementation that the platform does not have.
    """
    check_platform(check_implementation(implementation))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if implementation != "xla" and (mask is None or mask.aligned):
        kernel = {"splash": splash_attention, "cudnn": cudnn_attention}[implementation]
        return kernel(q, k, v, mask, scale=scale, real=real)
    if mask is None or not mask.aligned or q.shape[1] <= MIN_BLOCK:
        return _attend(q, k, v, mask=mask, scale=scale, real=real)
    # Block by block, each against the keys it can see only: half the work, and scores small enough to stay in the
    # cache of a CPU.
    length = q.shape[1]
    block = max(MIN_BLOCK, -(-length // MAX_BLOCKS))
    parts = []
    for start in range(0, length, block):
        stop = min(start + block, length)
        first = 0 if mask.window is None else max(0, start - mask.window + 1)
        part = mask.block(start, stop, first)
        parts.append(_attend(q[:, start:stop], k[:, first:stop], v[:, first:stop], mask=part, scale=scale))
    return jnp.concatenate(parts, axis=1)


def _attend(
    q: jax.Array, k: jax.Array, v: jax.Array, *, mask: AttentionMask | None, scale: float, real: int | None = None
) -> jax.Array:
    batch, length, heads, width = q.shape
    kv_heads = k.shape[2]
    # Heads first by hand: on CPU a tenth faster than leaving the order to the product.
    q = q.reshape(batch, length, kv_heads, heads // kv_heads, width).transpose(0, 2, 3, 1, 4)
    k, v = (x.astype(q.dtype).transpose(0, 2, 1, 3) for x in (k, v))
    visible = None if mask is None else mask.dense()[:, None, None]
    if real is not None:
        visible = (jnp.arange(k.shape[2]) < real)[None, None, None, None]  # of every query the same
    out = _weighted(q, k, v, visible, scale)
    return out.transpose(0, 3, 1, 2, 4).reshape(batch, length, heads, width)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _weighted(q: jax.Array, k: jax.Array, v: jax.Array, visible: jax.Array | None, scale: float) -> jax.Array:
    """Attention of q [B, K, G, S, H] over k, v [B, K, T, H], where `visible` [B or 1, 1, 1, S or 1, T].

    The backward pass makes the weights again from one number for each query, as FlashAttention does (Dao et al., 2022):
    scores, [S, T] for each head, are larger than all else that it would have to find stored.
    """
    return _weighted_forward(q, k, v, visible, scale)[0]


def _scores(q: jax.Array, k: jax.Array, visible: jax.Array | None, scale: float) -> jax.Array:
    scores = jnp.einsum("bkgsh,bkth->bkgst", q, k, preferred_element_type=jnp.float32) * scale
    return scores if visible is None else jnp.where(visible, scores, HIDDEN_SCORE)


def _weighted_forward(q, k, v, visible, scale):
    scores = _scores(q, k, visible, scale)
    highest = jnp.max(scores, axis=-1, keepdims=True)
    weights = jnp.exp(scores - highest)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    out = jnp.einsum("bkgst,bkth->bkgsh", weights.astype(v.dtype), v, preferred_element_type=jnp.float32) / total
    out = checkpoint_name(out.astype(v.dtype), KEPT)
    normaliser = checkpoint_name(highest + jnp.log(total), KEPT)
    return out, (q, k, v, visible, out, normaliser)


def _weighted_backward(scale, kept, gradient):
    q, k, v, visible, out, normaliser = kept
    groups, length = q.shape[2:4]
    # Keys down, queries across: then every product but one reads the scores as they lie, and that one's other operands,
    # which are turned in their place, are small.
    shape = (*k.shape[:3], groups, length)
    q, gradient, out = (x.reshape(*x.shape[:2], groups * length, x.shape[-1]) for x in (q, gradient, out))
    scores = jnp.einsum("bkth,bkrh->bktr", k, q, preferred_element_type=jnp.float32).reshape(shape) * scale
    if visible is not None:
        scores = jnp.where(jnp.moveaxis(visible, -1, 2), scores, HIDDEN_SCORE)
    weights = jnp.exp(scores - normaliser.reshape(*shape[:2], 1, *shape[3:]))
    dv = jnp.einsum("bktr,bkrh->bkth", weights.astype(v.dtype).reshape(*shape[:3], -1), gradient)
    dweights = jnp.einsum("bkth,bkrh->bktr", v, gradient, preferred_element_type=jnp.float32).reshape(shape)
    # The softmax's own sum over keys is one over the width of a head.
    along = jnp.sum(gradient.astype(jnp.float32) * out.astype(jnp.float32), axis=-1)
    dscores = weights * (dweights - along.reshape(*shape[:2], 1, *shape[3:])) * scale
    dscores = dscores.astype(k.dtype).reshape(*shape[:3], -1)
    dk = jnp.einsum("bktr,bkrh->bkth", dscores, q)
    dq = jnp.einsum("bkth,bktr->bkhr", k, dscores).swapaxes(2, 3).reshape(kept[0].shape)
    return dq, dk, dv, None


_weighted.defvjp(_weighted_forward, _weighted_backward)
