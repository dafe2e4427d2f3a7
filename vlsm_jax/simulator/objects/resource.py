"""The fixed resource: the handshake by which items move from object to object, with the statistics of every object.

An item that is released goes to the first output port whose peer has room; it waits where there is none, and the peer
takes it when room appears, looking through its input ports in order. A chain of objects that release at once is walked
in a loop, and room that appears further up is filled by an event at the same time, so that no line is too long for the
stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vlsm_jax.simulator.constants import STATES
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.tree import Node

UNLIMITED = 1 << 60
MAX_HOPS = 100
"""Through how many objects an item passes within one event."""

CLOSED = 1 << 61
"""Taken from the room of an object whose input is closed."""

Route = Callable[[Item], int]
Hook = Callable[[Item, int], None]
Draw = Callable[[], float]


class FixedResource:
    """One running object that holds items.

    Attributes:
      calendar: the model's time.
      node: the object in the tree.
      name: as in the Twin.
      outputs: the running objects at the other end of the output ports; None where no items can go.
      peers: the same without None.
      inputs: those of the input ports.
      items: what is inside, in order of entry.
      room: how many more items may enter now.
      waiting: released items that found no peer, with the port they are bound to (0 any, below 0 not released).
      route: SendToPort; None for the first available port.
      newest_first: whether the item that began to wait last is the first to go.
      pulls: whether this object chooses what it takes.
      pull_port: PullStrategy, None for any port.
      pull_requirement: PullRequirement, None for any item.
      simple: whether items go to the first available port, and no peer chooses what it takes.
      on_entry, on_exit: triggers, None when there are none.
      watched_room: `took` is called when a peer took a waiting item and the room is not above this.
      state: the number of the current state.
      state_time: seconds in each state since the last reset.
      received, sent, most, stay_total, stay_least, stay_most: statistics since the last reset.
      absorbed_total: seconds inside of items that went into a container, or ended, without leaving.
    """

    __slots__ = (
        "_stay_before", "absorbed_total", "calendar", "inputs", "items", "most", "name", "newest_first", "node",
        "observed_from", "on_entry", "on_exit", "outputs", "peers", "pull_port", "pull_requirement", "pulls",
        "received", "room", "route", "sent", "simple", "state", "state_since", "state_time", "stay_least",
        "stay_most", "stay_total", "waiting",
    )  # fmt: skip

    initial_state = 0
    watched_room = 1

    def __init__(self, calendar: Calendar, node: Node, name: str):
        self.calendar = calendar
        self.node = node
        self.name = name
        self.outputs: list[FixedResource | None] = []
        self.peers: list[FixedResource] = []
        self.inputs: list[FixedResource] = []
        self.items: dict[Item, None] = {}
        self.waiting: dict[Item, int] = {}
        self.room = UNLIMITED
        self.route: Route | None = None
        self.newest_first = False
        self.pulls = False
        self.pull_port: Callable[[], int] | None = None
        self.pull_requirement: Callable[[Item], int] | None = None
        self.simple = True
        self.on_entry: Hook | None = None
        self.on_exit: Hook | None = None
        self.state = self.initial_state
        self.clear_statistics()

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
        now = self.calendar.now
        self.state_time[self.state] += now - self.state_since
        self.state = state
        self.state_since = now

    def content_time(self) -> float:
        """The integral of the content over the observed time, in item seconds."""
        now = self.calendar.now
        inside = sum(now - item.entered for item in self.items)
        return self.stay_total + self.absorbed_total + inside - self._stay_before

    # --- Moving items -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Schedules the first events of a run."""

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        """Takes an item in; returns this object when it releases the item at once, else None."""
        raise TypeError(f"{self.name!r} takes no items")

    def admit(self, item: Item, sender: FixedResource) -> None:
        """Books an item in: room, statistics, trigger."""
        item.entered = self.calendar.now
        item.holder = self
        items = self.items
        items[item] = None
        self.room -= 1
        self.received += 1
        if len(items) > self.most:
            self.most = len(items)
        if self.on_entry is not None:
            self.on_entry(item, self.inputs.index(sender) + 1)

    def leave(self, item: Item, peer: FixedResource) -> None:
        """Books an item out."""
        if self.on_exit is not None:
            self.on_exit(item, self.outputs.index(peer) + 1)
        del self.items[item]
        self.room += 1
        self.sent += 1
        stay = self.calendar.now - item.entered
        self.stay_total += stay
        if stay < self.stay_least:
            self.stay_least = stay
        if stay > self.stay_most:
            self.stay_most = stay

    def absorb(self, item: Item) -> None:
        """Takes an item out that does not leave: it goes into a container, or ends here."""
        del self.items[item]
        self.room += 1
        self.absorbed_total += self.calendar.now - item.entered

    def produce(self, item: Item) -> None:
        """Puts an item in that did not enter: it comes out of a container, or is a copy."""
        item.entered = self.calendar.now
        item.holder = self
        self.items[item] = None
        self.room -= 1
        self.most = max(self.most, len(self.items))

    def offer(self, item: Item) -> FixedResource | None:
        """Moves a released item to the first peer that takes it, or lets it wait.

        Returns the peer when it releases the item at once: the caller then offers it from there, in a loop.
        """
        if self.simple:
            if self.waiting:
                # Others wait, so no peer has room, or it has just got some and is about to choose among all who wait.
                self.waiting[item] = 0
                return None
            for peer in self.peers:
                if peer.room > 0:
                    self.leave(item, peer)
                    return peer.enter(item, self)
            self.waiting[item] = 0
            self.blocked()
            return None
        port = 0 if self.route is None else self.route(item)
        if self.waiting:
            self.waiting[item] = port
            # Where a peer has room all the same, it is about to choose among all who wait.
            for peer in self.peers:
                if peer.room > 0:
                    self.calendar.after(0.0, peer.receive)
            return None
        peers = self.outputs if port == 0 else self.outputs[port - 1 : port] if port > 0 else ()
        for peer in peers:
            if peer is not None and peer.room > 0 and (not peer.pulls or peer.wants(item, self)):
                self.leave(item, peer)
                return peer.enter(item, self)
        self.waiting[item] = port
        self.blocked()
        return None

    def release(self, item: Item) -> None:
        """Offers an item downstream, and onward through objects that release at once."""
        at = self
        for _ in range(MAX_HOPS):
            following = at.offer(item)
            if following is None:
                return
            at = following
        # Queues in a circle would pass an item on for ever: let the calendar see it.
        self.calendar.events += MAX_HOPS
        self.calendar.after(0.0, at.release, item)

    def blocked(self) -> None:
        """Called when a released item is the first to wait."""

    def receive(self, _: Any = None) -> None:
        """Takes waiting items from upstream as long as there is room for them."""
        while self.room > 0:
            for sender in self.eligible() if self.pulls else self.inputs:
                waiting = sender.waiting
                if waiting:
                    if sender.simple:
                        item = next(reversed(waiting) if sender.newest_first else iter(waiting))
                        break
                    chosen = sender.choose(self)
                    if chosen is not None:
                        item = chosen
                        break
            else:
                return
            del sender.waiting[item]
            sender.leave(item, self)
            if sender.room <= sender.watched_room:
                sender.took()
            at = self.enter(item, sender)
            if at is not None:
                at.release(item)

    def eligible(self) -> Sequence[FixedResource]:
        """Returns the inputs that an object that pulls looks at now, in the order in which it does."""
        only = self.pull_port() if self.pull_port is not None else 0
        return self.inputs[only - 1 : only] if only > 0 else self.inputs

    def choose(self, peer: FixedResource) -> Item | None:
        """Returns the waiting item that goes to a peer with room, None when none is bound for it."""
        waiting = self.waiting
        for item in reversed(waiting) if self.newest_first else waiting:
            port = waiting[item]
            bound_for_peer = port == 0 or (port > 0 and self.outputs[port - 1 : port] == [peer])
            if bound_for_peer and (peer.pull_requirement is None or peer.pull_requirement(item)):
                return item
        return None

    def wants(self, item: Item, sender: FixedResource) -> bool:
        """Whether an object that pulls takes this item now."""
        if sender not in self.eligible():
            return False
        return self.pull_requirement is None or bool(self.pull_requirement(item))

    def took(self) -> None:
        """Called when a peer took a waiting item: the room that has appeared here is filled by an event of its own."""
        for sender in self.inputs:
            if sender.waiting:
                self.calendar.after(0.0, self.receive)
                return
