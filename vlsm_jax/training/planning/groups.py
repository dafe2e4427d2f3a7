"""Who takes part in a collective, from how XLA writes it down: which devices form a group, along which mesh axes."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

# [2,4]<=[8], or with an order of dimensions [4,2]<=[2,4]T(1,0).
_IOTA = re.compile(r"replica_groups=\[(?P<groups>[\d,]+)\]<=\[(?P<dims>[\d,]+)\](?:T\((?P<order>[\d,]+)\))?")
# mesh['a'=2,'b'=4] {'b'}, or with the order of devices mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}.
_MESH = re.compile(
    r"replica_groups=(?:@\w+|mesh)\[(?P<axes>[^\]]*)\]"
    r"(?:, device_ids=\((?:\[(?P<dims>[\d,]+)\](?:T\((?P<order>[\d,]+)\))?|(?P<ids>[\d,]+))\))?"
    r"[^{]* \{(?P<over>[^}]*)\}"
)
_LIST = re.compile(r"replica_groups=\{(?P<groups>(?:\{[\d,]*\},?)*)\}")
_ACROSS_SLICES = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_PAIRS = re.compile(r"source_target_pairs=\{(?P<pairs>(?:\{\d+,\d+\},?)*)\}")


class Exchange(NamedTuple):
    """Devices that exchange data with one another.

    Attributes:
      group: how many they are.
      axes: mesh axes along which they differ; ("?",) where they are none that the mesh has.
      slices: in how many slices or nodes they are.
    """

    group: int
    axes: tuple[str, ...]
    slices: int


def exchange(text: str, mesh_shape: dict[str, int], slices: int = 1) -> Exchange:
    """Returns who takes part in the collective that `text` is.

    Args:
      text: of the instruction.
      mesh_shape: axes of the mesh, in order, and devices along each.
      slices: how many there are; each has as many devices of the mesh, one slice after another.
    """
    count = math.prod(mesh_shape.values())
    places = np.stack(np.unravel_index(np.arange(count), tuple(mesh_shape.values())), axis=1)  # [devices, axes]
    slice_of = np.arange(count) * slices // count
    if _ACROSS_SLICES.search(text):
        # Those that have the same place in each slice.
        apart = (places[:: count // slices] != places[0]).any(axis=0)
        return Exchange(slices, _named(mesh_shape, apart), slices)
    pairs = _PAIRS.search(text)
    groups = _pairs(pairs) if pairs is not None else _groups(text)
    groups = groups or [list(range(count))]
    if max(max(group, default=0) for group in groups) >= count:
        return Exchange(len(groups[0]), ("?",), slices)
    differing = np.zeros(len(mesh_shape), bool)
    for group in groups:
        differing |= (places[group] != places[group[:1]]).any(axis=0)
    axes = _named(mesh_shape, differing)
    size = len(groups[0]) if pairs is None else math.prod(mesh_shape[axis] for axis in axes)
    return Exchange(size, axes, max(len(set(slice_of[group])) for group in groups))


def across_slices(text: str) -> str | None:
    """Returns the kind of collective that a TPU's `send` to other slices is a part of; None of any other instruction.

    Between slices the hosts send, by the name of what they do, such as "all-reduce".
    """
    found = _ACROSS_SLICES.search(text)
    return found[1].lower().replace("_", "-") if found else None


def _named(mesh_shape: dict[str, int], differing: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, differs in zip(mesh_shape, differing, strict=True) if differs)


def _pairs(found: re.Match) -> list[list[int]]:
    pairs = [_numbers(pair) for pair in re.findall(r"\{([\d,]+)\}", found["pairs"])]
    return [pair for pair in pairs if pair[0] != pair[1]]


def _groups(text: str) -> list[list[int]]:
    if (iota := _IOTA.search(text)) is not None:
        return _ordered(iota["dims"], iota["order"]).reshape(_numbers(iota["groups"])).tolist()
    if (mesh := _MESH.search(text)) is not None:
        sizes = {name: int(size) for name, size in re.findall(r"'?([\w]+)'?=(\d+)", mesh["axes"])}
        over = re.findall(r"'([\w]+)'", mesh["over"])
        ids = np.arange(math.prod(sizes.values()))
        if mesh["dims"]:
            ids = _ordered(mesh["dims"], mesh["order"])
        elif mesh["ids"]:
            ids = np.array(_numbers(mesh["ids"]))
        ids = ids.reshape(tuple(sizes.values()))
        last = [i for i, axis in enumerate(sizes) if axis in over]
        ids = ids.transpose([i for i in range(ids.ndim) if i not in last] + last)
        return ids.reshape(-1, math.prod(ids.shape[ids.ndim - len(last) :])).tolist()
    if (listed := _LIST.search(text)) is not None:
        return [_numbers(group) for group in re.findall(r"\{([\d,]*)\}", listed["groups"])]
    return []


def _ordered(dims: str, order: str | None) -> np.ndarray:
    """Returns device numbers, counted through `dims` and then seen in another order of dimensions."""
    ids = np.arange(math.prod(_numbers(dims))).reshape(_numbers(dims))
    return ids.transpose(_numbers(order)) if order else ids


def _numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",") if n]
