"""Decoding under the grammar constraint: a loop on the host, which looks at every token.

The device reads tokens and says what it would write next as if there were no grammar. The host asks the grammar about
these tokens alone, which costs next to nothing. Where one may not come, the bits of all that may are filled, and the
device chooses anew: seldom with a trained model, so that its scripts cost what they cost without constraint. What is
written is the most likely of the tokens that may come; what is drawn is drawn anew among them.

Tokens that the grammar forces are not skipped over: FlexScript forces next to nothing, as blanks and comments may stand
almost anywhere, and a forced text written with other tokens than the model would have chosen would not be greedy.

Letters: R rows, each a candidate of a prompt, S tokens read at once, C the network's vocabulary, W words of bits.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vlsm_jax.generation.constraint import Constraint, ConstraintError, Scripts
from vlsm_jax.generation.loop import Generated, Limits, read_prompts, read_tokens, without_padding
from vlsm_jax.generation.prompts import Prompts
from vlsm_jax.generation.sampling import Draws, choose, log_probability
from vlsm_jax.generation.speculation import Drafts, look_up
from vlsm_jax.generation.speed import Speed
from vlsm_jax.generation.streaming import Stream
from vlsm_jax.models.cache import KVCache
from vlsm_jax.training.network import Network, Params


class Choice(NamedTuple):
    """Tokens that the device chose.

    Attributes:
      tokens: int32 [R, S].
      log_probabilities: float32 [R, S], that the model gives them.
    """

    tokens: jax.Array
    log_probabilities: jax.Array


class Scores(NamedTuple):
    """What the device keeps between steps.

    Attributes:
      logits: float32 [R, S, C], of what follows the tokens read last.
      cache: keys and values.
    """

    logits: jax.Array
    cache: KVCache


class Timing(NamedTuple):
    """Where the time went.

    Attributes:
      steps: times that new tokens were read.
      seconds: of the whole loop, prefill included.
      following: seconds the host asked the grammar about tokens.
      filling: seconds the host filled bits.
      fillings: how many rows' bits were filled.
    """

    steps: int = 0
    seconds: float = 0.0
    following: float = 0.0
    filling: float = 0.0
    fillings: int = 0


def allowed(bits: jax.Array, vocabulary: int) -> jax.Array:
    """Returns bool [R, C] from int32 bits [R, W]; ids that have no bit, such as an embedding's padding, are False."""
    spread = (bits[:, :, None] >> jnp.arange(32)) & 1 == 1  # [R, W, 32]
    spread = spread.reshape(bits.shape[0], -1)[:, :vocabulary]
    return jnp.pad(spread, ((0, 0), (0, vocabulary - spread.shape[1])))


