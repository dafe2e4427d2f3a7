"""One candidate script put to the test: run, judged by its prompt, and by the goals that are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from vlsm_jax.metrics import Attainment, Goal, Looks, Outcome, intent_of, judge_goals
from vlsm_jax.repair import Judged, Judgement, Statement, judged
from vlsm_jax.simulator import Budget, Report, run

BUDGET = Budget(events=2_000_000, wall_seconds=20.0)
"""Of one run of one candidate."""
LOOKS = Looks()
MENDED = 3
"""Candidates that are mended at most."""


@dataclasses.dataclass(frozen=True)
class Checks:
    """How candidates are tried.

    Attributes:
      until: simulated seconds; None for as long as the script itself says, or 8 hours.
      seed: of the random streams.
      budget: of one run.
      looks: when replications are looked at, where there are goals.
      mend: how many of the best candidates rules try to mend where something is wrong with the best; 0 leaves all as
        they were written.
    """

    until: float | None = None
    seed: int = 0
    budget: Budget = BUDGET
    looks: Looks = LOOKS
    mend: int = MENDED


class Rank(NamedTuple):
    """What ranks candidates for one prompt; compares from the first field on, greater is better.

    Attributes:
      judgement: how far the script comes, what is found wrong with it, what does not fit the prompt.
      intent: 2 where all goals are met, 1 where that is undecided or there are none, 0 where one is missed.
      log_probability: that the model gives it, a mean over its tokens.
      agreement: see `Trial`; it decides where the probability is not known.
    """

    judgement: Judgement
    intent: int
    log_probability: float
    agreement: float


@dataclasses.dataclass(frozen=True)
class Trial:
    """What became of one candidate.

    Attributes:
      index: its place among the candidates; -1 for a script that was made of one of them.
      report: of its run.
      judged: the script and what it is worth.
      log_probability: mean over its tokens, as the model gives it; 0 where that is not known.
      goals: what came of the goals; empty where there are none, or where better candidates left no need to know.
      agreement: how much of it the other candidates have as well, 0..1; see `vlsm_jax.verification.agreement`.
    """

    index: int
    report: Report
    judged: Judged
    log_probability: float = 0.0
    goals: tuple[Attainment, ...] = ()
    agreement: float = 0.0

    @property
    def script(self) -> str:
        """The candidate's text."""
        return self.judged.script

    @property
    def runs(self) -> bool:
        """Whether the factory ran and items arrived."""
        return self.report.ok

    @property
    def intent(self) -> Outcome | None:
        """What came of the goals together; None where none was judged."""
        return intent_of(self.goals)

    @property
    def rank(self) -> Rank:
        """What it is ranked by."""
        intent = {Outcome.MET: 2, Outcome.MISSED: 0}.get(self.intent, 1) if self.goals else 1
        return Rank(self.judged.judgement, intent, self.log_probability, self.agreement)

    @property
    def complaints(self) -> bool:
        """Whether anything is wrong that could be mended."""
        return self.judged.complaints

    def to_dict(self) -> dict[str, Any]:
        """Returns the verdict in plain dicts, strings and numbers, the script with it, the Report left out."""
        level, sound, fitting = self.judged.judgement
        return {
            "candidate": self.index if self.index >= 0 else None,
            "script": self.script,
            "verdict": self.report.verdict.value,
            "level": level.name.lower(),
            "problems": -sound,
            "unstated": -fitting,
            "mismatches": [mismatch._asdict() for mismatch in self.judged.mismatches],
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.report.diagnostics],
            "intent": self.intent.value if self.intent else None,
            "goals": [found.to_dict() for found in self.goals],
            "agreement": round(self.agreement, 6),
            "log_probability": self.log_probability,
        }


def try_script(
    script: str, statement: Statement, checks: Checks = Checks(), *, index: int = 0, log_probability: float = 0.0
) -> Trial:
    """Runs one candidate once and judges it by its prompt; never raises on any text."""
    report = run(script, until=checks.until, seed=checks.seed, budget=checks.budget)
    return Trial(index, report, judged(script, report, statement), log_probability)


def with_goals(trial: Trial, goals: Sequence[Goal], checks: Checks) -> Trial:
    """Returns a trial with its goals judged, by further replications where they are needed."""
    if not goals or trial.goals:
        return trial
    found = judge_goals(
        trial.script,
        goals,
        report=trial.report,
        until=checks.until,
        seed=checks.seed,
        budget=checks.budget,
        looks=checks.looks,
    )
    return dataclasses.replace(trial, goals=found.attainments)
