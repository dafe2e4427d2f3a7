"""Writing prompts: everything that a script must set, in sentences from a small grammar.

A prompt is a list of facts, each put into one of several frames: what objects there are and how they are set (objects
alike share a sentence), how they are connected, and where they stand. What is left out is what the reader can know:
in style `SKETCH` the connections, which the sketch shows; in both styles the locations, as long as they follow the
grid rule (`vlsm_jax.synth.layouts`). Prompt, sketch and rule together determine the Twin.

Connections are told in an order that gives every object its ports in order: "feeds A, B and C" are the output ports 1,
2 and 3, and what is said first to feed an object takes its first input port.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Sequence

import numpy as np

from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.grammar import Rules, expand, join_words, start_sentence, with_article
from vlsm_jax.synth.industries import INDUSTRIES
from vlsm_jax.synth.layouts import LAYOUTS, grid_locations
from vlsm_jax.synth.phrases import SECONDS, Wording, setting_phrase
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.twin import Connection, Twin, TwinObject, format_number


class PromptStyle(enum.Enum):
    """What a prompt says and what it leaves to the sketch."""

    COMPLETE = "complete"
    """Classes, parameters and connections: the text alone is enough."""
    SKETCH = "sketch"
    """Classes and parameters; the connections are in the sketch only."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a factory is asked to achieve: one figure of its run, with a bound.

    Attributes:
      measure: "throughput", "lead time", "work in process" or "utilisation".
      at_least, at_most: the bound; exactly one of the two is a number.
      per: the unit of time of a rate, such as "hour"; "" where the figure is no rate.
      unit: of the bound, such as "items", "minutes" or "percent".
      object: whose figure it is; "" for that of the whole factory.
    """

    measure: str
    at_least: float | None = None
    at_most: float | None = None
    per: str = ""
    unit: str = ""
    object: str = ""


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A prompt, and what it leaves open.

    Attributes:
      text: what the engineer writes.
      omitted: what the text alone does not determine: "connections", "locations", "script style", or
        "<object>.<Property>" for a parameter.
      goal: what the factory is asked to achieve, None where nothing is asked.
    """

    text: str
    omitted: tuple[str, ...] = ()
    goal: Goal | None = None


RULES: Rules = {
    # Openings: {title} is the industry with its article, "a factory" where none is known.
    "open": (
        "Build a FlexSim model of {title}.",
        "Model {title}.",
        "Create a simulation model of {title}.",
        "I need a model of {title}.",
        "Set up {title}.",
    ),
    "use_sketch": (
        "Use the sketch to infer all connections.",
        "Take all connections from the sketch.",
        "The connections are drawn in the sketch.",
        "Infer the topology from the sketch.",
        "Wire the objects as the uploaded sketch shows.",
    ),
    "use_text": (
        "The sketch shows the same layout.",
        "Everything is given here.",
        "The sketch is for orientation.",
    ),
    "no_loop": (
        "Write it object by object, without a loop.",
        "Create each object in its own block, without loops.",
        "Use straight-line code, no loop.",
    ),
    # Objects. "one" has {name}, "many" {names} and {count}; both {cls} and, "with" frames only, {settings}.
    "one.with": (
        "{name} is a {cls} with {settings}.",
        "The {cls} {name} has {settings}.",
        "Add a {cls} named {name} with {settings}.",
        "{name}: a {cls} with {settings}.",
    ),
    "one.bare": ("{name} is a {cls}.", "Add a {cls} named {name}.", "There is a {cls} {name}.", "{name}: a {cls}."),
    "many.with": (
        "{names} are {cls}s, each with {settings}.",
        "The {cls}s {names} each have {settings}.",
        "Add {count} {cls}s, {names}, each with {settings}.",
        "{names} are {cls}s with identical settings: {settings}.",
    ),
    "many.bare": ("{names} are {cls}s.", "Add {count} {cls}s, {names}.", "There are {count} {cls}s: {names}."),
    "one.with.Source": (
        "The Source {name} releases items with {settings}.",
        "Items arrive at the Source {name} with {settings}.",
        "{name} is the Source, with {settings}.",
        "{name} is a Source with {settings}.",
    ),
    "many.with.Source": (
        "The Sources {names} each release items with {settings}.",
        "Items arrive at {count} Sources, {names}, each with {settings}.",
        "{names} are Sources, each with {settings}.",
    ),
    "one.bare.Sink": ("{name} is the Sink.", "Items leave at the Sink {name}.", "The Sink is {name}."),
    "many.bare.Sink": ("{names} are the Sinks.", "Items leave at {count} Sinks, {names}.", "The Sinks are {names}."),
    # Connections.
    "chain": (
        "Items flow from {first} to {then}.",
        "The flow goes from {first} to {then}.",
        "Connect {first} to {then} in this order.",
    ),
    "pair": ("{first} feeds {last}.", "Connect {first} to {last}.", "{first} is connected to {last}."),
    "out": (
        "{first} feeds {others}, in this port order.",
        "{first} is connected to each of {others}.",
        "From {first}, items can go to {others}.",
    ),
    "in": (
        "{others} feed {last}.",
        "{last} receives items from {others}.",
        "The outputs of {others} are connected to {last}.",
    ),
    "center": (
        "Join the center ports of {first} and {last}.",
        "{first} and {last} are joined by a center port connection.",
    ),
    # Locations that do not follow the grid rule.
    "place": ("{name} stands at {location}.", "Place {name} at {location}.", "The location of {name} is {location}."),
}

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


