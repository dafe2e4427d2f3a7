"""Attention kernels of accelerators: splash against plain products, in interpret mode, and what cannot run here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vlsm_jax.models import Decoder, DecoderConfig, KVCache
from vlsm_jax.models.attention import AttentionMask, attention
from vlsm_jax.models.attention_kernels import AttentionPlatformError, cudnn_attention, splash_attention

LENGTH = 140  # more than one block, and not a multiple of one


def operands(heads: int, kv_heads: int, width: int = 16):
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = [(2, LENGTH, heads, width), (2, LENGTH, kv_heads, width), (2, LENGTH, kv_heads, width)]
    q, k, v = (jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=False))
    return q, k, v, jax.random.normal(keys[3], q.shape)


def packed_mask(window: int | None) -> tuple[AttentionMask, np.ndarray]:
    """Two rows, of three segments with padding behind, and of padding in front and one sequence; and where text is."""
    positions = np.stack(
        [np.r_[np.arange(50), np.arange(60), np.arange(20), [-1] * 10], np.r_[[-1] * 30, np.arange(LENGTH - 30)]]
    )
    segments = np.stack([np.repeat([1, 2, 3, 0], [50, 60, 20, 10]), np.repeat([0, 1], [30, LENGTH - 30])])
    place = jnp.asarray(positions, jnp.int32)
    return AttentionMask(place, place, window, *[jnp.asarray(segments)] * 2, aligned=True), positions >= 0


def watching_mask(window: int | None) -> tuple[AttentionMask, np.ndarray]:
    """Two rows of one sequence each, and behind it tokens that see it and that nobody sees."""
    segments = jnp.asarray(np.stack([np.repeat([1, -1], [90, LENGTH - 90]), np.repeat([1, -1], [30, LENGTH - 30])]))
    place = jnp.broadcast_to(jnp.arange(LENGTH), (2, LENGTH))
    mask = AttentionMask(place, place, window, jnp.abs(segments), segments, aligned=True)
    return mask, np.ones((2, LENGTH), bool)


@pytest.mark.parametrize(("make_mask", "window"), [(packed_mask, None), (packed_mask, 9), (watching_mask, 120)])
def test_splash_equals_products(make_mask, window):
    """Values and gradients, packed, grouped heads; padding sends nothing."""
    q, k, v, weight = operands(4, 2)
    mask, text = make_mask(window)
    weight *= text[:, :, None, None]

    def value(attend):
        def loss(q, k, v):
            out = attend(q, k, v)
            return (out * weight).sum(), out

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(q, k, v)

    (_, out), gradients = value(lambda *x: splash_attention(*x, mask, scale=0.3, interpret=True))
    (_, expected), expected_gradients = value(lambda *x: attention(*x, mask, scale=0.3))
    np.testing.assert_allclose(out[text], expected[text], atol=1e-5)
    assert np.isfinite(out).all()
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert not np.asarray(gradients[1])[~text].any()


def test_splash_without_a_mask():
    q, k, v, _ = operands(2, 2)
    out = splash_attention(q, k, v, None, scale=0.25, interpret=True)
    np.testing.assert_allclose(out, attention(q, k, v, None), atol=1e-5)


@pytest.mark.parametrize("real", [LENGTH - 11, 128])
def test_tokens_behind_the_real_ones_are_not_seen(real):
    """Padding changes neither values nor gradients of what is real, in either implementation."""
    q, k, v, weight = operands(2, 2)

    def loss(attend, q, k, v):
        return (attend(q, k, v)[:, :real] * weight[:, :real]).sum()

    def value(attend, *x):
        return jax.jit(jax.value_and_grad(lambda *x: loss(attend, *x), (0, 1, 2)))(*x)

    expected, gradients = value(lambda *x: attention(*x, None, scale=0.3), *(x[:, :real] for x in (q, k, v)))
    for attend in (
        lambda *x: attention(*x, None, scale=0.3, real=real),
        lambda *x: splash_attention(*x, None, scale=0.3, real=real, interpret=True),
    ):
        ours, our_gradients = value(attend, q, k, v)
        np.testing.assert_allclose(ours, expected, rtol=1e-5)
        for mine, theirs in zip(our_gradients, gradients, strict=True):
            np.testing.assert_allclose(mine[:, :real], theirs, atol=1e-4)
            assert not np.asarray(mine[:, real:]).any()


CONFIG = DecoderConfig("llama", 61, 32, 2, 4, 2, 8, 48)


@pytest.mark.parametrize(("implementation", "platform"), [("splash", "tpu"), ("cudnn", "gpu")])
def test_a_kernel_of_another_platform(implementation, platform):
    decoder = Decoder(CONFIG, rngs=nnx.Rngs(0), attention_implementation=implementation)
    positions = jnp.arange(4)[None]
    message = f"'{implementation}' runs on {platform} only, and this computation is for cpu; use 'xla'"
    for cache in (None, KVCache.init(CONFIG, 1, 8)):
        with pytest.raises(AttentionPlatformError, match=message):
            decoder(decoder.embed(jnp.ones((1, 4), int)), positions=positions, cache=cache)


def test_cudnn_takes_half_precision_only():
    q, k, v, _ = operands(2, 2)
    with pytest.raises(ValueError, match="computes in bfloat16 or float16, not float32"):
        cudnn_attention(q, k, v, None, scale=1.0)


def test_cudnn_mask_hides_what_ours_hides(monkeypatch):
    """The kernel itself needs a GPU; what it is given says the same as our mask, wherever there is text."""
    mask, text = packed_mask(9)
    given = {}
    monkeypatch.setattr(jax.nn, "dot_product_attention", lambda q, k, v, **options: given.update(options) or q)
    q, k, v, _ = operands(2, 2)
    half = (x.astype(jnp.bfloat16) for x in (q, k, v))
    cudnn_attention(*half, mask, scale=0.5)
    assert (given["implementation"], given["is_causal"], given["scale"]) == ("cudnn", True, 0.5)
    visible = np.asarray(given["mask"])[:, 0] & np.tril(np.ones((LENGTH, LENGTH), bool))
    np.testing.assert_array_equal(visible[text], np.asarray(mask.dense())[text])
    assert visible.any(axis=-1).all()  # a row that sees nothing would be NaN


@pytest.mark.parametrize("masked", [False, True])
def test_cudnn_is_given_even_lengths_and_the_same_question(monkeypatch, masked):
    """The kernel refuses odd lengths, which CLIP's 257 tokens have; jax's own products stand in for it."""
    plain = jax.nn.dot_product_attention

    def stand_in(q, k, v, implementation, **options):
        assert (q.shape[1] % 2, k.shape[1] % 2) == (0, 0)
        return plain(q, k, v, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    q, k, v, g = operands(2, 2)
    mask, text = packed_mask(9) if masked else (None, np.ones(q.shape[:2], bool))
    odd = LENGTH - 1 + LENGTH % 2
    mask = mask and mask.block(0, odd, 0)._replace(
        kv_positions=mask.kv_positions[:, :odd], kv_segments=mask.kv_segments[:, :odd]
    )
    q, k, v, g = (jnp.asarray(x[:, :odd], jnp.bfloat16) for x in (q, k, v, g))
    g = g * text[:, :odd, None, None]
    ours, back = jax.vjp(lambda *x: cudnn_attention(*x, mask, scale=0.5), q, k, v)
    whole = [x.astype(jnp.float32) for x in (q, k, v)]
    theirs, reference = jax.vjp(lambda *x: attention(*x, mask, scale=0.5), *whole)
    pairs = [(ours * text[:, :odd, None, None], theirs * text[:, :odd, None, None])]
    pairs += zip(back(g), reference(g.astype(jnp.float32)), strict=True)
    for found, right in pairs:
        assert np.linalg.norm(np.asarray(found, np.float32) - right) < 0.02 * np.linalg.norm(right)


@pytest.mark.parametrize("window", [None, 9, 4 * LENGTH])
def test_rows_that_begin_with_their_sequence_need_no_mask(monkeypatch, window):
    """What padding sees is left to the kernel; what text sees, and all gradients that come from text, are as ever."""
    plain = jax.nn.dot_product_attention

    def stand_in(q, k, v, implementation, **options):
        assert implementation == "cudnn"
        assert options["is_causal"]
        assert options.get("mask") is None
        return plain(q, k, v, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    q, k, v, g = operands(2, 2)
    odd = LENGTH - 1 + LENGTH % 2
    place = np.broadcast_to(np.arange(odd), (len(q), odd))
    text = place < np.array([odd, odd - 7])[: len(q), None]
    positions = jnp.asarray(np.where(text, place, -1))
    mask = AttentionMask(positions, positions, window, aligned=True, leading=True)
    q, k, v, g = (jnp.asarray(x[:, :odd], jnp.bfloat16) for x in (q, k, v, g))
    g = g * text[:, :, None, None]
    ours, back = jax.vjp(lambda *x: cudnn_attention(*x, mask, scale=0.5), q, k, v)
    whole = [x.astype(jnp.float32) for x in (q, k, v)]
    theirs, reference = jax.vjp(lambda *x: attention(*x, mask._replace(leading=False), scale=0.5), *whole)
    pairs = [(ours * text[:, :, None, None], theirs * text[:, :, None, None])]
    pairs += zip(back(g), reference(g.astype(jnp.float32)), strict=True)
    for found, right in pairs:
        assert np.linalg.norm(np.asarray(found, np.float32) - right) < 0.02 * np.linalg.norm(right)


def test_splash_on_each_device_for_its_own_rows_and_heads():
    """Traced for a mesh of devices that need not be here, as when compiling ahead of time."""
    mesh = jax.sharding.AbstractMesh(
        (2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 3
    )
    q, k, v, _ = operands(4, 2)
    with jax.sharding.use_abstract_mesh(mesh):
        for rows, local in ((8, 2), (2, 2)):  # eight rows are spread over four devices, two cannot be
            many = [jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype) for x in (q, k, v)]
            jaxpr = jax.make_jaxpr(lambda q, k, v: splash_attention(q, k, v, None, scale=1.0))(*many)
            (call,) = [e for e in jaxpr.eqns if e.primitive.name == "shard_map"]
            shapes = [x.aval.shape for x in call.params["jaxpr"].invars]
            assert shapes.count((local, LENGTH, 2, 16)) == 1  # q: two of four heads
            assert shapes.count((local, LENGTH, 1, 16)) == 2
