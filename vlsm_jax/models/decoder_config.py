"""The decoder's configuration, and its reading from and writing to Hugging Face's `config.json`.

Both dialects are read and written: transformers 4 has `rope_theta` and `torch_dtype`, transformers 5 has
`rope_parameters` and `dtype`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal


class UnsupportedConfigError(ValueError):
    """A Hugging Face config asks for something that these models do not do; the message names it."""


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Everything that shapes a decoder-only language model.

    Attributes:
      family: Hugging Face's `model_type`; decides key names when converting, nothing in the forward pass.
      vocabulary: C, rows of the embedding.
      width: D. layers: L. heads: N. kv_heads: K. head_dim: H. mlp_width: F.
      norm: "rms" or "layer" (with bias). norm_eps: added to the variance.
      mlp: "gated" (`down(act(gate x) * up x)`) or "plain" (`down(act(up x))`).
      activation: a name in `layers.ACTIVATIONS`.
      attention_bias, mlp_bias: biases on all projections of that block.
      rope_theta: base of the rotary frequencies.
      sliding_window: tokens a query sees back, itself included; None is unlimited.
      tied: the embedding is the output head.
      max_positions: the length the model was trained for; recorded, not enforced.
      init_std: standard deviation of the initial kernels and embedding.
      bos_token_id, eos_token_ids, pad_token_id: recorded for generation and export.
    """

    family: Literal["llama", "starcoder2"]
    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    norm: Literal["rms", "layer"] = "rms"
    norm_eps: float = 1e-5
    mlp: Literal["gated", "plain"] = "gated"
    activation: str = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    rope_theta: float = 10000.0
    sliding_window: int | None = None
    tied: bool = False
    max_positions: int = 2048
    init_std: float = 0.02
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "eos_token_ids", tuple(self.eos_token_ids))
        if self.heads % self.kv_heads:
            raise ValueError(
                f"{self.heads} query heads cannot be shared among {self.kv_heads} KV heads; K must divide N"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; the rotary embedding needs an even width")
        if self.sliding_window is not None and self.sliding_window < 1:
            raise ValueError(f"sliding_window is {self.sliding_window}; use None for no window")

    @classmethod
    def from_hf_config(cls, hf: Mapping[str, Any]) -> DecoderConfig:
        """Reads a Hugging Face config of either dialect.

        Dropout rates are not read: they act in training only, and released checkpoints carry them unused.

        Raises:
          UnsupportedConfigError: naming the field, for another `model_type`, scaled or partial RoPE, quantised weights,
            mixed layer types, an unknown activation, or a size that is not there (class defaults are not guessed).
        """
        family = hf.get("model_type")
        if family not in _FAMILIES:
            known = ", ".join(sorted(_FAMILIES))
            raise UnsupportedConfigError(f"model_type {family!r} is not one of the decoders there are: {known}")
        _refuse_unsupported(hf, family)
        absent = [name for name in _SIZES if not isinstance(hf.get(name), int)]
        if absent:
            raise UnsupportedConfigError(f"{family}: the config does not say {', '.join(absent)}")
        heads, width = hf["num_attention_heads"], hf["hidden_size"]
        eos = hf.get("eos_token_id")
        return cls(
            family=family,
            vocabulary=hf["vocab_size"],
            width=width,
            layers=hf["num_hidden_layers"],
            heads=heads,
            kv_heads=hf.get("num_key_value_heads") or heads,
            head_dim=hf.get("head_dim") or width // heads,
            mlp_width=hf["intermediate_size"],
            activation=_activation_from_hf(hf, family),
            rope_theta=float(_rope(hf).get("rope_theta", 10000.0)),
            max_positions=hf.get("max_position_embeddings", 2048),
            init_std=hf.get("initializer_range", 0.02),
            bos_token_id=hf.get("bos_token_id"),
            eos_token_ids=() if eos is None else (eos,) if isinstance(eos, int) else tuple(eos),
            pad_token_id=hf.get("pad_token_id"),
            **_FAMILIES[family].read(hf),
        )

    def to_hf_config(self, dtype: str = "float32") -> dict[str, Any]:
        """Returns the config as transformers 4 and 5 both read it; `dtype` is the name of the weights' dtype.

        Raises:
          UnsupportedConfigError: the family's Hugging Face class cannot express this config.
        """
        family = _FAMILIES[self.family]
        hf = {
            "model_type": self.family,
            "architectures": [family.architecture],
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.mlp_width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": _ACTIVATION_TO_HF[self.activation],
            "max_position_embeddings": self.max_positions,
            "initializer_range": self.init_std,
            "rope_theta": self.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "tie_word_embeddings": self.tied,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": _eos_to_hf(self.eos_token_ids),
            "pad_token_id": self.pad_token_id,
            "torch_dtype": dtype,
            "dtype": dtype,
            "use_cache": True,
            **family.write(self),
        }
        again = DecoderConfig.from_hf_config(hf)
        lost = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) != getattr(again, f.name)]
        if lost:
            said = ", ".join(f"{name}={getattr(self, name)!r}" for name in lost)
            raise UnsupportedConfigError(f"a Hugging Face {self.family!r} config cannot express {said}")
        return hf

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON-able values."""
        return dataclasses.asdict(self) | {"eos_token_ids": list(self.eos_token_ids)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DecoderConfig:
        """Reads what `to_dict` wrote; raises TypeError naming a field that is unknown or missing."""
        return cls(**data)


# --- Hugging Face's dialects ------------------------------------------------------------------------------------------

_ACTIVATION_FROM_HF = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}
_ACTIVATION_TO_HF = {"silu": "silu", "gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "quick_gelu": "quick_gelu"}


_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")


class _Llama:
    architecture = "LlamaForCausalLM"
    activation = "silu"

    @staticmethod
    def read(hf: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "norm": "rms",
            "norm_eps": hf.get("rms_norm_eps", 1e-6),
            "mlp": "gated",
            "attention_bias": hf.get("attention_bias", False),
            "mlp_bias": hf.get("mlp_bias", False),
            "tied": hf.get("tie_word_embeddings", False),
        }

    @staticmethod
    def write(config: DecoderConfig) -> dict[str, Any]:
        return {
            "rms_norm_eps": config.norm_eps,
            "attention_bias": config.attention_bias,
            "mlp_bias": config.mlp_bias,
            "attention_dropout": 0.0,
            "pretraining_tp": 1,
        }


class _Starcoder2:
    architecture = "Starcoder2ForCausalLM"
    activation = "gelu_pytorch_tanh"

    @staticmethod
    def read(hf: Mapping[str, Any]) -> dict[str, Any]:
        use_bias = hf.get("use_bias", True)
        return {
            "norm": "layer",
            "norm_eps": hf.get("norm_epsilon", 1e-5),
            "mlp": "plain",
            "attention_bias": use_bias,
            "mlp_bias": use_bias,
            "sliding_window": hf.get("sliding_window"),
            "tied": hf.get("tie_word_embeddings", True),
        }

    @staticmethod
    def write(config: DecoderConfig) -> dict[str, Any]:
        return {
            "norm_epsilon": config.norm_eps,
            "norm_type": "layer_norm",
            "use_bias": config.attention_bias and config.mlp_bias,
            "sliding_window": config.sliding_window,
            "attention_dropout": 0.0,
            "residual_dropout": 0.0,
            "embedding_dropout": 0.0,
        }


_FAMILIES = {"llama": _Llama, "starcoder2": _Starcoder2}


def _rope(hf: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rotary settings of either dialect, with transformers 4's top-level keys where the nested ones lack them."""
    return {"rope_theta": hf.get("rope_theta", 10000.0)} | dict(hf.get("rope_parameters") or {})


