"""Arithmetic by formula: against published figures, against the products that programs hold, and of real batches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlsm_jax.models import ConnectorConfig, DecoderConfig, VlsmConfig
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.models.presets import DECODER_PRESETS, vision_preset
from vlsm_jax.training.flops import BatchCounts, StepFlops
from vlsm_jax.training.hardware import CHIPS, chip_of
from vlsm_jax.training.network import Network
from vlsm_jax.training.planning.work import count_work

LENGTH = 4353


def published(name, adaptation=Adaptation()):
    decoder = DecoderConfig.from_hf_config(DECODER_PRESETS[name])
    return Network.create(VlsmConfig(None, None, decoder, image_token_id=0), adaptation=adaptation)


def per_token(flops):
    return flops.useful(BatchCounts.full(1, LENGTH, flops.window, 0)) / LENGTH / 1e9


def test_full_training_takes_three_times_the_forward_pass():
    network = published("tinyllama-1.1b")
    assert per_token(StepFlops.create(network, ())) == pytest.approx(2.46, abs=0.005)
    trained = StepFlops.create(network, network.shapes)
    assert per_token(trained) == pytest.approx(7.38, abs=0.005)
    assert trained.token.frozen == trained.target.frozen == 0
    said = trained.describe(LENGTH)
    assert "takes 7.38 GFLOP in training: trained matrices 6.21, frozen ones 0, attention 1.18" in said
    assert said.endswith("; without a target 0.393 less")  # a head of 32,000 ids and 2,048 wide


@pytest.mark.parametrize("tied", [False, True])
def test_the_head_is_for_targets(tied):
    config = DecoderConfig("llama", 96, 16, 2, 4, 2, 4, 32, tied=tied)
    network = Network.create(VlsmConfig(None, None, config, image_token_id=0))
    flops = StepFlops.create(network, network.shapes)
    assert flops.target.total == flops.target.trained == 6 * 96 * 16
    assert flops.token.total == 6 * 2 * (2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32)
    full = BatchCounts.full(3, 20, None, 0)
    few = full._replace(targets=10.0)
    assert flops.useful(full) - flops.useful(few) == flops.padded(full) - flops.padded(few) == 50 * 6 * 96 * 16


def test_adapters_on_a_frozen_decoder():
    adaptation = Adaptation("nf4-double", LoraConfig(32, 64.0, targets=(r"decoder/layers/(attention|mlp)/\w+",)))
    network = published("starcoder2-7b", adaptation)
    adapters = [name for name in network.shapes if "/lora/" in name]
    flops = StepFlops.create(network, adapters)
    assert per_token(flops) == pytest.approx(33.0, rel=0.005)
    # Frozen: forward and through, 4 for each of 7.17 billion weights; trained: 6 for each of 76.5 million.
    assert flops.token.frozen + flops.target.frozen == pytest.approx(4 * 7.172e9, rel=1e-3)
    assert flops.token.trained == pytest.approx(6 * sum(network.shapes[name].size for name in adapters))
    assert flops.token.trained == pytest.approx(6 * 76.5e6, rel=2e-3)
    assert per_token(StepFlops.create(published("starcoder2-7b"), ())) == pytest.approx(15.6, rel=0.005)


@pytest.mark.parametrize(
    ("encoder", "said"), [("clip-vit-l-14", 162), ("openclip-vit-h-14", 334), ("openclip-vit-g-14", 534)]
)
def test_a_frozen_encoder_takes_its_forward_pass_or_nothing(encoder, said):
    vision = vision_preset(encoder)
    decoder = DecoderConfig.from_hf_config(DECODER_PRESETS["gemma3-270m"])
    network = Network.create(VlsmConfig(vision, ConnectorConfig("linear"), decoder, image_token_id=0))
    connector = 6 * vision.width * decoder.width * 257
    flops = StepFlops.create(network, ["connector/linear/kernel"])
    assert (flops.picture.total - connector) / 1e9 == pytest.approx(said, abs=1)
    kept = StepFlops.create(network, ["connector/linear/kernel"], features=True)
    assert kept.picture.total == kept.picture.trained == connector
    alone = StepFlops.create(network, ["connector/linear/kernel"], responses=False)
    assert alone.picture == flops.picture
    assert alone.token.total == alone.target.total == alone.pair == alone.local_pair == 0


@pytest.mark.parametrize("connector", ["linear", "mlp", "perceiver", "qformer"])
@pytest.mark.parametrize("feature_layer", [-1, -2])
@pytest.mark.parametrize("stem", [(), (6, 7)])
def test_pictures_take_the_products_that_the_program_holds(network, connector, feature_layer, stem):
    sizes = {
        "perceiver": {"queries": 3, "depth": 2, "heads": 4, "kv_heads": 2, "head_dim": 6},
        "qformer": {"queries": 3, "depth": 4, "width": 24, "heads": 2, "mlp_width": 40},
    }
    vision = dataclasses.replace(network.config.vision, layers=3, feature_layer=feature_layer, drop_cls=True)
    vision = dataclasses.replace(vision, stem_channels=stem)
    config = ConnectorConfig(connector, sizes=sizes.get(connector))
    network = Network.create(dataclasses.replace(network.config, vision=vision, connector=config))

    def products(network, *rest):
        program = jax.make_jaxpr(lambda params, *x: network.merge(params).encode_images(*x))(network.shapes, *rest)
        return count_work(program).products / 9

    images = jax.ShapeDtypeStruct((9, 8, 8, 3), jnp.uint8)
    assert StepFlops.create(network, ()).picture.total == products(network, images)
    # Of four patches: a stem goes over one apart, and over three with all.
    for count in (1, 3):
        if sizes.get(connector) is None:
            kept = jax.ShapeDtypeStruct((9, count), jnp.int32)
            flops = StepFlops.create(network, (), kept_patches=count)
            assert flops.picture.total == products(network, images, kept)
        few = dataclasses.replace(vision, seen_patches=count)
        fewer = Network.create(dataclasses.replace(network.config, vision=few))
        assert StepFlops.create(fewer, ()).picture.total == products(fewer, images)


def test_what_gradients_do_not_reach_is_not_counted(network):
    encoder = 2 * (16 * 4 * 4 * 3 * 4 + (4 * 16 * 16 + 2 * 16 * 32) * 5) + 4 * 25 * 16
    decoder = [name for name in network.shapes if name.startswith("decoder/")]
    connector = [name for name in network.shapes if name.startswith("connector/")]
    flops = StepFlops.create(network, decoder)
    assert flops.picture.total == encoder + 2 * 5 * (16 * 32 + 32 * 32)
    assert StepFlops.create(network, connector).picture.trained == 6 * 5 * (16 * 32 + 32 * 32)
    # A trained connector takes the gradient through a frozen decoder.
    through = StepFlops.create(network, connector)
    assert through.token.frozen == 4 * flops.token.trained / 6
    assert through.target.frozen == 4 * flops.target.trained / 6 > 0
    every = StepFlops.create(network, network.shapes)
    assert every.picture.total == 3 * (encoder + 2 * 5 * (16 * 32 + 32 * 32))


def test_local_layers_see_their_window():
    flops = StepFlops.create(published("gemma3-270m"), ())
    config = DecoderConfig.from_hf_config(DECODER_PRESETS["gemma3-270m"])
    layers = len(config.global_layers)
    assert flops.pair == 4 * config.heads * config.head_dim * layers
    assert flops.local_pair == 4 * config.heads * config.head_dim * (config.layers - layers)
    full = BatchCounts.full(2, 1000, 512, 0)
    assert full.pairs == 2 * sum(range(1, 1001))
    assert full.local_pairs == 2 * sum(min(n, 512) for n in range(1, 1001))


def test_a_batch_counts_what_is_in_it():
    """Samples of 5 and 3 positions in a row of 10, one of 4 in the other; two of them have a picture of 2 positions."""
    place = [[0, 1, 2, 3, 4, 0, 1, 2, -1, -1], [0, 1, 2, 3, -1, -1, -1, -1, -1, -1]]
    batch = {
        "positions": np.array(place, np.int32),
        "segment_ids": np.array([[1] * 5 + [2] * 3 + [0] * 2, [1] * 4 + [0] * 6], np.int32),
        "visual_index": np.array([[0, 1, -1, -1, -1, 2, 3, -1, -1, -1], [-1] * 10], np.int32),
        "images": np.zeros((2, 3, 8, 8, 3), np.uint8),
        "weights": np.array([[0, 0, 0, 1, 1, 0, 0.5, 0.5, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]], np.float32),
    }
    counts = BatchCounts.of(batch, window=3, visual_tokens=2)
    assert (counts.samples, counts.tokens, counts.targets, counts.pictures) == (3, 12, 6, 2)
    assert counts.pairs == 15 + 6 + 10
    assert counts.local_pairs == (1 + 2 + 3 * 3) + 6 + (1 + 2 + 3 * 2)
    assert (counts.positions, counts.padded_pairs, counts.padded_pictures) == (20, 2 * 55, 6)
    assert counts.padded_local_pairs == 2 * (1 + 2 + 3 * 8)
    assert counts.plus(counts) == counts.times(2)
    text = BatchCounts.of(batch, window=None, visual_tokens=0)  # a model without an encoder
    assert (text.pictures, text.padded_pictures) == (0, 0)
    assert text.local_pairs == text.pairs
    # A row that is full counts alike either way.
    full = BatchCounts.full(2, 10, 3, 1)
    flops = StepFlops.create(published("gemma3-270m"), ())
    assert flops.useful(full) == flops.padded(full)
    assert flops.useful(counts) < flops.padded(counts)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TPU v4", "v4"),
        ("TPU v5 lite", "v5e"),
        ("TPU v5p", "v5p"),
        ("TPU v5", "v5p"),
        ("TPU v6 lite", "v6e"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
    ],
)
def test_devices_are_known_by_what_jax_calls_them(kind, name):
    assert chip_of(kind) is CHIPS[name]


def test_other_devices_have_no_peak():
    for kind in ("cpu", "TPU v4 lite", "NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA L4"):
        assert chip_of(kind) is None
