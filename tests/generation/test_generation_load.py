"""A generator from what was exported writes what the model itself writes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax import nnx
from PIL import Image
from safetensors.numpy import save_file

from convert.bitsandbytes import write_quantised_decoder
from convert.huggingface import write_hf_decoder, write_hf_vision
from convert.processor_files import write_tokenizer
from convert.to_hf import to_hf
from vlsm_jax.data.images import Fit
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.draft_examples import FILE, ExamplesError, find_lookup, write_examples
from vlsm_jax.generation.load import ModelError, computing_dtype, load_generator
from vlsm_jax.models import (
    ConnectorConfig,
    DecoderConfig,
    PerceiverSizes,
    QFormerSizes,
    VisionConfig,
    VisionEncoder,
    VlsmConfig,
)
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.network import Network

PROMPT = "Two queues of 20 items, then a sink."
CONNECTORS = {
    "llava": ConnectorConfig("mlp", init_std=0.3),
    "perceiver": ConnectorConfig("perceiver", init_std=0.3, sizes=PerceiverSizes(3, 1, 2, 1, 8)),
    "qformer": ConnectorConfig("qformer", init_std=0.3, sizes=QFormerSizes(3, 2, 16, 2, 28)),
}


@pytest.mark.parametrize("kind", CONNECTORS)
def test_an_export_writes_what_the_model_does(kind, tmp_path):
    tokenizer = train_bpe([PROMPT, "Object.create();"], 300, tmp_path / "tokenizer")
    vision = VisionConfig(width=16, layers=2, heads=2, mlp_width=32, patch_size=4, image_size=8)
    decoder = DecoderConfig("llama", 320, 32, 2, 4, 2, 8, 48, init_std=0.3)
    network = Network.create(VlsmConfig(vision, CONNECTORS[kind], decoder, tokenizer.image_id))
    params, mesh = network.init(1), make_mesh(devices=jax.devices()[:1])
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "sketch.png")

    def write(generator):
        return generator.generate([tmp_path / "sketch.png"], [PROMPT], max_tokens=12)

    to_hf(tmp_path / "export", network.config, params, tokenizer=tokenizer, fit=Fit.SQUASH)
    assert (tmp_path / "export" / "connector.safetensors").exists() == (kind != "llava")
    wanted = write(Generator(network, params, tokenizer, fit=Fit.SQUASH, mesh=mesh))
    assert write(load_generator(tmp_path / "export")) == wanted
    write_examples(tmp_path / "export", ["Object.create(); Object.create();"])
    drafting = load_generator(tmp_path / "export")
    assert [made[0].text for made in write(drafting)] == [made[0].text for made in wanted]
    assert wanted != write(Generator(network, network.init(2), tokenizer, fit=Fit.SQUASH, mesh=mesh))


# All widths are multiples of 64, the block of NF4.
DECODER = DecoderConfig("llama", 320, 64, 2, 4, 2, 16, 64, init_std=0.3, eos_token_ids=(1,), pad_token_id=0)


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    """Network, parameters and tokenizer of a model of text alone, and its export."""
    folder = tmp_path_factory.mktemp("text")
    tokenizer = train_bpe([PROMPT, "Object.create();"], 300, folder / "tokenizer")
    network = Network.create(VlsmConfig(None, None, DECODER, tokenizer.image_id))
    params = network.init(1)
    write_hf_decoder(folder / "export", DECODER, of_decoder(params), tokenizer)
    return network, params, tokenizer, folder / "export"


def of_decoder(params):
    return {path.removeprefix("decoder/"): array for path, array in params.items()}


def text_of(generator, **options):
    return generator.generate([], [PROMPT], max_tokens=12, **options)[0][0].text


def test_a_decoder_alone_writes_what_the_model_does_and_what_transformers_does(text_model):
    network, params, tokenizer, export = text_model
    generator = load_generator(export)
    assert not generator.looks_at_sketches
    wanted = text_of(Generator(network, dict(params), tokenizer, mesh=make_mesh(devices=jax.devices()[:1])))
    assert text_of(generator) == wanted
    theirs = transformers.AutoTokenizer.from_pretrained(export)
    asked = theirs.apply_chat_template([{"role": "user", "content": PROMPT}], return_tensors="pt", return_dict=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(export)
    written = model.generate(**asked, max_new_tokens=12)[0, asked["input_ids"].shape[1] :]
    assert theirs.decode(written, skip_special_tokens=True) == wanted


def test_a_decoder_in_4_bits_is_written_with_as_it_is(text_model):
    network, params, tokenizer, _ = text_model
    adapted = Network.create(network.config, adaptation=Adaptation("nf4"))
    quantised = jax.jit(adapted.adapt)(params, 0)
    folder = tokenizer.directory + "-4bit"
    write_quantised_decoder(folder, DECODER, adapted.adaptation, of_decoder(quantised))
    write_tokenizer(Path(folder), tokenizer)
    generator = load_generator(folder)
    assert generator.network.adaptation.quantise == "nf4"
    assert generator.network.quantised_names == adapted.quantised_names
    wanted = text_of(Generator(adapted, quantised, tokenizer, mesh=make_mesh(devices=jax.devices()[:1])))
    assert text_of(generator) == wanted


@pytest.mark.parametrize(
    ("stored", "platform", "computed"),
    [("bfloat16", "cpu", "float32"), ("float32", "gpu", "float32"), ("bfloat16", "tpu", "bfloat16"),
     ("float16", "gpu", "bfloat16")],
)  # fmt: skip
def test_accelerators_compute_in_what_is_stored(stored, platform, computed):
    assert computing_dtype(jnp.dtype(stored), platform) == computed


def test_a_model_that_looks_at_sketches_wants_one_for_each_prompt():
    with pytest.raises(ValueError, match="0 sketches for 1 prompts; give one for each"):
        load_generator().generate([], [PROMPT], max_tokens=1)


def test_examples_of_a_folder_are_drafted_from(tmp_path):
    script = "Object.create(); Object.create();"
    tokenizer = train_bpe([PROMPT, script], 300, tmp_path / "tokenizer")
    assert find_lookup(tmp_path, tokenizer) is None
    write_examples(tmp_path, [script, "Größe"])
    found = find_lookup(tmp_path, tokenizer)
    assert [tokenizer.decode(ids) for ids in found.examples] == [script, "Größe"]
    assert all(ids[-1] == tokenizer.eos_id for ids in found.examples), "where a script ends is drafted, too"
    for text in ("{", "[]", '{"scripts": 3}', '{"scripts": [3]}', "{}"):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(ExamplesError, match=r'draft_examples.json: not an object with "scripts"'):
            find_lookup(tmp_path, tokenizer)


def test_other_models_are_refused_by_name(tmp_path):
    with pytest.raises(ModelError, match=r"no model at .*none"):
        load_generator(tmp_path / "none")
    vision = VisionConfig(width=16, layers=1, heads=2, mlp_width=32, patch_size=4, image_size=8)
    write_hf_vision(tmp_path / "tower", vision, nnx.state(VisionEncoder(vision, rngs=nnx.Rngs(0))))
    with pytest.raises(ModelError, match="is a vision tower, and writes nothing"):
        load_generator(tmp_path / "tower")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model_type 'bert' is not one of .*llama, llava, .*vlsm_jax_parts"):
        load_generator(tmp_path)
