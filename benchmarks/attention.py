"""Attention by a GPU's kernel beside XLA's: do they agree, and how long do they take?

    python benchmarks/attention.py                 on a GPU, a minute
    python benchmarks/attention.py --tiny          anywhere: on a CPU XLA in bfloat16 beside float32

Figures, one JSON line each
  attention.agree: of every kind of row (one text, several, padded, a window) and implementation, how far results and
    gradients in bfloat16 lie from XLA's in float32, ||a - b|| / ||b||, worst of the four arrays; beside it `xla`'s own
    distance in bfloat16. Where that of the kernel is over 0.02 and twice XLA's, the line says that it is wrong.
  attention.time: milliseconds of forward and backward together, and the FLOP/s of what a causal row takes (three times
    the forward pass). Ways beside the product's own: `causal`, cuDNN without a mask, what a row of one text allows;
    `lengths`, with the length of each row; `packed`, cuDNN's own segments, by an interface that jax keeps to itself;
    `torch`, SDPA's flash kernel on the same shape, where torch finds the card.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks.turns import wait_for_turn  # noqa: E402
from vlsm_jax.models.attention import AttentionMask, attention  # noqa: E402

Attend = Callable[[jax.Array, jax.Array, jax.Array, "Rows"], jax.Array]
TOLERANCE = 0.02


class Shape(NamedTuple):
    """Rows, length, query heads, KV heads, width of a head."""

    batch: int
    length: int
    heads: int
    kv_heads: int
    width: int


SHAPES = {"tinyllama": Shape(4, 4096, 32, 4, 64), "starcoder2": Shape(4, 4096, 36, 4, 128)}
# XLA's way takes half a minute to compile for a GPU, so one shape is enough, and it comes last.
XLA_TIMED = "starcoder2"
CHECKED = Shape(2, 512, 8, 2, 64)
TINY = Shape(1, 256, 4, 2, 16)


class Rows(NamedTuple):
    """What is in a batch, all int32.

    Attributes:
      positions: [B, S], -1 for padding. segments: [B, S], 0 for padding.
      lengths: [B], tokens of each row.
      counts, offsets: [B, M] and [B, M + 1], of the segments, padding among them, as cuDNN takes them; the rest is -1.
    """

    positions: Any
    segments: Any
    lengths: Any
    counts: Any
    offsets: Any


def rows_of(batch: int, lengths: tuple[int, ...], length: int, most: int = 8) -> Rows:
    """Returns rows of texts of these lengths, one after another, padded to `length`; `most` is M."""
    positions, segments = np.full(length, -1, np.int32), np.zeros(length, np.int32)
    counts, offsets = np.full(most, -1, np.int32), np.full(most + 1, -1, np.int32)
    start = 0
    for number, count in enumerate(lengths):
        positions[start : start + count] = np.arange(count)
        segments[start : start + count] = number + 1
        start += count
    pieces = [*lengths, *([length - start] if start < length else [])]
    counts[: len(pieces)] = pieces
    # Where segments begin, and no end: jax joins the rows of a batch, and an end would count as another begin.
    offsets[: len(pieces)] = np.cumsum([0, *pieces[:-1]])
    return Rows(*(np.stack([x] * batch) for x in (positions, segments, np.int32(start), counts, offsets)))


def kinds(shape: Shape) -> dict[str, Rows]:
    """Returns the rows of each kind that is checked."""
    whole = shape.length
    several = (whole // 2 - 3, whole // 4, whole // 8 + 3)  # ends that are no multiple of anything
    return {
        "causal": rows_of(shape.batch, (whole,), whole),
        "segments": rows_of(shape.batch, (*several, whole - sum(several)), whole),
        "padded": rows_of(shape.batch, (whole - whole // 3,), whole),
        "segments, padded": rows_of(shape.batch, several, whole),
    }


def product_way(implementation: str, window: int | None = None) -> Attend:
    """Returns what training does."""

    def attend(q: jax.Array, k: jax.Array, v: jax.Array, rows: Rows) -> jax.Array:
        places = (rows.positions, rows.positions, window, rows.segments, rows.segments)
        return attention(q, k, v, AttentionMask(*places, aligned=True), implementation=implementation)

    return attend


def causal_way(window: int | None = None, *, lengths: bool = False) -> Attend:
    """Returns cuDNN's attention without a mask, by jax's public interface."""
    more = {} if window is None else {"local_window_size": (window - 1, 0)}

    def attend(q: jax.Array, k: jax.Array, v: jax.Array, rows: Rows) -> jax.Array:
        counts = {"query_seq_lengths": rows.lengths, "key_value_seq_lengths": rows.lengths} if lengths else {}
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn", **more, **counts)

    return attend


def packed_way(window: int | None = None) -> Attend:
    """Returns cuDNN's attention over its own segments; padding is one of them."""

    def attend(q: jax.Array, k: jax.Array, v: jax.Array, rows: Rows) -> jax.Array:
        from jax._src.cudnn import fused_attention_stablehlo as cudnn

        segments = (rows.counts, rows.counts, rows.offsets, rows.offsets)
        return cudnn.dot_product_attention(
            q,
            k,
            v,
            None,
            None,
            *segments,
            scale=q.shape[-1] ** -0.5,
            mask_type=cudnn.MaskType.PADDING_CAUSAL,
            sliding_window_length=window,
        )

    return attend


