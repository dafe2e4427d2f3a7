"""A small grammar for prompts: named rules of alternatives, expanded by chance, with fields filled in.

A rule is a tuple of alternatives. In an alternative `{x}` is the field x where there is one, else the expansion of the
rule x. Fields are inserted as they are: braces in a name mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

Rules = Mapping[str, tuple[str, ...]]

_SLOT = re.compile(r"\{([a-z_.]+)\}")


def expand(rules: Rules, rule: str, rng: np.random.Generator, **fields: str) -> str:
    """Returns one expansion of a rule; raises `ValueError` when it names neither a field nor a rule."""
    if rule not in rules:
        raise ValueError(f"the grammar has no rule {rule!r}; it has {', '.join(sorted(rules))}")
    alternatives = rules[rule]
    template = alternatives[int(rng.integers(len(alternatives)))]
    return _SLOT.sub(lambda m: fields[m[1]] if m[1] in fields else expand(rules, m[1], rng, **fields), template)


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Returns "a", "a and b" or "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def with_article(phrase: str) -> str:
    """Returns the phrase after "a" or "an", by how its first word sounds in what prompts say."""
    vowel = phrase[:1].lower() in "aeiou" and not phrase.lower().startswith(("uni", "use", "one"))
    return f"{'an' if vowel else 'a'} {phrase}"


def start_sentence(text: str) -> str:
    """Returns the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
