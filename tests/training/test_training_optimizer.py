"""The optimizer's switches against PyTorch: where the warm-up begins, and what decays."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import transformers

from vlsm_jax.training.optimizer import OptimizerConfig, learning_rate_schedule, make_optimizer


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_a_warm_up_from_zero_is_that_of_transformers(warmup):
    config = OptimizerConfig(learning_rate=2e-3, warmup_steps=warmup, warmup_from_zero=True, final_fraction=0.0)
    ours = learning_rate_schedule(config, 20)
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=2e-3)
    theirs = transformers.get_scheduler("cosine", optimizer, num_warmup_steps=warmup, num_training_steps=20)
    for step in range(20):
        np.testing.assert_allclose(float(ours(step)), theirs.get_last_lr()[0], rtol=1e-5, atol=1e-9)
        optimizer.step()
        theirs.step()


def test_steps_are_those_of_pytorch():
    """Clipping, moments and decay of every array: the paper's second stage."""
    config = OptimizerConfig(
        learning_rate=0.1, schedule="constant", warmup_steps=0, weight_decay=0.3, decay_vectors=True, beta2=0.999
    )
    rng = np.random.default_rng(0)
    start = {"up/kernel": rng.normal(size=(3, 4)), "up/bias": rng.normal(size=4), "norm/scale": rng.normal(size=3)}
    ours = {name: jnp.asarray(value, jnp.float32) for name, value in start.items()}
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    optimizer = make_optimizer(config, 5)
    state = optimizer.init(ours)
    reference = torch.optim.AdamW(theirs.values(), lr=0.1, weight_decay=0.3)
    for _ in range(5):
        gradients = {name: rng.normal(size=value.shape) for name, value in start.items()}
        updates, state = optimizer.update({n: jnp.asarray(g, jnp.float32) for n, g in gradients.items()}, state, ours)
        ours = optax.apply_updates(ours, updates)
        for name, value in theirs.items():
            value.grad = torch.tensor(gradients[name])
        torch.nn.utils.clip_grad_norm_(theirs.values(), 1.0)
        reference.step()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value.detach(), atol=1e-5, err_msg=name)
