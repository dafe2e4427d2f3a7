"""Every experiment there is: it builds, says no to arguments it does not have, and trains a step at a tiny size."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import nano, quickstart, text_only, vlsm_1b, vlsm_7b
from configs.common import CONNECTORS, DECODER_SOURCES, ENCODERS, PRESETS, SPLITS
from vlsm_jax.data.pipeline import Batch, PipelineConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training import experiment
from vlsm_jax.training.config import build
from vlsm_jax.training.loop import StatePlan, TrainConfig, check_objective
from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
from vlsm_jax.training.planning.compiling import abstract_batch
from vlsm_jax.training.sections import check_sections
from vlsm_jax.training.step import make_train_step

LENGTH = 112
EVERY = (
    [
        (module, f"encoder={encoder},connector={connector},preset={preset}")
        for module in (vlsm_1b, vlsm_7b)
        for encoder in ENCODERS
        for connector in CONNECTORS
        for preset in PRESETS
    ]
    + [(module, f"stage=1,preset={preset}") for module in (vlsm_1b, vlsm_7b) for preset in PRESETS]
    + [(text_only, f"decoder={decoder},preset={preset}") for decoder in DECODER_SOURCES for preset in PRESETS]
)
# Each family, connector kind with sizes, way of training and preset once; `benchmarks/one_step.py` steps every config.
SOME = (
    (vlsm_1b, "encoder=random,connector=perceiver"),
    (vlsm_7b, "connector=mlp"),
    (vlsm_7b, "encoder=clip,connector=qformer,preset=paper"),
    (vlsm_1b, "stage=1,preset=paper"),
    (text_only, "decoder=gemma3-270m"),
    (text_only, "decoder=mistral-7b,preset=paper"),
)
BILLIONS = {
    "gemma3-270m": 0.268,
    "tinyllama-1.1b": 1.100,
    "mistral-7b": 7.242,
    "llama2-7b": 6.738,
    "codellama-7b": 6.739,
    "starcoder2-7b": 7.174,
    "llama3-8b": 8.030,
}
"""Billions of parameters, as published."""


def parts(config):
    """Network, training and optimizer of a config, and its pipeline."""
    network, pipeline = experiment.build_network(config, experiment.vlsm_config(config, None), "cpu")
    train = build(TrainConfig, config.train, "train", seed=0)
    return network, train, build(OptimizerConfig, config.optimizer, "optimizer"), pipeline


def some_batch(shapes, visual_tokens):
    rng = np.random.default_rng(0)
    rows, length = shapes.tokens.shape
    place = np.broadcast_to(np.arange(length), (rows, length))
    return Batch(
        tokens=jnp.asarray(rng.integers(0, 300, (rows, length)), jnp.int32),
        targets=jnp.asarray(rng.integers(0, 300, (rows, length)), jnp.int32),
        weights=jnp.asarray(place > length // 2, jnp.float32),
        segment_ids=jnp.ones((rows, length), jnp.int32),
        positions=jnp.asarray(place, jnp.int32),
        visual_index=jnp.asarray(np.where(place < visual_tokens, place, -1), jnp.int32),
        images=jnp.asarray(rng.integers(0, 256, shapes.images.shape), jnp.uint8),
    )


def one_step(config):
    """The state of step 0, that of step 1, and what the step says."""
    config.pipeline.sequence_length = LENGTH
    config.optimizer.warmup_steps = 0  # so that the first step moves something in every preset
    config.pipeline.batch_size, config.train.accumulation = 2, min(config.train.accumulation, 2)
    network, train, optimizer_config, pipeline = parts(config)
    optimizer = make_optimizer(optimizer_config, train.steps)
    mesh = make_mesh(devices=jax.devices()[:1])
    plan = StatePlan.create(network, optimizer, train.trainable, mesh, train.frozen_dtype)
    # Run once: what counts is the time to compile.
    options = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
    jit = functools.partial(jax.jit, compiler_options=options)
    before = jit(lambda: plan.start(network.init(0)))()
    batch = some_batch(abstract_batch(network, pipeline, max(1, config.plan.pictures), mesh), pipeline.visual_tokens)
    return (before, *jit(make_train_step(network.merge, optimizer, train.accumulation))(before, batch))


def check_step(config):
    """Asserts that one step is what the config says."""
    before, after, metrics = one_step(config)
    assert np.isfinite(metrics.loss)
    assert 0.5 * math.log(512) < metrics.loss < 2 * math.log(512)
    assert metrics.gradient_norm > 0
    assert int(after.step) == 1
    assert any((np.asarray(value) != before.trained[name]).any() for name, value in after.trained.items())
    trained = {name.split("/", 1)[0] for name in after.trained}
    stage_2, paper = config.model.vision is not None, config.name.endswith("paper")
    wanted = {"connector"} if stage_2 else {"decoder"}
    if stage_2 and not paper:
        wanted.add("decoder")
    if stage_2 and (paper or "random" in config.name):
        wanted.add("vision")
    assert trained == wanted


@pytest.mark.parametrize(("module", "arg"), SOME, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_a_step_of_a_config(module, arg):
    check_step(module.get_config(f"{arg},tiny"))


def test_every_config_builds_in_both_sizes():
    names = set()
    for module, arg in EVERY:
        for size in ("", ",tiny"):
            config = module.get_config(arg + size)
            check_sections(config)
            made = experiment.vlsm_config(config, None)
            assert made.decoder.family == config.model.decoder.model_type
            assert (made.vision is None) == (config.model.vision is None)
            build(TrainConfig, config.train, "train", seed=0)
            build(OptimizerConfig, config.optimizer, "optimizer")
        names.add(config.name)
    # Stage 1 of the two models is what the baselines of their decoders are.
    assert len(names) == len(EVERY) - 2 * len(PRESETS)


@pytest.mark.parametrize("decoder", DECODER_SOURCES)
def test_sizes_of_the_baselines(decoder):
    """As published; adapters are on top."""
    network, *_ = parts(text_only.get_config(f"decoder={decoder}"))
    config = network.config.decoder
    plain = experiment.build_network(_plain(text_only.get_config(f"decoder={decoder}")), network.config, "cpu")[
        0
    ].parameter_count
    assert plain / 1e9 == pytest.approx(BILLIONS[decoder], abs=6e-4), config


def _plain(config):
    config.model.quantise, config.model.lora.rank = "none", 0
    return config


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_evaluated(split):
    config = vlsm_7b.get_config(f"split={split}")
    assert config.evaluate.splits == (split,)
    assert config.synth[split] == 500
    assert config.evaluate.svr_weights == ((0.6, 0.4), (0.8, 0.2), (0.4, 0.6))


def test_a_random_encoder_starts_from_nothing_and_is_trained():
    config = vlsm_1b.get_config("encoder=random")
    assert config.model.init.vision == ""
    assert config.model.init.decoder
    assert dict(config.train.trainable)[r"^vision/"] is True
    pretrained = vlsm_1b.get_config("encoder=openclip")
    assert pretrained.model.init.vision
    assert config.model.vision == pretrained.model.vision
    assert dict(pretrained.train.trainable)[r"^vision/"] is False


def test_the_paper_preset_is_the_released_recipe():
    """Of stage 2; that its losses are PyTorch's is in tests/training/test_training_paper.py."""
    config = vlsm_7b.get_config("preset=paper")
    pipeline, optimizer = config.pipeline, config.optimizer
    assert (pipeline.fit, pipeline.pack, pipeline.sequence_length) == ("crop", False, 257 + 4096)
    assert (pipeline.joint, pipeline.strip, pipeline.end, pipeline.truncate) == (False, True, "nothing", True)
    assert (pipeline.batch_size, pipeline.rows_per_mean, config.data.beginning) == (4, 1, False)
    assert (config.model.quantise, config.model.lora.rank) == ("nf4-double", 0)
    assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.decay_vectors) == (1e-5, 0.01, True)
    assert config.evaluate.checkpoint == "best"
    assert any("merged" in departure for departure in config.departures)
    small = vlsm_1b.get_config("preset=paper,encoder=clip,connector=perceiver")
    assert (small.pipeline.batch_size, small.pipeline.rows_per_mean) == (8, 2)
    assert small.pipeline.sequence_length == 64 + 4096  # queries, not patches
    assert any("the encoder clip and the connector perceiver" in departure for departure in small.departures)


