"""Goals that prompts state in words: sentences with a measure, a bound and its direction.

It is no parser of English. A sentence counts where it has all three of them, so that capacities ("up to 10 items"),
arrival rates and distributions, which have bounds as well, are not taken for goals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vlsm_jax.metrics.goals import SECONDS, Goal, GoalError, Measure, scale

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_UNIT_OF_TIME = "|".join(sorted(SECONDS, key=len, reverse=True))
_NUMBER = r"(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)"
_LEAST = (
    r"at least|at a minimum|no less than|not less than|no fewer than|not fewer than|(?:not|never) (?:fall|drop|go|be) "
    r"below|(?:a )?minimum of|more than|>=|≥|>"
)
_MOST = (
    r"at most|no more than|not more than|at or below|(?:not|never) (?:exceed|rise above|be above)|below|less than|"
    r"fewer than|under|within|(?:a )?maximum of|<=|≤|<"
)
_MORE, _LESS = r"\s+or (?:more|higher|above|better)", r"\s+or (?:less|fewer|lower|below)"
_RATE = rf"(?:\s+[a-z][\w-]*(?: [a-z][\w-]*)?)?(?:\s+(?:per|an?|each|every)\s+|\s*/\s*)({_UNIT_OF_TIME})\b"

# What follows the number; its group, where it has one, is a unit of time.
_TAILS = {
    Measure.THROUGHPUT: _RATE,
    Measure.LEAD_TIME: rf"\s*({_UNIT_OF_TIME})\b",
    Measure.WORK_IN_PROCESS: r"(?:\s+(?:item|part|piece|product|unit)s?\b)?()",
    Measure.UTILISATION: r"\s*(?:%|percent\b|per cent\b)()",
}
_BOUNDS = {
    measure: [
        (at_least, re.compile(form, re.IGNORECASE))
        for at_least, words, behind in ((True, _LEAST, _MORE), (False, _MOST, _LESS))
        for form in (rf"(?:{words})\s+{_NUMBER}{tail}", rf"{_NUMBER}{tail}(?:{behind})")
    ]
    for measure, tail in _TAILS.items()
}
_ABOUT = {
    Measure.LEAD_TIME: r"\b(?:lead|flow|throughput) time\b|\btime in (?:the )?system\b|\bfrom source to sink\b|"
    r"\b(?:items|parts) through\b",
    Measure.WORK_IN_PROCESS: r"\bwork in (?:process|progress)\b|\bWIP\b|\bin (?:the system|process)\b",
    Measure.UTILISATION: r"\butili[sz]ation\b|\bbusy\b",
    Measure.THROUGHPUT: r"",
}
_ABOUT_IT = {measure: re.compile(pattern, re.IGNORECASE) for measure, pattern in _ABOUT.items()}
_ARRIVALS = re.compile(r"\b(?:arriv|inter-?arrival|source|releas|creat|generat|suppl)", re.IGNORECASE)
"""Words of sentences whose rates are those of arrivals."""
_CAPACITY = re.compile(r"^(?!.*\bon average\b).*\b(?:holds?|capacity|room|maximum content|limited)\b", re.IGNORECASE)
"""Sentences on how much an object holds, whose name may be "WIP Shelf"."""
_NO_OUTPUT = re.compile(r"^(?!.*\b(?:throughput|output)\b)", re.IGNORECASE | re.DOTALL)
"""Sentences that speak of no output: what they allow at most is somebody's speed."""

_QUOTES = "\"'“”‘’«»`"
_OWNERS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"\butili[sz]ation (?:rate )?of (?P<name>.+?)(?: (?:of|at|is|should|must|has|needs|to|reaches)\b.*)?$",
        r"\b(?:goal|target)\b:? (?P<name>.+?) (?:at|with) an? utili[sz]ation\b",
        r"^(?:we want |keep |let )?(?P<name>.+?) (?:should|must|shall|has to|needs to|is to|to) (?:be|reach|have)\b",
        r"^(?:keep |let )?(?P<name>.+?) (?:at|with) an? utili[sz]ation\b",
    )
)
_MOST_LETTERS = 1000  # of a sentence; what is longer is a listing


def stated_goals(prompt: str) -> tuple[Goal, ...]:
    """Returns the goals that a prompt states, in its order, each once."""
    return tuple(dict.fromkeys(goal for sentence in _SENTENCE.split(prompt) for goal in _goals_in(sentence)))


def goals_of(metadata: Mapping[str, Any], prompt: str = "") -> tuple[Goal, ...]:
    """Returns the goals of a row of a data set: what its `goal` says, or, where there is no such column, its prompt.

    Raises:
      GoalError: the row has a goal that cannot be understood.
    """
    if "goal" not in metadata:
        return stated_goals(prompt)
    stated = metadata["goal"]
    if not stated:
        return ()
    if not isinstance(stated, Mapping):
        raise GoalError(f"goal: {stated!r} is no object with measure and bound")
    return (Goal.from_dict(stated),)


def _goals_in(sentence: str) -> Iterator[Goal]:
    if len(sentence) > _MOST_LETTERS:
        return
    for measure, forms in _BOUNDS.items():
        if not _ABOUT_IT[measure].search(sentence):
            continue
        # Of "no more than" and the "more than" within, the one that begins first is meant.
        found = [(match.start(), at_least, match) for at_least, form in forms if (match := form.search(sentence))]
        behind = 0
        for start, at_least, match in sorted(found, key=lambda entry: entry[0]):
            if start < behind:
                continue
            behind = match.end()
            if measure is Measure.THROUGHPUT and (_ARRIVALS if at_least else _NO_OUTPUT).search(sentence):
                continue
            if measure is Measure.WORK_IN_PROCESS and _CAPACITY.search(sentence):
                continue
            goal = _goal(measure, at_least, match, sentence)
            if goal is not None:
                yield goal
                return


def _goal(measure: Measure, at_least: bool, match: re.Match[str], sentence: str) -> Goal | None:
    number, unit = float(match[1].replace(",", "")), match[2]
    owner = _owner(sentence[: match.start()]) if measure is Measure.UTILISATION else ""
    unit = "%" if measure is Measure.UTILISATION else unit
    units = ("", unit) if measure is Measure.THROUGHPUT else (unit, "")
    try:
        return Goal(measure, at_least, number * scale(measure, *units), owner)
    except GoalError:  # a utilisation of nobody, or of more than all of the time: no goal that could be judged
        return None


def _owner(before: str) -> str:
    for pattern in _OWNERS:
        match = pattern.search(before.strip())
        if match:
            return match["name"].strip().strip(_QUOTES)
    return ""
