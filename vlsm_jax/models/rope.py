"""Rotary position embedding (Su et al., 2021), half-split as in Hugging Face checkpoints."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Rope(NamedTuple):
    """Cosines and sines of one batch of positions, float32 [B, S, 1, H/2]; one for all layers and heads."""

    cos: jax.Array
    sin: jax.Array


def rope_table(positions: jax.Array, head_dim: int, theta: float) -> Rope:
    """Returns the rotations for int positions [B, S]: angle `position / theta ** (2 i / head_dim)`."""
    frequency = theta ** -(jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    angle = positions.astype(jnp.float32)[:, :, None, None] * frequency
    return Rope(jnp.cos(angle), jnp.sin(angle))


def rotate(x: jax.Array, rope: Rope) -> jax.Array:
    """Rotates [B, S, heads, H] by its positions, in float32; element i pairs with element i + H/2."""
    low, high = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([low * rope.cos - high * rope.sin, high * rope.cos + low * rope.sin], axis=-1).astype(
        x.dtype
    )
