"""Dice: many small decisions from one numpy Generator, without the cost of a call to it for each of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

from vlsm_jax.simulator.distributions import SEED_WORDS, KnownSeed

T = TypeVar("T")

_BLOCK = 128
"""Numbers drawn at once: a block costs as much as four single ones."""


def streams(number: Sequence[int], count: int) -> list[np.random.Generator]:
    """Returns several independent random streams, determined by some numbers.

    Their seeds are taken from one sequence of words: to make a sequence takes longer than to draw from all of them.
    """
    if min(number) >= 0 and max(number) < 1 << 32:
        number = np.array(number, np.uint32)  # words, which need not be looked at one by one
    words = np.random.SeedSequence(number).generate_state(SEED_WORDS * count, np.uint64)
    return [
        np.random.Generator(np.random.PCG64(KnownSeed(words[SEED_WORDS * k : SEED_WORDS * (k + 1)])))
        for k in range(count)
    ]


class Dice:
    """Uniform numbers of a Generator, drawn in blocks.

    What is made with it is determined by the state of the Generator; how far the Generator itself advances is not
    meant to be known. Use one of the two at a time.
    """

    __slots__ = ("_left", "_rng")

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self._left: list[float] = []

    def random(self) -> float:
        """Returns a number from 0 (included) to 1."""
        left = self._left
        if not left:
            left.extend(self._rng.random(_BLOCK).tolist())
        return left.pop()

    def chance(self, probability: float) -> bool:
        """Returns True with a probability."""
        return self.random() < probability

    def whole(self, lowest: int, highest: int) -> int:
        """Returns a whole number, both ends included; `lowest` where `highest` is below it."""
        return lowest + int(self.random() * (highest - lowest + 1)) if highest > lowest else lowest

    def between(self, low: float, high: float) -> float:
        """Returns a number between two."""
        return low + (high - low) * self.random()

    def pick(self, values: Sequence[T]) -> T:
        """Returns one of several values, evenly."""
        return values[int(self.random() * len(values))]

    def weighted(self, values: Sequence[T], weights: Sequence[float]) -> T:
        """Returns one of several values, each as often as its weight says."""
        sums = list(accumulate(weights))
        return values[min(bisect_right(sums, self.random() * sums[-1]), len(values) - 1)]

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """Returns several different ones of the values, in random order; all of them where there are not enough."""
        pool = list(values)
        for i in range(min(count, len(pool))):
            j = i + int(self.random() * (len(pool) - i))
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:count]
