"""Quantised kernels in a layer, in a decoder under scan and remat, and over eight devices."""

import functools
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax._src.ad_checkpoint import saved_residuals
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from vlsm_jax.models import Decoder, DecoderConfig, quantised
from vlsm_jax.models.adaptation import Adaptation, adapt, dense_layers, plain
from vlsm_jax.models.layers import Axes, Declare, Dense, normal
from vlsm_jax.models.quantised import FORMATS, Frozen, QuantisedDense, QuantisedKernel, frozen_product
from vlsm_jax.sharding import MESH_AXES, param_shardings

# For what is run once, where the time to compile is what counts.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
CONFIG = DecoderConfig("llama", 64, 128, 2, 4, 2, 32, 128)


def dense(inputs=None, outputs=None, layers=None, dtype=jnp.float32, use_bias=True):
    declare = Declare(nnx.Rngs(0), layers=layers)
    inputs = inputs or Axes.of(embed=128)
    outputs = outputs or Axes.of(heads=4, head_dim=6)
    return Dense(declare, inputs, outputs, init=normal(0.1), use_bias=use_bias, dtype=dtype)


@functools.cache
def made(quantise, remat):
    """A decoder's structure and state; made in one program, which compiles sooner than its operations one by one."""

    def make():
        model = Decoder(CONFIG, rngs=nnx.Rngs(0), remat=remat)
        return nnx.split(adapt(model, Adaptation(quantise), nnx.Rngs(1)))

    return nnx.eval_shape(make)[0], jit(lambda: make()[1])()


def decoder(quantise="nf4-double", remat="none"):
    return nnx.merge(*made(quantise, remat))


@functools.cache
def made_plain():
    graphdef, state = made("nf4-double", "none")

    def make(state):
        return nnx.split(plain(nnx.merge(graphdef, state), jnp.float32))

    return nnx.eval_shape(make, state)[0], jit(lambda state: make(state)[1])(state)


def forward(model):
    rows, length = 2, 7
    tokens = jnp.arange(rows * length).reshape(rows, length) % CONFIG.vocabulary
    positions = jnp.broadcast_to(jnp.arange(length), (rows, length))
    return model.logits(model(model.embed(tokens), positions=positions)[0])


def run(model):
    graphdef, state = nnx.split(model)
    return jit(lambda state: forward(nnx.merge(graphdef, state)))(state)


@pytest.mark.parametrize("format", FORMATS)
def test_layer_multiplies_by_its_dequantised_kernel(format):
    layer = dense()
    quantised = QuantisedDense(layer, format)
    x = jax.random.normal(jax.random.key(1), (3, 5, 128))
    kernel = quantised.kernel.dequantise(jnp.float32)
    assert kernel.shape == (128, 4, 6)
    wanted = jnp.einsum("bti,ihd->bthd", x, kernel) + layer.bias[...]
    np.testing.assert_allclose(quantised(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("format", "worst"), [("int8", 1 / 254), ("int4", 1 / 14), ("nf4", 0.152), ("nf4-double", 0.155)]
)
def test_formats_are_as_near_as_their_steps_allow(format, worst):
    kernel = dense(use_bias=False).kernel
    quantised = QuantisedKernel(kernel, Axes.of(embed=128), Axes.of(heads=4, head_dim=6), format)
    error = jnp.abs(quantised.dequantise(jnp.float32) - kernel[...]).reshape(2, 64, 24)
    largest = jnp.abs(kernel[...]).reshape(2, 64, 24).max(axis=1, keepdims=True)
    relative = (error / largest).max()
    assert worst / 2 < relative <= worst * (1 + 1e-5)  # the second, so that another format would be noticed


def test_bits_are_those_that_are_stored():
    inputs, outputs = Axes.of(embed=1024), Axes.of(mlp=256)
    kernel = dense(inputs, outputs, use_bias=False).kernel
    for name, format in FORMATS.items():
        stored = nnx.eval_shape(lambda name=name: nnx.state(QuantisedKernel(kernel, inputs, outputs, name), Frozen))
        held = 8 * sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(stored)) / (1024 * 256)
        assert held == pytest.approx(format.bits, abs=2e-4), name


