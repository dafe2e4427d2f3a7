"""How good a script is: by how far it comes, by what is found wrong with it, and by what its prompt states.

A `Judgement` compares as a tuple, greater is better, so that `max` ranks candidates for one prompt. It needs no JAX:
generation's ranking among several candidates can use it as well as repair does.
"""

from __future__ import annotations

import enum
import functools
import re
from typing import NamedTuple

from vlsm_jax.flexscript import Diagnostic, Dialect, Severity
from vlsm_jax.repair.edits import View
from vlsm_jax.repair.stating import Mismatch, Statement, carries_items, count
from vlsm_jax.repair.suspects import suspects
from vlsm_jax.simulator import Budget, Report, Verdict, check, run
from vlsm_jax.simulator.names import vocabulary
from vlsm_jax.simulator.world import World
from vlsm_jax.twin import Code, Twin

BUDGET = Budget(steps=500_000, nodes=5_000, events=300_000, wall_seconds=30.0, items=100_000)
"""Of each script. Steps and events end it, whatever the machine; the clock is there for what they miss."""


class Level(enum.IntEnum):
    """How far a script comes."""

    SYNTAX = 0
    """It cannot be read."""
    NAMES = 1
    """It can be read, and names what is not there."""
    BUILD = 2
    """It stops while it builds."""
    FLOW = 3
    """It builds a factory that cannot run."""
    STARTS = 4
    """The factory can run; it was not run, or stopped."""
    RUNS = 5
    """The factory ran, and items arrived."""


class Judgement(NamedTuple):
    """What a script is worth; compares from the first field on, greater is better.

    Attributes:
      level: how far it comes.
      sound: minus the number of errors and warnings.
      fitting: minus the weight of what does not fit the prompt; 0 without a prompt.
    """

    level: Level
    sound: int
    fitting: int

    @property
    def is_perfect(self) -> bool:
        """Whether nothing is wrong with the script, as far as can be told without a prompt."""
        return self.level >= Level.STARTS and self.sound == 0


class Judged(NamedTuple):
    """A script with its judgement and what that rests on.

    Attributes:
      script: the text.
      judgement: of it.
      verdict: of checking, or of running where it was run.
      diagnostics: of the same.
      twin: what it builds; None where it builds nothing.
      mismatches: with the prompt.
    """

    script: str
    judgement: Judgement
    verdict: Verdict
    diagnostics: tuple[Diagnostic, ...]
    twin: Twin | None
    mismatches: tuple[Mismatch, ...]

    @property
    def complaints(self) -> bool:
        """Whether anything is wrong that could be mended: a number that a prompt has to spare is not enough."""
        level, sound, _ = self.judgement
        return level < Level.RUNS or sound < 0 or any(m.kind != "unused number" for m in self.mismatches)


_NO_PROMPT = Statement("")
_BROKEN = frozenset(("syntax", "unknown command", "unknown name", "unknown type", "unknown method"))


def judge(
    script: str, statement: Statement = _NO_PROMPT, *, runs: bool = False, budget: Budget = BUDGET, seed: int = 0
) -> Judged:
    """Judges a script by building it, and by running it where `runs` says so; never raises on any text."""
    return judged(script, run(script, budget=budget, seed=seed) if runs else check(script, budget=budget), statement)


def judged(script: str, report: Report, statement: Statement = _NO_PROMPT) -> Judged:
    """Judges a script by a Report that is at hand."""
    level, problems = _level(report), len(report.diagnostics)
    if level >= Level.BUILD and report.twin is not None:
        broken = broken_code(report.twin)
        if broken:
            level, problems = min(level, Level.FLOW), max(problems, len(broken))
    if level > Level.SYNTAX:
        problems += len(suspects(View(script)))
    if report.twin is not None:
        problems += idle_wires(report.twin)
    mismatches = tuple(statement.mismatches(report.twin)) if statement and report.twin is not None else ()
    judgement = Judgement(level, -problems, -count(mismatches))
    return Judged(script, judgement, report.verdict, report.diagnostics, report.twin, mismatches)


def _level(report: Report) -> Level:
    match report.verdict:
        case Verdict.PARSE_ERROR:
            return Level.SYNTAX if any(d.code == "syntax" for d in report.diagnostics) else Level.NAMES
        case Verdict.BUILD_ERROR:
            return Level.BUILD
        case Verdict.WIRING:
            return Level.FLOW
        case Verdict.OK:
            return Level.RUNS if report.kpis is not None else Level.STARTS
        case Verdict.BUDGET:
            return Level.BUILD if report.twin is None or not report.twin.connections else Level.FLOW
        case Verdict.NO_FLOW:
            return Level.STARTS
        case _:
            return Level.FLOW


def quoted_in(message: str) -> list[str]:
    """Returns the words that the message of a finding quotes, such as the names of objects, in its order."""
    return _QUOTED.findall(message)


_QUOTED = re.compile(r"'([^'\n]+)'")


def idle_wires(twin: Twin) -> int:
    """Counts center connections between two objects that items flow through, where no code asks for center ports."""
    if any(isinstance(v, Code) and "center" in v.text for obj in twin.objects for v in obj.parameters.values()):
        return 0
    carries = {obj.name for obj in twin.objects if carries_items(obj.cls)}
    return sum(w.port == "S" and w.source in carries and w.target in carries for w in twin.connections)


def broken_code(twin: Twin) -> list[str]:
    """Returns the code bodies of a Twin that cannot be compiled: a run would stop when it comes to them."""
    codes = {v.text for obj in twin.objects for v in obj.parameters.values() if isinstance(v, Code)}
    return sorted(text for text in codes if not _compiles(text))


@functools.lru_cache(maxsize=4096)
def _compiles(text: str) -> bool:
    if "(" not in text or text.lstrip().startswith("["):
        return True
    world = World(BUDGET, Dialect(), vocabulary())
    code = world.compile_text(text, "")
    world.dismantle()
    return not any(d.severity is Severity.ERROR and d.code in _BROKEN for d in code.diagnostics)
