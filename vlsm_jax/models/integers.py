"""Symmetric integer weights of 8 and 4 bits, with one scale per block of 64 inputs and output.

A kernel [I, O] is kept as `codes`, int8 [I, O] or two to a byte as in `nf4`, uint8 [I/2, O], and `absmax` float32
[I/64, O], the value of the largest code.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vlsm_jax.models.nf4 import BLOCK, block_absmax, pack, unpack

_LARGEST_8, _LARGEST_4 = 127, 7
# Codes of four bits are stored without a sign.
_ZERO_4 = 8


def quantise_int8(kernel: jax.Array) -> dict[str, jax.Array]:
    """Maps a kernel [I, O] of any floating dtype to `codes` int8 [I, O] and `absmax` float32 [I/64, O]."""
    codes, absmax = _round(kernel, _LARGEST_8)
    return {"codes": codes.reshape(kernel.shape), "absmax": absmax}


def dequantise_int8(arrays: dict[str, jax.Array], dtype: jnp.dtype) -> jax.Array:
    """Maps the arrays of `quantise_int8` to the kernel [I, O]."""
    codes = arrays["codes"]
    return _scale(codes.reshape(-1, BLOCK, codes.shape[-1]), arrays["absmax"], _LARGEST_8, dtype)


def quantise_int4(kernel: jax.Array) -> dict[str, jax.Array]:
    """Maps a kernel [I, O] of any floating dtype to `codes` uint8 [I/2, O] and `absmax` float32 [I/64, O]."""
    codes, absmax = _round(kernel, _LARGEST_4)
    return {"codes": pack((codes + _ZERO_4).astype(jnp.uint8)), "absmax": absmax}


def dequantise_int4(arrays: dict[str, jax.Array], dtype: jnp.dtype) -> jax.Array:
    """Maps the arrays of `quantise_int4` to the kernel [I, O]."""
    codes = unpack(arrays["codes"]).astype(jnp.int8) - _ZERO_4
    return _scale(codes, arrays["absmax"], _LARGEST_4, dtype)


def _round(kernel: jax.Array, largest: int) -> tuple[jax.Array, jax.Array]:
    """Returns codes int8 [I/64, 64, O] between -largest and largest, and `absmax`."""
    blocks, absmax = block_absmax(kernel, BLOCK)
    # A block of zeros is divided by 1: its codes are 0 whatever the scale.
    scale = jnp.where(absmax > 0, absmax, 1) / largest
    return jnp.clip(jnp.round(blocks / scale[:, None, :]), -largest, largest).astype(jnp.int8), absmax


def _scale(codes: jax.Array, absmax: jax.Array, largest: int, dtype: jnp.dtype) -> jax.Array:
    kernel = codes.astype(jnp.float32) * (absmax / largest)[:, None, :]
    return kernel.astype(dtype).reshape(-1, codes.shape[-1])
