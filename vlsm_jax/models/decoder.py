"""The decoder: a pre-norm transformer with grouped-query attention, rotary positions and a KV cache.

One module serves every family; `DecoderConfig` says which norms, MLP, biases and windows it has.

Letters: B batch, S tokens, T cached tokens, D width, N query heads, K KV heads, H head width, F FFN width, L layers,
C vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vlsm_jax.models import layers
from vlsm_jax.models.attention import AttentionMask, attention, check_implementation
from vlsm_jax.models.attention_kernels import check_platform
from vlsm_jax.models.cache import CacheSize, Filling, KVCache
from vlsm_jax.models.cached_attention import cached_attention
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.layers import Axes, Declare, Dense, Embedding, few_rows
from vlsm_jax.models.rope import Rope, rope_table, rotate
from vlsm_jax.models.stack import check_remat, run_stack
from vlsm_jax.sharding import constrain_batch

# Maps rotated q [B, S, N, H] and fresh k, v [B, S, K, H] to [B, S, N, H]; where keys come from is the caller's affair.
Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class LayerKind(NamedTuple):
    """What layers of one kind share: the rotations, and who sees whom."""

    rope: Rope
    mask: AttentionMask


class SelfAttention(nnx.Module):
    """Projections and rotation around attention."""

    def __init__(self, declare: Declare, config: DecoderConfig, dtype: jnp.dtype):
        embed = Axes.of(embed=config.width)
        q = Axes.of(heads=config.heads, head_dim=config.head_dim)
        kv = Axes.of(kv_heads=config.kv_heads, head_dim=config.head_dim)
        options = {"init": layers.normal(config.init_std), "use_bias": config.attention_bias, "dtype": dtype}
        self.q = Dense(declare, embed, q, **options)
        self.k = Dense(declare, embed, kv, **options)
        self.v = Dense(declare, embed, kv, **options)
        self.o = Dense(declare, q, embed, **options)

        def norm():
            return layers.NORMS[config.norm](declare, config.head_dim, eps=config.norm_eps, dtype=dtype)

        self.q_norm = norm() if config.query_key_norm else None
        self.k_norm = norm() if config.query_key_norm else None

    def __call__(self, x: jax.Array, rope: Rope, attend: Attend) -> jax.Array:
        """Maps [B, S, D] to [B, S, D]."""
        q, k = self.q(x), self.k(x)
        if self.q_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return self.o(attend(rotate(q, rope), rotate(k, rope), self.v(x)))


class Mlp(nnx.Module):
    """The feed-forward block, gated (SwiGLU and its kin) or plain."""

    def __init__(self, declare: Declare, config: DecoderConfig, dtype: jnp.dtype):
        embed, inner = Axes.of(embed=config.width), Axes.of(mlp=config.mlp_width)
        options = {"init": layers.normal(config.init_std), "use_bias": config.mlp_bias, "dtype": dtype}
        self.activation = config.activation
        self.gate = Dense(declare, embed, inner, **options) if config.mlp == "gated" else None
        self.up = Dense(declare, embed, inner, **options)
        self.down = Dense(declare, inner, embed, **options)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, S, D] to [B, S, D]."""
        act = layers.activation(self.activation)
        inner = act(self.up(x)) if self.gate is None else act(self.gate(x)) * self.up(x)
        return self.down(inner)


class Block(nnx.Module):
    """One decoder layer: x + attention(norm x), then x + mlp(norm x), the sums' right sides normed where asked for."""

    def __init__(self, declare: Declare, config: DecoderConfig, dtype: jnp.dtype):
        def norm():
            return layers.NORMS[config.norm](declare, config.width, eps=config.norm_eps, dtype=dtype)

        self.attention_norm = norm()
        self.attention = SelfAttention(declare, config, dtype)
        self.attention_post_norm = norm() if config.post_norms else None
        self.mlp_norm = norm()
        self.mlp = Mlp(declare, config, dtype)
        self.mlp_post_norm = norm() if config.post_norms else None

    def __call__(self, x: jax.Array, rope: Rope, attend: Attend) -> jax.Array:
        """Maps [B, S, D] to [B, S, D]."""
        y = self.attention(self.attention_norm(x), rope, attend)
        x = x + (y if self.attention_post_norm is None else self.attention_post_norm(y))
        y = self.mlp(self.mlp_norm(x))
        return x + (y if self.mlp_post_norm is None else self.mlp_post_norm(y))