@pytest.mark.parametrize("format", FORMATS)
def test_gradient_is_that_of_the_dequantised_kernel(format):
    quantised = QuantisedDense(dense(use_bias=False), format)
    rows = jax.random.normal(jax.random.key(1), (5, 128))
    kernel = quantised.kernel.dequantise(jnp.float32).reshape(128, 24)
    gradient = jax.jit(jax.grad(lambda x: jnp.sin(quantised.product(x)).sum()))(rows)
    np.testing.assert_allclose(gradient, jnp.cos(rows @ kernel) @ kernel.T, rtol=1e-4, atol=1e-5)


def test_nothing_but_codes_lives_from_forward_to_backward():
    quantised = QuantisedDense(dense(use_bias=False), "nf4")
    arrays = quantised.kernel.arrays()
    rows = jnp.ones((5, 128))
    kept = [(a.shape, a.dtype) for a, _ in saved_residuals(lambda x: frozen_product("nf4", x, arrays), rows)]
    assert sorted(kept, key=str) == sorted([(a.shape, a.dtype) for a in arrays.values()], key=str)

    def ordinary(x):
        return x @ FORMATS["nf4"].dequantise(arrays, jnp.float32)

    # The check itself is worth something: an ordinary product does keep its kernel.
    assert ((128, 24), jnp.float32) in [(a.shape, a.dtype) for a, _ in saved_residuals(ordinary, rows)]


def test_compiled_memory_does_not_grow_with_dequantised_layers():
    """Unrolled and without remat, where XLA would merge the two dequantisations of a layer if it could."""
    depth, width = 4, 256
    # XLA's usual order on CPU is for speed alone; accelerators order for memory, as here.
    options = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    layer = dense(Axes.of(embed=width), Axes.of(mlp=width), layers=depth, use_bias=False)
    arrays = QuantisedDense(layer, "nf4").kernel
    graphdef, state = nnx.split(arrays)

    def loss(rows, state, product):
        for index in range(depth):
            kernel = nnx.merge(graphdef, jax.tree.map(lambda a, i=index: a[i], state))
            rows = jnp.tanh(product(rows, kernel.arrays()))
        return rows.sum()

    def temporary(product):
        step = jax.jit(jax.grad(loss), static_argnums=2)
        compiled = step.lower(jnp.ones((4, width)), state, product).compile(options)
        return compiled.memory_analysis().temp_size_in_bytes

    one_kernel = 4 * width * width
    frozen = temporary(lambda rows, arrays: frozen_product("nf4", rows, arrays))
    ordinary = temporary(lambda rows, arrays: rows @ FORMATS["nf4"].dequantise(arrays, rows.dtype))
    assert one_kernel < frozen < 1.5 * one_kernel
    assert ordinary > depth * one_kernel


def test_decoder_equals_the_plain_one_with_the_same_values():
    found = run(decoder())
    np.testing.assert_allclose(found, run(nnx.merge(*made_plain())), atol=1e-5)
    assert np.abs(found - run(decoder("none"))).max() > 1e-3


def test_gradient_through_scan_and_remat():
    """The gradient for what is not quantised, embedding and norms, equals that of a plain decoder."""
    graphdef, params, frozen = nnx.split(decoder(remat="full"), nnx.Param, ...)
    assert {v.get_value().dtype for _, v in nnx.to_flat_state(frozen)} == {jnp.dtype("uint8"), jnp.dtype("float32")}
    found = jit(jax.grad(lambda p: jnp.square(forward(nnx.merge(graphdef, p, frozen))).sum()))(params)
    graphdef, state = made_plain()
    wanted = jit(jax.grad(lambda s: jnp.square(forward(nnx.merge(graphdef, s))).sum()))(state)
    wanted = dict(nnx.to_flat_state(wanted))
    assert len(found) < len(wanted)
    for path, variable in nnx.to_flat_state(found):
        expected = wanted[path].get_value()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(variable.get_value(), expected, atol=1e-4 * scale, err_msg="/".join(path))


