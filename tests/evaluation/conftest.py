"""Hand-made predictions: no simulator is needed to keep, draw or show them."""

from __future__ import annotations

import dataclasses

import pytest

from vlsm_jax.evaluation.predictions import Prediction, Settings
from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.metrics import PairScore, connection_overlap, object_overlap, pmr, svr
from vlsm_jax.metrics.bleu import bleu_counts
from vlsm_jax.twin import Connection, Distribution, Twin, TwinObject, diff

REFERENCE = Twin(
    objects=(
        TwinObject("Source", "In", (0, 0, 0), {"InterArrivalTime": Distribution("exponential", (0, 10))}),
        TwinObject("Processor", "Mill", (8, 0, 0), {"ProcessTime": 8}),
        TwinObject("Sink", "Out", (16, 0, 0)),
        TwinObject("Operator", "Ann", (8, -6, 0)),
    ),
    connections=(Connection("In", "Mill"), Connection("Mill", "Out"), Connection("Mill", "Ann", "S")),
)

CANDIDATE = Twin(
    objects=(
        TwinObject("Source", "In", (0, 0, 0), {"InterArrivalTime": Distribution("exponential", (0, 15))}),
        TwinObject("Processor", "Mill", (8, 0, 0), {"ProcessTime": 8}),
        TwinObject("Sink", "Out", (16, 0, 0)),
        TwinObject("Queue", "Shelf", (8, 6, 0)),
    ),
    connections=(Connection("In", "Mill"), Connection("In", "Shelf"), Connection("Shelf", "Out")),
)

SCRIPT = 'Object mill = Object.create("Processor");\nmill.name = "Mill";\nmill.setProperty("ProcessTime", 8);\n'
DIAGNOSTIC = Diagnostic("syntax", Severity.ERROR, "expected ';'", 1, 6, "end the statement", "mill name = 1;")


def make_prediction(id: str = "a", candidate_twin: Twin | None = CANDIDATE, **changes) -> Prediction:
    verdict = "ok" if candidate_twin is not None else "parse error"
    candidate = SCRIPT.replace("8", "9") if candidate_twin is not None else "mill name = 1;"
    structure = svr(REFERENCE, candidate_twin)
    scores = PairScore(
        svr=structure.svr,
        connection_score=structure.connection_score,
        object_score=structure.object_score,
        pmr=pmr(REFERENCE, candidate_twin),
        runs=verdict == "ok",
        verdict=verdict,
        connections=connection_overlap(REFERENCE, candidate_twin),
        objects=object_overlap(REFERENCE, candidate_twin),
        throughput_ratio=1.0 if verdict == "ok" else 0.0,
        bleu=bleu_counts(SCRIPT, candidate),
        diagnostics=() if candidate_twin is not None else (DIAGNOSTIC,),
        differences=diff(REFERENCE, candidate_twin or Twin()),
    )
    prediction = Prediction(
        id=id,
        image="",
        prompt="A mill between a source and a sink.",
        reference=SCRIPT,
        candidate=candidate,
        scores=scores,
        reference_report={"ok": True, "verdict": "ok", "twin": REFERENCE.to_dict(), "kpis": None},
        candidate_report={
            "ok": scores.runs,
            "verdict": verdict,
            "twin": None if candidate_twin is None else candidate_twin.to_dict(),
            "kpis": None,
        },
        settings=Settings(until=3600.0, seed=0, generator="test"),
        generation_seconds=0.5,
        generation_tokens=42,
    )
    return dataclasses.replace(prediction, **changes)


@pytest.fixture(name="make_prediction")
def _make_prediction():
    return make_prediction


@pytest.fixture
def reference() -> Twin:
    return REFERENCE


@pytest.fixture
def candidate() -> Twin:
    return CANDIDATE
