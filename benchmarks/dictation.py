"""A model that wants to write given tokens, whatever its weights: what decoding costs with real scripts, untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vlsm_jax.training.network import Network

# Added to the score of the token that is dictated.
LOUD = 1e4


class Dictated:
    """Stands in for a network; does all of its work, and then prefers what is dictated to its rows.

    Args:
      network: of text alone.
      starts: position of each row's first new token.
      texts: tokens for each row, the last of them again behind the end.
    """

    def __init__(self, network: Network, starts: Sequence[int], texts: Sequence[Sequence[int]]):
        self.network, self._starts = network, np.asarray(starts, np.int32)
        longest = max(map(len, texts))
        self._texts = np.array([[*text, *[text[-1]] * (longest - len(text))] for text in texts], np.int32)

    def merge(self, params: Mapping[str, Any]) -> _DictatedModel:
        """Returns the model that holds `params`."""
        return _DictatedModel(self.network.merge(params), self._starts, self._texts)


class _DictatedModel:
    vision = None

    def __init__(self, model: Any, starts: np.ndarray, texts: np.ndarray):
        self._model, self._starts, self._texts = model, starts, texts
        self.config = model.config

    def __call__(self, tokens: jax.Array, *, positions: jax.Array, **others: Any):
        hidden, cache = self._model(tokens, positions=positions, **others)
        number = jnp.clip(positions + 1 - self._starts[:, None], 0, self._texts.shape[1] - 1)
        wanted = jnp.take_along_axis(jnp.asarray(self._texts), number, axis=1)
        return jnp.concatenate([hidden, wanted[..., None].astype(hidden.dtype)], axis=-1), cache

    def logits(self, hidden: jax.Array) -> jax.Array:
        scores = self._model.logits(hidden[..., :-1])
        wanted = hidden[..., -1].astype(jnp.int32)[..., None]
        return scores + jnp.where(jnp.arange(scores.shape[-1]) == wanted, LOUD, 0)