class ConstrainedDecoder:
    """The compiled calls of one network; shapes compile on first use.

    Attributes:
      timing, speed: of the last call of `decode`; compilation counts.

    Args:
      network: the model.
      constraint: for the network's tokenizer.
    """

    def __init__(self, network: Network, constraint: Constraint):
        self._network, self._constraint = network, constraint
        self.timing, self.speed = Timing(), Speed()
        self._begin = jax.jit(self._begin_step, static_argnames="limits")
        self._read = jax.jit(self._read_step, static_argnames="limits", donate_argnames="cache")
        self._choose_anew = jax.jit(self._choose_anew_step, static_argnames="limits")

    def _begin_step(self, params: Params, prompts: Prompts, seed: jax.Array, *, limits: Limits):
        model = self._network.merge(params)
        start = read_prompts(model, prompts, limits.new_tokens, candidates=limits.candidates, ahead=limits.ahead)
        draws = Draws.create(seed, prompts.digests, limits.candidates)
        scores = Scores(start.logits[:, None], start.cache)
        zero = jnp.zeros(start.lengths.shape, jnp.int32)
        return scores, _choose(scores.logits, draws, zero, limits), draws, start.lengths

    def _read_step(
        self, params: Params, cache: KVCache, given: _Given, draws: Draws, *, limits: Limits
    ) -> tuple[Scores, Choice]:
        scores = Scores(*read_tokens(self._network.merge(params), given.tokens, given.positions, cache))
        return scores, _choose(scores.logits, draws, given.numbers, limits)

    def _choose_anew_step(self, logits: jax.Array, again: _Again, draws: Draws, *, limits: Limits) -> Choice:
        logits = jnp.take_along_axis(logits, again.place[:, None, None], axis=1)[:, 0]
        may = jnp.where(allowed(again.bits, logits.shape[-1]), logits, -jnp.inf)
        tokens = choose(may, limits.sampling, draws, again.numbers)
        return Choice(tokens, log_probability(without_padding(logits, limits.vocabulary), tokens))

    def decode(
        self, params: Params, prompts: Prompts, limits: Limits, *, seed: int = 0, stream: Stream | None = None
    ) -> Generated:
        """Returns scripts within the grammar; a row that did not end within the limit stops amid its script.

        Args:
          params: of the network.
          prompts: the batch, on the devices.
          limits: see there.
          seed: of the draws.
          stream: is shown what is written.

        Raises:
          ConstraintError: tokens lie on devices of other processes, or the grammar's limits are exceeded.
        """
        started = time.perf_counter()
        scores, choice, draws, lengths = self._begin(params, prompts, np.uint32(seed), limits=limits)
        if not choice.tokens.is_fully_addressable:
            raise ConstraintError("constraint follows the rows of its own process; use a mesh of local devices")
        placement = lengths.sharding
        writing = _Writing(
            self._constraint.scripts(len(lengths)), np.asarray(prompts.tokens), np.asarray(lengths), limits
        )
        first_token, following, filling, fillings, steps = time.perf_counter(), 0.0, 0.0, 0, 0
        drafts = None
        while True:
            tokens, logarithms = jax.device_get(choice)
            asked = time.perf_counter()
            refused = writing.follow(tokens, logarithms, drafts)
            told = time.perf_counter()
            following += told - asked
            if len(refused):
                for row in refused:
                    writing.scripts.fill(row)
                filling, fillings = filling + time.perf_counter() - told, fillings + len(refused)
                again = jax.device_put(_Again(writing.place, writing.scripts.bits, writing.counts), placement)
                anew = jax.device_get(self._choose_anew(scores.logits, again, draws, limits=limits))
                writing.append(refused, anew)
            if stream is not None:
                stream.show(writing.written(), writing.counts, writing.done)
            if writing.done.all():
                break
            drafts = None if limits.lookup is None else writing.drafts()
            given = jax.device_put(writing.given(drafts), placement)
            scores, choice = self._read(params, scores.cache, given, draws, limits=limits)
            steps += 1
        ended = time.perf_counter()
        self.timing = Timing(steps, ended - started, following, filling, fillings)
        self.speed = Speed(seconds=ended - started, first_token_seconds=first_token - started, generations=1)
        return Generated(writing.written(), writing.counts, writing.log_probabilities, writing.drafted, writing.taken)


class _Given(NamedTuple):
    """What the device reads: tokens and positions int32 [R, S], and numbers [R] of the tokens that follow the first."""

    tokens: jax.Array
    positions: jax.Array
    numbers: jax.Array


class _Again(NamedTuple):
    """What is chosen anew: behind which token, int32 [R], among which, bits int32 [R, W], and with which number [R]."""

    place: jax.Array
    bits: jax.Array
    numbers: jax.Array


def _choose(logits: jax.Array, draws: Draws, numbers: jax.Array, limits: Limits) -> Choice:
    logits = without_padding(logits, limits.vocabulary)
    tokens = [choose(logits[:, i], limits.sampling, draws, numbers + i) for i in range(logits.shape[1])]
    logarithms = [log_probability(logits[:, i], chosen) for i, chosen in enumerate(tokens)]
    return Choice(jnp.stack(tokens, axis=1), jnp.stack(logarithms, axis=1))


