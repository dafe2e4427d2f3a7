"""NF4 against its definition and, bit by bit, against bitsandbytes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.models import nf4

DTYPES = ("float32", "float16", "bfloat16")


@pytest.fixture(scope="module")
def bitsandbytes():
    """bitsandbytes' functions, and torch; a CPU build does."""
    pytest.importorskip("bitsandbytes")
    from bitsandbytes import functional

    return functional, pytest.importorskip("torch")


def kernel_of(inputs, outputs, seed=0):
    return np.random.default_rng(seed).normal(0, 0.02, (inputs, outputs)).astype(np.float32)


def to_ours(weight, inputs, outputs):
    """bitsandbytes' bytes [O I/2, 1] as codes [I, O]."""
    packed = weight.numpy().reshape(outputs, inputs // 2)
    return np.stack([packed >> 4, packed & 15], -1).reshape(outputs, inputs).T


def test_codes_are_the_nearest_values():
    kernel = kernel_of(128, 24)
    arrays = nf4.quantise(jnp.asarray(kernel))
    blocks = kernel.reshape(2, 64, 24)
    largest = np.abs(blocks).max(axis=1)
    np.testing.assert_array_equal(arrays["absmax"], largest)
    distance = np.abs(blocks[..., None] / largest[:, None, :, None] - nf4.CODEBOOK)
    np.testing.assert_array_equal(nf4.unpack(arrays["codes"]), distance.argmin(-1))


def test_values_of_the_codebook_come_back():
    kernel = np.tile(nf4.CODEBOOK, 8).reshape(128, 1) * np.float32(0.37)
    back = nf4.dequantise(nf4.quantise(jnp.asarray(kernel)), jnp.float32)
    np.testing.assert_array_equal(back, kernel)


def test_bytes_hold_the_halves_of_a_block():
    codes = np.arange(128).reshape(2, 64, 1) % 16
    packed = np.asarray(nf4.pack(jnp.asarray(codes, jnp.uint8))).reshape(2, 32)
    np.testing.assert_array_equal(packed, codes[:, :32, 0] * 16 + codes[:, 32:, 0])
    np.testing.assert_array_equal(nf4.unpack(jnp.asarray(packed.reshape(64, 1))), codes)


quantise, dequantise = jax.jit(nf4.quantise), jax.jit(nf4.dequantise, static_argnums=1)


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30))
@settings(max_examples=25, deadline=None)
def test_quantising_twice_changes_nothing(seed, exponent):
    blocks, outputs = 3, 5  # one shape, compiled once
    kernel = kernel_of(64 * blocks, outputs, seed) * np.float32(2.0**exponent)
    once = quantise(jnp.asarray(kernel))
    twice = quantise(dequantise(once, jnp.float32))
    for name, array in once.items():
        np.testing.assert_array_equal(twice[name], array)
    # No value is further off than half of the widest gap, between -1 and its neighbour.
    error = np.abs(kernel - dequantise(once, jnp.float32)).reshape(blocks, 64, outputs)
    widest = np.diff(nf4.CODEBOOK).max() / 2
    assert (error <= widest * np.asarray(once["absmax"])[:, None] * (1 + 1e-6)).all()


def test_zeros_stay_zeros():
    for quantise in (nf4.quantise, nf4.quantise_double):
        back = jax.jit(lambda k, quantise=quantise: nf4.dequantise(quantise(k), jnp.float32))(jnp.zeros((64, 300)))
        np.testing.assert_array_equal(back, 0)


def test_select_and_table_agree():
    codes = jnp.arange(16, dtype=jnp.uint8)
    np.testing.assert_array_equal(nf4.select(codes), nf4.CODEBOOK)
    np.testing.assert_array_equal(jax.jit(nf4.look_up)(codes), nf4.CODEBOOK)


def test_statistics_go_to_the_nearest_value_of_the_map():
    absmax = np.abs(kernel_of(7, 200))
    arrays = jax.jit(nf4.quantise_absmax)(jnp.asarray(absmax))
    assert arrays["nested"].shape == (nf4.nested_count(7, 200),) == (6,)
    np.testing.assert_allclose(arrays["offset"], absmax.mean(), rtol=1e-6)
    # 256 in a row are 256 in bitsandbytes' order: all blocks of an output, then those of the next.
    flat = np.pad(absmax.T.reshape(-1) - np.asarray(arrays["offset"]), (0, 136)).reshape(6, 256)
    np.testing.assert_array_equal(arrays["nested"], np.abs(flat).max(axis=1))
    nearest = np.abs(flat[..., None] / np.abs(flat).max(axis=1)[:, None, None] - nf4.dynamic_map()).min(-1)
    found = np.asarray(nf4.dequantise_absmax(**{k: arrays[k] for k in ("nested", "offset")}, codes=arrays["absmax"]))
    error = np.pad(np.abs(found - absmax).T.reshape(-1), (0, 136)).reshape(6, 256)
    np.testing.assert_allclose(error, nearest * np.asarray(arrays["nested"])[:, None], atol=1e-8)


