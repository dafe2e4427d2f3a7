"""Labels of objects and items, and the values behind `object>variables/name` and `object>labels/name`."""

from __future__ import annotations

from typing import Any

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import copied, describe, to_text
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.paths import Attribute
from vlsm_jax.simulator.properties import get_variable, set_variable
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World

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


def read_attribute(world: World, attribute: Attribute) -> Any:
    """Reads the variable or label that an attribute path names."""
    if attribute.folder == "variables" and attribute.name:
        return get_variable(world, attribute.owner, attribute.name)
    if attribute.folder == "labels" and attribute.name:
        return holder_of(attribute.owner).get(attribute.name)
    raise Fault(f"{attribute} has no value here", code="unsupported")


def write_attribute(world: World, attribute: Attribute, value: Any) -> None:
    """Writes the variable or label that an attribute path names."""
    if attribute.folder == "variables" and attribute.name:
        set_variable(world, attribute.owner, attribute.name, value)
    elif attribute.folder == "labels" and attribute.name:
        assign(attribute.owner, attribute.name, value)
    else:
        raise Fault(f"{attribute} cannot be written here", code="unsupported")
