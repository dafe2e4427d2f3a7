"""Facts: what a prompt has to say of the parameters of an object, and the phrases that say it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from vlsm_jax.synth.layouts import OUTSIDE
from vlsm_jax.synth.prompts.grammar import Field, join_words, with_article
from vlsm_jax.synth.prompts.units import complement
from vlsm_jax.synth.prompts.values import (
    WORDINGS,
    arrival_rate,
    between,
    details,
    duration,
    is_told,
    joined_details,
    length,
    speed,
)
from vlsm_jax.synth.prompts.voice import Voice
from vlsm_jax.synth.prompts.wordbook import MEASURES, NOUNS, WORDBOOK
from vlsm_jax.twin import Code, Distribution, ParameterValue, Twin, TwinObject, format_number, format_value


class Fact(NamedTuple):
    """Something to be said of one object.

    Attributes:
      properties: the parameters that it tells.
      kind: names the rules of `WORDBOOK` that say it.
      verbs: the kind of its verb phrase, "" where "has" and the noun phrase do.
      fields: what these rules fill in.
    """

    properties: tuple[str, ...]
    kind: str
    verbs: str
    fields: Mapping[str, Field]


def noun_phrase(fact: Fact, voice: Voice, plural: bool = False) -> str:
    """Returns a phrase that fits after "with"."""
    return WORDBOOK.expand(f"np.{fact.kind}", voice.dice, fact.fields, plural)


def key_value(fact: Fact, voice: Voice) -> str:
    """Returns a phrase that fits in a list or table."""
    rule = f"kv.{fact.kind}"
    return WORDBOOK.expand(rule if rule in WORDBOOK else f"np.{fact.kind}", voice.dice, fact.fields)


def verb_phrase(fact: Fact, voice: Voice, plural: bool = False) -> str:
    """Returns a phrase that fits after the name of the object."""
    if fact.verbs:
        return WORDBOOK.expand(fact.verbs, voice.dice, fact.fields, plural)
    return f"{'each have' if plural else 'has'} {noun_phrase(fact, voice, plural)}"


def count_phrases(fact: Fact) -> int:
    """Returns how many noun phrases say a fact in one and the same voice, wherever the voice leaves a choice."""
    noun = NOUNS.get(fact.properties[0], ("",))
    fields = dict.fromkeys(fact.fields, 1) | {"noun": len(noun), "a_noun": len(noun)}
    return WORDBOOK.count(f"np.{fact.kind}", fields)


# --- Durations --------------------------------------------------------------------------------------------------------


def _nouns(name: str, voice: Voice) -> dict[str, Field]:
    nouns = NOUNS[name]
    return {
        "noun": lambda: voice.dice.pick(nouns),
        "a_noun": lambda: with_article(voice.dice.pick(nouns)),
        "item": voice.item,
    }


def _duration(name: str, value: ParameterValue, voice: Voice, alone: bool) -> Fact:
    measure = MEASURES.get(name)
    fields = _nouns(name, voice)
    if isinstance(value, Distribution):
        if not is_told(value):
            fields["value"] = str(value)
            return Fact((name,), "flexscript", "", fields)
        if name == "InterArrivalTime" and alone and voice.units and voice.dice.chance(0.7):
            fact = _rate(value, voice)
            if fact:
                return fact
        wording = WORDINGS[value.name]
        fields["adj"], fields["adv"] = wording.adjective, wording.adverb
        fields["a_adj"], fields["a_adv"] = with_article(wording.adjective), with_article(wording.adverb)
        fields["details"] = lambda: ", ".join(details(value, voice))
        fields["list"] = lambda: joined_details(value, voice)
        kind = "random"
        if value.name == "uniform":
            fields["between"] = lambda: between(value, voice)
            kind = "uniform"
        verbs = f"vp.{measure}.{kind}"
        return Fact((name,), kind, verbs if verbs in WORDBOOK else "", fields)
    if isinstance(value, (int, float)):
        if name == "InterArrivalTime" and alone and voice.units and voice.dice.chance(0.5):
            fact = _rate(value, voice)
            if fact:
                return fact
        fields["value"] = lambda: duration(value, voice)
        return Fact((name,), "time", f"vp.{measure}.time" if measure else "", fields)
    return _other(name, value)


def _rate(value: int | float | Distribution, voice: Voice) -> Fact | None:
    found = arrival_rate(value)
    if found is None:
        return None
    kind = "rate.random" if isinstance(value, Distribution) else "rate.time"
    number, period = found
    fields: dict[str, Field] = {"number": number, "period": period, "item": voice.item}
    if period == "minute":
        fields["rate"] = WORDBOOK.expand("rate.minute", voice.dice, fields)
    return Fact(("InterArrivalTime",), kind, f"vp.{kind}", fields)


# --- Other parameters -------------------------------------------------------------------------------------------------


def _other(name: str, value: ParameterValue) -> Fact:
    if isinstance(value, Code):
        return Fact((name,), "code", "", {"property": name, "value": format_value(value.text)})
    return Fact((name,), "other", "", {"property": name, "value": format_value(value)})


def _is_count(value: ParameterValue) -> bool:
    return type(value) is int and value >= 0


def _capacity(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    if not isinstance(value, (int, float)):
        return _other(name, value)
    which = obj.cls if obj.cls in ("Queue", "Rack") else "executer" if obj.cls in OUTSIDE else "Processor"
    fields = {"n": voice.number(value), "items": voice.items(value)}
    return Fact((name,), f"capacity.{which}", f"vp.capacity.{which}", fields)


_PLACEMENTS = {"Stack Vertically": "Vertically", "Horizontal Line": "Line", "Stack Inside Queue": "Inside"}


def _placement(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    word = _PLACEMENTS.get(value) if isinstance(value, str) else None
    if word is None:
        return _other(name, value)
    return Fact((name,), f"placement.{word}", f"vp.placement.{word}", {})


def _base(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    if not isinstance(value, (int, float)):
        return _other(name, value)
    text = length(value, voice) if voice.units else format_number(value)
    return Fact((name,), "base", "vp.base", {"value": text})


def _lifo(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    if value not in (0, 1):
        return _other(name, value)
    return Fact((name,), "lifo", "vp.lifo", {}) if value else Fact((name,), "fifo", "", {})


def _measured(kind: str, told: Callable[[float, Voice], str]) -> Callable[..., Fact]:
    def tell(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
        if not isinstance(value, (int, float)):
            return _other(name, value)
        return Fact((name,), kind, f"vp.{kind}", {"value": told(value, voice)})

    return tell


def _transport(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    return Fact((name,), "transport", "vp.transport", {}) if value == 1 else _other(name, value)


def process_rows(value: ParameterValue) -> list[list] | None:
    """Returns the rows of a process table, (name, seconds, operators), that has words; None for other code."""
    rows = _rows(value)
    if not rows:
        return None
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3 and isinstance(row[0], str)):
            return None
        if not (row[0] and all(c.isalnum() or c in " -" for c in row[0])) or type(row[1]) not in (int, float):
            return None
        if type(row[2]) is not int or row[2] < 0:
            return None
    return rows


def component_counts(value: ParameterValue) -> list[int] | None:
    """Returns how many items a Combiner takes from each input port from the second on; None for other code."""
    rows = _rows(value)
    if not rows or not all(isinstance(row, list) and len(row) == 1 and type(row[0]) is int for row in rows):
        return None
    return [row[0] for row in rows]


@functools.lru_cache(maxsize=1024)
def _json(text: str) -> str | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    # Only the one form in which such tables are written can be told: told again, it must be the same text.
    return text if isinstance(data, list) and json.dumps(data, ensure_ascii=False) == text else None


def _rows(value: ParameterValue) -> list | None:
    if not isinstance(value, Code) or _json(value.text) is None:
        return None
    return json.loads(value.text)


def _processes(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    rows = process_rows(value)
    if rows is None:
        return _other(name, value)
    told = []
    for process, seconds, operators in rows:
        crew = f", {voice.count(operators, 'operator', 'operators')}" if operators else ""
        told.append(f"{process} ({duration(seconds, voice)}{crew})")
    fields = {"processes": join_words(told), "number": voice.number(len(rows))}
    return Fact((name,), "processes", "vp.processes", fields)


# --- Where items go ---------------------------------------------------------------------------------------------------


def goes_back(twin: Twin, name: str, target: str) -> bool:
    """Whether items that an object sends to a target go back: the target stands before it and leads to it."""
    order = [obj.name for obj in twin.objects]
    if order.index(target) > order.index(name):
        return False
    seen, left = {target}, [target]
    while left:
        found = left.pop()
        if found == name:
            return True
        following = [output for output in twin.ports[found].outputs if output not in seen]
        seen.update(following)
        left += following
    return False


def _send(obj: TwinObject, value: ParameterValue, voice: Voice, twin: Twin | None) -> Fact:
    name = "SendToPort"
    if not isinstance(value, Distribution) or value.name not in ("duniform", "bernoulli"):
        return _other(name, value)
    outputs = twin.ports[obj.name].outputs if twin is not None else ()
    distinct = len(set(outputs)) == len(outputs)
    if value.name == "duniform":
        if len(value.arguments) != 2:
            return _other(name, value)
        low, high = value.arguments
        if distinct and len(outputs) > 1 and (low, high) == (1, len(outputs)):
            names = [voice.name(output) for output in outputs]
            fields = {"outputs": join_words(names), "choices": join_words(names, "or")}
            return Fact((name,), "even.named", "vp.even.named", fields)
        return Fact((name,), "even", "vp.even", {"low": format_number(low), "high": format_number(high)})
    if len(value.arguments) != 3:
        return _other(name, value)
    percent, first, second = value.arguments
    rest = complement(percent)
    if rest is None:
        return _other(name, value)
    sign = voice.dice.pick((" %", "%", " percent"))
    fields = {"percent": f"{format_number(percent)}{sign}", "rest": f"{rest}{sign}"}
    if distinct and (first, second) == (1, 2) and len(outputs) == 2:
        fields["first"], fields["second"] = voice.name(outputs[0]), voice.name(outputs[1])
        kind = "rework" if twin is not None and goes_back(twin, obj.name, outputs[1]) else "share.named"
        return Fact((name,), kind, f"vp.{kind}", fields)
    fields["first"], fields["second"] = format_number(first), format_number(second)
    return Fact((name,), "share", "vp.share", fields)


# --- Parameters that are told together --------------------------------------------------------------------------------


def _crew(obj: TwinObject, use: str, number: str, kind: str, voice: Voice) -> Fact | None:
    count = obj.parameters.get(number)
    if obj.parameters.get(use) != 1 or not _is_count(count):
        return None
    fields = {"n": voice.number(count), "crew": voice.count(count, "operator", "operators")}
    return Fact((use, number), kind, f"vp.{kind}", fields)


def _batch(obj: TwinObject, voice: Voice) -> Fact | None:
    size = obj.parameters.get("BatchSize")
    if obj.parameters.get("DoBatching") != 1 or not _is_count(size):
        return None
    return Fact(("DoBatching", "BatchSize"), "batch", "vp.batch", {"n": voice.number(size)})


def _combine(obj: TwinObject, voice: Voice, twin: Twin | None) -> Fact | None:
    mode, counts = obj.parameters.get("CombineMode"), component_counts(obj.parameters.get("ComponentsList", 0))
    if mode not in ("Pack", "Join", "Batch") or counts is None:
        return None
    inputs = twin.ports[obj.name].inputs if twin is not None else ()
    named = len(inputs) == len(counts) + 1 and len(set(inputs)) == len(inputs)
    where = [f"from {voice.name(name)}" for name in inputs[1:]] if named else None
    if where is None:
        where = [f"from input port {port}" for port in range(2, len(counts) + 2)]
    told = [f"{voice.count(count, 'item', 'items')} {source}" for count, source in zip(counts, where, strict=True)]
    fields = {"mode": mode, "components": join_words(told)}
    if named:
        fields["first"] = voice.name(inputs[0])
    kind = "combine.named" if named else "combine"
    return Fact(("CombineMode", "ComponentsList"), kind, f"vp.{kind}.{mode}", fields)


def _separate(obj: TwinObject, voice: Voice) -> Fact | None:
    mode, quantity = obj.parameters.get("SeparateMode"), obj.parameters.get("SeparateQty")
    if mode not in ("Split", "Unpack"):
        return None
    if mode == "Split" and isinstance(quantity, Distribution) and quantity.name == "duniform":
        if len(quantity.arguments) != 2:
            return None
        low, high = quantity.arguments
        fields = {"low": format_number(low), "high": format_number(high)}
        return Fact(("SeparateMode", "SeparateQty"), "split.random", "vp.split.random", fields)
    if not (quantity is None or _is_count(quantity)):
        return None
    if quantity is None:
        return Fact(("SeparateMode",), "separate_mode", "vp.separate_mode", {"mode": mode})
    fields = {"n": voice.number(quantity), "items": voice.items(quantity)}
    kind = mode.lower()
    return Fact(("SeparateMode", "SeparateQty"), kind, f"vp.{kind}", fields)


def _mode(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    if value not in ("Pack", "Join", "Batch"):
        return _other(name, value)
    return Fact((name,), "mode", "vp.mode", {"mode": value})


def _components(obj: TwinObject, name: str, value: ParameterValue, voice: Voice) -> Fact:
    counts = component_counts(value)
    if counts is None:
        return _other(name, value)
    told = [
        f"{voice.count(count, 'item', 'items')} from input port {port}" for port, count in enumerate(counts, start=2)
    ]
    return Fact((name,), "components", "", {"components": join_words(told)})


_WORDED: Mapping[str, Callable[..., Fact]] = {
    "MaxContent": _capacity,
    "Capacity": _capacity,
    "ItemPlacement": _placement,
    "StackBaseZ": _base,
    "LIFO": _lifo,
    "UseTransport": _transport,
    "ProcessTable": _processes,
    "CombineMode": _mode,
    "ComponentsList": _components,
    "Speed": _measured("belt", speed),
    "MaxSpeed": _measured("top", speed),
    "HorizontalLength": _measured("length", length),
}

_TOGETHER = {
    "UseProcessOperators": lambda obj, voice, twin: _crew(
        obj, "UseProcessOperators", "NumProcessOperators", "process_operators", voice
    ),
    "UseSetupOperators": lambda obj, voice, twin: _crew(
        obj, "UseSetupOperators", "NumSetupOperators", "setup_operators", voice
    ),
    "DoBatching": lambda obj, voice, twin: _batch(obj, voice),
    "CombineMode": _combine,
    "SeparateMode": lambda obj, voice, twin: _separate(obj, voice),
}
"""By one of its parameters, a fact that tells several."""


def facts_of(
    obj: TwinObject, voice: Voice, twin: Twin | None, leave: frozenset[str] = frozenset(), alone: bool = True
) -> list[Fact]:
    """Returns all that is to be said of the parameters of an object.

    Args:
      obj: the object.
      voice: of the prompt.
      twin: where its connections are; None where a fact may not name what the object is connected to.
      leave: parameters that are not told.
      alone: whether nothing else shares the sentence; a rate of several could be taken for their sum.
    """
    out: list[Fact] = []
    done: set[str] = set(leave)
    for name, tell in _TOGETHER.items():
        if name in obj.parameters and name not in done:
            fact = tell(obj, voice, twin)
            if fact is not None:
                out.append(fact)
                done.update(fact.properties)
    for name, value in obj.parameters.items():
        if name in done:
            continue
        if name in NOUNS:
            out.append(_duration(name, value, voice, alone))
        elif name == "SendToPort":
            out.append(_send(obj, value, voice, twin))
        elif name in _WORDED:
            out.append(_WORDED[name](obj, name, value, voice))
        else:
            out.append(_other(name, value))
    return out
