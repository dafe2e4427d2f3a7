"""Commands that act on a running model: stops, ports, messages, moving and destroying items, statistics.

A script that calls them while it builds gets a warning, for a reset undoes what they do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.values import describe, to_float, to_int, to_text
from vlsm_jax.flexscript.vocabulary import (
    DOUBLE,
    INT,
    NODE,
    OBJECT,
    STRING,
    VARIANT,
    Command,
    Members,
    Vocabulary,
)
from vlsm_jax.simulator import labels, live
from vlsm_jax.simulator.constants import STATES, state_name, state_number
from vlsm_jax.simulator.objects.basic import BasicFR
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.sink import Sink
from vlsm_jax.simulator.objects.source import Source
from vlsm_jax.simulator.tools import Tool
from vlsm_jax.simulator.tree import AutomaticNode, Node
from vlsm_jax.simulator.world import World, node_of, object_of

ON_MESSAGE = "Triggers.OnMessage"

# --- Stopping ---------------------------------------------------------------------------------------------------------


def _running(world: World, value: Any, what: str) -> LiveObject | None:
    """Returns the running counterpart of an object; None, with a warning, where there is none."""
    node = object_of(value, what)
    if world.clock is None:
        world.warn("no run", f"{what} has no effect: the model does not run yet", "call it from a trigger")
        return None
    if node.live is None:
        world.warn("no run", f"{what} has no effect: {node.name!r} takes no part in the run")
    return node.live


def _state(value: Any) -> int:
    state = state_number(value) if isinstance(value, str) else to_int(value)
    if state is None or not 0 < state < len(STATES):
        raise Fault(f"there is no state {describe(value)}", code="argument", hint="use a constant such as STATE_DOWN")
    return state


def stop(
    world: World,
    node: Any,
    state: Any = STATES.index("STOPPED"),
    identity: Any = 0,
    priority: Any = 0,
    profile: Any = 0,
) -> int:
    """`stopobject(object, state, id)` and `object.stop(state, id)`; stops of different ids add up."""
    running = _running(world, node, "stopobject()")
    if running is not None:
        running.stop(_state(state), identity)
    return 1


def resume(world: World, node: Any, identity: Any = 0, profile: Any = 0) -> int:
    """`resumeobject(object, id)` and `object.resume(id)`."""
    running = _running(world, node, "resumeobject()")
    if running is not None:
        running.resume(identity)
    return 1


def set_state(world: World, node: Any, state: Any, profile: Any = 0) -> Any:
    """`setstate(object, state)` and `object.setState(state)`."""
    running = _running(world, node, "setstate()")
    if running is not None:
        running.set_state(_state(state))
    return node


# --- Ports ------------------------------------------------------------------------------------------------------------


def _port(method: str) -> Callable[..., int]:
    side, act = method.split("_")[1], method.split("_")[0]
    what = f"{act}{side}()"

    def call(world: World, node: Any, port: Any = 0) -> int:
        running = _running(world, node, what)
        if isinstance(running, FixedResource):
            getattr(running, method)()
        elif running is not None:
            raise Unsupported(f"{what}: the ports of a {object_of(node, what).cls.name} cannot be closed")
        return 1

    return call


_ACTS = ("open", "close", "stop", "resume")
_PORTS = {f"{act}{side}": _port(f"{act}_{side}") for act in _ACTS for side in ("input", "output")}


def _port_method(act: str) -> Command:
    def call(world: World, ports: live.Ports, port: Any = 0) -> int:
        return _PORTS[f"{act}{ports.side}"](world, ports.node, port)

    return Command(call, INT, 0, 1, True)


# --- Giving and taking items ------------------------------------------------------------------------------------------


def receive_item(world: World, station: Any, port: Any = 0) -> int:
    """`receiveitem(station, port)`: a BasicFR gets ready for one more item."""
    running = _running(world, station, "receiveitem()")
    if isinstance(running, BasicFR):
        running.ask(to_int(port))
    elif running is not None:
        raise Unsupported(
            f"receiveitem() of {running.name!r}: only a BasicFR is told what to take", hint="use openinput()"
        )
    return 1


def release_item(world: World, item: Any, port: Any = 0) -> int:
    """`releaseitem(item, port)`: offers an item downstream, in an event of its own at the same time."""
    holder = _item(item, "releaseitem()").holder
    if not isinstance(holder, FixedResource):
        raise Fault(f"releaseitem(): {item.name!r} is in no object that could release it", code="argument")
    world.clock.after(0.0, functools.partial(_release, holder, item), to_int(port))
    return 1


def _release(holder: FixedResource, item: Item, port: int) -> None:
    if item.holder is not holder or item in holder.fetched:
        return
    if item not in holder.waiting:
        holder.abandon(item)
    holder.release_to(item, port)


def _item(value: Any, what: str) -> Item:
    if isinstance(value, Item):
        return value
    if value is None:
        raise Fault(f"{what} of NULL", code="null reference", hint="is there such an item?")
    raise Fault(f"{what} needs an item, not {describe(value)}", code="type")


def _outside(world: World) -> FixedResource:
    """Stands for the other end of a move that goes through no connection."""
    return FixedResource(world.clock, Node("outside"), "outside")


def move_item(world: World, item: Item, target: Any, port: Any = 0) -> int:
    """`moveobject(item, target, port)`: moves an item at once, connected or not, room or no room."""
    holder, outside = item.holder, _outside(world)
    receiver = target if isinstance(target, Item) else object_of(target, "moveobject()").live
    if isinstance(receiver, Item):
        if receiver is item or _is_within(receiver, item):
            raise Fault(f"{item.name!r} cannot be moved into itself", code="argument")
    elif not isinstance(receiver, FixedResource) or isinstance(receiver, Source):
        raise Unsupported(f"moveobject(): {node_of(target, 'moveobject()').name!r} takes no items here")
    _take(item, _peer(holder, to_int(port)) or outside)
    if isinstance(receiver, Item):
        receiver.contents = (*receiver.contents, item)
        item.holder = receiver
        return 1
    at = receiver.enter(item, holder if holder in receiver.inputs else outside)
    if receiver.stops:
        receiver.freeze()
    if at is not None:
        at.release(item)
    return 1


def _peer(holder: Any, port: int) -> FixedResource | None:
    return holder.outputs[port - 1] if isinstance(holder, FixedResource) and 0 < port <= len(holder.outputs) else None


def _is_within(item: Item, other: Item) -> bool:
    holder = item.holder
    while isinstance(holder, Item):
        if holder is other:
            return True
        holder = holder.holder
    return False


def _take(item: Item, peer: FixedResource) -> None:
    """Takes an item from where it is; raises `Fault` for one that is nowhere any more."""
    holder = item.holder
    if isinstance(holder, Item):
        holder.contents = tuple(other for other in holder.contents if other is not item)
    elif isinstance(holder, Sink) or (holder is None and not item.is_loose):
        raise Fault(f"{item.name!r} has left the model", code="null reference", hint="a Sink destroys what enters")
    elif isinstance(holder, FixedResource):
        holder.detach(item, peer)
    elif holder is not None:
        raise Unsupported(f"{item.name!r} is carried by {holder.name!r} and cannot be taken away")
    item.holder = None
    item.is_loose = False


def destroy_item(world: World, item: Item) -> int:
    """`destroyobject(item)` and `item.destroy()`: it leaves its object, through no port, and the model."""
    if not isinstance(item.holder, Sink):
        _take(item, _outside(world))
    return 1


def copy_item(world: World, item: Item, container: Any = None, *flags: Any) -> Item:
    """`createcopy(item, container)` and `item.copy(container)`: another item, which enters the container."""
    if world.clock is None:
        raise Fault("there are no items before the run", code="unsupported")
    copy = item.copy(world.binding.next_number(), lambda own: labels.copied_labels(world.machine, own))
    copy.is_loose = True
    for packed in item.contents:
        inner = copy_item(world, packed)
        inner.holder, inner.is_loose = copy, False
        copy.contents = (*copy.contents, inner)
    if container is not None:
        move_item(world, copy, container)
    return copy


def clear_items(world: World, nodes: live.ItemNodes) -> int:
    """`object.subnodes.clear()` during a run: destroys every item inside."""
    for item in list(live.inside(nodes.holder)):
        destroy_item(world, item)
    return 1


def find_in_item(world: World, item: Item, path: Any) -> Any:
    """`item.find(path)`: what is packed into it, by names and ranks with slashes; NULL where there is nothing."""
    at: Any = item
    for step in to_text(path).split("/"):
        inner = live.inside(at)
        if step.isdigit():
            at = inner[int(step[:9]) - 1] if 1 <= int(step[:9]) <= len(inner) else None
        else:
            at = next((other for other in inner if other.name == step), None)
        if at is None:
            return None
    return at


# --- Messages ---------------------------------------------------------------------------------------------------------


def send_message(world: World, target: Any, sender: Any = None, *parameters: Any) -> Any:
    """`sendmessage(to, from, p1, p2, p3)`: runs the target's OnMessage at once and returns its value."""
    node = object_of(target, "sendmessage()")
    value = node.settings.get(ON_MESSAGE)
    if world.clock is None:
        world.warn("no run", "sendmessage() has no effect: the model does not run yet", "call it from a trigger")
        return 0
    if value is None:
        return 0
    given = (*parameters, 0, 0, 0)[:3]
    binding = world.binding
    outer, binding.sender = binding.sender, sender
    try:
        return binding.code(node, ON_MESSAGE, value).run(node, (sender, *given))
    finally:
        binding.sender = outer


