"""Writing prompts: everything that a script must set, in the manner of one of many writers.

A prompt is a list of facts: what objects there are and how they are set (objects alike share a sentence), how they are
connected, and where they stand. What is left out is what the reader can know: in style `SKETCH` the connections, which
the sketch shows; in all styles the locations, as long as they follow the grid rule (`vlsm_jax.synth.layouts`). Prompt,
sketch and rule together determine the Twin, but for what a `TERSE` prompt drops, and every prompt says what it leaves
open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.industries import INDUSTRIES
from vlsm_jax.synth.layouts import grid_locations
from vlsm_jax.synth.prompts.connections import (
    by_lane,
    connection_lines,
    connection_sentences,
    count_connections,
    flow_of,
    told_flow,
)
from vlsm_jax.synth.prompts.goals import draw_goal, goal_sentence
from vlsm_jax.synth.prompts.grammar import Field, Grammar, PlainDice, Rules, start_sentence, with_article
from vlsm_jax.synth.prompts.objects import Group, bullet, count_descriptions, describe_all, groups_of, table
from vlsm_jax.synth.prompts.prompt import Prompt, PromptStyle
from vlsm_jax.synth.prompts.terse import COSMETIC, terse_lines
from vlsm_jax.synth.prompts.voice import Voice, is_plain
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.twin import Connection, Twin, format_number

RULES: Rules = {
    # Openings: {title} is the industry with its article, "a factory" where none is known.
    "open": (
        "Build a FlexSim model of {title}.",
        "Model {title}.",
        "Create a simulation model of {title}.",
        "I need a model of {title}.",
        "Set up {title}.",
        "Write a FlexScript for {title}.",
        "Generate FlexScript code that builds {title}.",
        "Please write the FlexScript for {title}.",
        "This is {title}.",
        "We want to simulate {title} in FlexSim.",
        "Make a FlexSim model of {title}.",
        "Below is the description of {title}.",
    ),
    "use_sketch": (
        "Use the sketch to infer all connections.",
        "Take all connections from the sketch.",
        "The connections are drawn in the sketch.",
        "Infer the topology from the sketch.",
        "Wire the objects as the uploaded sketch shows.",
        "Only the topology should follow the uploaded sketch.",
        "How the objects are connected is shown in the sketch.",
        "Connect everything as in the sketch.",
        "For the connections, see the sketch.",
        "Follow the sketch for the links between objects.",
    ),
    "use_text": (
        "The sketch shows the same layout.",
        "Everything is given here.",
        "The sketch is for orientation.",
        "The sketch shows the same thing.",
    ),
    "lanes": (
        "Both parallel lines share identical parameters.",
        "The two lines have identical settings.",
        "Settings are the same on both lines.",
    ),
    "folded": (
        "The line is arranged in a U.",
        "Arrange the line in a U shape.",
        "The layout is U-shaped.",
        "Lay the line out in a U.",
    ),
    "mail_open": ("Hi,", "Hello,", "Hi team,", "Good morning,", "Hello all,"),
    "mail_ask": (
        "could you build this model for me?",
        "please set up the following model.",
        "I need the FlexScript for this one.",
        "can you write the script for the factory below?",
    ),
    "mail_close": ("Thanks!", "Thank you.", "Best regards", "Many thanks", "Cheers"),
    "heading_objects": ("Objects:", "Objects and settings:", "Stations:", "Equipment:", "Model objects:"),
    "heading_flow": ("Connections:", "Flow:", "Material flow:", "Links:", "Routing:"),
    "note": ("Note:", "Remark:", "NB:"),
    # Locations that do not follow the grid rule.
    "place": (
        "{name} stands at {location}.",
        "Place {name} at {location}.",
        "The location of {name} is {location}.",
        "Put {name} at {location}.",
    ),
    # Terse.
    "terse_open": ("FlexSim model, {title}", "{title}", "model: {title}", "{title} – FlexScript please"),
    "terse_times": ("times in s", "all times in seconds", "times: s", "(times in seconds)"),
    "terse_sketch": ("connections: see sketch", "wiring as sketched", "links per sketch", "topology -> sketch"),
    "terse_folded": ("U-shaped", "U layout", "arranged in a U"),
}
_GRAMMAR = Grammar(RULES)

SCRIPT_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "LOOP": (),
        "STRAIGHT": (
            "Write it object by object, without a loop.",
            "Create each object in its own block, without loops.",
            "Use straight-line code, no loop.",
        ),
        "INSTANCE": (
            "Use the old commands: createinstance, setname, setloc, setvarnum.",
            "Write it with createinstance and setvarnum, not with properties.",
            "Please use the classic commands (createinstance, setloc, setvarnum).",
        ),
        "ARRAYS": (
            "Keep names and parameters in arrays, one set for each class, and loop over them.",
            "Use arrays for each class of objects and a loop for each.",
            "Write it with helper arrays per class.",
        ),
        "RECORDS": (
            "Use one table with a row per object and one with a row per connection.",
            "Keep the objects and the connections as rows of two tables that loops read.",
            "Make it table-driven: a row for every object and a row for every connection.",
        ),
        "SECTIONS": (
            "Order the script in sections with a heading for each kind of object.",
            "Group the code under headings: sources, buffers, machines and so on, then the connections.",
            "Split the script into commented sections by kind of object.",
        ),
        "DICTATED": (
            "Follow the order of this text, and find the objects by name to connect them.",
            "Go through this description from top to bottom; connect the objects by their names.",
            "Write it in the order given here, with Model.find for the connections.",
        ),
    }
)
"""How a script style is asked for, by its name; a loop over tables goes without saying."""


# --- Parts ------------------------------------------------------------------------------------------------------------


def _location_sentences(factory: Factory, voice: Voice) -> list[str]:
    """Returns where the objects stand, if any of them is not where the rule of the layout puts it."""
    expected = grid_locations(factory.twin, factory.layout)
    if all(obj.location == expected[obj.name] for obj in factory.twin.objects):
        return []
    out = []
    for obj in factory.twin.objects:
        location = f"({', '.join([format_number(c) for c in obj.location])})"
        fields = {"name": voice.name(obj.name), "location": location}
        out.append(_GRAMMAR.expand("place", voice.dice, fields))
    return out


def _title(factory: Factory) -> str:
    industry = INDUSTRIES.get(factory.industry)
    return with_article(industry.title if industry else "factory")


_LANE = re.compile(r"(.*?) ?([12])")


def _has_twin_lanes(twin: Twin) -> bool:
    """Whether some names end in 1 and 2, and in nothing higher, and each such pair shares class and parameters."""
    lanes: dict[str, list] = {}
    for obj in twin.objects:
        if obj.name[-1:].isdecimal():
            found = _LANE.fullmatch(obj.name)
            if found is None:
                return False
            lanes.setdefault(found[1], []).append(obj)
    pairs = list(lanes.values())
    return len(pairs) > 1 and all(
        len(pair) == 2 and pair[0].cls == pair[1].cls and pair[0].parameters == pair[1].parameters for pair in pairs
    )


def _ordered(groups: list, dice: Dice, lanes: bool, mixing: Dice | None) -> list:
    """Returns the groups in the order of the flow, by class, or mixed; those of several lanes also line by line.

    With `mixing` they are mixed, by it.
    """
    if mixing is not None:
        return mixing.some(groups, len(groups))
    kind = dice.whole(0, 9)
    if lanes and kind == 9:
        alone = [[obj] for group in groups for obj in group]
        return sorted(alone, key=lambda group: group[0].name[-1] if group[0].name[-1].isdecimal() else "")
    if kind < 6:
        return groups
    if kind < 8:
        first: dict[str, int] = {}
        for group in groups:
            first.setdefault(group[0].cls, len(first))
        return sorted(groups, key=lambda group: first[group[0].cls])
    return dice.some(groups, len(groups))


def _by_class(groups: Sequence[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group[0].cls, []).append(group)
    return found


def _sections(groups: Sequence[Group], voice: Voice, twin: Twin) -> list[str]:
    """Returns the objects in bullets under a heading for each class."""
    out = []
    for cls, members in _by_class(groups).items():
        many = len(members) > 1 or len(members[0]) > 1
        out.append(f"{start_sentence(voice.cls(cls, plural=many))}:")
        out.extend(f"- {bullet(group, voice, twin)}" for group in members)
    return out


# --- The whole --------------------------------------------------------------------------------------------------------


def write_prompt(
    factory: Factory,
    style: PromptStyle,
    rng: np.random.Generator,
    *,
    script_style: ScriptStyle | None = None,
    plain: bool = False,
    self_contained: bool = False,
    unordered: bool = False,
) -> Prompt:
    """Returns a prompt from which, with the sketch and but for what it leaves open, the Twin can be written.

    In style `COMPLETE` every name and number of the Twin is in the text, apart from locations that follow the rule of
    the layout and zeros that only shift a distribution by nothing.

    Args:
      factory: what to tell.
      style: what is told, and how.
      rng: chooses words, forms and the order of the sentences; it is advanced, by how much is not fixed.
      script_style: the code style that is asked for; a loop goes without saying. None where none is wanted.
      plain: one frame for each fact and one order, in prose: for models too small to learn a language. Styles keep
        what they say and leave out; `TERSE` is as terse as ever.
      self_contained: whether connections are told in all styles but `SKETCH`; else in half of the prompts of each.
      unordered: where connections are not told, objects come in no order of the flow, which would tell most of them.
    """
    dice = PlainDice() if plain else Dice(rng)
    twin = factory.twin
    industry = INDUSTRIES.get(factory.industry)
    half = bool(rng.random() < 0.5)
    named = style is PromptStyle.COMPLETE or (style is not PromptStyle.SKETCH and (half or self_contained))
    # Where several Sources feed a line, some of them send in other things.
    item = industry.item if industry and sum(obj.cls == "Source" for obj in twin.objects) == 1 else ""
    units = style is PromptStyle.UNITS
    voice = Voice(dice, named=named, units=units) if plain else Voice.draw(dice, item=item, named=named, units=units)
    omitted = [] if named else ["connections"]
    goal = draw_goal(twin, Dice(rng)) if style is PromptStyle.INTENT else None
    asked = SCRIPT_WORDS[script_style.name] if script_style is not None else ()
    mixing = Dice(rng) if unordered and not named else None

    places = _location_sentences(factory, voice)
    if not named and not places:
        omitted.append("locations")
    if mixing is not None:
        places = mixing.some(places, len(places))
    if script_style is None:
        omitted.append("script style")
    tail = [dice.pick(asked)] if asked else []
    if style is PromptStyle.TERSE:
        voice.words = False
        text, told, dropped = _terse(factory, voice, places, tail, dice, mixing)
        return Prompt(text, (*omitted, *dropped), told=told)
    if goal is not None:
        tail.insert(0, goal_sentence(goal, voice))
    text, told = _text(factory, voice, places, tail, dice, mixing)
    return Prompt(text, tuple(omitted), goal, told)


def _told_wires(twin: Twin, voice: Voice) -> tuple[Sequence[Connection], list[str]]:
    """Returns the flow as it is told, and the sentences that tell all connections; none where the sketch does."""
    if not voice.named:
        return flow_of(twin), []
    flow = told_flow(twin, voice)
    return flow, [start_sentence(sentence) for sentence in connection_sentences(twin, flow, voice)]


def _as_told(twin: Twin, groups: Sequence[Group], flow: Sequence[Connection]) -> Twin:
    """Returns the Twin in the order of a prompt."""
    rest = [wire for wire in twin.connections if wire.port != "A"]
    return Twin(tuple(obj for group in groups for obj in group), (*flow, *rest))


def _text(
    factory: Factory, voice: Voice, places: list[str], tail: list[str], dice: Dice, mixing: Dice | None
) -> tuple[str, Twin]:
    twin = factory.twin
    flow: Sequence[Connection] = flow_of(twin)
    groups = _ordered(groups_of(twin.objects), dice, factory.layout == "parallel", mixing)
    # Names with signs in them stand in sentences, where quotes keep them together.
    manner = dice.whole(0, 99 if all(is_plain(obj.name) for obj in twin.objects) else 59)
    fields: dict[str, Field] = {"title": _title(factory)}
    opening = [_GRAMMAR.expand("open", dice, fields)] if dice.chance(0.55) else []
    hint = _GRAMMAR.expand("use_text" if voice.named else "use_sketch", dice, fields)
    remarks = [*tail]
    if factory.layout == "u_shaped" and not places and (voice.named or dice.chance(0.6)):
        opening.append(_GRAMMAR.expand("folded", dice, fields))
    if factory.layout == "parallel" and dice.chance(0.4) and _has_twin_lanes(twin):
        remarks.append(_GRAMMAR.expand("lanes", dice, fields))
    if voice.named:
        if dice.chance(0.2):
            remarks.append(hint)
    elif dice.chance(0.5):
        opening.append(hint)
    else:
        remarks.insert(0, hint)

    if manner < 50:
        body = describe_all(groups, voice, twin)
        flow, wires = _told_wires(twin, voice)
        parts = [[*opening], body, places, wires, remarks]
        if dice.chance(0.15):
            parts = [[*opening], wires, body, places, remarks]
        between = ("\n\n" if dice.chance(0.5) else "\n") if dice.chance(0.35) else " "
        return between.join([" ".join(part) for part in parts if part]), _as_told(twin, groups, flow)
    if manner < 60:
        hello = f"{_GRAMMAR.expand('mail_open', dice, fields)}\n\n"
        ask = _GRAMMAR.expand("mail_ask", dice, fields)
        lines = describe_all(groups, voice, twin)
        flow, wires = _told_wires(twin, voice)
        parts = [[ask, *opening], lines, places, wires, remarks]
        text = "\n\n".join([" ".join(part) for part in parts if part])
        return f"{hello}{text}\n\n{_GRAMMAR.expand('mail_close', dice, fields)}", _as_told(twin, groups, flow)
    # Lists: what stands in them has no verb, or is a sentence with a mark before it.
    if manner < 75:
        mark = dice.pick(("- ", "* ", "• ", ". ", ") "))
        whole = dice.chance(0.4)
        told = describe_all(groups, voice, twin) if whole else [bullet(group, voice, twin) for group in groups]
        numbered = mark in (". ", ") ")
        objects = [f"{i if numbered else ''}{mark}{line}" for i, line in enumerate(told, start=1)]
    elif manner < 87:
        objects = _sections(groups, voice, twin)
        groups = [group for members in _by_class(groups).values() for group in members]
    else:
        objects = [table(groups, voice, twin)]
    lines = [" ".join(opening), _GRAMMAR.expand("heading_objects", dice, fields), *objects, *places]
    if voice.named:
        lines.append(_GRAMMAR.expand("heading_flow", dice, fields))
        if dice.chance(0.5):
            flow = by_lane(twin, flow)
            arrow = dice.pick((" -> ", " → ", " > "))
            lines += [f"- {line}" for line in connection_lines(twin, flow, voice, arrow)]
        else:
            flow, wires = _told_wires(twin, voice)
            lines += [f"- {sentence}" for sentence in wires]
    if remarks:
        lines.append(" ".join(remarks))
    return "\n".join([line for line in lines if line]), _as_told(twin, groups, flow)


def _terse(
    factory: Factory, voice: Voice, places: list[str], tail: list[str], dice: Dice, mixing: Dice | None
) -> tuple[str, Twin, list[str]]:
    twin = factory.twin
    flow: Sequence[Connection] = flow_of(twin)
    leave = COSMETIC if dice.chance(0.5) else frozenset()
    dropped = [f"{obj.name}.{name}" for obj in twin.objects for name in obj.parameters if name in leave]
    fields: dict[str, Field] = {"title": _title(factory).split(" ", 1)[1]}
    lines = [_GRAMMAR.expand("terse_open", dice, fields)] if dice.chance(0.5) else []
    if factory.layout == "u_shaped" and not places:
        lines.append(_GRAMMAR.expand("terse_folded", dice, fields))
    times = _GRAMMAR.expand("terse_times", dice, fields)
    first = dice.chance(0.5)
    if first:
        lines.append(times)
    groups = _ordered(groups_of(twin.objects), dice, factory.layout == "parallel", mixing)
    lines += terse_lines(groups, voice, twin, leave)
    lines += places
    if voice.named:
        flow = by_lane(twin, flow)
        lines += connection_lines(twin, flow, voice, dice.pick((" -> ", " > ", " → ")))
    else:
        lines.append(_GRAMMAR.expand("terse_sketch", dice, fields))
    if not first:
        lines.append(times)
    lines += tail
    return "\n".join(lines), _as_told(twin, groups, flow), dropped


def count_forms(factory: Factory) -> int:
    """Returns a lower bound of the number of different complete prompts of a factory.

    Counted is one manner only, prose in the order of the flow in one and the same voice with one sentence for each
    group of objects and each run of connections: the product of the frames of every sentence, of the phrases in it and
    of their orders. Sentences end with a full stop, so unlike choices make unlike texts.
    """
    voice = Voice(PlainDice())
    total = 1
    for group in groups_of(factory.twin.objects):
        total *= count_descriptions(group, voice, factory.twin)
    return total * count_connections(factory.twin)
