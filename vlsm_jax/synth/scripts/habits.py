"""Habits: how one engineer writes, whatever the style of the script. They are drawn per script and kept within it."""

from __future__ import annotations

import dataclasses
import enum

import numpy as np


class Naming(enum.Enum):
    """How variables are named."""

    TERSE = "terse"
    """Class and number, the rest in a word: queue2, proc3, obj, prev1, names."""
    CLASS = "class"
    """Class and number, the rest in two words: queue2, processor3, newObj, previousObj1, objectNames."""
    CAMEL = "camel"
    """After the object: pasteBuffer, newObj, previousObj1, objectNames."""
    SNAKE = "snake"
    """After the object: paste_buffer, new_obj, previous_obj1, object_names."""
    SHORT = "short"
    """As few letters as possible: q2, p3."""


class Comments(enum.Enum):
    """How much is commented."""

    NONE = "none"
    SHORT = "short"
    BANNER = "banner"


class Placing(enum.Enum):
    """How an object is put in its place."""

    METHOD = "method"
    """`x.setLocation(1, 2, 0);`"""
    VECTOR = "vector"
    """`x.location = Vec3(1, 2, 0);`"""
    COMMAND = "command"
    """`setloc(x, 1, 2, 0);`"""


class Streams(enum.Enum):
    """How the random stream of a distribution is given."""

    SHARED = "shared"
    """As the end of the code body, in a string variable where it is needed more than once."""
    INLINE = "inline"
    """Written out every time."""
    CURRENT = "current"
    """Taken from `current`, which the code body declares."""
    OMITTED = "omitted"
    """Left to FlexSim."""


@dataclasses.dataclass(frozen=True)
class Habits:
    """What is the same from the first line of a script to the last; the defaults are `PLAIN`.

    Attributes:
      naming: of variables.
      comments: how much is commented.
      indent: what a level of nesting is indented by.
      compact: whether blanks around operators and behind commas are left out.
      brace_below: whether an opening brace has a line of its own.
      declare_first: whether variables are declared before they are assigned: `Object x; x = Object.create("Queue");`.
      grouped: whether declarations share one line: `Object a, b;`. It means something with `declare_first` only.
      creates_first: whether all objects are created before the first one is set.
      placing: how an object is put in its place.
      decimals: whether whole coordinates and times are written with a decimal point: 10.0.
      streams: how the random stream of a distribution is given.
      by_name: whether objects are found by name where the style allows both.
      blank_lines: whether a blank line stands between the blocks of objects.
    """

    naming: Naming = Naming.TERSE
    comments: Comments = Comments.NONE
    indent: str = "  "
    compact: bool = False
    brace_below: bool = False
    declare_first: bool = False
    grouped: bool = False
    creates_first: bool = False
    placing: Placing = Placing.METHOD
    decimals: bool = False
    streams: Streams = Streams.SHARED
    by_name: bool = False
    blank_lines: bool = False


PLAIN = Habits()
"""The shortest and most regular text."""

_NAMING = (Naming.CLASS, Naming.CLASS, Naming.CAMEL, Naming.CAMEL, Naming.SNAKE, Naming.SHORT)
_COMMENTS = (*[Comments.NONE] * 4, *[Comments.SHORT] * 3, Comments.BANNER)
_INDENTS = ("  ", "  ", "    ", "    ", "\t")
_PLACING = (Placing.METHOD, Placing.METHOD, Placing.VECTOR, Placing.VECTOR, Placing.COMMAND)
_STREAMS = (Streams.SHARED, Streams.SHARED, Streams.INLINE, Streams.CURRENT, Streams.OMITTED)


def draw_habits(rng: np.random.Generator) -> Habits:
    """Returns habits drawn one by one; common ones are drawn more often. `Naming.TERSE` is for `PLAIN` only."""
    draws = iter(rng.random(13).tolist())

    def pick(values):
        return values[int(next(draws) * len(values))]

    return Habits(
        naming=pick(_NAMING),
        comments=pick(_COMMENTS),
        indent=pick(_INDENTS),
        compact=next(draws) < 0.25,
        brace_below=next(draws) < 0.2,
        declare_first=next(draws) < 0.2,
        grouped=next(draws) < 0.5,
        creates_first=next(draws) < 0.3,
        placing=pick(_PLACING),
        decimals=next(draws) < 0.2,
        streams=pick(_STREAMS),
        by_name=next(draws) < 0.4,
        blank_lines=next(draws) < 0.35,
    )
