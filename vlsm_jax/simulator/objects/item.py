"""Flow items: what moves through a running model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript.values import Color, Vec3

BOX_SIZE = (0.61, 0.61, 0.3)
"""Metres along x, y and z of a Box; of the other items of the library sizes are not established, and taken as this."""


class Item:
    """One flow item.

    What few items ever need stands in the class, so that making an item costs three assignments.

    Attributes:
      number: unique within a replication, from 1.
      created: model time of its creation.
      entered: model time at which it entered the object that holds it.
      holder: the running object that holds it, or the item that it is packed into; None once it is gone.
      name: as scripts see it.
      labels: by name, None until a script sets one.
      color: None until a script asks for it.
      size: None until a script asks for it, then metres along x, y and z.
      contents: the items packed into this one, the first one first.
      is_loose: whether a script made it and has put it nowhere yet.
    """

    holder: Any = None
    name: str = "Product"
    labels: dict[str, Any] | None = None
    color: Color | None = None
    size: Vec3 | None = None
    contents: tuple[Item, ...] = ()
    is_loose: bool = False

    def __init__(self, number: int, now: float):
        self.number = number
        self.created = now
        self.entered = now

    def copy(self, number: int, copy_labels: Callable[[dict[str, Any]], dict[str, Any]]) -> Item:
        """Returns another item with the same history and labels of its own; what is packed inside is not copied."""
        item = Item(number, self.created)
        item.name = self.name
        item.labels = copy_labels(self.labels) if self.labels else None
        item.color = self.color.copy() if self.color else None
        item.size = self.size.copy() if self.size else None
        return item

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


def length_along(item: Item) -> float:
    """Returns how much of a belt an item covers, in metres: its size along x."""
    return BOX_SIZE[0] if item.size is None else item.size.x
