"""Rules, their errors, and eight simulated devices against one."""

import os
import re
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import AbstractMesh, PartitionSpec

from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig, abstract_model
from vlsm_jax.models.layers import Declare
from vlsm_jax.sharding import (
    DEFAULT_RULES,
    MESH_AXES,
    Rule,
    ShardingError,
    batch_sharding,
    constrain_batch,
    make_mesh,
    param_shardings,
    param_table,
)

CONFIG = VlsmConfig(
    VisionConfig(width=32, layers=2, heads=8, mlp_width=64, patch_size=8, image_size=16),
    ConnectorConfig("mlp"),
    DecoderConfig("llama", 64, 64, 2, 8, 4, 8, 128),
    image_token_id=64,
)


def mesh(data: int, fsdp: int, tensor: int) -> AbstractMesh:
    return AbstractMesh((data, fsdp, tensor), MESH_AXES)


def specs(sizes, rules=DEFAULT_RULES, config=CONFIG) -> dict[str, tuple]:
    shardings = param_shardings(abstract_model(config)[1], mesh(*sizes), rules)
    return {"/".join(path): tuple(param.get_value().spec) for path, param in nnx.to_flat_state(shardings)}


def test_rules_place_parameters():
    placed = specs((2, 2, 2))
    assert placed["decoder/layers/attention/q/kernel"] == (None, "fsdp", "tensor", None)
    assert placed["decoder/layers/attention/o/kernel"] == (None, "tensor", None, "fsdp")
    assert placed["decoder/layers/mlp/down/kernel"] == (None, "tensor", "fsdp")
    assert placed["decoder/embedding/table"] == ("tensor", "fsdp")
    assert placed["decoder/norm/scale"] == (None,)
    assert placed["vision/patch/kernel"] == (None, None, None, "fsdp")


def test_first_matching_rule_counts():
    rules = (Rule("kv_heads", None), *DEFAULT_RULES)
    assert specs((1, 1, 8), rules)["decoder/layers/attention/k/kernel"] == (None, "fsdp", None, None)


def test_kv_heads_on_eight_tensor_devices():
    with pytest.raises(ShardingError) as error:
        specs((1, 1, 8))
    message = str(error.value)
    assert "decoder/layers/attention/k/kernel" in message
    assert "'kv_heads' has size 4" in message
    assert "8 devices of the mesh axis 'tensor'" in message
    assert "('kv_heads', None)" in message


def test_axis_without_rule():
    rules = tuple(rule for rule in DEFAULT_RULES if rule.logical != "mlp")
    with pytest.raises(ShardingError, match=r"connector/linear_1/bias: no rule for the logical axis 'mlp'.*vocab"):
        specs((1, 1, 1), rules)


def test_two_axes_on_one_mesh_axis():
    rules = (Rule("mlp", "fsdp"), *DEFAULT_RULES)
    with pytest.raises(ShardingError, match="send two dimensions to the mesh axis 'fsdp'"):
        specs((1, 2, 1), rules)


def test_rule_to_an_unknown_mesh_axis():
    rules = (Rule("mlp", "model"), *DEFAULT_RULES)
    with pytest.raises(ShardingError, match=r"sends 'mlp' to 'model', which is not an axis of the mesh \(data, fsdp"):
        specs((1, 1, 1), rules)


def test_parameter_without_axes():
    state = nnx.State({"lost": nnx.Param(jnp.ones((2, 3)))})
    with pytest.raises(ShardingError, match=r"lost: shape \(2, 3\) has the logical axes None"):
        param_shardings(state, mesh(1, 1, 1))
    declare = Declare(nnx.Rngs(0))
    found = nnx.State({"found": declare((2, 3), ("embed", "mlp"), jax.nn.initializers.ones)})
    assert param_shardings(found, mesh(1, 1, 1))["found"].get_value().spec == PartitionSpec("fsdp", "tensor")


def test_table_has_one_line_per_parameter():
    _, abstract = abstract_model(CONFIG)
    lines = param_table(abstract, mesh(1, 2, 2)).splitlines()
    assert len(lines) == 1 + len(jax.tree.leaves(abstract))
    (line,) = [line for line in lines if line.startswith("decoder/head ")]
    assert re.split(r"\s{2,}", line) == [
        "decoder/head",
        "[64, 64]",
        "float32",
        "('fsdp', 'tensor')",
        "embed->fsdp, vocab->tensor",
    ]