class _Writing:
    """The host's side: what every row holds.

    Attributes:
      scripts: as the grammar sees them.
      counts: int32 [R], tokens written.
      place: int32 [R], the draft token behind which a row stands, 0 for the token before the drafts.
      done: bool [R].
      log_probabilities, drafted, taken: see `Generated`.
    """

    def __init__(self, scripts: Scripts, prompts: np.ndarray, starts: np.ndarray, limits: Limits):
        rows = len(starts)
        self.scripts, self._limits, self._starts = scripts, limits, starts
        prompts = np.repeat(prompts, limits.candidates, axis=0)
        prompts = np.where(np.arange(prompts.shape[1]) < starts[:, None], prompts, -1)
        self._text = np.pad(prompts, ((0, 0), (0, limits.new_tokens)), constant_values=-1).astype(np.int32)
        self.counts, self.place = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
        self.done = np.zeros(rows, bool)
        self.log_probabilities = np.zeros(rows, np.float32)
        self.drafted, self.taken = np.zeros(rows, np.int32), np.zeros(rows, np.int32)

    def follow(self, tokens: np.ndarray, logarithms: np.ndarray, drafts: Drafts | None) -> list[int]:
        """Appends chosen tokens [R, S] while drafts prove right; returns the rows whose next token is refused."""
        refused = []
        for row in np.flatnonzero(~self.done):
            last = 0 if drafts is None else drafts.count[row]
            self.drafted[row] += last
            for place in range(last + 1):
                self.place[row] = place
                if not self._take(row, tokens[row, place], logarithms[row, place]):
                    refused.append(row)
                    break
                self.taken[row] += place > 0
                if self.done[row] or place == last or tokens[row, place] != drafts.tokens[row, place]:
                    break
        return refused

    def append(self, rows: list[int], choice: Choice) -> None:
        """Appends what was chosen anew, tokens [R], to rows."""
        for row in rows:
            if not self._take(row, choice.tokens[row], choice.log_probabilities[row]):
                raise ConstraintError(
                    f"row {row}: token {choice.tokens[row]} has its bit and may not come all the same"
                )
            self.taken[row] += self.place[row] > 0

    def _take(self, row: int, token: np.int32, logarithm: np.float32) -> bool:
        if not self.scripts.take(row, int(token)):
            return False
        self._text[row, self._starts[row] + self.counts[row]] = token
        self.counts[row] += 1
        self.log_probabilities[row] += logarithm
        self.done[row] = self.scripts.done[row] or self.counts[row] == self._limits.new_tokens
        return True

    def drafts(self) -> Drafts:
        """Returns drafts for every row, none for one that is done."""
        found = look_up(self._text, self._starts + self.counts, self._limits.lookup, np)
        left = np.where(self.done, 0, self._limits.new_tokens - self.counts - 1)
        return found._replace(count=np.minimum(found.count, left))

    def given(self, drafts: Drafts | None) -> _Given:
        """Returns the last token of every row, and its draft where any row has one; nothing of a row that is done."""
        last = (self._starts + self.counts - 1)[:, None]
        tokens = np.take_along_axis(self._text, last, axis=1)
        if drafts is not None and drafts.count.any():
            tokens = np.concatenate([tokens, drafts.tokens], axis=1)
        ahead = np.arange(tokens.shape[1])
        given = ahead <= (0 if drafts is None else drafts.count[:, None])
        positions = np.where(given & ~self.done[:, None], last + ahead, -1).astype(np.int32)
        return _Given(tokens, positions, self.counts.copy())  # the device may read it where it lies

    def written(self) -> np.ndarray:
        """Returns int32 [R, new tokens], ends of text behind what is written."""
        place = np.arange(self._limits.new_tokens)
        tokens = np.take_along_axis(self._text, self._starts[:, None] + place, axis=1)
        return np.where(place < self.counts[:, None], tokens, self._limits.eos_id)
