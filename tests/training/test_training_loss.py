import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vlsm_jax.models.layers import float32_product
from vlsm_jax.training.loss import LossSum, cross_entropy


@pytest.fixture(scope="module")
def problem():
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = jax.random.normal(keys[0], (3, 20, 8))
    head = jax.random.normal(keys[1], (8, 13))
    targets = jax.random.randint(keys[2], (3, 20), 0, 13)
    weights = jax.random.bernoulli(keys[3], 0.6, (3, 20)).astype(jnp.float32)
    return hidden, head, targets, weights


def plain(hidden, head, targets, weights):
    losses = optax.softmax_cross_entropy_with_integer_labels(hidden @ head, targets)
    return jnp.sum(losses * weights)


@pytest.mark.parametrize("chunk", [1, 7, 20, 64])
def test_chunks_give_the_loss_and_gradient_of_the_whole(problem, chunk):
    hidden, head, targets, weights = problem

    def chunked(hidden, head):
        return cross_entropy(hidden, targets, weights, head, jnp.matmul, chunk).loss

    got, grads = jax.value_and_grad(chunked, argnums=(0, 1))(hidden, head)
    want, wanted = jax.value_and_grad(plain, argnums=(0, 1))(hidden, head, targets, weights)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    for g, w in zip(grads, wanted, strict=True):
        np.testing.assert_allclose(g, w, atol=1e-5)


def test_weight_and_hits_are_counted(problem):
    hidden, head, targets, weights = problem
    total = cross_entropy(hidden, targets, weights, head, jnp.matmul, 7)
    assert total.weight == weights.sum()
    assert total.targets == (weights > 0).sum()
    halves = cross_entropy(hidden, targets, weights / 2, head, jnp.matmul, 7)
    assert (halves.weight, halves.targets) == (total.weight / 2, total.targets)
    hits = (jnp.argmax(hidden @ head, -1) == targets) * weights
    assert total.correct == hits.sum()


def test_no_logits_of_the_whole_batch_exist(problem):
    _, _, targets, weights = problem
    head = jnp.zeros((8, 4096))

    def loss(hidden):
        return cross_entropy(hidden, targets, weights, head, jnp.matmul, 2).loss

    compiled = jax.jit(jax.grad(loss)).lower(jax.ShapeDtypeStruct((3, 20, 8), jnp.float32)).compile()
    whole = 3 * 20 * 4096 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < whole / 2


@pytest.mark.parametrize("count", [0, 1, 8, 9, 60])
def test_logits_are_made_where_targets_are(problem, count):
    """Of 60 positions in chunks of 4, wherever in the rows those with a target stand."""
    hidden, head, targets, _ = problem
    weights = jnp.zeros(60).at[jax.random.permutation(jax.random.key(5), 60)[:count]].set(0.5).reshape(3, 20)
    made = []

    def to_logits(part, head):
        jax.debug.callback(lambda: made.append(part.shape))
        return part @ head

    def loss(hidden, head):
        return cross_entropy(hidden, targets, weights, head, to_logits, 4).loss

    found = loss(hidden, head), *jax.grad(loss, (0, 1))(hidden, head)
    jax.effects_barrier()
    assert made == [(1, 4, 8)] * 2 * -(-count // 4)
    wanted = plain(hidden, head, targets, weights), *jax.grad(plain, (0, 1))(hidden, head, targets, weights)
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_sums_add():
    total = LossSum.zero() + LossSum(*map(jnp.float32, (2, 3, 1, 4)))
    assert tuple(map(float, total)) == (2, 3, 1, 4)


def gradients(head, wanted):
    """Returns the program that makes the gradients `wanted`, of hidden states (0) and of `head` (1)."""

    def loss(hidden, head, targets, weights):
        to_logits = functools.partial(float32_product, "bnd,cd->bnc")
        return cross_entropy(hidden, targets, weights, head, to_logits, 4).loss

    arguments = [
        jax.ShapeDtypeStruct((3, 20, 8), head.dtype),
        head,
        jax.ShapeDtypeStruct((3, 20), jnp.int32),
        jax.ShapeDtypeStruct((3, 20), jnp.float32),
    ]
    return jax.jit(jax.grad(loss, wanted)).lower(*arguments)


def test_a_frozen_head_costs_no_gradient():
    head = jax.ShapeDtypeStruct((13, 8), jnp.float32)
    both, hidden_alone = (gradients(head, wanted).compile().as_text().count(" dot(") for wanted in ((0, 1), (0,)))
    assert (both, hidden_alone) == (3, 2), "logits are made once, and what is not asked for is left out"


def test_products_of_bfloat16_meet_no_float32():
    head = jax.ShapeDtypeStruct((13, 8), jnp.bfloat16)
    text = gradients(head, (0, 1)).as_text()
    operands = re.findall(r"dot_general.*: \(tensor<\S*x(\w+)>, tensor<\S*x(\w+)>\)", text)
    assert operands == [("bf16", "bf16")] * 3


def test_the_gradient_of_bfloat16_is_that_of_float32_rounded(problem):
    hidden, head, targets, weights = problem
    hidden, head = hidden.astype(jnp.bfloat16), head.astype(jnp.bfloat16)

    def loss(hidden, head):
        return cross_entropy(hidden, targets, weights, head, functools.partial(float32_product, "bnd,dc->bnc"), 7).loss

    found = jax.grad(loss, (0, 1))(hidden, head)
    wanted = jax.grad(loss, (0, 1))(hidden.astype(jnp.float32), head.astype(jnp.float32))
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == jnp.bfloat16
        np.testing.assert_allclose(got.astype(jnp.float32), want, atol=0.02 * float(jnp.abs(want).max()))
