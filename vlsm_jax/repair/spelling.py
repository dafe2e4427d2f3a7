"""How far apart two words are: slips of the keyboard, letters in the wrong case."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable


@functools.lru_cache(maxsize=65536)
def distance(one: str, two: str, most: int = 3) -> int:
    """Returns how many letters have to be put in, taken out, replaced or swapped with their neighbour.

    Letters that differ in case alone count as none; from `most` + 1 on it is not told how many there are.
    """
    if one.lower() == two.lower():
        return 0
    if abs(len(one) - len(two)) > most:
        return most + 1
    a, b = one.lower(), two.lower()
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, char in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (char != other))
            if i > 1 and j > 1 and char == b[j - 2] and a[i - 2] == other:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]


def tolerance(word: str) -> int:
    """Returns how many letters of a word may be wrong for it still to be read as another one."""
    return 1 if len(word) < 5 else 2


_DIGITS = re.compile(r"\d")


def near(word: str, words: Iterable[str], most: int | None = None) -> list[tuple[int, str]]:
    """Returns (distance, word) of the words that one may have been meant to be, nearest first."""
    limit = tolerance(word) if most is None else most
    found, digits = [], _DIGITS.findall(word)
    for other in words:
        # What differs in its number is another thing, not another spelling.
        if other != word and _DIGITS.findall(other) == digits and abs(len(other) - len(word)) <= limit:
            apart = distance(word, other, limit)
            if apart <= limit:
                found.append((apart, other))
    return sorted(found)


@functools.lru_cache(maxsize=16384)
def near_all(word: str, words: frozenset[str]) -> tuple[tuple[int, str], ...]:
    """Does as `near` for words that stay the same from call to call."""
    return tuple(near(word, words))
