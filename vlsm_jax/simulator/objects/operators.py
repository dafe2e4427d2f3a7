"""Operators of a station: called when a phase begins, free again when it ends.

The station is held until all who were called have come; its input stays open. Each of them gets the sequence
milestone, travel, end of the hold, utilize, so that one who is called away from his work begins again from the way to
the station, which is held until he is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlsm_jax.simulator.constants import PROCESSING, SETUP, WAITING_FOR_OPERATOR
from vlsm_jax.simulator.objects.dispatcher import Dispatcher, as_dispatcher, default_reference
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.processor import Processor
from vlsm_jax.simulator.objects.task import TaskSequence, TaskType
from vlsm_jax.simulator.objects.transport import option_number, warn_of_nobody
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

MAX_OPERATORS = 1000
"""Operators of one call."""


class StationCrew:
    """The operators that a station calls for its items; see `Crew`.

    Attributes:
      numbers: how many operators each phase needs, 0 for a phase that needs none.
      keeps: whether the operators of the setup stay for the processing.
    """

    def __init__(self, binding: Binding, station: Processor):
        node = station.node
        self.station = station
        self._binding = binding
        self._reference = default_reference(binding, node, station.name, "OperatorRef", "an operator")
        self._priority = binding.number(node, "OperatorPriority")
        self._preempt = option_number(binding, node, "OperatorPreempt")
        self.numbers = {
            SETUP: _number(binding, node, "UseSetupOperators", "NumSetupOperators"),
            PROCESSING: _number(binding, node, "UseProcessOperators", "NumProcessOperators"),
        }
        self.keeps = all(self.numbers.values()) and binding.flag(node, "UseSameNumOperators")
        self._what = f"OperatorRef of {station.name!r}"
        self._with: dict[Item, Dispatcher] = {}

    def call(self, item: Item, phase: int) -> None:
        """Calls for the operators of a phase, unless those of the phase before stay."""
        if not self.numbers[phase] or item in self._with:
            return
        station = self.station
        trigger = 1 if phase == SETUP else 2
        dispatcher = as_dispatcher(self._binding, self._reference(item, trigger), self._what)
        if dispatcher is not None:
            self._with[item] = dispatcher
            warn_of_nobody(self._binding, dispatcher, self._what, self.numbers[phase])
            request(dispatcher, station, item, self.numbers[phase], self._priority, self._preempt)

    def free(self, item: Item, phase: int) -> None:
        """Lets the operators of an item go at the end of a phase, unless they stay for the next one."""
        if phase == SETUP and self.keeps:
            return
        dispatcher = self._with.pop(item, None)
        if dispatcher is not None:
            dispatcher.free(item)


def request(
    dispatcher: Dispatcher, station: LiveObject, involved: Any, count: int, priority: float, preempt: int
) -> None:
    """Calls operators to a station, which is held until all of them have come, as `requestoperators` does."""
    sequences = []
    for _ in range(min(count, MAX_OPERATORS)):
        sequence = TaskSequence(dispatcher, priority, preempt)
        sequence.add(TaskType.MILESTONE, None, None, 3)
        sequence.add(TaskType.TRAVEL, station.node)
        sequence.add(TaskType.STOPREQUESTFINISH, station.node, sequence)
        sequence.add(TaskType.UTILIZE, involved, station.node)
        station.pause(WAITING_FOR_OPERATOR, sequence)
        sequences.append(sequence)
    for sequence in sequences:
        dispatcher.receive(sequence)


def assign(binding: Binding, node: Node, live: LiveObject) -> None:
    """Gives a station the crew that its settings ask for."""
    if not isinstance(live, Processor):
        return
    if not (binding.flag(node, "UseSetupOperators") or binding.flag(node, "UseProcessOperators")):
        return
    crew = StationCrew(binding, live)
    if crew.numbers[SETUP] and live.setup is None:
        live.setup = lambda item: 0.0  # a setup without time still needs its operators
    live.crew = crew


def _number(binding: Binding, node: Node, flag: str, name: str) -> int:
    return min(MAX_OPERATORS, binding.count(node, name)) if binding.flag(node, flag) else 0
