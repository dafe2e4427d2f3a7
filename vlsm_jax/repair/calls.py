"""Calls and loops: arguments that are missing, too many or in another's place, comparisons, bounds of loops."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vlsm_jax.flexscript.lexer import NAME
from vlsm_jax.repair.edits import Edit, Proposal, View, propose
from vlsm_jax.repair.judging import Judged

_FOR = re.compile(r"for\s*\(\s*(?:int\s+)?\w+\s*=\s*(\d+)\s*;\s*[^;<>]*?(<=|<)")
_STEP = re.compile(r"(\[|\b)(\w+) ?([-+]) ?1\]")
MOST_CALLS = 60


def _calls(view: View, found: Judged, codes: frozenset[str]) -> Iterator[int]:
    """Yields the index of the name of each call in the lines that diagnostics of some codes point at."""
    lines = {f.line for f in found.diagnostics if f.line and (not codes or f.code in codes)}
    for line in sorted(lines)[:6]:
        for at in view.between(*view.line_span(line)):
            if view.kinds[at] == NAME and view.texts[at + 1] == "(":
                yield at


def mend_arguments(found: Judged, view: View) -> Iterator[Proposal]:
    """Arguments taken out, put in, or swapped, in the calls of lines that something is wrong with."""
    text = view.text
    for at in _calls(view, found, frozenset()):
        spans = view.arguments(at + 1)
        name = view.texts[at]
        parts = [text[a:b] for a, b in spans]
        for n, (start, end) in enumerate(spans):
            lead = spans[n - 1][1] if n else start
            tail = end if n or len(spans) == 1 else spans[1][0]
            repeated = n and parts[n] == parts[n - 1]
            reason = f"{name}() takes no {parts[n]!r} here"
            yield propose(lead, tail, "", "arguments", reason, 0.6 if repeated else 2.5)
        for n, (start, end) in enumerate(spans):
            for m in range(n + 1, len(spans)):
                first, last = spans[m]
                swapped = (Edit(start, end, parts[m]), Edit(first, last, parts[n]))
                reason = f"{name}() takes {parts[m]!r} before {parts[n]!r}"
                yield Proposal(swapped, "arguments", reason, 1.0 + 0.2 * (m - n - 1))
            if n + 2 < len(spans):  # three in a circle: an argument that was put in front of its neighbours
                first, last = start, spans[n + 2][1]
                for order in ((2, 0, 1), (1, 2, 0)):
                    edits = tuple(Edit(*spans[n + k], parts[n + order[k]]) for k in range(3))
                    yield Proposal(edits, "arguments", f"{name}() takes its arguments in another order", 1.6)
        if spans:
            comma = _comma(text, spans)
            for rank, value in enumerate(_likely_last(view, name, len(spans))):
                reason = f"{name}() lacks its last argument, {value}"
                yield propose(spans[-1][1], spans[-1][1], comma + value, "arguments", reason, 0.8 + rank / 10)
        for index in view.between(spans[0][0], spans[-1][1]) if spans else ():
            behind = view.texts[index - 1]
            if view.texts[index] == "-" or (view.texts[index] == "[" and (behind == "]" or behind[0] in '"0123456789')):
                reason = f"a comma is missing before {view.texts[index]!r}"
                where = view.end(index - 1)
                yield propose(where, where, ",", "arguments", reason, 0.7)


def _comma(text: str, spans: list[tuple[int, int]]) -> str:
    return text[spans[-2][1] : spans[-1][0]] if len(spans) > 1 else ", "


def _likely_last(view: View, name: str, count: int) -> list[str]:
    """Returns what calls of the same command with one argument more have last, most frequent first."""
    found: dict[str, int] = {}
    for at in range(view.count):
        if view.texts[at] == name and view.texts[at + 1] == "(":
            spans = view.arguments(at + 1)
            if len(spans) == count + 1:
                last = view.text[spans[-1][0] : spans[-1][1]]
                found[last] = found.get(last, 0) + 1
    usual = sorted(found, key=lambda last: (-found[last], last))[:4]
    if name == "contextdragconnection":
        usual += ['"A"', '"S"']
    usual += ["0", "model()"] if name in ("Vec3", "setloc", "setLocation", "createinstance") else []
    return list(dict.fromkeys(usual))


def mend_ports(found: Judged, view: View) -> Iterator[Proposal]:
    """Connections with another port letter, and from their end to their beginning."""
    lines = {f.line for f in found.diagnostics}
    for n, at in enumerate(_connections(view)):
        if n >= MOST_CALLS:
            return
        spans = view.arguments(at + 1)
        near = -0.4 if view.text.count("\n", 0, view.offsets[at]) + 1 in lines else 0.0
        if len(spans) < 2:
            continue
        one, two = (view.text[a:b] for a, b in spans[:2])
        edits = (Edit(*spans[0], two), Edit(*spans[1], one))
        yield Proposal(edits, "direction", f"the connection goes from {two} to {one}", 1.3 + near)
    letters = [at for at in range(view.count) if re.fullmatch(r'"[A-Za-z]"', view.texts[at])][:MOST_CALLS]
    for at in letters:
        near = -0.4 if view.text.count("\n", 0, view.offsets[at]) + 1 in lines else 0.0
        for letter in ("A", "S"):
            if view.texts[at] != f'"{letter}"':
                reason = f"a connection {'of flow' if letter == 'A' else 'of center ports'} is {letter!r}"
                odd = view.texts[at] not in ('"A"', '"S"')
                cost = 1.0 + near - (0.3 if odd else 0)
                yield propose(view.offsets[at], view.end(at), f'"{letter}"', "port letter", reason, cost)


def _connections(view: View) -> list[int]:
    return [at for at in range(view.count)
            if view.texts[at] == "contextdragconnection" and view.texts[at + 1] == "("]  # fmt: skip


def compare(found: Judged, view: View) -> Iterator[Proposal]:
    """`=` in a condition becomes `==`."""
    at = 0
    while at < view.count:
        if view.kinds[at] in ("if", "while") and view.texts[at + 1] == "(":
            depth, index = 0, at + 1
            while index < view.count:
                text = view.texts[index]
                depth += (text == "(") - (text == ")")
                if depth == 0:
                    break
                if text == "=":
                    line = view.text.count("\n", 0, view.offsets[index]) + 1
                    reason = f"the condition in line {line} compares"
                    yield propose(view.offsets[index], view.end(index), "==", "comparison", reason, 0.2)
                index += 1
            at = index
        at += 1


def bounds(found: Judged, view: View) -> Iterator[Proposal]:
    """Loops that begin or end one too early or too late, indices that are one off."""
    for match in _FOR.finditer(view.text):
        line = view.text.count("\n", 0, match.start()) + 1
        if match[1] == "0":
            yield propose(match.start(1), match.end(1), "1", "bounds", f"the loop in line {line} counts from 1", 1.0)
        other = "<=" if match[2] == "<" else "<"
        reason = f"the loop in line {line} ends {'with' if other == '<=' else 'before'} its bound"
        cost = 1.1 if other == "<=" else 2.0
        yield propose(match.start(2), match.end(2), other, "bounds", reason, cost)
    for match in _STEP.finditer(view.text):
        reason = f"{match[0]} is one off"
        yield propose(match.start(2), match.end(), f"{match[2]}]", "bounds", reason, 2.2)