def test_scan_with_remat_holds_one_dequantised_layer():
    """Eight times the layers, and less than one dequantised layer more of temporary memory."""

    def temporary(layers):
        config = DecoderConfig("llama", 64, 128, layers, 2, 2, 64, 512)
        model = nnx.eval_shape(
            lambda: adapt(Decoder(config, rngs=nnx.Rngs(0), remat="full"), Adaptation("nf4"), nnx.Rngs(1))
        )
        graphdef, params, frozen = nnx.split(model, nnx.Param, ...)
        x, positions = jnp.zeros((1, 8, 128)), jnp.arange(8)[None]

        def loss(x, params, frozen):
            return nnx.merge(graphdef, params, frozen)(x, positions=positions)[0].sum()

        compiled = jax.jit(jax.grad(loss)).lower(x, params, frozen).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    one_layer = 4 * (4 * 128 * 128 + 3 * 128 * 512)
    assert temporary(16) - temporary(2) < one_layer / 2


def test_parameters_keep_the_axes_of_the_kernel():
    _, state = made("nf4-double", "none")
    shardings = param_shardings(state, AbstractMesh((1, 2, 2), MESH_AXES))
    placed = {"/".join(path): param.get_value().spec for path, param in nnx.to_flat_state(shardings)}
    assert placed["layers/attention/q/kernel/codes"] == PartitionSpec(None, "fsdp", "tensor", None)
    assert placed["layers/attention/q/kernel/absmax"] == PartitionSpec(None, "fsdp", "tensor", None)
    assert placed["layers/attention/o/kernel/codes"] == PartitionSpec(None, "tensor", "fsdp")
    assert placed["layers/attention/o/kernel/nested"] == PartitionSpec(None, None)
    assert placed["layers/attention/o/kernel/offset"] == PartitionSpec(None)


def test_stack_equals_its_layers():
    stack = dense(layers=3, use_bias=False)
    whole = QuantisedKernel(stack.kernel, stack.inputs, stack.outputs, "nf4-double")
    for index in range(3):
        layer = dense(use_bias=False)
        layer.kernel[...] = stack.kernel[...][index]
        one = QuantisedKernel(layer.kernel, stack.inputs, stack.outputs, "nf4-double")
        for name in one.names:
            np.testing.assert_array_equal(getattr(whole, name)[...][index], getattr(one, name)[...])


def test_what_cannot_be_quantised():
    with pytest.raises(ValueError, match="'fp4' is not one of nf4, nf4-double, int8, int4"):
        QuantisedDense(dense(), "fp4")
    odd = DecoderConfig("llama", 64, 128, 1, 2, 2, 64, 96)
    with pytest.raises(ValueError, match=r"layers/mlp/down: 96 inputs \(mlp\) are no multiple of 64.*nf4"):
        adapt(Decoder(odd, rngs=nnx.Rngs(0)), Adaptation("nf4"), nnx.Rngs(1))
    with pytest.raises(ValueError, match=r"quantise: 'encoder/\.\*' matches no layer; there are layers/attention/k, "):
        adapt(decoder("none"), Adaptation("nf4", quantised="encoder/.*"), nnx.Rngs(1))
    with pytest.raises(ValueError, match="quantise='gptq' is not one of none, nf4"):
        Adaptation("gptq")


def test_plain_gives_a_decoder_without_a_trace():
    def make():
        model = Decoder(CONFIG, rngs=nnx.Rngs(0))
        return plain(adapt(model, Adaptation("int8"), nnx.Rngs(1)), jnp.bfloat16)

    model = nnx.eval_shape(make)
    assert {type(layer) for layer in dense_layers(model).values()} == {Dense}
    fresh = nnx.eval_shape(lambda: Decoder(CONFIG, rngs=nnx.Rngs(0)))
    assert [path for path, _ in nnx.to_flat_state(nnx.state(model))] == [
        path for path, _ in nnx.to_flat_state(nnx.state(fresh))
    ]
    assert model.layers.mlp.up.kernel.get_value().dtype == jnp.bfloat16
    assert model.layers.mlp.up.kernel.logical_axes == fresh.layers.mlp.up.kernel.logical_axes