def _refuse_unsupported(hf: Mapping[str, Any], family: str) -> None:
    """Raises `UnsupportedConfigError` for settings that would change the result and are not implemented."""
    scaling = hf.get("rope_scaling") or {}
    rope_type = scaling.get("rope_type", scaling.get("type", _rope(hf).get("rope_type", "default")))
    if rope_type != "default":
        raise UnsupportedConfigError(f"{family}: RoPE scaling of type {rope_type!r} is not supported, only plain RoPE")
    partial = hf.get("partial_rotary_factor") or _rope(hf).get("partial_rotary_factor") or 1.0
    if partial != 1.0:
        raise UnsupportedConfigError(f"{family}: partial_rotary_factor {partial} is not supported, only full RoPE")
    if hf.get("quantization_config"):
        method = hf["quantization_config"].get("quant_method", "unknown")
        raise UnsupportedConfigError(
            f"{family}: quantised weights ({method}) are not supported; convert from full weights"
        )
    if len(set(hf.get("layer_types") or ())) > 1:
        raise UnsupportedConfigError(f"{family}: mixed layer_types are not supported, only one kind for all layers")
    if hf.get("norm_type", "layer_norm") != "layer_norm":
        raise UnsupportedConfigError(f"{family}: norm_type {hf['norm_type']!r} is not supported, only 'layer_norm'")
    if hf.get("mlp_type", "default") != "default":
        raise UnsupportedConfigError(f"{family}: mlp_type {hf['mlp_type']!r} is not supported, only 'default'")


def _activation_from_hf(hf: Mapping[str, Any], family: str) -> str:
    name = hf.get("hidden_act", _FAMILIES[family].activation)
    if name not in _ACTIVATION_FROM_HF:
        known = ", ".join(sorted(_ACTIVATION_FROM_HF))
        raise UnsupportedConfigError(f"{family}: hidden_act {name!r} is not one of {known}")
    return _ACTIVATION_FROM_HF[name]


def _eos_to_hf(ids: tuple[int, ...]) -> int | list[int] | None:
    if not ids:
        return None
    return ids[0] if len(ids) == 1 else list(ids)
