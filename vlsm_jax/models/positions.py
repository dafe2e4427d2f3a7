"""Learned positions of an image's patches, brought to another number of patches.

The two ways in use differ in more than the low-pass filter that gives one its name: PyTorch's plain bicubic takes the
cubic with a = -0.75 and repeats border pixels, its antialiased one takes a = -0.5 and leaves out what lies outside.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np


def resize_positions(table: jax.Array, new: int, *, antialias: bool) -> jax.Array:
    """Returns a position table for `new * new` patches, by bicubic interpolation of a square one.

    Args:
      table: [1 + old * old, D], the class token's position first, which stays as it is.
      new: patches along each side.
      antialias: False is what transformers does (`interpolate_pos_encoding`), True what open_clip does on loading.

    Returns:
      [1 + new * new, D] in the dtype of `table`.
    """
    old = round((table.shape[0] - 1) ** 0.5)
    if old == new:
        return table
    weights = jnp.asarray(bicubic_weights(old, new, antialias=antialias))
    grid = table[1:].astype(jnp.float32).reshape(old, old, -1)
    grid = jnp.einsum("yi,xj,ijd->yxd", weights, weights, grid).reshape(new * new, -1)
    return jnp.concatenate([table[:1], grid.astype(table.dtype)])


@functools.cache
def bicubic_weights(old: int, new: int, *, antialias: bool) -> np.ndarray:
    """Returns float32 [new, old], each row the weights of the old pixels in a new one (cubic convolution, Keys 1981).

    Pixel centres lie at half-integers (`align_corners=False`).
    """
    scale = old / new
    centre = (np.arange(new) + 0.5) * scale - 0.5
    if antialias:
        # The kernel is widened when shrinking, and its part inside the image made to sum to one.
        width = max(scale, 1.0)
        weights = _cubic((np.arange(old)[None, :] - centre[:, None]) / width, -0.5)
        weights /= weights.sum(axis=1, keepdims=True)
        return weights.astype(np.float32)
    weights = np.zeros((new, old))
    first = np.floor(centre).astype(int) - 1
    for tap in range(4):
        at = first + tap
        np.add.at(weights, (np.arange(new), np.clip(at, 0, old - 1)), _cubic(at - centre, -0.75))
    return weights.astype(np.float32)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
