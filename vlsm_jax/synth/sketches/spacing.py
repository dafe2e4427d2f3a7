"""Spacing: positions that keep an order and give everything the room it needs.

Objects that share a coordinate form a rank. Along one axis, rank follows rank, and any two objects that would meet are
kept apart; the least positions are longest paths over these distances, counted from both ends and averaged, which
centres what has play. Stretching such positions keeps every distance.
"""

from __future__ import annotations

import operator
from typing import NamedTuple

import numpy as np


class Spaced(NamedTuple):
    """Positions [N] along an axis of length `total`."""

    positions: np.ndarray
    total: float


def ranks(values: np.ndarray) -> np.ndarray:
    """Returns for each value [N] how many different smaller ones there are."""
    return np.unique(values, return_inverse=True)[1]


def spaced(rank: np.ndarray, apart: np.ndarray, before: np.ndarray, after: np.ndarray, room: float) -> Spaced | None:
    """Returns the least positions at which objects keep their ranks and distances, None where they take too much.

    Args:
      rank: [N], from 0 without gaps.
      apart: [N, N], how far an object of a higher rank must be from one of a lower.
      before, after: [N], how far an object must be from the low and the high end.
      room: how long the axis may become.
    """
    # Plain numbers: there are a few dozen at most, for which arrays cost more than they save.
    order = np.argsort(rank, kind="stable").tolist()
    need = apart.tolist()
    near, far = before.tolist(), after.tolist()
    groups: list[list[int]] = []
    for i, value in zip(order, rank[order].tolist(), strict=True):
        if value == len(groups):
            groups.append([])
        groups[value].append(i)
    early, late = [0.0] * len(order), [0.0] * len(order)
    placed: list[int] = []
    for group in groups:
        least = max([near[i] for i in group])
        for k in placed:
            at, row = early[k], need[k]
            for i in group:
                if at + row[i] > least:
                    least = at + row[i]
        for i in group:
            early[i] = least
        placed += group
    total = max(map(operator.add, early, far))
    if total > room:
        return None
    placed = []
    for group in reversed(groups):
        most = total - max([far[i] for i in group])
        for i in group:
            row = need[i]
            for k in placed:
                if late[k] - row[k] < most:
                    most = late[k] - row[k]
        for i in group:
            late[i] = most
        placed += group
    return Spaced((np.array(early) + late) / 2, total)


def stretched(found: Spaced, length: float, most: float) -> np.ndarray:
    """Returns positions stretched over `length`, but by no more than `most` times, and centred."""
    factor = max(min(length / found.total, most), 1.0)
    return found.positions * factor + (length - found.total * factor) / 2


def folded(column: np.ndarray, row: np.ndarray, bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns ranks (x, y) of a row of columns folded into bands below each other, every other one from right to left.

    Args:
      column, row: ranks [N].
      bands: how many.
    """
    per_band = -(-(int(column.max()) + 1) // bands)
    band, within = column // per_band, column % per_band
    within = np.where(band % 2 == 1, per_band - 1 - within, within)
    return ranks(within), ranks(band * (int(row.max()) + 1) + row)
