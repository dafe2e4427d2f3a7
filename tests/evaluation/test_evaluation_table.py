"""Tables over splits and ways, of rows made up so that every figure is known."""

import dataclasses
import itertools
import json

import pytest

from vlsm_jax.evaluation.table import Evaluated, Row, make_tables, write_tables
from vlsm_jax.metrics import group_table, share_interval

SKETCHED = {"industry": "pcb", "layout": "linear", "omitted": ["connections"]}
SAID = {"industry": "furniture", "layout": "parallel", "omitted": []}


@pytest.fixture
def row(make_prediction):
    """A row of a given SVR and PMR, or of a script that does not parse (SVR None)."""

    def make(id, svr, pmr=1.0, metadata=SKETCHED, **changes):
        if svr is None:
            return Row.of(make_prediction(id, None, metadata=metadata, **changes))
        prediction = make_prediction(id, metadata=metadata, **changes)
        return Row.of(dataclasses.replace(prediction, scores=dataclasses.replace(prediction.scores, svr=svr, pmr=pmr)))

    return make


@pytest.fixture
def tables(row):
    sketch = [row("a", 1.0), row("b", 0.9), row("c", 1.0, 0.5, SAID), row("d", None)]
    blank = [row("a-blank", 0.25), row("b-blank", 0.65), row("c-blank", 1.0, 1.0, SAID), row("d-blank", None)]
    mended = [row("a", 1.0, generation_tokens=20, generation_seconds=0.1), row("b", 1.0, generation_seconds=None)]
    return make_tables(
        "a model",
        [
            Evaluated("iid", "greedy", sketch),
            Evaluated("iid-blank", "greedy", blank),
            Evaluated("iid", "mended", mended),
        ],
    )


def test_scores_of_every_split_and_way(tables):
    greedy, blank, mended = tables.lines
    assert [(line.split, line.way, line.n) for line in tables.lines] == [
        ("iid", "greedy", 4),
        ("iid-blank", "greedy", 4),
        ("iid", "mended", 2),
    ]
    assert greedy.values["svr"].mean == pytest.approx(2.9 / 4)
    assert greedy.values["pmr"].mean == pytest.approx(2.5 / 4)
    assert greedy.values["esr"] == share_interval(3, 4)
    assert greedy.values["whole"] == share_interval(1, 4)
    assert mended.values["whole"] == share_interval(2, 2)
    assert greedy.values["intent_rate"] is None
    assert blank.values["svr"].mean == pytest.approx(1.9 / 4)
    # 42 tokens in half a second each; and where only one row has both numbers, that one.
    assert (greedy.tokens_per_second, mended.tokens_per_second) == (pytest.approx(84), pytest.approx(200))
    assert dict(greedy.failures) == {"parse": 1}
    assert dict(mended.failures) == {}


def test_what_vision_is_worth_is_taken_pair_by_pair_where_the_sketch_counts(tables):
    (vision,) = tables.vision
    # c is told in words; a, b and d remain: 1, 0.9, 0 with the sketch, and 0.25, 0.65, 0 without.
    assert (vision.split, vision.way, vision.n) == ("iid", "greedy", 3)
    assert vision.sketch.mean == pytest.approx(1.9 / 3)
    assert vision.blank.mean == pytest.approx(0.9 / 3)
    assert vision.difference.mean == pytest.approx(1.0 / 3)
    # Of three pairs some resample has the first, or the last, three times: 1/27 of them, more than the 2.5 % left out.
    assert (vision.difference.low, vision.difference.high) == pytest.approx((0, 0.75))


def test_a_difference_that_is_the_same_in_every_pair_has_no_width(row):
    found = make_tables(
        "x",
        [
            Evaluated("layout", "best-of-4", [row(str(i), 0.5 + i / 100) for i in range(20)]),
            Evaluated("layout-blank", "best-of-4", [row(f"{i}-blank", 0.25 + i / 100) for i in range(20)]),
        ],
    )
    (vision,) = found.vision
    assert vision.difference == pytest.approx((0.25, 0.25, 0.25))
    assert vision.sketch.high > vision.sketch.low


def test_groups_are_those_of_the_metrics(tables, row):
    assert [(one.split, one.way, one.table.measure) for one in tables.groups] == [
        ("iid", way, measure) for way in ("greedy", "mended") for measure in ("svr", "pmr", "esr")
    ]
    svr = tables.groups[0].table
    assert {key: (cell.n, cell.value.mean) for key, cell in svr.cells.items() if "all" not in key} == {
        ("pcb", "linear"): (3, pytest.approx(1.9 / 3)),
        ("furniture", "parallel"): (1, 1),
    }
    nowhere = [row("a", 1.0, metadata={})]
    assert make_tables("x", [Evaluated("test", "greedy", nowhere)]).groups == ()


def test_tables_as_markdown_and_json(tables, tmp_path):
    path = write_tables(tmp_path, tables)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["table.json", "table.md"]
    text = path.read_text()
    lines = text.splitlines()
    assert lines[0] == "# Evaluation of a model"
    assert next(line for line in lines if line.startswith("| split")).split(" | ")[3:10] == [
        *("SVR", "PMR", "ESR", "BLEU-4", "IntentRate", "whole factory right", "same graph without names")
    ]
    (mended,) = [line for line in lines if line.startswith("| iid | mended | 2 | 1.000 (1.000 to 1.000) |")]
    assert "| – |" in mended
    assert mended.endswith("| 200 |")
    assert "| iid | greedy | 3 | 0.633 (0.000 to 1.000) | 0.300 (0.000 to 0.650) | 0.333 (0.000 to 0.750) |" in lines
    assert "| split | way | run | parse |" in lines
    assert "| iid | greedy | 3 | 1 |" in lines
    assert "| SVR: industry \\ layout | linear | parallel | all |" in lines
    # As many cells in every line of a table as in its head.
    for above, below in itertools.pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert above.count("|") == below.count("|"), below
    found = json.loads((tmp_path / "table.json").read_text())
    assert (found["format"], found["subject"]) == ("vlsm_jax.table/1", "a model")
    assert found["lines"][0]["esr"] == share_interval(3, 4)._asdict()
    assert found["lines"][0]["intent_rate"] is None
    assert found["vision"][0]["difference"]["mean"] == pytest.approx(1 / 3)
    assert found["groups"][0]["cells"]["furniture"]["all"]["n"] == 1


def test_where_all_run_no_failures_are_listed(row):
    text = make_tables("x", [Evaluated("iid", "greedy", [row("a", 1.0)])]).to_markdown()
    assert "All run." in text
    assert "vision" not in text


def test_shares_by_group_have_intervals_of_shares(row):
    scores = [row("a", 1.0).scores, row("b", 0.5).scores, row("c", None).scores]
    for measure, met in (("esr", 2), ("whole", 1)):
        cells = group_table(scores, [SAID] * 3, measure=measure).cells
        assert cells["all", "all"].value == share_interval(met, 3)
    assert group_table(scores, [SAID] * 3, measure="same_structure").cells["all", "all"].value is None
