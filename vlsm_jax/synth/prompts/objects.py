"""What objects there are and how they are set: objects alike share a sentence, a bullet or a row of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from vlsm_jax.synth.prompts.grammar import Field, Grammar, Rules, join_words, start_sentence, with_article
from vlsm_jax.synth.prompts.settings import Fact, count_phrases, facts_of, key_value, noun_phrase, verb_phrase
from vlsm_jax.synth.prompts.voice import COUNTS, Voice
from vlsm_jax.synth.prompts.wordbook import NOUNS
from vlsm_jax.twin import Twin, TwinObject

RULES: Rules = {
    # {cls} is the class, {a_cls} with its article, {clss} its plural; {np}, {kv} and {vp} all facts in that manner.
    "one.with": (
        "{name} is {a_cls} with {np}.",
        "The {cls} {name} has {np}.",
        "Add {a_cls} named {name} with {np}.",
        "{name}: {a_cls} with {np}.",
        "{name} is {a_cls}: {kv}.",
        "{name} is {a_cls} that {vp}.",
        "The {cls} {name} {vp}.",
        "{name} is modelled as {a_cls} with {np}.",
        "{name} acts as {a_cls} and {vp}.",
        "For {name}, use {a_cls} with {np}.",
        "Set up {name} as {a_cls} with {np}.",
        "{name} is {a_cls}. It {vp}.",
        "There is {a_cls} called {name}. It has {np}.",
        "Create {a_cls} {name}; it {vp}.",
        "{name}, {a_cls}, {vp}.",
        "{name} should be {a_cls} with {np}.",
        "{name} needs to be {a_cls} with {np}.",
        "Place {a_cls} called {name} and give it {np}.",
    ),
    "one.two": (
        "{name} is {a_cls} with {head}. It also has {tail}.",
        "{name} is {a_cls} that {head_vp}. It {tail_vp}.",
        "The {cls} {name} {head_vp}. Give it {tail} as well.",
        "Add {a_cls} named {name} with {head}. It {tail_vp}.",
    ),
    "one.bare": (
        "{name} is {a_cls}.",
        "Add {a_cls} named {name}.",
        "There is {a_cls} {name}.",
        "{name}: {a_cls}.",
        "{name} is {a_cls} with default settings.",
        "Use {a_cls} for {name}.",
        "{name} is a plain {cls}.",
    ),
    "many.with": (
        "{names} are {clss}, each with {np}.",
        "The {clss} {names} each have {np}.",
        "Add {number} {clss}, {names}, each with {np}.",
        "{names} are {clss} with identical settings: {kv}.",
        "{names} are {number} identical {clss} with {np}.",
        "{names} are {clss} that {vp}.",
        "The {clss} {names} {vp}.",
        "{names} are {clss}. {All} have {np}.",
        "{names} are {clss}. They {vp}.",
        "{names} are {clss}. Each of them has {np}.",
        "{names} are modelled as {clss}, all with {np}.",
        "Set up {names} as {clss}, each with {np}.",
        "Create the {clss} {names}; they {vp}.",
        "{names} function as {clss} with the same settings: {kv}.",
        "For {names}, use {clss} with {np} each.",
    ),
    "one.rest": ("The remaining {cls}, {name}, has {np}.", "The last {cls} is {name}; it {vp}."),
    "many.rest": (
        "The remaining {clss}, {names}, each have {np}.",
        "The other {clss} are {names}; they {vp}.",
    ),
    "many.same": (
        "{first} {others} [is another {cls}|are further {clss}] with the same settings.",
        "{first} The [{cls}|{clss}] {others} [is|are] set in the same way.",
        "{first} {others} [is an|are] identical [{cls}|{clss}].",
    ),
    "many.bare": (
        "{names} are {clss}.",
        "Add {number} {clss}, {names}.",
        "{names}: {number} {clss}.",
        "{names} are {clss} with default settings.",
        "Use {clss} for {names}.",
    ),
    "one.with.Source": (
        "The Source {name} releases {item} with {np}.",
        "Items arrive at the Source {name} with {np}.",
        "{name} is the Source, with {np}.",
        "{one.with}",
        "The Source {name} {vp}.",
        "{name} is the Source and {vp}.",
        "At the Source {name}, items enter with {np}.",
    ),
    "many.with.Source": (
        "The Sources {names} each release {item} with {np}.",
        "Items arrive at {number} Sources, {names}, each with {np}.",
        "{many.with}",
    ),
    "one.bare.Sink": (
        "{name} is the Sink.",
        "Items leave at the Sink {name}.",
        "The Sink is {name}.",
        "{name} is the Sink where items leave.",
        "The Sink {name} takes in what is finished.",
        "{one.bare}",
    ),
    "many.bare.Sink": (
        "{names} are the Sinks.",
        "Items leave at {number} Sinks, {names}.",
        "The Sinks are {names}.",
        "{many.bare}",
    ),
    # Bullets: {kvs} is a list of keys and values, parted by semicolons.
    "bullet.with": (
        "{names} ({cls}): {kvs}",
        "{names}: {cls}; {kvs}",
        "{cls} {names}: {kvs}",
        "{names} – {cls}; {kvs}",
    ),
    "bullet.bare": ("{names} ({cls})", "{names}: {cls}", "{cls} {names}", "{names} – {cls}"),
}

_GRAMMAR = Grammar(RULES)
_NUMBERED = re.compile(r"(.*?)(\d+)")

Group = Sequence[TwinObject]


def groups_of(objects: Sequence[TwinObject]) -> list[list[TwinObject]]:
    """Returns the objects that share class and parameters, in order of the first of each group."""
    groups: dict[tuple, list[TwinObject]] = {}
    for obj in objects:
        groups.setdefault((obj.cls, *obj.parameters.items()), []).append(obj)
    return list(groups.values())


def _number(count: int) -> str:
    return COUNTS[count] if count < len(COUNTS) else str(count)


def names_text(group: Group, voice: Voice) -> str:
    """Returns the names of a group: "A 1 and A 2", or "A 1 to 4" where three or more are numbered in a row."""
    if len(group) > 2 and not voice.quotes[0] and voice.dice.chance(0.35):
        found = [_NUMBERED.fullmatch(obj.name) for obj in group]
        if all(found) and len({m[1] for m in found}) == 1 and voice.name(group[0].name) == group[0].name:
            numbers = [m[2] for m in found]
            first = int(numbers[0])
            if numbers == [str(first + i) for i in range(len(numbers))]:
                word = voice.dice.pick((" to ", " through "))
                return f"{group[0].name}{word}{voice.dice.pick((numbers[-1], group[-1].name))}"
    return join_words([voice.name(obj.name) for obj in group])


def facts_of_group(group: Group, voice: Voice, twin: Twin | None, leave: frozenset[str] = frozenset()) -> list[Fact]:
    """Returns the facts of a group, mixed; what a lone object is connected to may be named in them."""
    alone = len(group) == 1
    facts = facts_of(group[0], voice, twin if alone else None, leave, alone)
    facts = voice.dice.some(facts, len(facts))
    # What names other objects has an "and" of its own, so it comes last.
    facts.sort(key=lambda fact: "SendToPort" in fact.properties)
    return facts


def _fields(group: Group, facts: Sequence[Fact], voice: Voice) -> dict[str, Field]:
    cls, plural = group[0].cls, len(group) > 1
    fields: dict[str, Field] = {
        "cls": voice.cls(cls),
        "clss": lambda: voice.cls(cls, plural=True),
        "a_cls": lambda: with_article(voice.cls(cls)),
        "np": lambda: join_words([noun_phrase(fact, voice, plural) for fact in facts]),
        "kv": lambda: ", ".join([key_value(fact, voice) for fact in facts]),
        "vp": lambda: join_words([verb_phrase(fact, voice, plural) for fact in facts]),
        "item": voice.item,
    }
    if plural:
        fields["names"] = lambda: names_text(group, voice)
        fields["number"] = _number(len(group))
        fields["All"] = "Both" if len(group) == 2 else f"All {_number(len(group))}"
    else:
        fields["name"] = voice.name(group[0].name)
    return fields


def describe(group: Group, voice: Voice, twin: Twin | None, share: str = "some") -> str:
    """Returns a sentence, or two, that introduces a group of objects alike and says all of their parameters.

    Args:
      group: the objects.
      voice: of the prompt.
      twin: where their connections are; None where these may not be named.
      share: of the objects of their class these are: "all", "some", or the "rest" after others were told.
    """
    dice = voice.dice
    facts = facts_of_group(group, voice, twin)
    cls, plural = group[0].cls, len(group) > 1
    if plural and facts and dice.chance(0.12):
        # What the first is connected to is no setting that the others share, so it is not named.
        first = describe(group[:1], voice, None)
        fields = _fields(group, facts, voice)
        fields |= {"first": first, "others": names_text(group[1:], voice)}
        return _GRAMMAR.expand("many.same", dice, fields, plural=len(group) > 2)
    fields = _fields(group, facts, voice)
    if share == "rest" and facts and dice.chance(0.2):
        return _GRAMMAR.expand("many.rest" if plural else "one.rest", dice, fields, plural)
    if not plural and len(facts) > 1 and dice.chance(0.15):
        cut = dice.whole(1, len(facts) - 1)
        for key, part in (("head", facts[:cut]), ("tail", facts[cut:])):
            fields[key] = lambda part=part: join_words([noun_phrase(fact, voice) for fact in part])
            fields[f"{key}_vp"] = lambda part=part: join_words([verb_phrase(fact, voice) for fact in part])
        return _GRAMMAR.expand("one.two", dice, fields)
    return _GRAMMAR.expand(_rule("many" if plural else "one", cls, facts, share == "all"), dice, fields, plural)


def describe_all(groups: Sequence[Group], voice: Voice, twin: Twin) -> list[str]:
    """Returns the sentences that introduce all objects, in the order of the groups."""
    left = Counter(group[0].cls for group in groups)
    told: set[str] = set()
    out = []
    for group in groups:
        cls = group[0].cls
        left[cls] -= 1
        share = "some" if left[cls] else "rest" if cls in told else "all"
        told.add(cls)
        out.append(start_sentence(describe(group, voice, twin, share)))
    return out


def _rule(number: str, cls: str, facts: Sequence[Fact], only: bool) -> str:
    rule = f"{number}.{'with' if facts else 'bare'}"
    special = f"{rule}.{cls}"
    return special if only and special in _GRAMMAR else rule


def bullet(group: Group, voice: Voice, twin: Twin) -> str:
    """Returns a group in a line without a verb: names, class, keys and values."""
    facts = facts_of_group(group, voice, twin)
    fields: Mapping[str, Field] = {
        "names": names_text(group, voice),
        "cls": voice.cls(group[0].cls),
        "kvs": lambda: "; ".join([key_value(fact, voice) for fact in facts]),
    }
    return _GRAMMAR.expand("bullet.with" if facts else "bullet.bare", voice.dice, fields)


def table(groups: Sequence[Group], voice: Voice, twin: Twin) -> str:
    """Returns all objects as a Markdown table, one row for each object or for each group."""
    dice = voice.dice
    head = dice.pick((["Name", "Class", "Settings"], ["Object", "Type", "Parameters"]))
    times = dice.chance(0.4)  # in a column of their own
    if times:
        head.insert(2, dice.pick(("Times", "Timing")))
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    one_each = dice.chance(0.6)
    for group in groups:
        for members in [[obj] for obj in group] if one_each else [group]:
            facts = facts_of_group(members, voice, twin)
            cells = [names_text(members, voice), voice.cls(members[0].cls)]
            if times:
                cells.append("; ".join([key_value(f, voice) for f in facts if f.properties[0] in NOUNS]) or "–")
                facts = [fact for fact in facts if fact.properties[0] not in NOUNS]
            cells.append("; ".join([key_value(fact, voice) for fact in facts]) or "–")
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def count_descriptions(group: Group, voice: Voice, twin: Twin) -> int:
    """Returns a lower bound of the number of one-sentence descriptions of a group in one voice.

    Counted are the frames that say all facts as noun phrases, with every choice of these and every order of the facts.
    """
    facts = facts_of_group(group, voice, twin)
    number = "many" if len(group) > 1 else "one"
    rule = _rule(number, group[0].cls, facts, only=False)
    frames = sum("{kv}" not in text and "{vp}" not in text for text in RULES[rule])
    total = max(frames, 1)
    for place, fact in enumerate(facts, start=1):
        total *= count_phrases(fact) * (1 if "SendToPort" in fact.properties else place)
    return total
