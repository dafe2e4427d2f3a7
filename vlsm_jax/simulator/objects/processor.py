"""The Processor."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import TYPE_CHECKING, Protocol

from vlsm_jax.flexscript import Unsupported
from vlsm_jax.simulator.constants import BLOCKED, IDLE, PROCESSING, SETUP, WAITING_FOR_TRANSPORT
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.resource import UNLIMITED, FixedResource
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding, Duration


class Crew(Protocol):
    """The operators that a station calls for its items; see `vlsm_jax.simulator.objects.operators`."""

    def call(self, item: Item, phase: int) -> None:
        """Calls for the operators of a phase (`SETUP` or `PROCESSING`) and pauses the station until all are there."""

    def free(self, item: Item, phase: int) -> None:
        """Lets the operators of an item go at the end of a phase, unless they stay for the next one."""


class Processor(FixedResource):
    """Setup, then processing, for up to MaxContent items side by side; an item that cannot leave blocks its place.

    Attributes:
      setup, process: give the times of an item, never negative; no setup when None.
      crew: the operators it works with, None when it needs none.
      on_setup_finish, on_process_finish: triggers.
    """

    __slots__ = (
        "_at_once", "_crew", "_finish_callback", "_in_process", "_in_setup", "on_process_finish", "on_setup_finish",
        "process", "setup",
    )  # fmt: skip

    initial_state = IDLE
    watched_room = UNLIMITED  # the state may change whenever an item leaves

    def __init__(
        self,
        calendar: Calendar,
        node: Node,
        name: str,
        capacity: int,
        setup: Callable[[Item], float] | None,
        process: Callable[[Item], float],
    ):
        super().__init__(calendar, node, name)
        self.room = capacity
        self.setup = setup
        self.process = process
        self.on_setup_finish: Hook | None = None
        self.on_process_finish: Hook | None = None
        self._in_setup = 0
        self._in_process = 0
        self._crew: Crew | None = None
        self._at_once = setup is None
        self._finish_callback = self._finish

    @property
    def crew(self) -> Crew | None:
        """The operators that this station works with."""
        return self._crew

    @crew.setter
    def crew(self, crew: Crew | None) -> None:
        self._crew = crew
        self._at_once = self.setup is None and crew is None

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        # What `admit` does, written out: this is the second busiest place of most models.
        calendar, items = self.calendar, self.items
        item.entered = now = calendar.now
        item.holder = self
        items[item] = None
        self.room -= 1
        self.received += 1
        if len(items) > self.most:
            self.most = len(items)
        if self.on_entry is not None:
            self.on_entry(item, self.input_port(sender))
            if item.holder is not self:
                return None
            if self.stops and self._at_once:
                self.begin(item)  # the trigger may have held the station
                self._refresh()
                return None
        if not self._at_once:
            self.begin(item)
            self._refresh()
            return None
        self._in_process += 1
        heappush(calendar.heap, (now + self.process(item), calendar.ticket(), self._finish_callback, item))
        if self.state != PROCESSING:
            self.set_state(PROCESSING)
        return None

    def begin(self, item: Item) -> None:
        """Starts the setup of an item, or its processing where there is no setup."""
        if self.setup is None:
            self._begin_processing(item)
            return
        self._in_setup += 1
        self.calendar.after(self.setup(item), self._set_up, item)
        if self._crew is not None:
            self._crew.call(item, SETUP)
        if self.stops:
            self.freeze()

    def _set_up(self, item: Item) -> None:
        self._in_setup -= 1
        if self.on_setup_finish is not None:
            self.on_setup_finish(item, 0)
        if self._crew is not None:
            self._crew.free(item, SETUP)
        if item.holder is self:
            self._begin_processing(item)
        self._refresh()

    def _begin_processing(self, item: Item) -> None:
        self._in_process += 1
        self.calendar.after(self.process(item), self._finish_callback, item)
        if self._crew is not None:
            self._crew.call(item, PROCESSING)
        if self.stops:
            self.freeze()

    def _processed(self, item: Item) -> None:
        """Books the end of an item's processing."""
        self._in_process -= 1
        if self.on_process_finish is not None:
            self.on_process_finish(item, 0)
        if self._crew is not None:
            self._crew.free(item, PROCESSING)

    def _finish(self, item: Item) -> None:
        self._in_process -= 1
        if self.on_process_finish is not None:
            self.on_process_finish(item, 0)
        if self._crew is not None:
            self._crew.free(item, PROCESSING)
        if item.holder is self:
            at = self.offer(item)
            if at is not None:
                at.release(item)
        if self.room > 0:
            self.receive()
        if not self._in_process:
            self._refresh()

    def abandon(self, item: Item) -> None:
        for callback in self.cancel(item):
            if self._crew is not None:
                raise Unsupported(f"{self.name!r} works on {item.name!r} with operators; it cannot be taken away")
            if callback == self._finish_callback:
                self._in_process -= 1
            else:
                self._in_setup -= 1

    def awaiting_transport(self) -> None:
        self._refresh()

    def took(self) -> None:
        super().took()
        self._refresh()

    def _refresh(self) -> None:
        if self._in_process:
            state = PROCESSING
        elif self._in_setup:
            state = SETUP
        elif self.items:
            state = WAITING_FOR_TRANSPORT if self.fetched and not self.waiting else BLOCKED
        else:
            state = IDLE
        if state != self.state:
            self.set_state(state)


def times(binding: Binding, node: Node) -> tuple[Duration | None, Duration]:
    """Returns what gives the setup time, None where there is no setup, and the process time."""
    setup = None if binding.setting(node, "SetupTime") == 0 else binding.duration(node, "SetupTime")
    return setup, binding.duration(node, "ProcessTime")


def create(binding: Binding, node: Node, name: str) -> Processor:
    """Returns a running Processor."""
    return Processor(binding.calendar, node, name, binding.count(node, "MaxContent"), *times(binding, node))
