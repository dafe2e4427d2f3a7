"""Speed and memory of NF4, beside bitsandbytes and PEFT in the same run; one JSON line per figure.

On a CPU in float32, on a GPU in bfloat16, whichever jax has.

Launch: `python benchmarks/nf4.py [--repeats N] [--inputs I --outputs O --rows R]`, with bitsandbytes and peft installed
(`pip install -e '.[dev]'`), and qwix where it is (`pip install qwix`; else the run says so). `benchmarks/nf4_plan.py`
compiles the products for devices that are not there.

Figures
  nf4.quantise, nf4.dequantise and bitsandbytes.*: GB of plain kernel per second, read or written, kernel [I, O]:
    float32 is read, and written in what is computed in.
  nf4.layer, bitsandbytes.layer and qwix.layer: seconds of forward and backward of one layer with a frozen NF4 kernel
    and an adapter of rank 32, for R rows; gradients of the rows and of the adapter. The medians of interleaved repeats.
  nf4.rows, pallas.rows, plain.rows and bitsandbytes.rows, on a GPU: microseconds of the product of few rows, as in
    decoding, with a doubly quantised kernel by XLA's way and by the fused one, with one in bfloat16, and in NF4 there;
    pallas.rows.apart, the largest difference between the first two in relation to the largest value.
  nf4.layer.peak and those of the others, on a CPU: MiB by which the peak of a process rises over what it holds just
    before the first forward and backward, compilation included, each in a process of its own.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import machine_name, record
from benchmarks.turns import wait_for_turn
from vlsm_jax.models import nf4
from vlsm_jax.models.kernels import nf4_product_gpu
from vlsm_jax.models.layers import Axes, Declare, Dense, normal
from vlsm_jax.models.lora import LoraConfig, LoraParam, add_lora
from vlsm_jax.models.quantised import QuantisedDense, frozen_product

RANK, ALPHA = 32, 64
# Rows of the layer, where none are given; and of the products as in decoding.
ROWS = {"cpu": 256, "gpu": 16384}
DECODED = (1, 8, 32)
PARTS = ("kernels", "rows", "layer")


class Machine(NamedTuple):
    """What both sides run on.

    Attributes:
      device: as torch names it.
      dtype: what is computed in.
      each: runs in a row for one reading; a GPU is waited for after the last of them.
    """

    device: str
    dtype: str
    each: int

    def wait(self) -> None:
        """Waits for what torch has begun."""
        if self.device != "cpu":
            import torch

            torch.cuda.synchronize()


def machine() -> Machine:
    """Returns what jax has."""
    return Machine("cuda", "bfloat16", 10) if jax.default_backend() == "gpu" else Machine("cpu", "float32", 1)


def jax_layer(inputs: int, outputs: int, rows: int) -> Callable[[], None]:
    """Returns one forward and backward here."""
    axes = Axes.of(embed=inputs), Axes.of(mlp=outputs)
    dtype = jnp.dtype(machine().dtype)
    dense = Dense(Declare(nnx.Rngs(0)), *axes, init=normal(0.02), use_bias=False, dtype=dtype)
    layer = add_lora(QuantisedDense(dense, "nf4"), LoraConfig(RANK, float(ALPHA)), nnx.Rngs(1), jnp.float32)
    graphdef, adapter, frozen = nnx.split(layer, LoraParam, ...)
    del dense, layer
    return forward_and_backward(graphdef, adapter, frozen, rows, inputs, outputs)


def qwix_layer(inputs: int, outputs: int, rows: int) -> Callable[[], None]:
    """Returns one forward and backward in qwix, on a linear layer of Flax."""
    import qwix

    settings = {"weight_qtype": "nf4", "tile_size": nf4.BLOCK, "rank": RANK, "alpha": float(ALPHA)}
    linear = nnx.Linear(inputs, outputs, use_bias=False, rngs=nnx.Rngs(0))
    provider = qwix.LoraProvider(module_path=".*", **settings)
    layer = qwix.apply_lora_to_model(linear, provider, jnp.zeros((rows, inputs)), rngs=nnx.Rngs(1))
    graphdef, adapter, frozen = nnx.split(layer, nnx.LoRAParam, ...)
    assert jax.tree.leaves(adapter), "the layer has no adapter"
    assert all(a.size < inputs * outputs or a.dtype.itemsize == 1 for a in jax.tree.leaves(frozen)), "not quantised"
    del linear, layer
    return forward_and_backward(graphdef, adapter, frozen, rows, inputs, outputs)


def forward_and_backward(
    graphdef: nnx.GraphDef, adapter: nnx.State, frozen: nnx.State, rows: int, inputs: int, outputs: int
) -> Callable[[], None]:
    """Returns a run of one step of a layer of JAX, gradients of rows and adapter included."""
    dtype = jnp.dtype(machine().dtype)
    x = jax.random.normal(jax.random.key(1), (rows, inputs), dtype)
    gradient = jax.random.normal(jax.random.key(2), (rows, outputs), dtype)
    jax.block_until_ready((x, gradient, frozen))

    # The result is returned too, and its gradient comes from outside: nothing of the layer can be left out.
    @jax.jit
    def step(adapter: nnx.State, x: jax.Array, gradient: jax.Array, frozen: nnx.State):
        y, backward = jax.vjp(lambda adapter, x: nnx.merge(graphdef, adapter, frozen)(x), adapter, x)
        return y, backward(gradient)

    return lambda: step(adapter, x, gradient, frozen)


def torch_layer(inputs: int, outputs: int, rows: int) -> Callable[[], None]:
    """Returns one forward and backward in PEFT and bitsandbytes."""
    import bitsandbytes
    import peft
    import torch

    there = machine()
    dtype = getattr(torch, there.dtype)
    torch.manual_seed(0)
    linear = bitsandbytes.nn.Linear4bit(
        inputs, outputs, bias=False, quant_type="nf4", compress_statistics=False, compute_dtype=dtype
    )
    linear.load_state_dict({"weight": torch.randn(outputs, inputs) * 0.02})
    linear = linear.to(there.device)
    linear.weight = linear.weight.to(there.device)  # quantises, where it is not yet
    settings = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=["0"])
    model = peft.inject_adapter_in_model(settings, torch.nn.Sequential(linear))
    assert model[0].base_layer.weight.quant_state is not None, "the kernel was not quantised"
    model.to(there.device)
    x = torch.randn(rows, inputs, device=there.device, dtype=dtype, requires_grad=True)
    gradient = torch.randn(rows, outputs, device=there.device, dtype=dtype)

    def step() -> None:
        model.zero_grad()
        x.grad = None
        with torch.autocast(there.device, torch.bfloat16, enabled=dtype != torch.float32):
            y = model(x)
        y.backward(gradient)

    return step


LAYERS = {"nf4": jax_layer, "bitsandbytes": torch_layer, "qwix": qwix_layer}


def kernels(inputs: int, outputs: int) -> dict[str, Callable[[], object]]:
    """Returns quantising and dequantising, here and there, of one float32 kernel."""
    import torch
    from bitsandbytes import functional

    there = machine()
    values = np.random.default_rng(0).normal(0, 0.02, (inputs, outputs)).astype(np.float32)
    kernel, weight = jnp.asarray(values), torch.from_numpy(values.T.copy()).to(there.device)
    quantise, dequantise = jax.jit(nf4.quantise), jax.jit(nf4.dequantise, static_argnums=1)
    arrays, dtype = quantise(kernel), jnp.dtype(there.dtype)
    stored, state = functional.quantize_4bit(weight, blocksize=nf4.BLOCK, quant_type="nf4")
    state.dtype = getattr(torch, there.dtype)
    return {
        "nf4.quantise": lambda: quantise(kernel),
        "bitsandbytes.quantise": lambda: functional.quantize_4bit(weight, blocksize=nf4.BLOCK, quant_type="nf4"),
        "nf4.dequantise": lambda: dequantise(arrays, dtype),
        "bitsandbytes.dequantise": lambda: functional.dequantize_4bit(stored, state),
    }


def products(inputs: int, outputs: int, rows: int) -> dict[str, Callable[[], object]]:
    """Returns the product of few rows, as in decoding, with one kernel: in NF4, plain, and in NF4 there."""
    import bitsandbytes
    import torch

    there = machine()
    dtype = jnp.dtype(there.dtype)
    kernel = 0.02 * jax.random.normal(jax.random.key(0), (inputs, outputs), jnp.float32)
    x = jax.random.normal(jax.random.key(1), (rows, inputs), dtype)
    plain, arrays = kernel.astype(dtype), jax.jit(nf4.quantise_double)(kernel)
    ours, product = jax.jit(lambda x, arrays: frozen_product("nf4-double", x, arrays)), jax.jit(jnp.matmul)
    fused = jax.jit(functools.partial(nf4_product_gpu.nf4_product, interpret=there.device == "cpu"))
    by_xla, by_kernel = (f(x, arrays).astype(jnp.float32) for f in (ours, fused))
    apart = float(jnp.abs(by_xla - by_kernel).max() / jnp.abs(by_xla).max())
    report(
        "pallas.rows.apart", round(apart, 6), "of the largest value", shape=(rows, inputs, outputs), wrong=apart > 0.01
    )
    weight = torch.randn(outputs, inputs, device=there.device, dtype=getattr(torch, there.dtype)) * 0.02
    stored, state = bitsandbytes.functional.quantize_4bit(
        weight, blocksize=nf4.BLOCK, compress_statistics=True, quant_type="nf4"
    )
    theirs = torch.randn(rows, inputs, device=there.device, dtype=weight.dtype)

    def run() -> object:
        with torch.no_grad():
            return bitsandbytes.matmul_4bit(theirs, stored.t(), quant_state=state)

    return {
        "nf4.rows": lambda: ours(x, arrays),
        "pallas.rows": lambda: fused(x, arrays),
        "plain.rows": lambda: product(x, plain),
        "bitsandbytes.rows": run,
    }


def interleaved(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Returns the median seconds of each, one after another in turn, after one run of each to warm up."""
    there = machine()

    def wait(result: object) -> None:
        jax.block_until_ready(result)
        there.wait()

    for run in runs.values():
        wait(run())
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            began = time.perf_counter()
            for _ in range(there.each):
                last = run()
            wait(last)
            seconds[name].append((time.perf_counter() - began) / there.each)
    return {name: statistics.median(values) for name, values in seconds.items()}


