"""Patterns of wires that follow from the order in which a loop creates the objects.

`Lanes` is the paper's pattern: shared objects in a chain, lanes side by side between them. `Stages` is any row of
stages that stand behind each other. What a pattern does not draw is left to a table. A pattern is chosen by the ports
that the objects get, so the form of a script never changes its Twin.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

from vlsm_jax.simulator.library import DISPATCHER, TASK_EXECUTER, find_class
from vlsm_jax.twin import Connection, Twin, TwinObject

MOST_LANES = 6
MOST_SHARED = 4
MOST_ROOTS = 4
MOST_BREAKS = 3

_OPEN, _DONE = 1, 2

Neighbours = Mapping[int, list[int]]
"""Outputs or inputs by index, in port order."""


@dataclasses.dataclass(frozen=True)
class Lanes:
    """Wires that follow from the order of creation.

    `before` objects in a chain, then `depth` stages of `lanes` objects each, stage by stage, then `after` in a chain.
    A chain alone has `lanes` 0, and `breaks`, the objects by index from 1 that are not connected to the one before.
    """

    before: int
    lanes: int = 0
    depth: int = 0
    after: int = 0
    breaks: tuple[int, ...] = ()

    @property
    def merge(self) -> int:
        """Index of the object into which all lanes flow, from 1; past the end where there is none."""
        return self.before + self.lanes * self.depth + 1

    @property
    def count(self) -> int:
        """How many objects there are."""
        return self.before + self.lanes * self.depth + self.after

    @property
    def size(self) -> int:
        """How many wires there are."""
        first = self.before - 1 if self.before else -self.lanes
        last = self.lanes + self.after - 1 if self.after else 0
        return first + self.lanes * self.depth + last - len(self.breaks)

    def wires(self) -> Iterator[tuple[int, int]]:
        """Yields (from, to) by index from 1, in the order in which the loop draws them."""
        for i in range(1, self.merge + self.after):
            if i <= self.before or i > self.merge:
                if i > 1 and i not in self.breaks:
                    yield i - 1, i
            elif i < self.merge:
                place = i - self.before
                if place > self.lanes:
                    yield i - self.lanes, i
                elif self.before:
                    yield self.before, i
            else:
                yield from ((self.merge - self.lanes + lane, i) for lane in range(self.lanes))


@dataclasses.dataclass(frozen=True)
class Stages:
    """Rows of objects, each behind the one before: object by object where both are as wide, else all to all.

    Attributes:
      widths: how many objects each stage has.
      breaks: which stages, from 1, are not connected to the one before.
    """

    widths: tuple[int, ...]
    breaks: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many objects there are."""
        return sum(self.widths)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a loop draws a Twin.

    Attributes:
      objects: in the order of creation; those of the pattern come first.
      pattern: of the wires drawn inside the loop; None where there are none.
      rest: all other wires, in the order in which they are to be drawn behind the loop.
    """

    objects: tuple[TwinObject, ...]
    pattern: Lanes | Stages | None
    rest: tuple[Connection, ...]


def _candidates(count: int) -> Iterator[Lanes]:
    yield Lanes(before=count)
    for lanes in range(2, MOST_LANES + 1):
        for before in range(MOST_SHARED + 1):
            for after in range(MOST_SHARED + 1):
                depth, rest = divmod(count - before - after, lanes)
                if depth > 0 and rest == 0:
                    yield Lanes(before, lanes, depth, after)


def find_lanes(twin: Twin) -> Lanes | None:
    """Returns the pattern by which drawing wires in the order of the objects gives the ports of `twin`, else None."""
    size = len(twin.connections)
    if not size or any(w.port != "A" for w in twin.connections):
        return None
    index = {obj.name: i for i, obj in enumerate(twin.objects, 1)}
    wanted = [(index[w.source], index[w.target]) for w in twin.connections]
    pairs = set(wanted)
    if len(pairs) != size:
        return None  # No pattern draws a wire twice.
    for pattern in _candidates(len(index)):
        if pattern.size != size or not all(wire in pairs for wire in pattern.wires()):
            continue
        if _ports(list(pattern.wires())) == _ports(wanted):
            return pattern
    return None


def _ports(wires: Sequence[tuple[int, int]]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Returns outputs and inputs by index, in port order."""
    outputs: dict[int, list[int]] = {}
    inputs: dict[int, list[int]] = {}
    for a, b in wires:
        outputs.setdefault(a, []).append(b)
        inputs.setdefault(b, []).append(a)
    return outputs, inputs


