"""Which sample comes when: the order of one source or of several in shares, as a function of the round alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vlsm_jax.data.triplets import Record

# What a random stream is for, so that streams of one seed are not the same.
_ORDER, _MIXTURE = 1, 2


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Sources that are read together.

    Attributes:
      sources: of triplets, with random access.
      weights: share of the samples (not of the tokens) that each source gives, in any unit. A source smaller than its
        share is read again, in another order, before the others have come to their end.
    """

    sources: tuple[Sequence[Record], ...]
    weights: tuple[float, ...]

    def __post_init__(self):
        if not self.sources or len(self.sources) != len(self.weights):
            raise ValueError(f"a mixture of {len(self.sources)} sources has {len(self.weights)} weights")
        if not all(math.isfinite(weight) and weight > 0 for weight in self.weights):
            raise ValueError(f"weights of a mixture are above 0; found {', '.join(map(str, self.weights))}")


def sources_of(data: Sequence[Record] | Mixture) -> tuple[Sequence[Record], ...]:
    """Returns the sources of a mixture, or the one source itself."""
    return data.sources if isinstance(data, Mixture) else (data,)


class Draws(NamedTuple):
    """Samples in their order, arrays of [n].

    Attributes:
      source: which source.
      index: which row of it.
      epoch: how often its rows had all been seen before.
    """

    source: np.ndarray
    index: np.ndarray
    epoch: np.ndarray


class Order:
    """The endless order of samples, in rounds of as many samples as the sources have rows.

    With one source a round is an epoch: every row once. With several, each gives its share of every round.

    Args:
      rows: int64 arrays, the rows of each source that can be used.
      weights: share of each source.
      seed: of the order.
      shuffle: another order in each epoch, or that of the file.
    """

    def __init__(self, rows: Sequence[np.ndarray], weights: Sequence[float], seed: int, shuffle: bool):
        self._rows = [np.asarray(r, np.int64) for r in rows]
        self._shares = [weight / sum(weights) for weight in weights]
        self._seed, self._shuffle = seed, shuffle
        self._size = sum(map(len, self._rows))

    def round(self, number: int) -> Draws:
        """Returns the samples of a round."""
        parts, places = [], []
        for source, (rows, share) in enumerate(zip(self._rows, self._shares, strict=True)):
            # Rounded sums, not sums of rounded numbers: shares stay exact however many rounds there are.
            first, end = (round(n * self._size * share) for n in (number, number + 1))
            part = [
                self._permuted(source, rows, epoch)[max(first - epoch * len(rows), 0) : end - epoch * len(rows)]
                for epoch in range(first // len(rows), -(-end // len(rows)))
            ]
            index = np.concatenate(part) if part else np.empty(0, np.int64)
            parts.append(Draws(np.full(len(index), source), index, (first + np.arange(len(index))) // len(rows)))
            places.append((np.arange(len(index)) + 0.5) / max(len(index), 1))
        draws = Draws(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))
        if len(self._rows) == 1:
            return draws
        if self._shuffle:
            mixed = np.random.default_rng((self._seed, _MIXTURE, number)).permutation(len(draws.index))
        else:
            mixed = np.argsort(np.concatenate(places), kind="stable")  # every source evenly over the round
        return Draws(*(field[mixed] for field in draws))

    def _permuted(self, source: int, rows: np.ndarray, epoch: int) -> np.ndarray:
        if not self._shuffle:
            return rows
        return np.random.default_rng((self._seed, _ORDER, source, epoch)).permutation(rows)
