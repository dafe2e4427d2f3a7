"""The decoder against transformers, and against itself: packed, cached, unrolled, rematerialised, in bfloat16."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from convert.huggingface import read_hf_decoder
from convert.mapping import pending_tensors
from convert.tables import decoder_layout
from vlsm_jax.models import Decoder, DecoderConfig, KVCache

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}
HF_MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, rms_norm_eps=1e-5)),
    "llama, biases, long rope, one KV head": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SIZES | {"num_key_value_heads": 1},
            attention_bias=True,
            mlp_bias=True,
            rope_parameters={"rope_type": "default", "rope_theta": 5e5},
        )
    ),
    # Wavelengths from 6 to 5,000: kept, stretched, and in between.
    "llama 3.1": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SIZES | {"num_attention_heads": 2},
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 1e4,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 128,
            },
        )
    ),
    "llama, linear rope": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.5})
    ),
    "mistral, window 5, wide heads": lambda: MistralForCausalLM(MistralConfig(**SIZES, head_dim=16, sliding_window=5)),
    "starcoder2, window 5, tied": lambda: Starcoder2ForCausalLM(Starcoder2Config(**SIZES, sliding_window=5)),
    "gemma3, local and global layers": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES,
            head_dim=16,
            sliding_window=5,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            query_pre_attn_scalar=12,
            final_logit_softcapping=3.0,
            rope_parameters={
                "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 2e4, "factor": 2.0},
            },
        )
    ),
}


def hf_model(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = HF_MODELS[name]().eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where an exchange of two would not show
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module", params=HF_MODELS)
def pair(request, tmp_path_factory):
    """A transformers model and the decoder that holds its weights."""
    model = hf_model(request.param)
    directory = tmp_path_factory.mktemp("decoder")
    model.save_pretrained(directory)
    config, params = read_hf_decoder(directory)
    return model, config, params


def make(config: DecoderConfig, params: nnx.State | None = None, **options) -> Decoder:
    """A decoder with `params`, else with random ones: the same for the same shapes."""
    graphdef, abstract = nnx.split(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), **options)))
    if params is None:
        rng = np.random.default_rng(0)
        params = jax.tree.map(lambda x: jnp.array(rng.normal(size=x.shape, scale=0.2), x.dtype), abstract)
    return nnx.merge(graphdef, params)


# One local layer on each side of a global one, and everything else that Gemma 3 has.
MIXED = {
    "norm": "rms_offset",
    "sliding_window": 4,
    "global_layers": (1,),
    "rope_local_theta": 50.0,
    "post_norms": True,
    "query_key_norm": True,
    "scaled_embedding": True,
    "tied": True,
}
WINDOWS = pytest.mark.parametrize(
    "changes", [{}, {"sliding_window": 4}, MIXED], ids=["unlimited", "window", "local and global"]
)


def small_config(**changes) -> DecoderConfig:
    config = DecoderConfig(
        family="llama", vocabulary=61, width=32, layers=3, heads=4, kv_heads=2, head_dim=8, mlp_width=48
    )
    return dataclasses.replace(config, **changes)


@partial(jax.jit, static_argnums=0)
def forward(graphdef, params, tokens, kwargs):
    decoder = nnx.merge(graphdef, params)
    hidden, cache = decoder(decoder.embed(tokens), **kwargs)
    return decoder.logits(hidden), cache


def run(decoder: Decoder, tokens, **kwargs):
    tokens = jnp.asarray(tokens)
    kwargs.setdefault("positions", jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape))
    return forward(*nnx.split(decoder), tokens, kwargs)


def random_tokens(shape, seed=0):
    return np.random.default_rng(seed).integers(3, 61, shape)


# --- against transformers ---------------------------------------------------------------------------------------------


def test_logits_equal_transformers(pair):
    model, config, params = pair
    tokens = random_tokens((2, 17))
    with torch.no_grad():
        expected = model(torch.tensor(tokens)).logits.numpy()
    logits, _ = run(make(config, params), tokens)
    assert logits.dtype == jnp.float32
    assert np.abs(expected).max() > 0.5  # not a comparison of zeros
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_window_bites():
    """Without its window the StarCoder2 model above gives other logits, from the sixth token on and not before."""
    config = small_config(sliding_window=5)
    decoder = make(config)
    unlimited = nnx.merge(nnx.split(make(dataclasses.replace(config, sliding_window=None)))[0], nnx.state(decoder))
    tokens = random_tokens((1, 12))
    difference = np.abs(run(decoder, tokens)[0] - run(unlimited, tokens)[0]).max(axis=(0, 2))
    assert (difference[:5] < 1e-5).all()
    assert (difference[5:] > 1e-3).all()


def test_gradients_equal_torch(pair):
    model, config, params = pair
    tokens = random_tokens((2, 11), seed=1)
    model.zero_grad()
    loss = model(torch.tensor(tokens), labels=torch.tensor(tokens)).loss
    loss.backward()
    graphdef = nnx.split(make(config))[0]

    def mean_loss(params):
        logits, _ = run(nnx.merge(graphdef, params), tokens)
        scores = jax.nn.log_softmax(logits[:, :-1])
        return -jnp.take_along_axis(scores, jnp.asarray(tokens)[:, 1:, None], axis=-1).mean()

    value, gradients = jax.jit(jax.value_and_grad(mean_loss))(params)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    ours = {tensor.name: tensor.make() for tensor in pending_tensors(decoder_layout(config), gradients)}
    theirs = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert np.abs(expected).max() > 0, name
        np.testing.assert_allclose(ours[name], expected, atol=1e-4 * np.abs(expected).max() + 1e-6, err_msg=name)


# --- against itself ---------------------------------------------------------------------------------------------------


@WINDOWS
def test_packed_equals_unpacked(changes):
    decoder = make(small_config(**changes))
    lengths = (5, 9, 3)
    sequences = [random_tokens((1, n), seed=n) for n in lengths]
    alone = np.concatenate([run(decoder, s)[0][0] for s in sequences])
    padding = 4
    tokens = np.concatenate([*sequences, np.zeros((1, padding), int)], axis=1)
    positions = np.concatenate([*map(np.arange, lengths), np.full(padding, -1)])[None]
    segments = np.repeat([1, 2, 3, 0], [*lengths, padding])[None]
    packed, _ = run(decoder, tokens, positions=jnp.array(positions), segment_ids=jnp.array(segments))
    np.testing.assert_allclose(packed[0, : sum(lengths)], alone, atol=2e-5)
    # The segments, not luck: without them the second sequence sees the first.
    leaked, _ = run(decoder, tokens, positions=jnp.array(positions))
    assert np.abs(leaked[0, 5:14] - alone[5:14]).max() > 1e-3


def test_local_layers_are_where_the_config_says():
    """With one local layer and no global one behind or before it, the window bites; a global one sees past it."""
    tokens = random_tokens((1, 12))
    layers = {"layers": 1, "sliding_window": 4, "rope_theta": 100.0}
    plain = run(make(small_config(**layers | {"sliding_window": None})), tokens)[0]
    for global_layers, equal in (((0,), 12), ((), 4)):
        logits = run(make(small_config(**layers, global_layers=global_layers)), tokens)[0]
        same = np.abs(logits - plain).max(axis=(0, 2)) < 1e-5
        assert same.tolist() == [True] * equal + [False] * (12 - equal)


def test_only_one_kind_of_attention_runs_in_a_scan():
    """Local and global attention are branches, not both computed and one taken."""
    graphdef, params = nnx.split(make(small_config(**MIXED)))
    text = str(
        jax.make_jaxpr(lambda p: forward(graphdef, p, jnp.zeros((1, 9), int), {"positions": jnp.arange(9)[None]}))(
            params
        )
    )
    assert text.count("cond[") == 1
    assert "cond[" not in str(jax.make_jaxpr(lambda p: run(make(small_config()), random_tokens((1, 9))))(params))


def test_padding_is_finite_and_sends_no_gradient():
    decoder = make(small_config())
    graphdef, params = nnx.split(decoder)
    tokens = jnp.array(random_tokens((2, 6)))
    positions = jnp.array([[0, 1, 2, -1, -1, -1], [-1] * 6])

    def loss(params, x):
        hidden, _ = nnx.merge(graphdef, params)(x, positions=positions)
        return (hidden[0, :3] ** 2).sum(), hidden

    gradient = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    (_, hidden), (by_params, by_x) = gradient(params, decoder.embed(tokens))
    assert np.isfinite(hidden).all()
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(by_params))
    assert np.abs(by_x[0, :3]).min() > 0
    assert not by_x[0, 3:].any()
    assert not by_x[1].any()


@WINDOWS
@pytest.mark.parametrize("scan", [True, False])
def test_cached_decoding_equals_full_forward(changes, scan):
    """Rows of different length, the shorter ones padded in front or behind, and one row of padding alone."""
    decoder = make(small_config(**changes), scan_layers=scan)
    lengths, total, width = (3, 7, 5, 0), 12, 7
    tokens = random_tokens((4, total))
    full, _ = run(decoder, tokens)

    prompt = np.zeros((4, width), int)
    positions = np.full((4, width), -1)
    for row, n in enumerate(lengths):
        at = slice(width - n, width) if row == 2 else slice(0, n)
        prompt[row, at], positions[row, at] = tokens[row, :n], np.arange(n)

    cache = KVCache.init(decoder.config, 4, total)
    logits, cache = run(decoder, prompt, positions=jnp.array(positions), cache=cache)
    for row, n in enumerate(lengths):
        at = slice(width - n, width) if row == 2 else slice(0, n)
        np.testing.assert_allclose(logits[row, at], full[row, :n], atol=2e-5)
    assert (np.asarray(cache.positions[0]) >= 0).sum(axis=1).tolist() == list(lengths)
    assert np.isfinite(logits).all()

    for step in range(5):
        at = np.array([n + step if n else -1 for n in lengths])
        one = tokens[np.arange(4), at][:, None]
        logits, cache = run(decoder, one, positions=jnp.array(at[:, None]), cache=cache)
        for row, n in enumerate(lengths[:3]):
            np.testing.assert_allclose(logits[row, 0], full[row, n + step], atol=2e-5)
    assert (
        np.asarray(cache.positions[0])
        == np.where(np.arange(total) < np.array([[8], [12], [10], [0]]), np.arange(total), -1)
    ).all()
    assert not any(np.asarray(k[3]).any() for k in cache.k)  # padding wrote nothing, not even at slot -1


def test_token_past_the_cache_is_dropped():
    decoder = make(small_config())
    cache = KVCache.init(decoder.config, 1, 4)
    _, cache = run(decoder, random_tokens((1, 4)), cache=cache)
    _, after = run(decoder, random_tokens((1, 1)), positions=jnp.array([[4]]), cache=cache)
    for before, now in zip(jax.tree.leaves(cache), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(before, now)


def test_greedy_loop_in_one_jit():
    """A while loop over cached steps gives what growing the sequence gives."""
    decoder = make(small_config())
    graphdef, params = nnx.split(decoder)
    tokens = random_tokens((1, 4))
    grown = np.pad(tokens, ((0, 0), (0, 6)))  # tokens ahead do not matter
    for place in range(4, 10):
        grown[:, place] = np.argmax(run(decoder, grown)[0][:, place - 1], axis=-1)

    @jax.jit
    def generate(params, tokens):
        model = nnx.merge(graphdef, params)
        logits, cache = run(model, tokens, cache=KVCache.init(model.config, 1, 10))
        out = jnp.zeros((1, 6), jnp.int32).at[:, 0].set(jnp.argmax(logits[:, -1], axis=-1))

        def step(state):
            i, out, cache = state
            one = jax.lax.dynamic_slice_in_dim(out, i, 1, axis=1)
            logits, cache = run(nnx.merge(graphdef, params), one, positions=jnp.full((1, 1), 4 + i), cache=cache)
            return i + 1, out.at[:, i + 1].set(jnp.argmax(logits[:, 0], axis=-1)), cache

        return jax.lax.while_loop(lambda state: state[0] < 5, step, (0, out, cache))[1]

    np.testing.assert_array_equal(generate(params, jnp.array(tokens))[0], grown[0, 4:])


@pytest.mark.parametrize("changes", [{}, MIXED], ids=["alike", "local and global"])
def test_scan_unrolled_and_remat_agree(changes):
    tokens = random_tokens((2, 9))

    def value_and_gradients(**options):
        graphdef, params = nnx.split(make(small_config(**changes), **options))
        return jax.jit(jax.value_and_grad(lambda p: (run(nnx.merge(graphdef, p), tokens)[0] ** 2).mean()))(params)

    value, gradients = value_and_gradients()
    for options in ({"scan_layers": False}, {"remat": "full"}, {"remat": "dots"}):
        other_value, other_gradients = value_and_gradients(**options)
        np.testing.assert_allclose(other_value, value, rtol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max()), other_gradients, gradients
        )


def test_remat_recomputes():
    """What the backward pass keeps shrinks: one input per layer, or the products too, instead of everything."""
    tokens = random_tokens((1, 8))

    def kept(remat):
        graphdef, params = nnx.split(make(small_config(layers=2), remat=remat))
        _, vjp = jax.vjp(lambda p: run(nnx.merge(graphdef, p), tokens)[0], params)
        held = {id(x) for x in jax.tree.leaves(params)}  # there anyway
        return sum(x.size for x in jax.tree.leaves(vjp) if id(x) not in held)

    assert kept("full") < 0.2 * kept("none")
    assert kept("full") < kept("dots") < 0.5 * kept("none")


# --- precision --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, MIXED], ids=["plain", "gemma"])
def test_bfloat16_compute(changes):
    config = small_config(**changes)
    reference, half = make(config), make(config, dtype=jnp.bfloat16)
    tokens = random_tokens((2, 9))
    hidden, cache = half(half.embed(tokens), positions=jnp.broadcast_to(jnp.arange(9), (2, 9)))
    assert hidden.dtype == jnp.bfloat16
    assert cache is None
    logits, expected = half.logits(hidden), run(reference, tokens)[0]
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, atol=0.05 * np.abs(expected).max())
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(nnx.state(half)))


def test_parameters_in_bfloat16():
    decoder = make(small_config(), dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    assert all(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(nnx.state(decoder)))
    assert np.isfinite(run(decoder, random_tokens((1, 5)))[0]).all()


# --- errors -----------------------------------------------------------------------------------------------------------


def test_errors_name_the_choices():
    with pytest.raises(ValueError, match=r"remat 'some' is not one of none, full, dots"):
        make(small_config(), remat="some")
    with pytest.raises(ValueError, match=r"attention implementation 'fast' is not one of xla, cudnn, splash"):
        make(small_config(), attention_implementation="fast")
    decoder = make(small_config())
    cache = KVCache.init(decoder.config, 1, 4)
    with pytest.raises(ValueError, match="5 new tokens per row do not fit the cache's 4 slots"):
        run(decoder, random_tokens((1, 5)), cache=cache)
    with pytest.raises(ValueError, match="segment_ids cannot be used with a cache"):
        run(decoder, random_tokens((1, 3)), segment_ids=jnp.ones((1, 3), int), cache=cache)
