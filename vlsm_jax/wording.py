"""How prompts write names and classes: what stands in quotes, ranges such as "Press 1 to 3", words for classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

CLASSES: Mapping[str, str] = MappingProxyType(
    {
        **{
            name.lower(): name
            for name in (
                *("Source", "Queue", "Processor", "Sink", "Combiner", "Separator", "MultiProcessor", "Rack"),
                *("StraightConveyor", "Operator", "Transporter", "AGV", "Robot", "Crane", "Dispatcher", "TaskExecuter"),
            )
        },
        "straight conveyor": "StraightConveyor",
        "conveyor": "StraightConveyor",
        "task executer": "TaskExecuter",
        # Of terse prompts.
        "src": "Source",
        "q": "Queue",
        "proc": "Processor",
        "comb": "Combiner",
        "sep": "Separator",
        "multiproc": "MultiProcessor",
        "straight conv": "StraightConveyor",
        "op": "Operator",
        "te": "TaskExecuter",
    }
)
"""The class that a word stands for, in small letters and the singular; classes without what is before a "::"."""

QUOTED = re.compile(
    r"\"([^\"\n]{2,60})\"|“([^”\n]{2,60})”|(?<!\w)'([^'\n]{2,60})'(?!\w)|«([^»\n]{2,60})»|`([^`\n]{2,60})`"
)
"""A text in quotes; of its groups one has what stands between them."""

_RANGE = re.compile(r"([A-Z][^\n.,;:]{1,40}?[ _-]?)(\d{1,2}) (?:to|through) (?:\1)?(\d{1,2})(?![\w.%])")
_NO_NAMES = ("The", "Create", "Add", "Set", "Use", "Place")


def spell_out(text: str) -> str:
    """Returns a text with "Press 1, Press 2, Press 3" for "Press 1 to 3"; other ranges stay as they are."""
    return _RANGE.sub(_spelt, text)


def _spelt(match: re.Match[str]) -> str:
    stem, first, last = match[1], int(match[2]), int(match[3])
    words = stem.split()
    while words and (words[0][0].islower() or words[0] in _NO_NAMES):
        words.pop(0)
    if not words or not 0 < last - first < 20 or any(word[0].islower() for word in words):
        return match[0]
    name = " ".join(words) + stem[len(stem.rstrip()) :]
    return stem[: stem.rfind(words[0])] + ", ".join(f"{name}{n}" for n in range(first, last + 1))
