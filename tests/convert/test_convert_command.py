"""`vlsm convert`: checkpoints in and out, bit by bit; what cannot be done is named, and nothing is half-written."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from convert import CheckpointError
from convert.exporting import choose_export
from convert.native import Checkpoint, read_native, write_native
from convert.plain_kernels import plain_params
from convert.tables import clip_vision_layout
from convert.to_hf import to_hf
from vlsm_jax.cli import app
from vlsm_jax.models import ConnectorConfig, Decoder, DecoderConfig, PerceiverSizes, VisionConfig, VlsmConfig
from vlsm_jax.models.adaptation import Adaptation, adapt, plain
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.training.network import Network, flatten, unflatten

LLAMA = DecoderConfig("llama", 96, 64, 2, 4, 2, 16, 128, max_positions=128)
STARCODER2 = DecoderConfig(
    **(LLAMA.to_dict() | {"family": "starcoder2", "norm": "layer", "mlp": "plain", "activation": "gelu_tanh"}),
)
VISION = VisionConfig(width=24, layers=2, heads=4, mlp_width=40, patch_size=4, image_size=16)
VLSM = VlsmConfig(VISION, ConnectorConfig("mlp"), LLAMA, 95)


def random_params(config, dtype=ml_dtypes.bfloat16):
    from convert.plain_kernels import make_model

    rng = np.random.default_rng(0)
    shapes = flatten(nnx.state(nnx.eval_shape(lambda: make_model(config))))
    return {path: (rng.standard_normal(x.shape) * 0.2).astype(dtype) for path, x in shapes.items()}


@pytest.fixture(scope="module", autouse=True)
def quick_to_compile():
    """Every program here runs once: no time is spent on making it fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders as Hugging Face has them: decoder, vision, llava."""
    root = tmp_path_factory.mktemp("made")
    for name, config in (("decoder", LLAMA), ("vision", VISION), ("llava", VLSM)):
        to_hf(root / name, config, random_params(config))
    for name in ("tokenizer", "draft_examples"):
        (root / f"decoder/{name}.json").write_text('{"kept": "as it is"}')
    return root


@pytest.fixture
def vlsm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*args):
        result = CliRunner().invoke(app, ["convert", *map(str, args)], catch_exceptions=False)
        return result

    return call


def done(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def names(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


def same_tensors(one, other):
    one, other = load_file(one), load_file(other)
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert (array.dtype, array.shape, array.tobytes()) == (
            other[name].dtype,
            other[name].shape,
            other[name].tobytes(),
        ), name
    return True


@pytest.mark.parametrize("kind", ["decoder", "vision", "llava"])
def test_there_and_back_is_bit_equal_and_transformers_gives_the_same_scores(vlsm, made, kind):
    pytest.importorskip("torch")
    came = done(vlsm("from-hf", made / kind, "ours", "--json"))
    went = done(vlsm("to-hf", "ours", "back", "--verify", "--json"))
    assert (made / kind / "model.safetensors").read_bytes() == Path("back/model.safetensors").read_bytes()
    assert json.loads((made / kind / "config.json").read_text()) == json.loads(Path("back/config.json").read_text())
    count = len(load_file(made / kind / "model.safetensors"))
    assert (came["tensors_in"], went["tensors_out"], came["unused"], came["left_aside"]) == (count, count, [], [])
    assert came["tensors_out"] == went["tensors_in"] == len(read_native("ours").params)
    assert came["bytes_in"] == went["bytes_out"] == (made / kind / "model.safetensors").stat().st_size
    assert came["dtype"] == "bfloat16"
    assert came["peak_bytes"] >= came["start_bytes"] > 0
    assert 0 <= went["difference"] <= 1e-4 * max(1, went["scale"])
    assert went["scale"] > 0.1
    if kind == "decoder":
        for name in ("tokenizer", "draft_examples"):
            assert Path(f"back/{name}.json").read_text() == '{"kept": "as it is"}'
    assert names() == ["back", "ours"]


def test_four_bits_in_and_out_are_byte_identical(vlsm, made):
    format = "nf4-double"  # of NF4's two kinds the one with more statistics
    pytest.importorskip("bitsandbytes")
    done(vlsm("from-hf", made / "decoder", "made", "--quantise", format, "--json"))
    went = done(vlsm("to-hf", "made", "four", "--verify", "--json"))
    assert (went["layout"], went["quantise"]) == ("bitsandbytes", format)
    came = done(vlsm("from-hf", "four", "again", "--json"))
    assert (came["quantise"], came["dtype"]) == (format, "bfloat16")
    assert came["tensors_in"] == went["tensors_out"]
    done(vlsm("to-hf", "again", "five", "--json"))
    assert Path("four/model.safetensors").read_bytes() == Path("five/model.safetensors").read_bytes()


def test_quantised_kernels_are_written_as_what_they_stand_for(vlsm, made):
    format = "int4"
    done(vlsm("from-hf", made / "decoder", "ours", "--quantise", format, "--json"))
    checkpoint = read_native("ours")
    graphdef, _ = nnx.split(
        nnx.eval_shape(lambda: adapt(Decoder(LLAMA, rngs=nnx.Rngs(0)), checkpoint.adaptation, nnx.Rngs(0)))
    )
    model = nnx.merge(graphdef, unflatten({path: np.asarray(array) for path, array in checkpoint.params.items()}))
    wanted = flatten(nnx.state(plain(model, ml_dtypes.bfloat16)))
    for path, array in plain_params(checkpoint).items():
        np.testing.assert_array_equal(np.asarray(array), wanted[path], err_msg=path)
    done(vlsm("to-hf", "ours", "plain", "--as", "decoder", "--json"))
    name = "model.layers.1.mlp.down_proj.weight"
    expected = np.asarray(wanted["layers/mlp/down/kernel"][1]).T
    assert np.array_equal(load_file("plain/model.safetensors")[name], expected)
    result = vlsm("to-hf", "ours", "none")
    assert result.exit_code == 2
    assert f"no layout there keeps kernels in '{format}'; choose decoder" in result.stderr


def adapted(folder, config, targets):
    lora = LoraConfig(2, 4.0, targets=targets)
    params = random_params(config, np.float32)
    rng = np.random.default_rng(1)
    shapes = flatten(nnx.eval_shape(lambda: nnx.state(adapt_new(config, lora))))
    params |= {p: rng.standard_normal(x.shape).astype(np.float32) * 0.2 for p, x in shapes.items() if "/lora/" in p}
    write_native(
        folder, Checkpoint(config, Adaptation(lora=lora), {p: jax.numpy.asarray(a) for p, a in params.items()})
    )


def adapt_new(config, lora):
    from convert.plain_kernels import make_model

    return adapt(make_model(config), Adaptation(lora=lora), nnx.Rngs(0))


def test_adapters_go_out_alone_or_merged(vlsm, made):
    pytest.importorskip("peft")
    adapted("ours", LLAMA, (r"layers/attention/(q|o)",))
    refused = vlsm("to-hf", "ours", "none")
    assert refused.exit_code == 2
    assert "choose peft for them alone, or merged for one model" in refused.stderr
    done(vlsm("to-hf", "ours", "merged", "--as", "merged", "--verify", "--json"))
    to_hf("base", LLAMA, {p: a for p, a in read_native("ours").params.items() if "/lora/" not in p})
    assert "give --base" in vlsm("to-hf", "ours", "none", "--as", "peft", "--verify").stderr
    done(vlsm("to-hf", "ours", "adapter", "--as", "peft", "--base", "base", "--verify", "--json"))
    done(vlsm("from-hf", "base", "again", "--adapter", "adapter", "--json"))
    done(vlsm("to-hf", "again", "merged-again", "--as", "merged", "--json"))
    assert same_tensors("merged/model.safetensors", "merged-again/model.safetensors")
    # What is merged is W + 2 A B, in the layout there.
    flat = {path: np.asarray(array) for path, array in read_native("ours").params.items()}
    a, b = (flat[f"layers/attention/q/lora/{x}"][1].astype(np.float64) for x in "ab")
    kernel = flat["layers/attention/q/kernel"][1] + 2 * np.einsum("ir,rhd->ihd", a, b)
    merged = load_file("merged/model.safetensors")["model.layers.1.self_attn.q_proj.weight"]
    np.testing.assert_allclose(merged, kernel.reshape(64, -1).T, atol=1e-6)
    assert "none" not in names()


def test_an_adapter_keeps_its_own_dtype(vlsm, made):
    adapted("ours", LLAMA, (r"layers/attention/q",))
    done(vlsm("to-hf", "ours", "adapter", "--as", "peft", "--json"))
    rng, fine = np.random.default_rng(1), Path("adapter/adapter_model.safetensors")
    save_file({n: rng.standard_normal(a.shape).astype(np.float32) for n, a in load_file(fine).items()}, fine)
    done(vlsm("from-hf", made / "decoder", "both", "--adapter", "adapter", "--json"))
    params = read_native("both").params
    assert {path.split("/")[-2]: str(a.dtype) for path, a in params.items() if "attention/q" in path} == {
        "q": "bfloat16",
        "lora": "float32",
    }
    done(vlsm("to-hf", "both", "back", "--as", "peft", "--json"))
    assert same_tensors(fine, "back/adapter_model.safetensors")
    done(vlsm("to-hf", "both", "merged", "--as", "merged", "--json"))
    assert {str(a.dtype) for a in load_file("merged/model.safetensors").values()} == {"bfloat16"}


def test_the_papers_own_file_is_read_back_bit_by_bit(vlsm, made):
    pytest.importorskip("torch")
    from convert import read_hf_decoder, read_stage_two

    done(vlsm("from-hf", made / "llava", "ours", "--json"))
    went = done(vlsm("to-hf", "ours", "up", "--as", "upstream", "--json"))
    flat = read_native("ours").params
    found = read_stage_two("up/best_model.pt", VISION, VLSM.connector, 64, param_dtype=ml_dtypes.bfloat16)
    parts = found | {"decoder": read_hf_decoder("up/language_model", param_dtype=ml_dtypes.bfloat16)[1]}
    again = {f"{name}/{path}": array for name, part in parts.items() for path, array in flatten(part).items()}
    assert again.keys() == flat.keys()
    assert all(np.array_equal(again[path], array) for path, array in flat.items())
    assert went["tensors_out"] == len(load_file(made / "llava/model.safetensors"))


def test_a_decoder_leaves_its_vlsm_and_the_rest_is_listed(vlsm, made):
    done(vlsm("from-hf", made / "llava", "ours", "--json"))
    went = done(vlsm("to-hf", "ours", "alone", "--as", "decoder", "--json"))
    assert {path.split("/")[0] for path in went["left_aside"]} == {"vision", "connector"}
    name = "model.layers.0.mlp.up_proj.weight"
    whole = load_file(made / "llava/model.safetensors")
    assert np.array_equal(load_file("alone/model.safetensors")[name], whole[f"language_model.{name}"])


def test_adapters_of_a_vlsm_are_those_of_its_decoder():
    lora = LoraConfig(2, 4.0, targets=(r"decoder/layers/attention/(q|v)",))
    inside = {f"decoder/layers/attention/{name}/lora/{x}": np.zeros(1) for name in "qv" for x in "ab"}
    checkpoint = Checkpoint(VLSM, Adaptation(lora=lora), inside | {"vision/cls": np.zeros(1)})
    export = choose_export(checkpoint, "peft")
    assert export.part.adaptation.lora.targets == ("layers/attention/q", "layers/attention/v")
    assert (export.part.config, export.left_aside) == (LLAMA, ("vision/cls",))
    outside = {"vision/layers/attention/q/lora/a": np.zeros(1)}
    for params, said in ((outside, "no adapter is on the decoder"), (inside | outside, "outside of the decoder")):
        with pytest.raises(CheckpointError, match=said):
            choose_export(checkpoint._replace(params=params), "peft")


def test_a_perceiver_goes_out_and_in_as_parts(vlsm):
    config = VlsmConfig(VISION, ConnectorConfig("perceiver", sizes=PerceiverSizes(3, 1, 2, 1, 8)), LLAMA, 95)
    params = random_params(config, np.float32)
    to_hf("parts", config, params)
    came = done(vlsm("from-hf", "parts", "ours", "--json"))
    went = done(vlsm("to-hf", "ours", "back", "--json"))
    assert (came["tensors_in"], went["layout"]) == (went["tensors_out"], "parts")
    for name in ("connector.safetensors", "language_model/model.safetensors", "vision_tower/model.safetensors"):
        assert same_tensors(f"parts/{name}", f"back/{name}")
    assert "cannot hold a 'perceiver' connector" in vlsm("to-hf", "ours", "none", "--as", "llava").stderr


# --- What goes wrong --------------------------------------------------------------------------------------------------


def test_scores_that_differ_leave_nothing(vlsm, made, monkeypatch):
    pytest.importorskip("torch")
    done(vlsm("from-hf", made / "decoder", "ours", "--json"))
    write = to_hf.__globals__["write_hf_decoder"]

    def mistaken(directory, config, params, *more, **options):
        other = dict(params) | {"norm/scale": np.asarray(params["norm/scale"]) * 1.01}
        write(directory, config, other, *more, **options)

    monkeypatch.setattr("convert.exporting.write_hf_decoder", mistaken)
    result = vlsm("to-hf", "ours", "back", "--verify")
    assert result.exit_code == 1
    assert "the decoder export gives other scores in transformers" in result.stderr
    assert names() == ["ours"]


def test_broken_shards_are_named(vlsm, made):
    to_hf("sharded", LLAMA, random_params(LLAMA), max_shard_bytes=30_000)
    shards = [path for path in names("sharded") if path.startswith("model-")]
    assert len(shards) > 2
    assert done(vlsm("from-hf", "sharded", "good", "--json"))["unused"] == []
    shutil.rmtree("good")
    shutil.copytree("sharded", "cut")
    os.truncate(f"cut/{shards[1]}", Path(f"cut/{shards[1]}").stat().st_size - 1)
    shutil.copytree("sharded", "absent")
    Path(f"absent/{shards[1]}").unlink()
    shutil.copytree("sharded", "more")
    save_file(load_file(f"more/{shards[1]}") | {"one.more": np.zeros(1)}, f"more/{shards[1]}")
    index = json.loads(Path("more/model.safetensors.index.json").read_text())
    index["weight_map"]["one.more"] = shards[1]
    Path("more/model.safetensors.index.json").write_text(json.dumps(index))
    for folder, said in (
        ("cut", f"cut/{shards[1]}, which should hold model.layers"),
        ("absent", "no such file"),
        ("more", "not used: one.more"),
    ):
        result = vlsm("from-hf", folder, "out", *(["--dtype", "float32"] if folder == "more" else []))
        assert result.exit_code == 2
        assert said in result.stderr
        assert shards[1] in result.stderr or folder == "more"
        assert not result.stdout
        assert names() == ["absent", "cut", "more", "sharded"]


def test_failing_in_the_middle_leaves_nothing(vlsm, made, monkeypatch):
    done(vlsm("from-hf", made / "decoder", "ours", "--json"))
    monkeypatch.setattr("convert.native.write_json", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
    result = vlsm("from-hf", made / "decoder", "out")
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert names() == ["ours"]
    assert names("ours") == ["config.json", "files", "params"]


@pytest.mark.parametrize(
    "slow",
    [
        "native.write_json = lambda path, data: wait()",
        "importing.read_pieces = lambda *s: (p for p in s[:0] or wait())",
    ],
    ids=["all arrays written", "no array written"],
)
def test_a_killed_conversion_leaves_no_folder_under_its_name(made, tmp_path, slow):
    program = (
        "import time, convert.native as native, convert.importing as importing\n"
        "from convert.importing import import_checkpoint\n"
        "def wait():\n    print('in the middle', flush=True)\n    time.sleep(60)\n"
        f"{slow}\n"
        f"import_checkpoint({str(made / 'decoder')!r}, {str(tmp_path / 'out')!r})"
    )
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        assert running.stdout.readline() == "in the middle\n"
        assert [path.name for path in tmp_path.iterdir()] == [f".out.{running.pid}.tmp"]
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_done_is_refused_by_name(vlsm, made, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done(vlsm("from-hf", made / "decoder", "plain", "--json"))
    done(vlsm("from-hf", made / "vision", "eye", "--json"))
    shutil.copytree(made / "decoder", "gptq")
    config = json.loads(Path("gptq/config.json").read_text()) | {"quantization_config": {"quant_method": "gptq"}}
    Path("gptq/config.json").write_text(json.dumps(config))
    here = names()
    for args, said in (
        (("from-hf", "absent", "out"), "absent: no such folder"),
        (("from-hf", "plain/config.json", "out"), "is a file; give the folder"),
        (("from-hf", made / "decoder", "plain"), "is there already and not empty"),
        (("from-hf", made / "llava", "out", "--quantise", "nf4"), "only decoders alone"),
        (("from-hf", "gptq", "out"), "quant_method 'gptq'"),
        (("to-hf", made / "decoder", "out"), "is not of a checkpoint of vlsm_jax"),
        (("to-hf", "plain", "out", "--as", "llava"), "llava: the checkpoint is of a decoder alone"),
        (("to-hf", "plain", "out", "--as", "upstream"), "upstream: the checkpoint is of a decoder alone"),
        (("to-hf", "plain", "out", "--as", "peft"), "peft: the checkpoint has no adapters"),
        (("to-hf", "plain", "out", "--as", "bitsandbytes"), "bitsandbytes: kernels in 'none'"),
        (("to-hf", "eye", "out", "--as", "decoder"), "decoder: the checkpoint is of a vision tower alone"),
        (("from-hf", "someone/model", "out"), "the Hugging Face hub did not give it"),
        (("to-hf", "plain", "out", "--as", "gguf"), "gguf"),
        (("from-hf", made / "decoder", "out", "--dtype", "float8"), "float8"),
    ):
        result = vlsm(*args)
        assert result.exit_code == 2, (args, result.stdout)
        assert said in " ".join(result.stderr.split()), (args, result.stderr)
        assert names() == here


def test_a_whole_clip_gives_its_vision_tower_and_the_rest_is_listed(vlsm, made):
    Path("clip").mkdir()
    tensors = load_file(made / "vision/model.safetensors")
    text = {"text_model.final_layer_norm.weight": np.ones(4, np.float32), "logit_scale": np.ones((), np.float32)}
    save_file(tensors | text, "clip/model.safetensors")
    config = json.loads((made / "vision/config.json").read_text())
    Path("clip/config.json").write_text(json.dumps({"model_type": "clip", "vision_config": config}))
    came = done(vlsm("from-hf", "clip", "ours", "--dtype", "bfloat16", "--json"))
    assert sorted(came["left_aside"]) == sorted(text)
    assert came["tensors_in"] == len(tensors) + 2
    assert "2 that are no part of it" in vlsm("from-hf", "clip", "more").stdout
    assert any("text_model" in pattern for pattern in clip_vision_layout().ignored)


def test_a_damaged_checkpoint_of_ours_is_named(vlsm, made):
    done(vlsm("from-hf", made / "decoder", "ours", "--json"))
    shutil.rmtree("ours/params/d", ignore_errors=True)
    shutil.rmtree("ours/params/ocdbt.process_0", ignore_errors=True)
    began = time.monotonic()
    result = vlsm("to-hf", "ours", "out")
    assert result.exit_code == 2
    assert "ours/params: damaged" in result.stderr
    assert time.monotonic() - began < 20
    assert names() == ["ours"]


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_papers_own_files_become_one_model(vlsm, made, kind):
    pytest.importorskip("peft")
    wanted = VlsmConfig(VISION, ConnectorConfig(kind), LLAMA, LLAMA.vocabulary)
    params = {p: a.astype(np.float32) for p, a in random_params(wanted).items()}
    write_native("whole", Checkpoint(wanted, Adaptation(), {p: jax.numpy.asarray(a) for p, a in params.items()}))
    done(vlsm("to-hf", "whole", "up", "--as", "upstream", "--json"))
    done(vlsm("to-hf", "whole", "decoder", "--as", "decoder", "--json"))
    adapted("ours", LLAMA, (r"layers/attention/q",))
    done(vlsm("to-hf", "ours", "adapter", "--as", "peft", "--json"))
    given = ("from-hf", "decoder", "in", "--upstream", "up/best_model.pt")
    assert "give the CLIP checkpoint" in vlsm(*given).stderr
    done(vlsm(*given, "--vision", made / "vision", "--adapter", "adapter", "--json"))
    found = read_native("in")
    assert found.config == wanted
    assert (found.facts["fit"], found.adaptation.lora.targets) == ("crop", ("decoder/layers/attention/q",))
    for path, array in params.items():
        assert np.asarray(found.params[path]).tobytes() == array.tobytes(), path
    done(vlsm("to-hf", "in", "merged", "--as", "merged", "--verify", "--json"))
    # Quantised on the way, and the encoder and the connector are not.
    done(vlsm(*given[:2], "4-bit", *given[3:], "--vision", made / "vision", "--quantise", "nf4", "--json"))
    quantised = read_native("4-bit").params
    assert {str(quantised[p].dtype) for p in quantised if p.endswith("codes")} == {"uint8"}
    assert {str(a.dtype) for p, a in quantised.items() if not p.startswith("decoder/")} == {"float32"}
    described = read_native("4-bit")
    network = Network.create(described.config, adaptation=described.adaptation)
    assert network.shapes.keys() == quantised.keys()
    refused = vlsm("from-hf", made / "llava", "none", "--upstream", "up/best_model.pt", "--vision", made / "vision")
    assert "goes with a decoder alone" in refused.stderr
    Path("up/best_model.pt").write_bytes(Path("up/best_model.pt").read_bytes()[:999])
    assert "best_model.pt: damaged" in vlsm(*given[:2], "none", *given[3:], "--vision", made / "vision").stderr
    assert "none" not in names()
