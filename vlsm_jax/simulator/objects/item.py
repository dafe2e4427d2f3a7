"""Flow items: what moves through a running model."""

from __future__ import annotations

from typing import Any

from vlsm_jax.flexscript.values import Color


class Item:
    """One flow item.

    What few items ever need stands in the class, so that making an item costs three assignments.

    Attributes:
      number: unique within a replication, from 1.
      created: model time of its creation.
      entered: model time at which it entered the object that holds it.
      holder: the running object that holds it, None once it is gone.
      name: as scripts see it.
      labels: by name, None until a script sets one.
      color: None until a script asks for it.
      contents: the items packed into this one, the first one first.
    """

    holder: Any = None
    name: str = "Product"
    labels: dict[str, Any] | None = None
    color: Color | None = None
    contents: tuple[Item, ...] = ()

    def __init__(self, number: int, now: float):
        self.number = number
        self.created = now
        self.entered = now

    def copy(self, number: int) -> Item:
        """Returns another item with the same history and labels; what is packed inside is not copied."""
        item = Item(number, self.created)
        item.name = self.name
        item.labels = dict(self.labels) if self.labels else None
        item.color = self.color.copy() if self.color else None
        return item

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"
