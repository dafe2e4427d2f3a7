"""Metrics of generated scripts: pure functions of Twins, Reports and texts, without JAX."""

from vlsm_jax.metrics.agreement import KpiAgreement, KpiRow, kpi_agreement
from vlsm_jax.metrics.attainment import Attainment, Looks, Outcome, intent_of, judge_goals
from vlsm_jax.metrics.bleu import bleu4, bleu_signature
from vlsm_jax.metrics.esr import esr, verdict_counts
from vlsm_jax.metrics.failure import LABELS, Failure, failure, failure_counts, failure_of
from vlsm_jax.metrics.goals import Goal, GoalError, Measure, parse_goal
from vlsm_jax.metrics.intent import keeps_intent, throughput_ratio
from vlsm_jax.metrics.interval import Interval, bootstrap_interval, share_interval
from vlsm_jax.metrics.parameters import meaning, means_the_same, parameter_overlap
from vlsm_jax.metrics.pmr import pmr
from vlsm_jax.metrics.pool import score_pairs, try_pairs
from vlsm_jax.metrics.score import PairScore, ScoredPair, ScoreError, run_pair, score_pair, score_reports
from vlsm_jax.metrics.stated_goals import goals_of, stated_goals
from vlsm_jax.metrics.structure import StructureMatch, is_isomorphic, structure_match
from vlsm_jax.metrics.summary import Summary, summarise
from vlsm_jax.metrics.svr import SVR_WEIGHTS, Overlap, SvrScore, connection_overlap, object_overlap, svr
from vlsm_jax.metrics.tables import GroupTable, group_table

__all__ = [
    "LABELS",
    "SVR_WEIGHTS",
    "Attainment",
    "Failure",
    "Goal",
    "GoalError",
    "GroupTable",
    "Interval",
    "KpiAgreement",
    "KpiRow",
    "Looks",
    "Measure",
    "Outcome",
    "Overlap",
    "PairScore",
    "ScoreError",
    "ScoredPair",
    "StructureMatch",
    "Summary",
    "SvrScore",
    "bleu4",
    "bleu_signature",
    "bootstrap_interval",
    "connection_overlap",
    "esr",
    "failure",
    "failure_counts",
    "failure_of",
    "goals_of",
    "group_table",
    "intent_of",
    "is_isomorphic",
    "judge_goals",
    "keeps_intent",
    "kpi_agreement",
    "meaning",
    "means_the_same",
    "object_overlap",
    "parameter_overlap",
    "parse_goal",
    "pmr",
    "run_pair",
    "score_pair",
    "score_pairs",
    "score_reports",
    "share_interval",
    "stated_goals",
    "structure_match",
    "summarise",
    "svr",
    "throughput_ratio",
    "try_pairs",
    "verdict_counts",
]
