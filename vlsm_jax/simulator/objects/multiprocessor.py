"""The MultiProcessor: one item at a time goes through a list of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.values import to_float, to_int
from vlsm_jax.simulator import codebody
from vlsm_jax.simulator.constants import BLOCKED, IDLE, PROCESSING, WAITING_FOR_TRANSPORT, state_number
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.dispatcher import Dispatcher, as_dispatcher, default_reference
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.operators import MAX_OPERATORS, request
from vlsm_jax.simulator.objects.resource import UNLIMITED, FixedResource
from vlsm_jax.simulator.objects.transport import warn_of_nobody
from vlsm_jax.simulator.tables import read_rows
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Code

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

DEFAULT_ROWS: Sequence[Sequence[Any]] = (("Process1", 10),)
"""The list of a MultiProcessor whose script sets none; FlexSim's own is not established."""


class Process(NamedTuple):
    """One row of the list.

    Attributes:
      name, state: what it is called, and the state of the MultiProcessor meanwhile.
      time: gives its seconds.
      operators: how many it needs.
      priority, preempt: of their task sequences.
      reference: gives the executer or dispatcher that they are asked from.
    """

    name: str
    state: int
    time: Callable[[Item], float]
    operators: int
    priority: float
    preempt: int
    reference: Callable[..., Any]


class MultiProcessor(FixedResource):
    """Takes one item, puts it through all processes in order, releases it, and takes the next when it has left.

    FlexSim has a state for each process, named after it. Here a process whose name is that of a state takes it, and
    every other is counted as processing; `process_time` tells them apart.

    Attributes:
      processes: the list.
      process_time: seconds in each process so far, of those that have ended.
      on_process_finish: trigger with the item and the number of the process.
    """

    __slots__ = ("_at", "_binding", "_crew", "on_process_finish", "process_time", "processes")

    initial_state = IDLE
    watched_room = UNLIMITED

    def __init__(self, calendar: Calendar, node: Node, name: str, processes: Sequence[Process]):
        super().__init__(calendar, node, name)
        self.room = 1
        self.processes = tuple(processes)
        self.process_time = [0.0] * len(self.processes)
        self.on_process_finish: Hook | None = None
        self._at: int | None = None
        self._binding: Binding | None = None
        self._crew: Dispatcher | None = None

    def connect(self, binding: Binding) -> None:
        super().connect(binding)
        self._binding = binding

    def enter(self, item: Item, sender: FixedResource) -> FixedResource | None:
        self.admit(item, sender)
        if item.holder is self:
            self._begin(item, 0)
        return None

    def _begin(self, item: Item, number: int) -> None:
        if number == len(self.processes):
            self._at = None
            self.release(item)
            if self.room > 0:
                self.receive()
            self._refresh()
            return
        process = self.processes[number]
        self._at = number
        seconds = process.time(item)
        self.process_time[number] += seconds
        self.calendar.after(seconds, self._finish, item)
        if process.operators:
            self._call(process, item, number)
        if self.stops:
            self.freeze()
        self._refresh()

    def _call(self, process: Process, item: Item, number: int) -> None:
        what = f"the operators of process {process.name!r} of {self.name!r}"
        dispatcher = as_dispatcher(self._binding, process.reference(item, number + 1), what)
        if dispatcher is not None:
            self._crew = dispatcher
            warn_of_nobody(self._binding, dispatcher, what, process.operators)
            request(dispatcher, self, item, process.operators, process.priority, process.preempt)

    def _finish(self, item: Item) -> None:
        number = self._at or 0
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.free(item)
        if self.on_process_finish is not None:
            self.on_process_finish(item, number + 1)
        if item.holder is self:
            self._begin(item, number + 1)
        else:
            self._at = None
            self.receive()
            self._refresh()

    def abandon(self, item: Item) -> None:
        if self._crew is not None:
            raise Unsupported(f"{self.name!r} works on {item.name!r} with operators; it cannot be taken away")
        if item not in self.waiting:
            self.cancel(item)
            self._at = None

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        self._refresh()

    def took(self) -> None:
        super().took()
        self._refresh()

    def awaiting_transport(self) -> None:
        self._refresh()

    def _refresh(self) -> None:
        if self._at is not None:
            state = self.processes[self._at].state
        elif self.items:
            state = WAITING_FOR_TRANSPORT if self.fetched and not self.waiting else BLOCKED
        else:
            state = IDLE
        if state != self.state:
            self.set_state(state)


def create(binding: Binding, node: Node, name: str) -> MultiProcessor:
    """Returns a running MultiProcessor; raises `Fault` for a list that cannot be read."""
    value = node.settings.get("ProcessTable")
    rows = DEFAULT_ROWS if value is None else read_rows(value)
    if value is None:
        binding.world.warn("assumed", f"ProcessTable of {name!r} is not set; one process of 10 s is assumed")
    if not rows:
        raise Fault(
            f"ProcessTable of {name!r} has no rows of names and times", code="value", hint='such as [["Wash", 20]]'
        )
    processes = [_process(binding, node, name, number, row) for number, row in enumerate(rows, 1)]
    return MultiProcessor(binding.calendar, node, name, processes)


def _process(binding: Binding, node: Node, name: str, number: int, row: Sequence[Any]) -> Process:
    title, time, operators, priority, preempt, reference = (*row, *("", 0, 0, 0, 0, "")[len(row) :])[:6]
    title = title if isinstance(title, str) and title else f"Process{number}"
    if isinstance(time, str):
        time = codebody.understand(time).value
    state = state_number(title)
    return Process(
        name=title,
        state=PROCESSING if state is None else state,
        time=binding.duration_of(node, f"ProcessTime{number}", time),
        operators=max(0, min(MAX_OPERATORS, to_int(operators))),
        priority=to_float(priority),
        preempt=to_int(preempt),
        reference=_reference(binding, node, name, number, reference),
    )


def _reference(binding: Binding, node: Node, name: str, number: int, text: Any) -> Callable[..., Any]:
    """Returns what gives the executers of a process: code, the name of an object, or the first center port."""
    if not isinstance(text, str) or not text:
        return default_reference(binding, node, name, "OperatorRef", "an operator")
    if text.startswith("current."):
        text = f"Object current = ownerobject(c); Object item = param(1); return {text};"
    if "return" in text or ";" in text or "(" in text:
        run = binding.code(node, f"OperatorRef{number}", Code(text)).run
        return lambda *parameters: run(node, parameters)
    return lambda *parameters: binding.world.find(binding.world.tree.model, text)
