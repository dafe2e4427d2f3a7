"""Configs in both Hugging Face dialects, and what is refused by name."""

import dataclasses
import json
import math

import jax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPVisionConfig, LlamaConfig, Starcoder2Config

from vlsm_jax.models import (
    ConnectorConfig,
    Decoder,
    DecoderConfig,
    UnsupportedConfigError,
    VisionConfig,
    VisionEncoder,
    VlsmConfig,
)

TINYLLAMA = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
}
STARCODER2 = {
    "model_type": "starcoder2",
    "hidden_size": 4608,
    "intermediate_size": 18432,
    "num_hidden_layers": 32,
    "num_attention_heads": 36,
    "num_key_value_heads": 4,
    "vocab_size": 49152,
    "hidden_act": "gelu_pytorch_tanh",
    "norm_epsilon": 1e-5,
    "sliding_window": 4096,
    "use_bias": True,
    "eos_token_id": 0,
    "attention_dropout": 0.1,
}


def test_version_4_dialect():
    config = DecoderConfig.from_hf_config(
        TINYLLAMA | {"rope_theta": 5000.0, "rope_scaling": None, "torch_dtype": "float32"}
    )
    assert config == DecoderConfig(
        family="llama",
        vocabulary=32000,
        width=2048,
        layers=22,
        heads=32,
        kv_heads=4,
        head_dim=64,
        mlp_width=5632,
        norm="rms",
        mlp="gated",
        activation="silu",
        rope_theta=5000.0,
        bos_token_id=1,
        eos_token_ids=(2,),
    )


def test_version_5_dialect():
    config = DecoderConfig.from_hf_config(
        STARCODER2 | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "dtype": "bfloat16"}
    )
    assert (config.rope_theta, config.sliding_window, config.tied) == (1e6, 4096, True)
    assert (config.norm, config.mlp, config.activation) == ("layer", "plain", "gelu_tanh")
    assert (config.attention_bias, config.mlp_bias, config.head_dim) == (True, True, 128)


def test_rope_of_the_nested_dialect_wins():
    hf = TINYLLAMA | {"rope_theta": 1.0, "rope_parameters": {"rope_type": "default", "rope_theta": 7e4}}
    assert DecoderConfig.from_hf_config(hf).rope_theta == 7e4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "mamba"},
            "model_type 'mamba' is not one of the decoders there are: gemma3_text, llama, mistral, starcoder2",
        ),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "'llama3' lacks low_freq_factor, high_freq_factor, original_max_position_embeddings",
        ),
        ({"rope_scaling": {"type": "linear"}}, "RoPE scaling of type 'linear' lacks factor"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "RoPE scaling of type 'dynamic' is not supported"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "RoPE scaling of type 'yarn'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.25}}, "partial_rotary_factor 0.25"),
        ({"quantization_config": {"quant_method": "gptq"}}, r"quantised weights \(gptq\)"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "mixed layer_types"),
        ({"layer_types": ["sliding_attention"]}, "'sliding_attention' with sliding_window None contradict"),
        ({"hidden_act": "relu2"}, "hidden_act 'relu2'"),
        ({"hidden_size": None}, "does not say hidden_size"),
    ],
)
def test_what_is_not_done_is_refused_by_name(changes, message):
    with pytest.raises(UnsupportedConfigError, match=message):
        DecoderConfig.from_hf_config(TINYLLAMA | changes)


@pytest.mark.parametrize(("hf", "their_class"), [(TINYLLAMA, LlamaConfig), (STARCODER2, Starcoder2Config)])
def test_written_config_is_read_alike_by_transformers(hf, their_class):
    config = DecoderConfig.from_hf_config(hf | {"rope_theta": 123456.0})
    written = json.loads(json.dumps(config.to_hf_config("bfloat16")))
    theirs = their_class.from_dict(written)
    assert theirs.rope_parameters["rope_theta"] == written["rope_theta"] == 123456.0
    assert str(theirs.dtype) == "torch.bfloat16"
    assert theirs.tie_word_embeddings == config.tied
    assert DecoderConfig.from_hf_config(written) == config
    assert DecoderConfig.from_hf_config(theirs.to_dict()) == config  # what version 5 writes
    old = {k: v for k, v in written.items() if k not in ("rope_parameters", "dtype")}
    assert DecoderConfig.from_hf_config(old) == config  # what version 4 writes


