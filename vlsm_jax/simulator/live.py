"""A running model as scripts see it: items inside objects and inside each other, statistics, ports."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.members import new_color
from vlsm_jax.flexscript.values import Color, Vec3, to_int, to_text
from vlsm_jax.flexscript.vocabulary import ARRAY, DOUBLE, VARIANT, Command, Members
from vlsm_jax.simulator import labels
from vlsm_jax.simulator.constants import STATES, state_name
from vlsm_jax.simulator.objects.item import BOX_SIZE, Item
from vlsm_jax.simulator.tree import Node

MAX_NAME = 200

# --- Items ------------------------------------------------------------------------------------------------------------


def inside(holder: Any) -> Sequence[Item]:
    """Returns what a running object holds, in order of entry, or what is packed into an item."""
    return holder.contents if isinstance(holder, Item) else list(holder.items)


def item_at(holder: Any, index: Any) -> Item | None:
    """`subnodes[n]` during a run: the n-th item inside; by name, the first of that name, NULL without one."""
    if isinstance(index, str):
        return next((item for item in inside(holder) if item.name == index), None)
    at = to_int(index)
    count = len(holder.contents if isinstance(holder, Item) else holder.items)
    if not 1 <= at <= count:
        raise Fault("Array index out of bounds", code="array index", hint=f"{holder.name!r} holds {count} items")
    return holder.contents[at - 1] if isinstance(holder, Item) else next(itertools.islice(holder.items, at - 1, at))


def rank_of(item: Item) -> int:
    """`item.rank`: the place among the items of its holder, from 1; 0 once it is gone."""
    if item.holder is None:
        return 0
    return next((n for n, other in enumerate(inside(item.holder), 1) if other is item), 0)


def parent_of(item: Item) -> Any:
    """`item.up`: the object that holds it, or the item that it is packed into; NULL once it is gone."""
    holder = item.holder
    return holder if holder is None or isinstance(holder, Item) else holder.node


def sibling(item: Item, step: int) -> Item | None:
    """`item.next` and `item.prev`."""
    at = rank_of(item)
    others = inside(item.holder) if at else ()
    return others[at - 1 + step] if at and 0 <= at - 1 + step < len(others) else None


def edge(holder: Any, at: int) -> Item | None:
    """`first` and `last` of what is inside."""
    if isinstance(holder, Item):
        return holder.contents[at] if holder.contents else None
    items = holder.items
    return next(iter(items) if at == 0 else reversed(items)) if items else None


class ItemNodes:
    """`object.subnodes` of a running object, and `item.subnodes`: what is inside, from 1."""

    __slots__ = ("holder",)

    def __init__(self, holder: Any):
        self.holder = holder


def _color(item: Item) -> Color:
    if item.color is None:
        item.color = Color(1, 1, 1)
    return item.color


def size_of(item: Item) -> Vec3:
    """`item.size`, whose components may be set; conveyors heed the first."""
    if item.size is None:
        item.size = Vec3(*BOX_SIZE)
    return item.size


def _rename(item: Item, name: Any) -> None:
    item.name = to_text(name)[:MAX_NAME]


def item_members(methods: Mapping[str, Command]) -> Members:
    """Returns the members of an item, given its methods."""
    getters: dict[str, Callable[[Item], Any]] = {
        "name": lambda item: item.name,
        "labels": labels.Labels,
        "color": _color,
        "up": parent_of,
        "rank": rank_of,
        "first": lambda item: edge(item, 0),
        "last": lambda item: edge(item, -1),
        "next": lambda item: sibling(item, 1),
        "prev": lambda item: sibling(item, -1),
        "subnodes": ItemNodes,
        "size": size_of,
        "location": lambda item: Vec3(),
        "rotation": lambda item: Vec3(),
        "stats": ItemStatistics,
    }
    setters: dict[str, Callable[[Item, Any], None]] = {
        "name": _rename,
        "color": lambda item, value: _color(item).assign(new_color(value)),
        "size": lambda item, value: size_of(item).assign(value),
        # Where an item lies within its object is drawn only.
        "location": lambda item, value: None,
        "rotation": lambda item, value: None,
    }
    return Members(getters, setters, methods, missing=labels.read, assign_missing=labels.assign)


# --- Statistics -------------------------------------------------------------------------------------------------------


class Statistics:
    """`object.stats`."""

    __slots__ = ("live",)

    def __init__(self, node: Node):
        self.live = node.live


_LEAST, _MOST = ("min", "minimum"), ("max", "maximum")


class Statistic:
    """`object.stats.input` and its kin, with `value`, `average`, `minimum` and `maximum`; 0 before the run."""

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
        if figure in _LEAST:
            return live.stay_least
        return live.stay_most if figure in _MOST else live.stay_total / live.sent

    def _content(self, figure: str) -> float:
        live = self.live
        if figure in _MOST:
            return float(live.most)
        if figure in _LEAST:
            if live.observed_from > 0:
                raise Unsupported("the minimum of the content is not kept over a warm-up", hint="run without a warm-up")
            return 0.0  # every object is empty at the start
        if figure == "average":
            observed = live.calendar.now - live.observed_from
            return live.content_time() / observed if observed > 0 else 0.0
        return float(len(live.items))


class StateStatistic:
    """`object.stats.state()`: the state and the time in each."""

    __slots__ = ("live",)

    def __init__(self, live: Any):
        self.live = live

    @property
    def value(self) -> int:
        """The number of the current state, 0 before the run."""
        return self.live.shown_state if self.live is not None else 0

    def seconds(self, state: int) -> float:
        """Returns the time spent in a state so far."""
        live = self.live
        if live is None or not 0 <= state < len(STATES):
            return 0.0
        current = live.calendar.now - live.state_since if state == live.shown_state else 0.0
        return live.state_time[state] + current

    def profile(self) -> list[list[Any]]:
        """Returns a row [name, number, seconds] per state, the row of state n at place n + 1 as in FlexSim."""
        return [[state_name(state), state, self.seconds(state)] for state in range(len(STATES))]


STAT_AVERAGE, STAT_CURRENT, STAT_MIN, STAT_MAX, STAT_TIME_AT_VALUE = 1, 2, 3, 4, 5
_FIGURES = {STAT_AVERAGE: "average", STAT_CURRENT: "value", STAT_MIN: "min", STAT_MAX: "max"}


def statistic(live: Any, name: str, flag: int, requirements: Sequence[Any]) -> float:
    """`getstat(object, name, flag, ...)`; raises `Unsupported` for a statistic or flag that is not kept.

    Of a state, the time at a value takes the state's number behind the number of the profile, or alone.
    """
    plain = name.replace(" ", "").lower()
    if plain == "state":
        state = StateStatistic(live)
        if flag == STAT_CURRENT:
            return state.value
        if flag == STAT_TIME_AT_VALUE and requirements:
            return state.seconds(to_int(requirements[1] if len(requirements) > 1 else requirements[0]))
    elif plain in ("input", "output", "content", "staytime") and flag in _FIGURES:
        return Statistic(live, plain).read(_FIGURES[flag])
    raise Unsupported(
        f"getstat: {name!r} with flag {flag} is not kept",
        hint="State, Input, Output, Content and Staytime are, with STAT_CURRENT, STAT_AVERAGE, STAT_MIN and STAT_MAX",
    )


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


class Ports:
    """`object.input` and `object.output`: what opens, closes, stops and resumes the ports of one side."""

    __slots__ = ("node", "side")

    def __init__(self, node: Node, side: str):
        self.node = node
        self.side = side


_FLAGS = ("isSelected", "showName", "showContent", "showShape", "showPorts", "isProtected", "isHidden")


def _flag(name: str) -> Any:
    return lambda flags: flags.node.flags.get(name, 0), lambda flags, value: flags.node.flags.__setitem__(name, value)


def _figure(name: str) -> Any:
    return lambda statistic: statistic.read(name)


def _kind(name: str) -> Any:
    return lambda statistics: Statistic(statistics.live, name)


def members() -> Mapping[type, Members]:
    """Returns the members of statistics and flags."""
    names = ("value", "average", "min", "max", "minimum", "maximum", "current")
    flags = {name: _flag(name) for name in _FLAGS}
    return {
        Statistics: Members(
            {name: _kind(name) for name in ("input", "output", "content", "staytime")},
            {},
            {"state": Command(lambda statistics, profile=0: StateStatistic(statistics.live), VARIANT, 0, 1)},
        ),
        Statistic: Members({name: _figure(name) for name in names}, {}, {}),
        StateStatistic: Members(
            {
                "value": lambda state: state.value,
                "valueString": lambda state: state_name(state.value),
                "profile": StateStatistic.profile,
            },
            {},
            {"getTotalTimeAt": Command(lambda state, number: state.seconds(to_int(number)), DOUBLE, 1, 1)},
        ),
        ItemStatistics: Members({"creationTime": lambda statistics: statistics.item.created}, {}, {}),
        ItemNodes: Members(
            {"length": lambda nodes: len(inside(nodes.holder))},
            {},
            {"toArray": Command(lambda nodes: list(inside(nodes.holder)), ARRAY, 0, 0)},
            index=lambda nodes, index: item_at(nodes.holder, index),
        ),
        Flags: Members({n: get for n, (get, _) in flags.items()}, {n: put for n, (_, put) in flags.items()}, {}),
    }


def running_nodes(nodes: Members, methods: Mapping[str, Command]) -> Members:
    """Returns the members of a node, with what a running object adds to them."""

    def now_inside(name: str, read: Callable[[Any], Any]) -> Callable[[Node], Any]:
        before = nodes.getters[name]
        return lambda node: before(node) if node.live is None else read(node.live)

    getters = {
        **nodes.getters,
        "first": now_inside("first", lambda live: edge(live, 0)),
        "last": now_inside("last", lambda live: edge(live, -1)),
        "subnodes": now_inside("subnodes", ItemNodes),
        "input": lambda node: Ports(node, "input"),
        "output": lambda node: Ports(node, "output"),
        "stopCount": lambda node: len(node.live.halts) if node.live is not None else 0,
    }
    return dataclasses.replace(nodes, getters=getters, methods={**nodes.methods, **methods})