def test_the_paper_preset_of_stage_1():
    config = vlsm_7b.get_config("stage=1,preset=paper")
    pipeline, optimizer = config.pipeline, config.optimizer
    assert config.model.lora.targets == (r"decoder/layers/attention/\w+",)
    assert (pipeline.joint, pipeline.end, pipeline.sequence_length) == (True, "padding", 4096)
    assert (pipeline.batch_size, pipeline.rows_per_mean, config.data.beginning) == (32, 2, True)
    assert (optimizer.learning_rate, optimizer.warmup_steps, optimizer.weight_decay) == (1e-5, 10, 0.0)
    assert optimizer.warmup_from_zero
    whole = vlsm_1b.get_config("stage=1,preset=paper")
    assert (whole.pipeline.batch_size, whole.optimizer.learning_rate, whole.optimizer.warmup_steps) == (128, 1e-4, 100)
    assert any("float16" in departure for departure in whole.departures)
    assert any("mistral-7b" in d for d in text_only.get_config("decoder=mistral-7b,preset=paper").departures)


def test_the_default_preset_does_what_is_right():
    for module in (vlsm_1b, vlsm_7b, quickstart):
        config = module.get_config()
        pipeline = config.pipeline
        assert (pipeline.fit, pipeline.pack, pipeline.end, pipeline.rows_per_mean) == ("pad", True, "token", 0)
        assert (pipeline.joint, pipeline.strip, pipeline.truncate) == (False, False, False)
        assert not config.get("departures")


