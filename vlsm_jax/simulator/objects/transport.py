"""Transport between fixed resources: what happens to an item that is called for, and where it may be set down.

A fixed resource with UseTransport asks TransportRef for an executer and gives it the sequence travel, load, break,
travel, unload. The item stays until it is picked up; its place at the destination is kept. An executer does not wait
at an object that is stopped: it takes and brings items all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlsm_jax.flexscript import Fault
from vlsm_jax.simulator.objects.combiner import Combiner
from vlsm_jax.simulator.objects.dispatcher import Dispatcher, as_dispatcher, default_reference
from vlsm_jax.simulator.objects.executer import TaskExecuter
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.sink import Sink
from vlsm_jax.simulator.objects.source import Source
from vlsm_jax.simulator.objects.task import Preempt, Task, TaskSequence, TaskType
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class TransportCall:
    """Calls for the transport of one object's items; see `FixedResource.transport`.

    Attributes:
      resource: the sender.
    """

    def __init__(self, binding: Binding, resource: FixedResource):
        node = resource.node
        self.resource = resource
        self._binding = binding
        self._reference = default_reference(binding, node, resource.name, "TransportRef", "a transporter")
        self._priority = binding.number(node, "TransportPriority")
        self._preempt = option_number(binding, node, "TransportPreempt")
        self._what = f"TransportRef of {resource.name!r}"

    def __call__(self, item: Item, peer: FixedResource) -> None:
        resource = self.resource
        port = resource.outputs.index(peer) + 1
        given = self._reference(item, port, peer.node, self._priority, self._preempt)
        dispatcher = as_dispatcher(self._binding, given, self._what)
        if dispatcher is None:
            return  # the script has made a task sequence of its own
        warn_of_nobody(self._binding, dispatcher, self._what, 1)
        sequence = TaskSequence(dispatcher, self._priority, self._preempt)
        sequence.tasks += (
            Task(TaskType.TRAVEL, resource.node),
            Task(TaskType.FRLOAD, item, resource.node, port),
            Task(TaskType.BREAK),
            Task(TaskType.TRAVEL, peer.node),
            Task(TaskType.FRUNLOAD, item, peer.node, peer.inputs.index(resource) + 1),
        )
        dispatcher.receive(sequence)


def assign(binding: Binding, node: Node, live: LiveObject) -> None:
    """Gives an object the transport that its settings ask for."""
    if isinstance(live, FixedResource) and not isinstance(live, Sink) and binding.flag(node, "UseTransport"):
        live.transport = TransportCall(binding, live)


def option_number(binding: Binding, node: Node, name: str) -> int:
    """Returns the number of an option."""
    value = binding.setting(node, name)
    if isinstance(value, str):
        info = node.cls.properties.get(name)
        return info.options.get(value, 0) if info is not None else 0
    return min(Preempt.AND_ABORT_ALL, max(0, int(binding.number(node, name)))) if value is not None else 0


def warn_of_nobody(binding: Binding, dispatcher: Dispatcher, what: str, count: int) -> None:
    """Warns where fewer executers than needed can ever come."""
    if count == 1 and dispatcher.executes:
        return  # it comes itself
    name = dispatcher.name
    known = sum(1 for _, _ in zip(range(count), dispatcher.executers(), strict=False))
    if known < count:
        message = f"{what} needs {count} at once, but {known} belong to {name!r}; it waits for ever"
        binding.world.warn("team", message, f'connect executers to it: contextdragconnection({name}, executer, "A")')


# --- Items on their way -----------------------------------------------------------------------------------------------


def pick_up(executer: TaskExecuter, item: Item, station: LiveObject, port: int) -> None:
    """Takes an item out of a station and into an executer."""
    if isinstance(station, FixedResource):
        if item in station.fetched:
            executer.bound[item] = (station, station.pick_up(item))
        else:
            peer = station.outputs[port - 1] if 0 < port <= len(station.outputs) else None
            station.detach(item, peer or _outside(station))
    elif isinstance(station, TaskExecuter):
        let_go(station, item, port)
    else:
        raise Fault(f"nothing can be loaded from {station.name!r}", code="task")
    executer.book_in(item)
    if executer.on_entry is not None:
        executer.on_entry(item, 0)


def let_go(executer: TaskExecuter, item: Item, port: int) -> tuple[FixedResource, FixedResource] | None:
    """Takes an item out of an executer; returns whence it came and where a place is kept for it, None for neither."""
    if executer.on_exit is not None:
        executer.on_exit(item, port)
    executer.book_out(item)
    return executer.bound.pop(item, None)


def set_down(executer: TaskExecuter, item: Item, station: LiveObject, port: int) -> None:
    """Takes an item out of an executer and into a station."""
    if isinstance(station, Source) or not isinstance(station, (FixedResource, TaskExecuter)):
        raise Fault(f"{executer.name!r} cannot unload {item} to {station.name!r}", code="task")
    bound = let_go(executer, item, 0)
    if isinstance(station, TaskExecuter):
        if bound is not None:
            station.bound[item] = bound
        station.book_in(item)
        if station.on_entry is not None:
            station.on_entry(item, 0)
        return
    if bound is not None and bound[1] is station:
        station.arrive(item, bound[0])
        return
    if bound is not None:
        give_back_place(bound[1])
    _bring(station, item, port, bound[0] if bound is not None else None)


def give_back_place(station: FixedResource) -> None:
    """Gives back a place that was kept for an item which does not come."""
    station.expected -= 1
    station.room += 1
    station.calendar.after(0.0, station.receive)


def _bring(station: FixedResource, item: Item, port: int, sender: FixedResource | None) -> None:
    """Brings an item to a station that does not expect it."""
    if 0 < port <= len(station.inputs):
        sender = station.inputs[port - 1]
    if sender not in station.inputs:
        if isinstance(station, Combiner):
            hint = "give the input port as var1 of the unload task"
            raise Fault(f"{station.name!r} needs to know through which port {item} comes", code="task", hint=hint)
        sender = _outside(station)
    at = station.enter(item, sender)
    if station.stops:
        station.freeze()
    if at is not None:
        at.release(item)


def _outside(station: FixedResource) -> FixedResource:
    """Stands for the other end of a move that goes through no connection."""
    return FixedResource(station.calendar, station.node, "")


def end(item: Item) -> None:
    """Takes an item out of the model."""
    holder = item.holder
    if isinstance(holder, FixedResource):
        peer = holder.fetched.pop(item, None)
        if peer is not None:
            give_back_place(peer)
        holder.detach(item, _outside(holder))
    elif isinstance(holder, TaskExecuter):
        bound = let_go(holder, item, 0)
        if bound is not None:
            give_back_place(bound[1])
    item.holder = None
