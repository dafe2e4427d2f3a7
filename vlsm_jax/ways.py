"""Ways of writing a script for a sample, each a short word: greedy, constrained, named, best-of-8, mended, some."""

from __future__ import annotations

import dataclasses
import re

KNOWN = (
    "greedy, constrained, named, best-of-N with N from 2 on, mended, or joined in this order, constrained or named: "
    "constrained-best-of-8-mended"
)
"""What there is, for messages."""

_WORDS = re.compile(r"(greedy)|(constrained|named)?(?:(?:^|(?<=d)-)best-of-(\d{1,4}))?((?:^|(?<=[d\d])-)mended)?")


@dataclasses.dataclass(frozen=True)
class Way:
    """How scripts are written.

    Attributes:
      constrain: whether only FlexScript can be written; needs llguidance.
      names: whether objects can be called only what the prompt calls something; under the constraint.
      candidates: for each sample; the first is greedy, and of several the best by verification is taken.
      mend: whether rules mend it where something is wrong.
    """

    constrain: bool = False
    candidates: int = 1
    mend: bool = False
    names: bool = False

    def __post_init__(self):
        if self.names and not self.constrain:
            raise ValueError("names=True needs constrain=True: names are looked at under the grammar constraint")

    @classmethod
    def parse(cls, word: str) -> Way:
        """Returns the way that a word such as "constrained-best-of-8" names.

        Raises:
          ValueError: there is no such way; the message says what there is.
        """
        found = _WORDS.fullmatch(word)
        if not word or not found:
            raise ValueError(f"no way {word!r}; there are {KNOWN}")
        _, constrained, candidates, mended = found.groups()
        way = cls(bool(constrained), int(candidates or 1), bool(mended), constrained == "named")
        if way.name != word:  # best-of-1, best-of-08
            raise ValueError(f"no way {word!r}; there are {KNOWN}")
        return way

    @property
    def name(self) -> str:
        """The word, which is also the name of the folder of its results."""
        parts = ["named" if self.names else "constrained"] * self.constrain
        parts += [f"best-of-{self.candidates}"] * (self.candidates > 1)
        parts += ["mended"] * self.mend
        return "-".join(parts) or "greedy"

    def __str__(self) -> str:
        how = "greedy" if self.candidates == 1 else f"best of {self.candidates}"
        how += f", {'with' if self.constrain else 'without'} grammar constraint"
        how += " and only names of the prompt" if self.names else ""
        return how + (", mended by rules" if self.mend else "")


GREEDY = Way()


def words(given: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Returns a list of words each once; one text may hold several between commas, as a command line gives them."""
    texts = [given] if isinstance(given, str) else given
    parts = [part.strip() for text in texts for part in text.split(",")]
    return tuple(dict.fromkeys(filter(None, parts)))
