"""Decoding with quantised layers: the fused product where there is one, the same text whichever way."""

import jax
import numpy as np
import pytest

from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.generation.decode import Generator, decoding_network
from vlsm_jax.generation.loop import write
from vlsm_jax.generation.prompts import make_prompts
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.layerwise import take_apart
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.models.quantised import laid_out, product_for
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.network import Network

PROMPT = "Two queues of 20 items, then a sink."


def greedy(model, prompts, new_tokens, eos_id, vocabulary):
    return write(model, prompts, new_tokens=new_tokens, eos_id=eos_id, vocabulary=vocabulary)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    tokenizer = train_bpe([PROMPT, "Object.create();"], 300, tmp_path_factory.mktemp("tokenizer") / "bpe")
    # Wide enough for the kernel's smallest tiles, 512 inputs and 128 outputs.
    decoder = DecoderConfig("llama", 320, 512, 2, 4, 2, 128, 512, init_std=0.1)
    lora = LoraConfig(2, 4.0, targets=(r"decoder/layers/attention/(q|v)",))
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id), adaptation=Adaptation("nf4", lora))
    return network, jax.jit(network.init, static_argnums=0)(1), tokenizer


def test_a_token_goes_through_the_kernel_and_the_prompt_does_not(setup):
    network, params, tokenizer = setup
    mesh = make_mesh(devices=jax.devices()[:1])
    prompts = make_prompts(tokenizer, [PROMPT] * 3, [np.zeros(0, np.uint8)] * 3, 0)  # 192 places: too many for it
    made = {}
    for product in ("xla", "interpret"):
        decoding = decoding_network(network, mesh, product)

        def decode(params, decoding=decoding):
            return greedy(decoding.merge(params), prompts, 8, tokenizer.eos_id, tokenizer.size)

        # All seven products of both layers, in the loop over tokens alone.
        text = str(jax.make_jaxpr(decode)(params))
        assert text.count("pallas_call[") == (14 if product == "interpret" else 0)
        made[product] = np.asarray(jax.jit(decode)(params).tokens)
    np.testing.assert_array_equal(made["interpret"], made["xla"])
    assert len(set(made["xla"][0])) > 1
    # Training goes on as before: what was made is another network.
    assert "pallas_call" not in str(jax.make_jaxpr(lambda p: greedy(network.merge(p), prompts, 2, 1, 300))(params))


def test_layers_laid_out_for_the_kernel_write_the_same(setup):
    _, _, tokenizer = setup
    decoder = DecoderConfig("llama", 320, 512, 2, 4, 2, 128, 512, init_std=0.1)
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id), adaptation=Adaptation("nf4-double"))
    params = take_apart(jax.jit(network.init, static_argnums=0)(1))
    assert laid_out(params, "pallas-gpu") is params
    changed = laid_out(dict(params), "pallas-tpu")
    name = "decoder/layers/attention/q/kernel/"
    assert [p[name + "codes"][0].shape for p in (params, changed)] == [(256, 4, 128), (256, 512)]
    assert [p[name + "absmax"][1].dtype for p in (params, changed)] == [np.uint8, np.float32]
    prompts = make_prompts(tokenizer, [PROMPT], [np.zeros(0, np.uint8)], 0)

    @jax.jit
    def write(params):
        return greedy(network.merge(params), prompts, 4, tokenizer.eos_id, tokenizer.size).tokens

    np.testing.assert_array_equal(write(params), write(changed))


def test_auto_is_the_kernel_on_one_tpu_and_xla_elsewhere(setup):
    assert product_for("auto", "tpu", 1) == "pallas-tpu"
    assert [product_for("auto", *where) for where in (("tpu", 4), ("gpu", 1), ("cpu", 1))] == ["xla"] * 3
    assert product_for("xla", "tpu", 1) == "xla"
    with pytest.raises(ValueError, match="'pallas' is for one TPU or one GPU, not for 4"):
        product_for("pallas", "tpu", 4)
    network, params, tokenizer = setup
    with pytest.raises(ValueError, match="not for 1 device"):
        Generator(network, params, tokenizer, mesh=make_mesh(devices=jax.devices()[:1]), product="pallas")
    with pytest.raises(ValueError, match="'triton' is not one of auto, xla, pallas, interpret"):
        product_for("triton", "gpu", 1)
