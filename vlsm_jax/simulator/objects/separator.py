"""The Separator.

When it unpacks, the container is released once all that came out of it has left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.labels import copied_labels
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.processor import Processor, times
from vlsm_jax.simulator.objects.resource import CLOSED, FixedResource
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

DEFAULT_SPLIT = 2
"""How many items a split gives when a script does not say; FlexSim's own default is not established."""


class Separator(Processor):
    """Processes an item, then unpacks what is inside of it, or splits it; takes the next when everything has left.

    Attributes:
      splits: whether the item is copied; else its contents are taken out, the last one first, and it follows them.
      quantity: how many items a split gives in all, or how many are unpacked; None for everything inside.
      next_number: gives the items of the model their numbers.
      copy_labels: gives the labels of a copy.
      copies: items made by splitting so far, over the whole run.
    """

    __slots__ = ("_closed", "_container", "copies", "copy_labels", "next_number", "quantity", "splits")

    def __init__(
        self,
        calendar: Calendar,
        node: Node,
        name: str,
        setup: Callable[[Item], float] | None,
        process: Callable[[Item], float],
        splits: bool,
        quantity: Callable[[Item], int] | None,
        next_number: Callable[[], int],
        copy_labels: Callable[[dict], dict],
    ):
        super().__init__(calendar, node, name, 1, setup, process)
        self.splits = splits
        self.quantity = quantity
        self.next_number = next_number
        self.copy_labels = copy_labels
        self.copies = 0
        self._closed = False
        self._container: Item | None = None

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        if not self._closed:
            return
        container = self._container
        if container is not None and (item is container or len(self.items) == 1):
            self._container = None
            if item is not container:
                self.calendar.after(0.0, self.release, container)
        if not self.items:
            self._closed = False
            self.room += CLOSED
            self.calendar.after(0.0, self.receive)
            self._refresh()

    def _finish(self, item: Item) -> None:
        self._processed(item)
        if item.holder is not self:  # OnProcessFinish took it away
            self.calendar.after(0.0, self.receive)
            self._refresh()
            return
        self._closed = True
        self.room -= CLOSED
        for each in self._split(item) if self.splits else self._unpack(item):
            self.release(each)
        self._refresh()

    def _split(self, item: Item) -> list[Item]:
        quantity = self.quantity(item) if self.quantity is not None else DEFAULT_SPLIT
        made = [item]
        for _ in self.calendar.counted(max(0, quantity - 1)):
            copy = item.copy(self.next_number(), self.copy_labels)
            self.produce(copy)
            self.copies += 1
            made.append(copy)
        return made

    def _unpack(self, item: Item) -> list[Item]:
        inside = item.contents
        quantity = len(inside) if self.quantity is None else max(0, min(self.quantity(item), len(inside)))
        kept = len(inside) - quantity
        taken = list(reversed(inside[kept:]))
        item.contents = inside[:kept]
        for each in taken:
            self.produce(each)
        if not taken:
            return [item]
        self._container = item
        return taken


def create(binding: Binding, node: Node, name: str) -> Separator:
    """Returns a running Separator."""
    splits = binding.setting(node, "SeparateMode") == "Split"
    quantity = None
    if node.settings.get("SeparateQty") is not None:
        quantity = binding.whole(node, "SeparateQty") or (lambda item: 0)
    elif splits:
        binding.world.warn("assumed", f"SeparateQty of {name!r} is not set; {DEFAULT_SPLIT} is assumed")
    machine = binding.world.machine
    return Separator(
        binding.calendar, node, name, *times(binding, node), splits, quantity, binding.next_number,
        lambda own: copied_labels(machine, own),
    )  # fmt: skip
