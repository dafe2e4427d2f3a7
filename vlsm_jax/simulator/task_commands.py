"""Task sequences as scripts make and read them: commands, `TaskSequence`, and what executers show of their work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import Fault, Vocabulary
from vlsm_jax.flexscript.values import copied, describe, to_float, to_int
from vlsm_jax.flexscript.vocabulary import DOUBLE, INT, NODE, VARIANT, Command, Members, Namespace, TypeSpec
from vlsm_jax.simulator.objects.dispatcher import Dispatcher
from vlsm_jax.simulator.objects.executer import TaskExecuter
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.objects.operators import MAX_OPERATORS, request
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.task import MAX_TASKS, Preempt, Task, TaskSequence, TaskType
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World

MAX_LABELS = 1000
_UNFINISHED, _ACTIVE, _FINISHED = 1, 2, 3

# --- Making sequences -------------------------------------------------------------------------------------------------


def create(world: World, dispatcher: Any, priority: Any = 0, preempt: Any = 0) -> TaskSequence:
    """`TaskSequence.create(dispatcher, priority, preempt)` and `createemptytasksequence`."""
    node = _node(dispatcher, "a task sequence")
    return TaskSequence(node, to_float(priority), _preempt(preempt))


def add_task(world: World, sequence: Any, kind: Any, *details: Any) -> Task:
    """`sequence.addTask(type, involved1, involved2, var1, var2, var3, var4)` and `inserttask`."""
    tasks = _sequence(sequence, "a task")
    if len(tasks.tasks) >= MAX_TASKS:
        raise Fault(f"a task sequence has more than {MAX_TASKS} tasks", code="budget")
    involved = [None if isinstance(value, (int, float)) and value == 0 else value for value in details[:2]]
    task = tasks.add(to_int(kind), *involved, *details[2:])
    if isinstance(tasks.dispatcher, TaskExecuter):
        tasks.dispatcher.sequence_grew(tasks)
    return task


def dispatch(world: World, sequence: Any) -> int:
    """`sequence.dispatch()` and `dispatchtasksequence`."""
    tasks = _sequence(sequence, "dispatch()")
    if tasks.dispatched:
        raise Fault("the task sequence is dispatched already", code="task", hint="create another one")
    dispatcher = _dispatcher(world, tasks.dispatcher, "dispatch()")
    if dispatcher is not None:
        tasks.dispatched = True
        dispatcher.receive(tasks)
    return 1


def move(world: World, sequence: Any, target: Any) -> int:
    """`sequence.move(dispatcher)`: into the queue of another dispatcher."""
    tasks = _sequence(sequence, "move()")
    dispatcher = _dispatcher(world, target, "move()")
    if dispatcher is None:
        return 0
    if isinstance(tasks.dispatcher, TaskExecuter) and tasks.dispatcher.active is tasks:
        raise Fault("a task sequence that is being executed cannot be moved", code="task")
    _take_out(tasks)
    tasks.dispatched = True
    dispatcher.wait(tasks)
    dispatcher.hand_out()
    if isinstance(dispatcher, TaskExecuter):
        dispatcher.look_for_work()
    return 1


def finish(world: World, sequence: Any) -> int:
    """`sequence.finish()`: nothing more of it is done; its current task still ends."""
    tasks = _sequence(sequence, "finish()")
    _take_out(tasks)
    del tasks.tasks[tasks.cursor + 1 :]
    return 1


def _take_out(sequence: TaskSequence) -> None:
    at = sequence.dispatcher
    if isinstance(at, Dispatcher) and sequence in at.queue:
        at.queue.remove(sequence)


def request_operators(
    world: World, dispatcher: Any, station: Any, involved: Any, count: Any, priority: Any = 0, preempt: Any = 0
) -> int:
    """`requestoperators(dispatcher, station, involved, count, priority, preempting)`."""
    team = _dispatcher(world, dispatcher, "requestoperators()")
    if team is None:
        return 0
    live = _node(station, "requestoperators()").live
    if not isinstance(live, LiveObject):
        raise Fault("requestoperators() needs a station that takes part in the run", code="task")
    wanted = to_int(count)
    if wanted > MAX_OPERATORS:
        raise Fault(f"more than {MAX_OPERATORS} operators are called at once", code="budget")
    request(team, live, involved, wanted, to_float(priority), _preempt(preempt))
    return 1


def free_operators(world: World, dispatcher: Any, involved: Any) -> int:
    """`freeoperators(dispatcher, involved)`: ends the utilize tasks that are about this."""
    team = _dispatcher(world, dispatcher, "freeoperators()")
    if team is not None:
        team.free(involved)
    return 1


def _ready_made(*tasks: tuple) -> Callable[..., TaskSequence]:
    """One of the old commands that make and dispatch a short sequence.

    Each task is its type, and the places of its involved objects and variables among the arguments; the last two
    arguments are the priority and the preempting value.
    """

    def make(world: World, dispatcher: Any, *arguments: Any) -> TaskSequence:
        sequence = create(world, dispatcher, *arguments[-2:])
        for kind, *places in tasks:
            add_task(world, sequence, kind, *(None if place is None else arguments[place] for place in places))
        dispatch(world, sequence)
        return sequence

    return make


# --- Reading sequences ------------------------------------------------------------------------------------------------


def _sequence_at(world: World, dispatcher: Any, rank: Any) -> TaskSequence | None:
    """`gettasksequence(dispatcher, rank)`: of the queue; 0 for the active one."""
    live = _node(dispatcher, "gettasksequence()").live
    at = to_int(rank)
    if at == 0:
        return getattr(live, "active", None)
    return live.queue[at - 1] if isinstance(live, Dispatcher) and 1 <= at <= len(live.queue) else None


def _task_at(sequence: Any, rank: Any) -> Task:
    tasks = _sequence(sequence, "a task").tasks
    at = to_int(rank)
    if not 1 <= at <= len(tasks):
        hint = f"the sequence has {len(tasks)} tasks"
        raise Fault("Array index out of bounds", code="array index", hint=hint)
    return tasks[at - 1]


def _task_state(sequence: Any, rank: Any) -> int:
    task = _task_at(sequence, rank)
    place = to_int(rank) - 1
    if place < sequence.cursor:
        return _FINISHED
    return _ACTIVE if task.begun else _UNFINISHED


def _involved(sequence: Any, rank: Any, number: Any) -> Any:
    task = _task_at(sequence, rank)
    return task.involved1 if to_int(number) == 1 else task.involved2


def _variable(sequence: Any, rank: Any, number: Any) -> Any:
    variables = _task_at(sequence, rank).variables
    at = to_int(number)
    return variables[at - 1] if 1 <= at <= len(variables) else 0


def _left(sequence: Any) -> int:
    tasks = _sequence(sequence, "getnroftasks()")
    return len(tasks.tasks) - tasks.cursor


def _set_preempt(sequence: Any, value: Any) -> int:
    _sequence(sequence, "setpreempt()").preempt = _preempt(value)
    return 1


# --- Arguments --------------------------------------------------------------------------------------------------------


def _node(value: Any, what: str) -> Node:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, Node):
        return value
    raise Fault(f"{what} needs an object, not {describe(value)}", code="null reference" if value is None else "type")


def _dispatcher(world: World, value: Any, what: str) -> Dispatcher | None:
    """Returns a running dispatcher; None, with a warning, while the script still builds."""
    if isinstance(value, Dispatcher):
        return value
    node = _node(value, what)
    if isinstance(node.live, Dispatcher):
        return node.live
    if world.clock is None:
        world.warn("no effect", f"{what} has no effect while the model is built", "call it from a trigger")
        return None
    kind = node.cls.name if node.cls is not None else "plain node"
    hint = "use a task executer or a Dispatcher"
    raise Fault(f"{what} needs a task executer, {node.name!r} is a {kind}", code="type", hint=hint)


def _sequence(value: Any, what: str) -> TaskSequence:
    if isinstance(value, TaskSequence):
        return value
    raise Fault(
        f"{what} needs a task sequence, not {describe(value)}", code="null reference" if value is None else "type"
    )


def _preempt(value: Any) -> int:
    number = to_int(value)
    if Preempt.NOT <= number <= Preempt.AND_ABORT_ALL:
        return number
    raise Fault(f"a preempting value is 0 to 3, not {describe(value)}", code="argument", hint="use PREEMPT_ONLY")


# --- Tables -----------------------------------------------------------------------------------------------------------


def _bound(function: Callable[..., Any], result: str, minimum: int, maximum: int) -> Command:
    return Command(function, result, minimum, maximum, True)


def table() -> Mapping[str, Command]:
    """Returns the commands by name."""
    travel, load, unload = (TaskType.TRAVEL, 0), (TaskType.LOAD, 1, 0), (TaskType.UNLOAD, 1, 0)
    return {
        "createemptytasksequence": _bound(create, NODE, 1, 3),
        "inserttask": _bound(add_task, NODE, 2, 8),
        "dispatchtasksequence": _bound(dispatch, INT, 1, 1),
        "movetasksequence": _bound(move, INT, 2, 2),
        "requestoperators": _bound(request_operators, INT, 4, 6),
        "freeoperators": _bound(free_operators, INT, 2, 2),
        "createtraveltask": _bound(_ready_made(travel), NODE, 4, 4),
        "createloadtask": _bound(_ready_made(load), NODE, 5, 5),
        "createunloadtask": _bound(_ready_made(unload), NODE, 5, 5),
        "createtravelloadtask": _bound(_ready_made(travel, load), NODE, 5, 5),
        "createtravelunloadtask": _bound(_ready_made(travel, unload), NODE, 5, 5),
        "createdelaytask": _bound(_ready_made((TaskType.DELAY, None, None, 0, 1)), NODE, 5, 5),
        "gettasksequence": _bound(_sequence_at, NODE, 2, 2),
        "getnroftasks": Command(_left, INT, 1, 1),
        "gettotalnroftasks": Command(lambda s: len(_sequence(s, "gettotalnroftasks()").tasks), INT, 1, 1),
        "gettasktype": Command(lambda s, rank: int(_task_at(s, rank).type), INT, 2, 2),
        "gettaskinvolved": Command(_involved, NODE, 3, 3),
        "gettaskvariable": Command(_variable, DOUBLE, 3, 3),
        "gettaskstate": Command(_task_state, INT, 2, 2),
        "getpreempt": Command(lambda s: int(_sequence(s, "getpreempt()").preempt), INT, 1, 1),
        "setpreempt": Command(_set_preempt, INT, 2, 2),
    }


def _read_label(sequence: TaskSequence, name: str) -> Any:
    if name in sequence.labels:
        return sequence.labels[name]
    raise Fault(f'Property "{name}": Label does not exist', code="missing label", hint="assign it first")


def _write_label(sequence: TaskSequence, name: str, value: Any) -> None:
    if name not in sequence.labels and len(sequence.labels) >= MAX_LABELS:
        raise Fault(f"more than {MAX_LABELS} labels on one task sequence", code="budget")
    sequence.labels[name] = copied(value)


def _rank(sequence: TaskSequence) -> int:
    queue = getattr(sequence.dispatcher, "queue", ())
    return queue.index(sequence) + 1 if sequence in queue else 0


def _set_priority(sequence: TaskSequence, value: Any) -> None:
    sequence.priority = to_float(value)


def _sequence_members() -> Members:
    return Members(
        {
            "priority": lambda sequence: sequence.priority,
            "preempt": lambda sequence: int(sequence.preempt),
            "rank": _rank,
            "tasks": lambda sequence: list(sequence.tasks),
            "currentTask": lambda sequence: sequence.current,
        },
        {"priority": _set_priority, "preempt": _set_preempt},
        {
            "addTask": _bound(add_task, VARIANT, 1, 7),
            "dispatch": _bound(dispatch, INT, 0, 0),
            "move": _bound(move, INT, 1, 1),
            "finish": _bound(finish, INT, 0, 0),
        },
        missing=_read_label,
        assign_missing=_write_label,
    )


def _task_members() -> Members:
    def read(place: int) -> Callable[[Task], Any]:
        return lambda task: task.variables[place]

    def write(place: int) -> Callable[[Task, Any], None]:
        return lambda task, value: task.variables.__setitem__(place, value)

    return Members(
        {
            "type": lambda task: int(task.type),
            "involved1": lambda task: task.involved1,
            "involved2": lambda task: task.involved2 if not isinstance(task.involved2, TaskSequence) else None,
            **{f"var{place + 1}": read(place) for place in range(4)},
        },
        {f"var{place + 1}": write(place) for place in range(4)},
    )


def _active(node: Node) -> TaskSequence | None:
    return getattr(node.live, "active", None)


def _active_task(node: Node) -> Task | None:
    sequence = _active(node)
    return sequence.current if sequence is not None else None


def _waiting(node: Node) -> list[TaskSequence]:
    return list(node.live.queue) if isinstance(node.live, Dispatcher) else []


_NODE_GETTERS = {"activeTaskSequence": _active, "activeTask": _active_task, "taskSequences": _waiting}


def _to_sequence(value: Any) -> TaskSequence | None:
    if value is None or isinstance(value, TaskSequence):
        return value
    if isinstance(value, (int, float)) and value == 0:
        return None
    raise Fault(f"expected a task sequence, got {describe(value)}", code="type")


def _to_task(value: Any) -> Task | None:
    if value is None or isinstance(value, Task):
        return value
    raise Fault(f"expected a task, got {describe(value)}", code="type")


def _nothing() -> None:
    return None


def _counting(read: Callable[..., Any]) -> Callable[..., Any]:
    """`getvarnum` that also knows the transports on their way, which no script sets."""

    def counted(world: World, node: Any, variable: Any) -> float:
        live = node.live if isinstance(node, Node) else None
        if isinstance(live, FixedResource) and isinstance(variable, str):
            if variable == "nroftransportsout":
                return float(len(live.fetched))
            if variable == "nroftransportsin":
                return float(live.expected)
        return read(world, node, variable)

    return counted


def extend(vocabulary: Vocabulary) -> Vocabulary:
    """Returns a vocabulary with task sequences added."""
    node = vocabulary.members[Node]
    with_tasks = dataclasses.replace(node, getters={**node.getters, **_NODE_GETTERS})
    counted = vocabulary.commands["getvarnum"]
    return vocabulary.extended(
        commands={**table(), "getvarnum": dataclasses.replace(counted, function=_counting(counted.function))},
        namespaces={"TaskSequence": Namespace({"create": _bound(create, "TaskSequence", 1, 3)})},
        types={
            "TaskSequence": TypeSpec("TaskSequence", _nothing, _to_sequence),
            "TaskSequence.Task": TypeSpec("TaskSequence.Task", _nothing, _to_task),
        },
        members={Node: with_tasks, TaskSequence: _sequence_members(), Task: _task_members()},
        kinds={"TaskSequence": TaskSequence, "TaskSequence.Task": Task},
        hints={"taskSequence": "declare it first: TaskSequence taskSequence = param(1);"},
    )
