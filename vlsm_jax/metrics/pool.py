"""Many pairs at once: the work shared among processes, in an order that runs each reference once."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from vlsm_jax.metrics.goals import Goal
from vlsm_jax.metrics.score import UNTIL, PairScore, ScoreError, score_pair
from vlsm_jax.metrics.svr import SVR_WEIGHTS, check_weights
from vlsm_jax.processes import ended_at_once, fresh_pool
from vlsm_jax.simulator import Budget

Pair = (
    tuple[str, str] | tuple[str, str, Collection[str] | None] | tuple[str, str, Collection[str] | None, Sequence[Goal]]
)
"""Reference, candidate and, where it is known, what the prompt leaves out (see `pmr`) and which goals it states."""

Progress = Callable[[int, int], None]

_MOST_AT_ONCE = 8  # pairs per task: few enough for the bar to move, enough to share a reference's run


def score_pairs(
    pairs: Iterable[Pair],
    *,
    workers: int = 0,
    until: float | None = UNTIL,
    warmup: float = 0.0,
    replications: int = 1,
    seed: int = 0,
    budget: Budget = Budget(),
    weights: tuple[float, float] = SVR_WEIGHTS,
    progress: Progress | None = None,
) -> list[PairScore]:
    """Scores pairs of a reference script and a candidate script, in their order.

    Args:
      workers: processes to share the work; 0 does it in this one.
      until, warmup, replications, seed, budget, weights: see `run_pair`.
      progress: called with (pairs done, pairs) now and then.

    Raises:
      ScoreError: a reference builds nothing.
      ValueError: the times, the number of replications or the weights make no sense.
      concurrent.futures.BrokenExecutor: a process died.
    """
    found = try_pairs(
        pairs,
        workers=workers,
        until=until,
        warmup=warmup,
        replications=replications,
        seed=seed,
        budget=budget,
        weights=weights,
        progress=progress,
    )
    for score in found:
        if isinstance(score, ScoreError):
            raise score
    return found  # type: ignore[return-value]


def try_pairs(
    pairs: Iterable[Pair],
    *,
    workers: int = 0,
    until: float | None = UNTIL,
    warmup: float = 0.0,
    replications: int = 1,
    seed: int = 0,
    budget: Budget = Budget(),
    weights: tuple[float, float] = SVR_WEIGHTS,
    progress: Progress | None = None,
) -> list[PairScore | ScoreError]:
    """Scores pairs as `score_pairs` does; a pair that cannot be scored has the error in its place.

    Raises:
      ValueError: the times, the number of replications or the weights make no sense.
      concurrent.futures.BrokenExecutor: a process died.
    """
    check_weights(weights)
    pairs = list(pairs)
    score = functools.partial(
        _score_all,
        until=until,
        warmup=warmup,
        replications=replications,
        seed=seed,
        budget=budget,
        weights=weights,
    )
    tasks = _tasks(pairs, workers)
    found: list[PairScore | ScoreError | None] = [None] * len(pairs)
    done = 0
    for places, scores in _results(score, pairs, tasks, workers):
        for place, result in zip(places, scores, strict=True):
            found[place] = result
        done += len(places)
        if progress:
            progress(done, len(pairs))
    return found  # type: ignore[return-value]


def _tasks(pairs: Sequence[Pair], workers: int) -> list[list[int]]:
    """Returns the places of the pairs in groups, those of one reference together."""
    first: dict[str, int] = {}
    for place, (reference, *_) in enumerate(pairs):
        first.setdefault(reference, place)
    order = sorted(range(len(pairs)), key=lambda place: first[pairs[place][0]])
    size = 1 if not workers else max(1, min(_MOST_AT_ONCE, len(pairs) // (4 * workers)))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _results(
    score: Callable[[list[Pair]], list[PairScore | ScoreError]],
    pairs: Sequence[Pair],
    tasks: Sequence[list[int]],
    workers: int,
) -> Iterator[tuple[list[int], list[PairScore | ScoreError]]]:
    if not workers:
        for places in tasks:
            yield places, score([pairs[place] for place in places])
        return
    with ended_at_once(fresh_pool(min(workers, max(len(tasks), 1)))) as pool:
        running = {pool.submit(score, [pairs[place] for place in places]): places for places in tasks}
        for future in concurrent.futures.as_completed(running):
            yield running[future], future.result()


def _score_all(pairs: list[Pair], **settings) -> list[PairScore | ScoreError]:
    found: list[PairScore | ScoreError] = []
    for reference, candidate, *stated in pairs:
        unstated, goals = (stated + [None, ()][len(stated) :])[:2]
        try:
            found.append(score_pair(reference, candidate, unstated=unstated, goals=goals, **settings))
        except ScoreError as error:
            found.append(error)
    return found
