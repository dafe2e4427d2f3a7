"""Time tables: scheduled down times of their members, as rows of time, state and duration, once or repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsm_jax.flexscript.values import to_float, to_int
from vlsm_jax.simulator.constants import STATES, state_number
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.breakdowns import running_members
from vlsm_jax.simulator.objects.live_object import LiveObject
from vlsm_jax.simulator.tables import read_rows
from vlsm_jax.simulator.tools import Tool, all_tools

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class DownPeriod(NamedTuple):
    """One row: seconds from the start of the table, the state of the members meanwhile, and seconds that it lasts."""

    time: float
    state: int
    duration: float


class Schedule:
    """A time table at work.

    Periods may touch or overlap: each has a key of its own, and at the same time a stop comes before a resume, so the
    members stay down throughout.

    Attributes:
      members: what is stopped.
      periods: the rows.
      repeat: seconds after which the rows come again, 0 for never.
    """

    __slots__ = ("_calendar", "_tool", "members", "periods", "repeat")

    def __init__(
        self,
        calendar: Calendar,
        tool: Tool,
        members: Sequence[LiveObject],
        periods: Sequence[DownPeriod],
        repeat: float,
    ):
        self._calendar = calendar
        self._tool = tool
        self.members = tuple(members)
        self.periods = tuple(periods)
        self.repeat = repeat

    def start(self) -> None:
        """Schedules every row."""
        for number, period in enumerate(self.periods):
            self._calendar.after(period.time, self._down, number)

    def _down(self, number: int) -> None:
        period = self.periods[number]
        if self.repeat > 0:
            self._calendar.after(self.repeat, self._down, number)
        for member in self.members:
            member.stop(period.state, (self._tool, number))
        self._calendar.after(period.duration, self._up, number)

    def _up(self, number: int) -> None:
        for member in self.members:
            member.resume((self._tool, number))


def bind(binding: Binding) -> list[Schedule]:
    """Returns the time tables of a model."""
    found: list[Schedule] = []
    for tool in all_tools(binding.world.tree, "TimeTable"):
        if not binding.flag(tool, "Enabled"):
            continue
        members = running_members(binding, tool)
        usual = to_int(binding.number(tool, "DownState"))
        rows = read_rows(tool.settings.get("Table")) or ()
        periods = [period for row in rows if (period := _period(binding, tool, row, usual)) is not None]
        repeat = max(0.0, binding.number(tool, "RepeatInterval"))
        if members and periods:
            found.append(Schedule(binding.calendar, tool, members, periods, repeat))
    return found


def _period(binding: Binding, tool: Tool, row: Sequence[Any], usual: int) -> DownPeriod | None:
    time, state, duration = (*row, 0, 0, 0)[:3]
    number = state_number(state) if isinstance(state, str) else to_int(state) or usual
    if number is None or not 0 < number < len(STATES):
        binding.world.warn("value", f"{tool.name!r} has a row with the state {state!r}; {usual} is taken for it")
        number = usual
    if to_float(duration) <= 0:
        return None
    return DownPeriod(max(0.0, to_float(time)), number, to_float(duration))
