"""One side of training on an accelerator beside PyTorch; `benchmarks/gpu.py` runs them one after another.

    python benchmarks/training_gpu.py dense.ours --folder DIR      after `prepare --folder DIR`

Sides
  prepare: writes TinyLlama's shape with random weights, which both sides of "dense" read.
  dense.ours, dense.transformers, dense.compiled: all of its 1.1 B parameters trained, rows of 4,096 tokens, products in
    bfloat16, parameters and moments in float32; transformers with SDPA, autocast and the fused AdamW, eager and by
    `torch.compile`. The same weights and rows: losses of the same step must agree.
  nf4.ours, nf4.peft: StarCoder2-7B's shape in NF4, double-quantised, with adapters of rank 32 on all layers, and with
    "full" remat here, gradient checkpointing there. Its weights are made on the device and are not the same.
  parity: losses of four layers in NF4 from the same weights, here and there, in one process.

Each prints JSON lines: tokens/s, MFU (no arithmetic twice for what is made again; the card's dense bfloat16 rate of
`vlsm_jax.training.hardware`) and the peak of the framework's allocator. On a CPU, with `--tiny`, it shows that the
machinery works.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.training_sides import (  # noqa: E402
    Machine,
    OurTraining,
    Step,
    params_of,
    prepared,
    random_batch,
    their_model,
    their_step,
    whole_batch,
    with_adapters,
    write_model,
)
from benchmarks.turns import wait_for_turn  # noqa: E402

if TYPE_CHECKING:
    import jax

    from vlsm_jax.training.network import Network

Line = dict[str, Any]

DENSE, NF4 = "tinyllama-1.1b", "starcoder2-7b"
STARCODER_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj")
# Of the weights that are made in NF4: their scales lie around the first, so that kernels have values like a model's.
SCALE, SPREAD = 0.05, 0.01
# Before the steps that count: compiling, and one to settle.
WARM_UP = 2


class Size(NamedTuple):
    """Of the batches, and what is put in the place of the presets' sizes."""

    dense_rows: int
    nf4_rows: int
    length: int
    smaller: dict[str, int]


FULL = Size(8, 4, 4096, {})
TINY = Size(
    2,
    2,
    64,
    {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
    },
)
# Four layers, written and read in a second.
PARITY = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 8192,
    "max_position_embeddings": 4096,
}


def preset(name: str, size: Size) -> dict[str, Any]:
    """Returns a decoder as in its `config.json`."""
    from vlsm_jax.models.presets import DECODER_PRESETS

    return {**DECODER_PRESETS[name], **size.smaller, "max_position_embeddings": max(4096, size.length)}


def machine() -> Machine:
    """Returns what there is: a card, or a CPU for a look at the machinery."""
    import torch

    return Machine("cuda", "bfloat16") if torch.cuda.is_available() else Machine("cpu", "bfloat16")


# --- Ours -------------------------------------------------------------------------------------------------------------


def our_machine() -> Machine:
    """Returns what jax has; torch need not be there."""
    import jax

    return Machine("cuda" if jax.default_backend() == "gpu" else "cpu", "bfloat16")


def dense_ours(folder: Path, size: Size, rows: int, remat: str) -> Iterator[Line]:
    """All parameters trained."""
    config = preset(DENSE, size)
    arrays = random_batch(rows, size.length, config["vocab_size"])
    read = params_of(folder, nf4=False)
    training = OurTraining(config, read, arrays, nf4=False, remat=remat, machine=our_machine())
    yield from our_lines(training, rows, size.length, remat)


def nf4_ours(folder: Path, size: Size, rows: int, remat: str) -> Iterator[Line]:
    """Adapters on layers in NF4."""
    config = preset(NF4, size)
    arrays = random_batch(rows, size.length, config["vocab_size"])
    training = OurTraining(config, made_params, arrays, nf4=True, remat=remat, machine=our_machine())
    yield from our_lines(training, rows, size.length, remat)


def made_params(network: Network, mesh: jax.sharding.Mesh) -> dict[str, jax.Array]:
    """Returns random parameters whose layers are in NF4 from the start: none is ever there in floating point."""
    import jax
    import jax.numpy as jnp

    def make(name: str, shape: jax.ShapeDtypeStruct, key: jax.Array) -> jax.Array:
        if shape.dtype == jnp.uint8:
            return jax.random.bits(key, shape.shape, jnp.uint8)
        constant = {"nested": SPREAD, "offset": SCALE, "scale": 1.0, "bias": 0.0, "b": 0.0}.get(name.rsplit("/", 1)[1])
        if constant is not None:
            return jnp.full(shape.shape, constant, shape.dtype)
        return 0.02 * jax.random.normal(key, shape.shape, shape.dtype)

    @jax.jit
    def every() -> dict[str, jax.Array]:
        keys = jax.random.split(jax.random.key(0), len(network.shapes))
        return {name: make(name, shape, key) for (name, shape), key in zip(network.shapes.items(), keys, strict=True)}

    with jax.set_mesh(mesh):
        return jax.device_put(every(), network.shardings(mesh))


