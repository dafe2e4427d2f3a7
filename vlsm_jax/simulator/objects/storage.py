"""Storage: racks and floor storage.

As fixed resources they take items up to MaxContent, keep each for its MinimumDwellTime and release it then. Slots say
where an item lies, not whether it is taken: an item that finds no slot is taken all the same, as in FlexSim. So bays,
levels and slots have no effect on the flow, and are not simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vlsm_jax.flexscript.values import to_float
from vlsm_jax.simulator.constants import EMPTY, STATES, WAITING_FOR_TRANSPORT
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Code

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

NOT_EMPTY = STATES.index("NOT_EMPTY")


class Storage(FixedResource):
    """A rack or a floor storage.

    Attributes:
      dwell: gives the least time that an item stays, by item and input port; below 0 it is not released by itself.
      on_end_dwell: trigger when an item has stayed long enough.
    """

    __slots__ = ("dwell", "on_end_dwell")

    initial_state = EMPTY

    def __init__(self, calendar: Calendar, node: Node, name: str, capacity: int, dwell: Callable[[Item, int], float]):
        super().__init__(calendar, node, name)
        self.room = capacity
        self.dwell = dwell
        self.on_end_dwell: Hook | None = None

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        self.admit(item, sender)
        if item.holder is not self:
            return None
        self._refresh()
        seconds = self.dwell(item, self.input_port(sender))
        if seconds >= 0:
            self.calendar.after(seconds, self._release, item)
        return None

    def _release(self, item: Item) -> None:
        if self.on_end_dwell is not None:
            self.on_end_dwell(item, 0)
        if item.holder is self:
            self.release(item)
        if self.room > 0:
            self.receive()
        self._refresh()

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        self._refresh()

    def awaiting_transport(self) -> None:
        self._refresh()

    def _refresh(self) -> None:
        state = EMPTY if not self.items else WAITING_FOR_TRANSPORT if self.fetched else NOT_EMPTY
        if state != self.state:
            self.set_state(state)


def create(binding: Binding, node: Node, name: str) -> Storage:
    """Returns a running storage object."""
    if node.cls.name not in ("Rack", "FloorStorage"):
        binding.world.warn("unsupported", f"{name!r} is a {node.cls.name}; it is run as a Rack, without lanes")
    capacity = binding.count(node, "MaxContent")
    if node.settings.get("UseAsFixedResource") == 0:
        # Connecting it would have turned the flow on; a script that turned it off again means it.
        binding.world.warn("unused", f"{name!r} takes no items: its UseAsFixedResource is 0", "set it to 1")
        capacity = 0
    return Storage(binding.calendar, node, name, capacity, _dwell(binding, node))


def _dwell(binding: Binding, node: Node) -> Callable[[Item, int], float]:
    value = binding.setting(node, "MinimumDwellTime")
    if isinstance(value, Code):
        run = binding.code(node, "MinimumDwellTime", value).run
        return lambda item, port: to_float(run(node, (item, port)))
    if isinstance(value, (int, float)) and value < 0:
        return lambda item, port: -1.0
    duration = binding.duration(node, "MinimumDwellTime")
    return lambda item, port: duration(item)
