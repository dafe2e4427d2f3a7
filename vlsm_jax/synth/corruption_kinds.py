"""The kinds of single faults that scripts are given: each lists the places of a text that it could spoil, and how.

A kind is a function of a `Written` script and a generator; it returns one `Change`, or None where the script has no
place for it. What a change does to the script is for `corruptions` to find out.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.lexer import KEYWORDS, NAME, NUMBER, STRING, Tokens, tokenize
from vlsm_jax.simulator.library import classes
from vlsm_jax.simulator.names import vocabulary
from vlsm_jax.twin import Twin


class Change(NamedTuple):
    """A fault: the characters `start` to `end` of a script become `text`."""

    start: int
    end: int
    text: str


class Written:
    """A script with its tokens, the Twin that it builds, and the prompt that it was written for.

    Attributes:
      text: the script.
      twin: what it builds.
      prompt: of the factory.
      tokens: of the text, as the lexer finds them.
      declared: the names of its variables.
    """

    def __init__(self, text: str, twin: Twin, prompt: str):
        self.text, self.twin, self.prompt = text, twin, prompt
        self.tokens: Tokens = tokenize(SourceText(text))
        types = vocabulary().types
        names, kinds = self.tokens.texts, self.tokens.kinds
        pairs = zip(names, names[1:], kinds[1:], strict=False)
        self.declared = frozenset(name for kind, name, what in pairs if kind in types and what == NAME)

    def places(self, kind: str) -> Iterator[int]:
        """Yields the indices of the tokens of a kind."""
        return (at for at, found in enumerate(self.tokens.kinds) if found == kind)

    def change(self, at: int, text: str, last: int | None = None) -> Change:
        """Returns the change of the tokens from index `at` to `last`, inclusive."""
        last = at if last is None else last
        return Change(self.tokens.offsets[at], self.tokens.offsets[last] + len(self.tokens.texts[last]), text)

    def around(self, at: int) -> tuple[str, str]:
        """Returns the texts of the tokens before and behind one."""
        texts = self.tokens.texts
        return texts[at - 1] if at else "", texts[at + 1] if at + 1 < len(texts) else ""

    def arguments(self, at: int) -> list[tuple[int, int]]:
        """Returns (first, last) token index of each argument of the call whose opening bracket is token `at`."""
        found, depth, first = [], 0, at + 1
        for index in range(at, len(self.tokens.kinds)):
            text = self.tokens.texts[index]
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if depth == 0 or (depth == 1 and text == ","):
                if index > first:
                    found.append((first, index - 1))
                first = index + 1
            if depth == 0:
                return found
        return []

    def source(self, span: tuple[int, int]) -> str:
        """Returns the text of the tokens from the first to the last of a span."""
        first, last = span
        return self.text[self.tokens.offsets[first] : self.tokens.offsets[last] + len(self.tokens.texts[last])]


Rng = np.random.Generator
Kind = Callable[[Written, Rng], Change | None]


def pick(places: Sequence, rng: Rng):
    """Returns one of several, or None where there are none."""
    return places[int(rng.integers(len(places)))] if places else None


# --- Spelling ---------------------------------------------------------------------------------------------------------

_NEIGHBOURS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuioplsdfghjkkxcvbnmn", strict=False))


def typo(word: str, rng: Rng) -> str:
    """Returns a word of at least three letters with one slip of the keyboard behind its first letter."""
    letters = [n for n in range(1, len(word)) if word[n].isalpha()]
    if not letters:
        return word
    at = int(pick(letters, rng))
    match int(rng.integers(4)):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + word[at] + word[at:]
        case 2 if at + 1 < len(word) and word[at + 1].isalpha():
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case _:
            return word[:at] + _NEIGHBOURS.get(word[at], "e") + word[at + 1 :]


def _misspelt(script: Written, at: int | None, rng: Rng, quotes: str = "") -> Change | None:
    if at is None:
        return None
    word = script.tokens.texts[at]
    inside = word[1:-1] if quotes else word
    return script.change(at, f"{quotes}{typo(inside, rng)}{quotes}") if len(inside) > 2 else None


def _calls(script: Written) -> list[int]:
    known = vocabulary().commands
    return [at for at in script.places(NAME) if script.tokens.texts[at] in known and script.around(at)[1] == "("
            and script.around(at)[0] != "."]  # fmt: skip


def _members(script: Written) -> list[int]:
    return [at for at in script.places(NAME) if script.around(at)[0] == "." and len(script.tokens.texts[at]) > 3]


def _types(script: Written) -> list[int]:
    types = vocabulary().types
    return [at for at in script.places(NAME) if script.tokens.texts[at] in types
            and script.around(at)[1] in script.declared]  # fmt: skip


def _uses(script: Written) -> list[int]:
    types = vocabulary().types
    return [at for at in script.places(NAME) if script.tokens.texts[at] in script.declared
            and len(script.tokens.texts[at]) > 2 and script.around(at)[0] not in types
            and script.around(at)[0] != "."]  # fmt: skip


def _strings(script: Written, known: Callable[[str], bool]) -> list[int]:
    return [at for at in script.places(STRING) if known(script.tokens.texts[at][1:-1])]


@functools.cache
def _property_names() -> frozenset[str]:
    return frozenset(name for info in classes().values() for name in (*info.properties, *info.variables))


@functools.cache
def _class_names() -> frozenset[str]:
    return frozenset(variant for name in classes() for variant in (name, f"?{name}", f"Conveyor::{name}"))


def command(script: Written, rng: Rng) -> Change | None:
    """A misspelt command."""
    return _misspelt(script, pick(_calls(script), rng), rng)


def member(script: Written, rng: Rng) -> Change | None:
    """A misspelt method or property behind a dot."""
    return _misspelt(script, pick(_members(script), rng), rng)


def type_word(script: Written, rng: Rng) -> Change | None:
    """A misspelt type of a declaration."""
    return _misspelt(script, pick(_types(script), rng), rng)


def keyword(script: Written, rng: Rng) -> Change | None:
    """A misspelt keyword."""
    places = [at for at, kind in enumerate(script.tokens.kinds) if kind in KEYWORDS and len(kind) > 2]
    return _misspelt(script, pick(places, rng), rng)


def variable(script: Written, rng: Rng) -> Change | None:
    """A misspelt use of a variable that is declared elsewhere."""
    return _misspelt(script, pick(_uses(script), rng), rng)


def property_name(script: Written, rng: Rng) -> Change | None:
    """A misspelt property or variable of an object."""
    return _misspelt(script, pick(_strings(script, _property_names().__contains__), rng), rng, '"')


def class_name(script: Written, rng: Rng) -> Change | None:
    """A misspelt class."""
    return _misspelt(script, pick(_strings(script, _class_names().__contains__), rng), rng, '"')


def reference(script: Written, rng: Rng) -> Change | None:
    """A misspelt name of an object where it is looked up; the script has the name elsewhere as well."""
    names = [script.tokens.texts[at] for at in script.places(STRING)]
    seen: set[str] = set()
    places = []
    for at in script.places(STRING):
        text = script.tokens.texts[at]
        is_name = text[1:-1] in script.twin.by_name and text[1:-1] not in _class_names()
        if is_name and names.count(text) > 1 and text in seen:
            places.append(at)
        seen.add(text)
    return _misspelt(script, pick(places, rng), rng, '"')


def distribution(script: Written, rng: Rng) -> Change | None:
    """A misspelt command in a code body."""
    places = [at for at in script.places(STRING) if re.match(r'"(?:.*;\s*)?return [a-z]\w+\(', script.tokens.texts[at])]
    at = pick(places, rng)
    if at is None:
        return None
    found = re.search(r"return ([a-z]\w+)\(", script.tokens.texts[at])
    start = script.tokens.offsets[at] + found.start(1)
    return Change(start, start + len(found[1]), typo(found[1], rng))


def letter_case(script: Written, rng: Rng) -> Change | None:
    """A word in the wrong case."""
    at = pick([*_calls(script), *_members(script), *_types(script), *_uses(script)], rng)
    if at is None:
        return None
    word = script.tokens.texts[at]
    choices = {word.lower(), word[0].upper() + word[1:], word[0].lower() + word[1:]} - {word}
    choices = {choice for choice in choices if choice not in script.declared}
    return script.change(at, pick(sorted(choices), rng)) if choices else None


_FOREIGN = {
    "NULL": ("null", "None"), "string": ("String", "str"), "int": ("integer",), "double": ("float",),
    "Object": ("object", "auto"), "Array": ("list", "vector"), "contextdragconnection": ("connectObjects", "connect"),
    "setname": ("setobjectname", "rename"), "setloc": ("setlocation", "setposition"),
    "createinstance": ("createobject",), "length": ("size", "count"), "setProperty": ("setProp", "setproperty"),
    "location": ("position", "pos"), "setLocation": ("setPosition", "moveTo"), "print": ("printf",),
}  # fmt: skip


def foreign_word(script: Written, rng: Rng) -> Change | None:
    """A word of another language, or of a library that does not exist."""
    places = [at for at in script.places(NAME) if script.tokens.texts[at] in _FOREIGN
              and script.tokens.texts[at] not in script.declared]  # fmt: skip
    at = pick(places, rng)
    return None if at is None else script.change(at, pick(_FOREIGN[script.tokens.texts[at]], rng))


# --- Punctuation ------------------------------------------------------------------------------------------------------


def _without(script: Written, marks: str, rng: Rng) -> Change | None:
    at = pick([n for n, kind in enumerate(script.tokens.kinds) if kind in marks and len(kind) == 1], rng)
    if at is None:
        return None
    start, end = script.tokens.offsets[at], script.tokens.offsets[at] + 1
    # Two words that run into one, as 1 and 0 into 10, could not be told apart again.
    fused = start and script.text[start - 1].isalnum() and script.text[end : end + 1].isalnum()
    return script.change(at, " " if fused else "")


def semicolon(script: Written, rng: Rng) -> Change | None:
    """A semicolon is missing."""
    return _without(script, ";", rng)


def bracket(script: Written, rng: Rng) -> Change | None:
    """A round or square bracket is missing."""
    return _without(script, "()[]", rng)


def brace(script: Written, rng: Rng) -> Change | None:
    """A brace is missing."""
    return _without(script, "{}", rng)


def comma(script: Written, rng: Rng) -> Change | None:
    """A comma is missing."""
    return _without(script, ",", rng)


def quote(script: Written, rng: Rng) -> Change | None:
    """One of the two quotes of a string is missing."""
    at = pick(list(script.places(STRING)), rng)
    if at is None:
        return None
    text = script.tokens.texts[at]
    return script.change(at, text[1:] if rng.random() < 0.5 else text[:-1])


def typographic_quotes(script: Written, rng: Rng) -> Change | None:
    """A string in the quotes of a word processor."""
    at = pick(list(script.places(STRING)), rng)
    return None if at is None else script.change(at, f"“{script.tokens.texts[at][1:-1]}”")


def doubled_mark(script: Written, rng: Rng) -> Change | None:
    """A bracket or a comma twice."""
    at = pick([n for n, kind in enumerate(script.tokens.kinds) if kind in ("(", ")", "[", "]", ",", "}")], rng)
    return None if at is None else script.change(at, script.tokens.texts[at] * 2)


_MISTAKEN = {";": ":,", ".": ",", "(": "[{", ")": "]}", "[": "(", "]": ")", ",": ".;"}


def mistaken_mark(script: Written, rng: Rng) -> Change | None:
    """One mark in the place of another."""
    at = pick([n for n, kind in enumerate(script.tokens.kinds) if kind in _MISTAKEN], rng)
    return None if at is None else script.change(at, pick(_MISTAKEN[script.tokens.texts[at]], rng))


# --- Statements -------------------------------------------------------------------------------------------------------


def declaration(script: Written, rng: Rng) -> Change | None:
    """A variable without its type."""
    at = pick(_types(script), rng)
    return None if at is None else Change(script.tokens.offsets[at], script.tokens.offsets[at + 1], "")


def port_letter(script: Written, rng: Rng) -> Change | None:
    """A connection with another port letter."""
    at = pick(_strings(script, ("A", "S").__contains__), rng)
    if at is None:
        return None
    other = "S" if script.tokens.texts[at] == '"A"' else "A"
    return script.change(at, f'"{pick((other, other, "B", "C"), rng)}"')


def equals(script: Written, rng: Rng) -> Change | None:
    """An assignment in the place of a comparison."""
    at = pick([n for n, kind in enumerate(script.tokens.kinds) if kind == "=="], rng)
    return None if at is None else script.change(at, "=")


def loop_bound(script: Written, rng: Rng) -> Change | None:
    """A loop over the numbers from 0, or one that ends before the last."""
    found = []
    for match in re.finditer(r"for\s*\(\s*int \w+\s*=\s*(\d+)\s*;[^;<]*(<=)", script.text):
        found.append(Change(match.start(1), match.end(1), "0"))
        found.append(Change(match.start(2), match.end(2), "<"))
    return pick(found, rng)


def argument_order(script: Written, rng: Rng) -> Change | None:
    """Two arguments of a call in each other's place, a name or a text and something else."""
    found = []
    for at in [*_calls(script), *_members(script)]:
        if script.around(at)[1] != "(":
            continue
        spans = script.arguments(at + 1)
        for one, two in itertools.pairwise(spans):
            kinds = [script.tokens.kinds[span[0]] if span[0] == span[1] else "" for span in (one, two)]
            if STRING in kinds and kinds[0] != kinds[1]:
                found.append((one, two))
    spans = pick(found, rng)
    if spans is None:
        return None
    one, two = spans
    between = script.text[script.change(*one[:1], "", one[1]).end : script.tokens.offsets[two[0]]]
    return script.change(one[0], script.source(two) + between + script.source(one), two[1])


