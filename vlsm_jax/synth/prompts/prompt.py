"""The prompt as data: its text, what it leaves open, and what is asked of the factory."""

from __future__ import annotations

import dataclasses
import enum

from vlsm_jax.twin import Twin


class PromptStyle(enum.Enum):
    """What a prompt says, and how."""

    COMPLETE = "complete"
    """Classes, parameters and connections: the text alone is enough."""
    SKETCH = "sketch"
    """Classes and parameters; the connections are in the sketch only."""
    TERSE = "terse"
    """Key words, abbreviations and lists; looks may be dropped and connections left to the sketch."""
    UNITS = "units"
    """Minutes, hours, rates, centimetres: values to be converted, each of which gives back the exact number."""
    INTENT = "intent"
    """Parameters, and a goal that the factory is to reach."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a factory is asked to achieve: one figure of its run, with a bound.

    Attributes:
      measure: "throughput" (items that leave), "lead time" (of one item, from Source to Sink), "work in process" (items
        in the model, on average) or "utilisation" (share of the time that an object works).
      at_least, at_most: the bound; exactly one of the two is a number.
      per: the unit of time of a rate, such as "hour"; "" where the figure is no rate.
      unit: of the bound, such as "items", "minutes" or "percent".
      object: whose figure it is; "" for that of the whole factory.
    """

    measure: str
    at_least: float | None = None
    at_most: float | None = None
    per: str = ""
    unit: str = ""
    object: str = ""


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A prompt, and what it leaves open.

    Attributes:
      text: what the engineer writes.
      omitted: what the text alone does not determine: "connections", "locations" (they follow from the connections),
        "script style", or "<object>.<Property>" for a parameter.
      goal: what the factory is asked to achieve, None where nothing is asked.
      told: the Twin, its objects in the order in which the text introduces them and its connections in the order in
        which it tells them; connections that it leaves to the sketch are as they were.
    """

    text: str
    omitted: tuple[str, ...] = ()
    goal: Goal | None = None
    told: Twin | None = dataclasses.field(default=None, compare=False, repr=False)
