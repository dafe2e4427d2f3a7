"""Attention by the kernels of an accelerator: splash attention on TPU, cuDNN on NVIDIA GPUs.

Letters: B batch, S query tokens, T key tokens, N query heads, K KV heads, H head width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vlsm_jax.sharding import BATCH_AXES

if TYPE_CHECKING:
    from vlsm_jax.models.attention import AttentionMask

# The platform that each kernel runs on, as jax names it.
PLATFORMS = {"splash": "tpu", "cudnn": "gpu"}

# Lengths are padded to a multiple of a block; blocks of 128 suit short rows, larger ones keep the matrix units busy.
SMALL_BLOCK, LARGE_BLOCK = 128, 512
# No token has this segment, so that padding sees padding only.
PADDING_SEGMENT = -(2**30)
# Mesh axis over which heads are spread.
HEAD_AXIS = "tensor"


class AttentionPlatformError(RuntimeError):
    """An attention kernel was asked for that does not exist on the platform there is."""


def target_platform() -> str:
    """Returns the platform that is compiled for: of the mesh in use, be it here or not, or jax's own."""
    device = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    return getattr(device, "platform", None) or jax.default_backend()


def check_platform(implementation: str) -> None:
    """Raises AttentionPlatformError when `implementation` cannot run on the platform that is compiled for."""
    needed, found = PLATFORMS.get(implementation), target_platform()
    if needed not in (None, found):
        raise AttentionPlatformError(
            f"attention implementation {implementation!r} runs on {needed} only, and this computation is for {found}; "
            "use 'xla', or start on the other platform (JAX_PLATFORMS)"
        )


def padded_segments(mask: AttentionMask) -> tuple[jax.Array, jax.Array]:
    """Returns int32 [B, S] twice, the segments of queries and keys of an aligned mask, padding in one of its own."""

    def padded(positions: jax.Array, segments: jax.Array | None) -> jax.Array:
        segments = jnp.zeros_like(positions) if segments is None else segments
        return jnp.where(positions >= 0, segments, PADDING_SEGMENT).astype(jnp.int32)

    return padded(mask.q_positions, mask.q_segments), padded(mask.kv_positions, mask.kv_segments)


# --- TPU --------------------------------------------------------------------------------------------------------------


def splash_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: AttentionMask | None,
    *,
    scale: float,
    real: int | None = None,
    interpret: bool = False,
) -> jax.Array:
    """Splash attention: blocks that the mask hides are skipped, scores never reach memory.

    The kernel is not one that XLA can divide among devices, so under a mesh each device runs it on its own rows and
    heads.

    Args:
      q: [B, S, N, H]. k, v: [B, S, K, H].
      mask: an aligned mask, or None when every query sees every key.
      scale: what scores are multiplied by.
      real: without a mask, how many tokens of each row are no padding; None is all.
      interpret: run the kernel step by step on any platform, to test it.

    Returns:
      [B, S, N, H] in the dtype of `q`.
    """
    batch, length = q.shape[:2]
    if mask is not None:
        segments = padded_segments(mask)
    else:
        place = jax.lax.broadcasted_iota(jnp.int32, (batch, length), 1)
        segments = (jnp.where(place < (length if real is None else real), 0, PADDING_SEGMENT),) * 2
    window = None if mask is None else mask.window

    def local(q: jax.Array, k: jax.Array, v: jax.Array, *segments: jax.Array) -> jax.Array:
        return _splash_rows(q * scale, k, v, segments, mask is not None, window, interpret)

    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return local(q, k, v, *segments)
    rows = tuple(axis for axis in BATCH_AXES if axis in mesh.shape)
    if batch % math.prod(mesh.shape[axis] for axis in rows):
        rows = ()
    heads = HEAD_AXIS if HEAD_AXIS in mesh.shape and k.shape[2] % mesh.shape[HEAD_AXIS] == 0 else None
    spec = PartitionSpec(rows or None, None, heads, None)
    plain = PartitionSpec(rows or None, None)
    return jax.shard_map(local, in_specs=(spec, spec, spec, plain, plain), out_specs=spec, check_vma=False)(
        q, k, v, *segments
    )


