"""Rotary position embedding (Su et al., 2021), half-split as in Hugging Face checkpoints, and its scalings."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """How the rotary frequencies of a model are stretched for texts longer than it was first trained on.

    Attributes:
      kind: "linear" divides all frequencies by `factor`; "llama3" (Llama 3.1) divides the slow ones, keeps the fast
        ones, and goes from one to the other in between.
      factor: what frequencies are divided by.
      low_freq_factor, high_freq_factor, original_max_positions: of "llama3": wavelengths above
        `original_max_positions / low_freq_factor` are slow, those below `original_max_positions / high_freq_factor`
        fast.
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    original_max_positions: int | None = None

    def __post_init__(self):
        own = ("low_freq_factor", "high_freq_factor", "original_max_positions")
        given = [name for name in own if getattr(self, name) is not None]
        if self.kind not in ("linear", "llama3"):
            raise ValueError(f"RoPE scaling {self.kind!r} is not one of linear, llama3")
        if self.kind == "linear" and given:
            raise ValueError(f"linear RoPE scaling takes factor alone, not {', '.join(given)}")
        if self.kind == "llama3" and len(given) < len(own):
            raise ValueError(f"llama3 RoPE scaling needs {', '.join(name for name in own if name not in given)}")

    def __call__(self, frequency: jax.Array) -> jax.Array:
        """Returns the scaled frequencies [H/2]."""
        if self.kind == "linear":
            return frequency / self.factor
        wavelength = 2 * math.pi / frequency
        low, high = self.low_freq_factor, self.high_freq_factor
        kept = jnp.clip((self.original_max_positions / wavelength - low) / (high - low), 0.0, 1.0)
        return (1 - kept) * frequency / self.factor + kept * frequency


class Rope(NamedTuple):
    """Cosines and sines of one batch of positions, float32 [B, S, 1, H/2]; one for all layers and heads."""

    cos: jax.Array
    sin: jax.Array


def rope_table(positions: jax.Array, head_dim: int, theta: float, scaling: RopeScaling | None = None) -> Rope:
    """Returns the rotations for int positions [B, S]: angle `position / theta ** (2 i / head_dim)`, then scaled."""
    frequency = theta ** -(jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    if scaling is not None:
        frequency = scaling(frequency)
    angle = positions.astype(jnp.float32)[:, :, None, None] * frequency
    return Rope(jnp.cos(angle), jnp.sin(angle))


def rotate(x: jax.Array, rope: Rope) -> jax.Array:
    """Rotates [B, S, heads, H] by its positions, in float32; element i pairs with element i + H/2."""
    low, high = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([low * rope.cos - high * rope.sin, high * rope.cos + low * rope.sin], axis=-1).astype(
        x.dtype
    )
