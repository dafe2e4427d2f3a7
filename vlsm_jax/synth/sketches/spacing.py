"""Spacing: positions that keep an order and give everything the room it needs.

Objects that share a coordinate form a rank. Along one axis, rank follows rank, and any two objects that would meet are
kept apart; the least positions are longest paths over these distances, counted from both ends and averaged, which
centres what has play. Stretching such positions keeps every distance.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Spaced(NamedTuple):
    """Positions [N] along an axis of length `total`; None where it would become longer than there is room."""

    positions: np.ndarray | None
    total: float


def ranks(values: np.ndarray) -> np.ndarray:
    """Returns for each value [N] how many different smaller ones there are."""
    listed = values.tolist()
    number = {value: k for k, value in enumerate(sorted(set(listed)))}
    return np.array([number[value] for value in listed])


def grouped(rank: np.ndarray) -> list[list[int]]:
    """Returns which objects have each rank of [N], ranks being counted from 0 without gaps."""
    groups: list[list[int]] = [[] for _ in range(int(rank.max()) + 1)]
    for i, value in enumerate(rank.tolist()):
        groups[value].append(i)
    return groups


# Plain numbers below: there are a few dozen objects at most, for which arrays cost more than they save.


def _least(groups: Sequence[list[int]], need: list[list[float]], near: list[float]) -> list[float]:
    """Returns the least positions, counted from the low end."""
    early = [0.0] * len(near)
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
    return early


def _greatest(groups: Sequence[list[int]], need: list[list[float]], far: list[float], total: float) -> list[float]:
    """Returns the greatest positions on an axis of length `total`."""
    late = [0.0] * len(far)
    placed: list[int] = []
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
    return late


def spaced(
    groups: Sequence[list[int]],
    apart: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    room: float,
    enough: float = 0.0,
    roomy: Callable[[], np.ndarray] | None = None,
) -> Spaced:
    """Returns positions at which objects keep their ranks and least distances.

    Args:
      groups: who has each rank, see `grouped`.
      apart: [N, N], how far an object of a higher rank must be from one of a lower.
      before, after: [N], how far an object must be from the low and the high end.
      room: how long the axis may become.
      enough: where less than this part of the room is taken, distances are those of `roomy` if these fit.
      roomy: returns distances as `apart`; asked only where they are wanted.
    """
    near, far = before.tolist(), after.tolist()
    need = apart.tolist()
    early = _least(groups, need, near)
    total = max(map(operator.add, early, far))
    if total > room:
        return Spaced(None, total)
    if roomy is not None and total < enough * room:
        wider = roomy().tolist()
        found = _least(groups, wider, near)
        length = max(map(operator.add, found, far))
        if length <= room:
            need, early, total = wider, found, length
    late = _greatest(groups, need, far, total)
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
