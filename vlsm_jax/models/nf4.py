"""NF4: 4-bit weights on the quantiles of a normal distribution, in blocks of 64 (Dettmers et al., 2023, "QLoRA").

A kernel [I, O] is kept as `codes` uint8 [I/2, O] and one largest absolute value per block of 64 inputs and output,
`absmax` float32 [I/64, O]. In the double-quantised variant `absmax` is uint8 itself, on a dynamic map of 256 values,
with a float32 `nested` for every 256 of them and one `offset` for all. Values are those of bitsandbytes, bit by bit.

Byte j of a block of 64 inputs holds input j in its high half and input 32 + j in its low half, so a block unpacks by
joining two pieces and may be cut from its neighbours when a kernel is spread over devices. bitsandbytes holds inputs 2j
and 2j + 1 in a byte instead; `convert/bitsandbytes.py` goes from one order to the other.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 64
NESTED_BLOCK = 256
# Divides a block without a value other than 0, as bitsandbytes does.
_SMALLEST = 1e-38

CODEBOOK = np.array(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ],
    np.float32,
)
_MIDPOINTS = (CODEBOOK[:-1] + CODEBOOK[1:]) / np.float32(2)


@functools.cache
def dynamic_map() -> np.ndarray:
    """Returns the 256 values, float32 and ascending, on which bitsandbytes keeps 8-bit statistics (Dettmers, 2015).

    Seven decades, each with twice as many steps as the one below it. The steps are rounded as PyTorch's `linspace`
    rounds them: counted from the nearer end, product and sum in one.
    """
    values = [0.0, 1.0]
    step_from, step_to = np.float32(0.1), np.float32(1.0)
    for exponent in range(7):
        steps = 2**exponent
        index = np.arange(steps + 1)
        step = np.float64((step_to - step_from) / np.float32(steps))
        from_end = np.float64(step_to) - step * (steps - index)
        boundaries = np.where(2 * index < steps, step_from + step * index, from_end).astype(np.float32)
        means = (boundaries[:-1] + boundaries[1:]) / np.float32(2)
        scaled = np.float32(10.0 ** (exponent - 6)) * means
        values += [*scaled, *-scaled]
    return np.sort(np.array(values, np.float32))


def quantise(kernel: jax.Array) -> dict[str, jax.Array]:
    """Maps a kernel [I, O] of any floating dtype to `codes` uint8 [I/2, O] and `absmax` float32 [I/64, O]."""
    blocks, absmax = block_absmax(kernel, BLOCK)
    scaled = blocks * (1.0 / jnp.maximum(absmax, _SMALLEST))[:, None, :]
    # Fifteen comparisons in one pass are faster than a binary search of each value; equal results.
    codes = sum((scaled > float(m)).astype(jnp.uint8) for m in _MIDPOINTS)
    return {"codes": pack(codes), "absmax": absmax}


def dequantise(arrays: dict[str, jax.Array], dtype: jnp.dtype) -> jax.Array:
    """Maps the arrays of `quantise` or `quantise_double` to the kernel [I, O], rounded to `dtype` once."""
    codes = unpack(arrays["codes"])
    return (look_up(codes) * plain_absmax(arrays)[:, None, :]).astype(dtype).reshape(-1, codes.shape[-1])


def quantise_double(kernel: jax.Array) -> dict[str, jax.Array]:
    """Maps a kernel [I, O] to `codes` uint8 [I/2, O], `absmax` uint8 [I/64, O], `nested` float32 and `offset`.

    `nested` has one value per 256 of `absmax` in bitsandbytes' order, all blocks of the first output, then all of the
    second, and so on: ceil(I O / 64 / 256) values.
    """
    arrays = quantise(kernel)
    return arrays | quantise_absmax(arrays["absmax"])


def quantise_absmax(absmax: jax.Array, offset: jax.Array | None = None) -> dict[str, jax.Array]:
    """Maps `absmax` float32 [I/64, O] to `absmax` uint8 of the same shape, `nested` float32 [...] and `offset` [].

    Args:
      absmax: of `quantise`.
      offset: what is taken off before; None is the mean.

    Each statistic goes to the nearest value of the map. bitsandbytes does so on GPU; on CPU it goes through a table of
    65,536 entries, which sends some of them one step further.
    """
    offset = jnp.mean(absmax) if offset is None else offset
    flat = absmax.T.reshape(-1) - offset
    count = nested_count(*absmax.shape)
    padded = jnp.pad(flat, (0, count * NESTED_BLOCK - flat.size)).reshape(count, NESTED_BLOCK)
    nested = jnp.max(jnp.abs(padded), axis=1)
    normed = padded / jnp.maximum(nested, _SMALLEST)[:, None]
    table = jnp.asarray(dynamic_map())
    below = jnp.clip(jnp.searchsorted(table, normed, side="right") - 1, 0, 254)
    # By distance and not by midpoint, since the two round differently.
    above = jnp.abs(normed - table[below + 1]) < jnp.abs(normed - table[below])
    codes = (below + above).astype(jnp.uint8).reshape(-1)[: flat.size]
    return {"absmax": codes.reshape(absmax.shape[::-1]).T, "nested": nested, "offset": offset}


def plain_absmax(arrays: dict[str, jax.Array]) -> jax.Array:
    """Returns the `absmax` of `quantise` or `quantise_double` in float32 [I/64, O]."""
    absmax = arrays["absmax"]
    if absmax.dtype == jnp.uint8:
        return dequantise_absmax(absmax, arrays["nested"], arrays["offset"])
    return absmax


def dequantise_absmax(codes: jax.Array, nested: jax.Array, offset: jax.Array) -> jax.Array:
    """Maps `absmax` uint8 [I/64, O] to float32 [I/64, O]."""
    # Each value of `nested` is repeated rather than looked up: accelerators are slow to look up.
    scale = jnp.repeat(nested, NESTED_BLOCK)[: codes.size].reshape(codes.shape[::-1]).T
    return rounded(_look_up_dynamic(codes) * scale) + offset


def nested_count(blocks: int, outputs: int) -> int:
    """The number of values in `nested`."""
    return math.ceil(blocks * outputs / NESTED_BLOCK)


def block_absmax(kernel: jax.Array, block: int) -> tuple[jax.Array, jax.Array]:
    """Returns the kernel [I, O] as float32 blocks [I/block, block, O], and the largest absolute value of each."""
    blocks = kernel.astype(jnp.float32).reshape(-1, block, kernel.shape[-1])
    return blocks, jnp.max(jnp.abs(blocks), axis=1)


def pack(codes: jax.Array) -> jax.Array:
    """Maps codes below 16, uint8 [I/64, 64, O], to bytes [I/2, O]."""
    return (codes[:, : BLOCK // 2] << 4 | codes[:, BLOCK // 2 :]).reshape(-1, codes.shape[-1])


def unpack(packed: jax.Array) -> jax.Array:
    """Maps bytes [I/2, O] to codes, uint8 [I/64, 64, O]."""
    packed = packed.reshape(-1, BLOCK // 2, packed.shape[-1])
    return jnp.concatenate([packed >> 4, packed & 15], axis=1)


def look_up(codes: jax.Array) -> jax.Array:
    """Maps codes to their float32 values: from a table on CPU, by selection elsewhere, where tables are slow."""
    return jax.lax.platform_dependent(codes, cpu=lambda c: _take(jnp.asarray(CODEBOOK), c), default=_select_once)


def select(codes: jax.Array) -> jax.Array:
    """Maps codes to their float32 values by their four bits: fifteen selections, no memory."""
    return _select(codes, CODEBOOK)


# Traced once for all kernels of a shape: the selections of a step's kernels were most of its trace.
_select_once = jax.jit(select)


def _select(codes: jax.Array, values: np.ndarray) -> jax.Array:
    # Made of the codes: a scan takes plain constants out of its loop, each as an array of the kernel's size.
    level = [(codes & 0).astype(jnp.float32) + float(v) for v in values]
    for bit in range(len(values).bit_length() - 1):
        is_set = (codes >> bit) & 1 != 0
        level = [jax.lax.select(is_set, level[i + 1], level[i]) for i in range(0, len(level), 2)]
    return level[0]


def _look_up_dynamic(codes: jax.Array) -> jax.Array:
    """Maps 8-bit statistics to their values on the dynamic map: by selection on TPUs, which look up one by one."""
    by_table = functools.partial(_take, jnp.asarray(dynamic_map()))
    return jax.lax.platform_dependent(codes, tpu=select_dynamic, default=by_table)


@jax.jit
def select_dynamic(codes: jax.Array) -> jax.Array:
    """Maps codes, uint8, to their values on the dynamic map, by selection."""
    # The map mirrors itself about its zero, but for a lone 1 at its end.
    zero, last = 127, 255
    distance = jnp.abs(codes.astype(jnp.int32) - zero)
    value = _select(distance & 127, dynamic_map()[zero:last])
    value = jnp.where(distance == last - zero, jnp.float32(1), value)
    return jnp.where(codes < zero, -value, value)


def _take(table: jax.Array, index: jax.Array) -> jax.Array:
    return table.at[index].get(mode="promise_in_bounds")


def rounded(x: jax.Array) -> jax.Array:
    """The value itself, kept from being fused with the addition after it, which would round once instead of twice.

    A selection in between does it; compilers see through barriers and through casts.
    """
    return jnp.where(jnp.isnan(x), jnp.nan, x)
