"""Connectors: from the encoder's visual tokens to the decoder's width, all of them or a fixed number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models import layers
from vlsm_jax.models.layers import Axes, Declare, Dense
from vlsm_jax.models.perceiver import PerceiverConnector, PerceiverSizes
from vlsm_jax.models.qformer import QFormerConnector, QFormerSizes


@dataclasses.dataclass(frozen=True)
class ConnectorConfig:
    """Which connector, and how it starts.

    Attributes:
      kind: a name in `CONNECTORS`: "linear", "mlp" (Linear, exact GELU, Linear), "perceiver" or "qformer".
      hidden: the width between the two layers of "mlp"; None is the decoder's width.
      sizes: of a resampler, "perceiver" or "qformer"; None is the default of that kind.
      init_std: standard deviation of the initial kernels and queries; biases start at 0. The default is the paper's.
    """

    kind: str = "mlp"
    hidden: int | None = None
    init_std: float = 0.01
    sizes: PerceiverSizes | QFormerSizes | None = None

    def __post_init__(self):
        if self.kind not in CONNECTORS:
            raise ValueError(f"connector kind {self.kind!r} is not one of {', '.join(sorted(CONNECTORS))}")
        if self.kind != "mlp" and self.hidden is not None:
            raise ValueError(f"a {self.kind} connector has no hidden layer; leave hidden as None")
        kind_of_sizes = SIZES.get(self.kind)
        if kind_of_sizes is None:
            if self.sizes is not None:
                raise ValueError(f"a {self.kind} connector has no sizes; they are of {', '.join(sorted(SIZES))}")
            return
        sizes = {} if self.sizes is None else self.sizes
        if isinstance(sizes, Mapping):
            sizes = kind_of_sizes(**sizes)
        if not isinstance(sizes, kind_of_sizes):
            raise ValueError(f"a {self.kind} connector takes {kind_of_sizes.__name__}, not {type(sizes).__name__}")
        object.__setattr__(self, "sizes", sizes)

    def tokens(self, visual: int) -> int:
        """Returns how many visual tokens reach the decoder of `visual` from the encoder."""
        return visual if self.sizes is None else self.sizes.queries


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


Connector = LinearConnector | MlpConnector | PerceiverConnector | QFormerConnector
CONNECTORS = {
    "linear": LinearConnector,
    "mlp": MlpConnector,
    "perceiver": PerceiverConnector,
    "qformer": QFormerConnector,
}
# The kinds that give a fixed number of visual tokens.
SIZES = {"perceiver": PerceiverSizes, "qformer": QFormerSizes}


def make_connector(
    config: ConnectorConfig,
    d_vision: int,
    d_text: int,
    *,
    rngs: nnx.Rngs,
    dtype: jnp.dtype = jnp.float32,
    param_dtype: jnp.dtype = jnp.float32,
    remat: str = "none",
) -> Connector:
    """Returns the connector that `config` names, between the given widths; `remat` is of a resampler's layers."""
    declare, kind = Declare(rngs, param_dtype), CONNECTORS[config.kind]
    if config.sizes is None:
        return kind(declare, config, d_vision, d_text, dtype)
    return kind(declare, config.sizes, d_vision, d_text, init_std=config.init_std, dtype=dtype, remat=remat)
