"""The optimizer's switches against PyTorch: where the warm-up begins, and what decays."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import transformers

from vlsm_jax.training.config import ConfigError
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


LAYERS = {"mlp/up/kernel": (2, 6, 10), "attention/q/kernel": (2, 6, 3, 4), "attention/o/kernel": (2, 3, 4, 6)}
OTHERS = {"norm/scale": (2, 6), "embedding/table": (9, 6), "vision/patch/kernel": (2, 2, 3, 6), "head": (6, 9)}
STEM = {"vision/stem/convolution_0/kernel": (3, 3, 3, 5), "vision/patch/kernel": (1, 1, 5, 6)}


def random(shapes):
    rng = np.random.default_rng(1)
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


def matrices(name, value):
    """A kernel's matrices, one of each layer, inputs by outputs."""
    rows = {"attention/o/kernel": 12}.get(name, 6)
    return np.asarray(value).reshape(2, rows, -1)


def test_muon_moves_each_layers_kernel_as_pytorch_does():
    """Heads are columns or rows of one matrix; PyTorch makes it orthogonal in bfloat16."""
    rate, decay = 0.1, 0.3
    config = OptimizerConfig(
        name="muon", learning_rate=rate, schedule="constant", warmup_steps=0, weight_decay=decay, clip_norm=0
    )
    optimizer, ours = make_optimizer(config, 4), random(LAYERS)
    start, gradients, state = ours, {name: value - 0.2 for name, value in random(LAYERS).items()}, optimizer.init(ours)
    # The same gradient each time: the two weigh the first ones of a momentum otherwise.
    for _ in range(3):
        updates, state = optimizer.update(gradients, state, ours)
        ours = optax.apply_updates(ours, updates)
    for name in LAYERS:
        for layer, value in enumerate(matrices(name, ours[name])):
            weights = torch.tensor(matrices(name, start[name])[layer], requires_grad=True)
            reference = torch.optim.Muon([weights], lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            for _ in range(3):
                weights.grad = torch.tensor(matrices(name, gradients[name])[layer])
                reference.step()
            np.testing.assert_allclose(value, weights.detach(), atol=0.05 * rate, err_msg=name)


def test_muons_steps_are_orthogonal_and_as_large_as_adamws():
    """All singular values alike, of a root mean square of .2 where a matrix is square."""
    optimizer = make_optimizer(OptimizerConfig(name="muon", learning_rate=1.0, warmup_steps=0, weight_decay=0), 4)
    params = random(LAYERS)
    updates, _ = optimizer.update(random(LAYERS), optimizer.init(params), params)
    for name in LAYERS:
        for step in matrices(name, updates[name]):
            stretched = np.linalg.svd(step / (0.2 * np.sqrt(max(step.shape))), compute_uv=False)
            assert 0.6 < stretched.min() <= stretched.max() < 1.3, name


def test_beside_muon_all_else_moves_as_with_adamw():
    shapes = {**LAYERS, **OTHERS, **STEM}
    params, gradients = random(shapes), random(shapes)
    moved = {}
    for name in ("adamw", "muon"):
        optimizer = make_optimizer(OptimizerConfig(name=name, warmup_steps=0), 4)
        moved[name], _ = optimizer.update(gradients, optimizer.init(params), params)
    for name in params:
        same = np.allclose(moved["adamw"][name], moved["muon"][name])
        assert same == (name in OTHERS or name in STEM), name


def test_muon_without_a_kernel_to_move_is_refused():
    optimizer = make_optimizer(OptimizerConfig(name="muon"), 4)
    with pytest.raises(ConfigError, match="moves kernels of layers, and none is trained"):
        optimizer.init(random(OTHERS))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_factor_is_another_rate_for_what_it_matches_alone(name):
    shapes = {**LAYERS, **OTHERS}
    params, gradients = random(shapes), random(shapes)

    def moves(**options):
        optimizer = make_optimizer(OptimizerConfig(name=name, warmup_steps=0, schedule="constant", **options), 4)
        state, now = optimizer.init(params), params
        for _ in range(2):
            updates, state = optimizer.update(gradients, state, now)
            now = optax.apply_updates(now, updates)
        return now

    usual, slow = moves(learning_rate=1e-2), moves(learning_rate=1e-3)
    mixed = moves(learning_rate=1e-2, rate_factors=((r"^vision/|/up/", 0.1), ("up|head", 1.0)))
    for kernel in params:
        expected = slow if kernel in ("vision/patch/kernel", "mlp/up/kernel") else usual
        np.testing.assert_allclose(mixed[kernel], expected[kernel], rtol=1e-6, atol=1e-7, err_msg=kernel)
        assert abs(np.asarray(usual[kernel] - slow[kernel])).max() > 1e-3


def test_factors_of_nothing_that_is_trained_are_refused():
    optimizer = make_optimizer(OptimizerConfig(rate_factors=(("", 0.5), ("^vision/", 0.1))), 4)
    with pytest.raises(ConfigError, match=r"rate_factors: \['\^vision/'\] decides the rate of nothing that is trained"):
        optimizer.init(random(OTHERS))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("^vision/",), "each rule is a regular expression and a number"),
        ((0.1, "^vision/"), "each rule is a regular expression and a number"),
        (("^vision/", 0.0), "choose a positive number, and train.trainable for what rests"),
        (("(", 0.1), "is no regular expression"),
    ],
)
def test_wrong_factors_are_named(rule, message):
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(rate_factors=(rule,))
