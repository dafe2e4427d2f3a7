"""Prompts: everything a script sets is said, and in style SKETCH nothing of the connections."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synth_twins import sampled, twins

from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.grammar import expand, join_words, with_article
from vlsm_jax.synth.layouts import grid_locations
from vlsm_jax.synth.phrases import PLACEMENT_PHRASES
from vlsm_jax.synth.prompts import RULES, PromptStyle, write_prompt
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject, format_number

FACTORIES = sampled(150, seed=6)


def prompt(factory, style=PromptStyle.COMPLETE, seed=0, **kwargs):
    return write_prompt(factory, style, np.random.default_rng(seed), **kwargs).text


def numbers_of(value):
    """The numbers of a value that a prompt has to say: a location or minimum of 0 may go without saying."""
    if isinstance(value, Distribution):
        silent = value.name in ("exponential", "weibull", "gamma") and value.arguments[0] == 0
        return value.arguments[1:] if silent else value.arguments
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, (int, float)) else ()


def says(text, number):
    """Whether a number stands in a text, not as a part of another."""
    return re.search(rf"(?<![\d.]){re.escape(format_number(number))}(?!\d|\.\d)", text) is not None


def sentences(text):
    return re.split(r"(?<=\.) (?=\S)", text)


def object_sentence(text, obj):
    """The sentence that introduces an object: the first that says its class and its name, with no letter after."""
    found = [s for s in sentences(text) if re.search(rf"{re.escape(obj.name)}(?!\w)", s) and obj.cls in s]
    assert found, (obj.name, text)
    return found[0]


@pytest.mark.parametrize("style", PromptStyle)
def test_every_fact_is_in_the_sentence_of_its_object(style):
    for i, factory in enumerate(FACTORIES):
        text = prompt(factory, style, i)
        for obj in factory.twin.objects:
            sentence = object_sentence(text, obj)
            for name, value in obj.parameters.items():
                if name == "ItemPlacement":
                    assert any(phrase in sentence for phrase in PLACEMENT_PHRASES[value]), sentence
                elif name == "LIFO":
                    assert ("LIFO" in sentence) or ("last in, first out" in sentence)
                else:
                    assert all(says(sentence, number) for number in numbers_of(value)), (name, value, sentence)


WORDS = {
    "exponential": r"exponential",
    "normal": r"\bnormal",
    "triangular": r"triangular",
    "uniform": r"\buniform",
    "lognormalmeanstdev": r"lognormal",
    "weibull": r"Weibull",
    "gamma": r"gamma",
    "poisson": r"Poisson",
}


def test_distributions_can_be_read_back():
    """The words name the family and which argument is which, whatever FlexSim's order is."""
    keys = {
        "exponential": (r"mean X",),
        "normal": (r"mean X", r"(?:standard deviation|std dev) X"),
        "lognormalmeanstdev": (r"mean X", r"(?:standard deviation|std dev) X"),
        "triangular": (r"min X", r"max X", r"mode X"),
        "uniform": (r"(?:min|between) X", r"(?:max|and) X"),
        "weibull": (r"scale X", r"shape X"),
        "gamma": (r"scale X", r"shape X"),
        "poisson": (r"mean X",),
    }
    for i, factory in enumerate(FACTORIES):
        text = prompt(factory, PromptStyle.SKETCH, i)
        for obj in factory.twin.objects:
            for name in ("InterArrivalTime", "ProcessTime"):
                value = obj.parameters.get(name)
                if not isinstance(value, Distribution):
                    continue
                sentence = object_sentence(text, obj)
                assert re.search(WORDS[value.name], sentence), sentence
                patterns = keys[value.name]
                for pattern, number in zip(patterns, value.arguments[-len(patterns) :], strict=True):
                    pattern = pattern.replace("X", re.escape(format_number(number)) + r"(?![\d.]*\d)")
                    assert re.search(pattern, sentence), (pattern, sentence)


def read_connections(text, twin):
    """Reads the connection sentences of a prompt, by the frames of the grammar and nothing else."""
    marks = {obj.name: f"⟦{i}⟧" for i, obj in enumerate(twin.objects)}
    back = {mark: name for name, mark in marks.items()}
    for name in sorted(marks, key=len, reverse=True):
        text = re.sub(rf'["“]?{re.escape(name)}(?!\w)["”]?', marks[name], text)
    mark = r"⟦\d+⟧"
    many = rf"{mark}(?:, {mark})* and {mark}"
    frames = [
        (rf"(?:Items flow|The flow goes) from ({mark}) to ({mark}(?:, then to {mark})*)\.", "chain"),
        (rf"Connect ({mark}) to ({mark}(?:, then to {mark})*) in this order\.", "chain"),
        (rf"({mark}) feeds ({mark})\.", "chain"),
        (rf"Connect ({mark}) to ({mark})\.", "chain"),
        (rf"({mark}) is connected to ({mark})\.", "chain"),
        (rf"({mark}) feeds ({many}), in this port order\.", "out"),
        (rf"({mark}) is connected to each of ({many})\.", "out"),
        (rf"From ({mark}), items can go to ({many})\.", "out"),
        (rf"({many}) feed ({mark})\.", "in"),
        (rf"({mark}) receives items from ({many})\.", "from"),
        (rf"The outputs of ({many}) are connected to ({mark})\.", "in"),
    ]
    wires = []
    for sentence in sentences(text):
        for pattern, kind in frames:
            match = re.fullmatch(pattern, sentence)
            if match is None:
                continue
            first, second = ([back[m] for m in re.findall(mark, part)] for part in match.groups())
            if kind == "chain":
                path = first + second
                wires += list(itertools.pairwise(path))
            elif kind == "from":
                wires += [(a, b) for b in first for a in second]
            else:
                wires += [(a, b) for a in first for b in second]
    return tuple(Connection(a, b) for a, b in wires)