def memory(key: str) -> float:
    """Returns VmRSS or VmHWM of this process in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {key} in /proc/self/status; peaks are measured on Linux only")


def print_peak(side: str, inputs: int, outputs: int, rows: int) -> None:
    """Prints the rise in MiB of this process's peak during one forward and backward."""
    step = LAYERS[side](inputs, outputs, rows)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = memory("VmRSS")
    jax.block_until_ready(step())
    print(memory("VmHWM") - before)


def report(figure: str, value: float, unit: str, **facts: object) -> None:
    """Prints one figure."""
    machine = {"machine": machine_name(), "cores": os.cpu_count(), "jax": jax.__version__}
    date = {"date": time.strftime("%Y-%m-%d")}
    record({"figure": figure, "value": value, "unit": unit, **facts, **machine, **date})


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--inputs", type=int, default=4608)
    parser.add_argument("--outputs", type=int, default=18432)
    parser.add_argument("--rows", type=int, default=0, help=f"of the layer; 0 is {ROWS}")
    parser.add_argument("--note", default="", help="put into every line, such as what else the machine was doing")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="rows are for a GPU")
    parser.add_argument("--peak-of", choices=LAYERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = (options.inputs, options.outputs)
    wait_for_turn()
    backend = jax.default_backend()
    options.rows = options.rows or ROWS.get(backend, ROWS["cpu"])
    if options.peak_of:
        print_peak(options.peak_of, *shape, options.rows)
        return
    facts = {"repeats": options.repeats, "note": options.note} if options.note else {"repeats": options.repeats}
    if "kernels" in options.parts:
        for name, seconds in interleaved(kernels(*shape), options.repeats).items():
            width = 4 if name.endswith(".quantise") else jnp.dtype(machine().dtype).itemsize
            size = width * options.inputs * options.outputs / 1e9
            report(name, round(size / seconds, 3), "GB/s", shape=shape, **facts)
    if "rows" in options.parts and (backend == "gpu" or options.parts == ["rows"]):
        for rows in DECODED:
            for name, seconds in interleaved(products(*shape, rows), options.repeats).items():
                report(name, round(1e6 * seconds, 1), "us", shape=(rows, *shape), **facts)
    if "layer" in options.parts:
        measure_layer(shape, options.rows, options.repeats, facts)


def measure_layer(shape: tuple[int, int], rows: int, repeats: int, facts: dict[str, object]) -> None:
    """Prints the figures of one layer's forward and backward."""
    sides = dict(LAYERS)
    if importlib.util.find_spec("qwix") is None:
        print("qwix is not installed: its figures are left out", file=sys.stderr)
        del sides["qwix"]
    layers = {side: make(*shape, rows) for side, make in sides.items()}
    medians = interleaved(layers, repeats)
    whole = (rows, *shape)
    for side, seconds in medians.items():
        report(f"{side}.layer", round(seconds, 4), "s", shape=whole, **facts)
    for side in sides.keys() - {"nf4"}:
        report(f"nf4.layer / {side}.layer", round(medians["nf4"] / medians[side], 3), "times", **facts)
    if jax.default_backend() == "gpu":
        return  # what a process holds says nothing of a card
    for side in sides:
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", side]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        report(f"{side}.layer.peak", round(float(done.stdout.split()[-1]), 1), "MiB", shape=whole)


if __name__ == "__main__":
    main()
