"""Evaluation end to end, with a generator that only copies."""

import json
import multiprocessing
import subprocess
import sys
import textwrap
import time
from typing import NamedTuple

import pytest

from vlsm_jax.evaluation.evaluate import Candidate, EvaluationError, evaluate
from vlsm_jax.evaluation.predictions import read_predictions
from vlsm_jax.evaluation.report import write_report
from vlsm_jax.evaluation.summary import format_table, read_scores

SCRIPT = """
Object source = Object.create("Source");
source.name = "In";
Object mill = Object.create("Processor");
mill.name = "Mill";
mill.setProperty("ProcessTime", 8);
Object sink = Object.create("Sink");
sink.name = "Out";
contextdragconnection(source, mill, "A");
contextdragconnection(mill, sink, "A");
"""
BROKEN = SCRIPT.replace("Object mill =", "Object mill = = (")


class Sample(NamedTuple):
    id: str
    image: str
    prompt: str
    response: str


SAMPLES = [Sample(f"s{i}", "", f"Prompt {i}", SCRIPT + f"// sample {i}\n") for i in range(5)]
SETTINGS = {"until": 600.0, "workers": 0, "batch_size": 2}


class Copier:
    """Returns each reference, the last one broken; remembers the batches it saw."""

    def __init__(self):
        self.batches = []

    def __call__(self, samples):
        self.batches.append([sample.id for sample in samples])
        return [BROKEN if sample.id == "s4" else sample.response for sample in samples]


def test_an_evaluation_leaves_rows_and_scores(tmp_path):
    copier, seen = Copier(), []
    summary = evaluate(SAMPLES, copier, directory=tmp_path, progress=lambda *p: seen.append(p), **SETTINGS)
    assert copier.batches == [["s0", "s1"], ["s2", "s3"], ["s4"]]
    assert seen == [(i, 5) for i in range(1, 6)]
    assert summary.n == 5
    assert summary.esr.mean == summary.svr.mean == pytest.approx(0.8)
    assert summary.verdicts == {"ok": 4, "parse error": 1}
    assert read_scores(tmp_path / "scores.json") == summary
    rows = {row.id: row for row in read_predictions(tmp_path / "predictions.jsonl")}
    assert list(rows) == [s.id for s in SAMPLES]
    assert rows["s4"].verdict == "parse error"
    assert rows["s4"].candidate == BROKEN
    assert rows["s0"].candidate_report["kpis"]
    assert rows["s0"].generation_seconds >= 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["predictions.jsonl", "scores.json"]


def test_goals_of_rows_and_prompts_make_the_intent_rate(tmp_path):
    class Asked(NamedTuple):
        id: str
        image: str
        prompt: str
        response: str
        extra: dict

    row = {"measure": "throughput", "at_least": 1000, "at_most": None, "per": "hour", "unit": "items", "object": ""}
    samples = [
        Asked("by row", "", "A line.", SCRIPT, {"goal": row}),
        Asked("by prompt", "", "A line. We need at least 100 items per hour.", SCRIPT, {}),
        Asked("by neither", "", "A line. We need at least 100 items per hour.", SCRIPT, {"goal": None}),
    ]
    summary = evaluate(samples, lambda s: [x.response for x in s], directory=tmp_path, **SETTINGS)
    assert (summary.intent_rate.mean, summary.reference_intent_rate.mean) == (0.5, 0.5)
    assert summary.goals == {"met": 1, "missed": 1, "undecided": 0}
    assert read_scores(tmp_path / "scores.json") == summary
    assert "IntentRate" in format_table(summary)
    rows = read_predictions(tmp_path / "predictions.jsonl")
    assert [row.scores.intent and row.scores.intent.value for row in rows] == ["missed", "met", None]
    assert "IntentRate" not in format_table(evaluate(SAMPLES, Copier(), directory=tmp_path / "none", **SETTINGS))
    bad = samples[0]._replace(extra={"goal": {"measure": "beauty", "at_least": 1}})
    with pytest.raises(EvaluationError, match="by row: no measure 'beauty'"):
        evaluate([bad], lambda s: [x.response for x in s], directory=tmp_path / "bad", **SETTINGS)


