"""Scores of one candidate script against its reference, by running both."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.metrics.agreement import KpiAgreement, kpi_agreement
from vlsm_jax.metrics.attainment import Attainment, Outcome, intent_of, judge_goals
from vlsm_jax.metrics.bleu import BleuCounts, bleu_counts, sentence_bleu4
from vlsm_jax.metrics.failure import Failure, failure_of
from vlsm_jax.metrics.goals import Goal
from vlsm_jax.metrics.intent import throughput_ratio
from vlsm_jax.metrics.parameters import parameter_overlap
from vlsm_jax.metrics.pmr import pmr
from vlsm_jax.metrics.structure import StructureMatch, structure_match
from vlsm_jax.metrics.svr import SVR_WEIGHTS, Overlap, check_weights, connection_overlap, object_overlap
from vlsm_jax.simulator import Budget, Report, run
from vlsm_jax.twin import Difference, Twin, diff

UNTIL = 28800.0
"""Seconds of simulated time that a script has to survive: one shift of eight hours."""

_RUNS_KEPT = 64


class ScoreError(ValueError):
    """A pair that cannot be scored, since its reference is no reference; the message says why."""


@dataclasses.dataclass(frozen=True)
class PairScore:
    """What one candidate is worth against its reference. All scores lie in 0..1.

    Attributes:
      svr: structural validity: `connection_score` and `object_score`, weighted by `weights`.
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
      weights: of `connection_score` and `object_score` in `svr`.
      parameters: how many parameters mean the same, within a tolerance; None in rows of older files.
      structure: how much of the graph agrees, names left aside; None as above.
      agreement: whether the figures of the runs agree; None with a single replication, or a reference that fails.
      pmr_stated: `pmr` over the parameters that the prompt states; None where it is not known what that leaves out.
      goals: what came of the goals that the prompt states; empty where it states none.
      reference_goals: the same of the reference, which may miss a goal that is out of reach.
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
    weights: tuple[float, float] = SVR_WEIGHTS
    parameters: Overlap | None = None
    structure: StructureMatch | None = None
    agreement: KpiAgreement | None = None
    pmr_stated: float | None = None
    goals: tuple[Attainment, ...] = ()
    reference_goals: tuple[Attainment, ...] = ()

    @property
    def intent(self) -> Outcome | None:
        """Whether the candidate reaches its goals, all of them; None where the prompt states none."""
        return intent_of(self.goals)

    @property
    def bleu4(self) -> float:
        """BLEU-4 of this pair alone."""
        return sentence_bleu4(self.bleu)

    @property
    def failure(self) -> Failure | None:
        """Why the candidate does not run, as one label; None where it does."""
        return failure_of(self.verdict, self.diagnostics)

    def weighted(self, weights: tuple[float, float]) -> PairScore:
        """Returns the same score with SVR under other weights of connections and objects.

        Raises:
          ValueError: the weights are negative or do not add up to 1.
        """
        for_connections, for_objects = check_weights(weights)
        svr = for_connections * self.connection_score + for_objects * self.object_score
        return dataclasses.replace(self, svr=svr, weights=(for_connections, for_objects))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, which `from_dict` reads back."""
        return {
            "svr": self.svr,
            "weights": list(self.weights),
            "connection_score": self.connection_score,
            "object_score": self.object_score,
            "pmr": self.pmr,
            "pmr_stated": self.pmr_stated,
            "bleu4": self.bleu4,
            "runs": self.runs,
            "verdict": self.verdict,
            "failure": self.failure.value if self.failure else None,
            "connections": dataclasses.asdict(self.connections),
            "objects": dataclasses.asdict(self.objects),
            "parameters": dataclasses.asdict(self.parameters) if self.parameters else None,
            "structure": self.structure.to_dict() if self.structure else None,
            "throughput_ratio": self.throughput_ratio,
            "agreement": self.agreement.to_dict() if self.agreement else None,
            "intent": self.intent.value if self.intent else None,
            "goals": [found.to_dict() for found in self.goals],
            "reference_goals": [found.to_dict() for found in self.reference_goals],
            "bleu": {key: list(v) if isinstance(v, tuple) else v for key, v in self.bleu._asdict().items()},
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
            "differences": [dataclasses.asdict(difference) for difference in self.differences],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PairScore:
        """Reads what `to_dict` wrote; raises `KeyError` or `TypeError` where a field is missing or foreign."""
        counts = data["bleu"]
        parameters, structure, agreement = (data.get(key) for key in ("parameters", "structure", "agreement"))
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
            weights=tuple(data.get("weights", SVR_WEIGHTS)),
            parameters=Overlap(**parameters) if parameters else None,
            structure=StructureMatch.from_dict(structure) if structure else None,
            agreement=KpiAgreement.from_dict(agreement) if agreement else None,
            pmr_stated=data.get("pmr_stated"),
            goals=tuple(map(Attainment.from_dict, data.get("goals", ()))),
            reference_goals=tuple(map(Attainment.from_dict, data.get("reference_goals", ()))),
        )


class ScoredPair(NamedTuple):
    """A score with the two runs it comes from."""

    score: PairScore
    reference: Report
    candidate: Report


def run_pair(
    reference_script: str,
    candidate_script: str,
    *,
    until: float | None = UNTIL,
    warmup: float = 0.0,
    replications: int = 1,
    seed: int = 0,
    budget: Budget = Budget(),
    weights: tuple[float, float] = SVR_WEIGHTS,
    unstated: Collection[str] | None = None,
    goals: Sequence[Goal] = (),
) -> ScoredPair:
    """Runs both scripts under the same random streams and scores the candidate.

    A candidate that breaks off part-way is scored by what it had built until then; one that builds nothing scores 0 in
    SVR and PMR. The latest runs are kept, so that a reference with many candidates runs once.

    Args:
      until: simulated seconds that both run; None for as long as the reference itself says (its `stoptime()`).
      warmup: seconds at the start that the figures leave out.
      replications: runs of each; from two on the KPI agreement is measured.
      seed: of the random streams of both runs.
      budget: what a script may use up.
      weights: of connections and objects in SVR.
      unstated: what the prompt leaves out, for `pmr_stated`; see `pmr`. None where that is not known.
      goals: that the prompt states; both scripts are judged by them, for which they run several times.

    Raises:
      ScoreError: the reference builds nothing.
      ValueError: the times, the number of replications or the weights make no sense.
    """
    check_weights(weights)
    simulate = functools.partial(_run, warmup=warmup, replications=replications, seed=seed, budget=budget)
    reference = simulate(reference_script, until=until)
    if until is None:
        until = reference.kpis.until if reference.kpis is not None else UNTIL
        if not reference.ok and not warmup < until:
            raise ValueError(f"warmup is {warmup} and the stop time {until}; expected 0 <= warmup < stop time")
    candidate = simulate(candidate_script, until=until)
    score = score_reports(reference_script, candidate_script, reference, candidate, weights=weights, unstated=unstated)
    if goals:
        attain = functools.partial(
            _attain, tuple(goals), until=until, warmup=warmup, replications=replications, seed=seed, budget=budget
        )
        score = dataclasses.replace(score, goals=attain(candidate_script), reference_goals=attain(reference_script))
    return ScoredPair(score, reference, candidate)


@functools.lru_cache(maxsize=_RUNS_KEPT)
def _run(script: str, *, until: float | None, warmup: float, replications: int, seed: int, budget: Budget) -> Report:
    return run(script, until=until, warmup=warmup, replications=replications, seed=seed, budget=budget)


@functools.lru_cache(maxsize=_RUNS_KEPT)
def _attain(goals: tuple[Goal, ...], script: str, **settings: Any) -> tuple[Attainment, ...]:
    return judge_goals(script, goals, report=_run(script, **settings), **settings).attainments


def score_reports(
    reference_script: str,
    candidate_script: str,
    reference: Report,
    candidate: Report,
    *,
    weights: tuple[float, float] = SVR_WEIGHTS,
    unstated: Collection[str] | None = None,
) -> PairScore:
    """Scores a candidate of which both Reports are there already.

    Raises:
      ScoreError: the reference builds nothing.
      ValueError: the weights are negative or do not add up to 1, or the two Reports are of unlike runs.
    """
    if reference.twin is None:
        reasons = "\n".join(map(str, reference.diagnostics[:3]))
        raise ScoreError(f"the reference script builds nothing ({reference.verdict.value}):\n{reasons}")
    twin = reference.twin
    connections, objects = connection_overlap(twin, candidate.twin), object_overlap(twin, candidate.twin)
    for_connections, for_objects = check_weights(weights)
    return PairScore(
        svr=for_connections * connections.recall + for_objects * objects.recall,
        connection_score=connections.recall,
        object_score=objects.recall,
        pmr=pmr(twin, candidate.twin),
        runs=candidate.ok,
        verdict=candidate.verdict.value,
        connections=connections,
        objects=objects,
        throughput_ratio=throughput_ratio(reference, candidate),
        bleu=bleu_counts(reference_script, candidate_script),
        diagnostics=tuple(candidate.diagnostics),
        differences=diff(twin, candidate.twin or Twin()),
        weights=(for_connections, for_objects),
        parameters=parameter_overlap(twin, candidate.twin),
        structure=structure_match(twin, candidate.twin),
        agreement=kpi_agreement(reference, candidate),
        pmr_stated=None if unstated is None else pmr(twin, candidate.twin, unstated),
    )


def score_pair(
    reference_script: str,
    candidate_script: str,
    *,
    until: float | None = UNTIL,
    warmup: float = 0.0,
    replications: int = 1,
    seed: int = 0,
    budget: Budget = Budget(),
    weights: tuple[float, float] = SVR_WEIGHTS,
    unstated: Collection[str] | None = None,
    goals: Sequence[Goal] = (),
) -> PairScore:
    """Runs both scripts and scores the candidate; see `run_pair`, which returns the two Reports as well.

    Raises:
      ScoreError: the reference builds nothing.
      ValueError: the times, the number of replications or the weights make no sense.
    """
    return run_pair(
        reference_script,
        candidate_script,
        until=until,
        warmup=warmup,
        replications=replications,
        seed=seed,
        budget=budget,
        weights=weights,
        unstated=unstated,
        goals=goals,
    ).score
