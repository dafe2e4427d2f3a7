"""Reading and writing the decoder part of Hugging Face's `config.json`, for every family there is.

Both dialects are read and written: transformers 4 has `rope_theta`, `rope_scaling` and `torch_dtype`, transformers 5
has `rope_parameters` and `dtype`. What a config asks for and the decoder does not do is refused by name; class defaults
are taken only where released checkpoints rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from vlsm_jax.models.rope import RopeScaling
from vlsm_jax.models.sizes import check_sizes

if TYPE_CHECKING:
    from vlsm_jax.models.decoder_config import DecoderConfig


class UnsupportedConfigError(ValueError):
    """A Hugging Face config asks for something that these models do not do; the message names it."""


ACTIVATION_FROM_HF = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}
ACTIVATION_TO_HF = {"silu": "silu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "quick_gelu": "quick_gelu"}

_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_ROPE = ("rope_scaling", "rope_parameters")
_LOCAL, _GLOBAL = "sliding_attention", "full_attention"


class Family(Protocol):
    """What is peculiar to one `model_type`."""

    architecture: str
    activation: str
    activation_key: str
    sizes: tuple[str, ...]

    @staticmethod
    def read(hf: Mapping[str, Any]) -> dict[str, Any]:
        """Returns fields of `DecoderConfig`."""

    @staticmethod
    def write(config: DecoderConfig) -> dict[str, Any]:
        """Returns fields of `config.json`."""


class Llama:
    """LLaMA 2, 3 and 3.1, CodeLLaMA, TinyLLaMA."""

    architecture = "LlamaForCausalLM"
    activation, activation_key = "silu", "hidden_act"
    sizes = ()

    @staticmethod
    def read(hf: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_layer_types(hf, "llama", None)
        return {
            "norm": "rms",
            "norm_eps": hf.get("rms_norm_eps", 1e-6),
            "mlp": "gated",
            "attention_bias": hf.get("attention_bias", False),
            "mlp_bias": hf.get("mlp_bias", False),
            "tied": hf.get("tie_word_embeddings", False),
            **_read_rope(hf, "llama"),
        }

    @staticmethod
    def write(config: DecoderConfig) -> dict[str, Any]:
        return {
            "rms_norm_eps": config.norm_eps,
            "attention_bias": config.attention_bias,
            "mlp_bias": config.mlp_bias,
            "pretraining_tp": 1,
            **_write_rope(config),
        }


class Mistral:
    """Mistral 7B of all versions: Llama without biases, with a window in the first."""

    architecture = "MistralForCausalLM"
    activation, activation_key = "silu", "hidden_act"
    sizes = ()

    @staticmethod
    def read(hf: Mapping[str, Any]) -> dict[str, Any]:
        _refuse_layer_types(hf, "mistral", hf.get("sliding_window"))
        return {
            "norm": "rms",
            "norm_eps": hf.get("rms_norm_eps", 1e-6),
            "mlp": "gated",
            "sliding_window": hf.get("sliding_window"),
            "tied": hf.get("tie_word_embeddings", False),
            **_read_rope(hf, "mistral"),
        }

    @staticmethod
    def write(config: DecoderConfig) -> dict[str, Any]:
        return {"rms_norm_eps": config.norm_eps, "sliding_window": config.sliding_window, **_write_rope(config)}


class Starcoder2:
    """StarCoder2 of all sizes."""

    architecture = "Starcoder2ForCausalLM"
    activation, activation_key = "gelu_pytorch_tanh", "hidden_act"
    sizes = ()

    @staticmethod
    def read(hf: Mapping[str, Any]) -> dict[str, Any]:
        if hf.get("norm_type", "layer_norm") != "layer_norm":
            raise UnsupportedConfigError(
                f"starcoder2: norm_type {hf['norm_type']!r} is not supported, only 'layer_norm'"
            )
        if hf.get("mlp_type", "default") != "default":
            raise UnsupportedConfigError(f"starcoder2: mlp_type {hf['mlp_type']!r} is not supported, only 'default'")
        _refuse_layer_types(hf, "starcoder2", hf.get("sliding_window"))
        use_bias = hf.get("use_bias", True)
        return {
            "norm": "layer",
            "norm_eps": hf.get("norm_epsilon", 1e-5),
            "mlp": "plain",
            "attention_bias": use_bias,
            "mlp_bias": use_bias,
            "sliding_window": hf.get("sliding_window"),
            "tied": hf.get("tie_word_embeddings", True),
            **_read_rope(hf, "starcoder2"),
        }

    @staticmethod
    def write(config: DecoderConfig) -> dict[str, Any]:
        return {
            "norm_epsilon": config.norm_eps,
            "norm_type": "layer_norm",
            "use_bias": config.attention_bias and config.mlp_bias,
            "sliding_window": config.sliding_window,
            "residual_dropout": 0.0,
            "embedding_dropout": 0.0,
            **_write_rope(config),
        }


class Gemma3Text:
    """The text model of Gemma 3 (270M, 1B, and what larger ones hold as `text_config`)."""

    architecture = "Gemma3ForCausalLM"
    activation, activation_key = "gelu_pytorch_tanh", "hidden_activation"
    # Widths that do not follow from the others, and which the class would otherwise guess.
    sizes = ("head_dim", "query_pre_attn_scalar", "sliding_window")

    @staticmethod
    def read(hf: Mapping[str, Any]) -> dict[str, Any]:
        if hf.get("attn_logit_softcapping"):
            raise UnsupportedConfigError(
                f"gemma3_text: attn_logit_softcapping {hf['attn_logit_softcapping']} is not supported; Gemma 3 has none"
            )
        if hf.get("use_bidirectional_attention"):
            raise UnsupportedConfigError("gemma3_text: use_bidirectional_attention is not supported, only causal")
        count = hf["num_hidden_layers"]
        pattern = hf.get("sliding_window_pattern", hf.get("_sliding_window_pattern", 6))
        kinds = hf.get("layer_types") or [_GLOBAL if (i + 1) % pattern == 0 else _LOCAL for i in range(count)]
        unknown = sorted(set(kinds) - {_LOCAL, _GLOBAL})
        if unknown or len(kinds) != count:
            raise UnsupportedConfigError(
                f"gemma3_text: layer_types {unknown or f'of length {len(kinds)}'} is not supported; each of the "
                f"{count} layers is {_LOCAL!r} or {_GLOBAL!r}"
            )
        nested = dict(hf.get("rope_parameters") or {})
        if "rope_theta" in nested or "rope_type" in nested:
            nested = {_GLOBAL: nested}
        everywhere = {"rope_theta": hf.get("rope_theta", 1e6), "rope_scaling": hf.get("rope_scaling")}
        local_theta = {"rope_theta": hf.get("rope_local_base_freq", 1e4)}
        local = _read_rope(local_theta | {"rope_parameters": nested.get(_LOCAL)}, "gemma3_text")
        if local["rope_scaling"] is not None:
            raise UnsupportedConfigError(
                "gemma3_text: RoPE scaling of sliding_attention layers is not supported, only of full_attention layers"
            )
        return {
            "norm": "rms_offset",
            "norm_eps": hf.get("rms_norm_eps", 1e-6),
            "mlp": "gated",
            "attention_bias": hf.get("attention_bias", False),
            "sliding_window": hf["sliding_window"],
            "global_layers": tuple(i for i, kind in enumerate(kinds) if kind == _GLOBAL),
            "tied": hf.get("tie_word_embeddings", True),
            "post_norms": True,
            "query_key_norm": True,
            "query_scale": hf["query_pre_attn_scalar"] ** -0.5,
            "scaled_embedding": True,
            "logit_softcap": hf.get("final_logit_softcapping"),
            "rope_local_theta": local["rope_theta"],
            **_read_rope(everywhere | {"rope_parameters": nested.get(_GLOBAL)}, "gemma3_text"),
        }

    @staticmethod
    def write(config: DecoderConfig) -> dict[str, Any]:
        scale = (config.head_dim**-0.5 if config.query_scale is None else config.query_scale) ** -2
        rope = _write_rope(config)
        local = {"rope_type": "default", "rope_theta": config.rope_local_theta}
        return {
            "rms_norm_eps": config.norm_eps,
            "attention_bias": config.attention_bias,
            "query_pre_attn_scalar": round(scale),
            "sliding_window": config.sliding_window,
            "layer_types": [_GLOBAL if i in (config.global_layers or ()) else _LOCAL for i in range(config.layers)],
            "final_logit_softcapping": config.logit_softcap,
            "attn_logit_softcapping": None,
            "use_bidirectional_attention": False,
            **rope,
            "rope_parameters": {_GLOBAL: rope["rope_parameters"], _LOCAL: local},
            "rope_local_base_freq": config.rope_local_theta,
        }


FAMILIES: dict[str, type[Family]] = {
    "llama": Llama,
    "mistral": Mistral,
    "starcoder2": Starcoder2,
    "gemma3_text": Gemma3Text,
}


def read_hf_decoder_fields(hf: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a `DecoderConfig` that a Hugging Face config of either dialect describes.

    Dropout rates are not read: they act in training only, and released checkpoints carry them unused.

    Raises:
      UnsupportedConfigError: naming the field; see `DecoderConfig.from_hf_config`.
    """
    name = hf.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise UnsupportedConfigError(f"model_type {name!r} is not one of the decoders there are: {known}")
    family = FAMILIES[name]
    if hf.get("quantization_config"):
        said = hf["quantization_config"]
        method = said.get("quant_method", "unknown") if isinstance(said, Mapping) else said
        raise UnsupportedConfigError(
            f"{name}: quantised weights ({method}) are not supported; convert from full weights"
        )
    sizes = (*_SIZES, *family.sizes)
    absent = [key for key in sizes if hf.get(key) is None]
    if absent:
        raise UnsupportedConfigError(f"{name}: the config does not say {', '.join(absent)}")
    optional = [key for key in ("num_key_value_heads", "head_dim", "max_position_embeddings") if hf.get(key)]
    check_sizes(name, **{key: hf[key] for key in (*sizes, *optional)})
    act = hf.get(family.activation_key, family.activation)
    if act not in ACTIVATION_FROM_HF:
        known = ", ".join(sorted(ACTIVATION_FROM_HF))
        raise UnsupportedConfigError(f"{name}: {family.activation_key} {act!r} is not one of {known}")
    heads, eos = hf["num_attention_heads"], hf.get("eos_token_id")
    return {
        "family": name,
        "vocabulary": hf["vocab_size"],
        "width": hf["hidden_size"],
        "layers": hf["num_hidden_layers"],
        "heads": heads,
        "kv_heads": hf.get("num_key_value_heads") or heads,
        "head_dim": hf.get("head_dim") or hf["hidden_size"] // heads,
        "mlp_width": hf["intermediate_size"],
        "activation": ACTIVATION_FROM_HF[act],
        "max_positions": hf.get("max_position_embeddings", 2048),
        "init_std": hf.get("initializer_range", 0.02),
        "bos_token_id": hf.get("bos_token_id"),
        "eos_token_ids": () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos),
        "pad_token_id": hf.get("pad_token_id"),
        **family.read(hf),
    }


