import dataclasses
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from vlsm_jax.data.mixture import Mixture
from vlsm_jax.data.pipeline import BadRows, PipelineConfig, encode_example, make_dataset
from vlsm_jax.data.text_form import End
from vlsm_jax.data.triplets import DataError, JsonlTriplets

CONFIG = PipelineConfig(sequence_length=160, batch_size=4, image_size=16, visual_tokens=5)


def segments_of(batch):
    """Returns which sample of its row each position belongs to, 0 for none."""
    return batch["segment_ids"] if "segment_ids" in batch else (batch["positions"] >= 0).astype(int)


def samples(batch):
    """Yields (ids with their last target, weights, grey level of the picture) of every sample in a batch."""
    for row in range(len(batch["tokens"])):
        segments = segments_of(batch)[row]
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
    room, seen = set(), set()
    for batch in batches:
        assert batch["tokens"].shape == (4, 160)
        assert batch["images"].shape[2:] == (16, 16, 3)
        room.add(batch["images"].shape[:2])
        for ids, weights, grey in samples(batch):
            np.testing.assert_array_equal(ids, expected[grey][0])
            np.testing.assert_array_equal(weights, expected[grey][1])
            seen.add(grey)
    assert len(seen) > 20
    ((rows, pictures),) = room  # one shape
    # Room for hardly more pictures than samples of the mean length fit into a row: all of them are encoded.
    assert rows == 4
    mean = 160 / np.mean([len(ids) - 1 for ids, _ in expected.values()])
    assert mean <= pictures <= mean + 2 if pack else pictures == 1


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
        return np.mean([(segments_of(b) > 0).mean() for b in itertools.islice(data, 10)])

    assert filled(True) > 0.8 > filled(False)


def test_rows_of_one_sample_begin_with_it_and_have_no_segments(corpus):
    """What training takes to mean that attention needs no mask."""
    triplets, tokenizer = corpus
    for end, segmented in ((End.TOKEN, False), (End.PADDING, True)):
        config = dataclasses.replace(CONFIG, pack=False, end=end)
        for batch in itertools.islice(make_dataset(triplets, tokenizer, config), 3):
            assert ("segment_ids" in batch) == segmented == config.segmented
            place = np.arange(batch["tokens"].shape[1])
            filled = (segments_of(batch) > 0).sum(axis=1, keepdims=True)
            np.testing.assert_array_equal(segments_of(batch) > 0, place < filled)
            np.testing.assert_array_equal(
                batch["positions"][place < filled], np.concatenate([place[:n] for (n,) in filled])
            )
            if not segmented:
                assert (batch["positions"][place >= filled] == -1).all()
                assert (batch["weights"][place >= filled] == 0).all()


MODES = {
    "packed": {},
    "padded": {"pack": False},
    "buckets": {"pack": False, "buckets": 3},
    "augmented": {"augmentation": 1.0},
}


def same(one, two):
    assert one.keys() == two.keys()
    for key, value in one.items():
        np.testing.assert_array_equal(value, two[key], err_msg=key)


@pytest.mark.parametrize("mode", MODES)
def test_resuming_gives_the_batches_that_would_have_come(corpus, mode):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, **MODES[mode])
    iterator = iter(make_dataset(triplets, tokenizer, config))
    for _ in range(5):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    rest = [next(iterator) for _ in range(8)]  # into the next epoch
    assert iterator.get_state()["round"] > state["round"]
    again = iter(make_dataset(triplets, tokenizer, config))
    next(again)  # a state may be set at any time
    again.set_state(state)
    assert again.get_state() == state
    for batch in rest:
        same(batch, next(again))


