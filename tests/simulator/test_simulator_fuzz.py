"""Mutated scripts: whatever the text, there is a verdict and never an exception, and no budget is overrun."""

import random
import time

from benchmarks.mutation import SPICE, any_script, generated, mutated, seed_scripts, spliced
from vlsm_jax.simulator import Budget, Verdict, build, run

BUDGET = Budget(steps=20_000, nodes=500, events=20_000, wall_seconds=2.0, items=5_000)


def examined(text):
    """The Report of a script, after the checks that hold for any."""
    began = time.process_time()  # of this process: a machine that is busy with others is no fault of the script
    report = run(text, until=300.0, budget=BUDGET)
    assert time.process_time() - began < 2 * BUDGET.wall_seconds, text
    errors = [d for d in report.diagnostics if d.severity.value == "error"]
    assert bool(errors) == (not report.ok), (report.verdict, text)
    for diagnostic in report.diagnostics:
        assert diagnostic.code != "internal error", (diagnostic.message, text)
        assert diagnostic.line <= text.count("\n") + 1 or diagnostic.message.startswith("in ")
    return report


def test_mutated_scripts_never_raise_and_stay_within_their_budget():
    rng = random.Random(20)
    seeds = seed_scripts()
    verdicts = {examined(mutated(seeds[number % len(seeds)], rng)).verdict for number in range(300)}
    assert {Verdict.OK, Verdict.PARSE_ERROR, Verdict.BUILD_ERROR} <= verdicts


def test_spliced_scripts_never_raise():
    rng = random.Random(21)
    seeds = seed_scripts()
    for _ in range(100):
        examined(spliced(rng.choice(seeds), rng.choice(seeds), rng))


def test_scripts_made_from_the_whole_vocabulary_never_raise():
    rng = random.Random(22)
    verdicts = [examined(generated(rng)).verdict for _ in range(200)]
    assert verdicts.count(Verdict.PARSE_ERROR) < len(verdicts) * 0.8  # they get to where they do something


def test_a_seed_gives_one_script():
    assert any_script(random.Random(5)) == any_script(random.Random(5))


def test_random_bytes_never_raise():
    rng = random.Random(3)
    for _ in range(200):
        text = bytes(rng.randrange(256) for _ in range(rng.randrange(200))).decode("latin-1")
        assert "internal error" not in [d.code for d in build(text).diagnostics]


def test_a_script_of_spice_never_raises():
    rng = random.Random(4)
    for _ in range(300):
        text = " ".join(rng.choice(SPICE) for _ in range(rng.randrange(40)))
        report = run(text, until=10.0, budget=Budget(steps=5000, nodes=100, wall_seconds=1.0))
        assert "internal error" not in [d.code for d in report.diagnostics]
