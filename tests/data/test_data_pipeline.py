import dataclasses
import itertools
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from vlsm_jax.data.pipeline import PipelineConfig, encode_example, make_dataset
from vlsm_jax.data.triplets import DataError, JsonlTriplets

CONFIG = PipelineConfig(sequence_length=160, batch_size=4, image_size=16, visual_tokens=5)


def samples(batch):
    """Yields (ids with their last target, weights, grey level of the picture) of every sample in a batch."""
    for row in range(len(batch["tokens"])):
        segments = batch["segment_ids"][row]
        for segment in range(1, segments.max() + 1):
            at = segments == segment
            ids = np.append(batch["tokens"][row][at], batch["targets"][row][at][-1])
            yield ids, batch["weights"][row][at], int(batch["images"][row, segment - 1, 0, 0, 0])


@pytest.mark.parametrize("pack", [True, False])
def test_rows_hold_whole_samples_with_their_own_picture(corpus, pack):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, pack=pack)
    batches = list(itertools.islice(make_dataset(triplets, tokenizer, config), 8))
    expected = {}
    for i in range(len(triplets)):
        example = encode_example(triplets[i], tokenizer, 5)
        expected[i] = (np.append(example["tokens"], example["targets"][-1]), example["weights"])
    # A row has room for as many pictures as samples of the mean length fit into it.
    room = math.ceil(160 / np.mean([len(ids) - 1 for ids, _ in expected.values()]))
    seen = set()
    for batch in batches:
        assert batch["tokens"].shape == (4, 160)
        assert batch["images"].shape == (4, room if pack else 1, 16, 16, 3)
        for ids, weights, grey in samples(batch):
            np.testing.assert_array_equal(ids, expected[grey][0])
            np.testing.assert_array_equal(weights, expected[grey][1])
            seen.add(grey)
    assert len(seen) > 20


def test_targets_positions_and_visual_places(corpus):
    triplets, tokenizer = corpus
    batch = next(iter(make_dataset(triplets, tokenizer, CONFIG)))
    for row in range(4):
        segments, positions = batch["segment_ids"][row], batch["positions"][row]
        assert (positions[segments == 0] == -1).all()
        assert (batch["weights"][row][segments == 0] == 0).all()
        for segment in range(1, segments.max() + 1):
            at = np.flatnonzero(segments == segment)
            np.testing.assert_array_equal(positions[at], np.arange(len(at)))
            # Inside a sample, the target is the next token.
            np.testing.assert_array_equal(batch["targets"][row][at[:-1]], batch["tokens"][row][at[1:]])
            assert batch["targets"][row][at[-1]] == tokenizer.eos_id
            # Its first five places are the visual tokens of its own picture.
            visual = batch["visual_index"][row][at]
            np.testing.assert_array_equal(visual[:5], (segment - 1) * 5 + np.arange(5))
            assert (visual[5:] == -1).all()
            assert (batch["tokens"][row][at[:5]] == tokenizer.image_id).all()


def test_only_the_response_is_a_target(corpus):
    triplets, tokenizer = corpus
    record = triplets[3]
    example = encode_example(record, tokenizer, 5)
    masked = example["targets"][example["weights"] > 0]
    assert list(masked) == tokenizer.encode_response(record.response)


def test_packing_wastes_less_than_padding(corpus):
    triplets, tokenizer = corpus

    def filled(pack):
        data = make_dataset(triplets, tokenizer, dataclasses.replace(CONFIG, pack=pack, sequence_length=256))
        return np.mean([(b["segment_ids"] > 0).mean() for b in itertools.islice(data, 10)])

    assert filled(True) > 0.8 > filled(False)


@pytest.mark.parametrize("pack", [True, False])
def test_resuming_gives_the_batches_that_would_have_come(corpus, pack):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, pack=pack)
    iterator = iter(make_dataset(triplets, tokenizer, config))
    for _ in range(5):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    rest = [next(iterator) for _ in range(4)]
    again = iter(make_dataset(triplets, tokenizer, config))
    again.set_state(state)
    for batch in rest:
        other = next(again)
        for key, value in batch.items():
            np.testing.assert_array_equal(value, other[key])


def test_hosts_share_the_rows_without_overlap(corpus):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, pack=False)
    seen = []
    for host in range(2):
        data = make_dataset(triplets, tokenizer, config, shard_index=host, shard_count=2)
        batches = list(itertools.islice(data, 10))  # 10 batches of 2 rows: one epoch of 20 rows
        assert batches[0]["tokens"].shape == (2, 160)
        seen.append({grey for batch in batches for _, _, grey in samples(batch)})
    assert not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) == 40


def test_epochs_come_in_another_order(corpus):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, pack=False)
    greys = [g for b in itertools.islice(make_dataset(triplets, tokenizer, config), 20) for _, _, g in samples(b)]
    assert sorted(greys[:40]) == sorted(greys[40:]) == list(range(40))
    assert greys[:40] != greys[40:]


def test_a_triplet_that_does_not_fit_is_left_out_and_named(corpus, tmp_path, caplog):
    triplets, tokenizer = corpus
    rows = triplets.path.read_text().splitlines()
    long = json.loads(rows[0]) | {"response": "x = 1;" * 200}
    path = triplets.path.with_name("long.jsonl")
    path.write_text("\n".join([json.dumps(long), *rows[1:9]]))
    data = make_dataset(JsonlTriplets(path), tokenizer, CONFIG)
    with caplog.at_level("WARNING", logger="absl"):
        greys = {grey for batch in itertools.islice(data, 4) for _, _, grey in samples(batch)}
    assert greys == set(range(1, 9))
    assert "long.jsonl:1" in caplog.text


def test_data_that_can_never_be_fed_is_refused(corpus):
    triplets, tokenizer = corpus
    with pytest.raises(DataError, match=r"over pipeline\.sequence_length=16"):
        make_dataset(triplets, tokenizer, dataclasses.replace(CONFIG, sequence_length=16))
    with pytest.raises(DataError, match="does not divide over 3 hosts"):
        make_dataset(triplets, tokenizer, CONFIG, shard_count=3)


def test_an_unreadable_picture_is_named_with_its_row(corpus):
    triplets, tokenizer = corpus
    (triplets.path.parent / "images" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    path = triplets.path.with_name("torn.jsonl")
    path.write_text(json.dumps({"image": "images/torn.png", "prompt": "p", "response": "r"}))
    with pytest.raises(DataError, match=r"torn\.jsonl:1: .*torn\.png"):
        next(iter(make_dataset(JsonlTriplets(path), tokenizer, CONFIG)))


def test_worker_processes_give_the_same_batches(corpus):
    # In a process of its own: grain's workers are spawned, and outlive a test that does not close them.
    triplets, tokenizer = corpus
    program = f"""
import dataclasses
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
from vlsm_jax.data.tokenizer import load_tokenizer
from vlsm_jax.data.triplets import JsonlTriplets
if __name__ == "__main__":
    triplets, tokenizer = JsonlTriplets({str(triplets.path)!r}), load_tokenizer({tokenizer.directory!r})
    config = PipelineConfig(sequence_length=160, batch_size=4, image_size=16, visual_tokens=5, workers=1)
    alone = iter(make_dataset(triplets, tokenizer, dataclasses.replace(config, workers=0)))
    helped = iter(make_dataset(triplets, tokenizer, config))
    for _ in range(3):
        one, two = next(alone), next(helped)
        assert all((one[key] == two[key]).all() for key in one)
    helped.close()
    print("equal")
"""
    script = triplets.path.with_name("workers.py")
    script.write_text(program)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert "equal" in done.stdout, done.stderr