# --- Objects ----------------------------------------------------------------------------------------------------------


def _groups(twin: Twin) -> list[list[TwinObject]]:
    """Returns the objects that share class and parameters, in order of the first of each group."""
    groups: dict[tuple, list[TwinObject]] = {}
    for obj in twin.objects:
        groups.setdefault((obj.cls, tuple(obj.parameters.items())), []).append(obj)
    return list(groups.values())


def _object_sentence(group: Sequence[TwinObject], wording: Wording) -> str:
    rng, obj = wording.rng, group[0]
    keys = list(obj.parameters)
    settings = [setting_phrase(obj.cls, keys[i], obj.parameters[keys[i]], wording) for i in rng.permutation(len(keys))]
    number = "one" if len(group) == 1 else "many"
    rule = f"{number}.{'with' if settings else 'bare'}"
    special = f"{rule}.{obj.cls}"
    fields = {"cls": obj.cls, "settings": join_words(settings)}
    if number == "one":
        fields["name"] = wording.name(obj.name)
    else:
        fields["names"] = join_words([wording.name(o.name) for o in group])
        fields["count"] = _COUNTS[len(group)] if len(group) < len(_COUNTS) else str(len(group))
    return expand(RULES, special if special in RULES else rule, rng, **fields)


# --- Connections ------------------------------------------------------------------------------------------------------

Run = tuple[str, list[str]]
"""A rule of the grammar and the names in it: "chain" a b c, "out" a to b c, "in" a b to c, "pair" a b, "center" a b."""


def _runs(connections: Sequence[Connection]) -> list[Run]:
    """Returns the wires, in their order, gathered into as long runs as their order allows; chains do not branch."""
    outputs = Counter(w.source for w in connections if w.port == "A")
    out: list[Run] = []
    i = 0
    while i < len(connections):
        wire = connections[i]
        if wire.port == "S":
            out.append(("center", [wire.source, wire.target]))
            i += 1
            continue
        lengths = {
            "chain": _run_length(connections, i, lambda a, b: a.target == b.source and outputs[b.source] == 1),
            "out": _run_length(connections, i, lambda a, b: a.source == b.source),
            "in": _run_length(connections, i, lambda a, b: a.target == b.target),
        }
        rule, length = max(lengths.items(), key=lambda entry: entry[1])
        run = connections[i : i + length]
        if length == 1:
            out.append(("pair", [wire.source, wire.target]))
        elif rule in ("chain", "out"):
            out.append((rule, [wire.source, *(w.target for w in run)]))
        else:
            out.append((rule, [*(w.source for w in run), wire.target]))
        i += length
    return out


def _run_length(connections: Sequence[Connection], start: int, joins) -> int:
    end = start + 1
    while end < len(connections) and connections[end].port == "A" and joins(connections[end - 1], connections[end]):
        end += 1
    return end - start


def _by_lane(twin: Twin) -> tuple[Connection, ...]:
    """Returns the wires lane by lane where that leaves all ports as they are, else in their own order.

    Lanes start at the outputs of objects with several; what has several inputs ends them.
    """
    left = list(twin.connections)
    out: list[Connection] = []
    for wire in twin.connections:
        if wire not in left:
            continue
        left.remove(wire)
        out.append(wire)
        while len(twin.ports[wire.target].inputs) == 1 and len(twin.ports[wire.target].outputs) == 1:
            following = [w for w in left if w.source == wire.target and w.port == "A"]
            if not following or len(twin.ports[following[0].target].inputs) > 1:
                break
            wire = following[0]
            left.remove(wire)
            out.append(wire)
    out = _fan_first(out)
    return tuple(out) if Twin(twin.objects, tuple(out)) == twin else twin.connections


