"""Goals: how they are written, read from prompts, and judged by replications."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsm_jax.metrics import Attainment, Goal, GoalError, Looks, Measure, Outcome, goals_of, judge_goals, parse_goal
from vlsm_jax.metrics.attainment import pooled
from vlsm_jax.metrics.stated_goals import stated_goals
from vlsm_jax.simulator import Report, Verdict, run
from vlsm_jax.simulator.statistics import estimate
from vlsm_jax.synth.prompts import PromptStyle, write_prompt
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, sample_for

# One item every 10 s, worked on for 8 s, from 0 on: 3599 of them arrive by 36,000 s.
LINE = """
Object source = Object.create("Source");
source.name = "In";
source.setProperty("InterArrivalTime", 10);
Object mill = Object.create("Processor");
mill.name = "Mill";
mill.setProperty("ProcessTime", 8);
Object sink = Object.create("Sink");
sink.name = "Out";
contextdragconnection(source, mill, "A");
contextdragconnection(mill, sink, "A");
"""
RANDOM = LINE.replace('"InterArrivalTime", 10', '"InterArrivalTime", "return exponential(0, 10);"')
SETTINGS = {"until": 3600.0}


# --- Written ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("throughput >= 40/h", Goal(Measure.THROUGHPUT, True, 40)),
        ("Throughput >= 40", Goal(Measure.THROUGHPUT, True, 40)),
        ("throughput of Shipping at least 2 parts per minute", Goal(Measure.THROUGHPUT, True, 120, "Shipping")),
        ("lead time <= 12 min", Goal(Measure.LEAD_TIME, False, 720)),
        ("WIP < 30", Goal(Measure.WORK_IN_PROCESS, False, 30)),
        ('utilization of "Oven 1" ≥ 80 %', Goal(Measure.UTILISATION, True, 0.8, "Oven 1")),
    ],
)
def test_a_goal_is_read_from_a_short_text(text, goal):
    assert parse_goal(text) == goal
    assert parse_goal(str(goal)) == goal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faster", "is no goal; write one such as"),
        ("throughput >= -1", "is no goal"),
        ("throughput >= 4/fortnight", "not per 'fortnight'"),
        ("throughput >= 40 min", "no unit of throughput"),
        ("utilisation >= 80 %", "utilisation of NAME"),
        ("utilisation of Oven >= 80", "8000 %"),
        ("lead time of Oven <= 4 s", "of the whole factory"),
        ("beauty >= 1", "is no goal"),
    ],
)
def test_what_is_no_goal_says_what_goals_look_like(text, message):
    with pytest.raises(GoalError, match=message):
        parse_goal(text)


goals = st.builds(
    Goal,
    st.sampled_from([Measure.THROUGHPUT, Measure.WORK_IN_PROCESS]),
    st.booleans(),
    st.integers(0, 10**6).map(lambda n: n / 100),
    st.sampled_from(["", "Mill", "Out 2"]),
) | st.builds(
    Goal, st.just(Measure.UTILISATION), st.booleans(), st.integers(0, 100).map(lambda n: n / 100), st.just("M")
)


@given(goals)
def test_a_goal_survives_its_text_and_json(goal):
    again = parse_goal(str(goal))
    assert dataclasses.replace(again, bound=goal.bound) == goal
    assert again.bound == pytest.approx(goal.bound, rel=1e-9)
    again = Goal.from_dict(json.loads(json.dumps(goal.to_dict())))
    assert dataclasses.replace(again, bound=goal.bound) == goal
    assert again.bound == pytest.approx(goal.bound, rel=1e-9)


def test_the_goal_of_a_row_counts_before_its_prompt():
    row = {"measure": "lead time", "at_least": None, "at_most": 5.5, "per": "", "unit": "minutes", "object": ""}
    assert goals_of({"goal": row}, "at least 40 items per hour") == (Goal(Measure.LEAD_TIME, False, 330),)
    assert goals_of({"goal": None}, "at least 40 items per hour") == ()
    assert goals_of({}, "at least 40 items per hour") == (Goal(Measure.THROUGHPUT, True, 40),)
    for broken in ("fast", {"measure": "throughput"}, {"measure": "throughput", "at_least": 1, "at_most": 2}):
        with pytest.raises(GoalError):
            goals_of({"goal": broken})


# --- In prompts -------------------------------------------------------------------------------------------------------


def test_every_goal_of_sampled_prompts_is_found_and_nothing_else():
    for index in range(60):
        rng = np.random.default_rng((26, index))
        factory, _ = sample_for(Split.IID, TripletOptions(), rng, rng)
        for style in (PromptStyle.INTENT, tuple(PromptStyle)[index % 4]):
            prompt = write_prompt(factory, style, rng)
            stated = [] if prompt.goal is None else [Goal.from_dict(dataclasses.asdict(prompt.goal))]
            assert list(map(str, stated_goals(prompt.text))) == list(map(str, stated)), prompt.text


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("We want at least 1,200 bottles per day, please.", ["throughput >= 50 items/h"]),
        ("60 parts/h or more", ["throughput >= 60 items/h"]),
        ("Throughput >= 40/h; WIP under 30.", ["throughput >= 40 items/h", "work in process <= 30 items"]),
        ("On average, no more than 6 items should be in the system.", ["work in process <= 6 items"]),
        ("keep Oven 2 at a utilization of 85% or more", ["utilisation of Oven 2 >= 85 %"]),
        ("The Queue WIP Shelf holds at most 250 wafer lots.", []),
        ("The Queue holds at most 20 items and lines them up.", []),
        ("Parts arrive at a rate of at least 12 items per hour.", []),
        ("The belt moves no more than 30 items per minute.", []),
        ("An operator serves at most 3 machines.", []),
    ],
)
def test_sentences_of_other_writers(sentence, found):
    assert list(map(str, stated_goals(sentence))) == found


# --- Judged -----------------------------------------------------------------------------------------------------------


def outcome(text, script=LINE, **settings):
    (found,) = judge_goals(script, [parse_goal(text)], **(SETTINGS | settings)).attainments
    return found


@pytest.mark.parametrize(
    ("text", "expected", "mean"),
    [
        ("throughput >= 359/h", Outcome.MET, 359),
        ("throughput >= 359.1/h", Outcome.MISSED, 359),
        ("throughput <= 359/h", Outcome.MET, 359),
        ("throughput of Mill >= 100/h", Outcome.MET, 359),
        ("throughput of In <= 100/h", Outcome.MISSED, 360),
        ("lead time <= 8 s", Outcome.MET, 8),
        ("lead time <= 7.9 s", Outcome.MISSED, 8),
        ("utilisation of Mill >= 79 %", Outcome.MET, 0.8),
        ("utilisation of Mill <= 79 %", Outcome.MISSED, 0.8),
        ("wip of Mill <= 1", Outcome.MET, 0.8),
    ],
)
def test_a_factory_without_chance_is_judged_exactly(text, expected, mean):
    found = outcome(text)
    assert found.outcome is expected
    assert found.mean == pytest.approx(mean, abs=3e-3)
    assert found.replications == 5


def test_what_has_no_such_figure_misses_its_goal():
    assert "does not run: parse error" in outcome("throughput >= 1/h", "what is this").reason
    assert "'Oven' has no such figure" in outcome("utilisation of Oven >= 1 %").reason
    for found in (outcome("throughput >= 1/h", "what is this"), outcome("utilisation of Oven >= 1 %")):
        assert (found.outcome, found.mean) == (Outcome.MISSED, None)


def test_more_replications_are_run_only_while_a_goal_is_undecided():
    far, near, at = (outcome(f"throughput >= {bound}/h", RANDOM) for bound in (240, 275, 288))
    assert (far.outcome, far.replications) == (Outcome.MET, 5)
    assert near.replications >= far.replications
    assert (at.outcome, at.replications) == (Outcome.UNDECIDED, 40)
    assert at.low < 288 < at.high
    together = judge_goals(RANDOM, [far.goal, at.goal], **SETTINGS).attainments
    assert [a.outcome for a in together] == [Outcome.MET, Outcome.UNDECIDED]
    assert together == (far, at)  # what is decided stays as it is


def test_the_same_replications_are_run_whether_at_once_or_look_by_look():
    at = outcome("throughput >= 288/h", RANDOM)
    whole = run(RANDOM, replications=40, **SETTINGS).kpis.total_throughput
    assert at.mean == pytest.approx(whole.mean, rel=1e-12)
    assert (at.low, at.high) == pytest.approx(whole.interval(Looks().each), rel=1e-9)
    first = run(RANDOM, replications=1, **SETTINGS)
    again = judge_goals(RANDOM, [at.goal], report=first, **SETTINGS)
    assert again.report is first
    assert again.attainments[0].mean == pytest.approx(at.mean, rel=1e-12)


def test_looks_end_where_events_are_used_up():
    at = outcome("throughput >= 288/h", RANDOM, looks=Looks(events=10_000))
    assert (at.outcome, at.replications) == (Outcome.UNDECIDED, 10)
    assert "more than 1e+04 events" in at.reason


def test_a_met_goal_is_rarely_wrong():
    # 288.2 items arrive on average within the hour (400 replications of other seeds, +-1.2).
    wrong = sum(outcome("throughput >= 290/h", RANDOM, seed=seed).outcome is Outcome.MET for seed in range(30))
    assert wrong <= 3


@given(st.lists(st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=6), min_size=1, max_size=4))
def test_estimates_of_parts_give_that_of_the_whole(parts):
    found = pooled([estimate(part) for part in parts])
    whole = estimate([value for part in parts for value in part])
    assert found.mean == pytest.approx(whole.mean, abs=1e-9)
    assert found.replications == whole.replications
    assert (found.half_width or 0) == pytest.approx(whole.half_width or 0, rel=1e-6, abs=1e-6)


def test_an_attainment_survives_json_and_says_what_it_rests_on():
    found = outcome("utilisation of Mill >= 79 %")
    assert Attainment.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert str(found) == "utilisation of Mill >= 79 %: met (79.78 % on average, 5 runs)"


@pytest.mark.parametrize("looks", [{"at": ()}, {"at": (1, 2)}, {"at": (5, 5)}, {"confidence": 1.0}])
def test_looks_that_make_no_sense(looks):
    with pytest.raises(ValueError, match=r"looks at|confidence"):
        Looks(**looks)
    with pytest.raises(ValueError, match="no goals"):
        judge_goals(LINE, [])


def test_a_report_of_another_verdict_counts_as_missed():
    broken = Report(Verdict.NO_FLOW, None, ())
    (found,) = judge_goals(LINE, [parse_goal("wip <= 3")], report=broken).attainments
    assert (found.outcome, found.reason) == (Outcome.MISSED, "the script does not run: no flow")
