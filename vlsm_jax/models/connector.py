"""Connectors: from the encoder's visual tokens to the decoder's width."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models import layers
from vlsm_jax.models.layers import Axes, Declare, Dense


@dataclasses.dataclass(frozen=True)
class ConnectorConfig:
    """Which connector, and how it starts.

    Attributes:
      kind: a name in `CONNECTORS`: "linear", or "mlp" (Linear, exact GELU, Linear).
      hidden: the width between the two layers of "mlp"; None is the decoder's width.
      init_std: standard deviation of the initial kernels; biases start at 0.
    """

    kind: str = "mlp"
    hidden: int | None = None
    init_std: float = 0.01

    def __post_init__(self):
        if self.kind not in CONNECTORS:
            raise ValueError(f"connector kind {self.kind!r} is not one of {', '.join(sorted(CONNECTORS))}")
        if self.kind == "linear" and self.hidden is not None:
            raise ValueError("a linear connector has no hidden layer; leave hidden as None")


class LinearConnector(nnx.Module):
    """One linear layer, [N, V, d_vision] to [N, V, d_text]."""

    def __init__(self, declare: Declare, config: ConnectorConfig, d_vision: int, d_text: int, dtype: jnp.dtype):
        inputs, outputs = Axes.of(connector_in=d_vision), Axes.of(embed=d_text)
        self.linear = Dense(declare, inputs, outputs, init=layers.normal(config.init_std), use_bias=True, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, V, d_vision] to [N, V, d_text]."""
        return self.linear(x)


class MlpConnector(nnx.Module):
    """Linear, exact GELU, Linear, [N, V, d_vision] to [N, V, d_text]."""

    def __init__(self, declare: Declare, config: ConnectorConfig, d_vision: int, d_text: int, dtype: jnp.dtype):
        inputs, inner, outputs = (
            Axes.of(connector_in=d_vision),
            Axes.of(mlp=config.hidden or d_text),
            Axes.of(embed=d_text),
        )
        options = {"init": layers.normal(config.init_std), "use_bias": True, "dtype": dtype}
        self.linear_1 = Dense(declare, inputs, inner, **options)
        self.linear_2 = Dense(declare, inner, outputs, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, V, d_vision] to [N, V, d_text]."""
        return self.linear_2(layers.activation("gelu")(self.linear_1(x)))


Connector = LinearConnector | MlpConnector
CONNECTORS = {"linear": LinearConnector, "mlp": MlpConnector}


def make_connector(
    config: ConnectorConfig,
    d_vision: int,
    d_text: int,
    *,
    rngs: nnx.Rngs,
    dtype: jnp.dtype = jnp.float32,
    param_dtype: jnp.dtype = jnp.float32,
) -> Connector:
    """Returns the connector that `config` names, between the given widths."""
    return CONNECTORS[config.kind](Declare(rngs, param_dtype), config, d_vision, d_text, dtype)