@pytest.mark.parametrize("mode", MODES)
def test_the_number_of_hosts_may_change_at_every_resume(corpus, mode):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, batch_size=8, **MODES[mode])
    wanted = list(itertools.islice(make_dataset(triplets, tokenizer, config), 8))
    state, step = None, 0
    for hosts in (1, 4, 2, 1):
        iterators = [
            iter(make_dataset(triplets, tokenizer, config, shard_index=host, shard_count=hosts))
            for host in range(hosts)
        ]
        if state is not None:
            for iterator in iterators:
                iterator.set_state(state)
        for _ in range(2):
            parts = [next(iterator) for iterator in iterators]
            assert all(len(part["tokens"]) == 8 // hosts for part in parts)
            same(wanted[step], {key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
            step += 1
        states = [iterator.get_state() for iterator in iterators]
        assert all(other == states[0] for other in states)  # so any host's will do for all
        state = json.loads(json.dumps(states[0]))
    assert step == 8


def test_a_batch_of_another_size_goes_on_at_the_same_row(corpus):
    triplets, tokenizer = corpus
    iterator = iter(make_dataset(triplets, tokenizer, CONFIG))
    next(iterator)
    state = iterator.get_state()
    pair = [next(iterator), next(iterator)]
    wide = iter(make_dataset(triplets, tokenizer, dataclasses.replace(CONFIG, batch_size=8)))
    wide.set_state(state)
    same(next(wide), {key: np.concatenate([part[key] for part in pair]) for key in pair[0]})


def test_other_data_at_resume_is_told(corpus, caplog):
    triplets, tokenizer = corpus
    iterator = iter(make_dataset(triplets, tokenizer, CONFIG))
    next(iterator)
    other = iter(make_dataset(triplets, tokenizer, dataclasses.replace(CONFIG, seed=1)))
    with caplog.at_level("WARNING", logger="absl"):
        other.set_state(iterator.get_state())
    assert "not what it was at the checkpoint" in caplog.text
    assert next(other)["tokens"].shape == (4, 160)


@pytest.mark.parametrize("mode", ["packed", "padded", "buckets"])
def test_every_sample_comes_once_an_epoch_over_all_hosts(corpus, mode):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, **MODES[mode])
    for hosts in (1, 2):
        datasets = [
            make_dataset(triplets, tokenizer, config, shard_index=host, shard_count=hosts) for host in range(hosts)
        ]
        rows = datasets[0].plan.statistics(0)["rows"]
        greys, place = [], 0
        for parts in zip(*datasets, strict=True):
            for part in parts:
                for row in range(len(part["tokens"])):
                    alone = {key: value[row : row + 1] for key, value in part.items()}
                    greys += [grey for _, _, grey in samples(alone)] if place < rows else []
                    place += 1
            if place >= rows:
                break
        assert sorted(greys) == list(range(40))


def test_buckets_have_few_shapes_and_pad_less(corpus):
    triplets, tokenizer = corpus

    def shapes_and_fill(buckets):
        config = dataclasses.replace(CONFIG, pack=False, buckets=buckets)
        batches = list(itertools.islice(make_dataset(triplets, tokenizer, config), 12))
        filled = sum((segments_of(b) > 0).sum() for b in batches) / sum(b["tokens"].size for b in batches)
        return {b["tokens"].shape for b in batches}, filled

    one, padded = shapes_and_fill(1)
    three, bucketed = shapes_and_fill(3)
    assert one == {(4, 160)}
    assert 1 < len(three) <= 3
    assert all(rows == 4 and width <= 160 for rows, width in three)
    assert bucketed > padded + 0.1


def test_a_mixture_gives_each_source_its_share(corpus, tmp_path):
    triplets, tokenizer = corpus
    rows = triplets.path.read_text().splitlines()
    halves = []
    for name, part in (("low", rows[:10]), ("high", rows[10:])):
        path = triplets.path.with_name(f"{name}.jsonl")
        path.write_text("\n".join(part))
        halves.append(JsonlTriplets(path))
    mixture = Mixture(tuple(halves), (3, 1))
    config = dataclasses.replace(CONFIG, pack=False)
    for shuffle in (True, False):
        batches = itertools.islice(make_dataset(mixture, tokenizer, config, shuffle=shuffle), 40)
        greys = [grey for batch in batches for _, _, grey in samples(batch)]
        low = np.array(greys) < 10
        assert low.sum() == 120
        # Everywhere, not only in all; and within its share each source gives every row equally often.
        assert all(18 <= part.sum() <= 40 for part in low.reshape(4, 40))
        counts = np.bincount(greys, minlength=40)
        assert set(counts[:10]) == {12}
        assert set(counts[10:]) <= {1, 2}
    packed = make_dataset(mixture, tokenizer, CONFIG)
    first, second = list(itertools.islice(packed, 3)), list(itertools.islice(packed, 3))
    for one, two in zip(first, second, strict=True):
        same(one, two)
    with pytest.raises(ValueError, match="2 sources has 1 weights"):
        Mixture(tuple(halves), (1,))


def test_rows_without_a_picture_have_no_visual_tokens(corpus):
    triplets, tokenizer = corpus

    class Mixed(list):
        def __repr__(self):
            return "mixed"

    rows = Mixed(record._replace(image=None) if i % 2 else record for i, record in enumerate(triplets))
    greys = 0
    for batch in itertools.islice(make_dataset(rows, tokenizer, CONFIG), 8):
        for row in range(4):
            segments, visual = batch["segment_ids"][row], batch["visual_index"][row]
            picture = 0
            for segment in range(1, segments.max() + 1):
                at = segments == segment
                text = tokenizer.decode(list(batch["tokens"][row][at]))
                number = int(text.split("Sketch ")[1].split()[0])
                if number % 2:
                    assert (visual[at] == -1).all()
                    assert (batch["tokens"][row][at] != tokenizer.image_id).all()
                else:
                    np.testing.assert_array_equal(visual[at][:5], picture * 5 + np.arange(5))
                    assert (batch["images"][row, picture] == number).all()
                    picture, greys = picture + 1, greys + 1
    assert greys > 15


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
    with pytest.raises(ValueError, match=r"pack and buckets=4 exclude one another"):
        dataclasses.replace(CONFIG, buckets=4)


def test_bad_rows_are_skipped_and_named_or_raise(corpus, caplog):
    triplets, tokenizer = corpus
    (triplets.path.parent / "images" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = triplets.path.read_text().splitlines()
    torn = json.dumps({"image": "images/torn.png", "prompt": "p", "response": "r"})
    long = json.dumps(json.loads(rows[0]) | {"response": "x = 1;" * 200})
    path = triplets.path.with_name("bad.jsonl")
    path.write_text("\n".join([torn, "{", long, *rows[3:30]]))
    bad = JsonlTriplets(path)
    with caplog.at_level("WARNING", logger="absl"):
        batches = list(itertools.islice(make_dataset(bad, tokenizer, CONFIG), 20))
    assert {grey for batch in batches for _, _, grey in samples(batch)} == set(range(3, 30))
    for place in (r"bad.jsonl:1: ", r"bad.jsonl:2: ", r"bad.jsonl:3: "):
        assert caplog.text.count(place) == 1  # once, not once an epoch
    assert "of 30 rows 1 cannot be read and 1 are too long" in caplog.text
    # What stands where a row was left out is padding, and the others of its row are whole.
    for batch in batches:
        assert (batch["weights"][batch["segment_ids"] == 0] == 0).all()
    strict = dataclasses.replace(CONFIG, bad_rows=BadRows.RAISE)
    with pytest.raises(DataError, match=r"(?s)bad\.jsonl:2: not JSON.*bad\.jsonl:3: \d+ tokens, over the limit of 160"):
        make_dataset(bad, tokenizer, strict)
    path = path.with_name("alone.jsonl")
    path.write_text(torn)
    with pytest.raises(DataError, match=r"alone\.jsonl:1: .*torn\.png"):
        next(iter(make_dataset(JsonlTriplets(path), tokenizer, strict)))
    with pytest.raises(DataError, match=r"1 rows of \d+ cannot be read; the last: .*alone\.jsonl:1: "):
        for _ in make_dataset(JsonlTriplets(path), tokenizer, CONFIG):
            pass
    path = path.with_name("none.jsonl")
    path.write_text("{\n" * 3)
    with pytest.raises(DataError, match=r"3 of 3 rows cannot be read; .*none\.jsonl:1"):
        make_dataset(JsonlTriplets(path), tokenizer, CONFIG)


def test_worker_processes_give_the_same_batches(corpus):
    # In a process of its own: grain's workers are spawned, and outlive a test that does not close them.
    triplets, tokenizer = corpus
    program = f"""
import dataclasses
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
from vlsm_jax.data.tokenizer import load_tokenizer
from vlsm_jax.data.text_form import End
from vlsm_jax.data.triplets import JsonlTriplets
if __name__ == "__main__":
    triplets, tokenizer = JsonlTriplets({str(triplets.path)!r}), load_tokenizer({tokenizer.directory!r})
    config = PipelineConfig(160, 4, image_size=16, visual_tokens=5, augmentation=1.0)
    alone = iter(make_dataset(triplets, tokenizer, config))
    helped = iter(make_dataset(triplets, tokenizer, dataclasses.replace(config, workers=2)))
    def equal():
        one, two = next(alone), next(helped)
        assert all((one[key] == two[key]).all() for key in one)
        assert alone.get_state() == helped.get_state()
    for _ in range(3):
        equal()
    state = helped.get_state()
    helped.close()  # killed; and started again with another number of workers, after the state was written
    helped = iter(make_dataset(triplets, tokenizer, dataclasses.replace(config, workers=1)))
    helped.set_state(state)
    for _ in range(6):
        equal()
    helped.close()
    print("equal")
"""
    script = triplets.path.with_name("workers.py")
    script.write_text(program)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert "equal" in done.stdout, done.stderr


def test_pictures_are_changed_in_training_only_and_anew_each_epoch(corpus):
    triplets, tokenizer = corpus
    config = dataclasses.replace(CONFIG, pack=False, augmentation=1.0)

    def pictures(shuffle, count):
        found = {}
        for batch in itertools.islice(make_dataset(triplets, tokenizer, config, shuffle=shuffle), count):
            for row in range(4):
                text = tokenizer.decode(list(batch["tokens"][row]))
                found.setdefault(int(text.split("Sketch ")[1].split()[0]), []).append(batch["images"][row, 0])
        return found

    assert all((image == grey).all() for grey, images in pictures(False, 10).items() for image in images)
    twice = pictures(True, 20)
    assert all(len(images) == 2 for images in twice.values())
    assert all((one != two).any() for one, two in twice.values())
