"""Exchanging the dense layers of a model: for quantised ones, for ones with adapters, and back for plain ones.

A layer keeps its path. "decoder/layers/mlp/up/kernel" becomes ".../kernel/codes" and ".../kernel/absmax" when it is
quantised; an adapter adds ".../lora/a" and ".../lora/b" beside it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models.layers import Declare, Dense
from vlsm_jax.models.lora import LoraConfig, LoraDense, LoraQuantisedDense, add_lora
from vlsm_jax.models.quantised import FORMATS, QuantisedDense

QUANTISE = ("none", *FORMATS)


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """How a model differs from the plain one.

    Attributes:
      quantise: "none", or the format of the frozen kernels that `quantised` names.
      lora: adapters, or None.
      quantised: regular expression for whole paths of layers; embeddings and the head are no dense layers and stay.
    """

    quantise: str = "none"
    lora: LoraConfig | None = None
    quantised: str = r"(decoder/)?layers/.*"

    def __post_init__(self):
        if self.quantise not in QUANTISE:
            raise ValueError(f"quantise={self.quantise!r} is not one of {', '.join(QUANTISE)}")

    def __bool__(self) -> bool:
        return self.quantise != "none" or self.lora is not None


def dense_layers(model: nnx.Module) -> dict[str, Dense]:
    """Returns the dense layers of a model by path, such as "decoder/layers/attention/q"."""
    found = {"/".join(map(str, path)): m for path, m in nnx.iter_modules(model) if isinstance(m, Dense)}
    return dict(sorted(found.items()))


def adapt(
    model: nnx.Module, adaptation: Adaptation, rngs: nnx.Rngs, *, param_dtype: jnp.dtype = jnp.float32
) -> nnx.Module:
    """Exchanges layers of `model`, in place, and returns it. Traceable, and works on shapes (`nnx.eval_shape`).

    Args:
      model: a plain one.
      adaptation: what to do.
      rngs: for the adapters.
      param_dtype: of the adapters.

    Raises:
      ValueError: nothing to quantise, a layer that cannot be quantised, or a target that matches no layer; the message
        names it and lists the layers that there are.
    """
    if adaptation.quantise != "none":
        for path in _matched(model, (adaptation.quantised,), "quantise"):
            try:
                _exchange(model, path, QuantisedDense(_layer(model, path), adaptation.quantise))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
    if adaptation.lora is not None:
        for path in _matched(model, adaptation.lora.targets, "lora.targets"):
            _exchange(model, path, add_lora(_layer(model, path), adaptation.lora, rngs, param_dtype))
    return model


def plain(model: nnx.Module, dtype: jnp.dtype) -> nnx.Module:
    """Turns all layers of `model` into plain ones, in place, and returns it.

    Adapters are merged and quantised kernels dequantised in float32, and the sum is rounded to `dtype` once. One layer
    at a time is held in float32.
    """
    for path, layer in dense_layers(model).items():
        if isinstance(layer, LoraDense | QuantisedDense):
            _exchange(model, path, _plain(layer, dtype))
    return model


def _plain(layer: Dense, dtype: jnp.dtype) -> Dense:
    quantised = isinstance(layer, QuantisedDense)
    graphdef, state = nnx.split(layer)

    def one(state: nnx.State) -> jax.Array:
        layer = nnx.merge(graphdef, state)
        kernel = layer.kernel.dequantise(jnp.float32) if quantised else layer.kernel[...].astype(jnp.float32)
        if isinstance(layer, LoraDense | LoraQuantisedDense):
            kernel = kernel + layer.lora.delta().reshape(kernel.shape)
        return kernel.astype(dtype)

    some = layer.kernel.codes if quantised else layer.kernel
    stack = some.get_value().shape[0] if some.logical_axes[0] == "layers" else None
    kernel = one(state) if stack is None else jax.lax.map(one, state)
    result = Dense(
        Declare(nnx.Rngs(0), dtype, stack),
        layer.inputs,
        layer.outputs,
        init=lambda *_: kernel,
        use_bias=False,
        dtype=layer.dtype,
    )
    result.bias = nnx.data(layer.bias)
    return result


def _matched(model: nnx.Module, patterns: Sequence[str], name: str) -> list[str]:
    """Returns the paths that some pattern matches; every pattern has to match one."""
    paths = list(dense_layers(model))
    matched: dict[str, None] = {}
    for pattern in patterns:
        try:
            hits = [path for path in paths if re.fullmatch(pattern, path)]
        except re.error as error:
            raise ValueError(f"{name}: {pattern!r} is no regular expression: {error}") from error
        if not hits:
            raise ValueError(f"{name}: {pattern!r} matches no layer; there are {', '.join(paths)}")
        matched |= dict.fromkeys(hits)
    return list(matched)


def _layer(model: nnx.Module, path: str) -> Dense:
    return functools.reduce(getattr, path.split("/"), model)


def _exchange(model: nnx.Module, path: str, layer: Dense) -> None:
    *parents, name = path.split("/")
    setattr(functools.reduce(getattr, parents, model), name, layer)
