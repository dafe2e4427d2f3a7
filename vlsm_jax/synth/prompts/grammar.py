"""A grammar for prompts: rules of alternatives, parsed once, expanded by chance, with fields filled in.

A rule is a tuple of alternatives. In an alternative `{x}` is the field x where there is one, else an expansion of the
rule x; `[takes|take]` becomes its first part in the singular and its second in the plural. Fields are inserted as they
are: braces in a name mean nothing. A field may be a function, which is called only where an alternative needs it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vlsm_jax.synth.dice import Dice

Rules = Mapping[str, tuple[str, ...]]
Field = str | Callable[[], str]

_SLOT = re.compile(r"\{([A-Za-z_.]+)\}")
_NUMBER = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")


class PlainDice(Dice):
    """No chance: always the first alternative and the order there is, so that every fact has one frame."""

    def __init__(self):
        pass

    def random(self) -> float:
        return 0.0

    def chance(self, probability: float) -> bool:
        return probability >= 1

    def some(self, values: Sequence[Any], count: int) -> list[Any]:
        return list(values[:count])


def _parse(alternative: str) -> tuple[tuple[str, str], ...]:
    """Returns (literal, slot) pairs; the last slot may be empty."""
    parts = _SLOT.split(alternative)
    parts.append("")
    return tuple(zip(parts[::2], parts[1::2], strict=True))


class Grammar:
    """Rules, parsed in the singular and in the plural.

    Raises:
      ValueError: an alternative stands twice in a rule.
    """

    def __init__(self, rules: Rules):
        self.rules = rules
        self._forms: tuple[dict[str, tuple], dict[str, tuple]] = ({}, {})
        for rule, alternatives in rules.items():
            if len(set(alternatives)) != len(alternatives):
                raise ValueError(f"rule {rule!r} holds an alternative twice")
            for plural, forms in enumerate(self._forms):
                number = r"\2" if plural else r"\1"
                forms[rule] = tuple(_parse(_NUMBER.sub(number, text)) for text in alternatives)

    def __contains__(self, rule: str) -> bool:
        return rule in self.rules

    def expand(self, rule: str, dice: Dice, fields: Mapping[str, Field], plural: bool = False) -> str:
        """Returns one expansion of a rule; raises `ValueError` when it names neither a field nor a rule."""
        alternatives = self._forms[plural].get(rule)
        if alternatives is None:
            raise ValueError(f"the grammar has no rule {rule!r}; it has {', '.join(sorted(self.rules))}")
        out = ""
        for literal, slot in dice.pick(alternatives):
            out += literal
            if slot:
                field = fields.get(slot)
                if field is None:
                    out += self.expand(slot, dice, fields, plural)
                else:
                    out += field if type(field) is str else field()
        return out

    def forms(self, rule: str, fields: Mapping[str, Sequence[str]], plural: bool = False) -> Iterator[str]:
        """Yields every expansion of a rule, given all the texts that each field may have."""
        if rule not in self.rules:
            raise ValueError(f"the grammar has no rule {rule!r}; it has {', '.join(sorted(self.rules))}")
        for parts in self._forms[plural][rule]:
            made = [""]
            for literal, slot in parts:
                values = [""] if not slot else fields[slot] if slot in fields else [*self.forms(slot, fields, plural)]
                made = [text + literal + value for text in made for value in values]
            yield from made

    def count(self, rule: str, fields: Mapping[str, int]) -> int:
        """Returns how many expansions a rule has, given how many texts each field may have."""
        total = 0
        for parts in self._forms[0][rule]:
            product = 1
            for _, slot in parts:
                if slot:
                    product *= fields[slot] if slot in fields else self.count(slot, fields)
            total += product
        return total


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Returns "a", "a and b" or "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


@functools.lru_cache(maxsize=1024)
def with_article(phrase: str) -> str:
    """Returns the phrase after "a" or "an", by how its first word sounds in what prompts say."""
    vowel = phrase[:1].lower() in "aeiou" and not phrase.lower().startswith(("uni", "use", "one"))
    return f"{'an' if vowel else 'a'} {phrase}"


def start_sentence(text: str) -> str:
    """Returns the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