def _splash_rows(q, k, v, segments, causal: bool, window: int | None, interpret: bool) -> jax.Array:
    # Pallas is slow to import, and only this needs it.
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    length = q.shape[1]
    unit = SMALL_BLOCK if length <= 2 * LARGE_BLOCK else LARGE_BLOCK
    padded = -(-length // unit) * unit
    block = LARGE_BLOCK if padded % LARGE_BLOCK == 0 else SMALL_BLOCK
    rows = ((0, 0), (0, padded - length))
    q, k, v = (jnp.pad(x, (*rows, (0, 0), (0, 0))).transpose(0, 2, 1, 3) for x in (q, k, v))  # [B, heads, S, H]
    segments = [jnp.pad(x, rows, constant_values=PADDING_SEGMENT) for x in segments]
    shape = (padded, padded)
    if not causal:
        one = masks.FullMask(shape)
    elif window is None or window >= padded:
        one = masks.CausalMask(shape)
    else:
        one = masks.LocalMask(shape, window_size=(window - 1, 0), offset=0)
    sizes = kernels.BlockSizes(*[block] * 8)
    kernel = kernels.make_splash_mha(
        masks.MultiHeadMask([one] * q.shape[1]), block_sizes=sizes, head_shards=1, q_seq_shards=1, interpret=interpret
    )
    out = jax.vmap(kernel)(q, k, v, kernels.SegmentIds(*segments))
    return out.transpose(0, 2, 1, 3)[:, :length]


# --- GPU --------------------------------------------------------------------------------------------------------------


def cudnn_attention(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: AttentionMask | None, *, scale: float, real: int | None = None
) -> jax.Array:
    """cuDNN's fused attention; arguments as those of `splash_attention`.

    Segments and padding go in as a mask [B, 1, S, S], since the kernel has no segment ids of its own; without one it is
    faster by half (benchmarks/attention.py), as where the mask is a `leading` one.

    Raises:
      ValueError: another dtype than bfloat16 and float16, which the kernel takes alone.
    """
    if q.dtype not in (jnp.bfloat16, jnp.float16):
        raise ValueError(f"cudnn attention computes in bfloat16 or float16, not {q.dtype}; set the compute dtype")
    k, v = k.astype(q.dtype), v.astype(q.dtype)
    length = q.shape[1]
    odd = length % 2  # the kernel's backward pass takes even lengths only, and CLIP has 257 tokens
    if odd:
        q, k, v = (jnp.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0))) for x in (q, k, v))
    if mask is None:
        count = length if real is None else real
        counts = jnp.full(q.shape[0], count, jnp.int32) if count < q.shape[1] else None
        out = jax.nn.dot_product_attention(
            q, k, v, scale=scale, query_seq_lengths=counts, key_value_seq_lengths=counts, implementation="cudnn"
        )
    elif mask.leading:
        # An odd row's last key stands behind every query that counts.
        window = None if mask.window is None or mask.window >= q.shape[1] else (mask.window - 1, 0)
        out = jax.nn.dot_product_attention(
            q, k, v, scale=scale, is_causal=True, local_window_size=window, implementation="cudnn"
        )
    else:
        queries, keys = (jnp.pad(x, ((0, 0), (0, odd)), constant_values=PADDING_SEGMENT) for x in padded_segments(mask))
        visible = queries[:, :, None] == keys[:, None, :]
        if mask.window is not None:
            place = jnp.arange(q.shape[1])
            visible &= place[:, None] - place[None, :] < mask.window
        out = jax.nn.dot_product_attention(
            q, k, v, mask=visible[:, None], scale=scale, is_causal=True, implementation="cudnn"
        )
    return out[:, :length]
