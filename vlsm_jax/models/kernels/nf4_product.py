"""The product of a few rows with an NF4 kernel, dequantised tile by tile in fast memory (Pallas, TPU).

`nf4_product_gpu` does the same for GPUs, where other tiles and another way from codes to values are needed.

XLA writes the whole dequantised kernel to memory and reads it again, 4.5 times the bytes of the codes or more. When
decoding, where a weight is used for a few rows only, reading weights is all the time there is.

Letters: R rows, I inputs, O outputs.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from vlsm_jax.models import nf4

# More rows than this reuse a dequantised kernel often enough for XLA's way.
MAX_ROWS = 128
_HALF = nf4.BLOCK // 2
# Tiles in order of preference. Sixteen blocks of inputs make full tiles of 8 x 128 of each operand.
_INPUT_TILES = (2048, 1024, 512)
_OUTPUT_TILES = (512, 256, 128)


def takes(format: str, rows: tuple[int, ...], outputs: int) -> bool:
    """Whether the kernel serves such a product, `rows` being the shape [R, I]; others go through XLA."""
    tiled = _tile(rows[1], _INPUT_TILES) is not None and _tile(outputs, _OUTPUT_TILES) is not None
    return format in ("nf4", "nf4-double") and rows[0] <= MAX_ROWS and tiled


def nf4_product(rows: jax.Array, arrays: dict[str, jax.Array], *, interpret: bool = False) -> jax.Array:
    """Maps [R, I] to [R, O], in the dtype of `rows`; products in bfloat16 unless `rows` are float32, sums in float32.

    Not differentiable: training goes through XLA.

    Args:
      rows: [R, I] with a shape that `takes` accepts.
      arrays: `codes`, `absmax` and, when double-quantised, `nested` and `offset`; see `nf4`. An `absmax` that has been
        dequantised before is taken as it is.
      interpret: step by step on any device, instead of compiled for a TPU.

    Raises:
      ValueError: a shape without tiles.
    """
    count, inputs = rows.shape
    codes, absmax = arrays["codes"], arrays["absmax"]
    outputs = codes.shape[1]
    input_tile, output_tile = _tile(inputs, _INPUT_TILES), _tile(outputs, _OUTPUT_TILES)
    if input_tile is None or output_tile is None:
        raise ValueError(
            f"no tiles for a kernel of {inputs} x {outputs}: inputs have to be a multiple of {_INPUT_TILES[-1]}, "
            f"outputs of {_OUTPUT_TILES[-1]}"
        )
    if absmax.dtype == jnp.uint8:
        absmax = nf4.dequantise_absmax(absmax, arrays["nested"], arrays["offset"])
    # A byte holds inputs j and 32 + j of a block. The rows are cut in the same way, so that nothing is interleaved.
    padded = -(-count // 16) * 16
    halves = jnp.pad(rows, ((0, padded - count), (0, 0))).reshape(padded, -1, 2, _HALF)
    high, low = (halves[:, :, i].reshape(padded, inputs // 2) for i in range(2))
    row_spec = pl.BlockSpec((padded, input_tile // 2), lambda o, i: (0, i))
    product = pl.pallas_call(
        _tile_product,
        grid=(outputs // output_tile, inputs // input_tile),
        in_specs=[
            row_spec,
            row_spec,
            pl.BlockSpec((input_tile // 2, output_tile), lambda o, i: (i, o)),
            pl.BlockSpec((input_tile // nf4.BLOCK, output_tile), lambda o, i: (i, o)),
        ],
        out_specs=pl.BlockSpec((padded, output_tile), lambda o, i: (0, o)),
        out_shape=jax.ShapeDtypeStruct((padded, outputs), rows.dtype),
        scratch_shapes=[pltpu.VMEM((padded, output_tile), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
        interpret=interpret,
    )
    return product(high, low, codes, absmax)[:count]


def _tile_product(high_ref, low_ref, codes_ref, absmax_ref, out_ref, sum_ref) -> None:
    """Adds the product of one tile of inputs; writes the sum after the last one."""

    @pl.when(pl.program_id(1) == 0)
    def _():
        sum_ref[...] = jnp.zeros_like(sum_ref)

    codes = codes_ref[...].astype(jnp.int32)
    absmax = absmax_ref[...]

    def add(rows: jax.Array, codes: jax.Array) -> jax.Array:
        values = nf4.select(codes).reshape(-1, _HALF, codes.shape[-1]) * absmax[:, None, :]
        kernel = values.reshape(codes.shape).astype(rows.dtype)
        precision = "highest" if rows.dtype == jnp.float32 else None
        return jnp.dot(rows, kernel, preferred_element_type=jnp.float32, precision=precision)

    sum_ref[...] += add(high_ref[...], codes >> 4) + add(low_ref[...], codes & 15)

    @pl.when(pl.program_id(1) == pl.num_programs(1) - 1)
    def _():
        out_ref[...] = sum_ref[...].astype(out_ref.dtype)


@functools.cache
def _tile(size: int, tiles: tuple[int, ...]) -> int | None:
    """Returns the first tile that divides the size."""
    return next((tile for tile in tiles if size % tile == 0), None)
