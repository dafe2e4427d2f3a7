"""How much of one graph is found in another: the search for the assignment of objects under which most wires agree.

This is the maximum common edge subgraph, for which no fast algorithm is known. The search counts its steps: when they
run out, it gives the best it found and a bound that nothing exceeds.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from vlsm_jax.twin import Connection, Twin, wires

_BACK = {"out": "in", "in": "out", "center": "center"}
"""The kind of a wire as seen from its other end."""

Neighbours = dict[int, Counter[tuple[int, str]]]
"""Object to its (neighbour, kind of wire): "out", "in", "center" or, from an object to itself, "loop" and "ring"."""


class Assignment:
    """The search for the assignment of objects under which most wires agree.

    A first assignment grows along the wires from objects that look alike, another one pairs equal names. Exchanging
    pairs improves both, and a branch and bound search finds a better one than these or proves that there is none.
    """

    def __init__(self, reference: Twin, candidate: Twin, steps: int):
        self.twins = (reference, candidate)
        self.steps = steps
        self._budget = steps  # of the first assignment; each search after it has a share of its own
        self.places = [{obj.name: i for i, obj in enumerate(twin.objects)} for twin in self.twins]
        self.classes = [[obj.cls for obj in twin.objects] for twin in self.twins]
        self.mine, self.theirs = (_neighbours(twin, place) for twin, place in zip(self.twins, self.places, strict=True))
        self.total = len(reference.connections)

    def best(self) -> tuple[int, int]:
        """Returns how many wires agree under the best assignment found, and the most that could."""
        most = self._most()
        best = max(self._improve(start) for start in (self._by_growth(), self._by_names()))
        if best < most:
            best, complete = self._branch(best)
            most = best if complete else most
        return best, most

    def _most(self) -> int:
        """Returns a bound: the wires that both have between objects of the same classes."""
        kinds = [
            Counter((classes[place[w.source]], classes[place[w.target]], w.port) for w in _by_class(twin))
            for twin, place, classes in zip(self.twins, self.places, self.classes, strict=True)
        ]
        return (kinds[0] & kinds[1]).total()

    # A value of an assignment is a place in the candidate, or -1 for none.

    def _by_names(self) -> list[int]:
        assigned = []
        for obj in self.twins[0].objects:
            place = self.places[1].get(obj.name, -1)
            assigned.append(place if place >= 0 and self.classes[1][place] == obj.cls else -1)
        return self._fill(assigned)

    def _by_growth(self) -> list[int]:
        """Pairs along the wires: what is wired to a paired object is paired with what is wired to its counterpart."""
        alike = [_colours(self.classes, (self.mine, self.theirs), depth) for depth in (4, 3, 2, 1)]
        free: list[dict[int, set[int]]] = []
        for _, theirs in alike:
            free.append({})
            for place, colour in enumerate(theirs):
                free[-1].setdefault(colour, set()).add(place)
        rest: dict[str, set[int]] = {}
        for place, cls in enumerate(self.classes[1]):
            rest.setdefault(cls, set()).add(place)
        degrees = [[sum(found.values()) for found in around.values()] for around in (self.mine, self.theirs)]
        assigned = [-1] * len(self.classes[0])
        taken: set[int] = set()
        paired: list[tuple[int, str]] = []

        def likeness(node: int, place: int) -> tuple[int, int, int]:
            same = sum(mine[node] == theirs[place] for mine, theirs in alike)
            gain = self._gain(node, place, assigned) if paired else 0
            return gain, same, -abs(degrees[0][node] - degrees[1][place])

        for node in self._order():
            cls = self.classes[0][node]
            paired = [(assigned[other], kind) for other, kind in self.mine[node] if assigned[other] >= 0]
            self._budget -= 4 + sum(len(self.theirs[at]) for at, _ in paired)
            places: set[int] = set()
            if self._budget > 0:
                places = {
                    place
                    for at, kind in paired
                    for place, back in self.theirs[at]
                    if back == _BACK[kind] and place not in taken and self.classes[1][place] == cls
                }
            if not places:  # nothing to go by but its likes, or any free object of its class
                pools = (pool[mine[node]] for pool, (mine, _) in zip(free, alike, strict=True) if pool.get(mine[node]))
                places = next(pools, rest.get(cls, set()))
            if not places:
                continue
            self._budget -= len(places) * (4 + (len(self.mine[node]) if paired else 0))
            if self._budget > 0:
                best = max(places, key=lambda place: (*likeness(node, place), -place))
            else:
                best = next(iter(places))
            assigned[node] = best
            taken.add(best)
            rest[cls].discard(best)
            for pool, (_, theirs) in zip(free, alike, strict=True):
                pool[theirs[best]].discard(best)
        return assigned

    def _fill(self, assigned: list[int]) -> list[int]:
        """Gives what is not assigned yet any free object of its class."""
        free: dict[str, list[int]] = {}
        taken = set(assigned)
        for place, cls in reversed(list(enumerate(self.classes[1]))):
            if place not in taken:
                free.setdefault(cls, []).append(place)
        return [
            place if place >= 0 or not free.get(self.classes[0][node]) else free[self.classes[0][node]].pop()
            for node, place in enumerate(assigned)
        ]

    def _gain(self, node: int, place: int, assigned: Sequence[int]) -> int:
        """Returns how many wires of `node` agree when it is assigned to `place`; loops count once."""
        if place < 0:
            return 0
        theirs = self.theirs[place]
        gain = 0
        for (other, kind), count in self.mine[node].items():
            target = place if other == node else assigned[other]
            if target >= 0:
                gain += min(count, theirs.get((target, kind), 0))
        return gain

    def _count(self, assigned: Sequence[int]) -> int:
        """Returns how many wires agree."""
        # A wire between two objects is seen from both ends, a loop from one.
        seen = sum(self._gain(node, place, assigned) for node, place in enumerate(assigned))
        loops = sum(
            min(count, self.theirs[place].get((place, kind), 0))
            for node, place in enumerate(assigned)
            if place >= 0
            for (other, kind), count in self.mine[node].items()
            if other == node
        )
        return (seen + loops) // 2

    def _improve(self, assigned: list[int]) -> int:
        """Exchanges assignments within a class, and takes free objects, as long as that helps; returns the wires."""
        groups: dict[str, list[int]] = {}
        for node, cls in enumerate(self.classes[0]):
            groups.setdefault(cls, []).append(node)
        spare: dict[str, set[int]] = {cls: set() for cls in groups}
        for place in set(range(len(self.classes[1]))) - set(assigned):
            spare.setdefault(self.classes[1][place], set()).add(place)
        budget = self.steps // 4
        improved = self._count(assigned) < self.total
        while improved:
            improved = False
            for cls, nodes in groups.items():
                for i, node in enumerate(nodes):
                    for place in sorted(spare[cls]):
                        budget -= 1 + 2 * len(self.mine[node])
                        if self._gain(node, place, assigned) > self._gain(node, assigned[node], assigned):
                            spare[cls].discard(place)
                            if assigned[node] >= 0:
                                spare[cls].add(assigned[node])
                            assigned[node] = place
                            improved = True
                    for other in nodes[i + 1 :]:
                        budget -= 1 + 2 * (len(self.mine[node]) + len(self.mine[other]))
                        if budget <= 0:
                            return self._count(assigned)
                        before = self._both(node, other, assigned)
                        assigned[node], assigned[other] = assigned[other], assigned[node]
                        if self._both(node, other, assigned) > before:
                            improved = True
                        else:
                            assigned[node], assigned[other] = assigned[other], assigned[node]
        return self._count(assigned)

    def _both(self, node: int, other: int, assigned: Sequence[int]) -> int:
        """Returns how many wires of two objects agree, those between them counted once."""
        between = sum(
            min(count, self.theirs[assigned[node]].get((assigned[other], kind), 0))
            for (neighbour, kind), count in self.mine[node].items()
            if neighbour == other and assigned[node] >= 0 and assigned[other] >= 0
        )
        return self._gain(node, assigned[node], assigned) + self._gain(other, assigned[other], assigned) - between

    def _branch(self, best: int) -> tuple[int, bool]:
        """Searches all assignments that may be better than `best`; returns the best and whether all were searched."""
        order = self._order()
        by_class: dict[str, list[int]] = {}
        for place, cls in enumerate(self.classes[1]):
            by_class.setdefault(cls, []).append(place)
        at = {node: i for i, node in enumerate(order)}
        # Wires that are decided when the i-th object is assigned: those to objects before it, and loops.
        decided = [
            sum(count for (other, _), count in self.mine[node].items() if at[other] <= at[node]) for node in order
        ]
        left = [0] * (len(order) + 1)
        for i in range(len(order) - 1, -1, -1):
            left[i] = left[i + 1] + decided[i]
        assigned = [-1] * len(order)
        used: set[int] = set()
        counts = [0] * (len(order) + 1)
        budget = self.steps // 2

        def options(i: int) -> list[tuple[int, int]]:
            nonlocal budget
            node = order[i]
            budget -= (1 + len(self.mine[node])) * len(by_class.get(self.classes[0][node], ())) + 4
            found = [
                (self._gain(node, place, assigned), -place)
                for place in by_class.get(self.classes[0][node], ())
                if place not in used
            ]
            # None at all is an option too: another object may make more of the place.
            return sorted([*found, (0, 1)])

        stack = [options(0)] if order else []
        while stack:
            if budget <= 0:
                return best, False
            i = len(stack) - 1
            node = order[i]
            if assigned[node] >= 0:
                used.discard(assigned[node])
                assigned[node] = -1
            if not stack[-1] or counts[i] + stack[-1][-1][0] + left[i + 1] <= best:
                stack.pop()
                continue
            gain, place = stack[-1].pop()
            place = -place  # -1 for none
            counts[i + 1] = counts[i] + gain
            if i + 1 == len(order):
                best = max(best, counts[i + 1])
                continue
            assigned[node] = place
            if place >= 0:
                used.add(place)
            stack.append(options(i + 1))
        return best, True

    def _order(self) -> list[int]:
        """Returns the objects so that each has many wires to those before it."""
        weight = [0] * len(self.mine)
        degree = [sum(found.values()) for found in self.mine.values()]
        heap = [(0, -degree[node], node) for node in self.mine]
        heapq.heapify(heap)
        order: list[int] = []
        placed: set[int] = set()
        while heap:
            _, _, node = heapq.heappop(heap)
            if node in placed:
                continue  # it was put in again with more wires
            placed.add(node)
            order.append(node)
            for (other, _), count in self.mine[node].items():
                if other not in placed:
                    weight[other] += count
                    heapq.heappush(heap, (-weight[other], -degree[other], other))
        return order


def _by_class(twin: Twin) -> Iterator[Connection]:
    """Yields the wires with the two ends of a center wire in the order of their classes."""
    for wire in wires(twin):
        if wire.port == "S" and twin.by_name[wire.source].cls > twin.by_name[wire.target].cls:
            yield dataclasses.replace(wire, source=wire.target, target=wire.source)
        else:
            yield wire


def _neighbours(twin: Twin, place: dict[str, int]) -> Neighbours:
    found: Neighbours = {i: Counter() for i in range(len(twin.objects))}
    for wire in twin.connections:
        source, target = place[wire.source], place[wire.target]
        if source == target:
            found[source][target, "loop" if wire.port == "A" else "ring"] += 1
        elif wire.port == "A":
            found[source][target, "out"] += 1
            found[target][source, "in"] += 1
        else:
            found[source][target, "center"] += 1
            found[target][source, "center"] += 1
    return found


def _colours(classes: Sequence[Sequence[str]], neighbours: Sequence[Neighbours], depth: int) -> list[list[int]]:
    """Returns the colours of the objects of both graphs, refined `depth` times, in common numbers."""
    colours: list[list[Hashable]] = [list(found) for found in classes]
    for _ in range(depth):
        numbers: dict[Hashable, int] = {}
        numbered = [[numbers.setdefault(value, len(numbers)) for value in colour] for colour in colours]
        colours = [
            [
                (colour[node], tuple(sorted((kind, colour[other], count) for (other, kind), count in found.items())))
                for node, found in around.items()
            ]
            for colour, around in zip(numbered, neighbours, strict=True)
        ]
    numbers = {}
    return [[numbers.setdefault(value, len(numbers)) for value in colour] for colour in colours]
