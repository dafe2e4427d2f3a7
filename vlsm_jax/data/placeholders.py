"""Placeholders for names: a model that writes `@C` need not spell what the prompt calls something.

To copy a name a model has to write all of its tokens, each right, wherever the object is named or connected, and learns
the names of its training before it learns to copy. So in a prompt every name is followed by a placeholder where it
comes first, and replaced by it later ("The queue Wash Basket @B feeds Filler @C. ... @B → @C"), and in a script texts
that are such a name are the placeholder. What a model writes is given its names back. Dialogue systems call that
delexicalisation (Henderson et al., 2014, "Robust dialog state tracking using delexicalised recurrent neural networks";
Wen et al., 2015, "Semantically conditioned LSTM-based natural language generation").

What is a name is told from the prompt alone, by its quotes, capitals and digits, in training as in use. A name that is
not found is spelt; what is none and gets a placeholder is a word that no script takes up.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from vlsm_jax.wording import CLASSES, QUOTED, spell_out

MARKS = tuple("@" + letter for letter in string.ascii_uppercase + string.ascii_lowercase)
"""The placeholders: so many names of a prompt can have one."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that open a sentence, and are not of the name that follows: "Connect Oven to Press."
_OPENERS = _words(
    """a add all also an and any arrange as at between both connect could create each every finally first for from
    generate give here if in it its join last let like likewise link make my name next of on one only our place please
    put route run send set so take that the then there these they this those to two use we what when where with
    write you"""
)
# Words that are no name where they stand alone at the beginning of a sentence.
_ALONE = _OPENERS | _words(
    """are below best bye build cheers class connections dear design equipment everything flow follow goal good
    greetings hello hi how i infer is items kind lay layout lead likewise lines links location many material model
    models no note notes object objects order output parameters parts products regards routes settings simulate
    sketch stations station system team thank thanks throughput times timing transport type units values wire wip
    working"""
)
# Words with capitals that are no names anywhere: of statistics, of FlexScript, of units, and short forms of these.
_FORMAL = _words(
    """batch cad erlang exp fifo flexscript flexsim gamma iat join kpi lifo lognormal n normal pack poisson pt rnd
    split st triangular u u-shaped l-shaped s-shaped uniform unpack weibull wip x xyz y z"""
)

_WORD = r"(?:[A-Z][\w&/'’+-]*|\d+[A-Z]+[\w-]*|[a-z]+[_-]?\d[\w-]*|[a-z]+_\w+)"
_NUMBER = r"\d{1,3}(?:-(?= \d))?(?![\d.,]*[\d%])(?!\w)"
_RUN = re.compile(rf"(?<![\w.]){_WORD}(?: (?:{_WORD}|{_NUMBER}))*(?!\w)")
_HEADING = re.compile(r"[A-Z][\w ,]*:")
_RULE = re.compile(r"\|[|\s:-]+")  # below the headings of a table
_OPENING = re.compile(r"(?:^|[.!?:;|])[\s|*•-]*(?:\d{1,2}[.)] ?)?$")
_AFTER_VERB = re.compile(r" (?:an?|the|all|both|each|every|two|three|four|it|them|up)\b")  # "Include two queues."
_SINGULAR = re.compile(r" (?:is|has|needs|should|acts|works|runs|uses|holds|takes)\b")
_NAMELIKE = re.compile(r"(?=.*[^\W\d_])\w[^;={}]*")  # what is quoted may be code, too
_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_UNFINISHED = re.compile(r'"([^"\\\n]*)$')
_LEAST_SPELT = 6  # letters of a name of which a slip of the pen is told


