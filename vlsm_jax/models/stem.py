"""Convolutions that come down to one vector for each patch, in place of one matrix for all its pixels.

A letter may stand anywhere in a patch. One matrix has to learn it at each place apart; convolutions learn it once, and
as many pictures teach an encoder that starts from nothing far more (benchmarks/letters.py; Xiao et al., 2021, Early
Convolutions Help Transformers See Better). Each has 3 x 3 pixels and goes by steps of 2, so that log2 P of them see
2 P - 1 pixels around the middle of a patch of P x P.

Letters: N images, H image side, P patch side, A = H / P patches along each side, K kept patches, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models.layers import Declare, Initializer, LayerNorm, normal

_SIDE = 3


class Convolution(nnx.Module):
    """A convolution of 3 x 3 pixels in steps of 2, a norm over channels, and what is positive of it."""

    def __init__(self, declare: Declare, inputs: int, outputs: int, *, eps: float, dtype: jnp.dtype):
        self.dtype = dtype
        # Of what goes through half is cut off (He et al., 2015).
        init = even_kernel(normal(math.sqrt(2 / (_SIDE**2 * inputs))))
        self.kernel = declare((_SIDE, _SIDE, inputs, outputs), ("patch", "patch", "channels", "channels"), init)
        self.norm = LayerNorm(declare, outputs, eps=eps, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, 2 S + 1, 2 T + 1, channels] to [N, S, T, channels]."""
        x = jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            self.kernel[...].astype(self.dtype),
            window_strides=(2, 2),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return jax.nn.relu(self.norm(x))


class Stem(nnx.Module):
    """Convolutions one behind another, with as many channels each as `channels` says."""

    def __init__(self, declare: Declare, channels: Sequence[int], *, eps: float, dtype: jnp.dtype):
        self.count = len(channels)
        for number, (inputs, outputs) in enumerate(zip((3, *channels), channels, strict=False)):
            setattr(self, f"convolution_{number}", Convolution(declare, inputs, outputs, eps=eps, dtype=dtype))

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Maps pixels [N, P * S + P - 1, P * T + P - 1, 3] to [N, S, T, C], one vector for each patch of P x P."""
        for number in range(self.count):
            pixels = getattr(self, f"convolution_{number}")(pixels)
        return pixels


def with_margin(images: jax.Array, patch: int) -> jax.Array:
    """Maps images [N, H, H, 3] to [N, H + P - 1, H + P - 1, 3], the pixels at the edge repeated around them."""
    around = (patch // 2, patch // 2 - 1)
    return jnp.pad(images, ((0, 0), around, around, (0, 0)), mode="edge")


def surroundings(images: jax.Array, kept: jax.Array, patch: int) -> jax.Array:
    """Maps images with a margin and int32 `kept` [N, K] to what a stem sees of each, [N * K, 2 P - 1, 2 P - 1, 3]."""
    across, side = images.shape[1] // patch, 2 * patch - 1

    def cut(image: jax.Array, index: jax.Array) -> jax.Array:
        at = (index // across * patch, index % across * patch, 0)
        return jax.lax.dynamic_slice(image, at, (side, side, 3))

    each = jax.vmap(lambda image, indices: jax.vmap(lambda index: cut(image, index))(indices))(images, kept)
    return each.reshape(-1, side, side, 3)


def even_kernel(init: Initializer) -> Initializer:
    """Returns kernels [rows, columns, channels, D] that paper and grey tell nothing: their mean over pixels is 0."""

    def even(*arguments) -> jax.Array:
        kernel = init(*arguments)
        return kernel - kernel.mean((0, 1), keepdims=True)

    return even
