"""Triplets: determined by seed, split and index, and checked by running them."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from synth_examples import examples

from vlsm_jax import simulator
from vlsm_jax.synth import triplets
from vlsm_jax.synth.prompts import PromptStyle, write_prompt
from vlsm_jax.synth.sampler import horizon
from vlsm_jax.synth.scripts import PLAIN, ScriptStyle, write_script
from vlsm_jax.synth.sketches import SketchError, SketchStyle
from vlsm_jax.synth.splits import Keys, Split, split_of
from vlsm_jax.synth.triplets import TripletError, TripletOptions, check_script, make_triplet, make_triplets
from vlsm_jax.twin import Twin, TwinObject


def test_triplets_are_determined_by_seed_and_index():
    first = [make_triplet(7, index) for index in range(4)]
    again = [make_triplet(7, index) for index in reversed(range(4))][::-1]
    for a, b in zip(first, again, strict=True):
        assert (a.id, a.prompt, a.response, a.factory) == (b.id, b.prompt, b.response, b.factory)
        assert a.row() == b.row()
        assert (a.sketch.image == b.sketch.image).all()
    assert len({t.prompt.text for t in first} | {make_triplet(8, 0).prompt.text}) == 5


def test_scripts_run_and_build_the_factory():
    for index in range(25):
        triplet = make_triplet(11, index)
        report = simulator.run(triplet.response, until=horizon(triplet.factory))
        assert report.verdict.value == "ok"
        assert report.diagnostics == ()
        assert report.twin == triplet.factory.twin
        assert triplet.sketch.image.shape[1:] == (512, 3)
        assert 512 / 3 - 1 <= triplet.sketch.image.shape[0] <= 342


@pytest.mark.parametrize("split", Split)
def test_a_triplet_belongs_to_its_split(split):
    triplet = make_triplet(3, 0, split=split)
    assert triplet.split is split
    assert split_of(triplet.factory, Keys.of(triplet.factory)) is split
    assert triplet.id == f"3-{split.value}-000000"
    assert triplet.keys == Keys.of(triplet.factory)


def test_rows_are_json_and_say_what_was_made():
    triplet = make_triplet(11, 1, TripletOptions(prompt_styles=(PromptStyle.INTENT,)))
    row = json.loads(json.dumps(triplet.row()))
    assert row == triplet.row()
    assert row["prompt"] == triplet.prompt.text
    assert row["response"] == triplet.response
    assert row["goal"]["measure"] == triplet.prompt.goal.measure
    assert row["industry"] == triplet.factory.industry


def test_options_are_kept():
    options = TripletOptions(
        industries=("ev_battery",),
        layouts=("linear",),
        automation=("manual",),
        prompt_styles=(PromptStyle.SKETCH,),
        script_styles=(ScriptStyle.LOOP,),
        sketch_styles=(SketchStyle.PENCIL,),
        image_size=(300, 200),
        most_objects=6,
    )
    assert TripletOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    for index in range(5):
        triplet = make_triplet(1, index, options)
        factory = triplet.factory
        assert (factory.industry, factory.layout, factory.automation) == ("ev_battery", "linear", "manual")
        assert triplet.prompt_style is PromptStyle.SKETCH
        assert triplet.script_style is ScriptStyle.LOOP
        assert triplet.sketch.image.shape[1] == 300
        assert len(factory.twin.objects) <= 6


def test_self_contained_prompts_leave_no_connections_to_the_sketch():
    styles = tuple(style for style in PromptStyle if style is not PromptStyle.SKETCH)
    some = TripletOptions(most_objects=8, prompt_styles=styles)
    alone = dataclasses.replace(some, self_contained=True)
    assert TripletOptions.from_json(json.loads(json.dumps(alone.to_json()))) == alone
    changed = 0
    for index in range(24):
        before, after = (make_triplet(4, index, options) for options in (some, alone))
        assert "connections" not in after.prompt.omitted
        assert after.factory == before.factory
        left = "connections" in before.prompt.omitted
        changed += left
        assert (after.prompt == before.prompt) != left, "prompts that tell all are as they were"
    assert changed > 5
    with pytest.raises(
        ValueError, match="'sketch' leaves all connections to the sketch, and self_contained prompts tell"
    ):
        TripletOptions(self_contained=True)


def test_unordered_prompts_do_not_tell_by_their_order_what_the_sketch_is_for():
    ordered = TripletOptions(most_objects=8, script_styles=(ScriptStyle.DICTATED,), plain_scripts=True)
    unordered = dataclasses.replace(ordered, unordered=True)
    assert TripletOptions.from_json(json.loads(json.dumps(unordered.to_json()))) == unordered
    next_in = {True: [], False: []}
    for index in range(60):
        triplets = {how: make_triplet(4, index, options) for how, options in ((False, ordered), (True, unordered))}
        assert triplets[True].factory == triplets[False].factory
        if "connections" not in triplets[True].prompt.omitted:
            assert triplets[True].prompt == triplets[False].prompt, "prompts that tell all are as they were"
            continue
        for how, triplet in triplets.items():
            told = triplet.prompt.told
            assert told == triplet.factory.twin
            places = {obj.name: place for place, obj in enumerate(told.objects)}
            flow = [wire for wire in told.connections if wire.port == "A"]
            next_in[how] += [places[wire.target] - places[wire.source] for wire in flow]
    # As many connections lead back as forth, and to the object named next as rarely as to any other.
    assert len(next_in[True]) > 100
    forth, follows = np.mean(np.array(next_in[True]) > 0), np.mean(np.array(next_in[True]) == 1)
    assert 0.4 < forth < 0.6
    assert follows < 0.25 < np.mean(np.array(next_in[False]) == 1)


def test_unordered_prompts_say_where_objects_stand_in_no_order_either():
    factory = make_triplet(4, 0, TripletOptions(layouts=("linear",), most_objects=8)).factory
    objects = [dataclasses.replace(obj, location=(7 * i, 1, 0)) for i, obj in enumerate(factory.twin.objects)]
    factory = dataclasses.replace(factory, twin=Twin(tuple(objects), factory.twin.connections))
    rose = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        text = write_prompt(factory, PromptStyle.SKETCH, rng, plain=True, unordered=True).text
        found = [int(x) for x in re.findall(r"stands at \((\d+), 1, 0\)", text)]
        assert sorted(found) == [7 * i for i in range(len(objects))]
        rose += [a < b for a, b in itertools.pairwise(found)]
    assert 0.35 < np.mean(rose) < 0.65


def test_dictated_scripts_follow_the_prompt():
    options = TripletOptions(script_styles=(ScriptStyle.DICTATED,), plain_scripts=True)
    orders = 0
    for index in range(12):
        triplet = make_triplet(3, index, options)
        told, twin = triplet.prompt.told, triplet.factory.twin
        assert told == twin
        assert re.findall(r'\.name = "(.*)";', triplet.response) == [obj.name for obj in told.objects]
        assert triplet.response == write_script(told, ScriptStyle.DICTATED, np.random.default_rng(0), PLAIN)
        orders += [obj.name for obj in told.objects] != [obj.name for obj in twin.objects]
    assert orders > 3


def test_a_new_painter_changes_no_prompt(monkeypatch):
    before = make_triplet(2, 3)
    real = triplets.paint_sketch

    def wasteful(twin, rng, size, style):
        rng.random(1000)
        return real(twin, rng, size, style)

    monkeypatch.setattr(triplets, "paint_sketch", wasteful)
    after = make_triplet(2, 3)
    assert (after.prompt, after.response) == (before.prompt, before.response)
    same = after.sketch.image.shape == before.sketch.image.shape
    assert not same or (after.sketch.image != before.sketch.image).any()


def test_rejected_factories_are_counted(monkeypatch):
    real, calls = triplets.check_script, []

    def check(*args, **kwargs):
        calls.append(1)
        return "no flow" if len(calls) <= 2 else real(*args, **kwargs)

    monkeypatch.setattr(triplets, "check_script", check)
    assert dict(make_triplet(2, 0).rejected)["no flow"] == 2
    monkeypatch.setattr(triplets, "check_script", lambda *args, **kwargs: "no flow")
    with pytest.raises(TripletError, match=r"no flow \(40\)"):
        make_triplet(2, 0)


def test_triplets_made_together_are_those_made_one_by_one(monkeypatch):
    check, paint, refused = triplets.check_script, triplets.paint_sketch, []

    def strict(script, factory):
        return "odd" if len(factory.twin.objects) % 2 else check(script, factory)

    def small(twin, *args):
        if len(twin.objects) % 4:
            refused.append(twin)
            raise SketchError("full")
        return paint(twin, *args)

    monkeypatch.setattr(triplets, "check_script", strict)
    monkeypatch.setattr(triplets, "paint_sketch", small)
    together = list(make_triplets(7, (4, 0, 2, 1), split=Split.VALIDATION))
    assert refused
    assert any(dict(triplet.rejected).get("odd") for triplet in together)
    for index, triplet in zip((4, 0, 2, 1), together, strict=True):
        alone = make_triplet(7, index, split=Split.VALIDATION)
        assert triplet.row() == alone.row()
        assert triplet.rejected == alone.rejected
        assert (triplet.sketch.image == alone.sketch.image).all()
    assert list(make_triplets(7, ())) == []


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="'wood'"):
        TripletOptions(industries=("wood",))
    with pytest.raises(ValueError, match="script_styles is empty"):
        TripletOptions(script_styles=())
    with pytest.raises(ValueError, match="features has no 'magic'"):
        TripletOptions(features=("magic",))
    with pytest.raises(ValueError, match="no option industry"):
        TripletOptions.from_json({"industry": ["pcb"]})
    with pytest.raises(ValueError, match="index -1"):
        make_triplet(0, -1)


def test_checks():
    factory = examples()["linear"]
    twin = factory.twin

    def script(of: Twin) -> str:
        return write_script(of, ScriptStyle.STRAIGHT, np.random.default_rng(0))

    good = script(twin)
    assert check_script(good, factory) == ""
    assert check_script(good + "}", factory) == "parse error"
    moved = Twin((dataclasses.replace(twin.objects[0], location=(1, 1, 1)), *twin.objects[1:]), twin.connections)
    assert check_script(script(moved), factory) == "another Twin: location"
    loose = Twin((*twin.objects, TwinObject("Queue", "Left Over", (0, 30, 0))), twin.connections)
    reason = check_script(script(loose), dataclasses.replace(factory, twin=loose))
    assert reason.startswith("a warning: ")
    # A station that takes half an hour for what arrives every minute blocks all before it.
    printer = twin.by_name["Solder Paste Printer"]
    slower = dataclasses.replace(printer, parameters={**printer.parameters, "ProcessTime": 2000})
    slow = Twin(tuple(slower if obj is printer else obj for obj in twin.objects), twin.connections)
    assert check_script(script(slow), dataclasses.replace(factory, twin=slow)) != ""