def our_lines(training: OurTraining, rows: int, length: int, remat: str) -> Iterator[Line]:
    """Returns what is measured of a training of ours."""
    import jax

    from vlsm_jax.training.hardware import chip_of

    device = jax.devices()[0]
    chip = chip_of(device.device_kind)
    flops = training.flops(rows, length)
    line = measured(training.step, rows * length, flops, None if chip is None else chip.flops)
    analysis = training.compiled.memory_analysis()
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    line["compiled_gib"] = round((held + analysis.temp_size_in_bytes) / 2**30, 2)
    stats = device.memory_stats() or {}
    line["peak_gib"] = round(stats.get("peak_bytes_in_use", 0) / 2**30, 2)
    yield {**line, "remat": remat, "rows": rows, "length": length, "device": device.device_kind}


# --- Theirs -----------------------------------------------------------------------------------------------------------


def dense_theirs(folder: Path, size: Size, rows: int, *, compiled: bool) -> Iterator[Line]:
    """All parameters trained by transformers."""
    there = machine()
    config = preset(DENSE, size)
    model = their_model(folder, nf4=False, checkpointed=False, machine=there)
    parts = [whole_batch(random_batch(rows, size.length, config["vocab_size"]))]
    step = their_step(model, parts, compiled=compiled, machine=there)
    yield from their_lines(step, config, rows, size.length, nf4=False)


def nf4_theirs(folder: Path, size: Size, rows: int) -> Iterator[Line]:
    """Adapters on layers in NF4 by transformers, PEFT and bitsandbytes."""
    there = machine()
    config = preset(NF4, size)
    model = prepared(with_adapters(quantised_model(config, there), STARCODER_LAYERS), checkpointed=True)
    parts = [whole_batch(random_batch(rows, size.length, config["vocab_size"]))]
    step = their_step(model, parts, compiled=False, machine=there)
    yield from their_lines(step, config, rows, size.length, nf4=True)


def quantised_model(config: dict[str, Any], there: Machine) -> Any:
    """Returns a model with random weights on the device, its layers in NF4 by bitsandbytes."""
    import bitsandbytes
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = getattr(torch, there.dtype)
    torch.manual_seed(0)
    with torch.device(there.device):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**config), dtype=dtype, attn_implementation="sdpa"
        )
    for parent in list(model.model.layers.modules()):
        for name, linear in list(parent.named_children()):
            if type(linear) is not torch.nn.Linear:
                continue
            with torch.device("meta"):
                quantised = bitsandbytes.nn.Linear4bit(
                    linear.in_features,
                    linear.out_features,
                    bias=linear.bias is not None,
                    quant_type="nf4",
                    compress_statistics=True,
                    compute_dtype=dtype,
                )
            weight = bitsandbytes.nn.Params4bit(
                linear.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True
            )
            quantised.weight, quantised.bias = weight.to(there.device), linear.bias
            assert quantised.weight.quant_state is not None, "a kernel was not quantised"
            setattr(parent, name, quantised)
    model.is_loaded_in_4bit = True
    return model


