"""4-bit checkpoints in and out, and plain ones quantised on the way."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from convert import CheckpointError, read_hf_decoder
from convert.bitsandbytes import from_bytes, read_quantised_decoder, to_bytes, write_quantised_decoder
from convert.mapping import flatten_params
from vlsm_jax.models import Decoder
from vlsm_jax.models.adaptation import Adaptation, adapt, plain

SIZES = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TOKENS = np.array([[5, 17, 3, 42, 8, 9, 11]])


def make_plain(folder, family="starcoder2", seed=0):
    torch = pytest.importorskip("torch")
    import transformers

    torch.manual_seed(seed)
    if family == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
    else:
        model = transformers.Starcoder2ForCausalLM(transformers.Starcoder2Config(**SIZES))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[("llama", False), ("starcoder2", True)], ids=["llama", "starcoder2-double"])
def four_bits(request, tmp_path_factory):
    """A tiny model as bitsandbytes saves it: (folder, the model there, the plain folder, doubly quantised)."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("bitsandbytes")
    import transformers

    family, double = request.param
    base = make_plain(tmp_path_factory.mktemp("plain"), family)
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        base, quantization_config=settings, dtype=torch.bfloat16, device_map="cpu"
    )
    folder = tmp_path_factory.mktemp("four-bits")
    model.save_pretrained(folder)
    return folder, model, base, double


def model_of(config, adaptation, params, dtype=jnp.float32):
    def make():
        return adapt(Decoder(config, rngs=nnx.Rngs(0), dtype=dtype, param_dtype=jnp.bfloat16), adaptation, nnx.Rngs(0))

    return nnx.merge(nnx.split(nnx.eval_shape(make))[0], params)


def test_what_comes_in_goes_out_with_the_same_bytes(four_bits, tmp_path):
    folder, _, _, double = four_bits
    config, adaptation, params = read_quantised_decoder(folder, param_dtype=jnp.bfloat16)
    assert adaptation.quantise == ("nf4-double" if double else "nf4")
    write_quantised_decoder(tmp_path / "out", config, adaptation, params)
    before, after = (path / "model.safetensors" for path in (folder, tmp_path / "out"))
    theirs, ours = load_file(before), load_file(after)
    assert theirs.keys() == ours.keys()
    assert sum(name.endswith("bitsandbytes__nf4") for name in theirs) == 2 * (6 if double else 7)
    for name, tensor in theirs.items():
        assert (tensor.shape, tensor.dtype) == (ours[name].shape, ours[name].dtype), name
        assert tensor.tobytes() == ours[name].tobytes(), name
    assert before.read_bytes() == after.read_bytes()
    written = json.loads((tmp_path / "out/config.json").read_text())["quantization_config"]
    read = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert {key: read[key] for key in written} == written


def test_kernels_are_those_that_bitsandbytes_dequantises(four_bits):
    import bitsandbytes

    folder, model, _, _ = four_bits
    params = flatten_params(nnx.state(plain(model_of(*read_quantised_decoder(folder)), jnp.bfloat16)))
    names = {"q_proj": "attention/q", "o_proj": "attention/o"}
    for layer, block in enumerate(model.model.layers):
        for name, path in names.items():
            weight = getattr(block.self_attn, name).weight
            theirs = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state).float().numpy()
            ours = np.asarray(params[f"layers/{path}/kernel"][layer]).astype(np.float32)
            np.testing.assert_array_equal(ours.reshape(64, -1) if name == "q_proj" else ours.reshape(-1, 64), theirs.T)


def test_transformers_loads_what_is_written(four_bits, tmp_path):
    torch = pytest.importorskip("torch")
    import transformers

    folder, model, _, _ = four_bits
    config, adaptation, params = read_quantised_decoder(folder, param_dtype=jnp.bfloat16)
    write_quantised_decoder(tmp_path / "out", config, adaptation, params)
    again, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", device_map="cpu", output_loading_info=True
    )
    assert not report["missing_keys"]
    with torch.no_grad():
        tokens = torch.from_numpy(TOKENS)
        assert torch.equal(again(tokens).logits, model(tokens).logits)


