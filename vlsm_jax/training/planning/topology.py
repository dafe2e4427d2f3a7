"""Devices to compile for: TPU slices, or simulated CPU devices. None of them has to be there."""

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

_FORM = re.compile(r"(?P<kind>[a-z]+[0-9]*[a-z]*):(?P<shape>\d+(?:x\d+)*)(?:\*(?P<slices>\d+))?")
_EXAMPLES = "v5e:4x4, v5p:4x4x4, v6e:16x16*4 (four slices) or cpu:8"


class PlanError(RuntimeError):
    """A plan that cannot be made; the message says what is wrong with the topology, or what has to be installed."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices to plan for.

    Attributes:
      name: as it was asked for.
      devices: of one slice after another.
      chip: what is known of them; None for simulated CPU devices.
      shape: chips along each dimension of a slice.
      slices: connected by the network of a data centre.
    """

    name: str
    devices: Sequence[jax.Device]
    chip: Chip | None
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def platform(self) -> str:
        """What is compiled for, as jax names it."""
        return "cpu" if self.chip is None else self.chip.platform


def find_target(name: str) -> Target:
    """Returns the devices that `name` describes, such as "v5e:16x16", "v6e:16x16*4" or "cpu:8".

    To be called before anything has asked jax for a device: the process then computes on its CPU alone.

    Raises:
      PlanError: no such topology, or the compiler for it is not installed.
    """
    match = _FORM.fullmatch(name)
    if match is None:
        raise PlanError(f"topology {name!r} is not of the form <kind>:<shape>; examples are {_EXAMPLES}")
    kind, shape = match["kind"], tuple(map(int, match["shape"].split("x")))
    slices = int(match["slices"] or 1)
    if kind == "cpu":
        return _simulated(name, math.prod(shape) * slices)
    if kind in ("h100", "h200", "a100", "b200"):
        raise PlanError(
            f"topology {name!r}: there are no plans for NVIDIA GPUs; --topology=cpu:{math.prod(shape) * slices} shows "
            "collectives and arithmetic, and a run on the GPU itself its memory"
        )
    chip = CHIPS.get(kind)
    if chip is None:
        raise PlanError(f"topology {name!r}: {kind!r} is not one of cpu, {', '.join(CHIPS)}; examples are {_EXAMPLES}")
    return _tpu(name, chip, shape, slices)


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
    return Target(name, found[:count], None, (count,))


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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
