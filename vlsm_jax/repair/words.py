"""Words: misspelt ones, foreign ones, names that nobody declared."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator

from vlsm_jax.flexscript.lexer import KEYWORDS, NAME, STRING
from vlsm_jax.repair.edits import Edit, Proposal, View, known_words, propose
from vlsm_jax.repair.judging import Judged, quoted_in
from vlsm_jax.repair.spelling import near
from vlsm_jax.repair.suspects import meanings, suspects
from vlsm_jax.simulator.library import classes


def respell(found: Judged, view: View) -> Iterator[Proposal]:
    """Words that the language does not know, read as words that it, or the script, knows."""
    seen = set()
    for suspect in suspects(view):
        seen.add(suspect.start)
        for cost, word in suspect.meant:
            reason = f"{suspect.word!r} is read as {word!r}"
            yield propose(suspect.start, suspect.end, word, "spelling", reason, cost)
    for finding in found.diagnostics:
        # A word may be known, and be wrong where it stands.
        if finding.line and finding.code in ("unknown name", "unknown method", "unknown type", "unknown command"):
            at = next(iter(view.between(view.offset(finding.line, finding.column), len(view.text))), None)
            for index in () if at is None else range(at, min(at + 3, view.count)):
                if view.kinds[index] == NAME and view.offsets[index] not in seen:
                    for cost, word in meanings(view, index):
                        reason = f"{view.texts[index]!r} is read as {word!r}"
                        yield propose(view.offsets[index], view.end(index), word, "spelling", reason, cost + 0.5)
    yield from _keywords(found, view)


def _keywords(found: Judged, view: View) -> Iterator[Proposal]:
    """Where the syntax is wrong, a word just before may be a keyword."""
    for finding in found.diagnostics[:2]:
        if finding.code != "syntax" or not finding.line:
            continue
        at = view.between(0, view.offset(finding.line, finding.column)).stop
        for index in range(max(0, at - 4), min(at + 2, view.count)):
            word = view.texts[index]
            if view.kinds[index] == NAME:
                for apart, other in near(word, _KEYWORDS, 2 if len(word) > 3 else 1):
                    reason = f"{word!r} is read as {other!r}"
                    yield propose(view.offsets[index], view.end(index), other, "spelling", reason, apart)


_KEYWORDS = KEYWORDS - {"await"}  # which no script has where it builds a model


def respell_texts(found: Judged, view: View) -> Iterator[Proposal]:
    """Texts that a diagnostic quotes, read as properties, variables, classes, options, or texts of the script."""
    quoted: dict[str, bool] = {}
    for finding in found.diagnostics:
        for word in quoted_in(finding.message):
            quoted[word] = quoted.get(word, False) or finding.code.startswith("unknown") or finding.code == "not found"
    strings = [at for at in range(view.count) if view.kinds[at] == STRING]
    own = Counter(view.texts[at][1:-1] for at in strings)
    for at in strings:
        word = view.texts[at][1:-1]
        if (
            len(word) < 2
            or word in library_words()
            or not ({word, word.lstrip("?"), word.split("/")[-1]} & set(quoted))
        ):
            continue
        # What a diagnostic cannot find is likelier to be wrong than what it tells of.
        sought = any(quoted.get(part) for part in (word, word.lstrip("?"), word.split("/")[-1]))
        for apart, other in near(word, set(own) | library_words()):
            cost = (
                apart - (0.5 if other in own else 0) + (0 if sought else 0.8) - (0.2 if own[other] > own[word] else 0)
            )
            reason = f"{word!r} is read as {other!r}"
            yield propose(view.offsets[at], view.end(at), f'"{other}"', "spelling", reason, cost)


@functools.cache
def library_words() -> frozenset[str]:
    """Properties, variables, classes and options, as a script has them in quotes."""
    found: set[str] = set()
    for name, info in classes().items():
        found |= {name, f"?{name}", f"Conveyor::{name}", f"AGV::{name}", f"/AGV/{name}"}
        found |= {*info.properties, *info.variables}
        for known in info.properties.values():
            found |= {option for option in getattr(known, "options", None) or () if isinstance(option, str)}
    return frozenset(found)


def declare(found: Judged, view: View) -> Iterator[Proposal]:
    """A name that is used and never declared gets a type, where it stands first."""
    missing = [f for f in found.diagnostics if f.code == "unknown name" and f.line]
    seen: set[str] = set()
    for finding in missing:
        at = next(iter(view.between(view.offset(finding.line, finding.column), len(view.text))), None)
        if at is None or view.texts[at] in seen or view.kinds[at] != NAME or view.texts[at] in known_words():
            continue
        name = view.texts[at]
        seen.add(name)
        before = view.texts[at - 1] if at else ";"
        if before not in (";", "{", "}", "(", ")") or view.texts[at + 1] not in ("=", ";", ","):
            continue
        for rank, kind in enumerate(_types(view, at)):
            reason = f"{name!r} is not declared: it is made {kind}"
            yield propose(view.offsets[at], view.offsets[at], f"{kind} ", "declaration", reason, 0.8 + rank / 10)


def _types(view: View, at: int) -> list[str]:
    """Returns the types that a variable may have, judged by what it is given first."""
    if view.texts[at + 1] == "=":
        value, ahead = view.texts[at + 2], view.texts[at + 3]
        if value == "[" or (value == "Array" and ahead == "("):
            return ["Array", "var"]
        if view.kinds[at + 2] == STRING:
            return ["string", "var"]
        if value.replace(".", "").isdigit() and ahead in (";", ","):
            return ["double" if "." in value else "int", "var"]
        if value in ("Object", "createinstance", "Model", "createcopy"):
            return ["Object", "treenode", "var"]
        return ["int", "Object", "var", "Array", "string", "double"]
    name = re.escape(view.texts[at])
    if re.search(rf"\b{name}\s*\.\s*push\b|\b{name}\s*\[", view.text):
        return ["Array", "Object", "var"]
    return ["Object", "Array", "int", "string", "var"]


def drop_repeated(found: Judged, view: View) -> Iterator[Proposal]:
    """A declaration of what is declared already: the line is left out where it is there twice, else the type is."""
    for finding in found.diagnostics:
        if finding.code != "redeclared" or not finding.line:
            continue
        start, end = view.line_span(finding.line)
        line = view.text[start:end]
        if view.text.count(line) > 1:
            yield propose(start, end, "", "repetition", f"line {finding.line} is there twice", 0.5)
        at = next(iter(view.between(view.offset(finding.line, finding.column), len(view.text))), None)
        if at is None:
            continue
        index = at if view.texts[at] not in view.declared else at - 1
        if index >= 0 and view.texts[index + 1] in view.declared:
            reason = f"{view.texts[index + 1]!r} is declared already: it is only assigned"
            yield propose(view.offsets[index], view.offsets[index + 1], "", "declaration", reason, 1.5)


def drop_doubled(found: Judged, view: View) -> Iterator[Proposal]:
    """An object with the name of another: the lines that make it are left out, where they stand together."""
    doubled = {f.line: f.message for f in found.diagnostics if f.code == "duplicate name" and f.line}
    lines = view.text.split("\n") if doubled else []
    for line, message in doubled.items():
        first = last = line - 1
        while first >= 0 and not (made := _MADE.match(lines[first])):
            first -= 1
        if first < 0:
            continue
        of_it = re.compile(rf"\s*{re.escape(made[1])}\s*\.")
        if not all(map(of_it.match, lines[first + 1 : last + 1])):
            continue
        while last + 1 < len(lines) and of_it.match(lines[last + 1]):
            last += 1
        start, stop = view.line_starts[first], view.line_span(last + 1)[1]
        yield propose(start, stop, "", "repetition", f"lines {first + 1} to {last + 1}: {message}", 1.2)


_MADE = re.compile(r"\s*(?:Object\s+)?(\w+)\s*=\s*(?:Object\.create|createinstance)\s*\(")


def straighten_quotes(found: Judged, view: View) -> Iterator[Proposal]:
    """Typographic quotes become straight ones, all at once."""
    if any("typographic" in finding.message for finding in found.diagnostics):
        edits = tuple(Edit(m.start(), m.end(), '"') for m in re.finditer("[“”„‟«»]", view.text))
        if edits:
            yield Proposal(edits, "quotes", "typographic quotes become straight ones", 0.2)
