import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vlsm_jax.data.pipeline import PipelineConfig
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.loop import TrainConfig, check_objective
from vlsm_jax.training.optimizer import OptimizerConfig, learning_rate_schedule, make_optimizer, split_frozen
from vlsm_jax.training.step import TrainState, batch_loss, batch_losses, make_train_step

VISUAL = 5  # as in conftest.py: a class token and four patches


def state_of(network, optimizer, rules=((r".*", True),)):
    params = network.init(0)
    trained, frozen, _ = split_frozen(params, rules)
    return TrainState(jnp.zeros((), jnp.int32), trained, frozen, optimizer.init(trained))


def test_a_batch_gives_the_same_update_however_it_is_cut(network, make_batch):
    # Microbatches hold different numbers of targets, so a mean of means would differ.
    batch, optimizer = make_batch(8), optax.sgd(0.1)
    results = []
    for accumulation in (1, 2, 8):
        step = jax.jit(make_train_step(network.merge, optimizer, accumulation))
        results.append(step(state_of(network, optimizer), batch))
    for state, metrics in results[1:]:
        np.testing.assert_allclose(metrics.loss, results[0][1].loss, rtol=1e-5)
        assert metrics.tokens == results[0][1].tokens
        for name, value in state.trained.items():
            np.testing.assert_allclose(value, results[0][0].trained[name], atol=1e-6, err_msg=name)


def test_the_update_is_the_gradient_of_the_token_mean(network, make_batch):
    batch, optimizer = make_batch(4), optax.sgd(1.0)
    state = state_of(network, optimizer)

    def mean_loss(params):
        total = batch_loss(network.merge(params), batch)
        return total.loss / total.weight

    wanted = jax.grad(mean_loss)(state.trained)
    after, metrics = jax.jit(make_train_step(network.merge, optimizer))(state, batch)
    for name in wanted:
        np.testing.assert_allclose(state.trained[name] - after.trained[name], wanted[name], atol=2e-6, err_msg=name)
    np.testing.assert_allclose(metrics.gradient_norm, optax.tree.norm(wanted), rtol=1e-4)


def test_frozen_parameters_stay_and_have_no_moments(network, make_batch):
    optimizer = optax.adam(0.1)
    state = state_of(network, optimizer, ((r"^vision/", False), (r".*", True)))
    assert {name.split("/")[0] for name in state.trained} == {"connector", "decoder"}
    moments = sum(x.size for x in jax.tree.leaves(state.optimizer)) - 1
    assert moments == 2 * sum(x.size for x in state.trained.values())
    after, _ = jax.jit(make_train_step(network.merge, optimizer))(state, make_batch(4))
    for name, value in state.frozen.items():
        np.testing.assert_array_equal(value, after.frozen[name])
    assert all((value != after.trained[name]).any() for name, value in state.trained.items())


def test_a_batch_without_targets_changes_nothing(network, make_batch):
    batch = make_batch(4)
    batch = batch._replace(weights=jnp.zeros_like(batch.weights))
    optimizer = optax.sgd(1.0)
    state = state_of(network, optimizer)
    after, metrics = jax.jit(make_train_step(network.merge, optimizer))(state, batch)
    assert metrics.loss == 0
    for name, value in state.trained.items():
        np.testing.assert_array_equal(value, after.trained[name])


def test_packed_samples_learn_as_if_alone(network, make_batch):
    """Two samples in one row give the same loss as the two in rows of their own: no attention leaks between them."""
    apart = make_batch(2, length=20)
    joined = jax.tree.map(lambda x: x.reshape(1, -1, *x.shape[2:]), apart)
    # Behind one another: the second sample's segment and pictures count on.
    second = jnp.arange(40) >= 20
    joined = joined._replace(
        segment_ids=jnp.where((joined.segment_ids > 0) & second, 2, joined.segment_ids),
        visual_index=jnp.where((joined.visual_index >= 0) & second, joined.visual_index + 5, joined.visual_index),
    )
    model = network.merge(network.init(0))
    one, two = batch_loss(model, apart), batch_loss(model, joined)
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-5)
    assert one.weight == two.weight


def test_rows_that_begin_with_their_sample_learn_the_same_without_segments(network, make_batch):
    batch = make_batch(4)
    model = network.merge(network.init(0))
    one, two = batch_loss(model, batch), batch_loss(model, batch._replace(segment_ids=None))
    for value, same in zip(one, two, strict=True):
        np.testing.assert_allclose(value, same, rtol=1e-6)
    step = jax.jit(make_train_step(network.merge, optax.sgd(0.1)))
    metrics = [step(state_of(network, optax.sgd(0.1)), b)[1] for b in (batch, batch._replace(segment_ids=None))]
    assert metrics[0].positions == metrics[1].positions
    np.testing.assert_allclose(metrics[0].positions, np.mean(batch.positions >= 0), rtol=1e-6)


