"""Parameters and the layers that every tower is made of: dense, embedding, norms, activations.

Each parameter is declared once, through `Declare`: its shape, its logical axes and how it is initialised. Placement,
tables and conversion read the logical axes from the parameter; nothing repeats them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from vlsm_jax.sharding import spread_columns

Initializer = Callable[[jax.Array, tuple[int, ...], jnp.dtype], jax.Array]

KEPT = "kept"
"""What results are marked with that rematerialisation "dots" keeps (`models.stack`)."""

normal = jax.nn.initializers.normal
zeros = jax.nn.initializers.zeros
ones = jax.nn.initializers.ones


@dataclasses.dataclass(frozen=True)
class Declare:
    """Makes the parameters of a module.

    Attributes:
      rngs: gives one key per parameter, in the order of declaration.
      param_dtype: the dtype in which parameters are stored.
      layers: when given, every parameter gets a leading "layers" axis of this length: a stack of equal layers.
    """

    rngs: nnx.Rngs
    param_dtype: jnp.dtype = jnp.float32
    layers: int | None = None

    def stacked(self, layers: int) -> Declare:
        """Returns a declarer for a stack of `layers` equal layers."""
        return dataclasses.replace(self, layers=layers)

    def __call__(self, shape: Sequence[int], logical_axes: Sequence[str], init: Initializer) -> nnx.Param:
        """Declares one parameter of one layer; `shape` and `logical_axes` are without the "layers" axis."""
        if len(shape) != len(logical_axes):
            raise ValueError(
                f"a parameter of shape {tuple(shape)} has {len(logical_axes)} logical axes: {logical_axes}"
            )
        shape, logical_axes = tuple(shape), tuple(logical_axes)
        if self.layers is not None:
            shape, logical_axes = (self.layers, *shape), ("layers", *logical_axes)
        return nnx.Param(init(self.rngs.params(), shape, self.param_dtype), logical_axes=logical_axes)


@dataclasses.dataclass(frozen=True)
class Axes:
    """Sizes and logical names of the input or output axes of a dense layer, such as (heads 32, head_dim 64)."""

    sizes: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, **sizes: int) -> Axes:
        """Returns axes in keyword order: `Axes.of(heads=32, head_dim=64)`."""
        return cls(tuple(sizes.values()), tuple(sizes))

    @property
    def width(self) -> int:
        """The number of elements over all axes."""
        return math.prod(self.sizes)


class Dense(nnx.Module):
    """`x @ kernel + bias` over one or more input and output axes.

    The kernel has the shape `inputs + outputs`. The product runs on two-dimensional operands: on CPU that is 12 to 20 %
    faster than the same product over [B, T, D], and elsewhere it makes no difference.
    """

    def __init__(
        self, declare: Declare, inputs: Axes, outputs: Axes, *, init: Initializer, use_bias: bool, dtype: jnp.dtype
    ):
        self.inputs, self.outputs, self.dtype = inputs, outputs, dtype
        self.kernel = declare(inputs.sizes + outputs.sizes, inputs.names + outputs.names, init)
        self.bias = declare(outputs.sizes, outputs.names, zeros) if use_bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., *inputs] to [..., *outputs] in the compute dtype."""
        lead = x.shape[: x.ndim - len(self.inputs.sizes)]
        rows = x.astype(self.dtype).reshape(-1, self.inputs.width)
        # Marked here, since inside a quantised product there is rematerialisation of its own.
        y = checkpoint_name(self.product(rows), KEPT)
        if self.bias is not None:
            y = y + self.bias[...].astype(self.dtype).reshape(self.outputs.width)
        return y.reshape(*lead, *self.outputs.sizes)

    def product(self, rows: jax.Array) -> jax.Array:
        """Maps [R, inputs] to [R, outputs], without the bias; what quantised and adapted layers do otherwise."""
        return few_rows(
            jnp.matmul, rows, self.kernel[...].astype(self.dtype).reshape(self.inputs.width, self.outputs.width)
        )


# Of a tile of a TPU's matrix unit.
_TILE_ROWS = 8


