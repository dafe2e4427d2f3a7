"""Updates that are not finite change nothing; losses that jump, and what is skipped, are named."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vlsm_jax.training.guard import LEAST, LossGuard, NonFiniteLoss
from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
from vlsm_jax.training.step import StepMetrics, TrainState, make_train_step


@jax.custom_vjp
def overflowing(x):
    """Itself, with a gradient of infinity."""
    return x


overflowing.defvjp(lambda x: (x, x), lambda _, g: (jnp.full_like(g, jnp.inf),))


def first_state(network, optimizer):
    params = network.init(0)
    return TrainState(jnp.zeros((), jnp.int32), params, {}, optimizer.init(params))


@pytest.mark.parametrize(("accumulation", "platform"), [(1, "default"), (2, "cpu")])
def test_an_update_that_is_not_finite_changes_nothing_but_the_step(
    network, make_batch, accumulation, platform, monkeypatch
):
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *operands, **ways: ways[platform](*operands))
    optimizer = make_optimizer(OptimizerConfig(warmup_steps=2), 10)
    step = jax.jit(make_train_step(network.merge, optimizer, accumulation))
    good, other = make_batch(4), make_batch(4, seed=1)
    # One bad row is enough, in whichever microbatch it stands.
    bad = good._replace(weights=good.weights.at[3, 20].set(jnp.nan))
    before, metrics = step(first_state(network, optimizer), good)
    assert metrics.skipped == 0
    after, metrics = step(before, bad)
    assert metrics.skipped == 1
    assert np.isnan(metrics.loss)
    assert after.step == 2
    for old, new in zip(jax.tree.leaves(before._replace(step=0)), jax.tree.leaves(after._replace(step=0)), strict=True):
        np.testing.assert_array_equal(old, new)
    # What follows is what would have followed without it: Adam's counts and the schedule waited.
    resumed, _ = step(after, other)
    direct, _ = step(before, other)
    for old, new in zip(jax.tree.leaves(direct.trained), jax.tree.leaves(resumed.trained), strict=True):
        np.testing.assert_array_equal(old, new)


def test_gradients_alone_may_be_infinite(network, make_batch):
    optimizer = optax.adam(0.1)
    name = "decoder/layers/mlp/up/kernel"

    def merge(params):
        return network.merge({**params, name: overflowing(params[name])})

    state = first_state(network, optimizer)
    after, metrics = jax.jit(make_train_step(merge, optimizer))(state, make_batch(2))
    assert np.isfinite(metrics.loss)
    assert metrics.skipped == 1
    for key, value in state.trained.items():
        np.testing.assert_array_equal(value, after.trained[key])


def test_state_is_still_donated(network, make_batch):
    """Old and new values of an update share their memory, skipped or not: every array but frozen ones is taken over."""
    optimizer = make_optimizer(OptimizerConfig(), 10)
    state = jax.eval_shape(lambda: first_state(network, optimizer))
    step = jax.jit(make_train_step(network.merge, optimizer), donate_argnums=0)
    memory = step.lower(state, make_batch(2)).compile().memory_analysis()
    held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    assert memory.alias_size_in_bytes == held


class Log:
    def __init__(self, most_skipped=3):
        self.notes = []
        self.asked = []
        self.guard = LossGuard(most_skipped, self.name, lambda *args, **values: self.notes.append((*args, values)))
        self.step = 0

    def name(self, place):
        self.asked.append(place)
        return [f"train.jsonl:{place}"]

    def see(self, *losses, norm=1.0):
        for loss in losses:
            self.step += 1
            self.guard.expect(self.step, self.step * 10)
            skipped = float(not np.isfinite(loss + norm))
            self.guard.see(self.step, StepMetrics(*map(np.float32, (loss, 0, 8, 1, norm, skipped))))


def test_a_run_ends_after_so_many_skipped_updates_in_a_row():
    log = Log(most_skipped=3)
    log.see(1.0, np.nan, np.inf, 1.0, np.nan, np.nan)  # two and two, and one good between them
    with pytest.raises(NonFiniteLoss) as error:
        log.see(1.0, norm=np.inf)
    message = str(error.value)
    assert "3 updates in a row, steps 5 to 7, were not finite" in message
    assert "the norm of the gradients is inf" in message
    assert "train.jsonl:70" in message
    assert "train.most_skipped" in message
    assert [(step, kind) for step, kind, _ in log.notes] == [(s, "skipped") for s in (2, 3, 5, 6, 7)]


def test_a_loss_that_jumps_is_named_with_its_samples(caplog):
    log = Log()
    steady = list(1 + 0.05 * np.random.default_rng(0).standard_normal(60))
    with caplog.at_level("WARNING", "absl"):
        log.see(*steady, 1.45, 2.5, *steady)
    # 1.45 is far out, but not by half; 2.5 is named once, with median and samples.
    ((step, kind, values),) = log.notes
    assert (step, kind) == (62, "jump")
    assert values["loss"] == pytest.approx(2.5)
    assert values["median"] == pytest.approx(np.median([*steady, 1.45]), rel=1e-6)
    assert values["samples"] == ["train.jsonl:620"]
    assert log.asked == [620]  # samples of other steps are never looked up
    assert "step 62: the loss jumped to 2.5" in caplog.text


def test_scattered_and_first_losses_are_no_jumps():
    log = Log()
    log.see(*[1.0] * (LEAST - 1), 50.0)  # too early to say
    log = Log()
    # As losses of small batches: twice the median now and then, and no jump among them.
    losses = np.random.default_rng(1).uniform(0.5, 2.1, 300)
    assert losses.max() > 1.5 * np.median(losses)
    log.see(*losses)
    assert log.notes == []
