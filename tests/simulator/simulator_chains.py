"""Markov chains, solved numerically: where the exact values of the theory tests come from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

Transitions = Callable[[tuple], Iterable[tuple[tuple, float, float]]]
"""State to (next state, rate or probability, what the transition yields)."""


def _reached(start: tuple, transitions: Transitions) -> list[tuple]:
    states, stack = {start: None}, [start]
    while stack:
        for following, _, _ in transitions(stack.pop()):
            if following not in states:
                states[following] = None
                stack.append(following)
    return list(states)


def solve(start: tuple, transitions: Transitions, *, discrete: bool = False) -> tuple[dict[tuple, float], float]:
    """Returns the stationary probabilities of the states reached from `start`, and the long-run yield per time."""
    states = _reached(start, transitions)
    index = {state: n for n, state in enumerate(states)}
    flow = np.zeros((len(states), len(states)))
    yields = np.zeros(len(states))
    for state in states:
        for following, weight, gain in transitions(state):
            flow[index[state], index[following]] += weight
            yields[index[state]] += weight * gain
    balance = flow.T - (np.eye(len(states)) if discrete else np.diag(flow.sum(axis=1)))
    equations = np.vstack([balance, np.ones(len(states))])
    shares = np.linalg.lstsq(equations, np.append(np.zeros(len(states)), 1.0), rcond=None)[0]
    return dict(zip(states, shares.tolist(), strict=True)), float(shares @ yields)


def exponential_line(rates: Sequence[float], buffers: Sequence[int]) -> tuple[float, list[float]]:
    """A saturated line of exponential stations that block after service.

    Args:
      rates: of the stations.
      buffers: places between them, without those at the stations.

    Returns:
      The throughput, and the share of time in which each station works.
    """
    last = len(rates) - 1
    idle, working, blocked = "idle", "working", "blocked"

    def settled(stations: list[str], contents: list[int]) -> tuple:
        moved = True
        while moved:
            moved = False
            for n in range(last + 1):
                if n == 0 and stations[0] == idle:
                    stations[0] = working
                if n < last and contents[n] and stations[n + 1] == idle:
                    stations[n + 1], contents[n], moved = working, contents[n] - 1, True
                if n < last and stations[n] == blocked:
                    if stations[n + 1] == idle:
                        stations[n], stations[n + 1], moved = idle, working, True
                    elif contents[n] < buffers[n]:
                        stations[n], contents[n], moved = idle, contents[n] + 1, True
        return (tuple(stations), tuple(contents))

    def transitions(state: tuple):
        stations, contents = state
        for n, rate in enumerate(rates):
            if stations[n] == working:
                after = [*stations]
                after[n] = blocked if n < last else idle
                yield settled(after, [*contents]), rate, float(n == last)

    start = settled([idle] * (last + 1), [0] * last)
    shares, throughput = solve(start, transitions)
    busy = [sum(share for state, share in shares.items() if state[0][n] == working) for n in range(last + 1)]
    return throughput, busy


def deterministic_pair(places: int, fails: float, repaired: float) -> float:
    """The two-machine line of Gershwin: one part per slot, operation-dependent failures, geometric repairs.

    Args:
      places: parts between the two machines at most, those at the machines included.
      fails: probability that an operation fails in a slot.
      repaired: probability that a repair ends in a slot; the operation ends in that slot too.

    Returns:
      Parts per slot.
    """

    def transitions(state: tuple):
        parts, *up = state
        works = (parts < places, parts > 0)
        good = [(1 - fails if works[m] else 1.0) if up[m] else repaired for m in (0, 1)]
        for first, second in itertools.product((0, 1), repeat=2):
            weight = (good[0] if first else 1 - good[0]) * (good[1] if second else 1 - good[1])
            out = int(second and works[1])
            yield (parts + int(first and works[0]) - out, first, second), weight, float(out)

    return solve((0, 1, 1), transitions, discrete=True)[1]


def birth_and_death(births: Sequence[float], deaths: Sequence[float]) -> list[float]:
    """Stationary probabilities of 0, 1, 2, ..., given the rates from n to n + 1 and from n + 1 to n."""
    weights = [1.0]
    for up, down in zip(births, deaths, strict=True):
        weights.append(weights[-1] * up / down)
    return [weight / sum(weights) for weight in weights]