class _Run(NamedTuple):
    """Words with capitals or digits, one behind the other.

    Attributes:
      words: what they are.
      opens: whether a sentence begins with them.
      line: where they stand.
      end: where they end in it.
    """

    words: list[str]
    opens: bool
    line: str
    end: int

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclasses.dataclass(frozen=True)
class Placeholders:
    """A prompt with placeholders, and what they stand for.

    Attributes:
      prompt: as the model reads it.
      names: the name of each placeholder.
      kept: names that have none.
    """

    prompt: str
    names: Mapping[str, str]
    kept: tuple[str, ...] = ()

    @classmethod
    def of(cls, prompt: str) -> Placeholders:
        """Returns a prompt with a mark for each name; those that stand in it already are not used."""
        text, names = read_names(prompt)
        free = [mark for mark in MARKS if not re.search(rf"{mark}(?!\w)", text)]
        marks = dict(zip(names, free, strict=False))
        seen: set[str] = set()

        def marked(match: re.Match[str]) -> str:
            name = match[0]
            if name not in marks or name in seen:
                return marks.get(name, name)
            seen.add(name)
            return f"{name} {marks[name]}"

        prompt = whole_names(names).sub(marked, text) if names else text
        return cls(prompt, {mark: name for name, mark in marks.items()}, tuple(names[len(marks) :]))

    @functools.cached_property
    def marks(self) -> Mapping[str, str]:
        """The placeholder of each name."""
        return {name: mark for mark, name in self.names.items()}

    def shorten(self, script: str) -> str:
        """Returns a script with placeholders for the texts that are names."""
        return _LITERAL.sub(lambda match: f'"{self.marks.get(match[1], match[1])}"', script)

    def restore(self, script: str, *, unfinished: bool = False) -> str:
        """Returns a script with its names.

        Args:
          script: with placeholders.
          unfinished: whether more of it may come; then an end that may become a placeholder is left out.
        """
        if unfinished:
            closed = max((match.end() for match in _LITERAL.finditer(script)), default=0)
            begun = _UNFINISHED.search(script, closed)
            if begun and any(placeholder.startswith(begun[1]) for placeholder in self.names):
                script = script[: begun.start()]
        return _LITERAL.sub(lambda match: f'"{self.names.get(match[1], match[1])}"', script)


def read_names(prompt: str) -> tuple[str, list[str]]:
    """Returns a prompt with ranges spelt out and slips of the pen mended, and its names in their order."""
    text = spell_out(prompt)
    meant = _meant(text, find_names(text))
    if not meant:
        return text, []
    text = whole_names(meant).sub(lambda match: meant[match[0]], text)
    # Of a name that stands only within longer ones nothing is left.
    return text, list(dict.fromkeys(whole_names(set(meant.values())).findall(text)))


def find_names(text: str) -> list[str]:
    """Returns what a prompt calls something, each once: what is quoted, then words with capitals or digits."""
    quoted = [next(filter(None, match.groups())) for match in QUOTED.finditer(text)]
    runs = list(_runs(QUOTED.sub(lambda match: "“" + " " * (len(match[0]) - 1), text)))
    whole = Counter(run.text for run in runs if not run.opens) + Counter(quoted)
    # An object may be called by its class, which scripts have in other places, too.
    names = [name for name in quoted if _NAMELIKE.fullmatch(name) and not _is_class(name)]
    names += [name for run in runs if (name := _name_of(run, whole))]
    return list(dict.fromkeys(names))


def _runs(text: str) -> Iterator[_Run]:
    lines = text.split("\n")
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if _HEADING.fullmatch(line.strip()) or _RULE.fullmatch(below.strip()):
            continue
        matches = list(_RUN.finditer(line))
        while matches:
            match = matches.pop(0)
            run = _Run(match[0].split(" "), bool(_OPENING.search(line[: match.start()])), line, match.end())
            # "Flash and Charge has ..." is one object, "Flash and Charge have ..." are two.
            joined = matches and line[match.end() : matches[0].start()] == " and " and not match[0][-1].isdigit()
            if joined and _SINGULAR.match(line, matches[0].end()):
                run = run._replace(words=line[match.start() : matches[0].end()].split(" "), end=matches.pop(0).end())
            yield run


