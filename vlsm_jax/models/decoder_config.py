"""The decoder's configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from vlsm_jax.models.hf_dialects import UnsupportedConfigError, read_hf_decoder_fields, write_hf_decoder_fields
from vlsm_jax.models.rope import RopeScaling
from vlsm_jax.models.sizes import check_positive, check_sizes

__all__ = ["DecoderConfig", "UnsupportedConfigError"]


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Everything that shapes a decoder-only language model.

    Attributes:
      family: Hugging Face's `model_type`; decides key names when converting, nothing in the forward pass.
      vocabulary: C, rows of the embedding.
      width: D. layers: L. heads: N. kv_heads: K. head_dim: H. mlp_width: F.
      norm: "rms", "rms_offset" (the stored scale is what to add to one) or "layer" (with bias).
      norm_eps: added to the variance.
      mlp: "gated" (`down(act(gate x) * up x)`) or "plain" (`down(act(up x))`).
      activation: a name in `layers.ACTIVATIONS`.
      attention_bias, mlp_bias: biases on all projections of that block.
      rope_theta: base of the rotary frequencies. rope_scaling: how they are stretched, or None.
      sliding_window: tokens a query sees back, itself included; None is unlimited.
      global_layers: numbers of the layers that see everything in spite of the window, in order; the other, local ones
        keep it. None: all layers are alike.
      rope_local_theta: base of the rotary frequencies in local layers, which are not stretched; None is as elsewhere.
      tied: the embedding is the output head.
      post_norms: norms on what attention and MLP give back as well, before it is added.
      query_key_norm: a norm over each head's query and key, before rotation.
      query_scale: what attention scores are multiplied by; None is `head_dim ** -0.5`.
      scaled_embedding: embedded tokens are multiplied by `width ** 0.5`, rounded to the compute dtype.
      logit_softcap: c, where the scores are `c tanh(score / c)`; None leaves them.
      max_positions: the length the model was trained for; recorded, not enforced.
      init_std: standard deviation of the initial kernels and embedding.
      bos_token_id, eos_token_ids, pad_token_id: recorded for generation and export.
    """

    family: Literal["llama", "mistral", "starcoder2", "gemma3_text"]
    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    norm: Literal["rms", "rms_offset", "layer"] = "rms"
    norm_eps: float = 1e-5
    mlp: Literal["gated", "plain"] = "gated"
    activation: str = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    sliding_window: int | None = None
    global_layers: tuple[int, ...] | None = None
    rope_local_theta: float | None = None
    tied: bool = False
    post_norms: bool = False
    query_key_norm: bool = False
    query_scale: float | None = None
    scaled_embedding: bool = False
    logit_softcap: float | None = None
    max_positions: int = 2048
    init_std: float = 0.02
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "eos_token_ids", tuple(self.eos_token_ids))
        if isinstance(self.rope_scaling, Mapping):
            object.__setattr__(self, "rope_scaling", RopeScaling(**self.rope_scaling))
        names = ("vocabulary", "width", "layers", "heads", "kv_heads", "head_dim", "mlp_width", "max_positions")
        check_sizes("decoder", **{name: getattr(self, name) for name in names})
        check_positive("decoder", norm_eps=self.norm_eps, rope_theta=self.rope_theta)
        if self.heads % self.kv_heads:
            raise ValueError(
                f"{self.heads} query heads cannot be shared among {self.kv_heads} KV heads; K must divide N"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; the rotary embedding needs an even width")
        if self.sliding_window is not None and self.sliding_window < 1:
            raise ValueError(f"sliding_window is {self.sliding_window}; use None for no window")
        if self.global_layers is None:
            if self.rope_local_theta is not None:
                raise ValueError("rope_local_theta is of local layers; say in global_layers which are not local")
            return
        object.__setattr__(self, "global_layers", tuple(self.global_layers))
        if self.sliding_window is None:
            raise ValueError("global_layers are those without the window; sliding_window must be given with them")
        if list(self.global_layers) != sorted({i for i in self.global_layers if 0 <= i < self.layers}):
            raise ValueError(
                f"global_layers {self.global_layers} must be numbers from 0 to {self.layers - 1} in ascending order"
            )

    @classmethod
    def from_hf_config(cls, hf: Mapping[str, Any]) -> DecoderConfig:
        """Reads a Hugging Face config of either dialect.

        Raises:
          UnsupportedConfigError: naming the field, for another `model_type`, partial RoPE, a RoPE scaling other than
            linear and llama3, quantised weights, layer types that the family's class does not mix, soft-capped
            attention, an unknown activation, or a size that is not there (class defaults are not guessed).
        """
        try:
            return cls(**read_hf_decoder_fields(hf))
        except (TypeError, AttributeError, LookupError) as error:
            kind = hf.get("model_type")
            raise UnsupportedConfigError(
                f"{kind}: a field has a value of another kind than it should: {error}"
            ) from error

    def to_hf_config(self, dtype: str = "float32") -> dict[str, Any]:
        """Returns the config as transformers 4 and 5 both read it; `dtype` is the name of the weights' dtype.

        Raises:
          UnsupportedConfigError: the family's Hugging Face class cannot express this config.
        """
        hf = write_hf_decoder_fields(self, dtype)
        again = DecoderConfig.from_hf_config(hf)
        lost = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) != getattr(again, f.name)]
        if lost:
            said = ", ".join(f"{name}={getattr(self, name)!r}" for name in lost)
            raise UnsupportedConfigError(f"a Hugging Face {self.family!r} config cannot express {said}")
        return hf

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON-able values."""
        data = dataclasses.asdict(self) | {"eos_token_ids": list(self.eos_token_ids)}
        if self.global_layers is not None:
            data["global_layers"] = list(self.global_layers)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DecoderConfig:
        """Reads what `to_dict` wrote; raises TypeError naming a field that is unknown or missing."""
        return cls(**data)
