"""Products with NF4 kernels and the loop that writes tokens, compiled for TPUs and GPUs that are not there.

    JAX_PLATFORMS=cpu python benchmarks/nf4_plan.py v5e:1x1 v6e:1x1 [--layers 4] [--rows 1 8 32]
    PYTHONPATH=cuda python benchmarks/nf4_plan.py h200:1

One JSON line per figure. What has to be installed is what `launch.py --mode=plan` says. Nothing is run, so nothing is
said of time; that a kernel is compiled shows that the device can take it, and its result is checked step by step on a
CPU in tests/models/test_models_kernels.py.

Figures
  nf4.product.<way>: MiB of temporary memory of one product of R rows with one kernel; arguments_mib, what it is given.
  nf4.decoding.<way>: the same of the whole loop that writes, with a cache of P and N tokens, of a decoder of some
    layers of the model's real shape; kernels counts the fused products in it, largest the MiB of the largest array that
    is made.
Ways are "xla", which dequantises first, and "pallas", the kernel for that device.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import machine_name, record
from vlsm_jax.generation.decode import decoding_network
from vlsm_jax.generation.loop import Limits, begin, finish, go_on
from vlsm_jax.generation.prompts import Prompts
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.layerwise import take_apart
from vlsm_jax.models.presets import decoder_preset
from vlsm_jax.models.quantised import FORMATS, FUSED, frozen_product, laid_out, product_for
from vlsm_jax.models.vlsm import VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training.network import Network
from vlsm_jax.training.planning import Target, find_target
from vlsm_jax.training.planning.hlo import Module, temporaries

PROMPT, NEW = 1024, 1024
WAYS = ("xla", "pallas")
_KERNELS = ("tpu_custom_call", "__gpu$xla.gpu.triton")


@contextlib.contextmanager
def on(target: Target) -> Iterator[tuple[Mesh, NamedSharding]]:
    """Yields a mesh of the device alone and where whole arrays lie, with the mesh set."""
    mesh = make_mesh(devices=list(target.devices)[:1])
    with jax.set_mesh(mesh), contextlib.ExitStack() as stack:
        if target.platform == "gpu":
            # Triton's part of Pallas asks which card it is, of a device that is there unless it is told.
            card = jax.sharding.AbstractDevice(f"NVIDIA {target.chip.name.upper()}", None, "gpu")
            known = jax.sharding.AbstractMesh(
                mesh.axis_sizes, mesh.axis_names, axis_types=mesh.axis_types, abstract_device=card
            )
            stack.enter_context(jax.sharding.use_abstract_mesh(known))
        yield mesh, NamedSharding(mesh, PartitionSpec())


def plan_products(target: Target, inputs: int, outputs: int, rows: list[int]) -> None:
    """Prints what the product of R bfloat16 rows takes, in either way."""
    with on(target) as (_, place):
        for format in ("nf4", "nf4-double"):
            arrays = jax.eval_shape(FORMATS[format].quantise, jax.ShapeDtypeStruct((inputs, outputs), jnp.float32))
            arrays = placed(arrays, place)
            kernel = FUSED[f"pallas-{target.platform}"]
            for count in rows:
                x = jax.ShapeDtypeStruct((count, inputs), jnp.bfloat16, sharding=place)
                ways = {"xla": lambda x, arrays, format=format: frozen_product(format, x, arrays)}
                if kernel.takes(format, x.shape, outputs):
                    ways["pallas"] = kernel.product
                for way, product in ways.items():
                    began = time.monotonic()
                    compiled = jax.jit(product).lower(x, arrays).compile(dict(target.compiler_options) or None)
                    facts = {"format": format, "shape": [count, inputs, outputs]}
                    report(f"nf4.product.{way}", target, compiled, time.monotonic() - began, **facts)


def plan_decoding(
    target: Target, model: str, layers: int, format: str, rows: list[int], ways: Sequence[str] = WAYS
) -> None:
    """Prints what the loop that writes tokens takes, in these ways."""
    decoder = dataclasses.replace(decoder_preset(model), layers=layers)
    config = VlsmConfig(None, None, decoder, decoder.vocabulary)
    network = Network.create(config, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16, adaptation=Adaptation(format))
    limits = Limits(NEW, 0, decoder.vocabulary)
    with on(target) as (mesh, place):
        for way in ways:
            decoding = decoding_network(network, mesh, way)
            chosen = product_for(way, target.platform, 1)
            params = placed(jax.eval_shape(lambda chosen=chosen: laid_out(take_apart(network.init(0)), chosen)), place)
            for count in rows:
                began = time.monotonic()
                places = jax.ShapeDtypeStruct((count, PROMPT), jnp.int32)
                prompts = Prompts(
                    places,
                    places,
                    places,
                    jax.ShapeDtypeStruct((count, 0), jnp.uint8),
                    jax.ShapeDtypeStruct((count,), jnp.uint32),
                )

                def start(params, prompts, decoding=decoding):
                    return begin(decoding.merge(params), prompts, jnp.uint32(0), limits)

                state = placed(jax.eval_shape(start, params, prompts), place)

                def proceed(params, state, decoding=decoding):
                    state = go_on(decoding.merge(params), state, jnp.int32(NEW), limits)
                    return state, finish(state, limits)

                lowered = jax.jit(proceed, donate_argnums=1).lower(params, state)
                compiled = lowered.compile(dict(target.compiler_options) or None)
                text = compiled.as_text()
                made = temporaries(Module.parse(text), 2**20)
                facts = {
                    "model": model,
                    "layers": layers,
                    "format": format,
                    "rows": count,
                    "tokens": [PROMPT, NEW],
                    "kernels": sum(text.count(f'custom_call_target="{kernel}"') for kernel in _KERNELS),
                    "largest_mib": round(max((t.bytes for t in made), default=0) / 2**20, 2),
                }
                report(f"nf4.decoding.{way}", target, compiled, time.monotonic() - began, **facts)


def placed(tree, place: NamedSharding):
    """Returns the shapes of a tree of arrays, whole on the device."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)


def report(figure: str, target: Target, compiled: jax.stages.Compiled, seconds: float, **facts: object) -> None:
    """Prints one figure."""
    memory = compiled.memory_analysis()
    line = {"figure": figure, "value": round(memory.temp_size_in_bytes / 2**20, 2), "unit": "MiB temporary"}
    line |= {"arguments_mib": round(memory.argument_size_in_bytes / 2**20, 2), "target": target.name, **facts}
    line |= {"compile_seconds": round(seconds, 1), "machine": machine_name(), "cores": os.cpu_count()}
    record(line | {"jax": jax.__version__, "date": time.strftime("%Y-%m-%d")})


def main() -> None:
    """Compiles and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="one device: v5e:1x1, v6e:1x1, h200:1")
    parser.add_argument("--inputs", type=int, default=4608)
    parser.add_argument("--outputs", type=int, default=18432)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--model", default="starcoder2-7b")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--format", default="nf4-double", choices=("nf4", "nf4-double"), help="of the loop")
    parser.add_argument("--only", choices=("products", "decoding"))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="of the loop")
    options = parser.parse_args()
    for name in options.targets:
        target = find_target(name)
        if options.only != "decoding":
            plan_products(target, options.inputs, options.outputs, options.rows)
        if options.only != "products":
            plan_decoding(target, options.model, options.layers, options.format, options.rows, options.ways)


if __name__ == "__main__":
    main()
