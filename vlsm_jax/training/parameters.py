"""The table of parameters at the start of a run: where each lies, and what trained and frozen ones take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vlsm_jax.sharding import param_table
from vlsm_jax.training.network import Network
from vlsm_jax.training.step import TrainState


def describe_parameters(network: Network, state: TrainState, mesh: Mesh) -> str:
    """Returns one line per parameter, and their sums.

    Args:
      network: whose parameters they are.
      state: shapes and places, as `StatePlan.abstract` has them.
      mesh: where they lie.
    """
    notes = {}
    for name, shape in network.shapes.items():
        kept = state.trained.get(name, state.frozen.get(name))
        notes[name] = "trained" if name in state.trained else "frozen"
        if kept.dtype != shape.dtype:
            notes[name] += f", kept in {kept.dtype}"
    lines = [param_table(network.abstract, mesh, notes=notes)]
    for said, part in (("trained", state.trained), ("frozen", state.frozen)):
        lines.append(f"{said}: {_count(part):,} parameters, {format_bytes(device_bytes(part))} on each device")
    lines.append(f"optimizer: {format_bytes(device_bytes(state.optimizer))} on each device")
    return "\n".join(lines)


def device_bytes(tree: Any) -> int:
    """Returns the bytes of one device's parts of arrays, or of shapes with their places."""
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * np.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))


def _count(part: Mapping[str, Any]) -> int:
    return sum(x.size for x in part.values())


def format_bytes(count: float) -> str:
    """Returns a number of bytes with its unit: "1.50 GiB"."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count:.0f} B"
