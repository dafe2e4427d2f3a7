"""Generation on several devices, simulated in a process of its own: what one device writes, from a cache in parts."""

import os
import subprocess
import sys
import textwrap

SCRIPT = textwrap.dedent(
    """
    import sys
    import jax
    import numpy as np
    from vlsm_jax.data.tokenizer import train_bpe
    from vlsm_jax.generation.constraint import available
    from vlsm_jax.generation.decode import Generator
    from vlsm_jax.generation.loop import Limits, begin
    from vlsm_jax.generation.prompts import make_prompts
    from vlsm_jax.generation.sampling import Sampling
    from vlsm_jax.generation.speculation import Lookup
    from vlsm_jax.models import DecoderConfig, VlsmConfig
    from vlsm_jax.sharding import batch_sharding, make_mesh
    from vlsm_jax.training.network import Network

    jax.config.update("jax_disable_most_optimizations", True)
    prompts = ["One source.", "Two queues of 20 items, then a sink."]
    tokenizer = train_bpe([*prompts, "Object.create();"], 300, sys.argv[1])
    decoder = DecoderConfig("llama", 320, 32, 2, 4, 2, 8, 48, init_std=0.3)
    network = Network.create(VlsmConfig(None, None, decoder, tokenizer.image_id))
    params, mesh = network.init(1), make_mesh(data=2, fsdp=1, tensor=2)
    spread = jax.device_put(params, network.shardings(mesh))
    one = Generator(network, params, tokenizer, mesh=make_mesh(devices=jax.devices()[:1]), lookup=Lookup())
    four = Generator(network, spread, tokenizer, mesh=mesh, lookup=Lookup())
    for constrain in (False, True)[: 1 + available()]:
        options = {"max_tokens": 16, "candidates": 2, "sampling": Sampling(), "constrain": constrain}
        made = [[[c.text for c in several] for several in g.generate([], prompts, **options)] for g in (one, four)]
        assert made[0] == made[1]
    with jax.set_mesh(mesh):
        batch = make_prompts(tokenizer, prompts, [np.zeros(0, np.uint8)] * 2, 0)
        batch = jax.device_put(batch, batch_sharding(mesh))
        limits = Limits(8, tokenizer.eos_id, tokenizer.size)
        cache = jax.jit(lambda p, b: begin(network.merge(p), b, 0, limits).cache)(spread, batch)
    for x in (*cache.k, *cache.v):
        assert x.sharding.shard_shape(x.shape)[:2] == (1, 1), x.sharding  # a row and a KV head on each
    print("equal")
    """
)


def test_four_devices_write_what_one_does(tmp_path):
    xla = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": xla}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "bpe")]
    done = subprocess.run(command, env=os.environ | flags, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr
