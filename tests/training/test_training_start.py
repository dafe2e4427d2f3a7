"""Where parameters start: pretrained parts in their places, plain or in 4 bits, the rest at random."""

import dataclasses

import jax
import numpy as np
import pytest

from convert.huggingface import write_hf_decoder, write_hf_vision
from convert.llava import write_llava
from vlsm_jax.models import Decoder, VisionEncoder
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.network import Network, flatten
from vlsm_jax.training.start import (
    initial_params,
    read_decoder_config,
    read_encoder_config,
    read_model_config,
    starter,
)

SEED = 3


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def sizes(network):
    """Those of the room's network, as wide as a block of 4-bit weights."""
    decoder = dataclasses.replace(network.config.decoder, width=64, head_dim=16, mlp_width=128)
    return dataclasses.replace(network.config, decoder=decoder)


@pytest.fixture(scope="module")
def pretrained(sizes, tmp_path_factory):
    from flax import nnx

    folder = tmp_path_factory.mktemp("pretrained")
    decoder = flatten(nnx.state(Decoder(sizes.decoder, rngs=nnx.Rngs(11))))
    vision = flatten(nnx.state(VisionEncoder(sizes.vision, rngs=nnx.Rngs(12))))
    write_hf_decoder(folder / "decoder", sizes.decoder, decoder)
    write_hf_vision(folder / "vision", sizes.vision, vision)
    return folder, decoder, vision


def test_parts_are_read_and_the_rest_drawn(sizes, pretrained, mesh):
    folder, decoder, vision = pretrained
    network = Network.create(sizes)
    params = initial_params(network, SEED, mesh, decoder=str(folder / "decoder"), vision=str(folder / "vision"))
    assert params.keys() == network.shapes.keys()
    for prefix, part in (("decoder/", decoder), ("vision/", vision)):
        for name, value in part.items():
            np.testing.assert_array_equal(params[prefix + name], value, err_msg=name)
    drawn = jax.jit(network.init)(SEED)
    np.testing.assert_array_equal(params["connector/linear_1/kernel"], drawn["connector/linear_1/kernel"])


def test_an_encoder_without_a_source_is_random(sizes, pretrained, mesh):
    network = Network.create(sizes)
    params = initial_params(network, SEED, mesh, decoder=str(pretrained[0] / "decoder"))
    drawn = jax.jit(network.init)(SEED)
    np.testing.assert_array_equal(params["vision/patch/kernel"], drawn["vision/patch/kernel"])
    assert (np.asarray(params["vision/patch/kernel"]) != pretrained[2]["patch/kernel"]).any()


def test_a_decoder_in_4_bits_is_quantised_as_it_is_read(sizes, pretrained, mesh):
    folder, decoder, _ = pretrained
    network = Network.create(sizes, adaptation=Adaptation("nf4-double", LoraConfig(4, 8.0)))
    params = initial_params(network, SEED, mesh, decoder=str(folder / "decoder"))
    assert params.keys() == network.shapes.keys()
    assert {n: (x.shape, x.dtype) for n, x in params.items()} == {
        n: (x.shape, x.dtype) for n, x in network.shapes.items()
    }
    plain = jax.jit(Network.create(sizes).init)(SEED) | {f"decoder/{n}": x for n, x in decoder.items()}
    wanted = jax.jit(network.adapt)(plain, SEED)
    for name in (n for n in params if n.startswith("decoder/layers/mlp/up/kernel/")):
        np.testing.assert_array_equal(params[name], wanted[name], err_msg=name)
    assert not np.asarray(params["decoder/layers/mlp/up/lora/b"]).any()


def test_sizes_come_from_the_source(sizes, pretrained):
    folder = pretrained[0]
    assert read_decoder_config(str(folder / "decoder")).width == sizes.decoder.width
    assert read_encoder_config(str(folder / "vision")).patch_size == sizes.vision.patch_size
    with pytest.raises(ConfigError, match=r"model\.init\.decoder='/nowhere': .*no such folder"):
        read_decoder_config("/nowhere")


def test_a_part_of_another_size_is_refused(sizes, pretrained, mesh):
    wider = dataclasses.replace(sizes, decoder=dataclasses.replace(sizes.decoder, mlp_width=192))
    said = r"decoder/layers/mlp/down/kernel: \[2, 128, 64\], the config has \[2, 192, 64\]"
    with pytest.raises(ConfigError, match=said):
        initial_params(Network.create(wider), SEED, mesh, decoder=str(pretrained[0] / "decoder"))


def test_nothing_to_read_and_keys_that_are_not_there(sizes, mesh):
    network = Network.create(sizes)
    assert starter(network, SEED, mesh, {"decoder": "", "vision": ""}) is None
    assert starter(network, SEED, mesh, {}) is None
    with pytest.raises(ConfigError, match=r"no config key model\.init\.encoder"):
        starter(network, SEED, mesh, {"encoder": "x"})


# --- a whole model ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(sizes, tmp_path_factory):
    """A model whose parameters are all others than those of a new run."""
    folder = tmp_path_factory.mktemp("whole") / "export"
    params = jax.jit(Network.create(sizes).init)(SEED + 1)
    write_llava(folder, sizes, params)
    return str(folder), params


def test_a_whole_model_is_read_and_adapters_are_drawn(sizes, whole, mesh):
    source, stored = whole
    network = Network.create(sizes, adaptation=Adaptation("none", LoraConfig(4, 8.0)))
    params = starter(network, SEED, mesh, {"model": source, "decoder": "", "vision": ""})()
    assert params.keys() == network.shapes.keys()
    for name, value in stored.items():
        np.testing.assert_array_equal(params[name], value, err_msg=name)
    adapters = params.keys() - stored.keys()
    assert adapters
    assert all("/lora/" in name for name in adapters)
    assert read_model_config(source) == sizes


def test_a_whole_model_is_quantised_when_all_of_it_is_there(sizes, whole, mesh):
    source, stored = whole
    network = Network.create(sizes, adaptation=Adaptation("nf4", LoraConfig(4, 8.0)))
    params = initial_params(network, SEED, mesh, model=source)
    wanted = jax.jit(network.adapt)(stored, SEED)
    assert params.keys() == wanted.keys() == network.shapes.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(params[name], value, err_msg=name)


@pytest.mark.parametrize("quantise", ["none", "nf4"])
def test_a_part_takes_the_place_of_a_whole_models(sizes, whole, pretrained, mesh, quantise):
    (source, stored), (folder, decoder, _) = whole, pretrained
    network = Network.create(sizes, adaptation=Adaptation(quantise, LoraConfig(4, 8.0)))
    params = starter(network, SEED, mesh, {"model": source, "decoder": str(folder / "decoder")})()
    others = {f"decoder/{name}": value for name, value in decoder.items()}
    wanted = jax.jit(network.adapt)({**stored, **others}, SEED)
    assert params.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(params[name], value, err_msg=name)


def test_a_part_is_no_whole_model(pretrained, whole):
    with pytest.raises(ConfigError, match=r"no whole model but one part; name it as model\.init\.decoder"):
        read_model_config(str(pretrained[0] / "decoder"))
