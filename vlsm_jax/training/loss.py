"""Token-weighted cross-entropy, in chunks.

The logits of a whole batch, [B * S, C] in float32, are the largest array of a training step: 0.5 GiB for one sequence
of 4,353 positions and 32,000 ids. They are made chunk by chunk here, and once: nothing comes behind the loss, so that
each chunk's gradient is known as soon as its logits are (as in Liger Kernel, Hsu et al., 2024, arXiv 2410.10989).

Of a triplet a third of the positions may have a target, where visual tokens, prompt and padding have none. Those that
have one are brought together, and chunks without any make no logits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vlsm_jax.models.attention_kernels import target_platform
from vlsm_jax.sharding import BATCH_AXES

# Positions whose logits exist at one time: a sixteenth of all, but no fewer, and no more of each row.
CHUNK = 256


def chunk_size(rows: int, length: int, chunk: int = CHUNK) -> int:
    """Returns how many positions of so many rows are handled at a time; `chunk` takes the place of `CHUNK`."""
    return min(max(chunk, rows * length // 16), rows * min(chunk, length))


class LossSum(NamedTuple):
    """A loss not yet divided: sums over microbatches, devices and hosts stay exact, and the division happens once.

    Attributes:
      loss: float32 [], sum of the weighted negative log likelihoods, in nats.
      weight: float32 [], sum of the weights.
      correct: float32 [], weighted number of targets that nothing scores higher than: what a greedy choice hits.
      targets: float32 [], how many targets have a weight.
    """

    loss: jax.Array
    weight: jax.Array
    correct: jax.Array
    targets: jax.Array

    def __add__(self, other: LossSum) -> LossSum:  # type: ignore[override]
        return LossSum(*(a + b for a, b in zip(self, other, strict=True)))

    @classmethod
    def zero(cls) -> LossSum:
        """The sum over nothing."""
        return cls(*(jnp.zeros((), jnp.float32) for _ in cls._fields))


def _chunk_loss(
    logits: jax.Array, targets: jax.Array, weights: jax.Array, parts: str | None
) -> tuple[LossSum, jax.Array]:
    """The loss of logits [1, n, C], and its gradient.

    `parts` is the mesh axis along which each device has some of the ids; None: it has all. The loss is that of all ids,
    the gradient that of a device's own.
    """
    highest = jnp.max(logits, axis=-1)
    first = 0 if parts is None else jax.lax.axis_index(parts) * logits.shape[-1]
    place = targets - first
    picked = jnp.take_along_axis(logits, place[..., None], axis=-1, mode="clip")[..., 0]
    if parts is not None:
        highest = jax.lax.pmax(highest, parts)
        picked = jnp.where((place >= 0) & (place < logits.shape[-1]), picked, 0.0)
    total = jnp.sum(jnp.exp(logits - highest[..., None]), axis=-1)
    if parts is not None:
        total, picked = jax.lax.psum((total, picked), parts)
    normaliser = highest + jnp.log(total)
    loss = LossSum(
        jnp.sum(weights * (normaliser - picked)),
        jnp.sum(weights),
        jnp.sum(weights * (picked >= highest)),
        jnp.sum(weights > 0, dtype=jnp.float32),
    )
    is_target = jax.lax.broadcasted_iota(place.dtype, logits.shape, 2) == place[..., None]
    gradient = weights[..., None] * (jnp.exp(logits - normaliser[..., None]) - is_target)
    return loss, gradient


def sharded_cross_entropy(
    hidden: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    head: jax.Array,
    to_logits: Callable[[jax.Array, jax.Array], jax.Array],
    dtype: jnp.dtype,
    embed_axis: int = 0,
) -> LossSum:
    """Returns `cross_entropy`, each device making the logits of its own rows, and of its own ids along `tensor`.

    Left to itself XLA gathers a head that is spread over devices for every chunk, and adds up its gradient among
    devices for every chunk. Here the head travels once over `fsdp`, in `dtype`, and so does its gradient; the chunks'
    gradients are added in float32 before, and each device gets those of its own part. Over `tensor` no part of the head
    travels: of each position's logits only sums and the highest do.

    Args:
      hidden, targets, weights: as for `cross_entropy`, under a mesh (`jax.set_mesh`) or not.
      head: the weights of the output head, [D, C] or [C, D].
      to_logits: ([1, n, D], head or some of its ids) to [1, n, C or as many].
      dtype: what is computed in.
      embed_axis: of `head`, the axis that is spread over `fsdp`; the other one is over `tensor`.
    """
    mesh = jax.sharding.get_abstract_mesh()
    sizes = {} if mesh.empty else dict(mesh.shape)
    axes = tuple(name for name in BATCH_AXES if sizes.get(name, 1) > 1)
    if hidden.shape[0] % math.prod(sizes[name] for name in axes):
        axes = ()
    fsdp = "fsdp" if "fsdp" in axes and head.shape[embed_axis] % sizes["fsdp"] == 0 else None
    parts = "tensor" if sizes.get("tensor", 1) > 1 and head.shape[1 - embed_axis] % sizes["tensor"] == 0 else None
    named = {*axes} | ({parts} if parts else set())
    if not named:
        return cross_entropy(hidden, targets, weights, head, to_logits)

    def local(hidden: jax.Array, targets: jax.Array, weights: jax.Array, head: jax.Array) -> LossSum:
        if fsdp:
            head = jax.lax.all_gather(head, fsdp, axis=embed_axis, tiled=True)
        kept = head.astype(jnp.float32)  # so that its gradient is added up in float32
        total = cross_entropy(hidden, targets, weights, kept, to_logits, parts=parts, spread=axes if parts else ())
        return LossSum(*(jax.lax.psum(x, axes) for x in total))

    rows, whole = PartitionSpec(axes or None), PartitionSpec()
    place = PartitionSpec(*((fsdp, parts) if embed_axis == 0 else (parts, fsdp)))
    spread = jax.shard_map(
        local, in_specs=(rows, rows, rows, place), out_specs=whole, axis_names=named, check_vma=False
    )
    # XLA for CPU ends the process over sums of bfloat16 among devices that a program asks for by name.
    travelling = jnp.float32 if target_platform() == "cpu" else dtype
    return spread(hidden.astype(travelling), targets, weights, head.astype(travelling))


def cross_entropy(
    hidden: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    head: jax.Array,
    to_logits: Callable[[jax.Array, jax.Array], jax.Array],
    chunk: int = CHUNK,
    parts: str | None = None,
    spread: tuple[str, ...] = (),
) -> LossSum:
    """Returns the summed loss of `targets` under `to_logits(hidden, head)`.

    Only the loss has a gradient, and only for `hidden` and `head`.

    Args:
      hidden: [B, S, D], what the decoder's head reads.
      targets: int32 [B, S].
      weights: float32 [B, S]; 0 leaves a position out.
      head: the weights of the output head.
      to_logits: ([1, n, D], head) to float32 [1, n, C].
      chunk: see `chunk_size`.
      parts: mesh axis along which each device's `head` gives other ids, in their order; None: it gives all.
      spread: mesh axes along which devices have other rows, and handle as many chunks as the one with most targets, so
        that those which add up along `parts` all do so equally often.
    """
    size = chunk_size(*hidden.shape[:2], chunk)
    flat = hidden.reshape(-1, hidden.shape[2]), targets.reshape(-1), weights.reshape(-1)
    return _cross_entropy(to_logits, _Chunks(size, parts, spread), *flat, head)


class _Chunks(NamedTuple):
    """How positions are handled: see `cross_entropy`; `size` at a time."""

    size: int
    parts: str | None
    spread: tuple[str, ...]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _cross_entropy(to_logits, how, hidden, targets, weights, head) -> LossSum:
    def add_chunk(_, xs, total):
        part, *rest = xs
        return total + _chunk_loss(to_logits(part, head), *rest, how.parts)[0]

    order = _with_targets_first(weights)
    return _over_chunks(add_chunk, how, order, (hidden, targets, weights), LossSum.zero())


def _forward(to_logits, how, hidden, targets, weights, head):
    def add_chunk(number, xs, carry):
        total, d_head, d_hidden = carry
        part, *rest = xs
        logits, pull_back = jax.vjp(to_logits, part, head)
        loss, d_logits = _chunk_loss(logits, *rest, how.parts)
        d_part, d_more = pull_back(d_logits)
        d_hidden = jax.lax.dynamic_update_index_in_dim(d_hidden, d_part[0], number, 0)
        return total + loss, d_head + d_more.astype(d_head.dtype), d_hidden

    order = _with_targets_first(weights)
    count = -(-len(hidden) // how.size)
    d_hidden = jnp.zeros((count, how.size, hidden.shape[1]), hidden.dtype)
    nothing = (LossSum.zero(), jnp.zeros(head.shape, jnp.float32), d_hidden)
    total, d_head, d_hidden = _over_chunks(add_chunk, how, order, (hidden, targets, weights), nothing)
    places = jnp.zeros_like(order).at[order].set(jnp.arange(order.size), unique_indices=True)
    return total, (d_hidden.reshape(-1, hidden.shape[1])[places], d_head.astype(head.dtype))


def _backward(to_logits, how, gradients, cotangent):
    factor = cotangent.loss if how.parts is None else jax.lax.psum(cotangent.loss, how.parts)
    d_hidden, d_head = ((factor * x).astype(x.dtype) for x in gradients)
    return d_hidden, None, None, d_head


_cross_entropy.defvjp(_forward, _backward)


def _with_targets_first(weights: jax.Array) -> jax.Array:
    """Returns int32 [N], numbers of positions of float weights [N]: first those with a weight, in their order."""
    return jnp.argsort(weights == 0, stable=True).astype(jnp.int32)


def _over_chunks(add_chunk: Callable, how: _Chunks, order: jax.Array, arrays: tuple[jax.Array, ...], carry: Any) -> Any:
    """Returns `carry` after `carry = add_chunk(number, xs, carry)` for each chunk that has a weight.

    `xs` are `arrays` [N, ...], the last of them weights, in `order` and cut to [1, how.size, ...], with zeros behind.
    """

    def cut(array: jax.Array) -> jax.Array:
        array = jnp.pad(array[order], ((0, -len(array) % how.size),) + ((0, 0),) * (array.ndim - 1))
        return array.reshape(-1, 1, how.size, *array.shape[1:])

    chunks = tuple(map(cut, arrays))
    count = len(chunks[0])
    last = jnp.sum(jnp.any(chunks[-1] != 0, axis=(1, 2)), dtype=jnp.int32)
    if how.spread:
        last = jax.lax.pmax(last, how.spread)

    def step(numbered):
        number, carry = numbered
        xs = tuple(jax.lax.dynamic_index_in_dim(x, number, keepdims=False) for x in chunks)
        return number + 1, add_chunk(number, xs, carry)

    # No branch within a loop of a known length: the head's gradient would be copied, once for each way of it. The limit
    # that is known stands there for those who read the program.
    return jax.lax.while_loop(lambda c: (c[0] < last) & (c[0] < count), step, (jnp.int32(0), carry))[1]
