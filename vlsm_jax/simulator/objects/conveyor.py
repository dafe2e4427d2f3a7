"""Straight and curved conveyors.

An item stands on a conveyor with its leading edge at a position x, from 0 at the start to the length L at the end,
where it is handed on. Behind an item of length s nothing comes closer than its stopping space,
StopSpaceSizeFactor * s + StopSpacePadding. So floor(L / space) + 1 items stand in a row that is blocked, the last one
partly before the start.

No event is spent on an item between the ends, since positions have a closed form. On an accumulating conveyor of speed
v, items move at v unless they touch the one ahead, and a row of items that touch starts as one. So an item that entered
at e reaches the end at max(e + L/v, d + S/v), where d is when the item ahead left and S is that item's stopping space;
and the last item stands at the smallest of v (t - e), of L less the spaces S of all that are ahead of it, and of that
plus what the row has moved since d. The entrance is free once the last item has cleared its space. A conveyor that does
not accumulate stops as a whole while its first item cannot leave; so does any while the object is stopped. Positions
are therefore reckoned in belt time, which stands still with the belt.

Approximations: speed changes take no time; everything enters at the start and leaves at the end, wherever its transfer
stands; an item that passes to another conveyor does so with its leading edge, and what it still covers of the first one
holds its followers back no longer than it takes to clear its space at full speed.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsm_jax.simulator.constants import BLOCKED, CONVEYING, EMPTY, STATES, WAITING_FOR_TRANSPORT
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item, length_along
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

STOPPED = STATES.index("STOPPED")
ASSUMED_RADIUS, ASSUMED_SWEEP = 2.0, 90.0
"""Of a CurvedConveyor whose script does not say; FlexSim's own defaults are not established."""

_NEVER = math.inf
_NEAR = 1e-9
_NOT_SIMULATED = (
    "Acceleration", "Deceleration", "RestartDelay", "IsSlugBuilder", "UseFixedIntervalMovement", "UseCatchCondition",
)  # fmt: skip


class Space(NamedTuple):
    """A space on the belt: a factor of the item's length, plus metres."""

    factor: float
    padding: float

    def of(self, item: Item) -> float:
        """Returns the space of one item in metres."""
        return max(0.0, self.factor * length_along(item) + self.padding)


class _Place:
    """Where an item is in the row.

    Attributes:
      item: whose place it is.
      entered: belt time at which it entered, or would have entered to be where it is.
      space: what it takes of the belt, in metres.
      clears: how far it must have come before the next one may enter.
      offset: the sum of the spaces of all that were before it.
    """

    __slots__ = ("clears", "entered", "item", "offset", "space")

    def __init__(self, item: Item, entered: float, space: float, clears: float, offset: float):
        self.item = item
        self.entered = entered
        self.space = space
        self.clears = clears
        self.offset = offset