def test_mesh_sizes():
    assert dict(make_mesh().shape) == {"data": 1, "fsdp": len(jax.devices()), "tensor": 1}
    with pytest.raises(ValueError, match=r"mesh data=3, fsdp=5, tensor=1 does not fit \d+ devices"):
        make_mesh(3, 5)
    with pytest.raises(ValueError, match="at most one is -1"):
        make_mesh(-1, -1)
    assert batch_sharding(make_mesh()).spec == PartitionSpec(("data", "fsdp"))


def test_constraint_is_nothing_without_a_mesh():
    x = jnp.ones((3, 2))
    assert constrain_batch(x) is x


SHARDED = textwrap.dedent(
    """
    import jax, jax.numpy as jnp, numpy as np
    from flax import nnx
    from tests_config import CONFIG
    from vlsm_jax.models import KVCache, abstract_model
    from vlsm_jax.sharding import batch_sharding, make_mesh, param_shardings

    assert jax.device_count() == 8
    graphdef, abstract = abstract_model(CONFIG, remat="full")
    rng = np.random.default_rng(0)
    V, S, B = CONFIG.vision.tokens, 16, 8
    index = np.broadcast_to(np.where(np.arange(S) < V, np.arange(S), -1), (B, S)).copy()
    batch = {
        "images": rng.integers(0, 256, (B, 16, 16, 3), dtype=np.uint8),
        "tokens": rng.integers(0, 64, (B, S)),
        "index": index,
        "positions": np.broadcast_to(np.arange(S), (B, S)).copy(),
    }

    def loss(params, batch):
        model = nnx.merge(graphdef, params)
        hidden, _ = model(batch["tokens"], visual=model.encode_images(batch["images"]),
                          visual_index=batch["index"], positions=batch["positions"])
        scores = jax.nn.log_softmax(model.logits(hidden))
        return -jnp.take_along_axis(scores, batch["tokens"][..., None], axis=-1).mean()

    def decode(params, batch):
        model = nnx.merge(graphdef, params)
        cache = KVCache.init(CONFIG.decoder, B, S + 1)
        text = jnp.full((B, S), -1)
        _, cache = model(batch["tokens"], visual=None, visual_index=text, positions=batch["positions"], cache=cache)
        hidden, _ = model(batch["tokens"][:, :1], visual=None, visual_index=text[:, :1],
                          positions=jnp.full((B, 1), S), cache=cache)
        return model.logits(hidden)

    both = lambda p, b: (jax.value_and_grad(loss)(p, b), decode(p, b))
    params = jax.tree.map(lambda x: jnp.array(rng.normal(size=x.shape, scale=0.1), x.dtype), abstract)
    (value, gradients), logits = jax.jit(both)(params, batch)
    for sizes in ((2, 2, 2), (1, 8, 1)):
        mesh = make_mesh(*sizes)
        places = param_shardings(abstract, mesh)
        sharded = jax.device_put(params, places)
        kernel = sharded["decoder"]["layers"]["mlp"]["up"]["kernel"].get_value()
        assert kernel.addressable_shards[0].data.size * sizes[1] * sizes[2] == kernel.size
        rows = {name: jax.device_put(x, batch_sharding(mesh)) for name, x in batch.items()}
        with jax.set_mesh(mesh), jax.transfer_guard("disallow"):
            (v, g), l = jax.jit(both, out_shardings=((None, places), None))(sharded, rows)
        np.testing.assert_allclose(v, value, rtol=1e-5)
        np.testing.assert_allclose(l, logits, atol=1e-4)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max() + 1e-7), g, gradients)
        print("equal on", sizes)
    """
)


def test_eight_devices_equal_one(tmp_path):
    """Loss, gradients and cached logits on two meshes, in a process of its own with eight simulated devices."""
    written = repr(CONFIG.to_dict())
    (tmp_path / "tests_config.py").write_text(
        f"from vlsm_jax.models import VlsmConfig\nCONFIG = VlsmConfig.from_dict({written})\n"
    )
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
    }
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("equal on") == 2


def test_config_of_this_file_is_sharded_in_every_axis():
    """The comparison above is worth something only if all three mesh axes are used."""
    used = {axis for spec in specs((2, 2, 2)).values() for axis in spec}
    assert used == {None, "fsdp", "tensor"}
