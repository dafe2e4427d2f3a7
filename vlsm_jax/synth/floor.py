"""A floor that is being drawn: its objects, its names, and how wires are put in."""

from __future__ import annotations

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.industries import Industry, Station
from vlsm_jax.synth.spots import Spot


class Floor:
    """A flow graph that is being drawn.

    Attributes:
      dice: what chance comes from.
      industry: where names and stations come from.
      layout: key of the layout.
      allowed: the features that may occur.
      spots: the objects of the flow so far.
      features: those it has, apart from the lanes of a parallel layout and the conveyors of a conveyor layout.
      choosers: objects whose items choose between branches by chance.
      stations: numbers of the table rows in use.
    """

    def __init__(self, dice: Dice, industry: Industry, layout: str, allowed: frozenset[str]):
        self.dice = dice
        self.industry = industry
        self.layout = layout
        self.allowed = allowed
        self.spots: list[Spot] = []
        self.features: set[str] = set()
        self.choosers: set[Spot] = set()
        self._given: dict[str, list[str]] = {}

    def add(self, cls: str, name: str, station: Station | None = None, role: str = "line") -> Spot:
        """Returns a new object of the flow without connections."""
        spot = Spot(cls, name)
        spot.station = station
        spot.role = role
        self.spots.append(spot)
        return spot

    def name(self, words: tuple[str, ...]) -> str:
        """Returns one of several names, none twice before all were given."""
        left = self._given.get(words[0])
        if not left:
            left = self._given[words[0]] = self.dice.some(words, len(words))
        return left.pop()


def connect(a: Spot, b: Spot) -> None:
    """Draws a wire: appends a port at both ends."""
    a.outs.append(b)
    b.ins.append(a)


def insert_between(a: Spot, b: Spot, new: Spot) -> None:
    """Puts an object into a wire; both ends keep their port numbers."""
    a.outs[a.outs.index(b)] = new
    b.ins[b.ins.index(a)] = new
    new.ins.append(a)
    new.outs.append(b)


def insert_before(spot: Spot, new: Spot) -> None:
    """Puts an object in front of another one, for all that comes to it; a Combiner keeps its supplies."""
    before = spot.ins[:1] if spot.cls == "Combiner" else list(spot.ins)
    for other in before:
        other.outs[other.outs.index(spot)] = new
    new.ins.extend(before)
    spot.ins[: len(before)] = [new]
    new.outs.append(spot)