def find_plan(twin: Twin) -> Plan:
    """Returns how to draw `twin` in a loop, with as many wires inside it as follow from an order of its objects."""
    lanes = find_lanes(twin)
    if lanes is not None:
        return Plan(twin.objects, lanes, ())
    return _plan_by_stages(twin) or Plan(twin.objects, None, twin.connections)


# --- Stages -----------------------------------------------------------------------------------------------------------


def _is_executer(cls: str) -> bool:
    info = find_class(cls)
    return info is not None and info.role in (TASK_EXECUTER, DISPATCHER)


def _plan_by_stages(twin: Twin) -> Plan | None:
    """Returns the plan of the few runs of stages with the most wires; None where that is less than half of the flow."""
    flow = [i for i, obj in enumerate(twin.objects) if not _is_executer(obj.cls)]
    place = {twin.objects[i].name: i for i in flow}
    wires = [
        (place[w.source], place[w.target])
        for w in twin.connections
        if w.port == "A" and w.source in place and w.target in place
    ]
    outputs, inputs = _ports(wires)
    stages: list[list[int]] = []
    breaks: list[int] = []
    drawn: list[tuple[int, int]] = []
    for row in _rows(flow, outputs, inputs):
        runs = list(_runs(row, outputs, inputs))
        for first, more in itertools.product(range(len(runs)), range(MOST_BREAKS + 1)):
            some = runs[first : first + more + 1]
            if not (some[0][1] and some[-1][1]) or sum(len(pairs) for _, pairs in some) <= len(drawn):
                continue
            stages = [stage for run, _ in some for stage in run]
            breaks = [1 + n for n in itertools.accumulate(len(run) for run, _ in some[:-1])]
            drawn = [pair for _, pairs in some for pair in pairs]
        if len(drawn) == len(wires):
            break
    if len(drawn) < 2 or 2 * len(drawn) < len(wires):
        return None
    order = [i for stage in stages for i in stage]
    inside = set(order)
    order += [i for i in range(len(twin.objects)) if i not in inside]
    left = set(drawn)
    rest = []
    for wire in twin.connections:
        pair = (place.get(wire.source, -1), place.get(wire.target, -1))
        if wire.port == "A" and pair in left:
            left.remove(pair)  # Only the first wire of a pair is drawn in the loop.
        else:
            rest.append(wire)
    return Plan(tuple(twin.objects[i] for i in order), _shape(tuple(map(len, stages)), tuple(breaks)), tuple(rest))


def _rows(flow: list[int], outputs: Neighbours, inputs: Neighbours) -> Iterator[list[list[int]]]:
    """Yields rows of stages in which runs may be found: of all objects, and of those behind one of the first roots.

    Each comes a second time without the ends before the last stage, such as a Sink for scrap.
    """
    roots = [i for i in flow if i not in inputs]
    groups = [flow]
    if len(roots) > 1:
        groups += [_behind(root, outputs) for root in roots[:MOST_ROOTS]]
    for group in groups:
        layers = _layers(group, outputs, inputs)
        yield layers
        inner = [[node for node in layer if node in outputs] for layer in layers[:-1]]
        if inner != layers[:-1]:
            yield [*filter(None, inner), layers[-1]]


