"""A running model as scripts see it: items inside objects, and statistics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import to_int
from vlsm_jax.flexscript.vocabulary import Members
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.tree import Node


def item_at(resource: Any, index: Any) -> Item:
    """`object.subnodes[n]` during a run: the n-th item inside, in order of entry."""
    at = to_int(index)
    if not 1 <= at <= len(resource.items):
        hint = f"{resource.name!r} holds {len(resource.items)} items"
        raise Fault("Array index out of bounds", code="array index", hint=hint)
    return next(itertools.islice(resource.items, at - 1, at))


def rank_of(item: Item) -> int:
    """`item.rank`: the place among the items of its object, from 1; 0 once it is gone."""
    if item.holder is None:
        return 0
    return next((n for n, other in enumerate(item.holder.items, 1) if other is item), 0)


class Statistics:
    """`object.stats`."""

    __slots__ = ("live",)

    def __init__(self, node: Node):
        self.live = node.live


class Statistic:
    """`object.stats.input` and its kin, with `value`, `average`, `min` and `max`; 0 before the run."""

    __slots__ = ("kind", "live")

    def __init__(self, live: Any, kind: str):
        self.live = live
        self.kind = kind

    def read(self, figure: str) -> float:
        """Returns one figure of the statistic."""
        live = self.live
        if live is None:
            return 0.0
        if self.kind == "input":
            return float(live.received)
        if self.kind == "output":
            return float(live.sent)
        if self.kind == "content":
            return self._content(figure)
        if live.sent == 0:
            return 0.0
        return {"min": live.stay_least, "max": live.stay_most}.get(figure, live.stay_total / live.sent)

    def _content(self, figure: str) -> float:
        live = self.live
        if figure == "max":
            return float(live.most)
        if figure == "average":
            observed = live.calendar.now - live.observed_from
            return live.content_time() / observed if observed > 0 else 0.0
        return float(len(live.items))


class ItemStatistics:
    """`item.stats`: only its creation time is kept."""

    __slots__ = ("item",)

    def __init__(self, item: Item):
        self.item = item


class Flags:
    """`object.flags`: kept, without effect."""

    __slots__ = ("node",)

    def __init__(self, node: Node):
        self.node = node


_FLAGS = ("isSelected", "showName", "showContent", "showShape", "showPorts", "isProtected", "isHidden")


def _flag(name: str) -> Any:
    return lambda flags: flags.node.flags.get(name, 0), lambda flags, value: flags.node.flags.__setitem__(name, value)


def _figure(name: str) -> Any:
    return lambda statistic: statistic.read(name)


def _kind(name: str) -> Any:
    return lambda statistics: Statistic(statistics.live, name)


def members() -> Mapping[type, Members]:
    """Returns the members of statistics and flags."""
    figures = {name: _figure(name) for name in ("value", "average", "min", "max", "current")}
    flags = {name: _flag(name) for name in _FLAGS}
    return {
        Statistics: Members({name: _kind(name) for name in ("input", "output", "content", "staytime")}, {}, {}),
        Statistic: Members(figures, {}, {}),
        ItemStatistics: Members({"creationTime": lambda statistics: statistics.item.created}, {}, {}),
        Flags: Members({n: get for n, (get, _) in flags.items()}, {n: put for n, (_, put) in flags.items()}, {}),
    }
