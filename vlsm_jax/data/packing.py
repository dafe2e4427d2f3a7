"""Packing samples into rows, from their lengths alone.

A row has room for so many positions and so many pictures, and every place for a picture is encoded whether or not it is
used: waste is to be small in both. Rows are built one by one, each around the longest sample that is left. Which pairs
of lengths fill what is left of a row is one shift and one AND of big integers: bit n says that a sample of length n
waits. Two ways of filling a row are tried on every window, for neither is always the better: with the fewest samples
(which wins where a row holds two or three), and with as many as the average row must have (which wins where it holds
more, and keeps within the places for pictures).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

WINDOW = 16384
"""Samples packed together: enough for nearly every row to come out full, and a small part of a large epoch."""

WASTE_AIM = 0.02
"""Share of positions that may be padding before a row is given room for one more sample."""


class Rows(NamedTuple):
    """Rows of samples: row r holds `members[starts[r]:starts[r + 1]]`.

    Attributes:
      members: int64 [N], which sample, in the order of the rows.
      starts: int64 [R + 1].
    """

    members: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.members[self.starts[row] : self.starts[row + 1]]

    def taken(self, order: np.ndarray) -> Rows:
        """Returns the rows in another order."""
        return Rows.of([self[row].tolist() for row in order])

    @classmethod
    def of(cls, rows: list[list[int]]) -> Rows:
        """Returns lists of samples as arrays."""
        starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return cls(np.asarray([member for row in rows for member in row], np.int64), starts)


def pack(lengths: np.ndarray, capacity: int, most: int, window: int = WINDOW) -> Rows:
    """Returns rows that hold every sample once.

    Args:
      lengths: int [N], of the samples in the order of the epoch; each from 1 to `capacity`.
      capacity: positions of a row.
      most: samples of a row.
      window: samples packed together. Rows of a window that did not come out full go into the next one.
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for start in range(0, len(lengths), window):
        end = min(start + window, len(lengths))
        made = _pack_window(lengths, [*left, *range(start, end)], capacity, most)
        left = []
        if end == len(lengths):
            rows += made
            break
        for row in made:
            if lengths[row].sum() >= (1 - WASTE_AIM) * capacity:
                rows.append(row)
            else:
                left += row
        left.sort()
    return Rows.of(rows)


def _pack_window(lengths: np.ndarray, samples: list[int], capacity: int, most: int) -> list[list[int]]:
    """Returns the fewer of the rows that the two ways give."""
    fewest, average = (_fill(lengths, samples, capacity, most, fewest=fewest) for fewest in (True, False))
    return fewest if len(fewest) <= len(average) else average


def _fill(lengths: np.ndarray, samples: list[int], capacity: int, most: int, *, fewest: bool) -> list[list[int]]:
    """Returns rows of `samples`, longest first; of samples of one length the first comes first."""
    sizes = lengths[samples].tolist()
    waiting: list[list[int]] = [[] for _ in range(capacity + 1)]
    for sample, size in zip(reversed(samples), reversed(sizes), strict=True):
        waiting[size].append(sample)
    present = mirrored = 0  # bit n of `present`, and bit capacity - n of `mirrored`: a sample of length n waits
    for size in set(sizes):
        present |= 1 << size
        mirrored |= 1 << (capacity - size)
    count, total = len(samples), sum(sizes)
    rows: list[list[int]] = []
    owed = 0.0  # samples that the rows so far were to have and had not
    while count:
        row: list[int] = []
        room = capacity
        # What the average of the rows still to come must have, or the last of them would have many short samples each.
        target = min(count * capacity / total, most) + owed
        wanted = most if fewest else max(1, min(most, round(target)))
        while count and room and len(row) < most:
            places = wanted - len(row)
            if not row:
                size = present.bit_length() - 1
            elif fewest and present >> room & 1:
                size = room
            elif (places >= 2 if fewest else places == 2) and (
                pair := _pair(waiting, present, mirrored, capacity, room)
            ):
                size = pair
            else:
                # The longest that fits; if others are to follow, the longest that leaves an equal share to each.
                limit = room if fewest or places <= 1 else max(room // places, (present & -present).bit_length() - 1)
                size = (present & ((2 << min(limit, room)) - 1)).bit_length() - 1
            if size < 1:
                break
            row.append(waiting[size].pop())
            if not waiting[size]:
                present ^= 1 << size
                mirrored ^= 1 << (capacity - size)
            room -= size
            count -= 1
            total -= size
        owed = max(-1.0, min(1.0, target - len(row)))
        rows.append(row)
    return rows


def _pair(waiting: list[list[int]], present: int, mirrored: int, capacity: int, room: int) -> int:
    """Returns the longer of two lengths that wait and fill `room`, or all but a few positions of it; 0 if none do."""
    if room > 2 * (present.bit_length() - 1):
        return 0
    for target in range(room, max(1, room - capacity // 64 - 2), -1):
        both = present & (mirrored >> (capacity - target)) & ((1 << target) - 1)  # bit n: n and target - n wait
        if target % 2 == 0 and both >> (target // 2) & 1 and len(waiting[target // 2]) < 2:
            both ^= 1 << (target // 2)
        if both:
            # Of the pairs the most unequal: middling lengths combine with anything, and are kept for the end.
            return both.bit_length() - 1
    return 0


def waste(rows: Rows, lengths: np.ndarray, capacity: int) -> float:
    """Returns the share of positions that are padding."""
    return 1.0 - float(lengths[rows.members].sum()) / (capacity * max(len(rows), 1))


def samples_per_row(lengths: np.ndarray, capacity: int) -> int:
    """Returns the fewest samples that a row must have room for so that few positions are wasted.

    Tried on (part of) the lengths. Where no number wastes little, as when two samples never fit into a row, the fewest
    that wastes the least.
    """
    tried = lengths[:: max(1, math.ceil(len(lengths) / WINDOW))]
    mean = float(tried.mean())
    best, least = 1, 1.0
    for most in range(max(1, int(capacity / mean)), int(capacity // tried.min()) + 1):
        wasted = waste(pack(tried, capacity, most), tried, capacity)
        if wasted < least - 0.005:
            best, least = most, wasted
        if wasted <= WASTE_AIM or most > 2 * capacity / mean + 2:
            break
    return best