class Conveyor(FixedResource):
    """A belt from its start to its end.

    Attributes:
      length: metres along the belt.
      speed: metres per second.
      accumulating: whether items close up while the first one cannot leave; else the whole belt stops.
      stop_space: how much of the belt an item takes while it stands in a row.
      entry_space: how much of the belt the last item must have cleared before the next one enters.
    """

    __slots__ = (
        "_arrival", "_arriving", "_at_end", "_entry", "_entry_due", "_entry_open", "_halted_at", "_last", "_left",
        "_lost_time", "_places", "accumulating", "entry_space", "length", "speed", "stop_space",
    )  # fmt: skip

    initial_state = EMPTY

    def __init__(self, calendar: Calendar, node: Node, name: str, length: float, speed: float):
        super().__init__(calendar, node, name)
        self.room = 1
        self.length = length
        self.speed = speed
        self.accumulating = True
        self.stop_space = Space(1.0, 0.0)
        self.entry_space = Space(1.0, 0.0)
        self._places: dict[Item, _Place] = {}
        self._last: _Place | None = None
        # The item that left last, as (belt time, its offset, its space); before any has left, nothing holds one back.
        self._left: tuple[float, float, float] = (-_NEVER, 0.0, 0.0)
        self._entry_open = True
        # One arrival and one opening of the entrance are due at most; an event no longer meant has an old number.
        self._arriving: Item | None = None
        self._at_end: Item | None = None
        self._entry_due = False
        self._arrival = self._entry = 0
        self._lost_time = 0.0
        self._halted_at: float | None = None

    # --- Belt time ----------------------------------------------------------------------------------------------------

    def _belt_time(self) -> float:
        at = self.calendar.now if self._halted_at is None else self._halted_at
        return at - self._lost_time

    def _halt(self) -> None:
        """Stops the belt: what was due on it is due no more."""
        if self._halted_at is None:
            self._halted_at = self.calendar.now
            self._forget_events()

    def _forget_events(self) -> None:
        self._arrival += 1
        self._entry += 1
        self._arriving = None
        self._entry_due = False

    def _go(self) -> None:
        """Lets the belt move again, unless something still holds it."""
        if self._halted_at is None or self.stops or self._is_held():
            return
        self._lost_time += self.calendar.now - self._halted_at
        self._halted_at = None
        self._schedule_arrival()
        self._schedule_entry()

    def _is_held(self) -> bool:
        if self.accumulating:
            return False
        first = next(iter(self._places), None)
        return first is not None and (first in self.waiting or first in self.fetched)

    def pause(self, state: int, key: Any) -> None:
        super().pause(state, key)
        self._halt()

    def go_on(self, key: Any) -> None:
        super().go_on(key)
        self._go()

    # --- Positions ----------------------------------------------------------------------------------------------------

    def position_of(self, item: Item) -> float:
        """Returns the place of an item's leading edge in metres from the start."""
        place, now = self._places[item], self._belt_time()
        first = next(iter(self._places.values()))
        since, offset, space = self._left
        row = self.length - place.offset
        position = min(self.speed * (now - place.entered), row + first.offset)
        if self.accumulating and space:
            position = min(position, row + offset + self.speed * (now - since))
        return max(0.0, position)

    def _schedule_arrival(self) -> None:
        """Schedules the first item's arrival at the end, once."""
        place = next(iter(self._places.values()), None)
        if place is None or self._halted_at is not None or self.speed <= 0 or place.item is self._arriving:
            return
        if place.item in self.waiting or place.item in self.fetched:
            return
        due = place.entered + self.length / self.speed
        if self.accumulating:
            since, _, space = self._left
            due = max(due, since + space / self.speed)
        self._arriving = place.item
        self._arrival += 1
        self.calendar.after(due - self._belt_time(), self._arrive, self._arrival)

    def _schedule_entry(self) -> None:
        """Schedules the opening of the entrance, where it is known already."""
        if self._entry_open or self._entry_due or self._halted_at is not None or self.speed <= 0:
            return
        due = self._entry_free_at()
        if due < _NEVER:
            self._entry_due = True
            self._entry += 1
            self.calendar.after(due - self._belt_time(), self._open_entry, self._entry)

    def _entry_free_at(self) -> float:
        """Returns the belt time from which the entrance is free; infinity while the row reaches up to it."""
        last = self._last
        needed = last.clears
        free = last.entered + needed / self.speed
        if not self.accumulating:
            return free
        row = self.length - last.offset
        first = next(iter(self._places.values()), None)
        # A row that stands exactly up to the space is free: 10 m hold 100 items of 0.1 m, whatever the rounding.
        if first is not None and row + first.offset < needed - _NEAR:
            return _NEVER
        since, offset, space = self._left
        return max(free, since + (needed - row - offset) / self.speed) if space else free

    # --- Items --------------------------------------------------------------------------------------------------------

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        self.admit(item, sender)
        if item.holder is not self:
            return None
        last = self._last
        offset = last.offset + last.space if last is not None else 0.0
        space = self.stop_space.of(item)
        clears = max(space, self.entry_space.of(item))
        self._last = place = _Place(item, self._belt_time(), space, clears, offset)
        self._places[item] = place
        self._entry_open = False
        if len(self._places) == 1:
            self._schedule_arrival()
        self._schedule_entry()
        self._refresh()
        return None

    def admit(self, item: Item, sender: FixedResource) -> None:
        # Room is 1 while the entrance is free. What a script puts on the belt by itself may come while it is not.
        if not self._entry_open:
            self.room += 1
        self._entry_open = False
        super().admit(item, sender)

    def _arrive(self, number: int) -> None:
        if number != self._arrival or self._arriving is None:
            return
        item, self._arriving = self._arriving, None
        self._at_end = item
        self.release(item)
        if item in self._places and self._is_held():
            self._halt()
        self._refresh()

    def _open_entry(self, number: int) -> None:
        if number != self._entry or not self._entry_due:
            return
        self._entry_due = False
        now = self._belt_time()
        if self._entry_free_at() > now + _NEAR * max(1.0, now):
            self._schedule_entry()
            return
        self._entry_open = True
        self.room += 1
        self.receive()

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        self.room -= 1
        place = self._places.get(item)
        if place is None:  # its own OnEntry took it away again
            if self._last is None:
                self._entry_open = True
                self.room += 1
        elif item is self._at_end:
            self._at_end = None
            del self._places[item]
            self._left = (self._belt_time(), place.offset, place.space)
        else:
            self._take_out(place)
        self._go()
        self._schedule_arrival()
        self._schedule_entry()
        self._refresh()

    def _take_out(self, gone: _Place) -> None:
        """Takes an item from the row before its end: those behind it go on from where they are, and may close up."""
        places = list(self._places.values())
        behind = places[places.index(gone) + 1 :]
        self._stand(behind)
        for place in behind:
            place.offset -= gone.space
        del self._places[gone.item]
        if self._last is gone and len(places) > 1:
            self._last = places[-2]
        if self._arriving is gone.item:
            self._arriving = None
            self._arrival += 1

    def _stand(self, places: list[_Place]) -> None:
        """Makes items go on from where they are, whatever held them back before."""
        if self.speed > 0:
            now = self._belt_time()
            positions = [self.position_of(place.item) for place in places]
            for place, position in zip(places, positions, strict=True):
                place.entered = now - position / self.speed

    def change_speed(self, speed: float) -> None:
        """Sets the speed from now on."""
        places = list(self._places.values())
        positions = [self.position_of(place.item) for place in places]
        self.speed = max(0.0, speed)
        if self.speed > 0:
            now = self._belt_time()
            for place, position in zip(places, positions, strict=True):
                place.entered = now - position / self.speed
            self._left = (-_NEVER, 0.0, 0.0)
        self._forget_events()
        self._schedule_arrival()
        self._schedule_entry()
        self._refresh()

    def took(self) -> None:
        """The room at the start opens by an event of its own, when the gap has come back to it."""

    def awaiting_transport(self) -> None:
        self._refresh()

    def _refresh(self) -> None:
        if not self.items:
            state = EMPTY
        elif self.speed <= 0:
            state = STOPPED
        elif self._is_held():
            first = next(iter(self._places))
            state = WAITING_FOR_TRANSPORT if first in self.fetched else BLOCKED
        else:
            state = CONVEYING
        if state != self.state:
            self.set_state(state)


