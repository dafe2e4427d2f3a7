"""Names that a model knows by heart, lent to prompts while it writes.

A model that has learnt the names of its training, and not to copy, writes what is called otherwise under names that it
knows. So where a prompt has names that it does not know, each is lent one that it does, of the same class and from one
vocabulary, in the order in which stations of that kind follow one another: the model reads a factory of a kind that it
has learnt. What it writes gets the prompt's own names back (`Placeholders.restore`).

The vocabularies lie beside the model's tokenizer, in `known_names.json`; `vlsm_jax.synth.vocabularies` writes those of
the generator's industries.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from vlsm_jax.data.placeholders import Placeholders, read_names, whole_names
from vlsm_jax.wording import CLASSES

FILE = "known_names.json"

_NUMBER = re.compile(r"[ _#-]*\d+$")  # lanes of a line share a name and differ in their number
STEP = "step"
"""What a process of a MultiProcessor is in place of a class: its names are lent, too."""

_TIMED = re.compile(r" \(\d[\d.]* ?[a-z]*\)")  # "Ink Transfer (10 sec)"
_BEFORE_NAME = re.compile(r"[ \"'“«`(]{1,2}")
_STEM = 5  # letters that "Inspector" and "Inspection" share
_FARTHEST = 100  # letters between a name and the word that says its class
# "2 operators", "setup ops: 1": what a station needs is no object.
_COUNTED_BEFORE = re.compile(r"(?:\d+|one|two|three|four|set-?up|process) $", re.IGNORECASE)
_COUNTED_AFTER = re.compile(r"(?:\(s\))?:? ?=? ?\d")
_CLASS = re.compile(
    rf"(?<![\w-])({'|'.join(map(re.escape, sorted(CLASSES, key=len, reverse=True)))})s?(?![\w-])", re.IGNORECASE
)


def _alike(name: str, other: str) -> int:
    """Returns how many words two names share by their first letters; the last, which says what it is, counts twice."""
    one, two = ([word[:_STEM] for word in text.lower().split()] for text in (name, other))
    return len({*one} & {*two}) + (one[-1:] == two[-1:])


class KnownNamesError(ValueError):
    """A file of known names that is none; the message says which, and what to do."""


class Station(NamedTuple):
    """A name with a place in the order of its vocabulary.

    Attributes:
      name: what it is.
      cls: class of the objects that are called so, as `wording.CLASSES` has it.
      supplies: what the Sources are called that feed it besides the line.
    """

    name: str
    cls: str
    supplies: tuple[str, ...] = ()


class Line(NamedTuple):
    """Objects that share a name and a class, and differ in their number.

    Attributes:
      name: without the number.
      cls: as in `Station`.
    """

    name: str
    cls: str


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Names that go together, such as those of an industry.

    Attributes:
      stations: in the order in which they follow one another.
      others: by class, names that may stand anywhere.
    """

    stations: tuple[Station, ...]
    others: Mapping[str, tuple[str, ...]]

    @functools.cached_property
    def classes(self) -> Mapping[str, str]:
        """The class of each name."""
        found = {name: cls for cls, names in self.others.items() for name in names}
        found |= {supply: "Source" for station in self.stations for supply in station.supplies}
        return found | {station.name: station.cls for station in self.stations}

    def lent(self, objects: Sequence[Line], taken: Set[str] = frozenset()) -> dict[Line, str | None]:
        """Returns a name of this vocabulary for each of some objects; None where there is none left.

        What is known under its own name keeps it; other names that are `taken` are not lent.
        """
        lent: dict[Line, str | None] = {line: line.name for line in objects if line.name in self.classes}
        placed = self._in_order([line for line in objects if line not in lent], taken)
        lent |= {line: station.name for line, station in placed.items()}
        gone = {*taken, *lent.values()}
        supplies = [supply for station in placed.values() for supply in station.supplies]
        for line in objects:
            if line not in lent:
                free = [*self.others.get(line.cls, ()), *(s.name for s in self.stations if s.cls == line.cls)]
                if line.cls == "Source":  # the line's own first, then those of what is added to it
                    free[1:1] = supplies
                # A class is written in other places of a script, too, where it is no name.
                free = [other for other in free if other not in gone and other.lower() not in CLASSES]
                lent[line] = max(free, key=lambda other: _alike(line.name, other), default=None)
                gone.add(lent[line])
        return lent

    def _in_order(self, objects: Sequence[Line], taken: Set[str]) -> dict[Line, Station]:
        """Returns stations for as many objects as possible, both in their order, of names that are alike."""
        free = [station for station in self.stations if station.name not in taken]
        gain = [[(s.cls == line.cls) * (1 + _alike(line.name, s.name) / 8) for s in free] for line in objects]
        # best[i][j]: the most that objects from i on can have of the stations from j on, by the first of these.
        best = [[0.0] * (len(free) + 1) for _ in range(len(objects) + 1)]
        for i in reversed(range(len(objects))):
            for j in reversed(range(len(free))):
                both = best[i + 1][j + 1] + gain[i][j] if gain[i][j] else 0.0
                best[i][j] = max(best[i + 1][j], best[i][j + 1], both)
        found, i, j = {}, 0, 0
        while i < len(objects) and j < len(free):
            if gain[i][j] and best[i][j] == best[i + 1][j + 1] + gain[i][j]:
                found[objects[i]] = free[j]
                i, j = i + 1, j + 1
            elif best[i][j] == best[i + 1][j]:
                i += 1
            else:
                j += 1
        return found


