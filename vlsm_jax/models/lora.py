"""Low-rank adapters (Hu et al., 2021): `x W + s dropout(x) A B`, with W frozen.

The scale s is alpha / rank, or alpha / sqrt(rank) with rank stabilisation (Kalajdzievski, 2023).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import zlib

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models import layers
from vlsm_jax.models.layers import Axes, Declare, Dense
from vlsm_jax.models.quantised import QuantisedDense
from vlsm_jax.sharding import gathered


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """Attributes:
    rank: r, the width between A and B.
    alpha: numerator of the scale.
    dropout: share of the adapter's inputs that a training step drops.
    rslora: divide alpha by the root of the rank, not by the rank.
    targets: regular expressions, each of which has to match the whole path of at least one layer, such as
      "decoder/layers/attention/(q|v)"; a path is an expression for itself.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    rslora: bool = False
    targets: tuple[str, ...] = (r"decoder/layers/(attention|mlp)/\w+",)

    def __post_init__(self):
        object.__setattr__(self, "targets", (self.targets,) if isinstance(self.targets, str) else tuple(self.targets))
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ValueError(f"lora.rank={self.rank!r}; an adapter has a rank of 1 or more")
        if not math.isfinite(self.alpha) or self.alpha <= 0:
            raise ValueError(f"lora.alpha={self.alpha!r}; choose a positive number, often the rank or twice the rank")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"lora.dropout={self.dropout!r}; choose at least 0 and less than 1")
        if not self.targets:
            raise ValueError("lora.targets is empty; name at least one layer")

    @property
    def scale(self) -> float:
        """What the adapter's product is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


class LoraParam(nnx.Param):
    """A parameter of an adapter: `nnx.split(model, LoraParam, ...)` takes what is trained."""


class DropoutKey(nnx.Variable):
    """What one adapter drops by in one step, uint32 [2]; a stack has one for each layer."""


def _kaiming_uniform(fan_in: int) -> layers.Initializer:
    # PyTorch's default for a linear layer, and PEFT's: Kaiming with a = sqrt(5) comes to this bound.
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


class Lora(nnx.Module):
    """The two factors: `a` [*inputs, r] and `b` [r, *outputs], which starts at 0."""

    def __init__(self, declare: Declare, inputs: Axes, outputs: Axes, config: LoraConfig):
        self.config, self.inputs, self.outputs = config, inputs, outputs
        a = declare((*inputs.sizes, config.rank), (*inputs.names, "rank"), _kaiming_uniform(inputs.width))
        b = declare((config.rank, *outputs.sizes), ("rank", *outputs.names), layers.zeros)
        self.a = LoraParam(a.get_value(), logical_axes=a.logical_axes)
        self.b = LoraParam(b.get_value(), logical_axes=b.logical_axes)
        self.key = nnx.data(None)

    def factors(self, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
        """Returns A [I, r] and B [r, O] of one layer."""
        a = self.a[...].astype(dtype).reshape(self.inputs.width, self.config.rank)
        return a, self.b[...].astype(dtype).reshape(self.config.rank, self.outputs.width)

    def __call__(self, rows: jax.Array) -> jax.Array:
        """Maps [R, I] to [R, O]; drops inputs only where `with_dropout` has put a key."""
        scale = self.config.scale
        if self.key is not None:
            kept = kept_inputs(self.key[...], self.config.dropout, rows.shape)
            rows = jnp.where(kept, rows, 0)
            scale /= 1 - self.config.dropout  # what is kept stands for what is dropped
        a, b = self.factors(rows.dtype)
        # Scaled where it is narrow: [R, O] would be written twice, forward and backward.
        return (rows @ a) * scale @ b

    def delta(self) -> jax.Array:
        """Returns s A B [I, O] of one layer, in float32 throughout."""
        a, b = self.factors(jnp.float32)
        return jnp.matmul(a, b, precision="highest") * self.config.scale


def kept_inputs(key: jax.Array, dropout: float, shape: tuple[int, ...]) -> jax.Array:
    """Returns bool [R, I], what dropout leaves; the same for the same `key` [2], however rows are spread over devices.

    By a hash of key, row and column. Threefry, what `jax.random` has, takes twenty times the arithmetic per element,
    and three times over with remat: for each input of each adapter that was a third of the compiled step.
    """
    row = _mixed(jax.lax.broadcasted_iota(jnp.uint32, (shape[0], 1), 0) ^ key[0])
    column = _mixed(jax.lax.broadcasted_iota(jnp.uint32, (1, shape[1]), 1) ^ key[1])
    # Mixed apart, and once only: the barrier keeps it out of the products that the mask becomes a part of.
    row, column = jax.lax.optimization_barrier((row, _mixed(column)))
    row, column = (jax.lax.bitcast_convert_type(x, jnp.int32) for x in (row, column))  # compared signed
    bits = (row ^ column) * jnp.int32(0x21F0AAAD)
    bits = (bits ^ bits >> 15) * jnp.int32(0x2C1B3C6D)
    return bits >= jnp.int32(round(dropout * 2**32) - 2**31)


def _mixed(x: jax.Array) -> jax.Array:
    """Maps uint32 to uint32, one to one, each bit depending on all (Wellons' "lowbias32", factors improved)."""
    x = (x ^ x >> 16) * jnp.uint32(0x21F0AAAD)
    x = (x ^ x >> 15) * jnp.uint32(0xD35A2D97)
    return x ^ x >> 15


class _Adapted:
    """What an adapter adds to a dense layer of either kind."""

    def product(self, rows: jax.Array) -> jax.Array:
        """Maps [R, I] to [R, O], without the bias."""
        return super().product(rows) + self.lora(rows)


class LoraDense(_Adapted, Dense):
    """A dense layer with an adapter, whose own kernel keeps its path."""

    def __init__(self, dense: Dense, lora: Lora):
        self.inputs, self.outputs, self.dtype, self.bias = dense.inputs, dense.outputs, dense.dtype, dense.bias
        self.kernel, self.lora = dense.kernel, lora


class LoraQuantisedDense(_Adapted, QuantisedDense):
    """A quantised dense layer with an adapter."""

    def __init__(self, dense: QuantisedDense, lora: Lora):
        self.inputs, self.outputs, self.dtype, self.bias = dense.inputs, dense.outputs, dense.dtype, dense.bias
        self.kernel, self.implementation, self.lora = dense.kernel, dense.implementation, lora


def add_lora(dense: Dense, config: LoraConfig, rngs: nnx.Rngs, param_dtype: jnp.dtype) -> Dense:
    """Returns `dense` with a fresh adapter, which changes nothing as yet."""
    if isinstance(dense, _Adapted):
        raise ValueError("the layer has an adapter already; merge that one first")
    quantised = isinstance(dense, QuantisedDense)
    some = dense.kernel.codes if quantised else dense.kernel
    stack = some.get_value().shape[0] if some.logical_axes[0] == "layers" else None
    lora = Lora(Declare(rngs, param_dtype, stack), dense.inputs, dense.outputs, config)
    return (LoraQuantisedDense if quantised else LoraDense)(dense, lora)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _brought_together(x: jax.Array, logical_axes: tuple[str, ...]) -> jax.Array:
    return gathered(x, logical_axes)


def _forward(x: jax.Array, logical_axes: tuple[str, ...]) -> tuple[jax.Array, None]:
    return gathered(x, logical_axes), None


def _backward(logical_axes: tuple[str, ...], _: None, gradient: jax.Array) -> tuple[jax.Array]:
    return (gradient,)  # which goes to where its factor lies, and not to every device


_brought_together.defvjp(_forward, _backward)


def gather_adapters(model: nnx.Module) -> nnx.Module:
    """Brings the factors of all adapters together from the devices that share a batch, and returns `model`.

    Two bytes for each of them on every device, a hundredth of what a backbone takes; layer by layer they would travel
    in two dozen small pieces for each layer and pass.

    Args:
      model: as merged for one step; factors are in the compute dtype afterwards.
    """
    for _, module in nnx.iter_modules(model):
        if isinstance(module, _Adapted):
            for factor in (module.lora.a, module.lora.b):
                value = factor.get_value().astype(module.dtype)
                factor.set_value(_brought_together(value, tuple(factor.logical_axes)))
    return model


def with_dropout(model: nnx.Module, key: jax.Array) -> nnx.Module:
    """Gives every adapter with dropout a key of its own, and returns `model`; without a call nothing is dropped.

    Args:
      model: as merged for one training step; what is set here goes when the model goes.
      key: one per step, and per microbatch.
    """
    words = jax.random.bits(key, (2,), jnp.uint32)
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Lora) and module.config.dropout:
            own = _mixed(words ^ jnp.uint32(zlib.crc32("/".join(map(str, path)).encode())))
            if module.a.get_value().ndim > len(module.inputs.sizes) + 1:  # a stack
                own = _mixed(own + jnp.arange(module.a.get_value().shape[0], dtype=jnp.uint32)[:, None])
            module.key = DropoutKey(own)
    return model