def send_delayed_message(world: World, target: Any, delay: Any, sender: Any = None, *parameters: Any) -> int:
    """`senddelayedmessage(to, delay, from, p1, p2, p3)`: the same, after a delay; 0 for later at the same time."""
    node = object_of(target, "senddelayedmessage()")
    if world.clock is None:
        return send_message(world, node, sender, *parameters)
    world.clock.after(to_float(delay), functools.partial(_deliver, world, node), (sender, *parameters))
    return 1


def _deliver(world: World, node: Node, message: tuple) -> None:
    send_message(world, node, *message)


def message(world: World, node: Node, first: Any = None, *rest: Any) -> Any:
    """`object.message(from, p1, p2, p3)`, or `object.message(delay, from, p1, p2, p3)`."""
    if isinstance(first, (int, float)):
        return send_delayed_message(world, node, first, *rest)
    return send_message(world, node, first, *rest)


# --- Statistics -------------------------------------------------------------------------------------------------------


def get_statistic(world: World, node: Any, name: Any, flag: Any, *requirements: Any) -> float:
    """`getstat(object, name, flag, ...)`."""
    return live.statistic(object_of(node, "getstat()").live, to_text(name), to_int(flag), requirements)


def _count(kind: str) -> Callable[[World, Any], float]:
    return lambda world, node: live.Statistic(object_of(node, f"get{kind}()").live, kind).read("value")


