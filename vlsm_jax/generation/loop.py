"""The loop over new tokens: prefill and every step in one compiled call.

Letters: B prompts, N candidates of each, R = B * N rows, P prompt positions (visual tokens included), C vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vlsm_jax.generation.prompts import Prompts
from vlsm_jax.generation.sampling import GREEDY, Draws, Sampling, choose, log_probability
from vlsm_jax.models.cache import KVCache
from vlsm_jax.models.vlsm import Vlsm


class Generated(NamedTuple):
    """What decoding returns; the candidates of a prompt stand in neighbouring rows.

    Attributes:
      tokens: int32 [R, new tokens]; after a row's end-of-text id, that id again.
      lengths: int32 [R]; ids up to and including the end-of-text id, or all of them for a row that did not end.
      log_probabilities: float32 [R]; sum over these ids of the logarithm of the probability that the model gives them,
        whatever they were chosen by.
    """

    tokens: jax.Array
    lengths: jax.Array
    log_probabilities: jax.Array


class Start(NamedTuple):
    """What reading the prompts leaves.

    Attributes:
      logits: float32 [R, C] of the first new token.
      cache: keys and values of the prompts.
      lengths: int32 [R], of the prompts: the positions of the first new tokens.
    """

    logits: jax.Array
    cache: KVCache
    lengths: jax.Array


def read_prompts(model: Vlsm, prompts: Prompts, new_tokens: int, candidates: int = 1) -> Start:
    """Reads each prompt once, and gives what came of it to each of its candidates; traceable."""
    batch, width = prompts.tokens.shape
    lengths = jnp.max(prompts.positions, axis=1) + 1
    hidden, cache = model(
        prompts.tokens,
        visual=None if model.vision is None else model.encode_images(prompts.images),
        visual_index=prompts.visual_index,
        positions=prompts.positions,
        cache=KVCache.init(model.config.decoder, batch, width + new_tokens, model.decoder.dtype),
    )
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)
    start = Start(model.logits(last)[:, 0], cache, lengths)
    if candidates == 1:
        return start
    logits, lengths = (jnp.repeat(x, candidates, axis=0) for x in (start.logits, lengths))
    return Start(logits, cache.repeated(candidates), lengths)


def read_token(model: Vlsm, token: jax.Array, position: jax.Array, cache: KVCache) -> tuple[jax.Array, KVCache]:
    """Returns logits [R, C] of what follows a token [R] at its position [R], -1 for a row that ended; traceable."""
    hidden, cache = model(
        token[:, None],
        visual=None,
        visual_index=jnp.full((token.shape[0], 1), -1, jnp.int32),
        positions=position[:, None],
        cache=cache,
    )
    return model.logits(hidden)[:, 0], cache


def without_padding(logits: jax.Array, vocabulary: int) -> jax.Array:
    """Returns logits [R, C], -inf at ids that the tokenizer lacks: an embedding's padding, whose rows mean nothing."""
    return jnp.where(jnp.arange(logits.shape[-1]) < vocabulary, logits, -jnp.inf)


def write(
    model: Vlsm,
    prompts: Prompts,
    *,
    new_tokens: int,
    eos_id: int,
    vocabulary: int,
    candidates: int = 1,
    sampling: Sampling = GREEDY,
    seed: jax.Array | int = 0,
) -> Generated:
    """Continues prompts, one id at a time; traceable, one `while_loop`.

    Args:
      model: with parameters.
      prompts: the batch.
      new_tokens: an upper limit; the loop ends when every row has.
      eos_id: ends a row.
      vocabulary: ids below it can be chosen.
      candidates: N, continuations of each prompt.
      sampling: how ids are chosen; of several candidates the first is greedy.
      seed: of what is drawn.
    """
    start = read_prompts(model, prompts, new_tokens, candidates)
    draws = Draws.create(seed, prompts.digests, candidates)
    rows = start.lengths.shape[0]

    def pick(logits: jax.Array, step: jax.Array | int) -> tuple[jax.Array, jax.Array]:
        logits = without_padding(logits, vocabulary)
        token = choose(logits, sampling, draws, step)
        return token, log_probability(logits, token)

    first, total = pick(start.logits, 0)
    out = jnp.full((rows, new_tokens), eos_id, jnp.int32).at[:, 0].set(first)

    def going_on(carry):
        count, _, _, _, done, _ = carry
        return (count < new_tokens) & ~jnp.all(done)

    def next_token(carry):
        count, token, cache, out, done, total = carry
        # A row that ended writes nothing more.
        logits, cache = read_token(model, token, jnp.where(done, -1, start.lengths + count - 1), cache)
        token, logarithm = pick(logits, count)
        token = jnp.where(done, eos_id, token)
        out = jax.lax.dynamic_update_slice(out, token[:, None], (0, count))
        return count + 1, token, cache, out, done | (token == eos_id), total + jnp.where(done, 0.0, logarithm)

    carry = (jnp.ones((), jnp.int32), first, start.cache, out, first == eos_id, total)
    _, _, _, out, _, total = jax.lax.while_loop(going_on, next_token, carry)
    ended = out == eos_id
    return Generated(out, jnp.where(ended.any(axis=1), jnp.argmax(ended, axis=1) + 1, new_tokens), total)
