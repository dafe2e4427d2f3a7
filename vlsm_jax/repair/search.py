"""Mending a script: rules propose edits, each is judged by building what comes of it, the best one is kept.

The search is best first over a few edits, with a bounded number of scripts judged, and the same for the same input. A
script is given back changed only where it is strictly better than it was; see `Judgement` for what better means.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from vlsm_jax.flexscript import Diagnostic
from vlsm_jax.repair import calls, marks, told, wires, words
from vlsm_jax.repair.edits import Proposal, View, unified_diff
from vlsm_jax.repair.judging import BUDGET, Judged, Level, judge
from vlsm_jax.repair.stating import Statement
from vlsm_jax.simulator import Budget

Rule = Callable[[Judged, View, Statement], Iterable[Proposal]]


def _plain(rule: Callable[[Judged, View], Iterator[Proposal]]) -> Rule:
    return lambda found, view, statement: rule(found, view)


RULES: tuple[Rule, ...] = (
    *map(
        _plain,
        (
            words.straighten_quotes,
            words.respell,
            words.respell_texts,
            words.drop_repeated,
            words.drop_doubled,
            words.declare,
        ),
    ),
    *map(_plain, (calls.compare, marks.mend_quotes, marks.mend_braces, marks.mend_marks)),
    *map(_plain, (calls.mend_arguments, calls.mend_ports, calls.bounds)),
    wires.rewire,
    wires.connect,
    wires.redirect,
    told.rename,
    told.reclass,
    told.renumber,
    told.reoption,
)
"""Every rule, as a function of a judged script, the same to look at, and its prompt."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How far a repair goes.

    Attributes:
      edits: proposals that may be made one after the other.
      scripts: scripts judged by building them, over all.
      each: proposals judged for one script.
      runs: scripts judged by running them.
      budget: of each.
    """

    edits: int = 6
    scripts: int = 400
    each: int = 120
    runs: int = 4
    budget: Budget = BUDGET


@dataclasses.dataclass(frozen=True)
class Repair:
    """What came of mending a script.

    Attributes:
      before: the script as it was, judged.
      after: the script as it is now; `before` where nothing better was found.
      steps: what rules did, in order.
      judged: scripts that were built for it.
      rewritten: whether `after` was written anew by a model.
    """

    before: Judged
    after: Judged
    steps: tuple[Proposal, ...]
    judged: int
    rewritten: bool = False

    @property
    def changed(self) -> bool:
        """Whether a better script was found."""
        return bool(self.steps) or self.rewritten

    @property
    def by(self) -> str | None:
        """What wrote `after`: "model", "rules", or None where it is the script as it was."""
        return "model" if self.rewritten else "rules" if self.steps else None

    @property
    def complaints(self) -> bool:
        """Whether anything is wrong still, with the script or with how it fits the prompt."""
        return self.after.complaints

    @property
    def ok(self) -> bool:
        """Whether the script runs now."""
        return self.after.judgement.level is Level.RUNS

    @property
    def left(self) -> tuple[Diagnostic, ...]:
        """What is wrong still."""
        return self.after.diagnostics

    def diff(self, name: str = "script.fsx") -> str:
        """Returns the change as a unified diff."""
        return unified_diff(self.before.script, self.after.script, name)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "ok": self.ok,
            "changed": self.changed,
            "by": self.by,
            "before": _state(self.before),
            "after": _state(self.after),
            "edits": [
                {"rule": step.rule, "reason": step.reason, "changes": [dataclasses.asdict(e) for e in step.edits]}
                for step in self.steps
            ],
            "diff": self.diff(),
            "script": self.after.script,
            "judged": self.judged,
        }


def _state(found: Judged) -> dict[str, Any]:
    level, sound, fitting = found.judgement
    return {
        "verdict": found.verdict.value,
        "level": level.name.lower(),
        "problems": -sound,
        "unstated": -fitting,
        "diagnostics": [diagnostic.to_dict() for diagnostic in found.diagnostics],
    }


@dataclasses.dataclass
class _Node:
    found: Judged
    steps: tuple[Proposal, ...]
    cost: float

    def key(self) -> tuple:
        level, sound, fitting = self.found.judgement
        return (-level, -sound, -fitting, self.cost)


def proposals(found: Judged, statement: Statement) -> list[Proposal]:
    """Returns what the rules would do to a script, likeliest first, each change once."""
    view = View(found.script)
    made = {p.edits: p for rule in reversed(RULES) for p in sorted(rule(found, view, statement), key=_cost_down)}
    return sorted(made.values(), key=lambda p: (p.cost, p.edits))


def _cost_down(proposal: Proposal) -> float:
    return -proposal.cost


def mend(script: str, prompt: str = "", *, limits: Limits = Limits(), seed: int = 0) -> Repair:
    """Mends a script by rules; never raises on any text, and never returns one that is worse.

    Args:
      script: FlexScript.
      prompt: of the factory, "" where there is none; it ranks what could be meant.
      limits: of the search.
      seed: of the runs.
    """
    statement = Statement(prompt)
    start = before = judge(script, statement, budget=limits.budget)
    if start.judgement.level >= Level.STARTS:
        before = judge(script, statement, runs=True, budget=limits.budget, seed=seed)
    if before.diagnostics and not start.diagnostics:
        start = start._replace(diagnostics=before.diagnostics)  # what showed in the run alone
    judged = 1
    best = [_Node(start, (), 0.0)]
    open_, seen = [best[0]], {script}
    while open_ and judged < limits.scripts:
        open_.sort(key=_Node.key)
        node = open_.pop(0)
        if len(node.steps) >= limits.edits:
            continue
        # What a prompt says otherwise is only touched where that is all that is wrong.
        if node.found.judgement.is_perfect and not (start.judgement.is_perfect and node.found.mismatches):
            continue
        if node.steps and not node.found.judgement > start.judgement:
            continue
        children = []
        for proposal in itertools.islice(proposals(node.found, statement), limits.each):
            if judged >= limits.scripts:
                break
            text = proposal.apply(node.found.script)
            if text in seen:
                continue
            seen.add(text)
            if children and _settled(children, proposal, statement):
                break
            judged += 1
            found = judge(text, statement, budget=limits.budget)
            if found.judgement > node.found.judgement:
                children.append(_Node(found, (*node.steps, proposal), node.cost + proposal.cost))
        best += children
        open_ += sorted(children, key=_Node.key)[:4]
        perfect = [child for child in children if child.found.judgement.is_perfect]
        if perfect and not (start.judgement.is_perfect and all(child.found.mismatches for child in perfect)):
            break
        if node is not best[0] and not children:
            break
    return _best_run(best, before, judged, statement, limits, seed)


def _best_run(
    nodes: Sequence[_Node], before: Judged, judged: int, statement: Statement, limits: Limits, seed: int
) -> Repair:
    """Runs the most promising scripts; returns the first that is flawless, else the best that is better at all."""
    best = Repair(before, before, (), judged)
    for node in itertools.islice(sorted(nodes, key=_Node.key), limits.runs):
        if not node.steps:
            break
        after = judge(node.found.script, statement, runs=True, budget=limits.budget, seed=seed)
        if after.judgement > best.after.judgement:
            best = Repair(before, after, node.steps, judged)
        if after.judgement.level is Level.RUNS and after.judgement.sound == 0:
            break
    return best


def _settled(children: Sequence[_Node], proposal: Proposal, statement: Statement) -> bool:
    """Whether a proposal is too far-fetched, now that something likelier leaves nothing wrong."""
    slack = 1.0 if statement else 0.4
    return any(child.found.judgement.is_perfect and proposal.cost > child.steps[-1].cost + slack for child in children)
