"""Prompts: a reader of its own reads back what they say, and misses nothing but what they say they leave out."""

import collections
import dataclasses
import itertools
import json
import math
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_reader import Reading
from synth_examples import examples
from synth_twins import sampled, twins
from terse_reader import TerseReading

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.layouts import grid_locations
from vlsm_jax.synth.loads import rates
from vlsm_jax.synth.names import with_open_names
from vlsm_jax.synth.prompts import (
    SCRIPT_WORDS,
    Goal,
    Prompt,
    PromptStyle,
    connections,
    count_forms,
    goals,
    objects,
    terse,
    wordbook,
    write_prompt,
    writing,
)
from vlsm_jax.synth.prompts.grammar import Grammar, join_words, with_article
from vlsm_jax.synth.prompts.objects import count_descriptions, describe, groups_of
from vlsm_jax.synth.prompts.terse import COSMETIC
from vlsm_jax.synth.prompts.units import (
    HOURS,
    METRES,
    MINUTES,
    OTHER_SPEEDS,
    SMALL_LENGTHS,
    complement,
    converted,
    rate,
    split_minutes,
)
from vlsm_jax.synth.prompts.values import WORDINGS
from vlsm_jax.synth.prompts.voice import LABELS, Voice
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject, format_number

EXAMPLES = examples()
FACTORIES = [*EXAMPLES.values(), *sampled(90, seed=6, most=20)]


def prompt(factory, style=PromptStyle.COMPLETE, seed=0, **kwargs) -> Prompt:
    return write_prompt(factory, style, np.random.default_rng(seed), **kwargs)


def text_of(*args, **kwargs) -> str:
    return prompt(*args, **kwargs).text


def exact(name, value):
    """A parameter as a reader gives it: fractions of the decimal text."""
    if isinstance(value, Distribution):
        return value.name, tuple(Fraction(format_number(a)) for a in value.arguments)
    if isinstance(value, Code) and name == "ProcessTable":
        return [(row[0], Fraction(format_number(row[1])), Fraction(row[2])) for row in json.loads(value.text)]
    if isinstance(value, Code):
        return [Fraction(row[0]) for row in json.loads(value.text)]
    return Fraction(format_number(value)) if isinstance(value, (int, float)) else value


def read_back(factory, made: Prompt, reader=Reading):
    """Reads a prompt and compares all that it does not leave out."""
    twin = factory.twin
    drawn = twin.connections if "connections" in made.omitted else ()
    read = reader(made.text, [obj.name for obj in twin.objects], drawn)
    assert sorted(read.objects) == sorted(twin.by_name), made.text
    for obj in twin.objects:
        stated = {n: exact(n, v) for n, v in obj.parameters.items() if f"{obj.name}.{n}" not in made.omitted}
        assert (read.objects[obj.name].cls, read.objects[obj.name].parameters) == (obj.cls, stated), made.text
    if "connections" in made.omitted:
        assert read.wires == [], made.text
    else:
        assert Twin(twin.objects, tuple(read.wires)) == twin, made.text
    assert read.unexplained == [], made.text
    expected = grid_locations(twin, factory.layout)
    if any(obj.location != expected[obj.name] for obj in twin.objects):
        for obj in twin.objects:
            assert read.locations[obj.name] == tuple(Fraction(format_number(c)) for c in obj.location)
    else:
        assert read.locations == {}
    return read


# --- Everything is said, and nothing else -----------------------------------------------------------------------------

SPOKEN = [style for style in PromptStyle if style is not PromptStyle.TERSE]


@pytest.mark.parametrize("style", SPOKEN)
def test_a_reader_finds_the_twin_in_what_is_said(style):
    """In exact arithmetic, so in style UNITS every conversion gives back the very number."""
    for i, factory in enumerate(FACTORIES):
        for seed in (i, 1000 + i):
            read_back(factory, prompt(factory, style, seed))


def test_a_reader_finds_the_twin_in_terse_prompts():
    for i, factory in enumerate(FACTORIES):
        for seed in (i, 1000 + i):
            read_back(factory, prompt(factory, PromptStyle.TERSE, seed), TerseReading)