def operands(shape: Shape, dtype: Any, seed: int = 0) -> tuple[jax.Array, ...]:
    """Returns q, k, v and the gradient of the result."""
    keys = jax.random.split(jax.random.key(seed), 4)
    heads = (shape.heads, shape.kv_heads, shape.kv_heads, shape.heads)
    return tuple(
        jax.random.normal(key, (shape.batch, shape.length, n, shape.width), jnp.float32).astype(dtype)
        for key, n in zip(keys, heads, strict=True)
    )


def both_passes(attend: Attend) -> Callable[..., tuple[jax.Array, ...]]:
    """Returns what maps q, k, v, a gradient and rows to the result and the three gradients."""

    @jax.jit
    def run(q: jax.Array, k: jax.Array, v: jax.Array, gradient: jax.Array, rows: Rows) -> tuple[jax.Array, ...]:
        out, backward = jax.vjp(lambda q, k, v: attend(q, k, v, rows), q, k, v)
        return out, *backward(gradient)

    return run


def distance(found: tuple[jax.Array, ...], wanted: tuple[jax.Array, ...], rows: Rows) -> float:
    """Returns the worst of the four relative distances, at positions that hold a token."""
    there = jnp.asarray(rows.positions >= 0)[:, :, None, None]

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        a, b = (jnp.where(there, x.astype(jnp.float32), 0) for x in (a, b))
        return jnp.linalg.norm((a - b).ravel()) / jnp.linalg.norm(b.ravel())

    # NaN counts as the worst there is.
    return max((float(one(a, b)) for a, b in zip(found, wanted, strict=True)), key=lambda x: (x != x, x))


