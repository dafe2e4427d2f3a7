"""How evaluation writes scripts: one, or the best of several, with what was done kept in each row."""

from typing import NamedTuple

import pytest

from vlsm_jax.evaluation.evaluate import evaluate
from vlsm_jax.evaluation.predictions import read_predictions
from vlsm_jax.evaluation.writing import Writer, Writing
from vlsm_jax.generation.decode import Candidate
from vlsm_jax.generation.speed import Speed
from vlsm_jax.ways import Way

SCRIPT = """Object source = Object.create("Source");
source.name = "In";
Object mill = Object.create("Processor");
mill.name = "Mill";
mill.setProperty("ProcessTime", 8);
Object sink = Object.create("Sink");
sink.name = "Out";
contextdragconnection(source, mill, "A");
contextdragconnection(mill, sink, "A");
"""
TYPO = SCRIPT.replace("contextdrag", "contextdrg", 1)


class Sample(NamedTuple):
    id: str
    image: str
    prompt: str
    response: str


SAMPLES = [Sample(f"s{n}", f"{n}.png", f"Mill {n}", SCRIPT) for n in range(5)]


class Generator:
    """Writes a script with a typing error first, and what is right behind it."""

    def __init__(self):
        self.calls = []
        self.speed = Speed()

    def generate(self, images, prompts, *, candidates, sampling, rows, **settings):
        self.calls.append((list(images), rows, candidates, sampling.greedy, settings))
        self.speed = Speed(seconds=0.5)
        texts = [TYPO, *[SCRIPT] * (candidates - 1)]
        return [[Candidate(text, 10 + n, True) for n, text in enumerate(texts)] for _ in prompts]


@pytest.mark.parametrize(
    ("candidates", "repair", "esr", "by"),
    [(1, False, 0, None), (1, True, 1, "rules"), (3, False, 1, "model"), (3, True, 1, "model")],
)
def test_candidates_and_repair_make_scripts_run(tmp_path, candidates, repair, esr, by):
    generator = Generator()
    writing = Writing(64, Way(candidates=candidates, mend=repair), batch_size=4, until=600.0)
    with Writer(generator, writing) as writer:
        summary = evaluate(SAMPLES, writer, directory=tmp_path, until=600.0, workers=0, batch_size=4)
    assert summary.esr.mean == esr
    rows = read_predictions(tmp_path / "predictions.jsonl")
    assert [row.verification and row.verification["by"] for row in rows] == [by] * 5
    if candidates == 3:
        assert rows[0].verification["origin"] == 1
        assert rows[0].verification["verdicts"] == ["parse error", "ok", "ok"]
        assert (rows[0].verification["ran"], rows[0].generation_tokens) == (2, 33)
    # Of decoding alone: trials are not in it.
    assert [row.generation_seconds for row in rows] == ([0.125] * 4 + [0.5] if candidates == 1 else [0.5] * 5)
    # As many sequences are decoded at once as without candidates.
    sizes = [(len(images), rows) for images, rows, *_ in generator.calls]
    assert sizes == ([(4, 4), (1, 4)] if candidates == 1 else [(1, 1)] * 5)
    assert all(greedy == (candidates == 1) for *_, greedy, _ in generator.calls)


@pytest.mark.parametrize(
    ("word", "names"), [("constrained", None), ("named", [("0", "Mill", "Mill 0"), ("1", "Mill", "Mill 1")])]
)
def test_names_are_those_of_each_prompt(word, names):
    generator = Generator()
    with Writer(generator, Writing(64, Way.parse(word))) as writer:
        writer(SAMPLES[:2])
    [(*_, settings)] = generator.calls
    assert (settings["constrain"], settings["names"]) == (True, names)


def test_verification_runs_in_processes_of_its_own():
    with Writer(Generator(), Writing(64, Way(candidates=2), until=600.0), workers=2) as writer:
        assert [candidate.text for candidate in writer(SAMPLES[:2])] == [SCRIPT] * 2


def test_what_wrote_a_row_is_told_apart_by_way_and_limit():
    ways = [Writing(9), Writing(9, Way(constrain=True)), Writing(8, Way(candidates=4, mend=True))]
    assert [str(way) for way in ways] == [
        "greedy, without grammar constraint, at most 9 tokens",
        "greedy, with grammar constraint, at most 9 tokens",
        "best of 4, without grammar constraint, mended by rules, at most 8 tokens",
    ]
