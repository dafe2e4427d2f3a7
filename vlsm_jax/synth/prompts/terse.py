"""Terse prompts: a line per object, abbreviations, numbers without words around them; times in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from vlsm_jax.synth.prompts.grammar import Field, Grammar, Rules
from vlsm_jax.synth.prompts.objects import Group, facts_of_group, names_text
from vlsm_jax.synth.prompts.settings import Fact, key_value
from vlsm_jax.synth.prompts.values import arguments_told, is_told
from vlsm_jax.synth.prompts.voice import Voice
from vlsm_jax.twin import Distribution, Twin, TwinObject, format_number

COSMETIC = frozenset(("ItemPlacement", "StackBaseZ"))
"""What a terse prompt may leave out: how a Queue looks does not change what it does."""

RULES: Rules = {
    "capacity": ("cap {n}", "cap. {n}", "cap={n}", "capacity {n}", "max {n}"),
    "placement.Vertically": ("stack vertical", "vertical stack", "stacked vert."),
    "placement.Line": ("horizontal line", "in line (horiz.)"),
    "placement.Inside": ("stack inside queue", "stacked inside"),
    "base": ("base {value}", "base z {value}", "base={value}"),
    "lifo": ("LIFO",),
    "fifo": ("FIFO",),
    "batch": ("batch {n}", "batches of {n}", "batch={n}"),
    "process_operators": ("{n} op", "ops: {n}", "{n} operator(s)"),
    "setup_operators": ("{n} setup op", "setup ops: {n}"),
    "transport": ("transport", "needs transport", "w/ transport"),
    "even": ("random port {low}-{high}", "rnd out {low}..{high}"),
    "even.named": ("even random split: {outputs}", "random to {choices}"),
    "share": ("{percent} port {first}, rest port {second}",),
    "share.named": ("{percent} to {first}, {rest} to {second}",),
    "rework": ("{percent} to {first}, {rest} back to {second}", "{percent} ok to {first}, {rest} rework to {second}"),
    "combine": ("{mode}: {components} per item from port 1",),
    "combine.named": ("{mode}: {components} per item from {first}",),
    "mode": ("{mode}",),
    "separate_mode": ("{mode}",),
    "split": ("Split x{n}", "Split into {n}", "Split, qty {n}"),
    "unpack": ("Unpack, qty {n}",),
    "processes": ("{processes}", "steps: {processes}"),
    "belt": ("{value}", "v={value}", "speed {value}"),
    "top": ("vmax {value}", "max {value}"),
    "length": ("len {value}", "L={value}", "{value} long"),
    "line": ("{names}: {cls}{facts}", "{names} ({cls}){facts}", "{cls} {names}{facts}", "{names} = {cls}{facts}"),
}
_GRAMMAR = Grammar(RULES)

NOUNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "InterArrivalTime": ("IAT", "interarrival", "arr."),
        "ProcessTime": ("PT", "process", "proc. time"),
        "SetupTime": ("setup", "ST", "set-up"),
        "MaxBatchTime": ("max batch wait", "batch timeout"),
        "LoadTime": ("load", "load t"),
        "UnloadTime": ("unload", "unload t"),
        "MoveTime": ("move", "move t"),
    }
)

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Source": ("Source", "src"),
        "Queue": ("Queue", "Q"),
        "Processor": ("Processor", "proc"),
        "Sink": ("Sink", "sink"),
        "Combiner": ("Combiner", "comb"),
        "Separator": ("Separator", "sep"),
        "MultiProcessor": ("MultiProcessor", "multiproc"),
        "StraightConveyor": ("StraightConveyor", "straight conv"),
        "Operator": ("Operator", "op"),
        "TaskExecuter": ("TaskExecuter", "TE"),
    }
)

_MANNERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "exponential": ("exp({mean})", "exp {mean}", "exp. mean {mean}"),
        "normal": ("N({mean}, {deviation})", "normal {mean} sd {deviation}", "normal({mean}, {deviation})"),
        "triangular": ("tri {min}/{mode}/{max}", "tri({min}/{mode}/{max})", "triang. {min}-{mode}-{max}"),
        "uniform": ("U({min}, {max})", "unif {min}-{max}", "uniform({min}, {max})"),
        "lognormalmeanstdev": ("logn mean {mean} sd {deviation}", "lognormal {mean} sd {deviation}"),
        "weibull": ("Weibull scale {scale} shape {shape}", "weib(scale {scale}, shape {shape})"),
        "gamma": ("gamma scale {scale} shape {shape}", "gamma(scale {scale}, shape {shape})"),
        "poisson": ("Poisson({mean})", "poisson {mean}", "poi({mean})"),
    }
)
"""Triangular distributions are told in ascending order, so the mode stands in the middle."""


def short_distribution(value: Distribution, voice: Voice) -> str | None:
    """Returns a distribution in a few letters; None where the ways of writing it would not give it back."""
    told = dict(arguments_told(value)) if is_told(value) else {}
    # A location, and a dash beside a minus or an exponent, need more than a few letters.
    if not told or "location" in told or min(told.values()) < 0 or "e" in str([*told.values()]):
        return None
    if value.name == "triangular" and not told["min"] <= told["mode"] <= told["max"]:
        return None
    text = voice.dice.pick(_MANNERS[value.name])
    for label, argument in told.items():
        text = text.replace(f"{{{label}}}", format_number(argument))
    return text


def _fact(obj: TwinObject, fact: Fact, voice: Voice) -> str:
    name = fact.properties[0]
    value = obj.parameters[name]
    if name in NOUNS:
        noun = voice.dice.pick(NOUNS[name])
        if isinstance(value, (int, float)):
            return f"{noun} {voice.dice.pick(('', '= ')) if len(noun) > 2 else ''}{format_number(value)}"
        if isinstance(value, Distribution):
            short = short_distribution(value, voice)
            if short is not None:
                return f"{noun} {short}"
        return key_value(fact, voice)
    rule = "capacity" if fact.kind.startswith("capacity.") else fact.kind
    return _GRAMMAR.expand(rule, voice.dice, fact.fields) if rule in _GRAMMAR else key_value(fact, voice)


def terse_lines(groups: Sequence[Group], voice: Voice, twin: Twin, leave: frozenset[str]) -> list[str]:
    """Returns a line for each group of objects, without what is left out."""
    comma = voice.dice.pick((", ", "; ", " / "))
    rule = voice.dice.pick(RULES["line"])
    short = voice.dice.chance(0.5)
    out = []
    for group in groups:
        obj = group[0]
        facts = [_fact(obj, fact, voice) for fact in facts_of_group(group, voice, twin, leave)]
        lead = ": " if ":" not in rule else comma
        names = CLASSES.get(obj.cls, (obj.cls,))
        line: dict[str, Field] = {
            "names": names_text(group, voice),
            "cls": names[-1] if short else names[0],
            "facts": f"{lead}{comma.join(facts)}" if facts else "",
        }
        text = rule
        for key, value in line.items():
            if key != "names":
                text = text.replace(f"{{{key}}}", value)
        out.append(text.replace("{names}", line["names"]))
    return out
