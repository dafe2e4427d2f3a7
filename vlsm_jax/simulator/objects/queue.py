"""The Queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlsm_jax.simulator.constants import COLLECTING, EMPTY, RELEASING, WAITING_FOR_TRANSPORT
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.resource import CLOSED, FixedResource
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class Queue(FixedResource):
    """Takes items until MaxContent and releases them at once, or in batches.

    Attributes:
      batch: items per batch, 0 without batching.
      patience: after this time an incomplete batch leaves, 0 for never.
      flush: whether the input is closed until a batch has left.
      on_batch: trigger when a batch is complete.
    """

    __slots__ = (
        "_batch_number", "_collected", "_flushing", "batch", "flush", "on_batch", "patience",
    )  # fmt: skip

    initial_state = EMPTY

    def __init__(self, calendar: Calendar, node: Node, name: str, capacity: int):
        super().__init__(calendar, node, name)
        self.room = capacity
        self.batch = 0
        self.patience = 0.0
        self.flush = False
        self.on_batch: Hook | None = None
        self._collected: list[Item] = []
        self._batch_number = 0
        self._flushing = 0

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        # What `admit` does, written out: this is the busiest place of most models.
        items = self.items
        item.entered = self.calendar.now
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
        if self.batch:
            self._collect(item)
            return None
        if self.waiting and self.simple:
            self.waiting[item] = 0  # as `offer` would find
            return None
        return self

    def blocked(self) -> None:
        # An item that goes straight through leaves no trace in the states, since it spends no time here.
        if self.state == EMPTY:
            self.set_state(RELEASING)

    def awaiting_transport(self) -> None:
        if self.state != WAITING_FOR_TRANSPORT:
            self.set_state(WAITING_FOR_TRANSPORT)

    def leave(self, item: Item, peer: FixedResource) -> None:
        if self.on_exit is not None:
            self.tell_exit(item, peer)
        items = self.items
        del items[item]
        self.room += 1
        self.sent += 1
        stay = self.calendar.now - item.entered
        self.stay_total += stay
        if stay < self.stay_least:
            self.stay_least = stay
        if stay > self.stay_most:
            self.stay_most = stay
        if not items:
            if self.state != EMPTY:
                self.set_state(EMPTY)
        elif self.state == WAITING_FOR_TRANSPORT and not self.fetched:
            self.set_state(RELEASING if self.waiting else COLLECTING)
        if self._flushing:
            self._flush_one()

    def abandon(self, item: Item) -> None:
        super().abandon(item)
        if item in self._collected:
            self._collected.remove(item)
            if self._flushing:
                self._flushing += 1  # for it is none of the batch that leaves

    # --- Batches ------------------------------------------------------------------------------------------------------

    def _collect(self, item: Item) -> None:
        if self.state == EMPTY:
            self.set_state(COLLECTING)
        self._collected.append(item)
        if len(self._collected) >= self.batch:
            self._complete()
        elif len(self._collected) == 1 and self.patience > 0:
            self.calendar.after(self.patience, self._give_up, self._batch_number)

    def _give_up(self, number: int) -> None:
        if number == self._batch_number and self._collected:
            self._complete()

    def _complete(self) -> None:
        batch, self._collected = self._collected, []
        self._batch_number += 1
        self.set_state(RELEASING)
        if self.flush:
            # What a script moves here comes in all the same, and may complete a batch while another one leaves.
            if not self._flushing:
                self.room -= CLOSED
            self._flushing += len(batch)
        if self.on_batch is not None:
            self.on_batch(batch[-1], 0)
        for item in reversed(batch) if self.newest_first else batch:
            self.calendar.after(0.0, self.release, item)

    def _flush_one(self) -> None:
        self._flushing -= 1
        if self._flushing == 0:
            self.room += CLOSED
            self.calendar.after(0.0, self.receive)


def create(binding: Binding, node: Node, name: str) -> Queue:
    """Returns a running Queue."""
    queue = Queue(binding.calendar, node, name, binding.count(node, "MaxContent"))
    queue.newest_first = binding.flag(node, "LIFO")
    if binding.flag(node, "DoBatching"):
        queue.batch = max(1, binding.count(node, "BatchSize"))
        queue.patience = max(0.0, binding.number(node, "MaxBatchTime"))
        queue.flush = binding.flag(node, "FlushContent")
    return queue
