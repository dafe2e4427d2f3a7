"""Labels of objects and items."""

from __future__ import annotations

from typing import Any

from vlsm_jax.flexscript import Fault, Machine
from vlsm_jax.flexscript.arrays import deep_copy, size_within
from vlsm_jax.flexscript.values import copied, describe, to_text
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.tree import Node

MAX_LABELS = 1000


def holder_of(value: Any) -> dict[str, Any]:
    """Returns the labels of an object or an item; raises `Fault` for anything else."""
    if isinstance(value, Node):
        return value.labels
    if isinstance(value, Item):
        if value.labels is None:
            value.labels = {}
        return value.labels
    if value is None:
        raise Fault("Attempting to access a label on an object that does not exist.", code="null reference")
    raise Fault(f"{describe(value)} has no labels", code="type")


def assign(value: Any, name: str, setting: Any) -> None:
    """Sets a label, creating it where needed."""
    labels = holder_of(value)
    if name not in labels and len(labels) >= MAX_LABELS:
        raise Fault(f"more than {MAX_LABELS} labels on one object", code="budget")
    if isinstance(value, Node) and value.is_library:
        raise Fault("entries of the library cannot be changed", code="argument")
    labels[name] = copied(setting)


def read(value: Any, name: str) -> Any:
    """Reads a label; raises `Fault` where there is none, as FlexSim does."""
    labels = holder_of(value)
    if name not in labels:
        hint = "assign it first, or read it with getlabel() or labels.assert()"
        raise Fault(f'Property "{name}": Label does not exist', code="missing label", hint=hint)
    return labels[name]


def copied_labels(machine: Machine, labels: dict[str, Any]) -> dict[str, Any]:
    """Returns labels for a copy of their owner, which shares no array and no map with it; long ones cost steps."""
    machine.charge(size_within(list(labels.values())) >> 3)
    return deep_copy(labels, {})


class Labels:
    """`object.labels`: reached by name in brackets."""

    __slots__ = ("owner",)

    def __init__(self, owner: Node | Item):
        self.owner = owner


class Label:
    """`object.labels["Name"]`: one label, with its `value`."""

    __slots__ = ("name", "owner")

    def __init__(self, owner: Node | Item, name: str):
        self.owner = owner
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Label) and other.owner is self.owner and other.name == self.name

    def __hash__(self) -> int:
        return hash((id(self.owner), self.name))

    def __str__(self) -> str:
        return f"{self.owner.name}>labels/{self.name}"


def label_at(labels: Labels, name: Any) -> Label | None:
    """`labels["Name"]`, NULL where there is no such label."""
    text = to_text(name)
    return Label(labels.owner, text) if text in holder_of(labels.owner) else None


def assert_label(labels: Labels, name: Any, default: Any = 0) -> Label:
    """`labels.assert("Name", default)`: the label, created with the default where it is missing."""
    text = to_text(name)
    if text not in holder_of(labels.owner):
        assign(labels.owner, text, default)
    return Label(labels.owner, text)


def remove(label: Label) -> int:
    """`labels["Name"].destroy()`: takes the label away; returns 1, or 0 where it is gone already."""
    return int(holder_of(label.owner).pop(label.name, None) is not None)
