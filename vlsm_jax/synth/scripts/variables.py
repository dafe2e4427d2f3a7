"""Names of variables: identifiers that clash with nothing FlexScript knows, in the manner of the writer."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType

from vlsm_jax.flexscript.lexer import KEYWORDS
from vlsm_jax.flexscript.vocabulary import known_commands
from vlsm_jax.simulator.names import vocabulary
from vlsm_jax.synth.scripts.habits import Naming
from vlsm_jax.twin import Twin

LONGEST = 28

_SHORT_CLASSES = MappingProxyType({
    "Source": "src", "Queue": "q", "Processor": "p", "Sink": "snk", "Combiner": "cmb", "Separator": "sep",
    "MultiProcessor": "mp", "StraightConveyor": "cv", "Rack": "rk", "Operator": "op", "TaskExecuter": "te",
    "Transporter": "tr", "AGV": "agv", "Robot": "rb", "Crane": "crn", "Dispatcher": "dsp",
})  # fmt: skip

_WORDS = MappingProxyType({
    # what is named: terse, long (camel), short
    "object": ("obj", "newObj", "ob"),
    "previous": ("prev", "previousObj", "pv"),
    "names": ("names", "objectNames", "nm"),
    "classes": ("classes", "objectClasses", "cl"),
    "x": ("xs", "xPositions", "px"),
    "y": ("ys", "yPositions", "py"),
    "z": ("zs", "zPositions", "pz"),
    "links": ("links", "connections", "con"),
    "objects": ("objs", "allObjects", "obs"),
    "stream end": ("end", "streamEnd", "se"),
    "rows": ("rows", "objectRows", "rws"),
    "row": ("row", "objectRow", "rw"),
    "widths": ("widths", "stageWidths", "wd"),
    "before": ("before", "previousStage", "bf"),
    "stage": ("stage", "currentStage", "st"),
    "lane": ("lane", "laneNumber", "ln"),
})  # fmt: skip


@functools.cache
def reserved() -> frozenset[str]:
    """Returns, in lower case, what no variable should be called: commands, types, namespaces, constants, keywords."""
    words = vocabulary()
    known = (words.commands, words.constants, words.namespaces, words.types, known_commands(), KEYWORDS)
    more = ("c", "i", "k", "s", "int", "double", "string", "void", "null", "true", "false", "current", "item")
    return frozenset(word.lower() for group in (*known, more) for word in group)


def snake(camel: str) -> str:
    """Returns a camelCase word in snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", camel).lower()


@functools.cache
def class_word(cls: str) -> str:
    """Returns a class as the beginning of a variable: "taskExecuter", "agv"; "object" for what has no letters."""
    letters = "".join(c for c in cls if c.isascii() and c.isalpha()) or "object"
    return letters.lower() if letters.isupper() else letters[0].lower() + letters[1:]


_TERSE_CLASSES = MappingProxyType({"Processor": "proc"})


class Variables:
    """Hands out variables; none is given twice, and none differs from another by case alone."""

    def __init__(self, naming: Naming):
        self.naming = naming
        self._taken: set[str] = set()

    def fresh(self, wish: str) -> str:
        """Returns `wish`, or with the first number behind it under which it is free."""
        key = wish.lower()
        if key not in self._taken and (self.naming is Naming.TERSE or key not in reserved()):
            self._taken.add(key)
            return wish
        number = 1
        while f"{key}{number}" in self._taken:
            number += 1
        self._taken.add(f"{key}{number}")
        return f"{wish}{number}"

    def word(self, what: str) -> str:
        """Returns the variable for something every script of a style has, such as "names" or "previous"."""
        terse, long, short = _WORDS[what]
        if self.naming is Naming.TERSE:
            return self.fresh(terse)
        if self.naming is Naming.SHORT:
            return self.fresh(short)
        return self.fresh(self.joined(long))

    def joined(self, camel: str) -> str:
        """Returns a camelCase word in the manner of the writer."""
        return snake(camel) if self.naming is Naming.SNAKE else camel

    def of_class(self, cls: str) -> str:
        """Returns how variables of a class begin."""
        if self.naming is Naming.SHORT:
            return _SHORT_CLASSES.get(cls) or class_word(cls)[:3]
        if self.naming is Naming.TERSE and cls in _TERSE_CLASSES:
            return _TERSE_CLASSES[cls]
        return self.joined(class_word(cls))

    def of_objects(self, twin: Twin) -> dict[str, str]:
        """Returns a variable for each object, by the object's name."""
        if self.naming in (Naming.CAMEL, Naming.SNAKE):
            return {obj.name: self.fresh(self._after(obj.name, obj.cls)) for obj in twin.objects}
        counts: dict[str, int] = {}
        out = {}
        for obj in twin.objects:
            word = self.of_class(obj.cls)
            counts[word] = counts.get(word, 0) + 1
            out[obj.name] = self.fresh(f"{word}{counts[word]}")
        return out

    def _after(self, name: str, cls: str) -> str:
        parts = re.findall(r"[A-Za-z0-9]+", name, re.ASCII)
        if not parts or not parts[0][0].isalpha():
            parts = [class_word(cls), *parts]
        if self.naming is Naming.SNAKE:
            return "_".join(parts).lower()[:LONGEST].rstrip("_")
        first = parts[0].lower() if parts[0].isupper() else parts[0][0].lower() + parts[0][1:]
        return (first + "".join(part[0].upper() + part[1:] for part in parts[1:]))[:LONGEST]


def variable_names(twin: Twin) -> Mapping[str, str]:
    """Returns a variable for each object name as `PLAIN` habits have it: "queue2", "proc3"."""
    return Variables(Naming.TERSE).of_objects(twin)