def test_a_reader_finds_the_twin_whatever_objects_are_called():
    """Codes, numbered classes and words that there are not stay apart from the words around them."""
    for i, factory in enumerate(FACTORIES):
        named = dataclasses.replace(factory, twin=with_open_names(factory.twin, np.random.default_rng(i)))
        for style in SPOKEN:
            read_back(named, prompt(named, style, i))
        read_back(named, prompt(named, PromptStyle.TERSE, i), TerseReading)


@pytest.mark.parametrize("name", EXAMPLES)
def test_everything_a_floor_may_have_has_words(name):
    """No property name of FlexSim is needed for what factories have: each parameter has words of its own."""
    for style in PromptStyle:
        for seed in range(12):
            text = text_of(EXAMPLES[name], style, seed)
            assert not re.search(r"\b[A-Z]\w+ set to|the code ", text), text


@pytest.mark.parametrize("style", [PromptStyle.COMPLETE, PromptStyle.UNITS])
def test_the_reader_notices_any_other_duration(style):
    for seed in range(20):
        made = prompt(EXAMPLES["assembly"], style, seed)
        for found in re.finditer(r"\d+(?= (?:s|sec|seconds|min|minutes?)\b)", made.text):
            other = f"{made.text[: found.start()]}{int(found[0]) + 1}{made.text[found.end() :]}"
            with pytest.raises(AssertionError):
                read_back(EXAMPLES["assembly"], dataclasses.replace(made, text=other))


def test_complete_prompts_say_every_name():
    for i, factory in enumerate(FACTORIES):
        made = prompt(factory, PromptStyle.COMPLETE, i)
        assert all(obj.name in made.text for obj in factory.twin.objects)
        assert "connections" not in made.omitted
        assert "locations" not in made.omitted


def _simple_twins():
    names = st.integers(2, 7).map(lambda n: [f"Station {chr(65 + k)}" for k in range(n)])

    @st.composite
    def build(draw):
        members = draw(names)
        pairs = st.tuples(st.sampled_from(members), st.sampled_from(members))
        wires = [Connection(a, b) for a, b in draw(st.lists(pairs, max_size=12))]
        wires += [Connection(a, b, "S") for a, b in draw(st.lists(pairs, max_size=4))]
        classes = st.sampled_from(("Queue", "Processor", "Operator", "Dispatcher", "Transporter"))
        made = tuple(TwinObject(draw(classes), name) for name in members)
        return Twin(made, tuple(draw(st.permutations(wires))))

    return build()


