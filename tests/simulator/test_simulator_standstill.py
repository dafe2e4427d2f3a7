"""Why nothing arrives: deadlock, starvation, dead ends and slowness are told apart."""

import pytest

from vlsm_jax.simulator import Verdict, run

EVERY_TEN = {"InterArrivalTime": 10}
SINK = ("Sink", {})


def source(**settings):
    return "Source", EVERY_TEN | settings


CASES = {
    "two machines that send to each other": (
        "deadlock",
        "'B' for 'A' for 'B'",
        {"S": source(), "A": ("Processor", {"ProcessTime": 1, "SendToPort": 1}),
         "B": ("Processor", {"ProcessTime": 1, "SendToPort": 1}), "T": SINK},
        "S>A A>B B>A B>T",
    ),
    "a source bound for the queue whose partner it has to feed": (
        "deadlock",
        "'C' for 'R' for 'S' for 'Q' for 'C'",
        {"S": source(SendToPort=1), "Q": ("Queue", {"MaxContent": 3}), "R": ("Queue", {}),
         "C": ("Combiner", {"ProcessTime": 1}), "T": SINK},
        "S>Q S>R Q>C R>C C>T",
    ),
    "a batch that never fits": (
        "deadlock",
        "'Q' for 'S' for 'Q'",
        {"S": source(), "Q": ("Queue", {"DoBatching": 1, "BatchSize": 10, "MaxContent": 5}), "T": SINK},
        "S>Q Q>T",
    ),
    "components that nothing feeds": (
        "starved",
        "did not come from 'R'",
        {"S": source(), "Q": ("Queue", {}), "R": ("Queue", {}), "C": ("Combiner", {"ProcessTime": 1}), "T": SINK},
        "S>Q Q>C R>C C>T",
    ),
    "an arrival after the end": ("starved", "'S'", {"S": ("Source", {"InterArrivalTime": 10**9}), "T": SINK}, "S>T"),
    "a queue without a way out": (
        "blocked",
        "cannot go on from 'D'",
        {"S": source(SendToPort=1), "D": ("Queue", {"MaxContent": 5}), "T": SINK},
        "S>D S>T",
    ),
    "items that are not released": ("blocked", "from 'S'", {"S": source(SendToPort=-1), "T": SINK}, "S>T"),
    "a process longer than the run": (
        "no flow",
        "under way in 'A'",
        {"S": source(), "A": ("Processor", {"ProcessTime": 10**9}), "T": SINK},
        "S>A A>T",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_cause_of_no_flow(model, case):
    code, words, objects, links = CASES[case]
    report = run(model(objects, links), until=3600)
    assert report.verdict is Verdict.NO_FLOW
    (error,) = [finding for finding in report.diagnostics if finding.severity.value == "error"]
    assert error.code == code, error
    assert words in error.message
    assert error.hint


def test_a_model_that_locks_up_after_its_first_items_runs_with_a_warning(model):
    objects = {
        "S": source(),
        "A": ("Processor", {"ProcessTime": 1, "SendToPort": "return time() < 35 ? 2 : 1;"}),
        "B": ("Processor", {"ProcessTime": 1, "SendToPort": 1}),
        "T": SINK,
    }
    report = run(model(objects, "S>A A>B A>T B>A"), until=3600)
    assert report.verdict is Verdict.OK
    # Of the items at 10, 20, ... three pass; the fourth goes to B, and the fifth enters A and finds B waiting for A.
    assert report.kpis.throughput["T"].mean == 3
    (warning,) = report.diagnostics
    assert warning.code == "deadlock"
    assert "nothing moves any more after" in warning.message


def test_a_model_that_ran_dry_is_no_deadlock(model):
    objects = {
        "S": ("Source", {"ArrivalStyle": "Arrival Schedule"}),
        "Q": ("Queue", {"DoBatching": 1, "BatchSize": 2}),
        "T": SINK,
    }
    script = model(objects, "S>Q Q>T") + '\nS.setProperty("ArrivalSchedule", [[0, "a", 5]]);'
    report = run(script, until=3600)
    assert report.verdict is Verdict.OK
    assert not [finding for finding in report.diagnostics if finding.code == "deadlock"]
