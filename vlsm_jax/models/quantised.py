"""Frozen quantised kernels, and the dense layer that multiplies by one.

A kernel is dequantised where it is used. The backward pass needs no more than its transpose, and dequantises once more
instead of keeping it: what lives from forward to backward are the codes, which are parameters and live anyway.

Letters: R rows, I inputs, O outputs (all axes of either together).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models import integers, nf4
from vlsm_jax.models.kernels import nf4_product, nf4_product_gpu
from vlsm_jax.models.layers import Axes, Dense
from vlsm_jax.models.layerwise import Layerwise
from vlsm_jax.sharding import gathered

Arrays = dict[str, jax.Array]
# What a CPU dequantises at a time, so that it is multiplied while it is in the cache. Less would take many short turns,
# after each of which one core waits for the other.
_PIECE_BYTES = 30 * 2**20


class Frozen(nnx.Variable):
    """A variable that is never trained: a part of a quantised kernel."""


class Format(NamedTuple):
    """A way to keep a kernel [I, O] in fewer bits.

    Attributes:
      bits: per weight, statistics included.
      quantise: kernel to arrays; `codes` and `absmax`, whose first axis runs over inputs or blocks of them and whose
        last over outputs, and others that are whole on every device.
      dequantise: arrays and dtype to the kernel.
    """

    bits: float
    quantise: Callable[[jax.Array], Arrays]
    dequantise: Callable[[Arrays, jnp.dtype], jax.Array]


FORMATS = {
    "nf4": Format(4 + 32 / 64, nf4.quantise, nf4.dequantise),
    "nf4-double": Format(4 + 8 / 64 + 32 / (64 * 256), nf4.quantise_double, nf4.dequantise),
    "int8": Format(8 + 32 / 64, integers.quantise_int8, integers.dequantise_int8),
    "int4": Format(4 + 32 / 64, integers.quantise_int4, integers.dequantise_int4),
}


def check_format(name: str) -> str:
    """Returns `name`; raises ValueError listing the formats when it is none of them."""
    if name not in FORMATS:
        raise ValueError(f"quantised format {name!r} is not one of {', '.join(FORMATS)}")
    return name


class QuantisedKernel(nnx.Module):
    """The arrays of one kernel, or of a stack of them, each with a leading "layers" axis then.

    Args:
      kernel: what is to be quantised, [*inputs, *outputs] or [layers, *inputs, *outputs].
      inputs, outputs: its axes. All inputs become one axis, named like the first of them, so that blocks may run over
        several heads.
      format: a name in `FORMATS`.

    Raises:
      ValueError: an unknown format, or inputs that are no multiple of a block.
    """

    def __init__(self, kernel: nnx.Param, inputs: Axes, outputs: Axes, format: str):
        self.inputs, self.outputs, self.format = inputs, outputs, check_format(format)
        if inputs.width % nf4.BLOCK:
            raise ValueError(
                f"{inputs.width} inputs ({' x '.join(inputs.names)}) are no multiple of {nf4.BLOCK}, the block of "
                f"{format}; choose another width, or leave this layer as it is"
            )
        lead = kernel.logical_axes[: -len(inputs.sizes + outputs.sizes)]
        value = kernel.get_value()
        flat = value.reshape(*value.shape[: len(lead)], inputs.width, outputs.width)
        quantise = FORMATS[format].quantise
        # One layer at a time: the float32 blocks of a whole stack would not fit where its codes do.
        arrays = jax.lax.map(quantise, flat) if lead else quantise(flat)
        self.names = tuple(arrays)
        for name, array in arrays.items():
            if name in ("codes", "absmax"):
                shape, axes = (*array.shape[:-1], *outputs.sizes), (inputs.names[0], *outputs.names)
            else:
                shape, axes = array.shape, ("block",) * (array.ndim - len(lead))
            setattr(self, name, Frozen(array.reshape(shape), logical_axes=(*lead, *axes)))

    def arrays(self) -> Arrays:
        """Returns the arrays of one layer, outputs in one axis; gathered, so that codes travel and not the kernel."""
        axes = (self.inputs.names[0], *self.outputs.names)
        read = {name: getattr(self, name)[...] for name in self.names}
        read |= {name: gathered(read[name], axes) for name in ("codes", "absmax")}
        return {n: a.reshape(a.shape[0], -1) if n in ("codes", "absmax") else a for n, a in read.items()}

    def dequantise(self, dtype: jnp.dtype) -> jax.Array:
        """Returns the kernel [*inputs, *outputs] of one layer."""
        kernel = FORMATS[self.format].dequantise(self.arrays(), dtype)
        return kernel.reshape(*self.inputs.sizes, *self.outputs.sizes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def frozen_product(format: str, rows: jax.Array, arrays: Arrays) -> jax.Array:
    """Maps [R, I] to [R, O] by a quantised kernel, which gets no gradient; computes in the dtype of `rows`."""
    return _by_platform(_in_one, _in_pieces, format, rows, arrays)


def _forward(format: str, rows: jax.Array, arrays: Arrays) -> tuple[jax.Array, Arrays]:
    return frozen_product(format, rows, arrays), arrays


def _backward(format: str, arrays: Arrays, gradient: jax.Array) -> tuple[jax.Array, None]:
    # The barrier keeps XLA from seeing that the forward pass has made the same kernel, and from keeping that one.
    arrays, gradient = jax.lax.optimization_barrier((arrays, gradient))
    return _by_platform(_transposed_in_one, _transposed_in_pieces, format, gradient, arrays), None


frozen_product.defvjp(_forward, _backward)


def _by_platform(in_one: Callable, in_pieces: Callable, format: str, rows: jax.Array, arrays: Arrays) -> jax.Array:
    """Multiplies by a kernel in pieces where it is large, on a lone CPU, and by the whole of it elsewhere.

    On a CPU, a kernel of 4,608 x 18,432 in new memory is 324 MiB at which half as much time goes as at its product with
    256 rows; a piece stays in the cache. An accelerator is busy with the whole at once, and pieces of an axis that is
    spread over devices would travel.
    """
    mesh = jax.sharding.get_abstract_mesh()
    whole = functools.partial(in_one, format)
    if _pieces(arrays, rows.dtype) == 1 or not (mesh.empty or mesh.size == 1):
        return whole(rows, arrays)
    return jax.lax.platform_dependent(rows, arrays, cpu=functools.partial(in_pieces, format), default=whole)


def _in_one(format: str, rows: jax.Array, arrays: Arrays) -> jax.Array:
    return rows @ FORMATS[format].dequantise(arrays, rows.dtype)


def _transposed_in_one(format: str, rows: jax.Array, arrays: Arrays) -> jax.Array:
    return jnp.einsum("ro,io->ri", rows, FORMATS[format].dequantise(arrays, rows.dtype))


def _in_pieces(format: str, rows: jax.Array, arrays: Arrays) -> jax.Array:
    pieces, outputs = _pieces(arrays, rows.dtype), arrays["codes"].shape[1]
    columns = outputs // pieces
    arrays = _plain_statistics(arrays)

    def add(piece: jax.Array, product: jax.Array) -> jax.Array:
        part = _in_one(format, rows, _columns(arrays, piece * columns, columns))
        return jax.lax.dynamic_update_slice_in_dim(product, part, piece * columns, axis=1)

    return jax.lax.fori_loop(0, pieces, add, jnp.zeros((len(rows), outputs), rows.dtype))


def _transposed_in_pieces(format: str, rows: jax.Array, arrays: Arrays) -> jax.Array:
    pieces = _pieces(arrays, rows.dtype)
    columns = rows.shape[1] // pieces
    arrays = _plain_statistics(arrays)

    def add(piece: jax.Array, total: jax.Array) -> jax.Array:
        part = jax.lax.dynamic_slice_in_dim(rows, piece * columns, columns, axis=1)
        kernel = FORMATS[format].dequantise(_columns(arrays, piece * columns, columns), rows.dtype)
        return total + jnp.einsum("ro,io->ri", part, kernel, preferred_element_type=jnp.float32)

    start = jnp.zeros((len(rows), _inputs(arrays)), jnp.float32)
    return jax.lax.fori_loop(0, pieces, add, start).astype(rows.dtype)


def _pieces(arrays: Arrays, dtype: jnp.dtype) -> int:
    """Returns how many equal pieces of outputs a kernel is cut into; 1 where it is small or does not divide."""
    outputs = arrays["codes"].shape[1]
    least = -(-_inputs(arrays) * outputs * jnp.dtype(dtype).itemsize // _PIECE_BYTES)
    # A cache line of codes is 64 of them.
    return next((n for n in range(least, outputs // 64 + 1) if outputs % (64 * n) == 0), 1)


def _inputs(arrays: Arrays) -> int:
    return arrays["absmax"].shape[0] * nf4.BLOCK


def _columns(arrays: Arrays, first: jax.Array, count: int) -> Arrays:
    return {n: jax.lax.dynamic_slice_in_dim(a, first, count, axis=1) for n, a in arrays.items()}


def _plain_statistics(arrays: Arrays) -> Arrays:
    """Returns codes and `absmax` in float32, of which each column stands for itself."""
    return {"codes": arrays["codes"], "absmax": nf4.plain_absmax(arrays)}


class QuantisedDense(Dense):
    """A dense layer with a frozen quantised kernel; the bias stays as it was.

    Args:
      dense: the layer whose kernel is quantised; it is left as it is.
      format: a name in `FORMATS`.
    """

    def __init__(self, dense: Dense, format: str):
        self.inputs, self.outputs, self.dtype, self.bias = dense.inputs, dense.outputs, dense.dtype, dense.bias
        self.kernel = QuantisedKernel(dense.kernel, dense.inputs, dense.outputs, format)
        self.implementation = "xla"

    def product(self, rows: jax.Array) -> jax.Array:
        """Maps [R, I] to [R, O], without the bias."""
        arrays, format = self.kernel.arrays(), self.kernel.format
        fused = FUSED.get(self.implementation)
        if fused is not None and fused.takes(format, rows.shape, self.outputs.width):
            return fused.product(rows, arrays)
        return frozen_product(format, rows, arrays)


class Fused(NamedTuple):
    """A kernel that dequantises and multiplies at once.

    Attributes:
      takes: format, shape of the rows and number of outputs to whether it serves such a product.
      product: rows [R, I] and arrays to [R, O].
    """

    takes: Callable[[str, tuple[int, ...], int], bool]
    product: Callable[[jax.Array, Arrays], jax.Array]


FUSED = {
    "pallas-tpu": Fused(nf4_product.takes, nf4_product.nf4_product),
    "pallas-gpu": Fused(nf4_product_gpu.takes, nf4_product_gpu.nf4_product),
    "interpret": Fused(nf4_product.takes, functools.partial(nf4_product.nf4_product, interpret=True)),
}
IMPLEMENTATIONS = ("xla", *FUSED)
"""What a quantised layer may multiply by; "interpret" is the kernel for TPUs step by step, on any device."""

PRODUCTS = ("auto", "xla", "pallas", "interpret")
"""What may be asked for where tokens are decoded: see `product_for`."""


def product_for(name: str, platform: str, devices: int) -> str:
    """Returns the implementation that `name` in `PRODUCTS` stands for when decoding.

    Args:
      name: "pallas" is the kernel for the platform; "auto" is that on a TPU and XLA elsewhere, as the kernel for GPUs
        has been compiled and checked, and not been timed on a card; other names stand for themselves.
      platform: "cpu", "tpu" or "gpu".
      devices: how many share a kernel; the Pallas kernels work on whole ones, so they are for one alone.

    Raises:
      ValueError: an unknown name, or "pallas" for several devices or a CPU.
    """
    if name not in PRODUCTS:
        raise ValueError(f"quantised product {name!r} is not one of {', '.join(PRODUCTS)}")
    kernel = f"pallas-{platform}"
    fits = kernel in FUSED and devices == 1
    if name == "pallas" and not fits:
        raise ValueError(
            f"quantised product 'pallas' is for one TPU or one GPU, not for {devices} device(s) of the platform "
            f"{platform!r}; choose 'xla', or 'auto' for a kernel where there is a proven one"
        )
    if name == "pallas" or (name == "auto" and fits and platform == "tpu"):
        return kernel
    return "xla" if name == "auto" else name


def set_implementation(model: nnx.Module, implementation: str) -> None:
    """Chooses how every quantised layer of `model` multiplies, by a name in `IMPLEMENTATIONS`.

    Shapes that a kernel does not take go through XLA all the same.

    Raises:
      ValueError: an unknown implementation.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"quantised product {implementation!r} is not one of {', '.join(IMPLEMENTATIONS)}")
    for _, module in nnx.iter_modules(model):
        if isinstance(module, QuantisedDense):
            module.implementation = implementation


