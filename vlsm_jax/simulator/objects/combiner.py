"""The Combiner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vlsm_jax.simulator.constants import BLOCKED, COLLECTING, IDLE, PROCESSING, SETUP
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.processor import Processor
from vlsm_jax.simulator.objects.resource import CLOSED, FixedResource
from vlsm_jax.simulator.tree import Node


class Combiner(Processor):
    """Takes one item from input port 1, then the components from the other ports; processes them as one batch.

    Attributes:
      mode: "Pack" puts the components into the first item, "Join" ends them, "Batch" releases everything.
      targets: how many items each input port gives to a batch; 1 for the first.
    """

    __slots__ = ("_batch", "_closed", "_needed", "mode", "targets")

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
        self._closed = False

    def set_targets(self, targets: Sequence[int]) -> None:
        """Sets how many items each input port gives, before the run."""
        self.targets = list(targets)
        self._needed = list(targets)
        self.room = sum(targets)

    def eligible(self) -> Sequence[FixedResource]:
        """The first input until its item is here, then those that still owe components."""
        if not self._batch:
            return self.inputs[:1]
        return [sender for sender, owed in zip(self.inputs, self._needed, strict=True) if owed]

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        self.admit(item, sender)
        # One sender may be connected to several ports; its item counts for the first that still needs one.
        port = next(n for n, owed in enumerate(self._needed) if owed and self.inputs[n] is sender)
        self._needed[port] -= 1
        self._batch.append(item)
        if not any(self._needed):
            self._closed = True
            self.room -= CLOSED
            self.begin(self._batch[0])
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
        self._in_process -= 1
        if self.on_process_finish is not None:
            self.on_process_finish(item, 0)
        first, *components = self._batch
        released = [first]
        if self.mode == "Batch":
            released = [first, *components]
        else:
            for component in components:
                self.absorb(component)
                component.holder = None
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
            state = BLOCKED
        else:
            state = COLLECTING if self.items else IDLE
        if state != self.state:
            self.set_state(state)
