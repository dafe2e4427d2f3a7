"""Decoding under the grammar constraint: a loop on the host, whose bits are filled while the device works.

A token is chosen in two compiled calls. `choose` takes the logits and the bits of what may come, and is over at once;
`advance` runs the model on the token. Both are sent off together; the host waits for the token alone, and follows the
grammar with it while the device is busy with `advance`. So the host's work is hidden as long as it takes less time than
a step of the model.

Tokens that the grammar forces are not skipped over: FlexScript forces next to nothing, as blanks and comments may stand
almost anywhere, and a forced text written with other tokens than the model would have chosen would not be greedy.

Letters: R rows, each a candidate of a prompt, V vocabulary, W words of bits.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vlsm_jax.generation.constraint import Constraint, ConstraintError
from vlsm_jax.generation.loop import Generated, read_prompts, read_token, without_padding
from vlsm_jax.generation.prompts import Prompts
from vlsm_jax.generation.sampling import GREEDY, Draws, Sampling, choose, log_probability
from vlsm_jax.models.cache import KVCache
from vlsm_jax.training.network import Network, Params


class State(NamedTuple):
    """What the device keeps between steps.

    Attributes:
      logits: float32 [R, V] of the next token.
      cache: keys and values.
      next_position: int32 [R], of the next token; -1 for a row that ended.
      log_probabilities: float32 [R], of all tokens so far.
    """

    logits: jax.Array
    cache: KVCache
    next_position: jax.Array
    log_probabilities: jax.Array


class Timing(NamedTuple):
    """Where the time went.

    Attributes:
      steps: tokens chosen per row.
      seconds: of the whole loop, prefill included.
      waiting: seconds the host waited for tokens.
      filling: seconds the host followed the grammar, most of them while the device worked.
    """

    steps: int
    seconds: float
    waiting: float
    filling: float


def allowed(bits: jax.Array, vocabulary: int) -> jax.Array:
    """Returns bool [R, V] from int32 bits [R, W]; ids that have no bit, such as an embedding's padding, are False."""
    spread = (bits[:, :, None] >> jnp.arange(32)) & 1 == 1  # [R, W, 32]
    spread = spread.reshape(bits.shape[0], -1)[:, :vocabulary]
    return jnp.pad(spread, ((0, 0), (0, vocabulary - spread.shape[1])))


class ConstrainedDecoder:
    """The compiled calls of one network; shapes compile on first use.

    Attributes:
      timing: of the last call of `decode`.

    Args:
      network: the model.
      constraint: for the network's tokenizer.
    """

    def __init__(self, network: Network, constraint: Constraint):
        self._network, self._constraint = network, constraint
        self._eos_id, self._vocabulary = constraint.tokenizer.eos_id, constraint.tokenizer.size
        self.timing = Timing(0, 0.0, 0.0, 0.0)
        self._begin = jax.jit(self._begin_step, static_argnames=("new_tokens", "candidates"))
        self._select = jax.jit(self._select_step, static_argnames="sampling")
        self._advance = jax.jit(self._advance_step, donate_argnames="state")

    def _begin_step(
        self, params: Params, prompts: Prompts, seed: jax.Array, *, new_tokens: int, candidates: int
    ) -> tuple[State, Draws]:
        start = read_prompts(self._network.merge(params), prompts, new_tokens, candidates)
        draws = Draws.create(seed, prompts.digests, candidates)
        return State(start.logits, start.cache, start.lengths, jnp.zeros(start.lengths.shape, jnp.float32)), draws

    def _select_step(
        self, logits: jax.Array, bits: jax.Array, draws: Draws, step: jax.Array, *, sampling: Sampling
    ) -> jax.Array:
        return choose(jnp.where(allowed(bits, logits.shape[-1]), logits, -jnp.inf), sampling, draws, step)

    def _advance_step(self, params: Params, state: State, token: jax.Array) -> State:
        logarithm = log_probability(without_padding(state.logits, self._vocabulary), token)
        total = state.log_probabilities + jnp.where(state.next_position < 0, 0.0, logarithm)
        position = jnp.where(token == self._eos_id, -1, state.next_position)  # a row that ended writes nothing more
        logits, cache = read_token(self._network.merge(params), token, position, state.cache)
        return State(logits, cache, jnp.where(position < 0, -1, position + 1), total)

    def decode(
        self,
        params: Params,
        prompts: Prompts,
        new_tokens: int,
        *,
        candidates: int = 1,
        sampling: Sampling = GREEDY,
        seed: int = 0,
    ) -> Generated:
        """Returns scripts within the grammar; a row that did not end within the limit stops amid its script.

        Args:
          params: of the network.
          prompts: the batch, on the devices.
          new_tokens: an upper limit.
          candidates, sampling, seed: see `generation.loop.write`; drawn is among the tokens that may come.

        Raises:
          ConstraintError: tokens lie on devices of other processes.
        """
        started = time.perf_counter()
        waiting = filling = 0.0
        state, draws = self._begin(params, prompts, seed, new_tokens=new_tokens, candidates=candidates)
        placement, rows = state.next_position.sharding, state.next_position.shape[0]
        scripts = self._constraint.scripts(rows)
        out = np.full((rows, new_tokens), self._eos_id, np.int32)
        steps = 0
        for steps in range(1, new_tokens + 1):
            token = self._select(state.logits, jnp.asarray(scripts.bits), draws, steps - 1, sampling=sampling)
            if not token.is_fully_addressable:
                raise ConstraintError("constraint follows the rows of its own process; use a mesh of local devices")
            # Sent off before the token is known here, so that the device need not wait.
            state = self._advance(params, state, jax.device_put(token, placement))
            asked = time.perf_counter()
            chosen = np.asarray(token)
            told = time.perf_counter()
            out[:, steps - 1] = chosen
            scripts.write(chosen)
            waiting, filling = waiting + told - asked, filling + time.perf_counter() - told
            if scripts.done.all():
                break
        ended = out == self._eos_id
        lengths = np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, new_tokens).astype(np.int32)
        self.timing = Timing(steps, time.perf_counter() - started, waiting, filling)
        return Generated(out, lengths, np.asarray(state.log_probabilities))
