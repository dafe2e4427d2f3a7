"""The best of several candidate scripts for one prompt: run each, rank them, mend the best where that proves better."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from vlsm_jax.metrics import Goal
from vlsm_jax.processes import ended_at_once, fresh_pool
from vlsm_jax.repair import Proposal, Statement, mend, repair_prompt, unified_diff
from vlsm_jax.simulator import Verdict
from vlsm_jax.verification.agreement import agreements
from vlsm_jax.verification.trial import Checks, Trial, try_script, with_goals


class Asked(NamedTuple):
    """A prompt with candidates for it.

    Attributes:
      prompt: the engineer's text.
      scripts: the candidates, at least one.
      log_probabilities: mean over the tokens of each, or nothing.
      goals: what the factory is to achieve.
    """

    prompt: str
    scripts: tuple[str, ...]
    log_probabilities: tuple[float, ...] = ()
    goals: tuple[Goal, ...] = ()


@dataclasses.dataclass(frozen=True)
class Verified:
    """What became of the candidates for one prompt.

    Attributes:
      best: the best one, mended where that was better.
      trials: of all candidates, best first, as they were written.
      steps: how the best one was mended by rules; empty where it stays as it was written.
      by: what wrote `best`: "model", "rules" or, of a rewritten script, "rewriting".
      mended: the candidate that `best` was made of by rules; None where that is not how it was made.
    """

    best: Trial
    trials: tuple[Trial, ...]
    steps: tuple[Proposal, ...] = ()
    by: str = "model"
    mended: int | None = None

    @property
    def origin(self) -> Trial:
        """The candidate that `best` is or comes from, as it was written."""
        index = self.best.index if self.mended is None else self.mended
        return next((trial for trial in self.trials if trial.index == index), self.trials[0])

    @property
    def ran(self) -> int:
        """How many candidates ran as they were written."""
        return sum(trial.runs for trial in self.trials)

    @property
    def diff(self) -> str:
        """What was changed as a unified diff; empty where nothing was."""
        return unified_diff(self.origin.script, self.best.script)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "tried": len(self.trials),
            "origin": self.origin.index,
            "ran": self.ran,
            "by": self.by,
            "edits": [{"rule": step.rule, "reason": step.reason} for step in self.steps],
            "diff": self.diff,
            "best": self.best.to_dict(),
            "candidates": [trial.to_dict() for trial in self.trials],
        }


def verify(asked: Asked, checks: Checks = Checks()) -> Verified:
    """Tries every candidate and returns the best; the same candidates give the same one, in any order but for ties.

    Goals are judged only of those that are best by all else. Never raises on any script.

    Raises:
      ValueError: there are no candidates, or another number of log-probabilities.
    """
    scripts, chances = asked.scripts, asked.log_probabilities or (0.0,) * len(asked.scripts)
    if not scripts or len(chances) != len(scripts):
        raise ValueError(f"{len(scripts)} candidates with {len(chances)} log-probabilities; give one for each")
    statement = Statement(asked.prompt)
    first: dict[str, Trial] = {}
    trials: list[Trial] = []
    for index, (script, chance) in enumerate(zip(scripts, chances, strict=True)):
        if script not in first:
            first[script] = try_script(script, statement, checks, index=index, log_probability=chance)
        trials.append(dataclasses.replace(first[script], index=index))
    shares = agreements([trial.judged.twin for trial in trials])
    trials = [dataclasses.replace(trial, agreement=share) for trial, share in zip(trials, shares, strict=True)]
    ranked = ranking(_judge_best(trials, asked.goals, checks))
    return _mended(ranked, asked, statement, checks)


def ranking(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Returns trials best first; of equal ones the first stays in front."""
    return tuple(sorted(trials, key=lambda trial: trial.rank, reverse=True))


def _judge_best(trials: Sequence[Trial], goals: Sequence[Goal], checks: Checks) -> list[Trial]:
    """Judges the goals of those candidates that are best by all that comes before, each text once."""
    if not goals:
        return list(trials)
    most = max(trial.judged.judgement for trial in trials)
    known: dict[str, Trial] = {}
    for trial in trials:
        if trial.judged.judgement == most and trial.script not in known:
            known[trial.script] = with_goals(trial, goals, checks)
    return [
        dataclasses.replace(trial, goals=known[trial.script].goals) if trial.script in known else trial
        for trial in trials
    ]


def _mended(ranked: tuple[Trial, ...], asked: Asked, statement: Statement, checks: Checks) -> Verified:
    """Mends the first few candidates where something is wrong with the best; takes what is then strictly better."""
    found = Verified(ranked[0], ranked)
    for trial in _distinct(ranked)[: checks.mend]:
        if not found.best.complaints:
            break
        if trial.report.verdict is Verdict.BUDGET:  # hundreds of variants of it would take as long each
            continue
        repair = mend(trial.script, asked.prompt, seed=checks.seed)
        if not repair.changed:
            continue
        # Once more, under the simulated time that is asked for.
        after = try_script(repair.after.script, statement, checks, index=-1)
        if after.judged.judgement > found.best.judged.judgement:
            after = dataclasses.replace(after, agreement=trial.agreement, log_probability=trial.log_probability)
            found = Verified(after, ranked, repair.steps, "rules", trial.index)
    if found.by == "rules":
        found = dataclasses.replace(found, best=with_goals(found.best, asked.goals, checks))
    return found


def _distinct(ranked: Sequence[Trial]) -> list[Trial]:
    found: dict[str, Trial] = {}
    for trial in ranked:
        found.setdefault(trial.script, trial)
    return list(found.values())


def rewrite(
    found: Verified, asked: Asked, write: Callable[[str], Sequence[str]], checks: Checks = Checks()
) -> Verified:
    """Lets a model rewrite the best script where something is wrong with it still; taken only if strictly better.

    Args:
      found: what `verify` returned.
      asked: what it was given.
      write: a model: from the text of `vlsm_jax.repair.repair_prompt` to one or several scripts.
      checks: how these are tried.
    """
    if not found.best.complaints:
        return found
    scripts = tuple(write(repair_prompt(asked.prompt, found.best.judged)))
    if not scripts:
        return found
    better = verify(Asked(asked.prompt, scripts, (), asked.goals), checks).best
    if not better.judged.judgement > found.best.judged.judgement:
        return found
    return dataclasses.replace(found, best=dataclasses.replace(better, index=-1), steps=(), by="rewriting", mended=None)


class Verifier:
    """Verifies the candidates of many prompts, in processes of its own where they are asked for.

    Args:
      checks: how candidates are tried.
      workers: processes; 0 does the work in this one. They start with the first call and last until `close`.
    """

    def __init__(self, checks: Checks = Checks(), workers: int = 0):
        self.checks = checks
        self._stack: Any = None
        self._workers = workers

    def __call__(self, asked: Sequence[Asked]) -> list[Verified]:
        """Returns what became of each prompt's candidates.

        Raises:
          concurrent.futures.BrokenExecutor: a process died.
          ValueError: a prompt without candidates.
        """
        task = functools.partial(verify, checks=self.checks)
        if self._workers <= 1:
            return list(map(task, asked))
        if self._stack is None:
            self._stack = ended_at_once(fresh_pool(self._workers))
            self._pool = self._stack.__enter__()
        return list(self._pool.map(task, asked))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kind, error, trace)

    def close(self, *error: Any) -> None:
        """Ends the processes."""
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.__exit__(*(error or (None, None, None)))