def test_every_setting_can_be_overridden():
    """A key that a config lacks cannot be given on the command line."""
    derived = {"image_size", "visual_tokens", "patch_size", "seen_patches", "seed"}
    for module in (vlsm_1b, text_only, quickstart):
        config = module.get_config()
        assert set(config.optimizer) == {field.name for field in dataclasses.fields(OptimizerConfig)}
        assert set(config.pipeline) == {field.name for field in dataclasses.fields(PipelineConfig)} - derived


@pytest.mark.parametrize(
    ("module", "arg", "said"),
    [
        (vlsm_7b, "encoder=siglip", "encoder=siglip; choose openclip, openclip-g, clip, random"),
        (vlsm_7b, "conector=mlp", "no argument 'conector'; there are stage, encoder, connector"),
        (vlsm_1b, "stage=1,stage=2", "stage is there twice"),
        (vlsm_1b, "stage=1,encoder=clip", "stage 1 has no sketches"),
        (vlsm_1b, "tiny=yes", "tiny=yes; choose nothing"),
        (text_only, "stage=2", "no argument 'stage'"),
        (text_only, "decoder=gpt2", "decoder=gpt2; choose gemma3-270m"),
        (nano, "mini", "mini: choose full, text, names, small, letters, sight, lines"),
    ],
)
def test_arguments_that_are_not_there(module, arg, said):
    with pytest.raises(ValueError, match=said):
        module.get_config(arg)


@pytest.mark.parametrize("arg", ["full", "text", "names", "small", "letters", "sight", "lines"])
def test_every_experiment_of_nano_builds(arg):
    config = nano.get_config(arg)
    check_sections(config)
    network, train, optimizer, pipeline = parts(config)
    mesh = make_mesh(devices=jax.devices()[:1])
    plan = StatePlan.create(network, make_optimizer(optimizer, train.steps), train.trainable, mesh, train.frozen_dtype)
    check_objective(train, pipeline, network, plan)
    trained = {"/".join(name.split("/")[:2]) for name in plan.abstract.trained}
    if arg in ("letters", "sight", "lines"):
        assert {name for name in trained if name.startswith("decoder/")} == {"decoder/embedding"}
        assert not train.responses
    else:
        assert "decoder/layers" in trained
    assert any(name.startswith("vision/") for name in trained) == (arg not in ("text", "names"))