def write_hf_decoder_fields(config: DecoderConfig, dtype: str) -> dict[str, Any]:
    """Returns `config.json` of a decoder as transformers 4 and 5 both read it; undoes `read_hf_decoder_fields`."""
    family = FAMILIES[config.family]
    eos = config.eos_token_ids
    return {
        "model_type": config.family,
        "architectures": [family.architecture],
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        family.activation_key: ACTIVATION_TO_HF[config.activation],
        "max_position_embeddings": config.max_positions,
        "initializer_range": config.init_std,
        "attention_dropout": 0.0,
        "tie_word_embeddings": config.tied,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": (eos[0] if len(eos) == 1 else list(eos)) if eos else None,
        "pad_token_id": config.pad_token_id,
        "torch_dtype": dtype,
        "dtype": dtype,
        "use_cache": True,
        **family.write(config),
    }


# --- Rotary settings --------------------------------------------------------------------------------------------------


def _read_rope(hf: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Returns `rope_theta` and `rope_scaling` from either dialect.

    The nested keys of version 5 win over version 4's top-level ones. `dynamic`, `yarn` and `longrope` are refused: the
    first makes frequencies depend on the longest text of the batch, so cached keys would have been rotated otherwise.
    """
    for key in _ROPE:
        if not isinstance(hf.get(key) or {}, Mapping):
            raise UnsupportedConfigError(f"{family}: {key} is {hf[key]!r}; it has to be an object")
    kinds = {key: said.get("rope_type") or said.get("type") for key in _ROPE if (said := hf.get(key))}
    if len({kind for kind in kinds.values() if kind}) > 1:
        said = " and ".join(f"{key} says {kind!r}" for key, kind in kinds.items())
        raise UnsupportedConfigError(f"{family}: {said}; only one of them can be meant")
    rope = {"rope_theta": hf.get("rope_theta", 10000.0)} | dict(hf.get("rope_scaling") or {})
    rope |= dict(hf.get("rope_parameters") or {})
    partial = hf.get("partial_rotary_factor") or rope.get("partial_rotary_factor") or 1.0
    if partial != 1.0:
        raise UnsupportedConfigError(f"{family}: partial_rotary_factor {partial} is not supported, only full RoPE")
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        scaling = None
    elif kind in ("linear", "llama3"):
        names = {"factor": "factor"}
        if kind == "llama3":
            names |= {
                "low_freq_factor": "low_freq_factor",
                "high_freq_factor": "high_freq_factor",
                "original_max_position_embeddings": "original_max_positions",
            }
        absent = [name for name in names if rope.get(name) is None]
        if absent:
            raise UnsupportedConfigError(f"{family}: RoPE scaling of type {kind!r} lacks {', '.join(absent)}")
        scaling = RopeScaling(kind, **{ours: rope[name] for name, ours in names.items()})
    else:
        raise UnsupportedConfigError(
            f"{family}: RoPE scaling of type {kind!r} is not supported, only 'linear' and 'llama3'"
        )
    return {"rope_theta": float(rope["rope_theta"]), "rope_scaling": scaling}


def _write_rope(config: DecoderConfig) -> dict[str, Any]:
    scaling = config.rope_scaling
    if scaling is None:
        rope = {"rope_type": "default"}
        old = None
    else:
        rope = {"rope_type": scaling.kind, "factor": scaling.factor}
        if scaling.kind == "llama3":
            rope |= {
                "low_freq_factor": scaling.low_freq_factor,
                "high_freq_factor": scaling.high_freq_factor,
                "original_max_position_embeddings": scaling.original_max_positions,
            }
        old = dict(rope)
    return {
        "rope_theta": config.rope_theta,
        "rope_scaling": old,
        "rope_parameters": rope | {"rope_theta": config.rope_theta},
    }


def _refuse_layer_types(hf: Mapping[str, Any], family: str, window: int | None) -> None:
    """Refuses layer types other than the one that transformers runs all layers of this family with."""
    kinds = set(hf.get("layer_types") or ())
    if len(kinds) > 1:
        raise UnsupportedConfigError(f"{family}: mixed layer_types are not supported, only one kind for all layers")
    if kinds - {_GLOBAL if window is None else _LOCAL}:
        raise UnsupportedConfigError(
            f"{family}: layer_types of {kinds.pop()!r} with sliding_window {window} contradict each other"
        )
