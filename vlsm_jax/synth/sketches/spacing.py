"""Spacing: positions that keep an order and give everything the room it needs.

Objects that share a coordinate form a rank. Along one axis, rank follows rank, and any two objects that would meet are
kept apart; the least positions are longest paths over these distances, counted from both ends and averaged, which
centres what has play. Stretching such positions keeps every distance.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Apart = Sequence[Sequence[tuple[int, float]]]
"""For each rank, lower ones with how far it must be from them, where that is further than a step for each rank."""


class Spaced(NamedTuple):
    """Positions of the ranks [R] along an axis of length `total`; None where it would be longer than there is room."""

    positions: np.ndarray | None
    total: float


def ranks(values: Sequence[Any]) -> np.ndarray:
    """Returns for each value [N] how many different smaller ones there are."""
    number = {value: k for k, value in enumerate(sorted(set(values)))}
    return np.array([number[value] for value in values])


def grouped(rank: np.ndarray) -> list[list[int]]:
    """Returns which objects have each rank of [N], ranks being counted from 0 without gaps."""
    groups: list[list[int]] = [[] for _ in range(int(rank.max()) + 1)]
    for i, value in enumerate(rank.tolist()):
        groups[value].append(i)
    return groups


# Plain numbers below: there are a few dozen ranks at most, for which arrays cost more than they save.


def _least(apart: Apart, step: float, near: Sequence[float]) -> list[float]:
    """Returns the least positions, counted from the low end."""
    out: list[float] = []
    last = -step
    for least, before in zip(near, apart, strict=True):
        if last + step > least:
            least = last + step
        for k, distance in before:
            if out[k] + distance > least:
                least = out[k] + distance
        out.append(least)
        last = least
    return out


def _greatest(apart: Apart, step: float, far: Sequence[float], total: float) -> list[float]:
    """Returns the greatest positions on an axis of length `total`."""
    out = [total - end for end in far]
    last = total + step
    for rank in range(len(far) - 1, -1, -1):
        most = out[rank]
        if last - step < most:
            out[rank] = most = last - step
        for k, distance in apart[rank]:
            if most - distance < out[k]:
                out[k] = most - distance
        last = most
    return out


def spaced(
    apart: Apart,
    step: float,
    near: Sequence[float],
    far: Sequence[float],
    room: float,
    enough: float = 0.0,
    roomy: Callable[[], tuple[Apart, float]] | None = None,
) -> Spaced:
    """Returns positions at which ranks keep their order and least distances.

    Args:
      apart: distances of the ranks.
      step: how far each rank is at least from the one before it.
      near, far: [R], how far a rank must be from the low and the high end.
      room: how long the axis may become.
      enough: where less than this part of the room is taken, distances are those of `roomy` if these fit.
      roomy: returns other `apart` and `step`; asked only where they are wanted.
    """
    early = _least(apart, step, near)
    total = max(map(operator.add, early, far))
    if total > room:
        return Spaced(None, total)
    if roomy is not None and total < enough * room:
        wider, wider_step = roomy()
        found = _least(wider, wider_step, near)
        length = max(map(operator.add, found, far))
        if length <= room:
            apart, step, early, total = wider, wider_step, found, length
    late = _greatest(apart, step, far, total)
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
    return ranks(within.tolist()), ranks((band * (int(row.max()) + 1) + row).tolist())
