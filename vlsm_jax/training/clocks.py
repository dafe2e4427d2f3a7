"""When steps end on the device, how long it had nothing to do, and how long compilation takes.

The loop hands steps to the device without waiting for them, so the time between two turns of the loop says how fast the
host is, and a clock that waits for each step would slow what it measures. Here a thread of its own waits for one step
after the other and notes when each ended. It holds no lock while it waits, and moves nothing off the device.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax


class StepClock:
    """Notes when each of a row of steps ended on the device; every one is given to it as soon as it is dispatched."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Any] = queue.Queue()
        self._ended: list[float] = []
        self._thread = threading.Thread(target=self._wait, name="step clock", daemon=True)
        self._thread.start()

    def add(self, result: Any) -> None:
        """Takes arrays that a step will give; they must not be donated."""
        self._waiting.put(result)

    def take(self) -> list[float]:
        """Waits for all steps there are, and returns when they ended, in `time.monotonic()`; forgets them."""
        self._waiting.join()
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Ends the thread, once the steps it waits for are over."""
        self._waiting.put(None)

    def _wait(self) -> None:
        while (result := self._waiting.get()) is not None:
            # A step that failed has ended; whoever reads its result is told why.
            with contextlib.suppress(Exception):
                jax.block_until_ready(result)
            self._ended.append(time.monotonic())
            self._waiting.task_done()


class Pace(NamedTuple):
    """How long steps took, and how long the device waited for data before each of them, in seconds."""

    steps: list[float]
    waits: list[float]


class Turn(NamedTuple):
    """What the host did before it gave a step to the device, in `time.monotonic()`.

    Attributes:
      resumed: when a pause ended, such as that for writing a trace; before the turn began where there was none.
      asked, came: when it began to wait for a batch, and when it had it.
    """

    resumed: float
    asked: float
    came: float


def pace_of(began: float, turns: Sequence[Turn], ended: Sequence[float]) -> Pace:
    """Returns the pace of consecutive steps.

    A step takes from the end of the one before to its own, so that the steps of a window fill it, pauses apart. The
    device waits for data while the host waits for the next batch and nothing is left to do: a batch that comes late but
    before the device needs it costs nothing.

    Args:
      began: when the device was idle and the first turn began.
      turns: of each step.
      ended: when each step ended on the device.
    """
    steps, waits, before = [], [], began
    for turn, end in zip(turns, ended, strict=True):
        before = max(before, turn.resumed)
        steps.append(end - before)
        waits.append(max(0.0, turn.came - max(turn.asked, before)))
        before = end
    return Pace(steps, waits)


class CompileClock:
    """Adds up the wall time in which this process traced, lowered or compiled, from when it was made."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        jax.monitoring.register_event_time_span_listener(self._note)

    def take(self) -> float:
        """Returns seconds since the last call; spans within others, as of functions in functions, count once."""
        spans, self._spans = sorted(self._spans), []
        total, reached = 0.0, float("-inf")
        for start, end in spans:
            total += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return total

    def close(self) -> None:
        """Stops listening."""
        jax.monitoring.unregister_event_time_span_listener(self._note)

    def _note(self, event: str, start: float, end: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            self._spans.append((start, end))
