"""Metrics of generated scripts: pure functions of Twins, Reports and texts, without JAX."""

from vlsm_jax.metrics.bleu import bleu4, bleu_signature
from vlsm_jax.metrics.esr import esr, verdict_counts
from vlsm_jax.metrics.intent import keeps_intent, throughput_ratio
from vlsm_jax.metrics.interval import Interval, bootstrap_interval, share_interval
from vlsm_jax.metrics.pmr import pmr
from vlsm_jax.metrics.score import (
    PairScore,
    ScoredPair,
    ScoreError,
    Summary,
    run_pair,
    score_pair,
    score_pairs,
    score_reports,
    scoring_pool,
    summarise,
)
from vlsm_jax.metrics.svr import Overlap, SvrScore, connection_overlap, object_overlap, svr

__all__ = [
    "Interval",
    "Overlap",
    "PairScore",
    "ScoreError",
    "ScoredPair",
    "Summary",
    "SvrScore",
    "bleu4",
    "bleu_signature",
    "bootstrap_interval",
    "connection_overlap",
    "esr",
    "keeps_intent",
    "object_overlap",
    "pmr",
    "run_pair",
    "score_pair",
    "score_pairs",
    "score_reports",
    "scoring_pool",
    "share_interval",
    "summarise",
    "svr",
    "throughput_ratio",
    "verdict_counts",
]
