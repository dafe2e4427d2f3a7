"""The families of decoders by their published configs: what is read, what transformers reads of what is written."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest
import transformers
from flax import nnx

from vlsm_jax.models import Decoder, DecoderConfig, UnsupportedConfigError
from vlsm_jax.models.rope import RopeScaling, rope_table

LLAMA2_7B = {
    "model_type": "llama",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "vocab_size": 32000,
}
LLAMA31_8B = LLAMA2_7B | {
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "vocab_size": 128256,
}
MISTRAL = {
    "model_type": "mistral",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
GEMMA3_270M = {
    "model_type": "gemma3_text",
    "_sliding_window_pattern": 6,
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 640,
    "initializer_range": 0.02,
    "intermediate_size": 2048,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 3,
    "max_position_embeddings": 32768,
    "num_attention_heads": 4,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": 512,
    "use_bidirectional_attention": False,
    "vocab_size": 262144,
}
# Published config (of transformers 4, as in the files that were released) and number of parameters.
PUBLISHED = {
    "llama 2 7B": (LLAMA2_7B, 6_738_415_616),
    "code llama 7B": (
        LLAMA2_7B | {"rope_theta": 1e6, "vocab_size": 32016, "max_position_embeddings": 16384},
        6_738_546_688,
    ),
    "llama 3 8B": (
        LLAMA31_8B | {"rope_scaling": None, "eos_token_id": 128001, "max_position_embeddings": 8192},
        8_030_261_248,
    ),
    "llama 3.1 8B": (LLAMA31_8B, 8_030_261_248),
    "mistral 7B": (MISTRAL, 7_241_732_096),
    "mistral 7B v0.3": (
        MISTRAL | {"sliding_window": None, "rope_theta": 1e6, "vocab_size": 32768},
        7_248_023_552,
    ),
    "gemma 3 270M": (GEMMA3_270M, 268_098_176),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    hf, expected = PUBLISHED[name]
    config = DecoderConfig.from_hf_config(hf)
    params = nnx.state(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0))))
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(params)) == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_written_config_is_read_alike_by_transformers(name):
    hf, _ = PUBLISHED[name]
    config = DecoderConfig.from_hf_config(hf)
    written = json.loads(json.dumps(config.to_hf_config("bfloat16")))
    assert DecoderConfig.from_hf_config(written) == config
    their_class = transformers.AutoConfig.for_model(hf["model_type"]).__class__
    from_written, from_published = their_class.from_dict(written), their_class.from_dict(hf)
    fields = ("rope_parameters", "sliding_window", "layer_types", "head_dim", "eos_token_id", "tie_word_embeddings")
    for field in (*fields, "query_pre_attn_scalar", "vocab_size", "rms_norm_eps", "max_position_embeddings"):
        assert getattr(from_written, field, None) == getattr(from_published, field, None), field
    assert DecoderConfig.from_hf_config(from_written.to_dict()) == config  # what version 5 writes
    old = {k: v for k, v in written.items() if k not in ("rope_parameters", "dtype")}
    assert DecoderConfig.from_hf_config(old) == config  # what version 4 writes
    assert DecoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_gemma_3_is_read_in_full():
    config = DecoderConfig.from_hf_config(GEMMA3_270M)
    assert config.global_layers == (5, 11, 17)
    assert (config.sliding_window, config.rope_theta, config.rope_local_theta) == (512, 1e6, 1e4)
    assert (config.query_scale, config.head_dim, config.tied, config.norm) == (1 / 16, 256, True, "rms_offset")
    # Gemma 3 1B: the pattern as a number, 26 layers.
    older = {k: v for k, v in GEMMA3_270M.items() if k not in ("layer_types", "_sliding_window_pattern")}
    config = DecoderConfig.from_hf_config(older | {"sliding_window_pattern": 6, "num_hidden_layers": 26})
    assert config.global_layers == (5, 11, 17, 23)
    # The larger ones stretch the global layers.
    scaled = DecoderConfig.from_hf_config(GEMMA3_270M | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}})
    assert scaled.rope_scaling == RopeScaling("linear", 8.0)
    assert scaled.rope_local_theta == 1e4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping 50.0"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"layer_types": ["chunked_attention"] * 18}, r"layer_types \['chunked_attention'\]"),
        ({"layer_types": ["full_attention"] * 17}, "layer_types of length 17"),
        ({"head_dim": None}, "does not say head_dim"),
        ({"hidden_activation": "relu"}, "hidden_activation 'relu'"),
        (
            {"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}},
            "RoPE scaling of sliding_attention layers",
        ),
    ],
)
def test_what_gemma_does_not_do_is_refused_by_name(changes, message):
    with pytest.raises(UnsupportedConfigError, match=message):
        DecoderConfig.from_hf_config(GEMMA3_270M | changes)


def test_only_gemma_can_mix_layers_in_a_checkpoint():
    mistral = dataclasses.replace(DecoderConfig.from_hf_config(MISTRAL), global_layers=(0,))
    with pytest.raises(UnsupportedConfigError, match=r"'mistral' config cannot express global_layers=\(0,\)"):
        mistral.to_hf_config()


def test_llama3_frequencies():
    """Exact values of the formula at its three regimes: a factor of 8, nothing, and half-way."""
    scaling = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    wavelengths = np.array([100.0, 2048.0, 8192 / 2.5, 8192.0, 1e5])
    frequency = 2 * np.pi / wavelengths
    kept = np.array([1.0, 1.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(scaling(jax.numpy.array(frequency)), frequency * (kept + (1 - kept) / 8), rtol=1e-5)


def test_linear_scaling_divides_positions():
    positions = np.array([[0, 3, 6]])
    stretched = rope_table(jax.numpy.array(positions), 8, 1e4, RopeScaling("linear", 3.0))
    plain = rope_table(jax.numpy.array(positions // 3), 8, 1e4)
    np.testing.assert_allclose(stretched.cos, plain.cos, atol=1e-6)
    np.testing.assert_allclose(stretched.sin, plain.sin, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "yarn", "factor": 2.0}, "'yarn' is not one of linear, llama3"),
        ({"kind": "linear", "factor": 2.0, "low_freq_factor": 1.0}, "not low_freq_factor"),
        ({"kind": "llama3", "factor": 2.0, "low_freq_factor": 1.0}, "needs high_freq_factor, original_max_positions"),
    ],
)
def test_impossible_scalings(settings, message):
    with pytest.raises(ValueError, match=message):
        RopeScaling(**settings)
