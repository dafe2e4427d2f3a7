"""Edits of a script, and what a rule proposes: few characters changed, everything else left as it was written."""

from __future__ import annotations

import bisect
import dataclasses
import difflib
import functools
from collections.abc import Iterator

from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.lexer import NAME, NUMBER, STRING, Tokens, tokenize
from vlsm_jax.flexscript.specials import SPECIAL
from vlsm_jax.flexscript.vocabulary import known_commands
from vlsm_jax.simulator.names import vocabulary


@dataclasses.dataclass(frozen=True, order=True)
class Edit:
    """The characters `start` to `end` of a text become `text`."""

    start: int
    end: int
    text: str


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What a rule would do to a script.

    Attributes:
      edits: that do not overlap.
      rule: short fixed phrase for the kind of mending, such as "spelling".
      reason: for a reader, such as "'Procesor' is read as 'Processor'".
      cost: how unlikely it is to be what was meant; proposals are tried in this order.
    """

    edits: tuple[Edit, ...]
    rule: str
    reason: str
    cost: float

    def apply(self, script: str) -> str:
        """Returns the script with the edits made."""
        for edit in sorted(self.edits, reverse=True):
            script = script[: edit.start] + edit.text + script[edit.end :]
        return script


def propose(start: int, end: int, text: str, rule: str, reason: str, cost: float) -> Proposal:
    """Returns a proposal of a single edit."""
    return Proposal((Edit(start, end, text),), rule, reason, cost)


def unified_diff(before: str, after: str, name: str = "script.fsx") -> str:
    """Returns what separates two scripts as a unified diff; empty where they are equal."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@functools.lru_cache(maxsize=256)
def tokens_of(script: str) -> Tokens:
    """Returns the tokens of a script."""
    return tokenize(SourceText(script))


class View:
    """A script as rules look at it.

    Attributes:
      text: the script.
      tokens: of the text.
      declared: names that stand where a variable is declared, be its type misspelt or not.
    """

    def __init__(self, text: str):
        self.text = text
        self.tokens = tokens_of(text)
        self.kinds, self.texts, self.offsets, *_ = self.tokens
        self.declared = frozenset(_declared(self.texts, self.kinds)) | frozenset(self.tokens.defines)

    @functools.cached_property
    def line_starts(self) -> list[int]:
        """Where each line begins."""
        return SourceText(self.text).line_starts

    def offset(self, line: int, column: int) -> int:
        """Returns the offset of a 1-based line and column."""
        starts = self.line_starts
        return min(len(self.text), starts[min(line, len(starts)) - 1] + column - 1)

    def line_span(self, line: int) -> tuple[int, int]:
        """Returns where a 1-based line begins, and where it ends, its line break included."""
        starts = self.line_starts
        line = min(max(line, 1), len(starts))
        return starts[line - 1], starts[line] if line < len(starts) else len(self.text)

    def end(self, at: int) -> int:
        """Returns where token `at` ends."""
        return self.offsets[at] + len(self.texts[at])

    def between(self, start: int, end: int) -> range:
        """Returns the indices of the tokens that begin in a span of the text."""
        return range(bisect.bisect_left(self.offsets, start), min(bisect.bisect_left(self.offsets, end), self.count))

    @property
    def count(self) -> int:
        """The number of tokens, without the one that ends them."""
        return len(self.kinds) - 1

    def arguments(self, at: int) -> list[tuple[int, int]]:
        """Returns (start, end) in the text of each argument of the call whose opening bracket is token `at`."""
        found, depth, first = [], 0, at + 1
        for index in range(at, self.count):
            text = self.texts[index]
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if depth == 0 or (depth == 1 and text == ","):
                if index > first:
                    found.append((self.offsets[first], self.end(index - 1)))
                first = index + 1
            if depth == 0:
                return found
        return []

    @functools.cached_property
    def habits(self) -> dict[tuple[str, ...], int]:
        """How often each run of four tokens occurs, with what differs from place to place left out."""
        counts: dict[tuple[str, ...], int] = {}
        for gram in _grams([_mask(k, t) for k, t in zip(self.kinds, self.texts, strict=True)]):
            counts[gram] = counts.get(gram, 0) + 1
        return counts

    def strangeness(self, proposal: Proposal) -> float:
        """Returns how many runs of tokens a proposal would make that the script has nowhere else."""
        after = View(proposal.apply(self.text))
        edit = proposal.edits[0]
        first = max(0, after.between(0, edit.start).stop - 4)
        last = min(after.count + 1, after.between(0, edit.start + len(edit.text)).stop + 5)
        masks = [_mask(after.kinds[n], after.texts[n]) for n in range(first, last)]
        return sum(not self.habits.get(gram) for gram in _grams(masks))


def _declared(texts: list[str], kinds: list[str]) -> Iterator[str]:
    """Yields the names that follow a word as a variable follows its type, with those listed behind it."""
    for at in range(1, len(kinds) - 1):
        if kinds[at] != NAME or kinds[at - 1] != NAME or texts[at + 1] not in ("=", ";", ",", ")", "["):
            continue
        yield texts[at]
        depth, index = 0, at + 1
        while index < len(kinds) - 1 and not (depth <= 0 and texts[index] in (";", ")", "{", "}")):
            depth += (texts[index] in ("(", "[")) - (texts[index] in (")", "]"))
            if depth == 0 and texts[index] == "," and kinds[index + 1] == NAME:
                yield texts[index + 1]
            index += 1


def _grams(masks: list[str]) -> list[tuple[str, ...]]:
    return [tuple(masks[n : n + 4]) for n in range(len(masks) - 3)]


@functools.cache
def known_words() -> frozenset[str]:
    """Every word that the language and the simulator know, of whatever kind."""
    words = vocabulary()
    names = {
        *known_commands(),
        *SPECIAL,
        *words.commands,
        *words.constants,
        *words.namespaces,
        *words.types,
        *words.loops,
        *words.elsewhere,
    }
    return frozenset(names | member_words())


@functools.cache
def member_words() -> frozenset[str]:
    """What may stand behind a dot."""
    words = vocabulary()
    found: set[str] = set(words.elsewhere)
    for members in words.members.values():
        found |= {*members.getters, *members.setters, *members.methods}
    for space in words.namespaces.values():
        found |= {*space.methods, *space.properties}
    return frozenset(found) | {name for name in words.types if "." in name}


def _mask(kind: str, text: str) -> str:
    if kind == NAME:
        return text if text in known_words() else "name"
    return kind if kind in (NUMBER, STRING) else text