def state_of(world: World, node: Any, profile: Any = 0) -> int:
    """`getstatenum(object)`."""
    return live.StateStatistic(object_of(node, "getstatenum()").live).value


def reset_statistics(world: World) -> int:
    """`resetstats()`: begins every object's statistics anew."""
    if world.clock is not None:
        for running in world.binding.live.values():
            running.clear_statistics()
        world.counted_from = world.clock.now
    return 1


# --- Tables -----------------------------------------------------------------------------------------------------------


def _either(for_item: Callable[..., Any], otherwise: Command) -> Command:
    """A command that does one thing with an item and another with anything else."""

    def call(world: World, value: Any = None, *arguments: Any) -> Any:
        if isinstance(value, Item):
            return for_item(world, value, *arguments)
        return (
            otherwise.function(world, value, *arguments) if otherwise.bound else otherwise.function(value, *arguments)
        )

    return dataclasses.replace(otherwise, function=call, bound=True)


def _inside(at: int) -> Callable[..., Any]:
    return lambda world, item: live.edge(item, at)


def _inside_first(at: int, otherwise: Command) -> Command:
    def call(world: World, value: Any) -> Any:
        running = getattr(value, "live", None)
        return live.edge(running, at) if isinstance(running, LiveObject) else otherwise.function(world, value)

    return dataclasses.replace(otherwise, function=call)


def _rank(world: World, value: Any, index: Any, otherwise: Command) -> Any:
    holder = value if isinstance(value, Item) else getattr(value, "live", None)
    if isinstance(holder, (Item, LiveObject)):
        inner, at = live.inside(holder), to_int(index)
        return inner[at - 1] if 1 <= at <= len(inner) else None
    return otherwise.function(world, value, index)


def _named(world: World, item: Item, name: Any) -> Item:
    item.name = to_text(name)[: live.MAX_NAME]
    return item


def _colored(world: World, item: Item, *rgb: Any) -> Item:
    item_color = live.item_members({}).getters["color"](item)
    item_color.assign([*map(to_float, rgb), 1][:4])
    return item


