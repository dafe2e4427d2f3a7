"""The loop over new tokens: one compiled call reads the prompts, another writes.

Letters: B prompts, N candidates of each, R = B * N rows, P prompt positions (visual tokens included), T = P + new
tokens, S tokens read at once, C vocabulary.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vlsm_jax.generation.prompts import Prompts
from vlsm_jax.generation.sampling import GREEDY, Draws, Sampling, choose, log_probability
from vlsm_jax.generation.speculation import Drafts, Lookup, accepted, look_up
from vlsm_jax.models.cache import CacheSize, KVCache
from vlsm_jax.models.vlsm import Vlsm


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is known of a generation when it is compiled.

    Attributes:
      new_tokens: a row's upper limit.
      eos_id: ends a row.
      vocabulary: ids below it can be chosen; an embedding padded beyond the tokenizer has rows that mean nothing.
      candidates: N, continuations of each prompt.
      sampling: how ids are chosen; of several candidates the first is greedy.
      lookup: how drafts are found; None reads one token at a time. Either way the same tokens are written.
      back: how many of a row's last tokens may be taken back.
    """

    new_tokens: int
    eos_id: int
    vocabulary: int
    candidates: int = 1
    sampling: Sampling = GREEDY
    lookup: Lookup | None = None
    back: int = 0

    @property
    def at_once(self) -> int:
        """Tokens of a row that are read in one step, at most."""
        return 1 if self.lookup is None else 1 + self.lookup.size

    @property
    def ahead(self) -> int:
        """See `CacheSize`."""
        return self.at_once + self.back


class Generated(NamedTuple):
    """What decoding returns; the candidates of a prompt stand in neighbouring rows.

    Attributes:
      tokens: int32 [R, new tokens]; after a row's end-of-text id, that id again.
      lengths: int32 [R]; ids up to and including the end-of-text id, or all of them for a row that did not end.
      log_probabilities: float32 [R]; sum over these ids of the logarithm of the probability that the model gives them,
        whatever they were chosen by.
      drafted, taken: int32 [R], tokens that were drafted, and those of them that came to stand in the row.
    """

    tokens: jax.Array
    lengths: jax.Array
    log_probabilities: jax.Array
    drafted: jax.Array
    taken: jax.Array


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


class State(NamedTuple):
    """Scripts that are being written.

    Attributes:
      text: int32 [R, T]; prompts and what was written, by position.
      starts: int32 [R], where what was written begins.
      counts: int32 [R], tokens written; the last of them has not been read yet.
      done: bool [R], rows that ended or are full.
      cache: keys and values of all but the last token.
      draws: what is drawn.
      logarithms: float32 [R, new tokens], of the probabilities that the model gave to the tokens.
      drafted, taken: see `Generated`.
      drafts: what may come next, where drafts are looked up.
    """

    text: jax.Array
    starts: jax.Array
    counts: jax.Array
    done: jax.Array
    cache: KVCache
    draws: Draws
    logarithms: jax.Array
    drafted: jax.Array
    taken: jax.Array
    drafts: Drafts | None


def read_prompts(model: Vlsm, prompts: Prompts, new_tokens: int, *, candidates: int = 1, ahead: int = 1) -> Start:
    """Reads each prompt once, and gives what came of it to each of its candidates; traceable.

    Args:
      model: with parameters.
      prompts: the batch.
      new_tokens: that there is to be room for.
      candidates: N.
      ahead: tokens that will be read at once.
    """
    width = prompts.tokens.shape[1]
    lengths = jnp.max(prompts.positions, axis=1) + 1
    hidden, cache = model(
        prompts.tokens,
        visual=None if model.vision is None else model.encode_images(prompts.images),
        visual_index=prompts.visual_index,
        positions=prompts.positions,
        cache=CacheSize(width + new_tokens, ahead),
    )
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)
    start = Start(model.logits(last)[:, 0], cache, lengths)
    if candidates == 1:
        return start
    logits, lengths = (jnp.repeat(x, candidates, axis=0) for x in (start.logits, lengths))
    return Start(logits, cache.repeated(candidates), lengths)


def read_tokens(model: Vlsm, tokens: jax.Array, positions: jax.Array, cache: KVCache) -> tuple[jax.Array, KVCache]:
    """Returns logits [R, S, C] of what follows each of tokens [R, S] at positions [R, S], -1 for none; traceable."""
    hidden, cache = model(
        tokens, visual=None, visual_index=jnp.full(tokens.shape, -1, jnp.int32), positions=positions, cache=cache
    )
    return model.logits(hidden), cache


def without_padding(logits: jax.Array, vocabulary: int) -> jax.Array:
    """Returns logits [..., C], -inf at ids that the tokenizer lacks."""
    return jnp.where(jnp.arange(logits.shape[-1]) < vocabulary, logits, -jnp.inf)


def begin(model: Vlsm, prompts: Prompts, seed: jax.Array | int, limits: Limits) -> State:
    """Reads prompts, and writes the first token of each row; traceable."""
    start = read_prompts(model, prompts, limits.new_tokens, candidates=limits.candidates, ahead=limits.ahead)
    rows = start.lengths.shape[0]
    text = jnp.repeat(jnp.where(prompts.positions < 0, -1, prompts.tokens), limits.candidates, axis=0)
    zero = jnp.zeros(rows, jnp.int32)
    state = State(
        text=jnp.pad(text, ((0, 0), (0, limits.new_tokens)), constant_values=-1),
        starts=start.lengths,
        counts=zero,
        done=jnp.zeros(rows, bool),
        cache=start.cache,
        draws=Draws.create(seed, prompts.digests, limits.candidates),
        logarithms=jnp.zeros((rows, limits.new_tokens), jnp.float32),
        drafted=zero,
        taken=zero,
        drafts=None,
    )
    return append(state, start.logits[:, None], limits)


