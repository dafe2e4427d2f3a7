"""Rows of held-out industries for adaptation: what is tested was not trained on, and stays when training grows."""

import json

import pytest

from vlsm_jax.synth import Split, TripletOptions
from vlsm_jax.synth.dataset import DatasetError
from vlsm_jax.synth.shares import SHARES, write_shares
from vlsm_jax.synth.splits import _key_split

OPTIONS = TripletOptions(industries=("display",), most_objects=8, layouts=("linear",))


def rows(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_rows_are_shared_out_by_factory(tmp_path):
    counts = {"train": 5, "validation": 2, "test": 3}
    assert write_shares(tmp_path / "a", counts, seed=3, options=OPTIONS) == counts
    found = {name: rows(tmp_path / "a", name) for name in SHARES}
    assert {name: len(made) for name, made in found.items()} == counts
    every = [row for made in found.values() for row in made]
    assert {row["industry"] for row in every} == {"display"}
    assert len({row["factory"] for row in every}) == len({row["id"] for row in every}) == 10
    # Keys of the split that tests unseen industries; no training set of any seed has them.
    assert {_key_split(row["factory"]) for row in every} == {Split.INDUSTRY}
    assert all((tmp_path / "a" / row["image"]).is_file() for row in every)
    write_shares(tmp_path / "b", {**counts, "train": 8}, seed=3, options=OPTIONS)
    for name in ("test", "validation"):
        assert rows(tmp_path / "b", name) == found[name]
    assert rows(tmp_path / "b", "train")[:5] == found["train"]


def test_what_is_there_stays(tmp_path):
    counts = {"test": 2}
    write_shares(tmp_path, counts, options=OPTIONS)
    picture = tmp_path / rows(tmp_path, "test")[0]["image"]
    before = picture.stat().st_mtime_ns
    (tmp_path / "test.jsonl").unlink()  # a kill before it was written
    write_shares(tmp_path, counts, options=OPTIONS)
    assert picture.stat().st_mtime_ns == before
    assert len(rows(tmp_path, "test")) == 2
    assert not (tmp_path / "train.jsonl").exists()


def test_shares_that_are_none(tmp_path):
    with pytest.raises(DatasetError, match="no share 'iid' of the rows; there are test, validation, train"):
        write_shares(tmp_path, {"iid": 1})
    with pytest.raises(DatasetError, match="0 or more"):
        write_shares(tmp_path, {"test": -1})
    with pytest.raises(ValueError, match="industr"):
        write_shares(tmp_path, {"test": 1}, options=TripletOptions(industries=("pcb",)))
