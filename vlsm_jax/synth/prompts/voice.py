"""The voice of a prompt: what one writer keeps to from the first word to the last."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.prompts.units import METRES, SECONDS, SPEEDS, Unit
from vlsm_jax.twin import format_number

COUNTS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
)  # fmt: skip
"""The numbers that may be written as words."""

LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "min": ("min", "minimum", "lowest value"),
        "max": ("max", "maximum", "highest value"),
        "mode": ("mode", "most likely value", "peak"),
        "mean": ("mean", "average", "mean value"),
        "deviation": ("standard deviation", "std dev", "sd", "sigma"),
        "scale": ("scale", "scale parameter"),
        "shape": ("shape", "shape parameter"),
        "location": ("location", "offset"),
    }
)
"""What the arguments of distributions are called."""

_QUOTES = (("", ""), ("", ""), ("", ""), ('"', '"'), ("“", "”"), ("'", "'"), ("«", "»"), ("`", "`"))

_CLASS_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "StraightConveyor": "straight conveyor",
        "CurvedConveyor": "curved conveyor",
        "MultiProcessor": "multiprocessor",
        "TaskExecuter": "task executer",
        "AGV": "AGV",
        "ASRSvehicle": "ASRS vehicle",
    }
)


_CLASSES = frozenset(
    (
        *("source", "queue", "processor", "sink", "combiner", "separator", "multiprocessor", "straightconveyor"),
        *("conveyor", "rack", "operator", "taskexecuter", "transporter", "agv", "robot", "crane", "dispatcher"),
        *("elevator", "asrsvehicle", "mergesort", "basicfr", "basicte", "item", "it"),
    )
)


@functools.lru_cache(maxsize=4096)
def stands_out(name: str) -> bool:
    """Whether a name can stand in a sentence without quotes: it has no odd signs and is no word of its own."""
    return is_plain(name) and name.replace(" ", "").lower() not in _CLASSES


@functools.lru_cache(maxsize=4096)
def is_plain(name: str) -> bool:
    """Whether a name has nothing but letters, digits and what may stand between them."""
    return all(c.isalnum() or c in " -&#/" for c in name) and name == name.strip()


@dataclasses.dataclass
class Voice:
    """What a prompt keeps to throughout.

    Attributes:
      dice: chooses between forms.
      second, metre, speed: how the Twin's own units are written.
      quotes: what stands before and after a name.
      labels: what the arguments of distributions are called.
      lower: whether classes are written as common nouns, "task executer" for TaskExecuter.
      words: whether small counts are written as words.
      one_unit: whether the unit of a distribution stands once, after its last argument.
      item: what flows, in the plural.
      named: whether parameters may name what an object is connected to.
      units: whether values are told in other units where these are exact.
    """

    dice: Dice
    second: Unit = SECONDS[0]
    metre: Unit = METRES[0]
    speed: Unit = SPEEDS[0]
    quotes: tuple[str, str] = ("", "")
    labels: Mapping[str, str] = dataclasses.field(default_factory=lambda: {key: v[0] for key, v in LABELS.items()})
    lower: bool = False
    words: bool = False
    one_unit: bool = False
    item: str = "items"
    named: bool = True
    units: bool = False

    @classmethod
    def draw(cls, dice: Dice, *, item: str, named: bool, units: bool) -> Voice:
        """Returns a voice by chance; the item is what flows where the industry says so."""
        return cls(
            dice,
            SECONDS[dice.pick((0, 0, 1, 1, 2))],
            METRES[dice.pick((0, 0, 0, 1, 2))],
            SPEEDS[dice.pick((0, 0, 0, 1))],
            dice.pick(_QUOTES),
            {key: dice.pick(values) for key, values in LABELS.items()},
            dice.chance(0.25),
            dice.chance(0.25),
            dice.chance(0.35),
            item if item and dice.chance(0.4) else dice.pick(("items", "items", "parts")),
            named,
            units,
        )

    def name(self, name: str) -> str:
        """Returns a name, in quotes where without them it could be read as something else."""
        before, after = self.quotes
        if not before and not stands_out(name):
            before = after = '"'
        return f"{before}{name}{after}"

    def number(self, value: float) -> str:
        """Returns a count, in words where this voice does that and the number is small."""
        if self.words and type(value) is int and 0 < value < len(COUNTS):
            return COUNTS[value]
        return format_number(value)

    def count(self, value: float, singular: str, plural: str) -> str:
        """Returns a count with its noun: "1 item", "4 items"."""
        return f"{self.number(value)} {singular if value == 1 else plural}"

    def items(self, value: float) -> str:
        """Returns a number of items."""
        return self.count(value, "item", self.item)

    def cls(self, cls: str, plural: bool = False) -> str:
        """Returns a class in this voice, such as "Processors" or "task executer"."""
        word = (_CLASS_WORDS.get(cls) or cls.lower()) if self.lower else cls
        return f"{word}s" if plural else word

    def measure(self, value: float, unit: Unit) -> str:
        """Returns a number of the Twin with its own unit."""
        return f"{format_number(value)} {unit.singular if value == 1 else unit.plural}"

    def seconds(self, value: float) -> str:
        """Returns a number of seconds with its unit."""
        return self.measure(value, self.second)