def few_rows(product: Callable[[jax.Array, jax.Array], jax.Array], rows: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns `product(rows, kernel)`, [R, ...]; fewer rows than a tile has are filled up with zeros on a TPU.

    XLA makes a product with a row or two into sums on the vector unit there, which the compiler for v5e and v6e takes
    for three times the work of the matrix unit (a head of 49,152 x 4,608 in bfloat16).
    """
    missing = _TILE_ROWS - rows.shape[0]
    if missing <= 0:
        return product(rows, kernel)

    def filled(rows: jax.Array, kernel: jax.Array) -> jax.Array:
        return product(jnp.pad(rows, ((0, missing), (0, 0))), kernel)[: rows.shape[0]]

    return jax.lax.platform_dependent(rows, kernel, tpu=filled, default=product)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def float32_product(form: str, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns `jnp.einsum(form, x, kernel)` in float32, whatever the dtype of the two.

    Its gradient is rounded to the dtype of `x` before it meets them: a product of float32 with bfloat16 is made in
    float32, at half the speed or less.
    """
    return jnp.einsum(form, x, kernel, preferred_element_type=jnp.float32)


def _product_backward(form: str, operands: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, ...]:
    x, kernel = operands
    gradient = gradient.astype(x.dtype)
    (to_x,) = jax.linear_transpose(lambda x: jnp.einsum(form, x, kernel), x)(gradient)
    (to_kernel,) = jax.linear_transpose(lambda kernel: jnp.einsum(form, x, kernel), kernel)(gradient)
    return to_x, to_kernel


float32_product.defvjp(lambda form, x, kernel: (float32_product(form, x, kernel), (x, kernel)), _product_backward)


class Embedding(nnx.Module):
    """A table of C rows of width D, looked up by index or, when tied, used as the output head."""

    def __init__(self, declare: Declare, rows: int, width: int, *, names: tuple[str, str], init: Initializer, dtype):
        self.dtype = dtype
        self.table = declare((rows, width), names, init)

    def __call__(self, index: jax.Array) -> jax.Array:
        """Maps int [...] to [..., D]; an index outside the table reads its nearest row."""
        return _rows_of(self.table[...], index, jnp.dtype(self.dtype))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _rows_of(table: jax.Array, index: jax.Array, dtype: jnp.dtype) -> jax.Array:
    return jnp.take(table, index, axis=0, mode="clip").astype(dtype)


def _forward(table: jax.Array, index: jax.Array, dtype: jnp.dtype) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _rows_of(table, index, dtype), (table, index)


def _backward(dtype: jnp.dtype, kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, None]:
    # Each device adds up the columns that it keeps, for all rows of the batch: what travels are the rows' gradients in
    # the compute dtype. XLA would make the whole table of its own rows on every device, and add up those.
    table, index = kept
    gradient = spread_columns(gradient).astype(table.dtype)
    index = jnp.clip(index, 0, table.shape[0] - 1)
    return jnp.zeros_like(table).at[index].add(gradient, mode="promise_in_bounds"), None


_rows_of.defvjp(_forward, _backward)


class RmsNorm(nnx.Module):
    """Root-mean-square norm (Zhang and Sennrich, 2019), in float32 whatever the compute dtype."""

    def __init__(self, declare: Declare, width: int, *, eps: float, dtype: jnp.dtype):
        self.eps, self.dtype = eps, dtype
        self.scale = declare((width,), ("norm",), ones)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., D] to [..., D] in the compute dtype."""
        x = x.astype(jnp.float32)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.eps)
        return (x * self.scale[...].astype(jnp.float32)).astype(self.dtype)


class OffsetRmsNorm(nnx.Module):
    """Root-mean-square norm whose stored scale is what to add to one, as in Gemma."""

    def __init__(self, declare: Declare, width: int, *, eps: float, dtype: jnp.dtype):
        self.eps, self.dtype = eps, dtype
        self.scale = declare((width,), ("norm",), zeros)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., D] to [..., D] in the compute dtype."""
        x = x.astype(jnp.float32)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.eps)
        return (x * (1 + self.scale[...].astype(jnp.float32))).astype(self.dtype)


class LayerNorm(nnx.Module):
    """Layer norm with scale and bias (Ba et al., 2016), in float32 whatever the compute dtype."""

    def __init__(self, declare: Declare, width: int, *, eps: float, dtype: jnp.dtype):
        self.eps, self.dtype = eps, dtype
        self.scale = declare((width,), ("norm",), ones)
        self.bias = declare((width,), ("norm",), zeros)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., D] to [..., D] in the compute dtype."""
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.eps)
        return (x * self.scale[...].astype(jnp.float32) + self.bias[...].astype(jnp.float32)).astype(self.dtype)


NORMS = {"rms": RmsNorm, "rms_offset": OffsetRmsNorm, "layer": LayerNorm}


def quick_gelu(x: jax.Array) -> jax.Array:
    """`x * sigmoid(1.702 x)`, the activation of OpenAI's CLIP."""
    return x * jax.nn.sigmoid(1.702 * x)


def gelu(x: jax.Array) -> jax.Array:
    """`x (1 + erf(x / sqrt 2)) / 2` in float32, as PyTorch has it; jax's own, by erfc, is ten times the program."""
    wide = x.astype(jnp.float32)
    return (0.5 * wide * (1 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "silu": jax.nn.silu,
    "gelu": gelu,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "quick_gelu": quick_gelu,
}


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """Returns the activation of that name; raises ValueError listing the names there are."""
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise ValueError(f"activation {name!r} is not one of {', '.join(sorted(ACTIVATIONS))}") from None
