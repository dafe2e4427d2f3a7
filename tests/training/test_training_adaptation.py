"""Quantised decoders and adapters as a config asks for them, and a training step with both."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.network import Network, adaptation_of
from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer, split_frozen
from vlsm_jax.training.step import TrainState, make_train_step, make_validation_step

RULES = ((r"/lora/", True), (r".*", False))
# Run a few times each: what counts is the time to compile.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def smoke(**overrides):
    """The model section of the smoke config."""
    model = quickstart.get_config("smoke").model
    with model.unlocked():
        for path, value in overrides.items():
            section, _, key = path.rpartition("__")
            (model[section] if section else model)[key] = value
    return model


def make_network(section):
    described = section.decoder.to_dict() | {"vocab_size": 64}
    vision = VisionConfig(width=16, layers=1, heads=2, mlp_width=32, patch_size=4, image_size=8)
    config = VlsmConfig(vision, ConnectorConfig("mlp"), DecoderConfig.from_hf_config(described), image_token_id=63)
    return Network.create(config, remat=True, adaptation=adaptation_of(section))


@pytest.fixture(scope="module")
def adapted():
    return make_network(smoke(quantise="nf4-double", lora__rank=4, lora__alpha=8.0, lora__dropout=0.1))


@pytest.fixture(scope="module")
def params(adapted):
    return jit(adapted.init)(0)


@pytest.fixture(scope="module")
def optimizer():
    return make_optimizer(OptimizerConfig(learning_rate=1e-2, warmup_steps=0), 20)


@pytest.fixture(scope="module")
def step(adapted, optimizer):
    return jit(make_train_step(adapted.merge, optimizer))


def test_a_plain_config_is_a_plain_model():
    assert not adaptation_of(smoke())
    assert not adaptation_of({})
    assert not any("/lora/" in name or name.endswith("/codes") for name in make_network(smoke()).shapes)


def test_config_says_how_the_model_is_adapted():
    section = smoke(quantise="int8", lora__rank=2, lora__rslora=True, lora__targets=("decoder/layers/mlp/up",))
    wanted = LoraConfig(2, 16.0, rslora=True, targets=("decoder/layers/mlp/up",))
    assert adaptation_of(section) == Adaptation("int8", wanted)
    names = make_network(section).shapes
    assert names["decoder/layers/mlp/down/kernel/codes"].dtype == jnp.int8
    assert names["vision/layers/up/kernel"].dtype == jnp.float32
    assert {name for name in names if "/lora/" in name} == {f"decoder/layers/mlp/up/lora/{x}" for x in "ab"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"quantise": "gptq"}, "model: quantise='gptq' is not one of none, nf4, nf4-double, int8, int4"),
        ({"lora__rank": 4, "lora__alpha": -1.0}, r"model\.lora: lora\.alpha=-1"),
        ({"lora__rank": 4, "lora__ranks": 4}, r"no config key model\.lora\.ranks; did you mean model\.lora\.rank"),
        ({"lora__rank": 4, "lora__targets": ("decoder/layers/mlp/c_fc",)}, "model: lora.targets: .* matches no layer"),
        ({"quantise": "nf4", "decoder__intermediate_size": 96}, r"mlp/down: 96 inputs \(mlp\) are no multiple of 64"),
    ],
)
def test_configs_that_cannot_be(overrides, said):
    with pytest.raises(ConfigError, match=said):
        make_network(smoke(**overrides))


def test_what_may_be_trained(adapted):
    adapters = [name for name in adapted.shapes if "/lora/" in name]
    adapted.check_trained(adapters)
    adapted.check_trained([*adapters, "connector/linear_1/kernel", "decoder/norm/scale"])
    with pytest.raises(
        ConfigError, match=r"trains decoder/layers/attention/k/kernel/absmax and \d+ more.*'/lora/', True"
    ):
        adapted.check_trained(adapted.shapes)
    with pytest.raises(ConfigError, match="freezes the adapter decoder/layers/attention/k/lora/a"):
        adapted.check_trained(["connector/linear_1/kernel"])
    only_lora = make_network(smoke(lora__rank=4))
    with pytest.raises(ConfigError, match="trains decoder/layers/attention/k/kernel and"):
        only_lora.check_trained(only_lora.shapes)


def test_training_moves_adapters_only(adapted, params, optimizer, step, make_batch):
    """Loss falls, everything else keeps its bits, and the optimizer knows of adapters alone."""
    trained, frozen, _ = split_frozen(params, RULES)
    adapted.check_trained(trained)
    state = TrainState(jnp.zeros((), jnp.int32), trained, frozen, optimizer.init(trained))
    moments = [x.size for x in jax.tree.leaves(state.optimizer) if x.ndim]
    assert sum(moments) == 2 * sum(x.size for x in trained.values())
    before = jax.tree.map(np.asarray, frozen)
    batch = make_batch(4)
    validate = jit(make_validation_step(adapted.merge))
    first = validate(state, batch)
    for _ in range(8):
        state, metrics = step(state, batch)
        assert np.isfinite(metrics.loss)
    last = validate(state, batch)
    assert last.text.loss < 0.98 * first.text.loss
    for name, value in before.items():
        np.testing.assert_array_equal(state.frozen[name], value, err_msg=name)
    assert any(name.endswith("/codes") and value.dtype == np.uint8 for name, value in before.items())
    assert all((np.asarray(value) != trained[name]).any() for name, value in state.trained.items())

    # What is exported: a plain model that says the same.
    plain = Network.create(adapted.config)
    exported = adapted.plain({**state.frozen, **state.trained})
    assert {n: (x.shape, x.dtype) for n, x in exported.items()} == {
        n: (x.shape, x.dtype) for n, x in plain.shapes.items()
    }
    same = jit(make_validation_step(plain.merge))(TrainState(state.step, exported, {}, ()), batch)
    np.testing.assert_allclose(same.text.loss, last.text.loss, rtol=1e-4)


def test_dropout_follows_the_step(params, optimizer, step, make_batch):
    trained, frozen, _ = split_frozen(params, RULES)
    trained = {name: x + 0.3 if name.endswith("/b") else x for name, x in trained.items()}
    batch = make_batch(4)

    def loss(at):
        _, metrics = step(TrainState(jnp.asarray(at, jnp.int32), trained, frozen, optimizer.init(trained)), batch)
        return float(metrics.loss)

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)


def test_pretrained_parameters_are_adapted(adapted, params):
    plain = Network.create(adapted.config)
    made = jit(lambda: adapted.adapt(plain.init(0), 0))()
    assert made.keys() == params.keys() == adapted.shapes.keys()
    for name, value in params.items():
        np.testing.assert_array_equal(made[name], value, err_msg=name)  # the same seed draws the same plain kernels