def test_golden_bytes():
    """What bitsandbytes 0.50.2 makes of a ramp, for machines without it."""
    ramp = (np.arange(64, dtype=np.float32) - 31.5) / 8
    arrays = nf4.quantise(jnp.asarray(ramp[:, None]))
    codes = np.asarray(nf4.unpack(arrays["codes"])).reshape(32, 2)
    golden = "00000111111112222233344445556667788899aaabbbccccddddeeeeeeefffff"
    assert "".join(f"{code:x}" for code in codes.reshape(-1)) == golden
    assert arrays["absmax"].item() == 3.9375
    digest = nf4.dynamic_map().view(np.uint32).astype(np.uint64)
    assert (digest[0], digest[255], int(digest.sum())) == (0xBF7E3333, 0x3F800000, 535306620548)


# --- Beside bitsandbytes ----------------------------------------------------------------------------------------------


def test_dynamic_map_is_that_of_bitsandbytes(bitsandbytes):
    functional, _ = bitsandbytes
    np.testing.assert_array_equal(nf4.dynamic_map(), functional.create_dynamic_map().numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("inputs", "outputs"), [(256, 96), (1152, 70)])
def test_quantising_gives_the_bits_of_bitsandbytes(bitsandbytes, dtype, inputs, outputs):
    functional, torch = bitsandbytes
    weight = torch.from_numpy(kernel_of(inputs, outputs).T.copy()).to(getattr(torch, dtype))
    stored, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    arrays = jax.jit(nf4.quantise)(jnp.asarray(weight.float().numpy().T).astype(dtype))
    codes = np.asarray(nf4.unpack(arrays["codes"])).reshape(inputs, outputs)
    np.testing.assert_array_equal(codes, to_ours(stored, inputs, outputs))
    np.testing.assert_array_equal(arrays["absmax"], state.absmax.numpy().reshape(outputs, -1).T)


@pytest.mark.parametrize("double", [False, True])
def test_dequantising_gives_the_bits_of_bitsandbytes(bitsandbytes, double):
    functional, torch = bitsandbytes
    inputs, outputs = 1152, 70  # 18 blocks: a nested block of 256 ends within an output
    weight = torch.from_numpy(kernel_of(inputs, outputs).T.copy())
    stored, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=double)
    codes = to_ours(stored, inputs, outputs).reshape(-1, 64, outputs)
    arrays = {"codes": nf4.pack(jnp.asarray(codes)), "absmax": jnp.asarray(state.absmax.numpy().reshape(outputs, -1).T)}
    if double:
        arrays |= {"nested": jnp.asarray(state.state2.absmax.numpy()), "offset": jnp.asarray(state.offset.item())}
    for dtype in DTYPES:
        state.dtype = getattr(torch, dtype)
        theirs = functional.dequantize_4bit(stored, state).float().numpy().T
        ours = jax.jit(nf4.dequantise, static_argnums=1)(arrays, dtype)
        np.testing.assert_array_equal(np.asarray(ours).astype(np.float32), theirs, err_msg=dtype)


def test_double_quantising_differs_from_bitsandbytes_in_few_statistics(bitsandbytes):
    """Ours is the nearest value of the map; on CPU bitsandbytes goes through a coarser table."""
    functional, torch = bitsandbytes
    kernel = kernel_of(1152, 300)
    _, state = functional.quantize_4bit(
        torch.from_numpy(kernel.T.copy()), blocksize=64, quant_type="nf4", compress_statistics=True
    )
    arrays = jax.jit(nf4.quantise_double)(jnp.asarray(kernel))
    np.testing.assert_allclose(arrays["offset"], state.offset.item(), rtol=1e-6)
    np.testing.assert_allclose(arrays["nested"], state.state2.absmax.numpy(), rtol=1e-5)
    apart = np.abs(np.asarray(arrays["absmax"]).astype(int) - state.absmax.numpy().reshape(300, -1).T)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


def test_constants_of_the_look_up_stay_in_the_loop_over_layers():
    """Sixteen arrays of a kernel's size, were they taken out of it: 11 GiB in a step of StarCoder2-7B."""

    def layer(x, codes):
        kernel = nf4.select(nf4.unpack(codes)).reshape(-1, codes.shape[-1])
        return jnp.tanh(x @ kernel), None

    def loss(x, codes):
        return jax.lax.scan(jax.checkpoint(layer), x, codes)[0].sum()

    program = jax.make_jaxpr(jax.grad(loss))(jnp.zeros((8, 128)), jnp.zeros((3, 64, 128), jnp.uint8))
    made = [variable.aval.size for equation in program.eqns for variable in equation.outvars]
    assert 0 < max(made) < 128 * 128


def test_statistics_are_selected_as_they_are_looked_up():
    codes = jnp.arange(256, dtype=jnp.uint8).reshape(2, 128)
    found = np.asarray(jax.jit(nf4.select_dynamic)(codes)).reshape(-1)
    np.testing.assert_array_equal(found.view(np.uint32) << 1, nf4.dynamic_map().view(np.uint32) << 1)  # 0 has two signs
    np.testing.assert_array_equal(np.sign(found), np.sign(nf4.dynamic_map()))
