"""Data sets on disk: the same bytes for a seed, no factory twice, resumed where they were, never over another."""

import concurrent.futures
import dataclasses
import errno
import hashlib
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlsm_jax import simulator
from vlsm_jax.synth import dataset
from vlsm_jax.synth.dataset import DatasetError, write_dataset
from vlsm_jax.synth.isomorphism import factory_key, topology_key
from vlsm_jax.synth.prompts import PromptStyle
from vlsm_jax.synth.splits import TESTS, Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplet

COUNTS = {Split.TRAIN: 20, Split.VALIDATION: 2, Split.IID: 3, Split.LAYOUT: 4}
SMALL = TripletOptions(most_objects=10, image_size=(420, 280))


def contents(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def rows(directory: Path, split: str) -> list[dict]:
    return [json.loads(line) for line in (directory / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def all_rows(directory: Path) -> list[dict]:
    return [row for split in COUNTS for row in rows(directory, split.value)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "set"
    assert write_dataset(directory, COUNTS, seed=5, options=SMALL).written
    return directory


def test_what_is_on_disk(written):
    for split, count in COUNTS.items():
        assert len(rows(written, split.value)) == count
        for row in rows(written, split.value):
            assert list(row) == [
                *("image", "prompt", "response", "id", "split"),
                *("industry", "layout", "automation", "features"),
                *("prompt_style", "script_style", "sketch_style", "objects", "connections"),
                *("omitted", "goal", "misspelt", "letter_height", "legible_at", "topology", "factory"),
            ]
            assert row["split"] == split.value
            with Image.open(written / row["image"]) as image:
                assert image.width == 420
                assert image.height <= 280
                assert image.mode in ("RGB", "P")  # A scan has a palette.
                assert np.asarray(image.convert("RGB")).std() > 3
    blank = [f"{split.value}-blank.jsonl" for split in COUNTS if split.is_test]
    names = {path.name for path in written.iterdir()}
    assert names == {"README.md", "dataset.json", "images", *blank, *(f"{split.value}.jsonl" for split in COUNTS)}


def test_every_script_builds_what_its_row_says_and_no_factory_occurs_twice(written):
    factories = []
    for row in all_rows(written):
        twin = simulator.build(row["response"]).twin
        assert (len(twin.objects), len(twin.connections)) == (row["objects"], row["connections"])
        assert (topology_key(twin), factory_key(twin)) == (row["topology"], row["factory"])
        factories.append(row["factory"])
    assert len(set(factories)) == len(factories)


def test_blank_twins_of_the_tests(written):
    for split in (Split.IID, Split.LAYOUT):
        for row, blank in zip(rows(written, split.value), rows(written, f"{split.value}-blank"), strict=True):
            assert (blank["prompt"], blank["response"]) == (row["prompt"], row["response"])
            assert blank["id"] == f"{row['id']}-blank"
            with Image.open(written / blank["image"]) as empty, Image.open(written / row["image"]) as sketch:
                assert np.asarray(empty.convert("L")).std() < np.asarray(sketch.convert("L")).std() / 2


def test_workers_do_not_change_a_byte(written, tmp_path):
    write_dataset(tmp_path / "set", COUNTS, seed=5, options=SMALL, workers=2)
    assert contents(tmp_path / "set") == contents(written)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("after", [1, 18, 24])
def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(written, tmp_path, monkeypatch, after):
    made = []
    real = dataset.make_triplets

    def stopping(seed, indices, options, split):
        for triplet in real(seed, indices, options, split):
            if len(made) == after:
                raise KeyboardInterrupt
            made.append(triplet.id)
            yield triplet

    monkeypatch.setattr(dataset, "make_triplets", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", COUNTS, seed=5, options=SMALL)
    assert not (tmp_path / "set").exists()
    # As a kill in the middle of a line would leave it.
    partial = tmp_path / ".set.partial"
    for name in ("journal.jsonl", "train.jsonl"):
        with (partial / name).open("ab") as file:
            file.write(b'{"torn": ')
    again = []
    monkeypatch.setattr(dataset, "make_triplets", lambda *args: again.extend(args[1]) or real(*args))
    write_dataset(tmp_path / "set", COUNTS, seed=5, options=SMALL)
    assert contents(tmp_path / "set") == contents(written)
    # Whole chunks are kept: of sixteen and then four of train, then one for each of the small splits.
    kept = max(end for end in (0, 16, 20, 22, 25, 29) if end <= after)
    assert len(again) == sum(COUNTS.values()) - kept
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "cannot be written: No space left on device; the same call"),
        (concurrent.futures.BrokenExecutor(), "was ended, perhaps for want of memory; the same call goes on"),
    ],
)
def test_a_full_disk_and_an_ended_process_are_told_and_the_same_call_goes_on(
    written, tmp_path, monkeypatch, error, message
):
    write, calls = dataset._Journal.write, itertools.count()

    def stop(self, *args):
        if next(calls) == 2:
            raise error
        write(self, *args)

    monkeypatch.setattr(dataset._Journal, "write", stop)
    with pytest.raises(DatasetError, match=message):
        write_dataset(tmp_path / "set", COUNTS, seed=5, options=SMALL)
    write_dataset(tmp_path / "set", COUNTS, seed=5, options=SMALL)
    assert contents(tmp_path / "set") == contents(written)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file cannot be written: .*exists$"):
        write_dataset(tmp_path / "file" / "set", COUNTS, seed=5, options=SMALL)


def test_a_stopped_run_of_another_set_is_not_mixed_in(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "make_triplets", stop)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", COUNTS, seed=5)
    with pytest.raises(DatasetError, match=r"another data set .*seed is 5, not 6"):
        write_dataset(tmp_path / "set", COUNTS, seed=6)


def test_two_at_once_is_an_error(tmp_path):
    def again(done, total):
        with pytest.raises(DatasetError, match="another process is writing"):
            write_dataset(tmp_path / "set", {Split.TRAIN: 1}, seed=5, options=SMALL)

    write_dataset(tmp_path / "set", {Split.TRAIN: 1}, seed=5, options=SMALL, progress=again)


def test_an_index_does_not_depend_on_how_many_there_are(written, tmp_path):
    write_dataset(tmp_path / "few", {Split.TRAIN: 3}, seed=5, options=SMALL)
    assert rows(tmp_path / "few", "train") == rows(written, "train")[:3]
    write_dataset(tmp_path / "other", {Split.TRAIN: 3}, seed=6, options=SMALL)
    assert rows(tmp_path / "other", "train")[0]["prompt"] != rows(written, "train")[0]["prompt"]


def test_a_data_set_that_is_there_is_not_written_again(written, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    monkeypatch.setattr(dataset, "make_triplets", None)
    found = write_dataset(written, COUNTS, seed=5, options=SMALL)
    assert not found.written
    assert found.counts == COUNTS
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_nothing_else_is_overwritten(written, tmp_path):
    with pytest.raises(DatasetError, match=r"another data set .*seed is 5, not 6"):
        write_dataset(written, COUNTS, seed=6, options=SMALL)
    with pytest.raises(DatasetError, match="prompt_styles"):
        write_dataset(written, COUNTS, seed=5, options=dataclasses.replace(SMALL, prompt_styles=(PromptStyle.SKETCH,)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match="holds no data set"):
        write_dataset(tmp_path / "mine", COUNTS, seed=5)
    (tmp_path / "mine" / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="not JSON"):
        write_dataset(tmp_path / "mine", COUNTS, seed=5)
    with pytest.raises(DatasetError, match="is a file"):
        write_dataset(tmp_path / "mine" / "thesis.txt", COUNTS, seed=5)
    with pytest.raises(DatasetError, match="timing is -1"):
        write_dataset(tmp_path / "new", {Split.TIMING: -1}, seed=5)
    with pytest.raises(DatasetError, match="workers is 0"):
        write_dataset(tmp_path / "new", COUNTS, seed=5, workers=0)
    with pytest.raises(ValueError, match="'industry' takes none of the industries pcb"):
        write_dataset(tmp_path / "new", {Split.INDUSTRY: 1}, seed=5, options=TripletOptions(industries=("pcb",)))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "split", "message"),
    [
        ({"most_objects": 8}, Split.SIZE, "'size' takes factories of 25 objects or more, and most_objects is 8"),
        ({"most_objects": 3, "layouts": ("linear", "parallel")}, Split.IID, "most is 3; layout 'parallel' .* takes"),
    ],
)
def test_what_no_factory_can_be_is_said_before_any_is_made(tmp_path, options, split, message):
    counts, options = {Split.TRAIN: 10**9, split: 1}, TripletOptions(**options)
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "new", counts, seed=5, options=options)
    assert not list(tmp_path.iterdir())


def test_duplicates_are_left_out_and_counted(tmp_path, monkeypatch):
    real = dataset.make_triplets
    monkeypatch.setattr(
        dataset, "make_triplets", lambda seed, indices, *rest: real(seed, [index // 2 for index in indices], *rest)
    )
    write_dataset(tmp_path / "set", {Split.TRAIN: 5}, seed=5, options=SMALL)
    assert [row["id"] for row in rows(tmp_path / "set", "train")] == [f"5-train-{i:06d}" for i in range(5)]
    card = (tmp_path / "set" / "README.md").read_text()
    assert "| an isomorphic factory with equal parameters was there | 4 |" in card


def test_too_few_factories_is_an_error(tmp_path, monkeypatch):
    triplet = make_triplet(5, 0, SMALL, Split.TRAIN)
    monkeypatch.setattr(dataset, "make_triplets", lambda seed, indices, *rest: [triplet] * len(indices))
    with pytest.raises(DatasetError, match="only 1 different factories"):
        write_dataset(tmp_path / "set", {Split.TRAIN: 2}, seed=5)
    assert not (tmp_path / "set").exists()


def test_the_card_counts_what_is_there(written):
    card = (written / "README.md").read_text(encoding="utf-8")
    assert "# 29 triplets" in card
    assert f"| triplets | {' | '.join(str(count) for count in COUNTS.values())} |" in card
    for field in ("industry", "layout", "automation", "prompt_style", "script_style", "sketch_style"):
        values = {row[field] for row in all_rows(written)}
        for value in values:
            found = [sum(row[field] == value for row in rows(written, split.value)) for split in COUNTS]
            assert f"| {value} | {' | '.join(map(str, found))} |" in card
    longest = max(len(row["response"].encode()) for row in rows(written, "train"))
    line = next(line for line in card.splitlines() if line.startswith("| train | script, bytes |"))
    assert line.endswith(f"| {longest} |")


def test_test_splits_are_those_with_a_blank_twin():
    assert {split for split in Split if split.is_test} == set(TESTS)