def test_complete_prompts_determine_the_connections():
    for i, factory in enumerate(FACTORIES):
        text = prompt(factory, PromptStyle.COMPLETE, i)
        wires = read_connections(text, factory.twin)
        assert Twin(factory.twin.objects, wires) == factory.twin, text


def test_sketch_prompts_do_not_depend_on_the_connections():
    for i, factory in enumerate(FACTORIES[:60]):
        twin = factory.twin
        chain = Twin(
            twin.objects,
            tuple(Connection(a.name, b.name) for a, b in itertools.pairwise(twin.objects)),
        )
        others = []
        for wired in (chain, Twin(twin.objects)):
            places = grid_locations(wired)
            objects = (
                dataclasses.replace(o, location=places[o.name], parameters=dict(o.parameters)) for o in wired.objects
            )
            others.append(dataclasses.replace(factory, twin=Twin(tuple(objects), wired.connections)))
        text = prompt(factory, PromptStyle.SKETCH, i)
        assert [prompt(other, PromptStyle.SKETCH, i) for other in others] == [text, text]
        assert read_connections(text, twin) == ()
        assert "sketch" in text


def test_the_same_rng_gives_the_same_prompt_and_others_vary():
    factory = FACTORIES[0]
    for style in PromptStyle:
        assert prompt(factory, style, 5) == prompt(factory, style, 5)
        assert len({prompt(factory, style, seed) for seed in range(50)}) == 50


def test_straight_scripts_are_asked_for():
    for factory in FACTORIES[:10]:
        assert re.search(r"loop", prompt(factory, script_style=ScriptStyle.STRAIGHT))
        assert not re.search(r"loop", prompt(factory, script_style=ScriptStyle.LOOP))


def test_locations_are_told_only_off_the_grid():
    factory = FACTORIES[1]
    assert "(" + "0, 0, 0" + ")" not in prompt(factory)
    objects = list(factory.twin.objects)
    objects[0] = dataclasses.replace(objects[0], location=(-7, 3.5, 0), parameters=dict(objects[0].parameters))
    moved = dataclasses.replace(factory, twin=Twin(tuple(objects), factory.twin.connections))
    for style in PromptStyle:
        text = prompt(moved, style)
        assert "(-7, 3.5, 0)" in text
        assert all(f"({', '.join(map(format_number, obj.location))})" in text for obj in objects)


@given(twin=twins(), seed=st.integers(0, 5), style=st.sampled_from(PromptStyle))
@settings(deadline=None)
def test_any_twin_can_be_told(twin, seed, style):
    text = prompt(Factory(twin), style, seed)
    places = grid_locations(twin)
    off = any(obj.location != places[obj.name] for obj in twin.objects)
    for obj in twin.objects:
        assert obj.name in text or obj.name[:1].upper() + obj.name[1:] in text
        assert not off or all(says(text, c) for c in obj.location)
        for value in obj.parameters.values():
            if isinstance(value, Code):
                assert repr(value.text) in text
            elif value not in (0, 1):
                assert all(says(text, number) for number in numbers_of(value)), (value, text)


def test_names_that_could_be_misread_are_quoted():
    twin = Twin((TwinObject("Queue", "a, b"), TwinObject("Queue", "c.")))
    for seed in range(20):
        text = prompt(Factory(twin), PromptStyle.SKETCH, seed)
        assert re.search(r'["“]a, b["”]', text)
        assert re.search(r'["“]c\.["”]', text)


def test_every_rule_of_the_grammar_expands():
    fields = dict.fromkeys(
        ["title", "name", "names", "cls", "settings", "count", "first", "last", "then", "others", "location"],
        "Zeta {brace}",
    )
    for rule, alternatives in RULES.items():
        seen = {expand(RULES, rule, np.random.default_rng(i), **fields) for i in range(60)}
        assert len(seen) == len(alternatives)
        assert all("{" not in text.replace("{brace}", "") for text in seen)
    with pytest.raises(ValueError, match="no rule 'nothing'"):
        expand(RULES, "nothing", np.random.default_rng(0))


def test_words():
    assert [join_words(list(w)) for w in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
    assert [with_article(w) for w in ("exponential", "uniform", "EV line", "Weibull")] == [
        "an exponential",
        "a uniform",
        "an EV line",
        "a Weibull",
    ]
