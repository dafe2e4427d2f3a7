"""The event calendar: a heap of (time, sequence, callback, argument), run until a stop time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from vlsm_jax.flexscript import OutOfBudget

_BATCH = 4096
_LAST_TICKET = 1 << 62
ZERO_TIME_EVENTS = 100_000
"""More events than this at one time stamp are a loop."""


class ZeroTimeLoop(OutOfBudget):
    """The model stands still: events follow each other without time passing."""


class _Stop(Exception):
    """The stop time is reached."""


class Pending(NamedTuple):
    """An event taken off the calendar, with the seconds that were left to it."""

    left: float
    callback: Callable[[Any], None]
    argument: Any


class Calendar:
    """Model time and what is due.

    Events of the same time run in the order in which they were scheduled, so a run depends on its seed alone. Budgets
    are looked at once in so many events, so that the loop itself stays short.

    Attributes:
      now: model time in seconds.
      heap: what is due, for `heapq`; busy resources push onto it directly.
      ticket: gives the sequence numbers that break ties.
      events: how many events ran.
    """

    __slots__ = ("_check", "_check_every", "_counted", "_max_events", "events", "heap", "now", "ticket")

    def __init__(self, *, max_events: int, check: Callable[[], None], check_every: int = _BATCH):
        self.now = 0.0
        self.heap: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self.ticket = itertools.count().__next__
        self.events = 0
        self._max_events = max_events
        self._check = check
        self._check_every = max(1, min(_BATCH, check_every))
        self._counted = 0

    def after(self, delay: float, callback: Callable[[Any], None], argument: Any = None) -> None:
        """Schedules a callback; a negative delay counts as none."""
        due = self.now + delay if delay > 0 else self.now
        heapq.heappush(self.heap, (due, self.ticket(), callback, argument))

    def withdraw(self, owner: Any, argument: Any = None) -> list[Pending]:
        """Takes every event of an object off the calendar, the next one first: its callbacks are the object's methods.

        With an argument, only the events that carry it.

        Events are looked through one by one, which is cheap beside a stop of the object and costs nothing without one.
        """
        heap = self.heap
        taken = [
            entry
            for entry in heap
            if getattr(entry[2], "__self__", None) is owner and (argument is None or entry[3] is argument)
        ]
        if not taken:
            return []
        taken.sort()
        tickets = {entry[1] for entry in taken}
        # In place, since a running loop holds on to the list.
        heap[:] = [entry for entry in heap if entry[1] not in tickets]
        heapq.heapify(heap)
        return [Pending(entry[0] - self.now, entry[2], entry[3]) for entry in taken]

    def restore(self, events: list[Pending]) -> None:
        """Puts events back, each after the time that was left to it, in the order in which they were withdrawn."""
        for event in events:
            self.after(event.left, event.callback, event.argument)

    def run(self, until: float) -> None:
        """Runs every event due up to and including `until`, then leaves the time at `until`.

        Raises:
          OutOfBudget: too many events, or too much wall-clock time.
          ZeroTimeLoop: more than `ZERO_TIME_EVENTS` events at one time stamp.
        """
        heap, pop = self.heap, heapq.heappop
        # The end is an event too, the last one of its time, so that the loop need not look at the clock.
        heapq.heappush(heap, (until, _LAST_TICKET, _stop, None))
        still = 0
        done = 0
        try:
            while True:
                start, before = self.now, self.events
                batch = min(self._check_every, max(1, self._max_events + 1 - before))
                for done in range(batch):  # noqa: B007
                    self.now, _, callback, argument = pop(heap)
                    callback(argument)
                self.events += batch
                done = 0
                still = still + self.events - before if self.now == start else 0
                if still > ZERO_TIME_EVENTS:
                    raise ZeroTimeLoop(
                        f"more than {ZERO_TIME_EVENTS} events at time {self.now:g}",
                        hint=f"give one of these objects a time greater than 0: {', '.join(self._due_now())}",
                    )
                self._check_budgets()
        except _Stop:
            self.events += done
            self._check_budgets()

    def counted(self, count: int) -> Iterator[int]:
        """Yields `count` times within one event, under the same budgets as that many events."""
        for turn in range(count):
            self.count_one()
            yield turn

    def count_one(self) -> None:
        """Counts one step within an event, as `counted` does for each turn."""
        self._counted += 1
        if self._counted == self._check_every:
            self.events += self._counted
            self._counted = 0
            self._check_budgets()

    def spend(self, count: int) -> None:
        """Counts work within one event as that many events; raises `OutOfBudget` at once."""
        self.events += count
        if self.events > self._max_events:
            self._check_budgets()

    def _check_budgets(self) -> None:
        if self.events > self._max_events:
            raise OutOfBudget(f"more than {self._max_events} events", hint="raise Budget.events")
        self._check()

    def _due_now(self) -> list[str]:
        names: list[str] = []
        for time, _, callback, _ in self.heap[:1000]:
            name = getattr(getattr(callback, "__self__", None), "name", None)
            if time == self.now and isinstance(name, str) and name not in names:
                names.append(name)
        return names[:10]


def _stop(_: Any) -> None:
    raise _Stop
