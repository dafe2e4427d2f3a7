import json

import pytest

from vlsm_jax.data.triplets import DataError, JsonlTriplets


def write(path, rows):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return path


GOOD = {"image": "images/a.png", "prompt": "A “Mask Coater” line", "response": "int i;", "layout": "linear"}


def test_rows_are_read_in_any_order(tmp_path):
    rows = [GOOD, {**GOOD, "prompt": "second", "id": "two"}, {**GOOD, "prompt": "third"}]
    triplets = JsonlTriplets(write(tmp_path / "train.jsonl", [json.dumps(rows[0]), "", *map(json.dumps, rows[1:])]))
    assert len(triplets) == 3
    assert triplets[2].prompt == "third"
    assert triplets[0].prompt == GOOD["prompt"]
    assert triplets[0].id == "train.jsonl:1"
    assert triplets[1].id == "two"
    assert triplets[0].image == str(tmp_path / "images" / "a.png")
    assert triplets[0].extra == {"layout": "linear"}
    assert [r.where.rsplit(":", 1)[1] for r in triplets] == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", r"train\.jsonl:2: not JSON"),
        ({**GOOD, "prompt": "  "}, r"train\.jsonl:2: field 'prompt' is empty"),
        ({**GOOD, "response": 7}, r"train\.jsonl:2: field 'response' is empty or not text"),
        ({"prompt": "x", "response": "y"}, r"train\.jsonl:2: no field 'image'; the row has 'prompt', 'response'"),
        ("[1, 2]", r"train\.jsonl:2: expected an object"),
    ],
)
def test_a_bad_row_is_named_by_line_and_the_rest_is_usable(tmp_path, row, message):
    triplets = JsonlTriplets(write(tmp_path / "train.jsonl", [GOOD, row, GOOD]))
    with pytest.raises(DataError, match=message):
        triplets[1]
    assert triplets[2].response == GOOD["response"]


def test_check_names_every_missing_image(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"x")
    triplets = JsonlTriplets(write(tmp_path / "train.jsonl", [GOOD, {**GOOD, "image": "images/b.png"}, "{"]))
    with pytest.raises(DataError) as error:
        triplets.check()
    assert "train.jsonl:2: no image at" in str(error.value)
    assert "train.jsonl:3: not JSON" in str(error.value)
    assert "train.jsonl:1" not in str(error.value)


def test_missing_and_empty_files_are_named(tmp_path):
    with pytest.raises(DataError, match="no data file at"):
        JsonlTriplets(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no rows"):
        JsonlTriplets(write(tmp_path / "empty.jsonl", ["", " "]))
