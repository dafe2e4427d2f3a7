"""Drafts by lookup: where the last tokens stood before, what followed them there may follow again.

Names and numbers of a prompt return in its script, statements of a script in its other statements, and what is common
to scripts in the examples that come with a model. A draft is read together with the token before it, in one step; what
the model would have written otherwise is thrown away, so that the same is written as without drafts. (Saxena's prompt
lookup decoding, 2023, over all of the text; with examples as in llama.cpp's static lookup, there of n-grams.)

Letters: R rows, T text positions, D draft tokens, E tokens of examples.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Lookup:
    """How drafts are found.

    Attributes:
      size: D, the tokens of a draft at most.
      least: how many of the last tokens must have stood together before.
      most: of how many a longer match counts more.
      examples: ids of scripts in which is looked as well.

    Raises:
      ValueError: sizes that make no draft.
    """

    size: int = 4
    least: int = 2
    most: int = 8
    examples: tuple[tuple[int, ...], ...] = dataclasses.field(default=(), repr=False)

    def __post_init__(self):
        if self.size < 1 or not 1 <= self.least <= self.most:
            raise ValueError(f"{self}: size is at least 1, and least from 1 to most")

    def example_text(self) -> np.ndarray:
        """Returns int32 [E]: the examples, an id of -1 behind each."""
        return np.array([token for example in self.examples for token in (*example, -1)], np.int32)


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

    The longest match counts, of equal ones one in the row before one in an example, and then the last. Text of negative
    ids matches nothing.
    """
    if lookup.examples:  # before the row, of whose own matches the last therefore counts
        examples = lookup.example_text()
        text = jnp.concatenate([jnp.broadcast_to(examples, (text.shape[0], len(examples))), text], axis=1)
        lengths = lengths + len(examples)
    width = text.shape[1]
    place = jnp.arange(width)
    matched = jnp.zeros(text.shape, "int32")
    followed = jnp.pad(text[:, 1:] >= 0, ((0, 0), (0, 1)))
    alike = (place < lengths[:, None] - 1) & followed
    for back in range(lookup.most):
        last = jnp.take_along_axis(text, jnp.maximum(lengths[:, None] - 1 - back, 0), axis=1)
        there = jnp.pad(text, ((0, 0), (back, 0)), constant_values=-1)[:, :width]  # `back` tokens earlier
        alike = alike & (there == last) & (there >= 0) & (lengths[:, None] > back)
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
