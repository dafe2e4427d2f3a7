"""What a prompt certainly states of a factory, as far as a small reader can tell: names, classes, numbers, links.

It is no parser of English. It looks up what a script has built in the prompt, sentence by sentence, and counts what
does not fit: that ranks scripts for the same prompt against each other, and says nothing of a single one. It imports
nothing but the Twin and the names of classes, so that whoever makes scripts can rank them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from vlsm_jax.metrics.stated_goals import stated_goals
from vlsm_jax.simulator.library import classes, find_class
from vlsm_jax.twin import Code, Distribution, ParameterValue, Twin, TwinObject
from vlsm_jax.wording import QUOTED, spell_out

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“‘'`«(])|\n+")
_GOES_ON = re.compile(r"\b(?:it|its|they|them|their|each|both)\b", re.IGNORECASE)
_OPTIONS = ("ItemPlacement", "CombineMode")
"""Properties whose options prompts say in words that tell them apart."""
_CHOICES = frozenset(("SendToPort", "PullStrategy"))
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w]*\d)")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)
_COUNTED = re.compile(rf"\b(?:\d+|{'|'.join(_WORDS)}) (?:\w+ )?operators?\b", re.IGNORECASE)
"""Operators that a station needs, which is no word for its class."""
_FACTORS = (1.0, 60.0, 3600.0, 0.01, 0.001, 1 / 60, 1000 / 3600)
_MARKS = r"[\s\"“”'‘’«»`|(),]*"
_ONWARD = re.compile(
    rf"{_MARKS}(?:→|->|=>|>|(?:and )?(?:then |from there )?to|then|into|feeds?|supply|supplies|merges? into"
    r"|go(?:es)? to|(?:all )?leads? to|pass(?:es)? (?:its |their )?items (?:on )?to|sends? (?:its |their )?items to"
    r"|(?:is|are) connected to(?: each of)?|splits the flow to|items (?:can )?go to|which feeds?"
    rf"|dispatches|sends? tasks to|gives? (?:its|their) tasks to){_MARKS}",
    re.IGNORECASE,
)
_BACKWARD = re.compile(
    rf"{_MARKS}(?:(?:is|are) fed by|receives? items from|takes? tasks from|belongs? to the team of){_MARKS}",
    re.IGNORECASE,
)
_LISTED = re.compile(rf"{_MARKS}(?:,|,? ?(?:and|or)|&){_MARKS}")
_ROW = re.compile(rf"{_MARKS}form a line\b", re.IGNORECASE)
_OUTPUTS = re.compile(r"\boutputs of\b", re.IGNORECASE)
_ARE = re.compile(rf"{_MARKS}are{_MARKS}")
_CENTER = re.compile(r"\bcenter ports?\b|<->", re.IGNORECASE)
_PAIRS = re.compile(r"(?:likewise|one to one)\b", re.IGNORECASE)
_HINT = re.compile(r"%|\bpercent\b|\bper ?cent\b|\brandom\b|\bport\b|\bfrom\b")
_RESPECTIVELY = re.compile(r"\brespectively\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"([^\"\n]{2,60})\"|“([^”\n]{2,60})”|(?<!\w)'([^'\n]{2,60})'(?!\w)")
_PHRASE = re.compile(r"[\n,;:()→>|=]|\.(?!\w)")
_LONGEST = 8  # words of a name
_NAMELIKE = re.compile(r"[\d_-]")
_CAPITALS = re.compile(r"(?:[A-Z0-9][\w&/-]*|\d+)(?: (?:[A-Z0-9][\w&/-]*|\d+|of|and|for))* ?(?:[A-Z0-9][\w&/-]*)?")


_DURATION = re.compile(
    r"(?<![\w.])(\d+) ?(h|hours?|min|minutes?) (?:and )?(\d+) ?(min|minutes?|s|secs?|seconds?)(?!\w)", re.IGNORECASE
)
_ALIKE = re.compile(r"\b(?:in the same way|the same settings|identical|likewise|just like)\b", re.IGNORECASE)
_TIMES = re.compile(r"(?<![\w.])[x×](?=\d)")


def _in_seconds(match: re.Match[str]) -> str:
    """Returns "130 s" for "2 min 10 s"."""
    large, small = (60 if unit[0] in "mM" else 3600 if unit[0] in "hH" else 1 for unit in (match[2], match[4]))
    return f"{int(match[1]) * large + int(match[3]) * small} s" if large > small else match[0]


_SMALL = frozenset(("and", "of", "for", "The"))


class Mismatch(NamedTuple):
    """Something of a Twin that does not fit a prompt.

    Attributes:
      kind: "name", "class", "number", "unused number", "option" or "link".
      object: whose it is; "" where it belongs to none.
      value: the name, class or number concerned.
      expected: what the prompt has in its place, as far as it can be told.
      property: whose number it is.
    """

    kind: str
    object: str
    value: str
    expected: tuple[str, ...] = ()
    property: str = ""


class Statement:
    """A prompt, read once, to be compared with many Twins.

    Attributes:
      text: the prompt.
      sentences: its sentences, lines and rows of tables.
    """

    def __init__(self, text: str):
        self.text = text
        spelt = _TIMES.sub(" ", _DURATION.sub(_in_seconds, spell_out(text)))
        self.sentences = tuple(part for part in _SENTENCE.split(spelt) if part.strip())
        self._goals = frozenset(n for n, sentence in enumerate(self.sentences) if stated_goals(sentence))
        self._where: dict[str, tuple[int, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.text.strip())

    @functools.cached_property
    def phrases(self) -> tuple[str, ...]:
        """What an object may be called at all, more than `names`: what is quoted, and elsewhere runs of words.

        A run has up to eight words, lies within one phrase, and begins with a word with a capital, a digit, a hyphen or
        an underscore; "Press 1 to 3" has Press 2, too.
        """
        found: set[str] = set()
        for text in {self.text, spell_out(self.text)}:
            found |= {next(filter(None, match.groups())) for match in QUOTED.finditer(text)}
            for phrase in _PHRASE.split(QUOTED.sub("\n", text)):
                words = phrase.split()
                for first, word in enumerate(words):
                    if word[0].isupper() or _NAMELIKE.search(word):
                        ends = range(first + 1, min(len(words), first + _LONGEST) + 1)
                        found |= {" ".join(words[first:last]) for last in ends}
        return tuple(sorted(found))

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """What may be a name of an object: what is quoted, then runs of words with capitals, longest first."""
        quoted = {next(filter(None, match.groups())) for match in _QUOTED.finditer(self.text)}
        found: set[str] = set()
        for match in _CAPITALS.finditer(self.text):
            words = match[0].split()
            for first, last in itertools.combinations(range(min(len(words), 8) + 1), 2):
                if not _SMALL & {words[first], words[last - 1]}:
                    found.add(" ".join(words[first:last]))
        # "Add a Processor Oven": the class is not of the name.
        found = {name for name in found if len(name) > 2 and not _spoken().keys() & _ends(name)}
        return tuple(sorted(found | quoted, key=lambda name: (name not in quoted, " and " in name, -len(name), name)))

    def names_beside(self, taken: Iterable[str]) -> list[str]:
        """Returns what may be a name of another object than those of some names: parts of theirs are none."""
        longest = sorted(taken, key=len, reverse=True)
        pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)(?![ _-]?\d)" for name in longest)
        rest = re.sub(pattern, "\n", self.text) if pattern else self.text
        return [name for name in self.names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest)]

    def mentions(self, name: str) -> tuple[int, ...]:
        """Returns the indices of the sentences that have a name as a whole."""
        found = self._where.get(name)
        if found is None:
            pattern = re.compile(rf"(?<!\w){re.escape(name)}(?![\w])(?!-\w)")
            found = tuple(n for n, sentence in enumerate(self.sentences) if pattern.search(sentence))
            self._where[name] = found
        return found

    def apart(self, name: str, cls: str) -> int:
        """Returns how many characters lie between a name and the nearest word for a class, in one sentence."""
        best = len(self.text)
        for n in self.mentions(name):
            sentence = self.sentences[n]
            words = [m for m in _class_pattern().finditer(sentence) if _spoken()[m[1].lower()] == cls]
            names = re.finditer(re.escape(name), sentence)
            gaps = [max(a.start() - b.end(), b.start() - a.end()) for a in names for b in words]
            best = min([best, *(gap for gap in gaps if gap >= 0)])
        return best

    def strangers(self, twin: Twin) -> list[str]:
        """Returns the names of the objects that the prompt does not have."""
        return [obj.name for obj in twin.objects if not self.mentions(obj.name)]

    def mismatches(self, twin: Twin) -> list[Mismatch]:
        """Returns what of a Twin does not fit; nothing where the prompt names fewer than half of its objects."""
        named = [obj for obj in twin.objects if self.mentions(obj.name)]
        if not self or 2 * len(named) < len(twin.objects):
            return []
        found = [Mismatch("name", name, name) for name in self.strangers(twin)]
        facts = self._facts(tuple(sorted(o.name for o in named)))
        used: dict[int, set[float]] = {}
        for obj in named:
            places = [n for n in range(len(self.sentences)) if obj.name in facts[n].owners]
            said = set().union(*(facts[n].classes for n in places))
            # Sentences on connections speak of several objects; those that give a class say so.
            if said and obj.cls not in said:
                found.append(Mismatch("class", obj.name, obj.cls, tuple(sorted(said))))
            values = set().union(*(facts[n].values | facts[n].lent for n in places))
            for key, value in _numbers(obj.parameters):
                matches = {v for v in values if _same(value, v)}
                if matches:
                    for n in places:
                        used.setdefault(n, set()).update(matches & facts[n].values)
                else:
                    expected = tuple(f"{v:g}" for v in sorted(values))
                    found.append(Mismatch("number", obj.name, f"{value:g}", expected, key))
            text = " ".join(facts[n].plain for n in places)
            found += [m for key in _OPTIONS for m in _option(obj, key, text)]
        for n, fact in enumerate(facts):
            if fact.owners:
                left = fact.values - used.get(n, set()) - {0.0, 1.0}
                found += [Mismatch("unused number", "", f"{value:g}") for value in sorted(left)]
        return found + self._unlinked(twin, facts)

    def _unlinked(self, twin: Twin, facts: tuple[_Fact, ...]) -> list[Mismatch]:
        ways = {(wire.source, wire.target) for wire in twin.connections}
        said = {link for fact in facts for link in fact.links}
        missing = [Mismatch("link", a, b) for a, b in sorted(said) if (a, b) not in ways]
        told = self.flow(twin)
        if told is not None:
            return missing + [Mismatch("link", *wire) for wire in flow_of(twin) if wire not in told]
        # A wire between two objects that no sentence has together, where most wires are in one.
        flows = [w for w in twin.connections if w.port == "A"]
        alone = [w for w in flows if not set(self.mentions(w.source)) & set(self.mentions(w.target))]
        if 3 * len(alone) < len(flows):
            missing += [Mismatch("link", w.source, w.target) for w in alone]
        return missing

    def flow(self, twin: Twin) -> tuple[tuple[str, str], ...] | None:
        """Returns the connections of the flow of items in the order in which the prompt tells them.

        None where it does not tell all of them: where it tells none that leads to, or away from, an object that needs
        one. What a Twin has and a sentence hints at, as "5 % go to Repair" does, is among them, at the end.
        """
        carries = {obj.name: obj.cls for obj in twin.objects if carries_items(obj.cls)}
        facts = self._facts(tuple(sorted(obj.name for obj in twin.objects if self.mentions(obj.name))))
        told = dict.fromkeys(link for fact in facts for link in fact.links if carries.keys() >= set(link))
        starts, ends = {one for one, _ in told}, {two for _, two in told}
        if any(
            (cls != "Sink" and n not in starts) or (cls != "Source" and n not in ends) for n, cls in carries.items()
        ):
            return None
        hinted = [fact.owners for fact in facts if not fact.links and _HINT.search(fact.plain)]
        wires = [wire for wire in flow_of(twin) if wire[::-1] not in told]
        told |= dict.fromkeys(wire for wire in wires if any(set(wire) <= owners for owners in hinted))
        return tuple(told)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - a statement lives as long as its prompt is worked on
    def _facts(self, names: tuple[str, ...]) -> tuple[_Fact, ...]:
        longest = sorted(names, key=len, reverse=True)
        pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest) or r"(?!)")
        facts: list[_Fact] = []
        owners: frozenset[str] = frozenset()
        for n, sentence in enumerate(self.sentences):
            matches = list(pattern.finditer(sentence))
            plain = pattern.sub(" ", sentence)
            if matches:
                named = frozenset(match[0] for match in matches)
                owners = owners | named if _GOES_ON.search(sentence[: matches[0].start()]) else named
            links = _links(sentence, matches)
            values = {float(match[0]) for match in _NUMBER.finditer(plain)}
            values |= {float(_WORDS.index(match[0].lower())) for match in _WORD.finditer(plain)}
            classes, lent = _classes_in(_COUNTED.sub(" ", plain)), frozenset[float]()
            if n in self._goals:  # what a factory is to achieve is nobody's parameter
                values, owners = set(), frozenset()
            elif matches and _ALIKE.search(sentence):
                before = list(itertools.takewhile(lambda fact: fact.owners == facts[-1].owners, reversed(facts)))
                lent = frozenset().union(*(fact.values | fact.lent for fact in before))
            facts.append(_Fact(owners, frozenset(values), classes, links, lent, plain.lower()))
        return tuple(facts)


def _links(sentence: str, matches: list[re.Match[str]]) -> tuple[tuple[str, str], ...]:
    """Returns the pairs of names of which a sentence says that the first leads to the second, in its order.

    Names in a list are meant one by one: "A and B feed C" are two links, as "A feeds B and C" are. Two lists are meant
    in pairs where the sentence says "respectively", and say nothing otherwise.
    """
    if not matches or _CENTER.search(sentence):
        return ()
    gaps = [sentence[one.end() : two.start()] for one, two in itertools.pairwise(matches)]
    if _PAIRS.search(sentence):  # "Likewise, A feeds B and C feeds D"
        return tuple(
            (one[0], two[0])
            for (one, two), gap in zip(itertools.pairwise(matches), gaps, strict=True)
            if _ONWARD.fullmatch(gap)
        )
    lists = [[matches[0][0]]]
    between: list[str] = []
    for match, gap in zip(matches[1:], gaps, strict=True):
        if _LISTED.fullmatch(gap):
            lists[-1].append(match[0])
        else:
            lists.append([match[0]])
            between.append(gap)
    found: list[tuple[str, str]] = []
    for n, gap in enumerate(between):
        one, two = lists[n], lists[n + 1]
        if _BACKWARD.fullmatch(gap):
            one, two = two, one
        elif not _ONWARD.fullmatch(gap) and not (_ARE.fullmatch(gap) and _OUTPUTS.search(sentence)):
            continue
        if 1 in (len(one), len(two)):
            found += itertools.product(one, two)
        elif len(one) == len(two) and _RESPECTIVELY.search(sentence):
            found += zip(one, two, strict=True)
    if len(lists) == 1 and _ROW.match(sentence[matches[-1].end() :]):
        found += itertools.pairwise(lists[0])
    return tuple(dict.fromkeys(found))


def carries_items(cls: str) -> bool:
    """Whether items flow through the objects of a class."""
    info = find_class(cls)
    return info is not None and info.carries_items


def flow_of(twin: Twin) -> list[tuple[str, str]]:
    """Returns the ends of the connections that items flow along, in their order."""
    carries = {obj.name for obj in twin.objects if carries_items(obj.cls)}
    wires = ((wire.source, wire.target) for wire in twin.connections if wire.port == "A")
    return [wire for wire in wires if carries.issuperset(wire)]


def _ends(name: str) -> set[str]:
    first = name.lower().split()[0]
    return {first, first.removesuffix("s"), name.lower()}


class _Fact(NamedTuple):
    """What one sentence says, and of whom."""

    owners: frozenset[str]
    values: frozenset[float]
    classes: frozenset[str]
    links: tuple[tuple[str, str], ...]
    lent: frozenset[float] = frozenset()
    """Numbers of an earlier sentence, of an object that this one's are like."""
    plain: str = ""
    """The sentence in small letters, without the names."""


