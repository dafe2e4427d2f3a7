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
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.frozen_features import encoder_fingerprint, keep_features
from vlsm_jax.training.logs import read_metrics
from vlsm_jax.training.loop import TrainConfig, train
from vlsm_jax.training.network import Network
from vlsm_jax.training.optimizer import OptimizerConfig
from vlsm_jax.training.step import batch_loss


@pytest.fixture(scope="module")
def network():
    """As the shared one, with as many ids as the tokenizer has."""
    vision = VisionConfig(width=16, layers=1, heads=2, mlp_width=32, patch_size=4, image_size=8)
    decoder = DecoderConfig(
        family="llama", vocabulary=320, width=32, layers=1, heads=4, kv_heads=2, head_dim=8, mlp_width=48, tied=True
    )
    return Network.create(VlsmConfig(vision, ConnectorConfig("mlp"), decoder, image_token_id=2))


@pytest.fixture(scope="module")
def params(network):
    return jax.jit(network.init)(0)


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


def test_kept_features_are_those_computed_and_train_alike(network, params, rows, tmp_path):
    store = keep_features(network, params, [rows], fit=Fit.PAD, root=tmp_path / "kept", dtype="float32")
    vision = jax.jit(lambda params, images: network.merge(params).vision(images))
    for record in rows:
        wanted = vision(params, load_image(record.image, 8)[None])[0]
        np.testing.assert_allclose(store[picture_key(record.image)], wanted, rtol=1e-5, atol=1e-6)
    tokenizer = train_bpe(batch_texts(rows), 300, tmp_path / "tokenizer")
    config = PipelineConfig(160, 2, image_size=8, visual_tokens=5)
    pixels = make_dataset(rows, tokenizer, config)
    kept = make_dataset(rows, tokenizer, config, features=store)
    loss = jax.jit(lambda params, batch: batch_loss(network.merge(params), batch).loss)
    without = {name: value * 0 if name.startswith("vision/") else value for name, value in params.items()}
    for one, two in itertools.islice(zip(pixels, kept, strict=True), 2):
        one, two = (Batch(**jax.tree.map(jnp.asarray, batch)) for batch in (one, two))
        first = loss(params, one)
        assert np.isfinite(first)
        np.testing.assert_allclose(loss(params, two), first, rtol=1e-5)
        np.testing.assert_allclose(loss(without, two), first, rtol=1e-5)  # the encoder is not even run
        assert abs(loss(without, one) - first) > 1e-3


def test_features_are_computed_once_and_anew_for_another_encoder(network, params, rows, tmp_path):
    keep_features(network, params, [rows], fit=Fit.PAD, root=tmp_path / "kept")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*")}
    store = keep_features(network, params, [rows], fit=Fit.PAD, root=tmp_path / "kept")
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


def test_a_trained_encoder_is_refused(network, params, rows, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.trainable trains vision/cls and 0 more"):
        keep_features(network, params, [rows], fit=Fit.PAD, root=tmp_path, trained=["vision/cls", "decoder/x"])


def test_training_on_kept_features_begins_as_training_on_pictures(network, params, rows, tmp_path):
    tokenizer = train_bpe(batch_texts(rows), 300, tmp_path / "tokenizer")
    pipeline = PipelineConfig(80, 2, image_size=8, visual_tokens=5)
    train(
        network,
        tokenizer,
        train_data=rows,
        validation_data=rows,
        pipeline=pipeline,
        optimizer_config=OptimizerConfig(learning_rate=0.01),
        config=TrainConfig(
            steps=2,
            trainable=((r"^vision/", False), (r".*", True)),
            features=str(tmp_path / "kept"),
            validation_batches=1,
        ),
        mesh=make_mesh(),
        workdir=tmp_path,
        facts={},
    )
    assert list((tmp_path / "kept").glob("*/*.features.npy"))
    logged = {
        (row["kind"], row["step"]): row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl") if "loss" in row
    }
    assert ("validation", 2) in logged
    batch = Batch(**jax.tree.map(jnp.asarray, next(iter(make_dataset(rows, tokenizer, pipeline)))))
    total = jax.jit(lambda params: batch_loss(network.merge(params), batch))(params)
    np.testing.assert_allclose(logged["train", 1], total.loss / total.weight, rtol=1e-3)
