"""Decoding under the grammar constraint: the loop of decoding, some steps at a time, and a look at what it wrote.

The device writes as if there were no grammar. The host follows the grammar over these tokens alone, which costs next to
nothing. Where one may not come, the row is taken back to it, the bits of all that may come are filled, and the device
chooses anew among them: seldom with a trained model, so that its scripts cost what they cost without constraint. The
more tokens in a row may come, the more steps are taken before the next look.

What is written is the most likely of the tokens that may come; what is drawn and may not come is drawn anew among them.
Tokens that the grammar forces are not skipped over: FlexScript forces next to nothing, as blanks and comments may stand
almost anywhere, and a forced text written with other tokens than the model would have chosen would not be greedy.

Letters: R rows, each a candidate of a prompt, T text positions, C the network's vocabulary, W words of bits.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vlsm_jax.generation.constraint import Constraint, ConstraintError, Scripts
from vlsm_jax.generation.loop import Generated, Limits, State, append, begin, finish, go_on, read_tokens
from vlsm_jax.generation.programs import Programs
from vlsm_jax.generation.prompts import Prompts
from vlsm_jax.generation.speed import Speed
from vlsm_jax.generation.streaming import Stream
from vlsm_jax.models.vlsm import Vlsm
from vlsm_jax.training.network import Network, Params

# Steps between two looks, at most.
MOST_STEPS = 32


class Timing(NamedTuple):
    """Where the time went.

    Attributes:
      looks: times that the host looked at what was written.
      seconds: of the whole loop, prefill included.
      following: seconds the host followed the grammar.
      filling: seconds the host filled bits.
      fillings: how many rows' bits were filled.
    """

    looks: int = 0
    seconds: float = 0.0
    following: float = 0.0
    filling: float = 0.0
    fillings: int = 0


class Written(NamedTuple):
    """What the host looks at; see `State`."""

    text: jax.Array
    counts: jax.Array
    done: jax.Array


class Ruling(NamedTuple):
    """What the grammar says of what was written.

    Attributes:
      counts: int32 [R], tokens that stay.
      done: bool [R], rows that are done with these.
      refused: bool [R], rows whose next token was refused.
      bits: int32 [R, W], the tokens that may come there.
    """

    counts: jax.Array
    done: jax.Array
    refused: jax.Array
    bits: jax.Array


def allowed(bits: jax.Array, vocabulary: int) -> jax.Array:
    """Returns bool [R, C] from int32 bits [R, W]; ids that have no bit, such as an embedding's padding, are False."""
    spread = (bits[:, :, None] >> jnp.arange(32)) & 1 == 1  # [R, W, 32]
    spread = spread.reshape(bits.shape[0], -1)[:, :vocabulary]
    return jnp.pad(spread, ((0, 0), (0, vocabulary - spread.shape[1])))


def choose_anew(model: Vlsm, state: State, ruling: Ruling, limits: Limits) -> State:
    """Takes rows back to what stays of them, and writes another token where one was refused; traceable."""
    # What such a row held last is read again, for the scores behind it; others read nothing.
    last = (state.starts + ruling.counts - 1)[:, None]
    tokens = jnp.take_along_axis(state.text, last, axis=1)
    logits, cache = read_tokens(model, tokens, jnp.where(ruling.refused[:, None], last, -1), state.cache)
    state = state._replace(counts=ruling.counts, done=~ruling.refused, cache=cache)
    state = append(state, logits, limits, may=allowed(ruling.bits, logits.shape[-1]))
    return state._replace(done=jnp.where(ruling.refused, state.done, ruling.done))


