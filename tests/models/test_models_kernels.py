"""The NF4 product kernel, step by step on CPU, against XLA's way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vlsm_jax.models import nf4
from vlsm_jax.models.kernels.nf4_product import nf4_product, takes
from vlsm_jax.models.layers import Axes, Declare, Dense, normal
from vlsm_jax.models.quantised import FORMATS, QuantisedDense, frozen_product, set_implementation


def arrays_of(format, inputs, outputs):
    kernel = jax.random.normal(jax.random.key(0), (inputs, outputs)) * 0.02
    return jax.jit(FORMATS[format].quantise)(kernel)


# Several tiles of inputs, several of outputs, and rows that fill no tile.
@pytest.mark.parametrize(
    ("format", "rows", "inputs", "outputs"),
    [("nf4", 1, 1024, 384), ("nf4", 20, 1536, 128), ("nf4-double", 3, 512, 256)],
)
def test_kernel_equals_xla(format, rows, inputs, outputs):
    arrays = arrays_of(format, inputs, outputs)
    x = jax.random.normal(jax.random.key(1), (rows, inputs))
    assert takes(format, x.shape, outputs)
    found = jax.jit(lambda x, a: nf4_product(x, a, implementation="interpret"))(x, arrays)
    wanted = frozen_product(format, x, arrays)
    assert found.shape == (rows, outputs)
    np.testing.assert_allclose(found, wanted, atol=2e-6 * float(jnp.abs(wanted).max()) * np.sqrt(inputs))


def test_kernel_in_bfloat16_is_as_near_as_its_weights():
    arrays = arrays_of("nf4", 1024, 128)
    x = jax.random.normal(jax.random.key(1), (8, 1024)).astype(jnp.bfloat16)
    found = nf4_product(x, arrays, implementation="interpret")
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(x).astype(np.float64) @ np.asarray(nf4.dequantise(arrays, jnp.bfloat16)).astype(np.float64)
    # What is left is one rounding to bfloat16, half of 2^-7 in relation to each value.
    np.testing.assert_allclose(np.asarray(found).astype(np.float64), exact, rtol=2**-8, atol=1e-4)


def test_what_the_kernel_takes():
    assert takes("nf4-double", (1, 4608), 18432)
    assert takes("nf4", (128, 5632), 2048)
    assert not takes("nf4", (129, 4608), 18432)  # many rows: a dequantised kernel is used often enough
    assert not takes("int4", (1, 4608), 18432)
    assert not takes("nf4", (1, 192), 256)
    assert not takes("nf4", (1, 512), 192)
    with pytest.raises(ValueError, match="no tiles for a kernel of 512 x 192: inputs have to be a multiple of 512"):
        nf4_product(jnp.ones((1, 512)), arrays_of("nf4", 512, 192))


def test_switch_changes_the_way_and_not_the_result():
    layer = Dense(
        Declare(nnx.Rngs(0)), Axes.of(embed=512), Axes.of(mlp=128), init=normal(0.1), use_bias=True, dtype=jnp.float32
    )
    model = QuantisedDense(layer, "nf4")
    x = jax.random.normal(jax.random.key(1), (2, 1, 512))

    def primitives():
        return str(jax.make_jaxpr(lambda x: model(x))(x))

    wanted = model(x)
    assert "pallas_call" not in primitives()
    set_implementation(model, "interpret")
    assert "pallas_call" in primitives()
    np.testing.assert_allclose(model(x), wanted, atol=1e-4)
    # Rows that the kernel does not take go through XLA as before.
    assert "pallas_call" not in str(jax.make_jaxpr(lambda x: model(x))(jnp.ones((200, 512))))
    with pytest.raises(ValueError, match="'triton' is not one of xla, pallas, interpret"):
        set_implementation(model, "triton")
