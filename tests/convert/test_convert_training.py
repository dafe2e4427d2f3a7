"""The folder of a training run goes out as any checkpoint does: whole, merged, or its adapters alone."""

import dataclasses
import json
import shutil

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from convert import CheckpointError, from_hf
from convert.exporting import export_checkpoint
from convert.training_source import is_training, read_training
from vlsm_jax.data.tokenizer import load_tokenizer, train_bpe
from vlsm_jax.generation.draft_examples import find_lookup, write_examples
from vlsm_jax.generation.load import load_generator
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig
from vlsm_jax.training.checkpoints import Checkpoints
from vlsm_jax.training.network import Network, adaptation_of, flatten
from vlsm_jax.training.step import TrainState

MODEL = {"quantise": "nf4", "lora": {"rank": 2, "alpha": 4.0, "targets": [r"decoder/layers/attention/(q|v)"]}}
DECODER = DecoderConfig("llama", 320, 64, 2, 4, 2, 16, 128, max_positions=128)
VISION = VisionConfig(width=24, layers=2, heads=4, mlp_width=40, patch_size=4, image_size=16)


@pytest.fixture(scope="module", autouse=True)
def quick_to_compile():
    """Every program here runs once: no time is spent on making it fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def write_run(workdir, config, params):
    """A folder as training leaves it, with two checkpoints of which the first is the best."""
    settings = {"model": MODEL, "pipeline": {"fit": "squash"}, "data": {"tokenizer": "", "beginning": True}}
    trained = {p: a for p, a in params.items() if "/lora/" in p or p.startswith("connector/")}
    frozen = {p: a for p, a in params.items() if p not in trained}
    state, data = TrainState(jnp.int32(1), trained, frozen, ()), iter(grain.MapDataset.range(9).to_iter_dataset())
    facts = {"config": settings, "model": config.to_dict()}
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.begin(state)
        checkpoints.save(1, state, data, facts, 1.0)
        later = {path: np.asarray(array) + 1 for path, array in trained.items()}
        checkpoints.save(2, state._replace(trained=later), data, facts, 2.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run, its network, its parameters at the first checkpoint, and those of the plain model."""
    workdir = tmp_path_factory.mktemp("run")
    tokenizer = train_bpe(["Two queues, then a sink.", "Object.create();"], 300, workdir / "tokenizer")
    config = VlsmConfig(VISION, ConnectorConfig("mlp"), DECODER, tokenizer.image_id)
    network = Network.create(config, adaptation=adaptation_of(MODEL))
    rng = np.random.default_rng(0)
    params = {
        path: jnp.asarray(
            rng.integers(0, 256, x.shape) if path.endswith("codes") else rng.uniform(0, 0.2, x.shape), x.dtype
        )
        for path, x in network.shapes.items()
    }
    write_run(workdir, config, params)
    return workdir, network, params, network.plain(params)


def test_a_run_goes_out_merged_and_is_what_training_would_export(run, tmp_path):
    workdir, network, params, wanted = run
    assert is_training(workdir)
    report = export_checkpoint(workdir, tmp_path / "out", layout="merged", which="best")
    config, found = from_hf(tmp_path / "out")
    assert config.decoder == network.config.decoder
    for path, array in flatten(found).items():
        np.testing.assert_allclose(array, wanted[path], atol=1e-6, err_msg=path)
    assert (report.layout, report.tensors_in) == ("merged", len(params))
    settings = json.loads((tmp_path / "out" / "preprocessor_config.json").read_text())
    assert not settings.get("do_pad")
    load_generator(tmp_path / "out")  # the tokenizer is there
    # The newest checkpoint is another one.
    newest = read_training(workdir)
    assert newest.step == 2
    a = newest.checkpoint.params["decoder/layers/attention/q/lora/a"]
    np.testing.assert_allclose(np.asarray(a), params["decoder/layers/attention/q/lora/a"] + 1)


def test_adapters_and_the_4_bit_decoder_go_out_alone(run, tmp_path):
    workdir, _, params, _ = run
    export_checkpoint(workdir, tmp_path / "adapter", layout="peft", base="someone/model", which="best")
    found = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    a = found["base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"]
    np.testing.assert_array_equal(a, params["decoder/layers/attention/q/lora/a"][1].T)
    with pytest.raises(CheckpointError, match="choose peft for them alone, or merged"):
        export_checkpoint(workdir, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_model_of_text_alone_is_a_decoder(run, tmp_path):
    workdir, network, params, wanted = run
    config = dataclasses.replace(network.config, vision=None, connector=None)
    write_run(tmp_path / "run", config, {p: a for p, a in params.items() if p.startswith("decoder/")})
    shutil.copytree(workdir / "tokenizer", tmp_path / "run" / "tokenizer")
    write_examples(tmp_path / "run", ["Two queues, then a sink."])
    export_checkpoint(tmp_path / "run", tmp_path / "out", layout="merged", which="best")
    config, found = from_hf(tmp_path / "out")
    assert config == network.config.decoder
    for path, array in flatten(found).items():
        np.testing.assert_allclose(array, wanted[f"decoder/{path}"], atol=1e-6, err_msg=path)
    assert find_lookup(tmp_path / "out", load_tokenizer(tmp_path / "out")).examples


def test_frozen_parameters_of_another_run_are_named(run, tmp_path):
    workdir, *_ = run
    shutil.copytree(workdir, tmp_path / "mixed")
    facts = tmp_path / "mixed/checkpoints/2/facts/metadata"
    described = json.loads(facts.read_text())
    described["frozen"]["decoder/layers/mlp/up/kernel/codes"] ^= 1
    facts.write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"step 2 was trained with: decoder/layers/mlp/up/kernel/codes$"):
        read_training(tmp_path / "mixed")
    shutil.rmtree(tmp_path / "mixed/checkpoints/frozen")
    with pytest.raises(CheckpointError, match="frozen: no such folder"):
        read_training(tmp_path / "mixed")
    shutil.rmtree(tmp_path / "mixed/checkpoints")
    (tmp_path / "mixed/checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="no complete checkpoint in"):
        read_training(tmp_path / "mixed")