class Decoder(nnx.Module):
    """A decoder-only language model.

    Args:
      config: sizes and family switches.
      rngs: keys for the initial parameters.
      dtype: compute dtype; norms, softmax, rotations and logits stay in float32.
      param_dtype: dtype in which parameters are stored.
      remat: what the backward pass keeps; see `stack.run_stack`.
      scan_layers: one scan over the layers, or a Python loop; equal results.
      attention_implementation: see `attention.attention`.
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        rngs: nnx.Rngs,
        dtype: jnp.dtype = jnp.float32,
        param_dtype: jnp.dtype = jnp.float32,
        remat: str = "none",
        scan_layers: bool = True,
        attention_implementation: str = "xla",
    ):
        self.config, self.dtype = config, dtype
        self.remat, self.scan_layers = check_remat(remat), scan_layers
        self.attention_implementation = check_implementation(attention_implementation)
        declare = Declare(rngs, param_dtype)
        init = layers.normal(config.init_std)
        self.embedding = Embedding(
            declare, config.vocabulary, config.width, names=("vocab", "embed"), init=init, dtype=dtype
        )
        self.layers = Block(declare.stacked(config.layers), config, dtype)
        self.norm = layers.NORMS[config.norm](declare, config.width, eps=config.norm_eps, dtype=dtype)
        self.head = None if config.tied else declare((config.width, config.vocabulary), ("embed", "vocab"), init)

    def embed(self, tokens: jax.Array) -> jax.Array:
        """Maps int tokens [B, T] to [B, T, D]."""
        x = self.embedding(tokens)
        if self.config.scaled_embedding:
            x = x * jnp.asarray(self.config.width**0.5, x.dtype)
        return constrain_batch(x)

    def __call__(
        self,
        x: jax.Array,
        *,
        positions: jax.Array,
        segment_ids: jax.Array | None = None,
        cache: KVCache | CacheSize | None = None,
        leading: bool = False,
    ) -> tuple[jax.Array, KVCache | None]:
        """Runs the layers and the final norm.

        Args:
          x: [B, S, D] embedded tokens.
          positions: int32 [B, S]; each token's place in its own sequence, -1 for padding, which nobody sees and which
            gives a finite value without meaning.
          segment_ids: int32 [B, S] when a row holds several sequences; tokens see their own segment only. Without a
            cache, the tokens of a sequence stand side by side in order, with padding before or after them only. A token
            behind a sequence with its segment negated sees the sequence and is seen by none, itself included.
          cache: keys and values of earlier tokens. The new ones are written at their positions first. A size begins a
            cache of the tokens given, a sequence per row as above.
          leading: without segment ids and cache: each row begins with its sequence, and padding stands behind it.
            Kernels then need no mask.

        Returns:
          (hidden [B, S, D] in the compute dtype, the cache with the new tokens, or None).

        Raises:
          ValueError: segment ids together with a cache, which holds one sequence per row, or more new tokens than the
            cache has slots.
        """
        x = constrain_batch(x.astype(self.dtype))
        if cache is None:
            x = self._run_layers(x, positions, segment_ids, leading)
        else:
            if segment_ids is not None:
                raise ValueError("segment_ids cannot be used with a cache: each cached row holds one sequence")
            if x.shape[1] > cache.length:
                raise ValueError(f"{x.shape[1]} new tokens per row do not fit the cache's {cache.length} slots")
            check_platform(self.attention_implementation)
            run = self._run_layers_filling if isinstance(cache, CacheSize) else self._run_layers_cached
            x, cache = run(x, positions, cache)
        return self.norm(x), cache

    def _run_layers(
        self, x: jax.Array, positions: jax.Array, segment_ids: jax.Array | None, leading: bool
    ) -> jax.Array:
        # A token with a negative segment sees that segment's, and matches no query.
        queries = None if segment_ids is None else jnp.abs(segment_ids)
        kinds = self._kinds(AttentionMask(positions, positions, None, queries, segment_ids, True, leading))

        def body(block: Block, x: jax.Array, index: jax.Array | int) -> jax.Array:
            attend = functools.partial(self._attend, kinds, index)
            return constrain_batch(block(x, self._rope(kinds, index), attend))

        return self._stack(body, x)

    def _run_layers_filling(self, x: jax.Array, positions: jax.Array, size: CacheSize) -> tuple[jax.Array, KVCache]:
        kinds = self._kinds(AttentionMask(positions, positions, aligned=True))
        filling = Filling.create(self.config, positions, size, self.dtype)

        def body(block: Block, carry: tuple[jax.Array, tuple], index: int):
            x, kept = carry

            def attend(q, k, v):
                nonlocal kept
                kept = (*kept, filling.layer(index, k, v))
                return self._attend(kinds, index, q, k, v)

            x = constrain_batch(block(x, self._rope(kinds, index), attend))
            return x, kept

        x, kept = self._each_layer(body, (x, ()))
        return x, filling.cache(kept)

    def _run_layers_cached(self, x: jax.Array, positions: jax.Array, cache: KVCache) -> tuple[jax.Array, KVCache]:
        cache = cache.mark(positions)
        kinds = self._kinds(AttentionMask(positions, positions))

        def body(block: Block, carry: tuple[jax.Array, KVCache], index: int):
            x, cache = carry

            def attend(q, k, v):
                nonlocal cache
                cache = cache.write(index, positions, k, v)
                kind = kinds[-1] if len(kinds) == 1 or not self._is_global(index) else kinds[0]
                mask = kind.mask._replace(kv_positions=cache.positions_of(index))
                return cached_attention(q, cache.k[index], cache.v[index], mask, scale=self.config.query_scale)

            x = constrain_batch(block(x, self._rope(kinds, index), attend))
            return x, cache

        return self._each_layer(body, (x, cache))

    def _kinds(self, mask: AttentionMask) -> tuple[LayerKind, ...]:
        """Returns the kinds of layers there are: one, or the global and the local ones."""
        config = self.config
        rope = rope_table(mask.q_positions, config.head_dim, config.rope_theta, config.rope_scaling)
        local_mask = mask._replace(window=config.sliding_window)
        if config.global_layers is None:
            return (LayerKind(rope, local_mask),)
        local_rope = rope
        if config.rope_local_theta is not None:
            local_rope = rope_table(mask.q_positions, config.head_dim, config.rope_local_theta)
        return (LayerKind(rope, mask), LayerKind(local_rope, local_mask))

    def _is_global(self, index: jax.Array | int) -> jax.Array | bool:
        """Whether the layer is a global one; traced when the index is."""
        table = np.isin(np.arange(self.config.layers), self.config.global_layers)
        return bool(table[index]) if isinstance(index, int) else jnp.asarray(table)[index]

    def _rope(self, kinds: tuple[LayerKind, ...], index: jax.Array | int) -> Rope:
        if len(kinds) == 1:
            return kinds[0].rope
        whole, local = kinds
        is_global = self._is_global(index)
        return jax.tree.map(lambda a, b: jnp.where(is_global, a, b), whole.rope, local.rope)

    def _attend(
        self, kinds: tuple[LayerKind, ...], index: jax.Array | int, q: jax.Array, k: jax.Array, v: jax.Array
    ) -> jax.Array:
        """Runs attention as the layer's kind says.

        In a scan over layers of two kinds each is compiled once and one of them runs: the window stays a number that is
        known when compiling, so local layers skip what they cannot see.
        """
        options = {"implementation": self.attention_implementation, "scale": self.config.query_scale}
        ways = [functools.partial(attention, mask=kind.mask, **options) for kind in kinds]
        if len(ways) == 1:
            return ways[0](q, k, v)
        is_global = self._is_global(index)
        if isinstance(is_global, bool):
            return ways[not is_global](q, k, v)
        return jax.lax.cond(is_global, *ways, q, k, v)

    def _stack(self, body, carry):
        count = self.config.layers
        return run_stack(self.layers, body, carry, count=count, scan=self.scan_layers, remat=self.remat)

    def _each_layer(self, body, carry):
        # Not in a scan, which would copy each layer's weights first, and where all layers would have as many slots.
        return run_stack(self.layers, body, carry, count=self.config.layers, scan=False, remat="none")

    @property
    def head_weights(self) -> jax.Array:
        """The output head as it is kept: [D, C], or the embedding [C, D] where the two are tied."""
        return (self.embedding.table if self.head is None else self.head)[...]

    def logits(self, hidden: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        """Maps normed hidden states [B, S, D] (or [R, D]) to float32 scores [B, S, C] (or [R, C]).

        `weights` stand for `head_weights`, for a caller who has them elsewhere; of as many ids as they have.
        """
        rows = hidden.astype(self.dtype).reshape(-1, self.config.width)
        weights = (self.head_weights if weights is None else weights).astype(self.dtype)
        form = "rd,cd->rc" if self.head is None else "rd,dc->rc"
        scores = few_rows(functools.partial(layers.float32_product, form), rows, weights)
        if self.config.logit_softcap is not None:
            scores = self.config.logit_softcap * jnp.tanh(scores / self.config.logit_softcap)
        return scores.reshape(*hidden.shape[:-1], scores.shape[-1])
