"""The NF4 product kernels, step by step on CPU, against XLA's way, and lowered for the devices they are for."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AbstractDevice, AbstractMesh, AxisType

from vlsm_jax.models import nf4
from vlsm_jax.models.kernels import nf4_product, nf4_product_gpu
from vlsm_jax.models.layers import Axes, Declare, Dense, normal
from vlsm_jax.models.quantised import (
    FORMATS,
    IMPLEMENTATIONS,
    QuantisedDense,
    frozen_product,
    product_for,
    set_implementation,
)

KERNELS = pytest.mark.parametrize("kernel", [nf4_product, nf4_product_gpu], ids=["tpu", "gpu"])


def arrays_of(format, inputs, outputs):
    kernel = jax.random.normal(jax.random.key(0), (inputs, outputs)) * 0.02
    return jax.jit(FORMATS[format].quantise)(kernel)


# Several tiles of inputs, several of outputs, and rows that fill no tile.
@KERNELS
@pytest.mark.parametrize(
    ("format", "rows", "inputs", "outputs"),
    [("nf4", 1, 1024, 384), ("nf4", 20, 1536, 128), ("nf4-double", 3, 512, 256), ("nf4-double", 1, 512, 128)],
)
def test_kernel_equals_xla(kernel, format, rows, inputs, outputs):
    arrays = arrays_of(format, inputs, outputs)
    x = jax.random.normal(jax.random.key(1), (rows, inputs))
    assert kernel.takes(format, x.shape, outputs)
    found = jax.jit(lambda x, a: kernel.nf4_product(x, a, interpret=True))(x, arrays)
    wanted = frozen_product(format, x, arrays)
    assert found.shape == (rows, outputs)
    np.testing.assert_allclose(found, wanted, atol=2e-6 * float(jnp.abs(wanted).max()) * np.sqrt(inputs))


@KERNELS
def test_kernel_in_bfloat16_is_as_near_as_its_weights(kernel):
    arrays = arrays_of("nf4", 1024, 128)
    x = jax.random.normal(jax.random.key(1), (8, 1024)).astype(jnp.bfloat16)
    found = kernel.nf4_product(x, arrays, interpret=True)
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(x).astype(np.float64) @ np.asarray(nf4.dequantise(arrays, jnp.bfloat16)).astype(np.float64)
    # What is left is one rounding to bfloat16, half of 2^-7 in relation to each value.
    np.testing.assert_allclose(np.asarray(found).astype(np.float64), exact, rtol=2**-8, atol=1e-4)


def test_one_row_on_a_gpu_takes_weights_as_they_are():
    arrays = arrays_of("nf4-double", 1024, 128)
    x = jax.random.normal(jax.random.key(1), (1, 1024)).astype(jnp.bfloat16)
    found = nf4_product_gpu.nf4_product(x, arrays, interpret=True)
    exact = np.asarray(x).astype(np.float64) @ np.asarray(nf4.dequantise(arrays, jnp.float32)).astype(np.float64)
    np.testing.assert_allclose(np.asarray(found).astype(np.float64), exact, rtol=2**-8, atol=1e-5)


@KERNELS
def test_kernel_takes_any_statistics(kernel):
    # 24 blocks of inputs: the 256 that share a nested statistic end within an output.
    kernel_of = jax.random.normal(jax.random.key(2), (1536, 128)) * jnp.geomspace(1e-4, 10, 128)
    arrays = jax.jit(nf4.quantise_double)(kernel_of)
    rows = jnp.eye(4, 1536, k=700)
    found = kernel.nf4_product(rows, arrays, interpret=True)
    np.testing.assert_array_equal(found, nf4.dequantise(arrays, jnp.float32)[700:704])


def test_what_the_kernels_take():
    for kernel in (nf4_product, nf4_product_gpu):
        assert kernel.takes("nf4-double", (1, 4608), 18432)
        assert kernel.takes("nf4", (64, 5632), 2048)
        assert not kernel.takes("nf4", (129, 4608), 18432)  # many rows: a dequantised kernel is used often enough
        assert not kernel.takes("int4", (1, 4608), 18432)
        assert not kernel.takes("nf4", (1, 512), 96)
    assert not nf4_product.takes("nf4", (1, 192), 256)
    assert nf4_product_gpu.takes("nf4", (1, 192), 256)
    assert nf4_product_gpu.takes("nf4", (1, 512), 192)
    assert not nf4_product_gpu.takes("nf4", (65, 4608), 18432)
    with pytest.raises(ValueError, match="no tiles for a kernel of 512 x 192: inputs have to be a multiple of 512"):
        nf4_product.nf4_product(jnp.ones((1, 512)), arrays_of("nf4", 512, 192))
    with pytest.raises(ValueError, match=r"no tiles for 1 rows and a kernel of 512 x 96: .* outputs of 64"):
        nf4_product_gpu.nf4_product(jnp.ones((1, 512)), arrays_of("nf4", 512, 96))


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("format", ["nf4", "nf4-double"])
def test_kernel_is_lowered_for_a_gpu_that_is_not_there(format, rows):
    shape = (rows, 4608)
    arrays = jax.eval_shape(FORMATS[format].quantise, jax.ShapeDtypeStruct((4608, 18432), jnp.float32))
    product = jax.jit(nf4_product_gpu.nf4_product).trace(jax.ShapeDtypeStruct(shape, jnp.bfloat16), arrays)
    card = AbstractDevice("NVIDIA H200", 132, "gpu")  # asked for by some versions of jax
    with jax.sharding.use_abstract_mesh(AbstractMesh((1,), ("data",), (AxisType.Auto,), abstract_device=card)):
        text = product.lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("__gpu$xla.gpu.triton") == 1
    # Nothing of the kernel's size is made: there are codes alone, and sums of a few shares.
    assert "4608x18432" not in text


def test_kernel_is_lowered_for_a_tpu_that_is_not_there():
    arrays = jax.eval_shape(nf4.quantise, jax.ShapeDtypeStruct((4608, 18432), jnp.float32))
    product = jax.jit(nf4_product.nf4_product).trace(jax.ShapeDtypeStruct((1, 4608), jnp.bfloat16), arrays)
    text = product.lower(lowering_platforms=("tpu",)).as_text()
    assert text.count("tpu_custom_call") == 1
    assert "4608x18432" not in text


def test_pallas_without_triton_says_so(monkeypatch):
    monkeypatch.delattr("jax.experimental.pallas.triton", raising=False)
    monkeypatch.setitem(sys.modules, "jax.experimental.pallas.triton", None)
    with pytest.raises(NotImplementedError, match=r"has no Triton in Pallas.*choose the quantised product 'xla'"):
        nf4_product_gpu.nf4_product(jnp.ones((1, 512)), arrays_of("nf4", 512, 128))


def test_product_for_a_platform():
    assert [product_for("pallas", platform, 1) for platform in ("tpu", "gpu")] == ["pallas-tpu", "pallas-gpu"]
    assert [product_for("auto", platform, 1) for platform in ("tpu", "gpu", "cpu")] == ["pallas-tpu", "xla", "xla"]
    assert [product_for("auto", platform, 2) for platform in ("tpu", "gpu")] == ["xla", "xla"]
    for platform, devices in (("cpu", 1), ("gpu", 2)):
        with pytest.raises(ValueError, match=f"for one TPU or one GPU, not for {devices} .*'{platform}'"):
            product_for("pallas", platform, devices)


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
    for name in IMPLEMENTATIONS[1:]:
        set_implementation(model, name)
        assert "pallas_call" in primitives()
    np.testing.assert_allclose(model(x), wanted, atol=1e-4)
    # Rows that the kernel does not take go through XLA as before.
    assert "pallas_call" not in str(jax.make_jaxpr(lambda x: model(x))(jnp.ones((200, 512))))
    with pytest.raises(ValueError, match="'triton' is not one of xla, pallas-tpu, pallas-gpu, interpret"):
        set_implementation(model, "triton")
