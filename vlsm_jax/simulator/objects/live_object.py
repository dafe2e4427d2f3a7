"""What every running object has: a place in the tree, items inside, a state, statistics, and being stopped and resumed.

An object may be paused for several reasons at once, each with a key: it goes on when the last of them is withdrawn, as
with FlexSim's `stopobject` and `resumeobject`. While it is paused, its events are off the calendar, with the time that
each has left.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vlsm_jax.simulator.constants import STATES
from vlsm_jax.simulator.kernel import Calendar, Pending
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

Hook = Callable[[Item, int], None]
_STOP = "stop"


class LiveObject:
    """One running object.

    Attributes:
      calendar: the model's time.
      node: the object in the tree.
      name: as in the Twin.
      items: what is inside, in order of entry.
      state: the number of the current state; of the state to return to while the object is stopped.
      state_time: seconds in each state since the last reset.
      received, sent, most, stay_total, stay_least, stay_most: statistics since the last reset.
      absorbed_total: seconds inside of items that went into a container, or ended, without leaving.
      on_stop: called at each stop with the number of stops in force, the state and the id.
      on_resume: called at each resume with the number of stops left and the id.
      stops: the state of each pause in force, by its key.
      halts: the keys among them that stand for a stop of the whole object, ports included.
    """

    __slots__ = (
        "_frozen", "_shown_state", "_stay_before", "absorbed_total", "calendar", "halts", "items", "most", "name",
        "node", "observed_from", "on_resume", "on_stop", "received", "sent", "state", "state_since", "state_time",
        "stay_least", "stay_most", "stay_total", "stops",
    )  # fmt: skip

    initial_state = 0

    def __init__(self, calendar: Calendar, node: Node, name: str):
        self.calendar = calendar
        self.node = node
        self.name = name
        self.items: dict[Item, None] = {}
        self.on_stop: Callable[[int, int, Any], Any] | None = None
        self.on_resume: Callable[[int, Any], Any] | None = None
        self.stops: dict[Any, int] = {}
        self.halts: set[Any] = set()
        self._frozen: list[Pending] = []
        self.state = self._shown_state = self.initial_state
        self.clear_statistics()

    def connect(self, binding: Binding) -> None:
        """Binds what refers to other running objects, once all of them are there."""

    def start(self) -> None:
        """Schedules the first events of a run."""

    def dismantle(self) -> None:
        """Lets go of all others; the object cannot be used any more."""
        for name in _links_of(type(self)):
            setattr(self, name, None)

    # --- Statistics ---------------------------------------------------------------------------------------------------

    def clear_statistics(self) -> None:
        """Begins the statistics anew at the current time; what is inside stays."""
        now = self.calendar.now
        self.received = 0
        self.sent = 0
        self.most = len(self.items)
        self.stay_total = 0.0
        self.absorbed_total = 0.0
        self.stay_least = float("inf")
        self.stay_most = 0.0
        self.state_time = [0.0] * len(STATES)
        self.state_since = now
        self.observed_from = now
        # What the items inside have stayed so far belongs to the time before.
        self._stay_before = sum(now - item.entered for item in self.items)

    def set_state(self, state: int) -> None:
        """Changes the state and books the time in the one before."""
        self.state = state
        if self.stops:
            return
        now = self.calendar.now
        self.state_time[self._shown_state] += now - self.state_since
        self._shown_state = state
        self.state_since = now

    @property
    def shown_state(self) -> int:
        """The number of the state that statistics count now; that of the last stop while the object is stopped."""
        return self._shown_state

    def settle(self) -> None:
        """Books the time in the current state, at the end of a run."""
        self._show(self._shown_state)

    def _show(self, state: int) -> None:
        now = self.calendar.now
        self.state_time[self._shown_state] += now - self.state_since
        self._shown_state = state
        self.state_since = now

    def content_time(self) -> float:
        """The integral of the content over the observed time, in item seconds."""
        now = self.calendar.now
        inside = sum(now - item.entered for item in self.items)
        return self.stay_total + self.absorbed_total + inside - self._stay_before

    def book_in(self, item: Item) -> None:
        """Counts an item that enters."""
        item.entered = self.calendar.now
        item.holder = self
        items = self.items
        items[item] = None
        self.received += 1
        if len(items) > self.most:
            self.most = len(items)

    def book_out(self, item: Item) -> None:
        """Counts an item that leaves."""
        del self.items[item]
        self.sent += 1
        stay = self.calendar.now - item.entered
        self.stay_total += stay
        if stay < self.stay_least:
            self.stay_least = stay
        if stay > self.stay_most:
            self.stay_most = stay

    # --- Stopping -----------------------------------------------------------------------------------------------------

    def pause(self, state: int, key: Any) -> None:
        """Holds what goes on inside, in a state, until `go_on` is called with the same key; pauses may overlap."""
        if key in self.stops:
            return
        self.stops[key] = state
        self._show(state)
        self.freeze()

    def go_on(self, key: Any) -> None:
        """Ends the pause of that key; the object goes on when none is left."""
        if self.stops.pop(key, None) is None:
            return
        if self.stops:
            self._show(next(reversed(self.stops.values())))
            return
        self._show(self.state)
        frozen, self._frozen = self._frozen, []
        self.calendar.restore(frozen)

    def freeze(self) -> None:
        """Takes the object's events off the calendar until the last pause ends."""
        self._frozen += self.calendar.withdraw(self)

    def stop(self, state: int, key: Any = 0) -> None:
        """Stops the object under an id; a second stop under the same id changes nothing."""
        halt = (_STOP, key)
        if halt in self.halts:
            return
        self.halts.add(halt)
        self.pause(state, halt)
        if self.on_stop is not None:
            self.on_stop(len(self.halts), state, key)

    def resume(self, key: Any = 0) -> None:
        """Withdraws the stop of that id; the object goes on when none is left."""
        halt = (_STOP, key)
        if halt not in self.halts:
            return
        self.halts.discard(halt)
        self.go_on(halt)
        if self.on_resume is not None:
            self.on_resume(len(self.halts), key)


_PLAIN = frozenset((
    "_shown_state", "_stay_before", "absorbed_total", "most", "name", "observed_from", "received", "sent", "state",
    "state_since", "state_time", "stay_least", "stay_most", "stay_total",
    "_chosen_port", "_input_closures", "_output_closures", "_port_stops", "expected", "newest_first", "plain_flow",
    "pulls", "repulls", "reroutes", "room", "simple",
))  # fmt: skip
"""What holds numbers alone, and so nothing that would have to be let go of."""


@functools.cache
def _links_of(cls: type) -> tuple[str, ...]:
    return tuple(name for each in cls.__mro__ for name in getattr(each, "__slots__", ()) if name not in _PLAIN)