def their_lines(step: Step, config: dict[str, Any], rows: int, length: int, *, nf4: bool) -> Iterator[Line]:
    """Returns what is measured of a training of theirs, FLOPs counted as ours are."""
    import torch

    on_card = torch.cuda.is_available()
    kind = torch.cuda.get_device_name() if on_card else "cpu"
    if on_card:
        torch.cuda.empty_cache()
    flops, rate = counted(config, rows, length, kind, nf4=nf4)
    line = measured(step, rows * length, flops, rate, torch.cuda.reset_peak_memory_stats if on_card else None)
    line["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_card else 0.0
    line["reserved_gib"] = round(torch.cuda.max_memory_reserved() / 2**30, 2) if on_card else 0.0
    yield {**line, "rows": rows, "length": length, "device": kind, "torch": torch.__version__}


def counted(config: dict[str, Any], rows: int, length: int, kind: str, *, nf4: bool) -> tuple[float, float | None]:
    """Returns the FLOPs of a step, and the FLOP/s of the card, where it is a known one; asks jax for no device."""
    from benchmarks.training_sides import ALPHA, RANK
    from vlsm_jax.models import DecoderConfig, VlsmConfig
    from vlsm_jax.models.adaptation import Adaptation
    from vlsm_jax.models.lora import LoraConfig
    from vlsm_jax.training.flops import BatchCounts, StepFlops
    from vlsm_jax.training.hardware import chip_of
    from vlsm_jax.training.network import Network

    decoder = DecoderConfig.from_hf_config(config)
    adaptation = Adaptation("nf4-double", LoraConfig(RANK, ALPHA)) if nf4 else Adaptation()
    network = Network.create(VlsmConfig(None, None, decoder, image_token_id=0), adaptation=adaptation)
    step = StepFlops.create(network, [name for name in network.shapes if not nf4 or "/lora/" in name])
    chip = chip_of(kind)
    return step.useful(BatchCounts.full(rows, length, step.window, 0)), None if chip is None else chip.flops


# --- Measuring --------------------------------------------------------------------------------------------------------


def measured(
    step: Step, tokens: int, flops: float, rate: float | None, settled: Callable[[], object] | None = None
) -> Line:
    """Times steps, after those to warm up.

    Args:
      step: one step, done when it returns.
      tokens, flops: of a step.
      rate: FLOP/s of the device, or None where it is not known.
      settled: called between.
    """
    losses, seconds = [], []
    for number in range(WARM_UP + REPEATS):
        if number == WARM_UP and settled is not None:
            settled()
        began = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - began)
        if number == WARM_UP - 1:
            print(f"warm after {sum(seconds):.1f} s, then {seconds[-1]:.3f} s a step", file=sys.stderr, flush=True)
    median = statistics.median(seconds[WARM_UP:])
    return {
        "value": round(tokens / median, 1),
        "unit": "tokens/s",
        "mfu": None if rate is None else round(flops / median / rate, 4),
        "tflops": round(flops / median / 1e12, 1),
        "seconds": [round(s, 4) for s in seconds[WARM_UP:]],
        "first_step_seconds": round(seconds[0], 1),
        "losses": [round(loss, 4) for loss in losses[:4]],
    }


REPEATS = 6


def parity(folder: Path, size: Size) -> Iterator[Line]:
    """Losses of the same steps from the same weights, here and there."""
    config = {**PARITY, **size.smaller}
    there = machine()
    place = folder / "parity"
    place.mkdir(exist_ok=True)
    write_model(place, config, layers=config["num_hidden_layers"], adapters=True, machine=there)
    arrays = random_batch(2, min(1024, size.length), config["vocab_size"])
    # Memory is theirs while they run: what a step of theirs has taken is given back.
    for nf4 in (True, False):
        model = their_model(place, nf4=nf4, checkpointed=True, machine=there)
        step = their_step(model, [whole_batch(arrays)], compiled=False, machine=there)
        losses = {"theirs": [step() for _ in range(3)]}
        read = params_of(place, nf4=nf4)
        hf = {"model_type": "llama", "rms_norm_eps": model.config.rms_norm_eps, **config}
        ours = OurTraining(hf, read, arrays, nf4=nf4, remat="full", machine=our_machine())
        losses["ours"] = [ours.step() for _ in range(3)]
        apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
        name = "parity.nf4" if nf4 else "parity.dense"
        yield {"figure": name, "value": round(apart, 6), "unit": "nats apart", **losses}


SIDES: dict[str, Callable[..., Iterator[Line]]] = {
    "dense.ours": dense_ours,
    "dense.transformers": lambda *given: dense_theirs(*given[:3], compiled=False),
    "dense.compiled": lambda *given: dense_theirs(*given[:3], compiled=True),
    "nf4.ours": nf4_ours,
    "nf4.peft": lambda *given: nf4_theirs(*given[:3]),
}
OTHERS = ("prepare", "parity")


def main() -> None:
    """Runs one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=(*SIDES, *OTHERS))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=0, help="of a batch; 0 is the benchmark's own")
    parser.add_argument("--remat", default="", help="of ours; '' is 'dots' with all trained, 'full' in NF4")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    size = TINY if options.tiny else FULL
    warm_imports(options.side)
    wait_for_turn()
    if options.side == "prepare":
        config = {k: v for k, v in preset(DENSE, size).items() if k != "model_type"}
        write_model(options.folder, config, layers=0, adapters=False, machine=machine())
        return
    if options.side == "parity":
        lines = parity(options.folder, size)
    else:
        dense = options.side.startswith("dense")
        rows = options.rows or (size.dense_rows if dense else size.nf4_rows)
        remat = options.remat or ("dots" if dense else "full")
        lines = SIDES[options.side](options.folder, size, rows, remat)
    for line in lines:
        print(json.dumps({"figure": options.side, **line}), flush=True)


def warm_imports(side: str) -> None:
    """Imports what a side will use, while another one still has the card; asks for no device."""
    if side == "parity" or "ours" in side:
        import vlsm_jax.training.loop
        import vlsm_jax.training.start  # noqa: F401
    if "ours" not in side:
        import peft  # noqa: F401
        import torch  # noqa: F401
        import transformers.models.llama.modeling_llama
        import transformers.models.starcoder2.modeling_starcoder2  # noqa: F401


if __name__ == "__main__":
    main()
