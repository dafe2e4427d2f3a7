"""A plan: the step that training runs, compiled for devices that are not there, and what the compiler says of it."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vlsm_jax.data.annotations import SLOTS
from vlsm_jax.data.pipeline import Batch, PipelineConfig
from vlsm_jax.sharding import batch_sharding
from vlsm_jax.training.loop import StatePlan, TrainConfig, check_batch, check_objective, jit_train_step
from vlsm_jax.training.loss import chunk_size
from vlsm_jax.training.network import Network
from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
from vlsm_jax.training.parameters import device_bytes
from vlsm_jax.training.planning.hlo import Collective, Module, Temporary, collectives, temporaries
from vlsm_jax.training.planning.roofline import Roofline, roofline
from vlsm_jax.training.planning.topology import PlanError, Target
from vlsm_jax.training.planning.work import Work, count_step, model_flops

# Temporaries below this are not worth a line.
_LEAST_TEMPORARY = 2**20


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one device.

    Attributes:
      trained, frozen, optimizer, batch: what the step is given, each device's part.
      temporary: activations, gradients and all else that lives within the step, by the compiler's own assignment.
      peak: the most at one time.
      limit: what there is; None where that is not known.
    """

    trained: int
    frozen: int
    optimizer: int
    batch: int
    temporary: int
    peak: int
    limit: int | None

    @property
    def fits(self) -> bool | None:
        """Whether the step has room; None where the limit is not known."""
        return None if self.limit is None else self.peak <= self.limit


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a step costs.

    Attributes:
      topology: as it was asked for.
      devices: how many.
      mesh: axes and sizes.
      rows, length, pictures: of a batch over all devices; pictures per row.
      parameters, trained_parameters: how many.
      memory: of one device.
      out_of_memory: what the compiler said when it found no room; "" otherwise.
      work: FLOPs of a step over all devices.
      model_flops: the same without what remat makes again: forward once, backward as far as something is trained.
      collectives: of one device.
      temporaries: the largest arrays that the step makes on one device.
      stacks: arrays that look like a kernel of all layers at once, unpacked from few bits or gathered from all devices:
        what must not be there.
      implied_traffic: bytes that one device has to send as the rules of sharding have it, see `implied_traffic`.
      bound: the least seconds of a step, or None where nothing is known of the devices.
      notes: what a plan for these devices cannot know, a sentence each.
      compile_seconds: on the machine that planned.
    """

    topology: str
    devices: int
    mesh: dict[str, int]
    rows: int
    length: int
    pictures: int
    parameters: int
    trained_parameters: int
    memory: Memory
    out_of_memory: str
    work: Work
    model_flops: float
    collectives: tuple[Collective, ...]
    temporaries: tuple[Temporary, ...]
    stacks: tuple[Temporary, ...]
    implied_traffic: float
    bound: Roofline | None
    notes: tuple[str, ...]
    compile_seconds: float

    @property
    def fits(self) -> bool | None:
        """Whether the step has room on each device."""
        return False if self.out_of_memory else self.memory.fits

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        data = dataclasses.asdict(self)
        data["collectives"] = [c._asdict() for c in self.collectives]
        data["temporaries"] = [t._asdict() for t in self.temporaries]
        data["stacks"] = [t._asdict() for t in self.stacks]
        data["work"]["flops"] = self.work.flops
        return data | {"fits": self.fits}


def plan_step(
    target: Target,
    mesh: Mesh,
    network: Network,
    optimizer_config: OptimizerConfig,
    config: TrainConfig,
    pipeline: PipelineConfig,
    *,
    pictures: int = 1,
    keep: Path | None = None,
) -> Plan:
    """Compiles the training step for `target` and returns what it costs. Nothing is made: shapes stand for arrays.

    Args:
      target: the devices; `mesh` is over them.
      network, optimizer_config, config, pipeline: as for `train`.
      pictures: places for pictures in a row; training counts them in its data.
      keep: a file for the compiled program, to look into.

    Raises:
      ConfigError: the config cannot be trained on that many devices.
      PlanError: the compiler failed for another reason than memory.
    """
    check_batch(pipeline.batch_size, config.accumulation, mesh)
    optimizer = make_optimizer(optimizer_config, config.steps)
    plan = StatePlan.create(network, optimizer, config.trainable, mesh, config.frozen_dtype)
    check_objective(config, pipeline, network, plan)
    batch = abstract_batch(network, pipeline, pictures, mesh)
    trained = sum(x.size for x in plan.abstract.trained.values())
    began = time.monotonic()
    with jax.set_mesh(mesh):
        step = jit_train_step(network, optimizer, plan, config, mesh)
        traced = _trace(step, plan, batch, target)
        work = count_step(traced, network)
        lowered = traced.lower()
        compiled, refused = None, ""
        try:
            compiled = lowered.compile(compiler_options=dict(target.compiler_options) or None)
        except Exception as error:  # a plugin's error has no class of its own
            refused = _out_of_memory(str(error))
            if not refused:
                raise PlanError(f"the compiler for {target.name} failed: {error}") from error
    seconds = time.monotonic() - began
    text = "" if compiled is None else compiled.as_text()
    if keep is not None:
        keep.write_text(text)
    module = Module.parse(text)
    made = temporaries(module, _LEAST_TEMPORARY)
    moved = tuple(collectives(module, dict(mesh.shape), target.slices))
    memory = _memory(compiled, refused, plan.abstract, batch, target)
    bound = None
    if target.chip is not None and compiled is not None:
        bound = roofline(
            target.chip,
            target.shape,
            flops=work.flops / mesh.size,
            traffic=least_traffic(plan, memory, network, pipeline, config, mesh),
            moved=moved,
        )
    return Plan(
        topology=target.name,
        devices=mesh.size,
        mesh=dict(mesh.shape),
        rows=pipeline.batch_size,
        length=pipeline.sequence_length,
        pictures=pictures,
        parameters=network.parameter_count,
        trained_parameters=trained,
        memory=memory,
        out_of_memory=refused,
        work=work,
        model_flops=model_flops(network, plan, pipeline, pictures, responses=config.responses),
        collectives=moved,
        temporaries=tuple(made[:20]),
        stacks=tuple(whole_stacks(made, network, plan, pipeline, rows_at_once(pipeline, config, mesh))),
        implied_traffic=implied_traffic(plan, config, mesh),
        bound=bound,
        notes=target.notes,
        compile_seconds=seconds,
    )


def _trace(step: Any, plan: StatePlan, batch: Batch, target: Target) -> jax.stages.Traced:
    try:
        return step.trace(plan.abstract, batch)
    except (NotImplementedError, RuntimeError) as error:  # of an attention kernel
        # For cuDNN jax asks the card that there is, and where one plans there is none.
        asked = ", which on a card of that kind may well be otherwise" if target.platform == "gpu" else ""
        raise PlanError(
            f"the step cannot be made for {target.name}: {str(error).rstrip('.')}{asked}. Without an attention kernel: "
            "--config.model.attention=xla"
        ) from error


def abstract_batch(network: Network, pipeline: PipelineConfig, pictures: int, mesh: Mesh) -> Batch:
    """Returns the shapes of a batch, with their places."""
    rows, place = pipeline.batch_size, batch_sharding(mesh)

    def shape(dtype: Any, *sizes: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((rows, *sizes), dtype, sharding=place)

    names = ("tokens", "targets", "weights", "positions", "visual_index")
    names += ("segment_ids",) if pipeline.segmented else ()
    text = {name: shape(jnp.int32, pipeline.sequence_length) for name in names}
    text["weights"] = shape(jnp.float32, pipeline.sequence_length)
    side = pipeline.image_size
    said = shape(jnp.int32, pictures, pipeline.encoded_tokens, SLOTS) if pipeline.patch_size else None
    kept = shape(jnp.int32, pictures, pipeline.kept_patches) if pipeline.kept_patches else None
    return Batch(**text, images=shape(jnp.uint8, pictures, side, side, 3), visual_targets=said, kept=kept)


def _memory(compiled: Any, refused: str, state: Any, batch: Batch, target: Target) -> Memory:
    parts = {
        "trained": device_bytes(state.trained),
        "frozen": device_bytes(state.frozen),
        "optimizer": device_bytes(state.optimizer),
        "batch": device_bytes(batch),
    }
    limit = None if target.chip is None else int(target.chip.memory)
    analysis = None if compiled is None else compiled.memory_analysis()
    if analysis is None:
        wanted = _wanted(refused)
        return Memory(**parts, temporary=max(0, wanted - sum(parts.values())), peak=wanted, limit=limit)
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    temporary = analysis.temp_size_in_bytes
    return Memory(**parts, temporary=temporary, peak=held + temporary, limit=limit)


_USED = re.compile(
    r"(?:Used (?=[\d.]+[KMGT]? of [\d.]+[KMGT]? hbm)|required[^(]*\((?=[^)]*\) exceeds available))([\d.]+)([KMGT]?)",
    re.IGNORECASE,
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _out_of_memory(message: str) -> str:
    """Returns the line that says so, or ""."""
    if "RESOURCE_EXHAUSTED" not in message and "Ran out of memory" not in message and "OOM" not in message:
        return ""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return next((line for line in lines if _USED.search(line)), lines[0])


def _wanted(refused: str) -> int:
    found = _USED.search(refused)
    return int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0


def implied_traffic(plan: StatePlan, config: TrainConfig, mesh: Mesh) -> float:
    """Returns the bytes that one device sends when parameters and gradients travel as the rules say, and nothing else.

    What is spread over `fsdp` is gathered in two bytes for each of the three passes (or as it is kept, if smaller; an
    encoder that is frozen whole, for the one), and its gradient added up and scattered; over `data`, gradients are
    added up. All of it for every microbatch.
    """
    fsdp, data = mesh.shape["fsdp"], mesh.shape["data"]
    trained = sum(x.size * 2 for x in plan.abstract.trained.values())
    encoder = 3 if any(name.startswith("vision/") for name in plan.abstract.trained) else 1
    kept = sum(
        x.size * min(2, x.dtype.itemsize) * (encoder if name.startswith("vision/") else 3)
        for name, x in plan.abstract.frozen.items()
    )
    gathered = (3 * trained + kept) * (fsdp - 1) / fsdp
    scattered = trained * (fsdp - 1) / fsdp + 2 * trained / fsdp * (data - 1) / data
    return config.accumulation * (gathered + scattered)


def rows_at_once(pipeline: PipelineConfig, config: TrainConfig, mesh: Mesh) -> int:
    """Returns how many rows of a microbatch a device has."""
    spread = config.accumulation * mesh.shape["data"] * mesh.shape["fsdp"]
    return max(1, pipeline.batch_size // spread)


def whole_stacks(
    made: Sequence[Temporary], network: Network, plan: StatePlan, pipeline: PipelineConfig, rows: int
) -> list[Temporary]:
    """Returns the arrays among `made` that have the size of a kernel of all layers, in floating point.

    Of a quantised kernel that is also a device's part of it. Of others a part is what a gradient looks like, and only
    the whole tells that it was gathered. `rows` are those that a device has of a microbatch.
    """
    sizes: dict[int, set[int]] = {}
    parts: set[tuple[int, int]] = set()  # a part of one kernel may have the size of another
    for name, x in (*plan.abstract.frozen.items(), *plan.abstract.trained.items()):
        part = x.sharding.shard_shape(x.shape)
        if name.endswith("/kernel/codes"):
            packed = 2 if x.dtype == jnp.uint8 else 1
            sizes.setdefault(x.shape[0], set()).update(packed * math.prod(shape[1:]) for shape in (x.shape, part))
        elif "/layers/" in name and name.endswith("/kernel"):
            sizes.setdefault(x.shape[0], set()).add(math.prod(x.shape[1:]))
            parts.add((part[0], math.prod(part[1:])))
    # Activations may have as many elements: what a scan keeps of each layer for the backward pass, the chunks of the
    # loss, and what a resampler makes of each picture, where there are as many chunks or pictures as layers.
    width = network.config.decoder.width
    length, visual = pipeline.sequence_length, pipeline.encoded_tokens
    activations = ((length, width), (chunk_size(rows, length), width), (visual, width))
    return [
        t
        for t in made
        if t.dtype in ("bf16", "f32", "f16")
        and len(t.shape) > 1
        and math.prod(t.shape[1:]) in sizes.get(t.shape[0], ())
        and (t.shape[0], math.prod(t.shape[1:])) not in parts
        and tuple(n for n in t.shape[1:] if n != 1)[-2:] not in activations
    ]


def least_traffic(
    plan: StatePlan, memory: Memory, network: Network, pipeline: PipelineConfig, config: TrainConfig, mesh: Mesh
) -> float:
    """Returns the bytes that one device has to read and write in a step, about: weights, optimizer, layer boundaries.

    Weights are read in every pass of every microbatch in the dtype they are computed in, or kept in if that is smaller,
    whole: what is spread over `fsdp` is gathered first.
    """
    gathered = mesh.shape["fsdp"]
    weights = sum(
        math.prod(x.sharding.shard_shape(x.shape)) * gathered * min(2, x.dtype.itemsize)
        for x in (*plan.abstract.trained.values(), *plan.abstract.frozen.values())
    )
    rows = pipeline.batch_size / (mesh.shape["data"] * mesh.shape["fsdp"])
    decoder = network.config.decoder
    boundaries = rows * pipeline.sequence_length * decoder.width * 2 * decoder.layers
    passes = 3 * config.accumulation  # forward, again, backward
    return passes * weights + 2 * (memory.trained + memory.optimizer) + 3 * boundaries
