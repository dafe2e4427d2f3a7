"""One optimizer step: loss and gradients over microbatches, one division, one update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vlsm_jax.data.pipeline import Batch
from vlsm_jax.models.lora import gather_adapters, with_dropout
from vlsm_jax.models.vlsm import Vlsm, joined, turned
from vlsm_jax.training.loss import LossSum, sharded_cross_entropy
from vlsm_jax.training.network import Params


class TrainState(NamedTuple):
    """Everything a step changes, and the frozen parameters that it reads.

    Attributes:
      step: int32 [], updates done.
      trained: parameters under the optimizer.
      frozen: parameters that are never differentiated.
      optimizer: optax state, for `trained` only.
    """

    step: jax.Array
    trained: Params
    frozen: Params
    optimizer: optax.OptState


class StepMetrics(NamedTuple):
    """What one step reports, all float32 [].

    Attributes:
      loss: nats per response token.
      accuracy: share of response tokens that the greedy choice hits.
      tokens: response tokens in the batch.
      positions: share of positions that hold a token and not padding.
      gradient_norm: global norm before clipping.
      skipped: 1 where loss or gradients were not finite, and the update was left out.
      visual_accuracy: share of what visual tokens are to say that they are most like; None without targets.
    """

    loss: jax.Array
    accuracy: jax.Array
    tokens: jax.Array
    positions: jax.Array
    gradient_norm: jax.Array
    skipped: jax.Array
    visual_accuracy: jax.Array | None = None


def visual_tokens(model: Vlsm, batch: Batch) -> jax.Array:
    """Returns the visual tokens [B, K * V, D] of every row's pictures, one picture after another."""
    pictures = batch.images if batch.features is None else batch.features
    rows, per_row = pictures.shape[:2]
    pictures = pictures.reshape(rows * per_row, *pictures.shape[2:])
    if batch.features is None:
        kept = None if batch.kept is None else batch.kept.reshape(rows * per_row, -1)
        visual = model.encode_images(pictures, kept)  # [B * K, V, D]
    else:
        visual = model.connector(pictures.astype(model.vision.dtype))
    return joined(visual.reshape(rows, per_row, *visual.shape[1:]))


class BatchLoss(NamedTuple):
    """The summed losses of a batch: of its responses, and of what its visual tokens are to say."""

    text: LossSum
    visual: LossSum

    def __add__(self, other: BatchLoss) -> BatchLoss:  # type: ignore[override]
        return BatchLoss(self.text + other.text, self.visual + other.visual)

    @classmethod
    def zero(cls) -> BatchLoss:
        """The sum over nothing."""
        return cls(LossSum.zero(), LossSum.zero())


def batch_loss(model: Vlsm, batch: Batch) -> LossSum:
    """Returns the summed loss of a batch's responses."""
    return batch_losses(model, batch._replace(visual_targets=None)).text


def batch_losses(model: Vlsm, batch: Batch) -> BatchLoss:
    """Returns the summed losses of a batch."""
    visual = None if model.vision is None else visual_tokens(model, batch)
    text = _response_loss(model, batch, visual)
    if batch.visual_targets is None or visual is None:
        return BatchLoss(text, LossSum.zero())
    return BatchLoss(text, _visual_loss(model, batch, visual))


def _response_loss(model: Vlsm, batch: Batch, visual: jax.Array | None) -> LossSum:
    hidden, _ = model(
        batch.tokens,
        visual=visual,
        visual_index=batch.visual_index,
        positions=batch.positions,
        segment_ids=batch.segment_ids,
        leading=batch.segment_ids is None,
    )
    decoder = model.decoder
    return sharded_cross_entropy(
        hidden,
        batch.targets,
        batch.weights,
        decoder.head_weights,
        decoder.logits,
        decoder.dtype,
        embed_axis=1 if decoder.config.tied else 0,
    )


def _visual_loss(model: Vlsm, batch: Batch, visual: jax.Array) -> LossSum:
    decoder = model.decoder
    visual = turned(visual, batch.visual_targets.shape[-1])
    wanted = batch.visual_targets.reshape(visual.shape[:2])
    weights = (wanted >= 0).astype(jnp.float32)
    table = decoder.embedding.table[...]
    return sharded_cross_entropy(
        visual, jnp.maximum(wanted, 0), weights, table, model.said, decoder.dtype, embed_axis=1
    )


def encoder_losses(model: Vlsm, batch: Batch) -> BatchLoss:
    """Returns the same without the decoder: of what visual tokens are to say, in the place of the responses."""
    return BatchLoss(_visual_loss(model, batch, visual_tokens(model, batch)), LossSum.zero())


def make_loss(merge: Callable[[Params], Vlsm], *, responses: bool = True) -> Callable[..., BatchLoss]:
    """Returns `losses(trained, frozen, batch, key=None)`; `merge` builds the model from its parameters.

    With a random key, adapters drop some of their inputs; without one, nothing is dropped. Without `responses` the
    decoder does not run, and the loss is that of what visual tokens are to say.
    """
    losses = batch_losses if responses else encoder_losses

    def loss(trained: Params, frozen: Params, batch: Batch, key: jax.Array | None = None) -> BatchLoss:
        model = gather_adapters(merge({**frozen, **trained}))
        return losses(model if key is None else with_dropout(model, key), batch)

    return loss


