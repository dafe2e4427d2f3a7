import json
import os

import numpy as np
import pytest

from vlsm_jax.data import lengths as lengths_py
from vlsm_jax.data.lengths import count_lengths, find_lengths
from vlsm_jax.data.pipeline import encode_example
from vlsm_jax.data.source import Selection
from vlsm_jax.data.triplets import JsonlTriplets


@pytest.fixture
def copied(corpus, tmp_path):
    triplets, tokenizer = corpus
    (tmp_path / "train.jsonl").write_bytes(triplets.path.read_bytes())
    return JsonlTriplets(tmp_path / "train.jsonl"), tokenizer


def test_lengths_are_those_of_the_encoded_samples(copied):
    triplets, tokenizer = copied
    rows = triplets.path.read_text().splitlines()
    rows[3] = json.dumps(json.loads(rows[3]) | {"image": None})
    rows[5] = "{"
    triplets.path.write_text("\n".join(rows))
    triplets = JsonlTriplets(triplets.path)
    positions = count_lengths(triplets, tokenizer).positions(7)
    assert positions[5] == 0
    for i in set(range(40)) - {5}:
        assert positions[i] == len(encode_example(triplets[i], tokenizer, 7)["tokens"])


def test_lengths_are_kept_beside_the_data_and_counted_anew_when_it_changes(copied, monkeypatch):
    triplets, tokenizer = copied
    monkeypatch.setattr(lengths_py, "CACHED_FROM", 10)
    counted = []
    monkeypatch.setattr(
        lengths_py, "count_lengths", lambda source, *rest: counted.append(source) or count_lengths(source, *rest)
    )
    first = find_lengths(triplets, tokenizer)
    again = find_lengths(JsonlTriplets(triplets.path), tokenizer)
    assert len(counted) == 1
    np.testing.assert_array_equal(first.text, again.text)
    np.testing.assert_array_equal(first.pictures, again.pictures)
    # Parts of a file have lengths of their own.
    odd, even = (Selection(triplets, np.arange(start, 40, 2)) for start in (1, 0))
    for part, start in ((odd, 1), (even, 0)):
        np.testing.assert_array_equal(find_lengths(part, tokenizer).text, first.text[start::2])
    assert len(counted) == 3
    # A file that is torn is written anew.
    (kept,) = [p for p in triplets.path.parent.glob("*.npz") if len(np.load(p)["text"]) == 40]
    kept.write_bytes(kept.read_bytes()[:50])
    np.testing.assert_array_equal(find_lengths(triplets, tokenizer).text, first.text)
    find_lengths(triplets, tokenizer)
    assert len(counted) == 4
    # Another time of the file, another count.
    os.utime(triplets.path, ns=(0, 1))
    find_lengths(triplets, tokenizer)
    assert len(counted) == 5
    assert not list(triplets.path.parent.glob(".*"))


def test_small_data_leaves_no_file(copied):
    triplets, tokenizer = copied
    find_lengths(triplets, tokenizer)
    assert not list(triplets.path.parent.glob("*.npz"))