@given(twin=_simple_twins(), seed=st.integers(0, 3), plain=st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_wires_are_told_in_port_order(twin, seed, plain):
    made = prompt(Factory(twin), PromptStyle.COMPLETE, seed, plain=plain)
    read = Reading(made.text, [obj.name for obj in twin.objects])
    assert Twin(twin.objects, tuple(read.wires)) == twin, made.text


@given(twin=twins(), seed=st.integers(0, 5), style=st.sampled_from(PromptStyle))
@settings(deadline=None, max_examples=40)
def test_any_twin_can_be_told(twin, seed, style):
    made = prompt(Factory(twin), style, seed)
    if style is not PromptStyle.COMPLETE:
        return
    places = grid_locations(twin, "")
    off = any(obj.location != places[obj.name] for obj in twin.objects)
    for obj in twin.objects:
        assert obj.name in made.text or obj.name[:1].upper() + obj.name[1:] in made.text
        assert not off or all(format_number(c) in made.text for c in obj.location)
        for name, value in obj.parameters.items():
            if isinstance(value, Code):
                assert repr(value.text) in made.text or name in ("ComponentsList", "ProcessTable")
            elif isinstance(value, Distribution):
                silent = value.name in ("exponential", "weibull", "gamma") and value.arguments[0] == 0
                told = value.arguments[1:] if silent else value.arguments
                assert all(format_number(a) in made.text for a in told)


# --- What is left out -------------------------------------------------------------------------------------------------


def test_what_is_left_out_is_recorded():
    seen = collections.Counter()
    for i, factory in enumerate(FACTORIES):
        for style in PromptStyle:
            made = prompt(factory, style, i, script_style=ScriptStyle.LOOP)
            general = [entry for entry in made.omitted if entry in ("connections", "locations", "script style")]
            dropped = [entry for entry in made.omitted if entry not in general]
            seen[style, "connections" in general] += 1
            assert "script style" not in general
            assert style is not PromptStyle.SKETCH or "connections" in general
            if style is PromptStyle.TERSE:
                cosmetic = [f"{o.name}.{n}" for o in factory.twin.objects for n in o.parameters if n in COSMETIC]
                assert dropped in ([], cosmetic)
                seen["dropped"] += bool(dropped)
            else:
                assert dropped == []
            assert ("locations" in general) <= ("connections" in general)
    for style in (PromptStyle.TERSE, PromptStyle.UNITS, PromptStyle.INTENT):
        assert seen[style, True] > 30
        assert seen[style, False] > 30
    assert seen["dropped"] > 5


def test_sketch_prompts_do_not_depend_on_the_connections():
    for i, factory in enumerate(FACTORIES[:50]):
        twin = factory.twin
        pairs = itertools.pairwise(twin.objects)
        chain = Twin(twin.objects, tuple(Connection(a.name, b.name) for a, b in pairs))
        told = []
        for wired in (chain, Twin(twin.objects)):
            places = grid_locations(wired, factory.layout)
            moved = (
                dataclasses.replace(o, location=places[o.name], parameters=dict(o.parameters)) for o in wired.objects
            )
            other = dataclasses.replace(factory, twin=Twin(tuple(moved), wired.connections))
            told.append(prompt(other, PromptStyle.SKETCH, i))
        assert told[0] == told[1]
        assert "sketch" in told[0].text


def test_the_order_of_the_text_is_known():
    """Objects and wires of `told` stand in the order in which a reader meets their names."""
    names = [f"Shelf {letter}" for letter in "FBDACE"]
    queues = [TwinObject("Queue", name, parameters={"MaxContent": 10 + i}) for i, name in enumerate(names)]
    objects = [*queues[:3], TwinObject("Sink", "Way Out"), *queues[3:]]
    wires = [Connection(a, b) for a, b in itertools.pairwise([*names, "Way Out"])]
    factory = Factory(Twin(tuple(objects), tuple(wires)))
    orders = set()
    for style in PromptStyle:
        for seed in range(40):
            made = prompt(factory, style, seed)
            told = [obj.name for obj in made.told.objects]
            orders.add(tuple(told))
            assert made.told == factory.twin
            if "connections" in made.omitted:  # else these may be told before the objects
                places = [made.text.index(name) for name in told]
                assert places == sorted(places), made.text
    assert len(orders) > 10


def test_locations_are_told_only_where_they_do_not_follow_the_rule():
    factory = next(
        f for f in FACTORIES if f.layout == "linear" and "locations" in prompt(f, PromptStyle.SKETCH).omitted
    )
    moved = list(factory.twin.objects)
    moved[0] = dataclasses.replace(moved[0], location=(-7, 3.5, 0), parameters=dict(moved[0].parameters))
    other = dataclasses.replace(factory, twin=Twin(tuple(moved), factory.twin.connections))
    for style in PromptStyle:
        made = prompt(other, style)
        assert "locations" not in made.omitted
        assert all(f"({', '.join(map(format_number, obj.location))})" in made.text for obj in moved)


def test_a_line_in_a_u_is_called_that():
    folded = [factory for factory in FACTORIES if factory.layout == "u_shaped"]
    assert folded
    for i, factory in enumerate(folded):
        for style in (PromptStyle.COMPLETE, PromptStyle.TERSE):
            assert re.search(r"\bU\b|\bU-shaped\b", text_of(factory, style, i))
    assert not any(re.search(r"\bU\b", text_of(f, seed=i)) for i, f in enumerate(FACTORIES) if f.layout == "linear")


# --- Units ------------------------------------------------------------------------------------------------------------

UNITS = [*MINUTES, *HOURS, *METRES, *SMALL_LENGTHS, *OTHER_SPEEDS]


@given(
    value=st.one_of(st.integers(0, 10**6), st.integers(0, 10**7).map(lambda n: n / 1000), st.floats(0, 1e7)),
    unit=st.sampled_from(UNITS),
)
@settings(max_examples=300)
def test_a_converted_value_gives_back_the_very_number(value, unit):
    text = converted(value, unit)
    if text is not None:
        back = Fraction(text) * unit.numerator / unit.denominator
        assert back == Fraction(format_number(value))
        assert float(back) == value
        assert re.fullmatch(r"\d+(\.\d{1,3})?", text)


def test_values_are_converted_only_where_that_is_exact():
    minute, hour = MINUTES[0], HOURS[0]
    assert [converted(v, minute) for v in (90, 45, 0.6, 7, 20)] == ["1.5", "0.75", "0.01", None, None]
    assert [converted(v, hour) for v in (5400, 900, 100)] == ["1.5", "0.25", None]
    assert [converted(v, OTHER_SPEEDS[1]) for v in (1.5, 0.5, 1)] == ["5.4", "1.8", "3.6"]
    assert [rate(v, 3600) for v in (60, 45, 7, 90, 0.5)] == ["60", "80", None, "40", "7200"]
    assert [rate(v, 3600) for v in (64, 160)] == [None, "22.5"]  # 56.25 an hour is nothing one says
    assert [complement(v) for v in (92, 97.5, 0.1, 101)] == ["8", "2.5", "99.9", None]
    assert [split_minutes(v) for v in (90, 125.5, 60, 120, 30)] == [("1", "30"), None, None, None, None]


def test_prompts_in_units_have_units_to_convert():
    found = collections.Counter()
    for i, factory in enumerate(FACTORIES):
        text = text_of(factory, PromptStyle.UNITS, i)
        for word, pattern in {
            "minutes": r"\d (?:minutes?|min)\b",
            "hours": r"\d (?:hours?|h)\b",
            "mixed": r"\d min(?:utes?)? \d",
            "rate": r"(?:per|an?) (?:hour|minute)\b",
            "length": r"\d (?:cm|mm)\b",
            "speed": r"m/min|km/h|cm/s",
        }.items():
            found[word] += bool(re.search(pattern, text))
        found["any"] += bool(re.search(r"\d (?:minutes?|min|hours?|h|cm|mm)\b|(?:per|an?) hour|m/min|km/h|cm/s", text))
        assert not re.search(r"\d (?:minutes?|min|hours?|h|cm|mm)\b", text_of(factory, PromptStyle.COMPLETE, i))
    assert found["any"] > 0.6 * len(FACTORIES)
    assert all(found[word] > 3 for word in ("minutes", "mixed", "rate", "length", "speed")), found


def test_rates_are_told_of_one_source_only():
    """Two Sources at 60 per hour could be taken for 30 each."""
    source = {"InterArrivalTime": Distribution("exponential", (0, 60))}
    factory = Factory(
        Twin((TwinObject("Source", "In 1", parameters=source), TwinObject("Source", "In 2", parameters=source)))
    )
    for seed in range(60):
        text = text_of(factory, PromptStyle.UNITS, seed)
        for line in re.split(r"(?<=\.) |\n", text):
            assert not ("per hour" in line and "In 1" in line and "In 2" in line), text


# --- Intent -----------------------------------------------------------------------------------------------------------


def test_goals_are_near_what_arrivals_allow():
    measures = collections.Counter()
    for i, factory in enumerate(FACTORIES):
        made = prompt(factory, PromptStyle.INTENT, i)
        goal = made.goal
        assert isinstance(goal, Goal)
        assert (goal.at_least is None) != (goal.at_most is None)
        bound = goal.at_least if goal.at_least is not None else goal.at_most
        assert re.search(rf"(?<![\d.]){re.escape(format_number(bound))} ", made.text)
        measures[goal.measure] += 1
        flow = rates(factory.twin)
        hourly = 3600 * sum(flow[obj.name] for obj in factory.twin.objects if obj.cls == "Sink")
        if goal.measure == "throughput":
            assert (goal.per, goal.unit, goal.at_most) == ("hour", "items", None)
            assert 0.65 * hourly <= bound <= 1.1 * hourly
        elif goal.measure == "utilisation":
            # One that holds several items is busy while it holds any: a share of time would say nothing.
            assert factory.twin.by_name[goal.object].parameters.get("MaxContent", 1) == 1
            assert 5 <= bound <= 95
            assert goal.unit == "percent"
        elif goal.measure == "lead time":
            assert goal.at_most > 0
            assert goal.unit in ("seconds", "minutes")
            assert f"{format_number(bound)} {goal.unit}" in made.text
        else:
            assert goal.measure == "work in process"
            assert goal.at_most >= 1
    assert set(measures) == {"throughput", "lead time", "work in process", "utilisation"}
    assert measures["throughput"] == max(measures.values())
    assert all(prompt(FACTORIES[0], style).goal is None for style in PromptStyle if style is not PromptStyle.INTENT)


def test_a_factory_without_traffic_has_no_goal():
    assert prompt(Factory(Twin((TwinObject("Queue", "Store"),))), PromptStyle.INTENT).goal is None


# --- Variety ----------------------------------------------------------------------------------------------------------


def masked(text: str, names) -> str:
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "N")
    return re.sub(r"\d+(?:\.\d+)?", "0", text)


