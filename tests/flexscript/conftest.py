"""Runs pieces of FlexScript in the language's own vocabulary, with a world that keeps only a clock and two tables."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from vlsm_jax.flexscript import Dialect, Fault, Machine, Severity, compile_program, core_vocabulary, parse
from vlsm_jax.flexscript.tables import Table


class Outcome(NamedTuple):
    """What a piece of code returned, printed and raised."""

    value: Any
    lines: list[str]
    fault: Fault | None
    codes: list[str]
    diagnostics: tuple
    machine: Machine


class Clock:
    """A world in which time passes when `run` says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.machine: Machine | None = None
        self.tables: dict[Any, Table] = {}
        self._due: list[tuple] = []
        self._ticket = itertools.count()
        self.drawn = iter(n / 8 for n in range(1, 8))

    def suspend(self, delay: float, resume: Callable[[Any], None]) -> None:
        heapq.heappush(self._due, (self.now + delay, next(self._ticket), resume))

    def run(self) -> None:
        while self._due:
            self.now, _, resume = heapq.heappop(self._due)
            resume(None)

    def find_table(self, reference: Any) -> Table | None:
        return self.tables.get(reference)

    def random_number(self) -> float:
        return next(self.drawn)

    def compile_text(self, text: str, label: str):
        return compile_program(parse(text, label), core_vocabulary(), self.machine)


def _evaluate(
    text: str,
    *,
    steps: int = 100_000,
    dialect: Dialect = Dialect(),
    world: Clock | None = None,
    parameters: tuple = (),
) -> Outcome:
    machine = Machine(world, steps=steps, wall_seconds=10)
    if world is not None:
        world.machine = machine
    code = compile_program(parse(text), core_vocabulary(), machine, dialect)
    codes = [d.code for d in code.diagnostics]
    if not code.ok:
        return Outcome(None, [], None, codes, code.diagnostics, machine)
    try:
        value = code.run(parameters=parameters)
        if world is not None:
            world.run()
        return Outcome(value, machine.lines, None, codes, code.diagnostics, machine)
    except Fault as fault:
        return Outcome(None, machine.lines, fault, codes, code.diagnostics, machine)


@pytest.fixture
def evaluate() -> Callable[..., Outcome]:
    """Parses, compiles and runs a text."""
    return _evaluate


@pytest.fixture
def clock() -> Clock:
    """A world with time and tables."""
    return Clock()


@pytest.fixture
def returned() -> Callable[..., Any]:
    """Runs a text that must neither be wrong nor raise, and returns what it returns."""

    def run(text: str, **options: Any) -> Any:
        outcome = _evaluate(text, **options)
        assert outcome.fault is None, outcome.fault.message
        assert not [d for d in outcome.diagnostics if d.severity is Severity.ERROR], [*map(str, outcome.diagnostics)]
        return outcome.value

    return run


@pytest.fixture
def failed() -> Callable[..., Fault]:
    """Runs a text that must raise, and returns the exception."""

    def run(text: str, **options: Any) -> Fault:
        outcome = _evaluate(text, **options)
        assert outcome.fault is not None, (outcome.value, [*map(str, outcome.diagnostics)])
        return outcome.fault

    return run
