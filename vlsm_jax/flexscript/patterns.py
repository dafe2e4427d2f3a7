"""Regular expressions of scripts: ECMA syntax, run with a time limit, so that no pattern can hang the emulator."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import regex

from vlsm_jax.flexscript.conversions import MAX_ITEMS, ValueType, bounded_text
from vlsm_jax.flexscript.faults import Fault, OutOfBudget

MAX_PATTERN = 500
MAX_REPEATS = 10_000
"""Counts such as `{3,5}` may multiply to this: nested ones unfold when the pattern is compiled."""

SECONDS = 0.25
"""Of wall-clock time for all the work of one method call."""

_GROUP = re.compile(r"\?(?::|=|!|<=|<!|<[A-Za-z_]\w*>)", re.ASCII)
_BACK_REFERENCE = re.compile(r"\\k<([A-Za-z_]\w*)>", re.ASCII)
_COUNT = re.compile(r"\{\d{1,4}(?:,\d{0,4})?\}", re.ASCII)
_REPLACEMENT = re.compile(r"\$(?:(\$)|(&)|(\d{1,2})|<(\w+)>)", re.ASCII)


class Pattern(ValueType):
    """A regular-expression literal, which only methods of strings take.

    Attributes:
      source: the text between the slashes.
      every: whether the flag g asks for all matches instead of the first.
      ignore_case: whether the flag i is set.
    """

    __slots__ = ("every", "ignore_case", "source")
    type_name = "RegExp"

    def __init__(self, source: str, flags: str = ""):
        self.source = source
        self.every = "g" in flags
        self.ignore_case = "i" in flags

    def __str__(self) -> str:
        return f"/{self.source}/{'g' * self.every}{'i' * self.ignore_case}"

    def find(self, text: str) -> Any:
        """Returns the first match object, None where there is none; raises `Fault`."""
        return next(self.matches(text), None)

    def matches(self, text: str) -> Iterator[Any]:
        """Yields match objects from left to right; raises `Fault` for a pattern that is not one, or a slow one."""
        found = 0
        try:
            for match in compiled(self.source, self.ignore_case).finditer(text, timeout=SECONDS):
                found += 1
                if found > MAX_ITEMS:
                    raise OutOfBudget(f"the pattern {self} matches more than {MAX_ITEMS} times")
                yield match
        except TimeoutError:
            hint = "simplify the pattern; nested repetition such as (a+)+ is slow"
            raise OutOfBudget(f"the pattern {self} took more than {SECONDS:g} s", hint=hint) from None

    def replaced(self, text: str, replacement: str) -> str:
        """Returns the text with the first match, or with the flag g every match, replaced.

        In the replacement `$1` stands for a group, `$<name>` for a named one, `$&` for the match, `$$` for a dollar.
        """
        parts: list[str] = []
        end = length = 0
        for match in self.matches(text):
            parts += (text[end : match.start()], _expanded(match, replacement))
            length += len(parts[-1]) + len(parts[-2])
            if length > len(text):
                bounded_text(parts[-1] * (length // max(1, len(parts[-1]))))
            end = match.end()
            if not self.every:
                break
        return bounded_text("".join((*parts, text[end:])))

    def split(self, text: str) -> list[str]:
        """Returns the parts between matches."""
        parts: list[str] = []
        end = 0
        for match in self.matches(text):
            if match.end() > match.start():
                parts.append(text[end : match.start()])
                end = match.end()
        return [*parts, text[end:]]


def _expanded(match: Any, replacement: str) -> str:
    def part(token: re.Match) -> str:
        dollar, whole, number, name = token.groups()
        if dollar:
            return "$"
        if whole:
            return match[0]
        group = int(number) if number else name
        try:
            return match[group] or ""
        except IndexError:
            return token[0]

    return bounded_text(_REPLACEMENT.sub(part, replacement)) if "$" in replacement else replacement


@functools.lru_cache(maxsize=256)
def compiled(source: str, ignore_case: bool) -> Any:
    """Returns a pattern of ECMA syntax, compiled; raises `Fault` where it is not well formed."""
    if len(source) > MAX_PATTERN:
        raise Fault(f"a regular expression has more than {MAX_PATTERN} characters", code="regular expression")
    flags = regex.V0 | regex.ASCII | (regex.IGNORECASE if ignore_case else 0)
    repeats = 1
    for count in _COUNT.finditer(source):
        repeats *= max(1, *(int(number) for number in re.findall(r"\d+", count[0])))
    if repeats > MAX_REPEATS:
        message = f"the counts of a regular expression multiply to more than {MAX_REPEATS}"
        raise Fault(message, code="regular expression", hint="use * or +")
    try:
        return regex.compile(_translated(source), flags)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise Fault(f"/{source}/ is not a regular expression: {error}", code="regular expression") from None


def _translated(source: str) -> str:
    """Returns an ECMA pattern in the words of the library; what only the library knows is refused or made literal."""
    parts: list[str] = []
    at = 0
    in_class = False
    while at < len(source):
        char = source[at]
        if char == "\\":
            following = source[at + 1 : at + 2]
            named = _BACK_REFERENCE.match(source, at)
            if named:
                parts.append(f"(?P={named[1]})")
                at = named.end()
                continue
            # Escapes of letters that ECMA does not define stand for the letter itself.
            known = following.isdigit() or not following.isalpha() or following in "bBdDwWsSnrtfvxuc"
            parts.append(char + following if known else following)
            at += 2
            continue
        if in_class:
            in_class = char != "]"
            parts.append("\\[" if char == "[" else char)
        elif char == "[":
            if source.startswith("[^]", at):
                parts.append(r"(?s:.)")
                at += 3
                continue
            in_class = True
            parts.append(char)
        elif char == "(" and source[at + 1 : at + 2] in ("?", "*"):
            if not _GROUP.match(source, at + 1):
                raise Fault(f"/{source}/ is not a regular expression: unknown group", code="regular expression")
            parts.append(char)
        elif char == "{" and not _COUNT.match(source, at):
            parts.append("\\{")
        elif char == "$":
            parts.append(r"\Z")
        else:
            parts.append(char)
        at += 1
    return "".join(parts)
