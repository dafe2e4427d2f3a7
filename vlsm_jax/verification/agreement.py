"""How much candidates agree: what many of them build is likelier to be right than what one of them builds.

Each candidate is compared with every other by what they build, names, classes, connections and parameters. For small
factories this is a vote, since whole Twins are equal; for large ones, where hardly two are, the candidate nearest to
all others is in front. In decoding this is known as minimum Bayes risk (Kumar and Byrne, 2004).
"""

from __future__ import annotations

from collections.abc import Sequence

from vlsm_jax.metrics import connection_overlap, object_overlap, pmr
from vlsm_jax.twin import Twin


def agreements(twins: Sequence[Twin | None]) -> list[float]:
    """Returns the mean likeness of each Twin to the others, 0..1; 0 for None, and where there is but one."""
    distinct: dict[Twin, int] = {}
    places = [None if twin is None else distinct.setdefault(twin, len(distinct)) for twin in twins]
    found = list(distinct)
    likeness = [[1.0] * len(found) for _ in found]
    for i, one in enumerate(found):
        for j in range(i):
            likeness[i][j] = likeness[j][i] = alike(one, found[j])
    others = max(len(twins) - 1, 1)
    return [
        0.0 if place is None else (sum(likeness[place][p] for p in places if p is not None) - 1.0) / others
        for place in places
    ]


def alike(one: Twin, other: Twin) -> float:
    """Returns how much two Twins have in common, 0..1, the same either way; places on the floor do not count."""
    structure = 0.6 * connection_overlap(one, other).f1 + 0.4 * object_overlap(one, other).f1
    return (structure + (pmr(one, other) + pmr(other, one)) / 2) / 2
