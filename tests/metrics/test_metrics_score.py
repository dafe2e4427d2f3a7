"""Scores of scripts that are really run."""

import dataclasses

import pytest

from vlsm_jax.metrics import (
    PairScore,
    ScoreError,
    Summary,
    bleu4,
    keeps_intent,
    run_pair,
    score_pair,
    score_pairs,
    share_interval,
    summarise,
)
from vlsm_jax.simulator import Budget

# Three objects, one wire by hand and one by a loop, as generated scripts are apt to do.
REFERENCE = """
Object source = Object.create("Source");
source.name = "In";
source.setProperty("InterArrivalTime", 10);
Object mill = Object.create("Processor");
mill.name = "Mill";
mill.location = Vec3(5, 0, 0);
mill.setProperty("ProcessTime", 8);
Object sink = Object.create("Sink");
sink.name = "Out";
sink.location = Vec3(10, 0, 0);
Array line = [source, mill, sink];
for (int i = 1; i < line.length; i++) {
  contextdragconnection(line[i], line[i + 1], "A");
}
"""

# The same factory in other words.
PLAIN = """
Object a = Object.create("Sink");
a.name = "Out";
a.location = Vec3(10, 0, 0);
Object b = Object.create("Processor");
b.name = "Mill";
b.location = Vec3(5, 0, 0);
b.setProperty("ProcessTime", 8);
Object d = Object.create("Source");
d.name = "In";
d.setProperty("InterArrivalTime", 10);
contextdragconnection(d, b, "A");
contextdragconnection(b, a, "A");
"""

LINE_LOST = PLAIN.replace('contextdragconnection(b, a, "A");', "")
SLOWER = PLAIN.replace('"ProcessTime", 8', '"ProcessTime", 9')
BROKEN = PLAIN.replace("Object b =", "Object b = = (")

SHORT = {"until": 600.0}


def test_a_script_is_worth_everything_against_itself():
    score = score_pair(REFERENCE, REFERENCE, **SHORT)
    assert (score.svr, score.pmr, score.bleu4) == (1, 1, 1)
    assert score.runs
    assert score.verdict == "ok"
    assert score.differences == ()


def test_what_counts_is_what_a_script_builds_and_not_its_words():
    score = score_pair(REFERENCE, PLAIN, **SHORT)
    assert (score.svr, score.connection_score, score.object_score, score.pmr) == (1, 1, 1, 1)
    assert score.bleu4 < 0.9
    # One textual statement makes two wires.
    assert (score.connections.matched, score.connections.reference) == (2, 2)


def test_a_lost_wire_costs_its_share_and_the_run():
    score = score_pair(REFERENCE, LINE_LOST, **SHORT)
    assert score.connection_score == 0.5
    assert score.svr == pytest.approx(0.6 * 0.5 + 0.4)
    assert not score.runs
    assert score.verdict in ("wiring", "no flow")
    assert [str(d) for d in score.differences] == ["missing connection: Mill -> Out (A)"]


def test_another_parameter_costs_pmr_alone():
    score = score_pair(REFERENCE, SLOWER, **SHORT)
    assert (score.svr, score.pmr, score.runs) == (1, 0.5, True)
    assert [d.kind for d in score.differences] == ["parameter"]


def test_intent_is_kept_until_the_bottleneck_moves():
    # One part every 10 seconds: a mill of 9 seconds keeps up, one of 12 seconds does not.
    same = score_pair(REFERENCE, SLOWER, until=36000.0)
    assert same.throughput_ratio == pytest.approx(1, abs=1e-3)
    assert keeps_intent(same.throughput_ratio)
    short = score_pair(REFERENCE, SLOWER.replace("9)", "12)"), until=36000.0)
    assert short.throughput_ratio == pytest.approx(10 / 12, rel=1e-3)
    assert not keeps_intent(short.throughput_ratio)
    assert score_pair(REFERENCE, LINE_LOST, **SHORT).throughput_ratio == 0
    # A reference that does not run sets no goal.
    goalless = score_pair(LINE_LOST, REFERENCE, **SHORT)
    assert goalless.throughput_ratio is None
    assert keeps_intent(goalless.throughput_ratio) is None
    assert summarise([goalless]).intent is None


