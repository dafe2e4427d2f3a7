"""Several candidates for one prompt: which is taken, and that it is never worse than what there was."""

import json
import pickle
import random

import pytest

from benchmarks.mutation import any_script
from vlsm_jax.metrics import Outcome, parse_goal
from vlsm_jax.repair import Level, Statement, judge
from vlsm_jax.synth.corruptions import make_corruption
from vlsm_jax.verification import Asked, Checks, Verifier, rewrite, try_script, verify
from vlsm_jax.verification.agreement import agreements, alike
from vlsm_jax.verification.verify import ranking

LINE = """Object source = Object.create("Source");
source.name = "Arrivals";
source.setProperty("InterArrivalTime", 10);
Object mill = Object.create("Processor");
mill.name = "Mill";
mill.setProperty("ProcessTime", 8);
Object sink = Object.create("Sink");
sink.name = "Shipping";
contextdragconnection(source, mill, "A");
contextdragconnection(mill, sink, "A");
"""
PROMPT = (
    "Arrivals is a Source with an interarrival time of 10 s. Mill is a Processor with a process time of 8 s. "
    "Shipping is a Sink. Arrivals feeds Mill. Mill feeds Shipping."
)
TYPO = LINE.replace("contextdrag", "contextdrg", 1)
CUT = LINE.replace('contextdragconnection(mill, sink, "A");\n', "")
RENAMED = LINE.replace('"Mill"', '"Drill"')
SLOW = LINE.replace('"ProcessTime", 8', '"ProcessTime", 12')
AS_WRITTEN = Checks(until=3600.0, mend=0)
MENDED = Checks(until=3600.0)


@pytest.mark.parametrize(
    "scripts",
    [
        (TYPO, LINE),
        ("not a script", LINE),
        (CUT, LINE),
        (RENAMED, LINE),
        (SLOW, LINE),
        (TYPO, CUT, RENAMED, SLOW, LINE),
    ],
)
def test_the_script_that_runs_and_fits_is_taken_wherever_it_stands(scripts):
    for order in (scripts, scripts[::-1]):
        found = verify(Asked(PROMPT, order), AS_WRITTEN)
        assert found.best.script == LINE
        assert found.best.index == order.index(LINE)
        assert sorted(trial.index for trial in found.trials) == list(range(len(scripts)))
        assert found.ran == sum(try_script(text, Statement(PROMPT), AS_WRITTEN).runs for text in scripts)


def test_without_anything_else_the_first_of_equals_is_taken():
    assert verify(Asked("", (LINE, LINE + "\n")), AS_WRITTEN).best.index == 0


def test_the_likelier_of_two_that_run_alike_is_taken():
    other = LINE.replace("8", "9")
    assert verify(Asked("A mill.", (LINE, other), (-0.2, -0.1)), AS_WRITTEN).best.script == other
    assert verify(Asked("A mill.", (LINE, other), (-0.1, -0.2)), AS_WRITTEN).best.script == LINE


def test_what_most_build_is_taken_where_nothing_else_tells():
    other = LINE.replace("8", "9")
    scripts = (other, LINE, LINE.replace("mill", "m"), LINE.replace("sink", "s"))
    assert verify(Asked("A mill.", scripts), AS_WRITTEN).best.script == LINE


def test_goals_decide_between_those_that_are_equal_by_all_else():
    goal = parse_goal("throughput >= 350/h")
    found = verify(Asked("A mill.", (SLOW, LINE, TYPO), (-0.1, -0.2, 0.0), (goal,)), AS_WRITTEN)
    assert (found.best.script, found.best.intent) == (LINE, Outcome.MET)
    assert [trial.intent for trial in found.trials] == [Outcome.MET, Outcome.MISSED, None]
    # A script that fits the prompt stays in front of one that does not and reaches the goal.
    faithful = verify(Asked(PROMPT.replace("8 s", "12 s"), (LINE, SLOW), (), (goal,)), AS_WRITTEN)
    assert (faithful.best.script, faithful.best.intent) == (SLOW, Outcome.MISSED)