def _behind(root: int, outputs: Neighbours) -> list[int]:
    """Returns a root and all that can be reached from it, in ascending order."""
    found = {root}
    waiting = [root]
    while waiting:
        for target in outputs.get(waiting.pop(), ()):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return sorted(found)


def _layers(group: list[int], outputs: Neighbours, inputs: Neighbours) -> list[list[int]]:
    """Returns objects by the length of the longest way to them, those of one layer in port order.

    Ways that lead back to an object on the way do not count.
    """
    members = set(group)
    roots = [i for i in group if i not in inputs]
    back: set[tuple[int, int]] = set()
    state: dict[int, int] = {}
    finished: list[int] = []
    for root in (*roots, *group):
        if root in state:
            continue
        state[root] = _OPEN
        stack = [(root, iter(outputs.get(root, ())))]
        while stack:
            node, targets = stack[-1]
            for target in targets:
                known = state.get(target)
                if known is None and target in members:
                    state[target] = _OPEN
                    stack.append((target, iter(outputs.get(target, ()))))
                    break
                if known == _OPEN:
                    back.add((node, target))
            else:
                state[node] = _DONE
                finished.append(node)
                stack.pop()
    depth = dict.fromkeys(group, 0)
    for node in reversed(finished):
        for target in outputs.get(node, ()):
            if target in members and (node, target) not in back and depth[target] <= depth[node]:
                depth[target] = depth[node] + 1
    layers: list[list[int]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in group:
        layers[depth[node]].append(node)
    rank: dict[int, tuple[int, int]] = {}
    for root in roots:
        target = outputs[root][0] if root in outputs else root
        rank[root] = (target, inputs[target].index(root) if target != root else 0)
    for layer in layers:
        layer.sort(key=lambda node: rank.get(node, (0, node)))
        for k, node in enumerate(layer):
            for port, target in enumerate(outputs.get(node, ())):
                rank.setdefault(target, (k, port))
    return layers


def _runs(
    stages: list[list[int]], outputs: Neighbours, inputs: Neighbours
) -> Iterator[tuple[list[list[int]], list[tuple[int, int]]]]:
    """Yields runs of stages of which each pair can be drawn in the loop, with their wires."""
    run: list[list[int]] = []
    pairs: list[tuple[int, int]] = []
    for stage in stages:
        new = _between(run[-1], stage, outputs, inputs) if run else None
        if new is None:
            if run:
                yield run, pairs
            run, pairs = [stage], []
        else:
            run.append(stage)
            pairs += new
    yield run, pairs


def _between(
    before: list[int], stage: list[int], outputs: Neighbours, inputs: Neighbours
) -> list[tuple[int, int]] | None:
    """Returns the wires from stage to stage; None where they are not the first at the ports of both ends.

    The rest of the wires is drawn behind the loop, so what the loop draws has to come first at every port.
    """
    if len(before) == len(stage):
        pairs = list(zip(before, stage, strict=True))
        fits = all(outputs.get(a, [-1])[0] == b and inputs.get(b, [-1])[0] == a for a, b in pairs)
    else:
        pairs = [(a, b) for b in stage for a in before]
        fits = all(outputs.get(a, [])[: len(stage)] == stage for a in before) and all(
            inputs.get(b, [])[: len(before)] == before for b in stage
        )
    return pairs if fits else None


def _shape(widths: tuple[int, ...], breaks: tuple[int, ...]) -> Lanes | Stages:
    """Returns stages as a chain or as lanes where they are, for that is the simpler loop."""
    wide = [k for k, width in enumerate(widths) if width > 1]
    if not wide:
        return Lanes(before=len(widths), breaks=breaks)
    first, last = wide[0], wide[-1]
    depth, after = last - first + 1, len(widths) - last - 1
    same = all(width == widths[first] for width in widths[first : last + 1])
    if not breaks and same and widths[first] <= MOST_LANES and first <= MOST_SHARED and after <= MOST_SHARED:
        return Lanes(first, widths[first], depth, after)
    return Stages(widths, breaks)