def test_plain_weights_become_the_same_four_bits(four_bits):
    folder, _, base, double = four_bits
    _, _, stored = read_quantised_decoder(folder, param_dtype=jnp.bfloat16)
    _, adaptation, made = read_quantised_decoder(base, "nf4-double" if double else "nf4", param_dtype=jnp.bfloat16)
    assert adaptation.quantise == ("nf4-double" if double else "nf4")
    stored, made = flatten_params(stored), flatten_params(made)
    assert stored.keys() == made.keys()
    for name, array in stored.items():
        if double and name.endswith(("/absmax", "/nested", "/offset")):
            # The mean of the statistics is a sum in another order, and their rounding on CPU another.
            difference = np.abs(np.asarray(array).astype(np.float64) - np.asarray(made[name]).astype(np.float64))
            assert difference.max() <= (1 if name.endswith("absmax") else 1e-6), name
        else:
            np.testing.assert_array_equal(array, made[name], err_msg=name)


# --- Without bitsandbytes ---------------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_order_of_the_bytes(blocks, outputs, seed):
    packed = np.random.default_rng(seed).integers(0, 256, (64 * blocks * outputs // 2, 1), np.uint8)
    codes = from_bytes(packed, 64 * blocks, outputs)
    np.testing.assert_array_equal(to_bytes(codes), packed)
    halves = codes.reshape(blocks, 32, outputs)
    weight = np.concatenate([halves >> 4, halves & 15], axis=1).reshape(64 * blocks, outputs).T.reshape(-1)
    np.testing.assert_array_equal(weight[::2] * 16 + weight[1::2], packed[:, 0])


@pytest.mark.parametrize("format", ["nf4-double", "int8"])
def test_quantising_while_reading_equals_quantising_afterwards(format, tmp_path):
    make_plain(tmp_path / "base")
    config, adaptation, params = read_quantised_decoder(tmp_path / "base", format, param_dtype=jnp.bfloat16)
    _, whole = read_hf_decoder(tmp_path / "base")

    def make(state):
        graphdef = nnx.split(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0))))[0]
        return nnx.state(adapt(nnx.merge(graphdef, state), Adaptation(format), nnx.Rngs(0)))

    wanted, found = (
        flatten_params(jax.jit(make, compiler_options={"xla_backend_optimization_level": 0})(whole)),
        flatten_params(params),
    )
    assert wanted.keys() == found.keys()
    for name, array in wanted.items():
        if "/kernel/" in name and not name.endswith("offset"):
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    if format.startswith("int"):
        with pytest.raises(CheckpointError, match=f"bitsandbytes has no format for '{format}'"):
            write_quantised_decoder(tmp_path / "out", config, adaptation, params)


def test_checkpoints_that_cannot_be_read(tmp_path):
    base = make_plain(tmp_path / "base")
    with pytest.raises(CheckpointError, match="holds no 4-bit weights; say which of nf4, nf4-double, int8, int4"):
        read_quantised_decoder(base)
    config, adaptation, params = read_quantised_decoder(base, "nf4", param_dtype=jnp.bfloat16)
    write_quantised_decoder(tmp_path / "good", config, adaptation, params)
    with pytest.raises(CheckpointError, match="is quantised already, as 'nf4', and cannot become 'int8'"):
        read_quantised_decoder(tmp_path / "good", "int8")
    name = "model.layers.0.mlp.c_fc.weight"
    tensors = load_file(tmp_path / "good/model.safetensors")
    stem = name + ".quant_state.bitsandbytes__nf4"
    state = json.loads(tensors[stem].tobytes())
    changes = {
        "another block": ({stem: text(state | {"blocksize": 128})}, r"quantised with .*'blocksize': 128"),
        "no text": ({stem: np.zeros(3, np.uint8)}, "not the state of a 4-bit weight"),
        "cut": ({name: tensors[name][:-1]}, r"holds 4095 bytes, not those of \[128, 64\]"),
        "not finite": ({name + ".absmax": np.full(128, np.inf, np.float32)}, "c_fc.weight holds values that are not"),
        "one weight less": ({key: None for key in tensors if key.startswith(name)}, "missing: .*c_fc"),
    }
    for index, (change, said) in enumerate(changes.values()):
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / "config.json").write_text((tmp_path / "good/config.json").read_text())
        changed = {key: value for key, value in (tensors | change).items() if value is not None}
        save_file(changed, folder / "model.safetensors")
        with pytest.raises(CheckpointError, match=said):
            read_quantised_decoder(folder)


def text(state):
    return np.frombuffer(json.dumps(state).encode(), np.uint8)
