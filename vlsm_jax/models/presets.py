"""Sizes of the published encoders and decoders, for starting without their weights; with weights, a checkpoint's own
`config.json` counts.

Decoders are given as in their `config.json`, and read from there as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vision import VisionConfig

_LLAMA2_7B: Mapping[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LLAMA3_8B: Mapping[str, Any] = {
    **_LLAMA2_7B,
    "vocab_size": 128256,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 5e5,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}
_LLAMA3_SCALING: Mapping[str, Any] = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

DECODER_PRESETS: dict[str, Mapping[str, Any]] = {
    "tinyllama-1.1b": {
        **_LLAMA2_7B,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_key_value_heads": 4,
        "max_position_embeddings": 2048,
    },
    "llama2-7b": _LLAMA2_7B,
    "codellama-7b": {**_LLAMA2_7B, "vocab_size": 32016, "max_position_embeddings": 16384, "rope_theta": 1e6},
    "llama3-8b": _LLAMA3_8B,
    "llama3.1-8b": {**_LLAMA3_8B, "max_position_embeddings": 131072, "rope_scaling": _LLAMA3_SCALING},
    "mistral-7b": {
        **_LLAMA2_7B,
        "model_type": "mistral",
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 32768,
        "sliding_window": 4096,
    },
    "starcoder2-7b": {
        "model_type": "starcoder2",
        "vocab_size": 49152,
        "hidden_size": 4608,
        "intermediate_size": 18432,
        "num_hidden_layers": 32,
        "num_attention_heads": 36,
        "num_key_value_heads": 4,
        "hidden_act": "gelu_pytorch_tanh",
        "norm_epsilon": 1e-5,
        "max_position_embeddings": 16384,
        "rope_theta": 1e6,
        "sliding_window": 4096,
        "use_bias": True,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    "gemma3-270m": {
        "model_type": "gemma3_text",
        "vocab_size": 262144,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "sliding_window": 512,
        "sliding_window_pattern": 6,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 32768,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    },
}

# OpenAI's CLIP and LAION's OpenCLIP, whose g/14 has a feed-forward width of 4.3637 times 1408, cut to an integer.
VISION_PRESETS: dict[str, VisionConfig] = {
    "clip-vit-b-16": VisionConfig(768, 12, 12, 3072, 16, 224),
    "clip-vit-l-14": VisionConfig(1024, 24, 16, 4096, 14, 224),
    "openclip-vit-h-14": VisionConfig(1280, 32, 16, 5120, 14, 224, activation="gelu"),
    "openclip-vit-g-14": VisionConfig(1408, 40, 16, 6144, 14, 224, activation="gelu"),
}


def decoder_preset(name: str) -> DecoderConfig:
    """Returns the decoder of that name; raises ValueError listing those there are."""
    if name not in DECODER_PRESETS:
        raise ValueError(f"decoder preset {name!r} is not one of {', '.join(DECODER_PRESETS)}")
    return DecoderConfig.from_hf_config(DECODER_PRESETS[name])


def vision_preset(name: str) -> VisionConfig:
    """Returns the encoder of that name; raises ValueError listing those there are."""
    if name not in VISION_PRESETS:
        raise ValueError(f"encoder preset {name!r} is not one of {', '.join(VISION_PRESETS)}")
    return VISION_PRESETS[name]
