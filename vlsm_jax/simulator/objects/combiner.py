"""The Combiner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.values import to_int
from vlsm_jax.simulator.constants import BLOCKED, COLLECTING, IDLE, PROCESSING, SETUP, WAITING_FOR_TRANSPORT
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.processor import Processor, times
from vlsm_jax.simulator.objects.resource import CLOSED, FixedResource
from vlsm_jax.simulator.tables import read_rows
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import ParameterValue

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class Combiner(Processor):
    """Takes one item from input port 1, then the components from the other ports; processes them as one batch.

    Attributes:
      mode: "Pack" puts the components into the first item, "Join" ends them, "Batch" releases everything.
      targets: how many items each input port gives to a batch; 1 for the first.
    """

    __slots__ = ("_batch", "_closed", "_needed", "_promised", "mode", "targets")

    def __init__(
        self,
        calendar: Calendar,
        node: Node,
        name: str,
        setup: Callable[[Item], float] | None,
        process: Callable[[Item], float],
        mode: str,
    ):
        super().__init__(calendar, node, name, 0, setup, process)
        self.mode = mode
        self.pulls = True
        self.targets: list[int] = []
        self._needed: list[int] = []
        self._batch: list[Item] = []
        self._promised: set[Item] = set()
        self._closed = False

    def connect(self, binding: Binding) -> None:
        self.set_targets(component_targets(self.node.settings.get("ComponentsList"), len(self.inputs)))
        self.bind_route(binding)

    def set_targets(self, targets: Sequence[int]) -> None:
        """Sets how many items each input port gives, before the run."""
        self.targets = list(targets)
        self._needed = list(targets)
        self.room = sum(targets)

    def change_targets(self, targets: Sequence[int]) -> None:
        """Sets how many items each input port gives from now on; a batch that is being collected is completed so."""
        collected = [target - owed for target, owed in zip(self.targets, self._needed, strict=True)]
        self.room += sum(targets) - sum(self.targets)
        self.targets = list(targets)
        if self._closed:
            return
        self._needed = [max(0, target - have) for target, have in zip(targets, collected, strict=True)]
        self.calendar.after(0.0, self._look_again)

    def _look_again(self, _: Any) -> None:
        if self._batch and not self._closed and not any(self._needed) and not self.expected:
            self._close()
            self._refresh()
        else:
            self.receive()

    def _close(self) -> None:
        self._closed = True
        self.room -= CLOSED
        self.begin(self._batch[0])

    def eligible(self) -> Sequence[FixedResource]:
        """The first input until its item is here, then those that still owe components."""
        if not self._batch:
            return self.inputs[:1] if self._needed and self._needed[0] else ()
        return [sender for sender, owed in zip(self.inputs, self._needed, strict=True) if owed]

    def expect(self, item: Item, sender: FixedResource) -> None:
        super().expect(item, sender)
        self._count(sender)
        self._promised.add(item)

    def _count(self, sender: FixedResource) -> None:
        # One sender may be connected to several ports; its item counts for the first that still needs one. What a
        # script moves here comes through no port, and counts for the first that needs anything.
        owed = [n for n, owed in enumerate(self._needed) if owed]
        port = next((n for n in owed if self.inputs[n] is sender), owed[0] if owed else None)
        if port is None:
            raise Unsupported(f"{self.name!r} has its batch already and cannot take another item")
        self._needed[port] -= 1

    def abandon(self, item: Item) -> None:
        if item not in self.waiting:
            raise Unsupported(f"{item.name!r} belongs to a batch of {self.name!r} and cannot be taken away")

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        self.admit(item, sender)
        if item in self._promised:
            self._promised.discard(item)
        else:
            self._count(sender)
        self._batch.append(item)
        if not any(self._needed) and not self._promised:
            self._close()
        elif len(self._batch) == 1:
            self.calendar.after(0.0, self.receive)  # components may wait already
        self._refresh()
        return None

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        if self._closed and not self.items:
            self._closed = False
            self.room += CLOSED
            self._needed = list(self.targets)
            self._batch.clear()
            self.calendar.after(0.0, self.receive)
            self._refresh()

    def _finish(self, item: Item) -> None:
        self._processed(item)
        first, *components = self._batch
        released = [first]
        if self.mode == "Batch":
            released = [first, *components]
        else:
            for component in components:
                self.absorb(component)
                component.holder = first if self.mode == "Pack" else None
            if self.mode == "Pack":
                first.contents = (*first.contents, *components)
        for each in released:
            self.release(each)
        self._refresh()

    def _refresh(self) -> None:
        if self._in_process:
            state = PROCESSING
        elif self._in_setup:
            state = SETUP
        elif self._closed:
            state = WAITING_FOR_TRANSPORT if self.fetched and not self.waiting else BLOCKED
        else:
            state = COLLECTING if self.items else IDLE
        if state != self.state:
            self.set_state(state)


def component_targets(value: ParameterValue | None, ports: int) -> list[int]:
    """Reads how many items each input port of a Combiner gives: 1 for the first, 1 where the table has no row.

    A row holds the quantity of the next port in its first cell that is a number, or that number alone.
    """
    rows = [] if value is None else read_rows(value)
    if rows is None:
        raise Fault("ComponentsList is an array with one quantity per input port from the second on", code="value")
    quantities = [next((max(0, to_int(cell)) for cell in row if not isinstance(cell, str)), 1) for row in rows]
    return ([1, *quantities] + [1] * ports)[:ports]


def create(binding: Binding, node: Node, name: str) -> Combiner:
    """Returns a running Combiner."""
    mode = str(binding.setting(node, "CombineMode"))
    return Combiner(binding.calendar, node, name, *times(binding, node), mode)
