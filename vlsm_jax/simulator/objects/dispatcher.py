"""The Dispatcher: takes task sequences and hands them to the members of its team.

A sequence is passed to the port that PassTo names. With port 0 it waits in the queue, ordered by QueueStrategy, and
goes to the first member, in the order of the output ports, that has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import to_float, to_int, truth
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.task import TaskSequence
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Code

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

MAX_WAITING = 100_000
"""Sequences that may wait at one dispatcher."""

_HANDS = 30
"""Through how many dispatchers a sequence may be passed at one time."""


class Dispatcher(LiveObject):
    """One running dispatcher; task executers are dispatchers too.

    Attributes:
      queue: sequences that wait, the next one first.
      outputs: what stands at the output ports; None where it is no dispatcher.
      team: the same without None.
      leaders: whose team this object belongs to, in the order of the input ports.
      pass_to: PassTo, None for port 0.
      strategy: QueueStrategy, None for the priority of the sequence.
      on_receive: trigger with (sequence).
      on_available: trigger with (port, executer, next sequence, finished sequence); handing out is its own business
        when it returns 1.
    """

    __slots__ = (
        "_passed", "leaders", "on_available", "on_receive", "outputs", "pass_to", "queue", "strategy", "team", "warn",
    )  # fmt: skip

    initial_state = 0
    executes = False

    def __init__(self, calendar: Calendar, node: Node, name: str):
        super().__init__(calendar, node, name)
        self.queue: list[TaskSequence] = []
        self.outputs: list[Dispatcher | None] = []
        self.team: list[Dispatcher] = []
        self.leaders: list[Dispatcher] = []
        self.pass_to: Callable[[TaskSequence], int] | None = None
        self.strategy: Callable[[TaskSequence], float] | None = None
        self.on_receive: Callable[..., Any] | None = None
        self.on_available: Callable[..., Any] | None = None
        self.warn: Callable[..., None] | None = None
        self._passed = 0

    def connect(self, binding: Binding) -> None:
        node, live = self.node, binding.live
        self.warn = binding.world.warn
        found = [live.get(wire.target) for wire in node.outputs]
        self.outputs = [other if isinstance(other, Dispatcher) else None for other in found]
        self.team = [member for member in self.outputs if member is not None]
        above = [live.get(wire.source) for wire in node.inputs]
        self.leaders = [other for other in above if isinstance(other, Dispatcher)]
        self.pass_to = _ruled(binding, node, "PassTo", to_int)
        if node.settings.get("QueueStrategy") is not None:
            self.strategy = _ruled(binding, node, "QueueStrategy", to_float) or (lambda sequence: 0.0)

    # --- Taking sequences ---------------------------------------------------------------------------------------------

    def receive(self, sequence: TaskSequence) -> None:
        """Takes a sequence: passes it on, or lets it wait."""
        sequence.dispatcher = self
        if self.on_receive is not None:
            self.on_receive(sequence)
            if sequence.dispatcher is not self or sequence.finished:
                return
        self._pass(sequence)

    def _pass(self, sequence: TaskSequence) -> None:
        port = self.pass_to(sequence) if self.pass_to is not None else 0
        if port == 0:
            self.wait(sequence)
            self.hand_out()
        elif port > 0:
            member = self.outputs[port - 1] if port <= len(self.outputs) else None
            if member is None:
                hint = f"{self.name!r} has {len(self.outputs)} output ports"
                raise Fault(f"PassTo of {self.name!r} gives port {port}: no executer is there", code="port", hint=hint)
            self._passed += 1
            if self._passed > _HANDS:
                hint = "check PassTo"
                raise Fault(f"{self.name!r} passes a task sequence on in a circle", code="dispatch", hint=hint)
            member.receive(sequence)
            self._passed = 0

    def wait(self, sequence: TaskSequence, *, first: bool = False) -> None:
        """Puts a sequence into the queue: behind those that rank as high, or in front of all."""
        queue = self.queue
        if len(queue) >= MAX_WAITING:
            raise Fault(f"more than {MAX_WAITING} task sequences wait at {self.name!r}", code="budget")
        sequence.dispatcher = self
        place = 0
        if not first:
            rank = self.rank(sequence)
            place = len(queue)
            while place and self.rank(queue[place - 1]) < rank:
                place -= 1
        queue.insert(place, sequence)

    def rank(self, sequence: TaskSequence) -> float:
        """Returns what the queue is ordered by, the highest first."""
        return sequence.priority if self.strategy is None else self.strategy(sequence)

    # --- Handing them out ---------------------------------------------------------------------------------------------

    def available(self, asking: frozenset = frozenset()) -> bool:
        """Whether a sequence given to this object would be begun at once."""
        if self in asking or self.queue or self.stops:
            return False
        asking |= {self}
        return any(member.available(asking) for member in self.team)

    def may_leave(self, sequence: TaskSequence) -> bool:
        """Whether a waiting sequence can be given to somebody else."""
        return True

    def hand_out(self) -> None:
        """Gives waiting sequences to members of the team that have nothing to do."""
        for sequence in list(self.queue):
            if not self.may_leave(sequence):
                continue
            member = next((member for member in self.team if member is not self and member.available()), None)
            if member is None:
                return
            self.queue.remove(sequence)
            member.receive(sequence)

    def supply(self, member: Dispatcher, executer: Dispatcher, finished: Any, asked: frozenset = frozenset()) -> bool:
        """Gives the next sequence to a member that has become available; says whether it got one."""
        if self in asked or self.stops:
            return False
        following = next((sequence for sequence in self.queue if self.may_leave(sequence)), None)
        if self.on_available is not None and executer.executes:
            port = self.outputs.index(member) + 1 if member in self.outputs else 0
            if truth(self.on_available(port, executer.node, following, finished)):
                return not executer.available()
            following = next((sequence for sequence in self.queue if self.may_leave(sequence)), None)
        if following is not None:
            self.queue.remove(following)
            member.receive(following)
            return True
        asked |= {self}
        return any(leader.supply(self, executer, finished, asked) for leader in self.leaders)

    def executers(self, seen: set[Dispatcher] | None = None) -> Iterator[Dispatcher]:
        """Yields every task executer that may do what is dispatched here, itself included."""
        seen = set() if seen is None else seen
        if self in seen:
            return
        seen.add(self)
        if self.executes:
            yield self
        for member in self.team:
            yield from member.executers(seen)

    def free(self, involved: Any) -> None:
        """Lets every executer go that is utilized for something, as `freeoperators` does."""
        for executer in list(self.executers()):
            executer.release_from(involved)


def _ruled(binding: Binding, node: Node, name: str, convert: Callable[[Any], Any]) -> Callable[[Any], Any] | None:
    """Returns a property that is a function of the sequence; None for its default and for a constant 0."""
    value = node.settings.get(name)
    if value is None:
        return None
    if isinstance(value, Code):
        run = binding.code(node, name, value).run
        return lambda sequence: convert(run(node, (sequence,)))
    number = convert(value)
    return (lambda sequence: number) if number else None


def create(binding: Binding, node: Node, name: str) -> Dispatcher:
    """Returns a running Dispatcher."""
    return Dispatcher(binding.calendar, node, name)


def as_dispatcher(binding: Binding, value: Any, what: str) -> Dispatcher | None:
    """Returns what a script gave as a task executer or dispatcher; None for 0 or NULL. Raises `Fault` otherwise."""
    if value is None or (isinstance(value, (int, float)) and value == 0):
        return None
    if type(value) is list and value:
        value = value[0]
    live = binding.live.get(value) if isinstance(value, Node) else None
    if isinstance(live, Dispatcher):
        return live
    given = f"{value.name!r}, a {value.cls.name}," if isinstance(value, Node) and value.cls is not None else "a value"
    raise Fault(
        f"{what} gives {given} that is no task executer and no dispatcher", code="type", hint="check the center ports"
    )


def default_reference(binding: Binding, node: Node, name: str, property_name: str, role: str) -> Callable[..., Any]:
    """Returns the default of TransportRef and OperatorRef: what stands at the first center port."""

    def first_center(*parameters: Any) -> Any:
        if node.centers:
            return node.centers[0].other(node)
        raise Fault(
            f"{property_name} of {name!r}: Array index out of bounds",
            code="no executer",
            hint=f'it has no center port; connect it to {role}: contextdragconnection({name}, {role.split()[-1]}, "S")',
        )

    value = node.settings.get(property_name)
    if value is None:
        return first_center
    if isinstance(value, Code):
        run = binding.code(node, property_name, value).run
        return lambda *parameters: run(node, parameters)
    return lambda *parameters: value
