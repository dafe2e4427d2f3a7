"""Runs pieces of FlexScript in the language's own vocabulary, without any world."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from vlsm_jax.flexscript import Dialect, Fault, Machine, compile_program, core_vocabulary, parse


class Outcome(NamedTuple):
    """What a piece of code returned, printed and raised."""

    value: Any
    lines: list[str]
    fault: Fault | None
    codes: list[str]
    diagnostics: tuple


def _evaluate(text: str, *, steps: int = 100_000, dialect: Dialect = Dialect()) -> Outcome:
    machine = Machine(None, steps=steps, wall_seconds=10)
    code = compile_program(parse(text), core_vocabulary(), machine, dialect)
    codes = [d.code for d in code.diagnostics]
    if not code.ok:
        return Outcome(None, [], None, codes, code.diagnostics)
    try:
        return Outcome(code.run(), machine.lines, None, codes, code.diagnostics)
    except Fault as fault:
        return Outcome(None, machine.lines, fault, codes, code.diagnostics)


@pytest.fixture
def evaluate() -> Callable[..., Outcome]:
    """Parses, compiles and runs a text."""
    return _evaluate
