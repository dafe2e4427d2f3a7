"""Token-weighted cross-entropy, in chunks.

The logits of a whole batch, [B * S, C] in float32, are the largest array of a training step: 0.5 GiB for one sequence
of 4,353 positions and 32,000 ids. They are made chunk by chunk here, and made again in the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vlsm_jax.models.attention_kernels import target_platform
from vlsm_jax.sharding import BATCH_AXES

# Positions of each row whose logits exist at one time.
CHUNK = 256


class LossSum(NamedTuple):
    """A loss not yet divided: sums over microbatches, devices and hosts stay exact, and the division happens once.

    Attributes:
      loss: float32 [], sum of the weighted negative log likelihoods, in nats.
      weight: float32 [], sum of the weights.
      correct: float32 [], weighted number of targets that the greedy choice hits.
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


def _chunk_loss(logits: jax.Array, targets: jax.Array, weights: jax.Array, parts: str | None) -> LossSum:
    """The loss of logits [..., C], of which each device along the mesh axis `parts` has some ids; None: has all."""
    logits = logits.astype(jnp.float32)
    if parts is None:
        normaliser = jax.nn.logsumexp(logits, axis=-1)
        picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        greedy = jnp.argmax(logits, axis=-1)
    else:
        first = jax.lax.axis_index(parts) * logits.shape[-1]
        highest = jnp.max(jax.lax.stop_gradient(logits), axis=-1)
        top = jax.lax.pmax(highest, parts)
        normaliser = top + jnp.log(jax.lax.psum(jnp.sum(jnp.exp(logits - top[..., None]), axis=-1), parts))
        place = targets - first
        here = (place >= 0) & (place < logits.shape[-1])
        picked = jnp.take_along_axis(logits, place[..., None], axis=-1, mode="clip")[..., 0]
        picked = jax.lax.psum(jnp.where(here, picked, 0.0), parts)
        # Of equals the first, as argmax has it.
        best = jnp.where(highest == top, first + jnp.argmax(logits, axis=-1), jnp.iinfo(jnp.int32).max)
        greedy = jax.lax.pmin(best, parts)
    correct = (greedy == targets).astype(jnp.float32)
    counted = jnp.sum(weights > 0, dtype=jnp.float32)
    return LossSum(jnp.sum(weights * (normaliser - picked)), jnp.sum(weights), jnp.sum(weights * correct), counted)


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
      to_logits: ([B, n, D], head or some of its ids) to [B, n, C or as many].
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
        return cross_entropy(hidden, targets, weights, lambda part: to_logits(part, head))

    def local(hidden: jax.Array, targets: jax.Array, weights: jax.Array, head: jax.Array) -> LossSum:
        if fsdp:
            head = jax.lax.all_gather(head, fsdp, axis=embed_axis, tiled=True)
        kept = head.astype(jnp.float32)  # so that its gradient is added up in float32
        total = cross_entropy(hidden, targets, weights, lambda part: to_logits(part, kept), parts=parts)
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
    to_logits: Callable[[jax.Array], jax.Array],
    chunk: int = CHUNK,
    parts: str | None = None,
) -> LossSum:
    """Returns the summed loss of `targets` under `to_logits(hidden)`.

    Args:
      hidden: [B, S, D], what the decoder's head reads.
      targets: int32 [B, S].
      weights: float32 [B, S]; 0 leaves a position out.
      to_logits: [B, n, D] to [B, n, C].
      chunk: positions of one row handled at a time; S is padded up to a multiple.
      parts: mesh axis along which each device's `to_logits` gives other ids, in their order; None: it gives all.
    """
    length = hidden.shape[1]
    chunk = min(chunk, length)
    count = -(-length // chunk)
    padding = count * chunk - length

    def split(array):  # [B, S, ...] -> [count, B, chunk, ...]: rows stay on their devices
        array = jnp.pad(array, ((0, 0), (0, padding)) + ((0, 0),) * (array.ndim - 2))
        array = array.reshape(array.shape[0], count, chunk, *array.shape[2:])
        return jnp.moveaxis(array, 1, 0)

    @jax.checkpoint
    def add_chunk(total, xs):
        part, part_targets, part_weights = xs
        return total + _chunk_loss(to_logits(part), part_targets, part_weights, parts), None

    total, _ = jax.lax.scan(add_chunk, LossSum.zero(), (split(hidden), split(targets), split(weights)))
    return total