class ConstrainedDecoder:
    """The compiled calls of one network; shapes compile on first use.

    Attributes:
      timing, speed: of the last call of `decode`, compilation apart.

    Args:
      network: the model.
      constraint: for the network's tokenizer.
    """

    def __init__(self, network: Network, constraint: Constraint):
        self._network, self._constraint = network, constraint
        self.timing, self.speed, self._programs = Timing(), Speed(), Programs()

    def decode(
        self,
        params: Params,
        prompts: Prompts,
        limits: Limits,
        *,
        seed: int = 0,
        stream: Stream | None = None,
        names: Sequence[Sequence[str]] | None = None,
    ) -> Generated:
        """Returns scripts within the grammar; a row that did not end within the limit stops amid its script.

        Args:
          params: of the network.
          prompts: the batch, on the devices.
          limits: see there.
          seed: of the draws.
          stream: is shown what is written.
          names: of each prompt, what objects may be called; None: anything.

        Raises:
          ConstraintError: tokens lie on devices of other processes, or the grammar's limits are exceeded.
        """
        limits = dataclasses.replace(limits, back=MOST_STEPS * limits.at_once)
        network, programs, key = self._network, self._programs, (limits, prompts.tokens.shape)

        def start(params: Params, prompts: Prompts, seed: jax.Array) -> tuple[State, Written]:
            state = begin(network.merge(params), prompts, seed, limits)
            return state, Written(state.text, state.counts, state.done)

        def proceed(params: Params, state: State, steps: jax.Array) -> tuple[State, Written]:
            state = go_on(network.merge(params), state, steps, limits)
            return state, Written(state.text, state.counts, state.done)

        def choose(params: Params, state: State, ruling: Ruling) -> State:
            return choose_anew(network.merge(params), state, ruling, limits)

        began, compiling = time.perf_counter(), programs.seconds
        state, written = programs((*key, "start"), start, params, prompts, np.uint32(seed))
        if not written.text.is_fully_addressable:
            raise ConstraintError("constraint follows the rows of its own process; use a mesh of local devices")
        starts = np.asarray(state.starts)
        first_token = time.perf_counter() - began - (programs.seconds - compiling)
        if names is not None:
            names = [names[row // limits.candidates] for row in range(len(starts))]
        rows = _Rows(self._constraint.scripts(len(starts), names), starts)
        looks, following, filling, fillings, steps = 0, 0.0, 0.0, 0, 1
        while True:
            written = Written(*jax.device_get(tuple(written)))
            looked = time.perf_counter()
            refused = rows.follow(written)
            followed = time.perf_counter()
            looks, following = looks + 1, following + followed - looked
            if stream is not None:
                place = np.arange(limits.new_tokens)
                tokens = np.take_along_axis(written.text, starts[:, None] + place, axis=1)
                stream.show(tokens, rows.counts, written.done & ~refused)
            if refused.any():
                ruling = rows.ruling(written, refused)
                filling, fillings = filling + time.perf_counter() - followed, fillings + int(refused.sum())
                state = programs((*key, "choose"), choose, params, state, ruling, donate=(1,))
            elif written.done.all():
                break
            steps = 1 if refused.any() else min(2 * steps, MOST_STEPS)
            state, written = programs((*key, "proceed"), proceed, params, state, np.int32(steps), donate=(1,))
        made = programs((*key, "finish"), lambda state: finish(state, limits), state)
        compiled = programs.seconds - compiling
        seconds = time.perf_counter() - began - compiled
        self.timing = Timing(looks, seconds, following, filling, fillings)
        self.speed = Speed(seconds=seconds, first_token_seconds=first_token, generations=1, compile_seconds=compiled)
        return jax.device_get(made)


class _Rows:
    """The host's side.

    Attributes:
      counts: int32 [R], tokens of each row that the grammar has followed.
    """

    def __init__(self, scripts: Scripts, starts: np.ndarray):
        self._scripts, self._starts = scripts, starts
        self.counts = np.zeros(len(starts), np.int32)
        self._before = np.full(len(starts), -1)  # where a token was refused last

    def follow(self, written: Written) -> np.ndarray:
        """Follows new tokens as far as they may come; returns bool [R], rows that hold one that may not."""
        refused = np.zeros(len(self.counts), bool)
        for row in np.flatnonzero(written.counts > self.counts):
            start = self._starts[row]
            new = written.text[row, start + self.counts[row] : start + written.counts[row]].tolist()
            taken = self._scripts.take(row, new)
            self.counts[row] += taken
            refused[row] = taken < len(new)
        return refused

    def ruling(self, written: Written, refused: np.ndarray) -> Ruling:
        """Returns what is to be done about tokens that were refused."""
        for row in np.flatnonzero(refused):
            if self._before[row] == self.counts[row]:
                token = written.text[row, self._starts[row] + self.counts[row]]
                raise ConstraintError(f"row {row}: token {token} has its bit and may not come all the same")
            self._before[row] = self.counts[row]
            self._scripts.fill(row)
        # Copies: the device may read arrays where they lie, and later than this.
        return Ruling(self.counts.copy(), written.done & ~refused, refused, self._scripts.bits.copy())
