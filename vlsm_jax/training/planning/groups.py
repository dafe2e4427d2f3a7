"""Who takes part in a collective, from how XLA writes it down: which devices form a group, along which mesh axes."""

from __future__ import annotations

import math
import re

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
_PAIRS = re.compile(r"source_target_pairs=\{(?P<pairs>(?:\{\d+,\d+\},?)*)\}")


def exchange(text: str, mesh_shape: dict[str, int]) -> tuple[int, tuple[str, ...]]:
    """Returns how many devices exchange data with one another, and the mesh axes along which they differ.

    Args:
      text: of the instruction.
      mesh_shape: axes of the mesh, in order, and devices along each.

    Returns:
      The size of a group, and axes; ("?",) where groups name devices that the mesh does not have.
    """
    count = math.prod(mesh_shape.values())
    pairs = _PAIRS.search(text)
    groups = _pairs(pairs) if pairs is not None else _groups(text)
    groups = groups or [list(range(count))]
    if max(max(group, default=0) for group in groups) >= count:
        return len(groups[0]), ("?",)
    places = np.stack(np.unravel_index(np.arange(count), tuple(mesh_shape.values())), axis=1)  # [devices, axes]
    differing = np.zeros(len(mesh_shape), bool)
    for group in groups:
        differing |= (places[group] != places[group[:1]]).any(axis=0)
    axes = tuple(name for name, differs in zip(mesh_shape, differing, strict=True) if differs)
    return len(groups[0]) if pairs is None else math.prod(mesh_shape[a] for a in axes), axes


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
