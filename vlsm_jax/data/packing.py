"""Packing samples into rows, from their lengths alone.

A row has room for so many positions and so many pictures, and every place for a picture is encoded whether or not it is
used: waste is to be small in both. Rows are built one by one, each around the longest sample that is left. Which pairs
of lengths fill what is left of a row is one shift and one AND of big integers: bit n says that a sample of length n
waits. A row may be filled with the fewest samples or with as many as the average row must have (`Filling`), and closed
with a long and a short sample or with two alike. What is best depends on the lengths, so all are tried on some of them.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import NamedTuple

import numpy as np

WINDOW = 16384
"""Samples packed together: enough for nearly every row to come out full, and a small part of a large epoch."""

WASTE_AIM = 0.025
"""Share of positions that may be padding before a row is given room for one more sample."""

_CARRIED = 32  # one in so many rows of a window is packed again with the next

TRIED = 4096
"""Samples on which the ways of packing are tried."""


_TIGHT = 0.1  # Samples that the average row must have below the most it may: then there are none to be saved.


class Filling(enum.IntEnum):
    """With how many samples a row is filled."""

    FEWEST = 0
    """Best where a row has places enough. Samples that are left over are short, and a row can hold only so many."""
    FEWEST_FIRST = 1
    """The fewest until the rows still to come need all of their places, then as many as these have."""
    EVEN = 2
    """As many as the average of the rows still to come must have: frugal with places, if less often full."""


class Packing(NamedTuple):
    """A way to pack.

    Attributes:
      most: samples of a row.
      filling: with how many of them.
      alike: close a row with two samples of about one length; or with a long and a short one.
    """

    most: int
    filling: Filling = Filling.FEWEST_FIRST
    alike: bool = False


@dataclasses.dataclass(frozen=True)
class Rows:
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


def pack(lengths: np.ndarray, capacity: int, packing: Packing, window: int = WINDOW) -> Rows:
    """Returns rows that hold every sample once.

    Args:
      lengths: int [N], of the samples in the order of the epoch; each from 1 to `capacity`.
      capacity: positions of a row.
      packing: how; see `choose_packing`.
      window: samples packed together. The rows of a window that came out least full go into the next one.
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for start in range(0, len(lengths), window):
        end = min(start + window, len(lengths))
        made = _fill(lengths, [*left, *range(start, end)], capacity, packing)
        if end < len(lengths):
            made.sort(key=lambda row: -int(lengths[row].sum()))
            last = len(made) - len(made) // _CARRIED
            left = sorted(sample for row in made[last:] for sample in row)
            made = made[:last]
        rows += made
    return Rows.of(rows)


def choose_packing(lengths: np.ndarray, capacity: int) -> Packing:
    """Returns the way with the fewest samples of a row that wastes few positions, as tried on (part of) the lengths.

    Where none wastes little, as when two samples never fit into a row, it is the one that wastes the least.
    """
    tried = lengths[:: math.ceil(len(lengths) / TRIED)]
    mean = float(tried.mean())
    best, least = Packing(1), 1.0
    for most in range(max(1, int(capacity / mean)), int(capacity // tried.min()) + 1):
        ways = [Packing(most, filling, alike) for filling in Filling for alike in (False, True)]
        wasted, way = min((waste(pack(tried, capacity, way), tried, capacity), way) for way in ways)
        if wasted < least - 0.005:
            best, least = way, wasted
        if wasted <= WASTE_AIM or most > 1.5 * capacity / mean + 2:
            break
    return best


def waste(rows: Rows, lengths: np.ndarray, capacity: int) -> float:
    """Returns the share of positions that are padding."""
    return 1.0 - float(lengths[rows.members].sum()) / (capacity * max(len(rows), 1))


def _fill(lengths: np.ndarray, samples: list[int], capacity: int, packing: Packing) -> list[list[int]]:
    """Returns rows of `samples`, longest first; of samples of one length the first comes first."""
    most, filling, alike = packing
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
        mean = count * capacity / total
        target = min(mean, most) + owed
        fewest = filling is Filling.FEWEST or (filling is Filling.FEWEST_FIRST and mean < most - _TIGHT)
        wanted = most if fewest else max(1, min(most, round(target)))
        while count and room and len(row) < most:
            shortest = (present & -present).bit_length() - 1
            # There is no room for more than so many: the last of them fills what is left.
            places = min(wanted - len(row), room // shortest)
            if not row:
                size = present.bit_length() - 1
            elif fewest and present >> room & 1:
                size = room
            elif (places >= 2 if fewest else places == 2) and (
                pair := _pair(waiting, present, mirrored, capacity, room, alike)
            ):
                size = pair
            else:
                # The longest that fits; if others are to follow, the longest that leaves an equal share to each.
                limit = room if fewest or places <= 1 else max(room // places, shortest)
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


def _pair(waiting: list[list[int]], present: int, mirrored: int, capacity: int, room: int, alike: bool) -> int:
    """Returns the longer of two lengths that wait and fill `room`, or all but a few positions of it; 0 if none do."""
    if room > 2 * (present.bit_length() - 1):
        return 0
    for target in range(room, max(1, room - capacity // 64 - 2), -1):
        both = present & (mirrored >> (capacity - target)) & ((1 << target) - 1)  # bit n: n and target - n wait
        if target % 2 == 0 and both >> (target // 2) & 1 and len(waiting[target // 2]) < 2:
            both ^= 1 << (target // 2)
        if both and alike:
            half = (target + 1) // 2
            longer = both >> half
            return half + (longer & -longer).bit_length() - 1
        if both:
            return both.bit_length() - 1
    return 0
