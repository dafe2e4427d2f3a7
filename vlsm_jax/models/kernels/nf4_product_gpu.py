"""The product of a few rows with an NF4 kernel, dequantised in registers (Pallas through Triton, NVIDIA GPUs).

Why: see `nf4_product`, the kernel for TPUs. This one is checked step by step on a CPU and compiled for an H200 that was
not there; it has not been timed on a card.

A program takes a tile of outputs and a share of the inputs, block by block: 32 rows of bytes, 64 inputs, that share one
`absmax` for each output. Codes become values by a table of 16 floats that stays in the nearest cache; by selection, as
in XLA's way, arithmetic and not memory would set the pace. More rows than one go through the tensor cores, by weights
rounded as in XLA's way; one row is multiplied and added up in float32. Sums of the shares are added by XLA.

Letters: R rows, I inputs, O outputs, N shares of the inputs.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from vlsm_jax.models import nf4

# The sums of more rows than this do not stay in registers.
MAX_ROWS = 64
_HALF = nf4.BLOCK // 2
_OUTPUT_TILES = (128, 64)
# Rows that a product of the tensor cores has at least.
_LEAST_ROWS = 16
# An H200 has 132 multiprocessors, each of which is to have some programs waiting for memory while one computes. Of
# several rows there are more sums to write and to add up, so fewer shares.
_PROGRAMS = {"one row": 1024, "several": 512}
_WARPS = 4


def takes(format: str, rows: tuple[int, ...], outputs: int) -> bool:
    """Whether the kernel serves such a product, `rows` being the shape [R, I]; others go through XLA."""
    tiled = rows[1] % nf4.BLOCK == 0 and _output_tile(outputs) is not None
    return format in ("nf4", "nf4-double") and rows[0] <= MAX_ROWS and tiled


def nf4_product(rows: jax.Array, arrays: dict[str, jax.Array], *, interpret: bool = False) -> jax.Array:
    """Maps [R, I] to [R, O], in the dtype of `rows`; sums are in float32.

    Not differentiable: training goes through XLA.

    Args:
      rows: [R, I] with a shape that `takes` accepts.
      arrays: `codes`, `absmax` and, when double-quantised, `nested` and `offset`; see `nf4`.
      interpret: step by step on any device, instead of compiled for a GPU.

    Raises:
      ValueError: a shape that the kernel does not take.
      NotImplementedError: a jax whose Pallas has no Triton any more.
    """
    count, inputs = rows.shape
    outputs = arrays["codes"].shape[1]
    if not takes("nf4", rows.shape, outputs):
        raise ValueError(
            f"no tiles for {count} rows and a kernel of {inputs} x {outputs}: there may be {MAX_ROWS} rows, inputs "
            f"have to be a multiple of {nf4.BLOCK}, outputs of {_OUTPUT_TILES[-1]}"
        )
    tile, blocks = _output_tile(outputs), inputs // nf4.BLOCK
    shares = _shares(blocks, outputs // tile, _PROGRAMS["one row" if count == 1 else "several"])
    padded = 1 if count == 1 else max(_LEAST_ROWS, pl.next_power_of_2(count))
    # A byte holds inputs j and 32 + j of a block. The rows are cut in the same way, so that nothing is interleaved.
    halves = jnp.pad(rows, ((0, padded - count), (0, 0))).reshape(padded, blocks, 2, _HALF)
    high, low = (halves[:, :, i].reshape(padded, inputs // 2) for i in range(2))
    operands = [high, low, arrays["codes"], jnp.asarray(nf4.CODEBOOK), arrays["absmax"]]
    if arrays["absmax"].dtype == jnp.uint8:
        operands += [jnp.asarray(nf4.dynamic_map()), arrays["nested"], arrays["offset"].reshape(1)]
    product = pl.pallas_call(
        functools.partial(_share_of_tile, blocks=blocks // shares),
        grid=(outputs // tile, shares),
        in_specs=[pl.BlockSpec(operand.shape, _whole(operand.ndim)) for operand in operands],
        out_specs=pl.BlockSpec((1, padded, tile), lambda o, n: (n, 0, o)),
        out_shape=jax.ShapeDtypeStruct((shares, padded, outputs), jnp.float32),
        compiler_params=None if interpret else _compiler_params(),
        interpret=interpret,
    )
    return product(*operands)[:, :count].sum(axis=0).astype(rows.dtype)


def _share_of_tile(high_ref, low_ref, codes_ref, codebook_ref, absmax_ref, *rest, blocks: int) -> None:
    """Writes the product of one share of the inputs with one tile of outputs."""
    *nested_refs, out_ref = rest
    rows, tile = out_ref.shape[1:]
    dtype = high_ref.dtype
    columns = pl.ds(pl.program_id(0) * tile, tile)
    first = pl.program_id(1) * blocks
    output = pl.program_id(0) * tile + jax.lax.broadcasted_iota(jnp.int32, (tile,), 0)

    def scale(block: jax.Array) -> jax.Array:
        absmax = absmax_ref[block, columns]
        if not nested_refs:
            return absmax
        map_ref, nested_ref, offset_ref = nested_refs
        # In bitsandbytes' order: all blocks of the first output, then all of the second.
        place = (output * absmax_ref.shape[0] + block) // nf4.NESTED_BLOCK
        return nf4.rounded(map_ref[absmax.astype(jnp.int32)] * nested_ref[place]) + offset_ref[0]

    def read(index: jax.Array) -> tuple[jax.Array, jax.Array]:
        block = first + index
        return codes_ref[pl.ds(block * _HALF, _HALF), columns], scale(block)

    def add(index: jax.Array, carried: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        total, codes, absmax = carried
        # The next block is on its way while this one is multiplied; after the last there is none, and that one again.
        ahead = read(jnp.minimum(index + 1, blocks - 1))
        codes = codes.astype(jnp.int32)
        values = codebook_ref[codes >> 4], codebook_ref[codes & 15]
        half = pl.ds((first + index) * _HALF, _HALF)
        if rows == 1:
            high, low = (x_ref[0, half].astype(jnp.float32)[:, None] for x_ref in (high_ref, low_ref))
            total += (high * values[0] + low * values[1]) * absmax[None, :]
        else:
            for x_ref, value in zip((high_ref, low_ref), values, strict=True):
                kernel = (value * absmax[None, :]).astype(dtype)
                precision = "highest" if dtype == jnp.float32 else None
                total += jnp.dot(x_ref[:, half], kernel, preferred_element_type=jnp.float32, precision=precision)
        return total, *ahead

    start = jnp.zeros((_HALF if rows == 1 else rows, tile), jnp.float32)
    total, *_ = jax.lax.fori_loop(0, blocks, add, (start, *read(0)))
    out_ref[0] = total.sum(axis=0)[None, :] if rows == 1 else total


def _whole(axes: int):
    return lambda *_: (0,) * axes


def _compiler_params():
    try:
        from jax.experimental.pallas import triton
    except ImportError as error:
        raise NotImplementedError(
            f"jax {jax.__version__} has no Triton in Pallas, which the NF4 product for GPUs is made with; choose the "
            "quantised product 'xla'"
        ) from error
    return triton.CompilerParams(num_warps=_WARPS, num_stages=1)


def _output_tile(outputs: int) -> int | None:
    return next((tile for tile in _OUTPUT_TILES if outputs % tile == 0), None)


@functools.cache
def _shares(blocks: int, tiles: int, programs: int) -> int:
    """Returns into how many equal shares the blocks of inputs are cut, for so many programs or more."""
    divisors = [n for n in range(1, blocks + 1) if blocks % n == 0]
    return next((n for n in divisors if n * tiles >= programs), blocks)
