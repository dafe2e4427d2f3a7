"""Connections that are missing, or lead elsewhere than where one is asked for."""

from __future__ import annotations

import heapq
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator

from vlsm_jax.repair.edits import Edit, Proposal, View, propose
from vlsm_jax.repair.judging import Judged, quoted_in
from vlsm_jax.repair.stating import Statement, carries_items, flow_of
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
        line = _drawn_like(template, *ends, port)
        text = f"{line}\n" if before else f"\n{line}"
        yield propose(at, at, text, "connection", f"{one!r} is connected to {two!r}", cost)


def rewire(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """Where a prompt tells the whole flow, it is drawn as it is told, in that order, in the place of what is drawn."""
    twin = found.twin
    lines = list(_LINE.finditer(view.text))
    told = statement.flow(twin) if twin is not None and lines else None
    if twin is None or not told:
        return
    named = _named(view)
    pairs = [(_name(line[3], named), _name(line[5], named)) for line in lines]
    drawn = [line for line, pair in zip(lines, pairs, strict=True) if _flows(twin, line, pair)]
    wires = set(flow_of(twin))
    # A line in a loop draws several, and cannot be taken for one.
    if not drawn or not wires <= set(pairs):
        return
    # Where ends are exchanged and nothing else, they change places again, and the order stays.
    if {(two, one) for one, two in wires - set(told)} == set(told) - wires:
        return
    write = _writer(view, twin, lines)
    ends = [(write(one), write(two)) for one, two in told]
    if any(None in pair for pair in ends):
        return
    first, *others = drawn
    new = "\n".join(_drawn_like(first, *pair, "A") for pair in ends)
    edits = [Edit(first.start(), first.end(), new)]
    edits += [Edit(line.start(), min(line.end() + 1, len(view.text)), "") for line in others]
    yield Proposal(tuple(edits), "connection", "the flow is connected as the prompt tells it", 0.6)


def _flows(twin: Twin, line: re.Match[str], pair: tuple[str, str]) -> bool:
    """Whether a line connects two objects that items flow through."""
    return line[7].upper() == "A" and all(_carries(twin, name) for name in pair)


def redirect(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """The likeliest of `_redirections`."""
    yield from heapq.nsmallest(MOST, _redirections(found, view, statement), key=lambda proposal: proposal.cost)


def _redirections(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """Connections that are of no use go to where one is missing, or are left out.

    Of no use is that of an executer to an object that asks for none, one that is there twice, and one of an object to
    itself. An object lacks one that asks for an executer, that nothing reaches, or that items cannot leave.
    """
    twin = found.twin
    lines = list(_LINE.finditer(view.text))
    if twin is None or not lines:
        return
    write, order = _writer(view, twin, lines), {obj.name: n for n, obj in enumerate(twin.objects)}
    written = [name for name in order if f'"{name}"' in view.text]
    needs = {code: [n for n in written if n in lacking] for code in _NEEDS for lacking in [_concerned(found, code)]}
    useless, again, named = _useless(found), set(), _named(view)
    for line in lines:
        names = {end: _name(line[end], named) for end in (3, 5)}
        pair = names[3], names[5]
        kind = useless.get(pair) or useless.get(pair[::-1])
        if kind is None:
            continue
        if kind == "duplicate connection" and pair not in again:
            again.add(pair)  # the first of them stays
            continue
        lacks = {3: "dead end", 5: "unreachable"}
        if line[7].upper() != "A":
            lacks = {end: "no executer" for end in (3, 5) if _carries(twin, names[end])}
        for end, code in lacks.items():
            name, other = names[end], names[3 if end == 5 else 5]
            for wanted in needs[code]:
                text = write(wanted)
                if text is None or wanted in (name, other):
                    continue
                apart = 0.01 * min(abs(order[wanted] - order.get(name, 0)), 30)
                cost = 0.7 - 0.3 * _together(statement, wanted, other) + apart
                reason = f"{other!r} is connected to {wanted!r} in place of {name!r}"
                start = line.start(end)
                yield propose(start, start + len(line[end].rstrip()), text, "connection", reason, cost)
        if line[7].upper() == "A":
            for one, two in itertools.product(needs["dead end"], needs["unreachable"]):
                ends = write(one), write(two)
                if one != two and None not in ends:
                    text = f"{ends[0]}{line[4]}{ends[1]}"
                    reason = f"{one!r} is connected to {two!r} in place of {names[3]!r} to {names[5]!r}"
                    cost = 0.8 - 0.3 * _together(statement, one, two)
                    yield propose(line.start(3), line.end(5), text, "connection", reason, cost)
        stop = min(line.end() + 1, len(view.text))
        reason = f"{names[3]!r} and {names[5]!r} need no such connection"
        yield propose(line.start(), stop, "", "connection", reason, 1.1)
    yield from _served(twin, lines, needs["no executer"], write, statement)


_NEEDS = ("no executer", "unreachable", "dead end")


def _concerned(found: Judged, code: str) -> set[str]:
    """Returns the objects that findings of a kind name first."""
    quoted = (quoted_in(finding.message) for finding in found.diagnostics if finding.code == code)
    return {words[0] for words in quoted if words}


def _useless(found: Judged) -> dict[tuple[str, str], str]:
    """Returns the pairs of objects with a connection too many, and the kind of finding that says so."""
    pairs: dict[tuple[str, str], str] = {}
    for finding in found.diagnostics:
        names = quoted_in(finding.message)
        if finding.code in ("unused executer", "duplicate connection") and len(names) == 2:
            pairs.setdefault((names[0], names[1]), finding.code)
        elif finding.code == "connection" and finding.message.endswith("is connected to itself") and names:
            pairs[names[0], names[0]] = finding.code
    return pairs


def _served(
    twin: Twin, lines: list[re.Match[str]], needs: list[str], write: Callable[[str], str | None], statement: Statement
) -> Iterator[Proposal]:
    """Proposes executers that serve others already for each object that asks for one."""
    ends = (name for wire in twin.connections if wire.port == "S" for name in (wire.source, wire.target))
    serving = Counter(name for name in ends if not _carries(twin, name))
    like = next((line for line in reversed(lines) if line[7].upper() == "S"), lines[-1])
    for wanted in needs:
        for executer, times in serving.items():
            one, two = write(wanted), write(executer)
            if one is None or two is None:
                continue
            text = f"\n{_drawn_like(like, one, two, 'S')}"
            cost = 1.3 - 0.5 * _together(statement, wanted, executer) - 0.02 * min(times, 10)
            yield propose(like.end(), like.end(), text, "connection", f"{executer!r} serves {wanted!r}", cost)


def _carries(twin: Twin, name: str) -> bool:
    """Whether items flow through an object of a Twin."""
    return name in twin.by_name and carries_items(twin.by_name[name].cls)


def _together(statement: Statement, one: str, two: str) -> bool:
    """Whether a sentence of the prompt has both names."""
    return bool(statement) and bool(set(statement.mentions(one)) & set(statement.mentions(two)))


def _named(view: View) -> list[tuple[str, str]]:
    """Returns each variable that an object is named by, and the name."""
    return [(match[1] or match[3], match[2] or match[4]) for match in _NAMING.finditer(view.text)]


_NAMING = re.compile(r'(\w+(?:\[\d+\])?)\.name\s*=\s*"([^"]+)"|setname\(\s*(\w+)\s*,\s*"([^"]+)"')


def _name(written: str, named: list[tuple[str, str]]) -> str:
    """Returns the name of the object that one end of a connection is written as; "" where that is not plain."""
    found = _FOUND.match(written.strip())
    if found:
        return found[1]
    names = [name for variable, name in named if variable == written.strip()]
    return names[0] if len(names) == 1 else ""


def _drawn_like(line: re.Match[str], one: str, two: str, port: str) -> str:
    """Returns a connection written as another one is."""
    indent, inner, _, between, _, gap, _, outer = line.groups()
    return f'{indent}contextdragconnection({inner}{one}{between}{two},{gap}"{port}"{outer});'


def _candidates(twin: Twin, statement: Statement) -> Iterator[tuple[float, str, str, str]]:
    """Yields (cost, from, to, port), least costly first after sorting."""
    ports = twin.ports
    carries = {obj.name for obj in twin.objects if carries_items(obj.cls)}
    classes = {obj.name: obj.cls for obj in twin.objects}
    # A loop that does not end makes thousands of objects; connections are not what they want.
    ends = [n for n in classes if n in carries and classes[n] != "Sink" and not ports[n].outputs][:MOST]
    starts = [n for n in classes if n in carries and classes[n] != "Source" and not ports[n].inputs][:MOST]
    stated = {(m.object, m.value) for m in statement.mismatches(twin) if m.kind == "link"}
    order = {name: n for n, name in enumerate(classes)}
    for one, two in stated:
        port = "A" if one in carries and two in carries else "S"
        yield 0.5, one, two, port

    def cost(one: str, two: str) -> float:
        return 0.01 * min(abs(order[two] - order[one] - 1), 30) - 0.3 * _together(statement, one, two)

    for one in ends:
        for two in [*starts, *(n for n in carries if not starts)]:
            if one != two and classes[two] != "Source":
                yield 1.0 + cost(one, two), one, two, "A"
    if not ends:
        for two in starts:
            for one in carries:
                if one != two and classes[one] != "Sink":
                    yield 1.2 + cost(one, two), one, two, "A"
    idle = [n for n in classes if n not in carries and not ports[n].centers and not ports[n].inputs]
    for two in idle:
        for one in carries:
            yield 1.5 + 0.01 * order[one], one, two, "S"


def _writer(view: View, twin: Twin, lines: list[re.Match[str]]):
    """Returns what writes an object as the connections of the script do: its variable, or where it is looked up."""
    variables = {name: variable for variable, name in _named(view)}
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