def agree(shape: Shape, on_gpu: bool) -> None:
    """Prints how far every implementation is from XLA in float32."""
    for window in (None, shape.length // 5):
        exact, own = both_passes(product_way("xla", window)), both_passes(product_way("xla", window))
        ways = {}
        if on_gpu:
            ways = {"cudnn": product_way("cudnn", window), "packed": packed_way(window), "causal": causal_way(window)}
            ways["lengths"] = causal_way(window, lengths=True)
        ways = {way: both_passes(attend) for way, attend in ways.items()}
        for kind, rows in kinds(shape).items():
            rounded = operands(shape, jnp.bfloat16)
            # Padding gets no gradient: what it gives has no meaning, and no loss reads it.
            there = jnp.asarray(rows.positions >= 0)[:, :, None, None]
            rounded = (*rounded[:3], jnp.where(there, rounded[3], 0))
            with jax.default_matmul_precision("highest"):
                wanted = exact(*(x.astype(jnp.float32) for x in rounded), rows)
            near = distance(own(*rounded, rows), wanted, rows)
            facts = {"kind": kind, "window": window, "shape": list(shape)}
            report("attention.agree", way="xla", value=round(near, 5), **facts)
            for way, run in ways.items():
                if (way == "causal" and kind != "causal") or (way == "lengths" and "segments" in kind):
                    continue
                with reported("attention.agree", way=way, **facts) as line:
                    far = distance(run(*rounded, rows), wanted, rows)
                    line |= {"value": round(far, 5), "wrong": not far <= max(TOLERANCE, 2 * near)}


def report(figure: str, **facts: Any) -> None:
    """Prints one line."""
    print(json.dumps({"figure": figure, **facts}), flush=True)


@contextlib.contextmanager
def reported(figure: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Prints one line, with what is put into it or what went wrong: the others are still to be looked at."""
    line: dict[str, Any] = {}
    try:
        yield line
    except Exception as error:  # whatever a kernel raises
        line["error"] = f"{type(error).__name__}: {error}"[:300]
    report(figure, **facts, **line)


def milliseconds(run: Callable[[], Any], wait: Callable[[Any], Any], rounds: int = 5, each: int = 4) -> float:
    """Returns the median over rounds of one run's time, several in a row and waited for once."""
    wait(run())
    wait(run())
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(each):
            last = run()
        wait(last)
        found.append((time.perf_counter() - began) / each)
    return 1e3 * statistics.median(found)


def times(name: str, shape: Shape, on_gpu: bool) -> None:
    """Prints how long each way takes."""
    inputs, whole = operands(shape, jnp.bfloat16), shape.length
    one = rows_of(shape.batch, (whole,), whole)
    eight = rows_of(shape.batch, (whole // 8,) * 8, whole)
    eight_of_many = rows_of(shape.batch, (whole // 8,) * 8, whole, most=64)
    window = whole // 4
    ways: dict[str, tuple[Attend, Rows]] = {}
    if on_gpu:
        ways = {
            "cudnn": (product_way("cudnn"), one),
            "causal": (causal_way(), one),
            "packed, 1 of 8": (packed_way(), one),
            "packed, 8 of 8": (packed_way(), eight),
            "packed, 8 of 64": (packed_way(), eight_of_many),
            "lengths": (causal_way(lengths=True), one),
            "cudnn, window": (product_way("cudnn", window), one),
            "causal, window": (causal_way(window), one),
        }
    if not on_gpu or name == XLA_TIMED:
        ways["xla"] = (product_way("xla"), one)
    flops = 3 * 4 * shape.width * shape.batch * shape.heads * whole * (whole + 1) / 2
    for way, (attend, rows) in ways.items():
        with reported("attention.time", model=name, way=way, shape=list(shape), unit="ms") as line:
            run = both_passes(attend)
            taken = milliseconds(lambda run=run, rows=rows: run(*inputs, rows), jax.block_until_ready)
            line |= {"value": round(taken, 3), "tflops_of_one_causal_text": round(flops / taken / 1e9, 1)}
    if on_gpu:
        with reported("attention.time", model=name, way="torch", shape=list(shape), unit="ms") as line:
            taken = torch_time(shape)
            line |= {"value": round(taken, 3), "tflops_of_one_causal_text": round(flops / taken / 1e9, 1)}


def torch_time(shape: Shape) -> float:
    """Returns the milliseconds that SDPA takes."""
    import torch

    def made(heads: int) -> torch.Tensor:
        size = (shape.batch, heads, shape.length, shape.width)
        return torch.randn(size, device="cuda", dtype=torch.bfloat16, requires_grad=True)

    q, k, v, gradient = made(shape.heads), made(shape.kv_heads), made(shape.kv_heads), made(shape.heads).detach()

    def run() -> None:
        q.grad = k.grad = v.grad = None
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        out.backward(gradient)

    return milliseconds(run, lambda _: torch.cuda.synchronize())


def main() -> None:
    """Compares, then times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small shapes: times mean nothing")
    options = parser.parse_args()
    wait_for_turn()
    on_gpu = jax.default_backend() == "gpu"
    agree(TINY if options.tiny else CHECKED, on_gpu)
    for name, shape in SHAPES.items():
        times(name, TINY if options.tiny else shape, on_gpu)


if __name__ == "__main__":
    main()