def missing_argument(script: Written, rng: Rng) -> Change | None:
    """A call without its last argument, where nobody could take it for another: a port letter, a height of 0."""
    found = []
    for at in script.places(NAME):
        if script.tokens.texts[at] not in ("contextdragconnection", "Vec3", "setloc", "setLocation", "createinstance"):
            continue
        spans = script.arguments(at + 1) if script.around(at)[1] == "(" else []
        if len(spans) > 1 and script.source(spans[-1]) in ('"A"', '"S"', "0", "model()"):
            found.append((spans[-2][1], spans[-1][1]))
    span = pick(found, rng)
    if span is None:
        return None
    start = script.change(span[0], "").end
    return Change(start, script.change(span[1], "").end, "")


def extra_argument(script: Written, rng: Rng) -> Change | None:
    """A call with its last argument twice."""
    at = pick([n for n in [*_calls(script), *_members(script)] if script.around(n)[1] == "("], rng)
    spans = script.arguments(at + 1) if at is not None else []
    if not spans:
        return None
    end = script.change(spans[-1][1], "").end
    return Change(end, end, f", {script.source(spans[-1])}")


def repeated_declaration(script: Written, rng: Rng) -> Change | None:
    """A line that declares a variable, written twice."""
    lines = [match for match in re.finditer(r"(?m)^([ \t]*)(\w+) (\w+)[^\n]*;[ \t]*\n", script.text)
             if match[2] in vocabulary().types and match[3] in script.declared]  # fmt: skip
    match = pick(lines, rng)
    return None if match is None else Change(match.end(), match.end(), match[0])