def belt_length(binding: Binding, node: Node) -> float:
    """Returns the length of a conveyor along its belt, in metres."""
    if binding.flag(node, "UseVirtualLength"):
        return max(0.0, binding.number(node, "VirtualLength"))
    if node.cls.name == "CurvedConveyor":
        radius, sweep = (
            _assumed(binding, node, "Radius", ASSUMED_RADIUS),
            _assumed(binding, node, "SweepAngle", ASSUMED_SWEEP),
        )
        horizontal = abs(radius * math.radians(sweep))
    elif node.settings.get("HorizontalLength") is not None:
        horizontal = binding.number(node, "HorizontalLength")
    elif _ends(node) is not None:
        return _ends(node)
    else:
        horizontal = float(node.size.x)
    rise = binding.number(node, "Rise") if binding.setting(node, "Rise") is not None else 0.0
    return math.hypot(max(0.0, horizontal), rise)


def _ends(node: Node) -> float | None:
    """Returns the distance between the two ends where a script set both."""
    start, end = node.settings.get("StartLocation"), node.settings.get("EndLocation")
    if isinstance(start, tuple) and isinstance(end, tuple) and len(start) == len(end):
        return math.dist(start, end)
    return None


def _assumed(binding: Binding, node: Node, name: str, value: float) -> float:
    if binding.setting(node, name) is not None:
        return binding.number(node, name)
    binding.world.warn("assumed", f"{name} of {binding.names[node]!r} is not set; {value:g} is assumed")
    return value


def create(binding: Binding, node: Node, name: str) -> Conveyor:
    """Returns a running conveyor."""
    world = binding.world
    length = belt_length(binding, node)
    if length <= 0:
        world.warn("value", f"{name!r} has no length; items pass it at once", "set HorizontalLength")
    conveyor = Conveyor(binding.calendar, node, name, length, max(0.0, binding.number(node, "Speed")))
    if conveyor.speed <= 0:
        world.warn("value", f"Speed of {name!r} is 0; nothing moves on it", "set Speed")
    conveyor.accumulating = binding.flag(node, "IsAccumulating")
    conveyor.stop_space = _space(binding, node, "Stop")
    conveyor.entry_space = _space(binding, node, "Entry")
    for setting in _NOT_SIMULATED:
        if node.settings.get(setting):
            world.warn("unsupported", f"{setting} of {name!r} has no effect: it is not simulated")
    move_space = _space(binding, node, "Move")
    if conveyor.accumulating and any(map(operator.gt, move_space, conveyor.stop_space)):
        message = f"MoveSpace of {name!r} has no effect: items go on as soon as the one ahead moves"
        world.warn("unsupported", message)
    return conveyor


def _space(binding: Binding, node: Node, kind: str) -> Space:
    return Space(binding.number(node, f"{kind}SpaceSizeFactor"), binding.number(node, f"{kind}SpacePadding"))
