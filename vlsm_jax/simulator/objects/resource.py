"""The fixed resource: the handshake by which items move from object to object.

An item that is released goes to the first output port whose peer has room; it waits where there is none, and the peer
takes it when room appears, looking through its input ports in order. A chain of objects that release at once is walked
in a loop, and room that appears further up is filled by an event at the same time, so that no line is too long for the
stack.

Where an object uses transport, the match of an item and a peer ends in a call for a task executer: the item stays until
it is picked up, and its place at the peer is kept until it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook, LiveObject
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

UNLIMITED = 1 << 60
MAX_HOPS = 100
"""Through how many objects an item passes within one event."""

CLOSED = 1 << 61
"""Taken from the room of an object whose input is closed."""

BY_SCRIPT, BY_STOP, BY_STOPPED_PORT = 1, 2, 4
"""Why a port is closed: a script's own command, a stop of the object, or a stop of its ports alone."""

Route = Callable[[Item], int]
Transport = Callable[[Item, "FixedResource"], None]


class FixedResource(LiveObject):
    """One running object that holds items.

    Attributes:
      outputs: the running objects at the other end of the output ports; None where no items can go.
      peers: the same without None.
      inputs: those of the input ports.
      room: how many more items may enter now.
      waiting: released items that found no peer, with the port they are bound to (0 any, below 0 not released).
      route: SendToPort; None for the first available port.
      reroutes: whether the port is asked for again whenever a peer looks for an item.
      newest_first: whether the item that began to wait last is the first to go.
      pulls: whether this object chooses what it takes.
      pull_port: PullStrategy, None for any port.
      pull_requirement: PullRequirement, None for any item.
      repulls: whether PullStrategy is asked for again whenever an item is on offer, not only for the next item.
      transport: calls for the transport of an item to a peer; None where items move at once.
      fetched: items that a transport has been called for and that are still inside, with their peers.
      expected: how many places are kept for items under way.
      simple: whether items go to the first available port at once, and no peer chooses what it takes.
      on_entry, on_exit: triggers, None when there are none.
      watched_room: `took` is called when a peer took a waiting item and the room is not above this.
    """

    __slots__ = (
        "_chosen_port",
        "_input_closures",
        "_output_closures",
        "_port_stops",
        "expected",
        "fetched",
        "inputs",
        "newest_first",
        "on_entry",
        "on_exit",
        "outputs",
        "peers",
        "plain_flow",
        "pull_port",
        "pull_requirement",
        "pulls",
        "repulls",
        "reroutes",
        "room",
        "route",
        "simple",
        "transport",
        "waiting",
    )  # fmt: skip

    watched_room = 1

    def __init__(self, calendar: Calendar, node: Node, name: str):
        super().__init__(calendar, node, name)
        self.outputs: list[FixedResource | None] = []
        self.peers: list[FixedResource] = []
        self.inputs: list[FixedResource] = []
        self.waiting: dict[Item, int] = {}
        self.room = UNLIMITED
        self.route: Route | None = None
        self.reroutes = False
        self.newest_first = False
        self.pulls = False
        self.pull_port: Callable[[], int] | None = None
        self.pull_requirement: Callable[[Item], int] | None = None
        self.repulls = False
        self._chosen_port: int | None = None
        self.transport: Transport | None = None
        self.fetched: dict[Item, FixedResource] = {}
        self.expected = 0
        self.plain_flow = True
        self.simple = True
        self.on_entry: Hook | None = None
        self.on_exit: Hook | None = None
        self._input_closures = 0
        self._output_closures = 0
        self._port_stops = [0, 0]

    def connect(self, binding: Binding) -> None:
        self.bind_pull(binding)
        self.bind_route(binding)

    def bind_pull(self, binding: Binding) -> None:
        """Binds what this object chooses by, where it pulls."""
        node = self.node
        if not binding.flag(node, "Pull"):
            return
        self.pulls = True
        self.repulls = binding.variable(node, "pullcontinuous")
        strategy = binding.whole(node, "PullStrategy")
        if strategy is not None:
            self.pull_port = lambda: strategy(None)
        requirement = binding.whole(node, "PullRequirement")
        if requirement is None or node.settings.get("PullRequirement") is not None:
            self.pull_requirement = requirement or (lambda item: 0)

    def bind_route(self, binding: Binding) -> None:
        """Binds SendToPort; a port that is not there is reported, and its item stays."""
        route = binding.whole(self.node, "SendToPort")
        if route is None:
            return
        self.reroutes = binding.variable(self.node, "sendtocontinuous")
        count, name, world = len(self.outputs), self.name, binding.world

        def checked(item: Item) -> int:
            port = route(item)
            if port > count:
                world.warn(
                    "port", f"SendToPort of {name!r} gives port {port}, beyond the {count} there are; the item stays"
                )
            return port

        self.route = checked

    def settle_flow(self) -> None:
        """Finds out whether the short way of moving items will do, once ports, routes and transport are known."""
        self.plain_flow = self.route is None and self.transport is None and not any(peer.pulls for peer in self.peers)
        self.simple = self.plain_flow and not self._output_closures

    # --- Moving items -------------------------------------------------------------------------------------------------

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        """Takes an item in; returns this object when it releases the item at once, else None."""
        raise TypeError(f"{self.name!r} takes no items")

    def admit(self, item: Item, sender: FixedResource) -> None:
        """Books an item in: room, statistics, trigger."""
        self.book_in(item)
        self.room -= 1
        if self.on_entry is not None:
            self.on_entry(item, self.input_port(sender))

    def leave(self, item: Item, peer: FixedResource) -> None:
        """Books an item out."""
        if self.on_exit is not None:
            self.tell_exit(item, peer)
        # What `book_out` does, written out: every item of every station passes here.
        del self.items[item]
        self.room += 1
        self.sent += 1
        stay = self.calendar.now - item.entered
        self.stay_total += stay
        if stay < self.stay_least:
            self.stay_least = stay
        if stay > self.stay_most:
            self.stay_most = stay

    def input_port(self, sender: FixedResource) -> int:
        """Returns the number of the port at which a sender is connected, 0 for one that is not."""
        return self.inputs.index(sender) + 1 if sender in self.inputs else 0

    def tell_exit(self, item: Item, peer: FixedResource) -> None:
        """Calls the OnExit trigger, before the item has left."""
        self.on_exit(item, self.outputs.index(peer) + 1 if peer in self.outputs else 0)
        if item.holder is not self:
            raise Fault(f"OnExit of {self.name!r} takes away the item that is leaving", code="unsupported")

    def detach(self, item: Item, peer: FixedResource) -> None:
        """Takes an item out at any time, whatever goes on with it; raises `Unsupported` where that cannot be undone."""
        if item in self.fetched:
            raise Unsupported(f"{item.name!r} in {self.name!r} is called for by a transport and cannot be taken away")
        self.abandon(item)
        self.waiting.pop(item, None)
        self.leave(item, peer)
        self.took()

    def abandon(self, item: Item) -> None:
        """Ends what goes on with an item inside, before a script takes it away."""
        self.cancel(item)

    def cancel(self, item: Item) -> list[Callable[[Any], None]]:
        """Takes the events of an item off the calendar, held ones too; returns their callbacks."""
        held = [event for event in self._frozen if event.argument is item]
        self._frozen = [event for event in self._frozen if event.argument is not item]
        return [event.callback for event in (*held, *self.calendar.withdraw(self, item))]

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
            self._call_peers()
            return None
        peers = self.outputs if port == 0 else self.outputs[port - 1 : port] if port > 0 else ()
        for peer in peers if not self._output_closures else ():
            if peer is not None and peer.room > 0 and (not peer.pulls or peer.wants(item, self)):
                return self.send(item, peer)
        self.waiting[item] = port
        self.blocked()
        return None

    def send(self, item: Item, peer: FixedResource) -> FixedResource | None:
        """Hands an item to a peer that has room: at once, or by calling for its transport.

        Returns the peer when it releases the item at once.
        """
        if self.transport is None:
            self.leave(item, peer)
            return peer.enter(item, self)
        self.fetched[item] = peer
        peer.expect(item, self)
        self.transport(item, peer)
        self.awaiting_transport()
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
        self.calendar.spend(MAX_HOPS)
        self.calendar.after(0.0, at.release, item)

    def blocked(self) -> None:
        """Called when a released item is the first to wait."""

    def awaiting_transport(self) -> None:
        """Called when a transport has been called for."""

    def receive(self, _: Any = None) -> None:
        """Takes waiting items from upstream as long as there is room for them."""
        while self.room > 0:
            for sender in self.eligible() if self.pulls else self.inputs:
                waiting = sender.waiting
                if waiting:
                    if sender.simple:
                        for item in reversed(waiting) if sender.newest_first else waiting:  # noqa: B007
                            break  # the first one, without the cost of a call
                        break
                    chosen = sender.choose(self)
                    if chosen is not None:
                        item = chosen
                        break
            else:
                return
            del sender.waiting[item]
            if sender.transport is not None:
                sender.send(item, self)
                continue
            sender.leave(item, self)
            if sender.room <= sender.watched_room:
                sender.took()
            at = self.enter(item, sender)
            if at is not None:
                at.release(item)

    def eligible(self) -> Sequence[FixedResource]:
        """Returns the inputs that an object that pulls looks at now, in the order in which it does."""
        if self.pull_port is None:
            return self.inputs
        only = self._chosen_port
        if only is None or self.repulls:
            # Asked for once per item, as the next one is looked for, unless the script wants it continuously.
            only = self._chosen_port = self.pull_port()
        return self.inputs[only - 1 : only] if only > 0 else self.inputs

    def choose(self, peer: FixedResource) -> Item | None:
        """Returns the waiting item that goes to a peer with room, None when none is bound for it."""
        if self._output_closures:
            return None
        waiting = self.waiting
        for item in reversed(waiting) if self.newest_first else waiting:
            port = waiting[item]
            if self.reroutes and self.route is not None and port >= 0:
                port = waiting[item] = self.route(item)
            bound_for_peer = port == 0 or (port > 0 and self.outputs[port - 1 : port] == [peer])
            if bound_for_peer and (peer.pull_requirement is None or peer.pull_requirement(item)):
                peer._chosen_port = None
                return item
        return None

    def wants(self, item: Item, sender: FixedResource) -> bool:
        """Whether an object that pulls takes this item now."""
        if sender not in self.eligible():
            return False
        if self.pull_requirement is not None and not self.pull_requirement(item):
            return False
        self._chosen_port = None
        return True

    def took(self) -> None:
        """Called when a peer took a waiting item: the room that has appeared here is filled by an event of its own."""
        for sender in self.inputs:
            if sender.waiting:
                self.calendar.after(0.0, self.receive)
                return

    def _call_peers(self) -> None:
        """Lets every peer with room look for an item, in an event of its own."""
        for peer in self.peers:
            if peer.room > 0:
                self.calendar.after(0.0, peer.receive)

    # --- Transport ----------------------------------------------------------------------------------------------------

    def expect(self, item: Item, sender: FixedResource) -> None:
        """Keeps a place for an item that is about to be brought."""
        self.room -= 1
        self.expected += 1

    def pick_up(self, item: Item) -> FixedResource:
        """Lets go of an item that a transport was called for; returns the peer it is bound for."""
        peer = self.fetched.pop(item)
        self.leave(item, peer)
        if self.room <= self.watched_room:
            self.took()
        return peer

    def arrive(self, item: Item, sender: FixedResource) -> None:
        """Takes in an item for which a place was kept."""
        self.expected -= 1
        self.room += 1
        at = self.enter(item, sender)
        if self.stops:
            self.freeze()
        if at is not None:
            at.release(item)

    # --- Ports --------------------------------------------------------------------------------------------------------

    def close_input(self, reason: int = BY_SCRIPT) -> None:
        """Lets no item in; those under way with a transport still arrive."""
        if not self._input_closures:
            self.room -= CLOSED
        self._input_closures |= reason

    def open_input(self, reason: int = BY_SCRIPT) -> None:
        """Withdraws one reason for which the input is closed."""
        if self._input_closures & reason:
            self._input_closures &= ~reason
            if not self._input_closures:
                self.room += CLOSED
                self.calendar.after(0.0, self.receive)

    def close_output(self, reason: int = BY_SCRIPT) -> None:
        """Lets no item out; what is released waits."""
        self._output_closures |= reason
        self.simple = False

    def open_output(self, reason: int = BY_SCRIPT) -> None:
        """Withdraws one reason for which the output is closed."""
        if self._output_closures & reason:
            self._output_closures &= ~reason
            if not self._output_closures:
                self.simple = self.plain_flow
                if self.waiting:
                    self._call_peers()

    def stop_input(self) -> None:
        """Closes the input once more: it opens when every stop has been resumed."""
        self._port_stops[0] += 1
        self.close_input(BY_STOPPED_PORT)

    def resume_input(self) -> None:
        """Takes back one stop of the input."""
        self._port_stops[0] = max(0, self._port_stops[0] - 1)
        if not self._port_stops[0]:
            self.open_input(BY_STOPPED_PORT)

    def stop_output(self) -> None:
        """Closes the output once more: it opens when every stop has been resumed."""
        self._port_stops[1] += 1
        self.close_output(BY_STOPPED_PORT)

    def resume_output(self) -> None:
        """Takes back one stop of the output."""
        self._port_stops[1] = max(0, self._port_stops[1] - 1)
        if not self._port_stops[1]:
            self.open_output(BY_STOPPED_PORT)

    def stop(self, state: int, key: Any = 0) -> None:
        super().stop(state, key)
        self.close_input(BY_STOP)
        self.close_output(BY_STOP)

    def resume(self, key: Any = 0) -> None:
        super().resume(key)
        if not self.halts:
            self.open_input(BY_STOP)
            self.open_output(BY_STOP)

    def release_to(self, item: Item, port: int) -> None:
        """Releases an item inside, to one port or (0) to any; one that waits already is bound anew."""
        self.waiting.pop(item, None)
        self.plain_flow = self.simple = False  # from now on the ports of the waiting items count
        peers = self.outputs if port == 0 else self.outputs[port - 1 : port] if port > 0 else ()
        for peer in peers if not self._output_closures else ():
            if peer is not None and peer.room > 0 and (not peer.pulls or peer.wants(item, self)):
                at = self.send(item, peer)
                if self.room <= self.watched_room:
                    self.took()
                if at is not None:
                    at.release(item)
                return
        self.waiting[item] = port
        self.blocked()
