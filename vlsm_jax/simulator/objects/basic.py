"""The BasicFR: takes an item only when a script calls `receiveitem`, and gives one only at `releaseitem`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlsm_jax.simulator.constants import IDLE
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class BasicFR(FixedResource):
    """A fixed resource without behaviour of its own: its triggers do everything, the state included."""

    __slots__ = ("_asked_port",)

    initial_state = IDLE

    def __init__(self, calendar: Calendar, node: Node, name: str):
        super().__init__(calendar, node, name)
        self.room = 0
        self._asked_port = 0

    def ask(self, port: int) -> None:
        """Gets ready for one more item, from one input port or (0) from any."""
        self._asked_port = port
        self.room += 1
        self.calendar.after(0.0, self.receive)

    def connect(self, binding: Binding) -> None:
        super().connect(binding)
        self.pulls = True  # an item comes through the port that was asked for

    def eligible(self):
        only = self._asked_port
        return self.inputs[only - 1 : only] if only > 0 else super().eligible()

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        self.admit(item, sender)
        if sender not in self.inputs:
            self.room += 1  # moved here by a script, not asked for
        return None

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        self.room -= 1  # a place that becomes free is no request for another item


def create(binding: Binding, node: Node, name: str) -> BasicFR:
    """Returns a running BasicFR."""
    return BasicFR(binding.calendar, node, name)
