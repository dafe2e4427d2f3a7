"""Chunked loss, remat and 4-bit weights cut the memory that they promise, by the compiler's own account of the step."""

import jax
import jax.numpy as jnp
import pytest

from vlsm_jax.data.pipeline import PipelineConfig
from vlsm_jax.models import DecoderConfig, VlsmConfig
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training import loss
from vlsm_jax.training.loop import StatePlan, TrainConfig, jit_train_step
from vlsm_jax.training.network import Network
from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
from vlsm_jax.training.planning.compiling import abstract_batch

ROWS, LENGTH, VOCABULARY, WIDTH, LAYERS, MLP = 2, 1024, 8192, 128, 6, 512
DECODER = DecoderConfig("llama", VOCABULARY, WIDTH, LAYERS, 2, 2, 64, MLP)
# Of what the quick compiler needs no part.
QUICK = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def compiled(remat="full", adaptation=None):
    """Memory of the step that training runs, on one device."""
    mesh = make_mesh(devices=jax.devices()[:1])
    network = Network.create(
        VlsmConfig(None, None, DECODER, VOCABULARY), remat=remat, adaptation=adaptation or Adaptation()
    )
    optimizer = make_optimizer(OptimizerConfig(), 10)
    trainable = (("/lora/", True), (".*", False)) if adaptation else ((".*", True),)
    plan = StatePlan.create(network, optimizer, trainable, mesh)
    batch = abstract_batch(network, PipelineConfig(LENGTH, ROWS, 1, 0), 0, mesh)
    with jax.set_mesh(mesh):
        step = jit_train_step(network, optimizer, plan, TrainConfig(steps=1), mesh).lower(plan.abstract, batch)
        return step.compile(compiler_options=QUICK).memory_analysis()


@pytest.fixture(scope="module")
def plain():
    return compiled()


def test_chunked_loss_holds_the_logits_of_a_chunk(plain, monkeypatch):
    monkeypatch.setattr(loss.cross_entropy, "__defaults__", (ROWS * LENGTH, None, ()))
    whole = compiled().temp_size_in_bytes
    logits = ROWS * LENGTH * VOCABULARY * 4
    assert whole - plain.temp_size_in_bytes > 0.75 * logits * (1 - loss.CHUNK / (ROWS * LENGTH))


def test_remat_holds_the_inputs_of_layers(plain):
    kept = {remat: compiled(remat).temp_size_in_bytes for remat in ("none", "dots")}
    tokens = ROWS * LENGTH * 4
    # What the backward pass reads of a layer: its products, and what stands between them.
    products = tokens * LAYERS * (4 * WIDTH + 2 * MLP + WIDTH)
    assert kept["none"] - plain.temp_size_in_bytes > products
    assert kept["dots"] - plain.temp_size_in_bytes > 0.75 * products
    assert kept["none"] > kept["dots"]
    assert plain.temp_size_in_bytes < 0.5 * kept["none"]


def test_4_bits_hold_an_eighth_and_unpack_a_layer_at_a_time():
    lora = LoraConfig(4, 8.0)
    whole, packed = compiled(adaptation=Adaptation("none", lora)), compiled(adaptation=Adaptation("nf4-double", lora))
    kernels = LAYERS * (4 * WIDTH * WIDTH + 3 * WIDTH * MLP) * jnp.dtype(jnp.float32).itemsize
    saved = whole.argument_size_in_bytes - packed.argument_size_in_bytes
    assert saved == pytest.approx(kernels * (1 - 4.127 / 32), rel=0.01)
    # In between, no more than a layer's kernels are whole at a time, forward and backward.
    assert packed.temp_size_in_bytes - whole.temp_size_in_bytes < 2 * kernels / LAYERS
