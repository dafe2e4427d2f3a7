"""Attention masks, rotary positions and norms, each against an independent statement of what it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.models import attention as attention_module
from vlsm_jax.models.attention import AttentionMask, attention
from vlsm_jax.models.layers import (
    ACTIVATIONS,
    Axes,
    Declare,
    Dense,
    Embedding,
    LayerNorm,
    RmsNorm,
    activation,
    few_rows,
)
from vlsm_jax.models.rope import rope_table, rotate


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_mask_is_its_definition(data):
    """Causal, within the window, in the same segment, never padding: cell by cell."""
    size = 6
    row = st.lists(st.integers(-1, 9), min_size=size, max_size=size)
    segment = st.lists(st.integers(0, 2), min_size=size, max_size=size)
    q, k = np.array([data.draw(row)]), np.array([data.draw(row)])
    q_segment, k_segment = np.array([data.draw(segment)]), np.array([data.draw(segment)])
    window = data.draw(st.one_of(st.none(), st.integers(1, 5)))
    use_segments = data.draw(st.booleans())
    segments = (jnp.array(q_segment), jnp.array(k_segment)) if use_segments else (None, None)
    mask = AttentionMask(jnp.array(q), jnp.array(k), window, *segments).dense()
    for i in range(size):
        for j in range(size):
            back = q[0, i] - k[0, j]
            sees = k[0, j] != -1 and back >= 0 and (window is None or back <= window - 1)
            if use_segments:
                sees = sees and q_segment[0, i] == k_segment[0, j]
            assert bool(mask[0, i, j]) == sees


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_attention_equals_torch(kv_heads):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(2, 5, 6, 8)).astype(np.float32)
    k, v = rng.normal(size=(2, 2, 7, kv_heads, 8)).astype(np.float32)
    positions = np.array([[2, 3, 4, 5, 6], [0, 1, 2, 3, 4]])
    kv_positions = np.array([[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, -1, -1]])
    mask = AttentionMask(jnp.array(positions), jnp.array(kv_positions))
    heads_first = [torch.tensor(x).transpose(1, 2) for x in (q, k, v)]
    allowed = (kv_positions[:, None] <= positions[:, :, None]) & (kv_positions[:, None] >= 0)
    expected = torch.nn.functional.scaled_dot_product_attention(
        *heads_first, attn_mask=torch.tensor(allowed)[:, None], enable_gqa=True
    )
    np.testing.assert_allclose(attention(q, k, v, mask), expected.transpose(1, 2), atol=1e-5)


@pytest.mark.parametrize("window", [None, 1, 20])
@pytest.mark.parametrize("packed", [False, True])
def test_blocks_equal_the_whole(monkeypatch, window, packed):
    """Long rows go block by block; values and gradients are those of the dense mask, at uneven block ends too."""
    monkeypatch.setattr(attention_module, "MIN_BLOCK", 8)
    monkeypatch.setattr(attention_module, "MAX_BLOCKS", 4)
    length = 66  # four blocks of 17, the last one shorter
    rng = np.random.default_rng(0)
    q, w = (jnp.array(rng.normal(size=(2, length, 4, 4)), jnp.float32) for _ in range(2))
    k, v = (jnp.array(rng.normal(size=(2, length, 2, 4)), jnp.float32) for _ in range(2))
    if packed:  # three sequences and padding, the other row padded in front
        lengths = (20, 3, 33)
        first = np.concatenate([*map(np.arange, lengths), np.full(length - sum(lengths), -1)])
        second = np.concatenate([np.full(10, -1), np.arange(length - 10)])
        segment = np.repeat([1, 2, 3, 0], [*lengths, length - sum(lengths)])
        segments = jnp.array([segment, np.ones(length, int)])
    else:
        first = second = np.arange(length)
        segments = None
    positions = jnp.array([first, second])
    mask = AttentionMask(positions, positions, window, segments, segments)
    real = (positions >= 0)[:, :, None, None]  # what padding gives has no meaning

    def both(mask):
        def loss(q, k, v):
            out = jnp.where(real, attention(q, k, v, mask), 0)
            return (out * w).sum(), out

        return jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(q, k, v)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), both(mask._replace(aligned=True)), both(mask)
    )


def test_blocks_leave_out_what_nobody_sees():
    """Half the work of a long row, and less with a window."""

    def flops(length, **kwargs):
        shape = jax.ShapeDtypeStruct((1, length, 1, 8), jnp.float32)
        positions = jnp.arange(length)[None]

        def run(q, k, v):
            return attention(q, k, v, AttentionMask(positions, positions, **kwargs))

        return jax.jit(run).lower(shape, shape, shape).cost_analysis()["flops"]

    dense = flops(2048)
    assert flops(2048, aligned=True) < 0.6 * dense
    assert flops(2048, aligned=True, window=256) < 0.3 * dense


def test_attention_without_mask_sees_everything():
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, 1, 5, 2, 8)).astype(np.float32)
    expected = torch.nn.functional.scaled_dot_product_attention(*(torch.tensor(x).transpose(1, 2) for x in (q, k, v)))
    np.testing.assert_allclose(attention(q, k, v, None), expected.transpose(1, 2), atol=1e-5)


def test_softmax_is_float32_in_bfloat16():
    """Scores rounded to bfloat16 before the softmax would be off by 1 % here; rounded weights are off by 0.2 %."""
    rng = np.random.default_rng(0)
    q, k, v = (jnp.array(rng.normal(size=(1, 64, 2, 8), scale=scale), jnp.bfloat16) for scale in (12, 1, 1))
    expected = attention(*(x.astype(jnp.float32) for x in (q, k, v)), None)
    out = attention(q, k, v, None)
    assert out.dtype == jnp.bfloat16
    assert np.linalg.norm(out.astype(jnp.float32) - expected) < 0.005 * np.linalg.norm(expected)


def test_rope_depends_on_distance_only():
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 1, 1, 1, 16)).astype(np.float32)

    def score(i, j):
        at = [rope_table(jnp.array([[p]]), 16, 10000.0) for p in (i, j)]
        return float((rotate(jnp.array(q), at[0]) * rotate(jnp.array(k), at[1])).sum())

    assert score(3, 1) == pytest.approx(score(903, 901), abs=2e-3)
    assert score(0, 0) == pytest.approx(float((q * k).sum()), abs=1e-5)
    assert abs(score(3, 1) - score(1, 3)) > 1e-2


def test_rope_angle():
    """Element 0 of head width 4 turns by one radian per position, element 1 by theta ** -1/2."""
    rope = rope_table(jnp.array([[7]]), 4, 100.0)
    np.testing.assert_allclose(rope.cos[0, 0, 0], np.cos([7.0, 0.7]), atol=1e-5)
    turned = rotate(jnp.array([1.0, 0, 0, 0]).reshape(1, 1, 1, 4), rope)
    np.testing.assert_allclose(turned.ravel(), [np.cos(7.0), 0, np.sin(7.0), 0], atol=1e-5)


@pytest.mark.parametrize("norm", [RmsNorm, LayerNorm])
def test_norms_compute_in_float32(norm):
    """A bfloat16 input gives the float32 result, rounded once at the end."""
    declare = Declare(nnx.Rngs(0))
    x = jnp.array(3 + np.random.default_rng(0).normal(size=(8, 64)), jnp.bfloat16)
    expected = norm(declare, 64, eps=1e-5, dtype=jnp.float32)(x)
    half = norm(declare, 64, eps=1e-5, dtype=jnp.bfloat16)(x)
    assert expected.dtype == jnp.float32
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half.astype(jnp.float32), expected.astype(jnp.bfloat16).astype(jnp.float32))
    exact = norm(declare, 64, eps=1e-5, dtype=jnp.float32)(x.astype(jnp.float32))
    np.testing.assert_array_equal(expected, exact)


def test_norms_equal_torch():
    x = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    declare = Declare(nnx.Rngs(0))
    rms = RmsNorm(declare, 16, eps=1e-3, dtype=jnp.float32)(jnp.array(x))
    np.testing.assert_allclose(rms, torch.nn.RMSNorm(16, eps=1e-3)(torch.tensor(x)).detach(), atol=1e-5)
    layer = LayerNorm(declare, 16, eps=1e-3, dtype=jnp.float32)(jnp.array(x))
    np.testing.assert_allclose(layer, torch.nn.LayerNorm(16, eps=1e-3)(torch.tensor(x)).detach(), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("silu", torch.nn.functional.silu),
        ("gelu", torch.nn.functional.gelu),
        ("gelu_tanh", lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
        ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
    ],
)
def test_activations_equal_torch(name, theirs):
    x = np.linspace(-4, 4, 41).astype(np.float32)
    np.testing.assert_allclose(activation(name)(jnp.array(x)), theirs(torch.tensor(x)), atol=1e-6)


def test_activations_are_all_tested():
    assert set(ACTIVATIONS) == {"silu", "gelu", "gelu_tanh", "quick_gelu"}
    with pytest.raises(ValueError, match="activation 'relu' is not one of gelu"):
        activation("relu")


def test_embedding_reads_the_nearest_row():
    """Never NaN, which is what an index past the table gives by default."""
    table = Embedding(
        Declare(nnx.Rngs(0)), 5, 3, names=("vocab", "embed"), init=jax.nn.initializers.normal(1.0), dtype=jnp.float32
    )
    np.testing.assert_array_equal(table(jnp.array([4, 5, 1000])), np.tile(table.table[...][4], (3, 1)))


def test_dense_over_several_axes_is_an_einsum():
    rng = np.random.default_rng(0)
    dense = Dense(
        Declare(nnx.Rngs(0)),
        Axes.of(heads=3, head_dim=4),
        Axes.of(embed=5),
        init=jax.nn.initializers.normal(1.0),
        use_bias=True,
        dtype=jnp.float32,
    )
    dense.bias.set_value(jnp.array(rng.normal(size=5), jnp.float32))
    x = rng.normal(size=(2, 6, 3, 4)).astype(np.float32)
    expected = np.einsum("bsnh,nhd->bsd", x, dense.kernel[...]) + np.asarray(dense.bias[...])
    np.testing.assert_allclose(dense(jnp.array(x)), expected, atol=1e-5)


def test_stacked_parameters_carry_their_axes():
    declare = Declare(nnx.Rngs(0)).stacked(3)
    param = declare((4, 5), ("embed", "mlp"), jax.nn.initializers.normal(1.0))
    assert param.get_value().shape == (3, 4, 5)
    assert param.logical_axes == ("layers", "embed", "mlp")
    assert len({float(layer.sum()) for layer in param.get_value()}) == 3  # each layer has its own values
    with pytest.raises(ValueError, match=r"shape \(4, 5\) has 1 logical axes"):
        declare((4, 5), ("embed",), jax.nn.initializers.zeros)


def test_a_tpu_multiplies_few_rows_as_a_tile():
    rows, kernel = jax.random.normal(jax.random.key(0), (3, 16)), jax.random.normal(jax.random.key(1), (16, 5))
    product = jax.jit(lambda rows, kernel: few_rows(jnp.matmul, rows, kernel))
    np.testing.assert_array_equal(product(rows, kernel), jnp.matmul(rows, kernel))
    (gradient,) = jax.grad(lambda rows: few_rows(jnp.matmul, rows, kernel).sum(), argnums=(0,))(rows)
    np.testing.assert_allclose(gradient, jnp.broadcast_to(kernel.sum(1), rows.shape), rtol=1e-6)
    texts = {p: product.trace(rows, kernel).lower(lowering_platforms=(p,)).as_text() for p in ("tpu", "cuda", "cpu")}
    assert ["tensor<8x5xf32>" in text for text in texts.values()] == [True, False, False]
    assert "pad" not in product.lower(jnp.ones((8, 16)), kernel).as_text()
