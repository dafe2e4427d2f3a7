"""What tasks do beyond their executer: items that change hands, sequences to break to, messages, values and code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.values import describe, to_float, truth
from vlsm_jax.simulator import run_commands
from vlsm_jax.simulator.commands import read_node, write_node
from vlsm_jax.simulator.objects import transport
from vlsm_jax.simulator.objects.dispatcher import Dispatcher, as_dispatcher
from vlsm_jax.simulator.objects.executer import TaskExecuter
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.task import Task, TaskSequence, TaskType
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class TaskActions:
    """Does what tasks ask of the world, for every executer of a run."""

    def __init__(self, binding: Binding):
        self._binding = binding

    # --- Items --------------------------------------------------------------------------------------------------------

    def load(self, executer: TaskExecuter, item: Item, station: LiveObject, port: int) -> None:
        """Puts an item of a station into the executer."""
        transport.pick_up(executer, item, station, port)

    def unload(self, executer: TaskExecuter, item: Item, station: LiveObject, port: int) -> None:
        """Puts an item of the executer into a station."""
        transport.set_down(executer, item, station, port)

    def move_object(self, executer: TaskExecuter, task: Task) -> None:
        """Moves an item without any time of its own: out of a station, an executer, or into one."""
        item = task.involved1
        target = task.involved2.live if isinstance(task.involved2, Node) else None
        if not isinstance(item, Item) or item.holder is None or target is None:
            raise Fault("TASKTYPE_MOVEOBJECT needs an item and an object of the run", code="task")
        carrier = _Carrier(item.holder)
        transport.pick_up(carrier, item, item.holder, int(to_float(task.variables[0])))
        transport.set_down(carrier, item, target, 0)

    def destroy_object(self, executer: TaskExecuter, task: Task) -> None:
        """Ends an item."""
        if not isinstance(task.involved1, Item):
            raise Unsupported(f"TASKTYPE_DESTROYOBJECT of {describe(task.involved1)} is not supported")
        transport.end(task.involved1)

    # --- Other sequences ----------------------------------------------------------------------------------------------

    def chosen(self, executer: TaskExecuter, task: Task, subtasks: bool) -> TaskSequence | None:
        """Returns the sequence that a BREAK or CALLSUBTASKS task leads to, None for none."""
        if isinstance(task.involved2, TaskSequence):
            return self._checked(task.involved2)
        if task.involved1 is not None:
            return self._checked(self._ask(executer, task))
        if executer.break_to is not None:
            if not subtasks and not truth(task.variables[1]):
                self._draw_in(executer)
            return self._checked(executer.break_to(executer.active, int(subtasks), *task.variables))
        new = next((sequence for sequence in executer.queue if not sequence.started), None)
        if new is None and not truth(task.variables[1]) and not subtasks:
            new = _from_leaders(executer, {executer})
        return new

    def _draw_in(self, executer: TaskExecuter) -> None:
        """Lets a sequence of an upstream dispatcher into the queue, where nothing new is in it."""
        if all(sequence.started for sequence in executer.queue):
            new = _from_leaders(executer, {executer})
            if new is not None:
                executer.wait(new)

    def _checked(self, value: Any) -> TaskSequence | None:
        if value is None or (isinstance(value, (int, float)) and value == 0):
            return None
        if isinstance(value, TaskSequence):
            return None if value.finished else value
        raise Fault(f"a task sequence to break to is expected, not {describe(value)}", code="type")

    def _ask(self, executer: TaskExecuter, task: Task) -> Any:
        return run_commands.send_message(self._binding.world, task.involved1, executer.node, *task.variables[:3])

    # --- Messages, values, code ---------------------------------------------------------------------------------------

    def send_message(self, executer: TaskExecuter, task: Task) -> None:
        """Sends a message, at once or later."""
        target = task.involved1 if task.involved1 is not None else executer.node
        sender = task.involved2 if task.involved2 is not None else executer.node
        if task.type == TaskType.MESSAGE:
            delay, *parameters = task.variables
            at_once, delay = to_float(delay) == -1, max(0.0, to_float(delay))
        else:
            *parameters, delay = task.variables
            at_once, delay = to_float(delay) == 0, max(0.0, to_float(delay))
        world = self._binding.world
        if at_once:
            run_commands.send_message(world, target, sender, *parameters)
        else:
            run_commands.send_delayed_message(world, target, delay, sender, *parameters)

    def set_number(self, executer: TaskExecuter, task: Task) -> None:
        """Sets, or increases, the value of a node."""
        world, node = self._binding.world, task.involved1
        value = to_float(task.variables[0])
        if truth(task.variables[1]):
            value += to_float(read_node(world, node))
        write_node(world, node, value)

    def call_function(self, executer: TaskExecuter, task: Task) -> None:
        """Runs the code of a node, with the executer or another object and the variables as parameters."""
        text = read_node(self._binding.world, task.involved1)
        if not isinstance(text, str):
            raise Fault("TASKTYPE_NODEFUNCTION needs a node with code", code="task")
        code = self._binding.world.compile_text(text, "TASKTYPE_NODEFUNCTION")
        if not code.ok:
            first = next(d for d in code.diagnostics if d.severity.value == "error")
            raise Fault(f"TASKTYPE_NODEFUNCTION: {first.message}", code=first.code, hint=first.hint)
        first = task.involved2 if task.involved2 is not None else executer.node
        code.run(task.involved1, (first, *task.variables))

    def free_operators(self, executer: TaskExecuter, task: Task) -> None:
        """Ends the utilize tasks of another executer, or of a team."""
        dispatcher = as_dispatcher(self._binding, task.involved1, "TASKTYPE_FREEOPERATORS")
        if dispatcher is not None:
            dispatcher.free(task.involved2 if task.involved2 is not None else executer.node)


class _Carrier(TaskExecuter):
    """Hands that move an item for a moment; they belong to nobody, so no figure counts them."""

    __slots__ = ()

    def __init__(self, holder: FixedResource | TaskExecuter):
        super().__init__(holder.calendar, holder.node, holder.name)


def _from_leaders(executer: Dispatcher, asked: set[Dispatcher]) -> TaskSequence | None:
    """Takes the next sequence from the queue of an upstream dispatcher, None where all are empty."""
    for leader in executer.leaders:
        if leader in asked:
            continue
        asked.add(leader)
        for sequence in leader.queue:
            if leader.may_leave(sequence) and not sequence.started:
                leader.queue.remove(sequence)
                return sequence
        found = _from_leaders(leader, asked)
        if found is not None:
            return found
    return None
