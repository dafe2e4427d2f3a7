"""Means over a test set, with their 95 % intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vlsm_jax.metrics.attainment import Outcome, intent_of
from vlsm_jax.metrics.bleu import BleuCounts, bleu_from_row, bleu_signature, corpus_bleu4
from vlsm_jax.metrics.esr import verdict_counts
from vlsm_jax.metrics.failure import failure_counts
from vlsm_jax.metrics.intent import keeps_intent
from vlsm_jax.metrics.interval import Interval, bootstrap_interval, percentiles, resampled_means, share_interval
from vlsm_jax.metrics.score import PairScore
from vlsm_jax.metrics.svr import SVR_WEIGHTS


@dataclasses.dataclass(frozen=True)
class Summary:
    """Means over a test set with their 95 % intervals.

    The intervals are percentile bootstraps over the samples, for `esr` a Wilson interval. They cover the choice of test
    samples, not the randomness of training.

    Attributes:
      n: number of samples.
      svr: mean SVR; `connection_score` and `object_score` are its parts.
      pmr: mean PMR.
      esr: share of candidates that run.
      bleu4: BLEU-4 of the corpus, which is not the mean over pairs.
      connection_precision: mean share of a candidate's wires that the reference asks for; `connection_f1` with recall.
      object_precision: the same of objects; `object_f1` with recall.
      exact: share of candidates that build the very Twin of the reference, ports and locations included.
      intent: share of candidates whose throughput is within 10 % of the reference's, among the samples whose reference
        has one; None where none has.
      verdicts: candidates by verdict, the most frequent first.
      bleu: sacrebleu's signature.
      weights: of `connection_score` and `object_score` in `svr`.
      failures: candidates that do not run by the label of their failure, the most frequent first.
      parameter_recall: mean share of the reference's parameters that mean the same; `parameter_f1` with precision.
      structure_share: mean share of wires that agree, names left aside.
      same_structure: share of candidates proved to be the same graph of classes and wires, names left aside.
      agreement: mean share of the figures that agree, among the samples that were run in replications.
      pmr_stated: mean PMR over the parameters that the prompts state, among the samples that say what they leave out.
      intent_rate: share of candidates that are proved to reach the goals that their prompts state, among the samples
        whose prompts state any. What is undecided after all replications does not count as reached.
      reference_intent_rate: the same share of the references: some goals are out of reach of the very factory asked
        for, and no faithful candidate reaches them.
      goals: candidates by what came of their goals: met, missed, undecided; empty where no prompt states one.

    The last six groups are None where no sample has them, as in files of older versions.
    """

    n: int
    svr: Interval
    connection_score: Interval
    object_score: Interval
    pmr: Interval
    esr: Interval
    bleu4: Interval
    connection_precision: Interval
    connection_f1: Interval
    object_precision: Interval
    object_f1: Interval
    exact: Interval
    intent: Interval | None
    verdicts: Mapping[str, int]
    bleu: str
    weights: tuple[float, float] = SVR_WEIGHTS
    failures: Mapping[str, int] = dataclasses.field(default_factory=dict)
    parameter_recall: Interval | None = None
    parameter_f1: Interval | None = None
    structure_share: Interval | None = None
    same_structure: Interval | None = None
    agreement: Interval | None = None
    pmr_stated: Interval | None = None
    intent_rate: Interval | None = None
    reference_intent_rate: Interval | None = None
    goals: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, strings and numbers; an interval becomes `{"mean", "low", "high"}`."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Summary:
        """Reads what `to_dict` wrote."""
        fields = {
            key: Interval(**value)
            if isinstance(value, Mapping) and key not in ("verdicts", "failures", "goals")
            else value
            for key, value in data.items()
        }
        if "weights" in fields:
            fields["weights"] = tuple(fields["weights"])
        return cls(**fields)


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return value._asdict()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def summarise(scores: Sequence[PairScore], *, seed: int = 0, weights: tuple[float, float] | None = None) -> Summary:
    """Returns the means over a test set, with intervals; the same scores and seed give the same bounds.

    Args:
      scores: of the samples.
      seed: of the bootstrap.
      weights: of connections and objects in SVR; None keeps those of the scores.

    Raises:
      ValueError: there are no scores, they have different weights and none are given, or the weights are none.
    """
    if not scores:
        raise ValueError("no scores to summarise; give at least one")
    if weights is not None:
        scores = [score.weighted(weights) for score in scores]
    found = {score.weights for score in scores}
    if len(found) > 1:
        raise ValueError(f"the scores have different SVR weights, {sorted(found)}; give the weights to use")
    means = bootstrap_interval(
        np.asarray([
            (
                score.svr,
                score.connection_score,
                score.object_score,
                score.pmr,
                score.connections.precision,
                score.connections.f1,
                score.objects.precision,
                score.objects.f1,
            )
            for score in scores
        ]),
        seed=seed,
    )  # fmt: skip
    n = len(scores)
    return Summary(
        n=n,
        svr=means[0],
        connection_score=means[1],
        object_score=means[2],
        pmr=means[3],
        esr=share_interval(sum(score.runs for score in scores), n),
        bleu4=bleu_interval([score.bleu for score in scores], seed),
        connection_precision=means[4],
        connection_f1=means[5],
        object_precision=means[6],
        object_f1=means[7],
        exact=share_interval(sum(not score.differences for score in scores), n),
        intent=_intent_interval(scores),
        verdicts=verdict_counts(score.verdict for score in scores),
        bleu=bleu_signature(),
        weights=scores[0].weights,
        failures={label.value: count for label, count in failure_counts(score.failure for score in scores).items()},
        parameter_recall=_mean([s.parameters and s.parameters.recall for s in scores], seed),
        parameter_f1=_mean([s.parameters and s.parameters.f1 for s in scores], seed),
        structure_share=_mean([s.structure and s.structure.share for s in scores], seed),
        same_structure=_share([s.structure and s.structure.same is True for s in scores]),
        agreement=_mean([s.agreement and s.agreement.score for s in scores], seed),
        pmr_stated=_mean([s.pmr_stated for s in scores], seed),
        intent_rate=_reached([s.intent for s in scores]),
        reference_intent_rate=_reached([intent_of(s.reference_goals) for s in scores]),
        goals=_outcomes([s.intent for s in scores]),
    )


def _mean(values: Sequence[float | None], seed: int) -> Interval | None:
    known = [value for value in values if value is not None]
    return bootstrap_interval(np.asarray(known)[:, None], seed=seed)[0] if known else None


def _share(values: Sequence[bool | None]) -> Interval | None:
    known = [value for value in values if value is not None]
    return share_interval(sum(known), len(known)) if known else None


def _reached(outcomes: Sequence[Outcome | None]) -> Interval | None:
    return _share([None if outcome is None else outcome is Outcome.MET for outcome in outcomes])


def _outcomes(outcomes: Sequence[Outcome | None]) -> dict[str, int]:
    stated = [outcome for outcome in outcomes if outcome is not None]
    return {outcome.value: stated.count(outcome) for outcome in Outcome} if stated else {}


def _intent_interval(scores: Sequence[PairScore]) -> Interval | None:
    return _share([keeps_intent(score.throughput_ratio) for score in scores])


def bleu_interval(counts: Sequence[BleuCounts], seed: int) -> Interval:
    """Returns the corpus-level BLEU-4 of pairs with its bootstrap interval."""
    draws = resampled_means(np.asarray([c.row() for c in counts]), seed=seed)
    # Smoothing depends on the absolute counts, so the resampled means become sums again.
    sums = np.rint(draws * len(counts)).astype(int)
    return Interval(corpus_bleu4(counts), *percentiles(np.asarray([bleu_from_row(row) for row in sums.tolist()])))
