"""How a token is chosen: the most likely one, or drawn from a distribution whose unlikely end is cut off.

Letters: R rows, C vocabulary.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Sampling:
    """A distribution to draw from; without arguments a good one for several candidates of one script.

    The default cuts by `min_p` alone: where the model is sure it leaves one token, where it is not it leaves many, and
    unlike `top_p` it sorts nothing.

    Attributes:
      temperature: what the scores are divided by; 0 takes the most likely token, whatever the other two are.
      top_p: the most likely tokens are kept whose probabilities together reach this; 1 keeps all.
      min_p: tokens are kept that have at least this share of the most likely one's probability; 0 keeps all.

    Raises:
      ValueError: a value out of its range.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    min_p: float = 0.05

    def __post_init__(self):
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature {self.temperature} is not a number from 0 up; 0 is greedy, 1 is the model's")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p {self.top_p} is not above 0 and at most 1; 1 keeps all tokens")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p {self.min_p} is not between 0 and 1; 0 keeps all tokens")

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken."""
        return self.temperature == 0


GREEDY = Sampling(temperature=0.0, min_p=0.0)


class Draws(NamedTuple):
    """What makes the draws of each row its own: a sample's scripts do not depend on which others share its batch.

    Attributes:
      keys: [R].
      greedy: bool [R]; rows that take the most likely token all the same.
    """

    keys: jax.Array
    greedy: jax.Array

    @classmethod
    def create(cls, seed: jax.Array | int, digests: jax.Array, candidates: int) -> Draws:
        """Returns draws for `candidates` rows of each of B samples, side by side; traceable.

        Of several candidates the first is greedy. The others' keys come from the seed, the sample's digest (uint32 [B])
        and the candidate's number alone.
        """
        number = jnp.tile(jnp.arange(candidates), digests.shape[0])
        digests = jnp.repeat(digests, candidates)
        base = jax.random.key(seed)
        keys = jax.vmap(lambda *data: jax.random.fold_in(jax.random.fold_in(base, data[0]), data[1]))(digests, number)
        return cls(keys, (number == 0) & (candidates > 1))


def choose(scores: jax.Array, sampling: Sampling, draws: Draws, numbers: jax.Array) -> jax.Array:
    """Returns a token for each row, int32 [R]; traceable.

    Args:
      scores: float32 [R, C]; -inf where a token may not come.
      sampling: how.
      draws: of the rows.
      numbers: int [R], of the tokens in their rows.
    """
    best = jnp.argmax(scores, axis=-1).astype(jnp.int32)
    if sampling.greedy:
        return best
    keys = jax.vmap(jax.random.fold_in)(draws.keys, numbers)
    drawn = jax.vmap(jax.random.categorical)(keys, reshape_scores(scores, sampling)).astype(jnp.int32)
    return jnp.where(draws.greedy, best, drawn)


def log_probability(scores: jax.Array, tokens: jax.Array) -> jax.Array:
    """Returns float32 [R]: the logarithm of the probability that scores [R, C] give to tokens [R]; traceable."""
    chosen = jnp.take_along_axis(scores, tokens[:, None], axis=-1)[:, 0]
    return chosen - jax.nn.logsumexp(scores, axis=-1)


def reshape_scores(scores: jax.Array, sampling: Sampling) -> jax.Array:
    """Returns float32 scores [R, C] over the temperature, -inf where a token is cut off; the best stays in any case."""
    scores = scores / sampling.temperature
    if sampling.top_p < 1:
        ordered = jnp.sort(scores, axis=-1, descending=True)
        probabilities = jax.nn.softmax(ordered, axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities  # of all tokens that are more likely
        least = jnp.min(jnp.where(before < sampling.top_p, ordered, jnp.inf), axis=-1, keepdims=True)
        scores = jnp.where(scores >= least, scores, -jnp.inf)
    if sampling.min_p > 0:
        best = jnp.max(scores, axis=-1, keepdims=True)
        scores = jnp.where(scores >= best + math.log(sampling.min_p), scores, -jnp.inf)
    return scores