# --- What only a prompt can tell --------------------------------------------------------------------------------------


def _wires(script: Written) -> list[re.Match[str]]:
    return list(re.finditer(r'(?m)^[ \t]*contextdragconnection\(([^;\n]+?), ?([^;\n]+?), ?"([AS])"\);[ \t]*\n',
                            script.text))  # fmt: skip


def missing_connection(script: Written, rng: Rng) -> Change | None:
    """A connection is missing: the only one of its kind at both of its ends, so that port numbers tell nothing."""
    wires, connections = _wires(script), script.twin.connections
    if len(wires) != len(connections):
        return None
    ports = script.twin.ports
    lone = [
        n
        for n, wire in enumerate(connections)
        if wire.port == "A" and len(ports[wire.source].outputs) == 1 and len(ports[wire.target].inputs) == 1
    ]
    at = pick(lone, rng)
    return None if at is None else Change(wires[at].start(), wires[at].end(), "")


def swapped_ends(script: Written, rng: Rng) -> Change | None:
    """A connection from its end to its beginning."""
    match = pick([match for match in _wires(script) if match[3] == "A"], rng)
    if match is None:
        return None
    return Change(match.start(1), match.end(2), f"{match[2]}, {match[1]}")


def _said(prompt: str, number: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(number)}(?![\w]|\.\d)", prompt) is not None


