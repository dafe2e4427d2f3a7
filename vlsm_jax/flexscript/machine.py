"""The machine that compiled code runs on: step and wall-clock budgets, printed lines, nesting of code in code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript.conversions import bounded_text, shown
from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.faults import OutOfBudget

if TYPE_CHECKING:
    from vlsm_jax.flexscript.coroutines import Coroutine
    from vlsm_jax.flexscript.lists import List

MAX_CODE_DEPTH = 8
MAX_CALL_DEPTH = 50
MAX_LINES = 1000
MAX_LINE = 10_000
_CHECK_EVERY = 1000
_FREE_LENGTH = 64


class Machine:
    """Counts steps and keeps what a script prints.

    A step is one turn of a loop times the statements in its body: code without loops ends by itself, so nothing else
    needs counting. Long strings and arrays are charged by length, when they are worked on and when they are made.

    Attributes:
      world: handed to bound commands.
      steps: what is left.
      check_at: the number of steps left at which budgets are looked at again.
      lines: what was printed, at most `MAX_LINES` lines.
      line_open: whether the last line goes on with what is printed next.
      depth: how deep code runs within code, as through `executestring`.
      calls: how deep functions of the script call each other.
      at: the offset of the command that runs, for warnings that it gives.
      source: the text that offset belongs to.
      coroutine: the code that runs when it may wait, None when it may not.
      sleeping: code that waits to be resumed.
      lists: global lists by name, where the world keeps none.
      token_rest: what `stringtoken` has not given yet.
    """

    __slots__ = (
        "_deadline",
        "at",
        "calls",
        "check_at",
        "coroutine",
        "depth",
        "line_open",
        "lines",
        "lists",
        "sleeping",
        "source",
        "steps",
        "token_rest",
        "total_steps",
        "wall_seconds",
        "world",
    )  # fmt: skip

    def __init__(self, world: Any, *, steps: int, wall_seconds: float):
        self.world = world
        self.steps = self.total_steps = steps
        self.check_at = min(steps, max(0, steps - _CHECK_EVERY))
        self.wall_seconds = wall_seconds
        self._deadline = time.monotonic() + wall_seconds
        self.lines: list[str] = []
        self.line_open = False
        self.depth = 0
        self.calls = 0
        self.at: int | None = None
        self.source: SourceText | None = None
        self.coroutine: Coroutine | None = None
        self.sleeping: dict[Coroutine, None] = {}
        self.lists: dict[str, List] = {}
        self.token_rest = ""

    def check(self) -> None:
        """Raises `OutOfBudget` when steps or time ran out; called when `steps` falls below `check_at`."""
        if self.steps < 0:
            raise OutOfBudget(
                f"the script took more than {self.total_steps} steps", hint="does every loop end? raise Budget.steps"
            )
        self.check_time()
        self.check_at = max(0, self.steps - _CHECK_EVERY)

    def check_time(self) -> None:
        """Raises `OutOfBudget` when the wall-clock budget is used up."""
        if time.monotonic() > self._deadline:
            raise OutOfBudget(
                f"{self.wall_seconds:g} s of wall-clock time are used up", hint="raise Budget.wall_seconds"
            )

    def charge(self, steps: int) -> None:
        """Takes steps for work that is not a loop of the script."""
        self.steps -= steps
        if self.steps < self.check_at:
            self.check()

    def text(self, text: str) -> str:
        """Returns a text that a script made; a long one costs steps, one beyond `MAX_TEXT` raises `OutOfBudget`."""
        if len(text) > _FREE_LENGTH:
            self.charge(len(bounded_text(text)) >> 3)
        return text

    def made(self, value: Any) -> Any:
        """Returns what a command or method made; long texts and arrays cost steps, and so memory is bounded too."""
        if (type(value) is list or type(value) is str or type(value) is dict) and len(value) > _FREE_LENGTH:
            self.charge(len(value) >> 3)
        return value

    def write(self, *values: Any) -> int:
        """Ends the printed line with these values; lines beyond `MAX_LINES` are dropped."""
        if self.line_open:
            self.write_part(shown(values))
            self.line_open = False
        elif len(self.lines) < MAX_LINES:
            self.lines.append(shown(values))
        return 0

    def write_part(self, text: str) -> int:
        """Puts a text on the printed line, which goes on: `pt`, `pd`, `pf`; of a long line the start is kept."""
        if not self.line_open and len(self.lines) < MAX_LINES:
            self.lines.append("")
            self.line_open = True
        if self.line_open and len(self.lines[-1]) < MAX_LINE:
            self.lines[-1] = (self.lines[-1] + text)[:MAX_LINE]
        return 0

    def enter(self) -> None:
        """Begins code within code; raises `OutOfBudget` when it is too deep. Ended by `leave`."""
        if self.depth >= MAX_CODE_DEPTH:
            raise OutOfBudget(f"code runs more than {MAX_CODE_DEPTH} levels deep within code")
        self.depth += 1

    def leave(self) -> None:
        """Ends code within code."""
        self.depth -= 1

    def enter_function(self) -> None:
        """Begins a function of the script; raises `OutOfBudget` when it is too deep. Ended by `calls -= 1`."""
        if self.calls >= MAX_CALL_DEPTH:
            raise OutOfBudget(f"functions call each other more than {MAX_CALL_DEPTH} levels deep")
        self.calls += 1
        self.charge(2)

    def end_run(self) -> None:
        """Disposes of code that still waits, and of what global lists hold. A world calls it when a run is over."""
        for coroutine in list(self.sleeping):
            coroutine.dispose()
        self.sleeping.clear()
        self.lists.clear()