def test_what_a_family_cannot_express_is_not_written():
    llama = DecoderConfig.from_hf_config(TINYLLAMA)
    with pytest.raises(UnsupportedConfigError, match=r"'llama' config cannot express norm='layer', sliding_window=5"):
        dataclasses.replace(llama, norm="layer", sliding_window=5).to_hf_config()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_heads": 3}, "32 query heads cannot be shared among 3 KV heads"),
        ({"head_dim": 7}, "head_dim is 7"),
        ({"sliding_window": 0}, "sliding_window is 0"),
        ({"global_layers": (1,)}, "sliding_window must be given"),
        ({"sliding_window": 4, "global_layers": (1, 22)}, "must be numbers from 0 to 21"),
        ({"rope_local_theta": 1e4}, "rope_local_theta is of local layers"),
    ],
)
def test_impossible_decoders(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(DecoderConfig.from_hf_config(TINYLLAMA), **changes)


def test_vision_config_both_ways():
    theirs = CLIPVisionConfig(
        hidden_size=64, num_attention_heads=4, hidden_act="gelu", patch_size=14, layer_norm_eps=1e-6
    )
    config = VisionConfig.from_hf_config(theirs.to_dict())
    assert (config.width, config.heads, config.activation, config.patch_size, config.norm_eps) == (
        64,
        4,
        "gelu",
        14,
        1e-6,
    )
    assert config.tokens == 257
    assert VisionConfig.from_hf_config(CLIPVisionConfig.from_dict(config.to_hf_config()).to_dict()) == config
    whole = {"model_type": "clip", "vision_config": {"hidden_size": 64, "num_attention_heads": 4}}
    assert VisionConfig.from_hf_config(whole).activation == "quick_gelu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "siglip_vision_model"}, "model_type 'siglip_vision_model'"),
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"num_channels": 1}, "num_channels 1"),
        ({"stem_channels": [8, 8]}, "clip_vision_model with stem_channels: CLIP has none"),
        ({"rope_theta": 100.0}, "clip_vision_model with rope_theta: CLIP has none"),
        ({"seen_patches": 9, "rope_theta": 9.0}, "clip_vision_model with rope_theta and seen_patches: CLIP has none"),
    ],
)
def test_other_encoders_are_refused(changes, message):
    with pytest.raises(UnsupportedConfigError, match=message):
        VisionConfig.from_hf_config({"model_type": "clip_vision_model"} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 5}, "does not divide among 5 heads"),
        ({"patch_size": 15}, "does not divide into patches of 15"),
        ({"feature_layer": 0}, "feature_layer is 0"),
        ({"feature_layer": -3}, "feature_layer is -3"),
        ({"stem_channels": (8, 8, 8)}, "3 convolutions of a stem .* to patches of 8 pixels, and these have 4"),
        ({"stem_channels": (8, 0)}, r"stem_channels\[1\]"),
        ({"rope_theta": 1.0}, "rope_theta=1.0 with heads 8 wide: choose more than 1, and a multiple of 4"),
        ({"rope_theta": 9.0, "heads": 16}, "rope_theta=9.0 with heads 2 wide"),
        ({"seen_patches": 17}, "seen_patches=17: an image of 16 pixels has 16 patches of 4; 0 is all"),
    ],
)
def test_impossible_encoders(changes, message):
    good = VisionConfig(width=32, layers=2, heads=4, mlp_width=64, patch_size=4, image_size=16)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(good, **changes)


def test_unknown_connector():
    with pytest.raises(ValueError, match="connector kind 'resampler' is not one of linear, mlp, perceiver, qformer"):
        ConnectorConfig(kind="resampler")


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["linear", "mlp", "perceiver", "qformer"]),
    eos=st.lists(st.integers(0, 9), max_size=3),
    window=st.one_of(st.none(), st.integers(1, 9)),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    stem=st.sampled_from([(), (3, 5)]),
    theta=st.one_of(st.none(), st.floats(2, 1e4)),
    seen=st.integers(0, 16),
)
def test_vlsm_config_survives_json(kind, eos, window, mean, stem, theta, seen):
    vision = VisionConfig(width=32, layers=2, heads=4, mlp_width=64, patch_size=4, image_size=16, image_mean=mean)
    config = VlsmConfig(
        dataclasses.replace(vision, stem_channels=stem, rope_theta=theta, seen_patches=seen),
        ConnectorConfig(kind),
        DecoderConfig("llama", 61, 32, 2, 4, 2, 8, 48, eos_token_ids=tuple(eos), sliding_window=window),
        image_token_id=61,
    )
    assert VlsmConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert hash(config) == hash(VlsmConfig.from_dict(config.to_dict()))


def test_published_parameter_counts():
    """TinyLLaMA-1.1B, StarCoder2-7B, and OpenCLIP's ViT-H/14 (632 M with its 1280 x 1024 projection)."""

    def count(make) -> int:
        return sum(math.prod(x.shape) for x in jax.tree.leaves(nnx.state(nnx.eval_shape(make))))

    def decoder(hf: dict) -> int:
        return count(lambda: Decoder(DecoderConfig.from_hf_config(hf), rngs=nnx.Rngs(0)))

    assert decoder(TINYLLAMA) == 1_100_048_384
    assert decoder(STARCODER2) == 7_173_923_840
    vit_h = VisionConfig(width=1280, layers=32, heads=16, mlp_width=5120, patch_size=14, image_size=224)
    assert count(lambda: VisionEncoder(vit_h, rngs=nnx.Rngs(0))) == 632_076_800 - 1280 * 1024


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hidden_size", "64", "hidden_size is '64'; it has to be a whole number"),
        ("hidden_size", -64, "hidden_size is -64"),
        ("num_hidden_layers", 10**9, "num_hidden_layers is 1000000000; .* from 1 to 1,024"),
        ("num_hidden_layers", True, "num_hidden_layers is True"),
        ("num_attention_heads", 0, "num_attention_heads is 0"),
        ("vocab_size", None, "does not say vocab_size"),
        ("rope_theta", 0, "rope_theta is 0.0; it has to be a finite number above 0"),
        ("rms_norm_eps", "small", "norm_eps is 'small'"),
        ("rms_norm_eps", float("nan"), "norm_eps is nan"),
        ("rope_scaling", [1], r"rope_scaling is \[1\]"),
        ("rope_parameters", {"rope_type": "linear", "factor": 2.0}, "'llama3' and rope_parameters says 'linear'"),
        ("quantization_config", "x", r"quantised weights \(x\)"),
        ("model_type", ["llama"], "is not one of the decoders"),
        ("hidden_act", ["silu"], "a value of another kind"),
    ],
)
def test_fields_that_no_model_has_are_named(field, value, said):
    hf = {"model_type": "llama", "vocab_size": 96, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    hf |= {"num_attention_heads": 4, "rms_norm_eps": 1e-5}
    if field == "rope_parameters":
        names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        hf["rope_scaling"] = {"rope_type": "llama3"} | dict.fromkeys(names, 8)
    with pytest.raises(ValueError, match=said):
        DecoderConfig.from_hf_config(hf | {field: value})
