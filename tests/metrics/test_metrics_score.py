"""Scores of scripts that are really run."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.metrics import (
    Failure,
    Interval,
    Outcome,
    PairScore,
    ScoreError,
    Summary,
    bleu4,
    bootstrap_interval,
    group_table,
    keeps_intent,
    kpi_agreement,
    parse_goal,
    run_pair,
    score_pair,
    score_pairs,
    share_interval,
    summarise,
    try_pairs,
)
from vlsm_jax.simulator import Budget, run
from vlsm_jax.synth import sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script

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


def test_pmr_of_what_the_prompt_states_is_told_beside_pmr():
    slow = score_pair(REFERENCE, SLOWER, **SHORT, unstated=["connections", "Mill.ProcessTime"])
    assert (slow.pmr, slow.pmr_stated) == (0.5, 1)
    same = score_pair(REFERENCE, SLOWER, **SHORT, unstated=[])
    assert (same.pmr, same.pmr_stated) == (0.5, 0.5)
    unknown = score_pair(REFERENCE, SLOWER, **SHORT)
    assert unknown.pmr_stated is None
    for score in (slow, unknown):
        assert PairScore.from_dict(score.to_dict()) == score
    # Samples of which nothing is known stay out of the mean.
    assert summarise([slow, same, unknown]).pmr_stated.mean == 0.75
    assert summarise([unknown]).pmr_stated is None


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


def test_intent_rate_is_the_share_of_stated_goals_that_are_proved_to_be_met():
    # 360 items an hour come in; a mill of 12 seconds lets 300 through.
    goal, beyond = parse_goal("throughput >= 350/h"), parse_goal("throughput >= 400/h")
    slow = SLOWER.replace("9)", "12)")
    reached, missed, broken = (score_pair(REFERENCE, text, until=3600.0, goals=[goal])
                               for text in (SLOWER, slow, BROKEN))  # fmt: skip
    assert [s.intent for s in (reached, missed, broken)] == [Outcome.MET, Outcome.MISSED, Outcome.MISSED]
    assert all(s.reference_goals[0].outcome is Outcome.MET for s in (reached, missed, broken))
    faithful = score_pair(REFERENCE, PLAIN, until=3600.0, goals=[goal, beyond])
    assert [a.outcome for a in faithful.goals] == [Outcome.MET, Outcome.MISSED]
    assert (faithful.intent, faithful.reference_goals) == (Outcome.MISSED, faithful.goals)
    none = score_pair(REFERENCE, PLAIN, **SHORT)
    assert (none.intent, none.to_dict()["intent"]) == (None, None)
    summary = summarise([reached, missed, broken, faithful, none])
    assert summary.intent_rate == share_interval(1, 4)
    assert summary.reference_intent_rate == share_interval(3, 4)
    assert summary.goals == {"met": 1, "missed": 3, "undecided": 0}
    assert Summary.from_dict(summary.to_dict()) == summary
    assert PairScore.from_dict(faithful.to_dict()) == faithful
    assert summarise([none]).intent_rate is None
    # What is undecided is not proved to be met.
    undecided = dataclasses.replace(
        reached, goals=tuple(dataclasses.replace(a, outcome=Outcome.UNDECIDED) for a in reached.goals)
    )
    assert summarise([reached, undecided]).intent_rate == share_interval(1, 2)
    table = group_table([reached, undecided, none], [{}, {}, {}], measure="intent_rate")
    assert table.cells["all", "all"].value == share_interval(1, 2)
    assert score_pairs([(REFERENCE, SLOWER, None, [goal])], until=3600.0) == [reached]


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


def test_a_pair_may_say_what_its_prompt_leaves_out():
    settings = {"unstated": ("Mill.ProcessTime",), **SHORT}
    expected = [score_pair(REFERENCE, SLOWER, **settings), score_pair(REFERENCE, SLOWER, **SHORT)]
    assert score_pairs([(REFERENCE, SLOWER, ["Mill.ProcessTime"]), (REFERENCE, SLOWER, None)], **SHORT) == expected
    assert [score.pmr_stated is None for score in expected] == [False, True]


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


# --- A reference against itself ---------------------------------------------------------------------------------------


def assert_perfect(script, **kwargs):
    score = score_pair(script, script, **{"until": 120.0, **kwargs})
    assert (score.svr, score.connection_score, score.object_score, score.pmr, score.bleu4) == (1, 1, 1, 1, 1)
    for overlap in (score.connections, score.objects, score.parameters):
        assert (overlap.recall, overlap.precision, overlap.f1) == (1, 1, 1)
    assert (score.structure.same, score.structure.same_ports, score.structure.share) == (True, True, 1)
    assert score.structure.exact
    assert score.differences == ()
    assert score.throughput_ratio in (None, 1)
    assert score.agreement is None or score.agreement.score == 1
    return score


@given(st.integers(0, 10_000), st.sampled_from(ScriptStyle))
@settings(max_examples=25, deadline=None)
def test_no_sampled_reference_scores_below_one(seed, style):
    twin = sample_factory(np.random.default_rng(seed)).twin
    assert_perfect(write_script(twin, style, np.random.default_rng(seed)))


PARTS = {
    "two of one name": 'for (int i = 1; i <= 2; i++) { Object t = Object.create("Queue"); t.name = "Twin"; }',
    "no name at all": 'Object.create("Processor"); Object.create("Processor");',
    "wires twice": 'contextdragconnection(source, mill, "A"); contextdragconnection(source, mill, "A");',
    "a loop": 'contextdragconnection(mill, mill, "A");',
    "center wires": 'Object o = Object.create("Operator"); o.name = "Ann"; contextdragconnection(mill, o, "S");',
    "code": 'mill.setProperty("SetupTime", "return item.rank * 2 + 1;");',
    "a broken distribution": 'mill.setProperty("SetupTime", "return triangular(9, 1, 5);");',
    "a schedule": 'source.setProperty("ArrivalSchedule", [[0, "a", 3], [5, "b|c", 1]]);',
    "an unknown property": 'mill.setProperty("NoSuchThing", 5);',
    "a place found nowhere": 'Model.find("Nowhere");',
    "prints": 'print("hello", 3); print("hello", 3);',
    "odd names": 'sink.name = "a \\"b\\" \\\\ |c|~2";',
    "a size": "mill.setSize(1, 2, 3); mill.setLocation(-1.5, 1e7, 0.1 + 0.2);",
    "an exception": "int x = 1 / 0;",
    "a type error": 'Object nothing = NULL; nothing.name = "x";',
}


@given(st.sets(st.sampled_from(sorted(PARTS))))
@settings(max_examples=60, deadline=None)
def test_no_odd_reference_scores_below_one(parts):
    assert_perfect(REFERENCE + "\n".join(PARTS[name] for name in sorted(parts)))


@pytest.mark.parametrize("script", ["", "// nothing", "int i;", 'Object.create("Sink");'])
def test_a_reference_of_next_to_nothing_scores_one(script):
    score = assert_perfect(script)
    assert score.failure is Failure.WIRING


# --- Weights, failures, agreement -------------------------------------------------------------------------------------


def test_weights_are_arguments_throughout():
    weights = (0.25, 0.75)
    score = score_pair(REFERENCE, LINE_LOST, weights=weights, **SHORT)
    assert score.svr == pytest.approx(0.25 * 0.5 + 0.75)
    assert score.weights == weights
    default = score_pair(REFERENCE, LINE_LOST, **SHORT)
    assert default.weighted(weights) == score
    assert summarise([default], weights=weights).svr.mean == pytest.approx(score.svr)
    assert summarise([default], weights=weights).weights == weights
    assert score_pairs([(REFERENCE, LINE_LOST)], weights=weights, **SHORT) == [score]
    with pytest.raises(ValueError, match="different SVR weights"):
        summarise([default, score])
    for wrong in ((0.5, 0.6), (1.5, -0.5), (float("nan"), 1), (1,)):
        with pytest.raises(ValueError, match="weights"):
            score_pair(REFERENCE, LINE_LOST, weights=wrong, **SHORT)


def test_every_failing_candidate_has_a_label():
    labels = [score_pair(REFERENCE, s, **SHORT).failure for s in (PLAIN, BROKEN, LINE_LOST)]
    assert labels == [None, Failure.PARSE, Failure.WIRING]


STOCHASTIC = REFERENCE.replace(
    '"InterArrivalTime", 10', '"InterArrivalTime", "return exponential(0, 10, getstream(current));"'
).replace("[source, mill", "[source, buffer, mill")
STOCHASTIC = 'Object buffer = Object.create("Queue"); buffer.name = "Buffer";' + STOCHASTIC


def test_agreement_of_figures_over_replications():
    runs = {"until": 14400.0, "replications": 5}
    same = score_pair(STOCHASTIC, STOCHASTIC, **runs)
    assert same.agreement.score == 1
    rows = {row.name: row for row in same.agreement.rows}
    assert list(rows) == ["throughput", "lead time", "utilisation of Mill"]
    assert rows["throughput"].half_width > 0
    assert rows["throughput"].unit == "items/h"
    # 9 s instead of 8 s at one part in 10 s: as many parts, but a longer wait and a busier mill.
    slower = score_pair(STOCHASTIC, STOCHASTIC.replace('"ProcessTime", 8', '"ProcessTime", 9'), **runs)
    agrees = {row.name: row.agrees for row in slower.agreement.rows}
    assert agrees == {"throughput": True, "lead time": False, "utilisation of Mill": False}
    assert slower.agreement.score == pytest.approx(1 / 3)
    # Another name has no such figure, and other random numbers.
    renamed = score_pair(STOCHASTIC, STOCHASTIC.replace('"Mill"', '"Lathe"'), **runs)
    assert [row.candidate is None for row in renamed.agreement.rows] == [False, False, True]
    broken = score_pair(STOCHASTIC, BROKEN, **runs)
    assert broken.agreement.score == 0
    assert PairScore.from_dict(slower.to_dict()) == slower


def test_agreement_needs_replications_and_a_reference_that_runs():
    assert score_pair(STOCHASTIC, STOCHASTIC, **SHORT).agreement is None
    assert score_pair(LINE_LOST, LINE_LOST, replications=3, **SHORT).agreement is None
    reports = [run(REFERENCE, until=600, replications=2), run(REFERENCE, until=601, replications=2)]
    with pytest.raises(ValueError, match="run both alike"):
        kpi_agreement(*reports)
    # Without randomness the interval has no width: the same figure agrees, another does not.
    assert kpi_agreement(reports[0], reports[0]).score == 1
    assert all(row.half_width == 0 for row in kpi_agreement(reports[0], reports[0]).rows)


def test_without_a_time_both_run_as_long_as_the_reference_says():
    pair = run_pair(REFERENCE + "stoptime(1000);", PLAIN + "stoptime(77);", until=None)
    assert pair.reference.kpis.until == pair.candidate.kpis.until == 1000
    assert run_pair(REFERENCE, PLAIN, until=None).candidate.kpis.until == 28800
    assert run_pair(LINE_LOST, PLAIN, until=None).candidate.kpis.until == 28800


def test_a_reference_with_many_candidates_runs_once(monkeypatch):
    calls = []

    def counted(script, **kwargs):
        calls.append(script)
        return run(script, **kwargs)

    monkeypatch.setattr("vlsm_jax.metrics.score.run", counted)
    reference = REFERENCE + "// only here"
    candidates = [PLAIN + f"// {i}" for i in range(4)]
    score_pairs([(reference, candidate) for candidate in candidates], until=333.0)
    assert sorted(calls) == sorted([reference, *candidates])


def test_pairs_that_cannot_be_scored_are_named_and_the_others_scored():
    seen = []
    found = try_pairs(
        [(REFERENCE, PLAIN), (BROKEN, PLAIN), (REFERENCE, SLOWER)],
        progress=lambda done, total: seen.append((done, total)),
        **SHORT,
    )
    assert [type(score) for score in found] == [PairScore, ScoreError, PairScore]
    assert found[2] == score_pair(REFERENCE, SLOWER, **SHORT)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(ScoreError, match="builds nothing"):
        score_pairs([(REFERENCE, PLAIN), (BROKEN, PLAIN)], **SHORT)


# --- The summary's further figures, and tables ------------------------------------------------------------------------


def test_the_summary_counts_failures_and_structure(scores):
    summary = summarise(scores)
    assert dict(summary.failures) == {"parse": 1, "wiring": 1}
    assert summary.same_structure == share_interval(2, 4)
    assert summary.structure_share.mean == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert summary.parameter_recall.mean == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert summary.agreement is None
    older = [dataclasses.replace(score, structure=None, parameters=None) for score in scores]
    assert summarise(older).structure_share is None
    assert summarise(older).parameter_f1 is None
    assert Summary.from_dict(summarise(older).to_dict()) == summarise(older)


def test_a_table_by_industry_and_layout(scores):
    metadata = [
        {"industry": "pcb", "layout": "linear"},
        {"industry": "pcb", "layout": "linear"},
        {"industry": "led|x", "layout": "parallel"},
        {"industry": "pcb"},
    ]
    table = group_table(scores, metadata)
    cells = table.to_dict()["cells"]
    assert cells["pcb"]["linear"]["mean"] == pytest.approx(0.85)
    assert cells["pcb"]["linear"]["n"] == 2
    assert cells["pcb"]["unknown"]["mean"] == 0
    assert cells["led|x"]["parallel"]["mean"] == 1
    assert "linear" not in cells["led|x"]
    assert cells["all"]["all"]["mean"] == pytest.approx(summarise(scores).svr.mean)
    assert (
        table.cells["pcb", "all"].value
        == bootstrap_interval(np.asarray([[s.svr] for s in (*scores[:2], scores[3])]))[0]
    )
    assert table.to_markdown() == (
        "| SVR: industry \\ layout | linear | parallel | unknown | all |\n"
        "|---|---:|---:|---:|---:|\n"
        "| led\\|x |  | 1.000 (1) |  | 1.000 (1) |\n"
        "| pcb | 0.850 (2) |  | 0.000 (1) | 0.567 (3) |\n"
        "| all | 0.850 (2) | 1.000 (1) | 0.000 (1) | 0.675 (4) |\n"
    )


@pytest.mark.parametrize(
    ("measure", "mean"),
    [("esr", 0.5), ("pmr", 0.625), ("object_score", 0.75), ("structure", 0.625), ("parameters", 0.625)],
)
def test_tables_of_other_measures(scores, measure, mean):
    cell = group_table(scores, [{}] * 4, measure=measure).cells["all", "all"]
    assert isinstance(cell.value, Interval)
    assert cell.value.mean == pytest.approx(mean)


def test_tables_refuse_what_they_cannot_show(scores):
    assert group_table(scores, [{}] * 4, measure="agreement").cells["all", "all"].value is None
    assert "– (4)" in group_table(scores, [{}] * 4, measure="agreement").to_markdown()
    bleu = group_table(scores, [{}] * 4, measure="bleu4").cells["all", "all"].value
    assert bleu == summarise(scores).bleu4
    with pytest.raises(ValueError, match="no measure 'speed'"):
        group_table(scores, [{}] * 4, measure="speed")
    with pytest.raises(ValueError, match="4 scores and 3 rows"):
        group_table(scores, [{}] * 3)