SHARDED = textwrap.dedent(
    """
    import jax, jax.numpy as jnp, numpy as np
    from flax import nnx
    from vlsm_jax.models import Decoder, DecoderConfig, quantised
    from vlsm_jax.models.adaptation import Adaptation, adapt
    from vlsm_jax.models.lora import LoraConfig, LoraParam, with_dropout
    from vlsm_jax.sharding import batch_sharding, make_mesh, param_shardings

    config = DecoderConfig("llama", 64, 256, 2, 4, 2, 64, 256)
    adaptation = Adaptation("nf4-double", LoraConfig(4, 8.0, 0.25, targets=("layers/.*",)))

    def make():
        model = adapt(Decoder(config, rngs=nnx.Rngs(0), remat="full"), adaptation, nnx.Rngs(1))
        return nnx.split(model, LoraParam, ...)

    graphdef = nnx.eval_shape(make)[0]
    adapters, rest = jax.jit(lambda: make()[1:])()
    adapters = jax.tree.map(lambda a: a + 0.02 * jnp.cos(jnp.arange(a.size)).reshape(a.shape), adapters)
    tokens = np.arange(8 * 16).reshape(8, 16) % 64
    positions = np.broadcast_to(np.arange(16), (8, 16)).copy()

    def loss(adapters, rest, tokens, positions):
        model = with_dropout(nnx.merge(graphdef, adapters, rest), jax.random.key(0))
        hidden, _ = model(model.embed(tokens), positions=positions)
        return jnp.mean(jax.nn.logsumexp(model.logits(hidden), axis=-1) - model.logits(hidden)[..., 3])

    value, gradients = jax.jit(jax.value_and_grad(loss))(adapters, rest, tokens, positions)
    assert min(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradients)) > 0
    for sizes in ((2, 2, 2),):
        mesh = make_mesh(*sizes)
        places = [param_shardings(state, mesh) for state in (adapters, rest)]
        a, r = jax.device_put(adapters, places[0]), jax.device_put(rest, places[1])
        codes = r["layers"]["mlp"]["up"]["kernel"]["codes"].get_value()
        assert codes.addressable_shards[0].data.size * sizes[1] * sizes[2] == codes.size
        rows = [jax.device_put(x, batch_sharding(mesh)) for x in (tokens, positions)]
        with jax.set_mesh(mesh), jax.transfer_guard("disallow"):
            v, g = jax.jit(jax.value_and_grad(loss), out_shardings=(None, places[0]))(a, r, *rows)
        np.testing.assert_allclose(v, value, rtol=1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max()), g, gradients)
        print("equal on", sizes)
    """
)


def test_eight_devices_equal_one():
    """NF4, adapters, dropout, scan and remat on three mesh axes, in a process of its own with simulated devices."""
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("equal on") == 1


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_kernel_in_pieces_multiplies_as_the_whole(format, monkeypatch):
    # Six pieces: four would leave no whole number of cache lines.
    kernel = jax.random.normal(jax.random.key(0), (320, 384)) * 0.02
    arrays = jax.jit(FORMATS[format].quantise)(kernel)
    rows = jax.random.normal(jax.random.key(1), (5, 320))
    gradient = jax.random.normal(jax.random.key(2), (5, 384))

    def both(dtype):
        def product(rows):
            return quantised.frozen_product(format, rows, arrays)

        y, backward = jax.vjp(product, rows.astype(dtype))
        return np.asarray(y, np.float32), np.asarray(*backward(gradient.astype(dtype)), np.float32)

    wholes = {dtype: both(dtype) for dtype in (jnp.float32, jnp.bfloat16)}
    monkeypatch.setattr(quantised, "_PIECE_BYTES", 320 * 384)
    for dtype, whole in wholes.items():
        assert quantised._pieces(arrays, dtype) == {4: 6, 2: 2}[dtype.dtype.itemsize]
        assert "while" in jax.jit(lambda x: quantised.frozen_product(format, x, arrays)).lower(rows).as_text()
        pieces = both(dtype)
        bound = 1e-5 if dtype == jnp.float32 else 2**-7
        for found, wanted in zip(pieces, whole, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=bound, atol=bound * np.abs(wanted).max())
    # Not where devices share a kernel, and not for an accelerator.
    with jax.sharding.use_abstract_mesh(AbstractMesh((2,), ("data",), (AxisType.Auto,))):
        assert "scan" not in str(jax.make_jaxpr(lambda x: quantised.frozen_product(format, x, arrays))(rows))
    lowered = jax.jit(lambda x: quantised.frozen_product(format, x, arrays)).trace(rows)
    for platform in ("tpu", "cuda"):
        assert "while" not in lowered.lower(lowering_platforms=(platform,)).as_text()