def make_train_step(
    merge: Callable[[Params], Vlsm],
    optimizer: optax.GradientTransformation,
    accumulation: int = 1,
    visual_weight: float = 0.0,
    responses: bool = True,
) -> Callable[[TrainState, Batch], tuple[TrainState, StepMetrics]]:
    """Returns the step, to be jitted by the caller with its shardings.

    Gradients of the summed loss are added over `accumulation` microbatches and divided by the weight of all of them: a
    batch gives the same update however it is cut. (The mean of means, as in the paper's code, does not.) What a visual
    token is to say counts as much as `visual_weight` tokens of a response; without `responses`, it is all that counts.
    """
    loss = make_loss(merge, responses=responses)

    def summed(trained: Params, frozen: Params, batch: Batch, key: jax.Array) -> tuple[jax.Array, BatchLoss]:
        total = loss(trained, frozen, batch, key)
        return total.text.loss + visual_weight * total.visual.loss, total

    gradient = jax.grad(summed, has_aux=True)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        # From the step alone, so that a run that goes on from a checkpoint drops what it would have dropped.
        key = jax.random.fold_in(jax.random.key(0), state.step)
        if accumulation == 1:
            grads, total = gradient(state.trained, state.frozen, batch, key)
        else:
            # Microbatch i takes rows i, i + n, ...: every device keeps its own rows.
            micro = jax.tree.map(
                lambda x: jnp.swapaxes(x.reshape(x.shape[0] // accumulation, accumulation, *x.shape[1:]), 0, 1), batch
            )

            def add(carry, numbered):
                grads, total = carry
                index, part = numbered
                more, part_total = gradient(state.trained, state.frozen, part, jax.random.fold_in(key, index))
                return (jax.tree.map(jnp.add, grads, more), total + part_total), None

            zero = (jax.tree.map(jnp.zeros_like, state.trained), BatchLoss.zero())
            (grads, total), _ = jax.lax.scan(add, zero, (jnp.arange(accumulation), micro))
        seen, total = total.visual, total.text
        both = responses and batch.visual_targets is not None
        weight = jnp.maximum(total.weight, 1)  # a batch without a target leaves the parameters alone
        grads = jax.tree.map(lambda g: g / weight, grads)
        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(total.loss) & jnp.isfinite(norm)
        trained, optimizer_state = update_if(finite, optimizer, grads, state.optimizer, state.trained)
        metrics = StepMetrics(
            loss=total.loss / weight,
            accuracy=total.correct / weight,
            tokens=total.targets,
            positions=jnp.mean(batch.positions >= 0 if batch.segment_ids is None else batch.segment_ids > 0),
            gradient_norm=norm,
            skipped=1 - finite.astype(jnp.float32),
            visual_accuracy=seen.correct / jnp.maximum(seen.weight, 1) if both else None,
        )
        return TrainState(state.step + 1, trained, state.frozen, optimizer_state), metrics

    return step


def update_if(
    finite: jax.Array, optimizer: optax.GradientTransformation, grads: Params, moments: optax.OptState, trained: Params
) -> tuple[Params, optax.OptState]:
    """Returns parameters and optimizer state after an update where `finite` (bool []) holds, else as they are.

    Decided on the device, and old and new values share their memory.
    """

    def update(grads: Params, moments: optax.OptState, trained: Params) -> tuple[Params, optax.OptState]:
        updates, moments = optimizer.update(grads, moments, trained)
        return optax.apply_updates(trained, updates), moments

    def branch(*operands: Any) -> tuple[Params, optax.OptState]:
        return jax.lax.cond(finite, update, lambda _, moments, trained: (trained, moments), *operands)

    def select(grads: Params, moments: optax.OptState, trained: Params) -> tuple[Params, optax.OptState]:
        updated = update(grads, moments, trained)
        return jax.tree.map(lambda new, old: jnp.where(finite, new, old), updated, (trained, moments))

    mesh = jax.sharding.get_abstract_mesh()
    if not mesh.empty and mesh.size > 1:
        return select(grads, moments, trained)  # in a branch, clipping would bring its norm together once more
    # On a CPU a selection is one more pass over parameters and moments; on a GPU a branch is taken by the host.
    return jax.lax.platform_dependent(grads, moments, trained, cpu=branch, default=select)


def make_validation_step(
    merge: Callable[[Params], Vlsm], *, responses: bool = True
) -> Callable[[TrainState, Batch], BatchLoss]:
    """Returns the summed losses of a batch without an update."""
    loss = make_loss(merge, responses=responses)

    def step(state: TrainState, batch: Any) -> BatchLoss:
        return loss(state.trained, state.frozen, batch)

    return step
