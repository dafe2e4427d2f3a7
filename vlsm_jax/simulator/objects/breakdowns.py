"""Breakdowns: the tool MTBFMTTR, which stops its members at random and lets them go on after repair.

Up time passes while the member is in one of the counted states, so that a machine need not wear while it is idle or
blocked; without counted states it passes with model time. The first failure comes after FirstFailureTime, each further
one when UpTime has passed since the repair; the repair takes DownTime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.tools import Tool, all_tools
from vlsm_jax.simulator.tree import Node

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding

_NEAR = 1e-9


class Failures:
    """One sequence of failures and repairs, of one member or of several that fail together.

    Attributes:
      key: under which the members are stopped.
      members: what fails; the states of the first one are counted.
      first, up, down: give the seconds to the first failure, between repair and failure, and of a repair.
      state: of the members while they are down.
      counted: states in which up time passes; empty for all.
      failures: how many there were.
    """

    __slots__ = (
        "_calendar", "_check_is_due", "_counts_since", "_is_down", "_left", "counted", "down", "failures", "first",
        "key", "members", "state", "up",
    )  # fmt: skip

    def __init__(
        self,
        calendar: Calendar,
        key: Any,
        members: Sequence[LiveObject],
        times: tuple[Callable[[], float], Callable[[], float], Callable[[], float]],
        state: int,
        counted: frozenset[int],
    ):
        self._calendar = calendar
        self.key = key
        self.members = tuple(members)
        self.first, self.up, self.down = times
        self.state = state
        self.counted = counted
        self.failures = 0
        self._left = 0.0
        self._counts_since: float | None = None
        self._check_is_due = False
        self._is_down = False
        if counted:
            watch(self.members[0], self._changed)

    def start(self) -> None:
        """Begins with the time to the first failure."""
        self._wait(self.first())

    def _wait(self, seconds: float) -> None:
        self._left = seconds
        self._counts_since = None
        self._changed(self.members[0].shown_state)

    def _changed(self, state: int) -> None:
        """Lets up time pass, or not, as the first member's state changes."""
        if self._is_down:
            return
        now = self._calendar.now
        if not self.counted or state in self.counted:
            if self._counts_since is None:
                self._counts_since = now
                if not self._check_is_due:
                    self._schedule(self._left)
        elif self._counts_since is not None:
            self._left -= now - self._counts_since
            self._counts_since = None

    def _schedule(self, seconds: float) -> None:
        # One event at most: it may come too early, when up time stood still in between, and is then put off.
        self._check_is_due = True
        self._calendar.after(seconds, self._check)

    def _check(self, _: Any) -> None:
        self._check_is_due = False
        if self._counts_since is None or self._is_down:
            return
        now = self._calendar.now
        left = self._left - (now - self._counts_since)
        if left > _NEAR * max(1.0, now):
            self._schedule(left)
            return
        self._is_down = True
        self.failures += 1
        for member in self.members:
            member.stop(self.state, self.key)
        self._calendar.after(self.down(), self._repair)

    def _repair(self, _: Any) -> None:
        for member in self.members:
            member.resume(self.key)
        self._is_down = False
        self._wait(self.up())


def watch(live: LiveObject, told: Callable[[int], None]) -> None:
    """Lets a function know the state that an object shows, whenever it may have changed.

    The object gets a class of its own, so that one that nobody watches pays nothing.
    """
    cls = type(live)

    class Watched(cls):  # type: ignore[valid-type, misc]
        __slots__ = ()

        def set_state(self, state: int) -> None:
            cls.set_state(self, state)
            told(self._shown_state)

        def _show(self, state: int) -> None:
            cls._show(self, state)
            told(self._shown_state)

    Watched.__name__ = cls.__name__
    live.__class__ = Watched


def running_members(binding: Binding, tool: Tool) -> list[LiveObject]:
    """Returns the members of a tool that take part in the run; warns of the others."""
    found = []
    for node in tool.members:
        live = binding.live.get(node)
        if isinstance(live, LiveObject):
            found.append(live)
        else:
            message = f"{node.name!r}, a member of {tool.name!r}, takes no part in the run and is not stopped"
            binding.world.warn("unused", message)
    return found


def bind(binding: Binding) -> list[Failures]:
    """Returns the breakdowns of a model."""
    found: list[Failures] = []
    for tool in all_tools(binding.world.tree, "MTBFMTTR"):
        if not binding.flag(tool, "Enabled"):
            continue
        members = running_members(binding, tool)
        if not members:
            continue
        if _missing(binding, tool):
            continue
        state = int(binding.number(tool, "DownState"))
        counted = frozenset(binding.setting(tool, "CountedStates") or ())
        if tool.settings.get("RangeCutoff"):
            binding.world.warn("unsupported", f"RangeCutoff of {tool.name!r} has no effect: it is not simulated")
        together = not binding.flag(tool, "BreakIndividually")
        if together and counted and len(members) > 1:
            message = f"members of {tool.name!r} break down together: the states of {members[0].name!r} are counted"
            binding.world.warn("assumed", message)
        for group in [members] if together else [[member] for member in members]:
            found.append(Failures(binding.calendar, tool, group, _times(binding, tool, group[0].node), state, counted))
    return found


def _missing(binding: Binding, tool: Tool) -> bool:
    missing = [name for name in ("UpTime", "DownTime") if binding.setting(tool, name) is None]
    for name in missing:
        binding.world.warn("unused", f"{tool.name!r} has no {name}; it never breaks anything down", f"set {name}")
    return bool(missing)


def _times(binding: Binding, tool: Tool, member: Node) -> tuple[Callable[[], float], ...]:
    def of(name: str) -> Callable[[], float]:
        # Members that break down one by one have random streams of their own.
        owner = binding.names.get(member, member.name)
        duration = binding.duration_of(tool, f"{name} of {owner!r} in", binding.setting(tool, name))
        return lambda: duration(member)

    up = of("UpTime")
    first = up if binding.setting(tool, "FirstFailureTime") is None else of("FirstFailureTime")
    return first, up, of("DownTime")
