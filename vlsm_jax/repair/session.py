"""A repair in several turns: look at what is wrong, ask for a proposal, take it or leave it, go back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from vlsm_jax.flexscript import Diagnostic
from vlsm_jax.repair.edits import unified_diff
from vlsm_jax.repair.judging import Judged, judge
from vlsm_jax.repair.search import Limits, mend
from vlsm_jax.repair.stating import Statement

Rewriter = Callable[[Judged, str], str]
"""A model that rewrites: (script with what is wrong with it, prompt) to a script. It is asked where rules find nothing;
`vlsm_jax.repair.rewriting.repair_prompt` makes one text of both."""


class RepairError(RuntimeError):
    """Nothing to take, leave or undo; the message says which."""


@dataclasses.dataclass(frozen=True)
class Turn:
    """One thing that happened to the script of a session.

    Attributes:
      script: as it was afterwards.
      by: "rules", "model" or "edit".
      reasons: what was done, for a reader.
    """

    script: str
    by: str
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Offer:
    """A better script that a session proposes.

    Attributes:
      script: that would be.
      by: "rules" or "model".
      reasons: of each edit.
      diff: against the script as it is.
      judged: the script with its judgement.
    """

    script: str
    by: str
    reasons: tuple[str, ...]
    diff: str
    judged: Judged


class RepairSession:
    """A script that is mended turn by turn.

    Args:
      script: FlexScript.
      prompt: of the factory, "" where there is none.
      rewriter: a model to ask where no rule helps; what it writes is judged like everything else.
      limits: of each search.
      seed: of the runs.
    """

    def __init__(
        self,
        script: str,
        prompt: str = "",
        *,
        rewriter: Rewriter | None = None,
        limits: Limits = Limits(),
        seed: int = 0,
    ):
        self.prompt = prompt
        self.rewriter = rewriter
        self.limits = limits
        self.seed = seed
        self._statement = Statement(prompt)
        self._turns = [Turn(script, "edit", ("as it was opened",))]
        self._offer: Offer | None = None
        self._rejected: set[str] = set()
        self._judged: dict[str, Judged] = {}

    @property
    def script(self) -> str:
        """The script as it is now."""
        return self._turns[-1].script

    @property
    def history(self) -> tuple[Turn, ...]:
        """What happened so far, the opening first."""
        return tuple(self._turns)

    @property
    def state(self) -> Judged:
        """The script as it is now, judged by running it."""
        return self._judge(self.script)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the script as it is now."""
        return self.state.diagnostics

    def propose(self) -> Offer | None:
        """Returns a strictly better script that was not rejected before, or None; it changes nothing by itself."""
        self._offer = None
        repair = mend(self.script, self.prompt, limits=self.limits, seed=self.seed)
        if repair.changed and repair.after.script not in self._rejected:
            self._offer = self._made(repair.after, "rules", tuple(step.reason for step in repair.steps))
        elif self.rewriter is not None:
            script = self.rewriter(self.state, self.prompt)
            found = self._judge(script)
            if script not in self._rejected and found.judgement > self.state.judgement:
                self._offer = self._made(found, "model", ("rewritten by the model",))
        return self._offer

    def accept(self) -> str:
        """Takes the proposal; returns the script.

        Raises:
          RepairError: nothing is proposed.
        """
        offer = self._pending("accept")
        self._turns.append(Turn(offer.script, offer.by, offer.reasons))
        self._offer = None
        return self.script

    def reject(self) -> None:
        """Leaves the proposal; it is not made again.

        Raises:
          RepairError: nothing is proposed.
        """
        self._rejected.add(self._pending("reject").script)
        self._offer = None

    def edit(self, script: str) -> None:
        """Takes a script that somebody wrote by hand, better or not."""
        self._turns.append(Turn(script, "edit", ("edited",)))
        self._offer = None

    def undo(self) -> str:
        """Goes back by one turn; returns the script.

        Raises:
          RepairError: nothing has happened yet.
        """
        if len(self._turns) < 2:
            raise RepairError("nothing to undo: the script is as it was opened")
        self._turns.pop()
        self._offer = None
        return self.script

    def _pending(self, verb: str) -> Offer:
        if self._offer is None:
            raise RepairError(f"nothing to {verb}: call propose() first, and see that it returns an offer")
        return self._offer

    def _judge(self, script: str) -> Judged:
        if script not in self._judged:
            self._judged[script] = judge(script, self._statement, runs=True, budget=self.limits.budget, seed=self.seed)
        return self._judged[script]

    def _made(self, found: Judged, by: str, reasons: tuple[str, ...]) -> Offer:
        return Offer(found.script, by, reasons, unified_diff(self.script, found.script), found)
