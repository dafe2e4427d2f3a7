"""Predictions outlive a kill, and a broken file says where."""

import json
import logging

import pytest

from vlsm_jax.evaluation.predictions import PredictionError, PredictionLog, read_predictions, write_predictions
from vlsm_jax.metrics import summarise


def test_rows_come_back_as_they_were(tmp_path, make_prediction):
    rows = [
        make_prediction("a"),
        make_prediction("b", None),
        make_prediction("c", prompt="Umlaut ü, “quotes”, broken \ud83d"),
    ]
    with PredictionLog(tmp_path / "deep" / "predictions.jsonl") as log:
        for row in rows:
            log.append(row)
    path = tmp_path / "deep" / "predictions.jsonl"
    assert read_predictions(path) == rows
    assert len(path.read_text().splitlines()) == 3
    write_predictions(tmp_path / "again.jsonl", read_predictions(path))
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.jsonl", "deep"]


def test_a_row_names_its_verdict_and_sentence_bleu_for_other_readers(tmp_path, make_prediction):
    write_predictions(tmp_path / "p.jsonl", [make_prediction("a", None)])
    row = json.loads((tmp_path / "p.jsonl").read_text())
    assert row["scores"]["verdict"] == "parse error"
    assert row["scores"]["svr"] == row["scores"]["pmr"] == 0
    assert 0 < row["scores"]["bleu4"] < 1
    assert row["generation_tokens"] == 42


def test_a_torn_last_line_is_dropped_with_a_note_and_written_anew(tmp_path, make_prediction, caplog):
    path = tmp_path / "p.jsonl"
    with PredictionLog(path) as log:
        log.append(make_prediction("a"))
        log.append(make_prediction("b"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with caplog.at_level(logging.WARNING):
        assert [row.id for row in read_predictions(path)] == ["a"]
    assert f"{path}:2" in caplog.text
    with PredictionLog(path) as log:
        assert list(log.rows) == ["a"]
        log.append(make_prediction("b"))
    assert path.read_bytes() == whole


def test_appending_continues_an_existing_file(tmp_path, make_prediction):
    path = tmp_path / "p.jsonl"
    with PredictionLog(path) as log:
        log.append(make_prediction("a"))
    with PredictionLog(path) as log:
        with pytest.raises(PredictionError, match="'a' is there already"):
            log.append(make_prediction("a"))
        log.append(make_prediction("b"))
    assert [row.id for row in read_predictions(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r"p\.jsonl:2: not JSON"),
        ("[1, 2]", r"p\.jsonl:2: not a prediction"),
        ('{"id": "x"}', r"p\.jsonl:2: not a prediction: no field 'scores'"),
        ("\xff", r"p\.jsonl:2: not JSON"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path, make_prediction, line, message):
    path = tmp_path / "p.jsonl"
    write_predictions(path, [make_prediction("a")])
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    with pytest.raises(PredictionError, match=message):
        read_predictions(path)
    with pytest.raises(PredictionError, match=message):
        PredictionLog(path)


def test_a_foreign_field_and_a_repeated_id_are_refused(tmp_path, make_prediction):
    path = tmp_path / "p.jsonl"
    row = make_prediction("a").to_dict()
    path.write_text(json.dumps(row | {"colour": "red"}) + "\n")
    with pytest.raises(PredictionError, match=r"p\.jsonl:1: .*colour"):
        read_predictions(path)
    path.write_text(2 * (json.dumps(row) + "\n"))
    with pytest.raises(PredictionError, match=r"p\.jsonl:2: id 'a' occurs twice"):
        read_predictions(path)
    with pytest.raises(PredictionError, match="run an evaluation first"):
        read_predictions(tmp_path / "absent.jsonl")


def test_a_summary_of_rows_read_back_is_the_same(tmp_path, make_prediction):
    rows = [make_prediction("a"), make_prediction("b", None)]
    write_predictions(tmp_path / "p.jsonl", rows)
    again = read_predictions(tmp_path / "p.jsonl")
    assert summarise([row.scores for row in again]) == summarise([row.scores for row in rows])