@pytest.mark.parametrize("style", PromptStyle)
def test_prompts_of_one_factory_differ_also_with_names_and_numbers_masked(style):
    factory = FACTORIES[0]
    assert len(factory.twin.objects) == 4
    made = [text_of(factory, style, seed) for seed in range(2000)]
    assert len(set(made)) > 0.99 * len(made)
    names = list(factory.twin.by_name)
    assert len({masked(text, names) for text in made}) > 0.9 * len(made)


def test_a_factory_has_hundreds_of_thousands_of_forms():
    for factory in FACTORIES:
        assert count_forms(factory) > 10**5, factory.twin
    counts = sorted(math.log10(count_forms(factory)) for factory in FACTORIES)
    assert counts[len(counts) // 2] > 20


def test_the_lower_bound_counts_texts_that_differ():
    """The descriptions of one object are counted by drawing them: no fewer come up than the bound says."""
    parameters = {"MaxContent": 4, "ItemPlacement": "Stack Vertically"}
    for obj in (TwinObject("Queue", "Zeta", parameters=parameters), TwinObject("Sink", "Zeta")):
        twin = Twin((obj,))
        (group,) = groups_of(twin.objects)
        voice = Voice(Dice(np.random.default_rng(0)))
        bound = count_descriptions(group, Voice(Dice(np.random.default_rng(1))), twin)
        drawn = {describe(group, voice, twin) for _ in range(60 * bound)}
        assert len(drawn) >= bound > 1
        assert bound == {"Queue": 11 * 4 * 3 * 2, "Sink": len(objects.RULES["one.bare"])}[obj.cls]


GRAMMARS = {
    "objects": objects.RULES,
    "connections": connections.RULES,
    "goals": goals.RULES,
    "words": wordbook.RULES,
    "terse": terse.RULES,
    "writing": writing.RULES,
}


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_form_of_every_rule_is_a_text_of_its_own(name):
    rules = GRAMMARS[name]
    grammar = Grammar(rules)
    slots = {slot for texts in rules.values() for text in texts for slot in re.findall(r"\{([A-Za-z_.]+)\}", text)}
    fields = {slot: [f"<{slot}>"] for slot in slots if slot not in rules or name == "terse"}
    for rule in rules:
        for plural in (False, True):
            forms = list(grammar.forms(rule, fields, plural))
            assert len(set(forms)) == len(forms) == grammar.count(rule, dict.fromkeys(fields, 1)), rule
            assert not any("{" in form or "[" in form for form in forms)
    with pytest.raises(ValueError, match="no rule 'nothing'"):
        grammar.expand("nothing", Dice(np.random.default_rng(0)), {})


def test_a_rule_holds_no_alternative_twice():
    with pytest.raises(ValueError, match="twice"):
        Grammar({"a": ("x", "x")})


def test_manners_of_writing_come_up():
    seen = collections.Counter()
    for seed in range(400):
        text = text_of(FACTORIES[0], PromptStyle.COMPLETE, seed)
        seen["table"] += "|---|" in text
        seen["bullets"] += bool(re.search(r"^[-*•] ", text, re.M))
        seen["times"] += bool(re.search(r"\| Tim", text))
        seen["numbers"] += bool(re.search(r"^1[.)] ", text, re.M))
        seen["mail"] += text.startswith(("Hi", "Hello", "Good morning"))
        seen["paragraph"] += "\n" not in text
        seen["lower"] += bool(re.search(r"\bprocessor\b", text))
    assert all(seen[key] > 8 for key in ("table", "times", "bullets", "numbers", "mail", "paragraph", "lower")), seen


def test_the_same_generator_gives_the_same_prompt_in_any_process():
    program = (
        "import numpy as np\nfrom synth_examples import examples\nfrom vlsm_jax.synth.prompts import *\n"
        "print([write_prompt(f, s, np.random.default_rng(3)) for f in examples().values() for s in PromptStyle])"
    )
    folder = str(Path(__file__).parent)
    outs = []
    for salt in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": folder}
        outs.append(subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True).stdout)
    assert outs[0] == outs[1]
    assert len(outs[0]) > 10000


