"""The model as training sees it: a function of flat parameters, and where each of them lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, traverse_util
from jax.sharding import Mesh, NamedSharding

from vlsm_jax.models.vlsm import Vlsm, VlsmConfig, abstract_model, init_params
from vlsm_jax.sharding import DEFAULT_RULES, Rules, param_shardings

Params = dict[str, jax.Array]
"""Flat parameters: "decoder/layers/attention/q/kernel" to array. What checkpoints, freeze lists and optimizers hold."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A VLSM without its parameters.

    Attributes:
      config: sizes.
      graphdef: the module's structure.
      abstract: parameter shapes, with their logical axes.
    """

    config: VlsmConfig
    graphdef: nnx.GraphDef
    abstract: nnx.State

    @classmethod
    def create(
        cls, config: VlsmConfig, *, dtype: Any = jnp.float32, param_dtype: Any = jnp.float32, remat: bool = False
    ) -> Network:
        """Returns the network; `dtype` is what it computes in, `param_dtype` what its parameters are kept in."""
        options = {"dtype": dtype, "remat": "full" if remat else "none"}
        return cls(config, *abstract_model(config, param_dtype=param_dtype, **options))

    @property
    def shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Path to shape and dtype of every parameter."""
        return flatten(self.abstract)

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return sum(x.size for x in self.shapes.values())

    def init(self, seed: jax.Array | int) -> Params:
        """Returns fresh parameters; traceable."""
        dtype = next(iter(self.shapes.values())).dtype
        return flatten(init_params(self.config, seed, param_dtype=dtype))

    def merge(self, params: Mapping[str, jax.Array]) -> Vlsm:
        """Returns the module that holds `params`."""
        return nnx.merge(self.graphdef, unflatten(params))

    def shardings(self, mesh: Mesh, rules: Rules = DEFAULT_RULES) -> dict[str, NamedSharding]:
        """Returns the place of every parameter on `mesh`."""
        return flatten(param_shardings(self.abstract, mesh, rules))


def flatten(state: nnx.State | Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested parameters as {"a/b/c": array}."""
    pure = nnx.to_pure_dict(state) if isinstance(state, nnx.State) else state
    return traverse_util.flatten_dict(pure, sep="/")


def unflatten(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"a/b/c": array} as nested dicts; undoes `flatten`."""
    return traverse_util.unflatten_dict(dict(params), sep="/")
