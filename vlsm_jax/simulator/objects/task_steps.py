"""The tasks, one by one: what an executer does when it begins one, as a table by type.

Every function returns whether the task is done; one that takes time leaves what is to come to the executer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import to_float
from vlsm_jax.simulator.constants import (
    IDLE,
    LOADING,
    OFFSET_TRAVEL_EMPTY,
    STATES,
    TRAVEL_EMPTY,
    UNLOADING,
    UTILIZE,
)
from vlsm_jax.simulator.objects import travel
from vlsm_jax.simulator.objects.dispatcher import Dispatcher
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.task import Task, TaskSequence, TaskType
from vlsm_jax.simulator.objects.travel import Point
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.objects.executer import TaskExecuter

Begin = Callable[["TaskExecuter", Task], bool]

_STOPPED = STATES.index("STOPPED")


def live_of(value: object) -> LiveObject:
    """Returns the running object that a task is about; raises `Fault` where there is none."""
    live = value if isinstance(value, LiveObject) else getattr(value, "live", None)
    if isinstance(live, LiveObject):
        return live
    name = getattr(value, "name", "NULL")
    raise Fault(f"{name!r} takes no part in the run", code="task", hint="items must be able to reach it")


def _done() -> bool:
    return True


def _begin_travel(executer: TaskExecuter, task: Task) -> bool:
    node = task.involved1
    if not isinstance(node, Node):
        if isinstance(node, LiveObject):
            node = node.node
        elif isinstance(node, Item) and node.holder is not None:
            node = node.holder.node
    if not isinstance(node, Node):
        raise Fault(f"{executer.name!r} has nowhere to travel to", code="task", hint="give TASKTYPE_TRAVEL an object")
    move = executer.way_to(node, force=_number(task, 1) == 1, seconds=_number(task, 3))
    return executer.travel_then(move, TRAVEL_EMPTY, _done)


def _begin_travel_to(executer: TaskExecuter, task: Task) -> bool:
    return executer.travel_then(executer.offset_to(_vector(task), None), OFFSET_TRAVEL_EMPTY, _done)


def _begin_travel_relative(executer: TaskExecuter, task: Task) -> bool:
    target = tuple(at + by for at, by in zip(executer.position, _vector(task), strict=True))
    return executer.travel_then(executer.offset_to(target, None), OFFSET_TRAVEL_EMPTY, _done)


def _begin_offset(executer: TaskExecuter, task: Task) -> bool:
    """Part of the way to an item: the shares of x, y and z."""
    place = travel.place_in(live_of(task.involved2), task.involved1)
    shares = _vector(task)
    target = tuple(at + (to - at) * share for at, to, share in zip(executer.position, place, shares, strict=True))
    item = task.involved1 if all(share == 1 for share in shares) else None
    return executer.travel_then(executer.offset_to(target, item), OFFSET_TRAVEL_EMPTY, _done)


def _begin_load(executer: TaskExecuter, task: Task) -> bool:
    item, station = _item(task), live_of(task.involved2 if task.involved2 is not None else task.involved1.holder)
    if item.holder is not station:
        where = "nowhere" if item.holder is None else f"in {item.holder.name!r}"
        raise Fault(f"{executer.name!r} is to load {item} from {station.name!r}, but it is {where}", code="task")

    def load() -> bool:
        executer.extras.load(executer, item, station, int(_number(task, 0)))
        if len(executer.items) > executer.capacity:
            message = f"{executer.name!r} carries more than its Capacity of {executer.capacity}"
            executer.warn("capacity", message, "a preempting sequence or a task of a script loads one more")
        if executer.on_load is not None:
            executer.on_load(item, station.node)
        return True

    def wait() -> bool:
        return executer.spend_then(executer.load_time(item, station.node), LOADING, load)

    return executer.travel_then(executer.loaded_offset(station, item), OFFSET_TRAVEL_EMPTY, wait)


def _begin_unload(executer: TaskExecuter, task: Task) -> bool:
    item, station = _item(task), live_of(task.involved2)
    if item.holder is not executer:
        where = "nowhere" if item.holder is None else f"in {item.holder.name!r}"
        raise Fault(f"{executer.name!r} is to unload {item}, but it is {where}", code="task", hint="load it first")

    def unload() -> bool:
        if executer.on_unload is not None:
            executer.on_unload(item, station.node)
        executer.extras.unload(executer, item, station, int(_number(task, 0)))
        return True

    def wait() -> bool:
        return executer.spend_then(executer.unload_time(item, station.node), UNLOADING, unload)

    return executer.travel_then(executer.loaded_offset(station, item), OFFSET_TRAVEL_EMPTY, wait)


def _item(task: Task) -> Item:
    if isinstance(task.involved1, Item):
        return task.involved1
    raise Fault(f"{task.name} needs an item", code="task", hint="give it as involved1")


def _number(task: Task, place: int) -> float:
    """Returns a variable of a task as a finite number; raises `Fault`."""
    value = task.variables[place]
    if type(value) is int:
        return float(value)
    number = to_float(value)
    if math.isfinite(number):
        return number
    raise Fault(f"var{place + 1} of {task.name} is {number}", code="task", hint="give it a finite number")


def _vector(task: Task) -> Point:
    return _number(task, 0), _number(task, 1), _number(task, 2)


def _state(task: Task, place: int) -> int:
    """Returns a variable of a task as the number of a state, 0 for none; raises `Fault`."""
    state = int(_number(task, place))
    if 0 <= state < len(STATES):
        return state
    raise Fault(f"{task.name} has no state {state}", code="task", hint="use one of the STATE_ constants")


def _begin_utilize(executer: TaskExecuter, task: Task) -> bool:
    executer.set_state(_state(task, 0) or UTILIZE)
    if task.involved2 is not None and task.executed:
        live_of(task.involved2).go_on(task)  # it was held when the executer was called away
    return False


def _begin_stop_request(executer: TaskExecuter, task: Task) -> bool:
    if not task.executed or task.variables[1] == 1:
        live = live_of(task.involved1 if task.involved1 is not None else executer)
        live.stop(_state(task, 0) or _STOPPED, _number(task, 2))
    return True


def _finish_stop_request(executer: TaskExecuter, task: Task) -> bool:
    if task.executed and task.variables[0] != 1:
        return True
    live = live_of(task.involved1 if task.involved1 is not None else executer)
    if isinstance(task.involved2, TaskSequence):
        live.go_on(task.involved2)  # the pause that the call for this operator began
    else:
        live.resume(_number(task, 1))
    return True


def _begin_delay(executer: TaskExecuter, task: Task) -> bool:
    seconds = task.left if task.left is not None else _number(task, 0)
    task.left = executer.calendar.now + seconds

    def end() -> bool:
        task.left = None
        return True

    return executer.spend_then(seconds, _state(task, 1), end)


def _begin_break(executer: TaskExecuter, task: Task) -> bool:
    if not task.variables[0] and len(executer.items) >= executer.capacity:
        return True
    chosen = executer.extras.chosen(executer, task, False)
    if chosen is None:
        return True
    current = executer.active
    current.cursor += 1
    task.begun = False
    executer.wait(current, first=True)
    _switch(executer, chosen)
    return False


def _begin_subtasks(executer: TaskExecuter, task: Task) -> bool:
    chosen = executer.extras.chosen(executer, task, True)
    if chosen is None:
        return True
    current = executer.active
    current.cursor += 1
    task.begun = False
    chosen.returns_to = current
    _switch(executer, chosen)
    return False


def _switch(executer: TaskExecuter, chosen: TaskSequence) -> None:
    waiting_at = chosen.dispatcher
    if isinstance(waiting_at, Dispatcher) and chosen in waiting_at.queue:
        waiting_at.queue.remove(chosen)
    executer.start_with(chosen)


def _begin_wait(executer: TaskExecuter, task: Task) -> bool:
    if executer.active.tasks[-1] is not task:
        return True
    executer.set_state(_state(task, 0) or IDLE)
    return False


def _nothing(executer: TaskExecuter, task: Task) -> bool:
    return True


def _outside(name: str) -> Begin:
    def begin(executer: TaskExecuter, task: Task) -> bool:
        getattr(executer.extras, name)(executer, task)
        return True

    return begin


BEGIN: Mapping[int, Begin] = MappingProxyType({
    TaskType.LOAD: _begin_load,
    TaskType.FRLOAD: _begin_load,
    TaskType.UNLOAD: _begin_unload,
    TaskType.FRUNLOAD: _begin_unload,
    TaskType.UTILIZE: _begin_utilize,
    TaskType.STOPREQUESTBEGIN: _begin_stop_request,
    TaskType.STOPREQUESTFINISH: _finish_stop_request,
    TaskType.TRAVEL: _begin_travel,
    TaskType.TRAVELTOLOC: _begin_travel_to,
    TaskType.TRAVELRELATIVE: _begin_travel_relative,
    TaskType.PICKOFFSET: _begin_offset,
    TaskType.PLACEOFFSET: _begin_offset,
    TaskType.BREAK: _begin_break,
    TaskType.CALLSUBTASKS: _begin_subtasks,
    TaskType.DELAY: _begin_delay,
    TaskType.WAITFORTASK: _begin_wait,
    TaskType.SENDMESSAGE: _outside("send_message"),
    TaskType.MESSAGE: _outside("send_message"),
    TaskType.MOVEOBJECT: _outside("move_object"),
    TaskType.DESTROYOBJECT: _outside("destroy_object"),
    TaskType.SETNODENUM: _outside("set_number"),
    TaskType.NODEFUNCTION: _outside("call_function"),
    TaskType.FREEOPERATORS: _outside("free_operators"),
    TaskType.MILESTONE: _nothing,
    TaskType.TAG: _nothing,
    TaskType.STARTANIMATION: _nothing,
    TaskType.STOPANIMATION: _nothing,
})  # fmt: skip
"""What begins a task, by its type; types that are missing are not supported."""

HINTS: Mapping[int, str] = MappingProxyType({
    TaskType.TE_STOP: "it is FlexSim's own; use stopobject, or TASKTYPE_STOPREQUESTBEGIN",
    TaskType.TE_RETURN: "it is FlexSim's own; CALLSUBTASKS returns by itself",
    TaskType.TE_ALLOCATED: "coordinated task sequences are not supported",
    TaskType.CT_ALLOCATE: "coordinated task sequences are not supported",
    TaskType.CT_DEALLOCATE: "coordinated task sequences are not supported",
    TaskType.CT_SYNC: "coordinated task sequences are not supported",
    TaskType.CT_MULTIALLOCATE: "coordinated task sequences are not supported",
})  # fmt: skip
"""What to say of those that are not."""

BINDING = (TaskType.FRLOAD, TaskType.FRUNLOAD, TaskType.UTILIZE, TaskType.STOPREQUESTFINISH)
"""Tasks without which another object waits for ever."""