def _name_of(run: _Run, whole: Counter[str]) -> str:
    """Returns the name that a run is or has; "" where it has none."""
    words = list(run.words)
    elsewhere = whole[run.text] > (not run.opens)
    if run.opens and not elsewhere:
        while words and words[0].lower() in _OPENERS:
            words.pop(0)
        if len(words) == 1 and (words[0].lower() in _ALONE or _AFTER_VERB.match(run.line, run.end)):
            return ""
    if all(word.lower() in _FORMAL or word.isdigit() for word in words):
        return ""
    # "The Sink Batch Release": a class in front is not of the name, unless the sentence has another for it.
    shorter = list(_without_class(words))
    name = " ".join(words)
    if shorter and not (elsewhere and len(words) == len(run.words)):
        numbered = len(words) == 2 and re.fullmatch(r"\d+|[A-Z]", words[1])
        known = next((text for text in shorter if whole[text]), None)
        if known:
            name = known
        elif not numbered and not _says_class(run):
            name = shorter[0]
    return "" if _is_class(name) or len(name) < 2 else name


def _without_class(words: list[str]) -> Iterator[str]:
    """Yields what is left of some words without the classes in front."""
    while len(words) > 1:
        count = 2 if len(words) > 2 and _is_class(" ".join(words[:2])) else 1
        if not _is_class(" ".join(words[:count])):
            return
        words = words[count:]
        yield " ".join(words)


def _is_class(text: str) -> bool:
    return text.lower().removesuffix("s") in CLASSES


def _says_class(run: _Run) -> bool:
    """Whether the sentence of a run has a class besides that in front of it."""
    start = run.end - len(run.text)
    before = re.split(r"[.;] ", run.line[:start])[-1]
    after = re.split(r"[.;] ", run.line[run.end :])[0]
    # Classes that are of other names, or said of them ("Lathe (Processor)"), say nothing of this one.
    rest = _RUN.sub(lambda match: match[0] if _is_class(match[0]) else "\0", f"{before} {after}")
    rest = re.sub(r"\0 ?[(:=–-] ?\w+", "", rest)
    return any(_is_class(word) for word in re.findall(r"[A-Za-z]+", rest))


def whole_names(names: Iterable[str]) -> re.Pattern[str]:
    """Returns a pattern of names as wholes, the longest first."""
    longest = sorted(names, key=len, reverse=True)
    return re.compile("|".join(rf"(?<![\w@]){re.escape(name)}(?!\w)(?!-\w)" for name in longest))


def _meant(prompt: str, names: list[str]) -> dict[str, str]:
    """Returns the name that each of some is: itself, or the one that it is a slip of the pen of."""
    counts = {name: len(re.findall(rf"(?<!\w){re.escape(name)}(?!\w)", prompt)) for name in names}
    meant = {name: name for name in names}
    by_length = sorted(names, key=len)
    for slip in names:
        if counts[slip] > 1 or len(slip) < _LEAST_SPELT:
            continue
        for name in by_length:
            if name != slip and counts[name] >= 1 and meant[name] == name and _slipped(name, slip):
                earlier = prompt.find(name) < prompt.find(slip)
                if counts[name] > 1 or earlier:
                    meant[slip] = name
                    break
    return meant


def _slipped(name: str, slip: str) -> bool:
    """Whether one letter more, less or other, or two exchanged, make one of the other; numbers and codes never."""
    if abs(len(name) - len(slip)) > 1 or len(name) < _LEAST_SPELT:
        return False
    start = next((n for n, (a, b) in enumerate(zip(name, slip, strict=False)) if a != b), min(len(name), len(slip)))
    one, other = name[start:], slip[start:]
    letters = one[:2] + other[:2]
    if not all(c.isalpha() for c in (one[:1] or "a") + (other[:1] or "a")) or letters.isupper():
        return False
    exchanged = len(one) > 1 and one[:2] == other[:2][::-1] and one[2:] == other[2:] and letters.isalpha()
    # "Press A" and "Press B" differ in a word of their own.
    alone = start and name[start - 1] == " " and (len(one) == 1 or len(other) == 1)
    return not alone and (exchanged or one[1:] == other[1:] or one[1:] == other or one == other[1:])