def go_on(model: Vlsm, state: State, steps: jax.Array | int, limits: Limits) -> State:
    """Reads and writes until all rows are done, or `steps` times at most; traceable.

    With drafts there are two loops in one: single tokens are read as long as there is no draft, so that a draft costs
    where there is one.
    """

    def one_at_a_time(carry):
        count, state = carry
        return count + 1, _step(model, state, None, limits)

    def with_drafts(carry):
        count, state = carry
        return count + 1, _step(model, state, state.drafts, limits)

    def going_on(carry):
        return (carry[0] < steps) & ~jnp.all(carry[1].done)

    carry = (jnp.zeros((), jnp.int32), state)
    if limits.lookup is None:
        return jax.lax.while_loop(going_on, one_at_a_time, carry)[1]

    def worthwhile(carry):
        return jnp.any(carry[1].drafts.count > 0)

    def both(carry):
        carry = jax.lax.while_loop(lambda c: going_on(c) & ~worthwhile(c), one_at_a_time, carry)
        return jax.lax.while_loop(lambda c: going_on(c) & worthwhile(c), with_drafts, carry)

    return jax.lax.while_loop(going_on, both, carry)[1]


def finish(state: State, limits: Limits) -> Generated:
    """Returns what was written; traceable."""
    place = jnp.arange(limits.new_tokens)
    tokens = jnp.take_along_axis(state.text, state.starts[:, None] + place, axis=1, mode="clip")
    tokens = jnp.where(place < state.counts[:, None], tokens, limits.eos_id)
    total = jnp.sum(jnp.where(place < state.counts[:, None], state.logarithms, 0), axis=1)
    return Generated(tokens, state.counts, total, state.drafted, state.taken)


def write(
    model: Vlsm,
    prompts: Prompts,
    *,
    new_tokens: int,
    eos_id: int,
    vocabulary: int,
    candidates: int = 1,
    sampling: Sampling = GREEDY,
    lookup: Lookup | None = None,
    seed: jax.Array | int = 0,
) -> Generated:
    """Continues prompts; traceable. All in one: `begin`, `go_on` to the end, and `finish`; see `Limits`."""
    limits = Limits(new_tokens, eos_id, vocabulary, candidates, sampling, lookup)
    return finish(go_on(model, begin(model, prompts, seed, limits), new_tokens, limits), limits)


def _step(model: Vlsm, state: State, drafts: Drafts | None, limits: Limits) -> State:
    """Reads the last token of each row, and drafts behind it."""
    last = state.starts + state.counts - 1
    tokens = jnp.take_along_axis(state.text, last[:, None], axis=1)
    if drafts is not None:
        tokens = jnp.concatenate([tokens, drafts.tokens], axis=1)
    ahead = jnp.arange(tokens.shape[1])
    given = ahead <= (0 if drafts is None else drafts.count[:, None])
    # A row that is done writes nothing more.
    positions = jnp.where(given & ~state.done[:, None], last[:, None] + ahead, -1)
    logits, cache = read_tokens(model, tokens, positions, state.cache)
    return append(state._replace(cache=cache), logits, limits, drafts=drafts)


def append(
    state: State, logits: jax.Array, limits: Limits, *, drafts: Drafts | None = None, may: jax.Array | None = None
) -> State:
    """Chooses tokens, and writes the first of them and those that follow from drafts which prove right; traceable.

    Args:
      state: rows that are done stay as they are.
      logits: float32 [R, S, C], of what follows the last token and each of its drafts.
      limits: see there.
      drafts: that were read.
      may: bool [R, C], the tokens that may come; None is all.
    """
    logits = without_padding(logits, limits.vocabulary)
    place = jnp.arange(logits.shape[1])
    scores = logits if may is None else jnp.where(may[:, None], logits, -jnp.inf)
    # The draw of a token hangs on its number in the row, so that drafts change nothing.
    each = [choose(scores[:, i], limits.sampling, state.draws, state.counts + i) for i in range(logits.shape[1])]
    logarithms = jnp.stack([log_probability(logits[:, i], token) for i, token in enumerate(each)], axis=1)
    chosen = jnp.stack(each, axis=1)  # [R, S]
    right = jnp.zeros(chosen.shape[0], jnp.int32) if drafts is None else accepted(drafts, chosen)
    ends = chosen == limits.eos_id
    before_end = jnp.cumsum(ends, axis=1) - ends == 0
    room = limits.new_tokens - state.counts
    new = before_end & (place <= right[:, None]) & (place < room[:, None]) & ~state.done[:, None]
    count = jnp.sum(new, axis=1, dtype=jnp.int32)
    rows = jnp.arange(chosen.shape[0])[:, None]
    number = jnp.where(new, state.counts[:, None] + place, state.text.shape[1])
    counts = state.counts + count
    state = state._replace(
        text=state.text.at[rows, state.starts[:, None] + number].set(chosen, mode="drop"),
        counts=counts,
        done=state.done | jnp.any(ends & new, axis=1) | (counts == limits.new_tokens),
        logarithms=state.logarithms.at[rows, number].set(logarithms, mode="drop"),
    )
    if limits.lookup is None:
        return state
    if drafts is not None:
        state = state._replace(drafted=state.drafted + drafts.count, taken=state.taken + jnp.maximum(count - 1, 0))
    found = look_up(state.text, state.starts + state.counts, limits.lookup)
    # The last token of a full row is never read: there is nothing to draft for it.
    left = jnp.where(state.done, 0, limits.new_tokens - counts - 1)
    return state._replace(drafts=found._replace(count=jnp.minimum(found.count, left)))
