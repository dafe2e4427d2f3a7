"""What the prompt says otherwise: names, classes and numbers, put in the place of those that it does not have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from vlsm_jax.flexscript.lexer import NUMBER, STRING
from vlsm_jax.repair.edits import Proposal, View, propose
from vlsm_jax.repair.judging import Judged
from vlsm_jax.repair.spelling import distance
from vlsm_jax.repair.stating import Mismatch, Statement

MOST_NAMES = 60


def rename(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """Names that the prompt does not have become the nearest that it has; one of two equal names becomes another."""
    if found.twin is None:
        return
    strings = [at for at in range(view.count) if view.kinds[at] == STRING]
    texts = Counter(view.texts[at][1:-1] for at in strings)
    unsaid = {m.value for m in found.mismatches if m.kind == "name"}
    if not unsaid and not any("~" in name for name in found.twin.by_name):
        return
    free = [name for name in statement.names_beside(found.twin.by_name) if name not in texts]
    for at in strings:
        name = view.texts[at][1:-1]
        if name in unsaid:
            for other in free:
                apart = distance(name, other, 2)
                if apart <= 2:
                    reason = f"the prompt has {other!r}"
                    yield propose(view.offsets[at], view.end(at), f'"{other}"', "name", reason, 0.5 + apart / 10)
    doubled = {m.value.split("~")[0] for m in found.mismatches if m.kind == "name" and "~" in m.value}
    doubled |= {n.split("~")[0] for n in found.twin.by_name if "~" in n}
    places = [at for at in strings if view.texts[at][1:-1] in doubled]
    for rank, other in enumerate(free[:MOST_NAMES]):
        # Scripts and prompts name objects in the same order, as a rule.
        first = {at: statement.text.find(other) > statement.text.find(view.texts[at][1:-1]) for at in places}
        for at in sorted(places, key=lambda at: -at if first[at] else at):
            reason = f"two objects have the name {view.texts[at][1:-1]!r}; the prompt has {other!r}"
            yield propose(
                view.offsets[at],
                view.end(at),
                f'"{other}"',
                "name",
                reason,
                1.5 + rank / 100 + (at in places[:1]) * first[at] / 1000,
            )


def reclass(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """Objects of a class that the prompt does not give them."""
    wrong = [m for m in found.mismatches if m.kind == "class"]
    for mismatch in wrong[:3]:
        for at in range(view.count):
            word = view.texts[at][1:-1] if view.kinds[at] == STRING else ""
            if re.sub(r"^(?:\?|\w+::|/\w+/)", "", word) != mismatch.value:
                continue
            for cls in mismatch.expected:
                conveyor = cls.endswith("Conveyor") and not word.startswith("?")
                other = f"Conveyor::{cls}" if conveyor else word.replace(mismatch.value, cls)
                cost = 0.8 + min(statement.apart(mismatch.object, cls), 500) / 1000
                reason = f"the prompt has {mismatch.object!r} as a {cls}"
                yield propose(view.offsets[at], view.end(at), f'"{other}"', "class", reason, cost)


def renumber(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """Numbers that the prompt does not say of an object become one that it does."""
    del statement
    unused = {m.value for m in found.mismatches if m.kind == "unused number"}
    for mismatch in [m for m in found.mismatches if m.kind == "number"][:4]:
        peers = _peers(found, mismatch)
        for at in range(view.count):
            if view.kinds[at] != NUMBER or not _equal(view.texts[at], mismatch.value):
                continue
            said = [value for value in mismatch.expected if value in unused]
            for value in said or peers:
                if value != mismatch.value:
                    reason = f"the prompt says {value} of {mismatch.object!r}"
                    yield propose(view.offsets[at], view.end(at), value, "number", reason, 0.7)


def reoption(found: Judged, view: View, statement: Statement) -> Iterator[Proposal]:
    """Options whose words the prompt does not say of an object become the one that it does."""
    del statement
    for mismatch in [m for m in found.mismatches if m.kind == "option" and m.value][:4]:
        for at in range(view.count):
            if view.kinds[at] == STRING and view.texts[at][1:-1] == mismatch.value and len(mismatch.expected) == 1:
                (other,) = mismatch.expected
                reason = f"the prompt has {mismatch.property} of {mismatch.object!r} as {other!r}"
                yield propose(view.offsets[at], view.end(at), f'"{other}"', "option", reason, 0.7)


def _peers(found: Judged, mismatch: Mismatch) -> list[str]:
    """Returns what objects of the same class have for the same property, as far as the prompt says it of this one."""
    if found.twin is None or mismatch.object not in found.twin.by_name:
        return []
    cls = found.twin.by_name[mismatch.object].cls
    values = {o.parameters.get(mismatch.property) for o in found.twin.objects if o.cls == cls}
    texts = {f"{value:g}" for value in values if isinstance(value, (int, float))}
    return sorted(texts & set(mismatch.expected) - {mismatch.value})


def _equal(text: str, value: str) -> bool:
    try:
        return abs(float(text) - float(value)) < 1e-9
    except ValueError:
        return False
