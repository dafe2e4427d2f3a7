"""4-bit kernels spread over devices: the same product and gradient, and codes travel instead of what they stand for."""

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec as P
from vlsm_jax.models.layers import Axes, Declare, Dense, normal
from vlsm_jax.models.quantised import QuantisedDense
from vlsm_jax.sharding import make_mesh, param_shardings
from vlsm_jax.training.planning.hlo import Module, collectives

sizes = {"inputs": Axes.of(embed=1024), "outputs": Axes.of(mlp=256)}
plain = Dense(Declare(nnx.Rngs(0)), *sizes.values(), init=normal(0.1), use_bias=False, dtype=jnp.float32)
graphdef, state = nnx.split(QuantisedDense(plain, "nf4-double"))
x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 1024)), jnp.float32)
value_and_gradient = jax.value_and_grad(lambda state, x: (nnx.merge(graphdef, state)(x) ** 2).sum(), 1)
wanted = jax.jit(value_and_gradient)(state, x)
for shape in ((1, 8, 1), (2, 2, 2), (1, 1, 8), (2, 4, 1)):
    mesh = make_mesh(*shape)
    places = param_shardings(state, mesh), NamedSharding(mesh, P(("data", "fsdp")))
    with jax.set_mesh(mesh):
        step = jax.jit(value_and_gradient, in_shardings=places).lower(state, x).compile()
        found = step(*jax.device_put((state, x), places))
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-4, atol=1e-4)
    moved = collectives(Module.parse(step.as_text()), dict(mesh.shape))
    kernel = 1024 * 256 // shape[2]
    gathers = [c for c in moved if c.kind == "all-gather"]
    assert all(c.dtype == "u8" and c.bytes <= kernel // 2 for c in gathers), gathers
    assert bool(gathers) == (shape[1] > 1), moved
print("equal")
"""


def test_codes_are_gathered_and_not_kernels():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env, timeout=300)
    assert done.stdout.strip().endswith("equal"), done.stderr[-3000:]