def test_the_best_one_is_mended_by_rules_and_says_how():
    found = verify(Asked(PROMPT, (TYPO, "not a script")), MENDED)
    assert (found.best.script, found.best.index, found.by) == (LINE, -1, "rules")
    assert found.trials[0].script == TYPO
    assert found.ran == 0
    assert found.best.runs
    assert "'contextdrgconnection' is read as 'contextdragconnection'" in [step.reason for step in found.steps]
    assert "+contextdragconnection(source" in found.diff
    row = json.loads(json.dumps(found.to_dict()))
    assert (row["tried"], row["ran"], row["best"]["candidate"], row["best"]["verdict"]) == (2, 0, None, "ok")
    assert [c["candidate"] for c in row["candidates"]] == [0, 1]


def test_a_script_that_is_right_is_not_touched():
    found = verify(Asked(PROMPT, (LINE,)), MENDED)
    assert (found.best.script, found.by, found.steps, found.diff) == (LINE, "model", (), "")


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_broken_scripts_is_never_worse_than_any_of_them(seed):
    rng = random.Random(seed)
    broken = [make_corruption(8, 7 * seed + n) for n in range(2)]
    scripts = (any_script(rng), *(one.script for one in broken), any_script(rng))
    prompt = broken[0].prompt
    found = verify(Asked(prompt, scripts), Checks())
    worth = [judge(text, Statement(prompt), runs=True, budget=Checks().budget).judgement for text in scripts]
    best = judge(found.best.script, Statement(prompt), runs=True, budget=Checks().budget).judgement
    assert best >= max(worth)
    assert found.best.judged.judgement == best
    if found.by == "rules":
        assert best > max(worth)
    assert found.trials == ranking(found.trials)


def test_processes_find_the_same_as_this_one():
    asked = [Asked(PROMPT, (TYPO, CUT)), Asked("", (LINE,))]
    here = Verifier(MENDED)(asked)
    with Verifier(MENDED, workers=2) as verifier:
        assert verifier(asked) == here
        assert verifier(asked[:1]) == here[:1]
    assert pickle.loads(pickle.dumps(here)) == here


def test_candidates_that_do_not_go_together():
    with pytest.raises(ValueError, match="0 candidates"):
        verify(Asked(PROMPT, ()))
    with pytest.raises(ValueError, match="1 candidates with 2"):
        verify(Asked(PROMPT, (LINE,), (0.0, 0.0)))


@pytest.mark.parametrize("text", ["", "}{", "\0", "while (1) {}", 'Object.create("Source");' * 50])
def test_no_candidate_is_too_broken_or_too_long_to_be_tried(text):
    assert verify(Asked(PROMPT, (text,)), MENDED).trials[0].judged.judgement.level <= Level.STARTS


def test_a_stop_time_without_end_is_told_and_left_out():
    found = verify(Asked("", (LINE + "stoptime(1e400);",)), Checks(mend=0)).best
    assert (found.report.verdict.value, found.report.kpis.until) == ("ok", 28800)
    assert [d.code for d in found.report.diagnostics] == ["value"]


def test_a_model_may_rewrite_and_only_what_is_strictly_better_is_taken():
    asked = Asked(PROMPT, ("not a script", CUT), goals=(parse_goal("throughput >= 350/h"),))
    found = verify(asked, AS_WRITTEN)
    told = []

    def write(*scripts):
        return lambda text: told.append(text) or scripts

    better = rewrite(found, asked, write("}{", LINE, TYPO), AS_WRITTEN)
    assert (better.best.script, better.by, better.best.intent) == (LINE, "rewriting", Outcome.MET)
    assert better.origin == found.trials[0]
    assert told[0].startswith(PROMPT)
    assert CUT.strip() in told[0]
    assert '"Mill" is not connected to "Shipping"' in told[0]
    for scripts in ((), ("}{",), (CUT,), (CUT, "not a script")):
        assert rewrite(found, asked, write(*scripts), AS_WRITTEN) is found
    right = verify(Asked(PROMPT, (LINE,)), AS_WRITTEN)
    assert rewrite(right, Asked(PROMPT, (LINE,)), write("never asked"), AS_WRITTEN) is right
    assert len(told) == 5


def test_agreement_is_the_mean_likeness_to_the_others():
    twins = [try_script(text, Statement(""), AS_WRITTEN).judged.twin for text in (LINE, LINE, SLOW)]
    likeness = alike(twins[0], twins[2])
    assert 0.5 < likeness == alike(twins[2], twins[0]) < 1
    assert agreements([*twins, None]) == pytest.approx([(1 + likeness) / 3, (1 + likeness) / 3, 2 * likeness / 3, 0])
    assert agreements(twins[:1]) == [0.0]
