"""A generator from what was exported writes what the model itself writes."""

import jax
import numpy as np
import pytest
from PIL import Image

from convert.to_hf import to_hf
from vlsm_jax.data.images import Fit
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.draft_examples import FILE, ExamplesError, find_lookup, write_examples
from vlsm_jax.generation.load import ModelError, load_generator
from vlsm_jax.models import ConnectorConfig, DecoderConfig, PerceiverSizes, QFormerSizes, VisionConfig, VlsmConfig
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
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match=r"model_type 'bert' is not one of llava, vlsm_jax_parts"):
        load_generator(tmp_path)
