"""Placement: one mesh, one table of rules, and everything that follows from them.

Parameters carry logical axes ("embed", "heads", ...). A rule sends a logical axis to a mesh axis. Shardings of
parameters, gradients and optimizer state all derive from these two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

MESH_AXES = ("data", "fsdp", "tensor")
# The axes over which a batch is spread: `fsdp` splits parameters and data alike.
BATCH_AXES = ("data", "fsdp")


class ShardingError(ValueError):
    """A parameter cannot be placed; the message names the parameter, the axis and its size."""


class Rule(NamedTuple):
    """Sends a logical axis to a mesh axis; None leaves it whole on every device."""

    logical: str
    mesh: str | None


Rules = tuple[Rule, ...]
"""Tried in order, the first with the logical axis's name counts: put an exception before `DEFAULT_RULES`."""

DEFAULT_RULES: Rules = (
    Rule("layers", None),
    Rule("vocab", "tensor"),
    Rule("embed", "fsdp"),
    Rule("heads", "tensor"),
    Rule("kv_heads", "tensor"),
    Rule("head_dim", None),
    Rule("mlp", "tensor"),
    Rule("norm", None),
    Rule("connector_in", None),
    Rule("patch", None),
    Rule("channels", None),
    Rule("positions", None),
    Rule("block", None),
    Rule("rank", None),
)


def make_mesh(data: int = 1, fsdp: int = -1, tensor: int = 1, *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a mesh with the axes `MESH_AXES`.

    Args:
      data, fsdp, tensor: devices along each axis; at most one may be -1, "all that are left".
      devices: which devices; None is all of them.

    Neighbours on the mesh are neighbours in a TPU's torus as far as that goes. Of several slices each has its part of
    `data`, the axis that crosses the slow network between them; `fsdp` and `tensor` stay within a slice.

    Raises:
      ValueError: the sizes do not multiply to the number of devices, or `data` does not divide among slices.
    """
    devices = jax.devices() if devices is None else list(devices)
    sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
    said = ", ".join(f"{name}={size}" for name, size in sizes.items())
    free = [name for name, size in sizes.items() if size == -1]
    fixed = math.prod(size for size in sizes.values() if size != -1)
    if len(free) > 1 or any(size < 1 and size != -1 for size in sizes.values()):
        raise ValueError(f"mesh {said}: sizes are positive, and at most one is -1")
    if free and len(devices) % fixed == 0:
        sizes[free[0]] = len(devices) // fixed
    if math.prod(sizes.values()) != len(devices):
        raise ValueError(
            f"mesh {said} does not fit {len(devices)} devices; sizes multiply to their number, -1 is what is left"
        )
    # Auto, since jax's default, Explicit, asks every operation to say its own output sharding.
    return Mesh(_arranged(tuple(sizes.values()), devices), MESH_AXES, axis_types=(AxisType.Auto,) * 3)


def _arranged(shape: tuple[int, int, int], devices: Sequence[jax.Device]) -> np.ndarray:
    """Returns the devices as an array of `shape`, arranged by where they are."""
    on_tpu = devices[0].platform == "tpu"
    slices = len({getattr(device, "slice_index", 0) for device in devices}) if on_tpu else 1
    if slices == 1:
        # An axis may be a part of a dimension of the torus, such as 8 devices of a 4 x 4 x 4 slice.
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=on_tpu)
    if shape[0] % slices:
        raise ValueError(
            f"mesh data={shape[0]} does not divide among {slices} slices; it is the axis that crosses them"
        )
    within = (shape[0] // slices, *shape[1:])
    return mesh_utils.create_hybrid_device_mesh(within, (slices, 1, 1), devices, allow_split_physical_axes=True)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an input whose first axis is the batch."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_share(mesh: Mesh) -> tuple[int, int]:
    """Returns which part of every batch this process reads, and how many parts there are: (index, count).

    Processes whose devices hold the same rows, as where `tensor` goes over several hosts, read the same part.

    Raises:
      ValueError: the rows of two processes overlap and are not the same.
    """
    groups = mesh.devices.reshape(-1, mesh.shape["tensor"])  # [rows, devices that share them]
    held: dict[int, set[int]] = {}
    for row, group in enumerate(groups):
        for device in group:
            held.setdefault(device.process_index, set()).add(row)
    parts = sorted({tuple(sorted(rows)) for rows in held.values()})
    if sum(map(len, parts)) != len(groups) or len({len(rows) for rows in parts}) > 1:
        said = ", ".join(f"{name}={size}" for name, size in mesh.shape.items())
        raise ValueError(
            f"mesh {said}: the {len(held)} processes hold parts of a batch that overlap; choose a mesh.tensor that "
            "divides the devices of a process, or is a multiple of them"
        )
    return parts.index(tuple(sorted(held[jax.process_index()]))), len(parts)


def constrain_batch(x: jax.Array) -> jax.Array:
    """Keeps [B, ...] spread over the batch and whole otherwise, between layers.

    Without it XLA may follow a parameter's sharding instead, and gather the batch. Acts only under `jax.set_mesh`, and
    only when the batch divides among the devices (a single prompt stays whole).
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return x
    auto = [n for n, kind in zip(mesh.axis_names, mesh.axis_types, strict=True) if kind == AxisType.Auto]
    axes = tuple(name for name in BATCH_AXES if name in auto)
    if not axes or x.shape[0] % math.prod(mesh.shape[name] for name in axes):
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(axes, *[None] * (x.ndim - 1)))


