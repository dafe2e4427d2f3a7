"""Connections that are missing: between an object that items cannot leave and one that none can reach."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vlsm_jax.repair.edits import Proposal, View, propose
from vlsm_jax.repair.judging import Judged, carries_items
from vlsm_jax.repair.stating import Statement
from vlsm_jax.twin import Twin

MOST = 40
_LINE = re.compile(
    r'(?m)^([ \t]*)contextdragconnection\((\s*)([^;\n]+?)(,\s*)([^;\n]+?),(\s*)"([ASas])"(\s*)\);[ \t]*$'
)
_FOUND = re.compile(r'(?:Model\.find|model\(\)\.find|node)\("([^"]+)"')


def connect(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """Draws a connection that the prompt states, or that an object without a way in or out asks for."""
    twin = found.twin
    lines = list(_LINE.finditer(view.text))
    if twin is None or not lines:
        return
    write = _writer(view, twin, lines)
    known = {(w.source, w.target) for w in twin.connections}
    known |= {(w.target, w.source) for w in twin.connections if w.port == "S"}
    for cost, one, two, port in sorted(_candidates(twin, statement))[:MOST]:
        ends = write(one), write(two)
        if (two, one) in known:
            cost += 0.9  # likelier drawn the wrong way round
        if (one, two) in known or None in ends:
            continue
        at, template, before = _place(lines, ends)
        indent, inner, _, between, _, gap, _, outer = template.groups()
        line = f'{indent}contextdragconnection({inner}{ends[0]}{between}{ends[1]},{gap}"{port}"{outer});'
        text = f"{line}\n" if before else f"\n{line}"
        yield propose(at, at, text, "connection", f"{one!r} is connected to {two!r}", cost)


def _candidates(twin: Twin, statement: Statement) -> Iterator[tuple[float, str, str, str]]:
    """Yields (cost, from, to, port), least costly first after sorting."""
    ports = twin.ports
    carries = {obj.name for obj in twin.objects if carries_items(obj.cls)}
    classes = {obj.name: obj.cls for obj in twin.objects}
    ends = [n for n in classes if n in carries and classes[n] != "Sink" and not ports[n].outputs]
    starts = [n for n in classes if n in carries and classes[n] != "Source" and not ports[n].inputs]
    stated = {(m.object, m.value) for m in statement.mismatches(twin) if m.kind == "link"}
    order = {name: n for n, name in enumerate(classes)}
    for one, two in stated:
        port = "A" if one in carries and two in carries else "S"
        yield 0.5, one, two, port
    for one in ends:
        for two in [*starts, *(n for n in carries if not starts)]:
            if one == two or classes[two] == "Source":
                continue
            together = bool(set(statement.mentions(one)) & set(statement.mentions(two))) if statement else False
            yield 1.0 - 0.3 * together + 0.01 * min(abs(order[two] - order[one] - 1), 30), one, two, "A"
    if not ends:
        for two in starts:
            for one in carries:
                if one != two and classes[one] != "Sink":
                    together = bool(set(statement.mentions(one)) & set(statement.mentions(two))) if statement else False
                    yield 1.2 - 0.3 * together + 0.01 * min(abs(order[two] - order[one] - 1), 30), one, two, "A"
    idle = [n for n in classes if n not in carries and not ports[n].centers and not ports[n].inputs]
    for two in idle:
        for one in carries:
            yield 1.5 + 0.01 * order[one], one, two, "S"


def _writer(view: View, twin: Twin, lines: list[re.Match[str]]):
    """Returns what writes an object as the connections of the script do: its variable, or where it is looked up."""
    variables: dict[str, str] = {}
    for match in re.finditer(r'(\w+)\.name\s*=\s*"([^"]+)"|setname\(\s*(\w+)\s*,\s*"([^"]+)"', view.text):
        variables[match[2] or match[4]] = match[1] or match[3]
    if len(lines) == len(twin.connections):  # each line draws one, in this order
        for line, wire in zip(lines, twin.connections, strict=True):
            variables |= {wire.source: line[3].strip(), wire.target: line[5].strip()}
    looked_up = next((m for line in lines for m in [_FOUND.match(line[3])] if m), None)

    def write(name: str) -> str | None:
        if looked_up is not None:
            return looked_up.string[looked_up.start() :][: len(looked_up[0])].replace(looked_up[1], name) + ")"
        return variables.get(name)

    return write


def _place(lines: list[re.Match[str]], ends: tuple[str, str]) -> tuple[int, re.Match[str], bool]:
    """Returns where a new line goes, the line to write it like, and whether it comes before that one."""
    for line in lines:
        if line[5].strip() == ends[0]:
            return line.end(), line, False
    for line in lines:
        if line[3].strip() == ends[1]:
            return line.start(), line, True
    return lines[-1].end(), lines[-1], False
