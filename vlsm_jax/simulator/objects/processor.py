"""The Processor."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush

from vlsm_jax.simulator.constants import BLOCKED, IDLE, PROCESSING, SETUP
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.resource import UNLIMITED, FixedResource, Hook
from vlsm_jax.simulator.tree import Node


class Processor(FixedResource):
    """Setup, then processing, for up to MaxContent items side by side; an item that cannot leave blocks its place.

    Attributes:
      setup, process: give the times of an item, never negative; no setup when None.
      on_setup_finish, on_process_finish: triggers.
    """

    __slots__ = (
        "_finish_callback", "_in_process", "_in_setup", "on_process_finish", "on_setup_finish", "process",
        "setup",
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
        self._finish_callback = self._finish

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
            self.on_entry(item, self.inputs.index(sender) + 1)
        if self.setup is not None:
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
        if self.setup is not None:
            self._in_setup += 1
            self.calendar.after(self.setup(item), self._set_up, item)
        else:
            self._in_process += 1
            self.calendar.after(self.process(item), self._finish_callback, item)

    def _set_up(self, item: Item) -> None:
        self._in_setup -= 1
        if self.on_setup_finish is not None:
            self.on_setup_finish(item, 0)
        self._in_process += 1
        self._refresh()
        self.calendar.after(self.process(item), self._finish_callback, item)

    def _finish(self, item: Item) -> None:
        self._in_process -= 1
        if self.on_process_finish is not None:
            self.on_process_finish(item, 0)
        at = self.offer(item)
        if at is not None:
            at.release(item)
        if self.room > 0:
            self.receive()
        if not self._in_process:
            self._refresh()

    def took(self) -> None:
        super().took()
        self._refresh()

    def _refresh(self) -> None:
        state = PROCESSING if self._in_process else SETUP if self._in_setup else BLOCKED if self.items else IDLE
        if state != self.state:
            self.set_state(state)