def test_freeze_rules_are_exhaustive_and_each_decides_something(network):
    with pytest.raises(ConfigError, match=r"no rule for: .*decoder"):
        split_frozen(network.shapes, ((r"^vision/", False), (r"^connector/", True)))
    with pytest.raises(ConfigError, match=r"nothing is decided by \['\^audio/'\]"):
        split_frozen(network.shapes, ((r"^audio/", False), (r".*", True)))
    with pytest.raises(ConfigError, match="freezes every parameter"):
        split_frozen(network.shapes, ((r".*", False),))
    _, frozen, table = split_frozen(network.shapes, ((r"kernel$", False), (r".*", True)))
    assert all(name.endswith("kernel") for name in frozen)
    assert "freeze 'kernel$'" in table


def test_weight_decay_spares_vectors(network):
    optimizer = make_optimizer(OptimizerConfig(learning_rate=1.0, weight_decay=0.5, warmup_steps=0), steps=10)
    params = network.init(0)
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    for name, update in updates.items():
        decays = name.endswith(("kernel", "table"))
        np.testing.assert_allclose(update, -0.5 * params[name] if decays else 0, atol=1e-6, err_msg=name)


def test_schedules():
    cosine = learning_rate_schedule(OptimizerConfig(learning_rate=1.0, warmup_steps=10, final_fraction=0.1), 100)
    assert float(cosine(0)) == pytest.approx(0.1)
    assert float(cosine(10)) == pytest.approx(1.0)
    assert float(cosine(55)) == pytest.approx(0.55)  # half-way down the cosine
    assert float(cosine(100)) == pytest.approx(0.1)
    constant = learning_rate_schedule(OptimizerConfig(learning_rate=2.0, warmup_steps=4, schedule="constant"), 100)
    assert [float(constant(s)) for s in (4, 50, 99)] == [2.0] * 3
    options = {"learning_rate": 2.0, "warmup_steps": 10, "schedule": "stable", "decay_share": 0.25}
    stable = learning_rate_schedule(OptimizerConfig(**options), 80)
    # A fall of 20 steps from 2 to 0.2.
    assert [float(stable(s)) for s in (0, 10, 60, 70, 80)] == pytest.approx([0.2, 2.0, 2.0, 1.1, 0.2])
    longer = learning_rate_schedule(OptimizerConfig(**options), 400)
    assert [float(longer(s)) for s in range(61)] == [float(stable(s)) for s in range(61)]
    with pytest.raises(ConfigError, match="'linear'; choose 'cosine', 'constant' or 'stable'"):
        learning_rate_schedule(OptimizerConfig(schedule="linear"), 10)


