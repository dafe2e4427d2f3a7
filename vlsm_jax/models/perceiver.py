"""The Perceiver resampler: a fixed number of learned latents look at all visual tokens, several times.

As in Idefics2 (Laurençon et al., 2024, after Alayrac et al., 2022): the visual tokens are brought to the decoder's
width first, and latents look at themselves along with them.

Letters: N images, V visual tokens, Q latents, D the decoder's width.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models import layers
from vlsm_jax.models.attention import attention
from vlsm_jax.models.layers import Axes, Declare, Dense, RmsNorm
from vlsm_jax.models.stack import check_remat, run_stack


@dataclasses.dataclass(frozen=True)
class PerceiverSizes:
    """Sizes of a Perceiver resampler; the defaults are those of Idefics2 (`Idefics2PerceiverConfig`).

    Attributes:
      queries: latents, and so visual tokens per image for the decoder.
      depth: layers. heads, kv_heads, head_dim: of their attention.
      mlp_ratio: their feed-forward width, in widths of the decoder.
      projection_width: between the two layers that bring visual tokens to the decoder's width; None is four times the
        latter (Idefics2 takes its decoder's own feed-forward width, three and a half times).
      norm_eps: added to the variance.
    """

    queries: int = 64
    depth: int = 3
    heads: int = 16
    kv_heads: int = 4
    head_dim: int = 96
    mlp_ratio: int = 4
    projection_width: int | None = None
    norm_eps: float = 1e-6

    def __post_init__(self):
        if self.heads % self.kv_heads:
            raise ValueError(f"perceiver: {self.heads} query heads cannot be shared among {self.kv_heads} KV heads")


class GatedMlp(nnx.Module):
    """`down(silu(gate x) * up x)` without biases, from one axis to another."""

    def __init__(self, declare: Declare, inputs: Axes, inner: Axes, outputs: Axes, *, init, dtype: jnp.dtype):
        options = {"init": init, "use_bias": False, "dtype": dtype}
        self.gate = Dense(declare, inputs, inner, **options)
        self.up = Dense(declare, inputs, inner, **options)
        self.down = Dense(declare, inner, outputs, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, V, in] to [N, V, out]."""
        return self.down(jax.nn.silu(self.gate(x)) * self.up(x))


class PerceiverLayer(nnx.Module):
    """latents + attention(latents to visual tokens and latents), then + mlp."""

    def __init__(self, declare: Declare, sizes: PerceiverSizes, width: int, *, init, dtype: jnp.dtype):
        embed = Axes.of(embed=width)
        q = Axes.of(heads=sizes.heads, head_dim=sizes.head_dim)
        kv = Axes.of(kv_heads=sizes.kv_heads, head_dim=sizes.head_dim)
        options = {"init": init, "use_bias": False, "dtype": dtype}
        norm = {"eps": sizes.norm_eps, "dtype": dtype}
        self.latents_norm = RmsNorm(declare, width, **norm)
        self.visual_norm = RmsNorm(declare, width, **norm)
        self.q = Dense(declare, embed, q, **options)
        self.k = Dense(declare, embed, kv, **options)
        self.v = Dense(declare, embed, kv, **options)
        self.o = Dense(declare, q, embed, **options)
        self.mlp_norm = RmsNorm(declare, width, **norm)
        self.mlp = GatedMlp(declare, embed, Axes.of(mlp=sizes.mlp_ratio * width), embed, init=init, dtype=dtype)

    def __call__(self, latents: jax.Array, visual: jax.Array) -> jax.Array:
        """Maps latents [N, Q, D], seeing visual [N, V, D], to [N, Q, D]."""
        normed = self.latents_norm(latents)
        seen = jnp.concatenate([self.visual_norm(visual), normed], axis=1)
        latents = latents + self.o(attention(self.q(normed), self.k(seen), self.v(seen), None))
        return latents + self.mlp(self.mlp_norm(latents))


class PerceiverConnector(nnx.Module):
    """A gated MLP to the decoder's width, then the resampler, [N, V, d_vision] to [N, Q, d_text]."""

    def __init__(
        self,
        declare: Declare,
        sizes: PerceiverSizes,
        d_vision: int,
        d_text: int,
        *,
        init_std: float,
        dtype: jnp.dtype,
        remat: str = "none",
    ):
        self.sizes, self.dtype, self.remat = sizes, dtype, check_remat(remat)
        init, embed = layers.normal(init_std), Axes.of(embed=d_text)
        inner = Axes.of(mlp=sizes.projection_width or 4 * d_text)
        self.projection = GatedMlp(declare, Axes.of(connector_in=d_vision), inner, embed, init=init, dtype=dtype)
        # Random, where Idefics2's code starts with ones: equal latents have equal gradients, and would stay equal.
        self.latents = declare((sizes.queries, d_text), ("positions", "embed"), init)
        self.layers = PerceiverLayer(declare.stacked(sizes.depth), sizes, d_text, init=init, dtype=dtype)
        self.norm = RmsNorm(declare, d_text, eps=sizes.norm_eps, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, V, d_vision] to [N, Q, d_text]."""
        visual = self.projection(x)
        latents = jnp.broadcast_to(self.latents[...].astype(self.dtype), (x.shape[0], *self.latents.shape))

        def body(layer: PerceiverLayer, latents: jax.Array, index: jax.Array | int) -> jax.Array:
            return layer(latents, visual)

        return self.norm(run_stack(self.layers, body, latents, count=self.sizes.depth, scan=True, remat=self.remat))
