import dataclasses
import hashlib
import itertools
import json
import pickle

import numpy as np
import pytest

from vlsm_jax.data.features import FeatureError, FeatureStore, picture_key, write_features
from vlsm_jax.data.images import load_image
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
from vlsm_jax.data.triplets import DataError

CONFIG = PipelineConfig(sequence_length=160, batch_size=4, image_size=16, visual_tokens=5)


def load(picture):
    return load_image(picture, 16)


def encode(images):
    """Stands for an encoder: tokens 0 to 3 of width 2 that tell the grey level and the token."""
    greys = images[:, 0, 0, 0].astype(np.float16)
    return greys[:, None, None] + np.arange(8, dtype=np.float16).reshape(1, 4, 2) * 100


def test_what_is_read_is_what_was_computed(corpus, tmp_path):
    triplets, _ = corpus
    pictures = [record.image for record in triplets]
    assert write_features(tmp_path, "enc", [*pictures, pictures[3]], load, encode, batch=8, part_bytes=200) == 40
    store = FeatureStore(tmp_path, "enc")
    assert len(store) == 40
    assert len(list((tmp_path / "enc").glob("*.keys.npy"))) > 2
    for each in (store, pickle.loads(pickle.dumps(store))):
        for picture in reversed(pictures):
            np.testing.assert_array_equal(each[picture_key(picture)], encode(load(picture)[None])[0])
    # A picture is its content, wherever it lies.
    content = open(pictures[5], "rb").read()  # noqa: SIM115
    assert picture_key(content) == picture_key(pictures[5]) == hashlib.blake2b(content, digest_size=16).digest()
    assert picture_key(content) in store
    assert b"\0" * 16 not in store
    with pytest.raises(FeatureError, match="has no features of the picture 0000"):
        store[b"\0" * 16]


def test_writing_goes_on_where_it_was_interrupted(corpus, tmp_path):
    triplets, _ = corpus
    pictures = [record.image for record in triplets]
    seen = []

    def fails(batch):
        if len(seen) > 20:
            raise KeyboardInterrupt
        seen.extend(batch)
        return encode(batch)

    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path, "enc", pictures, load, fails, batch=4, part_bytes=1)
    assert not list((tmp_path / "enc").glob(".*"))
    # Features without keys are a part whose writer was killed between the two.
    keys = sorted((tmp_path / "enc").glob("*.keys.npy"))
    keys[0].unlink()
    encoded = []
    write_features(tmp_path, "enc", pictures, load, lambda batch: encoded.extend(batch) or encode(batch), batch=4)
    assert len(encoded) == 40 - len(seen) + 4
    store = FeatureStore(tmp_path, "enc")
    assert all((store[picture_key(p)] == encode(load(p)[None])[0]).all() for p in pictures)


def test_a_picture_that_cannot_be_read_has_no_features(corpus, tmp_path, caplog):
    triplets, _ = corpus
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n")
    pictures = [torn, tmp_path / "none.png", triplets[0].image]
    with caplog.at_level("WARNING", logger="absl"):
        assert write_features(tmp_path, "enc", pictures, load, encode) == 1
    assert "torn.png is not a picture" in caplog.text
    assert "none.png" in caplog.text
    assert picture_key(torn) not in FeatureStore(tmp_path, "enc")


def test_what_does_not_fit_a_store_is_refused(corpus, tmp_path):
    triplets, _ = corpus
    pictures = [record.image for record in triplets]
    with pytest.raises(FeatureError, match=r"no features at .*enc; write them first"):
        FeatureStore(tmp_path, "enc")
    write_features(tmp_path, "enc", pictures[:4], load, encode)
    with pytest.raises(FeatureError, match=r"'width': 2.* and these features are .*'width': 4"):
        write_features(tmp_path, "enc", pictures, load, lambda batch: np.zeros((len(batch), 4, 4), np.float16))
    with pytest.raises(FeatureError, match="not finite in float16"):
        write_features(tmp_path, "enc", pictures, load, lambda batch: encode(batch) * np.float16(np.inf))
    (tmp_path / "enc" / "store.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(FeatureError, match=r"not of the format vlsm_jax\.features/1"):
        FeatureStore(tmp_path, "enc")


def test_batches_hold_features_in_place_of_pictures(corpus, tmp_path):
    triplets, tokenizer = corpus
    write_features(tmp_path, "enc", [record.image for record in triplets], load, encode)
    store = FeatureStore(tmp_path, "enc")
    with pytest.raises(DataError, match=r"pipeline\.augmentation=1 changes pictures"):  # there are no pixels to change
        make_dataset(triplets, tokenizer, dataclasses.replace(CONFIG, augmentation=1.0), features=store)
    plain = make_dataset(triplets, tokenizer, CONFIG)
    for one, two in itertools.islice(
        zip(plain, make_dataset(triplets, tokenizer, CONFIG, features=store), strict=True), 6
    ):
        assert "images" not in two
        assert two["features"].dtype == np.float16
        assert two["features"].shape == (*one["images"].shape[:2], 4, 2)
        for key in one.keys() - {"images"}:
            np.testing.assert_array_equal(one[key], two[key])
        for row, segments in enumerate(one["segment_ids"]):
            for picture in range(segments.max()):
                grey = one["images"][row, picture, 0, 0, 0]
                np.testing.assert_array_equal(two["features"][row, picture].ravel(), grey + np.arange(8) * 100)
