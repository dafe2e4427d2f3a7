"""Slips of the pen: now and then a name on a sketch is misspelt, as people do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SHORTEST = 5
"""Letters a word must have before it is misspelt: shorter ones would not be recognised."""


def misspelt(text: str, rng: np.random.Generator) -> str:
    """Returns a text with one letter of one long word swapped with the next, left out or doubled; the same if none is.

    First letters, digits and the last letter stay, so that names remain easy to tell.
    """
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= _SHORTEST and word.isalpha() and word.isascii()]
    if not long:
        return text
    i = long[int(rng.integers(len(long)))]
    word = words[i]
    at = int(rng.integers(1, len(word) - 2))
    kind = int(rng.integers(3))
    if kind == 0:
        changed = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == 1:
        changed = word[:at] + word[at + 1 :]
    else:
        changed = word[: at + 1] + word[at] + word[at + 1 :]
    return " ".join([*words[:i], changed, *words[i + 1 :]])


def spell(names: Sequence[str], rng: np.random.Generator, rate: float) -> dict[str, str]:
    """Returns what is written for the names that are misspelt, each with probability `rate`.

    No two objects get the same text, letter case aside, and none the name of another.
    """
    slips = [i for i, chance in enumerate(rng.random(len(names)).tolist()) if chance < rate]
    if not slips:
        return {}
    taken = {name.casefold() for name in names}
    out: dict[str, str] = {}
    for i in slips:
        text = misspelt(names[i], rng)
        if text.casefold() not in taken:
            taken.add(text.casefold())
            out[names[i]] = text
    return out
