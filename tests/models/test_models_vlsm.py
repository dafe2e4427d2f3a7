"""The whole model: where visual tokens go, packing against single samples, initial parameters."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vlsm_jax.models import (
    ConnectorConfig,
    DecoderConfig,
    KVCache,
    VisionConfig,
    Vlsm,
    VlsmConfig,
    abstract_model,
    init_params,
    vision,
    vlsm,
)
from vlsm_jax.models.attention import attention
from vlsm_jax.sharding import make_mesh, param_shardings

CONFIG = VlsmConfig(
    VisionConfig(width=24, layers=2, heads=4, mlp_width=40, patch_size=8, image_size=16, init_std=0.2),
    ConnectorConfig("mlp", init_std=0.2),
    DecoderConfig("llama", 61, 32, 2, 4, 2, 8, 48, init_std=0.2),
    image_token_id=61,
)
V = CONFIG.vision.tokens


@pytest.fixture(scope="module")
def model() -> Vlsm:
    graphdef, abstract = abstract_model(CONFIG)
    rng = np.random.default_rng(0)
    return nnx.merge(
        graphdef, jax.tree.map(lambda x: jnp.array(rng.normal(size=x.shape, scale=0.25), x.dtype), abstract)
    )


def sample(seed: int, text: int):
    """One image and a row [visual][text] with its indices."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    tokens = np.concatenate([np.full(V, CONFIG.image_token_id), rng.integers(0, 61, text)])
    return image, tokens, np.concatenate([np.arange(V), np.full(text, -1)])


@partial(jax.jit, static_argnums=0)
def forward(graphdef, params, images, tokens, kwargs):
    model = nnx.merge(graphdef, params)
    visual = model.encode_images(images) if images is not None else None
    if visual is not None:
        visual = visual.reshape(tokens.shape[0], -1, visual.shape[-1])  # a row's images one after another
    hidden, cache = model(tokens, visual=visual, **kwargs)
    return model.logits(hidden), cache


def run(model: Vlsm, images, tokens, **kwargs):
    return forward(*nnx.split(model), images, jnp.array(tokens), jax.tree.map(jnp.array, kwargs))


def alone(model: Vlsm, seed: int, text: int) -> np.ndarray:
    image, tokens, index = sample(seed, text)
    positions = np.arange(len(tokens))
    logits, _ = run(model, image[None], tokens[None], visual_index=index[None], positions=positions[None])
    return np.asarray(logits[0])


def test_visual_tokens_stand_where_the_index_says(model):
    """The row equals decoding the embeddings laid out by hand."""
    image, tokens, _ = sample(0, 4)
    visual = model.encode_images(jnp.array(image[None]))
    x = jnp.concatenate([visual, model.decoder.embed(jnp.array(tokens[None, V:]))], axis=1)
    hidden, _ = model.decoder(x, positions=jnp.arange(V + 4)[None])
    np.testing.assert_allclose(alone(model, 0, 4), model.logits(hidden)[0], atol=1e-5)


def test_packed_rows_equal_single_samples(model):
    samples = {1: 6, 2: 3}
    images, tokens, index, positions, segments = [], [], [], [], []
    for k, (seed, text) in enumerate(samples.items()):
        image, t, i = sample(seed, text)
        images.append(image)
        tokens.append(t)
        index.append(np.where(i >= 0, i + k * V, -1))
        positions.append(np.arange(len(t)))
        segments.append(np.full(len(t), k + 1))
    # A second row with one sample, an unused image and padding.
    image, t, i = sample(3, 5)
    width = sum(map(len, tokens))
    pad = width - len(t)
    rows = {
        "tokens": [np.concatenate(tokens), np.pad(t, (0, pad))],
        "index": [np.concatenate(index), np.pad(i, (0, pad), constant_values=-1)],
        "positions": [np.concatenate(positions), np.pad(np.arange(len(t)), (0, pad), constant_values=-1)],
        "segments": [np.concatenate(segments), np.pad(np.ones(len(t), int), (0, pad))],
    }
    rows = {name: jnp.array(np.stack(value)) for name, value in rows.items()}
    pixels = np.stack([*images, image, np.zeros_like(image)])
    logits, _ = run(
        model,
        pixels,
        rows["tokens"],
        visual_index=rows["index"],
        positions=rows["positions"],
        segment_ids=rows["segments"],
    )
    expected = np.concatenate([alone(model, seed, text) for seed, text in samples.items()])
    np.testing.assert_allclose(logits[0], expected, atol=2e-5)
    np.testing.assert_allclose(logits[1, : len(t)], alone(model, 3, 5), atol=2e-5)


def test_prefill_with_image_then_text_alone(model):
    """Generation: the image goes into the cache once, later steps have none."""
    image, tokens, index = sample(4, 5)
    full = alone(model, 4, 5)
    split = V + 2
    cache = KVCache.init(CONFIG.decoder, 1, len(tokens))
    start = {"visual_index": index[None, :split], "positions": np.arange(split)[None]}
    logits, cache = run(model, image[None], tokens[None, :split], cache=cache, **start)
    np.testing.assert_allclose(logits[0], full[:split], atol=2e-5)
    for place in range(split, len(tokens)):
        at = {"visual_index": np.array([[-1]]), "positions": np.array([[place]])}
        logits, cache = run(model, None, tokens[None, place : place + 1], cache=cache, **at)
        np.testing.assert_allclose(logits[0, 0], full[place], atol=2e-5)


