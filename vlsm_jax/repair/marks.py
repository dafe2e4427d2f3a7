"""Marks: semicolons, commas, brackets, braces and quotes that are missing, too many, or mistaken for each other."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vlsm_jax.flexscript import parse
from vlsm_jax.repair.edits import Proposal, View, propose
from vlsm_jax.repair.judging import Judged

_MARKS = (";", ")", "(", ",", "]", "[", "}", "{", ".", '"', "+", "=")
_MISTAKEN = {
    ":": ";,", ",": ";.", "{": "([", "[": "({", "]": ")}", "}": ")]", "(": "[{", ")": "]}",
    ".": ",", ";": ",", "=": ",",
}  # fmt: skip
_REACH = 14
"""Tokens before the place of a syntax error among which the fault is looked for."""

_HEAD = re.compile(r"^[ \t]*(?:\}\s*)?(?:if|for|while|switch|else|forobjecttreeunder)\b[^{;]*(?:;[^{;]*;[^{]*)?$")


def mend_marks(found: Judged, view: View) -> Iterator[Proposal]:
    """One mark put in, taken out or replaced around the first places where the syntax is wrong."""
    before = _errors(view.text)
    if not before and not any(d.code == "argument" for d in found.diagnostics):
        return
    tried: set[tuple[int, int, str]] = set()
    places = [d for d in found.diagnostics if d.line and d.code in ("syntax", "argument", "unknown name")][:3]
    for finding in places:
        offset = view.offset(finding.line, finding.column)
        at = view.between(0, offset).stop
        line = view.between(*view.line_span(finding.line))
        first = max(0, min(at - 4, max(line.start - 2, at - _REACH)))
        for index in range(first, min(view.count, at + 4)):
            for start, end, text, reason in _around(view, index):
                if (start, end, text) in tried:
                    continue
                tried.add((start, end, text))
                changed = view.text[:start] + text + view.text[end:]
                if before and _errors(changed) >= before:
                    continue
                proposal = propose(start, end, text, "punctuation", reason, 0.0)
                cost = 0.5 + 0.4 * view.strangeness(proposal) + abs(index - at) / 50
                yield propose(start, end, text, "punctuation", reason, cost)


def _around(view: View, index: int) -> Iterator[tuple[int, int, str, str]]:
    start, end, text = view.offsets[index], view.end(index), view.texts[index]
    line = view.text.count("\n", 0, start) + 1
    behind = view.end(index - 1) if index else 0
    for mark in _MARKS:
        # Where a line ends, the mark belongs to its end rather than to the next line.
        yield behind, behind, mark, f"{mark!r} is missing in line {line}"
        if start != behind and mark in '([{"':
            yield start, start, mark, f"{mark!r} is missing in line {line}"
    if not text[0].isalnum() and text[0] not in "\"'_":
        yield start, end, "", f"{text!r} is too much in line {line}"
        for other in _MISTAKEN.get(text, ""):
            yield start, end, other, f"{text!r} is read as {other!r} in line {line}"


def _errors(text: str) -> int:
    return sum(finding.code == "syntax" for finding in parse(text).diagnostics)


def mend_quotes(found: Judged, view: View) -> Iterator[Proposal]:
    """A quote that is missing: put where a text may begin or end on the line."""
    for finding in found.diagnostics:
        if finding.code != "syntax" or "closing quote" not in finding.message:
            continue
        start, end = view.line_span(finding.line)
        line = view.text[start:end]
        quotes = [n for n, char in enumerate(line) if char == '"' and line[n - 1 : n] != "\\"]
        spots = {m.start() for m in re.finditer(r"[,)\];+]| \+", line)}
        spots |= {m.end() for m in re.finditer(r"[(,\[=+?:] ?", line)} | {
            m.end() - 1 for m in re.finditer(r"[,(] ", line)
        }
        for spot in sorted(spots | {len(line.rstrip())}):
            text = line[:spot] + '"' + line[spot:]
            changed = view.text[:start] + text + view.text[end:]
            if _errors(changed):
                continue
            proposal = propose(
                start + spot, start + spot, '"', "quotes", f"a quote is missing in line {finding.line}", 0
            )
            # Texts that hold a comma and a space or a bracket alone are rarer than lists that do.
            odd = sum(map(_is_odd, re.findall(r'"((?:[^"\\]|\\.)*)"', text)))
            cost = 0.3 + 0.4 * view.strangeness(proposal) + 0.5 * odd + 0.01 * len(quotes)
            yield propose(start + spot, start + spot, '"', "quotes", proposal.reason, cost)


def _is_odd(text: str) -> bool:
    """Whether a text looks as if it had swallowed marks around it; code has marks of its own."""
    if ";" in text[:-1]:
        return False
    return bool(re.search(r"^[\s,)\]]|^$|[,(\[]\s*$|; *$", text)) or ("," in text and "return" not in text)


def mend_braces(found: Judged, view: View) -> Iterator[Proposal]:
    """A brace that is missing or too many, found by how lines are indented."""
    opened, closed = view.kinds.count("{"), view.kinds.count("}")
    if opened == closed or not any(d.code in ("syntax", "unknown name", "redeclared") for d in found.diagnostics):
        return
    lines = view.text.splitlines(keepends=True)
    starts = view.line_starts
    before = _errors(view.text)
    options: list[tuple[float, int, int, str, str]] = []
    if opened > closed:
        for line, suspicion in _unclosed(lines):
            at = starts[line] if line < len(starts) else len(view.text)
            indent = _indent_of_block(lines, line)
            options.append((suspicion, at, at, f"{indent}}}\n", f"'}}' is missing before line {line + 1}"))
            if line < len(lines):
                text = lines[line]
                inner = at + len(text) - len(text.lstrip())
                options.append((suspicion + 0.05, inner, inner, "}", f"'}}' is missing in line {line + 1}"))
                if text.lstrip().startswith("else"):
                    options.append((suspicion - 0.1, inner, inner, "} ", f"'}}' is missing in line {line + 1}"))
    if closed > opened:
        for n, text in enumerate(lines):
            bare = text.rstrip()
            if _HEAD.match(bare) and not bare.endswith(";"):
                at = starts[n] + len(bare)
                deeper = n + 1 < len(lines) and _depth(lines[n + 1]) > _depth(text)
                options.append((0.5 if deeper else 1.0, at, at, " {", f"'{{' is missing in line {n + 1}"))
            elif re.match(r"\s*(?:\}\s*)?(?:if|for|while|else)\b.*\)\s*\w.*\}", bare):
                for match in re.finditer(r"\) ?", bare):
                    at = starts[n] + match.end()
                    options.append((1.2, at, at, "{ ", f"'{{' is missing in line {n + 1}"))
    for kind, extra in (("{", opened > closed), ("}", closed > opened)):
        if extra:
            for at in (n for n in range(view.count) if view.kinds[n] == kind):
                double = view.texts[at - 1] == kind or view.texts[at + 1] == kind
                touching = double and (view.offsets[at] == view.end(at - 1))
                line = view.text.count("\n", 0, view.offsets[at]) + 1
                reason = f"{kind!r} is too much in line {line}"
                options.append((0.3 if touching else 2.5, view.offsets[at], view.end(at), "", reason))
    for cost, start, end, text, reason in sorted(options)[:80]:
        if _errors(view.text[:start] + text + view.text[end:]) < max(before, 1):
            yield propose(start, end, text, "braces", reason, cost)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _unclosed(lines: list[str]) -> Iterator[tuple[int, float]]:
    """Yields (index of a line, suspicion) before which a block should have ended; less is likelier."""
    stack: list[int] = []
    for n, line in enumerate(lines):
        text = line.strip()
        if not text or text.startswith("//"):
            continue
        depth = _depth(line)
        closes = text.startswith("}")
        if stack and (depth < stack[-1] or (depth == stack[-1] and not closes and not text.startswith("{"))):
            yield n, 0.4
            stack.pop()
        elif stack and n and lines[n - 1].strip() and depth < _depth(lines[n - 1]) and not closes:
            yield n, 0.6
        bare = re.sub(r'"(?:[^"\\]|\\.)*"|//.*', "", text)
        for char in bare:
            if char == "{":
                stack.append(depth)
            elif char == "}" and stack:
                stack.pop()
    yield len(lines), 1.0
    for n in range(1, len(lines)):
        if _depth(lines[n]) < _depth(lines[n - 1]) or not lines[n].strip():
            yield n, 1.5


def _indent_of_block(lines: list[str], line: int) -> str:
    for text in lines[line:]:
        if text.strip():
            return text[: _depth(text)]
    return ""
