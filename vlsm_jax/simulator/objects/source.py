"""The Source."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import to_float, to_int, to_text
from vlsm_jax.simulator.constants import BLOCKED, GENERATING
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.resource import FixedResource
from vlsm_jax.simulator.tables import has_headers, read_rows
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import ParameterValue

if TYPE_CHECKING:
    from vlsm_jax.simulator.binding import Binding


class Arrival(NamedTuple):
    """One row of an arrival schedule or sequence; `time` in seconds, unused in a sequence; labels by name."""

    time: float
    name: str
    quantity: int
    labels: tuple[tuple[str, Any], ...] = ()


class Source(FixedResource):
    """Creates items by inter-arrival times, by a schedule, or by a sequence; takes none in.

    Attributes:
      interval: gives the next inter-arrival time; its argument is the item that has left, None for the first.
      at_time_zero: whether the first item comes at once.
      created: items so far, over the whole run.
      next_number: gives the items of the model their numbers.
      on_creation: trigger with (item, row).
      rows: the schedule or sequence; empty for inter-arrival times.
      in_sequence: whether the next row follows when the last item of a row has left.
      repeats: whether the rows start over behind the last one.
    """

    __slots__ = (
        "_create_next", "_row", "_still_inside", "at_time_zero", "created", "in_sequence", "interval",
        "next_number", "on_creation", "repeats", "rows",
    )  # fmt: skip

    initial_state = GENERATING

    def __init__(
        self,
        calendar: Calendar,
        node: Node,
        name: str,
        interval: Callable[[Item | None], float],
        next_number: Callable[[], int],
    ):
        super().__init__(calendar, node, name)
        self.room = 0
        self.interval = interval
        self.at_time_zero = False
        self.created = 0
        self.next_number = next_number
        self.on_creation: Hook | None = None
        self.rows: tuple[Arrival, ...] = ()
        self.in_sequence = False
        self.repeats = False
        self._row = 0
        self._still_inside = 0
        self._create_next = self._create

    def start(self) -> None:
        if not self.rows:
            self.calendar.after(0.0 if self.at_time_zero else self.interval(None), self._create_next)
        elif self.in_sequence:
            self.calendar.after(0.0, self._begin_row, 0)
        else:
            self._schedule_rows()

    def _create(self, _: Any) -> None:
        calendar = self.calendar
        now = calendar.now
        item = Item(self.next_number(), now)
        self.created += 1
        if self.simple and self.on_creation is None and self.on_exit is None:
            # An item that can leave at once spends no time here, and needs no more booking than its count.
            for peer in self.peers:
                if peer.room > 0:
                    self.sent += 1
                    self.stay_least = 0.0
                    heappush(calendar.heap, (now + self.interval(item), calendar.ticket(), self._create_next, None))
                    at = peer.enter(item, self)
                    if at is not None:
                        at = at.offer(item)
                        if at is not None:
                            at.release(item)
                    return
        self._emit(item, 1)

    def _emit(self, item: Item, row: int) -> None:
        item.holder = self
        self.items[item] = None
        if self.on_creation is not None:
            self.on_creation(item, row)
            if item.holder is not self:
                return
        self.release(item)
        if item.holder is self:
            # An item that leaves at once is no content, with a trace or without.
            self.most = max(self.most, len(self.items))

    def leave(self, item: Item, peer: FixedResource) -> None:
        super().leave(item, peer)
        self.room = 0
        if self.state == BLOCKED and not self.waiting:
            self.set_state(GENERATING)
        if not self.rows:
            # The next delay is drawn when the item has left, so that a blocked Source does not fall behind.
            self.calendar.after(self.interval(item), self._create_next)
        elif self.in_sequence:
            self._still_inside -= 1
            if self._still_inside == 0:
                self.calendar.after(0.0, self._begin_row, self._row + 1)

    def blocked(self) -> None:
        self.set_state(BLOCKED)

    # --- Schedule and sequence ----------------------------------------------------------------------------------------

    def _schedule_rows(self, before: float = 0.0) -> None:
        for number, row in enumerate(self.rows):
            self.calendar.after(row.time - before, self._arrive, number)

    def _arrive(self, number: int) -> None:
        self._emit_row(number)
        if self.repeats and number == len(self.rows) - 1:
            # The first row comes again with the last one: its own time is waited for once, at the start.
            self._schedule_rows(self.rows[0].time)

    def _begin_row(self, number: int) -> None:
        if number >= len(self.rows):
            if not self.repeats:
                return
            number = 0
        self._row = number
        self._still_inside = self.rows[number].quantity
        if self._still_inside == 0:
            self.calendar.after(0.0, self._begin_row, number + 1)
        self._emit_row(number)

    def _emit_row(self, number: int) -> None:
        row = self.rows[number]
        for _ in self.calendar.counted(row.quantity):
            item = Item(self.next_number(), self.calendar.now)
            self.created += 1
            if row.name:
                item.name = row.name
            if row.labels:
                item.labels = dict(row.labels)
            self._emit(item, number + 1)


def arrivals(value: ParameterValue | None, in_sequence: bool) -> tuple[Arrival, ...]:
    """Reads an arrival table: rows [time, name, quantity] of a schedule, [name, quantity] of a sequence.

    Further columns are labels of the items, named in a first row of headers. Raises `Fault` for anything else.
    """
    if value is None:
        return (Arrival(0.0, "Product", 1),)
    rows = read_rows(value)
    if rows is None:
        raise Fault("an arrival table is an array of rows", code="value", hint='such as [[0, "Product", 1]]')
    places = 2 if in_sequence else 3
    headers: list[Any] = []
    if has_headers(rows, places):
        headers, *rows = rows
    found = []
    for row in rows:
        cells = [0, *row] if in_sequence else list(row)
        time, name, quantity = (*cells, *(0, "", 1)[len(cells) :])[:3]
        named = zip(map(to_text, headers[places:]), row[places:], strict=False)
        labels = tuple((label, value) for label, value in named if label)
        name = name if isinstance(name, str) else ""
        found.append(Arrival(max(0.0, to_float(time)), name, max(0, to_int(quantity)), labels))
    return tuple(found)


def _check_rows(binding: Binding, source: Source, table: str) -> None:
    rows = source.rows
    if source.repeats and not source.in_sequence and rows[-1].time <= rows[0].time:
        message = f"{table} of {source.name!r} repeats without time passing: its first row comes again with its last"
        binding.world.warn("value", message, "add a last row with a later time and the quantity 0")


def create(binding: Binding, node: Node, name: str) -> Source:
    """Returns a running Source."""
    source = Source(binding.calendar, node, name, binding.duration(node, "InterArrivalTime"), binding.next_number)
    source.at_time_zero = binding.flag(node, "TimeZeroArrival")
    style = binding.setting(node, "ArrivalStyle")
    if style != "Inter-Arrival Time":
        table = "ArrivalSchedule" if style == "Arrival Schedule" else "ArrivalSequence"
        source.in_sequence = style == "Arrival Sequence"
        source.rows = arrivals(node.settings.get(table), source.in_sequence)
        source.repeats = binding.flag(node, "RepeatTable") and any(row.quantity for row in source.rows)
        _check_rows(binding, source, table)
    return source