def laid_out(params: dict[str, jax.Array | Layerwise], implementation: str) -> dict[str, jax.Array | Layerwise]:
    """Returns flat parameters, layers apart, as an implementation reads them with the least work per token.

    For the kernel for TPUs, outputs become one axis, since to split or join axes moves every byte there, and doubly
    quantised statistics are dequantised, an eleventh of the codes' memory. For others nothing changes.

    Args:
      params: of `layerwise.take_apart`, on one device; what is replaced is taken out, one kernel after another.
      implementation: a name in `IMPLEMENTATIONS`.
    """
    if implementation != "pallas-tpu":
        return params
    for name in [name for name in params if name.endswith("/kernel/codes") and isinstance(params[name], Layerwise)]:
        kernel = name.removesuffix("codes")
        params[name] = Layerwise(map(_flat, params[name]))
        parts = [params[kernel + part] for part in ("absmax", "nested", "offset") if kernel + part in params]
        params[kernel + "absmax"] = Layerwise(_plain_absmax(*layer) for layer in zip(*parts, strict=True))
    return params


@jax.jit
def _flat(array: jax.Array) -> jax.Array:
    return array.reshape(array.shape[0], -1)


@jax.jit
def _plain_absmax(absmax: jax.Array, *nested: jax.Array) -> jax.Array:
    flat = _flat(absmax)
    return nf4.dequantise_absmax(flat, *nested) if nested else flat
