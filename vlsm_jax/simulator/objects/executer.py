"""Task executers: they travel, load, unload and are utilized, one task of a sequence after the other.

Whatever an executer does begins in an event of its own, so that no chain of objects is too long for the stack. A task
that takes time ends in another event; both carry the number of the turn that scheduled them, and an executer that is
called away begins a new turn.

Approximations: moves begin and end at rest, whatever end speed a task asks for; an executer that is called away stands
at once; a fork, hoist or arm is back in its rest position whenever a move begins, unless its class says otherwise.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.simulator.constants import IDLE, WAITING_FOR_OPERATOR
from vlsm_jax.simulator.kernel import Calendar, ZeroTimeLoop
from vlsm_jax.simulator.objects import travel
from vlsm_jax.simulator.objects.dispatcher import Dispatcher
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.network import Network, Stop, point_of
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.objects.task import Preempt, Task, TaskSequence, TaskType
from vlsm_jax.simulator.objects.task_steps import BEGIN, BINDING, HINTS, live_of
from vlsm_jax.simulator.objects.travel import Move, Point
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

Timing = Callable[[Item, Any], float]
Step = Callable[[], bool]

_TASKS_AT_ONCE = 100_000
"""More tasks than this at one time are a loop."""


class TaskExecuter(Dispatcher):
    """One running task executer.

    Attributes:
      active: the sequence that it executes, None when it has nothing to do.
      position: where the x/y centre of its base is, or where its hoist, platform or hand is.
      capacity: how many items it carries before it stops breaking off to fetch more.
      load_time, unload_time: seconds for an item at a station.
      speed, acceleration, deceleration: m/s and m/s².
      travels_offsets: whether it goes on to the item itself, once it is at its station.
      network: the paths that it is bound to, None when it goes straight.
      bound: items aboard that were called for: where they come from, and where a place is kept for them.
      at_node: the network node where it stands or that it left to go to an item.
      break_to: chooses the sequence to break to, None for the first one that has not been started.
      on_load, on_unload: triggers with (item, station).
      on_entry, on_exit: triggers with (item, port).
      extras: does what tasks ask of the world: messages, values and code.
    """

    __slots__ = (
        "_at_edge", "_home", "_move", "_moved_at", "_turn", "_working", "acceleration", "active", "at_node", "bound",
        "break_to", "capacity", "deceleration", "extras", "load_time", "network", "on_entry", "on_exit", "on_load",
        "on_unload", "position", "speed", "travels_offsets", "unload_time",
    )  # fmt: skip

    initial_state = IDLE
    executes = True
    navigates = True
    """Whether a travel task moves it where there is no network."""

    def __init__(self, calendar: Calendar, node: Node, name: str):
        super().__init__(calendar, node, name)
        self.active: TaskSequence | None = None
        self.position: Point = travel.reference_point(node)
        self.capacity = 1
        self.load_time: Timing = _no_time
        self.unload_time: Timing = _no_time
        self.speed = 2.0
        self.acceleration = 1.0
        self.deceleration = 1.0
        self.travels_offsets = True
        self.network: Network | None = None
        self.at_node: Node | None = None
        self.break_to: Callable[..., TaskSequence | None] | None = None
        self.on_load: Callable[[Item, Any], Any] | None = None
        self.on_unload: Callable[[Item, Any], Any] | None = None
        self.on_entry: Hook | None = None
        self.on_exit: Hook | None = None
        self.extras: Any = None
        self._at_edge: tuple[Stop, ...] = ()
        self.bound: dict[Item, tuple[FixedResource, FixedResource]] = {}
        self._home = tuple(node.location)
        self._move: Move | None = None
        self._moved_at = 0.0
        self._turn = 0
        self._working = False

    def configure(self, binding: Binding) -> None:
        """Reads what a class adds to the settings of every task executer."""

    def start(self) -> None:
        # A reset trigger may have placed it anew.
        self.position = self.rest_position()

    def rest_position(self) -> Point:
        """Returns where the executer begins, from its place in the tree."""
        return travel.reference_point(self.node)

    # --- Sequences ----------------------------------------------------------------------------------------------------

    def available(self, asking: frozenset = frozenset()) -> bool:
        return self.active is None and not self.queue and not self.stops

    def may_leave(self, sequence: TaskSequence) -> bool:
        # What is aboard can only be unloaded by the executer that carries it.
        return not any(task.involved1 in self.items for task in sequence.tasks if isinstance(task.involved1, Item))

    def _pass(self, sequence: TaskSequence) -> None:
        active = self.active
        if active is None and not self.stops:
            self.start_with(sequence)
        elif active is not None and not self.stops and sequence.preempt and sequence.priority > active.priority:
            self._preempt(sequence)
        else:
            super()._pass(sequence)

    def start_with(self, sequence: TaskSequence) -> None:
        """Makes a sequence the active one."""
        self.active = sequence
        sequence.dispatcher = self
        sequence.started = True
        if not self._working:
            self._wake()

    def _preempt(self, sequence: TaskSequence) -> None:
        self._interrupt()
        active = self.active
        self.active = None
        if sequence.preempt == Preempt.ONLY:
            self.wait(active, first=True)
        else:
            self._abort(active)
            if sequence.preempt == Preempt.AND_ABORT_ALL:
                waiting, self.queue = self.queue, []
                for each in waiting:
                    self._abort(each)
        self.start_with(sequence)
        self.hand_out()

    def _abort(self, sequence: TaskSequence) -> None:
        sequence.finished = True
        if sequence.returns_to is not None:
            self._abort(sequence.returns_to)
        held = any(task.type in BINDING and not task.executed for task in sequence.tasks[sequence.cursor :])
        if held:
            hint = "preempt with 1, so that the sequence is taken up again"
            self.warn("aborted", f"{self.name!r} gives up a task sequence that an object waits for", hint)

    def _interrupt(self) -> None:
        """Leaves the current task: it is begun anew when the sequence is taken up again, from its milestone on."""
        self._turn += 1
        self.calendar.withdraw(self)
        now = self.calendar.now
        if self._move is not None:
            self._stand(now - self._moved_at)
        sequence = self.active
        task = sequence.current if sequence is not None else None
        if task is None:
            return
        if task.begun:
            if task.type == TaskType.UTILIZE and task.involved2 is not None:
                live_of(task.involved2).pause(WAITING_FOR_OPERATOR, task)
                task.executed = True
            elif task.type == TaskType.DELAY and task.left is not None:
                task.left = max(0.0, task.left - now)
            task.begun = False
        if not self._working:
            sequence.revert()

    def pause(self, state: int, key: Any) -> None:
        """Holds the executer; what it was doing is begun anew when it goes on."""
        first = not self.stops
        super().pause(state, key)
        if first and not self._working:
            self._interrupt()
            self._frozen.clear()

    def go_on(self, key: Any) -> None:
        paused = bool(self.stops)
        super().go_on(key)
        if paused and not self.stops:
            self._wake()

    def _wake(self) -> None:
        self._turn += 1
        self.calendar.after(0.0, self._go, (self._turn, None))

    def _go(self, due: tuple[int, Step | None]) -> None:
        turn, step = due
        if turn != self._turn or self.stops:
            return
        if step is not None:
            sequence = self.active
            task = sequence.current
            self._working = True
            try:
                done = step()
            finally:
                self._working = False
            if not self._stepped(sequence, task, done):
                return
        self._work()

    def _stepped(self, sequence: TaskSequence, task: Task, done: bool) -> bool:
        """Books a step of the current task; says whether the executer goes on at once."""
        if done:
            task.begun = False
            task.executed = True
            tasks, cursor = sequence.tasks, sequence.cursor
            if cursor < len(tasks) and tasks[cursor] is task:
                sequence.cursor = cursor + 1
        elif self.active is sequence and not self.stops:
            return False
        elif self.active is not sequence:
            # Called away in the middle of the step: what it scheduled does not count.
            self._turn += 1
            self._move = None
        if self.stops:
            if self.active is not None:
                self._interrupt()
            return False
        return True

    def _work(self) -> None:
        """Goes on until a task takes time or nothing is left to do."""
        count_one = self.calendar.count_one
        for _ in range(_TASKS_AT_ONCE):
            count_one()
            sequence = self.active
            if sequence is None:
                if not self._next(None):
                    return
                continue
            tasks, cursor = sequence.tasks, sequence.cursor
            if cursor >= len(tasks):
                self._finish(sequence)
                if self.active is None:
                    return
                continue
            task = tasks[cursor]
            begin = BEGIN.get(task.type)
            if begin is None:
                raise Unsupported(
                    f"{self.name!r} is given a {task.name}, which is not supported",
                    hint=HINTS.get(task.type, "use other tasks"),
                )
            task.begun = True
            self._working = True
            try:
                done = begin(self, task)
            finally:
                self._working = False
            if not self._stepped(sequence, task, done):
                return
        raise ZeroTimeLoop(
            f"{self.name!r} begins more than {_TASKS_AT_ONCE} tasks at time {self.calendar.now:g}",
            hint="give one of them a time greater than 0",
        )

    def _finish(self, sequence: TaskSequence) -> None:
        sequence.finished = True
        self.active = None
        if sequence.returns_to is not None:
            self.active = sequence.returns_to
            return
        self._next(sequence)

    def _next(self, finished: TaskSequence | None) -> bool:
        """Takes up the next sequence; says whether there is one."""
        self._working = True
        try:
            if finished is not None and self.on_available is not None:
                following = self.queue[0] if self.queue else None
                if self.on_available(0, self.node, following, finished) == 1:
                    return self._rest()
            if self.active is None and not self.stops:
                if self.queue:
                    self.start_with(self.queue.pop(0))
                else:
                    self._ask(finished)
        finally:
            self._working = False
        return self._rest()

    def _ask(self, finished: TaskSequence | None) -> bool:
        return any(leader.supply(self, self, finished, frozenset((self,))) for leader in self.leaders)

    def _rest(self) -> bool:
        if self.active is None:
            if self.state != IDLE:
                self.set_state(IDLE)
            return False
        return True

    def look_for_work(self) -> None:
        """Begins with what waits here, where there is nothing else to do."""
        if self.active is None and not self.stops and not self._working:
            self._wake()

    def release_from(self, involved: Any) -> None:
        """Ends a utilize task that is about this, as `freeoperators` does.

        Where it was the last one, the executer is available at once: what its station asks for next, the operators of
        the processing or a transport, finds it beside the station.
        """
        sequence = self.active
        task = sequence.current if sequence is not None else None
        if task is None or task.type != TaskType.UTILIZE or not task.begun or task.involved1 != involved:
            return
        self._complete(sequence, task)
        if sequence.current is None and not self.stops and not self._working:
            self._finish(sequence)

    def sequence_grew(self, sequence: TaskSequence) -> None:
        """Goes on where the executer waits for the next task of this sequence."""
        task = sequence.current
        if self.active is sequence and task is not None and task.type == TaskType.WAITFORTASK and task.begun:
            self._complete(sequence, task)

    def _complete(self, sequence: TaskSequence, task: Task) -> None:
        task.begun = False
        sequence.cursor += 1
        self._wake()

    # --- Time and moves -----------------------------------------------------------------------------------------------

    def spend_then(self, seconds: float, state: int, then: Step) -> bool:
        """Spends time in a state before the next step; a time of 0 leaves no trace."""
        if seconds <= 0:
            return then()
        if state and state != self.state:
            self.set_state(state)
        self._turn = turn = self._turn + 1
        self.calendar.after(seconds, self._go, (turn, then))
        return False

    def travel_then(self, move: Move | None, state: int, then: Step) -> bool:
        """Moves before the next step; `state` is that of an empty executer, the next number that of a loaded one."""
        if move is None:
            return then()
        self._move = move
        self._moved_at = self.calendar.now
        return self.spend_then(move.duration, state + bool(self.items), functools.partial(self._arrived, then))

    def _arrived(self, then: Step) -> bool:
        move = self._move
        self._move = None
        self.position = move.points[-1]
        if move.stops:
            self.at_node, self._at_edge = move.stops[-1], ()
        self._show_place()
        return then()

    def _stand(self, elapsed: float) -> None:
        """Stays where it is on its way."""
        move = self._move
        self._move = None
        self.position, leg = move.at(elapsed)
        if move.stops:
            # On the way to its first stop it can go back, and from a path that leads both ways to either end.
            behind, ahead = move.stops[leg], move.stops[leg + 1]
            both = behind is not None and self.network.leads_on(ahead, behind)
            self.at_node, self._at_edge = None, (behind, ahead) if both else (ahead,)
        self._show_place()

    def _show_place(self) -> None:
        """Lets scripts see where the executer is."""
        x, y, z = self.position
        node = self.node
        size, location = node.size, node.location
        location.x, location.y, location.z = x - size.x / 2, y + size.y / 2, z

    def go_home(self) -> None:
        """Puts the object in the tree back to where a script placed it."""
        location = self.node.location
        location.x, location.y, location.z = self._home

    def profile(self, distance: float, seconds: float = 0.0) -> travel.Profile:
        """Returns the speed over a distance; steady, and so that it takes a given time, where there is one."""
        if seconds > 0:
            return travel.trapezoid(distance, distance / seconds)
        speed = self.speed
        if not speed > 0:
            travel.positive_speed(speed, f"MaxSpeed of {self.name!r}")
        return travel.trapezoid(distance, speed, self.acceleration, self.deceleration)

    def way_to(self, node: Node, *, force: bool = False, seconds: float = 0.0) -> Move | None:
        """Returns the move of a travel task, None where it goes nowhere."""
        if self.network is not None and (self.at_node is not None or self._at_edge):
            goals = self.network.nodes_at(node)
            if goals:
                if self.at_node in goals and not force:
                    return None
                return self._along_paths(node, goals, seconds)
            message = f"{node.name!r} is attached to no network node; {self.name!r} goes there in a straight line"
            self.warn("network", message, f'contextdragconnection(a network node, {node.name}, "A")')
        elif not self.navigates:
            return None
        live = node.live
        goal = live.position if isinstance(live, TaskExecuter) else travel.reference_point(node)
        return self._straight_to(goal, seconds)

    def _straight_to(self, goal: Point, seconds: float) -> Move | None:
        whole = math.dist(self.position, goal)
        # The front edge arrives, not the centre.
        distance = max(0.0, whole - self.node.size.x / 2)
        if distance <= travel.NEAR:
            return None
        end = travel.between(self.position, goal, distance / whole)
        return travel.straight(self.position, end, self.profile(distance, seconds))

    def _along_paths(self, node: Node, goals: Any, seconds: float) -> Move | None:
        starts = self._at_edge or (self.at_node,)
        found = self.network.way([(start, math.dist(self.position, point_of(start))) for start in starts], list(goals))
        if found is None:
            raise Fault(
                f"no path leads from {self.name!r} to {node.name!r}",
                code="network",
                hint="connect the network nodes with each other",
            )
        points = (self.position, *map(point_of, found.stops))
        profile = self.profile(found.length, seconds)
        return Move(points, profile, profile.duration, (None, *found.stops))

    def offset_to(self, target: Point, item: Item | None) -> Move | None:
        """Returns the move to a point, for an item or (None) to stand there; None where it stands there already."""
        distance = math.dist(self.position, target)
        if distance <= travel.NEAR:
            return None
        return travel.straight(self.position, target, self.profile(distance))

    def loaded_offset(self, station: Any, item: Item) -> Move | None:
        """Returns the move to an item at its station, or to its place there; None where it does not move."""
        return self.offset_to(travel.place_in(station, item), item) if self.travels_offsets else None


def _no_time(item: Item, station: Any) -> float:
    return 0.0
