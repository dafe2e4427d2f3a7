"""Drafts by lookup: where the last tokens stood before, what followed them there may follow again.

Names and numbers of a prompt return in its script, and statements of a script in its other statements. A draft is read
together with the token before it, in one step; what the model would have written otherwise is thrown away, so that the
same is written as without drafts. (Saxena's prompt lookup decoding, 2023, over all of the text.)

Letters: R rows, T text positions, D draft tokens.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Lookup:
    """How drafts are found.

    Attributes:
      size: D, the tokens of a draft at most.
      least: how many of the last tokens must have stood together before.
      most: of how many a longer match counts more.

    Raises:
      ValueError: sizes that make no draft.
    """

    size: int = 4
    least: int = 1
    most: int = 4

    def __post_init__(self):
        if self.size < 1 or not 1 <= self.least <= self.most:
            raise ValueError(f"{self}: size is at least 1, and least from 1 to most")


class Drafts(NamedTuple):
    """What may come next.

    Attributes:
      tokens: int32 [R, D].
      count: int32 [R], how many of them are a draft; 0 where none was found.
    """

    tokens: jax.Array
    count: jax.Array


def look_up(text: jax.Array, lengths: jax.Array, lookup: Lookup) -> Drafts:
    """Returns drafts for rows of int text [R, T] of int lengths [R]; traceable.

    The longest match counts, of equal ones the last. Text of negative ids matches nothing.
    """
    width = text.shape[1]
    place = jnp.arange(width)
    matched = jnp.zeros(text.shape, "int32")
    alike = (place < lengths[:, None] - 1) & (text >= 0)
    for back in range(lookup.most):
        last = jnp.take_along_axis(text, jnp.maximum(lengths[:, None] - 1 - back, 0), axis=1)
        there = jnp.pad(text, ((0, 0), (back, 0)), constant_values=-1)[:, :width]  # `back` tokens earlier
        alike = alike & (there == last) & (lengths[:, None] > back)
        matched = matched + alike
    best = jnp.argmax(matched * width + place, axis=1)[:, None]
    enough = jnp.take_along_axis(matched, best, axis=1)[:, 0] >= lookup.least
    after = best + 1 + jnp.arange(lookup.size)
    tokens = jnp.take_along_axis(text, jnp.minimum(after, width - 1), axis=1)
    good = jnp.cumprod((after < lengths[:, None]) & (tokens >= 0), axis=1)
    return Drafts(tokens, jnp.where(enough, good.sum(axis=1), 0).astype("int32"))


def accepted(drafts: Drafts, chosen: jax.Array) -> jax.Array:
    """Returns int32 [R], how many draft tokens are what was chosen in their places, int [R, 1 + D]; traceable."""
    right = (drafts.tokens == chosen[:, :-1]) & (jnp.arange(drafts.tokens.shape[1]) < drafts.count[:, None])
    return jnp.sum(jnp.cumprod(right, axis=1), axis=1, dtype=jnp.int32)