def test_what_a_row_leaves_out_does_not_count_among_what_its_prompt_states(tmp_path):
    class Told(NamedTuple):
        id: str
        image: str
        prompt: str
        response: str
        extra: dict

    samples = [
        Told("a", "", "A", SCRIPT, {"omitted": ["Mill.ProcessTime", "connections"]}),
        Told("b", "", "B", SCRIPT + "// b", {"omitted": []}),
        Told("c", "", "C", SCRIPT + "// c", {}),
    ]
    without = SCRIPT.replace('mill.setProperty("ProcessTime", 8);', "")
    summary = evaluate(samples, lambda batch: [without] * len(batch), directory=tmp_path, **SETTINGS)
    assert summary.pmr.mean == 0
    assert summary.pmr_stated.mean == 0.5
    stated = [row.scores.pmr_stated for row in read_predictions(tmp_path / "predictions.jsonl")]
    assert stated == [1, 0, None]


def test_a_killed_evaluation_goes_on_where_it_stopped(tmp_path):
    full = evaluate(SAMPLES, Copier(), directory=tmp_path / "full", **SETTINGS)

    def dies(samples):
        if samples[0].id == "s4":
            raise KeyboardInterrupt
        return Copier()(samples)

    with pytest.raises(KeyboardInterrupt):
        evaluate(SAMPLES, dies, directory=tmp_path / "half", **SETTINGS)
    path = tmp_path / "half" / "predictions.jsonl"
    path.write_bytes(path.read_bytes()[:-100])  # and the machine went down while it wrote
    copier = Copier()
    assert evaluate(SAMPLES, copier, directory=tmp_path / "half", **SETTINGS) == full
    assert copier.batches == [["s3", "s4"]]
    # All there: nothing is generated any more.
    assert evaluate(SAMPLES, dies, directory=tmp_path / "half", **SETTINGS) == full


def test_rows_of_another_evaluation_are_refused(tmp_path):
    evaluate(SAMPLES[:2], Copier(), directory=tmp_path, generator="step 100", **SETTINGS)
    with pytest.raises(EvaluationError, match="generator='step 100'"):
        evaluate(SAMPLES[:2], Copier(), directory=tmp_path, generator="step 200", **SETTINGS)
    with pytest.raises(EvaluationError, match="until=600"):
        evaluate(SAMPLES[:2], Copier(), directory=tmp_path, generator="step 100", **(SETTINGS | {"until": 60.0}))
    with pytest.raises(EvaluationError, match="'s0' is no sample of this test set"):
        evaluate(SAMPLES[1:], Copier(), directory=tmp_path, generator="step 100", **SETTINGS)
    changed = [SAMPLES[0]._replace(prompt="Other"), SAMPLES[1]]
    with pytest.raises(EvaluationError, match="another prompt"):
        evaluate(changed, Copier(), directory=tmp_path, generator="step 100", **SETTINGS)


def test_bad_samples_are_found_before_anything_is_generated(tmp_path):
    copier = Copier()
    with pytest.raises(EvaluationError, match="at least one"):
        evaluate([], copier, directory=tmp_path, **SETTINGS)
    with pytest.raises(EvaluationError, match="two samples have the id 's1'"):
        evaluate([SAMPLES[1], SAMPLES[1]], copier, directory=tmp_path, **SETTINGS)
    with pytest.raises(EvaluationError, match=r"1 of 6 reference scripts build nothing[\s\S]*bad: "):
        evaluate([*SAMPLES, Sample("bad", "", "x", BROKEN)], copier, directory=tmp_path, **SETTINGS)
    assert copier.batches == []


