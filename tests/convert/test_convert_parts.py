"""Decoders and vision towers: both key layouts, round trips, shards, and errors that name file and tensor."""

import dataclasses
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from convert import CheckpointError, assemble_vlsm, from_hf, read_hf_decoder, read_vision, to_hf
from convert.checkpoint_reader import CheckpointReader
from convert.huggingface import write_hf_decoder
from vlsm_jax.models import ConnectorConfig, DecoderConfig, UnsupportedConfigError, VisionConfig
from vlsm_jax.sharding import make_mesh

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION = {
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 4,
    "image_size": 8,
}


def save(model, directory):
    """Saves a transformers model with all parameters random, so that no two tensors are alike."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    save(LlamaForCausalLM(LlamaConfig(**SIZES)), root / "llama")
    save(Starcoder2ForCausalLM(Starcoder2Config(**SIZES, sliding_window=4)), root / "starcoder2")
    text = {
        "vocab_size": 61,
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    save(CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=4)), root / "clip")
    save(CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=4)).vision_model, root / "tower")
    (root / "tower" / "config.json").write_text(CLIPVisionConfig(**VISION).to_json_string())
    return root


@pytest.fixture
def llama(checkpoints, tmp_path):
    """A copy of the Llama checkpoint, to be damaged."""
    return shutil.copytree(checkpoints / "llama", tmp_path / "llama")


def edit_tensors(directory, change):
    path = directory / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def equal(a: nnx.State, b: nnx.State) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and jax.tree.all(
        jax.tree.map(lambda x, y: x.dtype == y.dtype and np.array_equal(x, y), a, b)
    )


# --- reading and writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "starcoder2"])
@pytest.mark.parametrize("shard_bytes", [10**9, 3000])
def test_decoder_round_trip_is_bit_equal(checkpoints, tmp_path, family, shard_bytes):
    config, params = read_hf_decoder(checkpoints / family)
    write_hf_decoder(tmp_path / "out", config, params, max_shard_bytes=shard_bytes)
    theirs, ours = CheckpointReader(checkpoints / family), CheckpointReader(tmp_path / "out")
    assert sorted(ours.names) == sorted(theirs.names)
    for name in theirs.names:
        np.testing.assert_array_equal(ours.read(name), theirs.read(name))
    config_again, params_again = read_hf_decoder(tmp_path / "out")
    assert config_again == config
    assert equal(params_again, params)
    loaded, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert type(loaded).__name__ == DecoderConfig.to_hf_config(config)["architectures"][0]


def test_shards(checkpoints, tmp_path):
    config, params = read_hf_decoder(checkpoints / "llama")
    write_hf_decoder(tmp_path, config, params, max_shard_bytes=3000)
    files = sorted(p.name for p in tmp_path.glob("*.safetensors"))
    count = len(files)
    assert count > 3
    assert files == [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(files)
    sizes = []
    for file in files:
        with safe_open(tmp_path / file, "np") as opened:
            assert opened.metadata() == {"format": "pt"}
            sizes.append([opened.get_tensor(name).nbytes for name in opened.keys()])  # noqa: SIM118
    assert sum(map(sum, sizes)) == index["metadata"]["total_size"]
    assert all(sum(shard) <= 3000 or len(shard) == 1 for shard in sizes)
    assert not list(tmp_path.glob(".*"))  # no temporary file is left
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1  # weights are as readable as the config


def test_bfloat16_files(checkpoints, tmp_path):
    config, params = read_hf_decoder(checkpoints / "llama")
    write_hf_decoder(tmp_path / "half", config, params, dtype=jnp.bfloat16)
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    _, half = read_hf_decoder(tmp_path / "half", param_dtype=jnp.bfloat16)
    assert equal(half, jax.tree.map(lambda x: x.astype(jnp.bfloat16), params))
    write_hf_decoder(tmp_path / "again", config, half)
    _, widened = read_hf_decoder(tmp_path / "again")
    assert equal(widened, jax.tree.map(lambda x: x.astype(jnp.float32), half))


def test_clip_in_all_layouts(checkpoints, tmp_path):
    """A whole CLIP model, a tower with the `vision_model.` prefix, and one without."""
    config, whole = read_vision(checkpoints / "clip")
    assert config == dataclasses.replace(VisionConfig.from_hf_config(CLIPVisionConfig(**VISION).to_dict()))
    tensors = {
        name: tensor
        for name, tensor in load_file(checkpoints / "clip" / "model.safetensors").items()
        if name.startswith("vision_model.")
    }
    tensors["vision_model.embeddings.position_ids"] = np.arange(5)[None]  # a buffer of older files
    for name, prefix in (("old", "vision_model."), ("new", "")):
        (tmp_path / name).mkdir()
        shutil.copy(checkpoints / "tower" / "config.json", tmp_path / name)
        save_file(
            {prefix + key.removeprefix("vision_model."): value for key, value in tensors.items()},
            tmp_path / name / "model.safetensors",
        )
        config_again, params = read_vision(tmp_path / name)
        assert config_again == config
        assert equal(params, whole)


def test_pixel_statistics_come_from_the_preprocessor(checkpoints, tmp_path):
    directory = shutil.copytree(checkpoints / "tower", tmp_path / "tower")
    settings = {"image_mean": [0.5, 0.25, 0.125], "image_std": [1.0, 2.0, 3.0]}
    (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    config, _ = read_vision(directory)
    assert config.image_mean == (0.5, 0.25, 0.125)
    assert config.image_std == (1.0, 2.0, 3.0)


def test_old_config_dialect(llama):
    """A config as transformers 4 writes it gives the same model."""
    config, params = read_hf_decoder(llama)
    hf = json.loads((llama / "config.json").read_text())
    hf |= {"rope_theta": hf.pop("rope_parameters")["rope_theta"], "torch_dtype": hf.pop("dtype"), "rope_scaling": None}
    (llama / "config.json").write_text(json.dumps(hf))
    assert read_hf_decoder(llama)[0] == config
    edit_tensors(llama, lambda t: t.update({"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(2, np.float32)}))
    assert equal(read_hf_decoder(llama)[1], params)


def test_onto_a_mesh(checkpoints):
    mesh = make_mesh()
    _, params = read_hf_decoder(checkpoints / "llama", mesh=mesh)
    _, plain = read_hf_decoder(checkpoints / "llama")
    assert equal(params, plain)
    kernel = params["layers"]["mlp"]["up"]["kernel"].get_value()
    assert kernel.sharding == jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "fsdp", "tensor"))
    assert params["norm"]["scale"].get_value().sharding.mesh == mesh


def test_kind_is_told_by_the_config(checkpoints, tmp_path):
    assert isinstance(from_hf(checkpoints / "starcoder2")[0], DecoderConfig)
    assert isinstance(from_hf(checkpoints / "clip")[0], VisionConfig)
    config, params = from_hf(checkpoints / "llama")
    to_hf(tmp_path / "out", config, params)
    assert equal(from_hf(tmp_path / "out")[1], params)
    to_hf(tmp_path / "tower", *from_hf(checkpoints / "clip"))
    assert equal(from_hf(tmp_path / "tower")[1], from_hf(checkpoints / "clip")[1])
    with pytest.raises(TypeError, match="ConnectorConfig is no VlsmConfig, DecoderConfig or VisionConfig"):
        to_hf(tmp_path / "connector", ConnectorConfig(), params)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UnsupportedConfigError, match="model_type 'bert' is not one of clip,"):
        from_hf(tmp_path)


def test_vlsm_of_pretrained_parts(checkpoints):
    options = {"connector": ConnectorConfig("mlp")}
    config, params = assemble_vlsm(checkpoints / "starcoder2", checkpoints / "clip", **options)
    assert config.image_token_id == config.decoder.vocabulary == 61
    assert equal(params["decoder"], read_hf_decoder(checkpoints / "starcoder2")[1])
    assert equal(params["vision"], read_vision(checkpoints / "clip")[1])
    assert params["connector"]["linear_1"]["kernel"].get_value().shape == (8, 16)
    assert equal(params, assemble_vlsm(checkpoints / "starcoder2", checkpoints / "clip", **options)[1])
    options |= {"random_vision": True, "image_size": 12, "feature_layer": -2, "drop_cls": True}
    config, anew = assemble_vlsm(checkpoints / "starcoder2", checkpoints / "clip", **options)
    assert (config.vision.positions, config.visual_tokens, config.vision.feature_layer) == (5, 9, -2)
    assert not equal(anew["vision"], params["vision"])
    assert equal(anew["decoder"], params["decoder"])


# --- the tied head ----------------------------------------------------------------------------------------------------


def test_tied_head(checkpoints, tmp_path):
    directory = shutil.copytree(checkpoints / "starcoder2", tmp_path / "tied")
    config, params = read_hf_decoder(directory)
    assert config.tied
    assert "head" not in params
    embedding = np.asarray(params["embedding"]["table"].get_value())
    edit_tensors(directory, lambda t: t.update({"lm_head.weight": embedding.copy()}))
    assert equal(read_hf_decoder(directory)[1], params)  # stored twice, the same
    edit_tensors(directory, lambda t: t.update({"lm_head.weight": embedding + 1}))
    with pytest.raises(CheckpointError, match=r"model.safetensors: lm_head.weight differs .* embedding/table"):
        read_hf_decoder(directory)
    hf = json.loads((directory / "config.json").read_text()) | {"tie_word_embeddings": False}
    (directory / "config.json").write_text(json.dumps(hf))
    np.testing.assert_array_equal(read_hf_decoder(directory)[1]["head"].get_value(), embedding.T + 1)


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_all_misfits_are_listed_at_once(llama):
    def change(tensors):
        del tensors["model.layers.1.mlp.up_proj.weight"]
        del tensors["model.norm.weight"]
        tensors["model.layers.2.mlp.up_proj.weight"] = np.ones((24, 16), np.float32)
        tensors["model.layers.0.self_attn.q_proj.bias"] = np.ones(16, np.float32)
        tensors["model.layers.0.self_attn.k_proj.weight"] = np.ones((4, 16), np.float32)

    edit_tensors(llama, change)
    with pytest.raises(CheckpointError) as error:
        read_hf_decoder(llama)
    lines = [line.strip() for line in str(error.value).splitlines()[1:]]
    assert lines == [
        "missing: model.layers.1.mlp.up_proj.weight",
        "missing: model.norm.weight",
        "not used: model.layers.0.self_attn.q_proj.bias",
        "not used: model.layers.2.mlp.up_proj.weight",
        f"shape: {llama}/model.safetensors: model.layers.0.self_attn.k_proj.weight is [4, 16], the config says [8, 16]",
    ]


def test_head_without_a_tie(llama):
    edit_tensors(llama, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(CheckpointError, match=r"missing: lm_head.weight"):
        read_hf_decoder(llama)


def test_truncated_file_names_the_first_lost_tensor(llama):
    path = llama / "model.safetensors"
    whole = path.read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    last = max((e["data_offsets"][1], name) for name, e in header.items() if name != "__metadata__")[1]
    path.write_bytes(whole[:-4])
    with pytest.raises(
        CheckpointError, match=rf"model\.safetensors.*truncated, 1 tensors .* from {re.escape(last)} on"
    ):
        read_hf_decoder(llama)
    path.write_bytes(whole[:20])
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*damaged"):
        read_hf_decoder(llama)


@pytest.fixture
def sharded(checkpoints, tmp_path):
    config, params = read_hf_decoder(checkpoints / "llama")
    write_hf_decoder(tmp_path / "sharded", config, params, max_shard_bytes=3000)
    return tmp_path / "sharded"


def test_truncated_and_missing_shards(sharded):
    second = sorted(sharded.glob("model-00002*"))[0]
    whole = second.read_bytes()
    second.write_bytes(whole[:-8])
    with pytest.raises(CheckpointError, match=rf"{second.name}, which should hold model\..*: truncated"):
        read_hf_decoder(sharded)
    second.unlink()
    with pytest.raises(CheckpointError, match=rf"{second.name}, which should hold model\..*: no such file"):
        read_hf_decoder(sharded)


def test_index_that_is_wrong(sharded):
    path = sharded / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    first = min(index["weight_map"].values())
    path.write_text(json.dumps(index | {"weight_map": index["weight_map"] | {"model.extra": first}}))
    with pytest.raises(CheckpointError, match=rf"names tensors that are not in their shards: model.extra in {first}"):
        read_hf_decoder(sharded)
    path.write_text(json.dumps(index | {"weight_map": {"model.extra": "../elsewhere.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"model.extra is said to be in '../elsewhere.safetensors', outside"):
        read_hf_decoder(sharded)
    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"index.json: not JSON"):
        read_hf_decoder(sharded)


def test_quantised_tensor(llama):
    edit_tensors(llama, lambda t: t.update({"model.norm.weight": np.ones(16, np.int8)}))
    with pytest.raises(CheckpointError, match=r"model.norm.weight has the dtype I8; only plain weights"):
        read_hf_decoder(llama)


def test_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"config.json: no such file"):
        read_hf_decoder(tmp_path)
    (tmp_path / "config.json").write_text(LlamaConfig(**SIZES).to_json_string(use_diff=False))
    with pytest.raises(CheckpointError, match=r"neither model.safetensors nor .*\.bin files are not read"):
        read_hf_decoder(tmp_path)


def test_folder_with_weights_is_not_written_to(llama, sharded):
    config, params = read_hf_decoder(llama)
    with pytest.raises(FileExistsError, match=r"already holds weights \(model.safetensors\)"):
        write_hf_decoder(llama, config, params)
    with pytest.raises(FileExistsError, match=r"model.safetensors.index.json"):
        write_hf_decoder(sharded, config, params)


def test_unknown_parameter_is_not_dropped(llama, tmp_path):
    config, params = read_hf_decoder(llama)
    pure = nnx.to_pure_dict(params)
    pure["layers"]["mlp"]["lora_a"] = jnp.ones((2, 3))
    with pytest.raises(CheckpointError, match=r"no Hugging Face name is known for the parameters layers/mlp/lora_a"):
        write_hf_decoder(tmp_path / "out", config, pure)
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_behind_by_a_write_that_fails(llama, tmp_path, monkeypatch):
    config, params = read_hf_decoder(llama)
    left = iter([np.asarray] * 4)

    def full_after_four(array):
        for make in left:
            return make(array)
        raise OSError("disk full")

    monkeypatch.setattr("convert.mapping._to_host", full_after_four)
    with pytest.raises(OSError, match="disk full"):
        write_hf_decoder(tmp_path / "out", config, params)
    assert not list((tmp_path / "out").glob("*.safetensors*"))
    assert not list((tmp_path / "out").glob(".*"))
