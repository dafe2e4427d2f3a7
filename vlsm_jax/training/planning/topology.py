"""Devices to compile for: TPU slices, NVIDIA GPUs, or simulated CPU devices. None of them has to be there."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import re
from collections.abc import Sequence

import jax
from jax.experimental import topologies

from vlsm_jax.training.hardware import CHIPS, Chip
from vlsm_jax.training.planning import nvidia

_FORM = re.compile(r"(?P<kind>[a-z]+[0-9]*[a-z]*):(?P<shape>\d+(?:x\d+)*)(?:\*(?P<slices>\d+))?")
_EXAMPLES = "v5e:4x4, v5p:4x4x4, v6e:16x16*4 (four slices), h100:8, h200:8*4 (four nodes) or cpu:8"
_SIMULATED = (
    "these devices are simulated on a CPU, without an accelerator's attention kernel and fusions: parameters, "
    "optimizer and arithmetic are the same elsewhere, temporaries and collectives are about the same at best",
)
# Two thirds to three quarters of the time of the compiler for TPUs goes at the speed of what it compiles.
_QUICK = (("exec_time_optimization_effort", -1.0),)
_QUICK_NOTES = (
    "compiled without the compiler's efforts at speed: temporaries may be a tenth more or less than those of the "
    "program that trains, and collectives differ a little",
)
# What jax takes of a GPU's memory unless it is told another share.
_SHARE_VARIABLE, _SHARE = "XLA_PYTHON_CLIENT_MEM_FRACTION", 0.75


class PlanError(RuntimeError):
    """A plan that cannot be made; the message says what is wrong with the topology, or what has to be installed."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices to plan for.

    Attributes:
      name: as it was asked for.
      devices: of one slice after another.
      chip: what is known of them; None for simulated CPU devices.
      shape: chips along each dimension of a slice, or GPUs of a node.
      slices: slices or nodes, connected by the network of a data centre.
      compiler_options: for XLA, name and value.
      notes: what a plan for them cannot know, a sentence each.
    """

    name: str
    devices: Sequence[jax.Device]
    chip: Chip | None
    shape: tuple[int, ...]
    slices: int = 1
    compiler_options: tuple[tuple[str, str | float], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def platform(self) -> str:
        """What is compiled for, as jax names it."""
        return "cpu" if self.chip is None else self.chip.platform


def find_target(name: str, *, quick: bool = False) -> Target:
    """Returns the devices that `name` describes, such as "v5e:16x16", "v6e:16x16*4", "h200:8" or "cpu:8".

    To be called before anything has asked jax for a device: the process then computes on its CPU alone.

    Args:
      name: of the devices.
      quick: compile for TPUs in a third of the time, without what makes a step quick; see the target's notes.

    Raises:
      PlanError: no such topology, or the compiler for it is not installed.
    """
    match = _FORM.fullmatch(name)
    if match is None:
        raise PlanError(f"topology {name!r} is not of the form <kind>:<shape>; examples are {_EXAMPLES}")
    kind, shape = match["kind"], tuple(map(int, match["shape"].split("x")))
    slices = int(match["slices"] or 1)
    if not math.prod(shape) * slices:
        raise PlanError(f"topology {name!r} has no devices; examples are {_EXAMPLES}")
    if kind == "cpu":
        return _simulated(name, math.prod(shape) * slices)
    chip = CHIPS.get(kind)
    known = [c.name for c in CHIPS.values() if c.platform == "tpu"] + list(nvidia.described())
    if chip is None or kind not in known:
        raise PlanError(f"topology {name!r}: {kind!r} is not one of cpu, {', '.join(known)}; examples are {_EXAMPLES}")
    if chip.platform == "gpu":
        return _gpu(name, chip, shape, slices)
    target = _tpu(name, chip, shape, slices)
    return dataclasses.replace(target, compiler_options=_QUICK, notes=_QUICK_NOTES) if quick else target


def _simulated(name: str, count: int) -> Target:
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        pass  # there are devices already; the next line counts them
    found = jax.devices("cpu")
    if len(found) < count:
        raise PlanError(
            f"topology {name!r}: jax has started with {len(found)} CPU devices already; plan in a process of its own"
        )
    return Target(name, found[:count], None, (count,), notes=_SIMULATED)


def _tpu(name: str, chip: Chip, shape: tuple[int, ...], slices: int) -> Target:
    if importlib.util.find_spec("libtpu") is None:
        raise PlanError(
            f"topology {name!r} needs the TPU compiler, which runs on any Linux host: pip install 'vlsm_jax[plan]'. "
            "Without it, plan for simulated devices: --topology=cpu:8"
        )
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"  # there is no metadata server to ask, and asking takes minutes
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # only one process may drive a chip; none is driven here
    jax.config.update("jax_platforms", "cpu")
    options = {"num_slices": slices} if slices > 1 else {}
    if math.prod(shape) == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    try:
        found = topologies.get_topology_desc(f"{chip.name}:{'x'.join(map(str, shape))}", platform="tpu", **options)
    except Exception as error:  # whatever the plugin raises, its first line says what is wrong
        raise PlanError(f"topology {name!r} is not one that the TPU compiler knows: {_first_line(error)}") from error
    return Target(name, found.devices, chip, shape, slices)


def _gpu(name: str, chip: Chip, shape: tuple[int, ...], slices: int) -> Target:
    if len(shape) > 1 or shape[0] > nvidia.NODE or not shape[0]:
        raise PlanError(
            f"topology {name!r}: a node has 1 to {nvidia.NODE} GPUs, as in {chip.name}:{nvidia.NODE}; "
            f"{chip.name}:{nvidia.NODE}*4 are four nodes"
        )
    if lacking := nvidia.missing():
        raise PlanError(
            f"topology {name!r} needs XLA's compiler for GPUs, which runs on any Linux host, and of it here is no "
            f"{', '.join(lacking)}. Into a folder of its own, so that nothing looks for a card when training on a CPU: "
            f"pip install --no-deps --target=cuda {' '.join(lacking)}; then PYTHONPATH=cuda python launch.py ... "
            "Without it, plan for simulated devices: --topology=cpu:8"
        )
    share = os.environ.get(_SHARE_VARIABLE, str(_SHARE))
    try:
        memory = nvidia.memory(chip) * float(share)
    except ValueError as error:
        raise PlanError(f"{_SHARE_VARIABLE}={share}; a share of a GPU's memory is a number such as 0.9") from error
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # of the versions of CUDA's libraries, which are not here
    jax.config.update("jax_platforms", "cpu")
    try:
        found = topologies.get_topology_desc(
            chip.name,
            platform="cuda",
            target_config=nvidia.describe(chip),
            topology=f"1x{slices}x{shape[0]}",
        )
    except Exception as error:  # whatever the plugin raises
        raise PlanError(f"topology {name!r}: XLA's compiler for GPUs does not take it: {_first_line(error)}") from error
    notes = (
        *nvidia.NOTES,
        f"available is {float(share):g} of the card's memory, what jax takes with {_SHARE_VARIABLE}={share}",
    )
    chip = dataclasses.replace(chip, memory=memory)
    return Target(name, found.devices, chip, shape, slices, nvidia.COMPILER_OPTIONS, notes)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