@functools.cache
def _class_pattern() -> re.Pattern[str]:
    names = sorted(_spoken(), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, names))})s?(?![\w-])", re.IGNORECASE)


@functools.cache
def _spoken() -> dict[str, str]:
    """How prompts say classes, in small letters: "straightconveyor", "straight conveyor"."""
    found = {}
    for name in classes():
        found[name.lower()] = name
        found[re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()] = name
    return found


def _classes_in(text: str) -> frozenset[str]:
    return frozenset(_spoken()[match[1].lower()] for match in _class_pattern().finditer(text))


@functools.lru_cache(maxsize=4096)
def _same(value: float, stated: float) -> bool:
    """Whether a number of a parameter may be what a number of a prompt means, in some unit."""
    if any(abs(value - stated * factor) <= 1e-6 * max(1.0, abs(value)) for factor in _FACTORS):
        return True
    return stated != 0 and any(abs(value - factor / stated) <= 1e-6 * max(1.0, abs(value)) for factor in (60.0, 3600.0))


def _numbers(parameters: Mapping[str, ParameterValue]) -> list[tuple[str, float]]:
    """Returns (property, number) of what somebody has to have said: neither 0 nor 1, which are switches, nor ports."""
    found: list[tuple[str, float]] = []
    for key, value in parameters.items():
        if key in _CHOICES:
            continue
        if isinstance(value, Distribution):
            found += [(key, float(n)) for n in value.arguments if isinstance(n, (int, float))]
        elif isinstance(value, (int, float)):
            found.append((key, float(value)))
        elif isinstance(value, Code):
            found += [(key, float(text)) for text in _NUMBER.findall(re.sub(r'"[^"]*"', " ", value.text))]
    return [(key, n) for key, n in found if n not in (0, 1)]


@functools.cache
def _option_words(cls: str, key: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Returns each option of a property with the pattern of the word that no other option of it has."""
    known = classes()[cls].properties.get(key) if cls in classes() else None
    options = [option for option in getattr(known, "options", None) or () if isinstance(option, str)]
    found = []
    for option in options:
        others = {word for other in options if other != option for word in other.lower().split()}
        own = [word for word in option.lower().split() if word not in others and word not in _spoken()]
        if own:
            found.append((option, re.compile(rf"\b{max(own, key=len)[:8]}")))
    return tuple(found)


def _option(obj: TwinObject, key: str, text: str) -> Iterator[Mismatch]:
    """Yields what an object has for a property where its sentences have the words of other options alone."""
    said = [option for option, pattern in _option_words(obj.cls, key) if pattern.search(text)]
    value = obj.parameters.get(key)
    if said and value not in said:
        yield Mismatch("option", obj.name, "" if value is None else str(value), tuple(said), key)


def count(mismatches: Iterable[Mismatch]) -> int:
    """Returns how much does not fit; a wrong name counts more, as much else hangs on it."""
    weights = Counter({"name": 3, "class": 3, "link": 2})
    return sum(weights[mismatch.kind] or 1 for mismatch in mismatches)
