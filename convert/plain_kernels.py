"""The parameters of a plain model from those of a quantised or adapted one, each layer's kernel made when asked for.

Values are those of `vlsm_jax.models.adaptation.plain`, which makes whole stacks at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from convert.native import Checkpoint, Config
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.models.quantised import FORMATS
from vlsm_jax.models.vision import VisionConfig, VisionEncoder
from vlsm_jax.models.vlsm import Vlsm


def make_model(config: Config, **options: Any) -> nnx.Module:
    """Returns a plain model of that config; `options` are those of the model's class."""
    if isinstance(config, DecoderConfig):
        return Decoder(config, rngs=nnx.Rngs(0), **options)
    if isinstance(config, VisionConfig):
        return VisionEncoder(config, rngs=nnx.Rngs(0), **options)
    return Vlsm(config, rngs=nnx.Rngs(0), **options)


class PlainKernel:
    """A kernel that is dequantised, and into which its adapter is merged, one layer at a time.

    Args:
      kernel: the quantised arrays by name, or {"": the plain kernel}.
      factors: `a` and `b` of the adapter, or none.
      format: of the quantised arrays.
      lora: of the adapter.
      shape: of the whole kernel.
      stacked: whether its first axis runs over layers.
      dtype: what it is rounded to, once.
    """

    def __init__(
        self,
        kernel: Mapping[str, jax.Array],
        factors: Mapping[str, jax.Array],
        format: str,
        lora: LoraConfig | None,
        shape: tuple[int, ...],
        stacked: bool,
        dtype: np.dtype,
    ):
        self.shape, self.dtype = shape, dtype
        self._kernel, self._factors, self._stacked = dict(kernel), dict(factors), stacked
        one = shape[1:] if stacked else shape
        scale = None if lora is None else lora.scale

        def make(kernel: dict[str, jax.Array], factors: dict[str, jax.Array]) -> jax.Array:
            if "" in kernel:
                value = kernel[""].astype(jnp.float32)
            else:
                rows = {n: a.reshape(a.shape[0], -1) if n in ("codes", "absmax") else a for n, a in kernel.items()}
                value = FORMATS[format].dequantise(rows, jnp.float32).reshape(one)
            if factors:
                a, b = (factors[name].astype(jnp.float32) for name in ("a", "b"))
                rank = b.shape[0]
                delta = jnp.matmul(a.reshape(-1, rank), b.reshape(rank, -1), precision="highest") * scale
                value = value + delta.reshape(one)
            return value.astype(dtype)

        self._make = jax.jit(make)

    def __getitem__(self, layer: int) -> np.ndarray:
        """Returns one layer."""
        if not self._stacked:
            return np.asarray(self)[layer]
        kernel, factors = ({n: a[layer] for n, a in arrays.items()} for arrays in (self._kernel, self._factors))
        return np.asarray(self._make(kernel, factors))

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if self._stacked:
            return np.stack([self[layer] for layer in range(self.shape[0])])
        kernel, factors = ({n: np.asarray(a) for n, a in arrays.items()} for arrays in (self._kernel, self._factors))
        return np.asarray(self._make(kernel, factors))


def plain_params(checkpoint: Checkpoint) -> dict[str, jax.Array | PlainKernel]:
    """Returns the parameters of the plain model by path; those that are neither quantised nor adapted as they are."""
    flat, adaptation = checkpoint.params, checkpoint.adaptation
    if not adaptation:
        return dict(flat)
    # The dtype of what is not quantised is that of the model.
    dtype = next(a.dtype for path, a in sorted(flat.items()) if path.endswith("embedding/table"))
    abstract = nnx.state(nnx.eval_shape(lambda: make_model(checkpoint.config)))
    result: dict[str, jax.Array | PlainKernel] = {}
    for keys, param in nnx.to_flat_state(abstract):
        path = "/".join(map(str, keys))
        factors = _below(flat, path.removesuffix("kernel") + "lora/") if path.endswith("/kernel") else {}
        if path in flat and not factors:
            result[path] = flat[path]
            continue
        kernel = {"": flat[path]} if path in flat else _below(flat, path + "/")
        stacked = param.logical_axes[0] == "layers"
        lora, shape = adaptation.lora, tuple(param.get_value().shape)
        result[path] = PlainKernel(kernel, factors, adaptation.quantise, lora, shape, stacked, dtype)
    return result


def _below(flat: Mapping[str, jax.Array], prefix: str) -> dict[str, jax.Array]:
    return {path.removeprefix(prefix): array for path, array in flat.items() if path.startswith(prefix)}