def number(script: Written, rng: Rng) -> Change | None:
    """Another value of a parameter: the right one is in the prompt, the wrong one is not."""
    found = []
    for at in script.places(NUMBER):
        text = script.tokens.texts[at]
        before, behind = script.around(at)
        setting = before == "," and behind == ")" and script.tokens.kinds[at - 2] == STRING
        if setting and _said(script.prompt, text) and float(text) > 1:
            found.append(at)
    at = pick(found, rng)
    if at is None:
        return None
    value = float(script.tokens.texts[at])
    other = f"{value * pick((0.1, 0.5, 2, 10), rng):g}"
    return None if _said(script.prompt, other) else script.change(at, other)


def object_name(script: Written, rng: Rng) -> Change | None:
    """A misspelt name of an object where it is given; the prompt has it right."""
    names = [script.tokens.texts[at] for at in script.places(STRING)]
    places = [at for at in script.places(STRING) if script.tokens.texts[at][1:-1] in script.twin.by_name
              and script.tokens.texts[at][1:-1] in script.prompt
              and names.count(script.tokens.texts[at]) == 1]  # fmt: skip
    return _misspelt(script, pick(places, rng), rng, '"')


def duplicate_name(script: Written, rng: Rng) -> Change | None:
    """An object with the name of another one; the prompt has both."""
    names = [script.tokens.texts[at] for at in script.places(STRING)]
    places = [at for at in script.places(STRING) if script.tokens.texts[at][1:-1] in script.twin.by_name
              and script.tokens.texts[at][1:-1] in script.prompt
              and names.count(script.tokens.texts[at]) == 1]  # fmt: skip
    at = pick(places, rng)
    other = pick(sorted({script.tokens.texts[n] for n in places} - {script.tokens.texts[at]}), rng) if places else None
    return None if other is None else script.change(at, other)