def test_token_under_an_image_does_not_matter(model):
    """Neither its value, past the vocabulary or not, nor its gradient."""
    image, tokens, index = sample(5, 3)
    kwargs = {"visual_index": jnp.array(index[None]), "positions": jnp.arange(len(index))[None]}
    graphdef, params = nnx.split(model)

    def scores(params, tokens):
        return forward(graphdef, params, image[None], jnp.array(tokens[None]), kwargs)[0]

    other = np.where(index >= 0, 7, tokens)
    np.testing.assert_array_equal(scores(params, tokens), scores(params, other))
    gradient = jax.jit(jax.grad(lambda p: (scores(p, tokens) ** 2).mean()))(params)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    used = np.abs(gradient["decoder"]["embedding"]["table"][...]).sum(axis=1) > 0
    assert set(np.flatnonzero(used)) == set(tokens[V:].tolist())
    # The last norm of the tower does not act; every other parameter does.
    still = {path for path, g in nnx.to_flat_state(gradient) if not np.any(g.get_value())}
    assert still <= {
        ("vision", "post_norm", "scale"),
        ("vision", "post_norm", "bias"),
        ("vision", "layers", "k", "bias"),
    }


def test_init_is_reproducible_and_traceable():
    places = param_shardings(abstract_model(CONFIG)[1], make_mesh())
    init = jax.jit(lambda seed: init_params(CONFIG, seed), out_shardings=places)
    params = init(0)
    jax.tree.map(np.testing.assert_array_equal, init(0), params)
    other = init(1)
    assert np.abs(other["decoder"]["head"][...] - params["decoder"]["head"][...]).max() > 0.1
    kernel = np.asarray(params["decoder"]["layers"]["mlp"]["up"]["kernel"][...])
    assert kernel.std() == pytest.approx(CONFIG.decoder.init_std, rel=0.05)
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1


def test_abstract_model_has_the_structure_of_the_parameters():
    graphdef, abstract = abstract_model(CONFIG, param_dtype=jnp.bfloat16, remat="full", scan_layers=False)
    shapes = jax.eval_shape(lambda: init_params(CONFIG, 0, param_dtype=jnp.bfloat16))
    assert jax.tree.structure(shapes) == jax.tree.structure(abstract)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), shapes, abstract))
    model = nnx.merge(graphdef, nnx.to_pure_dict(abstract))
    assert (model.decoder.remat, model.vision.scan_layers) == ("full", False)


def test_tied_model_has_no_head():
    config = dataclasses.replace(CONFIG, decoder=dataclasses.replace(CONFIG.decoder, tied=True))
    graphdef, abstract = abstract_model(config)
    assert "head" not in abstract["decoder"]
    rng = np.random.default_rng(0)
    table, hidden = rng.normal(size=(61, 32)).astype(np.float32), rng.normal(size=(1, 2, 32)).astype(np.float32)
    params = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), abstract)
    params["decoder"]["embedding"]["table"].set_value(jnp.array(table))
    logits = nnx.merge(graphdef, params).logits(jnp.array(hidden))
    np.testing.assert_allclose(logits, hidden @ table.T, atol=1e-4)


@pytest.mark.parametrize("connector", ["mlp", "perceiver"])
def test_a_tpu_gets_the_same_visual_tokens(monkeypatch, connector):
    """Where tokens are padded to full tiles, and are placed by a product: values and gradients as elsewhere."""
    sizes = {"queries": 3, "depth": 1, "heads": 2, "kv_heads": 1, "head_dim": 8} if connector == "perceiver" else None
    config = dataclasses.replace(CONFIG, connector=ConnectorConfig(connector, init_std=0.2, sizes=sizes))
    graphdef, params = nnx.split(Vlsm(config, rngs=nnx.Rngs(3)))
    pictures = jnp.stack([jnp.asarray(sample(seed, 1)[0]) for seed in range(6)])
    count, some = 3 * config.visual_tokens, 2 * config.visual_tokens + 1
    index = jnp.stack([jnp.r_[-1, jnp.arange(some), -1], jnp.r_[jnp.arange(count - some, count), -1, -1]])

    def loss(params):
        model = nnx.merge(graphdef, params)
        visual = model.encode_images(pictures)
        assert visual.shape == (6, config.visual_tokens, config.decoder.width)
        visual = vlsm.joined(visual.reshape(2, 3, *visual.shape[1:]))
        x = jnp.where((index >= 0)[:, :, None], vlsm.placed(visual, index), 0)
        return jnp.sum(jnp.sin(x)), x

    def value():
        return jax.jit(jax.value_and_grad(lambda p: loss(p), has_aux=True))(params)

    (_, expected), gradients = value()
    for module in (vlsm, vision):
        monkeypatch.setattr(module, "target_platform", lambda: "tpu")
    padded = []
    monkeypatch.setattr(vision, "attention", lambda *x, real, **o: padded.append(real) or attention(*x, real=real, **o))
    (_, ours), our_gradients = value()
    assert padded == [V]
    assert expected.any()
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    # Gradients of up to fifty, summed in another order: float32 holds some seven digits of them.
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-4), our_gradients, gradients)


def test_a_tpu_places_visual_tokens_bit_by_bit(monkeypatch):
    visual = jax.random.normal(jax.random.key(0), (2, 7, 16))
    index = jnp.array([[3, -1, 6, 0], [0, 1, 2, 5]])
    expected = vlsm.placed(visual, index)
    monkeypatch.setattr(vlsm, "target_platform", lambda: "tpu")
    seen = np.asarray(index) >= 0
    np.testing.assert_array_equal(np.asarray(vlsm.placed(visual, index))[seen], np.asarray(expected)[seen])
