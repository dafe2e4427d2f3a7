"""Validation of data sets: every kind of fault is found, named and placed; a sound set passes."""

import json

import numpy as np
import pytest
from PIL import Image

from vlsm_jax.curation import Finding, Look, validate
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.data.triplets import JsonlTriplets

LINE = """Object a = Object.create("Source"); a.name = "In"; a.setProperty("InterArrivalTime", {gap});
Object b = Object.create("Processor"); b.name = "{name}"; b.setLocation(10, 0, 0);
b.setProperty("ProcessTime", "return {service}(0, 5, getstream(ownerobject(c)));");
Object d = Object.create("Sink"); d.name = "Out"; d.setLocation(20, 0, 0);
contextdragconnection(a, b, "A"); contextdragconnection(b, d, "A");
"""
PAIR = """Object q = Object.create("Queue"); q.name = "Buffer"; q.setLocation(5, 5, 0);
contextdragconnection(a, q, "A"); contextdragconnection(q, b, "A");
"""


def row(number: int, *, gap: int = 20, name: str = "Press", service: str = "exponential", more: str = "", **fields):
    return {
        "image": f"images/{number}.png",
        "prompt": f"Model line {number}.",
        "response": LINE.format(gap=gap, name=name, service=service) + more,
        **fields,
    }


@pytest.fixture
def write(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)

    def write(split: str, *rows: dict):
        for entry in rows:
            path = tmp_path / entry["image"]
            if not path.exists():
                Image.fromarray(rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(path)
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
        return JsonlTriplets(tmp_path / f"{split}.jsonl")

    return write


def found(splits, look=Look(), **kwargs) -> tuple[list[Finding], object]:
    told: list[Finding] = []
    result = validate(splits, look, tell=told.append, **kwargs)
    assert sum(result.findings.values()) == len(told)
    return told, result


def test_a_sound_set_passes(write):
    told, result = found({"train": write("train", row(1), row(2, gap=30)), "iid": write("iid", row(3, gap=40))})
    assert told == []
    assert result.ok
    assert result.rows == {"train": 2, "iid": 1}


def test_faults_of_rows_are_named_with_their_line(write, tmp_path):
    source = write(
        "train",
        row(1),
        row(2, more="Object.create("),
        row(3, gap=30),
        row(4, gap=31, topology="0123456789abcdef"),
        row(5, gap=32, more='Model.find("nothing here");\n'),
    )
    (tmp_path / "images/3.png").write_bytes(b"torn")
    told, result = found({"train": source})
    codes = {finding.code: finding.message for finding in told}
    assert list(codes) == ["script", "picture", "field", "warning"]
    assert "train.jsonl:2: response: line 6" in codes["script"]
    assert "train.jsonl:3" in codes["picture"]
    assert "train.jsonl:4: field 'topology' is '0123456789abcdef', but the script builds" in codes["field"]
    assert "train.jsonl:5" in codes["warning"]
    assert not result.ok


def test_unreadable_rows_do_not_stop_the_rest(write, tmp_path):
    source = write("train", row(1), row(2, gap=30))
    text = (tmp_path / "train.jsonl").read_text().splitlines()
    (tmp_path / "train.jsonl").write_text("\n".join([text[0], "{", json.dumps({"image": "x"}), text[1]]))
    source = JsonlTriplets(tmp_path / "train.jsonl")
    told, result = found({"train": source})
    assert [finding.code for finding in told] == ["row", "row"]
    assert "train.jsonl:2" in told[0].message
    assert "train.jsonl:3" in told[1].message
    assert result.rows == {"train": 4}


def test_a_script_has_to_run_and_not_only_to_build(write):
    crash = 'b.setProperty("ProcessTime", "Array none; return none[3];");\n'
    source = write("train", row(1, more=crash))
    assert found({"train": source}, Look(until=None))[1].ok
    told, _ = found({"train": source})
    assert [finding.code for finding in told] == ["script"]


def test_a_slow_line_is_given_time(write):
    told, _ = found({"train": write("train", row(1, gap=3000), row(2, gap=30000))})
    assert [finding.code for finding in told] == ["script"]
    assert "train.jsonl:2" in told[0].message


def test_tokens_are_counted_against_a_limit(write, tmp_path):
    source = write("train", row(1), row(2, gap=30, more="// " + "many words " * 300 + "\n"))
    train_bpe([row(1)["response"]], 300, tmp_path / "tokenizer")
    told, result = found({"train": source}, Look(tokenizer=str(tmp_path / "tokenizer"), most_tokens=500))
    assert [finding.code for finding in told] == ["length"]
    assert "train.jsonl:2" in told[0].message
    fewest, mean, most = result.tokens["train"]
    assert fewest < mean < most


def test_the_same_text_twice(write):
    told, _ = found({"train": write("train", row(1), row(2, gap=30), row(1))})
    assert [finding.code for finding in told] == ["duplicate"]
    assert "train.jsonl:3: prompt and script are those of" in told[0].message
    assert "train.jsonl:1" in told[0].message


def test_a_factory_of_training_under_another_name_is_a_leak(write):
    trained = write("train", row(1), row(2, gap=30))
    told, _ = found({"iid": write("iid", row(3, gap=30, name="Lathe"), row(4, gap=31)), "train": trained})
    assert [finding.code for finding in told] == ["leak"]
    assert "iid.jsonl:1: the factory, names aside, is that of" in told[0].message
    assert "train.jsonl:2" in told[0].message


def test_what_splits_promise_is_checked(write):
    trained = write("train", row(1, industry="pcb"), row(2, gap=30, industry="led"))
    held_out = {
        "industry": write("industry", row(3, gap=41, industry="led"), row(4, gap=42, industry="food")),
        "layout": write("layout", row(5, gap=43), row(6, gap=44, more=PAIR)),
        "size": write("size", row(7, gap=45), row(8, gap=46, more=PAIR)),
        "timing": write("timing", row(9, gap=47), row(10, gap=48, service="normal")),
    }
    told, _ = found({"train": trained, **held_out})
    assert [finding.code for finding in told] == ["leak"] * 4
    for split, finding in zip(held_out, told, strict=True):
        assert f"{split}.jsonl:1: " in finding.message
    # Empty twins of tests are not compared.
    assert found({"train": trained, "size-blank": write("size-blank", row(7, gap=45))})[1].ok


def test_an_industry_that_is_no_text_is_compared_all_the_same(write):
    train = write("train", row(1, industry=["a"]), row(2, gap=30, industry={"b": 1}), row(3, gap=35, industry=7))
    told, _ = found({"train": train, "industry": write("industry", row(4, gap=40, industry=["a"]))})
    assert [finding.code for finding in told] == ["leak"]


def test_workers_find_the_same(write):
    source = write("train", *(row(i, gap=20 + i, more="Object.create(" if i % 7 == 0 else "") for i in range(70)))
    assert found({"train": source}, workers=2)[0] == found({"train": source})[0]
