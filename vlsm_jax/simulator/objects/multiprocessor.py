"""The MultiProcessor: one item at a time goes through a list of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.values import to_int
from vlsm_jax.simulator import codebody
from vlsm_jax.simulator.constants import BLOCKED, IDLE, PROCESSING, WAITING_FOR_TRANSPORT, state_number
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.resource import UNLIMITED, FixedResource
from vlsm_jax.simulator.tables import read_rows
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

DEFAULT_ROWS: Sequence[Sequence[Any]] = (("Process1", 10),)
"""The list of a MultiProcessor whose script sets none; FlexSim's own is not established."""


class Process(NamedTuple):
    """One row of the list: its name, its state, and what gives its time."""

    name: str
    state: int
    time: Callable[[Item], float]


class MultiProcessor(FixedResource):
    """Takes one item, puts it through all processes in order, releases it, and takes the next when it has left.

    FlexSim has a state for each process, named after it. Here a process whose name is that of a state takes it, and
    every other is counted as processing; `process_time` tells them apart.

    Attributes:
      processes: the list.
      process_time: seconds in each process so far, of those that have ended.
      on_process_finish: trigger with the item and the number of the process.
    """

    __slots__ = ("_at", "on_process_finish", "process_time", "processes")

    initial_state = IDLE
    watched_room = UNLIMITED

    def __init__(self, calendar: Calendar, node: Node, name: str, processes: Sequence[Process]):
        super().__init__(calendar, node, name)
        self.room = 1
        self.processes = tuple(processes)
        self.process_time = [0.0] * len(self.processes)
        self.on_process_finish: Hook | None = None
        self._at: int | None = None

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        self.admit(item, sender)
        if item.holder is self:
            self._begin(item, 0)
        return None

    def _begin(self, item: Item, number: int) -> None:
        if number == len(self.processes):
            self._at = None
            self.release(item)
            if self.room > 0:
                self.receive()
            self._refresh()
            return
        process = self.processes[number]
        self._at = number
        seconds = process.time(item)
        self.process_time[number] += seconds
        self.calendar.after(seconds, self._finish, item)
        if self.stops:
            self.freeze()
        self._refresh()

    def _finish(self, item: Item) -> None:
        number = self._at or 0
        if self.on_process_finish is not None:
            self.on_process_finish(item, number + 1)
        if item.holder is self:
            self._begin(item, number + 1)
        else:
            self._at = None
            self.receive()
            self._refresh()

    def abandon(self, item: Item) -> None:
        if item not in self.waiting:
            self.cancel(item)
            self._at = None

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        self._refresh()

    def took(self) -> None:
        super().took()
        self._refresh()

    def awaiting_transport(self) -> None:
        self._refresh()

    def _refresh(self) -> None:
        if self._at is not None:
            state = self.processes[self._at].state
        elif self.items:
            state = WAITING_FOR_TRANSPORT if self.fetched and not self.waiting else BLOCKED
        else:
            state = IDLE
        if state != self.state:
            self.set_state(state)


def create(binding: Binding, node: Node, name: str) -> MultiProcessor:
    """Returns a running MultiProcessor; raises `Fault` for a list that cannot be read."""
    value = node.settings.get("ProcessTable")
    rows = DEFAULT_ROWS if value is None else read_rows(value)
    if value is None:
        binding.world.warn("assumed", f"ProcessTable of {name!r} is not set; one process of 10 s is assumed")
    if not rows:
        raise Fault(
            f"ProcessTable of {name!r} has no rows of names and times", code="value", hint='such as [["Wash", 20]]'
        )
    processes = [_process(binding, node, name, number, row) for number, row in enumerate(rows, 1)]
    return MultiProcessor(binding.calendar, node, name, processes)


def _process(binding: Binding, node: Node, name: str, number: int, row: Sequence[Any]) -> Process:
    title = row[0] if row and isinstance(row[0], str) else f"Process{number}"
    time = row[1] if len(row) > 1 else 0
    if len(row) > 2 and to_int(row[2]) > 0:
        raise Unsupported(f"process {title!r} of {name!r} needs operators, which a MultiProcessor cannot call here")
    if isinstance(time, str):
        time = codebody.understand(time).value
    state = state_number(title)
    return Process(
        title, PROCESSING if state is None else state, binding.duration_of(node, f"ProcessTable{number}", time)
    )