def annotated(batch, seed=1):
    """The batch with three targets for each patch of its pictures, about half of them left out, as for class tokens."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 60, (batch.images.shape[0], 1, VISUAL, 3))
    targets[rng.random(targets.shape) < 0.5] = -1
    targets[..., 0, :] = -1
    return batch._replace(visual_targets=jnp.asarray(targets, jnp.int32))


def test_visual_tokens_are_scored_by_their_products_with_embeddings(network, make_batch):
    batch = annotated(make_batch(4))
    params = network.init(0)
    model = network.merge(params)
    visual = np.asarray(model.encode_images(batch.images[:, 0]), np.float64)
    table = np.asarray(params["decoder/embedding/table"], np.float64)
    # A token says its second and third thing as though the embeddings began a third, two thirds of their width later.
    tables = np.stack([np.roll(table, way * (table.shape[1] // 3), axis=1) for way in range(3)])
    scores = math.sqrt(table.shape[1]) * np.einsum("bvd,wcd->bvwc", visual, tables)
    likelihood = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    wanted = np.asarray(batch.visual_targets[:, 0])
    there = wanted >= 0
    expected = -likelihood[there, wanted[there]].sum()
    losses = batch_losses(model, batch)
    np.testing.assert_allclose(losses.visual.loss, expected, rtol=1e-5)
    assert losses.visual.weight == there.sum()
    assert losses.visual.correct == (scores.argmax(-1) == wanted)[there].sum()
    np.testing.assert_array_equal(losses.text.loss, batch_loss(model, batch).loss)


def test_what_visual_tokens_are_to_say_counts_as_much_as_asked(network, make_batch):
    batch, optimizer, weight = annotated(make_batch(4)), optax.sgd(1.0), 0.7
    state = state_of(network, optimizer)

    def objective(params):
        text, visual = batch_losses(network.merge(params), batch)
        return (text.loss + weight * visual.loss) / text.weight

    wanted = jax.grad(objective)(state.trained)
    for accumulation in (1, 2):
        step = jax.jit(make_train_step(network.merge, optimizer, accumulation, weight))
        after, metrics = step(state, batch)
        for name in wanted:
            np.testing.assert_allclose(state.trained[name] - after.trained[name], wanted[name], atol=2e-6, err_msg=name)
        losses = batch_losses(network.merge(state.trained), batch)
        np.testing.assert_allclose(metrics.visual_accuracy, losses.visual.correct / losses.visual.weight)
        np.testing.assert_allclose(metrics.loss, losses.text.loss / losses.text.weight, rtol=1e-5)


@pytest.mark.parametrize("not_learnt", ["decoder/", "decoder/[^e]"])  # the embeddings with it, or not
def test_an_encoder_alone_learns_what_it_would_learn_beside_a_decoder(network, make_batch, not_learnt):
    batch, optimizer = annotated(make_batch(4)), optax.sgd(1.0)
    mine = {name: x for name, x in network.init(0).items() if not re.match(not_learnt, name)}
    frozen = {name: x for name, x in network.init(0).items() if re.match(not_learnt, name)}
    state = TrainState(jnp.zeros((), jnp.int32), mine, frozen, optimizer.init(mine))

    def objective(mine):
        visual = batch_losses(network.merge({**frozen, **mine}), batch).visual
        return visual.loss / visual.weight, visual

    wanted, visual = jax.grad(objective, has_aux=True)(mine)
    for accumulation in (1, 2):
        step = make_train_step(network.merge, optimizer, accumulation, 1.0, responses=False)
        # Of the rows nothing but the pictures is looked at.
        after, metrics = jax.jit(step)(state, batch._replace(tokens=batch.tokens * 0, weights=batch.weights * 0))
        for name in mine:
            np.testing.assert_allclose(mine[name] - after.trained[name], wanted[name], atol=2e-6, err_msg=name)
        np.testing.assert_allclose(metrics.loss, visual.loss / visual.weight, rtol=1e-6)
        np.testing.assert_allclose(metrics.accuracy, visual.correct / visual.weight)
        assert metrics.tokens == (np.asarray(batch.visual_targets) >= 0).sum()
        assert metrics.visual_accuracy is None


def test_an_encoder_alone_learns_from_the_patches_that_are_kept(network, make_batch):
    batch, optimizer = annotated(make_batch(4)), optax.sgd(1.0)
    mine = {name: x for name, x in network.init(0).items() if not name.startswith("decoder/")}
    frozen = {name: x for name, x in network.init(0).items() if name.startswith("decoder/")}
    state = TrainState(jnp.zeros((), jnp.int32), mine, frozen, optimizer.init(mine))
    count = network.config.vision.patches
    step = jax.jit(make_train_step(network.merge, optimizer, 1, 1.0, responses=False))
    whole = jnp.tile(jnp.arange(count, dtype=jnp.int32), (*batch.images.shape[:2], 1))
    every, _ = step(state, batch._replace(kept=whole))
    wanted, _ = step(state, batch)
    first = batch.visual_targets.shape[-2] - count
    fewer = batch._replace(kept=whole[..., 1:], visual_targets=batch.visual_targets.at[..., first, :].set(-1))
    targets = jnp.delete(fewer.visual_targets, first, axis=-2)
    without, metrics = step(state, fewer._replace(visual_targets=targets))
    differ = 0.0
    for name in mine:
        np.testing.assert_allclose(every.trained[name], wanted.trained[name], atol=2e-6, err_msg=name)
        differ = max(differ, float(abs(without.trained[name] - wanted.trained[name]).max()))
    assert differ > 1e-4
    assert metrics.tokens == (np.asarray(targets) >= 0).sum() > 0


def test_patches_chosen_by_annotations_are_for_an_encoder_alone(network):
    pipeline = PipelineConfig(24, 2, image_size=8, visual_tokens=VISUAL, patch_size=4, kept_patches=3)
    config = TrainConfig(steps=1, visual_targets=1.0)
    check_objective(config, dataclasses.replace(pipeline, kept_patches=0), network, None)
    with pytest.raises(ConfigError, match=r"kept_patches=3 is for an encoder alone .* model\.seen_patches"):
        check_objective(config, pipeline, network, None)


def test_a_model_learns_to_say_what_its_patches_show(network, make_batch):
    batch, optimizer = annotated(make_batch(4)), optax.adam(0.01)
    batch = batch._replace(weights=jnp.zeros_like(batch.weights).at[:, -1].set(1))
    state, step = state_of(network, optimizer), jax.jit(make_train_step(network.merge, optimizer, 1, 1.0))
    for _ in range(60):
        state, metrics = step(state, batch)
    assert metrics.visual_accuracy == 1
