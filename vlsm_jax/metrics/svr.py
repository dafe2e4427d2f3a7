"""SVR, the structural validity of a candidate: how much of the reference's structure its script builds when it runs.

Both sides are Twins that scripts built by running, never text: a loop with five `contextdragconnection` statements may
draw twelve wires. SVR counts what is reproduced (recall), so extra objects and wires go unpunished in it; `Overlap`
gives precision and F1 beside it.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from vlsm_jax.twin import PORT_LETTERS, PortLetter, Twin, wires

SVR_WEIGHTS = (0.6, 0.4)


@dataclasses.dataclass(frozen=True)
class Overlap:
    """How many entries of a reference and a candidate agree.

    Attributes:
      matched: entries found in both.
      reference: entries of the reference.
      candidate: entries of the candidate; None where the candidate built nothing at all, which scores 0 throughout.
    """

    matched: int
    reference: int
    candidate: int | None

    @property
    def recall(self) -> float:
        """Share of the reference that the candidate reproduces; 1 where the reference has nothing to reproduce."""
        if self.candidate is None:
            return 0.0
        return self.matched / self.reference if self.reference else 1.0

    @property
    def precision(self) -> float:
        """Share of the candidate that the reference asks for; no entries score 1 if none were asked for, else 0."""
        if self.candidate is None:
            return 0.0
        if not self.candidate:
            return 0.0 if self.reference else 1.0
        return self.matched / self.candidate

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


class SvrScore(NamedTuple):
    """SVR and its two parts, each in 0..1: `svr = w_c * connection_score + w_o * object_score`."""

    svr: float
    connection_score: float
    object_score: float


def connection_overlap(reference: Twin, candidate: Twin | None, ports: Sequence[PortLetter] = PORT_LETTERS) -> Overlap:
    """Counts the wires that both Twins have, as a multiset: a pair connected twice has two wires to reproduce.

    A wire is its two ends by name and its port letter. "A" wires have a direction; "S" wires join center ports and have
    none, so either way of drawing one matches. Port order is no part of it.

    Args:
      ports: the port letters that count. Scripts draw "A" (flow) and "S" (center) wires with the same command, and an
        operator or dispatcher works only through its "S" wire, so both count by default; `("A",)` leaves flow alone.
    """

    def drawn(twin: Twin) -> Counter:
        return Counter(wire for wire in wires(twin) if wire.port in ports)

    return _overlap(drawn(reference), None if candidate is None else drawn(candidate))


def object_overlap(reference: Twin, candidate: Twin | None) -> Overlap:
    """Counts the objects of the reference that the candidate has with the same class and name (case-sensitive)."""

    def named(twin: Twin) -> Counter:
        return Counter((obj.cls, obj.name) for obj in twin.objects)

    return _overlap(named(reference), None if candidate is None else named(candidate))


def svr(
    reference: Twin,
    candidate: Twin | None,
    weights: tuple[float, float] = SVR_WEIGHTS,
    ports: Sequence[PortLetter] = PORT_LETTERS,
) -> SvrScore:
    """Returns SVR = 0.6 CS + 0.4 OS, the metric of arXiv 2512.20387.

    CS is the share of the reference's wires and OS the share of its objects that the candidate reproduces; see
    `connection_overlap` and `object_overlap` for what counts as the same. A reference without wires leaves nothing to
    miss, so CS is 1.

    Args:
      candidate: None where the script built nothing: every score is 0.
      weights: of CS and OS; not negative and adding up to 1.
      ports: the port letters that count towards CS.

    Raises:
      ValueError: the weights are negative or do not add up to 1.
    """
    for_connections, for_objects = check_weights(weights)
    connection_score = connection_overlap(reference, candidate, ports).recall
    object_score = object_overlap(reference, candidate).recall
    return SvrScore(for_connections * connection_score + for_objects * object_score, connection_score, object_score)


def check_weights(weights: Sequence[float]) -> tuple[float, float]:
    """Returns the weights of connections and objects in SVR.

    Raises:
      ValueError: they are not two numbers that are not negative and add up to 1.
    """
    weights = tuple(weights)
    # Written so that nan fails as well.
    if len(weights) != 2 or not min(weights) >= 0 or not math.isclose(sum(weights), 1.0, abs_tol=1e-9):
        raise ValueError(
            f"SVR weights are {weights}; give two that are not negative and add up to 1, such as (0.6, 0.4)"
        )
    return weights


def _overlap(reference: Counter, candidate: Counter | None) -> Overlap:
    if candidate is None:
        return Overlap(0, reference.total(), None)
    return Overlap((reference & candidate).total(), reference.total(), candidate.total())