def _fan_first(wires: list[Connection]) -> list[Connection]:
    """Returns the wires with those of a fan-out moved to its first and those of a fan-in to its last."""
    sources = [w.source for w in wires]
    out: list[Connection] = []
    for i, wire in enumerate(wires):
        if sources.count(wire.source) > 1:
            if sources.index(wire.source) == i:
                out.extend(w for w in wires if w.source == wire.source)
        else:
            out.append(wire)
    targets = [w.target for w in out]
    final: list[Connection] = []
    for i, wire in enumerate(out):
        if targets.count(wire.target) > 1:
            if len(targets) - 1 - targets[::-1].index(wire.target) == i:
                final.extend(w for w in out if w.target == wire.target)
        else:
            final.append(wire)
    return final


def _connection_sentences(twin: Twin, wording: Wording) -> list[str]:
    out = []
    for rule, members in _runs(_by_lane(twin)):
        names = [wording.name(name) for name in members]
        fields = {"first": names[0], "last": names[-1]}
        if rule == "chain":
            fields["then"] = ", then to ".join(names[1:])
        elif rule == "out":
            fields["others"] = join_words(names[1:])
        elif rule == "in":
            fields["others"] = join_words(names[:-1])
        out.append(expand(RULES, rule, wording.rng, **fields))
    return out


# --- The whole --------------------------------------------------------------------------------------------------------


def _location_sentences(factory: Factory, wording: Wording) -> list[str]:
    """Returns where the objects stand that are not where the rule of the layout puts them."""
    layout = LAYOUTS.get(factory.layout)
    expected = (layout.locations if layout else grid_locations)(factory.twin)
    if all(obj.location == expected[obj.name] for obj in factory.twin.objects):
        return []
    return [
        expand(
            RULES,
            "place",
            wording.rng,
            name=wording.name(obj.name),
            location=f"({', '.join(format_number(c) for c in obj.location)})",
        )
        for obj in factory.twin.objects
    ]


def write_prompt(
    factory: Factory, style: PromptStyle, rng: np.random.Generator, *, script_style: ScriptStyle | None = None
) -> Prompt:
    """Returns a prompt from which, with the sketch in style `SKETCH`, the Twin of a factory can be written.

    Every name and number of the Twin is in the text, apart from default locations, zeros that only shift a
    distribution by nothing, and, in style `SKETCH`, the connections.

    Args:
      factory: what to tell.
      style: whether the connections are told.
      rng: chooses frames and the order of the sentences; it is advanced.
      script_style: the code style that is asked for; only `STRAIGHT` is asked for in words, a loop goes without
        saying.
    """
    quotes = (("", ""), ('"', '"'), ("“", "”"))[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
    wording = Wording(rng, SECONDS[int(rng.choice(len(SECONDS), p=(0.5, 0.4, 0.1)))], quotes)
    twin = factory.twin

    objects = [_object_sentence(group, wording) for group in _groups(twin)]
    if rng.random() < 0.35:
        objects = [objects[i] for i in rng.permutation(len(objects))]
    places = _location_sentences(factory, wording)

    opening = []
    if rng.random() < 0.5:
        industry = INDUSTRIES.get(factory.industry)
        opening.append(expand(RULES, "open", rng, title=with_article(industry.title if industry else "factory")))
    body = [*objects, *places]
    if style is PromptStyle.SKETCH:
        hint = expand(RULES, "use_sketch", rng)
        sentences = [*opening, hint, *body] if rng.random() < 0.5 else [*opening, *body, hint]
    else:
        connections = _connection_sentences(twin, wording)
        sentences = [*opening, *body, *connections]
        if rng.random() < 0.25:
            sentences.append(expand(RULES, "use_text", rng))
    if script_style is ScriptStyle.STRAIGHT:
        sentences.append(expand(RULES, "no_loop", rng))
    omitted = ("connections",) if style is PromptStyle.SKETCH else ()
    return Prompt(" ".join(start_sentence(sentence) for sentence in sentences), omitted)
