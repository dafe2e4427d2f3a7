"""An embedding spread over devices: the gradient of one device, and no whole table travels."""

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec as P
from vlsm_jax.models.layers import Declare, Embedding, normal
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.planning.hlo import Module, collectives

ROWS, WIDTH = 512, 64
embedding = Embedding(Declare(nnx.Rngs(0)), ROWS, WIDTH, names=("vocab", "embed"), init=normal(0.1), dtype=jnp.float32)
graphdef, state = nnx.split(embedding)
rng = np.random.default_rng(0)
index = jnp.asarray(rng.integers(-2, ROWS + 2, (8, 16)), jnp.int32)  # some outside: they read the nearest row
toward = jnp.asarray(rng.normal(size=(8, 16, WIDTH)), jnp.float32)

def loss(state, index, toward):
    return (nnx.merge(graphdef, state)(index) * toward).sum()

def table(gradient):
    return np.asarray(jax.tree.leaves(gradient)[0])

wanted = np.zeros((ROWS, WIDTH), np.float32)
np.add.at(wanted, np.clip(index, 0, ROWS - 1), toward)
np.testing.assert_allclose(table(jax.jit(jax.grad(loss))(state, index, toward)), wanted, rtol=1e-5, atol=1e-5)
for sizes in ((1, 8, 1), (2, 4, 1), (2, 2, 2)):
    mesh = make_mesh(*sizes)
    rows, place = NamedSharding(mesh, P(("data", "fsdp"))), NamedSharding(mesh, P("tensor", "fsdp"))
    with jax.set_mesh(mesh):
        step = jax.jit(jax.grad(loss), in_shardings=(place, rows, rows), out_shardings=place)
        step = step.lower(state, index, toward).compile()
        found = step(jax.device_put(state, place), *jax.device_put((index, toward), (rows, rows)))
    np.testing.assert_allclose(table(found), wanted, rtol=1e-5, atol=1e-5)
    moved = collectives(Module.parse(step.as_text()), dict(mesh.shape))
    assert all(c.bytes <= ROWS * WIDTH * 4 // (sizes[1] * sizes[2]) for c in moved), (sizes, moved)
print("equal")
"""


def test_the_gradient_of_an_embedding_is_added_up_where_it_is_kept():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env, timeout=300)
    assert done.stdout.strip().endswith("equal"), done.stderr[-3000:]
