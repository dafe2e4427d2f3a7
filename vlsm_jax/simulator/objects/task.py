"""Tasks and task sequences: what a task executer is told to do, step by step."""

from __future__ import annotations

import enum
from typing import Any

MAX_TASKS = 10_000
"""Tasks of one sequence, so that a script cannot fill the memory with them."""


class TaskType(enum.IntEnum):
    """What a task is; the numbers are those of FlexSim's TASKTYPE_ constants."""

    LOAD = 1
    FRLOAD = 2
    UNLOAD = 3
    FRUNLOAD = 4
    UTILIZE = 5
    STOPREQUESTBEGIN = 6
    STOPREQUESTFINISH = 7
    TRAVEL = 8
    TRAVELTOLOC = 9
    TRAVELRELATIVE = 10
    BREAK = 11
    DELAY = 12
    SENDMESSAGE = 13
    TE_ALLOCATED = 14
    MOVEOBJECT = 15
    DESTROYOBJECT = 16
    SETNODENUM = 17
    PICKOFFSET = 18
    PLACEOFFSET = 19
    TAG = 20
    CT_ALLOCATE = 21
    CT_DEALLOCATE = 22
    CT_SYNC = 23
    CALLSUBTASKS = 24
    TE_RETURN = 25
    TE_STOP = 26
    MILESTONE = 27
    CT_MULTIALLOCATE = 28
    NODEFUNCTION = 29
    STARTANIMATION = 30
    STOPANIMATION = 31
    FREEOPERATORS = 32
    WAITFORTASK = 33
    MESSAGE = 34


class Preempt(enum.IntEnum):
    """What a sequence of higher priority does to the one that is being executed."""

    NOT = 0
    ONLY = 1
    AND_ABORT_ACTIVE = 2
    AND_ABORT_ALL = 3


class Task:
    """One step of a sequence.

    Attributes:
      type: a `TaskType`, or another number, which cannot be executed.
      involved1, involved2: what it is about; their meaning depends on the type.
      variables: four values, var1 to var4.
      executed: whether it was done at least once, for steps that a milestone does not repeat.
      begun: whether it is being done, or was when the executer was called away.
      left: seconds left of a delay that was interrupted, None otherwise.
    """

    __slots__ = ("begun", "executed", "involved1", "involved2", "left", "type", "variables")

    def __init__(self, type: int, involved1: Any = None, involved2: Any = None, *variables: Any):
        self.type = type
        self.involved1 = involved1
        self.involved2 = involved2
        self.variables = [*variables, 0, 0, 0, 0][:4] if variables else [0, 0, 0, 0]
        self.executed = False
        self.begun = False
        self.left: float | None = None

    @property
    def name(self) -> str:
        """As in FlexScript: "TASKTYPE_TRAVEL"."""
        return f"TASKTYPE_{TaskType(self.type).name}" if 1 <= self.type <= len(TaskType) else f"task type {self.type}"


class TaskSequence:
    """Tasks that one executer does in order.

    Attributes:
      dispatcher: the running object that it is dispatched to, later the one that it waits at.
      priority: the higher, the sooner.
      preempt: a `Preempt`; counts when the priority is higher than that of the active sequence.
      tasks: in order.
      cursor: how many tasks are done; goes back to a milestone.
      dispatched: whether it was given to its dispatcher.
      started: whether an executer has begun with it.
      returns_to: the sequence that called it by CALLSUBTASKS, to go on with when this one is done.
      labels: what scripts attach to it.
      finished: whether it is done, or was given up.
    """

    __slots__ = (
        "cursor", "dispatched", "dispatcher", "finished", "labels", "preempt", "priority", "returns_to", "started",
        "tasks",
    )  # fmt: skip

    def __init__(self, dispatcher: Any, priority: float = 0, preempt: int = Preempt.NOT):
        self.dispatcher = dispatcher
        self.priority = priority
        self.preempt = preempt
        self.tasks: list[Task] = []
        self.cursor = 0
        self.dispatched = False
        self.started = False
        self.returns_to: TaskSequence | None = None
        self.labels: dict[str, Any] = {}
        self.finished = False

    def add(self, type: int, involved1: Any = None, involved2: Any = None, *variables: Any) -> Task:
        """Adds a task to the end and returns it."""
        task = Task(type, involved1, involved2, *variables)
        self.tasks.append(task)
        return task

    @property
    def current(self) -> Task | None:
        """The first task that is not done, None behind the last one."""
        return self.tasks[self.cursor] if self.cursor < len(self.tasks) else None

    def revert(self) -> None:
        """Goes back to the last milestone that answers for the current task: its range counts tasks behind it."""
        for place in range(self.cursor - 1, -1, -1):
            task = self.tasks[place]
            if task.type == TaskType.MILESTONE and place + task.variables[0] >= self.cursor:
                self.cursor = place
                return
