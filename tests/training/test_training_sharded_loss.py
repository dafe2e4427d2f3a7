"""The loss of a batch spread over devices: the value and gradients of one device, and one journey of the head."""

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.loss import cross_entropy, sharded_cross_entropy
from vlsm_jax.training.planning.hlo import Module, collectives

rng = np.random.default_rng(0)
hidden = jnp.asarray(rng.normal(size=(8, 600, 16)), jnp.float32)
head = jnp.asarray(rng.normal(size=(16, 64)), jnp.float32)
targets = jnp.asarray(rng.integers(0, 64, (8, 600)), jnp.int32)
weights = jnp.asarray(rng.integers(0, 2, (8, 600)), jnp.float32)

def to_logits(rows, head):
    return jnp.einsum("bnd,dc->bnc", rows, head.astype(rows.dtype), preferred_element_type=jnp.float32)

def one(hidden, head):
    total = cross_entropy(hidden, targets, weights, head, to_logits, chunk=600)
    return total.loss, total

def many(hidden, head):
    total = sharded_cross_entropy(hidden, targets, weights, head, to_logits, jnp.float32)
    return total.loss, total

wanted, (d_hidden, d_head) = jax.value_and_grad(one, (0, 1), has_aux=True)(hidden, head)
for sizes in ((8, 1, 1), (1, 8, 1), (2, 2, 2), (2, 4, 1), (1, 1, 8), (1, 2, 4)):
    mesh = make_mesh(*sizes)
    rows, place = NamedSharding(mesh, P(("data", "fsdp"))), NamedSharding(mesh, P("fsdp", "tensor"))
    with jax.set_mesh(mesh):
        step = jax.jit(jax.value_and_grad(many, (0, 1), has_aux=True), in_shardings=(rows, place),
                       out_shardings=(NamedSharding(mesh, P()), (rows, place))).lower(hidden, head).compile()
        found, (e_hidden, e_head) = step(jax.device_put(hidden, rows), jax.device_put(head, place))
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)
    for a, b in zip(found[1], wanted[1]):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(e_hidden, d_hidden, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(e_head, d_head, rtol=1e-4, atol=1e-5)
    # Forward, and backward where it is made again: never once for every chunk.
    moved = collectives(Module.parse(step.as_text()), dict(mesh.shape))
    over_batch = [c for c in moved if set(c.axes) & {"data", "fsdp"} and c.bytes >= 16 * 64 * 4 // sizes[2]]
    # Along tensor no head travels, nor any gradient of it: sums over a chunk's ids, and the rows' gradients once.
    over_ids = [c for c in moved if "tensor" in c.axes]
    assert all(c.kind == "all-reduce" for c in over_ids), moved
    assert sum(c.bytes >= hidden.nbytes // sizes[0] // sizes[1] for c in over_ids) == (sizes[2] > 1), moved
    kinds = ("all-gather", "all-reduce", "reduce-scatter")
    times = {kind: sum(c.count for c in over_batch if c.kind == kind) for kind in kinds}
    assert times["all-gather"] <= 2 and sum(times.values()) == len(over_batch), moved
    # Its gradient is added up over fsdp to where it is kept, and what is left of it over data.
    assert (times["all-reduce"], times["reduce-scatter"]) == (
        (0, 1) if sizes[1] > 1 else (int(sizes[0] > 1), 0)), moved
print("equal")
"""


def test_a_spread_batch_has_the_loss_and_gradients_of_one_device():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    env = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env, timeout=200)
    assert done.stdout.strip().endswith("equal"), done.stderr[-3000:]