@dataclasses.dataclass(frozen=True)
class KnownNames:
    """All vocabularies of a model."""

    vocabularies: tuple[Vocabulary, ...]

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """Every name of them."""
        return frozenset().union(*(vocabulary.classes for vocabulary in self.vocabularies))

    def lend(self, prompt: str) -> Placeholders:
        """Returns a prompt with known names in the place of its own; as it is where it has no others.

        Of the vocabularies that one is lent from that has the most of the prompt's names, then names for the most
        objects, then those that are most alike. A name whose class the prompt does not say, or for which no name is
        left, stays.
        """
        text, names = read_names(prompt)
        written = {name for name in self.names if name in text}
        # "Flash" and "Charge" are no names where "Flash and Charge" is known to be one.
        pairs = [name for name in written if re.search(" [a-z]", name)]
        lines: dict[Line, list[str]] = {}
        for name, cls in said_classes(text, names).items():
            if not any(name in pair for pair in pairs):
                lines.setdefault(Line(_NUMBER.sub("", name) or name, cls), []).append(name)
        if all(line.name in self.names for line in lines):
            return Placeholders(prompt, {})

        def fitting(lent: Mapping[Line, str | None]) -> tuple[int, int, int]:
            found = {line.name: name for line, name in lent.items() if name is not None}
            return sum(map(str.__eq__, found, found.values())), len(found), sum(map(_alike, found, found.values()))

        chosen = max((vocabulary.lent([*lines], written) for vocabulary in self.vocabularies), key=fitting)
        whole: dict[str, str] = {}
        for line, members in lines.items():
            if chosen[line] and chosen[line] != line.name:
                numbers = [f" {n}" for n in range(1, len(members) + 1)] if len(members) > 1 else [""]
                whole |= {name: chosen[line] + number for name, number in zip(members, numbers, strict=True)}
        text = whole_names(whole).sub(lambda match: whole[match[0]], text) if whole else text
        return Placeholders(
            text, {lent: name for name, lent in whole.items()}, tuple(n for n in names if n not in whole)
        )

    def to_json(self) -> dict[str, Any]:
        """Returns what `KnownNames.from_json` takes."""
        return {
            "vocabularies": [
                {"stations": [[s.name, s.cls, *s.supplies] for s in v.stations], "others": dict(v.others)}
                for v in self.vocabularies
            ]
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> KnownNames:
        """Returns vocabularies from a file's object.

        Raises:
          ValueError, TypeError, KeyError: it is none.
        """
        known = {*CLASSES.values(), STEP}
        vocabularies = []
        for each in value["vocabularies"]:
            stations = tuple(Station(name, of, tuple(supplies)) for name, of, *supplies in each["stations"])
            others = {of: tuple(names) for of, names in each["others"].items()}
            strange = ({station.cls for station in stations} | set(others)) - known
            if strange:
                raise ValueError(f"there is no class {sorted(strange)[0]!r}; choose {', '.join(sorted(known))}")
            vocabularies.append(Vocabulary(stations, others))
        return cls(tuple(vocabularies))


def said_classes(prompt: str, names: Iterable[str]) -> dict[str, str]:
    """Returns the class of each name that a prompt says it of: that of the word nearest to it in a sentence.

    A name with a time in brackets behind it is a `STEP`, in a prompt that has a MultiProcessor.
    """
    names = list(names)
    if not names:
        return {}
    pattern = whole_names(names)
    without = pattern.sub(lambda match: "\0" * len(match[0]), prompt)
    words = [
        (match.start(), match.end(), CLASSES[match[1].lower()])
        for match in _CLASS.finditer(without)
        if CLASSES[match[1].lower()] != "Operator"
        or not (_COUNTED_BEFORE.search(without[: match.start()]) or _COUNTED_AFTER.match(without, match.end()))
    ]
    nearest: dict[str, tuple[int, str]] = {}
    mentions, has_steps = list(pattern.finditer(prompt)), "multiproc" in prompt.lower()
    # "the source Bin": nobody else's.
    in_front = {
        end
        for match in mentions
        for _, end, _ in words
        if _BEFORE_NAME.fullmatch(without[end : match.start()]) and prompt[end - 1] != "s"
    }
    for match in mentions:
        if has_steps and _TIMED.match(prompt, match.end()):
            nearest[match[0]] = (0, STEP)
        for start, end, cls in words:
            if end in in_front and not _BEFORE_NAME.fullmatch(without[end : match.start()]):
                continue
            gap = without[match.end() : start] if start >= match.end() else without[end : match.start()]
            if len(gap) < _FARTHEST and not re.search(r"[.;] |\n", gap):
                nearest[match[0]] = min(nearest.get(match[0], (_FARTHEST, "")), (len(gap), cls))
    return {name: nearest[name][1] for name in names if name in nearest}


def find_known_names(folder: Path) -> KnownNames | None:
    """Returns the vocabularies of a tokenizer's folder; None where it has none.

    Raises:
      KnownNamesError: the file is not as it should be.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return KnownNames.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise KnownNamesError(
            f'{path}: not an object with "vocabularies" of "stations" and "others" ({error}); without it names that '
            "the model does not know are lent none"
        ) from error