def gathered(x: jax.Array, logical_axes: Sequence[str]) -> jax.Array:
    """Brings a parameter together from the devices that share a batch; what the rules spread over `tensor` stays so.

    For arrays that are made larger before they are used, such as 4-bit codes: XLA would do that in place and gather the
    result, four times the bytes. Acts only under `jax.set_mesh`; by `DEFAULT_RULES`.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or any(kind != AxisType.Auto for kind in mesh.axis_types):
        return x
    if all(mesh.shape.get(name, 1) == 1 for name in BATCH_AXES):
        return x
    targets = {rule.logical: rule.mesh for rule in reversed(DEFAULT_RULES)}
    spec = [
        target if (target := targets.get(axis)) not in (None, *BATCH_AXES) and size % mesh.shape[target] == 0 else None
        for axis, size in zip(logical_axes, x.shape, strict=True)
    ]
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))


def spread_columns(x: jax.Array) -> jax.Array:
    """Spreads [B, S, D] over `fsdp` by its last axis, as the rules spread an embedding, and no longer by its first.

    Acts only under `jax.set_mesh`, where `fsdp` has several devices and sizes divide.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or any(kind != AxisType.Auto for kind in mesh.axis_types) or x.ndim != 3:
        return x
    fsdp, data = (mesh.shape.get(name, 1) for name in ("fsdp", "data"))
    if fsdp == 1 or x.shape[-1] % fsdp or x.shape[0] % data:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec("data", None, "fsdp"))


def param_shardings(abstract_state: nnx.State, mesh: Mesh, rules: Rules = DEFAULT_RULES) -> nnx.State:
    """Returns a NamedSharding for every parameter, in the tree of `abstract_state`.

    Args:
      abstract_state: parameters or their shapes, as `nnx.split`, `init_params` or `jax.eval_shape` give them.
      mesh: the devices.
      rules: logical axis to mesh axis.

    Raises:
      ShardingError: a parameter without logical axes, a logical axis without a rule, two axes of a parameter on the
        same mesh axis, or a size that its mesh axis does not divide.
    """
    flat = nnx.to_flat_state(abstract_state)
    placed = [
        (path, param.replace(NamedSharding(mesh, _spec(_name(path), param, mesh, rules)))) for path, param in flat
    ]
    return nnx.from_flat_state(placed)


def param_table(
    abstract_state: nnx.State, mesh: Mesh, rules: Rules = DEFAULT_RULES, *, notes: Mapping[str, str] | None = None
) -> str:
    """Returns one line per parameter: name, shape, dtype, spec and the rules that made it, and what `notes` say of it.

    Raises:
      ShardingError: as `param_shardings`.
    """
    rows = [("parameter", "shape", "dtype", "spec", "rule", *(() if notes is None else ("kept",)))]
    for path, param in nnx.to_flat_state(abstract_state):
        value = param.get_value()
        spec = _spec(_name(path), param, mesh, rules)
        rule = ", ".join(f"{axis}->{_rule(_name(path), axis, rules).mesh or '*'}" for axis in param.logical_axes)
        row = (_name(path), str(list(value.shape)), str(value.dtype), str(tuple(spec)), rule)
        rows.append(row if notes is None else (*row, notes[_name(path)]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _name(path: tuple) -> str:
    return "/".join(map(str, path))


def _rule(name: str, axis: str, rules: Rules) -> Rule:
    for rule in rules:
        if rule.logical == axis:
            return rule
    known = ", ".join(rule.logical for rule in rules)
    raise ShardingError(f"{name}: no rule for the logical axis {axis!r}; there are rules for {known}")


def _spec(name: str, param: nnx.Variable, mesh: Mesh, rules: Rules) -> PartitionSpec:
    axes = param.get_metadata().get("logical_axes")
    shape = param.get_value().shape
    if axes is None or len(axes) != len(shape):
        raise ShardingError(f"{name}: shape {shape} has the logical axes {axes}; declare one per dimension")
    entries: list[str | None] = []
    for axis, size in zip(axes, shape, strict=True):
        target = _rule(name, axis, rules).mesh
        if target is not None and target not in mesh.shape:
            there = ", ".join(mesh.shape)
            raise ShardingError(
                f"{name}: a rule sends {axis!r} to {target!r}, which is not an axis of the mesh ({there})"
            )
        if target is not None and target in entries:
            raise ShardingError(
                f"{name}: the axes {axes} send two dimensions to the mesh axis {target!r}; change a rule"
            )
        if target is not None and size % mesh.shape[target]:
            raise ShardingError(
                f"{name}: the axis {axis!r} has size {size}, which the {mesh.shape[target]} devices of the mesh axis "
                f"{target!r} do not divide; use a mesh with fewer devices on {target!r}, or put the rule "
                f"({axis!r}, None) first"
            )
        entries.append(target)
    return PartitionSpec(*entries)