def test_a_script_that_does_not_parse_builds_nothing():
    score = score_pair(REFERENCE, BROKEN, **SHORT)
    assert (score.svr, score.pmr, score.runs, score.verdict) == (0, 0, False, "parse error")
    assert score.diagnostics
    assert score.diagnostics[0].line == 5
    assert score.bleu4 > 0.5
    assert {d.kind for d in score.differences} == {"missing object", "missing connection"}


@pytest.mark.parametrize(
    "text", ["", "Sure, here is your script:", "```\n" + "(" * 3000, "\x00\ud83d;", "while (1) {}"]
)
def test_no_text_breaks_the_scoring(text):
    score = score_pair(REFERENCE, text, until=600.0, budget=Budget(wall_seconds=2.0))
    assert not score.runs
    assert score.svr == 0
    assert score.verdict != "ok"


def test_a_reference_that_builds_nothing_is_refused():
    with pytest.raises(ScoreError, match=r"builds nothing \(parse error\)"):
        score_pair(BROKEN, REFERENCE, **SHORT)


def test_both_runs_see_the_same_random_streams():
    stochastic = REFERENCE.replace(
        '"InterArrivalTime", 10', '"InterArrivalTime", "return exponential(0, 10, getstream(current));"'
    )
    pair = run_pair(stochastic, stochastic, until=3600.0, seed=4)
    assert pair.reference.to_dict() == pair.candidate.to_dict()
    assert run_pair(stochastic, stochastic, until=3600.0, seed=5).candidate.to_dict() != pair.candidate.to_dict()


def test_a_score_survives_json():
    for script in (PLAIN, LINE_LOST, BROKEN):
        score = score_pair(REFERENCE, script, **SHORT)
        assert PairScore.from_dict(score.to_dict()) == score


@pytest.fixture(scope="module")
def scores():
    return score_pairs([(REFERENCE, s) for s in (PLAIN, LINE_LOST, SLOWER, BROKEN)], **SHORT)


def test_a_pool_gives_the_same_scores(scores):
    pairs = [(REFERENCE, s) for s in (PLAIN, LINE_LOST, SLOWER, BROKEN)]
    assert score_pairs(pairs, workers=2, **SHORT) == scores


def test_the_summary_by_hand(scores):
    summary = summarise(scores)
    assert summary.n == 4
    assert summary.svr.mean == pytest.approx((1 + 0.7 + 1 + 0) / 4)
    assert summary.connection_score.mean == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert summary.object_score.mean == pytest.approx(3 / 4)
    assert summary.connection_precision.mean == pytest.approx(3 / 4)
    assert summary.connection_f1.mean == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert summary.pmr.mean == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert summary.esr == share_interval(2, 4)
    assert summary.exact == share_interval(1, 4)
    # The slower mill still keeps up with the arrivals.
    assert summary.intent == share_interval(2, 4)
    assert summary.bleu4.mean == pytest.approx(bleu4([REFERENCE] * 4, [PLAIN, LINE_LOST, SLOWER, BROKEN]))
    assert sum(summary.verdicts.values()) == 4
    assert summary.verdicts["ok"] == 2
    assert summary.verdicts["parse error"] == 1
    for field in dataclasses.fields(summary):
        value = getattr(summary, field.name)
        if hasattr(value, "low"):
            assert 0 <= value.low <= value.mean <= value.high <= 1, field.name
    assert summary.svr.low < summary.svr.mean < summary.svr.high


def test_the_summary_is_the_same_every_time_and_survives_json(scores):
    assert summarise(scores, seed=3) == summarise(scores, seed=3)
    assert Summary.from_dict(summarise(scores).to_dict()) == summarise(scores)
    with pytest.raises(ValueError, match="at least one"):
        summarise([])
