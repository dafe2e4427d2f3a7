"""The Q-Former: learned queries that look at each other in every layer, and at all visual tokens in some.

As in BLIP-2 (Li et al., 2023) without its text side: a BERT with norms after the sums, then one linear layer to the
decoder's width.

Letters: N images, V visual tokens, Q queries, W the Q-Former's width.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models import layers
from vlsm_jax.models.attention import attention
from vlsm_jax.models.layers import Axes, Declare, Dense, LayerNorm
from vlsm_jax.models.stack import check_remat, rematerialised


@dataclasses.dataclass(frozen=True)
class QFormerSizes:
    """Sizes of a Q-Former; the defaults are those of BLIP-2 (`Blip2QFormerConfig`, `num_query_tokens`).

    Attributes:
      queries: visual tokens per image for the decoder.
      depth: layers. width: W. heads: they divide the width. mlp_width: of the feed-forward blocks.
      cross_every: of so many layers the first looks at the visual tokens.
      norm_eps: added to the variance.
    """

    queries: int = 32
    depth: int = 12
    width: int = 768
    heads: int = 12
    mlp_width: int = 3072
    cross_every: int = 2
    norm_eps: float = 1e-12

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"qformer: a width of {self.width} does not divide among {self.heads} heads")
        if self.depth % self.cross_every:
            raise ValueError(f"qformer: cross_every is {self.cross_every}, which does not divide {self.depth} layers")


class QFormerAttention(nnx.Module):
    """norm(x + attention(x to seen))."""

    def __init__(self, declare: Declare, sizes: QFormerSizes, seen: Axes, *, init, dtype: jnp.dtype):
        width = Axes.of(embed=sizes.width)
        heads = Axes.of(heads=sizes.heads, head_dim=sizes.width // sizes.heads)
        options = {"init": init, "use_bias": True, "dtype": dtype}
        self.q = Dense(declare, width, heads, **options)
        self.k = Dense(declare, seen, heads, **options)
        self.v = Dense(declare, seen, heads, **options)
        self.o = Dense(declare, heads, width, **options)
        self.norm = LayerNorm(declare, sizes.width, eps=sizes.norm_eps, dtype=dtype)

    def __call__(self, x: jax.Array, seen: jax.Array) -> jax.Array:
        """Maps x [N, Q, W], which sees [N, V, W or d_vision], to [N, Q, W]."""
        return self.norm(x + self.o(attention(self.q(x), self.k(seen), self.v(seen), None)))


class QFormerLayer(nnx.Module):
    """The two blocks that every layer has; a look at the visual tokens comes between them."""

    def __init__(self, declare: Declare, sizes: QFormerSizes, *, init, dtype: jnp.dtype):
        width, inner = Axes.of(embed=sizes.width), Axes.of(mlp=sizes.mlp_width)
        options = {"init": init, "use_bias": True, "dtype": dtype}
        self.attention = QFormerAttention(declare, sizes, width, init=init, dtype=dtype)
        self.up = Dense(declare, width, inner, **options)
        self.down = Dense(declare, inner, width, **options)
        self.norm = LayerNorm(declare, sizes.width, eps=sizes.norm_eps, dtype=dtype)

    def feed_forward(self, x: jax.Array) -> jax.Array:
        """Maps [N, Q, W] to [N, Q, W]: norm(x + mlp(x))."""
        return self.norm(x + self.down(layers.activation("gelu")(self.up(x))))


class QFormerConnector(nnx.Module):
    """The Q-Former and a linear layer, [N, V, d_vision] to [N, Q, d_text]."""

    def __init__(
        self,
        declare: Declare,
        sizes: QFormerSizes,
        d_vision: int,
        d_text: int,
        *,
        init_std: float,
        dtype: jnp.dtype,
        remat: str = "none",
    ):
        self.sizes, self.dtype, self.remat = sizes, dtype, check_remat(remat)
        init = layers.normal(init_std)
        self.queries = declare((sizes.queries, sizes.width), ("positions", "embed"), init)
        self.norm = LayerNorm(declare, sizes.width, eps=sizes.norm_eps, dtype=dtype)
        self.layers = QFormerLayer(declare.stacked(sizes.depth), sizes, init=init, dtype=dtype)
        groups, visual = declare.stacked(sizes.depth // sizes.cross_every), Axes.of(connector_in=d_vision)
        self.cross = QFormerAttention(groups, sizes, visual, init=init, dtype=dtype)
        inputs, outputs = Axes.of(connector_in=sizes.width), Axes.of(embed=d_text)
        self.output = Dense(declare, inputs, outputs, init=init, use_bias=True, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, V, d_vision] to [N, Q, d_text]."""
        visual, every = x.astype(self.dtype), self.sizes.cross_every
        queries = jnp.broadcast_to(self.queries[...].astype(self.dtype), (x.shape[0], *self.queries.shape))
        layer_def, layer_state = nnx.split(self.layers)
        cross_def, cross_state = nnx.split(self.cross)
        grouped = jax.tree.map(lambda a: a.reshape(-1, every, *a.shape[1:]), layer_state)

        def group(queries: jax.Array, states: tuple[nnx.State, nnx.State]) -> tuple[jax.Array, None]:
            for i in range(every):
                layer = nnx.merge(layer_def, jax.tree.map(lambda a, i=i: a[i], states[0]))
                queries = layer.attention(queries, queries)
                if i == 0:
                    queries = nnx.merge(cross_def, states[1])(queries, visual)
                queries = layer.feed_forward(queries)
            return queries, None

        run = rematerialised(group, self.remat, scan=True)
        queries, _ = jax.lax.scan(run, self.norm(queries), (grouped, cross_state))
        return self.output(queries)
