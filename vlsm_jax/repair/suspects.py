"""Words of a script that look misspelt, found without running it, each with what it may have been meant to be.

A label may have any name, and code that never runs is never looked at by a run: what stands here need not be wrong.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from vlsm_jax.flexscript import misnomers
from vlsm_jax.flexscript.lexer import KEYWORDS, NAME, STRING
from vlsm_jax.flexscript.specials import SPECIAL
from vlsm_jax.repair.edits import View, known_words, member_words
from vlsm_jax.repair.spelling import near, near_all
from vlsm_jax.simulator.names import vocabulary

_CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*\(")
_HINTED = re.compile(r"[A-Za-z_]\w*")


class Suspect(NamedTuple):
    """A word that looks misspelt.

    Attributes:
      start: where it stands in the script.
      end: where it ends.
      word: as it is written.
      meant: (cost, word) of what it may have been meant to be, likeliest first.
    """

    start: int
    end: int
    word: str
    meant: tuple[tuple[float, str], ...]


def suspects(view: View) -> list[Suspect]:
    """Returns the words that nobody declared and the language does not know, while it knows one like it."""
    return [*_plain(view), *_in_code(view), *_compared(view)]


def _plain(view: View) -> Iterable[Suspect]:
    for at in range(view.count):
        if view.kinds[at] != NAME:
            continue
        word = view.texts[at]
        behind = view.texts[at - 1] if at else ""
        is_member = behind in (".", "?.")
        if word in (member_words() if is_member else known_words()) or (not is_member and word in view.declared):
            continue
        if (
            is_member
            and at >= 2
            and view.texts[at - 2] in vocabulary().namespaces
            and f"{view.texts[at - 2]}.{word}" in (vocabulary().types)
        ):
            continue
        meant = meanings(view, at)
        if meant:
            yield Suspect(view.offsets[at], view.end(at), word, meant)


def meanings(view: View, at: int, most: int = 6) -> tuple[tuple[float, str], ...]:
    """Returns (cost, word) of what a word of the script may have been meant to be, likeliest first."""
    word = view.texts[at]
    behind = view.texts[at - 1] if at else ""
    ahead, ahead_kind = view.texts[at + 1], view.kinds[at + 1]
    hints: str = ""
    pool: frozenset[str]
    if behind in (".", "?.", ".#"):
        pool = member_words()
        hints = misnomers.METHODS.get(word, "") if ahead == "(" else misnomers.PROPERTIES.get(word, "")
        hints = hints or misnomers.PROPERTIES.get(word, "")
    elif ahead == "(":
        pool = _callable()
        hints = misnomers.COMMANDS.get(word, "")
    elif ahead_kind == NAME or ahead_kind in KEYWORDS or ahead == "{":
        pool = _leading()
        hints = misnomers.TYPES.get(word, "") or misnomers.KEYWORDS.get(word, "")
    else:
        pool = view.declared | _values()
        hints = misnomers.NAMES.get(word, "")
    used = _words(view.text)
    found: dict[str, float] = {}
    for n, hinted in enumerate(_HINTED.findall(hints)):
        if hinted in pool and hinted not in ("use", "for", "if", "or", "and", "return", "while"):
            found.setdefault(hinted, 1.0 + n / 50 - (0.5 if hinted in used else 0))
    for apart, other in near_all(word, pool):
        # A word that the script uses elsewhere is likelier than one of a thousand commands.
        cost = apart - (0.6 if other in used else 0) - (0.2 if other[0] == word[0] else 0)
        found[other] = min(cost, found.get(other, 99.0))
    return tuple(sorted((cost, other) for other, cost in found.items())[:most])


@functools.cache
def _callable() -> frozenset[str]:
    words = vocabulary()
    return frozenset((*words.commands, *SPECIAL, *words.loops, *words.types, *KEYWORDS))


@functools.cache
def _leading() -> frozenset[str]:
    return frozenset((*vocabulary().types, *KEYWORDS))


@functools.cache
def _values() -> frozenset[str]:
    words = vocabulary()
    return frozenset((*words.constants, *words.namespaces, *KEYWORDS))


def _in_code(view: View) -> Iterable[Suspect]:
    """Commands in strings that are code."""
    known = known_words() | view.declared
    for at in range(view.count):
        text = view.texts[at]
        if view.kinds[at] != STRING or ("return" not in text and ";" not in text):
            continue
        for match in _CALLED.finditer(text):
            word = match[1]
            if word in known or word in KEYWORDS:
                continue
            meant = tuple(_commands_like(word))
            if meant:
                start = view.offsets[at] + match.start(1)
                yield Suspect(start, start + len(word), word, meant)


@functools.lru_cache(maxsize=4096)
def _commands_like(word: str) -> list[tuple[float, str]]:
    words = vocabulary()
    hinted = [(1.0, h) for h in _HINTED.findall(misnomers.COMMANDS.get(word, "")) if h in words.commands]
    likely = [(a - (0.5 if o in _DISTRIBUTIONS else 0), o) for a, o in near_all(word, _callable())]
    return sorted(dict.fromkeys([*hinted, *likely]))[:6]


def _compared(view: View) -> Iterable[Suspect]:
    """Texts that are compared with, and that stand nowhere else: the comparison never holds."""
    texts = [view.texts[at] for at in range(view.count) if view.kinds[at] == STRING]
    for at in range(1, view.count):
        text = view.texts[at]
        beside = {view.texts[at - 1], view.texts[at + 1]} & {"==", "!="}
        if view.kinds[at] == STRING and beside and len(text) > 4 and texts.count(text) == 1:
            meant = [(float(apart), f'"{other}"') for apart, other in near(text[1:-1], {t[1:-1] for t in texts})]
            if meant:
                yield Suspect(view.offsets[at], view.end(at), text, tuple(meant[:4]))


_DISTRIBUTIONS = frozenset(
    (
        *("exponential", "normal", "uniform", "triangular", "gamma", "weibull", "lognormal", "lognormalmeanstdev"),
        *("poisson", "duniform", "bernoulli", "beta", "erlang", "empirical", "getstream", "ownerobject", "param"),
    )
)


@functools.lru_cache(maxsize=64)
def _words(text: str) -> frozenset[str]:
    return frozenset(_HINTED.findall(text))
