"""Data sets on disk: the same bytes for a seed, no factory twice, never half and never over another."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlsm_jax import simulator
from vlsm_jax.synth import dataset
from vlsm_jax.synth.dataset import DatasetError, write_dataset
from vlsm_jax.synth.prompts import PromptStyle
from vlsm_jax.synth.triplets import twin_digest

COUNTS = {"train": 20, "validation": 5, "test": 7}


def contents(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def rows(directory: Path, split: str) -> list[dict]:
    return [json.loads(line) for line in (directory / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "set"
    assert write_dataset(directory, **COUNTS, seed=5).written
    return directory


def test_what_is_on_disk(written):
    assert {split: len(rows(written, split)) for split in COUNTS} == COUNTS
    for split in COUNTS:
        for row in rows(written, split):
            assert list(row) == [
                *("image", "prompt", "response", "id", "industry", "layout"),
                *("prompt_style", "script_style", "sketch_style"),
            ]
            with Image.open(written / row["image"]) as image:
                assert image.size == (512, 341)
                assert image.mode == "RGB"
                assert np.asarray(image).std() > 3
    assert len(list((written / "images").iterdir())) == sum(COUNTS.values())


def test_every_script_runs_and_no_factory_occurs_twice(written):
    digests = []
    for split in COUNTS:
        for row in rows(written, split):
            report = simulator.run(row["response"], until=28800)
            assert report.ok, row["id"]
            digests.append(twin_digest(report.twin))
    assert len(set(digests)) == len(digests)


def test_workers_do_not_change_a_byte(written, tmp_path):
    write_dataset(tmp_path / "set", **COUNTS, seed=5, workers=2)
    assert contents(tmp_path / "set") == contents(written)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_seeds_and_counts(written, tmp_path):
    write_dataset(tmp_path / "other", train=3, validation=0, test=0, seed=6)
    assert rows(tmp_path / "other", "train")[0]["prompt"] != rows(written, "train")[0]["prompt"]
    assert rows(tmp_path / "other", "test") == []
    write_dataset(tmp_path / "none", train=0, validation=0, test=0, seed=6)
    assert rows(tmp_path / "none", "train") == []


def test_a_data_set_that_is_there_is_not_written_again(written, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    monkeypatch.setattr(dataset, "make_triplet", None)
    found = write_dataset(written, **COUNTS, seed=5)
    assert not found.written
    assert found.counts == COUNTS
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_nothing_else_is_overwritten(written, tmp_path):
    with pytest.raises(DatasetError, match=r"another data set .*seed is 5, not 6"):
        write_dataset(written, **COUNTS, seed=6)
    with pytest.raises(DatasetError, match="prompt_styles"):
        write_dataset(written, **COUNTS, seed=5, prompt_styles=(PromptStyle.SKETCH,))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match="holds no data set"):
        write_dataset(tmp_path / "mine", **COUNTS, seed=5)
    (tmp_path / "mine" / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="not JSON"):
        write_dataset(tmp_path / "mine", **COUNTS, seed=5)
    with pytest.raises(DatasetError, match="is a file"):
        write_dataset(tmp_path / "mine" / "thesis.txt", **COUNTS, seed=5)
    with pytest.raises(DatasetError, match="test is -1"):
        write_dataset(tmp_path / "new", train=1, validation=1, test=-1, seed=5)
    with pytest.raises(DatasetError, match="workers is 0"):
        write_dataset(tmp_path / "new", **COUNTS, seed=5, workers=0)
    assert not (tmp_path / "new").exists()


def test_what_stops_halfway_leaves_nothing(tmp_path):
    def stop(done, total):
        assert total == 32
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", **COUNTS, seed=5, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_duplicates_are_left_out_and_counted(tmp_path, monkeypatch):
    real = dataset.make_triplet
    monkeypatch.setattr(dataset, "make_triplet", lambda seed, index, options: real(seed, index // 2, options))
    write_dataset(tmp_path / "set", train=3, validation=2, test=1, seed=5)
    ids = [row["id"] for split in COUNTS for row in rows(tmp_path / "set", split)]
    assert ids == [f"5-{i:06d}" for i in range(6)]
    assert "| a Twin that was there already | 5 |" in (tmp_path / "set" / "README.md").read_text()


def test_too_few_factories_is_an_error(tmp_path, monkeypatch):
    triplet = dataset.make_triplet(5, 0)
    monkeypatch.setattr(dataset, "make_triplet", lambda seed, index, options: triplet)
    with pytest.raises(DatasetError, match="only 1 different factories"):
        write_dataset(tmp_path / "set", train=2, validation=0, test=0, seed=5)
    assert list(tmp_path.iterdir()) == []


def test_the_card_counts_what_is_there(written):
    card = (written / "README.md").read_text(encoding="utf-8")
    assert "# 32 triplets" in card
    for split, count in COUNTS.items():
        assert f"| {split} | {count} |" in card
    for field in ("industry", "layout", "prompt_style", "script_style"):
        values = {row[field] for split in COUNTS for row in rows(written, split)}
        for value in values:
            found = [sum(row[field] == value for row in rows(written, split)) for split in COUNTS]
            assert f"| {value} | {' | '.join(map(str, found))} |" in card
    longest = max(len(row["response"].encode()) for row in rows(written, "train"))
    line = next(line for line in card.splitlines() if line.startswith("| train | script |"))
    assert line.endswith(f"| {longest} |")
