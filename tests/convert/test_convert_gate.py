"""The gate of an export, for every family on its own, for parts, and for PyTorch's files: loads whole, same scores."""

import dataclasses
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, CLIPVisionConfig, CLIPVisionModel

from convert import CheckpointError, from_hf, read_stage_two, to_hf, write_llava
from convert.checkpoint_reader import CheckpointReader
from convert.huggingface import write_hf_decoder
from convert.mapping import plan
from convert.operations import COPY, LINEAR
from convert.tables import DECODERS, Entry, Layout, decoder_layout
from convert.torch_reader import TorchReader
from vlsm_jax.models import (
    ConnectorConfig,
    Decoder,
    DecoderConfig,
    KVCache,
    PerceiverSizes,
    QFormerSizes,
    UnsupportedConfigError,
    VisionConfig,
    VlsmConfig,
    abstract_model,
)
from vlsm_jax.models.rope import RopeScaling

LLAMA = DecoderConfig("llama", 61, 32, 2, 4, 2, 8, 48, max_positions=128)
FAMILIES = {
    "llama": LLAMA,
    "llama 3.1, tied": dataclasses.replace(
        LLAMA, tied=True, rope_theta=5e5, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 32), eos_token_ids=(59, 60)
    ),
    "mistral": dataclasses.replace(LLAMA, family="mistral", head_dim=16, sliding_window=9),
    "starcoder2": dataclasses.replace(
        LLAMA,
        family="starcoder2",
        norm="layer",
        mlp="plain",
        activation="gelu_tanh",
        attention_bias=True,
        mlp_bias=True,
        sliding_window=9,
        tied=True,
    ),
    "gemma3": dataclasses.replace(
        LLAMA,
        family="gemma3_text",
        norm="rms_offset",
        activation="gelu_tanh",
        sliding_window=9,
        global_layers=(1,),
        rope_local_theta=50.0,
        rope_scaling=RopeScaling("linear", 2.0),
        tied=True,
        post_norms=True,
        query_key_norm=True,
        query_scale=12**-0.5,
        scaled_embedding=True,
        logit_softcap=4.0,
    ),
}
VISION = VisionConfig(width=24, layers=2, heads=4, mlp_width=40, patch_size=4, image_size=16)
RESAMPLERS = {
    "perceiver": ConnectorConfig("perceiver", sizes=PerceiverSizes(5, 2, 4, 2, 6)),
    "qformer": ConnectorConfig("qformer", sizes=QFormerSizes(5, 4, 16, 2, 28)),
}