def _commands(table: Mapping[str, Command]) -> Mapping[str, Command]:
    """Returns a table of commands with those that act on a running model, and with items where these make sense."""
    own = {name: Command(function, INT, 1, 2, True) for name, function in _PORTS.items()}
    own |= {
        "stopobject": Command(stop, INT, 2, 5, True),
        "resumeobject": Command(resume, INT, 1, 3, True),
        "setstate": Command(set_state, NODE, 2, 3, True),
        "receiveitem": Command(receive_item, INT, 1, 2, True),
        "releaseitem": Command(release_item, INT, 1, 2, True),
        "sendmessage": Command(send_message, VARIANT, 2, 5, True),
        "senddelayedmessage": Command(send_delayed_message, INT, 3, 6, True),
        "msgsendingobject": Command(
            lambda world: world.binding.sender if world.binding is not None else None, NODE, 0, 0, True
        ),
        "getstat": Command(get_statistic, VARIANT, 3, 6, True),
        "getinput": Command(_count("input"), DOUBLE, 1, 1, True),
        "getoutput": Command(_count("output"), DOUBLE, 1, 1, True),
        "getstatenum": Command(state_of, INT, 1, 2, True),
        "getstatestr": Command(lambda world, node: state_name(state_of(world, node)), STRING, 1, 1, True),
        "resetstats": Command(reset_statistics, INT, 0, 0, True),
        "eventqty": Command(lambda world: len(world.clock.heap) if world.clock is not None else 0, INT, 0, 0, True),
        "getcreationtime": Command(lambda world, item: _item(item, "getcreationtime()").created, DOUBLE, 1, 1, True),
        "getentrytime": Command(lambda world, item: _item(item, "getentrytime()").entered, DOUBLE, 1, 1, True),
        "setitemtype": Command(lambda world, item, value: labels.assign(item, "itemtype", value), INT, 2, 2, True),
        "getitemtype": Command(lambda world, item: labels.holder_of(item).get("itemtype", 0), DOUBLE, 1, 1, True),
        "moveobject": Command(_move_other, INT, 2, 3, True),
    }
    if "moveobject" in table:
        own["moveobject"] = table["moveobject"]
    own["moveobject"] = _either(move_item, own["moveobject"])
    for_items: dict[str, Callable[..., Any]] = {
        "destroyobject": destroy_item,
        "createcopy": copy_item,
        "content": lambda world, item: len(item.contents),
        "first": _inside(0),
        "last": _inside(-1),
        "next": lambda world, item: live.sibling(item, 1),
        "prev": lambda world, item: live.sibling(item, -1),
        "up": lambda world, item: live.parent_of(item),
        "getrank": lambda world, item: live.rank_of(item),
        "getname": lambda world, item: item.name,
        "getnodename": lambda world, item: item.name,
        "setname": _named,
        "setnodename": _named,
        "setcolor": _colored,
        "setloc": lambda world, item, *place: item,
        "xsize": lambda world, item: live.size_of(item).x,
        "ysize": lambda world, item: live.size_of(item).y,
        "zsize": lambda world, item: live.size_of(item).z,
    }
    for name in ("first", "last"):
        if name in table:
            own[name] = _either(for_items.pop(name), _inside_first(-(name == "last"), table[name]))
    own |= {name: _either(function, table[name]) for name, function in for_items.items() if name in table}
    if "rank" in table:
        own["rank"] = dataclasses.replace(
            table["rank"], function=lambda world, value, index=0: _rank(world, value, index, table["rank"])
        )
    return {**table, **own}


def _move_other(world: World, value: Any, *arguments: Any) -> int:
    raise Unsupported(f"moveobject() moves items; {describe(value)} cannot be moved while the model runs")


def extend(whole: Vocabulary) -> Vocabulary:
    """Returns a vocabulary with the commands and members of a running model."""
    before = whole.members
    item, nodes = live.item_members(_item_methods()), live.members()[live.ItemNodes]
    known = before.get(Item, Members())
    return whole.extended(
        commands=_commands(whole.commands),
        members={
            **{kind: live.running_nodes(before[kind], _node_methods()) for kind in (Node, AutomaticNode, Tool)},
            Item: dataclasses.replace(
                item,
                getters={**known.getters, **item.getters},
                setters={**known.setters, **item.setters},
                methods={**known.methods, **item.methods},
            ),
            live.Ports: Members({}, {}, {act: _port_method(act) for act in _ACTS}),
            live.ItemNodes: dataclasses.replace(
                nodes,
                methods={**nodes.methods, "clear": Command(clear_items, INT, 0, 0, True)},
            ),
        },
    )


def _node_methods() -> Mapping[str, Command]:
    """Returns the methods of an object that act on its running counterpart."""
    return {
        "stop": Command(stop, INT, 1, 4, True),
        "resume": Command(resume, INT, 0, 2, True),
        "setState": Command(set_state, NODE, 1, 2, True),
        "message": Command(message, VARIANT, 1, 5, True),
    }


def _item_methods() -> Mapping[str, Command]:
    """Returns the methods of an item."""
    return {
        "destroy": Command(destroy_item, INT, 0, 0, True),
        "copy": Command(copy_item, OBJECT, 0, 2, True),
        "find": Command(find_in_item, NODE, 1, 1, True),
        "setLocation": Command(lambda item, *place: item, OBJECT, 1, 7),
        "setRotation": Command(lambda item, *angles: item, OBJECT, 1, 3),
        "setSize": Command(_set_size, OBJECT, 1, 3),
        "is": Command(lambda item, *kind: 1, INT, 0, 1),
        "as": Command(lambda item, *kind: item, OBJECT, 0, 1),
    }


def _set_size(item: Item, x: Any, *rest: Any) -> Item:
    live.size_of(item).assign(x if not isinstance(x, (int, float)) else [x, *rest, 0, 0][:3])
    return item
