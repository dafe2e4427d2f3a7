"""Samples of repair: damaged scripts, what is said of them, and the folder they lie in."""

import collections
import json

import numpy as np
import pytest

from vlsm_jax.data.triplets import open_triplets
from vlsm_jax.repair import Statement, judge, repair_prompt
from vlsm_jax.synth import Split, TripletOptions, make_triplet, write_dataset
from vlsm_jax.synth.corruptions import KINDS
from vlsm_jax.synth.repairs import BUDGET, damage, end_cut_off, lines_doubled, lines_lost, repair_row, write_repairs

OPTIONS = TripletOptions(most_objects=6, industries=("photomask",), layouts=("linear",), plain=True)


@pytest.fixture(scope="module")
def triplet():
    return make_triplet(3, 0, OPTIONS).row()


def test_a_sample_says_what_is_wrong_and_asks_for_the_script_as_it_was(triplet):
    row = repair_row(triplet)
    assert row == repair_row(triplet)
    assert (row["kind"], row["of"], row["response"]) == ("repair", triplet["id"], triplet["response"])
    assert row["prompt"].startswith(triplet["prompt"].strip())
    assert row["damaged"].strip() in row["prompt"]
    assert row["damaged"] != triplet["response"]
    found = judge(row["damaged"], Statement(triplet["prompt"]), runs=True, budget=BUDGET)
    assert found.complaints
    assert row["verdict"] == found.verdict.value
    # The very text that `vlsm repair --model` asks with.
    assert row["prompt"] == repair_prompt(triplet["prompt"], found)
    assert row["prompt"].endswith("Write the whole script again.")
    assert repair_row(triplet, seed=1)["damaged"] != row["damaged"]


def test_damage_is_of_all_kinds_and_shows(triplet):
    seen = collections.Counter()
    for seed in range(40):
        (script, faults), found = damage(triplet["response"], triplet["prompt"], np.random.default_rng(seed))
        assert found.script == script != triplet["response"]
        assert set(faults) <= {*KINDS, "lines lost", "lines doubled", "end cut off"}
        seen.update(faults)
    assert {"lines lost", "end cut off"} <= seen.keys()
    assert len(seen) > 12


def test_lines_are_lost_doubled_and_cut_off(triplet):
    script, rng = triplet["response"], np.random.default_rng(0)
    lost, doubled, cut = (way(script, None, "", rng).script for way in (lines_lost, lines_doubled, end_cut_off))
    assert 1 <= script.count("\n") - lost.count("\n") <= 6
    assert 1 <= doubled.count("\n") - script.count("\n") <= 6
    assert script.startswith(cut)
    assert len(script) // 2 <= len(cut) < len(script)


def test_repairs_lie_beside_triplets_and_are_read_like_them(tmp_path):
    counts = {Split.TRAIN: 6, Split.IID: 2}
    write_dataset(tmp_path / "set", counts, seed=1, options=OPTIONS)
    seen = []
    assert write_repairs(tmp_path / "set", 0.5, progress=lambda *p: seen.append(p)) == {"train": 3, "iid": 1}
    assert seen[-1] == (4, 4)
    rows = open_triplets(tmp_path / "set" / "repair", split="train")
    rows.check()
    train = {row.id: row for row in open_triplets(tmp_path / "set", split="train")}
    for row in rows:
        assert row.extra["kind"] == "repair"
        assert row.response == train[row.extra["of"]].response
        with open(row.image, "rb") as one, open(train[row.extra["of"]].image, "rb") as other:
            assert one.read() == other.read()
    before = (tmp_path / "set" / "repair" / "train.jsonl").read_bytes()
    assert write_repairs(tmp_path / "set", 0.5, workers=2) == {"train": 3, "iid": 1}
    assert (tmp_path / "set" / "repair" / "train.jsonl").read_bytes() == before
    (tmp_path / "set" / "repair" / "train.jsonl").unlink()
    write_repairs(tmp_path / "set", 0.5, workers=2)
    assert (tmp_path / "set" / "repair" / "train.jsonl").read_bytes() == before
    assert json.loads(before.splitlines()[0])["image"].startswith("images/train/")
    with pytest.raises(ValueError, match="choose a share"):
        write_repairs(tmp_path / "set", 1.5)
