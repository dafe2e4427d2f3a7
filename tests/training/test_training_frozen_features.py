import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vlsm_jax.data.features import picture_key
from vlsm_jax.data.images import Fit, load_image
from vlsm_jax.data.pipeline import Batch, PipelineConfig, make_dataset
from vlsm_jax.data.tokenizer import batch_texts, train_bpe
from vlsm_jax.data.triplets import Record
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.frozen_features import encoder_fingerprint, keep_features
from vlsm_jax.training.step import batch_loss


class Rows(list):
    def __repr__(self):
        return f"{len(self)} rows"


@pytest.fixture
def rows(tmp_path):
    rng = np.random.default_rng(0)
    rows = Rows()
    for i in range(6):
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (9, 14, 3)).astype(np.uint8)).save(path)
        rows.append(Record(str(i), str(path), f"line {i}", "x = 1;" * (i + 1), f"rows:{i}", {}))
    return rows


def test_kept_features_are_those_computed_and_train_alike(network, rows, tmp_path):
    params = network.init(0)
    store = keep_features(network, params, rows, fit=Fit.PAD, root=tmp_path / "kept", dtype="float32")
    model = network.merge(params)
    for record in rows:
        wanted = model.vision(jnp.asarray(load_image(record.image, 8)[None]))[0]
        np.testing.assert_allclose(store[picture_key(record.image)], wanted, rtol=1e-5, atol=1e-6)
    tokenizer = train_bpe(batch_texts(rows), 300, tmp_path / "tokenizer")
    config = PipelineConfig(160, 2, image_size=8, visual_tokens=5)
    pixels = make_dataset(rows, tokenizer, config)
    kept = make_dataset(rows, tokenizer, config, features=store)
    for one, two in itertools.islice(zip(pixels, kept, strict=True), 2):
        one, two = (Batch(**jax.tree.map(jnp.asarray, batch)) for batch in (one, two))
        loss = jax.value_and_grad(lambda p, batch: batch_loss(network.merge(p), batch).loss)
        (first, gradient), (second, other) = loss(params, one), loss(params, two)
        np.testing.assert_allclose(first, second, rtol=1e-5)
        for name, value in gradient.items():
            if name.startswith("vision/"):
                assert not other[name].any()  # the encoder is not even run
            else:
                np.testing.assert_allclose(other[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_features_are_computed_once_and_anew_for_another_encoder(network, rows, tmp_path):
    params = network.init(0)
    keep_features(network, params, rows, fit=Fit.PAD, root=tmp_path / "kept")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*")}
    store = keep_features(network, params, rows, fit=Fit.PAD, root=tmp_path / "kept")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*")} == before
    assert store.dtype == np.float16
    # What is trained beside the encoder changes nothing; all that decides what comes out does.
    same = encoder_fingerprint(
        network, {**params, "connector/linear_1/bias": params["connector/linear_1/bias"] + 1}, Fit.PAD, "float16"
    )
    assert store.directory.name == same
    moved = {**params, "vision/cls": params["vision/cls"] + 1}
    others = {
        encoder_fingerprint(network, moved, Fit.PAD, "float16"),
        encoder_fingerprint(network, params, Fit.SQUASH, "float16"),
        encoder_fingerprint(network, params, Fit.PAD, "float32"),
    }
    assert len(others | {same}) == 4


def test_a_trained_encoder_is_refused(network, rows, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.trainable trains vision/cls and 0 more"):
        keep_features(network, network.init(0), rows, fit=Fit.PAD, root=tmp_path, trained=["vision/cls", "decoder/x"])
