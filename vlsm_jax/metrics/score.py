"""Scores of one candidate script against its reference, and of a whole test set."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.metrics.bleu import BleuCounts, bleu_counts, bleu_from_row, bleu_signature, corpus_bleu4, sentence_bleu4
from vlsm_jax.metrics.esr import verdict_counts
from vlsm_jax.metrics.intent import keeps_intent, throughput_ratio
from vlsm_jax.metrics.interval import Interval, bootstrap_interval, percentiles, resampled_means, share_interval
from vlsm_jax.metrics.pmr import pmr
from vlsm_jax.metrics.svr import Overlap, connection_overlap, object_overlap, svr
from vlsm_jax.simulator import Budget, Report, run
from vlsm_jax.twin import Difference, Twin, diff

UNTIL = 28800.0
"""Seconds of simulated time that a script has to survive: one shift of eight hours."""


class ScoreError(ValueError):
    """A pair that cannot be scored, since its reference is no reference; the message says why."""


@dataclasses.dataclass(frozen=True)
class PairScore:
    """What one candidate is worth against its reference. All scores lie in 0..1.

    Attributes:
      svr: structural validity, `0.6 * connection_score + 0.4 * object_score`.
      connection_score: share of the reference's wires that the candidate draws.
      object_score: share of the reference's objects that the candidate has, by class and name.
      pmr: share of the reference's parameters that the candidate has.
      runs: whether the candidate runs as it is.
      verdict: value of the candidate's `Report.verdict`, such as "ok" or "parse error".
      connections: how many wires agree, for precision and F1.
      objects: how many objects agree, for precision and F1.
      throughput_ratio: the candidate's items per hour relative to the reference's; None where the reference has none.
      bleu: n-gram counts of this pair; sums of them give the corpus-level BLEU-4.
      diagnostics: what the language and the simulator say about the candidate.
      differences: what separates the two Twins, in reading order.
    """

    svr: float
    connection_score: float
    object_score: float
    pmr: float
    runs: bool
    verdict: str
    connections: Overlap
    objects: Overlap
    throughput_ratio: float | None
    bleu: BleuCounts
    diagnostics: tuple[Diagnostic, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def bleu4(self) -> float:
        """BLEU-4 of this pair alone."""
        return sentence_bleu4(self.bleu)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, which `from_dict` reads back."""
        return {
            "svr": self.svr,
            "connection_score": self.connection_score,
            "object_score": self.object_score,
            "pmr": self.pmr,
            "bleu4": self.bleu4,
            "runs": self.runs,
            "verdict": self.verdict,
            "connections": dataclasses.asdict(self.connections),
            "objects": dataclasses.asdict(self.objects),
            "throughput_ratio": self.throughput_ratio,
            "bleu": {key: list(v) if isinstance(v, tuple) else v for key, v in self.bleu._asdict().items()},
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
            "differences": [dataclasses.asdict(difference) for difference in self.differences],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PairScore:
        """Reads what `to_dict` wrote; raises `KeyError` or `TypeError` where a field is missing or foreign."""
        counts = data["bleu"]
        return cls(
            svr=data["svr"],
            connection_score=data["connection_score"],
            object_score=data["object_score"],
            pmr=data["pmr"],
            runs=data["runs"],
            verdict=data["verdict"],
            connections=Overlap(**data["connections"]),
            objects=Overlap(**data["objects"]),
            throughput_ratio=data["throughput_ratio"],
            bleu=BleuCounts(
                tuple(counts["matched"]), tuple(counts["total"]), counts["candidate_length"], counts["reference_length"]
            ),
            diagnostics=tuple(Diagnostic(**{**d, "severity": Severity(d["severity"])}) for d in data["diagnostics"]),
            differences=tuple(Difference(**d) for d in data["differences"]),
        )


class ScoredPair(NamedTuple):
    """A score with the two runs it comes from."""

    score: PairScore
    reference: Report
    candidate: Report


def run_pair(
    reference_script: str, candidate_script: str, *, until: float = UNTIL, seed: int = 0, budget: Budget = Budget()
) -> ScoredPair:
    """Runs both scripts under the same random streams and scores the candidate.

    A candidate that breaks off part-way is scored by what it had built until then; one that builds nothing scores 0 in
    SVR and PMR.

    Args:
      until: simulated seconds that both run.
      seed: of the random streams of both runs.
      budget: what a script may use up.

    Raises:
      ScoreError: the reference builds nothing.
    """
    reference = run(reference_script, until=until, seed=seed, budget=budget)
    candidate = run(candidate_script, until=until, seed=seed, budget=budget)
    score = score_reports(reference_script, candidate_script, reference, candidate)
    return ScoredPair(score, reference, candidate)


def score_reports(reference_script: str, candidate_script: str, reference: Report, candidate: Report) -> PairScore:
    """Scores a candidate of which both Reports are there already.

    Raises:
      ScoreError: the reference builds nothing.
    """
    if reference.twin is None:
        reasons = "\n".join(map(str, reference.diagnostics[:3]))
        raise ScoreError(f"the reference script builds nothing ({reference.verdict.value}):\n{reasons}")
    twin = reference.twin
    structure = svr(twin, candidate.twin)
    return PairScore(
        svr=structure.svr,
        connection_score=structure.connection_score,
        object_score=structure.object_score,
        pmr=pmr(twin, candidate.twin),
        runs=candidate.ok,
        verdict=candidate.verdict.value,
        connections=connection_overlap(twin, candidate.twin),
        objects=object_overlap(twin, candidate.twin),
        throughput_ratio=throughput_ratio(reference, candidate),
        bleu=bleu_counts(reference_script, candidate_script),
        diagnostics=tuple(candidate.diagnostics),
        differences=diff(twin, candidate.twin or Twin()),
    )


def score_pair(
    reference_script: str, candidate_script: str, *, until: float = UNTIL, seed: int = 0, budget: Budget = Budget()
) -> PairScore:
    """Runs both scripts and scores the candidate; see `run_pair`, which returns the two Reports as well.

    Raises:
      ScoreError: the reference builds nothing.
    """
    return run_pair(reference_script, candidate_script, until=until, seed=seed, budget=budget).score


def score_pairs(
    pairs: Iterable[tuple[str, str]],
    *,
    workers: int = 0,
    until: float = UNTIL,
    seed: int = 0,
    budget: Budget = Budget(),
) -> list[PairScore]:
    """Scores (reference script, candidate script) pairs, in their order.

    Args:
      workers: processes to share the work; 0 does it in this one.

    Raises:
      ScoreError: a reference builds nothing.
      concurrent.futures.BrokenExecutor: a process died.
    """
    score = functools.partial(_score, until=until, seed=seed, budget=budget)
    if not workers:
        return [score(pair) for pair in pairs]
    with scoring_pool(workers) as pool:
        return list(pool.map(score, pairs, chunksize=4))


def scoring_pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    """Returns a pool of fresh ("spawn") processes, which share no accelerator and no lock with this one.

    As always with such a pool, the program's main module is imported in each of them, so what it does belongs under
    `if __name__ == "__main__":`.
    """
    return concurrent.futures.ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _score(pair: tuple[str, str], *, until: float, seed: int, budget: Budget) -> PairScore:
    return score_pair(*pair, until=until, seed=seed, budget=budget)


# --- A whole test set -------------------------------------------------------------------------------------------------


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

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, strings and numbers; an interval becomes `{"mean", "low", "high"}`."""
        return {
            field.name: value._asdict()
            if isinstance(value, Interval)
            else dict(value)
            if isinstance(value, Mapping)
            else value
            for field in dataclasses.fields(self)
            for value in [getattr(self, field.name)]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Summary:
        """Reads what `to_dict` wrote."""
        return cls(**{
            key: Interval(**value) if isinstance(value, Mapping) and key != "verdicts" else value
            for key, value in data.items()
        })  # fmt: skip


def summarise(scores: Sequence[PairScore], *, seed: int = 0) -> Summary:
    """Returns the means over a test set, with intervals; the same scores and seed give the same bounds.

    Raises:
      ValueError: there are no scores.
    """
    if not scores:
        raise ValueError("no scores to summarise; give at least one")
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
        bleu4=_bleu_interval([score.bleu for score in scores], seed),
        connection_precision=means[4],
        connection_f1=means[5],
        object_precision=means[6],
        object_f1=means[7],
        exact=share_interval(sum(not score.differences for score in scores), n),
        intent=_intent_interval(scores),
        verdicts=verdict_counts(score.verdict for score in scores),
        bleu=bleu_signature(),
    )


def _intent_interval(scores: Sequence[PairScore]) -> Interval | None:
    kept = [kept for score in scores if (kept := keeps_intent(score.throughput_ratio)) is not None]
    return share_interval(sum(kept), len(kept)) if kept else None


def _bleu_interval(counts: Sequence[BleuCounts], seed: int) -> Interval:
    draws = resampled_means(np.asarray([c.row() for c in counts]), seed=seed)
    # Smoothing depends on the absolute counts, so the resampled means become sums again.
    sums = np.rint(draws * len(counts)).astype(int)
    return Interval(corpus_bleu4(counts), *percentiles(np.asarray([bleu_from_row(row) for row in sums.tolist()])))
