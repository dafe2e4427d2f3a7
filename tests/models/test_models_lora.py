"""Adapters: start, scale, dropout, targets, merge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vlsm_jax.models import Decoder, DecoderConfig
from vlsm_jax.models.adaptation import Adaptation, adapt, plain
from vlsm_jax.models.layers import Axes, Declare, Dense, normal
from vlsm_jax.models.lora import LoraConfig, LoraParam, add_lora, kept_inputs, with_dropout
from vlsm_jax.models.quantised import QuantisedDense

CONFIG = DecoderConfig("llama", 64, 64, 2, 4, 2, 16, 64)


def dense(layers=None):
    declare = Declare(nnx.Rngs(0), layers=layers)
    inputs, outputs = Axes.of(heads=4, head_dim=32), Axes.of(embed=24)
    return Dense(declare, inputs, outputs, init=normal(0.1), use_bias=True, dtype=jnp.float32)


def adapted(config, quantised=None, layers=None):
    """A layer whose B is no longer 0."""
    layer = dense(layers)
    layer = add_lora(QuantisedDense(layer, quantised) if quantised else layer, config, nnx.Rngs(1), jnp.float32)
    layer.lora.b[...] = jax.random.normal(jax.random.key(2), layer.lora.b.get_value().shape)
    return layer


def adapted_decoder(targets, quantise="none", dropout=0.0):
    """Shapes alone."""
    adaptation = Adaptation(quantise, LoraConfig(4, 8.0, dropout, targets=targets))
    return nnx.eval_shape(lambda: adapt(Decoder(CONFIG, rngs=nnx.Rngs(0)), adaptation, nnx.Rngs(1)))


@pytest.mark.parametrize("quantised", [None, "nf4"])
def test_fresh_adapter_changes_nothing(quantised):
    layer = QuantisedDense(dense(), quantised) if quantised else dense()
    x = jax.random.normal(jax.random.key(3), (5, 4, 32))
    fresh = add_lora(layer, LoraConfig(8, 16.0), nnx.Rngs(1), jnp.float32)
    np.testing.assert_array_equal(fresh(x), layer(x))
    a = np.asarray(fresh.lora.a[...])
    # Uniform between -1 / sqrt(128) and its opposite: of 1024 values some come near, and the variance is bound^2 / 3.
    bound = 1 / np.sqrt(128)
    assert 0.99 * bound < np.abs(a).max() <= bound
    assert np.var(a) == pytest.approx(bound**2 / 3, rel=0.1)


@pytest.mark.parametrize(("rslora", "scale"), [(False, 16 / 4), (True, 16 / 2)])
def test_scale(rslora, scale):
    layer = adapted(LoraConfig(4, 16.0, rslora=rslora))
    x = jax.random.normal(jax.random.key(3), (5, 128))
    a, b = layer.lora.a[...].reshape(128, 4), layer.lora.b[...]
    wanted = x @ layer.kernel[...].reshape(128, 24) + scale * (x @ a @ b)
    np.testing.assert_allclose(layer.product(x), wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("quantised", [None, "nf4", "int8"])
def test_merged_equals_adapted(quantised):
    holder = nnx.Module()
    holder.only = nnx.data(adapted(LoraConfig(4, 16.0), quantised))
    x = jax.random.normal(jax.random.key(3), (5, 4, 32))
    wanted = holder.only(x)
    merged = plain(holder, jnp.float32).only
    assert type(merged) is Dense
    np.testing.assert_allclose(merged(x), wanted, rtol=1e-4, atol=1e-4)


def test_merging_rounds_once():
    """A delta below half a step of bfloat16 is not lost to an earlier rounding of the delta, nor added twice."""
    layer = dense(layers=2)
    layer.kernel[...] = layer.kernel[...].astype(jnp.bfloat16)
    layer = add_lora(layer, LoraConfig(4, 4.0), nnx.Rngs(1), jnp.float32)
    layer.lora.b[...] = jax.random.normal(jax.random.key(2), layer.lora.b.get_value().shape) * 0.01
    holder = nnx.Module()
    holder.only = nnx.data(layer)
    a, b = np.asarray(layer.lora.a[...], np.float64), np.asarray(layer.lora.b[...], np.float64)
    exact = np.asarray(layer.kernel[...]).astype(np.float64) + np.einsum("lhdr,lro->lhdo", a, b)
    merged = plain(holder, jnp.bfloat16).only
    assert merged.kernel.logical_axes == ("layers", "heads", "head_dim", "embed")
    rounded = exact.astype(np.float32).astype(jnp.bfloat16)
    assert (np.asarray(merged.kernel[...]) != rounded).mean() < 1e-3  # ties that float32 and float64 break differently


def test_dropout_scales_what_it_keeps():
    config = LoraConfig(4, 4.0, dropout=0.25)
    layer = adapted(config)
    x = jnp.ones((20000, 128))
    np.testing.assert_array_equal(layer.lora(x[:2])[0], layer.lora(x[:2])[1])  # no key, no dropout
    holder = nnx.Module()
    holder.only = nnx.data(layer)
    with_dropout(holder, jax.random.key(0))
    layer.lora.b[...] = jnp.ones_like(layer.lora.b[...])
    layer.lora.a[...] = jnp.ones_like(layer.lora.a[...])
    sums = np.asarray(layer.lora(x))[:, 0] / 4  # of 128 inputs, each 0 or 4 / 3
    np.testing.assert_allclose(sums.mean(), 128, rtol=2e-3)
    np.testing.assert_allclose(sums.var(), 128 * 0.25 / 0.75, rtol=0.05)
    assert np.allclose(sums * 0.75, np.round(sums * 0.75), atol=1e-3)


@pytest.mark.parametrize("dropout", [0.05, 0.5])
def test_dropout_is_independent_of_row_column_and_key(dropout):
    """Correlations of a mask with itself shifted, and with the masks of nearby keys, are those of chance."""
    rows, columns = 1024, 768
    masks = [np.asarray(kept_inputs(jnp.uint32([a, b]), dropout, (rows, columns)))
             for a, b in ((0, 0), (0, 1), (1, 0), (2**31, 0), (0, 2**31))]  # fmt: skip
    chance = 5 / np.sqrt(rows * columns)  # five standard deviations
    normed = [(mask - (1 - dropout)) / np.sqrt(dropout * (1 - dropout)) for mask in masks]
    assert all(abs(mask.mean()) < chance for mask in normed)
    first = normed[0]
    for other in normed[1:]:
        assert abs((first * other).mean()) < chance
    for shift in (1, 2, 64, 128, 512):
        assert abs((first * np.roll(first, shift, 0)).mean()) < chance
        assert abs((first * np.roll(first, shift, 1)).mean()) < chance
        assert abs((first * np.roll(first, (shift, shift), (0, 1))).mean()) < chance
    # No two rows, and no two columns, go together: of half a million pairs none lies nine deviations off.
    for axis in (first, first.T):
        together = axis @ axis.T / axis.shape[1]
        np.fill_diagonal(together, 0)
        assert np.abs(together).max() < 9 / np.sqrt(axis.shape[1])


def test_every_layer_and_every_step_drops_others():
    model = adapted_decoder((r"layers/mlp/\w+",), dropout=0.5)
    keys = {}
    for step in (0, 1):
        with_dropout(model, jax.random.fold_in(jax.random.key(7), step))
        for name in ("gate", "up", "down"):
            keys[step, name] = getattr(model.layers.mlp, name).lora.key[...]
    values = np.concatenate([np.asarray(k) for k in keys.values()])
    assert values.shape == (2 * 3 * CONFIG.layers, 2)
    assert len(np.unique(values, axis=0)) == len(values)


def test_filter_takes_adapters_only():
    model = adapted_decoder((r"layers/attention/(q|v)", r"layers/mlp/down"), "nf4-double")
    _, adapters, rest = nnx.split(model, LoraParam, ...)
    names = {"/".join(map(str, path)) for path, _ in nnx.to_flat_state(adapters)}
    layers = ("layers/attention/q", "layers/attention/v", "layers/mlp/down")
    assert names == {f"{layer}/lora/{factor}" for layer in layers for factor in "ab"}
    assert not any("lora" in path for path, _ in nnx.to_flat_state(rest))


def test_bad_configs_and_targets():
    with pytest.raises(ValueError, match=r"lora\.rank=0"):
        LoraConfig(0, 1.0)
    with pytest.raises(ValueError, match=r"lora\.alpha=0"):
        LoraConfig(1, 0.0)
    with pytest.raises(ValueError, match=r"lora\.dropout=1"):
        LoraConfig(1, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"lora\.targets is empty"):
        LoraConfig(1, 1.0, targets=())
    for target, said in (
        ("layers/mlp/c_fc", "matches no layer; there are layers/attention/k, "),
        ("(", "is no regular"),
    ):
        with pytest.raises(ValueError, match=said):
            adapted_decoder((r"layers/mlp/up", target))
    # A name is matched as a whole: "q" is not every layer that ends in q.
    with pytest.raises(ValueError, match="'q' matches no layer"):
        adapted_decoder(("q",))
    with pytest.raises(ValueError, match="has an adapter already"):
        add_lora(adapted(LoraConfig(1, 1.0)), LoraConfig(1, 1.0), nnx.Rngs(0), jnp.float32)