def other_class(script: Written, rng: Rng) -> Change | None:
    """An object of another class; the prompt says which it is."""
    swaps = {"Processor": "Queue", "Queue": "Processor", "Sink": "Queue", "Combiner": "Processor",
             "Separator": "Processor", "Operator": "Transporter", "MultiProcessor": "Processor"}  # fmt: skip
    places = [at for at in _strings(script, lambda word: word.lstrip("?") in swaps)
              if script.around(at)[0] == "(" and script.around(at)[1] == ")"]  # fmt: skip
    at = pick(places, rng)
    if at is None:
        return None
    word = script.tokens.texts[at][1:-1]
    return script.change(at, json.dumps(word.replace(word.lstrip("?"), swaps[word.lstrip("?")])))


SCRIPT_ALONE: Mapping[str, Kind] = MappingProxyType(
    {
        "misspelt command": command,
        "misspelt member": member,
        "misspelt type": type_word,
        "misspelt keyword": keyword,
        "misspelt variable": variable,
        "misspelt property": property_name,
        "misspelt class": class_name,
        "misspelt reference": reference,
        "misspelt distribution": distribution,
        "wrong case": letter_case,
        "foreign word": foreign_word,
        "missing semicolon": semicolon,
        "missing bracket": bracket,
        "missing brace": brace,
        "missing comma": comma,
        "missing quote": quote,
        "typographic quotes": typographic_quotes,
        "doubled mark": doubled_mark,
        "mistaken mark": mistaken_mark,
        "missing declaration": declaration,
        "wrong port letter": port_letter,
        "assignment for comparison": equals,
        "off by one": loop_bound,
        "argument order": argument_order,
        "missing argument": missing_argument,
        "extra argument": extra_argument,
        "repeated declaration": repeated_declaration,
    }
)
"""Faults that the script itself gives away."""

WITH_PROMPT: Mapping[str, Kind] = MappingProxyType(
    {
        "missing connection": missing_connection,
        "swapped ends": swapped_ends,
        "wrong number": number,
        "misspelt object name": object_name,
        "duplicate name": duplicate_name,
        "wrong class": other_class,
    }
)
"""Faults that can be told from the prompt only, which states what is right."""