def random_params(abstract: nnx.State) -> nnx.State:
    """Parameters of which no two are alike, biases and norms included."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.array(rng.normal(size=x.shape, scale=0.25), x.dtype), abstract)


def equal(a: nnx.State, b: nnx.State) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and jax.tree.all(
        jax.tree.map(lambda x, y: x.dtype == y.dtype and np.array_equal(x, y), a, b)
    )


def greedy(graphdef, params, text: np.ndarray, steps: int) -> list[int]:
    """Greedy continuation with a cache, longer than the window."""

    @jax.jit
    def step(params, tokens, positions, cache):
        model = nnx.merge(graphdef, params)
        hidden, cache = model(model.embed(tokens), positions=positions, cache=cache)
        return model.logits(hidden[:, -1]).argmax(-1), cache

    model = nnx.merge(graphdef, params)
    cache = KVCache.init(model.config, 1, len(text) + steps)
    token, cache = step(params, text[None], jnp.arange(len(text))[None], cache)
    out = [int(token[0])]
    while len(out) < steps:
        token, cache = step(params, token[None], jnp.array([[len(text) + len(out) - 1]]), cache)
        out.append(int(token[0]))
    return out


def test_every_family_is_here():
    assert {config.family for config in FAMILIES.values()} == set(DECODERS)


@pytest.mark.parametrize("name", FAMILIES)
def test_decoder_passes_the_gate(name, tmp_path):
    """Nothing missing, logits within 1e-4 on three prompts, 32 greedy tokens equal, and back bit by bit."""
    config = FAMILIES[name]
    graphdef, abstract = nnx.split(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0))))
    params = random_params(abstract)
    write_hf_decoder(tmp_path / "out", config, params, max_shard_bytes=20_000)
    theirs, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not info[kind], (kind, info[kind])
    forward = jax.jit(lambda p, t, at: (m := nnx.merge(graphdef, p)).logits(m(m.embed(t), positions=at)[0]))
    rng = np.random.default_rng(0)
    for length in (5, 11, 24):
        text = rng.integers(3, 59, length)
        place = np.pad(np.arange(length), (0, 24 - length), constant_values=-1)[None]
        logits = forward(params, np.pad(text, (0, 24 - length))[None], place)[0, :length]
        with torch.no_grad():
            expected = theirs(torch.tensor(text[None])).logits[0].numpy()
        assert np.abs(expected).max() > 0.3
        np.testing.assert_allclose(logits, expected, atol=1e-4)
    generated = theirs.generate(
        torch.tensor(text[None]), max_new_tokens=32, min_new_tokens=32, do_sample=False, eos_token_id=None
    )
    assert greedy(graphdef, params, text, 32) == generated[0, len(text) :].tolist()
    config_again, again = from_hf(tmp_path / "out")
    assert config_again == config
    assert equal(again, params)


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RESAMPLERS)
def test_resamplers_are_exported_in_parts(kind, tmp_path, caplog):
    config = VlsmConfig(VISION, RESAMPLERS[kind], FAMILIES["gemma3"], 61)
    params = random_params(abstract_model(config)[1])
    with caplog.at_level(logging.WARNING):
        to_hf(tmp_path / "out", config, params)
    assert "not one checkpoint but its parts" in caplog.text
    assert "its parts" in json.loads((tmp_path / "out" / "config.json").read_text())["note"]
    config_again, again = from_hf(tmp_path / "out")
    assert config_again == config
    assert equal(again, params)
    for loader, folder in ((AutoModelForCausalLM, "language_model"), (CLIPVisionModel, "vision_tower")):
        _, info = loader.from_pretrained(tmp_path / "out" / folder, output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
    names = load_file(tmp_path / "out" / "connector.safetensors").keys()
    assert ("perceiver_resampler.latents" if kind == "perceiver" else "query_tokens") in names
    with pytest.raises(FileExistsError, match=r"already holds weights \(connector.safetensors\)"):
        to_hf(tmp_path / "out", config, params)
    other = dataclasses.replace(config, vision=dataclasses.replace(VISION, layers=3))
    described = json.loads((tmp_path / "out" / "config.json").read_text()) | {"vlsm": other.to_dict()}
    (tmp_path / "out" / "config.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"config.json and .*vision_tower/config.json describe different models"):
        from_hf(tmp_path / "out")


def test_what_llava_cannot_hold(tmp_path):
    softcapped = VlsmConfig(VISION, ConnectorConfig("mlp"), FAMILIES["gemma3"], 61)
    params = random_params(abstract_model(softcapped)[1])
    with pytest.raises(UnsupportedConfigError, match=r"no soft cap \(4.0\)"):
        write_llava(tmp_path / "out", softcapped, params)
    assert not (tmp_path / "out").exists()
    resampled = dataclasses.replace(softcapped, decoder=LLAMA, connector=RESAMPLERS["qformer"])
    with pytest.raises(ValueError, match="cannot hold a connector of kind 'qformer'"):
        write_llava(tmp_path / "out", resampled, random_params(abstract_model(resampled)[1]))


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_every_key_is_used_once(name, tmp_path):
    """Each tensor taken away, and one more of each, is named."""
    config = FAMILIES[name]
    params = random_params(nnx.state(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0)))))
    write_hf_decoder(tmp_path, config, params)
    path = tmp_path / "model.safetensors"
    whole = load_file(path)
    for lost in sorted(whole):
        save_file({key: value for key, value in whole.items() if key != lost}, path)
        with pytest.raises(CheckpointError, match=rf"(?m)^  missing: {lost}$"):
            from_hf(tmp_path)
    save_file(whole | {"model.layers.0.more.weight": np.ones(3, np.float32)}, path)
    with pytest.raises(CheckpointError, match=r"(?m)^  not used: model.layers.0.more.weight$"):
        from_hf(tmp_path)
    save_file(whole | {"model.norm.weight": np.ones(3, np.float32)}, path)
    with pytest.raises(CheckpointError, match=r"model.safetensors: model.norm.weight is \[3\], the config says \[32\]"):
        from_hf(tmp_path)


def test_tables_that_are_wrong_are_found():
    shapes = {"a": (2, 2), "b": (2, 2)}
    twice = Layout((Entry("x", "a", COPY), Entry("x", "b", COPY)))
    with pytest.raises(ValueError, match=r"the tables give x the parts \[None, None\]"):
        plan(twice, shapes)
    half = Layout((Entry("x", "a", LINEAR, part=(1, 2)), Entry("y", "b", LINEAR)))
    with pytest.raises(ValueError, match=r"the tables give x the parts \[\(1, 2\)\]"):
        plan(half, shapes)
    names = [entry.hf for entry in decoder_layout(LLAMA).entries]
    assert len(names) == len(set(names))


# --- PyTorch's files --------------------------------------------------------------------------------------------------


def stage_two(tmp_path, connector: torch.nn.Module, name: str):
    torch.manual_seed(0)
    tower = CLIPVisionModel(CLIPVisionConfig.from_dict(VISION.to_hf_config()))
    path = tmp_path / "best_model.pt"
    torch.save({"vision_encoder": tower.state_dict(), name: connector.state_dict()}, path)
    return tower, path


def test_the_papers_own_file(tmp_path):
    linear = torch.nn.Linear(24, 32)
    tower, path = stage_two(tmp_path, linear, "proj")
    parts = read_stage_two(path, VISION, ConnectorConfig("linear"), 32)
    np.testing.assert_array_equal(parts["connector"]["linear"]["kernel"].get_value(), linear.weight.detach().numpy().T)
    tower.save_pretrained(tmp_path / "tower")
    assert equal(parts["vision"], from_hf(tmp_path / "tower")[1])
    two = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.GELU(), torch.nn.Linear(32, 32)).bfloat16()
    _, path = stage_two(tmp_path, two, "connector")
    parts = read_stage_two(path, VISION, ConnectorConfig("mlp"), 32)
    np.testing.assert_array_equal(
        parts["connector"]["linear_2"]["kernel"].get_value(), two[2].weight.detach().float().numpy().T
    )
    with pytest.raises(CheckpointError, match=r"(?s)missing: multi_modal_projector.linear_2.*|not used"):
        read_stage_two(path, VISION, ConnectorConfig("linear"), 32)
    with pytest.raises(ValueError, match="names of a perceiver connector"):
        read_stage_two(path, VISION, RESAMPLERS["perceiver"], 32)


class Trap:
    """Unpickling this would touch a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_of_other_things_is_not_loaded(tmp_path):
    config, path = ConnectorConfig("linear"), tmp_path / "best_model.pt"
    for data, message in (
        ({"proj": Trap(tmp_path / "touched")}, r"best_model.pt: damaged, or holds other things than tensors"),
        ({"proj": {"weight": 3}}, r"best_model.pt: proj.weight is int, not a tensor"),
        ({"proj": {"weight": torch.ones(3, dtype=torch.int8)}}, r"proj.weight has the dtype torch.int8"),
        ([torch.ones(3)], r"expected a dictionary of tensors, not list"),
    ):
        torch.save(data, path)
        with pytest.raises(CheckpointError, match=message):
            read_stage_two(path, VISION, config, 32)
    assert not (tmp_path / "touched").exists()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"best_model.pt: damaged"):
        read_stage_two(path, VISION, config, 32)
    with pytest.raises(CheckpointError, match=r"none.pt: no such file"):
        read_stage_two(tmp_path / "none.pt", VISION, config, 32)


def test_bfloat16_tensors_are_read_bit_by_bit(tmp_path):
    """Files of either kind give the same numbers."""
    tensor = torch.randn(5, 3).bfloat16()
    torch.save({"a": {"b": tensor}}, tmp_path / "x.pt")
    save_file({"a.b": TorchReader(tmp_path / "x.pt").read("a.b")}, tmp_path / "model.safetensors")
    again = CheckpointReader(tmp_path).read("a.b")
    np.testing.assert_array_equal(again.astype(np.float32), tensor.float().numpy())
