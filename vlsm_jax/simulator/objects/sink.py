"""The Sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlsm_jax.simulator.constants import COLLECTING
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class Sink(FixedResource):
    """Takes every item out of the model.

    Attributes:
      lead_total, lead_least, lead_most: seconds from creation to arrival here, since the last reset.
    """

    __slots__ = (
        "lead_least", "lead_most", "lead_total",
    )  # fmt: skip

    initial_state = COLLECTING

    def connect(self, binding: Binding) -> None:
        self.bind_pull(binding)

    def clear_statistics(self) -> None:
        super().clear_statistics()
        self.lead_total = 0.0
        self.lead_least = float("inf")
        self.lead_most = 0.0

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        now = self.calendar.now
        self.received += 1
        lead = now - item.created
        self.lead_total += lead
        if lead < self.lead_least:
            self.lead_least = lead
        if lead > self.lead_most:
            self.lead_most = lead
        if self.on_entry is not None:
            item.entered = now
            item.holder = self
            self.on_entry(item, self.input_port(sender))
        item.holder = None
        return None


def create(binding: Binding, node: Node, name: str) -> Sink:
    """Returns a running Sink."""
    return Sink(binding.calendar, node, name)