# --- Plain prompts, script styles, words ------------------------------------------------------------------------------


@pytest.mark.parametrize("style", [PromptStyle.COMPLETE, PromptStyle.SKETCH])
def test_plain_prompts_have_one_form(style):
    for i, factory in enumerate(FACTORIES[:60]):
        made = prompt(factory, style, i, plain=True)
        assert made == prompt(factory, style, i + 1, plain=True)
        read_back(factory, made)
        assert "\n" not in made.text
    plain = [len(text_of(factory, style, plain=True)) for factory in FACTORIES]
    free = [len(text_of(factory, style, i)) for i, factory in enumerate(FACTORIES)]
    assert sum(plain) < sum(free)


def test_every_script_style_but_the_loop_is_asked_for_in_words():
    assert set(SCRIPT_WORDS) == {style.name for style in ScriptStyle}
    for style in ScriptStyle:
        assert (style is ScriptStyle.LOOP) == (not SCRIPT_WORDS[style.name])
        for manner in PromptStyle:
            made = prompt(FACTORIES[0], manner, script_style=style)
            asked = [words for others in SCRIPT_WORDS.values() for words in others if words in made.text]
            assert len(asked) == (style is not ScriptStyle.LOOP)
            assert all(words in SCRIPT_WORDS[style.name] for words in asked)
            assert "script style" not in made.omitted
    assert "script style" in prompt(FACTORIES[0]).omitted


def test_names_that_could_be_misread_are_quoted():
    twin = Twin((TwinObject("Queue", "a, b"), TwinObject("Queue", "c."), TwinObject("Sink", "Task Executer")))
    for seed in range(20):
        text = text_of(Factory(twin), PromptStyle.SKETCH, seed)
        for name in ("a, b", "c.", "Task Executer"):
            assert re.search(rf"[\"“'«`]{re.escape(name)}[\"”'»`]", text)


def test_words_for_distributions_name_every_argument():
    for wording in WORDINGS.values():
        assert sorted(index for _, index in wording.arguments) == list(range(len(wording.arguments)))
        assert all(label in LABELS for label, _ in wording.arguments)


def test_words():
    assert [join_words(list(w)) for w in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
    assert [with_article(w) for w in ("exponential", "uniform", "EV line", "Weibull")] == [
        "an exponential",
        "a uniform",
        "an EV line",
        "a Weibull",
    ]