def test_a_generator_has_to_answer_every_sample_and_may_say_what_it_took(tmp_path):
    with pytest.raises(EvaluationError, match="1 texts for 2 samples"):
        evaluate(SAMPLES, lambda samples: [SCRIPT], directory=tmp_path / "a", **SETTINGS)

    def counts(samples):
        return [Candidate(sample.response, tokens=7, seconds=0.25) for sample in samples]

    evaluate(SAMPLES, counts, directory=tmp_path / "b", **SETTINGS)
    rows = read_predictions(tmp_path / "b" / "predictions.jsonl")
    assert {(row.generation_tokens, row.generation_seconds) for row in rows} == {(7, 0.25)}


def test_a_pool_scores_the_same_without_ever_importing_jax(tmp_path):
    # A program of its own: what a spawned worker imports depends on the program's main module.
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import json, sys
            from vlsm_jax.evaluation.evaluate import evaluate
            from vlsm_jax.processes import fresh_pool
            from typing import NamedTuple

            class Sample(NamedTuple):
                id: str
                image: str
                prompt: str
                response: str

            def loaded(name):
                import vlsm_jax.evaluation.evaluate
                return name in sys.modules

            if __name__ == "__main__":
                samples = [Sample(*row) for row in json.load(open(sys.argv[1]))]
                copy = lambda batch: [s.response for s in batch]
                summary = evaluate(samples, copy, directory=sys.argv[2], until=600.0, workers=2)
                with fresh_pool(1) as pool:
                    jax = pool.submit(loaded, "jax").result()
                print(json.dumps([summary.esr.mean, summary.svr.mean, jax]))
            """
        )
    )
    (tmp_path / "samples.json").write_text(json.dumps(SAMPLES))
    done = subprocess.run(
        [sys.executable, program, tmp_path / "samples.json", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 1, False]
    evaluate(SAMPLES, lambda batch: [s.response for s in batch], directory=tmp_path / "here", **SETTINGS)
    pooled, here = (
        {row.id: row.scores for row in read_predictions(tmp_path / name / "predictions.jsonl")}
        for name in ("out", "here")
    )
    assert pooled == here


def test_a_scoring_process_that_dies_is_said_and_rows_are_kept(tmp_path):
    def scripts(samples):
        if samples[0].id == "s4":
            # Time enough for what was handed over before, on any machine but the slowest.
            time.sleep(1.0)
            for process in multiprocessing.active_children():
                process.kill()
                process.join()
        return [sample.response for sample in samples]

    with pytest.raises(EvaluationError, match=r"a scoring process died; \d of 5 rows are kept"):
        evaluate(SAMPLES, scripts, directory=tmp_path, **(SETTINGS | {"workers": 1}))
    kept = [row.id for row in read_predictions(tmp_path / "predictions.jsonl")]
    assert "s4" not in kept
    copier = Copier()
    assert evaluate(SAMPLES, copier, directory=tmp_path, **SETTINGS).n == 5
    assert [id for batch in copier.batches for id in batch] == [
        sample.id for sample in SAMPLES if sample.id not in kept
    ]


def test_the_table_names_every_measure(tmp_path):
    summary = evaluate(SAMPLES, Copier(), directory=tmp_path, **SETTINGS)
    table = format_table(summary)
    for words in ("n = 5", "SVR", "PMR", "ESR", "BLEU-4", "connections, precision", "parse error", "80.0%"):
        assert words in table
    esr = next(line for line in table.splitlines() if line.startswith("ESR"))
    assert esr.split() == ["ESR", "0.8000", f"{summary.esr.low:.4f}", "to", f"{summary.esr.high:.4f}"]


def test_scores_that_are_none_are_refused(tmp_path):
    path = tmp_path / "scores.json"
    with pytest.raises(ValueError, match="run an evaluation first"):
        read_scores(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        read_scores(path)
    path.write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="this version reads"):
        read_scores(path)


def test_a_report_of_real_runs_shows_their_kpis(tmp_path):
    summary = evaluate(SAMPLES, Copier(), directory=tmp_path, **SETTINGS)
    rows = read_predictions(tmp_path / "predictions.jsonl")
    path = write_report(tmp_path / "report.html", title="Copies", summary=summary, predictions=rows)
    text = path.read_text()
    assert "Throughput" in text
    assert "Lead time" in text
    assert "Mill" in text
