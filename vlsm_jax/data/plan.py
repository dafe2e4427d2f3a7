"""The plan of the rows: which samples stand in row r of round e, from lengths, seed and config alone.

Rounds follow one another without end, their rows too, and a batch is the next so many rows. So a place in the data is
two numbers, round and row, whatever the number of hosts, worker processes or rows in a batch; any batch can be made
without making those before it; and hosts take parts of the rows of one batch, not batches of their own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vlsm_jax.data.buckets import bucket_lengths, fill_buckets
from vlsm_jax.data.mixture import Draws, Order
from vlsm_jax.data.packing import Packing, Rows, choose_packing, pack

_ROWS = 3  # the random stream that orders rows; mixture.py has 1 and 2

_KEPT = 4  # rounds in memory: threads read batches of one and of the next at one time


class Sample(NamedTuple):
    """One sample of a row: which source, which row of it, and how often that source had been seen before."""

    source: int
    index: int
    epoch: int


class Place(NamedTuple):
    """Where reading stands: the next row to be read is row `row` of round `round`."""

    round: int
    row: int


class _Round(NamedTuple):
    """A planned round; `widths` is the length of every row, or None where all have the same."""

    draws: Draws
    rows: Rows
    widths: np.ndarray | None


class Plan:
    """What stands in every row.

    Args:
      lengths: int64 arrays, the positions of each row of each source; 0 or more than `width` leaves a row out.
      weights: share of each source, in samples.
      width: positions of a row.
      packed: several samples in a row.
      buckets: where not packed, how many lengths rows may have.
      batch: rows of a batch over all hosts.
      seed: of the order.
      shuffle: another order in each round, or that of the files.

    Attributes:
      samples: most samples of a row.
      edges: lengths that rows may have, ascending.
    """

    def __init__(
        self,
        lengths: Sequence[np.ndarray],
        weights: Sequence[float],
        *,
        width: int,
        packed: bool,
        buckets: int,
        batch: int,
        seed: int,
        shuffle: bool,
    ):
        self._lengths = [np.asarray(part, np.int64) for part in lengths]
        self._width, self._packed, self._batch = width, packed, batch
        self._seed, self._shuffle = seed, shuffle
        usable = [np.flatnonzero((part > 0) & (part <= width)) for part in self._lengths]
        self._order = Order(usable, weights, seed, shuffle)
        first = self._order.round(0)
        sample = self._lengths_of(first)
        self._packing = choose_packing(sample, width) if packed else Packing(1)
        self.samples = self._packing.most
        self._bucketed = not packed and buckets > 1
        self.edges = bucket_lengths(sample, width, buckets) if self._bucketed else np.asarray([width])
        self._planned: dict[int, _Round] = {}
        self._row_counts: dict[int, int] = {}
        self._lock = threading.Lock()
        way = tuple(map(int, self._packing)) if packed else False
        facts = (list(weights), width, way, self.edges.tolist(), batch if self._bucketed else 0, seed, shuffle)
        digest = hashlib.blake2b(repr(facts).encode(), digest_size=8)
        for part in self._lengths:
            digest.update(part.tobytes())
        self.digest = digest.hexdigest()

    def __getstate__(self):
        return {**self.__dict__, "_lock": None, "_planned": {}}

    def __setstate__(self, state):
        self.__dict__.update(state, _lock=threading.Lock())

    def place(self, start: Place, rows: int) -> Place:
        """Returns the place `rows` rows behind `start`."""
        number, row = start.round, start.row + rows
        while row >= (count := self._row_count(number)):
            row -= count
            number += 1
        return Place(number, row)

    def read(self, start: Place, rows: int) -> tuple[list[list[Sample]], int]:
        """Returns the samples of each of the next `rows` rows, and the positions of a row."""
        out: list[list[Sample]] = []
        width = 0
        at = start
        for _ in range(rows):
            planned = self._round(at.round)
            members = planned.rows[at.row]
            out.append([Sample(*(int(field[m]) for field in planned.draws)) for m in members])
            width = max(width, self._width if planned.widths is None else int(planned.widths[at.row]))
            at = self.place(at, 1)
        return out, width

    def statistics(self, number: int = 0) -> dict[str, float]:
        """Returns rows, samples, the share of positions that is padding, and the share of places that hold a sample."""
        planned = self._round(number)
        filled = float(self._lengths_of(planned.draws).sum())
        rows = len(planned.rows)
        positions = float(planned.widths.sum()) if planned.widths is not None else float(rows * self._width)
        return {
            "rows": rows,
            "samples": len(planned.draws.index),
            "padding": 1 - filled / positions,
            "places_used": len(planned.draws.index) / (rows * self.samples),
        }

    def _lengths_of(self, draws: Draws) -> np.ndarray:
        lengths = np.zeros(len(draws.index), np.int64)
        for source, part in enumerate(self._lengths):
            mine = draws.source == source
            lengths[mine] = part[draws.index[mine]]
        return lengths

    def _row_count(self, number: int) -> int:
        count = self._row_counts.get(number)
        return len(self._round(number).rows) if count is None else count

    def _round(self, number: int) -> _Round:
        with self._lock:  # threads that read batches need one round at about one time
            planned = self._planned.pop(number, None) or self._make(number)
            self._planned[number] = planned  # the one used last stands last
            self._row_counts[number] = len(planned.rows)
            if len(self._planned) > _KEPT:
                del self._planned[next(iter(self._planned))]
            return planned

    def _make(self, number: int) -> _Round:
        draws = self._order.round(number)
        lengths = self._lengths_of(draws)
        rng = np.random.default_rng((self._seed, _ROWS, number)) if self._shuffle else None
        if self._bucketed:
            return _Round(draws, *fill_buckets(lengths, self.edges, self._batch, rng))
        if not self._packed:
            return _Round(draws, Rows(np.arange(len(lengths)), np.arange(len(lengths) + 1)), None)
        rows = pack(lengths, self._width, self._packing)
        # Rows come longest sample first. In the order of the files, each stands where its first sample would.
        order = rng.permutation(len(rows)) if rng else np.argsort(np.minimum.reduceat(rows.members, rows.starts[:-1]))
        return _Round(draws, rows.taken(order), None)
