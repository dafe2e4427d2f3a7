"""Scripts for test samples: one greedily, or the best of several, mended by rules where that is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from vlsm_jax.evaluation.evaluate import Candidate, Sample
from vlsm_jax.metrics import stated_goals
from vlsm_jax.metrics.score import UNTIL
from vlsm_jax.repair import Statement
from vlsm_jax.verification import MENDED, Asked, Checks, Verified, Verifier
from vlsm_jax.ways import GREEDY, Way

if TYPE_CHECKING:
    from vlsm_jax.generation.decode import Candidate as Generated
    from vlsm_jax.generation.decode import Generator


@dataclasses.dataclass(frozen=True)
class Writing:
    """How scripts are written.

    Attributes:
      max_tokens: of each.
      way: greedily, under the constraint, with names of the prompt alone, the best of several, mended.
      batch_size: sequences decoded at once, all candidates counted.
      until: simulated seconds of verification.
      seed: of the draws, and of verification's runs.
    """

    max_tokens: int
    way: Way = GREEDY
    batch_size: int = 16
    until: float = UNTIL
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.way}, at most {self.max_tokens} tokens"


class Writer:
    """Writes scripts with a generator, as `evaluate` asks for them.

    Verification sees what a user would give it, the prompt and nothing of the reference, and runs scripts under other
    random streams than those that they are scored under.

    Args:
      generator: of the model.
      writing: how.
      workers: processes that verify; 0 does it in this one.
    """

    def __init__(self, generator: Generator, writing: Writing, workers: int = 0):
        self._generator, self._writing = generator, writing
        mended = MENDED if writing.way.mend else 0
        self._verifier = Verifier(Checks(until=writing.until, seed=writing.seed + 1, mend=mended), workers)

    def __call__(self, samples: Sequence[Sample]) -> list[Candidate]:
        """Returns a script for each sample, with the seconds that decoding took, without compilation and trials."""
        way = self._writing.way
        at_once = max(1, self._writing.batch_size // way.candidates)
        made: list[list[Generated]] = []
        seconds: list[float] = []
        for start in range(0, len(samples), at_once):
            part = samples[start : start + at_once]
            made += self._generate(part, at_once)
            seconds += [self._generator.speed.seconds / len(part)] * len(part)
        if way.candidates == 1 and not way.mend:
            return [Candidate(one.text, one.tokens, taken) for (one,), taken in zip(made, seconds, strict=True)]
        asked = [
            Asked(
                sample.prompt,
                tuple(one.text for one in several),
                tuple(one.log_probability for one in several),
                stated_goals(sample.prompt),
            )
            for sample, several in zip(samples, made, strict=True)
        ]
        return [
            Candidate(found.best.script, sum(one.tokens for one in several), taken, _kept(found))
            for found, several, taken in zip(self._verifier(asked), made, seconds, strict=True)
        ]

    def _generate(self, samples: Sequence[Sample], rows: int) -> list[list[Generated]]:
        from vlsm_jax.generation import sampling

        writing = self._writing
        return self._generator.generate(
            [sample.image for sample in samples],
            [sample.prompt for sample in samples],
            max_tokens=writing.max_tokens,
            rows=rows,
            constrain=writing.way.constrain,
            names=[Statement(sample.prompt).phrases for sample in samples] if writing.way.names else None,
            candidates=writing.way.candidates,
            sampling=sampling.Sampling() if writing.way.candidates > 1 else sampling.GREEDY,
            seed=writing.seed,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._verifier.close(kind, error, trace)


def _kept(found: Verified) -> dict[str, Any]:
    """Returns what a row of predictions keeps of a verification: verdicts, not scripts."""
    return {
        "tried": len(found.trials),
        "ran": found.ran,
        "origin": found.origin.index,
        "by": found.by,
        "edits": [{"rule": step.rule, "reason": step.reason} for step in found.steps],
        "verdicts": [trial.report.verdict.value for trial in sorted(found.trials, key=lambda trial: trial.index)],
    }
